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

/* To take 1 from the sum of all terms leaves enough digits of R for a float32, unless R is below this. */
#define SOFTMAX_FEW 0x1p-10

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
    uint32_t bits32[NARROW][LANES];
    uint64_t bits64[NARROW][LANES];
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

/* Four rows of four float32 as columns; strides in numbers. */
VM_INLINE void narrow_turn(uint32_t *to, size_t to_stride, const uint32_t *from, size_t from_stride)
{
    typedef uint32_t four __attribute__((vector_size(16)));
    four row[4], low[2], high[2], column[4];

    for (int i = 0; i < 4; i++) {
        memcpy(&row[i], from + (size_t)i * from_stride, sizeof row[i]);
    }
    for (int i = 0; i < 2; i++) {
        low[i] = __builtin_shufflevector(row[2 * i], row[2 * i + 1], 0, 4, 1, 5);
        high[i] = __builtin_shufflevector(row[2 * i], row[2 * i + 1], 2, 6, 3, 7);
    }
    column[0] = __builtin_shufflevector(low[0], low[1], 0, 1, 4, 5);
    column[1] = __builtin_shufflevector(low[0], low[1], 2, 3, 6, 7);
    column[2] = __builtin_shufflevector(high[0], high[1], 0, 1, 4, 5);
    column[3] = __builtin_shufflevector(high[0], high[1], 2, 3, 6, 7);
    for (int i = 0; i < 4; i++) {
        memcpy(to + (size_t)i * to_stride, &column[i], sizeof column[i]);
    }
}

/* Can they be turned four by four? The last four columns overlap those before, where c is no multiple of four. */
VM_INLINE bool narrow_in_fours(size_t first, const struct loss__block *b, bool wide)
{
    return !wide && b->c >= 4 && b->n - first >= LANES;
}

VM_INLINE size_t narrow_four_at(size_t k, size_t c)
{
    return k + 4 <= c ? k : c - 4;
}

/* Rows `first` and on of x; lanes beyond the last row repeat it. Moved as whole numbers, of which a processor stores
 * more at a time. */
VM_INLINE void narrow_load(union narrow_rows *to, const void *x, size_t first, const struct loss__block *b, bool wide)
{
    if (narrow_in_fours(first, b, wide)) {
        for (size_t k = 0; k < b->c; k += 4) {
            size_t at = narrow_four_at(k, b->c);
            for (size_t l = 0; l < LANES; l += 4) {
                narrow_turn(&to->bits32[at][l], LANES, (const uint32_t *)x + (first + l) * b->c + at, b->c);
            }
        }
        return;
    }
    for (size_t l = 0; l < LANES; l++) {
        size_t row = (first + l < b->n ? first + l : b->n - 1) * b->c;
        for (size_t k = 0; k < b->c; k++) {
            if (wide) {
                memcpy(&to->bits64[k][l], (const double *)x + row + k, sizeof(double));
            } else {
                memcpy(&to->bits32[k][l], (const float *)x + row + k, sizeof(float));
            }
        }
    }
}

