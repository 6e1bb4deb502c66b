/* SPDX-License-Identifier: Apache-2.0
 *
 * json_tensor.c - arrays of numbers: their shape, their memory, what is wrong with them, and their way to float32.
 *
 * Lengths are compared at closing brackets only; between them numbers are counted by where they are written.
 */
#include "json_state.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include <text/number.h>

#define GROWTH 16 /* times what was there */
#define SPARE 16  /* of a tensor's room may be left unused */

static bool begin_tensor(struct json_scan *s)
{
    s->base = s->depth - s->pending;
    s->leaf = s->depth;
    s->pending = 0;
    for (int i = 0; i < LOSS_MAX_RANK; i++) {
        s->length[i] = UNSET;
    }
    s->n = s->row = 0;
    s->data = &s->stage;
    s->block = false;
    s->dtype = LOSS_FLOAT64;
    struct slot *slot = scan_new_value(s, JSON_TENSOR, s->base);
    if (slot == NULL) {
        return false;
    }
    if (s->options.storage != NULL && s->options.storage(s->options.arg, slot->value.pointer) == LOSS_FLOAT32) {
        s->dtype = LOSS_FLOAT32;
    }
    slot->value.tensor.dtype = s->dtype;
    s->capacity = STAGE_BYTES / loss_dtype_size(s->dtype);
    s->mode = IN_TENSOR;
    return true;
}

/* The tensor is no good: keep the reason, drop the numbers, go on for the grammar's sake. */
#define TENSOR_FAULT(s, status, levels, ...)                                                                           \
    (scan_fault((s), (status), (levels), __VA_ARGS__) && scan_discard_tensor(s))

bool scan_discard_tensor(struct json_scan *s)
{
    if (s->block) {
        loss_arena_release(s->arena, s->data);
    }
    s->block = false;
    s->data = NULL;
    s->n_ties = s->values[s->n_values - 1].first_tie;
    s->mode = IN_DISCARD;
    return true;
}

/* `bytes` rounded up by a 32nd at most, so that like tensors of later calls ask for blocks of the same size, which the
 * arena then has at hand. */
static size_t round_up(size_t bytes)
{
    size_t step = 1;
    while (bytes / step >= 64) {
        step *= 2;
    }
    return (bytes + step - 1) / step * step;
}

/* How many numbers to have room for, with the body read up to `offset` (0: unknown). What the rest of the body can hold,
 * if it goes on as it did, is reserved at once, but never more than GROWTH times what was there: a body's announced size
 * costs its sender nothing. */
static size_t wanted_capacity(const struct json_scan *s, size_t offset)
{
    if (s->options.size <= offset || offset <= s->tensor_at) {
        return 2 * s->capacity;
    }
    const double rate = (double)s->n / (double)(offset - s->tensor_at);
    const double likely = (double)s->n + 1.02 * rate * (double)(s->options.size - offset);
    const size_t least = s->capacity + s->capacity / 8, most = GROWTH * s->capacity;
    const size_t item = loss_dtype_size(s->dtype);
    return likely >= (double)most ? most : likely <= (double)least ? least : round_up((size_t)likely * item) / item;
}

/* A larger block. The arena moves the pages of a large one. */
static bool resize_data(struct json_scan *s, size_t capacity)
{
    const size_t item = loss_dtype_size(s->dtype);
    void *larger = loss_arena_resize(s->arena, s->block ? s->data : NULL, capacity * item);
    if (larger == NULL) {
        return false;
    }
    if (!s->block) {
        memcpy(larger, &s->stage, s->n * item);
    }
    s->data = larger;
    s->block = true;
    s->capacity = capacity;
    return true;
}

bool scan_grow_tensor(struct json_scan *s, size_t offset)
{
    if (s->capacity > SIZE_MAX / (2 * GROWTH) / loss_dtype_size(s->dtype)) {
        return scan_no_memory(s);
    }
    const size_t wanted = wanted_capacity(s, offset);
    return resize_data(s, wanted) || (wanted > 2 * s->capacity && resize_data(s, 2 * s->capacity)) || scan_no_memory(s);
}

