/* SPDX-License-Identifier: Apache-2.0
 *
 * test_compute.c - the driver, on losses made for the purpose: what descriptors can say beyond the catalog's own.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bind.h>
#include <kernel.h>

/* ---- losses of our own ---- */

/* L = w_y z_y with class weights w, ignored rows, and w_y as the row's factor. */
VM_INLINE void pick_body(const struct loss__block *b, bool wide)
{
    const int64_t *y = b->in[0];
    for (size_t r = 0; r < b->n; r++) {
        double w = y[r] < 0                          ? 0
                   : b->param[0].vector.data == NULL ? 1
                                                     : kernel_load(b->param[0].vector.data, (size_t)y[r], wide);
        b->loss[r] = y[r] < 0 ? 0 : w * kernel_load(b->in[1], r * b->c + (size_t)y[r], wide);
        for (size_t k = 0; b->grad[1] != NULL && k < b->c; k++) {
            double slope = y[r] == (int64_t)k ? w : 0;
            kernel_store(b->grad[1], r * b->c + k, kernel_chain(b->g[r], slope), wide);
        }
    }
}

static void pick_factor(const struct loss__block *b, double *r)
{
    const int64_t *y = b->in[0];
    const struct loss_tensor *w = &b->param[0].vector;
    for (size_t i = 0; i < b->n; i++) {
        r[i] = y[i] < 0 ? 0 : w->data == NULL ? 1 : loss_tensor_at(w, (size_t)y[i]);
    }
}

static void pick_f32(const struct loss__block *b)
{
    pick_body(b, false);
}

static void pick_f64(const struct loss__block *b)
{
    pick_body(b, true);
}

static const struct loss__kernels pick_kernels = {.f32 = pick_f32, .f64 = pick_f64, .factor = pick_factor};

static const struct loss_alias pick_aliases[] = {{"pick_torch", {{"ignore_index", -100}}}, {0}};

