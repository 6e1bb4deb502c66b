/* SPDX-License-Identifier: Apache-2.0
 *
 * test_error.c - failures that a query parameter or a header is to blame for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <loss/error.h>

static void test_fail_parameter__names_the_parameter_and_no_pointer(void **state)
{
    struct loss_error err = {.status = LOSS_OK, .pointer = "left from before"};
    (void)state;
    assert_int_equal(loss_fail_parameter(&err, LOSS_INVALID_PARAMETER, "step", "must be %d", 1),
                     LOSS_INVALID_PARAMETER);
    assert_int_equal(err.status, LOSS_INVALID_PARAMETER);
    assert_string_equal(err.parameter, "step");
    assert_string_equal(err.pointer, "");
    assert_string_equal(err.message, "must be 1");
}

static void test_fail_parameter__keeps_the_first_failure(void **state)
{
    struct loss_error err = {.status = LOSS_OK};
    (void)state;
    loss_fail(&err, LOSS_RAGGED_TENSOR, "/labels/1", "first");
    assert_int_equal(loss_fail_parameter(&err, LOSS_INVALID_SCOPE, "scope", "second"), LOSS_INVALID_SCOPE);
    assert_int_equal(err.status, LOSS_RAGGED_TENSOR);
    assert_string_equal(err.parameter, "");
    assert_string_equal(err.pointer, "/labels/1");
    assert_string_equal(err.message, "first");
    assert_int_equal(loss_fail_parameter(NULL, LOSS_INVALID_SCOPE, "scope", "nobody asks"), LOSS_INVALID_SCOPE);
}

static void test_blame_parameter__moves_the_blame_for_the_failure_it_is_given(void **state)
{
    struct loss_error err = {.status = LOSS_OK};
    (void)state;
    loss_fail(&err, LOSS_INVALID_NAME, "/name", "a name has 1 to 255 bytes");
    assert_int_equal(loss_blame_parameter(&err, LOSS_INVALID_NAME, "registry"), LOSS_INVALID_NAME);
    assert_string_equal(err.parameter, "registry");
    assert_string_equal(err.pointer, "");
    assert_string_equal(err.message, "a name has 1 to 255 bytes");
}

static void test_blame_parameter__leaves_success_and_other_failures_alone(void **state)
{
    struct loss_error err = {.status = LOSS_OK};
    (void)state;
    assert_int_equal(loss_blame_parameter(&err, LOSS_OK, "registry"), LOSS_OK);
    assert_string_equal(err.parameter, "");
    loss_fail(&err, LOSS_OVERLOADED, "/labels", "no memory");
    assert_int_equal(loss_blame_parameter(&err, LOSS_INVALID_NAME, "registry"), LOSS_INVALID_NAME);
    assert_string_equal(err.parameter, "");
    assert_string_equal(err.pointer, "/labels");
    assert_int_equal(loss_blame_parameter(NULL, LOSS_INVALID_NAME, "registry"), LOSS_INVALID_NAME);
}

static void test_fail_parameter__cuts_a_long_name_between_characters(void **state)
{
    struct loss_error err = {.status = LOSS_OK};
    char name[sizeof err.parameter + 1];
    (void)state;
    memset(name, 'a', sizeof name);
    memcpy(name + sizeof err.parameter - 2, "\xC3\xA4", 3); /* its second byte is one too many */
    loss_fail_parameter(&err, LOSS_UNKNOWN_FIELD, name, "there is no such parameter");
    assert_int_equal(strlen(err.parameter), sizeof err.parameter - 2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_parameter__names_the_parameter_and_no_pointer),
        cmocka_unit_test(test_fail_parameter__keeps_the_first_failure),
        cmocka_unit_test(test_blame_parameter__moves_the_blame_for_the_failure_it_is_given),
        cmocka_unit_test(test_blame_parameter__leaves_success_and_other_failures_alone),
        cmocka_unit_test(test_fail_parameter__cuts_a_long_name_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
