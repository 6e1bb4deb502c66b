/* SPDX-License-Identifier: Apache-2.0
 *
 * test_divergence.c - kl_divergence of float32 rows beside the same numbers in float64.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <loss/loss.h>
#include <support/random.h>

#define MOST_CLASSES 1000
#define SAMPLES 200

/* Distributions; ones that nearly agree; numbers that add up to whatever; such of which the last is chosen so that nearly
 * nothing is left; with labels of 0; with predictions that underflow to 0 there; of any size. */
enum shape { USUAL, ALIKE, LOOSE, CANCELS, HARD, GONE, VAST, SHAPES };

static void make_row(enum shape shape, float *y, float *p, size_t c)
{
    double of_y = 0, of_p = 0, sum = 0;
    for (size_t k = 0; k < c; k++) {
        p[k] = (float)(0.01 + random_unit());
        y[k] = shape == ALIKE ? p[k] * (float)(1 + 1e-4 * random_unit()) : (float)(0.01 + random_unit());
        y[k] = (shape == HARD || shape == GONE) && random_unit() < 0.5 ? 0.0F : y[k];
        p[k] = shape == GONE && y[k] == 0 ? 0.0F : p[k];
        int size = shape == VAST ? (int)(random_unit() * 230) - 140 : 0;
        y[k] = ldexpf(y[k], size);
        p[k] = ldexpf(p[k], size + (shape == VAST ? (int)(random_unit() * 20) - 10 : 0));
        of_y += (double)y[k];
        of_p += (double)p[k];
        sum += k + 1 < c && y[k] > 0 ? (double)y[k] * log((double)y[k] / (double)p[k]) : 0;
    }
    if (shape == CANCELS) {
        y[c - 1] = (float)fmax(fabs(sum), 1);
        p[c - 1] = (float)((double)y[c - 1] * exp(sum / (double)y[c - 1]));
    } else if (shape != LOOSE && shape != VAST) {
        for (size_t k = 0; k < c; k++) {
            y[k] = of_y > 0 ? (float)((double)y[k] / of_y) : y[k];
            p[k] = of_p > 0 ? (float)((double)p[k] / of_p) : p[k];
        }
    }
}

static struct loss_tensor row(loss_dtype dtype, void *data, size_t c)
{
    return (struct loss_tensor){.dtype = dtype, .rank = 2, .shape = {1, c}, .count = c, .data = data};
}

static struct loss_answer compute(struct loss_arena *arena, loss_dtype dtype, void *y, void *p, size_t c,
                                  double epsilon)
{
    const struct loss_desc *desc = loss_catalog_find("kl_divergence", NULL);
    struct loss_call call;
    struct loss_error error = {0};
    struct loss_answer answer;
    loss_call_init(&call, desc, NULL);
    assert_int_equal(loss_call_set_number(&call, 2, epsilon, NULL, &error), LOSS_OK);
    call.input[0] = row(dtype, y, c);
    call.input[1] = row(dtype, p, c);
    call.dtype = dtype;
    call.want_losses = true;
    call.gradients = 2;
    assert_int_equal(loss_compute(&call, arena, &answer, &error), LOSS_OK);
    return answer;
}

/* Within an ulp of float32, or both not finite. */
static void assert_ulp(double found, double truth, const char *what, enum shape shape, size_t c)
{
    float rounded = (float)truth, x = (float)found;
    bool near = x >= nextafterf(rounded, -INFINITY) && x <= nextafterf(rounded, INFINITY);
    if (!near && !(isnan(found) && isnan(truth))) {
        fail_msg("%s of %zu classes like %d: %.9g, not %.9g", what, c, (int)shape, found, truth);
    }
}

static void check_row(enum shape shape, size_t c, double epsilon)
{
    float y[MOST_CLASSES], p[MOST_CLASSES];
    double wide_y[MOST_CLASSES], wide_p[MOST_CLASSES];
    make_row(shape, y, p, c);
    for (size_t k = 0; k < c; k++) {
        wide_y[k] = (double)y[k];
        wide_p[k] = (double)p[k];
    }
    struct loss_arena *arena = loss_arena_new((size_t)1 << 24, NULL);
    struct loss_answer narrow = compute(arena, LOSS_FLOAT32, y, p, c, epsilon);
    struct loss_answer wide = compute(arena, LOSS_FLOAT64, wide_y, wide_p, c, epsilon);
    assert_ulp(loss_tensor_at(&narrow.losses, 0), loss_tensor_at(&wide.losses, 0), "the loss", shape, c);
    for (size_t k = 0; k < c; k++) {
        assert_ulp(loss_tensor_at(&narrow.gradient[1], k), loss_tensor_at(&wide.gradient[1], k), "a slope", shape, c);
    }
    loss_arena_free(arena);
}

static void test_kl_divergence__of_floats_is_right_for_any_row(void **state)
{
    (void)state;
    const size_t classes[] = {1, 2, 5, 6, 10, 15, 16, 17, 100, 257, MOST_CLASSES};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        for (int shape = 0; shape < SHAPES; shape++) {
            for (int k = 0; k < SAMPLES; k++) {
                check_row((enum shape)shape, classes[i], k % 4 == 0 ? 1e-3 : 0);
            }
        }
    }
}

/* Whatever stands at one place of a long row, the answer is float64's. */
static void test_kl_divergence__of_floats_knows_its_borders(void **state)
{
    (void)state;
    const float odd[][2] = {{-0.5F, 0.5F},    {0.5F, -0.5F},        {0.5F, 0},    {0, 0},   {0, -0.5F},
                            {-0.0F, 0.5F},    {NAN, 0.5F},          {0.5F, NAN},  {0, NAN}, {INFINITY, 0.5F},
                            {0.5F, INFINITY}, {INFINITY, INFINITY}, {0, INFINITY}};
    for (size_t i = 0; i < 13; i++) {
        for (size_t at = 0; at < 20; at += 19) {
            float y[20], p[20], slope[20];
            double wide_y[20], wide_p[20];
            make_row(USUAL, y, p, 20);
            y[at] = odd[i][0];
            p[at] = odd[i][1];
            for (size_t k = 0; k < 20; k++) {
                wide_y[k] = (double)y[k];
                wide_p[k] = (double)p[k];
            }
            struct loss_arena *arena = loss_arena_new((size_t)1 << 20, NULL);
            struct loss_answer narrow = compute(arena, LOSS_FLOAT32, y, p, 20, 0);
            struct loss_answer wide = compute(arena, LOSS_FLOAT64, wide_y, wide_p, 20, 0);
            assert_ulp(loss_tensor_at(&narrow.losses, 0), loss_tensor_at(&wide.losses, 0), "the loss", USUAL, i);
            memcpy(slope, narrow.gradient[1].data, sizeof slope);
            for (size_t k = 0; k < 20; k++) {
                assert_ulp((double)slope[k], loss_tensor_at(&wide.gradient[1], k), "a slope", USUAL, i);
            }
            loss_arena_free(arena);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kl_divergence__of_floats_is_right_for_any_row),
        cmocka_unit_test(test_kl_divergence__of_floats_knows_its_borders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