static const struct loss_desc pick = {
    .name = "pick",
    .aliases = pick_aliases,
    .inputs = {{.name = "labels", .domain = LOSS_CLASS_INDEX, .extent = LOSS_LEAD},
               {.name = "logits", .extent = LOSS_FREE, .main = true, .differentiable = true}},
    .params = {{.name = "class_weights", .type = LOSS_VECTOR, .optional = true, .max = INFINITY},
               {.name = "ignore_index", .type = LOSS_INTEGER, .optional = true},
               {.name = "axis", .type = LOSS_AXIS, .fallback = -1}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_MEAN,
};

/* L = y (x1 - x2) + (a - b where they are given): two main inputs, two optional ones that belong together. */
VM_INLINE void rank_body(const struct loss__block *b, bool wide)
{
    static const double signs[] = {1, -1, 0, 1};
    for (size_t i = 0; i < b->n; i++) {
        double y = kernel_load(b->in[2], i, wide);
        b->loss[i] = y * (kernel_load(b->in[0], i, wide) - kernel_load(b->in[1], i, wide));
        if (b->in[3] != NULL) {
            b->loss[i] += kernel_load(b->in[3], i, wide);
        }
        for (int in = 0; in < 4; in++) {
            if (b->grad[in] != NULL) {
                kernel_store(b->grad[in], i, b->g[i] * signs[in] * (in == 3 ? 1 : y), wide);
            }
        }
    }
}

static void rank_f32(const struct loss__block *b)
{
    rank_body(b, false);
}

static void rank_f64(const struct loss__block *b)
{
    rank_body(b, true);
}

static const struct loss__kernels rank_kernels = {.f32 = rank_f32, .f64 = rank_f64};

static const struct loss_desc rank_desc = {
    .name = "rank",
    .inputs = {{.name = "x1", .extent = LOSS_FREE, .main = true, .differentiable = true},
               {.name = "x2", .main = true, .differentiable = true},
               {.name = "labels", .domain = LOSS_SIGN},
               {.name = "bias", .optional = true, .differentiable = true}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM,
};

static const struct loss_desc paired_desc = {
    .name = "paired",
    .inputs = {{.name = "x1", .extent = LOSS_FREE, .main = true, .differentiable = true},
               {.name = "a", .optional = true, .together_with = "b"},
               {.name = "b", .optional = true, .together_with = "a"},
               {.name = "mask", .optional = true, .domain = LOSS_BINARY}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM,
};

static void copy_first(const struct loss__block *b)
{
    for (size_t i = 0; i < b->n; i++) {
        b->loss[i] = kernel_load(b->in[0], i, false);
    }
}

static const struct loss__kernels copy_kernels = {.f32 = copy_first};

/* L = sum_k (k + 1) x_k over a row, so that a wrong order shows. */
VM_INLINE void order_body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        b->loss[r] = 0;
        for (size_t k = 0; k < b->c; k++) {
            b->loss[r] += (double)(k + 1) * kernel_load(b->in[0], r * b->c + k, wide);
            if (b->grad[0] != NULL) {
                kernel_store(b->grad[0], r * b->c + k, b->g[r] * (double)(k + 1), wide);
            }
        }
    }
}

static void order_f32(const struct loss__block *b)
{
    order_body(b, false);
}

static void order_f64(const struct loss__block *b)
{
    order_body(b, true);
}

static const struct loss__kernels order_kernels = {.f32 = order_f32, .f64 = order_f64};

static const struct loss_desc order_desc = {
    .name = "order",
    .inputs = {{.name = "values", .extent = LOSS_FREE, .main = true, .differentiable = true}},
    .params = {{.name = "axis", .type = LOSS_AXES, .optional = true}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM,
};

/* L = v_(class) x, the classes along the last axis. */
static void scale_f32(const struct loss__block *b)
{
    const float *v = b->param[0].vector.data, *x = b->in[0];
    for (size_t i = 0; i < b->n; i++) {
        double w = v == NULL ? b->param[0].number : (double)v[(b->first + i) % b->param[0].vector.count];
        b->loss[i] = w * (double)x[i];
    }
}

static const struct loss__kernels scale_kernels = {.f32 = scale_f32};

static const struct loss_desc scale_desc = {
    .name = "scale",
    .inputs = {{.name = "values", .extent = LOSS_FREE, .main = true, .differentiable = true}},
    .params = {{.name = "pos_weight", .type = LOSS_NUMBER_OR_VECTOR, .fallback = 1, .max = INFINITY}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM,
};

/* An infinite derivative at 0. */
static void root_f32(const struct loss__block *b)
{
    const float *x = b->in[0];
    for (size_t i = 0; i < b->n; i++) {
        b->loss[i] = sqrt((double)x[i]);
        if (b->grad[0] != NULL) {
            kernel_store(b->grad[0], i, kernel_chain(b->g[i], 0.5 / b->loss[i]), false);
        }
    }
}

static const struct loss__kernels root_kernels = {.f32 = root_f32};

static const struct loss_desc whole_desc = {
    .name = "whole_numbers",
    .inputs = {{.name = "x1", .extent = LOSS_FREE, .main = true, .differentiable = true},
               {.name = "labels", .domain = LOSS_WHOLE_NUMBER}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM,
};

/* ---- helpers ---- */

struct world {
    struct loss_arena *arena;
    struct loss_call call;
    struct loss_answer answer;
    struct loss_error error;
};

static void world_open(struct world *w, const struct loss_desc *desc, const struct loss_alias *alias)
{
    *w = (struct world){.arena = loss_arena_new((size_t)1 << 28, NULL)};
    assert_non_null(w->arena);
    loss_call_init(&w->call, desc, alias);
}

static void world_close(struct world *w)
{
    loss_arena_free(w->arena);
}

/* A float64 tensor as a client might have sent it. */
static struct loss_tensor tensor(int rank, const size_t *shape, const double *data)
{
    struct loss_tensor t = {.dtype = LOSS_FLOAT64, .rank = rank, .count = 1, .data = (void *)data};
    for (int i = 0; i < rank; i++) {
        t.shape[i] = shape[i];
        t.count *= shape[i];
    }
    return t;
}

#define SHAPE(...) ((const size_t[]){__VA_ARGS__})
#define NUMBERS(...) ((const double[]){__VA_ARGS__})

static loss_status run(struct world *w, const struct loss__kernels *kernels)
{
    w->error = (struct loss_error){0};
    return loss__compute_with(kernels, &w->call, w->arena, &w->answer, &w->error);
}

static void expect(struct world *w, const struct loss__kernels *kernels)
{
    if (run(w, kernels) != LOSS_OK) {
        fail_msg("%s at %s", w->error.message, w->error.pointer);
    }
}

static void refuse(struct world *w, const struct loss__kernels *kernels, loss_status status, const char *pointer)
{
    loss_status found = run(w, kernels);
    if (found != status || strcmp(w->error.pointer, pointer) != 0) {
        fail_msg("expected %s at %s, got %s at %s: %s", loss_status_slug(status), pointer, loss_status_slug(found),
                 w->error.pointer, w->error.message);
    }
}

static void same(const struct loss_tensor *t, size_t n, const double *expected)
{
    assert_int_equal(t->count, n);
    for (size_t i = 0; i < n; i++) {
        double found = loss_tensor_at(t, i);
        if (!(fabs(found - expected[i]) <= 1e-6 * fabs(expected[i]))) {
            fail_msg("element %zu is %.9g, not %.9g", i, found, expected[i]);
        }
    }
}

/* ---- row factors and left-out rows ---- */

static void pick_world(struct world *w)
{
    static const double labels[] = {0, 2, -100, 1}, class_weights[] = {0.5, 2, 4};
    static const double logits[] = {1, 2, 3, 4, 5, 6, NAN, NAN, NAN, 10, 11, 12};
    world_open(w, &pick, NULL);
    w->call.input[0] = tensor(1, SHAPE(4), labels);
    w->call.input[1] = tensor(2, SHAPE(4, 3), logits);
    assert_int_equal(loss_call_set_number(&w->call, 1, -100, NULL, &w->error), LOSS_OK);
    struct loss_tensor classes = tensor(1, SHAPE(3), class_weights);
    assert_int_equal(loss_call_set_vector(&w->call, 0, &classes, &w->error), LOSS_OK);
}

static void test_factors__go_into_the_divisors_alone(void **state)
{
    (void)state;
    struct world w;
    pick_world(&w);
    w.call.weights = tensor(1, SHAPE(4), NUMBERS(1, 3, 5, 0));
    w.call.gradients = 1u << 1 | 1u << LOSS_GRADIENT_WEIGHTS;
    expect(&w, &pick_kernels);
    /* losses w * w_y * z_y; divisor w * w_y, which is 1*0.5 + 3*4 */
    same(&w.answer.losses, 4, NUMBERS(0.5, 72, 0, 0));
    assert_true(w.answer.totals.weight_sum == 12.5);
    assert_true(w.answer.totals.mean == 72.5 / 12.5);
    assert_int_equal(w.answer.totals.count, 4);
    assert_int_equal(w.answer.totals.nonzero_weights, 2);
    assert_true(w.answer.loss == (double)(float)(72.5 / 12.5));
    same(&w.answer.gradient[1], 12, NUMBERS(0.5 / 12.5, 0, 0, 0, 0, 12 / 12.5, 0, 0, 0, 0, 0, 0));
    double mean = 72.5 / 12.5;
    same(&w.answer.gradient[LOSS_GRADIENT_WEIGHTS], 4,
         NUMBERS((0.5 - 0.5 * mean) / 12.5, (24 - 4 * mean) / 12.5, 0, (22 - 2 * mean) / 12.5));
    assert_int_equal(w.answer.nonfinite, 0);
    world_close(&w);
}

static void test_factors__make_a_wholly_ignored_batch_zero(void **state)
{
    (void)state;
    struct world w;
    pick_world(&w);
    w.call.input[0] = tensor(1, SHAPE(4), NUMBERS(-100, -100, -100, -100));
    w.call.gradients = 1u << 1;
    expect(&w, &pick_kernels);
    assert_true(w.answer.loss == 0 && w.answer.totals.weight_sum == 0);
    assert_int_equal(w.answer.totals.nonzero_weights, 0);
    assert_int_equal(w.answer.nonfinite, 0);
    world_close(&w);
}

static void test_factors__are_the_same_on_many_threads(void **state)
{
    (void)state;
    enum { ROWS = 30000 };
    struct world w;
    pick_world(&w);
    double *labels = loss_arena_alloc(w.arena, ROWS * sizeof *labels, 8);
    double *logits = loss_arena_alloc(w.arena, 3 * ROWS * sizeof *logits, 8);
    double expected = 0;
    static const double classes[] = {0.5, 2, 4};
    for (int i = 0; i < ROWS; i++) {
        labels[i] = i % 7 == 0 ? -100 : i % 3;
        expected += i % 7 == 0 ? 0 : classes[i % 3];
        for (int k = 0; k < 3; k++) {
            logits[3 * i + k] = i;
        }
    }
    w.call.input[0] = tensor(1, SHAPE(ROWS), labels);
    w.call.input[1] = tensor(2, SHAPE(ROWS, 3), logits);
    expect(&w, &pick_kernels);
    assert_true(w.answer.totals.weight_sum == expected);
    world_close(&w);
}

static void test_alias__sets_its_own_defaults(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, &pick, NULL);
    assert_false(w.call.param[1].given);
    w.call.input[0] = tensor(1, SHAPE(1), NUMBERS(-100));
    w.call.input[1] = tensor(2, SHAPE(1, 3), NUMBERS(1, 2, 3));
    refuse(&w, &pick_kernels, LOSS_LABEL_OUT_OF_RANGE, "/labels/0");
    world_close(&w);
    world_open(&w, &pick, &pick_aliases[0]);
    assert_true(w.call.param[1].given && w.call.param[1].number == -100);
    w.call.input[0] = tensor(1, SHAPE(1), NUMBERS(-100));
    w.call.input[1] = tensor(2, SHAPE(1, 3), NUMBERS(1, 2, 3));
    expect(&w, &pick_kernels);
    assert_true(w.answer.loss == 0);
    world_close(&w);
}

static void test_vector__must_fit_the_classes(void **state)
{
    (void)state;
    struct world w;
    pick_world(&w);
    struct loss_tensor v = tensor(1, SHAPE(2), NUMBERS(1, 2));
    assert_int_equal(loss_call_set_vector(&w.call, 0, &v, &w.error), LOSS_OK);
    refuse(&w, &pick_kernels, LOSS_SHAPE_MISMATCH, "/class_weights");
    v = tensor(2, SHAPE(1, 3), NUMBERS(1, 2, 3));
    assert_int_equal(loss_call_set_vector(&w.call, 0, &v, &w.error), LOSS_OK);
    refuse(&w, &pick_kernels, LOSS_SHAPE_MISMATCH, "/class_weights");
    v = tensor(1, SHAPE(3), NUMBERS(1, -2, 3));
    assert_int_equal(loss_call_set_vector(&w.call, 0, &v, &w.error), LOSS_OK);
    refuse(&w, &pick_kernels, LOSS_INVALID_PARAMETER, "/class_weights/1");
    v = tensor(1, SHAPE(3), NUMBERS(1, 2, 1e300));
    assert_int_equal(loss_call_set_vector(&w.call, 0, &v, &w.error), LOSS_OK);
    refuse(&w, &pick_kernels, LOSS_NUMBER_OUT_OF_RANGE, "/class_weights/2");
    world_close(&w);
}

static void test_vector__goes_with_classes_along_the_last_axis(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, &pick, NULL);
    w.call.input[0] = tensor(1, SHAPE(3), NUMBERS(0, 1, 1));
    w.call.input[1] = tensor(2, SHAPE(2, 3), NUMBERS(1, 2, 3, 4, 5, 6));
    w.call.gradients = 1u << 1;
    w.call.reduction = LOSS_REDUCE_SUM;
    assert_int_equal(loss_call_set_number(&w.call, 2, 0, NULL, &w.error), LOSS_OK);
    struct loss_tensor of_classes = tensor(1, SHAPE(2), NUMBERS(10, 100)),
                       of_last = tensor(1, SHAPE(3), NUMBERS(1, 2, 3));
    assert_int_equal(loss_call_set_vector(&w.call, 0, &of_classes, &w.error), LOSS_OK);
    refuse(&w, &pick_kernels, LOSS_SHAPE_MISMATCH, "/class_weights");
    assert_int_equal(loss_call_set_vector(&w.call, 0, &of_last, &w.error), LOSS_OK);
    refuse(&w, &pick_kernels, LOSS_SHAPE_MISMATCH, "/class_weights");
    w.call.input[0] = tensor(1, SHAPE(2), NUMBERS(0, 1));
    assert_int_equal(loss_call_set_number(&w.call, 2, 1, NULL, &w.error), LOSS_OK);
    expect(&w, &pick_kernels);
    same(&w.answer.losses, 2, NUMBERS(1, 10));
    same(&w.answer.gradient[1], 6, NUMBERS(1, 0, 0, 0, 2, 0));
    world_close(&w);
}

static void test_vector__of_an_elementwise_loss_repeats_over_the_last_axis(void **state)
{
    (void)state;
    enum { ROWS = 3000, K = 3 }; /* more than one block, and none begins at a row */
    struct world w;
    world_open(&w, &scale_desc, NULL);
    double *x = loss_arena_alloc(w.arena, ROWS * K * sizeof *x, 8);
    for (int i = 0; i < ROWS * K; i++) {
        x[i] = 1;
    }
    w.call.input[0] = tensor(2, SHAPE(ROWS, K), x);
    struct loss_tensor v = tensor(1, SHAPE(K), NUMBERS(1, 10, 100));
    assert_int_equal(loss_call_set_vector(&w.call, 0, &v, &w.error), LOSS_OK);
    expect(&w, &scale_kernels);
    for (size_t i = 0; i < ROWS * K; i++) {
        assert_true(((float *)w.answer.losses.data)[i] == (i % K == 0 ? 1 : i % K == 1 ? 10 : 100));
    }
    assert_int_equal(loss_call_set_number(&w.call, 0, 7, NULL, &w.error), LOSS_OK);
    expect(&w, &scale_kernels);
    assert_true(w.answer.loss == 7 * ROWS * K);
    world_close(&w);
}

/* ---- several inputs ---- */

static void test_inputs__that_are_all_main_all_have_gradients(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, &rank_desc, NULL);
    w.call.input[0] = tensor(1, SHAPE(3), NUMBERS(1, 2, 3));
    w.call.input[1] = tensor(1, SHAPE(3), NUMBERS(5, 5, 5));
    w.call.input[2] = tensor(1, SHAPE(3), NUMBERS(1, -1, 1));
    w.call.gradients = 3;
    expect(&w, &rank_kernels);
    same(&w.answer.losses, 3, NUMBERS(-4, 3, -2));
    same(&w.answer.gradient[0], 3, NUMBERS(1, -1, 1));
    same(&w.answer.gradient[1], 3, NUMBERS(-1, 1, -1));
    w.call.input[1] = tensor(1, SHAPE(2), NUMBERS(5, 5));
    refuse(&w, &rank_kernels, LOSS_SHAPE_MISMATCH, "/x2");
    world_close(&w);
}

static void test_inputs__of_signs_and_bits_are_checked(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, &rank_desc, NULL);
    w.call.input[0] = tensor(1, SHAPE(3), NUMBERS(1, 2, 3));
    w.call.input[1] = w.call.input[0];
    w.call.input[2] = tensor(1, SHAPE(3), NUMBERS(1, 0, 1));
    refuse(&w, &rank_kernels, LOSS_LABEL_OUT_OF_RANGE, "/labels/1");
    w.call.input[2].layout = LOSS_FLAT;
    refuse(&w, &rank_kernels, LOSS_LABEL_OUT_OF_RANGE, "/labels/data/1");
    w.call.weights = tensor(1, SHAPE(3), NUMBERS(1, 0, 1));
    w.call.weights_mask = true;
    expect(&w, &rank_kernels);
    world_close(&w);
    world_open(&w, &paired_desc, NULL);
    w.call.input[0] = tensor(1, SHAPE(2), NUMBERS(1, 2));
    w.call.input[3] = tensor(1, SHAPE(2), NUMBERS(1, 0.5));
    refuse(&w, &copy_kernels, LOSS_LABEL_OUT_OF_RANGE, "/mask/1");
    w.call.input[3] = tensor(1, SHAPE(2), NUMBERS(1, 0));
    expect(&w, &copy_kernels);
    world_close(&w);
}

