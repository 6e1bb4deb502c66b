/* SPDX-License-Identifier: Apache-2.0
 *
 * number.c - decimal text to binary floating point.
 *
 * Reading takes steps, each for what the one before could not decide: lists of plain numbers, whose commas and digits
 * are found for 64 bytes at once (Langdale and Lemire 2019, "Parsing gigabytes of JSON per second"); short plain numbers,
 * whose digits are found and gathered eight at a time without a branch per digit; any token, byte by byte, its value from
 * the first 19 digits (Clinger 1990; Lemire 2021, "Number parsing at a gigabyte per second"); and strtod on a bounded
 * copy. Printing is in number_print.c.
 */
#include "text/number.h"

#include <endian.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "text/number_tie.h"
#include "text/powers_of_five.h"
#include "text/swar.h"

__extension__ typedef unsigned __int128 uint128;

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

enum {
    DIGITS_IN_64 = 19, /* decimal digits that always fit 64 bits */
    DIGITS_KEPT = 800, /* more than the 767 that a midpoint of two doubles can have */
};

#define POWERS_OF_TEN(X)                                                                                               \
    X(1e0), X(1e1), X(1e2), X(1e3), X(1e4), X(1e5), X(1e6), X(1e7), X(1e8), X(1e9), X(1e10), X(1e11), X(1e12),         \
        X(1e13), X(1e14), X(1e15), X(1e16), X(1e17), X(1e18)
#define AS_DOUBLE(x) x
#define AS_INTEGER(x) (uint64_t) x
static const double power_of_ten[] = {POWERS_OF_TEN(AS_DOUBLE)}; /* exact */
static const uint64_t whole_power_of_ten[] = {POWERS_OF_TEN(AS_INTEGER)};

static inline uint64_t double_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static inline double double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* ---- a token, byte by byte ---- */

/* (-1)^negative * digits * 10^exponent, and a little more where `inexact`. */
struct decimal {
    uint64_t digits;
    int64_t exponent;
    bool negative;
    bool inexact;       /* digits beyond the 19th were dropped, and one of them was not 0 */
    const char *begin;  /* first digit */
    const char *behind; /* behind the last digit of the significand */
};

struct run {
    uint64_t digits;
    int64_t kept;    /* significant digits in `digits` */
    int64_t dropped; /* digits beyond them */
    bool inexact;
};

static const char *take_digits(const char *p, const char *end, struct run *run)
{
    for (; p < end && is_digit(*p); p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (run->kept < DIGITS_IN_64) {
            run->digits = run->digits * 10 + digit;
            run->kept += run->digits != 0;
        } else {
            run->dropped++;
            run->inexact |= digit != 0;
        }
    }
    return p;
}

/* At least one digit; saturates far above what digits in memory could balance. */
static const char *take_exponent(const char *p, const char *end, int64_t *exponent)
{
    bool negative = p < end && *p == '-';
    p += p < end && (*p == '-' || *p == '+');
    int64_t e = 0;
    for (; p < end && is_digit(*p); p++) {
        if (e < 100000000000000000)
            e = e * 10 + (*p - '0');
    }
    *exponent = negative ? -e : e;
    return p;
}

static number_status refuse(const char **at, const char *p, const char *end)
{
    if (p >= end)
        return NUMBER_MORE;
    *at = p;
    return NUMBER_BAD;
}

static number_status scan_token(const char **at, const char *end, struct decimal *d)
{
    const char *p = *at;
    struct run run = {0};
    int64_t exponent = 0;
    d->negative = *p == '-';
    p += d->negative;
    d->begin = p;
    if (p == end || !is_digit(*p))
        return refuse(at, p, end);
    p = take_digits(p, end, &run);
    if (*d->begin == '0' && p - d->begin > 1)
        return refuse(at, d->begin + 1, end);

    int64_t fraction = 0;
    if (p < end && *p == '.') {
        const char *point = p;
        p = take_digits(p + 1, end, &run);
        fraction = p - point - 1;
        if (fraction == 0)
            return refuse(at, p, end);
    }
    d->behind = p;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p = take_exponent(p + 1, end, &exponent);
        if (!is_digit(p[-1]))
            return refuse(at, p, end);
    }
    if (p == end)
        return NUMBER_MORE;
    d->digits = run.digits;
    d->exponent = exponent - fraction + run.dropped;
    d->inexact = run.inexact;
    *at = p;
    return NUMBER_OK;
}

