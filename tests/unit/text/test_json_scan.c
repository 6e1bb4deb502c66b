/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json_scan.c - tensors, values, faults and the envelope, as the scanner leaves them.
 *
 * Every document is read whole and in single bytes, and what comes out must be the same.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "json_feed.h"

static struct loss_arena *arena;
static struct loss_error error;
static struct json_scan_options options;

static int set_up(void **state)
{
    (void)state;
    arena = loss_arena_new((size_t)256 << 20, NULL);
    error = (struct loss_error){0};
    options = (struct json_scan_options){.max_depth = 64, .max_envelope = 1 << 20};
    return arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    loss_arena_free(arena);
    return 0;
}

static loss_dtype store_as_float32(void *arg, const char *pointer)
{
    (void)arg;
    (void)pointer;
    return LOSS_FLOAT32;
}

/* ---- helpers ---- */

static loss_status scan(const char *text, struct json_cut cut, struct json_scan **s)
{
    error = (struct loss_error){0};
    *s = json_scan_new(arena, &options);
    assert_non_null(*s);
    return json_feed(*s, text, strlen(text), cut, &error);
}

static void assert_same_value(const struct json_value *a, const struct json_value *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_memory_equal(&a->number, &b->number, sizeof a->number);
    assert_memory_equal(&a->number_f32, &b->number_f32, sizeof a->number_f32);
    assert_string_equal(a->text, b->text);
    assert_string_equal(a->pointer, b->pointer);
    assert_int_equal(a->fault, b->fault);
    if (a->fault != LOSS_OK) {
        assert_string_equal(a->fault_pointer, b->fault_pointer);
        assert_string_equal(a->fault_message, b->fault_message);
    } else if (a->kind == JSON_TENSOR) {
        const struct loss_tensor *t = &a->tensor, *u = &b->tensor;
        assert_int_equal(t->dtype, u->dtype);
        assert_int_equal(t->rank, u->rank);
        assert_memory_equal(t->shape, u->shape, (size_t)t->rank * sizeof t->shape[0]);
        assert_int_equal(t->count, u->count);
        assert_memory_equal(t->data, u->data, t->count * loss_dtype_size(t->dtype));
    } else if (a->kind == JSON_BYTES) {
        assert_int_equal(a->n_bytes, b->n_bytes);
        assert_memory_equal(a->bytes, b->bytes, a->n_bytes);
    }
}

/* A good document: read it in both ways, compare, and give the one read whole. */
static struct json_scan *good(const char *text)
{
    struct json_scan *whole, *bytes;
    if (scan(text, FEED_WHOLE, &whole) != LOSS_OK) {
        fail_msg("%s: %s", text, error.message);
    }
    assert_int_equal(scan(text, (struct json_cut){.every = 1}, &bytes), LOSS_OK);
    size_t size, size_of_bytes;
    const char *envelope = json_scan_envelope(whole, &size);
    const char *again = json_scan_envelope(bytes, &size_of_bytes);
    assert_int_equal(size, size_of_bytes);
    assert_memory_equal(envelope, again, size);
    assert_int_equal(json_scan_count(whole), json_scan_count(bytes));
    for (size_t i = 0; i < json_scan_count(whole); i++) {
        assert_same_value(json_scan_value(whole, i), json_scan_value(bytes, i));
    }
    assert_null(json_scan_value(whole, json_scan_count(whole)));
    return whole;
}

static void assert_envelope(const char *text, const char *expected)
{
    size_t size;
    const char *envelope = json_scan_envelope(good(text), &size);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(envelope, expected, size);
}

/* A broken document, with the message that is due however it is cut. */
static void assert_broken(const char *text, const char *message)
{
    const size_t every[] = {1, 2, 3, 5, 16, SIZE_MAX};
    for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
        struct json_scan *s;
        assert_int_equal(scan(text, (struct json_cut){.every = every[i]}, &s), LOSS_MALFORMED_JSON);
        assert_string_equal(error.message, message);
        assert_string_equal(error.pointer, "");
    }
}

static const struct loss_tensor *tensor(const char *text, const char *shape)
{
    const struct json_value *v = json_scan_value(good(text), 0);
    assert_non_null(v);
    assert_int_equal(v->kind, JSON_TENSOR);
    if (v->fault != LOSS_OK) {
        fail_msg("%s: %s", text, v->fault_message);
    }
    char found[128];
    loss_shape_format(v->tensor.rank, v->tensor.shape, found, sizeof found);
    assert_string_equal(found, shape);
    assert_non_null(v->tensor.data);
    assert_int_equal(v->tensor.layout, LOSS_NESTED);
    return &v->tensor;
}

/* The first value has this fault. */
static void assert_fault(const char *text, loss_status status, const char *pointer, const char *message)
{
    const struct json_value *v = json_scan_value(good(text), 0);
    assert_non_null(v);
    assert_int_equal(v->fault, status);
    assert_string_equal(v->fault_pointer, pointer);
    assert_string_equal(v->fault_message, message);
    assert_null(v->tensor.data);
    assert_null(v->bytes);
}

/* ---- tensors ---- */

static void test_json_scan__reads_nested_arrays_in_row_major_order(void **state)
{
    (void)state;
    const struct loss_tensor *t =
        tensor("{\"logits\": [[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 10], [11, 12]]]}", "[2, 3, 2]");
    assert_int_equal(t->dtype, LOSS_FLOAT64);
    assert_int_equal(t->count, 12);
    assert_string_equal(t->pointer, "/logits");
    for (size_t i = 0; i < 12; i++) {
        assert_true(loss_tensor_at(t, i) == (double)(i + 1));
    }
}