static void test_inputs__that_belong_together_come_together(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, &paired_desc, NULL);
    w.call.input[0] = tensor(1, SHAPE(2), NUMBERS(1, 2));
    expect(&w, &copy_kernels);
    w.call.input[1] = tensor(1, SHAPE(2), NUMBERS(1, 2));
    refuse(&w, &copy_kernels, LOSS_MISSING_FIELD, "/b");
    w.call.input[2] = tensor(1, SHAPE(2), NUMBERS(1, 2));
    expect(&w, &copy_kernels);
    w.call.input[1].data = NULL;
    refuse(&w, &copy_kernels, LOSS_MISSING_FIELD, "/a");
    world_close(&w);
}

static void test_gradients__of_an_absent_input_are_refused(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, &rank_desc, NULL);
    w.call.input[0] = tensor(1, SHAPE(1), NUMBERS(1));
    w.call.input[1] = w.call.input[0];
    w.call.input[2] = w.call.input[0];
    w.call.gradients = 1u << 3;
    refuse(&w, &rank_kernels, LOSS_NOT_DIFFERENTIABLE, "/gradients");
    w.call.gradients = 1u << 2;
    refuse(&w, &rank_kernels, LOSS_NOT_DIFFERENTIABLE, "/gradients");
    world_close(&w);
}

