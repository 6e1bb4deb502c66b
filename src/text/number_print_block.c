/* SPDX-License-Identifier: Apache-2.0
 *
 * number_print_block.c - eight numbers at a time to text, on machines with 512-bit vectors (x86-64-v4).
 *
 * The same Schubfach (Giulietti 2020) as in number_print.c, a number a lane; it has no steps that depend on data but
 * choices of one value or another, which are masks here. Products of 64 by 64 bits are made of four of 32 by 32. Then the
 * digits become text in all lanes at once (halves, quarters, eighths, by multiplication with reciprocals; see spread8), and
 * so do the places at which the parts of each text go, as well as what is behind its digits ("," or "e-05,"). What is left
 * for each number alone is a row of stores, each of which may write beyond its part, as the next one overwrites that:
 *
 *   "0.000000", the digits (below 1 behind zeros), the point, the digits behind the point (from 1 on), the end.
 *
 * No branch depends on lengths, exponents or signs, as these have no pattern. Subnormal and non-finite numbers are left to
 * number_print.c.
 */
#include "text/number_print_block.h"

#ifdef NUMBER_HAVE_BLOCKS

#include <immintrin.h>
#include <string.h>

#include "text/number_tie.h"
#include "text/powers_of_five.h"

#define INLINE static inline __attribute__((always_inline))

enum { LANES = NUMBER_BLOCK };
typedef uint64_t u64s __attribute__((vector_size(64)));
typedef int64_t i64s __attribute__((vector_size(64)));
typedef uint32_t u32s __attribute__((vector_size(64)));
typedef uint16_t u16s __attribute__((vector_size(64)));

/* The texts to write; offsets are from behind the sign. */
struct layout {
    u64s sign;            /* 1: begins with '-' */
    u64s first, first_at; /* leading digit */
    u64s point_at;
    u64s behind_at;   /* digits behind the point; point_at + 1 unless the number is below 1 */
    u64s shift;       /* digits before the point but the leading one */
    u64s end_at, end; /* "," or exponent and ",", as bytes */
    u64s size;        /* of all but the sign */
};

INLINE u64s both(uint64_t v)
{
    return (u64s)_mm512_set1_epi64((long long)v);
}

INLINE u64s choose(i64s mask, u64s yes, u64s no)
{
    return ((u64s)mask & yes) | (~(u64s)mask & no);
}

/* Of the low halves. */
INLINE u64s mul32(u64s a, u64s b)
{
    return (u64s)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}

/* High 64 bits of a * b, and the others. */
INLINE u64s mul64(u64s a, u64s b, u64s *low)
{
    const u64s half = both(0xffffffff);
    u64s ll = mul32(a, b), lh = mul32(a, b >> 32), hl = mul32(a >> 32, b), hh = mul32(a >> 32, b >> 32);
    u64s middle = (ll >> 32) + (lh & half) + hl;
    *low = middle << 32 | (ll & half);
    return hh + (lh >> 32) + (middle >> 32);
}

INLINE u64s mul64_high(u64s a, u64s b)
{
    u64s low;
    return mul64(a, b, &low);
}

INLINE u64s gather(const uint64_t *table, i64s index)
{
    return (u64s)_mm512_i64gather_epi64((__m512i)(index * 2), table, 8);
}

/* Of each lane, 8 digits of v < 10^8 as bytes, the first in the lowest. */
INLINE u64s spread8s(u64s v)
{
    u64s thousands = mul32(v, both(3518437209)) >> 45;
    u32s fours = (u32s)(thousands | (v - mul32(thousands, both(10000))) << 32);
    u32s hundreds = fours * 10486 >> 20;
    u16s twos = (u16s)(hundreds | (fours - hundreds * 100) << 16);
    u16s tens = twos * 103 >> 10;
    return (u64s)(tens | (twos - tens * 10) << 8);
}

/* Bytes of v up to the last that is not 0. */
INLINE u64s bytes_used(u64s v)
{
    return 8 - ((u64s)_mm512_lzcnt_epi64((__m512i)v) >> 3);
}

