/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sum.c - exact sums against MPFR, wide enough to hold every sum of doubles exactly.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <mpfr.h>

#include <loss/compute.h>
#include <loss/sum.h>

/* Sums of doubles need 2200 bits; a quotient of two such that is not halfway between doubles differs from halfway
 * within 4500. */
#define EXACT_BITS 5000
#define MAX_N 6000

static const char *const isas[] = {"baseline", "x86-64-v3", "x86-64-v4"};
#define ISAS (sizeof isas / sizeof isas[0])

static uint64_t random_state;

static uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(2685821657736338717);
}

static double random_unit(void)
{
    return (double)(random_bits() >> 11) * 0x1p-53;
}

static double random_signed(int min_exponent, int max_exponent)
{
    int exponent = min_exponent + (int)(random_unit() * (max_exponent - min_exponent + 1));
    double magnitude = ldexp(1 + random_unit(), exponent);
    return random_bits() & 1 ? -magnitude : magnitude;
}

/* What to add. */

static double like_losses(size_t i)
{
    (void)i;
    return exp(log(1e-7) + random_unit() * log(1e9));
}
static double cancelling(size_t i)
{
    static double last;
    last = i % 2 ? -last * (1 + 1e-9 * random_unit()) : random_signed(-3, 3);
    return last;
}
static double any_exponent(size_t i)
{
    (void)i;
    return random_signed(-1074, 1023);
}
static double float_exponents(size_t i)
{
    (void)i;
    return random_signed(-149, 127);
}
static double with_outliers(size_t i)
{
    return i % 700 == 300 ? random_signed(90, 100) : random_signed(-1, 1);
}
static double subnormals(size_t i)
{
    (void)i;
    return random_signed(-1074, -1020);
}
static double float_subnormals(size_t i)
{
    (void)i;
    return random_signed(-149, -120);
}
static double huge_and_tiny(size_t i)
{
    return i % 4 == 0 ? DBL_MAX : i % 4 == 2 ? -DBL_MAX : random_signed(-1074, -1060);
}
static double near_the_top(size_t i)
{
    (void)i;
    return random_signed(1018, 1023);
}
static double mostly_zeros(size_t i)
{
    return i % 50 == 7 ? random_signed(-2, 2) : i % 2 ? -0.0 : 0.0;
}
static double late_outlier(size_t i)
{
    return i % 512 == 511 ? random_signed(-300, -290) : random_signed(0, 1);
}
static double equal(size_t i)
{
    (void)i;
    return 0.1;
}
static double at_the_range_of_a_run(size_t i)
{
    return i % 3 ? random_signed(-80, -79) : random_signed(-1, 1);
}

static double filling_one_limb(size_t i)
{
    return i % 16 ? nextafter(0x1p994, 0) : 1e-300;
}

static double filling_a_run(size_t i)
{
    (void)i;
    return 2 - 0x1p-10 * random_unit();
}

static double filling_the_second_part(size_t i)
{
    return i % 512 == 0 ? 1 : 0x1p-44 * (1 - 0x1p-10 * random_unit());
}

typedef double distribution(size_t i);
static distribution *const distributions[] = {
    like_losses,           cancelling,       any_exponent,     float_exponents,
    with_outliers,         subnormals,       float_subnormals, huge_and_tiny,
    near_the_top,          mostly_zeros,     late_outlier,     equal,
    at_the_range_of_a_run, filling_one_limb, filling_a_run,    filling_the_second_part,
};
#define DISTRIBUTIONS (sizeof distributions / sizeof distributions[0])

static double f64[MAX_N];
static float f32[MAX_N];
static double f32_widened[MAX_N];

static void fill(distribution *d, size_t n)
{
    random_state = 88172645463325252u + n;
    for (size_t i = 0; i < n; i++) {
        f64[i] = d(i);
        float narrow = (float)f64[i];
        f32[i] = isinf(narrow) ? (float)(f64[i] * 0x1p-900) : narrow;
        f32_widened[i] = f32[i];
    }
}

/* The reference. */

static mpfr_t exact, exact_by, quotient;

