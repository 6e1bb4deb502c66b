/* SPDX-License-Identifier: Apache-2.0
 *
 * vmath.h - exp, log and what is built of them, for the insides of plain loops.
 *
 * Each function is a fixed sequence of additions, multiplications, divisions, selects and bit operations on doubles: no
 * calls, no branches, no tables, no fused operations. So a loop over it vectorises, and gives the same bits in lanes of
 * any width and in scalar code (needs -ffp-contract=off; -fno-trapping-math is what lets the selects vectorise).
 * Errors are stated in ulp of double as the largest seen in tests against MPFR; float32 calls compute in double too
 * and round once. The polynomials are minimax fits made for these ranges; the argument reductions are the usual ones.
 */
#ifndef LOSS__VMATH_H
#define LOSS__VMATH_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define VM_INLINE static inline __attribute__((always_inline, unused))

#define VM__LN2_HI 0x1.62e42fefp-1 /* short enough that its product with an exponent is exact */
#define VM__LN2_LO 0x1.473de6af278edp-34
#define VM__LOG2_E 0x1.71547652b82fep+0
#define VM__ROUNDER 0x1.8p52 /* adding it leaves the nearest whole number in the low bits */
#define VM__ONE_BITS UINT64_C(0x3ff0000000000000)
#define VM__FRACTION_BITS UINT64_C(0x000fffffffffffff)
#define VM__SQRT_HALF_BITS UINT64_C(0x3fe6a09e667f3bcd)

VM_INLINE uint64_t vm_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

VM_INLINE double vm_from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

VM_INLINE double vm_abs(double x)
{
    return vm_from_bits(vm_bits(x) & ~(UINT64_C(1) << 63));
}

/* The magnitude of x with the sign of `sign`. */
VM_INLINE double vm_copysign(double x, double sign)
{
    const uint64_t sign_bit = UINT64_C(1) << 63;
    return vm_from_bits((vm_bits(x) & ~sign_bit) | (vm_bits(sign) & sign_bit));
}

/* yes where `condition`, a comparison of doubles, holds, else no. Masks instead of ?: on the values themselves, which
 * the compiler may turn into jumps around the whole rest of a function, and the loop is then scalar. The mask is made
 * as a double (all bits set: a NaN), because SSE2 can select only by comparisons of the same type. */
#define VM_MASK(condition) ((condition) ? vm_from_bits(~UINT64_C(0)) : 0.0)
#define VM_SELECT(condition, yes, no) vm_blend(VM_MASK(condition), yes, no)

VM_INLINE double vm_blend(double mask, double yes, double no)
{
    return vm_from_bits((vm_bits(yes) & vm_bits(mask)) | (vm_bits(no) & ~vm_bits(mask)));
}

/* Error-free transformations: the result and what rounding took from it, exactly.
 * Where the result overflows, or an operand is not finite, `error` is NaN or an infinity: select it away. */

VM_INLINE double vm_two_sum(double a, double b, double *error)
{
    double sum = a + b;
    double of_b = sum - a;
    *error = (a - (sum - of_b)) + (b - of_b);
    return sum;
}

VM_INLINE double vm_two_diff(double a, double b, double *error)
{
    return vm_two_sum(a, -b, error);
}

/* The upper 26 digits of a; the others to *low. Needs |a| < 2^996. */
VM_INLINE double vm_two_halves(double a, double *low)
{
    double shift = (0x1p27 + 1) * a, high = shift - (shift - a);
    *low = a - high;
    return high;
}

/* Needs |a|, |b| < 2^996 (the halving of the digits overflows beyond) and |a*b| > 2^-969 or 0 (`error` underflows
 * below, and is then merely close). */
VM_INLINE double vm_two_prod(double a, double b, double *error)
{
    double a_low, a_high = vm_two_halves(a, &a_low), b_low, b_high = vm_two_halves(b, &b_low);
    double product = a * b;
    *error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    return product;
}

/* Exp. */

/* x + lo = k*ln2 + r + c nearly, and exp(r + c) = 1 + r + (c + t2 q), with t = r + c and t2 its square. `shifted` is k +
 * VM__ROUNDER. For |x| that is no more than 746. */
struct vm__exp_parts {
    double shifted, k, r, c, t2, q;
};

