/* SPDX-License-Identifier: Apache-2.0
 *
 * bind.c - a call checked against its descriptor.
 *
 * The order of the checks is what a client sees first: what is missing, shapes, weights, then single numbers.
 */
#include "bind.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cast.h"

#define SHAPE_TEXT 192 /* "[18446744073709551615, ...]" of LOSS_MAX_RANK dimensions */
#define POINTER_TEXT 1024

/* The plan under way, with what the steps need. */
struct binding {
    struct loss__plan *plan;
    const struct loss_call *call;
    const struct loss_desc *desc;
    struct loss_arena *arena;
    struct loss_error *err;
    struct loss_tensor weights; /* squeezed, dtype as given */
    unsigned reduced;           /* axes of the main input that the losses lack */
};

static loss_status no_memory(struct binding *b)
{
    return loss_no_memory(b->err, "the computation");
}

/* Element `i` of a tensor as the client wrote it; rank 0 or `whole`: the tensor itself. */
static const char *place(const struct loss_tensor *t, const char *name, size_t i, bool whole, char buf[POINTER_TEXT])
{
    char own[POINTER_TEXT];
    snprintf(own, sizeof own, "%s%s", t->pointer == NULL ? "/" : "", t->pointer == NULL ? name : t->pointer);
    if (whole) {
        memcpy(buf, own, sizeof own);
        return buf;
    }
    struct loss_tensor named = *t;
    named.pointer = own;
    loss_tensor_pointer(&named, i, buf, POINTER_TEXT);
    return buf;
}

static const char *place_of_input(const struct binding *b, int i, char buf[POINTER_TEXT])
{
    return place(&b->call->input[i], b->desc->inputs[i].name, 0, true, buf);
}

static const char *shape_text(const struct loss_tensor *t, char buf[SHAPE_TEXT])
{
    loss_shape_format(t->rank, t->shape, buf, SHAPE_TEXT);
    return buf;
}

static loss_status check_presence(struct binding *b)
{
    for (int i = 0; b->desc->inputs[i].name != NULL; i++) {
        const struct loss_input *input = &b->desc->inputs[i];
        char pointer[POINTER_TEXT];
        if (b->call->input[i].data == NULL) {
            if (!input->optional) {
                return loss_fail(b->err, LOSS_MISSING_FIELD, place_of_input(b, i, pointer), "%s is missing",
                                 input->name);
            }
            continue;
        }
        int partner = input->together_with == NULL ? -1 : loss_desc_input(b->desc, input->together_with);
        if (partner >= 0 && b->call->input[partner].data == NULL) {
            return loss_fail(b->err, LOSS_MISSING_FIELD, place_of_input(b, partner, pointer),
                             "%s must come along with %s", input->together_with, input->name);
        }
    }
    for (int i = 0; b->desc->params[i].name != NULL; i++) {
        if (b->desc->params[i].required && !b->call->param[i].given) {
            char pointer[POINTER_TEXT];
            snprintf(pointer, sizeof pointer, "/%s", b->desc->params[i].name);
            return loss_fail(b->err, LOSS_MISSING_FIELD, pointer, "%s must be given", b->desc->params[i].name);
        }
    }
    return LOSS_OK;
}

static loss_status check_conflict(struct binding *b)
{
    int which = 0;
    const char *wrong = b->desc->conflict == NULL ? NULL : b->desc->conflict(b->call->param, &which);
    if (wrong == NULL) {
        return LOSS_OK;
    }
    char pointer[POINTER_TEXT];
    snprintf(pointer, sizeof pointer, "/%s", b->desc->params[which].name);
    return loss_fail(b->err, LOSS_INVALID_PARAMETER, pointer, "%s %s", b->desc->params[which].name, wrong);
}