static void test_whole_numbers__keep_all_their_digits(void **state)
{
    (void)state;
    static const int64_t big[] = {INT64_MAX, INT64_MIN};
    static const uint64_t too_big[] = {UINT64_MAX, 1};
    struct world w;
    world_open(&w, &whole_desc, NULL);
    w.call.input[0] = tensor(1, SHAPE(2), NUMBERS(1, 2));
    w.call.input[1] =
        (struct loss_tensor){.dtype = LOSS_INT64, .rank = 1, .shape = {2}, .count = 2, .data = (void *)big};
    struct loss__plan plan;
    assert_int_equal(loss__bind(&plan, &w.call, &copy_kernels, w.arena, &w.error), LOSS_OK);
    assert_memory_equal(plan.input[1].data, big, sizeof big);
    w.call.input[1].dtype = LOSS_UINT64;
    w.call.input[1].data = (void *)too_big;
    refuse(&w, &copy_kernels, LOSS_LABEL_OUT_OF_RANGE, "/labels/0");
    w.call.input[1] = tensor(1, SHAPE(2), NUMBERS(3, 0.5));
    refuse(&w, &copy_kernels, LOSS_NOT_AN_INTEGER, "/labels/1");
    w.call.input[1] = tensor(1, SHAPE(2), NUMBERS(1e19, 1));
    refuse(&w, &copy_kernels, LOSS_LABEL_OUT_OF_RANGE, "/labels/0");
    world_close(&w);
}

