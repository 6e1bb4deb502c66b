/* SPDX-License-Identifier: Apache-2.0
 *
 * test_catalog_rules.c - what holds for every loss: its descriptor is complete, its example computes, reductions and
 * weights mean the same, and empty, broken or out-of-range calls end as they should.
 */
#include "batch.h"

#include <math.h>
#include <string.h>

#include <jansson.h>

static void test_descriptor__is_complete(void **state)
{
    (void)state;
    EACH_LOSS(desc)
    {
        CHECK(desc, desc->summary != NULL && desc->formula != NULL && desc->source != NULL && desc->example != NULL);
        CHECK(desc, desc->inputs[0].name != NULL && desc->ulp > 0);
        int mains = 0;
        for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
            CHECK(desc, input->doc != NULL);
            mains += input->main;
            CHECK(desc, !input->main || input->differentiable);
            CHECK(desc, !input->optional || !input->main);
        }
        CHECK(desc, mains > 0);
        for (const struct loss_param *param = desc->params; param->name != NULL; param++) {
            CHECK(desc, param->doc != NULL && !(param->required && param->optional));
            bool bounded = param->min != 0 || param->max != 0;
            bool has_default = !param->required && !param->optional && param->type == LOSS_NUMBER;
            CHECK(desc, !bounded || !has_default || (param->fallback >= param->min && param->fallback <= param->max));
        }
    }
}

static void test_descriptor__names_everything_once(void **state)
{
    (void)state;
    EACH_LOSS(desc)
    {
        for (int i = 0; desc->inputs[i].name != NULL; i++) {
            CHECK(desc, loss_desc_input(desc, desc->inputs[i].name) == i);
            CHECK(desc, loss_desc_param(desc, desc->inputs[i].name) == -1);
            for (const char *const *a = desc->inputs[i].aliases; a != NULL && *a != NULL; a++) {
                CHECK(desc, loss_desc_input(desc, *a) == i);
            }
        }
        for (int i = 0; desc->params[i].name != NULL; i++) {
            CHECK(desc, loss_desc_param(desc, desc->params[i].name) == i);
        }
    }
}

/* A rectangular array into numbers and shape. */
static void read_tensor(struct batch *b, json_t *value, struct loss_tensor *t)
{
    size_t shape[LOSS_MAX_RANK] = {0};
    int rank = 0;
    for (json_t *inner = value; json_is_array(inner); inner = json_array_get(inner, 0)) {
        shape[rank++] = json_array_size(inner);
    }
    *t = batch_tensor(b, rank, shape, 0, 0);
    for (size_t i = 0; i < t->count; i++) {
        json_t *at = value;
        size_t step = t->count, rest = i;
        for (int d = 0; d < rank; d++) {
            step /= shape[d];
            at = json_array_get(at, rest / step);
            rest %= step;
        }
        assert_true(json_is_number(at));
        batch_set(t, i, json_number_value(at));
    }
}

static void test_example__computes(void **state)
{
    (void)state;
    static const size_t any[] = {2, 2};
    EACH_LOSS(desc)
    {
        json_error_t error;
        json_t *example = json_loads(desc->example, JSON_REJECT_DUPLICATES, &error), *value;
        CHECK(desc, example != NULL);
        struct batch b;
        batch_make(&b, desc, LOSS_FLOAT32, 2, any, 1);
        memset(b.call.input, 0, sizeof b.call.input);
        const char *key;
        json_object_foreach(example, key, value)
        {
            int input = loss_desc_input(desc, key), param = loss_desc_param(desc, key);
            if (input >= 0) {
                read_tensor(&b, value, &b.call.input[input]);
            } else if (strcmp(key, "weights") == 0) {
                read_tensor(&b, value, &b.call.weights);
            } else {
                CHECK(desc, param >= 0 && json_is_number(value));
                loss_status set = loss_call_set_number(&b.call, param, json_number_value(value), NULL, &b.error);
                assert_int_equal(set, LOSS_OK);
            }
        }
        batch_compute(&b);
        CHECK(desc, b.answer.nonfinite == 0 && isfinite(b.answer.totals.sum));
        json_decref(example);
        batch_free(&b);
    }
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 4e-16 * fabs(b);
}