static loss_status check_gradients(const struct binding *b)
{
    for (int i = 0; i < LOSS_MAX_INPUTS && b->desc->inputs[i].name != NULL; i++) {
        if (!(b->call->gradients & (1u << i))) {
            continue;
        }
        if (!b->desc->inputs[i].differentiable) {
            return loss_fail(b->err, LOSS_NOT_DIFFERENTIABLE, "/gradients", "%s has no gradient with respect to %s",
                             b->desc->name, b->desc->inputs[i].name);
        }
        if (b->call->input[i].data == NULL) {
            return loss_fail(b->err, LOSS_NOT_DIFFERENTIABLE, "/gradients",
                             "%s was not given, so there is no gradient with respect to it", b->desc->inputs[i].name);
        }
    }
    return LOSS_OK;
}

static void squeeze_last(struct loss_tensor *t)
{
    if (t->rank > 0 && t->shape[t->rank - 1] == 1) {
        t->rank--;
    }
}

/* As tf.losses.sparse_softmax_cross_entropy: the logits have one rank more than the labels, and whichever side has a
 * dimension of 1 too many at its end loses it; then the weights, if they have one rank more than the labels. */
static void squeeze(struct binding *b)
{
    struct loss_tensor *logits = &b->plan->input[b->plan->main], *labels = NULL;
    for (int i = 0; b->desc->inputs[i].name != NULL && labels == NULL; i++) {
        labels = b->desc->inputs[i].extent == LOSS_LEAD ? &b->plan->input[i] : NULL;
    }
    if (labels == NULL) {
        return;
    }
    if (logits->rank - labels->rank == 2) {
        squeeze_last(logits);
    } else if (logits->rank == labels->rank) {
        squeeze_last(labels);
    }
    if (b->weights.rank - labels->rank == 1) {
        squeeze_last(&b->weights);
    }
}

static void take_inputs(struct binding *b)
{
    static const float one = 1;
    struct loss__plan *plan = b->plan;
    plan->main = -1;
    for (int i = 0; b->desc->inputs[i].name != NULL; i++) {
        plan->input[i] = b->call->input[i];
        plan->lead[i] = b->desc->inputs[i].extent == LOSS_LEAD;
        if (b->desc->inputs[i].main && plan->main < 0) {
            plan->main = i;
        }
    }
    memcpy(plan->param, b->call->param, sizeof plan->param);
    b->weights = b->call->weights;
    if (b->weights.data == NULL) {
        b->weights = (struct loss_tensor){.dtype = LOSS_FLOAT32, .count = 1, .data = (void *)&one};
    }
    if (b->desc->squeezes) {
        squeeze(b);
    }
}

/* The axes that a LOSS_AXIS or LOSS_AXES parameter names, as bits. */
static loss_status named_axes(struct binding *b, int param, unsigned *bits)
{
    const struct loss_tensor *main = &b->plan->input[b->plan->main];
    const struct loss_param_value *value = &b->plan->param[param];
    const char *name = b->desc->params[param].name;
    char pointer[POINTER_TEXT];
    snprintf(pointer, sizeof pointer, "/%s", name);
    bool list = b->desc->params[param].type == LOSS_AXES;
    *bits = 0;
    for (int i = 0; i < (list ? value->n_axes : 1); i++) {
        double asked = list ? value->axes[i] : value->number;
        int axis;
        if (!loss__shape_axis(main->rank, asked, &axis)) {
            return loss_fail(b->err, LOSS_INVALID_PARAMETER, pointer,
                             "%s has rank %d, so %s must be in [%d, %d], got %g", b->desc->inputs[b->plan->main].name,
                             main->rank, name, -main->rank, main->rank - 1, asked);
        }
        if (*bits & (1u << axis)) {
            return loss_fail(b->err, LOSS_INVALID_PARAMETER, pointer, "%s names axis %d twice", name, axis);
        }
        *bits |= 1u << axis;
    }
    return LOSS_OK;
}

/* Which axes a loss of the row-wise kind reduces: those it was told to, else the last; or where it takes a list of
 * axes all but the first, and of a vector its only one. */
