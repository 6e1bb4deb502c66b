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
 *
 * Rows of few classes are worked on sixteen at a time (softmax_narrow.h), others one by one here.
 */
#ifndef LOSS__SOFTMAX_H
#define LOSS__SOFTMAX_H

#include "losses/softmax_narrow.h"

/* A row, read once from its beginning: m, R and the rest are of what has been read, and are brought to a new maximum
 * where a chunk has one. */
struct softmax {
    double max, base;   /* m, and the same but 0 while m is -infinity */
    double rest;        /* R */
    double log;         /* log1p(R) */
    double inverse;     /* 1/(1 + R) */
    double labels, sum; /* dense: Y, and the sum of y (m - z) */
    union {
        float f32[ROW_CHUNK];
        double f64[ROW_CHUNK];
    } z;                 /* the chunk at hand, padded with -infinity to whole lanes */
    double e[ROW_CHUNK]; /* its exponentials */
};

VM_INLINE size_t softmax_chunk(size_t c, size_t first)
{
    return c - first < ROW_CHUNK ? c - first : ROW_CHUNK;
}

/* Copy n numbers of a row, and pad them with -infinity to whole lanes; the largest. Maxima of whole numbers are what a
 * compiler may take in any order and so in vectors: floats are ordered by their bits, once those of the negative ones are
 * reversed. A NaN may come out as the largest, or not. */
VM_INLINE double softmax_load_f32(float *restrict to, const float *restrict z, size_t n)
{
    int32_t most = INT32_MIN;
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, &z[i], sizeof bits);
        to[i] = z[i];
        bits ^= (bits >> 31) & INT32_MAX;
        most = bits > most ? bits : most;
    }
    for (size_t i = n; i < lanes_padded(n); i++) {
        to[i] = -INFINITY;
    }
    float largest;
    most ^= (most >> 31) & INT32_MAX;
    memcpy(&largest, &most, sizeof largest);
    return (double)largest;
}

VM_INLINE double softmax_load_f64(double *restrict to, const double *restrict z, size_t n)
{
    struct lanes max = lanes_of(-(double)INFINITY);
    memcpy(to, z, n * sizeof *to);
    for (size_t i = n; i < lanes_padded(n); i++) {
        to[i] = -(double)INFINITY;
    }
    for (size_t i = 0; i < n; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            max.at[l] = to[i + l] > max.at[l] ? to[i + l] : max.at[l];
        }
    }
    return lanes_max(max);
}

/* The first place of x, which is there. Masks keep the loop free of jumps. */
VM_INLINE size_t softmax_find_f32(const float *z, size_t n, float x)
{
    int32_t sought, place = INT32_MAX;
    memcpy(&sought, &x, sizeof sought);
    for (int32_t i = 0; i < (int32_t)n; i++) {
        int32_t bits;
        memcpy(&bits, &z[i], sizeof bits);
        int32_t here = -(int32_t)(bits == sought), at = (i & here) | (INT32_MAX & ~here);
        place = at < place ? at : place;
    }
    return (size_t)place;
}

VM_INLINE size_t softmax_find_f64(const double *z, double x)
{
    size_t i = 0;
    while (z[i] != x) {
        i++;
    }
    return i;
}

VM_INLINE double softmax_z(const struct softmax *s, size_t i, bool wide)
{
    return wide ? s->z.f64[i] : (double)s->z.f32[i];
}

VM_INLINE void softmax_set_z(struct softmax *s, size_t i, double z, bool wide)
{
    if (wide) {
        s->z.f64[i] = z;
    } else {
        s->z.f32[i] = (float)z;
    }
}

/* Fill s->z; the largest of it. */
VM_INLINE double softmax_load(struct softmax *s, const void *z, size_t first, size_t n, bool wide)
{
    return wide ? softmax_load_f64(s->z.f64, (const double *)z + first, n)
                : softmax_load_f32(s->z.f32, (const float *)z + first, n);
}

/* Fill s->e; the sum of it. */
VM_INLINE double softmax_exps(struct softmax *s, size_t n, bool wide)
{
    struct lanes sum = lanes_of(0.0);
    const double base = s->base;
    const float *restrict z32 = s->z.f32;
    const double *restrict z64 = s->z.f64;
    double *restrict e = s->e;
    for (size_t i = 0; i < n; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            double x = softmax_exp(wide ? z64[i + l] : (double)z32[i + l], base, wide);
            e[i + l] = x;
            sum.at[l] += x;
        }
    }
    return lanes_sum(sum);
}