static void test_totals__follow_from_losses_and_weights(void **state)
{
    (void)state;
    static const size_t shape[] = {5, 3};
    EACH_LOSS(desc)
    {
        for (int kind = 0; kind < BATCH_WEIGHTS_COUNT; kind++) {
            struct batch b;
            batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 20 + (uint64_t)kind);
            if (batch_weigh(&b, (enum batch_weights)kind)) {
                batch_compute(&b);
                const struct loss_totals *t = &b.answer.totals;
                struct loss_sum sum;
                loss_sum_init(&sum);
                loss_sum_add_f32(&sum, b.answer.losses.data, b.answer.losses.count);
                CHECK(desc, t->sum == loss_sum_round(&sum));
                CHECK(desc, t->count == b.answer.losses.count);
                CHECK(desc, near(t->sum_over_batch_size, t->sum / (double)t->count));
                CHECK(desc, near(t->batchmean, t->sum / (double)b.answer.batch));
                double by_weight = t->weight_sum == 0 ? 0 : t->sum / t->weight_sum;
                double by_count = t->nonzero_weights == 0 ? 0 : t->sum / (double)t->nonzero_weights;
                CHECK(desc, near(t->mean, by_weight));
                CHECK(desc, near(t->sum_by_nonzero_weights, by_count));
                CHECK(desc, kind != BATCH_ALL_ZERO || (t->sum == 0 && t->nonzero_weights == 0));
            }
            batch_free(&b);
        }
    }
}

static void test_loss__is_what_the_reduction_names(void **state)
{
    (void)state;
    static const size_t shape[] = {5, 3};
    EACH_LOSS(desc)
    {
        for (int reduction = 0; reduction < LOSS_REDUCTION_COUNT; reduction++) {
            struct batch b;
            batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 30);
            b.call.reduction = (loss_reduction)reduction;
            assert_true(batch_weigh(&b, BATCH_SCALAR));
            batch_compute(&b);
            CHECK(desc, b.answer.has_loss == (reduction != LOSS_REDUCE_NONE));
            double loss = b.answer.loss;
            b.call.dtype = LOSS_FLOAT64; /* the same inputs, and nothing rounded on the way */
            batch_compute(&b);
            CHECK(desc, loss == (float)b.answer.loss);
            CHECK(desc, b.answer.loss == loss_total_of((loss_reduction)reduction, &b.answer.sum, &b.answer.weight_sum,
                                                       b.answer.totals.count, b.answer.totals.nonzero_weights,
                                                       b.answer.batch));
            batch_free(&b);
        }
    }
}

static void test_losses__are_left_out_where_unwanted(void **state)
{
    (void)state;
    static const size_t shape[] = {5, 3};
    EACH_LOSS(desc)
    {
        struct batch b;
        batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 31);
        batch_compute(&b);
        struct loss_totals with = b.answer.totals;
        b.call.want_losses = false;
        batch_compute(&b);
        CHECK(desc, b.answer.losses.data == NULL);
        CHECK(desc, batch_same_totals(&with, &b.answer.totals));
        batch_free(&b);
    }
}

static void test_weights__broadcast_as_if_written_out(void **state)
{
    (void)state;
    static const size_t shape[] = {3, 4, 5};
    EACH_LOSS(desc)
    {
        if (desc->kind == LOSS_SAMPLEWISE) {
            continue; /* there a weight counts once, however many elements it covers */
        }
        for (int kind = 0; kind < BATCH_WEIGHTS_COUNT; kind++) {
            struct batch b;
            batch_make(&b, desc, LOSS_FLOAT32, 3, shape, 40 + (uint64_t)kind);
            if (batch_weigh(&b, (enum batch_weights)kind)) {
                b.call.gradients = 1u << b.main;
                batch_compute(&b);
                struct loss_answer broadcast = b.answer;
                batch_materialise(&b);
                batch_compute(&b);
                const char *difference = batch_difference(&broadcast, &b.answer);
                if (difference != NULL) {
                    fail_msg("%s: %s differ with weights of kind %d", desc->name, difference, kind);
                }
            }
            batch_free(&b);
        }
    }
}

