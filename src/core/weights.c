/* SPDX-License-Identifier: Apache-2.0
 *
 * weights.c - the weights of a call as the losses see them.
 */
#include "weights.h"

#include <math.h>
#include <string.h>

static double weight_at(const struct loss_tensor *t, size_t i)
{
    return t->dtype == LOSS_FLOAT64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
}

static void add_all(struct loss_sum *sum, const struct loss_tensor *t, size_t first, size_t n)
{
    if (t->dtype == LOSS_FLOAT64) {
        loss_sum_add_f64(sum, (const double *)t->data + first, n);
    } else {
        loss_sum_add_f32(sum, (const float *)t->data + first, n);
    }
}

static uint64_t count_nonzero(const struct loss_tensor *t, size_t first, size_t n)
{
    uint64_t nonzero = 0;
    for (size_t i = first; i < first + n; i++) {
        nonzero += weight_at(t, i) != 0; /* a NaN counts */
    }
    return nonzero;
}

void loss__weights_over(struct loss__weights *w, const struct loss_tensor *tensor, int rank, const size_t *shape)
{
    *w = (struct loss__weights){.tensor = *tensor, .constant = tensor->count == 1};
    loss__grid_broadcast(&w->grid, rank, shape, tensor->rank, tensor->shape);
    if (w->constant) {
        w->value = weight_at(tensor, 0);
    }
    loss_sum_init(&w->sum);
    add_all(&w->sum, tensor, 0, tensor->count);
    /* Each weight stands for as many losses as it is broadcast to. */
    uint64_t copies = tensor->count == 0 ? 0 : w->grid.count / tensor->count;
    loss_sum_scale(&w->sum, copies);
    w->nonzero = count_nonzero(tensor, 0, tensor->count) * copies;
}

bool loss__weights_over_samples(struct loss__weights *w, const struct loss_tensor *tensor, int rank,
                                const size_t *shape, struct loss_arena *arena)
{
    *w = (struct loss__weights){.tensor = *tensor};
    loss__grid_broadcast(&w->grid, rank, shape, tensor->rank, tensor->shape);
    size_t samples = rank == 0 ? 1 : shape[0];
    double *sample = loss_arena_alloc(arena, samples * sizeof *sample, 64);
    size_t *present = loss_arena_alloc(arena, samples * sizeof *present, 64);
    if (sample == NULL || present == NULL) {
        return false;
    }
    /* A sample owns `own` weights, each of which covers `copies` of its elements. */
    bool shared = tensor->rank == 0 || tensor->shape[0] != samples;
    size_t own = shared ? tensor->count : samples == 0 ? 0 : tensor->count / samples;
    size_t elements = samples == 0 ? 0 : w->grid.count / samples;
    size_t copies = own == 0 ? 0 : elements / own;
    loss_sum_init(&w->sum);
    for (size_t b = 0; b < samples; b++) {
        if (shared && b > 0) {
            sample[b] = sample[0];
            present[b] = present[0];
        } else {
            struct loss_sum sum;
            loss_sum_init(&sum);
            add_all(&sum, tensor, b * own, own);
            sample[b] = loss_sum_round(&sum);
            present[b] = count_nonzero(tensor, b * own, own) * copies;
        }
        w->nonzero += sample[b] != 0;
    }
    add_all(&w->sum, tensor, 0, tensor->count);
    if (shared) {
        loss_sum_scale(&w->sum, samples);
    }
    w->sample = sample;
    w->present = present;
    w->within = own > 1;
    return true;
}

/* out[i] = the weight at offsets[i] */
static void gather(const struct loss_tensor *t, const size_t *offsets, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = weight_at(t, offsets[i]);
    }
}

void loss__weights_fill(const struct loss__weights *w, size_t first, size_t n, size_t *offsets, double *out)
{
    if (w->constant) {
        for (size_t i = 0; i < n; i++) {
            out[i] = w->value;
        }
    } else if (w->sample != NULL) {
        memcpy(out, w->sample + first, n * sizeof *out);
    } else if (w->tensor.count == w->grid.count) { /* nothing is broadcast */
        for (size_t i = 0; i < n; i++) {
            out[i] = weight_at(&w->tensor, first + i);
        }
    } else {
        loss__grid_offsets(&w->grid, first, n, offsets);
        gather(&w->tensor, offsets, n, out);
    }
}

void loss__weights_fill_sample(const struct loss__weights *w, size_t b, size_t c, size_t *offsets, double *out)
{
    loss__grid_offsets(&w->grid, b * c, c, offsets);
    gather(&w->tensor, offsets, c, out);
}

/* The exact sum over one row of losses, for a mean of loss - factor * mean, divided. */
static double slope_of_row(const struct loss__weights_slope *s, const struct loss__rows *rows, size_t r)
{
    struct loss__grid kept = rows->kept;
    size_t base;
    loss__grid_offsets(&kept, r, 1, &base);
    struct loss_sum sum;
    loss_sum_init(&sum);
    enum { CHUNK = 256 };
    size_t offsets[CHUNK];
    double terms[2 * CHUNK];
    for (size_t first = 0; first < rows->reduced.count; first += CHUNK) {
        size_t n = rows->reduced.count - first < CHUNK ? rows->reduced.count - first : CHUNK, m = 0;
        loss__grid_offsets(&rows->reduced, first, n, offsets);
        for (size_t i = 0; i < n; i++) {
            size_t at = base + offsets[i];
            terms[m++] = s->loss[at];
            if (s->mean) {
                terms[m++] = -(s->factor == NULL ? 1 : s->factor[at]) * s->value;
            }
        }
        loss_sum_add_f64(&sum, terms, m);
    }
    return loss_sum_round(&sum) / s->divisor;
}

static void put(void *out, loss_dtype dtype, size_t first, size_t n, double value)
{
    for (size_t i = first; i < first + n; i++) {
        if (dtype == LOSS_FLOAT64) {
            ((double *)out)[i] = value;
        } else {
            ((float *)out)[i] = (float)value;
        }
    }
}

void loss__weights_gradient(const struct loss__weights *w, const struct loss__weights_slope *s, loss_dtype dtype,
                            void *out)
{
    if (s->divisor == 0) {
        put(out, dtype, 0, w->tensor.count, 0);
        return;
    }
    /* A mean does not change with a weight that all losses share. */
    if (s->mean && w->tensor.count == 1) {
        put(out, dtype, 0, 1, isfinite(s->value) ? 0 : NAN);
        return;
    }
    /* The losses under one weight are one row over the axes along which it is broadcast. A sample's own weights all
     * have the slope of the sample. */
    unsigned broadcast = 0;
    for (int i = 0; i < s->rank; i++) {
        bool copied = w->tensor.rank == 0 || w->tensor.shape[i] != s->shape[i];
        broadcast |= copied ? 1u << i : 0;
    }
    struct loss__rows rows;
    loss__rows_cut(&rows, s->rank, s->shape, broadcast);
    size_t alike = rows.kept.count == 0 ? 0 : w->tensor.count / rows.kept.count;
    for (size_t r = 0; r < rows.kept.count; r++) {
        put(out, dtype, r * alike, alike, slope_of_row(s, &rows, r));
    }
}