static int set_up(void **state)
{
    (void)state;
    mpfr_inits2(EXACT_BITS, exact, exact_by, quotient, (mpfr_ptr)0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mpfr_clears(exact, exact_by, quotient, (mpfr_ptr)0);
    mpfr_free_cache();
    return 0;
}

static void add_exactly(mpfr_t sum, const double *x, size_t n)
{
    mpfr_set_zero(sum, 1);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(mpfr_add_d(sum, sum, x[i], MPFR_RNDN), 0);
    }
}

static double nearest(mpfr_t value)
{
    double x = mpfr_get_d(value, MPFR_RNDN);
    return x == 0 && mpfr_zero_p(value) ? 0.0 : x;
}

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void assert_same(double got, double want)
{
    if (isnan(want)) {
        assert_true(isnan(got));
        return;
    }
    if (bits_of(got) != bits_of(want)) {
        fail_msg("got %a, want %a", got, want);
    }
}

static void store(const struct loss_sum *s, unsigned char bytes[LOSS_SUM_BYTES])
{
    memset(bytes, 0xa5, LOSS_SUM_BYTES);
    loss_sum_store(s, bytes);
}

static void assert_equal_sums(const struct loss_sum *a, const struct loss_sum *b)
{
    unsigned char x[LOSS_SUM_BYTES], y[LOSS_SUM_BYTES];
    store(a, x);
    store(b, y);
    assert_memory_equal(x, y, LOSS_SUM_BYTES);
}

static void sum_of(struct loss_sum *s, const double *x, size_t n)
{
    loss_sum_init(s);
    loss_sum_add_f64(s, x, n);
}

static void sum_one_by_one(struct loss_sum *s, const double *x, size_t n)
{
    loss_sum_init(s);
    for (size_t i = 0; i < n; i++) {
        loss_sum_add(s, x[i]);
    }
}

/* Adding. */

static void test_sum__is_the_nearest_double_to_the_true_sum(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 2, 5, 16, 17, 31, 100, 511, 513, 4096, 5999};
    for (size_t d = 0; d < DISTRIBUTIONS; d++) {
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
            size_t n = lengths[k];
            fill(distributions[d], n);
            struct loss_sum s;
            sum_of(&s, f64, n);
            add_exactly(exact, f64, n);
            assert_same(loss_sum_round(&s), nearest(exact));

            loss_sum_init(&s);
            loss_sum_add_f32(&s, f32, n);
            add_exactly(exact, f32_widened, n);
            assert_same(loss_sum_round(&s), nearest(exact));
        }
    }
}

static void test_sum__has_the_same_state_on_every_instruction_set(void **state)
{
    (void)state;
    const char *before = loss_isa();
    for (size_t d = 0; d < DISTRIBUTIONS; d++) {
        for (size_t n = 17; n < MAX_N; n += n / 2) {
            fill(distributions[d], n);
            struct loss_sum wide_one_by_one, one_by_one, s;
            sum_one_by_one(&wide_one_by_one, f64, n);
            sum_one_by_one(&one_by_one, f32_widened, n);
            for (size_t i = 0; i < ISAS; i++) {
                if (loss_isa_select(isas[i])) {
                    sum_of(&s, f64, n);
                    assert_equal_sums(&s, &wide_one_by_one);
                    loss_sum_init(&s);
                    loss_sum_add_f32(&s, f32, n);
                    assert_equal_sums(&s, &one_by_one);
                }
            }
        }
    }
    assert_true(loss_isa_select(before));
}

static void test_sum__does_not_depend_on_order_or_split(void **state)
{
    (void)state;
    for (size_t d = 0; d < DISTRIBUTIONS; d++) {
        fill(distributions[d], MAX_N);
        struct loss_sum whole, merged, part;
        sum_of(&whole, f64, MAX_N);
        for (size_t i = MAX_N - 1; i > 0; i--) {
            size_t j = random_bits() % (i + 1);
            double swap = f64[i];
            f64[i] = f64[j];
            f64[j] = swap;
        }
        loss_sum_init(&merged);
        for (size_t end = MAX_N; end > 0;) { /* pieces of any length, last first */
            size_t n = random_bits() % 1500 + 1;
            n = n > end ? end : n;
            sum_of(&part, f64 + end - n, n);
            loss_sum_merge(&merged, &part);
            end -= n;
        }
        assert_equal_sums(&whole, &merged);
        assert_same(loss_sum_round(&whole), loss_sum_round(&merged));
    }
}