static void test_weights__of_another_shape_are_refused(void **state)
{
    (void)state;
    static const size_t shape[] = {3, 4}, wrong[] = {2, 7, 1, 1};
    EACH_LOSS(desc)
    {
        for (int rank = 1; rank <= 4; rank++) {
            struct batch b;
            batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 50);
            b.call.weights = batch_tensor(&b, rank, wrong, 1, 2);
            CHECK(desc, loss_compute(&b.call, b.arena, &b.answer, &b.error) == LOSS_INVALID_WEIGHTS);
            assert_string_equal(b.error.pointer, "/weights");
            batch_free(&b);
        }
    }
}

static void test_shape__of_every_other_input_is_checked(void **state)
{
    (void)state;
    static const size_t shape[] = {3, 4}, wrong[] = {3, 1, 2};
    EACH_LOSS(desc)
    {
        for (int i = 0; desc->inputs[i].name != NULL; i++) {
            struct batch b;
            batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 51);
            if (i != b.main) {
                b.call.input[i] = batch_tensor(&b, 3, wrong, 0, 0);
                CHECK(desc, loss_compute(&b.call, b.arena, &b.answer, &b.error) == LOSS_SHAPE_MISMATCH);
                char pointer[64];
                snprintf(pointer, sizeof pointer, "/%s", desc->inputs[i].name);
                assert_string_equal(b.error.pointer, pointer);
            }
            b.call.input[i].data = NULL;
            CHECK(desc, desc->inputs[i].optional ||
                            loss_compute(&b.call, b.arena, &b.answer, &(struct loss_error){0}) == LOSS_MISSING_FIELD);
            batch_free(&b);
        }
    }
}

static void check_empty(const struct loss_desc *desc, int rank, const size_t *shape)
{
    struct batch b;
    batch_make(&b, desc, LOSS_FLOAT32, rank, shape, 60);
    b.call.gradients = 1u << b.main | 1u << LOSS_GRADIENT_WEIGHTS;
    for (int reduction = 0; reduction < LOSS_REDUCTION_COUNT; reduction++) {
        b.call.reduction = (loss_reduction)reduction;
        batch_compute(&b);
        CHECK(desc, b.answer.loss == 0 && b.answer.totals.sum == 0 && b.answer.totals.mean == 0);
        CHECK(desc, b.answer.nonfinite == 0);
        CHECK(desc, b.answer.gradient[b.main].data != NULL && b.answer.gradient[b.main].count == 0);
    }
    batch_free(&b);
}

static void test_empty_batch__has_loss_zero(void **state)
{
    (void)state;
    static const size_t row[] = {0, 3}, vector[] = {0}, middle[] = {2, 0, 3};
    EACH_LOSS(desc)
    {
        check_empty(desc, 2, row);
        if (desc->kind != LOSS_ROWWISE && desc->rank == 0) {
            check_empty(desc, 1, vector);
            check_empty(desc, 3, middle);
        }
    }
}

/* A loss of class indices may look at one class alone: make that the one of element `at`, if the loss does not depend on
 * it as it is. */
static void look_at(struct batch *b, int input, size_t at)
{
    const struct loss_desc *desc = b->call.desc;
    for (int i = 0; desc->inputs[i].name != NULL && desc->inputs[input].differentiable; i++) {
        if (desc->inputs[i].domain != LOSS_CLASS_INDEX) {
            continue;
        }
        b->call.gradients = 1u << input;
        batch_compute(b);
        if (batch_get(&b->answer.gradient[input], at) == 0) {
            size_t classes = b->call.input[input].count / b->call.input[i].count;
            batch_set(&b->call.input[i], at / classes, (double)(at % classes));
        }
        b->call.gradients = 0;
    }
}

/* A mask may hide what a test is about. */
static void leave_out_optional(struct batch *b)
{
    const struct loss_desc *desc = b->call.desc;
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        if (desc->inputs[i].optional) {
            b->call.input[i].data = NULL;
        }
    }
}

/* A row without another of its label may not be looked at. */
static void make_alike(struct batch *b)
{
    const struct loss_desc *desc = b->call.desc;
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        for (size_t k = 0; desc->inputs[i].domain == LOSS_WHOLE_NUMBER && k < b->call.input[i].count; k++) {
            batch_set(&b->call.input[i], k, 1);
        }
    }
}

