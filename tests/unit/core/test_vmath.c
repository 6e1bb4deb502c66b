/* SPDX-License-Identifier: Apache-2.0
 *
 * test_vmath.c - the vector functions against MPFR, and the same bits in every build of a loop over them.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <mpfr.h>

#include <loss/compute.h>
#include <support/random.h>

#include "vmath_ratio.h"

#define REFERENCE_BITS 200
#define SAMPLES 20000

static uint64_t random_bits(void)
{
    return random_step() * UINT64_C(2685821657736338717);
}

static double random_between(double low, double high)
{
    return low + (high - low) * ((double)(random_bits() >> 11) * 0x1p-53);
}

/* Accuracy. */

typedef double function(double x);
typedef int reference(mpfr_t y, const mpfr_t x, mpfr_rnd_t rounding);

static double sigmoid(double z)
{
    double complement;
    return vm_sigmoid(z, &complement);
}

static double sigmoid_complement(double z)
{
    double complement;
    vm_sigmoid(z, &complement);
    return complement;
}

static double exp_function(double x)
{
    return vm_exp(x);
}

static double log_function(double x)
{
    return vm_log(x);
}

static double log1p_function(double x)
{
    return vm_log1p(x);
}

static double expm1_function(double x)
{
    return vm_expm1(x);
}

static double softplus_tail(double a)
{
    return vm_softplus_tail(a);
}

static int softplus_tail_reference(mpfr_t y, const mpfr_t a, mpfr_rnd_t rounding)
{
    mpfr_neg(y, a, rounding);
    mpfr_exp(y, y, rounding);
    return mpfr_log1p(y, y, rounding);
}

/* 1/(1 + exp(z)) */
static int complement_reference(mpfr_t y, const mpfr_t z, mpfr_rnd_t rounding)
{
    mpfr_exp(y, z, rounding);
    mpfr_add_ui(y, y, 1, rounding);
    return mpfr_ui_div(y, 1, y, rounding);
}

static int sigmoid_reference(mpfr_t y, const mpfr_t z, mpfr_rnd_t rounding)
{
    mpfr_neg(y, z, rounding);
    return complement_reference(y, y, rounding);
}

static mpfr_t argument, truth, distance;

static int set_up(void **state)
{
    (void)state;
    mpfr_init2(argument, 53);
    mpfr_inits2(REFERENCE_BITS, truth, distance, (mpfr_ptr)0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mpfr_clears(argument, truth, distance, (mpfr_ptr)0);
    mpfr_free_cache();
    return 0;
}

/* How far `got` is from `truth`, in units of the last place of the nearest double. */
static double ulp_error(double got)
{
    double nearest = mpfr_get_d(truth, MPFR_RNDN);
    if (isnan(nearest) || isinf(nearest) || isnan(got) || isinf(got)) {
        return got == nearest || (isnan(got) && isnan(nearest)) ? 0 : HUGE_VAL;
    }
    int exponent = nearest == 0 ? -1022 : ilogb(nearest);
    exponent = exponent < -1022 ? -1022 : exponent;
    mpfr_sub_d(distance, truth, got, MPFR_RNDN);
    mpfr_mul_2si(distance, distance, 52 - exponent, MPFR_RNDN);
    return fabs(mpfr_get_d(distance, MPFR_RNDN));
}

static void assert_close(function *f, reference *r, double x, double ulp)
{
    mpfr_set_d(argument, x, MPFR_RNDN);
    r(truth, argument, MPFR_RNDN);
    double got = f(x), error = ulp_error(got);
    if (error > ulp) {
        fail_msg("at %a got %a, which is %g ulp off", x, got, error);
    }
}

static void assert_close_between(function *f, reference *r, double low, double high, double ulp)
{
    for (int i = 0; i < SAMPLES; i++) {
        assert_close(f, r, random_between(low, high), ulp);
    }
}

/* Magnitudes from 2^low to 2^high, each exponent as likely. */
static void assert_close_over_exponents(function *f, reference *r, int sign, double low, double high, double ulp)
{
    for (int i = 0; i < SAMPLES; i++) {
        double exponent = random_between(low, high);
        assert_close(f, r, sign * ldexp(random_between(1, 2), (int)floor(exponent)), ulp);
    }
}

static void test_exp__is_close_from_subnormals_to_overflow(void **state)
{
    (void)state;
    assert_close_between(exp_function, mpfr_exp, -0.5, 0.5, 0.65);
    assert_close_between(exp_function, mpfr_exp, -708, 709.78, 0.75);
    assert_close_between(exp_function, mpfr_exp, -746, -707, 0.8);
    assert_close_between(exp_function, mpfr_exp, 709.7, 709.79, 0.75);
    assert_close_over_exponents(exp_function, mpfr_exp, 1, -1074, 9, 0.75);
    assert_close_over_exponents(exp_function, mpfr_exp, -1, -1074, 9, 0.75);
}

static void test_exp__keeps_what_rounding_took_from_the_argument(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        double x = random_between(-700, 700), most = random_between(-700, 700), low;
        double high = vm_two_diff(x, most, &low);
        mpfr_set_d(truth, x, MPFR_RNDN);
        mpfr_sub_d(truth, truth, most, MPFR_RNDN);
        mpfr_exp(truth, truth, MPFR_RNDN);
        assert_true(ulp_error(vm_exp_hilo(high, low)) <= 0.8);
    }
}

