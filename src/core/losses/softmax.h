/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax.h - cross-entropy of exclusive classes, from logits: the kernels of four losses.
 *
 *   m = max z;   e_k = exp(z_k - m);   R = the sum of all e but one maximum's;   lse = m + log1p(R)
 *   dense    L = sum_k y_k (lse - z_k);   dL/dz_k = p_k Y - y_k;   dL/dy_k = lse - z_k;   Y = sum y
 *   sparse   L = lse - z_y;               dL/dz_k = p_k, less 1 at k = y
 *
 * A confident row has an R of 1e-9 or 1e-40, and its loss and gradient are about R: hence the maximum is left out of
 * the sum instead of 1 being taken from it, the rounding error of z - m goes into the exponential, and 1 - p_k is the
 * sum of the other terms. An infinite maximum makes R and everything else NaN, as in TensorFlow.
 */
#ifndef LOSS__SOFTMAX_H
#define LOSS__SOFTMAX_H

#include "lanes.h"

struct softmax {
    double max, rest, log;             /* m, R, log1p(R) */
    double inverse;                    /* 1/(1 + R) */
    double z[ROW_CHUNK], e[ROW_CHUNK]; /* the chunk at hand */
};

VM_INLINE size_t softmax_chunk(size_t c, size_t first)
{
    return c - first < ROW_CHUNK ? c - first : ROW_CHUNK;
}

VM_INLINE double softmax_max(struct softmax *s, const void *z, size_t c, bool wide)
{
    struct lanes max = lanes_of(-(double)INFINITY);
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = softmax_chunk(c, first);
        lanes_load(z, first, n, -(double)INFINITY, s->z, wide);
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                max.at[l] = s->z[i + l] > max.at[l] ? s->z[i + l] : max.at[l];
            }
        }
    }
    return lanes_max(max);
}

/* Fill s->z and s->e with a chunk of the row. Differences of float32 are exact where the exponential is not 0. */
VM_INLINE void softmax_exps(struct softmax *s, const void *z, size_t c, size_t first, bool wide)
{
    size_t n = softmax_chunk(c, first);
    if (c > ROW_CHUNK) { /* else it is there since the search for the maximum */
        lanes_load(z, first, n, -(double)INFINITY, s->z, wide);
    }
    double max = s->max, *restrict e = s->e;
    const double *restrict x = s->z;
    for (size_t i = 0; i < lanes_padded(n); i++) {
        double lost, difference = vm_two_diff(x[i], max, &lost);
        e[i] = wide ? vm_exp_hilo(difference, lost) : vm_exp(x[i] - max);
    }
}

/* Everything about a row but its labels. */
VM_INLINE void softmax_row(struct softmax *s, const void *z, size_t c, bool wide)
{
    s->max = softmax_max(s, z, c, wide);
    struct lanes rest = lanes_of(0.0), maxima = lanes_of(0.0);
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        softmax_exps(s, z, c, first, wide);
        size_t n = softmax_chunk(c, first);
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                double e = s->e[i + l];
                rest.at[l] += VM_SELECT(e == 1.0, 0.0, e);
                maxima.at[l] += VM_SELECT(e == 1.0, 1.0, 0.0);
            }
        }
    }
    s->rest = lanes_sum(rest) + (lanes_sum(maxima) - 1.0);
    s->log = vm_log1p(s->rest);
    s->inverse = 1.0 / (1.0 + s->rest);
}

/* (1 + R)(1 - p_k): the terms of all classes but k. */
VM_INLINE double softmax_others(double rest, double e)
{
    return VM_SELECT(e == 1.0, rest, 1.0 + (rest - e));
}

VM_INLINE void softmax_sparse_gradient(struct softmax *s, const void *z, size_t c, size_t label, double g, void *grad,
                                       size_t at, bool wide)
{
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        if (c > ROW_CHUNK) {
            softmax_exps(s, z, c, first, wide);
        }
        size_t n = softmax_chunk(c, first);
        for (size_t i = 0; i < n; i++) {
            kernel_store(grad, at + first + i, kernel_chain(g, s->e[i] * s->inverse), wide);
        }
        if (label >= first && label < first + n) {
            double others = softmax_others(s->rest, s->e[label - first]);
            kernel_store(grad, at + label, kernel_chain(g, -others * s->inverse), wide);
        }
    }
}

/* in  labels int64 [n], -1 for a row to be left out; logits [n, c] */
VM_INLINE void softmax_sparse(const struct loss__block *b, bool wide)
{
    const int64_t *labels = b->in[0];
    size_t size = wide ? sizeof(double) : sizeof(float);
    struct softmax s;
    for (size_t r = 0; r < b->n; r++) {
        const void *z = (const char *)b->in[1] + r * b->c * size;
        if (labels[r] < 0) {
            b->loss[r] = 0;
            for (size_t k = 0; b->grad[1] != NULL && k < b->c; k++) {
                kernel_store(b->grad[1], r * b->c + k, 0.0, wide);
            }
            continue;
        }
        softmax_row(&s, z, b->c, wide);
        b->loss[r] = (s.max - kernel_load(z, (size_t)labels[r], wide)) + s.log;
        if (b->grad[1] != NULL) {
            softmax_sparse_gradient(&s, z, b->c, (size_t)labels[r], b->g[r], b->grad[1], r * b->c, wide);
        }
    }
}