static void test_nan__among_the_inputs_is_nan_in_the_answer(void **state)
{
    (void)state;
    static const size_t shape[] = {4, 5};
    EACH_LOSS(desc)
    {
        for (int i = 0; desc->inputs[i].name != NULL; i++) {
            if (desc->inputs[i].domain != LOSS_REAL) {
                continue;
            }
            for (size_t at = 0; at < 20; at += 7) {
                struct batch b;
                batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 70);
                look_at(&b, i, at);
                if (!desc->inputs[i].optional) {
                    leave_out_optional(&b);
                }
                make_alike(&b);
                batch_set(&b.call.input[i], at, NAN);
                batch_compute(&b);
                CHECK(desc, desc->kind == LOSS_BATCHWISE ? b.answer.nonfinite > 0 : b.answer.nonfinite == 1);
                CHECK(desc, isnan(b.answer.totals.sum));
                size_t row = at * b.answer.losses.count / 20;
                CHECK(desc, isnan(batch_get(&b.answer.losses, desc->kind == LOSS_WHOLE ? 0 : row)));
                batch_free(&b);
            }
        }
    }
}

/* Equal but for the sign of zeros. */
static bool same_numbers(const struct loss_tensor *a, const struct loss_tensor *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = batch_get(a, i) == batch_get(b, i);
    }
    return same;
}

static void test_mask__hides_what_has_weight_zero(void **state)
{
    (void)state;
    static const size_t shape[] = {6, 4};
    EACH_LOSS(desc)
    {
        struct batch b;
        batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 71);
        if (batch_weigh(&b, BATCH_ROWS)) {
            batch_set(&b.call.weights, 2, 0);
            if (desc->kind == LOSS_BATCHWISE) {
                batch_free(&b);
                continue; /* there a row is missed by the others */
            }
            b.call.gradients = 1u << b.main;
            batch_compute(&b);
            struct loss_answer clean = b.answer;
            for (int i = 0; desc->inputs[i].name != NULL; i++) { /* poison row 2 */
                struct loss_tensor *t = &b.call.input[i];
                size_t row = t->count / 6;
                for (size_t k = 2 * row; k < 3 * row; k++) {
                    batch_set(t, k, t->dtype == LOSS_INT64 ? 1000 : NAN);
                }
            }
            b.call.weights_mask = true;
            batch_compute(&b);
            CHECK(desc, same_numbers(&clean.losses, &b.answer.losses));
            CHECK(desc, same_numbers(&clean.gradient[b.main], &b.answer.gradient[b.main]));
            CHECK(desc, batch_same_totals(&clean.totals, &b.answer.totals));
            CHECK(desc, b.answer.nonfinite == 0);
        }
        batch_free(&b);
    }
}

/* Row `row` of a tensor of `rows` rows, taken out. */
static void take_out(struct batch *b, struct loss_tensor *t, size_t rows, size_t row)
{
    if (t->data == NULL || t->rank == 0 || t->shape[0] != rows) {
        return;
    }
    struct loss_tensor from = *t;
    size_t c = t->count / rows;
    t->shape[0] = rows - 1;
    t->count = (rows - 1) * c;
    t->data = loss_arena_alloc(b->arena, from.count * loss_dtype_size(from.dtype), 64);
    assert_non_null(t->data);
    for (size_t i = 0; i < t->count; i++) {
        batch_set(t, i, batch_get(&from, i / c < row ? i : i + c));
    }
}

static void check_without_row(const struct loss_desc *desc, struct batch *whole, size_t rows, size_t row)
{
    struct loss_answer masked = whole->answer;
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        take_out(whole, &whole->call.input[i], rows, row);
    }
    take_out(whole, &whole->call.weights, rows, row);
    whole->call.weights_mask = false;
    batch_compute(whole);
    CHECK(desc, whole->answer.totals.sum == masked.totals.sum);
    CHECK(desc, whole->answer.totals.nonzero_weights == masked.totals.nonzero_weights);
    CHECK(desc, whole->answer.totals.count + 1 == masked.totals.count);
    take_out(whole, &masked.losses, rows, row);
    CHECK(desc, same_numbers(&whole->answer.losses, &masked.losses));
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        size_t c = masked.gradient[i].count / rows;
        for (size_t k = row * c; masked.gradient[i].data != NULL && k < (row + 1) * c; k++) {
            CHECK(desc, batch_get(&masked.gradient[i], k) == 0);
        }
        take_out(whole, &masked.gradient[i], rows, row);
        CHECK(desc, masked.gradient[i].data == NULL || same_numbers(&whole->answer.gradient[i], &masked.gradient[i]));
    }
}