/* ---- axes ---- */

static void test_axes__default_to_all_but_the_first(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, &order_desc, NULL);
    w.call.input[0] = tensor(3, SHAPE(2, 2, 2), NUMBERS(1, 1, 1, 1, 2, 2, 2, 2));
    expect(&w, &order_kernels);
    assert_int_equal(w.answer.losses.rank, 1);
    same(&w.answer.losses, 2, NUMBERS(10, 20));
    w.call.input[0] = tensor(1, SHAPE(3), NUMBERS(1, 1, 1));
    expect(&w, &order_kernels);
    assert_int_equal(w.answer.losses.rank, 0);
    same(&w.answer.losses, 1, NUMBERS(6));
    world_close(&w);
}

static void test_axes__may_be_any_list(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, &order_desc, NULL);
    w.call.gradients = 1;
    w.call.input[0] = tensor(3, SHAPE(2, 3, 2), NUMBERS(1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60));
    static const int outer[] = {0, -1}, twice[] = {1, -2};
    assert_int_equal(loss_call_set_axes(&w.call, 0, outer, 2, NULL, &w.error), LOSS_OK);
    expect(&w, &order_kernels);
    /* row k: x[0,k,0], x[0,k,1], x[1,k,0], x[1,k,1] */
    same(&w.answer.losses, 3, NUMBERS(1 + 20 + 12 + 160, 2 + 40 + 15 + 200, 3 + 60 + 18 + 240));
    same(&w.answer.gradient[0], 12, NUMBERS(1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4));
    assert_int_equal(loss_call_set_axes(&w.call, 0, twice, 2, NULL, &w.error), LOSS_OK);
    refuse(&w, &order_kernels, LOSS_INVALID_PARAMETER, "/axis");
    assert_int_equal(loss_call_set_number(&w.call, 0, 3, NULL, &w.error), LOSS_OK);
    refuse(&w, &order_kernels, LOSS_INVALID_PARAMETER, "/axis");
    assert_int_equal(loss_call_set_number(&w.call, 0, 1, NULL, &w.error), LOSS_OK);
    expect(&w, &order_kernels);
    same(&w.answer.losses, 4, NUMBERS(14, 140, 32, 320));
    world_close(&w);
}

