/* SPDX-License-Identifier: Apache-2.0
 *
 * bits.c - a fingerprint of the bits of every loss, one line a case: the same on any machine. Needs nothing but
 * libloss, so that it can be built for another processor.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <loss/loss.h>

#define MOST_PAIRS ((size_t)1 << 21) /* of losses that compare each with each: an emulated processor is slow */

static uint64_t state;

/* In [low, high), a multiple of 2^-24 of the range. */
static double random_number(double low, double high)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return low + (high - low) * ((double)(state >> 40) * 0x1p-24);
}

static double random_value(loss_domain domain, size_t classes, bool within_one)
{
    switch (domain) {
    case LOSS_CLASS_INDEX:
    case LOSS_WHOLE_NUMBER:
        return (double)(int64_t)random_number(0, (double)classes);
    case LOSS_SIGN:
        return random_number(0, 1) < 0.5 ? -1 : 1;
    case LOSS_BINARY:
    case LOSS_ENCODED:
        return random_number(0, 1) < 0.5 ? 0 : 1;
    default:
        return within_one ? random_number(0.0625, 0.9375) : random_number(-6, 6);
    }
}

static void store(struct loss_tensor *t, size_t i, double x)
{
    if (t->dtype == LOSS_INT64) {
        ((int64_t *)t->data)[i] = (int64_t)x;
    } else if (t->dtype == LOSS_FLOAT64) {
        ((double *)t->data)[i] = x;
    } else {
        ((float *)t->data)[i] = (float)x;
    }
}

static void make_tensor(struct loss_tensor *t, struct loss_arena *arena, loss_dtype dtype, size_t rows, size_t columns)
{
    *t = (struct loss_tensor){.dtype = dtype, .rank = columns > 0 ? 2 : 1, .shape = {rows, columns}};
    t->count = columns > 0 ? rows * columns : rows;
    t->data = loss_arena_alloc(arena, t->count * loss_dtype_size(dtype), 64);
    if (t->data == NULL) {
        exit(1);
    }
}

static void make_call(struct loss_call *call, struct loss_arena *arena, const struct loss_desc *desc, loss_dtype dtype,
                      size_t rows, size_t columns, bool within_one)
{
    loss_call_init(call, desc, NULL);
    call->dtype = dtype;
    call->want_losses = true;
    for (int i = 0; desc->params[i].name != NULL; i++) {
        if (desc->params[i].required && desc->params[i].type == LOSS_AXIS) {
            (void)loss_call_set_number(call, i, -1, NULL, NULL);
        }
    }
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        const struct loss_input *input = &desc->inputs[i];
        bool index = input->domain == LOSS_CLASS_INDEX || input->domain == LOSS_WHOLE_NUMBER;
        struct loss_tensor *t = &call->input[i];
        make_tensor(t, arena, index ? LOSS_INT64 : dtype, rows, input->extent == LOSS_LEAD ? 0 : columns);
        for (size_t k = 0; k < t->count; k++) {
            store(t, k, random_value(input->domain, columns, within_one));
        }
        call->gradients |= input->differentiable ? 1u << i : 0;
    }
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t mix_sum(uint64_t hash, const struct loss_sum *sum)
{
    unsigned char bytes[LOSS_SUM_BYTES];
    loss_sum_store(sum, bytes);
    return mix(hash, bytes, sizeof bytes);
}

static uint64_t fingerprint(const struct loss_answer *answer)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    hash = mix(hash, &answer->loss, sizeof answer->loss);
    hash = mix(hash, answer->losses.data, answer->losses.count * loss_dtype_size(answer->losses.dtype));
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        const struct loss_tensor *t = &answer->gradient[i];
        hash = t->data == NULL ? hash : mix(hash, t->data, t->count * loss_dtype_size(t->dtype));
    }
    return mix_sum(mix_sum(mix_sum(hash, &answer->sum), &answer->rest), &answer->weight_sum);
}

static void print_case(const struct loss_desc *desc, loss_dtype dtype, size_t rows, size_t columns, bool within_one)
{
    struct loss_arena *arena = loss_arena_new((size_t)1 << 30, NULL);
    if (arena == NULL) {
        exit(1);
    }
    struct loss_call call;
    struct loss_answer answer;
    struct loss_error error = {.message = ""};
    make_call(&call, arena, desc, dtype, rows, columns, within_one);
    if (desc->pairs != LOSS_NO_PAIRS && loss_call_elements(&call) > MOST_PAIRS) {
        loss_arena_free(arena);
        return;
    }
    loss_status status = loss_compute(&call, arena, &answer, &error);
    printf("%s %s %zux%zu %s %016" PRIx64 " %s\n", desc->name, dtype == LOSS_FLOAT64 ? "float64" : "float32", rows,
           columns, within_one ? "probabilities" : "logits", status == LOSS_OK ? fingerprint(&answer) : 0,
           error.message);
    loss_arena_free(arena);
}

int main(void)
{
    static const size_t shapes[][2] = {{301, 3}, {37, 64}, {9, 777}, {3, 5003}, {1, 133001}, {70001, 2}};
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
            for (int within_one = 0; within_one < 2; within_one++) {
                state = k + 1;
                print_case(loss_catalog_at(i), LOSS_FLOAT32, shapes[k][0], shapes[k][1], within_one != 0);
                print_case(loss_catalog_at(i), LOSS_FLOAT64, shapes[k][0], shapes[k][1], within_one != 0);
            }
        }
    }
    return 0;
}