static void test_exp__ignores_the_rest_of_what_is_not_finite(void **state)
{
    (void)state;
    const double inf = (double)INFINITY, nan = (double)NAN, rests[] = {0, 1, -1e300, inf, -inf, nan};
    for (size_t i = 0; i < 6; i++) {
        assert_true(vm_exp_hilo(-inf, rests[i]) == 0);
        assert_true(vm_exp_hilo(inf, rests[i]) == inf);
        assert_true(vm_exp_hilo(-1e300, rests[i]) == 0);
        assert_true(vm_exp_hilo(1e300, rests[i]) == inf);
        assert_true(isnan(vm_exp_hilo(nan, rests[i])));
    }
}

static void test_expm1__is_close_however_small_or_large_its_argument(void **state)
{
    (void)state;
    assert_close_between(expm1_function, mpfr_expm1, -0.5, 0.5, 1.2);
    assert_close_between(expm1_function, mpfr_expm1, -3, 3, 1.2);
    assert_close_between(expm1_function, mpfr_expm1, -60, 60, 1.2);
    assert_close_between(expm1_function, mpfr_expm1, -746, 709.78, 1.2);
    assert_close_over_exponents(expm1_function, mpfr_expm1, 1, -1074, 9, 1.2);
    assert_close_over_exponents(expm1_function, mpfr_expm1, -1, -1074, 9, 1.2);
    assert_true(vm_expm1((double)INFINITY) == (double)INFINITY && vm_expm1(-(double)INFINITY) == -1);
    assert_true(isnan(vm_expm1((double)NAN)) && signbit(vm_expm1(-0.0)));
}

static int expm1_less_reference(mpfr_t y, const mpfr_t x, mpfr_rnd_t rounding)
{
    mpfr_t wide; /* of which the first 500 bits cancel */
    mpfr_init2(wide, REFERENCE_BITS + 500);
    mpfr_expm1(wide, x, rounding);
    int inexact = mpfr_sub(y, wide, x, rounding);
    mpfr_clear(wide);
    return inexact;
}

static double expm1_less(double x)
{
    double less;
    vm_expm1_less(x, &less);
    return less;
}

static void test_expm1__less_its_argument_is_close_where_they_cancel(void **state)
{
    (void)state;
    assert_close_between(expm1_less, expm1_less_reference, -0.34, 0.34, 4);
    assert_close_over_exponents(expm1_less, expm1_less_reference, 1, -500, -2, 4);
    assert_close_over_exponents(expm1_less, expm1_less_reference, -1, -500, -2, 4);
    assert_close_between(expm1_less, expm1_less_reference, 0.34, 700, 12);
    assert_true(vm_expm1_less(0.25, &(double){0}) == vm_expm1(0.25));
    assert_true(isnan(expm1_less((double)NAN)) && expm1_less((double)INFINITY) != 0);
}