/* ---- numbers ---- */

static void test_infinite_slope__times_nothing_is_nothing(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, &order_desc, NULL);
    w.call.desc = &scale_desc;
    w.call.input[0] = tensor(1, SHAPE(3), NUMBERS(0, 4, 0));
    w.call.weights = tensor(1, SHAPE(3), NUMBERS(0, 1, 1));
    w.call.gradients = 1;
    expect(&w, &root_kernels);
    const float *g = w.answer.gradient[0].data;
    assert_true(g[0] == 0 && g[1] == 0.25F && isinf(g[2]));
    assert_int_equal(w.answer.nonfinite, 1);
    world_close(&w);
}

static void test_numbers__too_large_for_float32_are_refused_with_their_place(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, &order_desc, NULL);
    w.call.input[0] = tensor(2, SHAPE(2, 2), NUMBERS(1, FLT_MAX, -1e39, 1));
    refuse(&w, &order_kernels, LOSS_NUMBER_OUT_OF_RANGE, "/values/1/0");
    w.call.input[0].pointer = "/losses/3/values";
    refuse(&w, &order_kernels, LOSS_NUMBER_OUT_OF_RANGE, "/losses/3/values/1/0");
    w.call.dtype = LOSS_FLOAT64;
    expect(&w, &order_kernels);
    w.call.dtype = LOSS_FLOAT32;
    w.call.input[0] = tensor(2, SHAPE(2, 2), NUMBERS(1, INFINITY, -INFINITY, NAN));
    expect(&w, &order_kernels);
    assert_int_equal(w.answer.nonfinite, 2);
    w.call.weights = tensor(0, NULL, NUMBERS(-4e38));
    refuse(&w, &order_kernels, LOSS_NUMBER_OUT_OF_RANGE, "/weights");
    world_close(&w);
}

