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

/* x log(x/y) - (x - y) to 2^-31 of its value, and through `ratio` x/y, for x and y from 2^-500 to 2^500: what float32 results
 * need, for one division and no logarithm of a whole ratio. Of others neither is anything.
 *
 * With u = x/2^k nearest to y and s = (u - y)/(u + y), log(x/y) is k ln2 + 2 atanh(s). The bits of doubles are nearly their
 * logarithms, so k is to be had from a difference of them, and |s| is no more than 1/5. */
VM_INLINE double vm_bracket_brief(double x, double y, double *ratio)
{
    const uint64_t k_bits = (vm_bits(x) - vm_bits(y) + VM__ONE_BITS + (UINT64_C(1) << 51)) & ~VM__FRACTION_BITS;
    double k = vm_from_bits((k_bits >> 52) | vm_bits(0x1p52)) - (0x1p52 + 1023);
    double u = vm_from_bits(vm_bits(x) - k_bits + VM__ONE_BITS);
    double sum = u + y, both = 1.0 / (sum * y);
    double s = (u - y) * (both * y), z = s * s;
    double q01 = 0x1.555554ae5a690p-2 + 0x1.999b4073e122dp-3 * z;
    double q23 = 0x1.24021b18716e1p-3 + 0x1.eb39657046ea4p-4 * z;
    double t = (s * z) * (q01 + q23 * (z * z)); /* atanh(s) - s */
    double difference = x - y, log = k * (VM__LN2_HI + VM__LN2_LO) + 2.0 * (s + t);
    *ratio = vm_from_bits(vm_bits(u * (both * sum)) + k_bits - VM__ONE_BITS);
    /* where k is 0, x (2s) - (x - y) is (x - y) s */
    return VM_SELECT(k == 0.0, difference * s + 2.0 * x * t, x * log - difference);
}

#endif
