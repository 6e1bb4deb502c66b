/* SPDX-License-Identifier: Apache-2.0
 *
 * sum.c - exact sums: keeping, merging and reading them. How blocks of numbers get in is in sum_kernels.c.
 *
 * Reading works on the magnitude as a row of 64-bit words. A quotient is had from one estimate of 56 bits, which one
 * multiplication puts right; its remainder is only asked whether it is zero, and the rest is rounding.
 */
#include <loss/sum.h>

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "isa.h"
#include "sum_kernels.h"

__extension__ typedef unsigned __int128 uint128;
__extension__ typedef __int128 int128;

#define LOWEST_EXPONENT (-1074)      /* of the first limb's lowest bit */
#define TOP_LIMIT (INT64_C(1) << 30) /* of the last limb; from there on the sum is called infinite */
#define FEW 16                       /* so few numbers are not worth a kernel */

void loss_sum_init(struct loss_sum *s)
{
    memset(s, 0, sizeof *s);
    s->low = LOSS_SUM_LIMBS;
}

static inline void add_number(struct loss_sum *s, struct loss__sum_number v)
{
    if (s->pending >= LOSS__SUM_MAX_PENDING) {
        loss__sum_normalise(s);
    }
    int i = v.position >> 5, shift = v.position & 31;
    uint64_t above = v.fraction >> (32 - shift);
    s->limb[i] += loss__sum_signed(v.fraction << shift & UINT32_MAX, v.negative);
    s->limb[i + 1] += loss__sum_signed(above & UINT32_MAX, v.negative);
    s->limb[i + 2] += loss__sum_signed(above >> 32, v.negative);
    s->pending++;
    loss__sum_cover(s, i, i + 2);
}

void loss__sum_add_units(struct loss_sum *s, int64_t units, int exponent)
{
    if (units != 0) {
        add_number(s, (struct loss__sum_number){
                          .fraction = units < 0 ? -(uint64_t)units : (uint64_t)units,
                          .position = exponent - LOWEST_EXPONENT,
                          .negative = units < 0 ? -1 : 0,
                      });
    }
}

static inline void add_one(struct loss_sum *s, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (bits << 1 == 0) {
        return;
    }
    if (bits << 1 >= UINT64_C(0x7ff) << 53) {
        s->nan += bits << 1 > UINT64_C(0x7ff) << 53;
        s->plus_infinity += bits == UINT64_C(0x7ff) << 52;
        s->minus_infinity += bits == UINT64_C(0xfff) << 52;
        return;
    }
    add_number(s, loss__sum_number(bits));
}

void loss_sum_add(struct loss_sum *s, double x)
{
    add_one(s, x);
}

const struct loss__sum_kernels *loss__sum_kernels_in_use(void)
{
    static const struct loss__sum_kernels *const builds[LOSS__ISA_COUNT] = LOSS__ISA_TABLE(loss__sum_kernels);
    return builds[loss__isa_index()];
}