static void test_sum__of_nothing_or_zeros_is_plus_zero(void **state)
{
    (void)state;
    struct loss_sum s, zeros, cancelled;
    loss_sum_init(&s);
    assert_same(loss_sum_round(&s), 0.0);
    assert_same(loss_sum_divide(&s, 3), 0.0);
    loss_sum_init(&zeros);
    for (int i = 0; i < 50; i++) {
        loss_sum_add(&zeros, -0.0);
    }
    assert_same(loss_sum_round(&zeros), 0.0);
    loss_sum_init(&cancelled);
    loss_sum_add(&cancelled, -1e300);
    loss_sum_add(&cancelled, 5e-324);
    loss_sum_add(&cancelled, 1e300);
    loss_sum_add(&cancelled, -5e-324);
    assert_same(loss_sum_round(&cancelled), 0.0);
    assert_same(loss_sum_divide(&cancelled, 7), 0.0);
    assert_equal_sums(&s, &zeros);
    assert_equal_sums(&s, &cancelled);
}

static void test_sum__rounds_half_to_even(void **state)
{
    (void)state;
    static const struct {
        double x[3], want;
    } cases[] = {
        {{1, 0x1p-53, 0}, 1},
        {{1, 0x1p-53, 5e-324}, 1 + 0x1p-52},
        {{1, 0x1p-53, -5e-324}, 1},
        {{1 + 0x1p-52, 0x1p-53, 0}, 1 + 0x1p-51},
        {{-1, -0x1p-53, -5e-324}, -1 - 0x1p-52},
        {{1, -0x1p-54, 0}, 1},
        {{1, -0x1p-54, -5e-324}, 1 - 0x1p-53},
        {{DBL_MAX, 0x1p969, 0}, DBL_MAX},
        {{DBL_MAX, 0x1p970, 0}, (double)INFINITY},
        {{DBL_MAX, 0x1p970, -5e-324}, DBL_MAX},
        {{-DBL_MAX, -0x1p970, 0}, -(double)INFINITY},
        {{DBL_MIN, -5e-324, 0}, DBL_MIN - 5e-324},
        {{5e-324, 5e-324, 5e-324}, 15e-324},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loss_sum s;
        sum_of(&s, cases[i].x, 3);
        assert_same(loss_sum_round(&s), cases[i].want);
    }
}

static void test_sum__may_overflow_where_its_mean_does_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < MAX_N; i++) {
        f64[i] = DBL_MAX;
    }
    struct loss_sum s;
    sum_of(&s, f64, MAX_N);
    assert_same(loss_sum_round(&s), (double)INFINITY);
    assert_same(loss_sum_divide(&s, MAX_N), DBL_MAX);
    assert_same(loss_sum_divide(&s, MAX_N + 1), DBL_MAX / (MAX_N + 1) * MAX_N);
    loss_sum_scale(&s, UINT64_MAX / MAX_N);
    loss_sum_add(&s, -DBL_MAX);
    assert_same(loss_sum_divide(&s, UINT64_MAX / MAX_N * MAX_N - 1), DBL_MAX);
}

static void test_sum__counts_what_is_not_finite(void **state)
{
    (void)state;
    const double inf = (double)INFINITY, nan = (double)NAN;
    static const size_t lengths[] = {3, 40, 2000};
    for (size_t k = 0; k < 3; k++) {
        size_t n = lengths[k];
        fill(like_losses, n);
        struct loss_sum s;
        f64[n / 2] = inf;
        sum_of(&s, f64, n);
        assert_same(loss_sum_round(&s), inf);
        assert_same(loss_sum_divide(&s, 3), inf);
        assert_int_equal(s.plus_infinity, 1);
        f64[n - 1] = -inf;
        sum_of(&s, f64, n);
        assert_same(loss_sum_round(&s), nan);
        f64[n / 2] = 1;
        sum_of(&s, f64, n);
        assert_same(loss_sum_round(&s), -inf);
        f64[n / 2] = nan;
        sum_of(&s, f64, n);
        assert_same(loss_sum_round(&s), nan);
        assert_int_equal(s.nan, 1);
        for (size_t i = 0; i < n; i++) {
            f32[i] = i % 2 ? -(float)NAN : (float)INFINITY;
        }
        loss_sum_init(&s);
        loss_sum_add_f32(&s, f32, n);
        assert_int_equal(s.nan, n / 2);
        assert_int_equal(s.plus_infinity, n - n / 2);
    }
}

