/* SPDX-License-Identifier: Apache-2.0
 *
 * test_float32.c - losses of float32 with arithmetic of their own beside the same numbers in float64.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <loss/loss.h>
#include <support/random.h>

#define N 4096

struct numbers {
    float y[N], z[N];
    double wide_y[N], wide_z[N];
    size_t c; /* of a row */
};

/* As label_encoding lists its words: soft labels, also such near 0 of which 2y - 1 shows nothing, and hard ones. */
enum { ZERO_ONE, PLUS_MINUS, AUTO };

static float label(int encoding)
{
    double u = random_unit();
    if (encoding == AUTO || u < 0.1) {
        return random_unit() < 0.5 ? 1 : encoding == ZERO_ONE ? 0 : -1;
    }
    double y = ldexp(random_unit(), u < 0.4 ? -(int)(u * 150) : 0);
    return (float)(encoding == ZERO_ONE ? y : 2 * y - 1);
}

/* Scores so near to the kink that little is left; and some that are infinite, or far from it. */
static void make_numbers(struct numbers *x, int encoding, double margin, bool hard)
{
    for (size_t i = 0; i < N; i++) {
        x->y[i] = hard ? (float)((int)(3 * random_unit()) - 1) : label(encoding);
        double sign = encoding == ZERO_ONE ? 2 * (double)x->y[i] - 1 : (double)x->y[i];
        float kink = sign == 0 ? 0 : (float)(margin / sign);
        x->z[i] = i % 4 == 0 ? nextafterf(kink, INFINITY) : i % 4 == 1 ? nextafterf(kink, -INFINITY) : kink;
        x->z[i] = i % 16 == 3 ? (float)(4 * random_unit() - 2) : x->z[i];
        x->z[i] = i % 64 == 7 ? -INFINITY : i % 64 == 11 ? INFINITY : i % 64 == 14 ? NAN : x->z[i];
        x->wide_y[i] = (double)x->y[i];
        x->wide_z[i] = (double)x->z[i];
    }
}

/* encoding and margin: of losses that have them, else encoding is -1. */
static struct loss_answer compute(struct loss_arena *arena, const char *name, struct numbers *x, loss_dtype dtype,
                                  int encoding, double margin)
{
    static const char *const words[] = {"zero_one", "plus_minus", "auto"};
    struct loss_call call;
    struct loss_error error = {0};
    struct loss_answer answer;
    bool wide = dtype == LOSS_FLOAT64;
    loss_call_init(&call, loss_catalog_find(name, NULL), NULL);
    if (encoding >= 0) {
        assert_int_equal(loss_call_set_word(&call, 0, words[encoding], NULL, &error), LOSS_OK);
        assert_int_equal(loss_call_set_number(&call, 1, margin, NULL, &error), LOSS_OK);
    }
    struct loss_tensor numbers = {.dtype = dtype, .rank = 1, .shape = {N}, .count = N};
    if (call.desc->kind == LOSS_ROWWISE) {
        numbers = (struct loss_tensor){.dtype = dtype, .rank = 2, .shape = {N / x->c, x->c}, .count = N / x->c * x->c};
        assert_int_equal(loss_call_set_number(&call, 0, -1, NULL, &error), LOSS_OK);
    }
    call.input[0] = call.input[1] = numbers;
    call.input[0].data = wide ? (void *)x->wide_y : x->y;
    call.input[1].data = wide ? (void *)x->wide_z : x->z;
    call.dtype = dtype;
    call.reduction = LOSS_REDUCE_SUM;
    call.want_losses = true;
    call.gradients = 2;
    assert_int_equal(loss_compute(&call, arena, &answer, &error), LOSS_OK);
    return answer;
}

/* Within an ulp of float32, or both NaN. */
static void assert_ulp(const struct loss_tensor *found, const struct loss_tensor *truth, const struct numbers *at,
                       const char *name)
{
    for (size_t i = 0; i < truth->count; i++) {
        float x = (float)loss_tensor_at(found, i), rounded = (float)loss_tensor_at(truth, i);
        bool near = x >= nextafterf(rounded, -INFINITY) && x <= nextafterf(rounded, INFINITY);
        if (!near && !(isnan(x) && isnan(rounded))) {
            fail_msg("%s at %a and %a: %.9g, not %.9g", name, (double)at->y[i], (double)at->z[i], (double)x,
                     (double)rounded);
        }
    }
}

