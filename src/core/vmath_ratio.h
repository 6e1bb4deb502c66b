/* SPDX-License-Identifier: Apache-2.0
 *
 * vmath_ratio.h - exponentials and logarithms less what they are near to: for differences of what nearly agrees.
 */
#ifndef LOSS__VMATH_RATIO_H
#define LOSS__VMATH_RATIO_H

#include "vmath.h"

/* exp(x) - 1, and through `less` that less x, which for |x| below ln(2)/2 keeps its digits: about x^2/2. */
VM_INLINE double vm_expm1_less(double x, double *less)
{
    double y = vm_expm1(x);
    struct vm__exp_parts parts = vm__exp_split(VM_SELECT(vm_abs(x) < 1.0, x, 0.0), 0.0);
    *less = VM_SELECT(parts.k == 0.0, VM_SELECT(vm_abs(x) < 1.0, parts.t2 * parts.q, y - x), y - x);
    return y;
}

/* log(x/y) for finite x, y >= 0, given x - y as it was before it was rounded, and through `bracket` x log(x/y) - (x - y),
 * which is never below 0 and keeps its digits: about (x - y)^2/(2y) where x and y are near. With y = 0 both are infinite;
 * with x = 0 the logarithm is -infinity and the bracket y, which is 0 where both are. NaN for NaN, and below 0 but for an
 * x of 0. */
VM_INLINE double vm_log_ratio(double x, double y, double difference, double *bracket)
{
    /* A ratio beyond the normal numbers is brought back among them. */
    double ratio = x / y, tiny = VM_MASK(ratio < DBL_MIN), vast = VM_MASK(ratio > DBL_MAX);
    double scale = vm_blend(tiny, 0x1p900, vm_blend(vast, 0x1p-900, 1.0));
    struct vm__parts parts = vm__split((x * scale) / y);
    double k = parts.k - vm_blend(tiny, 900.0, vm_blend(vast, -900.0, 0.0));
    double near = VM_MASK(k == 0.0);
    double f = vm_blend(near, difference / y, parts.m - 1.0);
    double s = f / (2.0 + f);
    double log = vm__log_parts(k, f, s, 0.0);
    double less = vm__log_parts(0.0, 0.0, s, 0.0) - s * f; /* log(1 + f) - f: the series beyond its 2s = f - sf */
    double outside = VM_SELECT(x > 0.0, INFINITY, -(double)INFINITY);
    double inside = VM_MASK(x > 0.0 && y > 0.0);
    double nan = VM_SELECT(x == 0.0, y == y ? 0.0 : y, x >= 0.0 && y >= 0.0 ? 0.0 : (double)NAN);
    *bracket = vm_blend(inside, vm_blend(near, y * (f * log + less), x * log - difference),
                        VM_SELECT(x == 0.0, -difference, INFINITY)) +
               nan;
    return vm_blend(inside, log, outside) + nan;
}

#endif