/* x log(x/y) - (x - y) against the truth. */
static void assert_ratio_close(double x, double y, double of_log, double of_bracket)
{
    double bracket, log = vm_log_ratio(x, y, x - y, &bracket);
    mpfr_t ratio;
    mpfr_init2(ratio, REFERENCE_BITS);
    mpfr_set_d(ratio, x, MPFR_RNDN);
    mpfr_div_d(ratio, ratio, y, MPFR_RNDN);
    mpfr_log(ratio, ratio, MPFR_RNDN);
    mpfr_set(truth, ratio, MPFR_RNDN);
    double log_error = ulp_error(log);
    mpfr_mul_d(truth, ratio, x, MPFR_RNDN);
    mpfr_sub_d(truth, truth, x, MPFR_RNDN);
    mpfr_add_d(truth, truth, y, MPFR_RNDN);
    double bracket_error = ulp_error(bracket);
    mpfr_clear(ratio);
    if (log_error > of_log || bracket_error > of_bracket) {
        fail_msg("at %a and %a the logarithm is %g ulp off, the bracket %g", x, y, log_error, bracket_error);
    }
}

static void test_log_ratio__is_close_where_its_arguments_are(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        double y = ldexp(random_between(1, 2), (int)random_between(-450, 450));
        double near = y * (1 + ldexp(random_between(-1, 1), (int)random_between(-40, -2)));
        assert_ratio_close(near, y, 2.5, 9);
        assert_ratio_close(nextafter(y, 2 * y), y, 2.5, 9);
        assert_ratio_close(random_between(0.2, 5) * y, y, 3, 24);
        assert_ratio_close(random_between(0, 1), random_between(0, 1), 3, 24);
        assert_ratio_close(ldexp(random_between(1, 2), (int)random_between(-1074, 0)), random_between(0, 1), 3, 24);
        assert_ratio_close(random_between(0, 1), ldexp(random_between(1, 2), (int)random_between(-1074, 0)), 3, 24);
    }
}

static void test_log_ratio__knows_its_borders(void **state)
{
    (void)state;
    const double inf = (double)INFINITY, nan = (double)NAN;
    double bracket;
    assert_true(vm_log_ratio(0, 0.5, -0.5, &bracket) == -inf && bracket == 0.5);
    assert_true(vm_log_ratio(0, 0, 0, &bracket) == -inf && bracket == 0);
    assert_true(vm_log_ratio(0, -0.5, 0.5, &bracket) == -inf && bracket == -0.5);
    assert_true(vm_log_ratio(0.5, 0, 0.5, &bracket) == inf && bracket == inf);
    assert_true(vm_log_ratio(0.5, 0.5, 0, &bracket) == 0 && bracket == 0);
    const double bad[][2] = {{-0.5, 0.5}, {0.5, -0.5}, {-0.5, -0.5}, {nan, 0.5}, {0.5, nan}, {0, nan}, {nan, nan}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(isnan(vm_log_ratio(bad[i][0], bad[i][1], bad[i][0] - bad[i][1], &bracket)) && isnan(bracket));
    }
}

static void assert_bracket_brief_close(double x, double y)
{
    double ratio, got = vm_bracket_brief(x, y, &ratio);
    mpfr_t exact;
    mpfr_init2(exact, REFERENCE_BITS);
    mpfr_set_d(exact, x, MPFR_RNDN);
    mpfr_div_d(exact, exact, y, MPFR_RNDN);
    mpfr_set(truth, exact, MPFR_RNDN);
    double of_ratio = ulp_error(ratio);
    mpfr_log(exact, exact, MPFR_RNDN);
    mpfr_mul_d(truth, exact, x, MPFR_RNDN);
    mpfr_sub_d(truth, truth, x, MPFR_RNDN);
    mpfr_add_d(truth, truth, y, MPFR_RNDN);
    mpfr_sub_d(exact, truth, got, MPFR_RNDN);
    mpfr_div(exact, exact, truth, MPFR_RNDN);
    double off = fabs(mpfr_get_d(exact, MPFR_RNDN));
    mpfr_clear(exact);
    if (!(off <= 0x1p-31) || of_ratio > 4) {
        fail_msg("at %a and %a the bracket is %g off, the ratio %g ulp", x, y, off, of_ratio);
    }
}