static void check_numbers(const char *name, struct numbers *x, int encoding, double margin)
{
    struct loss_arena *arena = loss_arena_new((size_t)1 << 24, NULL);
    struct loss_answer narrow = compute(arena, name, x, LOSS_FLOAT32, encoding, margin);
    struct loss_answer wide = compute(arena, name, x, LOSS_FLOAT64, encoding, margin);
    assert_ulp(&narrow.losses, &wide.losses, x, name);
    assert_ulp(&narrow.gradient[1], &wide.gradient[1], x, name);
    loss_arena_free(arena);
}

static void check_margins(const char *name)
{
    static struct numbers x;
    const double margins[] = {1, 0.3, -0.7};
    for (int encoding = ZERO_ONE; encoding <= AUTO; encoding++) {
        for (size_t i = 0; i < sizeof margins / sizeof *margins; i++) {
            make_numbers(&x, encoding, margins[i], false);
            check_numbers(name, &x, encoding, margins[i]);
            make_numbers(&x, encoding, margins[i], true);
            check_numbers(name, &x, encoding, margins[i]);
        }
    }
}

static void test_float32__keeps_its_digits_at_the_kink_of_a_margin(void **state)
{
    (void)state;
    check_margins("hinge_loss");
    check_margins("squared_hinge");
}

/* Differences of every size, and what is not finite. */
static void test_float32__log_cosh_is_right_for_any_difference(void **state)
{
    (void)state;
    static struct numbers x;
    const double across[] = {0.01, 1, 4, 100};
    for (size_t round = 0; round < 64; round++) {
        for (size_t i = 0; i < N; i++) {
            x.y[i] = i % 2 ? 0 : (float)random_unit();
            x.z[i] = i % 4 < 3 ? (float)(across[round % 4] * (2 * random_unit() - 1))
                               : (float)ldexp(random_unit() - 0.5, (int)(-140 * random_unit()));
            x.z[i] = i == 7 ? -INFINITY : i == 11 ? INFINITY : i == 14 ? NAN : i == 17 ? 0 : i == 19 ? 3e38F : x.z[i];
            x.wide_y[i] = (double)x.y[i];
            x.wide_z[i] = (double)x.z[i];
        }
        check_numbers("log_cosh", &x, -1, 0);
    }
}

/* The last number of a row makes it nearly orthogonal to the other in every second row. */
static void test_float32__cosines_are_right_for_any_angle(void **state)
{
    (void)state;
    static struct numbers x;
    const size_t lengths[] = {2, 7, 16, 17, 100, 1000};
    for (size_t round = 0; round < 16 * 6; round++) {
        x.c = lengths[round % 6];
        double dot = 0;
        for (size_t i = 0; i < N; i++) {
            bool last = i % x.c + 1 == x.c;
            x.y[i] = last ? 1 : (float)(random_unit() - 0.3);
            x.z[i] = last && i / x.c % 2 ? (float)-dot : (float)(random_unit() - 0.3);
            dot = last ? 0 : dot + (double)x.y[i] * (double)x.z[i];
            x.wide_y[i] = (double)x.y[i];
            x.wide_z[i] = (double)x.z[i];
        }
        struct loss_arena *arena = loss_arena_new((size_t)1 << 24, NULL);
        struct loss_answer narrow = compute(arena, "cosine_similarity", &x, LOSS_FLOAT32, -1, 0);
        struct loss_answer wide = compute(arena, "cosine_similarity", &x, LOSS_FLOAT64, -1, 0);
        assert_ulp(&narrow.losses, &wide.losses, &x, "cosine_similarity");
        loss_arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float32__keeps_its_digits_at_the_kink_of_a_margin),
        cmocka_unit_test(test_float32__log_cosh_is_right_for_any_difference),
        cmocka_unit_test(test_float32__cosines_are_right_for_any_angle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
