/* SPDX-License-Identifier: Apache-2.0
 *
 * lanes.h - sums within a row, over a fixed number of lanes in a fixed order.
 *
 * Element i goes to lane i mod 16, and the lanes are folded as a tree: the same additions on every machine, whatever
 * the width of its vectors. Rows are worked on in chunks of doubles padded to whole lanes, so that loops over them
 * have no tail.
 */
#ifndef LOSS__LANES_H
#define LOSS__LANES_H

#include "kernel.h"

enum { LANES = 16, ROW_CHUNK = 2048 };

struct lanes {
    double at[LANES];
};

VM_INLINE struct lanes lanes_of(double x)
{
    struct lanes lanes;
    for (int l = 0; l < LANES; l++) {
        lanes.at[l] = x;
    }
    return lanes;
}

VM_INLINE double lanes_sum(struct lanes lanes)
{
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int l = 0; l < width; l++) {
            lanes.at[l] += lanes.at[l + width];
        }
    }
    return lanes.at[0];
}

VM_INLINE double lanes_max(struct lanes lanes)
{
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int l = 0; l < width; l++) {
            lanes.at[l] = lanes.at[l + width] > lanes.at[l] ? lanes.at[l + width] : lanes.at[l];
        }
    }
    return lanes.at[0];
}

/* Loops over a known number of lanes with little in them are unrolled to scalar code before they are vectorised; there
 * vectors say that they are. Half the lanes are as many doubles as the widest machine has in one. */
enum { HALF = LANES / 2 };
typedef double half_lanes __attribute__((vector_size(HALF * sizeof(double))));
typedef float half_floats __attribute__((vector_size(HALF * sizeof(float))));
typedef int64_t half_mask __attribute__((vector_size(HALF * sizeof(double))));

#define HALF_BLEND(mask, yes, no) ((half_lanes)(((half_mask)(yes) & (mask)) | ((half_mask)(no) & ~(mask))))

/* x[i, i + HALF) as doubles. */
VM_INLINE void half_load(half_lanes *v, const void *x, size_t i, bool wide)
{
    half_floats f;
    if (wide) {
        memcpy(v, (const double *)x + i, sizeof *v);
    } else {
        memcpy(&f, (const float *)x + i, sizeof f);
        *v = __builtin_convertvector(f, half_lanes);
    }
}

/* Of both halves, as lanes_sum. */
VM_INLINE double half_sum(const half_lanes halves[2])
{
    struct lanes lanes;
    memcpy(lanes.at, halves, sizeof lanes.at);
    return lanes_sum(lanes);
}

/* n rounded up to whole lanes. */
VM_INLINE size_t lanes_padded(size_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

/* x[first .. first + n) as doubles, followed by `pad` up to whole lanes. */
VM_INLINE void lanes_load(const void *x, size_t first, size_t n, double pad, double *restrict out, bool wide)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = kernel_load(x, first + i, wide);
    }
    for (size_t i = n; i < lanes_padded(n); i++) {
        out[i] = pad;
    }
}

/* Add the product to the sum high + low, without error in the product (of float32 there is none) and with that of the
 * sum in `low`. */
VM_INLINE void lanes_add_product(double a, double b, double *high, double *low, bool wide)
{
    double product_error = 0, sum_error, product = wide ? vm_two_prod(a, b, &product_error) : a * b;
    *high = vm_two_sum(*high, product, &sum_error);
    *low += product_error + sum_error;
}

/* start + all of high + all of low, where the sum may cancel. */
VM_INLINE double lanes_sum_from(double start, struct lanes high, struct lanes low)
{
    double sum = start, error = 0.0;
    for (int l = 0; l < LANES; l++) {
        double lost;
        sum = vm_two_sum(sum, high.at[l], &lost);
        error += lost + low.at[l];
    }
    /* beyond the range of the error terms the sum alone is right, or as infinite or NaN as it should be */
    return error - error == 0.0 ? sum + error : lanes_sum(high) + start;
}

/* How much of a row of c is in the chunk that begins at `first`. */
VM_INLINE size_t row_chunk(size_t c, size_t first)
{
    return c - first < ROW_CHUNK ? c - first : ROW_CHUNK;
}

/* Element i of a row of the call's dtype. */
VM_INLINE const void *row_from(const void *x, size_t i, bool wide)
{
    return (const char *)x + i * (wide ? sizeof(double) : sizeof(float));
}

VM_INLINE void *row_place(void *x, size_t i, bool wide)
{
    return (char *)x + i * (wide ? sizeof(double) : sizeof(float));
}

#endif