static void test_sum__survives_as_many_additions_as_a_limb_has_room_for(void **state)
{
    (void)state;
    struct loss_sum s, t;
    loss_sum_init(&s);
    loss_sum_add(&s, DBL_MAX);
    loss_sum_add(&s, 0x1.fffffffffffffp0);
    for (int i = 0; i < 70; i++) { /* doubling by merging: 2^70 times */
        t = s;
        loss_sum_merge(&s, &t);
    }
    assert_same(loss_sum_round(&s), (double)INFINITY);
    loss_sum_init(&t);
    loss_sum_add(&t, -DBL_MAX);
    loss_sum_scale(&t, UINT64_C(1) << 35);
    loss_sum_scale(&t, UINT64_C(1) << 35);
    loss_sum_merge(&s, &t);
    assert_same(loss_sum_round(&s), 0x1.fffffffffffffp70);
}

/* Scaling and dividing. */

static void test_sum_scale__equals_adding_again_and_again(void **state)
{
    (void)state;
    for (size_t d = 0; d < DISTRIBUTIONS; d++) {
        fill(distributions[d], 100);
        struct loss_sum s, repeated;
        sum_of(&s, f64, 100);
        loss_sum_init(&repeated);
        for (int i = 0; i < 37; i++) {
            loss_sum_merge(&repeated, &s);
        }
        loss_sum_scale(&s, 37);
        assert_equal_sums(&s, &repeated);
    }
}

static void test_sum_scale__is_exact_for_large_factors(void **state)
{
    (void)state;
    for (size_t d = 0; d < DISTRIBUTIONS; d++) {
        for (int k = 0; k < 20; k++) {
            fill(distributions[d], 30);
            uint64_t times = random_bits() >> (random_bits() & 63);
            struct loss_sum s;
            sum_of(&s, f64, 30);
            loss_sum_scale(&s, times);
            add_exactly(exact, f64, 30);
            mpfr_mul_ui(exact, exact, times, MPFR_RNDN);
            assert_same(loss_sum_round(&s), nearest(exact));
        }
    }
}

static void test_sum_scale__by_zero_clears_all(void **state)
{
    (void)state;
    struct loss_sum s, fresh;
    loss_sum_init(&fresh);
    sum_of(&s, (const double[]){1e300, (double)NAN, -(double)INFINITY}, 3);
    loss_sum_scale(&s, 0);
    assert_equal_sums(&s, &fresh);
    assert_same(loss_sum_round(&s), 0.0);
}

static void test_sum_scale__becomes_infinite_beyond_its_range(void **state)
{
    (void)state;
    struct loss_sum s;
    sum_of(&s, (const double[]){-DBL_MAX}, 1);
    for (int i = 0; i < 5; i++) {
        loss_sum_scale(&s, UINT64_MAX);
    }
    assert_same(loss_sum_round(&s), -(double)INFINITY);
    assert_same(loss_sum_divide(&s, UINT64_MAX), -(double)INFINITY);
    unsigned char bytes[LOSS_SUM_BYTES];
    store(&s, bytes);
    assert_int_equal(loss_sum_load(&s, bytes), 0);
}

