/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_kernels.c - every loss of the catalogue, alone and with gradients, beside memcpy.
 *
 * A figure is a whole loss_compute of about four million float32 elements: kernels, exact totals, and the memory of
 * the answer. GB/s counts the inputs read and the losses and gradients written; memcpy's, what it reads and writes,
 * on as many threads. A new loss is measured by being in the table.
 */
#include <omp.h>
#include <stdint.h>
#include <string.h>

#include <loss/loss.h>

#include "bench.h"

#define ROWS ((size_t)4096)
#define CLASSES ((size_t)1000)
#define ELEMENTS (ROWS * CLASSES)

static uint64_t random_state = 88172645463325252u;

static double random_unit(void)
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
        return u < 0.5 ? -1 : 1;
    case LOSS_BINARY:
        return u < 0.5 ? 0 : 1;
    default:
        return 0.05 + 0.9 * u;
    }
}

static void fill_tensor(struct loss_tensor *t, const struct loss_input *input, bool by_row)
{
    bool lead = by_row && input->extent == LOSS_LEAD;
    bool index = input->domain == LOSS_CLASS_INDEX || input->domain == LOSS_WHOLE_NUMBER;

    *t = (struct loss_tensor){.dtype = index ? LOSS_INT64 : LOSS_FLOAT32};
    t->rank = by_row && !lead ? 2 : 1;
    t->shape[0] = by_row ? ROWS : ELEMENTS;
    t->shape[1] = t->rank == 2 ? CLASSES : 0;
    t->count = lead ? ROWS : ELEMENTS;
    t->data = malloc(t->count * loss_dtype_size(t->dtype));
    if (t->data == NULL) {
        perror("bench_kernels");
        exit(1);
    }
    for (size_t i = 0; i < t->count; i++) {
        double value = random_value(input->domain, CLASSES);
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

static void compute_once(void *arg)
{
    const struct loss_call *call = arg;
    struct loss_error       err = {.status = LOSS_OK};
    struct loss_answer      answer;
    struct loss_arena      *arena = loss_arena_new(SIZE_MAX / 2, NULL);

    if (arena == NULL || loss_compute(call, arena, &answer, &err) != LOSS_OK) {
        fprintf(stderr, "%s: %s %s\n", call->desc->name, err.pointer, err.message);
        exit(1);
    }
    loss_arena_free(arena);
}

/* Bytes that one call reads and writes. */
static double traffic(const struct loss_call *call, bool by_row)
{
    double bytes = 0;
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        const struct loss_tensor *t = &call->input[i];
        bytes += t->data != NULL ? (double)(t->count * loss_dtype_size(t->dtype)) : 0;
        bytes += (call->gradients >> i & 1) != 0 ? (double)(t->count * sizeof(float)) : 0;
    }
    if (call->desc->kind != LOSS_WHOLE) {
        bytes += (double)((by_row ? ROWS : ELEMENTS) * sizeof(float));
    }
    return bytes;
}

static void measure(struct loss_call *call, bool by_row, const char *what)
{
    char   label[128];
    double seconds = bench_best(compute_once, call);

    snprintf(label, sizeof label, "%s, %s", call->desc->name, what);
    bench_row(label, traffic(call, by_row) / seconds * 1e-9, "GB/s");
}

static void bench_loss(const struct loss_desc *desc)
{
    bool             by_row = desc->kind == LOSS_ROWWISE || desc->kind == LOSS_SAMPLEWISE;
    struct loss_call call;

    loss_call_init(&call, desc, NULL);
    fill_required_params(&call);
    unsigned mains = 0;
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        if (!desc->inputs[i].optional) {
            fill_tensor(&call.input[i], &desc->inputs[i], by_row);
        }
        mains |= desc->inputs[i].main ? 1u << i : 0;
    }
    call.gradients = 0;
    measure(&call, by_row, "losses");
    call.gradients = mains;
    measure(&call, by_row, "losses and gradient");
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        free(call.input[i].data);
    }
}

struct copy {
    char  *to;
    char  *from;
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

static void bench_memcpy(void)
{
    struct copy copy = {.n = ELEMENTS * sizeof(float)};
    copy.to = malloc(copy.n);
    copy.from = malloc(copy.n);
    if (copy.to == NULL || copy.from == NULL) {
        perror("bench_kernels");
        exit(1);
    }
    memset(copy.to, 1, copy.n);
    memset(copy.from, 2, copy.n);
    bench_row("memcpy of 4,096,000 float32", 2 * (double)copy.n / bench_best(copy_once, &copy) * 1e-9, "GB/s");
    free(copy.to);
    free(copy.from);
}

int main(void)
{
    printf("# kernels: %s, %d threads\n", loss_isa(), omp_get_max_threads());
    bench_memcpy();
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        bench_loss(loss_catalog_at(i));
    }
    return 0;
}
