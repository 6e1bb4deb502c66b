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

#endif