/* Bring what was summed so far to a new maximum. */
VM_INLINE void softmax_raise(struct softmax *s, double largest)
{
    double lost, fall = vm_two_diff(s->max, largest, &lost); /* -infinity at the first maximum: only a NaN remains */
    s->rest = (s->rest + 1.0) * vm_exp_hilo(fall, lost);
    s->sum += VM_SELECT(s->labels == 0.0, 0.0, s->labels * (largest - s->base));
    s->max = s->base = largest;
}

/* One chunk into m and R. The maximum is taken out of it for as long as it is summed. */
VM_INLINE void softmax_add_chunk(struct softmax *s, const void *z, size_t first, size_t n, bool wide)
{
    double largest = softmax_load(s, z, first, n, wide);
    if (!(largest > s->max)) {
        s->rest += softmax_exps(s, n, wide);
        return;
    }
    softmax_raise(s, largest);
    size_t top = wide ? softmax_find_f64(s->z.f64, largest) : softmax_find_f32(s->z.f32, n, (float)largest);
    softmax_set_z(s, top, -(double)INFINITY, wide);
    s->rest += softmax_exps(s, n, wide);
    softmax_set_z(s, top, s->max, wide);
    s->e[top] = 1.0;
}

VM_INLINE void softmax_begin(struct softmax *s)
{
    s->max = -(double)INFINITY;
    s->base = s->rest = s->labels = s->sum = 0;
}

VM_INLINE void softmax_end(struct softmax *s)
{
    s->rest = VM_SELECT(vm_abs(s->max) <= DBL_MAX, s->rest, (double)NAN);
    s->log = vm_log1p(s->rest);
    s->inverse = 1.0 / (1.0 + s->rest);
}

/* The chunk's z and e again, once m is known. In a row of one chunk they are still there. */
VM_INLINE void softmax_again(struct softmax *s, const void *z, size_t c, size_t first, size_t n, bool wide)
{
    if (c > ROW_CHUNK) {
        softmax_load(s, z, first, n, wide);
        softmax_exps(s, n, wide);
    }
}

/* out[i] = x[i] * scale */
VM_INLINE void softmax_scale(const double *restrict x, double scale, size_t n, void *restrict out, bool wide)
{
    for (size_t i = 0; i < n; i++) {
        kernel_store(out, i, x[i] * scale, wide);
    }
}

VM_INLINE void *softmax_place(void *x, size_t i, bool wide)
{
    return (char *)x + i * (wide ? sizeof(double) : sizeof(float));
}

/* Sparse. */

VM_INLINE void softmax_sparse_gradient(struct softmax *s, const void *z, size_t c, size_t label, double g, void *grad,
                                       bool wide)
{
    double scale = kernel_chain(g, s->inverse);
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = softmax_chunk(c, first);
        softmax_again(s, z, c, first, n, wide);
        softmax_scale(s->e, scale, n, softmax_place(grad, first, wide), wide);
        if (label >= first && label < first + n) {
            double others = softmax_others(s->rest, s->e[label - first]);
            kernel_store(grad, label, kernel_chain(g, -others * s->inverse), wide);
        }
    }
}

/* in  labels int64 [n], -1 for a row to be left out; logits [n, c] */
VM_INLINE void softmax_sparse(const struct loss__block *b, bool wide)
{
    if (b->c <= NARROW) {
        narrow_sparse(b, wide);
        return;
    }
    const int64_t *labels = b->in[0];
    size_t size = wide ? sizeof(double) : sizeof(float);
    struct softmax s;
    for (size_t r = 0; r < b->n; r++) {
        const void *z = (const char *)b->in[1] + r * b->c * size;
        void *grad = b->grad[1] == NULL ? NULL : (char *)b->grad[1] + r * b->c * size;
        if (labels[r] < 0) {
            b->loss[r] = 0;
            if (grad != NULL) {
                memset(grad, 0, b->c * size);
            }
            continue;
        }
        softmax_begin(&s);
        for (size_t first = 0; first < b->c; first += ROW_CHUNK) {
            softmax_add_chunk(&s, z, first, softmax_chunk(b->c, first), wide);
        }
        softmax_end(&s);
        b->loss[r] = (s.max - kernel_load(z, (size_t)labels[r], wide)) + s.log;
        if (grad != NULL) {
            softmax_sparse_gradient(&s, z, b->c, (size_t)labels[r], b->g[r], grad, wide);
        }
    }
}

/* Dense. */

/* Labels of one lane each from index i on, smoothed; those beyond n are 0. Whether one is not 0: of one-hot labels
 * nearly all groups are, and need no work. */