/* Short whole numbers have a way of their own, longer near the end of the text. */
static void test_json_scan__reads_whole_numbers_of_any_length_anywhere(void **state)
{
    (void)state;
    for (unsigned digits = 1; digits <= 19; digits++) {
        for (size_t behind = 0; behind < 40; behind++) {
            static const char *const closing[] = {"]", " ]", ",1]", ", 1]", "\t,1]", ".0]", "e0]", ".0,1]"};
            for (size_t c = 0; c < sizeof closing / sizeof *closing; c++) {
                char text[160], number[20] = "1234567890123456789";
                number[digits] = '\0';
                snprintf(text, sizeof text, "[0,9,%s%s%*s", number, closing[c], (int)behind, "");
                const struct loss_tensor *t = tensor(text, strchr(closing[c], ',') != NULL ? "[4]" : "[3]");
                assert_true(loss_tensor_at(t, 1) == 9);
                assert_true(loss_tensor_at(t, 2) == strtod(number, NULL));
            }
        }
    }
    assert_broken("[1,01]", "line 1, column 5: expected a JSON number, found '1'");
    assert_broken("[1,00000000,1,1,1,1,1,1,1,1,1,1,1,1]", "line 1, column 5: expected a JSON number, found '0'");
    assert_broken("[1,2a]", "line 1, column 5: expected ',' or ']', found 'a'");
    assert_broken("[1,2}", "line 1, column 5: expected ',' or ']', found '}'");
}

static void test_json_scan__takes_white_space_of_every_kind(void **state)
{
    (void)state;
    const struct loss_tensor *t = tensor(" [ 1,2 , 3\t,\r\n4,\n\n  5\n] \n", "[5]");
    for (size_t i = 0; i < 5; i++) {
        assert_true(loss_tensor_at(t, i) == (double)(i + 1));
    }
}

static void test_json_scan__finds_the_next_row_behind_any_space(void **state)
{
    (void)state;
    const char *texts[] = {
        "[[1,2],[3,4],[5,6]]",      "[[1, 2], [3, 4], [5, 6]]", "[[1,2],[ 3,4],[\n5,6]]",
        "[[1,2] ,[3,4] , [5,6 ] ]", "[[1,2],  [3,4],\n[5,6]]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct loss_tensor *t = tensor(texts[i], "[3, 2]");
        for (size_t k = 0; k < 6; k++) {
            assert_true(loss_tensor_at(t, k) == (double)(k + 1));
        }
    }
    assert_broken("[[1,2],[3,4],", "line 1, column 14: expected a value, but the body ends here");
    assert_broken("[[1,2],[3,4],[", "line 1, column 15: expected a value or ']', but the body ends here");
    assert_broken("[[1,2],[3,4],[,", "line 1, column 15: expected a value or ']', found ','");
    assert_broken("[[1,2],[3,4],[5,]]", "line 1, column 17: expected a value, found ']'");
}

static void test_json_scan__reads_empty_arrays(void **state)
{
    (void)state;
    tensor("[]", "[0]");
    tensor("[[],[]]", "[2, 0]");
    tensor("[[[]],[[]],[[]]]", "[3, 1, 0]");
}

static void test_json_scan__reads_booleans_as_one_and_zero(void **state)
{
    (void)state;
    const struct loss_tensor *t = tensor("[true, false, 0.5, true]", "[4]");
    assert_true(loss_tensor_at(t, 0) == 1 && loss_tensor_at(t, 1) == 0);
    assert_true(loss_tensor_at(t, 2) == 0.5 && loss_tensor_at(t, 3) == 1);
    tensor("[[false],[true]]", "[2, 1]");
}

static void test_json_scan__reads_what_python_writes_for_not_finite(void **state)
{
    (void)state;
    const struct loss_tensor *t = tensor("[NaN, Infinity, -Infinity, 1]", "[4]");
    assert_true(isnan(loss_tensor_at(t, 0)));
    assert_true(loss_tensor_at(t, 1) == (double)INFINITY && loss_tensor_at(t, 2) == -(double)INFINITY);
    assert_true(loss_tensor_at(t, 3) == 1);
}

static void test_json_scan__strict_refuses_not_finite_wherever_it_stands(void **state)
{
    (void)state;
    options.strict = true;
    assert_broken("[1, NaN]", "line 1, column 5: NaN is not a number of strict JSON");
    assert_broken("{\"a\": -Infinity}", "line 1, column 7: -Infinity is not a number of strict JSON");
    assert_broken("[1, \"x\", Infinity]", "line 1, column 10: Infinity is not a number of strict JSON");
}

static void test_json_scan__asks_what_to_store_once_a_tensor(void **state)
{
    (void)state;
    options.storage = store_as_float32;
    const struct loss_tensor *t = tensor("[0.1, true, NaN]", "[3]");
    assert_int_equal(t->dtype, LOSS_FLOAT32);
    assert_true(((const float *)t->data)[0] == 0.1f && ((const float *)t->data)[1] == 1.0f);
}

static loss_dtype list_pointers(void *arg, const char *pointer)
{
    strcat(arg, pointer);
    strcat(arg, " ");
    return LOSS_FLOAT64;
}

static void test_json_scan__names_tensors_alone_when_it_asks(void **state)
{
    (void)state;
    char asked[256] = "";
    options.storage = list_pointers;
    options.arg = asked;
    struct json_scan *s;
    assert_int_equal(scan("{\"a\":[[1]],\"b\":{\"c\":[[\"x\",[2,3]],[4]],\"d\":5},\"e\":[]}", FEED_WHOLE, &s), LOSS_OK);
    assert_string_equal(asked, "/a /b/c/0/1 /b/c/1 /e ");
}

/* Long enough for a block of its own, several times doubled, whatever the pieces. */
static void test_json_scan__keeps_every_number_of_a_long_array(void **state)
{
    (void)state;
    enum { N = 200000 };
    char *text = malloc(N * 24 + 3);
    size_t n = 0;
    text[n++] = '[';
    for (int i = 0; i < N; i++) {
        n += (size_t)sprintf(text + n, "%s%.17g", i > 0 ? "," : "", (double)i / 7);
    }
    text[n++] = ']';
    const struct json_cut cuts[] = {FEED_WHOLE, {.every = 1448}, {.every = 16384}, {.seed = 5}, {.every = 1}};
    for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
        struct json_scan *s = json_scan_new(arena, &options);
        assert_int_equal(json_feed(s, text, n, cuts[k], &error), LOSS_OK);
        const struct loss_tensor *t = &json_scan_value(s, 0)->tensor;
        assert_int_equal(t->count, N);
        for (size_t i = 0; i < N; i++) {
            assert_true(((const double *)t->data)[i] == (double)i / 7);
        }
    }
    free(text);
}