static void test_tensors__may_lie_at_any_address(void **state)
{
    (void)state;
    static const float numbers[] = {1, 2, 3, 4};
    unsigned char bytes[sizeof numbers + 1];
    memcpy(bytes + 1, numbers, sizeof numbers);
    struct world w;
    world_open(&w, &order_desc, NULL);
    w.call.input[0] =
        (struct loss_tensor){.dtype = LOSS_FLOAT32, .rank = 1, .shape = {4}, .count = 4, .data = bytes + 1};
    expect(&w, &order_kernels);
    same(&w.answer.losses, 1, NUMBERS(1 + 4 + 9 + 16));
    world_close(&w);
}

/* Every dtype as labels and as numbers. */
static void test_dtypes__are_all_taken(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < LOSS_DTYPE_COUNT; dtype++) {
        /* one, two and (bool) true in each encoding */
        static const uint16_t half[] = {0x3c00, 0x4000}, bfloat[] = {0x3f80, 0x4000};
        unsigned char bytes[16] = {0};
        size_t size = loss_dtype_size((loss_dtype)dtype);
        bool whole = dtype >= LOSS_INT8;
        static const float f32[] = {1, 2};
        static const double f64[] = {1, 2};
        const void *floats = dtype == LOSS_FLOAT32   ? (const void *)f32
                             : dtype == LOSS_FLOAT64 ? (const void *)f64
                             : dtype == LOSS_FLOAT16 ? (const void *)half
                                                     : (const void *)bfloat;
        for (size_t i = 0; i < 2; i++) {
            bytes[i * size] = (unsigned char)(i + 1);
        }
        if (!whole) {
            memcpy(bytes, floats, 2 * size);
        }
        struct world w;
        world_open(&w, &order_desc, NULL);
        w.call.input[0] =
            (struct loss_tensor){.dtype = (loss_dtype)dtype, .rank = 1, .shape = {2}, .count = 2, .data = bytes};
        expect(&w, &order_kernels);
        same(&w.answer.losses, 1, NUMBERS(dtype == LOSS_BOOL ? 3 : 5));
        world_close(&w);
    }
}

static void test_memory__that_runs_out_is_an_ordinary_failure(void **state)
{
    (void)state;
    static double values[5000];
    struct world w;
    world_open(&w, &order_desc, NULL);
    w.call.input[0] = tensor(2, SHAPE(1000, 5), values);
    w.call.gradients = 1u << LOSS_GRADIENT_WEIGHTS | 1;
    bool passed = false;
    for (size_t ceiling = 1024; !passed; ceiling += 4096) {
        struct loss_arena *small = loss_arena_new(ceiling, NULL);
        assert_non_null(small);
        struct loss_error error = {0};
        loss_status status = loss__compute_with(&order_kernels, &w.call, small, &w.answer, &error);
        passed = status == LOSS_OK;
        assert_true(passed || status == LOSS_OVERLOADED);
        loss_arena_free(small);
    }
    world_close(&w);
}

static void test_call_elements__counts_inputs_and_weights(void **state)
{
    (void)state;
    struct world w;
    pick_world(&w);
    assert_int_equal(loss_call_elements(&w.call), 16);
    w.call.weights = tensor(0, NULL, NUMBERS(1));
    assert_int_equal(loss_call_elements(&w.call), 17);
    world_close(&w);
}

/* ---- words ---- */