static loss_status row_axes(struct binding *b)
{
    const struct loss_tensor *main = &b->plan->input[b->plan->main];
    if (main->rank == 0) {
        char pointer[POINTER_TEXT];
        return loss_fail(b->err, LOSS_SHAPE_MISMATCH, place_of_input(b, b->plan->main, pointer),
                         "%s must have at least one axis, got a scalar", b->desc->inputs[b->plan->main].name);
    }
    b->reduced = 1u << (main->rank - 1);
    for (int i = 0; b->desc->params[i].name != NULL; i++) {
        loss_param_type type = b->desc->params[i].type;
        if (type != LOSS_AXIS && type != LOSS_AXES) {
            continue;
        }
        if (b->plan->param[i].given) {
            return named_axes(b, i, &b->reduced);
        }
        if (type == LOSS_AXES) {
            unsigned all = (1u << main->rank) - 1;
            b->reduced = main->rank == 1 ? all : all & ~1u;
        }
        return LOSS_OK;
    }
    return LOSS_OK;
}

static void lose_axes(struct binding *b)
{
    const struct loss_tensor *main = &b->plan->input[b->plan->main];
    struct loss__plan *plan = b->plan;
    plan->rank = 0;
    plan->count = 1;
    for (int i = 0; i < main->rank; i++) {
        bool gone = b->reduced & (1u << i);
        if (gone && !b->desc->keeps_axis) {
            continue;
        }
        plan->shape[plan->rank++] = gone ? 1 : main->shape[i];
        plan->count *= gone ? 1 : main->shape[i];
    }
}

/* How the main input is cut, and the shape of the losses. */
static loss_status cut(struct binding *b)
{
    const struct loss_tensor *main = &b->plan->input[b->plan->main];
    unsigned all = (1u << main->rank) - 1;
    if (b->desc->rank != 0 && main->rank != b->desc->rank) {
        char pointer[POINTER_TEXT], got[SHAPE_TEXT];
        return loss_fail(b->err, LOSS_SHAPE_MISMATCH, place_of_input(b, b->plan->main, pointer),
                         "%s must have rank %d, got the shape %s", b->desc->inputs[b->plan->main].name, b->desc->rank,
                         shape_text(&b->call->input[b->plan->main], got));
    }
    switch (b->desc->kind) {
    case LOSS_ELEMENTWISE:
        b->reduced = 0;
        break;
    case LOSS_ROWWISE:
    case LOSS_BATCHWISE:
        LOSS_TRY(row_axes(b));
        break;
    case LOSS_SAMPLEWISE:
        b->reduced = all & ~1u;
        break;
    case LOSS_WHOLE: /* blocks of single elements, or of rows that are compared, but one loss */
        b->reduced = all;
        lose_axes(b);
        loss__rows_cut(&b->plan->rows, main->rank, main->shape,
                       b->desc->pairs == LOSS_PAIRS_OF_ROWS ? 1u << (main->rank - 1) : 0);
        return LOSS_OK;
    }
    loss__rows_cut(&b->plan->rows, main->rank, main->shape, b->reduced);
    lose_axes(b);
    return LOSS_OK;
}

static loss_status check_shapes(struct binding *b)
{
    const struct loss__plan *plan = b->plan;
    const struct loss_tensor *main = &plan->input[plan->main];
    const char *main_name = b->desc->inputs[plan->main].name;
    struct loss_tensor lead = {0};
    for (int i = 0; i < main->rank; i++) {
        if (!(b->reduced & (1u << i))) {
            lead.shape[lead.rank++] = main->shape[i];
        }
    }
    for (int i = 0; b->desc->inputs[i].name != NULL; i++) {
        const struct loss_tensor *t = &plan->input[i];
        const struct loss_tensor *expected = plan->lead[i] ? &lead : main;
        if (t->data == NULL || i == plan->main ||
            loss__shape_equal(t->rank, t->shape, expected->rank, expected->shape)) {
            continue;
        }
        char pointer[POINTER_TEXT], got[SHAPE_TEXT], wanted[SHAPE_TEXT], of[SHAPE_TEXT];
        return loss_fail(b->err, LOSS_SHAPE_MISMATCH, place_of_input(b, i, pointer),
                         plan->lead[i] ? "%s %s must have the shape %s, which is %s %s without the reduced axis"
                                       : "%s %s must have the shape %s of %s %s",
                         b->desc->inputs[i].name, shape_text(&b->call->input[i], got), shape_text(expected, wanted),
                         main_name, shape_text(&b->call->input[plan->main], of));
    }
    return LOSS_OK;
}

