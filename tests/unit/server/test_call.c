/* SPDX-License-Identifier: Apache-2.0
 *
 * test_call.c - what all body formats do alike: fields, words, gradients, registries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <server/formats/call.h>

static double numbers[] = {1, 2};

static struct loss_tensor vector(void)
{
    return (struct loss_tensor){.dtype = LOSS_FLOAT64, .rank = 1, .shape = {2}, .count = 2, .data = numbers};
}

/* A call with all of its inputs. */
static struct call good_call(const char *name)
{
    struct call call;
    const struct loss_alias *alias;
    const struct loss_desc *desc = loss_catalog_find(name, &alias);
    assert_non_null(desc);
    call_init(&call, desc, alias);
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        call.loss.input[i] = vector();
    }
    return call;
}

static void test_names__fit_for_every_loss_and_hold_no_name_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        const char *names[CALL_MAX_NAMES];
        size_t n = call_field_names(loss_catalog_at(i), names, CALL_MAX_NAMES);
        assert_true(n >= n_call_fields + 1 && n <= CALL_MAX_NAMES);
        for (size_t k = 0; k < n; k++) {
            for (size_t m = 0; m < k; m++) {
                assert_string_not_equal(names[k], names[m]);
            }
        }
    }
}

static void test_names__counts_beyond_its_room(void **state)
{
    (void)state;
    const char *names[2] = {NULL, NULL};
    const struct loss_desc *desc = loss_catalog_find("huber_loss", NULL);
    assert_true(call_field_names(desc, names, 1) > n_call_fields);
    assert_string_equal(names[0], "labels");
    assert_null(names[1]);
}

static void test_clip__cuts_between_characters(void **state)
{
    (void)state;
    char buf[CALL_CLIP];
    char word[200] = "";
    assert_string_equal(call_clip("short", buf), "short");
    for (size_t lead = 0; lead < 4; lead++) {
        memset(word, 'x', lead);
        word[lead] = '\0';
        while (strlen(word) < 150) {
            strcat(word, "\xe2\x82\xac");
        }
        call_clip(word, buf);
        assert_true(strlen(buf) < CALL_CLIP);
        assert_string_equal(buf + strlen(buf) - 3, "\xe2\x80\xa6");
        assert_int_equal((strlen(buf) - 3 - lead) % 3, 0);
    }
}

static void test_number__prints_as_clients_write(void **state)
{
    (void)state;
    char buf[CALL_NUMBER];
    assert_string_equal(call_number(3, buf), "3");
    assert_string_equal(call_number(0.1, buf), "0.1");
    assert_string_equal(call_number(-1e300, buf), "-1e+300");
    assert_string_equal(call_number(0.0 / 0.0, buf), "NaN");
}

static void test_unknown_field__names_the_nearest(void **state)
{
    (void)state;
    struct loss_error err = {0};
    const struct loss_desc *desc = loss_catalog_find("huber_loss", NULL);
    assert_int_equal(call_unknown_field(desc, "dleta", "/dleta", &err), LOSS_UNKNOWN_FIELD);
    assert_string_equal(err.pointer, "/dleta");
    assert_non_null(strstr(err.message, "did you mean \"delta\"?"));
    assert_non_null(strstr(err.message, "labels, predictions, delta, weights, reduction"));
}

static void test_reduction__takes_names_and_aliases(void **state)
{
    (void)state;
    struct call call = good_call("mse");
    struct loss_error err = {0};
    assert_int_equal(call_set_reduction(&call, "weighted_sum", "/reduction", &err), LOSS_OK);
    assert_int_equal(call.loss.reduction, LOSS_REDUCE_SUM);
    assert_int_equal(call_set_reduction(&call, "Sum", "/reduction", &err), LOSS_INVALID_PARAMETER);
    assert_string_equal(err.pointer, "/reduction");
    assert_non_null(strstr(err.message, "none, sum, mean, sum_over_batch_size, sum_by_nonzero_weights, batchmean"));
}

static void test_dtype__is_float32_or_float64(void **state)
{
    (void)state;
    struct loss_error err = {0};
    loss_dtype dtype = LOSS_INT8;
    assert_int_equal(call_parse_dtype("float64", "/dtype", &dtype, &err), LOSS_OK);
    assert_int_equal(dtype, LOSS_FLOAT64);
    assert_int_equal(call_parse_dtype("int32", "/dtype", &dtype, &err), LOSS_UNSUPPORTED_DTYPE);
    assert_int_equal(dtype, LOSS_FLOAT64);
}

static void test_gradients__are_of_the_main_inputs_where_no_names_are_given(void **state)
{
    (void)state;
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        const struct loss_desc *desc = loss_catalog_at(i);
        struct call call = good_call(desc->name);
        call_want_gradients(&call);
        assert_true(call.loss.gradients != 0);
        for (int k = 0; desc->inputs[k].name != NULL; k++) {
            assert_int_equal((call.loss.gradients & (1u << k)) != 0, desc->inputs[k].main);
        }
    }
}

