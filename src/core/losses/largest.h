/* SPDX-License-Identifier: Apache-2.0
 *
 * largest.h - the largest number of a row, in lanes; NaN where the row has one.
 */
#ifndef LOSS__LARGEST_H
#define LOSS__LARGEST_H

#include "lanes.h"

struct largest {
    struct lanes most, bad; /* bad: 0, or NaN */
};

VM_INLINE struct largest largest_begin(void)
{
    return (struct largest){.most = lanes_of(-(double)INFINITY), .bad = lanes_of(0.0)};
}

VM_INLINE void largest_add(struct largest *largest, int lane, double x)
{
    largest->most.at[lane] = x > largest->most.at[lane] ? x : largest->most.at[lane];
    largest->bad.at[lane] = x != x ? x : largest->bad.at[lane];
}

VM_INLINE double largest_end(const struct largest *largest)
{
    double bad = lanes_sum(largest->bad);
    return bad == bad ? lanes_max(largest->most) : bad;
}

#endif
