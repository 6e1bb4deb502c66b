/* SPDX-License-Identifier: Apache-2.0
 *
 * test_softmax.c - rows of any length: float32 beside float64, float64 beside a plain sum in long double.
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

/* Around the widths at which a row is worked on in another way. */
static const size_t classes[] = {2,    3,    10,   16,   17,   63,   64,    65,     100,
                                 1000, 2047, 2048, 2049, 4095, 4096, 10000, 131072, 131073};
#define WIDTHS (sizeof classes / sizeof classes[0])
#define ROWS 3

/* Rows as they come, nearly solved ones, those whose largest logit comes last, rising ones, and those far from 0. */
enum shape { USUAL, SOLVED, LATE, RISING, FAR, DEEP, SHAPES };

static double logit(enum shape shape, size_t k, size_t c)
{
    double z = 6 * (random_unit() + random_unit() - 1);
    switch (shape) {
    case SOLVED:
        return k == c / 2 ? 40 : z;
    case LATE:
        return k == c - 1 ? 30 : z;
    case RISING:
        return z + 60.0 * (double)k / (double)c;
    case FAR:
        return z + 16384;
    case DEEP:
        return k % 7 == 3 ? z : -400 + z;
    default:
        return z;
    }
}

/* One batch, of either dtype and kind of labels. */
struct batch {
    struct loss_arena *arena;
    struct loss_answer answer;
};

static struct loss_tensor matrix(struct batch *b, loss_dtype dtype, size_t c, const double *x)
{
    struct loss_tensor t = {.dtype = dtype, .rank = 2, .shape = {ROWS, c}, .count = ROWS * c};
    t.data = loss_arena_alloc(b->arena, t.count * loss_dtype_size(dtype), 64);
    assert_non_null(t.data);
    for (size_t i = 0; i < t.count; i++) {
        if (dtype == LOSS_FLOAT32) {
            ((float *)t.data)[i] = (float)x[i];
        } else {
            ((double *)t.data)[i] = x[i];
        }
    }
    return t;
}

static struct batch compute(const char *name, loss_dtype dtype, size_t c, const double *logits, int64_t *index,
                            const double *labels)
{
    struct batch b = {.arena = loss_arena_new((size_t)1 << 30, NULL)};
    struct loss_call call;
    struct loss_error error = {0};
    loss_call_init(&call, loss_catalog_find(name, NULL), NULL);
    call.input[0] =
        labels != NULL
            ? matrix(&b, dtype, c, labels)
            : (struct loss_tensor){.dtype = LOSS_INT64, .rank = 1, .shape = {ROWS}, .count = ROWS, .data = index};
    call.input[1] = matrix(&b, dtype, c, logits);
    call.dtype = dtype;
    call.reduction = LOSS_REDUCE_SUM;
    call.want_losses = true;
    call.gradients = call.desc->inputs[0].differentiable ? 3 : 2;
    if (loss_compute(&call, b.arena, &b.answer, &error) != LOSS_OK) {
        fail_msg("%s at %s", error.message, error.pointer);
    }
    return b;
}

/* Each number of a row within `tolerance` of what it should be, relative to the row's largest. */
static void check_row(const struct loss_tensor *found, const struct loss_tensor *expected, size_t r, size_t c,
                      double tolerance, const char *what)
{
    double most = 0;
    for (size_t k = 0; k < c; k++) {
        most = fmax(most, fabs(loss_tensor_at(expected, r * c + k)));
    }
    for (size_t k = 0; k < c; k++) {
        double x = loss_tensor_at(found, r * c + k), y = loss_tensor_at(expected, r * c + k);
        if (!(fabs(x - y) <= tolerance * most + 1e-44)) {
            fail_msg("%s, %zu classes, row %zu: element %zu is %.9g, not %.9g", what, c, r, k, x, y);
        }
    }
}

/* log(sum of exp) - z_y of a row. */
static long double plain_loss(const double *z, size_t c, size_t label)
{
    size_t top = 0;
    long double others = 0;
    for (size_t k = 1; k < c; k++) {
        top = z[k] > z[top] ? k : top;
    }
    for (size_t k = 0; k < c; k++) {
        others += k == top ? 0 : expl((long double)z[k] - (long double)z[top]);
    }
    return (long double)z[top] - (long double)z[label] + log1pl(others);
}

/* The sum of y (log(sum of exp) - z) of a row. */
static long double plain_sum(const double *z, const double *y, size_t c)
{
    long double first = plain_loss(z, c, 0), sum = 0;
    for (size_t k = 0; k < c; k++) {
        sum += y[k] == 0 ? 0 : (long double)y[k] * (first + ((long double)z[0] - (long double)z[k]));
    }
    return sum;
}

