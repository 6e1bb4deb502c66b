/* SPDX-License-Identifier: Apache-2.0
 *
 * pieces.c - cutting a call, and putting what was found together.
 */
#include "pieces.h"

/* Would an axis of the main input be its first? */
static bool is_first(int axis, int rank)
{
    return axis == 0 || axis == -rank;
}

/* The first dimension must be kept by the loss: what belongs to one row must not be cut. */
static bool reduces_first(const struct loss_call *call, int rank)
{
    const struct loss_desc *desc = call->desc;
    bool said = false;
    for (int i = 0; desc->params[i].name != NULL; i++) {
        const struct loss_param_value *value = &call->param[i];
        bool axes = desc->params[i].type == LOSS_AXES || desc->params[i].type == LOSS_AXIS;
        if (!axes || !value->given) {
            continue;
        }
        said = true;
        if (value->n_axes == 0 && is_first((int)value->number, rank)) {
            return true;
        }
        for (int k = 0; k < value->n_axes; k++) {
            if (is_first(value->axes[k], rank)) {
                return true;
            }
        }
    }
    return !said && desc->kind == LOSS_ROWWISE && rank == 1;
}

/* Every input has the first dimension, of one length. Otherwise the whole is one piece, which loss_compute then
 * checks. */
static bool can_cut(const struct loss_call *call, size_t *n)
{
    bool found = false;
    if (call->desc->samples_meet || call->desc->kind == LOSS_WHOLE) {
        return false;
    }
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        const struct loss_tensor *t = &call->input[i];
        if (t->data == NULL) {
            continue;
        }
        if (t->rank == 0 || (found && t->shape[0] != *n)) {
            return false;
        }
        found = true;
        *n = t->shape[0];
        if (call->desc->inputs[i].main && reduces_first(call, t->rank)) {
            return false;
        }
    }
    const struct loss_tensor *w = &call->weights;
    return found && *n > 0 && (w->data == NULL || w->rank == 0 || w->shape[0] == 1 || w->shape[0] == *n);
}

static size_t row_bytes(const struct loss_tensor *t)
{
    return t->count / t->shape[0] * sizeof(double);
}

void pieces_init(struct pieces *p, const struct loss_call *whole, size_t bytes)
{
    size_t row = 0;
    *p = (struct pieces){.whole = whole};
    p->single = !can_cut(whole, &p->n);
    if (p->single) {
        p->n = p->rows = 1;
        return;
    }
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        p->cut[i] = whole->input[i].data != NULL;
        row += p->cut[i] ? row_bytes(&whole->input[i]) : 0;
    }
    const struct loss_tensor *w = &whole->weights;
    p->cut_weights = w->data != NULL && w->rank > 0 && w->shape[0] == p->n;
    row += p->cut_weights ? row_bytes(w) : 0;
    p->rows = row == 0 ? p->n : bytes / row;
    p->rows = p->rows == 0 ? 1 : p->rows > p->n ? p->n : p->rows;
}

static void cut(struct loss_tensor *t, size_t first, size_t n)
{
    size_t row = t->count / t->shape[0];
    t->data = (char *)t->data + first * row * loss_dtype_size(t->dtype);
    t->shape[0] = n;
    t->count = n * row;
}

struct loss_call pieces_at(const struct pieces *p, size_t first, size_t n)
{
    struct loss_call call = *p->whole;
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        if (p->cut[i]) {
            cut(&call.input[i], first, n);
        }
    }
    if (p->cut_weights) {
        cut(&call.weights, first, n);
    }
    return call;
}

void pieces_begin(struct loss_answer *whole)
{
    *whole = (struct loss_answer){0};
    loss_sum_init(&whole->sum);
    loss_sum_init(&whole->weight_sum);
    loss_sum_init(&whole->rest);
}

void pieces_merge(struct loss_answer *whole, const struct loss_answer *piece)
{
    loss_sum_merge(&whole->sum, &piece->sum);
    loss_sum_merge(&whole->weight_sum, &piece->weight_sum);
    loss_sum_merge(&whole->rest, &piece->rest);
    whole->totals.count += piece->totals.count;
    whole->totals.nonzero_weights += piece->totals.nonzero_weights;
    whole->nonfinite += piece->nonfinite;
    whole->batch += piece->batch;
}

void pieces_finish(const struct pieces *p, struct loss_answer *whole)
{
    loss_reduction reduction = p->whole->reduction;
    uint64_t count = whole->totals.count, nonzero = whole->totals.nonzero_weights;
    struct loss_sum unrounded = whole->sum;
    loss_totals_from(&whole->totals, &whole->sum, &whole->weight_sum, count, nonzero, whole->batch);
    loss_sum_merge(&unrounded, &whole->rest);
    whole->loss = loss_total_of(reduction, &unrounded, &whole->weight_sum, count, nonzero, whole->batch);
    whole->loss = p->whole->dtype == LOSS_FLOAT32 ? (double)(float)whole->loss : whole->loss;
    whole->has_loss = reduction != LOSS_REDUCE_NONE;
}
