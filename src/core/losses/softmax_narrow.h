/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax_narrow.h - cross-entropy of few exclusive classes: sixteen rows at a time, a row a lane.
 *
 * With ten classes a row has nothing to vectorise, and its logarithm costs as much as its exponentials. So rows are
 * transposed into lanes, and what a lane computes does not depend on its neighbours. Formulas as in softmax.h.
 */
#ifndef LOSS__SOFTMAX_NARROW_H
#define LOSS__SOFTMAX_NARROW_H

#include "lanes.h"

enum { NARROW = 64 }; /* classes */

/* What narrow and wide rows share. */

/* exp(z - max). Differences of float32 are exact where the exponential is not 0. */
VM_INLINE double softmax_exp(double z, double max, bool wide)
{
    double lost, difference = vm_two_diff(z, max, &lost);
    return wide ? vm_exp_hilo(difference, lost) : vm_exp_brief(z - max);
}

/* (1 + R)(1 - p_k): the terms of all classes but k. */
VM_INLINE double softmax_others(double rest, double e)
{
    return VM_SELECT(e == 1.0, rest, 1.0 + (rest - e));
}

/* (1 + R)(p Y - y) as p (Y - y) - y (1 - p): where a label is met neither term is left over from a difference. */
VM_INLINE double softmax_slope(double y, double labels, double rest, double e)
{
    return e * (labels - y) - y * softmax_others(rest, e);
}

/* y (m - z); a class of label 0 may have a logit of -infinity. */
VM_INLINE double softmax_term(double y, double max, double z)
{
    return VM_SELECT(y == 0.0, 0.0, y * (max - z));
}

/* Labels drawn towards the uniform distribution: y(1 - s) + s/c. */
struct smoothing {
    double keep, add;
};

VM_INLINE double smoothed(struct smoothing smooth, double y)
{
    return y * smooth.keep + smooth.add;
}

/* Sixteen rows as columns, and back. */

union narrow_rows {
    float f32[NARROW][LANES];
    double f64[NARROW][LANES];
};

VM_INLINE double narrow_at(const union narrow_rows *x, size_t k, size_t l, bool wide)
{
    return wide ? x->f64[k][l] : (double)x->f32[k][l];
}

VM_INLINE void narrow_put(union narrow_rows *x, size_t k, size_t l, double value, bool wide)
{
    if (wide) {
        x->f64[k][l] = value;
    } else {
        x->f32[k][l] = (float)value;
    }
}

/* Rows `first` and on of x; lanes beyond the last row repeat it. */
VM_INLINE void narrow_load(union narrow_rows *to, const void *x, size_t first, const struct loss__block *b, bool wide)
{
    for (size_t l = 0; l < LANES; l++) {
        size_t r = first + l < b->n ? first + l : b->n - 1;
        for (size_t k = 0; k < b->c; k++) {
            if (wide) {
                to->f64[k][l] = ((const double *)x)[r * b->c + k];
            } else {
                to->f32[k][l] = ((const float *)x)[r * b->c + k];
            }
        }
    }
}

VM_INLINE void narrow_store(const union narrow_rows *from, void *x, size_t first, const struct loss__block *b,
                            bool wide)
{
    for (size_t l = 0; l < LANES && first + l < b->n; l++) {
        size_t row = (first + l) * b->c;
        for (size_t k = 0; k < b->c; k++) {
            if (wide) {
                ((double *)x)[row + k] = from->f64[k][l];
            } else {
                ((float *)x)[row + k] = from->f32[k][l];
            }
        }
    }
}

struct narrow {
    struct lanes max, rest, log, inverse; /* m, R, log1p(R), 1/(1 + R) */
    struct lanes g;
    struct lanes labels; /* dense: Y */
    union narrow_rows z, y, slope;
    double e[NARROW][LANES];
};

/* Everything about the rows but their labels. */
VM_INLINE void narrow_read(struct narrow *s, const void *z, size_t first, const struct loss__block *b, bool wide)
{
    narrow_load(&s->z, z, first, b, wide);
    struct lanes max = lanes_of(-(double)INFINITY), rest = lanes_of(0.0), maxima = lanes_of(0.0);
    for (size_t k = 0; k < b->c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            double x = narrow_at(&s->z, k, l, wide);
            max.at[l] = x > max.at[l] ? x : max.at[l];
        }
    }
    for (size_t k = 0; k < b->c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            double e = softmax_exp(narrow_at(&s->z, k, l, wide), max.at[l], wide);
            s->e[k][l] = e;
            rest.at[l] += VM_SELECT(e == 1.0, 0.0, e);
            maxima.at[l] += VM_SELECT(e == 1.0, 1.0, 0.0);
        }
    }
    s->max = max;
    for (size_t l = 0; l < LANES; l++) {
        s->rest.at[l] = rest.at[l] + (maxima.at[l] - 1.0);
        s->log.at[l] = vm_log1p(s->rest.at[l]);
        s->inverse.at[l] = 1.0 / (1.0 + s->rest.at[l]);
    }
}