/* TensorFlow's assert_broadcastable: a scalar, or the same rank with each dimension 1 or alike. */
static loss_status check_weights(struct binding *b)
{
    const struct loss_tensor *main = &b->plan->input[b->plan->main], *w = &b->weights;
    struct loss_tensor losses = {.rank = b->plan->rank};
    memcpy(losses.shape, b->plan->shape, sizeof losses.shape);
    bool by_sample = b->desc->kind == LOSS_SAMPLEWISE;
    const struct loss_tensor *over = by_sample ? main : &losses;
    bool fits = w->rank == 0 || w->rank == over->rank;
    for (int i = 0; fits && i < w->rank; i++) {
        fits = w->shape[i] == 1 || w->shape[i] == over->shape[i];
    }
    if (fits) {
        return LOSS_OK;
    }
    char pointer[POINTER_TEXT], got[SHAPE_TEXT], of[SHAPE_TEXT], rank[64] = "";
    if (over->rank > 0) {
        snprintf(rank, sizeof rank, ", or of rank %d with every dimension 1 or alike", over->rank);
    }
    return loss_fail(b->err, LOSS_INVALID_WEIGHTS, place(&b->call->weights, "weights", 0, true, pointer),
                     "weights %s do not fit %s %s: they must be a scalar%s", shape_text(&b->call->weights, got),
                     by_sample ? b->desc->inputs[b->plan->main].name : "losses", shape_text(over, of), rank);
}

/* *t as `to`, borrowed where it is that already. */
static loss_status cast(struct binding *b, struct loss_tensor *t, const struct loss_tensor *as_given, const char *name)
{
    loss_dtype to = b->call->dtype;
    size_t size = loss_dtype_size(to);
    if (t->dtype == to && (uintptr_t)t->data % size == 0) {
        return LOSS_OK;
    }
    void *out = loss_arena_alloc(b->arena, t->count * size, 64);
    if (out == NULL) {
        return no_memory(b);
    }
    size_t bad = loss__cast_real(t, to, out);
    if (bad < t->count) {
        char pointer[POINTER_TEXT];
        return loss_fail(b->err, LOSS_NUMBER_OUT_OF_RANGE, place(as_given, name, bad, false, pointer),
                         "%.17g at index %zu of %s is too large for %s", loss_tensor_at(t, bad), bad, name,
                         loss_dtype_name(to));
    }
    t->data = out;
    t->dtype = to;
    return LOSS_OK;
}

static loss_status bind_weights(struct binding *b)
{
    LOSS_TRY(check_weights(b));
    LOSS_TRY(cast(b, &b->weights, &b->call->weights, "weights"));
    struct loss__plan *plan = b->plan;
    if (b->desc->kind != LOSS_SAMPLEWISE) {
        loss__weights_over(&plan->weights, &b->weights, plan->rank, plan->shape);
        return LOSS_OK;
    }
    const struct loss_tensor *main = &plan->input[plan->main];
    if (!loss__weights_over_samples(&plan->weights, &b->weights, main->rank, main->shape, b->arena)) {
        return no_memory(b);
    }
    plan->masked_elements = b->call->weights_mask && plan->weights.within;
    return LOSS_OK;
}