/* Where all rows meet, a masked one is not there for the others either. */
static void test_mask__takes_rows_out_of_the_batch(void **state)
{
    (void)state;
    static const size_t shape[] = {6, 4};
    EACH_LOSS(desc)
    {
        struct batch b;
        batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 72);
        if (desc->kind == LOSS_BATCHWISE && batch_weigh(&b, BATCH_ROWS)) {
            batch_set(&b.call.weights, 2, 0);
            for (int i = 0; desc->inputs[i].name != NULL; i++) {
                b.call.gradients |= desc->inputs[i].differentiable ? 1u << i : 0;
                size_t c = b.call.input[i].count / 6;
                for (size_t k = 2 * c; k < 3 * c; k++) {
                    batch_set(&b.call.input[i], k, b.call.input[i].dtype == LOSS_INT64 ? 1000 : NAN);
                }
            }
            b.call.weights_mask = true;
            b.call.reduction = LOSS_REDUCE_SUM;
            batch_compute(&b);
            CHECK(desc, b.answer.nonfinite == 0 && batch_get(&b.answer.losses, 2) == 0);
            check_without_row(desc, &b, 6, 2);
        }
        batch_free(&b);
    }
}

static void check_refused(const struct loss_desc *desc, int param, double value)
{
    struct loss_call call;
    struct loss_error error = {0}, elsewhere = {0};
    char pointer[64];
    snprintf(pointer, sizeof pointer, "/%s", desc->params[param].name);
    loss_call_init(&call, desc, NULL);
    if (loss_call_set_number(&call, param, value, NULL, &error) != LOSS_INVALID_PARAMETER) {
        fail_msg("%s: %s = %g is not refused", desc->name, desc->params[param].name, value);
    }
    assert_string_equal(error.pointer, pointer);
    assert_non_null(strstr(error.message, desc->params[param].name));
    assert_int_equal(loss_call_set_number(&call, param, value, "/losses/1/x", &elsewhere), LOSS_INVALID_PARAMETER);
    assert_string_equal(elsewhere.pointer, "/losses/1/x");
}

static void test_parameter__outside_its_range_is_refused(void **state)
{
    (void)state;
    EACH_LOSS(desc)
    {
        for (int i = 0; desc->params[i].name != NULL; i++) {
            const struct loss_param *p = &desc->params[i];
            if (p->type == LOSS_WORD || p->type == LOSS_BOOLEAN || p->type == LOSS_VECTOR) {
                continue;
            }
            check_refused(desc, i, NAN);
            if (p->type == LOSS_AXIS || p->type == LOSS_INTEGER) {
                check_refused(desc, i, 0.5);
            }
            if (p->min == 0 && p->max == 0) {
                continue;
            }
            check_refused(desc, i, p->min - 1e-6);
            check_refused(desc, i, isinf(p->max) ? INFINITY : p->max + 1e-6);
            if (p->above_min) {
                check_refused(desc, i, p->min);
            }
        }
    }
}

static void test_parameter__of_another_type_is_refused(void **state)
{
    (void)state;
    EACH_LOSS(desc)
    {
        for (int i = 0; desc->params[i].name != NULL; i++) {
            struct loss_call call;
            loss_call_init(&call, desc, NULL);
            struct loss_error error = {0};
            loss_param_type type = desc->params[i].type;
            static const int axes[] = {0, 1};
            CHECK(desc,
                  type == LOSS_WORD || loss_call_set_word(&call, i, "no", NULL, &error) == LOSS_INVALID_PARAMETER);
            CHECK(desc, type == LOSS_BOOLEAN ||
                            loss_call_set_boolean(&call, i, true, NULL, &error) == LOSS_INVALID_PARAMETER);
            CHECK(desc,
                  type == LOSS_AXES || loss_call_set_axes(&call, i, axes, 2, NULL, &error) == LOSS_INVALID_PARAMETER);
        }
    }
}