static void test_bracket_brief__is_good_enough_for_a_float(void **state)
{
    (void)state;
    double ratio;
    for (int i = 0; i < SAMPLES; i++) {
        double y = (double)(float)ldexp(random_between(1, 2), (int)random_between(-140, 120));
        double near = y * (1 + ldexp(random_between(-1, 1), (int)random_between(-24, -2)));
        assert_bracket_brief_close((double)nextafterf((float)y, INFINITY), y);
        assert_bracket_brief_close(near == y ? 2 * y : near, y);
        assert_bracket_brief_close(random_between(0.2, 5) * y, y);
        assert_bracket_brief_close((double)(float)ldexp(random_between(1, 2), (int)random_between(-148, 120)), y);
        assert_bracket_brief_close(ldexp(random_between(1, 2), (int)random_between(-500, 500)),
                                   ldexp(random_between(1, 2), (int)random_between(-500, 500)));
        assert_true(vm_bracket_brief(y, y, &ratio) == 0 && fabs(ratio - 1) < 0x1p-50);
    }
}

static void test_pow__is_one_for_exponent_zero_and_close_elsewhere(void **state)
{
    (void)state;
    assert_true(vm_pow(0, 0) == 1 && vm_pow(0, 0.5) == 0 && vm_pow(0, -1) == (double)INFINITY);
    assert_true(isnan(vm_pow(-1, 2)) && isnan(vm_pow((double)NAN, 0)));
    for (int i = 0; i < SAMPLES; i++) {
        double x = random_between(1e-3, 10), y = random_between(-3, 3);
        assert_true(fabs(vm_pow(x, y) / pow(x, y) - 1) <= 0x1p-52 * (2 + fabs(y * log(x))));
    }
}

static void test_log__is_close_over_all_positive_doubles(void **state)
{
    (void)state;
    assert_close_between(log_function, mpfr_log, 0.5, 2, 0.85);
    assert_close_between(log_function, mpfr_log, 0.99, 1.01, 0.85);
    assert_close_over_exponents(log_function, mpfr_log, 1, -1, 1, 0.85);
    assert_close_over_exponents(log_function, mpfr_log, 1, -1074, 1024, 0.85);
}

static void test_log1p__is_close_however_small_or_large_its_argument(void **state)
{
    (void)state;
    assert_close_between(log1p_function, mpfr_log1p, -1, 1, 0.85);
    assert_close_between(log1p_function, mpfr_log1p, -0.3, 0.5, 0.85);
    assert_close_over_exponents(log1p_function, mpfr_log1p, 1, -1074, 1024, 0.85);
    assert_close_over_exponents(log1p_function, mpfr_log1p, 1, -4, 62, 0.85);
    assert_close_over_exponents(log1p_function, mpfr_log1p, -1, -1074, 0, 0.85);
    assert_close_over_exponents(log1p_function, mpfr_log1p, -1, -4, 0, 0.85);
}

static void test_softplus_tail__is_close_down_to_the_subnormals(void **state)
{
    (void)state;
    assert_close_between(softplus_tail, softplus_tail_reference, 0, 2, 1.5);
    assert_close_between(softplus_tail, softplus_tail_reference, 0, 40, 1.5);
    assert_close_between(softplus_tail, softplus_tail_reference, 0, 746, 1.5);
    assert_close_over_exponents(softplus_tail, softplus_tail_reference, 1, -1074, 10, 1.5);
}

static void test_sigmoid__is_close_on_both_sides(void **state)
{
    (void)state;
    assert_close_between(sigmoid, sigmoid_reference, -10, 10, 2.3);
    assert_close_between(sigmoid, sigmoid_reference, -740, 740, 2.3);
    assert_close_between(sigmoid_complement, complement_reference, -10, 10, 2.3);
    assert_close_between(sigmoid_complement, complement_reference, -740, 740, 2.3);
}