/* A vector over the classes: the last axis, which a row-wise loss must reduce. */
static loss_status bind_vector(struct binding *b, int param)
{
    struct loss_tensor *vector = &b->plan->param[param].vector;
    const struct loss_tensor *main = &b->plan->input[b->plan->main], as_given = *vector;
    const struct loss_param *p = &b->desc->params[param];
    size_t classes = b->plan->rows.reduced.count;
    if (b->desc->kind == LOSS_ELEMENTWISE) {
        classes = main->rank == 0 ? 0 : main->shape[main->rank - 1];
    }
    char pointer[POINTER_TEXT], got[SHAPE_TEXT];
    if (b->desc->kind == LOSS_ROWWISE && b->reduced != 1u << (main->rank - 1)) {
        return loss_fail(b->err, LOSS_SHAPE_MISMATCH, place(&as_given, p->name, 0, true, pointer),
                         "%s goes with classes along the last axis of %s alone", p->name,
                         b->desc->inputs[b->plan->main].name);
    }
    if (vector->rank != 1 || vector->shape[0] != classes) {
        return loss_fail(b->err, LOSS_SHAPE_MISMATCH, place(&as_given, p->name, 0, true, pointer),
                         "%s %s must be a vector of %zu numbers, one a class", p->name, shape_text(vector, got),
                         classes);
    }
    LOSS_TRY(cast(b, vector, &as_given, p->name));
    bool bounded = p->min != 0 || p->max != 0;
    for (size_t i = 0; bounded && i < vector->count; i++) {
        double x = loss_tensor_at(vector, i);
        if (!((p->above_min ? x > p->min : x >= p->min) && (p->below_max ? x < p->max : x <= p->max))) {
            return loss_fail(b->err, LOSS_INVALID_PARAMETER, place(&as_given, p->name, i, false, pointer),
                             "%.9g at index %zu of %s is outside its range", x, i, p->name);
        }
    }
    return LOSS_OK;
}

/* Whether row (or element) `i` is left out because its weight is 0; refills `w` as `i` moves on. */
struct mask {
    const struct loss__weights *weights; /* NULL: nothing is masked */
    size_t per;                          /* numbers of the input a weight */
    size_t first, n;
    size_t offsets[256];
    double w[256];
};

static bool masked(struct mask *mask, size_t i, size_t count)
{
    if (mask->weights == NULL) {
        return false;
    }
    i /= mask->per;
    count /= mask->per;
    if (i >= mask->first + mask->n) {
        mask->first = i;
        mask->n = count - i < 256 ? count - i : 256;
        loss__weights_fill(mask->weights, mask->first, mask->n, mask->offsets, mask->w);
    }
    return mask->w[i - mask->first] == 0;
}

/* The mask of an input that has one number a loss, or rows that lie together; others are never masked as they are read. */
static void mask_init(struct mask *mask, const struct binding *b, int input)
{
    const struct loss__plan *plan = b->plan;
    bool one_a_loss = plan->input[input].count == plan->count && b->desc->kind != LOSS_WHOLE;
    bool a_row_a_loss = b->desc->kind == LOSS_ROWWISE && plan->rows.contiguous && !plan->lead[input];
    mask->per = one_a_loss ? 1 : plan->rows.reduced.count;
    mask->weights = b->call->weights_mask && (one_a_loss || a_row_a_loss) ? &plan->weights : NULL;
    mask->first = 0;
    mask->n = 0;
}

static loss_status out_of_range(struct binding *b, int input, size_t i, const char *rule)
{
    const struct loss_tensor *t = &b->call->input[input];
    char pointer[POINTER_TEXT];
    return loss_fail(b->err, LOSS_LABEL_OUT_OF_RANGE, place(t, b->desc->inputs[input].name, i, false, pointer),
                     "%.17g at index %zu of %s is out of range: %s", loss_tensor_at(t, i), i,
                     b->desc->inputs[input].name, rule);
}

/* The row to leave out, or NULL where the loss has or was given none. */
static const double *ignored_index(const struct binding *b)
{
    int param = loss_desc_param(b->desc, "ignore_index");
    return param >= 0 && b->plan->param[param].given ? &b->plan->param[param].number : NULL;
}

/* One whole number; where it is a class index, in [0, classes), or -1 for a row to be left out. */
static loss_status whole_number(struct binding *b, int input, size_t i, const double *ignore, int64_t *out)
{
    const struct loss_tensor *t = &b->plan->input[input];
    const char *name = b->desc->inputs[input].name;
    bool class_index = b->desc->inputs[input].domain == LOSS_CLASS_INDEX;
    loss__wholeness wholeness = loss__cast_whole(t, i, out);
    if (wholeness == LOSS__FRACTION) {
        char pointer[POINTER_TEXT];
        return loss_fail(b->err, LOSS_NOT_AN_INTEGER, place(&b->call->input[input], name, i, false, pointer),
                         "%.17g at index %zu of %s is not a whole number", loss_tensor_at(t, i), i, name);
    }
    if (wholeness == LOSS__BEYOND_INT64 && !class_index) {
        return out_of_range(b, input, i, "whole numbers must fit 64 bits");
    }
    if (!class_index) {
        return LOSS_OK;
    }
    if (ignore != NULL && wholeness == LOSS__WHOLE && (double)*out == *ignore) {
        *out = -1;
        return LOSS_OK;
    }
    size_t classes = b->plan->rows.reduced.count;
    if (wholeness == LOSS__BEYOND_INT64 || *out < 0 || (uint64_t)*out >= classes) {
        char rule[80];
        snprintf(rule, sizeof rule, "a class index must be in [0, %zu)", classes);
        return out_of_range(b, input, i, rule);
    }
    return LOSS_OK;
}

