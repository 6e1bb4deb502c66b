/* SPDX-License-Identifier: Apache-2.0 */
#include "calls.h"

#include <omp.h>
#include <stdint.h>
#include <string.h>

#include "bench.h"

static uint64_t random_state = 88172645463325252u;

double random_unit(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) * 0x1p-53;
}

/* A number that the domain allows; reals lie within (0, 1), where every loss is defined. */
static double random_value(loss_domain domain, size_t classes)
{
    double u = random_unit();
    switch (domain) {
    case LOSS_CLASS_INDEX:
        return (double)(size_t)(u * (double)classes);
    case LOSS_WHOLE_NUMBER:
        return (double)(int)(u * 10);
    case LOSS_SIGN:
    case LOSS_ENCODED:
        return u < 0.5 ? -1 : 1;
    case LOSS_BINARY:
        return u < 0.5 ? 0 : 1;
    default:
        return 0.05 + 0.9 * u;
    }
}

/* What is measured on lies where a server's tensors do: in large pages where the system gives them. */
static struct loss_arena *memory;

static void *allocate(size_t n)
{
    memory = memory == NULL ? loss_arena_new(SIZE_MAX / 2, NULL) : memory;
    void *p = memory == NULL ? NULL : loss_arena_alloc(memory, n, 64);
    if (p == NULL) {
        perror("bench");
        exit(1);
    }
    return p;
}

void free_all(void)
{
    loss_arena_free(memory);
    memory = NULL;
}

static void fill_tensor(struct loss_tensor *t, const struct loss_input *input, struct size size)
{
    bool lead = input->extent == LOSS_LEAD;
    bool index = input->domain == LOSS_CLASS_INDEX || input->domain == LOSS_WHOLE_NUMBER;

    *t = (struct loss_tensor){.dtype = index ? LOSS_INT64 : LOSS_FLOAT32};
    t->rank = size.classes > 1 && !lead ? 2 : 1;
    t->shape[0] = size.rows;
    t->shape[1] = t->rank == 2 ? size.classes : 0;
    t->count = t->rank == 2 ? size.rows * size.classes : size.rows;
    t->data = allocate(t->count * loss_dtype_size(t->dtype));
    for (size_t i = 0; i < t->count; i++) {
        double value = random_value(input->domain, size.classes);
        if (index) {
            ((int64_t *)t->data)[i] = (int64_t)value;
        } else {
            ((float *)t->data)[i] = (float)value;
        }
    }
}

/* Parameters that have no default: the last axis, or a number in range. */
static void fill_required_params(struct loss_call *call)
{
    const int last_axis[] = {-1};
    for (int i = 0; call->desc->params[i].name != NULL; i++) {
        const struct loss_param *param = &call->desc->params[i];
        if (!param->required) {
            continue;
        }
        if (param->type == LOSS_AXIS) {
            (void)loss_call_set_number(call, i, -1, NULL, NULL);
        } else if (param->type == LOSS_AXES) {
            (void)loss_call_set_axes(call, i, last_axis, 1, NULL, NULL);
        } else {
            (void)loss_call_set_number(call, i, param->max > 0 ? param->max / 2 : 1, NULL, NULL);
        }
    }
}

void compute_once(void *arg)
{
    const struct loss_call *call = arg;
    struct loss_error err = {.status = LOSS_OK};
    struct loss_answer answer;
    struct loss_arena *arena = loss_arena_new(SIZE_MAX / 2, NULL);

    if (arena == NULL || loss_compute(call, arena, &answer, &err) != LOSS_OK) {
        fprintf(stderr, "%s: %s %s\n", call->desc->name, err.pointer, err.message);
        exit(1);
    }
    loss_arena_free(arena);
}

/* Bytes that one call reads and writes. */
double traffic(const struct loss_call *call, struct size size)
{
    double bytes = 0;
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        const struct loss_tensor *t = &call->input[i];
        bytes += t->data != NULL ? (double)(t->count * loss_dtype_size(t->dtype)) : 0;
        bytes += (call->gradients >> i & 1) != 0 ? (double)(t->count * sizeof(float)) : 0;
    }
    return call->want_losses && call->desc->kind != LOSS_WHOLE ? bytes + (double)(size.rows * sizeof(float)) : bytes;
}

/* A call with made-up tensors; the bits of its main inputs. */
unsigned make_call(struct loss_call *call, const struct loss_desc *desc, struct size size)
{
    loss_call_init(call, desc, NULL);
    fill_required_params(call);
    unsigned mains = 0;
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        if (!desc->inputs[i].optional) {
            fill_tensor(&call->input[i], &desc->inputs[i], size);
        }
        mains |= desc->inputs[i].main ? 1u << i : 0;
    }
    return mains;
}

struct copy {
    char *to;
    char *from;
    size_t n;
};

static void copy_once(void *arg)
{
    const struct copy *copy = arg;
#pragma omp parallel
    {
        size_t threads = (size_t)omp_get_num_threads(), mine = (size_t)omp_get_thread_num();
        size_t begin = copy->n / threads * mine;
        size_t end = mine + 1 == threads ? copy->n : copy->n / threads * (mine + 1);
        memcpy(copy->to + begin, copy->from + begin, end - begin);
    }
}

/* Seconds that a copy of n bytes takes. */
double copy_seconds(size_t n)
{
    struct copy copy = {.to = allocate(n), .from = allocate(n), .n = n};
    memset(copy.to, 1, n);
    memset(copy.from, 2, n);
    return bench_median(copy_once, &copy);
}