static void check_width(const char *name, enum shape shape, size_t c, bool soft)
{
    random_state = RANDOM_SEED + c;
    bool sparse = strncmp(name, "sparse", 6) == 0;
    double *z = malloc(ROWS * c * sizeof *z), *y = calloc(ROWS * c, sizeof *y);
    int64_t index[ROWS];
    assert_true(z != NULL && y != NULL);
    for (size_t i = 0; i < ROWS * c; i++) {
        z[i] = (double)(float)logit(shape, i % c, c);
    }
    for (size_t r = 0; r < ROWS; r++) {
        index[r] = r == 0 ? (int64_t)(c / 2) : (int64_t)(random_unit() * (double)c);
        y[r * c + (size_t)index[r]] = 1;
    }
    for (size_t i = 0; soft && i < ROWS * c; i++) {
        y[i] = (double)(float)random_unit();
    }
    struct batch narrow = compute(name, LOSS_FLOAT32, c, z, index, sparse ? NULL : y);
    struct batch wide = compute(name, LOSS_FLOAT64, c, z, index, sparse ? NULL : y);
    for (size_t r = 0; r < ROWS; r++) {
        double found = loss_tensor_at(&wide.answer.losses, r);
        double expected =
            soft ? (double)plain_sum(z + r * c, y + r * c, c) : (double)plain_loss(z + r * c, c, (size_t)index[r]);
        if (!(fabs(found - expected) <= 1e-14 * fabs(expected))) {
            fail_msg("%s, %zu classes like %d: float64 loss %.17g, not %.17g", name, c, shape, found, expected);
        }
        float rounded = (float)loss_tensor_at(&narrow.answer.losses, r), truth = (float)found;
        if (rounded < nextafterf(truth, -INFINITY) || rounded > nextafterf(truth, INFINITY)) {
            fail_msg("%s, %zu classes like %d: float32 loss %.9g, not %.9g", name, c, shape, (double)rounded, found);
        }
        for (int i = narrow.answer.gradient[0].data == NULL ? 1 : 0; i < 2; i++) {
            check_row(&narrow.answer.gradient[i], &wide.answer.gradient[i], r, c, 2.4e-7, name);
        }
    }
    loss_arena_free(narrow.arena);
    loss_arena_free(wide.arena);
    free(z);
    free(y);
}

static void check_loss(const char *name, bool soft)
{
    for (size_t i = 0; i < WIDTHS; i++) {
        for (int shape = 0; shape < SHAPES; shape++) {
            check_width(name, (enum shape)shape, classes[i], soft);
        }
    }
}

static void test_softmax__of_an_index_is_right_for_any_width(void **state)
{
    (void)state;
    check_loss("sparse_softmax_cross_entropy", false);
}

static void test_softmax__of_a_distribution_is_right_for_any_width(void **state)
{
    (void)state;
    check_loss("softmax_cross_entropy", false);
    check_loss("softmax_cross_entropy", true);
}

static void test_softmax__of_lists_is_right_for_any_length(void **state)
{
    (void)state;
    check_loss("ranking_softmax", false);
    check_loss("ranking_softmax", true);
}

/* Labels below 0 by which the terms cancel, and a score of -infinity, beside a list as they come. */
static void test_softmax__of_lists_knows_odd_ones(void **state)
{
    (void)state;
    enum { ITEMS = 50 };
    double s[ROWS * ITEMS], y[ROWS * ITEMS], left = 0;
    random_state = RANDOM_SEED;
    for (size_t i = 0; i < ROWS * ITEMS; i++) {
        s[i] = (double)(float)logit(USUAL, i % ITEMS, ITEMS);
        y[i] = (double)(float)(i / ITEMS == 1 ? random_unit() - 0.5 : random_unit());
    }
    double lse = s[ITEMS] + (double)plain_loss(s + ITEMS, ITEMS, 0);
    for (size_t k = 1; k < ITEMS; k++) {
        left += y[ITEMS + k] * (lse - s[ITEMS + k]);
    }
    y[ITEMS] = (double)(float)(-left / (lse - s[ITEMS])); /* little is left but of its rounding */
    s[2 * ITEMS + 7] = -(double)INFINITY;
    struct batch narrow = compute("ranking_softmax", LOSS_FLOAT32, ITEMS, s, NULL, y);
    struct batch wide = compute("ranking_softmax", LOSS_FLOAT64, ITEMS, s, NULL, y);
    for (size_t r = 0; r < 2; r++) {
        float rounded = (float)loss_tensor_at(&narrow.answer.losses, r);
        float truth = (float)loss_tensor_at(&wide.answer.losses, r);
        if (rounded < nextafterf(truth, -INFINITY) || rounded > nextafterf(truth, INFINITY)) {
            fail_msg("list %zu: %.9g, not %.9g", r, (double)rounded, (double)truth);
        }
        check_row(&narrow.answer.gradient[1], &wide.answer.gradient[1], r, ITEMS, 2.4e-7, "ranking_softmax");
    }
    assert_true(isnan(loss_tensor_at(&narrow.answer.losses, 2)));
    for (size_t k = 0; k < ITEMS; k++) {
        assert_true(isnan(loss_tensor_at(&narrow.answer.gradient[1], 2 * ITEMS + k)));
    }
    loss_arena_free(narrow.arena);
    loss_arena_free(wide.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax__of_an_index_is_right_for_any_width),
        cmocka_unit_test(test_softmax__of_a_distribution_is_right_for_any_width),
        cmocka_unit_test(test_softmax__of_lists_is_right_for_any_length),
        cmocka_unit_test(test_softmax__of_lists_knows_odd_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