/* The brief ones: `got` within 2^-31.5 of `truth`, relative. */
static void assert_brief(double x, double got)
{
    mpfr_sub_d(distance, truth, got, MPFR_RNDN);
    mpfr_div(distance, distance, truth, MPFR_RNDN);
    double error = fabs(mpfr_get_d(distance, MPFR_RNDN));
    if (!(error <= 0x1.6ap-32)) {
        fail_msg("at %a got %a, which is %g off", x, got, error);
    }
}

static void test_brief__functions_are_good_enough_for_a_float(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        double x = i % 2 ? random_between(-5, 5) : random_between(-700, 700), complement, tail;
        x = (double)(float)x;
        mpfr_set_d(argument, x, MPFR_RNDN);
        double got = vm_sigmoid_brief(x, &complement, &tail);
        sigmoid_reference(truth, argument, MPFR_RNDN);
        assert_brief(x, got);
        complement_reference(truth, argument, MPFR_RNDN);
        assert_brief(x, complement);
        mpfr_abs(argument, argument, MPFR_RNDN);
        mpfr_neg(truth, argument, MPFR_RNDN);
        mpfr_exp(truth, truth, MPFR_RNDN);
        assert_brief(x, vm_exp_brief(-fabs(x)));
        softplus_tail_reference(truth, argument, MPFR_RNDN);
        assert_brief(x, tail);
        double y = i % 4 ? ldexp(random_between(1, 2), (int)random_between(-1070, 1020)) : random_between(0.5, 2);
        mpfr_set_d(argument, y, MPFR_RNDN);
        mpfr_log(truth, argument, MPFR_RNDN);
        assert_brief(y, vm_log_brief(y));
        y = i % 4 ? -random_between(0, i % 2 ? 1 : 100) : -ldexp(random_between(1, 2), (int)random_between(-500, -1));
        mpfr_set_d(argument, y, MPFR_RNDN);
        mpfr_expm1(truth, argument, MPFR_RNDN);
        assert_brief(y, vm_expm1_brief(y));
        y = i % 4 ? random_between(-0.1715, 0.1715) : ldexp(random_between(1, 2), (int)random_between(-500, -4));
        mpfr_set_d(argument, y, MPFR_RNDN);
        mpfr_atanh(truth, argument, MPFR_RNDN);
        mpfr_mul_d(truth, truth, 2, MPFR_RNDN);
        assert_brief(y, vm_atanh2_brief(y));
    }
}

static void test_brief__functions_know_what_is_not_finite(void **state)
{
    (void)state;
    double complement, tail;
    assert_true(isnan(vm_sigmoid_brief((double)NAN, &complement, &tail)) && isnan(complement) && isnan(tail));
    assert_true(vm_sigmoid_brief((double)INFINITY, &complement, &tail) == 1 && complement < 1e-300 && tail < 1e-300);
    assert_true(vm_log_brief(0) == -(double)INFINITY && vm_log_brief((double)INFINITY) == (double)INFINITY);
    assert_true(isnan(vm_log_brief(-1)) && isnan(vm_log_brief((double)NAN)) && vm_log_brief(1) == 0);
    assert_true(isnan(vm_expm1_brief((double)NAN)) && vm_expm1_brief(-(double)INFINITY) == -1 &&
                vm_expm1_brief(0) == 0);
}

static void assert_value(double got, double want)
{
    if (isnan(want) ? !isnan(got) : vm_bits(got) != vm_bits(want)) {
        fail_msg("got %a, want %a", got, want);
    }
}