VM_INLINE struct vm__exp_parts vm__exp_split(double x, double lo)
{
    struct vm__exp_parts parts;
    parts.shifted = x * VM__LOG2_E + VM__ROUNDER;
    parts.k = parts.shifted - VM__ROUNDER;
    parts.r = x - parts.k * VM__LN2_HI;
    parts.c = lo - parts.k * VM__LN2_LO;
    double t = parts.r + parts.c;
    double t2 = t * t, t4 = t2 * t2;
    double q01 = 0x1p-1 + 0x1.555555555555bp-3 * t;
    double q23 = 0x1.555555555555dp-5 + 0x1.111111110ec86p-7 * t;
    double q45 = 0x1.6c16c16c136c6p-10 + 0x1.a01a01b3770ccp-13 * t;
    double q67 = 0x1.a01a01b40ea06p-16 + 0x1.71ddf025f9636p-19 * t;
    double q89 = 0x1.27e4bfa747caep-22 + 0x1.af6becc140289p-26 * t;
    double q8 = q89 + 0x1.1f9d587caff52p-29 * t2;
    parts.t2 = t2;
    parts.q = (q01 + q23 * t2) + ((q45 + q67 * t2) + q8 * t4) * t4;
    return parts;
}

/* exp(hi + lo), 0.65 ulp (0.8 ulp among the subnormals), where lo is what rounding
 * took from hi: the error of x - max is amplified by |x - max| if it is dropped. Infinite, NaN or overflowing hi need
 * no care: lo is ignored then. */
VM_INLINE double vm_exp_hilo(double hi, double lo)
{
    /* Beyond 746 all is 0 or infinite. NaN is not beyond. */
    double beyond = VM_MASK(vm_abs(hi) > 746.0);
    double x = vm_blend(beyond, vm_copysign(746.0, hi), hi);
    lo = vm_blend(beyond, 0.0, lo);

    struct vm__exp_parts parts = vm__exp_split(x, lo);
    double k = parts.k, r = parts.r;
    /* summed so that only the last addition rounds noticeably */
    double one_r = 1.0 + r;
    double rest = (1.0 - one_r) + r;
    double p = one_r + (rest + (parts.c + parts.t2 * parts.q));

    /* 2^k in two steps, of which only the last can round (subnormal) or overflow */
    double half_shifted = k * 0.5 + VM__ROUNDER;
    uint64_t half = vm_bits(half_shifted), other_half = vm_bits(parts.shifted) - half + vm_bits(VM__ROUNDER);
    double scale = vm_from_bits((half << 52) + VM__ONE_BITS);
    double other_scale = vm_from_bits((other_half << 52) + VM__ONE_BITS);
    return p * scale * other_scale;
}

/* exp(x) for x <= 0 to 2^-33 of its value, which is what a float32 result needs, at less than half the price: exactly
 * 1 for 0, and above 0 where the true value is below 3e-308. NaN for a NaN that was a float. x*log2(e) is a whole
 * number k and an f of at most a half; 2^f is the fourth power of 2^(f/4), for which a short polynomial does. */
VM_INLINE double vm_exp_brief(double x)
{
    x = x < -708.0 ? -708.0 : x; /* 2^k is a normal number, so that k can be added to the exponent */
    double y = x * VM__LOG2_E;
    double shifted = y + VM__ROUNDER;
    double f = y - (shifted - VM__ROUNDER);
    double p = 0x1.3b4696f23b24ap-15 + 0x1.5d7cc6dcc4b7bp-20 * f;
    p = 0x1.c6b090488b483p-11 + p * f;
    p = 0x1.ebfbddd8f4e71p-7 + p * f;
    p = 0x1.62e42fefa39efp-3 + p * f;
    p = 1.0 + p * f;
    p = p * p;
    return vm_from_bits(vm_bits(p * p) + (vm_bits(shifted) << 52));
}

/* exp(x), as vm_exp_hilo: 0 and infinity where the true value is beyond the doubles, NaN for NaN. */
VM_INLINE double vm_exp(double x)
{
    return vm_exp_hilo(x, 0.0);
}

/* exp(x) - 1, 1.2 ulp however small x is (0 keeps its sign): infinity where exp(x) is, NaN for NaN. */
VM_INLINE double vm_expm1(double x)
{
    double in = VM_SELECT(x < -50.0, -50.0, VM_SELECT(x > 746.0, 746.0, x));
    struct vm__exp_parts parts = vm__exp_split(in, 0.0);
    /* 2^k (r + rest + (1 - 2^-k)), where 2^-k no longer matters for a large k */
    uint64_t k = vm_bits(parts.shifted) - vm_bits(VM__ROUNDER);
    double inverse = VM_SELECT(parts.k > 64.0, 0.0, vm_from_bits(VM__ONE_BITS - (k << 52)));
    double lost;
    double sum = vm_two_sum(1.0 - inverse, parts.r, &lost);
    double p = sum + (lost + (parts.c + parts.t2 * parts.q));
    uint64_t half = vm_bits(parts.k * 0.5 + VM__ROUNDER),
             other_half = vm_bits(parts.shifted) - half + vm_bits(VM__ROUNDER);
    double y = p * vm_from_bits((half << 52) + VM__ONE_BITS) * vm_from_bits((other_half << 52) + VM__ONE_BITS);
    return VM_SELECT(x == 0.0, x, y);
}