static number_status scan_literal(const char **at, const char *end, double *out)
{
    static const struct {
        const char *word;
        double value;
    } literals[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    const char *p = *at;
    size_t i = *p == 'N' ? 0 : *p == 'I' ? 1 : 2;
    const char *word = literals[i].word;
    while (p < end && *word && *p == *word) {
        p++;
        word++;
    }
    if (p == end || *word)
        return refuse(at, p, end);
    *out = literals[i].value;
    *at = p;
    return NUMBER_OK;
}

static bool is_literal(const char *p, const char *end)
{
    return *p == 'N' || *p == 'I' || (*p == '-' && end - p > 1 && p[1] == 'I');
}

/* ---- a decimal to the nearest double or float ---- */

/* The bits of the nearest double to digits * 10^q, for digits other than 0; its biased exponent may come out as anything,
 * and where that is below 1 or above 2046 the bits mean nothing.
 * Eisel-Lemire: the product of the digits with 64 leading bits of 5^q has the double's bits, or else that with 128
 * (Mushtak and Lemire 2023, "Fast number parsing without fallback"). Inlined into the reading of lists it took a third
 * more time. */
__attribute__((noinline)) static uint64_t nearest_bits(uint64_t digits, int q, int *biased)
{
    struct power_of_five five = powers_of_five[q - POWERS_OF_FIVE_FIRST];
    int zeros = __builtin_clzll(digits);
    digits <<= zeros;
    uint128 product = (uint128)digits * five.high;
    if (UNLIKELY(((uint64_t)(product >> 64) & 0x1ff) == 0x1ff)) /* a carry from below could come through */
        product += (uint64_t)((uint128)digits * five.low >> 64);
    uint64_t high = (uint64_t)(product >> 64);
    int top = (int)(high >> 63);
    uint64_t significand = high >> (top + 9); /* 54 bits: one more than a double has */
    /* 217706 / 2^16 is log2(10) */
    *biased = ((217706 * q) >> 16) + 63 + top - zeros + EXPONENT_BIAS;
    /* Exactly half-way, which is possible for few q alone, goes to even; else the last bit rounds. */
    if (UNLIKELY((uint64_t)product <= 1 && q >= -4 && q <= 23 && (significand & 3) == 1 &&
                 significand << (top + 9) == high))
        significand--;
    significand = (significand + (significand & 1)) >> 1;
    return ((uint64_t)*biased << 52) + (significand - DOUBLE_HIDDEN); /* a carry raises the exponent */
}

/* The nearest double to digits * 10^exponent; false where it would be subnormal. */
static bool nearest_double(uint64_t digits, int64_t exponent, double *out)
{
    if (digits == 0 || exponent < POWERS_OF_FIVE_FIRST) {
        *out = 0;
        return true;
    }
    if (exponent > 308) {
        *out = INFINITY;
        return true;
    }
    int biased;
    uint64_t bits = nearest_bits(digits, (int)exponent, &biased);
    *out = bits >= (uint64_t)2047 << 52 ? INFINITY : double_of(bits);
    return LIKELY(biased > 0);
}

/* As above for any decimal: what lies between two numbers that round to one double rounds to it too. */
static bool nearest_to_decimal(const struct decimal *d, double *out)
{
    if (!nearest_double(d->digits, d->exponent, out))
        return false;
    if (!d->inexact)
        return true;
    double above;
    return nearest_double(d->digits + 1, d->exponent, &above) && above == *out;
}

/* May v, the nearest double to d, round to a narrower type otherwise than d? Whole numbers below 10^15 are exact. */
static bool may_mislead(const struct decimal *d, double v)
{
    const uint64_t bits = double_bits(v);
    const bool plain = !d->inexact && (d->exponent > 0 ? v < 1e15 : is_short_text(d->digits, -d->exponent));
    return v != 0 && !isinf(v) && (is_float_midpoint(bits) || (!plain && is_half_midpoint(bits)));
}

/* The significand's digits as a whole number with an exponent, and so without the locale's decimal point. A digit 1
 * stands for all those not kept. The exponent is small: the others are decided before. */
struct copy {
    char text[DIGITS_KEPT + 32];
};

static void copy_decimal(const struct decimal *d, struct copy *copy)
{
    int64_t n = 0;
    bool sticky = false;
    for (const char *p = d->begin; p < d->behind; p++) {
        if (*p == '.' || (n == 0 && *p == '0'))
            continue;
        if (n < DIGITS_KEPT)
            copy->text[n++] = *p;
        else
            sticky |= *p != '0';
    }
    /* d->exponent belongs to the first 19 digits. */
    int64_t exponent = d->exponent + (n > DIGITS_IN_64 ? DIGITS_IN_64 - n : 0);
    if (sticky) {
        copy->text[n++] = '1';
        exponent--;
    }
    snprintf(copy->text + n, sizeof copy->text - (size_t)n, "e%d", (int)exponent);
}

static double slow_double(const struct decimal *d)
{
    struct copy copy;
    copy_decimal(d, &copy);
    return strtod(copy.text, NULL);
}

static float slow_float(const struct decimal *d)
{
    struct copy copy;
    copy_decimal(d, &copy);
    return strtof(copy.text, NULL);
}

static number_status read_token_f64(const char **p, const char *end, double *out, unsigned *flags)
{
    if (*p >= end)
        return NUMBER_MORE;
    if (is_literal(*p, end)) {
        number_status status = scan_literal(p, end, out);
        *flags |= status == NUMBER_OK ? NUMBER_LITERAL : 0;
        return status;
    }
    struct decimal d;
    number_status status = scan_token(p, end, &d);
    if (status != NUMBER_OK)
        return status;
    double v;
    if (!nearest_to_decimal(&d, &v))
        v = slow_double(&d);
    *flags |= (isinf(v) ? NUMBER_OVERFLOW : 0) | (may_mislead(&d, v) ? NUMBER_TIE : 0);
    *out = d.negative ? -v : v;
    return NUMBER_OK;
}

static number_status read_token_f32(const char **p, const char *end, float *out, unsigned *flags)
{
    if (*p >= end)
        return NUMBER_MORE;
    double v;
    if (is_literal(*p, end)) {
        number_status status = scan_literal(p, end, &v);
        if (status == NUMBER_OK) {
            *flags |= NUMBER_LITERAL;
            *out = (float)v;
        }
        return status;
    }
    struct decimal d;
    number_status status = scan_token(p, end, &d);
    if (status != NUMBER_OK)
        return status;
    /* Rounding twice is as good as once, unless the first time ends on a midpoint. */
    float f = nearest_to_decimal(&d, &v) && !is_float_midpoint(double_bits(v)) ? (float)v : slow_float(&d);
    *flags |= isinf(f) ? NUMBER_OVERFLOW : 0;
    *out = d.negative ? -f : f;
    return NUMBER_OK;
}

/* ---- short plain numbers ---- */

#define SHORT_REACH NUMBER_REACH /* scan_short may read so many: sign and digits 8, point, 18 digits, what comes then */

static inline uint64_t load8(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

/* v is text ^ '0': bit 7 of each byte above 9. Exact up to and including the first such byte. */
static inline uint64_t above_nine(uint64_t v)
{
    return ((v + EACH_BYTE(0x76)) | v) & EACH_BYTE(0x80);
}

static inline unsigned run_length(uint64_t others)
{
    return ((unsigned)__builtin_ctzll(others >> 7 | DOUBLE_SIGN) + 1) / 8;
}

/* Eight digits, the first in the lowest byte. */
static inline uint64_t gather8(uint64_t v)
{
    v = (v * 10 + (v >> 8)) & 0x00ff00ff00ff00ffu;
    v = (v * 100 + (v >> 16)) & 0x0000ffff0000ffffu;
    return (v * 10000 + (v >> 32)) & 0xffffffffu;
}

struct short_decimal {
    uint64_t digits; /* below 10^18 */
    unsigned places; /* value = digits / 10^places */
    unsigned negative;
};

/* Does what stands at p carry a number on? */
static inline bool goes_on(const char *p)
{
    return is_digit(*p) || (*p | 0x20) == 'e';
}

/* The digits behind a point at *p, 1 to 18 of them, and where they end; NULL where it cannot be so. */
static inline const char *scan_fraction(const char *p, uint64_t *digits, unsigned *places)
{
    uint64_t first = load8(p + 1) ^ EACH_BYTE('0'), second = load8(p + 9) ^ EACH_BYTE('0');
    unsigned n = run_length(above_nine(first));
    n += run_length(above_nine(second)) & -(n / 8);
    if (UNLIKELY(n == 0))
        return NULL;
    if (n > 16)
        __builtin_unreachable(); /* two words have no more; said for those who analyse this */
    /* Both words as one, its last digit in the last place; zeros come in before it. */
    uint128 both = ((uint128)second << 64 | first) << (128 - 8 * n);
    uint64_t fraction = gather8((uint64_t)both) * 100000000 + gather8((uint64_t)(both >> 64));
    p += 1 + n;
    if (UNLIKELY(goes_on(p))) { /* doubles below 1 often have 17 or 18 places */
        for (; is_digit(*p) && n < 18; n++)
            fraction = fraction * 10 + (unsigned)(*p++ - '0');
        if (goes_on(p))
            return NULL;
    }
    *digits = fraction;
    *places = n;
    return p;
}

/* A number without exponent, of at most 8 digits before the point, 18 behind it, and 18 in all. Returns where it
 * ends, or NULL if it is anything else. Reads at most SHORT_REACH bytes. */
static inline const char *scan_short(const char *p, struct short_decimal *d)
{
    uint64_t v = load8(p);
    d->negative = (v & 0xff) == '-';
    v = (v >> (8 * d->negative)) ^ EACH_BYTE('0');
    p += d->negative;

    unsigned whole = 1;
    uint64_t digits = v & 0xff, fraction;
    if ((v >> 8 & 0xff) == ('.' ^ '0')) {
        /* A branch well guessed takes the count of digits, on which all that follows waits, out of the way. */
        if (UNLIKELY(digits > 9))
            return NULL;
        p++;
    } else {
        whole = run_length(above_nine(v));
        if (UNLIKELY(whole == 0 || (whole > 1 && digits == 0)))
            return NULL;
        digits = gather8(v << (64 - 8 * whole));
        p += whole;
        if (*p != '.') {
            d->digits = digits;
            d->places = 0;
            return UNLIKELY(goes_on(p)) ? NULL : p;
        }
    }
    p = scan_fraction(p, &fraction, &d->places);
    if (UNLIKELY(!p || (whole + d->places > 18 && digits != 0)))
        return NULL;
    d->digits = digits * whole_power_of_ten[d->places] + fraction;
    return p;
}

/* Out of line, for the few doubles of which it must be asked. They are 0 or at least 1e-18: far from subnormal floats. */
__attribute__((noinline, cold)) static bool short_misleads(uint64_t bits, uint64_t digits, unsigned places)
{
    return (bits & FLOAT_HALF) != 0 || (is_half_midpoint(bits) && !is_short_text(digits, places));
}

/* The nearest double; *tie: it may be half-way between two narrower numbers. */
static inline double short_to_f64(struct short_decimal d, bool *tie)
{
    /* Clinger's exact division is no faster, and half of 16 digits are too many for it: a bad branch */
    int biased; /* far from its bounds: the value is 0 or from 1e-18 to 1e16 */
    uint64_t bits = LIKELY(d.digits != 0) ? nearest_bits(d.digits, -(int)d.places, &biased) : 0;
    *tie = UNLIKELY((bits & (FLOAT_HALF - 1)) == 0) && short_misleads(bits, d.digits, d.places);
    return double_of(bits | (uint64_t)d.negative << 63);
}

/* The nearest float; false where that is too close to call. */
static inline bool short_to_f32(struct short_decimal d, float *out)
{
    /* Two roundings, so at most one unit off the double nearest to the text; only about a midpoint of floats can that
     * matter. v is 0 or between 1e-18 and 1e16: neither subnormal nor too large. */
    double v = (double)(int64_t)d.digits / power_of_ten[d.places];
    uint64_t bits = double_bits(v);
    *out = (float)double_of(bits | (uint64_t)d.negative << 63);
    return ((bits - (FLOAT_HALF - 4)) & FLOAT_MASK) > 8;
}

number_status number_read_f64(const char **p, const char *end, double *out, unsigned *flags)
{
    struct short_decimal d;
    const char *behind;
    bool tie;
    if (UNLIKELY(end - *p < SHORT_REACH) || UNLIKELY(!(behind = scan_short(*p, &d))))
        return read_token_f64(p, end, out, flags);
    *out = short_to_f64(d, &tie);
    *flags |= tie ? NUMBER_TIE : 0;
    *p = behind;
    return NUMBER_OK;
}

number_status number_read_f32(const char **p, const char *end, float *out, unsigned *flags)
{
    struct short_decimal d;
    const char *behind;
    float v;
    if (UNLIKELY(end - *p < SHORT_REACH) || UNLIKELY(!(behind = scan_short(*p, &d))) || UNLIKELY(!short_to_f32(d, &v)))
        return read_token_f32(p, end, out, flags);
    *out = v;
    *p = behind;
    return NUMBER_OK;
}

/* ---- lists of plain numbers ---- */

#ifdef __SSE2__

enum {
    WINDOW = 64,                /* bytes that are looked at together */
    WINDOW_REACH = WINDOW + 32, /* bytes that may be read, since digits are fetched eight at a time */
};

/* A bit for each byte of a window. */
struct window {
    uint64_t digits, commas;
};

static inline struct window look(const char *text)
{
    const __m128i zero = _mm_set1_epi8('0'), nine = _mm_set1_epi8(9), comma = _mm_set1_epi8(',');
    struct window w = {0, 0};
#pragma GCC unroll 4
    for (int i = 0; i < WINDOW; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + i));
        __m128i value = _mm_sub_epi8(bytes, zero);
        __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(value, nine), value);
        w.digits |= (uint64_t)(unsigned)_mm_movemask_epi8(is_digit) << i;
        w.commas |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, comma)) << i;
    }
    return w;
}