/* Whether the numbers may be taken from where they lie: nearly all that are sent by programs. */
static bool fit_as_they_are(const struct binding *b, int input)
{
    const struct loss_tensor *t = &b->plan->input[input];
    if (t->dtype != LOSS_INT64 || (uintptr_t)t->data % _Alignof(int64_t) != 0) {
        return false;
    }
    const int64_t *x = t->data;
    uint64_t classes = b->desc->inputs[input].domain == LOSS_CLASS_INDEX ? b->plan->rows.reduced.count : UINT64_MAX;
    uint64_t beyond = 0;
    for (size_t i = 0; i < t->count && classes != UINT64_MAX; i++) {
        beyond += (uint64_t)x[i] >= classes;
    }
    return beyond == 0;
}

/* Class indices as they come in text, without a branch a number. False: they are others, or not all are good. */
static bool cast_indices(const struct binding *b, int input, int64_t *out)
{
    const struct loss_tensor *t = &b->plan->input[input];
    if (t->dtype != LOSS_FLOAT64 || (uintptr_t)t->data % _Alignof(double) != 0 ||
        b->desc->inputs[input].domain != LOSS_CLASS_INDEX) {
        return false;
    }
    const double *x = t->data, classes = (double)b->plan->rows.reduced.count;
    size_t beyond = 0;
    for (size_t i = 0; i < t->count; i++) {
        bool inside = x[i] >= 0 && x[i] < classes;
        out[i] = (int64_t)(inside ? x[i] : 0);
        beyond += !inside | ((double)out[i] != x[i]);
    }
    return beyond == 0;
}

static loss_status bind_whole_numbers(struct binding *b, int input)
{
    struct loss_tensor *t = &b->plan->input[input];
    const double *ignore = ignored_index(b);
    bool all_count = !b->call->weights_mask && ignore == NULL;
    if (all_count && fit_as_they_are(b, input)) {
        return LOSS_OK;
    }
    int64_t *out = loss_arena_alloc(b->arena, t->count * sizeof *out, 64);
    if (out == NULL) {
        return no_memory(b);
    }
    bool done = all_count && cast_indices(b, input, out);
    struct mask mask;
    mask_init(&mask, b, input);
    for (size_t i = 0; !done && i < t->count; i++) {
        if (masked(&mask, i, t->count)) {
            out[i] = -1;
        } else {
            LOSS_TRY(whole_number(b, input, i, ignore, &out[i]));
        }
    }
    t->data = out;
    t->dtype = LOSS_INT64;
    return LOSS_OK;
}

/* Whether all numbers are one of three: nearly always, so that is found out without a branch a number. */
#define ALL_AMONG(T)                                                                                                   \
    static bool all_among_##T(const T *x, size_t n, T one, T other, T third)                                           \
    {                                                                                                                  \
        int beyond = 0;                                                                                                \
        _Pragma("omp simd reduction(| : beyond)") for (size_t i = 0; i < n; i++)                                       \
        {                                                                                                              \
            beyond |= (x[i] != one) & (x[i] != other) & (x[i] != third);                                               \
        }                                                                                                              \
        return beyond == 0;                                                                                            \
    }
ALL_AMONG(float)
ALL_AMONG(double)

static bool all_among(const struct loss_tensor *t, double one, double other, double third)
{
    return t->dtype == LOSS_FLOAT32 ? all_among_float(t->data, t->count, (float)one, (float)other, (float)third)
                                    : all_among_double(t->data, t->count, one, other, third);
}