VM_INLINE void narrow_upstream(struct narrow *s, size_t first, const struct loss__block *b)
{
    for (size_t l = 0; l < LANES; l++) {
        s->g.at[l] = b->g[first + l < b->n ? first + l : b->n - 1];
    }
}

/* Sparse. */

VM_INLINE void narrow_sparse_gradient(struct narrow *s, size_t first, const struct loss__block *b, bool wide)
{
    const int64_t *labels = b->in[0];
    narrow_upstream(s, first, b);
    for (size_t k = 0; k < b->c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            narrow_put(&s->slope, k, l, kernel_chain(s->g.at[l], s->e[k][l] * s->inverse.at[l]), wide);
        }
    }
    for (size_t l = 0; l < LANES && first + l < b->n; l++) {
        int64_t label = labels[first + l];
        if (label >= 0) {
            double others = softmax_others(s->rest.at[l], s->e[label][l]);
            narrow_put(&s->slope, (size_t)label, l, kernel_chain(s->g.at[l], -others * s->inverse.at[l]), wide);
        }
        for (size_t k = 0; label < 0 && k < b->c; k++) {
            narrow_put(&s->slope, k, l, 0.0, wide);
        }
    }
    narrow_store(&s->slope, b->grad[1], first, b, wide);
}

VM_INLINE void narrow_sparse(const struct loss__block *b, bool wide)
{
    const int64_t *labels = b->in[0];
    struct narrow s;
    for (size_t first = 0; first < b->n; first += LANES) {
        narrow_read(&s, b->in[1], first, b, wide);
        for (size_t l = 0; l < LANES && first + l < b->n; l++) {
            int64_t label = labels[first + l];
            b->loss[first + l] =
                label < 0 ? 0.0 : (s.max.at[l] - narrow_at(&s.z, (size_t)label, l, wide)) + s.log.at[l];
        }
        if (b->grad[1] != NULL) {
            narrow_sparse_gradient(&s, first, b, wide);
        }
    }
}

/* Dense. */

/* L of the rows, and s->labels. */
VM_INLINE void narrow_dense_losses(struct narrow *s, size_t first, const struct loss__block *b, struct smoothing smooth,
                                   bool wide)
{
    struct lanes labels = lanes_of(0.0), sum = lanes_of(0.0);
    narrow_load(&s->y, b->in[0], first, b, wide);
    for (size_t k = 0; k < b->c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            double y = smoothed(smooth, narrow_at(&s->y, k, l, wide));
            labels.at[l] += y;
            sum.at[l] += softmax_term(y, s->max.at[l], narrow_at(&s->z, k, l, wide));
        }
    }
    for (size_t l = 0; l < LANES; l++) {
        sum.at[l] += labels.at[l] * s->log.at[l];
    }
    s->labels = labels;
    size_t rows = b->n - first < LANES ? b->n - first : LANES;
    memcpy(b->loss + first, sum.at, rows * sizeof(double));
}

VM_INLINE void narrow_dense_gradients(struct narrow *s, size_t first, const struct loss__block *b,
                                      struct smoothing smooth, bool wide)
{
    narrow_upstream(s, first, b);
    if (b->grad[1] != NULL) {
        for (size_t k = 0; k < b->c; k++) {
            for (size_t l = 0; l < LANES; l++) {
                double y = smoothed(smooth, narrow_at(&s->y, k, l, wide));
                double slope = softmax_slope(y, s->labels.at[l], s->rest.at[l], s->e[k][l]) * s->inverse.at[l];
                narrow_put(&s->slope, k, l, kernel_chain(s->g.at[l], slope), wide);
            }
        }
        narrow_store(&s->slope, b->grad[1], first, b, wide);
    }
    if (b->grad[0] != NULL) {
        for (size_t k = 0; k < b->c; k++) {
            for (size_t l = 0; l < LANES; l++) {
                double slope = smooth.keep * ((s->max.at[l] - narrow_at(&s->z, k, l, wide)) + s->log.at[l]);
                narrow_put(&s->slope, k, l, kernel_chain(s->g.at[l], slope), wide);
            }
        }
        narrow_store(&s->slope, b->grad[0], first, b, wide);
    }
}

VM_INLINE void narrow_dense(const struct loss__block *b, struct smoothing smooth, bool wide)
{
    struct narrow s;
    for (size_t first = 0; first < b->n; first += LANES) {
        narrow_read(&s, b->in[1], first, b, wide);
        narrow_dense_losses(&s, first, b, smooth, wide);
        if (b->grad[0] != NULL || b->grad[1] != NULL) {
            narrow_dense_gradients(&s, first, b, smooth, wide);
        }
    }
}

#endif