/* exp(x) - 1 for x <= 0 to 2^-33 of its value, however small x is. NaN for NaN. */
VM_INLINE double vm_expm1_brief(double x)
{
    x = VM_SELECT(x < -64.0, -64.0, x);
    double shifted = x * VM__LOG2_E + VM__ROUNDER;
    double r = x - (shifted - VM__ROUNDER) * (VM__LN2_HI + VM__LN2_LO);
    double scale = vm_from_bits(VM__ONE_BITS + (vm_bits(shifted) << 52)), r2 = r * r;
    double q01 = 0x1p-1 + 0x1.5555556782946p-3 * r;
    double q23 = 0x1.5555555c9a098p-5 + 0x1.1110c5af4ba3ep-7 * r;
    double q45 = 0x1.6c16852274079p-10 + 0x1.a1528ab628022p-13 * r;
    double q = q01 + (q23 + (q45 + 0x1.a113fa478ef43p-16 * r2) * r2) * r2;
    return scale * (r + r2 * q) + (scale - 1.0);
}

/* Log. */

/* u = 2^k m with m in [sqrt(1/2), sqrt(2)), u positive and normal. */
struct vm__parts {
    uint64_t k_bits; /* k + 1023, shifted to where a double keeps it */
    double k, m;
};

VM_INLINE struct vm__parts vm__split(double u)
{
    struct vm__parts parts;
    uint64_t offset = vm_bits(u) + VM__ONE_BITS - VM__SQRT_HALF_BITS;
    parts.k_bits = offset & ~VM__FRACTION_BITS;
    /* a whole number below 2^52 as the low bits of 2^52 + it: no conversion, which SSE2 and AVX2 lack */
    parts.k = vm_from_bits((offset >> 52) | vm_bits(0x1p52)) - (0x1p52 + 1023);
    parts.m = vm_from_bits((offset & VM__FRACTION_BITS) + VM__SQRT_HALF_BITS);
    return parts;
}

/* k*ln2 + log(1 + f) + c for f in [sqrt(1/2) - 1, sqrt(2) - 1) and c a small correction. With s = f/(2 + f),
 * log(1 + f) = 2s + s*R(s^2) = f - (f^2/2 - s*(f^2/2 + R)). */
VM_INLINE double vm__log_parts(double k, double f, double s, double c)
{
    double z = s * s, z2 = z * z;
    double p01 = 0x1.5555555555577p-1 + 0x1.9999999984ae2p-2 * z;
    double p23 = 0x1.2492493f86234p-2 + 0x1.c71c5323e0ff9p-3 * z;
    double p45 = 0x1.7466216339cbcp-3 + 0x1.39a2c8bbae4abp-3 * z;
    double p = p01 + (p23 + (p45 + 0x1.2f0858f71d91ep-3 * z2) * z2) * z2;
    double half_square = 0.5 * f * f;
    return k * VM__LN2_HI - ((half_square - (s * (half_square + z * p) + (k * VM__LN2_LO + c))) - f);
}

/* log(x), 0.85 ulp: -inf for 0, inf for inf, NaN below 0. */
VM_INLINE double vm_log(double x)
{
    double subnormal = VM_MASK(x < DBL_MIN); /* which has no exponent of its own */
    double u = vm_blend(subnormal, x * 0x1p54, x);
    double extra = vm_blend(subnormal, 54.0, 0.0);
    struct vm__parts parts = vm__split(u);
    double f = parts.m - 1.0;
    double y = vm__log_parts(parts.k - extra, f, f / (2.0 + f), 0.0);
    y = VM_SELECT(x > DBL_MAX, x, y);
    return VM_SELECT(x > 0.0, y, VM_SELECT(x == 0.0, -(double)INFINITY, (double)NAN));
}

/* log(1 + x) for x > -1 and finite. */
VM_INLINE double vm__log1p_inside(double x)
{
    double lost;
    double u = vm_two_sum(1.0, x, &lost);
    struct vm__parts parts = vm__split(u);
    /* Without scaling the sum need not be formed: f is x itself, however small. */
    double unscaled = VM_MASK(parts.k == 0.0);
    double f = vm_blend(unscaled, x, parts.m - 1.0);
    double scale = vm_from_bits(2 * VM__ONE_BITS - parts.k_bits); /* 2^-k */
    scale = vm_blend(unscaled, 0.0, VM_SELECT(x > 0x1p60, 0.0, scale));
    /* log(m + d) - log(m) = d/m nearly, and 1/m = (1 - s)/(1 + s): three terms do for a d below an ulp of m. */
    double s = f / (2.0 + f);
    double c = lost * scale * (1.0 - 2.0 * s * (1.0 - s));
    return vm__log_parts(parts.k, f, s, c);
}