/* The multiple of a power of ten that is in the interval, as shortest_of in number_print.c has it. */
INLINE u64s pick(u64s left, u64s middle, u64s right, u64s tens)
{
    u64s s = middle >> 2, tens4 = tens * 40, s4 = s << 2;
    i64s tens_in = left <= tens4, next_tens_in = tens4 + 40 <= right;
    i64s s_in = left <= s4, next_in = s4 + 4 <= right;
    i64s nearer_next = middle > s4 + 2 - (s & 1);
    u64s fine = s - (u64s)choose(s_in ^ next_in, (u64s)next_in, (u64s)nearer_next);
    u64s coarse = tens * 10 + (u64s)(next_tens_in & 10);
    return choose(tens_in ^ next_tens_in, coarse, fine);
}

/* Places of a text of n digits (without trailing zeros), the first of which is worth 10^e. */
INLINE void lay_out(struct layout *t, u64s n, i64s e)
{
    i64s scientific = (e < -4) | (e > 15);
    u64s below_one = (u64s)(e >> 63) & ~(u64s)scientific;
    u64s zeros = (u64s)-e & below_one;
    u64s shift = (u64s)e & ~below_one & ~(u64s)scientific;
    t->first_at = zeros - below_one;
    t->shift = shift;
    t->point_at = shift + 1;
    t->behind_at = shift + 2 + zeros;

    u64s least = choose(scientific, both(1), (shift + 2) & ~below_one);
    u64s digits = choose((i64s)(n > least), n, least);
    u64s pointed = choose(scientific & (i64s)(digits == 1), both(0), both(1)); /* 1e+16 has no point */
    t->end_at = digits + pointed + zeros;

    u64s u = (u64s)_mm512_abs_epi64((__m512i)e);
    u64s hundreds = u * 41 >> 12, rest = u - hundreds * 100;
    u64s tens = rest * 103 >> 10, two = tens | (rest - tens * 10) << 8;
    i64s three = hundreds > 0;
    u64s number = choose(three, hundreds | two << 8, two) | choose(three, both(0x2c303030), both(0x2c3030));
    u64s sign = choose(e >> 63, both('-'), both('+'));
    t->end = choose(scientific, 'e' | sign << 8 | number << 16, both(','));
    t->size = t->end_at + choose(scientific, choose(three, both(6), both(5)), both(1));
}

static inline void store8(char *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

bool number_block_f32(char **p, const float *v)
{
    u64s bits = (u64s)_mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)v));
    u64s biased = bits >> 23 & 255, c = bits & 0x7fffff;
    i64s zero = (bits << 33) == 0;
    if (_mm512_movepi64_mask((__m512i)((biased == 255) | ((biased == 0) & ~zero))))
        return false;
    i64s narrow = (c == 0) & (biased > 1);
    c |= 0x800000;

    i64s q = (i64s)biased - 127 - 23;
    i64s k = (q * 1262611 - (narrow & 524031)) >> 22;
    u64s h = (u64s)(q + ((-k * 1741647) >> 19) + 1);
    u64s g = gather(&powers_of_five[0].high, -k - POWERS_OF_FIVE_FIRST);
    g -= (u64s)((u64s)-k > 27); /* rounded up where it is not exact */
    /* Factors have less than 32 bits: of the 96 bits of their product, the last 32 bits do not matter. */
    u64s g_high = g >> 32, part[3] = {((c << 2) - 2 - (u64s)narrow) << h, c << 2 << h, ((c << 2) + 2) << h};
    for (int i = 0; i < 3; i++) {
        u64s product = mul32(part[i], g_high) + (mul32(part[i], g) >> 32);
        part[i] = product >> 32 | ((u64s)((product & 0xffffffff) > 1) & 1);
    }
    u64s odd = c & 1;
    u64s digits = pick(part[0] + odd, part[1], part[2] - odd, mul32(part[1] >> 2, both(3435973837)) >> 35);

    i64s e = k + 8;
    for (int i = 0; i < 2; i++) { /* 7 to 9 digits */
        i64s few = digits < 100000000;
        digits = choose(few, digits * 10, digits);
        e += few;
    }
    digits &= ~(u64s)zero;
    e &= ~zero;
    u64s first = mul32(digits, both(1441151881)) >> 57;
    u64s a = spread8s(digits - mul32(first, both(100000000)));

    struct layout t = {.sign = bits >> 31, .first = first | '0'};
    lay_out(&t, bytes_used(a) + 1, e);
    a |= 0x3030303030303030;
    /* Zeros follow; a shift by all of the bits or more leaves none. */
    u64s behind = (u64s)_mm512_srlv_epi64((__m512i)a, (__m512i)(t.shift << 3)) | 0x3030303030303030;
    char *at = *p;
    for (int i = 0; i < LANES; i++) {
        at[0] = '-';
        at += t.sign[i];
        store8(at, 0x3030303030302e30u); /* 0.000000 */
        at[t.first_at[i]] = (char)t.first[i];
        store8(at + t.first_at[i] + 1, a[i]);
        store8(at + 9 + t.first_at[i], 0x3030303030303030u);
        at[t.point_at[i]] = '.';
        store8(at + t.behind_at[i], behind[i]);
        store8(at + t.end_at[i], t.end[i]);
        at += t.size[i];
    }
    *p = at;
    return true;
}