static void test_sum_divide__rounds_once(void **state)
{
    (void)state;
    for (size_t d = 0; d < DISTRIBUTIONS; d++) {
        for (int k = 0; k < 40; k++) {
            size_t n = random_bits() % 40 + 1;
            fill(distributions[d], n);
            uint64_t divisor = (random_bits() >> (random_bits() & 63)) + 1;
            divisor = divisor == 0 ? 1 : k == 0 ? n : divisor;
            struct loss_sum s;
            sum_of(&s, f64, n);
            add_exactly(exact, f64, n);
            mpfr_div_ui(quotient, exact, divisor, MPFR_RNDN);
            assert_same(loss_sum_divide(&s, divisor), nearest(quotient));
        }
    }
}

static void test_sum_divide__by_zero_is_zero(void **state)
{
    (void)state;
    struct loss_sum s;
    sum_of(&s, (const double[]){1, (double)INFINITY}, 2);
    assert_same(loss_sum_divide(&s, 0), 0.0);
}

static void test_sum_ratio__rounds_once(void **state)
{
    (void)state;
    static double by[40];
    for (size_t d = 0; d < DISTRIBUTIONS; d++) {
        for (size_t e = 0; e < DISTRIBUTIONS; e++) {
            size_t m = random_bits() % 40 + 1, n = random_bits() % 40 + 1;
            fill(distributions[e], m);
            memcpy(by, f64, sizeof by);
            fill(distributions[d], n);
            struct loss_sum s, t;
            sum_of(&s, f64, n);
            sum_of(&t, by, m);
            add_exactly(exact, f64, n);
            add_exactly(exact_by, by, m);
            if (mpfr_zero_p(exact_by)) {
                mpfr_set_zero(quotient, 1);
            } else {
                mpfr_div(quotient, exact, exact_by, MPFR_RNDN);
            }
            assert_same(loss_sum_ratio(&s, &t), nearest(quotient));
        }
    }
}

/* x*y*2^exponent in three exact parts; x has 26 bits, y 53 and perhaps a half. */
static void product_parts(double x, double y, double half, int exponent, double part[3])
{
    double high = floor(y * 0x1p-27), low = y - high * 0x1p27;
    part[0] = ldexp(x * high, exponent + 27);
    part[1] = ldexp(x * low, exponent);
    part[2] = ldexp(x * half, exponent);
}

/* Quotients that are doubles, halfway between two, or a hair off: where a lost sticky bit or a wrong digit shows. */
static void test_sum_ratio__decides_ties(void **state)
{
    (void)state;
    static const double hairs[] = {0, 0x1p-900, -0x1p-900};
    random_state = 1;
    for (int k = 0; k < 6000; k++) {
        double by[2] = {1 + (double)(random_bits() >> 38), k % 7 < 4 ? 0 : (double)(random_bits() >> 38)};
        double q = (double)(random_bits() >> 11 | UINT64_C(1) << 52), half = k % 2 ? 0.5 : 0;
        int exponent = (int)(random_bits() % 100) - 50, below = 30 + (int)(random_bits() % 200);
        double sum[7]; /* q times both, exactly */
        product_parts(by[0], q, half, exponent, sum);
        product_parts(by[1], q, half, exponent - below, sum + 3);
        sum[6] = hairs[k % 3];
        by[1] = ldexp(by[1], -below);
        struct loss_sum s, t;
        sum_of(&s, sum, 7);
        sum_of(&t, by, 2);
        add_exactly(exact, sum, 7);
        add_exactly(exact_by, by, 2);
        mpfr_div(quotient, exact, exact_by, MPFR_RNDN);
        double got = loss_sum_ratio(&s, &t);
        assert_same(got, nearest(quotient));
        if (sum[6] == 0 && half == 0) {
            assert_same(got, ldexp(q, exponent));
        }
    }
}

/* The same among the subnormals, where fewer bits are kept. */
static void test_sum_divide__decides_ties_of_subnormals(void **state)
{
    (void)state;
    random_state = 2;
    for (int k = 0; k < 3000; k++) {
        uint64_t divisor = UINT64_C(1) << (1 + random_bits() % 60);
        double x = ldexp((double)(random_bits() >> (11 + random_bits() % 50)), -1074 + (int)(random_bits() % 8));
        double parts[2] = {x, k % 3 == 0 ? 0 : k % 3 == 1 ? 5e-324 : -5e-324};
        struct loss_sum s;
        sum_of(&s, parts, 2);
        add_exactly(exact, parts, 2);
        mpfr_div_ui(quotient, exact, divisor, MPFR_RNDN);
        assert_same(loss_sum_divide(&s, divisor), nearest(quotient));
    }
}

