/* SPDX-License-Identifier: Apache-2.0
 *
 * number_print.c - binary floating point to the shortest decimal text that reads back to it.
 *
 * Schubfach (Giulietti 2020, "The Schubfach way to render doubles"), and Python's layout of the digits.
 */
#include <endian.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <loss/compute.h>

#include "text/number.h"
#include "text/number_print_block.h"
#include "text/number_tie.h"
#include "text/powers_of_five.h"
#include "text/swar.h"

__extension__ typedef unsigned __int128 uint128;

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* digits * 10^exponent */
struct shortest {
    uint64_t digits;
    int exponent;
};

/* floor(log10(2^q)), or of 3/4 * 2^q: 1262611 / 2^22 is log10(2), 524031 / 2^22 is log10(4/3) */
static inline int floor_log10(int q, bool narrow)
{
    return (q * 1262611 - (narrow ? 524031 : 0)) >> 22;
}

/* floor(log2(10^e)): 1741647 / 2^19 is log2(10) */
static inline int floor_log2_of_ten(int e)
{
    return (e * 1741647) >> 19;
}

/* The leading bits of 10^e, rounded up where they are not exact. */
static inline struct power_of_five power_rounded_up(int e)
{
    struct power_of_five g = powers_of_five[e - POWERS_OF_FIVE_FIRST];
    g.low += e < -27 || e > 55; /* the table has the others right */
    return g;
}

/* The integer part of c * g / 2^128, its last bit set where a fraction of weight is left ("rounded to odd"). */
static inline uint64_t times_power(uint64_t c, struct power_of_five g)
{
    uint128 product = (uint128)c * g.high + (uint64_t)((uint128)c * g.low >> 64);
    return (uint64_t)(product >> 64) | ((uint64_t)product > 1);
}

/* As above for float: 64 bits of the power are enough. */
static inline uint64_t times_short_power(uint64_t c, struct power_of_five g)
{
    uint128 product = (uint128)c * (g.high + (g.low != 0));
    return (uint64_t)(product >> 64) | ((uint64_t)product >> 32 > 1);
}

/* c * 2^q as the decimal to print. 10^(k+1) is the least power of ten that is wider than the interval of what reads
 * back to c * 2^q, so at most one of its multiples lies inside: if there is one, that is it, and if not, the nearer of
 * the neighbouring multiples of 10^k. `left`, `middle` and `right`, the interval, are 4 times the value over 10^k. */
static inline struct shortest shortest_of(uint64_t c, int q, bool narrow, bool is_double)
{
    int k = floor_log10(q, narrow);
    int h = q + floor_log2_of_ten(-k) + 1;
    struct power_of_five g = power_rounded_up(-k);
    uint64_t left = (4 * c - 2 + narrow) << h, middle = (4 * c) << h, right = (4 * c + 2) << h;
    left = is_double ? times_power(left, g) : times_short_power(left, g);
    middle = is_double ? times_power(middle, g) : times_short_power(middle, g);
    right = is_double ? times_power(right, g) : times_short_power(right, g);
    uint64_t odd = c & 1; /* an odd c does not own the ends of its interval */
    left += odd;
    right -= odd;

    /* Bits instead of branches: which case it is has no pattern. */
    uint64_t s = middle / 4, tens = s / 10;
    unsigned tens_in = left <= 40 * tens, next_tens_in = 40 * tens + 40 <= right;
    unsigned s_in = left <= 4 * s, next_in = 4 * s + 4 <= right;
    unsigned nearer_next = middle > 4 * s + 2 - (s & 1); /* half-way goes to even */
    unsigned one_in = s_in ^ next_in;
    uint64_t fine = s + ((one_in & next_in) | (~one_in & nearer_next));
    uint64_t coarse = 10 * (tens + next_tens_in);
    uint64_t use_coarse = -(uint64_t)(tens_in ^ next_tens_in);
    return (struct shortest){fine ^ ((fine ^ coarse) & use_coarse), k};
}

/* Eight digits of v < 10^8, one a byte, the first in the lowest: split in halves, quarters, eighths, all in parallel
 * by multiplication with reciprocals. */