void loss_sum_add_f32(struct loss_sum *s, const float *x, size_t n)
{
    if (n > FEW) {
        loss__sum_kernels_in_use()->add_f32(s, x, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        add_one(s, x[i]);
    }
}

void loss_sum_add_f64(struct loss_sum *s, const double *x, size_t n)
{
    if (n > FEW) {
        loss__sum_kernels_in_use()->add_f64(s, x, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        add_one(s, x[i]);
    }
}

/* Normalising, merging, scaling. */

static uint64_t count_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t count_times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static void become_infinite(struct loss_sum *s, bool negative)
{
    uint64_t *count = negative ? &s->minus_infinity : &s->plus_infinity;
    *count = count_add(*count, 1);
    memset(s->limb, 0, sizeof s->limb);
    s->low = LOSS_SUM_LIMBS;
    s->high = 0;
}

/* Multiply the number, and leave it normalised: 32 bits a limb, but for the highest, which has the sign. */
static void multiply(struct loss_sum *s, uint64_t times)
{
    int128 carry = 0;
    s->pending = 1;
    for (int i = s->low; i < LOSS_SUM_LIMBS; i++) {
        int128 v = (int128)s->limb[i] * times + carry; /* a limb is below 2^63 */
        if (i == LOSS_SUM_LIMBS - 1 && (v >= TOP_LIMIT || v < -TOP_LIMIT)) {
            become_infinite(s, v < 0);
            return;
        }
        if (i + 1 >= s->high && v >= INT32_MIN && v <= INT32_MAX) {
            s->limb[i] = (int64_t)v;
            s->high = i + 1;
            return;
        }
        s->limb[i] = (int64_t)(v & UINT32_MAX);
        carry = v >> 32;
    }
}

void loss__sum_normalise(struct loss_sum *s)
{
    multiply(s, 1);
}

void loss_sum_merge(struct loss_sum *s, const struct loss_sum *other)
{
    if (s->pending + other->pending >= LOSS__SUM_MAX_PENDING) {
        loss__sum_normalise(s);
    }
    if (other->low < other->high) {
        loss__sum_cover(s, other->low, other->high - 1);
        s->pending += other->pending + 1;
        for (int i = other->low; i < other->high; i++) {
            s->limb[i] += other->limb[i];
        }
    }
    s->nan = count_add(s->nan, other->nan);
    s->plus_infinity = count_add(s->plus_infinity, other->plus_infinity);
    s->minus_infinity = count_add(s->minus_infinity, other->minus_infinity);
}

void loss_sum_scale(struct loss_sum *s, uint64_t times)
{
    if (times == 0) {
        loss_sum_init(s);
        return;
    }
    s->nan = count_times(s->nan, times);
    s->plus_infinity = count_times(s->plus_infinity, times);
    s->minus_infinity = count_times(s->minus_infinity, times);
    multiply(s, times);
}

/* Reading. */

#define MAX_WORDS (LOSS_SUM_LIMBS / 2 + 4)

/* (-1)^negative * word * 2^exponent, the lowest word first; the highest is not zero, and n = 0 is the number zero. */
struct big {
    uint64_t word[MAX_WORDS];
    int n, exponent;
    bool negative;
};

static void negate_digits(uint32_t *digit, int n)
{
    uint64_t carry = 1;
    for (int i = 0; i < n; i++) {
        carry += (uint32_t)~digit[i];
        digit[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static void big_from_sum(struct big *b, const struct loss_sum *s)
{
    uint32_t digit[LOSS_SUM_LIMBS + 3];
    int n = 0, zeros = 0;
    int64_t carry = 0;
    for (int i = s->low; i < s->high; i++) {
        int64_t v = s->limb[i] + carry;
        digit[n++] = (uint32_t)v;
        carry = v >> 32;
    }
    digit[n++] = (uint32_t)carry;
    digit[n++] = (uint32_t)(carry >> 32);
    b->negative = carry < 0;
    if (b->negative) {
        negate_digits(digit, n);
    }
    while (n > 0 && digit[n - 1] == 0) {
        n--;
    }
    while (zeros < n && digit[zeros] == 0) {
        zeros++;
    }
    digit[n] = 0;
    b->exponent = LOWEST_EXPONENT + 32 * (s->low + zeros);
    b->n = 0;
    for (int i = zeros; i < n; i += 2) {
        b->word[b->n++] = digit[i] | (uint64_t)digit[i + 1] << 32;
    }
}

static int bit_length(const struct big *b)
{
    return 64 * b->n - __builtin_clzll(b->word[b->n - 1]);
}

/* The number's 64 highest bits, the first of them 1. */
static uint64_t top_bits(const struct big *b)
{
    uint64_t top = b->word[b->n - 1];
    int shift = __builtin_clzll(top);
    return shift == 0 || b->n == 1 ? top << shift : top << shift | b->word[b->n - 2] >> (64 - shift);
}

static void shift_left(struct big *b, int bits)
{
    int words = bits / 64, shift = bits % 64;
    b->word[b->n] = 0;
    for (int i = b->n; i >= 0; i--) {
        uint64_t below = i > 0 && shift > 0 ? b->word[i - 1] >> (64 - shift) : 0;
        b->word[i + words] = b->word[i] << shift | below;
    }
    memset(b->word, 0, (size_t)words * sizeof b->word[0]);
    b->n += words + (b->word[b->n + words] != 0);
}

/* The double nearest to (q + a bit, if `more`) * 2^exponent, q > 0; ties to even. */
static double nearest(bool negative, uint64_t q, bool more, int exponent)
{
    int shift = __builtin_clzll(q);
    q <<= shift;
    exponent -= shift;
    int below_normal = -1022 - (exponent + 63);
    int drop = below_normal > 0 ? 11 + below_normal : 11;
    double magnitude = 0;
    if (drop <= 64) {
        uint64_t kept = drop == 64 ? 0 : q >> drop;
        uint64_t rest = q << (64 - drop), half = UINT64_C(1) << 63;
        kept += rest > half || (rest == half && (more || (kept & 1)));
        magnitude = ldexp((double)kept, exponent + drop); /* infinite where it must be; else exact */
    }
    return negative ? -magnitude : magnitude;
}

static double nearest_to_big(const struct big *b)
{
    if (b->n == 0) {
        return 0;
    }
    int shift = __builtin_clzll(b->word[b->n - 1]);
    bool more = false;
    for (int i = 0; i < b->n - 2; i++) {
        more |= b->word[i] != 0;
    }
    if (b->n > 1) {
        more |= b->word[b->n - 2] << shift != 0;
    }
    return nearest(b->negative, top_bits(b), more, b->exponent + 64 * (b->n - 1) - shift);
}

/* product = a * factor, in one word more than a has. */
static void times_word(struct big *product, const struct big *a, uint64_t factor)
{
    uint128 carry = 0;
    for (int i = 0; i < a->n; i++) {
        carry += (uint128)a->word[i] * factor;
        product->word[i] = (uint64_t)carry;
        carry >>= 64;
    }
    product->word[a->n] = (uint64_t)carry;
    product->n = a->n + 1;
}

/* a += b or a -= b in a's length, which has room for the result. */
static void add_words(struct big *a, const struct big *b, bool subtract)
{
    uint64_t carry = subtract;
    for (int i = 0; i < a->n; i++) {
        uint64_t w = i < b->n ? b->word[i] : 0;
        uint128 v = (uint128)a->word[i] + (subtract ? ~w : w) + carry;
        a->word[i] = (uint64_t)v;
        carry = (uint64_t)(v >> 64);
    }
}

/* -1, 0, 1: magnitudes of whole numbers, which may have leading zeros. */
static int compare(const struct big *a, const struct big *b)
{
    for (int i = (a->n > b->n ? a->n : b->n) - 1; i >= 0; i--) {
        uint64_t x = i < a->n ? a->word[i] : 0, y = i < b->n ? b->word[i] : 0;
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return 0;
}

/* The double nearest to a/b; both are changed. Neither is zero. */
static double nearest_quotient(struct big *a, struct big *b)
{
    /* Scale by 2^k so that a is 55 bits longer: the whole part of a/b then has 55 or 56 bits. */
    int k = bit_length(b) + 55 - bit_length(a);
    int exponent = a->exponent - b->exponent - k;
    shift_left(k > 0 ? a : b, k > 0 ? k : -k);

    /* From the leading 64 bits of each it is wrong by one at most. */
    uint64_t q = (uint64_t)(((uint128)top_bits(a) << 55) / top_bits(b));
    struct big product;
    times_word(&product, b, q);
    if (compare(&product, a) > 0) {
        q--;
        add_words(&product, b, true);
    } else {
        struct big next = product;
        add_words(&next, b, false);
        if (compare(&next, a) <= 0) {
            q++;
            product = next;
        }
    }
    return nearest(a->negative != b->negative, q, compare(&product, a) != 0, exponent);
}

/* Where something infinite or NaN was added: what the sum is. */
static bool not_finite(const struct loss_sum *s, double *value)
{
    if (s->nan > 0 || (s->plus_infinity > 0 && s->minus_infinity > 0)) {
        *value = (double)NAN;
    } else if (s->plus_infinity > 0) {
        *value = (double)INFINITY;
    } else if (s->minus_infinity > 0) {
        *value = -(double)INFINITY;
    } else {
        return false;
    }
    return true;
}

double loss_sum_round(const struct loss_sum *s)
{
    double value;
    if (not_finite(s, &value)) {
        return value;
    }
    struct big b;
    big_from_sum(&b, s);
    return nearest_to_big(&b);
}

double loss_sum_divide(const struct loss_sum *s, uint64_t divisor)
{
    double value;
    if (divisor == 0) {
        return 0;
    }
    if (not_finite(s, &value)) {
        return value;
    }
    struct big a, b;
    big_from_sum(&a, s);
    if (a.n == 0) {
        return 0;
    }
    b.word[0] = divisor;
    b.n = 1;
    b.exponent = 0;
    b.negative = false;
    return nearest_quotient(&a, &b);
}

static double sign_of(const struct big *b)
{
    return b->n == 0 ? 0 : b->negative ? -1 : 1;
}

double loss_sum_ratio(const struct loss_sum *s, const struct loss_sum *by)
{
    double x, y;
    bool s_infinite = not_finite(s, &x), by_infinite = not_finite(by, &y);
    struct big a, b;
    big_from_sum(&a, s);
    big_from_sum(&b, by);
    if (b.n == 0 && !by_infinite) {
        return 0;
    }
    if (s_infinite || by_infinite) { /* of what is finite only the sign matters */
        return (s_infinite ? x : sign_of(&a)) / (by_infinite ? y : sign_of(&b));
    }
    return a.n == 0 ? 0 : nearest_quotient(&a, &b);
}

#define UNIT_LIMB (-LOWEST_EXPONENT / 32)  /* where the number 1 lies, */
#define UNIT_SHIFT (-LOWEST_EXPONENT % 32) /* and how far up */

bool loss__sum_is_whole(const struct loss_sum *s, uint64_t n)
{
    int128 units = 0;
    if (s->nan > 0 || s->plus_infinity > 0 || s->minus_infinity > 0) {
        return false;
    }
    for (int i = s->low; i < s->high; i++) {
        int above = i - UNIT_LIMB;
        if (above >= 0 && above < 2) {
            units += (int128)s->limb[i] * ((int128)1 << (32 * above));
        } else if (above == 2 && s->limb[i] >= 0 && s->limb[i] <= UINT32_MAX) {
            units += (int128)s->limb[i] << 64;
        } else if (s->limb[i] != 0) {
            return false; /* or not normalised, which does not happen to so few digits */
        }
    }
    return units == (int128)n << UNIT_SHIFT;
}

/* Storing. */

/* The limbs in two's complement, a tag, and the three counts. */
static const unsigned char tag[8] = {'l', 'o', 's', 's', 's', 'u', 'm', 1};
#define TAG_AT (4 * LOSS_SUM_LIMBS)
#define COUNTS_AT (TAG_AT + sizeof tag)

static void put(unsigned char *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        p[i] = (unsigned char)(v >> (8 * i));
    }
}

static uint64_t get(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

void loss_sum_store(const struct loss_sum *s, unsigned char bytes[LOSS_SUM_BYTES])
{
    struct loss_sum normal = *s;
    loss__sum_normalise(&normal);
    bool negative = normal.high > 0 && normal.limb[normal.high - 1] < 0;
    for (int i = 0; i < LOSS_SUM_LIMBS; i++) {
        put(bytes + 4 * i, i < normal.high ? (uint32_t)normal.limb[i] : negative ? UINT32_MAX : 0, 4);
    }
    memcpy(bytes + TAG_AT, tag, sizeof tag);
    put(bytes + COUNTS_AT, normal.nan, 8);
    put(bytes + COUNTS_AT + 8, normal.plus_infinity, 8);
    put(bytes + COUNTS_AT + 16, normal.minus_infinity, 8);
}

int loss_sum_load(struct loss_sum *s, const unsigned char bytes[LOSS_SUM_BYTES])
{
    int top = LOSS_SUM_LIMBS - 1;
    int32_t digit = (int32_t)get(bytes + 4 * top, 4), sign = digit < 0 ? -1 : 0;
    if (memcmp(bytes + TAG_AT, tag, sizeof tag) != 0 || digit >= TOP_LIMIT || digit < -TOP_LIMIT) {
        return -1;
    }
    loss_sum_init(s);
    s->nan = get(bytes + COUNTS_AT, 8);
    s->plus_infinity = get(bytes + COUNTS_AT + 8, 8);
    s->minus_infinity = get(bytes + COUNTS_AT + 16, 8);
    /* Drop the limbs that only repeat the sign of the one below. */
    while (top > 0 && digit == sign && ((int32_t)get(bytes + 4 * (top - 1), 4) < 0) == (sign < 0)) {
        digit = (int32_t)get(bytes + 4 * --top, 4);
    }
    for (int i = 0; i <= top; i++) {
        s->limb[i] = i < top ? (int64_t)get(bytes + 4 * i, 4) : digit;
        if (s->limb[i] != 0) {
            loss__sum_cover(s, i, top);
        }
    }
    s->pending = 1;
    return 0;
}
