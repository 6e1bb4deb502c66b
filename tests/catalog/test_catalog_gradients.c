/* SPDX-License-Identifier: Apache-2.0
 *
 * test_catalog_gradients.c - every gradient of every loss against central differences in float64.
 */
#include "batch.h"

#include <math.h>

#define STEP 1e-5

static double objective(struct batch *b)
{
    batch_compute(b);
    return b->call.reduction == LOSS_REDUCE_NONE ? b->answer.totals.sum : b->answer.loss;
}

static double objective_at(struct batch *b, struct loss_tensor *t, size_t i, double x)
{
    double before = batch_get(t, i);
    batch_set(t, i, x);
    double value = objective(b);
    batch_set(t, i, before);
    return value;
}

/* Central difference along one number, of two steps so that the third derivative cancels (a logarithm near 0 has a large
 * one); NAN where there is a kink within the steps. */
static double slope(struct batch *b, struct loss_tensor *t, size_t i)
{
    double x = batch_get(t, i), here = objective(b), of_step[2];
    for (int k = 0; k < 2; k++) {
        double step = (k + 1) * STEP;
        double up = objective_at(b, t, i, x + step), down = objective_at(b, t, i, x - step);
        double left = (here - down) / step, right = (up - here) / step;
        if (fabs(left - right) > 1e-2 * (1 + fabs(left))) {
            return NAN;
        }
        of_step[k] = (up - down) / (2 * step);
    }
    return (4 * of_step[0] - of_step[1]) / 3;
}

static void check_slopes(struct batch *b, struct loss_tensor *t, const struct loss_tensor *gradient, const char *name)
{
    assert_int_equal(t->count, gradient->count);
    for (size_t i = 0; i < t->count; i++) {
        if (t == &b->call.weights && batch_get(t, i) == 0) {
            continue; /* counts change with it: there is no derivative */
        }
        double expected = slope(b, t, i), found = batch_get(gradient, i);
        if (!isnan(expected) && !(fabs(found - expected) <= 1e-7 * (1 + fabs(expected)))) {
            fail_msg("%s, %s, weights of rank %d: d/d%s[%zu] is %.12g, but differences say %.12g", b->call.desc->name,
                     loss_reduction_name(b->call.reduction), b->call.weights.rank, name, i, found, expected);
        }
    }
}

static void check_gradients(struct batch *b)
{
    const struct loss_desc *desc = b->call.desc;
    unsigned wanted = 0;
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        wanted |= desc->inputs[i].differentiable ? 1u << i : 0;
    }
    wanted |= b->call.weights.data != NULL ? 1u << LOSS_GRADIENT_WEIGHTS : 0;
    b->call.gradients = wanted;
    batch_compute(b);
    struct loss_answer answer = b->answer;
    b->call.gradients = 0;
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        if ((wanted & (1u << i)) && batch_free_input(b, i)) {
            check_slopes(b, &b->call.input[i], &answer.gradient[i], desc->inputs[i].name);
        }
    }
    if (b->call.weights.data != NULL) {
        check_slopes(b, &b->call.weights, &answer.gradient[LOSS_GRADIENT_WEIGHTS], "weights");
    }
}

static void test_gradients__are_the_slopes_of_the_loss(void **state)
{
    (void)state;
    static const size_t shape[] = {4, 3}, deep[] = {2, 3, 4};
    EACH_LOSS(desc)
    {
        for (int weights = 0; weights < BATCH_WEIGHTS_COUNT; weights++) {
            for (int reduction = 0; reduction < LOSS_REDUCTION_COUNT; reduction++) {
                struct batch b;
                bool is_deep = (weights + reduction) % 2 == 0;
                batch_make(&b, desc, LOSS_FLOAT64, is_deep ? 3 : 2, is_deep ? deep : shape,
                           (uint64_t)weights * 10 + (uint64_t)reduction);
                b.call.reduction = (loss_reduction)reduction;
                if (batch_weigh(&b, (enum batch_weights)weights)) {
                    check_gradients(&b);
                }
                batch_free(&b);
            }
        }
    }
}

static void test_gradients__hold_with_masked_weights(void **state)
{
    (void)state;
    static const size_t shape[] = {3, 5};
    EACH_LOSS(desc)
    {
        struct batch b;
        batch_make(&b, desc, LOSS_FLOAT64, 2, shape, 5);
        if (batch_weigh(&b, BATCH_HOLES)) {
            b.call.weights_mask = true;
            check_gradients(&b);
        }
        batch_free(&b);
    }
}