VM_INLINE void narrow_store(const union narrow_rows *from, void *x, size_t first, const struct loss__block *b,
                            bool wide)
{
    if (narrow_in_fours(first, b, wide)) {
        for (size_t l = 0; l < LANES; l += 4) {
            for (size_t k = 0; k < b->c; k += 4) {
                size_t at = narrow_four_at(k, b->c);
                narrow_turn((uint32_t *)x + (first + l) * b->c + at, b->c, &from->bits32[at][l], LANES);
            }
        }
        return;
    }
    for (size_t l = 0; l < LANES && first + l < b->n; l++) {
        size_t row = (first + l) * b->c;
        for (size_t k = 0; k < b->c; k++) {
            if (wide) {
                memcpy((double *)x + row + k, &from->bits64[k][l], sizeof(double));
            } else {
                memcpy((float *)x + row + k, &from->bits32[k][l], sizeof(float));
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

typedef float narrow_floats __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t narrow_ints __attribute__((vector_size(LANES * sizeof(int32_t))));

VM_INLINE void narrow_get(half_lanes *v, const union narrow_rows *x, size_t k, size_t l, bool wide)
{
    half_floats f;
    if (wide) {
        memcpy(v, &x->f64[k][l], sizeof *v);
    } else {
        memcpy(&f, &x->f32[k][l], sizeof f);
        *v = __builtin_convertvector(f, half_lanes);
    }
}

VM_INLINE void narrow_set(union narrow_rows *x, size_t k, size_t l, const half_lanes *v, bool wide)
{
    if (wide) {
        memcpy(&x->f64[k][l], v, sizeof *v);
    } else {
        half_floats f = __builtin_convertvector(*v, half_floats);
        memcpy(&x->f32[k][l], &f, sizeof f);
    }
}

VM_INLINE void narrow_lanes(half_lanes *v, const double *lanes)
{
    memcpy(v, lanes, sizeof *v);
}

/* R of all lanes, by leaving out what is 1. */
VM_INLINE struct lanes narrow_rest(const struct narrow *s, size_t c)
{
    struct lanes all;
    for (size_t l = 0; l < LANES; l += HALF) {
        half_lanes rest = {0}, maxima = {0}, e;
        for (size_t k = 0; k < c; k++) {
            narrow_lanes(&e, &s->e[k][l]);
            half_mask one = e == 1.0;
            rest += (half_lanes)((half_mask)e & ~one);
            maxima += (half_lanes)((half_mask)e & one);
        }
        rest += maxima - 1.0;
        memcpy(&all.at[l], &rest, sizeof rest);
    }
    return all;
}

VM_INLINE void narrow_maxima_f32(float z[][LANES], size_t c, double *restrict max)
{
    narrow_floats most, x;
    for (size_t l = 0; l < LANES; l++) {
        most[l] = -INFINITY;
    }
    for (size_t k = 0; k < c; k++) {
        memcpy(&x, z[k], sizeof x);
        narrow_ints above = x > most;
        most = (narrow_floats)(((narrow_ints)x & above) | ((narrow_ints)most & ~above));
    }
    for (size_t l = 0; l < LANES; l++) {
        max[l] = (double)most[l];
    }
}

VM_INLINE void narrow_maxima_f64(double z[][LANES], size_t c, double *restrict max)
{
    for (size_t l = 0; l < LANES; l++) {
        max[l] = -(double)INFINITY;
    }
    for (size_t k = 0; k < c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            max[l] = VM_SELECT(z[k][l] > max[l], z[k][l], max[l]);
        }
    }
}

/* log1p(R) and 1/(1 + R) of n rows. Not inlined, for n to be unknown: see above. */
__attribute__((noinline, unused)) static void narrow_logs_f32(const double *restrict rest, size_t n,
                                                              double *restrict log, double *restrict inverse)
{
    for (size_t l = 0; l < n; l++) {
        log[l] = vm_log1p_brief(rest[l]);
        inverse[l] = 1.0 / (1.0 + rest[l]);
    }
}

__attribute__((noinline, unused)) static void narrow_logs_f64(const double *restrict rest, size_t n,
                                                              double *restrict log, double *restrict inverse)
{
    for (size_t l = 0; l < n; l++) {
        log[l] = vm_log1p(rest[l]);
        inverse[l] = 1.0 / (1.0 + rest[l]);
    }
}

VM_INLINE void narrow_read_body(struct narrow *s, const void *z, size_t first, const struct loss__block *b, bool wide)
{
    narrow_load(&s->z, z, first, b, wide);
    struct lanes max, sum = lanes_of(0.0);
    if (wide) {
        narrow_maxima_f64(s->z.f64, b->c, max.at);
    } else {
        narrow_maxima_f32(s->z.f32, b->c, max.at);
    }
    for (size_t k = 0; k < b->c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            double e = softmax_exp(narrow_at(&s->z, k, l, wide), max.at[l], wide);
            s->e[k][l] = e;
            sum.at[l] += e;
        }
    }
    uint64_t few = 0;
    for (size_t l = 0; l < LANES; l++) {
        s->rest.at[l] = sum.at[l] - 1.0;
        few += s->rest.at[l] < SOFTMAX_FEW;
    }
    if (wide || few > 0) {
        struct lanes rest = narrow_rest(s, b->c);
        for (size_t l = 0; l < LANES; l++) {
            s->rest.at[l] = VM_SELECT(wide || s->rest.at[l] < SOFTMAX_FEW, rest.at[l], s->rest.at[l]);
        }
    }
    s->max = max;
    if (wide) {
        narrow_logs_f64(s->rest.at, LANES, s->log.at, s->inverse.at);
    } else {
        narrow_logs_f32(s->rest.at, LANES, s->log.at, s->inverse.at);
    }
}

/* Not inlined: what is longest would else be compiled once a use. */
__attribute__((noinline, unused)) static void narrow_read_f32(struct narrow *s, const void *z, size_t first,
                                                              const struct loss__block *b)
{
    narrow_read_body(s, z, first, b, false);
}

__attribute__((noinline, unused)) static void narrow_read_f64(struct narrow *s, const void *z, size_t first,
                                                              const struct loss__block *b)
{
    narrow_read_body(s, z, first, b, true);
}

/* Everything about the rows but their labels. */
VM_INLINE void narrow_read(struct narrow *s, const void *z, size_t first, const struct loss__block *b, bool wide)
{
    if (wide) {
        narrow_read_f64(s, z, first, b);
    } else {
        narrow_read_f32(s, z, first, b);
    }
}

VM_INLINE void narrow_upstream(struct narrow *s, size_t first, const struct loss__block *b)
{
    for (size_t l = 0; l < LANES; l++) {
        s->g.at[l] = b->g[first + l < b->n ? first + l : b->n - 1];
    }
}

/* Sparse. */

VM_INLINE void narrow_scale(struct narrow *s, size_t c, bool alike, bool wide)
{
    struct lanes scale;
    for (size_t l = 0; l < LANES; l++) {
        scale.at[l] = s->g.at[l] * s->inverse.at[l];
    }
    for (size_t k = 0; k < c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            double slope = alike ? s->e[k][l] * scale.at[l] : kernel_chain(s->g.at[l], s->e[k][l] * s->inverse.at[l]);
            narrow_put(&s->slope, k, l, slope, wide);
        }
    }
}

/* The exponentials at the rows' labels; 0 where there is none. */
VM_INLINE struct lanes narrow_at_labels(const struct narrow *s, const int64_t *labels, size_t first,
                                        const struct loss__block *b)
{
    struct lanes e = lanes_of(0.0);
    for (size_t l = 0; l < LANES && first + l < b->n; l++) {
        int64_t label = labels[first + l];
        e.at[l] = label < 0 ? 0.0 : s->e[label][l];
    }
    return e;
}

VM_INLINE void narrow_sparse_gradient(struct narrow *s, size_t first, const struct loss__block *b, bool wide)
{
    const int64_t *labels = b->in[0];
    narrow_upstream(s, first, b);
    if (b->g_alike) {
        narrow_scale(s, b->c, true, wide);
    } else {
        narrow_scale(s, b->c, false, wide);
    }
    struct lanes slope = narrow_at_labels(s, labels, first, b);
    for (size_t l = 0; l < LANES; l++) {
        double others = softmax_others(s->rest.at[l], slope.at[l]);
        slope.at[l] = kernel_chain(s->g.at[l], -others * s->inverse.at[l]);
    }
    for (size_t l = 0; l < LANES && first + l < b->n; l++) {
        int64_t label = labels[first + l];
        if (label >= 0) {
            narrow_put(&s->slope, (size_t)label, l, slope.at[l], wide);
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
    struct lanes loss;
    narrow_load(&s->y, b->in[0], first, b, wide);
    for (size_t l = 0; l < LANES; l += HALF) {
        half_lanes labels = {0}, sum = {0}, max, log, y, z;
        narrow_lanes(&max, &s->max.at[l]);
        narrow_lanes(&log, &s->log.at[l]);
        for (size_t k = 0; k < b->c; k++) {
            narrow_get(&y, &s->y, k, l, wide);
            narrow_get(&z, &s->z, k, l, wide);
            y = y * smooth.keep + smooth.add;
            labels += y;
            sum += (half_lanes)((half_mask)(y * (max - z)) & (y != 0.0)); /* softmax_term */
        }
        sum += labels * log;
        memcpy(&s->labels.at[l], &labels, sizeof labels);
        memcpy(&loss.at[l], &sum, sizeof sum);
    }
    size_t rows = b->n - first < LANES ? b->n - first : LANES;
    memcpy(b->loss + first, loss.at, rows * sizeof(double));
}

/* kernel_chain */
VM_INLINE void narrow_chain(half_lanes *slope, const half_lanes *g, bool alike)
{
    const half_lanes product = *g * *slope, same = *slope;
    if (alike) {
        *slope = product;
        return;
    }
    half_lanes nothing = (half_lanes)((half_mask)*slope & (*slope != same));
    *slope = HALF_BLEND(*g == 0.0, nothing, product);
}

/* dL/dz, as softmax_slope. */
VM_INLINE void narrow_logits_slopes(struct narrow *s, size_t c, struct smoothing smooth, bool alike, bool wide)
{
    for (size_t l = 0; l < LANES; l += HALF) {
        half_lanes labels, rest, inverse, g, y, e;
        narrow_lanes(&labels, &s->labels.at[l]);
        narrow_lanes(&rest, &s->rest.at[l]);
        narrow_lanes(&inverse, &s->inverse.at[l]);
        narrow_lanes(&g, &s->g.at[l]);
        for (size_t k = 0; k < c; k++) {
            narrow_get(&y, &s->y, k, l, wide);
            narrow_lanes(&e, &s->e[k][l]);
            y = y * smooth.keep + smooth.add;
            half_lanes others = HALF_BLEND(e == 1.0, rest, 1.0 + (rest - e));
            half_lanes slope = (e * (labels - y) - y * others) * inverse;
            narrow_chain(&slope, &g, alike);
            narrow_set(&s->slope, k, l, &slope, wide);
        }
    }
}

VM_INLINE void narrow_labels_slopes(struct narrow *s, size_t c, struct smoothing smooth, bool wide)
{
    for (size_t l = 0; l < LANES; l += HALF) {
        half_lanes max, log, g, z;
        narrow_lanes(&max, &s->max.at[l]);
        narrow_lanes(&log, &s->log.at[l]);
        narrow_lanes(&g, &s->g.at[l]);
        for (size_t k = 0; k < c; k++) {
            narrow_get(&z, &s->z, k, l, wide);
            half_lanes slope = smooth.keep * ((max - z) + log);
            narrow_chain(&slope, &g, false);
            narrow_set(&s->slope, k, l, &slope, wide);
        }
    }
}

VM_INLINE void narrow_dense_gradients(struct narrow *s, size_t first, const struct loss__block *b,
                                      struct smoothing smooth, bool wide)
{
    narrow_upstream(s, first, b);
    if (b->grad[1] != NULL) {
        if (b->g_alike) {
            narrow_logits_slopes(s, b->c, smooth, true, wide);
        } else {
            narrow_logits_slopes(s, b->c, smooth, false, wide);
        }
        narrow_store(&s->slope, b->grad[1], first, b, wide);
    }
    if (b->grad[0] != NULL) {
        narrow_labels_slopes(s, b->c, smooth, wide);
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