static inline uint64_t spread8(uint64_t v)
{
    v = v / 10000 | (v % 10000) << 32;
    uint64_t hundreds = (v * 10486 >> 20) & 0x0000007f0000007fu;
    v = hundreds | (v - 100 * hundreds) << 16;
    uint64_t tens = (v * 103 >> 10) & 0x000f000f000f000fu;
    return tens | (v - 10 * tens) << 8;
}

static inline void store8(char *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

/* 17 digits: the first, and 16 as bytes, eight in `a` and eight in `b`, all as text; `n` without trailing zeros. */
struct digit_text {
    char first;
    uint64_t a, b;
    int n;
};

static size_t print_exponent(char *p, int e)
{
    char *begin = p;
    *p++ = 'e';
    *p++ = e < 0 ? '-' : '+';
    unsigned u = (unsigned)(e < 0 ? -e : e);
    if (u >= 100) {
        *p++ = (char)('0' + u / 100);
        u %= 100;
    }
    *p++ = (char)('0' + u / 10);
    *p++ = (char)('0' + u % 10);
    return (size_t)(p - begin);
}

/* d.ddde+16; 1e+16 without a point */
static size_t lay_out_scientific(char *p, struct digit_text d, int e)
{
    p[0] = d.first;
    p[1] = '.';
    store8(p + 2, d.a);
    store8(p + 10, d.b);
    size_t n = d.n > 1 ? (size_t)d.n + 1 : 1;
    return n + print_exponent(p + n, e);
}

/* first.rest * 10^e as Python lays it out. All of it may be written to at most 26 bytes beyond p. */
static inline size_t lay_out(char *p, struct digit_text d, int e)
{
    if (UNLIKELY(e < -4 || e > 15))
        return lay_out_scientific(p, d, e);
    if (UNLIKELY(e >= 8)) {
        p[0] = d.first;
        store8(p + 1, d.a);
        store8(p + 9, d.b);
        p[e + 1] = '.';
        store8(p + e + 2, d.b >> (8 * (e - 8)));
    } else {
        /* Below 1 the digits stand behind zeros, from 1 on they are parted by the point: the same stores at other
         * places, as data mixes the two. Digits behind the point are written over those put there before it. */
        int shift = e < 0 ? 0 : e;
        int at = e < 0 ? 1 - e : 0;
        uint128 rest = ((uint128)d.b << 64 | d.a) >> (8 * shift);
        int behind = e < 0 ? at + 1 : e + 2;
        store8(p, 0x3030303030302e30u); /* 0.000000 */
        p[at] = d.first;
        store8(p + at + 1, d.a);
        p[1 + shift] = '.';
        store8(p + behind, (uint64_t)rest);
        store8(p + behind + 8, (uint64_t)(rest >> 64));
    }
    return (size_t)(e < 0 ? d.n + 1 - e : (d.n > e + 2 ? d.n : e + 2) + 1);
}

/* As above for at most 9 digits, all of which are in `first` and `a`. */
static inline size_t lay_out_few(char *p, struct digit_text d, int e)
{
    if (UNLIKELY(e < -4 || e >= 8))
        return lay_out(p, d, e);
    /* Masks, where a compiler would make branches, which data mixes */
    int below_one = e >> 31, zeros = -e & below_one, shift = e & ~below_one;
    int least = (e + 2) & ~below_one;
    store8(p, 0x3030303030302e30u); /* 0.000000 */
    p[zeros - below_one] = d.first;
    store8(p + zeros - below_one + 1, d.a);
    p[1 + shift] = '.';
    store8(p + 2 + zeros + shift, d.a >> (8 * shift));
    return (size_t)(d.n > least ? d.n : least) + 1 + (size_t)zeros;
}

/* Bytes of v up to the last that is not 0. */
static inline int bytes_used(uint64_t v)
{
    return v ? 8 - __builtin_clzll(v) / 8 : 0;
}

static inline size_t print_zero(char *p)
{
    memcpy(p, "0.0", 3);
    return 3;
}

size_t number_print_f64(char *buf, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    size_t sign = bits >> 63;
    buf[0] = '-';
    buf += sign;
    uint64_t c = bits & (DOUBLE_HIDDEN - 1);
    int biased = (int)(bits >> 52) & 2047;
    bool narrow = c == 0 && biased > 1; /* the neighbour below a power of two is nearer */
    if (LIKELY(biased != 0))
        c |= DOUBLE_HIDDEN;
    else if (c == 0)
        return sign + print_zero(buf);
    else
        biased = 1;
    struct shortest s = shortest_of(c, biased - EXPONENT_BIAS - 52, narrow, true);

    int more = s.digits < 10000000000000000u; /* 16 digits, or fewer for subnormals */
    s.digits *= more ? 10 : 1;
    while (UNLIKELY(s.digits < 10000000000000000u)) {
        s.digits *= 10;
        more++;
    }
    uint64_t head = s.digits / 100000000, tail = s.digits % 100000000; /* 9 and 8 digits */
    uint64_t first = head / 100000000;
    uint64_t a = spread8(head % 100000000), b = spread8(tail);
    struct digit_text text = {(char)('0' + first), a | EACH_BYTE('0'), b | EACH_BYTE('0'),
                              1 + (b ? 8 + bytes_used(b) : bytes_used(a))};
    return sign + lay_out(buf, text, s.exponent - more + 16);
}

static inline size_t print_f32(char *buf, float v)
{
    static const uint64_t to_nine_digits[] = {1, 10, 100}; /* read, not chosen: a branch has no pattern */
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    size_t sign = bits >> 31;
    buf[0] = '-';
    buf += sign;
    uint32_t c = bits & 0x7fffff;
    int biased = (int)(bits >> 23) & 255;
    bool narrow = c == 0 && biased > 1;
    if (LIKELY(biased != 0))
        c |= 0x800000;
    else if (c == 0)
        return sign + print_zero(buf);
    else
        biased = 1;
    struct shortest s = shortest_of(c, biased - 127 - 23, narrow, false);

    int more = (s.digits < 100000000) + (s.digits < 10000000); /* 7 to 9 digits, or fewer for subnormals */
    s.digits *= to_nine_digits[more];
    while (UNLIKELY(s.digits < 100000000)) {
        s.digits *= 10;
        more++;
    }
    uint64_t first = s.digits / 100000000;
    uint64_t a = spread8(s.digits % 100000000);
    struct digit_text text = {(char)('0' + first), a | EACH_BYTE('0'), EACH_BYTE('0'), 1 + bytes_used(a)};
    return sign + lay_out_few(buf, text, s.exponent - more + 8);
}

size_t number_print_f32(char *buf, float v)
{
    return print_f32(buf, v);
}

#ifdef NUMBER_HAVE_BLOCKS
bool number_has_blocks(void)
{
    return strcmp(loss_isa(), "x86-64-v4") == 0;
}
#endif

/* Are there 8 more numbers, of which the last will begin before `stop` however long they are? */
static inline bool block_fits(const char *at, const char *stop, size_t left)
{
    return left >= NUMBER_BLOCK && stop - at >= NUMBER_BLOCK * NUMBER_BLOCK_TEXT;
}

_Static_assert(NUMBER_BLOCK_SLACK <= NUMBER_BLOCK_TEXT + NUMBER_PRINT_MAX + 1, "a block writes in the caller's room");

size_t number_print_list_f64(char **p, const char *stop, const double *v, size_t n)
{
    const bool blocks = number_has_blocks();
    char *at = *p;
    size_t i = 0;
    while (i < n && at <= stop) {
        if (blocks && block_fits(at, stop, n - i) && number_block_f64(&at, v + i)) {
            i += NUMBER_BLOCK;
            continue;
        }
        size_t end = n - i < NUMBER_BLOCK ? n : i + NUMBER_BLOCK; /* so many before a block is tried again */
        for (; i < end && at <= stop && isfinite(v[i]); i++) {
            at += number_print_f64(at, v[i]);
            *at++ = ',';
        }
        if (i < end)
            break;
    }
    *p = at;
    return i;
}

size_t number_print_list_f32(char **p, const char *stop, const float *v, size_t n)
{
    const bool blocks = number_has_blocks();
    char *at = *p;
    size_t i = 0;
    while (i < n && at <= stop) {
        if (blocks && block_fits(at, stop, n - i) && number_block_f32(&at, v + i)) {
            i += NUMBER_BLOCK;
            continue;
        }
        size_t end = n - i < NUMBER_BLOCK ? n : i + NUMBER_BLOCK;
        for (; i < end && at <= stop && isfinite(v[i]); i++) {
            at += print_f32(at, v[i]);
            *at++ = ',';
        }
        if (i < end)
            break;
    }
    *p = at;
    return i;
}
