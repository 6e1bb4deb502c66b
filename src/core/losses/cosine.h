/* SPDX-License-Identifier: Apache-2.0
 *
 * cosine.h - the cosine of the angle of two vectors, and its derivatives.
 *
 *   A = max(|a|, epsilon);   B = max(|b|, epsilon);   c = sum a_k b_k / (A B)
 *   dc/da = (b/B - c a/|a|)/|a|, or where |a| <= epsilon b/(B epsilon);   of b alike
 *
 * A vector of length 0 has c = 0, and a gradient of 0. The dot product is carried in two doubles, because it cancels
 * where the vectors are nearly orthogonal; 1 - c is half the square of the distance of the unit vectors, because it
 * cancels where they nearly agree. Vectors of float64 are brought near 1 first: the squares of their elements may be
 * beyond the doubles.
 */
#ifndef LOSS__COSINE_H
#define LOSS__COSINE_H

#include "lanes.h"

/* One of the two vectors, x = unscaled * scale. */
struct cosine_side {
    const void *at;
    double scale;  /* a power of 2 */
    double length; /* of x scaled, at least epsilon scaled */
    bool varies;   /* the length is that of x, not epsilon */
    bool vanishes; /* x is 0 */
};

struct cosine {
    struct cosine_side a, b;
    double c;
};

/* 2^-k for the k of the largest finite element; 1 for float32. */
VM_INLINE double cosine_scale(const void *x, size_t c, bool wide)
{
    double largest = 0;
    for (size_t i = 0; wide && i < c; i++) {
        double a = vm_abs(kernel_load(x, i, wide));
        largest = a > largest && a <= DBL_MAX ? a : largest;
    }
    if (largest == 0) {
        return 1;
    }
    int64_t exponent = (int64_t)(vm_bits(largest) >> 52) - 1023;
    exponent = exponent > 1000 ? 1000 : exponent < -1000 ? -1000 : exponent;
    return vm_from_bits((uint64_t)(1023 - exponent) << 52);
}

VM_INLINE void cosine_length(struct cosine_side *side, double squares, double epsilon)
{
    double length = sqrt(squares), floor = epsilon * side->scale;
    side->vanishes = length == 0;
    side->varies = !(length <= floor);
    side->length = side->varies ? length : floor;
}

/* Of products, in two doubles where `carries`, and of squares; both halves of the lanes. */
struct cosine_sums {
    half_lanes high[2], low[2], aa[2], bb[2];
};

/* Add whole lanes of both vectors: straight from where they lie, which may be memory that has to be waited for. */
VM_INLINE void cosine_add(struct cosine_sums *sums, const void *x, const void *y, size_t i, const struct cosine *of,
                          bool carries, bool wide)
{
    for (size_t h = 0; h < 2; h++) {
        half_lanes a, b;
        half_load(&a, x, i + h * HALF, wide);
        half_load(&b, y, i + h * HALF, wide);
        a *= of->a.scale;
        b *= of->b.scale;
        sums->aa[h] += a * a;
        sums->bb[h] += b * b;
        if (!carries) {
            sums->high[h] += a * b;
            continue;
        }
        for (size_t l = 0; l < HALF; l++) {
            double high = sums->high[h][l], low = sums->low[h][l];
            lanes_add_product(a[l], b[l], &high, &low, wide);
            sums->high[h][l] = high;
            sums->low[h][l] = low;
        }
    }
}

/* The dot product, and the lengths of both sides. */
VM_INLINE double cosine_dot(struct cosine *cosine, size_t c, double epsilon, bool carries, bool wide)
{
    struct cosine_sums sums = {0};
    size_t whole = c / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        cosine_add(&sums, cosine->a.at, cosine->b.at, i, cosine, carries, wide);
    }
    if (whole < c) {
        double a[LANES], b[LANES];
        lanes_load(cosine->a.at, whole, c - whole, 0.0, a, wide);
        lanes_load(cosine->b.at, whole, c - whole, 0.0, b, wide);
        cosine_add(&sums, a, b, 0, cosine, carries, true);
    }
    cosine_length(&cosine->a, half_sum(sums.aa), epsilon);
    cosine_length(&cosine->b, half_sum(sums.bb), epsilon);
    if (!carries) {
        return half_sum(sums.high);
    }
    struct lanes high, low;
    memcpy(high.at, sums.high, sizeof high.at);
    memcpy(low.at, sums.low, sizeof low.at);
    return lanes_sum_from(0.0, high, low);
}

/* Up to so many elements, what a plain sum loses is 2^-39 of the lengths' product; of a cosine above the bound 2^-31. */
#define COSINE_PLAIN ((size_t)1 << 18)
#define COSINE_BOUND 0x1p-8

VM_INLINE struct cosine cosine_of(const void *x, const void *y, size_t c, double epsilon, bool wide)
{
    struct cosine cosine = {.a = {.at = x, .scale = cosine_scale(x, c, wide)},
                            .b = {.at = y, .scale = cosine_scale(y, c, wide)}};
    double dot = wide || c > COSINE_PLAIN ? 0.0 : cosine_dot(&cosine, c, epsilon, false, wide);
    if (!(vm_abs(dot) > COSINE_BOUND * cosine.a.length * cosine.b.length)) {
        dot = cosine_dot(&cosine, c, epsilon, true, wide);
    }
    cosine.c = dot == 0 ? 0 : dot / cosine.a.length / cosine.b.length;
    return cosine;
}

/* 1 - c */
VM_INLINE double cosine_complement(const struct cosine *cosine, size_t c, bool wide)
{
    if (!cosine->a.varies || !cosine->b.varies || cosine->c < 0.5) {
        return 1.0 - cosine->c;
    }
    struct lanes sum = lanes_of(0.0);
    double a[ROW_CHUNK], b[ROW_CHUNK];
    const double of_a = cosine->a.scale / cosine->a.length, of_b = cosine->b.scale / cosine->b.length;
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = row_chunk(c, first);
        lanes_load(cosine->a.at, first, n, 0.0, a, wide);
        lanes_load(cosine->b.at, first, n, 0.0, b, wide);
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                double d = a[i + l] * of_a - b[i + l] * of_b;
                sum.at[l] += d * d;
            }
        }
    }
    return 0.5 * lanes_sum(sum);
}

VM_INLINE void cosine_slopes(const void *restrict x, const void *restrict other, size_t c, double own, double of_other,
                             double down, bool vanishes, double g, void *restrict grad, bool wide)
{
    const double none = VM_MASK(vanishes);
    for (size_t k = 0; k < c; k++) {
        double slope = (kernel_load(other, k, wide) * of_other - kernel_load(x, k, wide) * own) * down;
        kernel_store(grad, k, vm_blend(none, 0.0, kernel_chain(g, slope)), wide);
    }
}

/* g dc/da, where `side` is a and `other` b, to grad unless that is NULL. */
VM_INLINE void cosine_gradient(const struct cosine_side *side, const struct cosine_side *other, double cosine, double g,
                               size_t c, void *grad, bool wide)
{
    if (grad == NULL) {
        return;
    }
    const double of_other = other->scale / other->length, own = side->varies ? cosine * side->scale / side->length : 0;
    cosine_slopes(side->at, other->at, c, own, of_other, side->scale / side->length, side->vanishes || other->vanishes,
                  g, grad, wide);
}

#define LOSS__COSINE_EPSILON(standard)                                                                                 \
    {                                                                                                                  \
        .name = "epsilon", .doc = "The least length of a vector.", .type = LOSS_NUMBER, .fallback = (standard),        \
        .min = 0, .max = INFINITY, .below_max = true                                                                   \
    }

#endif