static void test_axis__beyond_the_rank_is_refused(void **state)
{
    (void)state;
    static const size_t shape[] = {3, 4};
    static const double beyond[] = {2, -3, 100};
    EACH_LOSS(desc)
    {
        int axis = loss_desc_param(desc, "axis");
        for (size_t i = 0; axis >= 0 && i < 3; i++) {
            struct batch b;
            batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 80);
            /* an axis that no tensor has may be refused at once */
            loss_status status = loss_call_set_number(&b.call, axis, beyond[i], NULL, &b.error);
            status = status == LOSS_OK ? loss_compute(&b.call, b.arena, &b.answer, &b.error) : status;
            CHECK(desc, status == LOSS_INVALID_PARAMETER);
            assert_string_equal(b.error.pointer, "/axis");
            batch_free(&b);
        }
    }
}

static void test_rank__other_than_the_loss_takes_is_refused(void **state)
{
    (void)state;
    static const size_t square[] = {3, 4}, cube[] = {2, 3, 4};
    EACH_LOSS(desc)
    {
        if (desc->rank == 0) {
            continue;
        }
        struct batch b;
        batch_make(&b, desc, LOSS_FLOAT32, 2, square, 83);
        for (int i = 0; desc->inputs[i].name != NULL; i++) {
            b.call.input[i] = batch_tensor(&b, desc->inputs[i].extent == LOSS_LEAD ? 2 : 3, cube, 0, 0);
        }
        CHECK(desc, loss_compute(&b.call, b.arena, &b.answer, &b.error) == LOSS_SHAPE_MISMATCH);
        char pointer[64];
        snprintf(pointer, sizeof pointer, "/%s", desc->inputs[b.main].name);
        assert_string_equal(b.error.pointer, pointer);
        batch_free(&b);
    }
}

static void test_scalars__are_refused_by_losses_of_rows(void **state)
{
    (void)state;
    static const size_t shape[] = {3, 4};
    EACH_LOSS(desc)
    {
        if (desc->kind != LOSS_ROWWISE && desc->rank == 0) {
            continue;
        }
        struct batch b;
        batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 81);
        for (int i = 0; desc->inputs[i].name != NULL; i++) {
            b.call.input[i] = batch_tensor(&b, 0, NULL, 0, 0);
        }
        CHECK(desc, loss_compute(&b.call, b.arena, &b.answer, &b.error) == LOSS_SHAPE_MISMATCH);
        batch_free(&b);
    }
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void test_cancelled__call_stops(void **state)
{
    (void)state;
    static const size_t shape[] = {3, 4};
    EACH_LOSS(desc)
    {
        struct batch b;
        batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 82);
        b.call.cancelled = always;
        b.answer.loss = 42;
        CHECK(desc, loss_compute(&b.call, b.arena, &b.answer, &b.error) == LOSS_DEADLINE_EXCEEDED);
        CHECK(desc, b.answer.loss == 42);
        batch_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptor__is_complete),
        cmocka_unit_test(test_descriptor__names_everything_once),
        cmocka_unit_test(test_example__computes),
        cmocka_unit_test(test_totals__follow_from_losses_and_weights),
        cmocka_unit_test(test_loss__is_what_the_reduction_names),
        cmocka_unit_test(test_losses__are_left_out_where_unwanted),
        cmocka_unit_test(test_weights__broadcast_as_if_written_out),
        cmocka_unit_test(test_weights__of_another_shape_are_refused),
        cmocka_unit_test(test_shape__of_every_other_input_is_checked),
        cmocka_unit_test(test_empty_batch__has_loss_zero),
        cmocka_unit_test(test_nan__among_the_inputs_is_nan_in_the_answer),
        cmocka_unit_test(test_mask__hides_what_has_weight_zero),
        cmocka_unit_test(test_mask__takes_rows_out_of_the_batch),
        cmocka_unit_test(test_parameter__outside_its_range_is_refused),
        cmocka_unit_test(test_parameter__of_another_type_is_refused),
        cmocka_unit_test(test_axis__beyond_the_rank_is_refused),
        cmocka_unit_test(test_rank__other_than_the_loss_takes_is_refused),
        cmocka_unit_test(test_scalars__are_refused_by_losses_of_rows),
        cmocka_unit_test(test_cancelled__call_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