/* The number that 16 digits are, the first in the lowest byte: pairs, fours and eights side by side. */
static inline uint64_t gather16(__m128i digits)
{
    const __m128i low = _mm_set1_epi16(0xff), ten = _mm_set1_epi16(10);
    __m128i pairs = _mm_add_epi16(_mm_mullo_epi16(_mm_and_si128(digits, low), ten), _mm_srli_epi16(digits, 8));
    __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(1 << 16 | 100));
    __m128i eights = _mm_madd_epi16(_mm_packs_epi32(fours, fours), _mm_set1_epi32(1 << 16 | 10000));
    uint64_t both = (uint64_t)_mm_cvtsi128_si64(eights);
    return (both & 0xffffffffu) * 100000000 + (both >> 32);
}

/* The first n bytes of 16 are set. */
static inline __m128i first_bytes(unsigned n)
{
    static const unsigned char set[32] = {255, 255, 255, 255, 255, 255, 255, 255,
                                          255, 255, 255, 255, 255, 255, 255, 255};
    return _mm_loadu_si128((const __m128i *)(const void *)(set + 16 - n));
}

static inline __m128i load16(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* The number from byte a of the text to the comma at byte b; false where it has no point, or is not plain and short: it
 * has at most 16 digits, or 18 where `wide`. Where a number begins and ends is known before it is read, so many can be
 * under way at a time; and no branch depends on how many digits it has: zeros are put behind them until there are as
 * many as it may have. */
static inline bool plain_number(const char *text, uint64_t digits, unsigned a, unsigned b, const bool wide,
                                struct short_decimal *d)
{
    d->negative = text[a] == '-';
    a += d->negative;
    const char *p = text + a;
    uint64_t others = ~(digits >> a); /* the first is the point, the second the comma */
    unsigned whole = (unsigned)__builtin_ctzll(others);
    unsigned size = (unsigned)__builtin_ctzll((others & (others - 1)) | DOUBLE_SIGN);
    unsigned n = size - 1; /* digits */
    if (UNLIKELY(size != b - a || p[whole] != '.' || n > (wide ? 18 : 16) || whole - 1 >= 15 || n == whole ||
                 (whole > 1 && *p == '0')))
        return false;

    __m128i before = first_bytes(whole); /* the point; the digits behind it move up into its place */
    __m128i text16 = _mm_or_si128(_mm_and_si128(before, load16(p)), _mm_andnot_si128(before, load16(p + 1)));
    __m128i digits16 = _mm_and_si128(_mm_sub_epi8(text16, _mm_set1_epi8('0')), first_bytes(n < 16 ? n : 16));
    d->digits = gather16(digits16);
    if (!wide) {
        d->places = 16 - whole;
        return true;
    }
    unsigned tens = (unsigned)(p[17] - '0') & -(unsigned)(n > 16), ones = (unsigned)(p[18] - '0') & -(unsigned)(n > 17);
    d->digits = d->digits * 100 + tens * 10 + ones;
    d->places = 18 - whole;
    return true;
}

/* Up to n numbers, into floats where `single`, else doubles. A constant says which, and what they
 * are like: asking for each number took a third more time. */
__attribute__((always_inline)) static inline size_t read_list_as(const char **p, const char *end, void *out, size_t n,
                                                                 const bool single, const struct number_habit habit)
{
    const char *text = *p;
    float *f = out;
    double *d = out;
    size_t i = 0, begun = SIZE_MAX;
    while (i < n && i != begun && end - text >= WINDOW_REACH) {
        struct window w = look(text);
        unsigned a = 0;
        begun = i;
        for (; w.commas != 0 && i < n; w.commas &= w.commas - 1) {
            unsigned b = (unsigned)__builtin_ctzll(w.commas);
            struct short_decimal number;
            bool plain = plain_number(text, w.digits, a, b, habit.wide, &number), tie = false;
            if (plain && single)
                plain = short_to_f32(number, &f[i]);
            else if (plain)
                d[i] = short_to_f64(number, &tie);
            if (UNLIKELY(!plain || tie)) {
                *p = text + a;
                return i;
            }
            i++;
            a = b + 1;
            if (habit.spaced)
                a += text[a] == ' ';
        }
        text += a;
    }
    *p = text;
    return i;
}

/* Out of line, so that each has registers of its own. */
#define READ_LIST_AS(name, single, wide, spaced)                                                                       \
    __attribute__((noinline)) static size_t name(const char **p, const char *end, void *out, size_t n)                 \
    {                                                                                                                  \
        return read_list_as(p, end, out, n, single, (struct number_habit){wide, spaced});                              \
    }
READ_LIST_AS(narrow_f32, true, false, false)
READ_LIST_AS(wide_f32, true, true, false)
READ_LIST_AS(spaced_narrow_f32, true, false, true)
READ_LIST_AS(spaced_wide_f32, true, true, true)
READ_LIST_AS(narrow_f64, false, false, false)
READ_LIST_AS(wide_f64, false, true, false)
READ_LIST_AS(spaced_narrow_f64, false, false, true)
READ_LIST_AS(spaced_wide_f64, false, true, true)

/* Does what looks like a number begin at p that has more than 16 digits? */
static inline bool is_wide(const char *p)
{
    unsigned i = 0;
    while (i < 18 && (is_digit(p[i]) || p[i] == '.' || p[i] == '-'))
        i++;
    return i == 18;
}

static inline size_t read_list(const char **p, const char *end, void *out, size_t n, struct number_habit *habit,
                               const bool single)
{
    typedef size_t reader(const char **p, const char *end, void *out, size_t n);
    static reader *const readers[2][2][2] = {{{narrow_f64, wide_f64}, {spaced_narrow_f64, spaced_wide_f64}},
                                             {{narrow_f32, wide_f32}, {spaced_narrow_f32, spaced_wide_f32}}};
    const size_t item = single ? sizeof(float) : sizeof(double);
    size_t i = 0;
    for (;;) {
        i += readers[single][habit->spaced][habit->wide](p, end, (char *)out + i * item, n - i);
        bool space = i > 0 && !habit->spaced && *p < end && **p == ' ';
        *p += space;
        habit->spaced |= space;
        bool more = i < n && end - *p >= WINDOW_REACH;
        bool wide = more && !habit->wide && is_wide(*p);
        habit->wide |= wide;
        if (!more || !(space || wide))
            return i;
    }
}

#else

/* One by one is as good, where no instruction tells of 16 bytes at once what they are. */
static inline size_t read_list(const char **p, const char *end, void *out, size_t n, struct number_habit *habit,
                               const bool single)
{
    (void)p, (void)end, (void)out, (void)n, (void)habit, (void)single;
    return 0;
}

#endif

size_t number_read_list_f64(const char **p, const char *end, double *out, size_t n, struct number_habit *habit)
{
    return read_list(p, end, out, n, habit, false);
}

size_t number_read_list_f32(const char **p, const char *end, float *out, size_t n, struct number_habit *habit)
{
    return read_list(p, end, out, n, habit, true);
}
