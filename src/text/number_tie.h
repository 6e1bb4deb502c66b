/* SPDX-License-Identifier: Apache-2.0
 *
 * number_tie.h - doubles that would round wrongly to a narrower type, since they have been rounded before.
 *
 * Rounding twice differs from rounding once only where the first time ends on a midpoint of the narrower type that the
 * text is not.
 */
#ifndef TEXT_NUMBER_TIE_H
#define TEXT_NUMBER_TIE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FLOAT_DROPS = 29,                   /* significand bits that a double has and a float has not */
    EXPONENT_BIAS = 1023,               /* of a double */
    FLOAT_NORMAL = EXPONENT_BIAS - 126, /* biased exponent of the least normal float */
    HALF_BITS = 12,                     /* of a float16 and its midpoints, at most; bfloat16 has fewer */
};
#define DOUBLE_SIGN ((uint64_t)1 << 63)
#define DOUBLE_HIDDEN ((uint64_t)1 << 52)
#define FLOAT_HALF ((uint64_t)1 << (FLOAT_DROPS - 1))
#define FLOAT_MASK (((uint64_t)1 << FLOAT_DROPS) - 1)

/* Is the double exactly between two neighbouring floats (the largest float and the infinity count as such)? */
static inline bool is_float_midpoint(uint64_t bits)
{
    bits &= ~DOUBLE_SIGN;
    int biased = (int)(bits >> 52);
    int drops = FLOAT_DROPS + (biased < FLOAT_NORMAL ? FLOAT_NORMAL - biased : 0);
    if (drops > 53 || biased > EXPONENT_BIAS + 127)
        return false; /* below half of the least float; above the largest */
    uint64_t significand = (bits & (DOUBLE_HIDDEN - 1)) | DOUBLE_HIDDEN;
    return (significand & (((uint64_t)1 << drops) - 1)) == (uint64_t)1 << (drops - 1);
}

/* May the double be between two neighbouring float16 or bfloat16 numbers? So few bits have these. */
static inline bool is_half_midpoint(uint64_t bits)
{
    return bits << (64 - 52 - 1 + HALF_BITS) == 0;
}

/* Is digits / 10^places, of digits other than 0, either the very midpoint m * 2^e to which it rounds (m is below 2^12), or
 * further from all of those than half a unit of a double? Where m * 2^e has more binary places than the text has decimal
 * ones, they differ by 1 / (m * 5^places) of it at least, else by 1 / digits; half a unit is 2^-53 of it at most. */
static inline bool is_short_text(uint64_t digits, int64_t places)
{
    return (digits < 1000000000000000) & (places <= 17);
}

#endif
