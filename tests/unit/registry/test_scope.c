/* SPDX-License-Identifier: Apache-2.0
 *
 * test_scope.c - scopes pick what re.match would, refuse what is no expression, and never run away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <registry/scope.h>

static bool matches(const char *expression, const char *name)
{
    struct loss_error err = {0};
    struct scope *s;
    bool result = false;
    if (scope_new(expression, &s, &err) != LOSS_OK) {
        fail_msg("%s: %s", expression, err.message);
    }
    if (scope_matches(s, name, &result, &err) != LOSS_OK) {
        fail_msg("%s against %s: %s", expression, name, err.message);
    }
    scope_free(s);
    return result;
}

/* Each line was checked with Python 3: re.match(scope, name) or re.match(scope, name + "/value:0"). */
static void test_scope__matches_as_python_does(void **state)
{
    static const struct {
        const char *scope, *name;
        bool expected;
    } cases[] = {
        {"head", "head/xent", true},   {"head", "header", true},
        {"head/", "header", false},    {"xent", "head/xent", false},
        {".*xent", "head/xent", true}, {"a|b", "b", true},
        {"xa|b", "ab", false},         {"head$", "head", true},
        {"head$", "head/xent", false}, {"head\\Z", "head", true},
        {"^head", "head", true},       {"head/value:0$", "head", true},
        {".*:0$", "head", true},       {".*/value:0$", "head", true},
        {"", "anything", true},        {"HEAD", "head", false},
        {"(?i)HEAD", "head", true},    {"a{2}$", "aa", true},
        {"a{,2}$", "aa", true},        {"a{,2}$", "aaa", false},
        {"a{,2}$", "a{,2}", false},    {"a{,}b", "aaab", true},
        {"[{,2}]$", "{", true},        {"a\\{,2\\}$", "a{,2}", true},
        {"a{$", "a{", true},           {"[]a]$", "]", true},
        {"[^]a]$", "]", false},        {"[(*]$", "*", true},
        {"\\(\\*", "(*", true},        {"(?P<x>a)(?P=x)", "aa", true},
        {"(?:a)(b)\\1", "abb", true},  {"(?=ab)a", "abc", true},
        {"(?<!x)a", "a", true},        {"\\w+$", "größe", true},
        {"\\d$", "٣", true},           {".{5}$", "größe", true},
        {"损失", "损失/头", true},     {"a.b", "a b", true},
        {"a\\.b", "a.b", true},        {"\\bhead\\b", "head/xent", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (matches(cases[i].scope, cases[i].name) != cases[i].expected) {
            fail_msg("%s against %s: expected %d", cases[i].scope, cases[i].name, cases[i].expected);
        }
    }
}

static void test_scope__without_an_expression_matches_all(void **state)
{
    (void)state;
    assert_true(matches(NULL, "head"));
}

static void test_scope__refuses_what_is_no_expression(void **state)
{
    static const struct {
        const char *scope, *says;
    } cases[] = {
        {"(", "offset 1"},
        {"a)", "offset 1"},
        {"[a", "offset 2"},
        {"*a", "offset 0"},
        {"a{2,1}", "offset 5"},
        {"x{,3}(", "offset 6"}, /* of the expression as given, not as translated */
        {"\\C", "offset"},
        {"(*ACCEPT)a", "(* is not supported at offset 0"},
        {"a(*LIMIT_MATCH=9)", "(* is not supported at offset 1"},
        {"\\Q(*F)\\E", "\\Q is not supported at offset 0"},
        {"\\u0041", "offset"},
        {"\\", "offset 1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loss_error err = {0};
        struct scope *s = NULL;
        assert_int_equal(scope_new(cases[i].scope, &s, &err), LOSS_INVALID_SCOPE);
        assert_null(s);
        assert_string_equal(err.parameter, "scope");
        assert_string_equal(err.pointer, "");
        if (strstr(err.message, cases[i].says) == NULL) {
            fail_msg("%s: %s", cases[i].scope, err.message);
        }
    }
}

static void test_scope__refuses_one_that_is_too_long(void **state)
{
    char expression[SCOPE_MAX + 2];
    struct loss_error err = {0};
    struct scope *s;
    (void)state;
    memset(expression, 'a', SCOPE_MAX + 1);
    expression[SCOPE_MAX + 1] = '\0';
    assert_int_equal(scope_new(expression, &s, &err), LOSS_INVALID_SCOPE);
    expression[SCOPE_MAX] = '\0';
    err = (struct loss_error){0};
    assert_int_equal(scope_new(expression, &s, &err), LOSS_OK);
    scope_free(s);
}

static double milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* whatever else the machine does */
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Generous bounds in time: what is tested is that the work is bounded, where it was exponential. */
static void test_scope__stops_a_runaway_expression(void **state)
{
    static const char *const runaways[] = {"(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*)*x", "((a*)*)*b$", "(?:a?){60}a{60}$"};
    char name[61];
    (void)state;
    memset(name, 'a', 60);
    for (size_t i = 0; i < sizeof runaways / sizeof *runaways; i++) {
        struct loss_error err = {0};
        struct scope *s;
        bool result;
        double begun = milliseconds();
        strcpy(name + 59, i == 5 ? "" : "!");
        assert_int_equal(scope_new(runaways[i], &s, &err), LOSS_OK);
        loss_status status = scope_matches(s, name, &result, &err);
        scope_free(s);
        if (status != LOSS_OK) {
            assert_int_equal(status, LOSS_INVALID_SCOPE);
            assert_string_equal(err.parameter, "scope");
        }
        if (milliseconds() - begun > 200) {
            fail_msg("%s took %.1f ms", runaways[i], milliseconds() - begun);
        }
    }
}

static void test_scope__says_that_a_runaway_is_one(void **state)
{
    struct loss_error err = {0};
    struct scope *s;
    bool result;
    (void)state;
    assert_int_equal(scope_new("(a+)+$", &s, &err), LOSS_OK);
    assert_int_equal(scope_matches(s, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", &result, &err), LOSS_INVALID_SCOPE);
    assert_non_null(strstr(err.message, "too many steps"));
    scope_free(s);
}

/* Each of these names costs a lot, but stays within what one name may cost. */
static void test_scope__bounds_what_all_names_cost_together(void **state)
{
    struct loss_error err = {0};
    struct scope *s;
    loss_status status = LOSS_OK;
    bool result;
    int names = 0;
    (void)state;
    assert_int_equal(scope_new("(a+)+$", &s, &err), LOSS_OK);
    while (status == LOSS_OK && names < 100000) {
        status = scope_matches(s, "aaaaaaaaaaaa!", &result, &err);
        names++;
    }
    scope_free(s);
    assert_int_equal(status, LOSS_INVALID_SCOPE);
    assert_in_range(names, 2, 1000);
}

/* Names that cost little are never refused, however many there are; one runaway among them is, as if it were alone. */
static void test_scope__lists_may_have_any_length(void **state)
{
    static const char *const usual[] = {"head/", ".*/kernel", ".*block.*kernel", "(?:conv|dense)_[0-9]+/",
                                        "[^/]*/[^/]*/bias$"};
    struct loss_error err = {0};
    struct scope *s;
    bool result;
    (void)state;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        assert_int_equal(scope_new(usual[i], &s, &err), LOSS_OK);
        for (int k = 0; k < 100000; k++) {
            assert_int_equal(scope_matches(s, "encoder/block_12/dense_3/kernel_1", &result, &err), LOSS_OK);
        }
        scope_free(s);
    }
    assert_int_equal(scope_new("(a+)+$", &s, &err), LOSS_OK);
    for (int k = 0; k < 100000; k++) {
        assert_int_equal(scope_matches(s, "aaa!", &result, &err), LOSS_OK);
    }
    assert_int_equal(scope_matches(s, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", &result, &err), LOSS_INVALID_SCOPE);
    scope_free(s);
}

static void test_scope__is_not_costly_for_long_names(void **state)
{
    char name[513];
    struct loss_error err = {0};
    struct scope *s;
    bool result;
    (void)state;
    memset(name, 'a', 512);
    name[512] = '\0';
    assert_int_equal(scope_new(".*/b.*[0-9]$", &s, &err), LOSS_OK);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(scope_matches(s, name, &result, &err), LOSS_OK);
        assert_false(result);
    }
    scope_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scope__matches_as_python_does),
        cmocka_unit_test(test_scope__without_an_expression_matches_all),
        cmocka_unit_test(test_scope__refuses_what_is_no_expression),
        cmocka_unit_test(test_scope__refuses_one_that_is_too_long),
        cmocka_unit_test(test_scope__stops_a_runaway_expression),
        cmocka_unit_test(test_scope__says_that_a_runaway_is_one),
        cmocka_unit_test(test_scope__bounds_what_all_names_cost_together),
        cmocka_unit_test(test_scope__lists_may_have_any_length),
        cmocka_unit_test(test_scope__is_not_costly_for_long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