static void test_sum_ratio__follows_ieee_where_parts_are_not_finite(void **state)
{
    (void)state;
    const double inf = (double)INFINITY, nan = (double)NAN, parts[] = {0.0, 3, -2, inf, -inf, nan};
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = 0; j < 6; j++) {
            struct loss_sum s, t;
            sum_of(&s, parts + i, 1);
            sum_of(&t, parts + j, 1);
            bool zero = parts[j] == 0 || (parts[i] == 0 && isfinite(parts[j])); /* which has no sign */
            assert_same(loss_sum_ratio(&s, &t), zero ? 0.0 : parts[i] / parts[j]);
        }
    }
    struct loss_sum infinite, beyond;
    sum_of(&infinite, &inf, 1);
    sum_of(&beyond, (const double[]){DBL_MAX, DBL_MAX}, 2); /* finite, though no double holds it */
    assert_same(loss_sum_ratio(&infinite, &beyond), inf);
    assert_same(loss_sum_ratio(&beyond, &infinite), 0.0);
    assert_same(loss_sum_ratio(&beyond, &beyond), 1.0);
}

/* Totals know weights that come to the number of losses; it must not show. */
static void test_totals__are_the_same_by_whole_weights_and_by_others(void **state)
{
    (void)state;
    const double inf = (double)INFINITY, nan = (double)NAN;
    const struct {
        double w[3];
        uint64_t n;
    } cases[] = {{{0}, 0},
                 {{5e-324}, 0},
                 {{1}, 1},
                 {{0.5, 1.5, 3}, 5},
                 {{7, -2}, 5},
                 {{-5}, 5},
                 {{5, 0x1p-900}, 5},
                 {{5, -0x1p-900}, 5},
                 {{5, -0x1p-30}, 5},
                 {{5, 0x1p800}, 5},
                 {{0x1p53, 1}, (UINT64_C(1) << 53) + 1},
                 {{0x1p63}, UINT64_C(1) << 63},
                 {{0x1p64, -1}, UINT64_MAX},
                 {{0x1p64}, UINT64_MAX},
                 {{0x1p64}, 0},
                 {{0x1p78, 1}, 1},
                 {{inf}, 1},
                 {{nan}, 5}};
    const double sums[][2] = {{0}, {3, 0x1p-60}, {-7}, {5, 5 * 0x1p-53}, {0x1p53 + 2, 1}, {inf}, {-inf}, {nan}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t j = 0; j < sizeof sums / sizeof sums[0]; j++) {
            struct loss_sum s, w;
            struct loss_totals totals;
            sum_of(&s, sums[j], 2);
            sum_of(&w, cases[i].w, 3);
            for (int normal = 0; normal < 2; normal++) {
                loss_totals_from(&totals, &s, &w, cases[i].n, cases[i].n, cases[i].n);
                assert_same(totals.mean, loss_sum_ratio(&s, &w));
                assert_same(totals.weight_sum, loss_sum_round(&w));
                loss_sum_scale(&w, 1);
            }
        }
    }
}

/* Storing. */

static void test_sum_store__brings_back_the_same_sum(void **state)
{
    (void)state;
    unsigned char bytes[LOSS_SUM_BYTES], again[LOSS_SUM_BYTES];
    for (size_t d = 0; d < DISTRIBUTIONS; d++) {
        for (size_t n = 0; n < 300; n = 2 * n + 1) {
            fill(distributions[d], n);
            struct loss_sum s, loaded, more;
            sum_of(&s, f64, n);
            loss_sum_add(&s, d % 3 == 0 ? (double)NAN : 1.0);
            store(&s, bytes);
            assert_int_equal(loss_sum_load(&loaded, bytes), 0);
            store(&loaded, again);
            assert_memory_equal(bytes, again, sizeof bytes);
            assert_same(loss_sum_round(&loaded), loss_sum_round(&s));
            more = s;
            loss_sum_add_f64(&more, f64, n);
            loss_sum_add_f64(&loaded, f64, n);
            assert_equal_sums(&loaded, &more);
        }
    }
}