static void test_json_scan__gives_back_the_spare_room(void **state)
{
    (void)state;
    enum { N = 140000 };
    char *text = malloc(2 * N + 2);
    text[0] = '[';
    for (size_t i = 0; i < N; i++) {
        memcpy(text + 1 + 2 * i, "1,", 2);
    }
    text[2 * N] = ']';
    struct json_scan *s = json_scan_new(arena, &options);
    assert_int_equal(json_feed(s, text, 2 * N + 1, FEED_WHOLE, &error), LOSS_OK);
    assert_true(loss_arena_used(arena) < N * sizeof(double) + (1 << 17));
    assert_int_equal(json_value_narrow(s, 0, &error), LOSS_OK);
    assert_true(loss_arena_used(arena) < N * sizeof(float) + (1 << 17));
    free(text);
}

/* Rows of numbers that are longer and longer, so that what the first ones promise is not kept: the announced size, a
 * wrong one too, changes memory alone. */
static void test_json_scan__plans_by_the_announced_size_and_reads_the_same(void **state)
{
    (void)state;
    enum { N = 100000 };
    char *text = malloc(N * 16 + 3);
    size_t n = 0;
    text[n++] = '[';
    for (int i = 0; i < N; i++) {
        n += (size_t)sprintf(text + n, "%s%.*f", i > 0 ? "," : "", 1 + i % 2 + i / (N / 6), (double)i);
    }
    text[n++] = ']';
    const size_t sizes[] = {n, 1, n / 2, 3 * n, SIZE_MAX};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        options.size = sizes[k];
        struct json_scan *s = json_scan_new(arena, &options);
        assert_int_equal(json_feed(s, text, n, (struct json_cut){.every = 16384}, &error), LOSS_OK);
        const struct loss_tensor *t = &json_scan_value(s, 0)->tensor;
        assert_int_equal(t->count, N);
        for (size_t i = 0; i < N; i++) {
            assert_true(((const double *)t->data)[i] == (double)i);
        }
    }
    free(text);
}

static void test_json_scan__reserves_little_for_what_is_only_announced(void **state)
{
    (void)state;
    enum { N = 4096 };
    char text[2 * N + 1] = "[";
    for (size_t i = 0; i < N; i++) {
        memcpy(text + 1 + 2 * i, "1,", 2);
    }
    options.size = (size_t)1 << 40;
    struct json_scan *s = json_scan_new(arena, &options);
    assert_int_equal(json_scan_feed(s, text, sizeof text, &error), LOSS_OK);
    assert_true(loss_arena_used(arena) < 17 * N * sizeof(double));
}

static void test_json_scan__takes_less_where_the_announced_size_finds_no_room(void **state)
{
    (void)state;
    enum { N = 40000 };
    char *text = malloc(2 * N + 1);
    text[0] = '[';
    for (size_t i = 0; i < N; i++) {
        memcpy(text + 1 + 2 * i, i + 1 < N ? "1," : "1]", 2);
    }
    struct loss_arena *narrow = loss_arena_new(900000, NULL);
    options.size = (size_t)1 << 40;
    struct json_scan *s = json_scan_new(narrow, &options);
    assert_int_equal(json_feed(s, text, 2 * N + 1, FEED_WHOLE, &error), LOSS_OK);
    assert_int_equal(json_scan_value(s, 0)->tensor.count, N);
    loss_arena_free(narrow);
    free(text);
}

/* ---- faults of tensors ---- */

static void test_json_scan__names_the_first_row_that_differs(void **state)
{
    (void)state;
    assert_fault("{\"y\":[[1,2],[3,4],[5],[6,7,8]]}", LOSS_RAGGED_TENSOR, "/y/2",
                 "expected 2 elements, as in the first row, found 1");
    assert_fault("[[[1],[2]],[[3],[4]],[[5]]]", LOSS_RAGGED_TENSOR, "/2",
                 "expected 2 elements, as in the first row, found 1");
    assert_fault("[[[1],[2]],[[3],[4,5]]]", LOSS_RAGGED_TENSOR, "/1/1",
                 "expected 1 elements, as in the first row, found 2");
    assert_fault("[[1],[]]", LOSS_RAGGED_TENSOR, "/1", "expected 1 elements, as in the first row, found 0");
    assert_fault("[[],[1]]", LOSS_RAGGED_TENSOR, "/1", "expected 0 elements, as in the first row, found 1");
    assert_fault("[[],[[1]]]", LOSS_RAGGED_TENSOR, "/1", "expected 0 elements, as in the first row, found more");
    assert_fault("[[[1]],[]]", LOSS_RAGGED_TENSOR, "/1", "expected 1 elements, as in the first row, found 0");
}

static void test_json_scan__refuses_numbers_beside_arrays(void **state)
{
    (void)state;
    assert_fault("[[1, 2], 3]", LOSS_RAGGED_TENSOR, "/1", "expected an array, as before, found a number");
    assert_fault("[[1, 2], true]", LOSS_RAGGED_TENSOR, "/1", "expected an array, as before, found a number");
    assert_fault("[1, 2, [3]]", LOSS_RAGGED_TENSOR, "/2", "expected a number, as before, found an array");
    assert_fault("[[1, [2]]]", LOSS_RAGGED_TENSOR, "/0/1", "expected a number, as before, found an array");
    assert_fault("[[], 3]", LOSS_RAGGED_TENSOR, "/1", "expected an array, as before, found a number");
}

static void test_json_scan__names_what_is_no_number(void **state)
{
    (void)state;
    assert_fault("{\"y\":[1,\"2\",{}]}", LOSS_INVALID_PARAMETER, "/y/1", "expected a number, found a string");
    assert_fault("[[1,2],[3,{\"a\":[1,\"x\"],\"base64\":\"!\"}]]", LOSS_INVALID_PARAMETER, "/1/1",
                 "expected a number, found an object");
    assert_fault("[1,2,null]", LOSS_INVALID_PARAMETER, "/2", "expected a number, found null");
    assert_fault("[[],\"a\"]", LOSS_INVALID_PARAMETER, "/1", "expected a number, found a string");
}