/* The numbers of a tensor at its end. A little spare room stays: a block cut to measure would fit no later tensor. */
static bool settle_data(struct json_scan *s)
{
    const size_t item = loss_dtype_size(s->dtype), bytes = s->n * item;
    if (s->block && s->capacity * item - bytes <= bytes / SPARE) {
        return true;
    }
    if (s->block) {
        void *trimmed = loss_arena_resize(s->arena, s->data, bytes);
        s->data = trimmed != NULL ? trimmed : s->data;
        return true;
    }
    void *data = loss_arena_alloc(s->arena, bytes > 0 ? bytes : 1, 64);
    if (data == NULL) {
        return scan_no_memory(s);
    }
    memcpy(data, &s->stage, bytes);
    s->data = data;
    return true;
}

bool scan_end_tensor(struct json_scan *s)
{
    if (s->mode == IN_TENSOR) {
        if (!settle_data(s)) {
            return false;
        }
        struct slot *slot = &s->values[s->n_values - 1];
        struct loss_tensor *t = &slot->value.tensor;
        t->layout = LOSS_NESTED;
        t->rank = s->leaf - s->base;
        memcpy(t->shape, s->length, (size_t)t->rank * sizeof t->shape[0]);
        t->count = s->n;
        t->data = s->data;
        slot->n_ties = s->n_ties - slot->first_tie;
        slot->block = s->block;
    }
    s->mode = IN_ENVELOPE;
    return scan_put_placeholder(s);
}

bool scan_check_length(struct json_scan *s)
{
    const struct frame *f = &s->stack[s->depth - 1];
    const size_t found = s->depth == s->leaf ? s->n - s->row : f->index;
    size_t *length = &s->length[s->depth - 1 - s->base];
    if (*length == UNSET) {
        *length = found;
        return true;
    }
    return found == *length || TENSOR_FAULT(s, LOSS_RAGGED_TENSOR, s->depth - 1,
                                            "expected %zu elements, as in the first row, found %zu", *length, found);
}

bool scan_deeper_than_numbers(struct json_scan *s)
{
    if (s->length[s->leaf - 1 - s->base] == 0) {
        return TENSOR_FAULT(s, LOSS_RAGGED_TENSOR, s->depth - 1,
                            "expected 0 elements, as in the first row, found more");
    }
    return TENSOR_FAULT(s, LOSS_RAGGED_TENSOR, s->depth, "expected a number, as before, found an array");
}

bool scan_begin_leaf(struct json_scan *s, bool numeric, const char *what)
{
    if (s->pending > 0 && numeric) {
        const int rank = s->pending;
        if (!begin_tensor(s)) {
            return false;
        }
        if (rank > LOSS_MAX_RANK) {
            return TENSOR_FAULT(s, LOSS_SHAPE_MISMATCH, s->base, "rank %d is above %d", rank, LOSS_MAX_RANK);
        }
        return true;
    }
    for (; s->pending > 0; s->pending--) {
        if (!scan_put(s, "[", 1)) {
            return false;
        }
    }
    if (s->mode != IN_TENSOR) {
        return true;
    }
    if (!numeric) {
        return TENSOR_FAULT(s, LOSS_INVALID_PARAMETER, s->depth, "expected a number, found %s", what);
    }
    return s->depth == s->leaf ||
           TENSOR_FAULT(s, LOSS_RAGGED_TENSOR, s->depth, "expected an array, as before, found a number");
}

static bool add_tie(struct json_scan *s, float value, int side)
{
    struct tie *ties = scan_grown(s, s->ties, &s->ties_capacity, s->n_ties + 1, sizeof *ties);
    if (ties == NULL) {
        return false;
    }
    s->ties = ties;
    ties[s->n_ties++] = (struct tie){.index = s->n, .value = value, .side = side};
    return true;
}

bool scan_add_element(struct json_scan *s, double v, float f, int side)
{
    if (s->n == s->capacity && !scan_grow_tensor(s, 0)) {
        return false;
    }
    if (s->dtype == LOSS_FLOAT32) {
        ((float *)s->data)[s->n] = f;
    } else {
        if (side != 0 && !add_tie(s, f, side)) {
            return false;
        }
        ((double *)s->data)[s->n] = v;
    }
    s->n++;
    return true;
}