static void test_sum_store__is_the_same_for_equal_sums(void **state)
{
    (void)state;
    static const double a[] = {3, 0, 0}, b[] = {1e200, 3, -1e200}, c[] = {-1, 5, -1}, d[] = {4, -5e-324, -1};
    struct loss_sum x, y, z, w;
    sum_of(&x, a, 3);
    sum_of(&y, b, 3);
    sum_of(&z, c, 3);
    sum_of(&w, d, 3);
    loss_sum_add(&w, 5e-324);
    assert_equal_sums(&x, &y);
    assert_equal_sums(&x, &z);
    assert_equal_sums(&x, &w);
}

static void test_sum_load__refuses_what_store_cannot_have_written(void **state)
{
    (void)state;
    unsigned char bytes[LOSS_SUM_BYTES];
    struct loss_sum s;
    sum_of(&s, (const double[]){1.5}, 1);
    store(&s, bytes);
    for (size_t i = 4 * LOSS_SUM_LIMBS; i < 4 * LOSS_SUM_LIMBS + 8; i++) {
        bytes[i] ^= 1;
        assert_int_equal(loss_sum_load(&s, bytes), -1);
        bytes[i] ^= 1;
    }
    for (int top = 0; top < 256; top++) {
        bytes[4 * LOSS_SUM_LIMBS - 1] = (unsigned char)top;
        assert_int_equal(loss_sum_load(&s, bytes), top < 0x40 || top >= 0xc0 ? 0 : -1);
    }
}

static void test_isa__is_one_of_the_known_and_can_be_chosen(void **state)
{
    (void)state;
    const char *before = loss_isa();
    int found = 0;
    for (size_t i = 0; i < ISAS; i++) {
        found += strcmp(before, isas[i]) == 0;
    }
    assert_int_equal(found, 1);
    assert_false(loss_isa_select("x86-64-v9"));
    assert_string_equal(loss_isa(), before);
    assert_true(loss_isa_select("baseline"));
    assert_string_equal(loss_isa(), "baseline");
    assert_true(loss_isa_select(before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum__is_the_nearest_double_to_the_true_sum),
        cmocka_unit_test(test_sum__has_the_same_state_on_every_instruction_set),
        cmocka_unit_test(test_sum__does_not_depend_on_order_or_split),
        cmocka_unit_test(test_sum__of_nothing_or_zeros_is_plus_zero),
        cmocka_unit_test(test_sum__rounds_half_to_even),
        cmocka_unit_test(test_sum__may_overflow_where_its_mean_does_not),
        cmocka_unit_test(test_sum__counts_what_is_not_finite),
        cmocka_unit_test(test_sum__survives_as_many_additions_as_a_limb_has_room_for),
        cmocka_unit_test(test_sum_scale__equals_adding_again_and_again),
        cmocka_unit_test(test_sum_scale__is_exact_for_large_factors),
        cmocka_unit_test(test_sum_scale__by_zero_clears_all),
        cmocka_unit_test(test_sum_scale__becomes_infinite_beyond_its_range),
        cmocka_unit_test(test_sum_divide__rounds_once),
        cmocka_unit_test(test_sum_divide__by_zero_is_zero),
        cmocka_unit_test(test_sum_ratio__rounds_once),
        cmocka_unit_test(test_sum_ratio__decides_ties),
        cmocka_unit_test(test_sum_divide__decides_ties_of_subnormals),
        cmocka_unit_test(test_sum_ratio__follows_ieee_where_parts_are_not_finite),
        cmocka_unit_test(test_totals__are_the_same_by_whole_weights_and_by_others),
        cmocka_unit_test(test_sum_store__brings_back_the_same_sum),
        cmocka_unit_test(test_sum_store__is_the_same_for_equal_sums),
        cmocka_unit_test(test_sum_load__refuses_what_store_cannot_have_written),
        cmocka_unit_test(test_isa__is_one_of_the_known_and_can_be_chosen),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