static void test_json_scan__checks_the_grammar_of_what_it_drops(void **state)
{
    (void)state;
    assert_broken("[1,\"\\x\"]", "line 1, column 6: there is no such escape");
    assert_broken("[1,{\"a\" 2}]", "line 1, column 9: expected ':', found '2'");
    assert_broken("[1,null,[[1,]]]", "line 1, column 13: expected a value, found ']'");
    assert_broken("[[1],[1,2],[01]]", "line 1, column 14: expected a JSON number, found '1'");
}

static void test_json_scan__leaves_one_placeholder_for_a_faulty_tensor(void **state)
{
    (void)state;
    assert_envelope("{\"y\": [1, \"2\", {\"k\": [3, [4], \"]\"]}, 5], \"z\": [6]}", "{\"y\":0,\"z\":1}");
    assert_envelope("[[1, 2], [3], [\"x\", {\"y\": 1e999}]]", "0");
}

static void test_json_scan__keeps_the_first_fault(void **state)
{
    (void)state;
    assert_fault("[[1,2],[3],[\"x\"],[1e999]]", LOSS_RAGGED_TENSOR, "/1",
                 "expected 2 elements, as in the first row, found 1");
    assert_fault("[1e999,-1e999]", LOSS_NUMBER_OUT_OF_RANGE, "/0", "1e999 is beyond the largest float64");
}

static void test_json_scan__refuses_a_rank_above_the_limit(void **state)
{
    (void)state;
    tensor("[[[[[[[[1]]]]]]]]", "[1, 1, 1, 1, 1, 1, 1, 1]");
    assert_fault("{\"y\":[[[[[[[[[1]]]]]]]]]}", LOSS_SHAPE_MISMATCH, "/y", "rank 9 is above 8");
    assert_fault("[[[[[[[[[]]]]]]]]]", LOSS_SHAPE_MISMATCH, "", "rank 9 is above 8");
}

static void test_json_scan__refuses_a_number_beyond_its_type(void **state)
{
    (void)state;
    assert_fault("[[1,2],[3,-1e400]]", LOSS_NUMBER_OUT_OF_RANGE, "/1/1", "-1e400 is beyond the largest float64");
    tensor("[1e39]", "[1]");
    options.storage = store_as_float32;
    assert_fault("[0,1e39]", LOSS_NUMBER_OUT_OF_RANGE, "/1", "1e39 is beyond the largest float32");
    assert_fault("[0,1e400]", LOSS_NUMBER_OUT_OF_RANGE, "/1", "1e400 is beyond the largest float32");
    tensor("[3.4028235e38, Infinity, 1e-60]", "[3]");
}

/* ---- float64 to float32 ---- */

/* 1 + 2^-24 + 2^-60: its double is the tie 1 + 2^-24, which alone would round to 1. */
#define ABOVE_TIE "1.00000005960464477626"

static void test_json_value_narrow__rounds_each_text_once(void **state)
{
    (void)state;
    struct json_scan *s = good("[[0.1, " ABOVE_TIE "], [1.000000059604644775390625, -" ABOVE_TIE "]]");
    const float expected[] = {0.1f, 1.0f + 0x1p-23f, 1.0f, -1.0f - 0x1p-23f};
    assert_true(loss_tensor_at(&json_scan_value(s, 0)->tensor, 1) == 1.0 + 0x1p-24);
    assert_int_equal(json_value_narrow(s, 0, &error), LOSS_OK);
    const struct loss_tensor *t = &json_scan_value(s, 0)->tensor;
    assert_int_equal(t->dtype, LOSS_FLOAT32);
    assert_memory_equal(t->data, expected, sizeof expected);
    assert_int_equal(json_value_narrow(s, 0, &error), LOSS_OK);
    assert_memory_equal(json_scan_value(s, 0)->tensor.data, expected, sizeof expected);
}

static void test_json_value_narrow__keeps_ties_of_several_tensors_apart(void **state)
{
    (void)state;
    struct json_scan *s =
        good("{\"a\":[1," ABOVE_TIE "],\"x\":[" ABOVE_TIE ",null],\"b\":[" ABOVE_TIE ",2],\"c\":[3]}");
    const float a[] = {1.0f, 1.0f + 0x1p-23f}, b[] = {1.0f + 0x1p-23f, 2.0f};
    assert_int_equal(json_value_narrow(s, 3, &error), LOSS_OK);
    assert_int_equal(json_value_narrow(s, 2, &error), LOSS_OK);
    assert_int_equal(json_value_narrow(s, 0, &error), LOSS_OK);
    assert_memory_equal(json_scan_value(s, 0)->tensor.data, a, sizeof a);
    assert_memory_equal(json_scan_value(s, 2)->tensor.data, b, sizeof b);
}

static void test_json_value_lean__moves_what_hides_on_a_midpoint(void **state)
{
    (void)state;
    /* float16 has a midpoint at 1 + 2^-11. Read as a list, as elements, cut by the end of a piece. */
    struct json_scan *s =
        good("{\"a\":[1.00048828125,1.00048828125000001,-1.00048828125000001,0.1,0.5,0,1.00048828124999999,"
             "1.00048828125,1.00048828125,1.00048828125],\"b\":[[1.00048828125000001]],\"c\":[1,2]}");
    const double tie = 1 + 0x1p-11, ulp = 0x1p-52;
    const double a[] = {tie, tie + ulp, -tie - ulp, 0.1, 0.5, 0, tie - ulp, tie, tie, tie};
    for (size_t i = 0; i < 3; i++) {
        json_value_lean(s, i);
    }
    assert_memory_equal(json_scan_value(s, 0)->tensor.data, a, sizeof a);
    assert_true(loss_tensor_at(&json_scan_value(s, 1)->tensor, 0) == tie + ulp);
    assert_true(loss_tensor_at(&json_scan_value(s, 2)->tensor, 1) == 2);
}