static loss_status check_two_values(struct binding *b, int input, double low, const char *rule)
{
    const struct loss_tensor *t = &b->plan->input[input];
    if (all_among(t, low, 1, 1)) {
        return LOSS_OK;
    }
    struct mask mask;
    mask_init(&mask, b, input);
    for (size_t i = 0; i < t->count; i++) {
        double x = loss_tensor_at(t, i);
        if (x != low && x != 1 && !masked(&mask, i, t->count)) {
            return out_of_range(b, input, i, rule);
        }
    }
    return LOSS_OK;
}

/* Whether each label says by itself which of two classes it means. */
static bool encodes_itself(const struct binding *b)
{
    int param = loss_desc_param(b->desc, "label_encoding");
    return param >= 0 && strcmp(b->desc->params[param].words[(size_t)b->plan->param[param].number], "auto") == 0;
}

static loss_status check_encoded(struct binding *b, int input)
{
    const struct loss_tensor *t = &b->plan->input[input];
    if (!encodes_itself(b) || all_among(t, -1, 0, 1)) {
        return LOSS_OK;
    }
    struct mask mask;
    mask_init(&mask, b, input);
    for (size_t i = 0; i < t->count; i++) {
        double x = loss_tensor_at(t, i);
        if (x != -1 && x != 0 && x != 1 && !masked(&mask, i, t->count)) {
            return out_of_range(b, input, i, "with label_encoding \"auto\" it must be -1, 0 or 1");
        }
    }
    return LOSS_OK;
}

static loss_status bind_input(struct binding *b, int input)
{
    struct loss_tensor *t = &b->plan->input[input];
    const struct loss_input *desc = &b->desc->inputs[input];
    if (t->data == NULL) {
        return LOSS_OK;
    }
    if (desc->domain == LOSS_CLASS_INDEX || desc->domain == LOSS_WHOLE_NUMBER) {
        return bind_whole_numbers(b, input);
    }
    LOSS_TRY(cast(b, t, &b->call->input[input], desc->name));
    switch (desc->domain) {
    case LOSS_SIGN:
        return check_two_values(b, input, -1, "it must be -1 or 1");
    case LOSS_BINARY:
        return check_two_values(b, input, 0, "it must be 0 or 1");
    case LOSS_ENCODED:
        return check_encoded(b, input);
    default:
        return LOSS_OK;
    }
}

static loss_status bind_columns(struct binding *b)
{
    const struct loss__rows *rows = &b->plan->rows;
    if (rows->contiguous) {
        return LOSS_OK;
    }
    b->plan->column = loss_arena_alloc(b->arena, rows->reduced.count * sizeof *b->plan->column, 64);
    if (b->plan->column == NULL) {
        return no_memory(b);
    }
    loss__grid_offsets(&rows->reduced, 0, rows->reduced.count, b->plan->column);
    return LOSS_OK;
}

loss_status loss__bind(struct loss__plan *plan, const struct loss_call *call, const struct loss__kernels *kernels,
                       struct loss_arena *arena, struct loss_error *err)
{
    *plan = (struct loss__plan){.call = call, .kernels = kernels};
    struct binding b = {.plan = plan, .call = call, .desc = call->desc, .arena = arena, .err = err};
    LOSS_TRY(check_presence(&b));
    LOSS_TRY(check_conflict(&b));
    LOSS_TRY(check_gradients(&b));
    take_inputs(&b);
    LOSS_TRY(cut(&b));
    LOSS_TRY(check_shapes(&b));
    LOSS_TRY(bind_weights(&b));
    for (int i = 0; b.desc->params[i].name != NULL; i++) {
        if (plan->param[i].vector.data != NULL) {
            LOSS_TRY(bind_vector(&b, i));
        }
    }
    for (int i = 0; b.desc->inputs[i].name != NULL; i++) {
        LOSS_TRY(bind_input(&b, i));
    }
    plan->factor = kernels->factored == NULL || kernels->factored(plan->param) ? kernels->factor : NULL;
    return bind_columns(&b);
}