static void test_words__are_known_or_refused_with_the_nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"zero_one", "plus_minus", "auto", NULL};
    static const struct loss_desc desc = {
        .name = "wordy",
        .params = {{.name = "label_encoding", .type = LOSS_WORD, .words = words, .fallback = 2},
                   {.name = "full", .type = LOSS_BOOLEAN, .fallback = 1}},
    };
    struct loss_call call;
    struct loss_error error = {0};
    loss_call_init(&call, &desc, NULL);
    assert_true(call.param[0].given && call.param[0].number == 2);
    assert_true(call.param[1].number == 1);
    assert_int_equal(loss_call_set_word(&call, 0, "plus_minus", NULL, &error), LOSS_OK);
    assert_true(call.param[0].number == 1);
    assert_int_equal(loss_call_set_boolean(&call, 1, false, NULL, &error), LOSS_OK);
    assert_true(call.param[1].number == 0);
    assert_int_equal(loss_call_set_word(&call, 0, "zero-on", NULL, &error), LOSS_INVALID_PARAMETER);
    assert_string_equal(error.pointer, "/label_encoding");
    assert_non_null(strstr(error.message, "did you mean \"zero_one\"?"));
    assert_int_equal(loss_call_set_number(&call, 1, 1, NULL, &(struct loss_error){0}), LOSS_INVALID_PARAMETER);
}

static void test_ranges__are_named_in_the_message(void **state)
{
    (void)state;
    static const struct loss_desc desc = {
        .name = "ranged",
        .params = {{.name = "delta", .type = LOSS_NUMBER, .max = INFINITY, .above_min = true, .below_max = true},
                   {.name = "smoothing", .type = LOSS_NUMBER, .max = 1},
                   {.name = "floor", .type = LOSS_NUMBER, .min = -INFINITY, .max = 0},
                   {.name = "q", .type = LOSS_NUMBER, .max = 0.5, .below_max = true},
                   {.name = "topn", .type = LOSS_INTEGER, .min = 1, .max = INFINITY}},
    };
    static const struct {
        int param;
        double value;
        const char *message;
    } cases[] = {
        {0, -1, "delta must be > 0, got -1"},    {1, 1.1, "smoothing must be in [0, 1], got 1.1"},
        {2, 0.5, "floor must be <= 0, got 0.5"}, {3, 0.5, "q must be in [0, 0.5), got 0.5"},
        {4, 0, "topn must be >= 1, got 0"},      {4, 1.5, "topn must be a whole number, got 1.5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loss_call call;
        struct loss_error error = {0};
        loss_call_init(&call, &desc, NULL);
        loss_status status = loss_call_set_number(&call, cases[i].param, cases[i].value, NULL, &error);
        assert_int_equal(status, LOSS_INVALID_PARAMETER);
        assert_string_equal(error.message, cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_factors__go_into_the_divisors_alone),
        cmocka_unit_test(test_factors__make_a_wholly_ignored_batch_zero),
        cmocka_unit_test(test_factors__are_the_same_on_many_threads),
        cmocka_unit_test(test_alias__sets_its_own_defaults),
        cmocka_unit_test(test_vector__must_fit_the_classes),
        cmocka_unit_test(test_vector__goes_with_classes_along_the_last_axis),
        cmocka_unit_test(test_vector__of_an_elementwise_loss_repeats_over_the_last_axis),
        cmocka_unit_test(test_inputs__that_are_all_main_all_have_gradients),
        cmocka_unit_test(test_inputs__of_signs_and_bits_are_checked),
        cmocka_unit_test(test_inputs__that_belong_together_come_together),
        cmocka_unit_test(test_gradients__of_an_absent_input_are_refused),
        cmocka_unit_test(test_whole_numbers__keep_all_their_digits),
        cmocka_unit_test(test_axes__default_to_all_but_the_first),
        cmocka_unit_test(test_axes__may_be_any_list),
        cmocka_unit_test(test_infinite_slope__times_nothing_is_nothing),
        cmocka_unit_test(test_numbers__too_large_for_float32_are_refused_with_their_place),
        cmocka_unit_test(test_tensors__may_lie_at_any_address),
        cmocka_unit_test(test_dtypes__are_all_taken),
        cmocka_unit_test(test_memory__that_runs_out_is_an_ordinary_failure),
        cmocka_unit_test(test_call_elements__counts_inputs_and_weights),
        cmocka_unit_test(test_words__are_known_or_refused_with_the_nearest),
        cmocka_unit_test(test_ranges__are_named_in_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