/* Labels drawn towards the uniform distribution: y(1 - s) + s/c. */
struct smoothing {
    double keep, add;
};

VM_INLINE double smoothed(const struct smoothing *smooth, double y)
{
    return y * smooth->keep + smooth->add;
}

/* L of one row, and through `sum` Y. */
VM_INLINE double softmax_dense_loss(struct softmax *s, const void *y, const void *z, size_t c,
                                    const struct smoothing *smooth, double *sum, bool wide)
{
    struct lanes total = lanes_of(0.0), loss = lanes_of(0.0);
    double labels[ROW_CHUNK];
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = softmax_chunk(c, first);
        if (c > ROW_CHUNK) {
            lanes_load(z, first, n, 0.0, s->z, wide);
        }
        for (size_t i = 0; i < n; i++) {
            labels[i] = smoothed(smooth, kernel_load(y, first + i, wide));
        }
        for (size_t i = n; i < lanes_padded(n); i++) {
            labels[i] = 0;
        }
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                /* a class of label 0 may have a logit of -infinity */
                double label = labels[i + l], term = label * (s->max - s->z[i + l]);
                total.at[l] += label;
                loss.at[l] += VM_SELECT(label == 0.0, 0.0, term);
            }
        }
    }
    *sum = lanes_sum(total);
    return lanes_sum(loss) + *sum * s->log;
}

VM_INLINE void softmax_dense_gradients(struct softmax *s, const struct loss__block *b, size_t r, double sum,
                                       const struct smoothing *smooth, bool wide)
{
    size_t c = b->c, size = wide ? sizeof(double) : sizeof(float), row = r * c;
    const void *z = (const char *)b->in[1] + row * size;
    double g = b->g[r];
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        if (c > ROW_CHUNK) {
            softmax_exps(s, z, c, first, wide);
        }
        size_t n = softmax_chunk(c, first), at = row + first;
        for (size_t i = 0; b->grad[1] != NULL && i < n; i++) {
            /* p Y - y as p (Y - y) - y (1 - p): where a label is met neither term is left over from a difference */
            double y = smoothed(smooth, kernel_load(b->in[0], at + i, wide));
            double slope = s->e[i] * (sum - y) - y * softmax_others(s->rest, s->e[i]);
            kernel_store(b->grad[1], at + i, kernel_chain(g, slope * s->inverse), wide);
        }
        for (size_t i = 0; b->grad[0] != NULL && i < n; i++) {
            kernel_store(b->grad[0], at + i, kernel_chain(g, smooth->keep * ((s->max - s->z[i]) + s->log)), wide);
        }
    }
}

/* in  labels [n, c], logits [n, c]. A row without classes has loss 0. */
VM_INLINE void softmax_dense(const struct loss__block *b, double label_smoothing, bool wide)
{
    size_t size = wide ? sizeof(double) : sizeof(float);
    struct smoothing smooth = {.keep = 1.0 - label_smoothing, .add = label_smoothing / (double)b->c};
    struct softmax s;
    for (size_t r = 0; r < b->n; r++) {
        if (b->c == 0) {
            b->loss[r] = 0;
            continue;
        }
        const void *y = (const char *)b->in[0] + r * b->c * size, *z = (const char *)b->in[1] + r * b->c * size;
        double sum;
        softmax_row(&s, z, b->c, wide);
        b->loss[r] = softmax_dense_loss(&s, y, z, b->c, &smooth, &sum, wide);
        if (b->grad[0] != NULL || b->grad[1] != NULL) {
            softmax_dense_gradients(&s, b, r, sum, &smooth, wide);
        }
    }
}

#define LOSS__SOFTMAX_LOGITS                                                                                           \
    {                                                                                                                  \
        LOSS__LOGITS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,                   \
                      .differentiable = true                                                                           \
    }
#define LOSS__CLASS_LABELS                                                                                             \
    {                                                                                                                  \
        .name = "labels", .doc = "Index of the true class.", .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES),             \
        .domain = LOSS_CLASS_INDEX, .extent = LOSS_LEAD                                                                \
    }
#define LOSS__DISTRIBUTION_LABELS(...)                                                                                 \
    {                                                                                                                  \
        .name = "labels", .doc = "Weight of each class, usually a distribution.", .aliases = LOSS__WORDS(__VA_ARGS__), \
        .differentiable = true                                                                                         \
    }

#endif