static void test_json_value_narrow__names_the_number_that_overflows(void **state)
{
    (void)state;
    struct json_scan *s = good("{\"y\":[[Infinity, 1], [2, -1e39], [1e40, NaN]]}");
    assert_int_equal(json_value_narrow(s, 0, &error), LOSS_NUMBER_OUT_OF_RANGE);
    assert_string_equal(error.pointer, "/y/1/1");
    const struct loss_tensor *t = &json_scan_value(s, 0)->tensor;
    assert_int_equal(t->dtype, LOSS_FLOAT64);
    assert_true(loss_tensor_at(t, 4) == 1e40);
}

/* Half-way between the largest float and 2^128, and a hair below, which no double tells apart. */
static void test_json_value_narrow__rounds_the_edge_of_the_range_by_the_text(void **state)
{
    (void)state;
    struct json_scan *s = good("[340282356779733661637539395458142568447.9999]");
    assert_int_equal(json_value_narrow(s, 0, &error), LOSS_OK);
    assert_true(((const float *)json_scan_value(s, 0)->tensor.data)[0] == 3.4028235e38f);
    s = good("[340282356779733661637539395458142568448]");
    assert_int_equal(json_value_narrow(s, 0, &error), LOSS_NUMBER_OUT_OF_RANGE);
}

static void test_json_value_narrow__converts_more_than_a_block(void **state)
{
    (void)state;
    enum { N = 5000 };
    char *text = malloc(N * 24 + 3);
    size_t n = 0;
    for (int i = 0; i < N; i++) {
        n += (size_t)sprintf(text + n, "%c%.17g", i > 0 ? ',' : '[', i * 0.1);
    }
    strcpy(text + n, "]");
    struct json_scan *s;
    assert_int_equal(scan(text, FEED_WHOLE, &s), LOSS_OK);
    assert_int_equal(json_value_narrow(s, 0, &error), LOSS_OK);
    for (int i = 0; i < N; i++) {
        assert_true(((const float *)json_scan_value(s, 0)->tensor.data)[i] == (float)(i * 0.1));
    }
    free(text);
}

/* ---- numbers outside arrays ---- */

static void test_json_scan__keeps_a_scalar_in_both_roundings_and_its_text(void **state)
{
    (void)state;
    struct json_scan *s = good("{\"weights\": 0.2, \"d\": " ABOVE_TIE ", \"e\": 1e39}");
    const struct json_value *v = json_scan_value(s, 0);
    assert_int_equal(v->kind, JSON_NUMBER);
    assert_true(v->number == 0.2 && v->number_f32 == 0.2f);
    assert_string_equal(v->text, "0.2");
    assert_string_equal(v->pointer, "/weights");
    assert_true(json_scan_value(s, 1)->number_f32 == 1.0f + 0x1p-23f);
    v = json_scan_value(s, 2);
    assert_true(v->fault == LOSS_OK && v->number == 1e39 && isinf(v->number_f32));
}

static void test_json_scan__leaves_out_the_text_of_a_long_scalar(void **state)
{
    (void)state;
    assert_string_equal(json_scan_value(good("1.00000000000000000000000000001"), 0)->text,
                        "1.00000000000000000000000000001");
    assert_string_equal(json_scan_value(good("1.000000000000000000000000000001"), 0)->text, "");
}

static void test_json_scan__marks_a_scalar_beyond_double(void **state)
{
    (void)state;
    const struct json_value *v = json_scan_value(good("{\"a\":-1e999}"), 0);
    assert_int_equal(v->fault, LOSS_NUMBER_OUT_OF_RANGE);
    assert_string_equal(v->fault_pointer, "/a");
    assert_true(v->number == -(double)INFINITY);
}

static void test_json_scan__takes_a_document_that_is_one_number(void **state)
{
    (void)state;
    const char *texts[] = {"0", "-0", "42", "1.5e3", "NaN", "-Infinity", " 7 "};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_envelope(texts[i], "0");
    }
    assert_true(signbit(json_scan_value(good("-0"), 0)->number));
}

static void test_json_scan__refuses_a_number_of_absurd_length(void **state)
{
    (void)state;
    static char text[70000];
    const struct json_cut cuts[] = {FEED_WHOLE, {.every = 1}, {.every = 1448}, {.seed = 9}};
    for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
        struct json_scan *s;
        memset(text, '1', sizeof text - 1);
        memcpy(text, "[2,0.", 5);
        text[3 + 65536] = ']';
        text[3 + 65537] = '\0';
        assert_int_equal(scan(text, cuts[k], &s), LOSS_OK);
        text[3 + 65536] = '1';
        text[3 + 65537] = ']';
        text[3 + 65538] = '\0';
        assert_int_equal(scan(text, cuts[k], &s), LOSS_MALFORMED_JSON);
        assert_string_equal(error.message, "line 1, column 4: a number is longer than 65536 bytes");
        memset(text + 3, '1', sizeof text - 4);
        text[60000] = '-';
        assert_int_equal(scan(text, cuts[k], &s), LOSS_MALFORMED_JSON);
        assert_string_equal(error.message, "line 1, column 60001: expected ',' or ']', found '-'");
    }
}

/* ---- base64 ---- */

static const struct json_value *base64(const char *inside)
{
    char text[256];
    snprintf(text, sizeof text, "{\"y\":{\"base64\":\"%s\"}}", inside);
    const struct json_value *v = json_scan_value(good(text), 0);
    assert_int_equal(v->kind, JSON_BYTES);
    assert_string_equal(v->pointer, "/y/base64");
    return v;
}

static void assert_bytes(const char *inside, const char *bytes, size_t n)
{
    const struct json_value *v = base64(inside);
    assert_int_equal(v->fault, LOSS_OK);
    assert_int_equal(v->n_bytes, n);
    assert_memory_equal(v->bytes, bytes, n);
}

static void assert_bad_base64(const char *inside, const char *message)
{
    const struct json_value *v = base64(inside);
    assert_int_equal(v->fault, LOSS_INVALID_PARAMETER);
    assert_string_equal(v->fault_pointer, "/y");
    assert_string_equal(v->fault_message, message);
    assert_null(v->bytes);
}

