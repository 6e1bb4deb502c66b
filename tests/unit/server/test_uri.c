/* SPDX-License-Identifier: Apache-2.0
 *
 * test_uri.c - request targets, taken apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <server/http/uri.h>

static struct request request;

static loss_status read_target(const char *target, struct loss_error *err)
{
    loss_arena_free(request.arena);
    request = (struct request){.arena = loss_arena_new(1 << 20, NULL), .method = "GET", .target = target};
    err->status = LOSS_OK;
    err->pointer[0] = err->parameter[0] = err->message[0] = '\0';
    return uri_read(&request, err);
}

static int free_arena(void **state)
{
    (void)state;
    loss_arena_free(request.arena);
    request.arena = NULL;
    return 0;
}

static void assert_segments(const char *target, size_t n, const char *const *segments)
{
    struct loss_error err;
    assert_int_equal(read_target(target, &err), LOSS_OK);
    assert_int_equal(request.n_segments, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(request.segment[i], segments[i]);
    }
}

static void test_paths__are_split_before_they_are_decoded(void **state)
{
    (void)state;
    assert_segments("/", 0, NULL);
    assert_segments("/v1/losses", 2, (const char *const[]){"v1", "losses"});
    assert_segments("/v2/", 2, (const char *const[]){"v2", ""});
    assert_segments("//a", 2, (const char *const[]){"", "a"});
    assert_segments("/a%2Fb/c%20d+e", 2, (const char *const[]){"a/b", "c d+e"});
    assert_segments("/%c3%A4/%F0%9F%98%80", 2, (const char *const[]){"\xc3\xa4", "\xf0\x9f\x98\x80"});
    assert_segments("http://host:80/a/b?c=d", 2, (const char *const[]){"a", "b"});
    assert_segments("HTTP://host", 0, NULL);
}

static void test_what_is_no_text__is_refused(void **state)
{
    static const char *const bad[] = {"/%",    "/%4",        "/%4g",         "/%g4",          "/a%00",
                                      "/%ff",  "/%c0%80",    "/%ed%a0%80",   "/%f4%90%80%80", "/%c3",
                                      "/\xff", "/%e0%80%80", "/%f0%80%80%80"};
    struct loss_error err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read_target(bad[i], &err), LOSS_INVALID_NAME);
    }
    assert_int_equal(read_target("v1", &err), LOSS_BAD_REQUEST);
    assert_int_equal(read_target("", &err), LOSS_BAD_REQUEST);
    assert_int_equal(read_target("*", &err), LOSS_BAD_REQUEST);
}

static void test_queries__are_fields_in_order(void **state)
{
    struct loss_error err;
    (void)state;
    assert_int_equal(read_target("/a?x=1&&y=%26%3D+b&z&w=a=b&", &err), LOSS_OK);
    assert_int_equal(request.n_query, 4);
    assert_string_equal(request.query[0].name, "x");
    assert_string_equal(request.query[0].value, "1");
    assert_string_equal(request.query[1].value, "&= b");
    assert_string_equal(request.query[2].name, "z");
    assert_string_equal(request.query[2].value, "");
    assert_string_equal(request.query[3].value, "a=b");
    assert_int_equal(read_target("/a?", &err), LOSS_OK);
    assert_int_equal(request.n_query, 0);
}

/* Plain text is copied by words: whatever is not plain is found at each place in one. */
static void test_escapes__are_found_wherever_they_stand(void **state)
{
    static const struct {
        const char *as, *in_path, *in_query;
    } cases[] = {{"%41", "A", "A"},  {"+", "+", " "},     {"%25%2b", "%+", "%+"}, {"\xc3\xa4", "\xc3\xa4", "\xc3\xa4"},
                 {"$*", "$*", "$*"}, {"%4z", NULL, NULL}, {"%00", NULL, NULL},    {"\xff", NULL, NULL}};
    static const char around[] = "abcdefghijklmnopqrstuvwx";
    char target[128], expected[64];
    struct loss_error err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int at = 0; at < (int)sizeof around; at++) {
            snprintf(target, sizeof target, "/%.*s%s%s?%.*s%s%s", at, around, cases[i].as, around + at, at, around,
                     cases[i].as, around + at);
            if (cases[i].in_path == NULL) {
                assert_int_equal(read_target(target, &err), LOSS_INVALID_NAME);
                continue;
            }
            assert_int_equal(read_target(target, &err), LOSS_OK);
            snprintf(expected, sizeof expected, "%.*s%s%s", at, around, cases[i].in_path, around + at);
            assert_string_equal(request.segment[0], expected);
            snprintf(expected, sizeof expected, "%.*s%s%s", at, around, cases[i].in_query, around + at);
            assert_string_equal(request.query[0].name, expected);
        }
    }
}

static void test_a_bad_query__names_its_parameter(void **state)
{
    struct loss_error err;
    (void)state;
    assert_int_equal(read_target("/a?scope=%zz", &err), LOSS_BAD_REQUEST);
    assert_string_equal(err.parameter, "scope");
    assert_int_equal(read_target("/a?%zz=1", &err), LOSS_BAD_REQUEST);
    assert_string_equal(err.parameter, "");
}

static void test_limits__are_kept(void **state)
{
    static char target[URI_MAX + 2];
    struct loss_error err;
    (void)state;
    memset(target, '/', URI_MAX);
    assert_int_equal(read_target(target, &err), LOSS_OK);
    assert_int_equal(request.n_segments, URI_MAX);
    target[URI_MAX] = '/';
    assert_int_equal(read_target(target, &err), LOSS_URI_TOO_LONG);
    strcpy(target, "/?");
    for (int i = 0; i < URI_MAX_QUERY - 1; i++) {
        strcat(target, "a&");
    }
    assert_int_equal(read_target(target, &err), LOSS_OK);
    assert_int_equal(request.n_query, URI_MAX_QUERY - 1);
    strcat(target, "a&a");
    assert_int_equal(read_target(target, &err), LOSS_BAD_REQUEST);
}

static void test_no_memory__is_said(void **state)
{
    struct loss_error err = {.status = LOSS_OK};
    struct request q = {.arena = loss_arena_new(1, NULL), .method = "GET", .target = "/a/b?c=d"};
    (void)state;
    assert_int_equal(uri_read(&q, &err), LOSS_OVERLOADED);
    loss_arena_free(q.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_paths__are_split_before_they_are_decoded, free_arena),
        cmocka_unit_test_teardown(test_what_is_no_text__is_refused, free_arena),
        cmocka_unit_test_teardown(test_queries__are_fields_in_order, free_arena),
        cmocka_unit_test_teardown(test_escapes__are_found_wherever_they_stand, free_arena),
        cmocka_unit_test_teardown(test_a_bad_query__names_its_parameter, free_arena),
        cmocka_unit_test_teardown(test_limits__are_kept, free_arena),
        cmocka_unit_test(test_no_memory__is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