static void test_functions__are_exact_at_the_edges(void **state)
{
    (void)state;
    const double inf = (double)INFINITY, nan = (double)NAN, tiny = 5e-324;
    assert_value(vm_exp(0.0), 1);
    assert_value(vm_exp(-0.0), 1);
    assert_value(vm_exp(-inf), 0.0);
    assert_value(vm_exp(inf), inf);
    assert_value(vm_exp(-745.14), 0.0);
    assert_value(vm_exp(-745.13), tiny);
    assert_value(vm_exp(709.79), inf);
    assert_value(vm_exp(-DBL_MAX), 0.0);
    assert_value(vm_exp(nan), nan);
    assert_value(vm_log(1), 0.0);
    assert_value(vm_log(0.0), -inf);
    assert_value(vm_log(-0.0), -inf);
    assert_value(vm_log(-tiny), nan);
    assert_value(vm_log(-inf), nan);
    assert_value(vm_log(inf), inf);
    assert_value(vm_log(nan), nan);
    assert_value(vm_log1p(0.0), 0.0);
    assert_value(vm_log1p(-0.0), -0.0);
    assert_value(vm_log1p(tiny), tiny);
    assert_value(vm_log1p(-tiny), -tiny);
    assert_value(vm_log1p(-1), -inf);
    assert_value(vm_log1p(nextafter(-1, -2)), nan);
    assert_value(vm_log1p(-inf), nan);
    assert_value(vm_log1p(inf), inf);
    assert_value(vm_log1p(nan), nan);
    assert_value(vm_softplus_tail(inf), 0.0);
    assert_value(vm_softplus_tail(1e300), 0.0);
    assert_value(vm_softplus_tail(nan), nan);
    assert_value(sigmoid(inf), 1);
    assert_value(sigmoid(-inf), 0.0);
    assert_value(sigmoid_complement(inf), 0.0);
    assert_value(sigmoid(0.0), 0.5);
    assert_value(sigmoid(nan), nan);
    assert_value(sigmoid_complement(nan), nan);
    assert_value(vm_abs(-0.0), 0.0);
}

static void test_two_sum__loses_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        double a = ldexp(random_between(-1, 1), (int)(random_bits() % 1800) - 900);
        double b = ldexp(random_between(-1, 1), (int)(random_bits() % 120) - 60 + ilogb(a)), lost;
        double sum = vm_two_sum(a, b, &lost);
        mpfr_set_d(truth, a, MPFR_RNDN);
        mpfr_add_d(truth, truth, b, MPFR_RNDN);
        assert_value(sum, mpfr_get_d(truth, MPFR_RNDN));
        mpfr_sub_d(truth, truth, sum, MPFR_RNDN);
        assert_int_equal(mpfr_cmp_d(truth, lost), 0);
    }
}

static void test_two_prod__loses_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        double a = ldexp(random_between(-1, 1), (int)(random_bits() % 900) - 450);
        double b = ldexp(random_between(-1, 1), (int)(random_bits() % 900) - 450), lost;
        double product = vm_two_prod(a, b, &lost);
        mpfr_set_d(truth, a, MPFR_RNDN);
        mpfr_mul_d(truth, truth, b, MPFR_RNDN);
        assert_value(product, mpfr_get_d(truth, MPFR_RNDN));
        mpfr_sub_d(truth, truth, product, MPFR_RNDN);
        assert_int_equal(mpfr_cmp_d(truth, lost), 0);
    }
}

/* The same bits in every build. */

#define LANES 1024
#define OUTPUTS 7

static double x_in[LANES], low_in[LANES];

static double edge(size_t i)
{
    static const double edges[] = {0.0,      -0.0,   1,      -1,     5e-324,  -5e-324, DBL_MIN, DBL_MAX,
                                   -DBL_MAX, 0x1p60, 0x1p61, 709.79, -745.14, 746,     -746,    1e-300};
    return i < sizeof edges / sizeof edges[0] ? edges[i] : i % 2 ? (double)INFINITY : -(double)INFINITY;
}

static void fill(void)
{
    for (size_t i = 0; i < LANES; i++) {
        double wide = ldexp(random_between(-1, 1), (int)(random_bits() % 2100) - 1074);
        x_in[i] = i < 18 ? edge(i) : i % 3 == 0 ? wide : random_between(-60, 60);
        low_in[i] = x_in[i] * random_between(-0x1p-53, 0x1p-53);
    }
}

VM_INLINE double complement_inline(double z)
{
    double complement;
    vm_sigmoid(z, &complement);
    return complement;
}

/* A loop a function, as kernels have them. */
#define EACH(row, expression)                                                                                          \
    for (size_t i = 0; i < LANES; i++) {                                                                               \
        y[row * LANES + i] = expression;                                                                               \
    }