static void test_json_scan__decodes_base64_members(void **state)
{
    (void)state;
    assert_bytes("", "", 0);
    assert_bytes("Zg==", "f", 1);
    assert_bytes("Zm8=", "fo", 2);
    assert_bytes("Zm9v", "foo", 3);
    assert_bytes("Zm9vYmFyZm9vYmFyZm9vYg==", "foobarfoobarfoob", 16);
    assert_bytes("+/+/AAEC", "\xfb\xff\xbf\x00\x01\x02", 6);
}

static void test_json_scan__honours_escapes_in_base64(void **state)
{
    (void)state;
    assert_bytes("+\\/+\\/", "\xfb\xff\xbf", 3);
    assert_bytes("\\u005am9\\u0076Zg\\u003d=", "foof", 4);
    assert_envelope("{\"b\\u0061se64\":\"Zg==\"}", "{\"b\\u0061se64\":0}");
    assert_envelope("{\"base6\":\"Zg==\",\"base644\":\"Zg==\"}", "{\"base6\":\"Zg==\",\"base644\":\"Zg==\"}");
}

static void test_json_scan__says_where_base64_is_wrong(void **state)
{
    (void)state;
    assert_bad_base64("Zm9v!m9v", "base64: '!' at index 4 is no base64 digit");
    assert_bad_base64("Zm 9", "base64: the byte 0x20 at index 2 is no base64 digit");
    assert_bad_base64("Zm-_", "base64: '-' at index 2 is no base64 digit");
    assert_bad_base64("Zm\xC3\xA9", "base64: the byte 0xc3 at index 2 is no base64 digit");
    assert_bad_base64("Zm\\n9", "base64: '\\' at index 2 is no base64 digit");
    assert_bad_base64("Zm9", "base64: 3 characters are no whole groups of four (padding is required)");
    assert_bad_base64("Zm9vZ", "base64: 5 characters are no whole groups of four (padding is required)");
    assert_bad_base64("=", "base64: padding out of place at index 0");
    assert_bad_base64("Z===", "base64: padding out of place at index 1");
    assert_bad_base64("Zg=v", "base64: padding out of place at index 3");
    assert_bad_base64("Zg==Zg==", "base64: padding out of place at index 4");
    assert_bad_base64("Zg===", "base64: padding out of place at index 4");
}

static void test_json_scan__takes_base64_only_from_a_string(void **state)
{
    (void)state;
    assert_envelope("{\"base64\":[\"Zg==\"],\"a\":[\"base64\",\"Zg==\"]}",
                    "{\"base64\":[\"Zg==\"],\"a\":[\"base64\",\"Zg==\"]}");
    assert_envelope("{\"base64\":null}", "{\"base64\":null}");
    assert_broken("{\"base64\":\"Zg\\q\"}", "line 1, column 15: there is no such escape");
}

/* ---- the envelope ---- */

static void test_json_scan__leaves_an_envelope_without_numbers(void **state)
{
    (void)state;
    assert_envelope(" { \"labels\" : [ 2, 1 ] , \"weights\" : 0.2 ,\n\"losses\" : false, \"x\" : null, \"y\" : { } } ",
                    "{\"labels\":0,\"weights\":1,\"losses\":false,\"x\":null,\"y\":{}}");
    assert_envelope("{\"a\":[\"x\", [1, 2], 3, true, [[[null]]], [[4]]]}", "{\"a\":[\"x\",0,1,true,[[[null]]],2]}");
    assert_envelope("[{\"name\":\"y\",\"shape\":[2],\"data\":[1,2]}]", "[{\"name\":\"y\",\"shape\":0,\"data\":1}]");
    assert_envelope("true", "true");
}

static void test_json_scan__copies_strings_as_they_are_written(void **state)
{
    (void)state;
    const char text[] =
        "{\"a\\u00e9\\n\\/\\ud83d\\ude00\":\"\\\"\\\\ \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 \\u0000\"}";
    assert_envelope(text, text);
}

static void test_json_scan__bounds_the_envelope(void **state)
{
    (void)state;
    const char text[] = "{\"a\": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], \"b\": 1}", envelope[] = "{\"a\":0,\"b\":1}";
    options.max_envelope = sizeof envelope - 1;
    assert_envelope(text, envelope);
    options.max_envelope--;
    struct json_scan *s;
    assert_int_equal(scan(text, FEED_WHOLE, &s), LOSS_BODY_TOO_LARGE);
    assert_string_equal(error.message, "the body without its numbers is larger than 12 bytes");
}

static char words[256];

static void list_words(void *arg, const char *pointer, const char *word)
{
    (void)arg;
    snprintf(words + strlen(words), sizeof words - strlen(words), "%s=%s ", pointer, word);
}

static void test_json_scan__tells_the_words_of_the_outermost_object(void **state)
{
    (void)state;
    options.word = list_words;
    words[0] = '\0';
    good("{\"dtype\":\"float64\",\"a\":{\"dtype\":\"no\"},\"b\":[\"no\"],\"r\\u00e9/\":\"\\u20ac \\ud83d\\ude00\\t\","
         "\"nul\":\"a\\u0000b\",\"e\":\"\"}");
    const char once[] = "/dtype=float64 /r\xC3\xA9~1=\xE2\x82\xAC \xF0\x9F\x98\x80\t /e= ";
    assert_memory_equal(words, once, sizeof once - 1);
    assert_string_equal(words + sizeof once - 1, once); /* from the second reading, in single bytes */
}

static void test_json_scan__escapes_names_in_pointers(void **state)
{
    (void)state;
    assert_string_equal(json_scan_value(good("{\"a/b~\":{\"\":[\"x\",[1]]}}"), 0)->pointer, "/a~1b~0//1");
    assert_string_equal(json_scan_value(good("{\"\\u0061\\n\\\"\":1}"), 0)->pointer, "/a\\n\"");
}

static void test_json_scan__cuts_a_long_pointer_at_a_member(void **state)
{
    (void)state;
    char text[1300] = "{\"";
    memset(text + 2, 'k', 1010);
    strcpy(text + 1012, "\":{\"abcdefghijk\":1,\"abcdefghijkl\":{\"m\":1}}}");
    struct json_scan *s = good(text);
    assert_int_equal(strlen(json_scan_value(s, 0)->pointer), 1023);
    assert_int_equal(strlen(json_scan_value(s, 1)->pointer), 1011);
}