static void test_gradients__are_asked_for_by_name_or_alias(void **state)
{
    (void)state;
    struct call call = good_call("sparse_softmax_cross_entropy");
    struct loss_error err = {0};
    assert_int_equal(call_want_gradient(&call, "logits", "/gradients/0", &err), LOSS_OK);
    assert_int_equal(call_want_gradient(&call, "y_pred", "/gradients/1", &err), LOSS_OK);
    assert_int_equal(call_want_gradient(&call, "weights", "/gradients/2", &err), LOSS_OK);
    assert_int_equal(call.loss.gradients, 1u << 1 | 1u << LOSS_GRADIENT_WEIGHTS);
    assert_int_equal(call_want_gradient(&call, "labels", "/gradients/3", &err), LOSS_NOT_DIFFERENTIABLE);
    assert_string_equal(err.pointer, "/gradients/3");
    err = (struct loss_error){0};
    assert_int_equal(call_want_gradient(&call, "predictions", "/gradients/4", &err), LOSS_INVALID_PARAMETER);
    assert_non_null(strstr(err.message, "logits, weights"));
}

static void test_check__wants_inputs_and_required_parameters(void **state)
{
    (void)state;
    struct loss_error err = {0};
    struct call call = good_call("cosine_distance");
    assert_int_equal(call_check(&call, &err), LOSS_MISSING_FIELD);
    assert_string_equal(err.pointer, "/axis");
    err = (struct loss_error){0};
    call.loss.input[1].data = NULL;
    assert_int_equal(call_check(&call, &err), LOSS_MISSING_FIELD);
    assert_string_equal(err.pointer, "/predictions");
}

static void test_check__wants_a_registry_for_what_goes_into_one(void **state)
{
    (void)state;
    static const char *const pointers[] = {"/name", "/collection", "/step", "/accumulate"};
    for (size_t i = 0; i < 4; i++) {
        struct loss_error err = {0};
        struct call call = good_call("mse");
        call.name = i == 0 ? "a" : NULL;
        call.collection = i == 1 ? "a" : NULL;
        call.step = i == 2 ? 0 : CALL_NO_STEP;
        call.accumulate = i == 3;
        assert_int_equal(call_check(&call, &err), LOSS_INVALID_PARAMETER);
        assert_string_equal(err.pointer, pointers[i]);
    }
}

static void test_check__refuses_to_accumulate_where_samples_meet(void **state)
{
    (void)state;
    struct loss_error err = {0};
    struct call call = good_call("l2_regularization");
    call.registry = "run";
    call.accumulate = true;
    assert_int_equal(call_check(&call, &err), LOSS_NOT_ACCUMULABLE);
    assert_string_equal(err.pointer, "/accumulate");
}

static void test_check__refuses_losses_that_are_no_scalar_for_a_registry(void **state)
{
    (void)state;
    struct loss_error err = {0};
    struct call call = good_call("mse");
    call.registry = "run";
    assert_int_equal(call_check(&call, &err), LOSS_OK);
    assert_int_equal(call.step, 0);
    call.loss.reduction = LOSS_REDUCE_NONE;
    assert_int_equal(call_check(&call, &err), LOSS_NOT_SCALAR);
    assert_string_equal(err.pointer, "/reduction");
}

static void test_check__refuses_bad_names(void **state)
{
    (void)state;
    static const char *const pointers[] = {"/registry", "/name", "/collection"};
    for (size_t i = 0; i < 3; i++) {
        struct loss_error err = {0};
        struct call call = good_call("mse");
        call.registry = i == 0 ? "" : "run";
        call.name = i == 1 ? "a\nb" : NULL;
        call.collection = i == 2 ? "\xff" : NULL;
        assert_int_equal(call_check(&call, &err), LOSS_INVALID_NAME);
        assert_string_equal(err.pointer, pointers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names__fit_for_every_loss_and_hold_no_name_twice),
        cmocka_unit_test(test_names__counts_beyond_its_room),
        cmocka_unit_test(test_clip__cuts_between_characters),
        cmocka_unit_test(test_number__prints_as_clients_write),
        cmocka_unit_test(test_unknown_field__names_the_nearest),
        cmocka_unit_test(test_reduction__takes_names_and_aliases),
        cmocka_unit_test(test_dtype__is_float32_or_float64),
        cmocka_unit_test(test_gradients__are_of_the_main_inputs_where_no_names_are_given),
        cmocka_unit_test(test_gradients__are_asked_for_by_name_or_alias),
        cmocka_unit_test(test_check__wants_inputs_and_required_parameters),
        cmocka_unit_test(test_check__wants_a_registry_for_what_goes_into_one),
        cmocka_unit_test(test_check__refuses_to_accumulate_where_samples_meet),
        cmocka_unit_test(test_check__refuses_losses_that_are_no_scalar_for_a_registry),
        cmocka_unit_test(test_check__refuses_bad_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