void json_value_lean(struct json_scan *s, size_t i)
{
    assert(i < s->n_values && s->values[i].value.kind == JSON_TENSOR && s->values[i].value.fault == LOSS_OK);
    const struct slot *slot = &s->values[i];
    double *data = slot->value.tensor.data;
    for (size_t k = 0; k < slot->n_ties && slot->value.tensor.dtype == LOSS_FLOAT64; k++) {
        const struct tie *tie = &s->ties[slot->first_tie + k];
        double *v = &data[tie->index];
        *v = nextafter(*v, tie->side > 0 ? copysign(INFINITY, *v) : 0);
    }
}

/* Index of the first of n numbers, number `at` of the tensor and those behind, that is finite and whose float is not;
 * n: none. `ties` are those not before `at`. */
static size_t first_beyond_float(const double *v, size_t n, size_t at, const struct tie *ties, size_t n_ties)
{
    for (size_t i = 0, k = 0; i < n; i++) {
        float f = (float)v[i];
        if (k < n_ties && ties[k].index == at + i) {
            f = ties[k++].value;
        }
        if (isinf(f) && !isinf(v[i])) {
            return i;
        }
    }
    return n;
}

/* Doubles to floats in the same memory, up to the first that is beyond them: its index, and *beyond; or n. By way of
 * small arrays: floats written over doubles not yet read would be at the compiler's mercy. */
static size_t narrow_in_place(void *data, size_t n, const struct tie *ties, size_t n_ties, double *beyond)
{
    enum { BLOCK = 256 };
    double from[BLOCK];
    float to[BLOCK];
    unsigned char *bytes = data;
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t m = n - i < BLOCK ? n - i : BLOCK;
        unsigned suspects = 0;
        for (; n_ties > 0 && ties->index < i; n_ties--) {
            ties++;
        }
        memcpy(from, bytes + i * sizeof *from, m * sizeof *from);
        for (size_t j = 0; j < m; j++) {
            to[j] = (float)from[j];
            suspects |= !(fabsf(to[j]) < FLT_MAX); /* ties decide about the largest of all */
        }
        const size_t bad = suspects != 0 ? first_beyond_float(from, m, i, ties, n_ties) : m;
        if (bad < m) {
            *beyond = from[bad];
            return i + bad;
        }
        memcpy(bytes + i * sizeof *to, to, m * sizeof *to);
    }
    return n;
}

loss_status json_value_narrow(struct json_scan *s, size_t i, struct loss_error *err)
{
    assert(i < s->n_values && s->values[i].value.kind == JSON_TENSOR && s->values[i].value.fault == LOSS_OK);
    struct slot *slot = &s->values[i];
    struct loss_tensor *t = &slot->value.tensor;
    const struct tie *ties = slot->n_ties > 0 ? s->ties + slot->first_tie : NULL;
    if (t->dtype == LOSS_FLOAT32) {
        return LOSS_OK;
    }
    double beyond = 0;
    const size_t bad = narrow_in_place(t->data, t->count, ties, slot->n_ties, &beyond);
    if (bad < t->count) {
        char pointer[MAX_POINTER];
        loss_tensor_pointer(t, bad, pointer, sizeof pointer);
        char text[NUMBER_PRINT_MAX];
        return loss_fail(err, LOSS_NUMBER_OUT_OF_RANGE, pointer, "%.*s is beyond the largest float32",
                         (int)number_print_f64(text, beyond), text);
    }
    for (size_t k = 0; k < slot->n_ties; k++) {
        memcpy((float *)t->data + ties[k].index, &ties[k].value, sizeof(float));
    }
    t->dtype = LOSS_FLOAT32;
    if (slot->block) {
        void *half = loss_arena_resize(s->arena, t->data, t->count * sizeof(float));
        t->data = half != NULL ? half : t->data;
    }
    return LOSS_OK;
}