static void test_json_scan_pointer_at__finds_the_member_by_offset(void **state)
{
    (void)state;
    struct json_scan *s = good("{\"a\":[\"x\",{\"b\\\"\":1,\"c\":[[null]]},true],\"d\":{},\"e\":5}");
    static const struct {
        const char *text;
        size_t into;
        const char *pointer;
    } cases[] = {
        {"{\"a\"", 0, ""},
        {"\"a\"", 0, "/a"},
        {"\"a\"", 3, "/a"},
        {"[\"x\"", 0, "/a"},
        {"\"x\"", 1, "/a/0"},
        {"{\"b", 0, "/a/1"},
        {"\"b\\\"\":", 2, "/a/1/b\""},
        {"null", 2, "/a/1/c/0/0"},
        {"true", 0, "/a/2"},
        {"\"d\"", 0, "/d"},
        {"{}", 0, "/d"},
        {"\"e\"", 3, "/e"},
    };
    size_t size;
    const char *envelope = json_scan_envelope(s, &size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char pointer[64];
        const char *at = strstr(envelope, cases[i].text);
        assert_non_null(at);
        json_scan_pointer_at(s, (size_t)(at - envelope) + cases[i].into, pointer, sizeof pointer);
        assert_string_equal(pointer, cases[i].pointer);
    }
    char short_one[6];
    json_scan_pointer_at(s, (size_t)(strstr(envelope, "null") - envelope), short_one, sizeof short_one);
    assert_string_equal(short_one, "/a/1");
    json_scan_pointer_at(s, SIZE_MAX, short_one, sizeof short_one);
    assert_string_equal(short_one, "");
}

/* ---- broken documents ---- */

static void test_json_scan__says_line_and_column_in_bytes(void **state)
{
    (void)state;
    assert_broken("{\"y\": [1, 2],\n \"z\": [3,\r\n\t4 5]}", "line 3, column 4: expected ',' or ']', found '5'");
    assert_broken("[\"\xC3\xA9\" 1]", "line 1, column 7: expected ',' or ']', found '1'");
    assert_broken("[1,\n2,\n\n]", "line 4, column 1: expected a value, found ']'");
}

static void test_json_scan__says_what_it_expected(void **state)
{
    (void)state;
    assert_broken("", "line 1, column 1: expected a value, but the body is empty");
    assert_broken(" \n ", "line 2, column 2: expected a value, but the body is empty");
    assert_broken("{\"a\":1", "line 1, column 7: expected ',' or '}', but the body ends here");
    assert_broken("[1, 2", "line 1, column 6: expected ',' or ']', but the body ends here");
    assert_broken("[1, -", "line 1, column 6: expected a JSON number, but the body ends here");
    assert_broken("\"abc", "line 1, column 5: expected the end of a string, but the body ends here");
    assert_broken("tru", "line 1, column 4: expected true, false or null, but the body ends here");
    assert_broken("[", "line 1, column 2: expected a value or ']', but the body ends here");
    assert_broken("{", "line 1, column 2: expected a name in double quotes or '}', but the body ends here");
    assert_broken("{\"a\":1,}", "line 1, column 8: expected a name in double quotes, found '}'");
    assert_broken("{\"a\"=1}", "line 1, column 5: expected ':', found '='");
    assert_broken("{\"a\":1]", "line 1, column 7: expected ',' or '}', found ']'");
    assert_broken("[1}", "line 1, column 3: expected ',' or ']', found '}'");
    assert_broken("[1] x", "line 1, column 5: nothing may follow the document, found 'x'");
    assert_broken("{} {}", "line 1, column 4: nothing may follow the document, found '{'");
    assert_broken("[1.]", "line 1, column 4: expected a JSON number, found ']'");
    assert_broken("1 2", "line 1, column 3: nothing may follow the document, found '2'");
    assert_broken("1a", "line 1, column 2: nothing may follow the document, found 'a'");
    assert_broken("[+1]", "line 1, column 2: expected a value or ']', found '+'");
    assert_broken("nulL", "line 1, column 4: expected true, false or null, found 'L'");
    assert_broken("[1,\x01]", "line 1, column 4: expected a value, found the byte 0x01");
    assert_broken("\xEF\xBB\xBF[1]", "line 1, column 1: expected a value, found a byte order mark");
}

static void test_json_scan__refuses_wrong_strings(void **state)
{
    (void)state;
    assert_broken("\"a\nb\"", "line 1, column 3: a control character in a string must be escaped");
    assert_broken("\"\\u12g4\"", "line 1, column 6: expected four hexadecimal digits after \\u");
    assert_broken("\"\\ud800\"", "line 1, column 8: a high surrogate without its low one");
    assert_broken("\"\\ud800\\n\"", "line 1, column 9: a high surrogate without its low one");
    assert_broken("\"\\ud800\\ud800\"", "line 1, column 13: a high surrogate without its low one");
    assert_broken("\"\\udc00\"", "line 1, column 7: a low surrogate without its high one");
    static const char *const bytes[] = {
        "\x80",
        "\xC0\x80",
        "\xC1\xBF",
        "\xE0\x9F\xBF",
        "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80",
        "\xFF",
        "\xC3",
        "\xE2\x82",
        "\xF0\x9F\x98",
    };
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        char text[64];
        struct json_scan *s;
        snprintf(text, sizeof text, "{\"abcdefgh%sabcdefgh\":1}", bytes[i]);
        assert_int_equal(scan(text, FEED_WHOLE, &s), LOSS_MALFORMED_JSON);
        assert_non_null(strstr(error.message, "this byte is not UTF-8"));
        assert_int_equal(scan(text, (struct json_cut){.every = 1}, &s), LOSS_MALFORMED_JSON);
    }
}

