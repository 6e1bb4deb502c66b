/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json_write.c - JSON text into a growing buffer.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <text/json_write.h>

static struct json_out out;

static int new_out(void **state)
{
    *state = loss_arena_new((size_t)64 << 20, NULL);
    json_out_init(&out, *state);
    return *state == NULL;
}

static int free_out(void **state)
{
    loss_arena_free(*state);
    return 0;
}

static void assert_out(const char *expected)
{
    assert_false(out.failed);
    assert_int_equal(out.size, strlen(expected));
    assert_memory_equal(out.data, expected, out.size);
}

static void test_json_out__parts_members_and_elements_by_itself(void **state)
{
    (void)state;
    json_out_open(&out, '{');
    json_out_key(&out, "a");
    json_out_u64(&out, 1);
    json_out_key(&out, "b");
    json_out_open(&out, '[');
    json_out_bool(&out, true);
    json_out_open(&out, '{');
    json_out_close(&out, '}');
    json_out_open(&out, '[');
    json_out_close(&out, ']');
    json_out_null(&out);
    json_out_close(&out, ']');
    json_out_key(&out, "c");
    json_out_string(&out, "d");
    json_out_key(&out, "e");
    json_out_raw(&out, "[1, 2]", 6);
    json_out_key(&out, "f");
    json_out_bool(&out, false);
    json_out_close(&out, '}');
    assert_out("{\"a\":1,\"b\":[true,{},[],null],\"c\":\"d\",\"e\":[1, 2],\"f\":false}");
}

static void test_json_out__escapes_what_must_be_and_no_more(void **state)
{
    (void)state;
    static const char text[] = "\"\\/\b\f\n\r\t\x01\x1f\x7f\0\xC3\xA9";
    json_out_string_n(&out, text, sizeof text - 1);
    assert_out("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000\xC3\xA9\"");
}

static void test_json_out__escapes_names_too(void **state)
{
    (void)state;
    json_out_open(&out, '{');
    json_out_key(&out, "a\"b\n");
    json_out_string(&out, "");
    json_out_close(&out, '}');
    assert_out("{\"a\\\"b\\n\":\"\"}");
}

static void test_json_out__prints_numbers_as_short_as_they_read_back(void **state)
{
    (void)state;
    json_out_open(&out, '[');
    json_out_f64(&out, 0.1);
    json_out_f32(&out, 0.1f);
    json_out_f64(&out, -0.0);
    json_out_f64(&out, 1e-5);
    json_out_f32(&out, 16777216.0f);
    json_out_u64(&out, 0);
    json_out_u64(&out, UINT64_MAX);
    json_out_close(&out, ']');
    assert_out("[0.1,0.1,-0.0,1e-05,16777216.0,0,18446744073709551615]");
}

static void test_json_out__prints_null_for_what_is_not_finite(void **state)
{
    (void)state;
    json_out_open(&out, '[');
    json_out_f64(&out, (double)NAN);
    json_out_f64(&out, (double)INFINITY);
    json_out_f32(&out, -INFINITY);
    json_out_close(&out, ']');
    assert_out("[null,null,null]");
}

static void test_json_out__prints_literals_where_asked(void **state)
{
    (void)state;
    out.literal = true;
    json_out_open(&out, '[');
    json_out_f64(&out, -(double)NAN);
    json_out_f64(&out, (double)INFINITY);
    json_out_f32(&out, -INFINITY);
    json_out_close(&out, ']');
    assert_out("[NaN,Infinity,-Infinity]");
}

static void test_json_number__prints_what_the_buffered_calls_print(void **state)
{
    (void)state;
    char buf[32];
    assert_int_equal(json_number_f64(buf, 1.5, false), 3);
    assert_memory_equal(buf, "1.5", 3);
    assert_int_equal(json_number_f32(buf, NAN, false), 4);
    assert_memory_equal(buf, "null", 4);
    assert_int_equal(json_number_f64(buf, -(double)INFINITY, true), 9);
    assert_memory_equal(buf, "-Infinity", 9);
}

static void test_json_out__keeps_everything_while_it_grows(void **state)
{
    (void)state;
    json_out_open(&out, '[');
    for (unsigned i = 0; i < 100000; i++) {
        json_out_u64(&out, i);
    }
    json_out_close(&out, ']');
    assert_false(out.failed);
    const char *p = out.data;
    for (unsigned i = 0; i < 100000; i++) {
        char *after;
        assert_true(*p == (i == 0 ? '[' : ','));
        assert_int_equal(strtoul(p + 1, &after, 10), i);
        p = after;
    }
    assert_int_equal(p + 1 - out.data, out.size);
}

static void test_json_out__takes_a_string_larger_than_its_buffer(void **state)
{
    (void)state;
    static char text[100000];
    memset(text, 'x', sizeof text);
    json_out_string_n(&out, text, sizeof text);
    assert_int_equal(out.size, sizeof text + 2);
    assert_memory_equal(out.data + 1, text, sizeof text);
    assert_true(out.data[out.size - 1] == '"');
}

static void test_json_out__fails_for_good_without_memory(void **state)
{
    (void)state;
    struct loss_arena *small = loss_arena_new(4096, NULL);
    json_out_init(&out, small);
    json_out_open(&out, '[');
    for (int i = 0; i < 10000; i++) {
        json_out_f64(&out, 0.1);
    }
    assert_true(out.failed);
    const size_t size = out.size;
    json_out_close(&out, ']');
    json_out_string(&out, "x");
    assert_true(out.failed);
    assert_int_equal(out.size, size);
    loss_arena_free(small);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_out, free_out)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_json_out__parts_members_and_elements_by_itself),
        TEST(test_json_out__escapes_what_must_be_and_no_more),
        TEST(test_json_out__escapes_names_too),
        TEST(test_json_out__prints_numbers_as_short_as_they_read_back),
        TEST(test_json_out__prints_null_for_what_is_not_finite),
        TEST(test_json_out__prints_literals_where_asked),
        TEST(test_json_number__prints_what_the_buffered_calls_print),
        TEST(test_json_out__keeps_everything_while_it_grows),
        TEST(test_json_out__takes_a_string_larger_than_its_buffer),
        TEST(test_json_out__fails_for_good_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