#define LOOP(name, attributes)                                                                                         \
    attributes static void name(const double *restrict x, const double *restrict low, double *restrict y)              \
    {                                                                                                                  \
        double ignored;                                                                                                \
        EACH(0, vm_exp_hilo(x[i], low[i]))                                                                             \
        EACH(1, vm_log(x[i]))                                                                                          \
        EACH(2, vm_log1p(x[i]))                                                                                        \
        EACH(3, vm_softplus_tail(vm_abs(x[i])))                                                                        \
        EACH(4, vm_sigmoid(x[i], &ignored))                                                                            \
        EACH(5, complement_inline(x[i]))                                                                               \
        EACH(6, vm_log(vm_exp(x[i]) + 1.5))                                                                            \
    }

#ifdef __clang__ /* has no such attribute: all loops are built as the file is */
#define OPTIMISE(...)
#else
#define OPTIMISE(...) __attribute__((optimize(__VA_ARGS__)))
#endif

LOOP(loop_plain, )
LOOP(loop_scalar, OPTIMISE("O2", "no-tree-vectorize"))
LOOP(loop_wide, OPTIMISE("O3", "no-trapping-math"))
#ifdef __x86_64__
LOOP(loop_v3, OPTIMISE("O3", "no-trapping-math") __attribute__((target("arch=x86-64-v3"))))
LOOP(loop_v4, OPTIMISE("O3", "no-trapping-math") __attribute__((target("arch=x86-64-v4"))))
#endif

static void assert_same_bits(const double *got, const double *want)
{
    for (size_t i = 0; i < (size_t)OUTPUTS * LANES; i++) {
        if (vm_bits(got[i]) != vm_bits(want[i])) {
            fail_msg("function %zu at %a: %a, not %a", i / LANES, x_in[i % LANES], got[i], want[i]);
        }
    }
}

static void test_functions__give_the_same_bits_in_every_build(void **state)
{
    (void)state;
    static double want[OUTPUTS * LANES], got[OUTPUTS * LANES];
    const char *before = loss_isa();
    for (int round = 0; round < 20; round++) {
        fill();
        loop_plain(x_in, low_in, want);
        loop_scalar(x_in, low_in, got);
        assert_same_bits(got, want);
        loop_wide(x_in, low_in, got);
        assert_same_bits(got, want);
#ifdef __x86_64__
        if (loss_isa_select("x86-64-v3")) {
            loop_v3(x_in, low_in, got);
            assert_same_bits(got, want);
        }
        if (loss_isa_select("x86-64-v4")) {
            loop_v4(x_in, low_in, got);
            assert_same_bits(got, want);
        }
#endif
    }
    assert_true(loss_isa_select(before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp__is_close_from_subnormals_to_overflow),
        cmocka_unit_test(test_exp__keeps_what_rounding_took_from_the_argument),
        cmocka_unit_test(test_exp__ignores_the_rest_of_what_is_not_finite),
        cmocka_unit_test(test_expm1__is_close_however_small_or_large_its_argument),
        cmocka_unit_test(test_expm1__less_its_argument_is_close_where_they_cancel),
        cmocka_unit_test(test_log_ratio__is_close_where_its_arguments_are),
        cmocka_unit_test(test_log_ratio__knows_its_borders),
        cmocka_unit_test(test_bracket_brief__is_good_enough_for_a_float),
        cmocka_unit_test(test_pow__is_one_for_exponent_zero_and_close_elsewhere),
        cmocka_unit_test(test_log__is_close_over_all_positive_doubles),
        cmocka_unit_test(test_log1p__is_close_however_small_or_large_its_argument),
        cmocka_unit_test(test_softplus_tail__is_close_down_to_the_subnormals),
        cmocka_unit_test(test_sigmoid__is_close_on_both_sides),
        cmocka_unit_test(test_brief__functions_are_good_enough_for_a_float),
        cmocka_unit_test(test_brief__functions_know_what_is_not_finite),
        cmocka_unit_test(test_functions__are_exact_at_the_edges),
        cmocka_unit_test(test_two_sum__loses_nothing),
        cmocka_unit_test(test_two_prod__loses_nothing),
        cmocka_unit_test(test_functions__give_the_same_bits_in_every_build),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