/* log(1 + x), 0.85 ulp, however small x is (0 keeps its sign): -inf for -1, inf for inf, NaN below -1. */
VM_INLINE double vm_log1p(double x)
{
    double y = vm__log1p_inside(x);
    y = VM_SELECT(x == 0.0, x, VM_SELECT(x > DBL_MAX, x, y));
    return VM_SELECT(x > -1.0, y, VM_SELECT(x == -1.0, -(double)INFINITY, (double)NAN));
}

/* 2 atanh(s) to 2^-35 of its value, for |s| that is no more than sqrt(2) - 1 over sqrt(2) + 1, or 0.1715. */
VM_INLINE double vm_atanh2_brief(double s)
{
    double z = s * s;
    double p01 = 0x1.5555554bb2b2dp-1 + 0x1.9999eb5d84eadp-2 * z;
    double p23 = 0x1.245c4383246f0p-2 + 0x1.ddced7078fb6ep-3 * z;
    return s * (2.0 + z * (p01 + p23 * (z * z)));
}

/* k*ln2 + log(1 + f) to 2^-35 of its value, f as above. */
VM_INLINE double vm__log_brief_parts(double k, double f)
{
    return k * (VM__LN2_HI + VM__LN2_LO) + vm_atanh2_brief(f / (2.0 + f));
}

/* log(x) to 2^-35 of its value, for x as vm_log's. */
VM_INLINE double vm_log_brief(double x)
{
    double subnormal = VM_MASK(x < DBL_MIN);
    struct vm__parts parts = vm__split(vm_blend(subnormal, x * 0x1p54, x));
    double y = vm__log_brief_parts(parts.k - vm_blend(subnormal, 54.0, 0.0), parts.m - 1.0);
    y = VM_SELECT(x > DBL_MAX, x, y);
    return VM_SELECT(x > 0.0, y, VM_SELECT(x == 0.0, -(double)INFINITY, (double)NAN));
}

/* log(1 + x) to 2^-35 of its value, for finite x >= 0. NaN for NaN. */
VM_INLINE double vm_log1p_brief(double x)
{
    struct vm__parts parts = vm__split(1.0 + x);
    double f = VM_SELECT(parts.k == 0.0, x, parts.m - 1.0);
    return VM_SELECT(x >= 0.0, vm__log_brief_parts(parts.k, f), (double)NAN);
}

/* x to the power of a constant y for x >= 0, to |y log x| ulp and a half: 0 to the 0 is 1. NaN below 0 and for NaN. */
VM_INLINE double vm_pow(double x, double y)
{
    return VM_SELECT(y == 0.0, VM_SELECT(x == x, 1.0, x), vm_exp(y * vm_log(x)));
}

/* The logistic function. */

/* log(1 + exp(-a)) for a >= 0 (what softplus and sigmoid cross entropy add to max(z, 0)), 1.5 ulp down to the
 * subnormals. NaN for NaN. */
VM_INLINE double vm_softplus_tail(double a)
{
    double t = vm_exp(-a);
    double y = vm__log1p_inside(t);
    return VM_SELECT(t >= 0.0, y, t);
}

/* 1/(1 + exp(-z)), and through `complement` 1/(1 + exp(z)): neither is 1 minus the other, so both keep their digits
 * where they are small. 2.3 ulp. */
VM_INLINE double vm_sigmoid(double z, double *complement)
{
    double t = vm_exp(-vm_abs(z));
    double large = 1.0 / (1.0 + t);
    double small = t / (1.0 + t);
    double positive = VM_MASK(z >= 0.0);
    *complement = vm_blend(positive, small, large);
    return vm_blend(positive, large, small);
}

/* vm_sigmoid and vm_softplus_tail(|z|) to 2^-32 of their values, for z that was a float. One division serves both. */
VM_INLINE double vm_sigmoid_brief(double z, double *complement, double *tail)
{
    double t = vm_exp_brief(-vm_abs(z));
    double u = 1.0 + t, v = 2.0 + t;
    double both = 1.0 / (u * v);
    double large = both * v, small = t * large;
    double s = t * (both * u), x = s * s, x2 = x * x; /* log(1 + t) = 2 atanh(t/(2 + t)) */
    double p01 = 0x1.55555553e7594p-1 + 0x1.9999a0d3dcfbfp-2 * x;
    double p23 = 0x1.248f579c7cfebp-2 + 0x1.c7fb3587d817bp-3 * x;
    double p45 = 0x1.65ad56d9a792fp-3 + 0x1.a9bafb0bfa3a2p-3 * x;
    *tail = s * (2.0 + x * (p01 + (p23 + p45 * x2) * x2));
    double positive = VM_MASK(z >= 0.0);
    *complement = vm_blend(positive, small, large);
    return vm_blend(positive, large, small);
}

#endif