static void test_gradients__hold_for_every_parameter(void **state)
{
    (void)state;
    static const size_t shape[] = {4, 3};
    EACH_LOSS(desc)
    {
        for (size_t k = 0, more = true; more; k++) {
            struct batch b;
            const char *name;
            batch_make(&b, desc, LOSS_FLOAT64, 2, shape, 77 + k);
            more = batch_vary(&b, k, &name);
            for (int reduction = 0; more && reduction < LOSS_REDUCTION_COUNT; reduction++) {
                b.call.reduction = (loss_reduction)reduction;
                CHECK(desc, batch_weigh(&b, reduction % 2 == 0 ? BATCH_NONE : BATCH_ONES) || desc->kind == LOSS_WHOLE);
                check_gradients(&b);
            }
            batch_free(&b);
        }
    }
}

static void test_gradients__hold_along_every_axis(void **state)
{
    (void)state;
    static const size_t shape[] = {2, 3, 4};
    EACH_LOSS(desc)
    {
        int axis_param = loss_desc_param(desc, "axis");
        for (int axis = -3; axis_param >= 0 && axis < 3; axis++) {
            struct batch b;
            batch_make(&b, desc, LOSS_FLOAT64, 3, shape, 9);
            assert_int_equal(loss_call_set_number(&b.call, axis_param, axis, NULL, &b.error), LOSS_OK);
            assert_true(batch_weigh(&b, BATCH_FULL));
            check_gradients(&b);
            batch_free(&b);
        }
    }
}

static void test_gradients__of_a_weight_that_a_mean_does_not_feel_are_zero(void **state)
{
    (void)state;
    static const size_t shape[] = {4, 3};
    EACH_LOSS(desc)
    {
        struct batch b;
        batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 1);
        b.call.reduction = LOSS_REDUCE_MEAN;
        b.call.gradients = 1u << LOSS_GRADIENT_WEIGHTS;
        assert_true(batch_weigh(&b, BATCH_SCALAR));
        batch_compute(&b);
        CHECK(desc, batch_get(&b.answer.gradient[LOSS_GRADIENT_WEIGHTS], 0) == 0);
        batch_free(&b);
    }
}

static void test_gradients__are_refused_where_there_are_none(void **state)
{
    (void)state;
    static const size_t shape[] = {4, 3};
    EACH_LOSS(desc)
    {
        for (int i = 0; desc->inputs[i].name != NULL; i++) {
            struct batch b;
            batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 1);
            b.call.gradients = 1u << i;
            loss_status status = loss_compute(&b.call, b.arena, &b.answer, &b.error);
            CHECK(desc, status == (desc->inputs[i].differentiable ? LOSS_OK : LOSS_NOT_DIFFERENTIABLE));
            if (status != LOSS_OK) {
                assert_string_equal(b.error.pointer, "/gradients");
            }
            batch_free(&b);
        }
    }
}

static void test_gradients__are_all_zero_where_the_divisor_is(void **state)
{
    (void)state;
    static const size_t shape[] = {4, 3};
    EACH_LOSS(desc)
    {
        struct batch b;
        batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 1);
        b.call.reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS;
        b.call.gradients = 1u << b.main | 1u << LOSS_GRADIENT_WEIGHTS;
        if (batch_weigh(&b, BATCH_ALL_ZERO)) {
            batch_compute(&b);
            CHECK(desc, b.answer.loss == 0);
            for (int g = 0; g <= LOSS_GRADIENT_WEIGHTS; g++) {
                for (size_t i = 0; b.answer.gradient[g].data != NULL && i < b.answer.gradient[g].count; i++) {
                    CHECK(desc, batch_get(&b.answer.gradient[g], i) == 0);
                }
            }
        }
        batch_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients__are_the_slopes_of_the_loss),
        cmocka_unit_test(test_gradients__hold_with_masked_weights),
        cmocka_unit_test(test_gradients__hold_for_every_parameter),
        cmocka_unit_test(test_gradients__hold_along_every_axis),
        cmocka_unit_test(test_gradients__of_a_weight_that_a_mean_does_not_feel_are_zero),
        cmocka_unit_test(test_gradients__are_refused_where_there_are_none),
        cmocka_unit_test(test_gradients__are_all_zero_where_the_divisor_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