VM_INLINE bool softmax_labels(const void *y, size_t i, size_t n, struct smoothing smooth, double label[LANES],
                              bool wide)
{
    union {
        uint32_t f32[LANES];
        uint64_t f64[LANES];
    } raw = {{0}};
    size_t size = wide ? sizeof(double) : sizeof(float), m = n - i < LANES ? n - i : LANES;
    const char *from = (const char *)y + i * size;
    if (m == LANES) {
        memcpy(&raw, from, LANES * size);
    } else {
        memcpy(&raw, from, m * size);
    }
    uint64_t any = 0;
    uint32_t any32 = 0;
    for (int l = 0; l < LANES; l++) {
        any |= wide ? raw.f64[l] : 0;
        any32 |= wide ? 0 : raw.f32[l];
    }
    any |= (uint64_t)any32 << 32;
    if (any << 1 == 0 && smooth.add == 0) { /* -0 is 0 */
        return false;
    }
    for (size_t l = 0; l < LANES; l++) {
        label[l] = l < m ? smoothed(smooth, kernel_load(&raw, l, wide)) : 0.0;
    }
    return true;
}

/* One chunk into Y and the sum of y (m - z). */
VM_INLINE void softmax_add_labels(struct softmax *s, const void *y, size_t n, struct smoothing smooth, bool wide)
{
    struct lanes total = lanes_of(0.0), sum = lanes_of(0.0);
    for (size_t i = 0; i < n; i += LANES) {
        double label[LANES];
        if (!softmax_labels(y, i, n, smooth, label, wide)) {
            continue;
        }
        for (size_t l = 0; l < LANES; l++) {
            total.at[l] += label[l];
            sum.at[l] += softmax_term(label[l], s->base, softmax_z(s, i + l, wide));
        }
    }
    s->labels += lanes_sum(total);
    s->sum += lanes_sum(sum);
}

/* dL/dz of one chunk. */
VM_INLINE void softmax_logits_gradient(const struct softmax *s, const void *y, size_t n, struct smoothing smooth,
                                       double g, void *grad, bool wide)
{
    double unlabelled = kernel_chain(g, s->labels * s->inverse);
    for (size_t i = 0; i < n; i += LANES) {
        double label[LANES];
        size_t m = n - i < LANES ? n - i : LANES;
        if (!softmax_labels(y, i, n, smooth, label, wide)) {
            softmax_scale(s->e + i, unlabelled, m, softmax_place(grad, i, wide), wide);
            continue;
        }
        double slope[LANES];
        for (size_t l = 0; l < LANES; l++) {
            slope[l] = kernel_chain(g, softmax_slope(label[l], s->labels, s->rest, s->e[i + l]) * s->inverse);
        }
        softmax_scale(slope, 1.0, m, softmax_place(grad, i, wide), wide);
    }
}

/* dL/dy of one chunk. */
VM_INLINE void softmax_labels_gradient(const struct softmax *s, size_t n, struct smoothing smooth, double g, void *grad,
                                       bool wide)
{
    for (size_t i = 0; i < n; i++) {
        double slope = smooth.keep * ((s->max - softmax_z(s, i, wide)) + s->log);
        kernel_store(grad, i, kernel_chain(g, slope), wide);
    }
}

VM_INLINE void softmax_dense_row(struct softmax *s, const struct loss__block *b, size_t r, struct smoothing smooth,
                                 bool wide)
{
    size_t c = b->c, size = wide ? sizeof(double) : sizeof(float), row = r * c;
    const char *y = (const char *)b->in[0] + row * size, *z = (const char *)b->in[1] + row * size;
    softmax_begin(s);
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        softmax_add_chunk(s, z, first, softmax_chunk(c, first), wide);
        softmax_add_labels(s, y + first * size, softmax_chunk(c, first), smooth, wide);
    }
    softmax_end(s);
    b->loss[r] = s->sum + s->labels * s->log;
    if (b->grad[0] == NULL && b->grad[1] == NULL) {
        return;
    }
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = softmax_chunk(c, first);
        softmax_again(s, z, c, first, n, wide);
        if (b->grad[1] != NULL) {
            softmax_logits_gradient(s, y + first * size, n, smooth, b->g[r],
                                    softmax_place(b->grad[1], row + first, wide), wide);
        }
        if (b->grad[0] != NULL) {
            softmax_labels_gradient(s, n, smooth, b->g[r], softmax_place(b->grad[0], row + first, wide), wide);
        }
    }
}

/* in  labels [n, c], logits [n, c]. A row without classes has loss 0. */
VM_INLINE void softmax_dense(const struct loss__block *b, double label_smoothing, bool wide)
{
    struct smoothing smooth = {.keep = 1.0 - label_smoothing, .add = label_smoothing / (double)b->c};
    if (b->c == 0) {
        memset(b->loss, 0, b->n * sizeof *b->loss);
    } else if (b->c <= NARROW) {
        narrow_dense(b, smooth, wide);
    } else {
        struct softmax s;
        for (size_t r = 0; r < b->n; r++) {
            softmax_dense_row(&s, b, r, smooth, wide);
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