static void test_json_scan__bounds_the_depth(void **state)
{
    (void)state;
    options.max_depth = 3;
    good("[[[1]]]");
    good("{\"a\":{\"b\":[]}}");
    assert_broken("[[[[1]]]]", "line 1, column 4: nested deeper than 3 arrays and objects");
    assert_broken("[1,{\"a\":[[]]}]", "line 1, column 10: nested deeper than 3 arrays and objects");
    options.max_depth = 0;
    good("1");
    assert_broken("[]", "line 1, column 1: nested deeper than 0 arrays and objects");
}

static void test_json_scan__stays_refused(void **state)
{
    (void)state;
    struct json_scan *s;
    assert_int_equal(scan("[1,}", FEED_WHOLE, &s), LOSS_MALFORMED_JSON);
    struct loss_error later = {0};
    assert_int_equal(json_scan_feed(s, "2]", 2, &later), LOSS_MALFORMED_JSON);
    assert_int_equal(later.status, LOSS_MALFORMED_JSON);
    assert_int_equal(json_scan_end(s, &later), LOSS_MALFORMED_JSON);
}

/* ---- memory ---- */

static loss_status scan_within(size_t ceiling, const char *text, size_t n)
{
    struct loss_error err = {0};
    struct loss_arena *small = loss_arena_new(ceiling, NULL);
    if (small == NULL) {
        return LOSS_OVERLOADED;
    }
    options.word = list_words;
    words[0] = '\0';
    struct json_scan *s = json_scan_new(small, &options);
    loss_status status = LOSS_OVERLOADED;
    if (s != NULL) {
        status = json_feed(s, text, n, (struct json_cut){.every = 100}, &err);
        assert_int_equal(err.status, status);
    }
    if (status == LOSS_OK) {
        json_value_narrow(s, 0, &err);
    }
    loss_arena_free(small);
    return status;
}

static void test_json_scan__survives_every_lack_of_memory(void **state)
{
    (void)state;
    static char text[60000] = "{\"t\":[" ABOVE_TIE;
    for (size_t i = strlen(text), k = 0; k < 4000; k++, i += 4) {
        strcpy(text + i, ",0.1");
    }
    strcat(text, "],\"word\":\"a\\u00e9\",\"x\":{\"base64\":\"");
    for (int i = 0; i < 500; i++) {
        strcat(text, "Zm9vYmFy");
    }
    strcat(text, "\"},\"bad\":[1,\"2\"],\"n\":0.1,\"huge\":1e999,\"e\":[]}");
    const size_t n = strlen(text);
    size_t refused = 0, ceiling = 0;
    while (scan_within(ceiling, text, n) == LOSS_OVERLOADED) {
        refused++;
        ceiling += 64;
    }
    assert_int_equal(scan_within(ceiling, text, n), LOSS_OK);
    assert_true(refused > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_json_scan__reads_nested_arrays_in_row_major_order),
        TEST(test_json_scan__reads_whole_numbers_of_any_length_anywhere),
        TEST(test_json_scan__takes_white_space_of_every_kind),
        TEST(test_json_scan__finds_the_next_row_behind_any_space),
        TEST(test_json_scan__reads_empty_arrays),
        TEST(test_json_scan__reads_booleans_as_one_and_zero),
        TEST(test_json_scan__reads_what_python_writes_for_not_finite),
        TEST(test_json_scan__strict_refuses_not_finite_wherever_it_stands),
        TEST(test_json_scan__asks_what_to_store_once_a_tensor),
        TEST(test_json_scan__names_tensors_alone_when_it_asks),
        TEST(test_json_scan__keeps_every_number_of_a_long_array),
        TEST(test_json_scan__gives_back_the_spare_room),
        TEST(test_json_scan__plans_by_the_announced_size_and_reads_the_same),
        TEST(test_json_scan__reserves_little_for_what_is_only_announced),
        TEST(test_json_scan__takes_less_where_the_announced_size_finds_no_room),
        TEST(test_json_scan__names_the_first_row_that_differs),
        TEST(test_json_scan__refuses_numbers_beside_arrays),
        TEST(test_json_scan__names_what_is_no_number),
        TEST(test_json_scan__checks_the_grammar_of_what_it_drops),
        TEST(test_json_scan__leaves_one_placeholder_for_a_faulty_tensor),
        TEST(test_json_scan__keeps_the_first_fault),
        TEST(test_json_scan__refuses_a_rank_above_the_limit),
        TEST(test_json_scan__refuses_a_number_beyond_its_type),
        TEST(test_json_value_narrow__rounds_each_text_once),
        TEST(test_json_value_lean__moves_what_hides_on_a_midpoint),
        TEST(test_json_value_narrow__keeps_ties_of_several_tensors_apart),
        TEST(test_json_value_narrow__names_the_number_that_overflows),
        TEST(test_json_value_narrow__rounds_the_edge_of_the_range_by_the_text),
        TEST(test_json_value_narrow__converts_more_than_a_block),
        TEST(test_json_scan__keeps_a_scalar_in_both_roundings_and_its_text),
        TEST(test_json_scan__leaves_out_the_text_of_a_long_scalar),
        TEST(test_json_scan__marks_a_scalar_beyond_double),
        TEST(test_json_scan__takes_a_document_that_is_one_number),
        TEST(test_json_scan__refuses_a_number_of_absurd_length),
        TEST(test_json_scan__decodes_base64_members),
        TEST(test_json_scan__honours_escapes_in_base64),
        TEST(test_json_scan__says_where_base64_is_wrong),
        TEST(test_json_scan__takes_base64_only_from_a_string),
        TEST(test_json_scan__leaves_an_envelope_without_numbers),
        TEST(test_json_scan__copies_strings_as_they_are_written),
        TEST(test_json_scan__bounds_the_envelope),
        TEST(test_json_scan__tells_the_words_of_the_outermost_object),
        TEST(test_json_scan__escapes_names_in_pointers),
        TEST(test_json_scan__cuts_a_long_pointer_at_a_member),
        TEST(test_json_scan_pointer_at__finds_the_member_by_offset),
        TEST(test_json_scan__says_line_and_column_in_bytes),
        TEST(test_json_scan__says_what_it_expected),
        TEST(test_json_scan__refuses_wrong_strings),
        TEST(test_json_scan__bounds_the_depth),
        TEST(test_json_scan__stays_refused),
        TEST(test_json_scan__survives_every_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