INLINE u64s times_power(u64s c, u64s high, u64s low)
{
    u64s product, top = mul64(c, high, &product), carry = mul64_high(c, low);
    product += carry;
    return (top - (u64s)(product < carry)) | ((u64s)(product > 1) & 1);
}

bool number_block_f64(char **p, const double *v)
{
    /* From any place n in it, 16 bytes that move a vector n bytes down */
    static const uint8_t moves[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                      15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15};
    u64s bits = (u64s)_mm512_loadu_si512(v);
    u64s biased = bits >> 52 & 2047, c = bits & (DOUBLE_HIDDEN - 1);
    i64s zero = (bits << 1) == 0;
    if (_mm512_movepi64_mask((__m512i)((biased == 2047) | ((biased == 0) & ~zero))))
        return false;
    i64s narrow = (c == 0) & (biased > 1);
    c |= DOUBLE_HIDDEN;

    i64s q = (i64s)biased - EXPONENT_BIAS - 52;
    i64s k = (q * 1262611 - (narrow & 524031)) >> 22;
    u64s h = (u64s)(q + ((-k * 1741647) >> 19) + 1);
    u64s high = gather(&powers_of_five[0].high, -k - POWERS_OF_FIVE_FIRST);
    u64s low = gather(&powers_of_five[0].low, -k - POWERS_OF_FIVE_FIRST);
    low -= (u64s)((u64s)(27 - k) > 82); /* as power_rounded_up */
    u64s odd = c & 1;
    u64s left = times_power(((c << 2) - 2 - (u64s)narrow) << h, high, low) + odd;
    u64s middle = times_power(c << 2 << h, high, low);
    u64s right = times_power(((c << 2) + 2) << h, high, low) - odd;
    u64s digits = pick(left, middle, right, mul64_high(middle >> 2, both(0xcccccccccccccccd)) >> 3);

    i64s few = digits < 10000000000000000; /* 16 digits, or 17 */
    digits = choose(few, digits * 10, digits) & ~(u64s)zero;
    i64s e = (k + 16 + few) & ~zero;
    u64s head = mul64_high(digits, both(0xabcc77118461cefd)) >> 26;
    u64s first = mul32(head, both(1441151881)) >> 57;
    u64s a = spread8s(head - mul32(first, both(100000000)));
    u64s b = spread8s(digits - head * 100000000);

    struct layout t = {.sign = bits >> 63, .first = first | '0'};
    lay_out(&t, choose(b == 0, bytes_used(a), bytes_used(b) + 8) + 1, e);
    a |= 0x3030303030303030;
    b |= 0x3030303030303030;
    char *at = *p;
    for (int i = 0; i < LANES; i++) {
        __m128i rest = _mm_set_epi64x((long long)b[i], (long long)a[i]);
        at[0] = '-';
        at += t.sign[i];
        store8(at, 0x3030303030302e30u); /* 0.000000 */
        at[t.first_at[i]] = (char)t.first[i];
        _mm_storeu_si128((__m128i *)(at + t.first_at[i] + 1), rest);
        at[t.point_at[i]] = '.';
        __m128i move = _mm_loadu_si128((const __m128i *)(moves + t.shift[i]));
        _mm_storeu_si128((__m128i *)(at + t.behind_at[i]), _mm_shuffle_epi8(rest, move));
        store8(at + t.end_at[i], t.end[i]);
        at += t.size[i];
    }
    *p = at;
    return true;
}

#endif
