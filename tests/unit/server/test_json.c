/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json.c - bodies to calls and answers to bodies, however they are cut.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <server/formats/json.h>
#include <server/formats/tensor_round.h>

#define HUGE_BUFFER ((size_t)1 << 20)

static struct loss_arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = loss_arena_new((size_t)256 << 20, NULL);
    return arena == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    loss_arena_free(arena);
    return 0;
}

/* Decode `text` for the loss `name`, fed in pieces of `piece` bytes (0: all at once). */
static loss_status decode_cut(const char *name, const struct json_decode_options *given, const char *text, size_t piece,
                              struct call *call, struct loss_error *err)
{
    struct json_decode_options options = given == NULL ? (struct json_decode_options){0} : *given;
    options.desc = loss_catalog_find(name, &options.alias);
    options.max_depth = options.max_depth == 0 ? 64 : options.max_depth;
    assert_non_null(options.desc);
    struct json_decoder *d = json_decoder_new(arena, &options);
    assert_non_null(d);
    memset(err, 0, sizeof *err);
    size_t n = strlen(text);
    for (size_t at = 0; at < n;) {
        size_t more = piece == 0 || n - at < piece ? n - at : piece;
        loss_status status = json_decoder_feed(d, text + at, more, err);
        if (status != LOSS_OK) {
            return status;
        }
        at += more;
    }
    return json_decoder_end(d, call, err);
}

static loss_status decode(const char *name, const char *text, struct call *call, struct loss_error *err)
{
    return decode_cut(name, NULL, text, 0, call, err);
}

static void assert_refused(const char *name, const char *text, loss_status status, const char *pointer)
{
    struct call call;
    struct loss_error err;
    assert_int_equal(decode(name, text, &call, &err), status);
    assert_int_equal(err.status, status);
    assert_string_equal(err.pointer, pointer);
    assert_true(err.message[0] != '\0');
}

static void assert_numbers(const struct loss_tensor *t, const double *want, size_t n)
{
    assert_int_equal(t->count, n);
    for (size_t i = 0; i < n; i++) {
        double got = loss_tensor_at(t, i);
        if (got != want[i]) {
            fail_msg("number %zu is %.17g, not %.17g", i, got, want[i]);
        }
    }
}

static void test_decoder__fills_a_call(void **state)
{
    (void)state;
    struct call call;
    struct loss_error err;
    assert_int_equal(
        decode("huber",
               "{\"labels\": [[1, 2], [3, 4]], \"predictions\": [[1.5, 2], [0, 1e-3]], \"weights\": [[1], [0]],"
               " \"delta\": 0.25, \"reduction\": \"weighted_mean\", \"gradients\": [\"weights\", \"labels\"],"
               " \"losses\": false, \"weights_mask\": true, \"registry\": \"run\", \"name\": \"a/b\","
               " \"collection\": \"mine\", \"step\": 9007199254740992}",
               &call, &err),
        LOSS_OK);
    assert_string_equal(call.loss.desc->name, "huber_loss");
    assert_numbers(&call.loss.input[0], (double[]){1, 2, 3, 4}, 4);
    assert_numbers(&call.loss.input[1], (double[]){1.5, 2, 0, (double)1e-3f}, 4);
    assert_int_equal(call.loss.input[1].dtype, LOSS_FLOAT32);
    assert_int_equal(call.loss.input[1].rank, 2);
    assert_int_equal(call.loss.weights.shape[1], 1);
    assert_true(call.loss.param[0].number == 0.25);
    assert_int_equal(call.loss.reduction, LOSS_REDUCE_MEAN);
    assert_int_equal(call.loss.gradients, 1u << 0 | 1u << LOSS_GRADIENT_WEIGHTS);
    assert_false(call.loss.want_losses);
    assert_true(call.loss.weights_mask);
    assert_string_equal(call.registry, "run");
    assert_string_equal(call.name, "a/b");
    assert_string_equal(call.collection, "mine");
    assert_true(call.step == 9007199254740992);
}

static void test_decoder__leaves_defaults_where_fields_are_absent(void **state)
{
    (void)state;
    struct call call;
    struct loss_error err;
    assert_int_equal(decode("huber_loss", "{\"labels\": 1, \"predictions\": 2}", &call, &err), LOSS_OK);
    assert_int_equal(call.loss.dtype, LOSS_FLOAT32);
    assert_int_equal(call.loss.reduction, LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS);
    assert_int_equal(call.loss.gradients, 0);
    assert_null(call.loss.weights.data);
    assert_true(call.loss.want_losses);
    assert_false(call.loss.weights_mask);
    assert_true(call.loss.param[0].number == 1);
    assert_null(call.registry);
    assert_int_equal(call.step, 0);
}

static void assert_same_tensor(const struct loss_tensor *a, const struct loss_tensor *b)
{
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->data, b->data, a->count * loss_dtype_size(a->dtype));
    assert_string_equal(a->pointer, b->pointer);
}

static void test_decoder__does_not_care_how_the_body_is_cut(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"labels\": {\"dtype\": \"int16\", \"shape\": [2], \"base64\": \"AQACAA==\"}, \"logits\": [[1e-2, -3.25], "
        "[0.1, 7]],"
        " \"weights\": {\"shape\": [2], \"data\": [0.5, 2]}, \"gradients\": [\"logits\"], \"dtype\": \"float32\"}",
        "{\"labels\": [0, 1], \"logits\": [[1, 2], [3, \"x\"]]}",
        "{\"labels\": [0, 1], \"logits\": [[1, 2], [3, 4]], \"weihgts\": 1}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct call whole;
        struct loss_error whole_err;
        loss_status status = decode("sparse_softmax_cross_entropy", bodies[i], &whole, &whole_err);
        assert_int_equal(status, i == 0 ? LOSS_OK : i == 1 ? LOSS_INVALID_PARAMETER : LOSS_UNKNOWN_FIELD);
        for (size_t piece = 1; piece < strlen(bodies[i]); piece++) {
            struct call cut;
            struct loss_error err;
            assert_int_equal(decode_cut("sparse_softmax_cross_entropy", NULL, bodies[i], piece, &cut, &err), status);
            assert_string_equal(err.pointer, whole_err.pointer);
            assert_string_equal(err.message, whole_err.message);
            if (status == LOSS_OK) {
                assert_same_tensor(&cut.loss.input[0], &whole.loss.input[0]);
                assert_same_tensor(&cut.loss.input[1], &whole.loss.input[1]);
                assert_same_tensor(&cut.loss.weights, &whole.loss.weights);
            }
        }
    }
}

static void test_decoder__reads_dtype_before_and_after_its_tensors(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"dtype\": \"float64\", \"labels\": [0.1], \"predictions\": [0.1]}",
        "{\"labels\": [0.1], \"predictions\": [0.1], \"dtype\": \"float64\"}",
        "{\"labels\": [0.1], \"d\\u0074ype\": \"float64\", \"predictions\": [0.1]}",
    };
    struct call call;
    struct loss_error err;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_int_equal(decode("mse", bodies[i], &call, &err), LOSS_OK);
        assert_int_equal(call.loss.dtype, LOSS_FLOAT64);
        assert_numbers(&call.loss.input[0], (double[]){0.1}, 1);
        assert_numbers(&call.loss.input[1], (double[]){0.1}, 1);
    }
}

static void test_decoder__lets_the_query_win(void **state)
{
    (void)state;
    const struct json_decode_options options = {.has_dtype = true, .dtype = LOSS_FLOAT64};
    struct call call;
    struct loss_error err;
    assert_int_equal(
        decode_cut("mse", &options, "{\"dtype\": \"float32\", \"labels\": 0.1, \"predictions\": [1]}", 0, &call, &err),
        LOSS_OK);
    assert_int_equal(call.loss.dtype, LOSS_FLOAT64);
    assert_numbers(&call.loss.input[0], (double[]){0.1}, 1);
}

static void test_decoder__rounds_each_decimal_to_float32_once(void **state)
{
    (void)state;
    /* Nearest float 16777218; by way of the nearest double, 16777217, it would be the even 16777216. */
    static const char *const bodies[] = {
        "{\"labels\": 16777217.0000000001, \"predictions\": 0}",
        "{\"labels\": [16777217.0000000001], \"predictions\": 0}",
        "{\"dtype\": \"float32\", \"labels\": [16777217.0000000001], \"predictions\": 0}",
        "{\"labels\": {\"shape\": [1], \"data\": [16777217.0000000001]}, \"predictions\": 0}",
        "{\"labels\": {\"dtype\": \"float32\", \"shape\": [1], \"data\": [16777217.0000000001]}, \"predictions\": 0}",
    };
    struct call call;
    struct loss_error err;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_int_equal(decode("mse", bodies[i], &call, &err), LOSS_OK);
        assert_numbers(&call.loss.input[0], (double[]){16777218}, 1);
    }
}

static void test_decoder__keeps_whole_numbers_exact(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"labels\": [16777217], \"logits\": [[1, 2]]}",
        "{\"dtype\": \"float32\", \"labels\": [16777217], \"logits\": [[1, 2]]}",
        "{\"dtype\": \"float32\", \"labels\": {\"shape\": [1], \"data\": [16777217]}, \"logits\": [[1, 2]]}",
    };
    struct call call;
    struct loss_error err;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_int_equal(decode("sparse_softmax_cross_entropy", bodies[i], &call, &err), LOSS_OK);
        assert_numbers(&call.loss.input[0], (double[]){16777217}, 1);
        assert_int_equal(call.loss.input[1].dtype, LOSS_FLOAT32);
    }
}

static void test_decoder__points_at_elements_as_they_were_written(void **state)
{
    (void)state;
    static const struct {
        const char *labels, *pointer;
        loss_layout layout;
    } cases[] = {
        {"[[1, 2], [3, 4]]", "/target/1/0", LOSS_NESTED},
        {"{\"shape\": [2, 2], \"data\": [1, 2, 3, 4]}", "/target/data/2", LOSS_FLAT},
        {"{\"dtype\": \"int8\", \"shape\": [2, 2], \"base64\": \"AQIDBA==\"}", "/target", LOSS_OPAQUE},
    };
    struct call call;
    struct loss_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[200];
        char pointer[64];
        snprintf(body, sizeof body, "{\"target\": %s, \"predictions\": 0}", cases[i].labels);
        assert_int_equal(decode("mse", body, &call, &err), LOSS_OK);
        assert_numbers(&call.loss.input[0], (double[]){1, 2, 3, 4}, 4);
        assert_int_equal(call.loss.input[0].layout, cases[i].layout);
        loss_tensor_pointer(&call.loss.input[0], 2, pointer, sizeof pointer);
        assert_string_equal(pointer, cases[i].pointer);
    }
}

static void test_decoder__refuses_what_is_no_call(void **state)
{
    (void)state;
    assert_refused("mse", "", LOSS_MALFORMED_JSON, "");
    assert_refused("mse", "[1]", LOSS_MALFORMED_JSON, "");
    assert_refused("mse", "{} {}", LOSS_MALFORMED_JSON, "");
    assert_refused("mse", "[1e999]", LOSS_NUMBER_OUT_OF_RANGE, "/0");
    assert_refused("mse", "{}", LOSS_MISSING_FIELD, "/labels");
    assert_refused("mse", "{\"labels\": 1}", LOSS_MISSING_FIELD, "/predictions");
    assert_refused("mse", "{\"labels\": 1, \"labels\": 2}", LOSS_DUPLICATE_FIELD, "/labels");
    assert_refused("mse", "{\"foo\": {\"bar\": 1, \"bar\": 2}}", LOSS_DUPLICATE_FIELD, "/foo/bar");
    assert_refused("mse", "{\"labels\": 1, \"target\": 2}", LOSS_DUPLICATE_FIELD, "/target");
    assert_refused("mse", "{\"delta\": 1}", LOSS_UNKNOWN_FIELD, "/delta");
    assert_refused("mse", "{\"base64\": \"AA==\"}", LOSS_UNKNOWN_FIELD, "/base64");
    assert_refused("mse", "{\"labels\": null}", LOSS_INVALID_PARAMETER, "/labels");
    assert_refused("mse", "{\"labels\": [[1, 2], [{}]]}", LOSS_INVALID_PARAMETER, "/labels/1/0");
    assert_refused("mse", "{\"labels\": [{}, 1]}", LOSS_INVALID_PARAMETER, "/labels/0");
}

/* A plain envelope is taken apart where it is read, any other by a general parser: both say the same. */
static void test_decoder__does_not_care_how_plain_the_envelope_is(void **state)
{
    static const struct {
        const char *plain, *other;
    } same[] = {
        {"{\"labels\": [1, 2], \"predictions\": [3, 4.5]}", "{\"labels\": [1, 2], \"\\u0070redictions\": [3, 4.5]}"},
        {"{\"labels\": 1, \"predictions\": true, \"reduction\": \"mean\", \"losses\": false, \"dtype\": \"float64\"}",
         "{\"labels\": 1, \"predictions\": true, \"reduction\": \"me\\u0061n\", \"losses\": false, \"dtype\": "
         "\"float64\"}"},
        {"{\"labels\": [[1], [2]], \"predictions\": [[3], [4]], \"weights\": 2}",
         "{\"labels\": {\"shape\": [2, 1], \"data\": [1, 2]}, \"predictions\": [[3], [4]], \"weights\": 2}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct call plain, other;
        struct loss_error err;
        assert_int_equal(decode("mse", same[i].plain, &plain, &err), LOSS_OK);
        assert_int_equal(decode("mse", same[i].other, &other, &err), LOSS_OK);
        assert_int_equal(plain.loss.reduction, other.loss.reduction);
        assert_int_equal(plain.loss.want_losses, other.loss.want_losses);
        assert_int_equal(plain.loss.dtype, other.loss.dtype);
        for (int k = 0; k < 2; k++) {
            assert_same_tensor(&plain.loss.input[k], &other.loss.input[k]);
        }
    }
    const char *const names[] = {"plain", "p\\u006cain", "~/", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        static const char *const pointers[] = {"/plain", "/plain", "/~0~1", "/"};
        char text[256];
        snprintf(text, sizeof text, "{\"%s\": [1, 2]}", names[i]);
        assert_refused("mse", text, LOSS_UNKNOWN_FIELD, pointers[i]);
        snprintf(text, sizeof text, "{\"%s\": 1, \"labels\": 2, \"%s\": 3}", names[i], names[i]);
        assert_refused("mse", text, LOSS_DUPLICATE_FIELD, pointers[i]);
        snprintf(text, sizeof text, "{\"%s\": null}", names[i]);
        assert_refused("mse", text, LOSS_UNKNOWN_FIELD, pointers[i]);
    }
}

/* More members than a plain envelope may have. */
static void test_decoder__takes_many_members(void **state)
{
    char text[1024];
    size_t n = (size_t)snprintf(text, sizeof text, "{\"labels\": 1");
    struct call call;
    struct loss_error err;
    (void)state;
    for (int i = 0; i < 30; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, ", \"x%d\": %d", i, i);
    }
    snprintf(text + n, sizeof text - n, "}");
    assert_int_equal(decode("mse", text, &call, &err), LOSS_UNKNOWN_FIELD);
    assert_string_equal(err.pointer, "/x0");
    snprintf(text + n, sizeof text - n, ", \"x7\": 0}");
    assert_int_equal(decode("mse", text, &call, &err), LOSS_DUPLICATE_FIELD);
    assert_string_equal(err.pointer, "/x7");
}

static void test_decoder__bounds_what_a_parser_is_given(void **state)
{
    (void)state;
    /* A body of braces would cost a general parser 80 times its size. */
    size_t n = HUGE_BUFFER;
    char *body = malloc(n + 1);
    struct call call;
    struct loss_error err;
    assert_non_null(body);
    memcpy(body, "{\"labels\":[", 11);
    for (size_t i = 11; i + 3 < n; i += 3) {
        memcpy(body + i, "{},", 3);
    }
    body[n - n % 3 - 3] = '\0';
    assert_int_equal(decode("mse", body, &call, &err), LOSS_BODY_TOO_LARGE);
    free(body);
}

static void test_decoder__refuses_shapes_that_answer_without_end(void **state)
{
    (void)state;
    struct call call;
    struct loss_error err;
    assert_refused("mse", "{\"labels\": {\"shape\": [1125899906842624, 0], \"data\": []}}", LOSS_SHAPE_MISMATCH,
                   "/labels/shape");
    assert_refused("mse", "{\"labels\": {\"shape\": [1024, 1025, 0], \"data\": []}}", LOSS_SHAPE_MISMATCH,
                   "/labels/shape");
    assert_int_equal(
        decode("mse", "{\"labels\": {\"shape\": [1024, 1024, 0], \"data\": []}, \"predictions\": 0}", &call, &err),
        LOSS_OK);
    assert_non_null(call.loss.input[0].data);
}

static void test_decoder__aligns_bytes_and_never_hands_out_null(void **state)
{
    (void)state;
    struct call call;
    struct loss_error err;
    assert_int_equal(decode("mse",
                            "{\"labels\": {\"dtype\": \"float64\", \"shape\": [1], \"base64\": \"AAAAAAAA8D8=\"},"
                            " \"predictions\": {\"dtype\": \"float64\", \"shape\": [0], \"base64\": \"\"}}",
                            &call, &err),
                     LOSS_OK);
    assert_int_equal((size_t)call.loss.input[0].data % sizeof(double), 0);
    assert_numbers(&call.loss.input[0], (double[]){1}, 1);
    assert_non_null(call.loss.input[1].data);
}

static void test_round__gives_the_nearest_of_a_narrower_dtype(void **state)
{
    (void)state;
    static const struct {
        loss_dtype dtype;
        double given, want;
    } cases[] = {
        {LOSS_FLOAT16, 1 + 0x1p-11, 1},
        {LOSS_FLOAT16, 1 + 0x3p-11, 1 + 0x1p-9},
        {LOSS_FLOAT16, 65519.999, 65504},
        {LOSS_FLOAT16, 0x1p-25, 0},
        {LOSS_FLOAT16, 0x1.8p-25, 0x1p-24},
        {LOSS_FLOAT16, -0x1.002p0, -1},
        {LOSS_FLOAT16, INFINITY, INFINITY},
        {LOSS_BFLOAT16, 1 + 0x1p-8, 1},
        {LOSS_BFLOAT16, 1 + 0x3p-8, 1 + 0x1p-6},
        {LOSS_BFLOAT16, 0x1.8p-134, 0x1p-133},
        {LOSS_INT8, -128, -128},
        {LOSS_UINT64, 18446744073709549568.0, 18446744073709549568.0},
        {LOSS_BOOL, 1, 1},
    };
    struct loss_error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double number = cases[i].given;
        struct loss_tensor t = {.dtype = LOSS_FLOAT64, .count = 1, .data = &number};
        assert_int_equal(tensor_round(&t, cases[i].dtype, &err), LOSS_OK);
        if (number != cases[i].want) {
            fail_msg("%a as %s is %a, not %a", cases[i].given, loss_dtype_name(cases[i].dtype), number, cases[i].want);
        }
    }
}

static void test_round__refuses_what_does_not_fit(void **state)
{
    (void)state;
    static const struct {
        loss_dtype dtype;
        double given;
        loss_status status;
    } cases[] = {
        {LOSS_FLOAT16, 65520, LOSS_NUMBER_OUT_OF_RANGE}, {LOSS_BFLOAT16, 0x1.ffp127, LOSS_NUMBER_OUT_OF_RANGE},
        {LOSS_INT8, 128, LOSS_NUMBER_OUT_OF_RANGE},      {LOSS_UINT8, -1, LOSS_NUMBER_OUT_OF_RANGE},
        {LOSS_BOOL, 2, LOSS_NUMBER_OUT_OF_RANGE},        {LOSS_INT32, 0.5, LOSS_NOT_AN_INTEGER},
        {LOSS_INT64, NAN, LOSS_NOT_AN_INTEGER},          {LOSS_UINT16, INFINITY, LOSS_NOT_AN_INTEGER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loss_error err = {0};
        double numbers[2] = {0, cases[i].given};
        struct loss_tensor t = {.dtype = LOSS_FLOAT64,
                                .layout = LOSS_FLAT,
                                .rank = 1,
                                .shape = {2},
                                .count = 2,
                                .data = numbers,
                                .pointer = "/labels"};
        assert_int_equal(tensor_round(&t, cases[i].dtype, &err), cases[i].status);
        assert_string_equal(err.pointer, "/labels/data/1");
    }
}

/* The whole answer to a request. */
static const char *answer_text(const char *name, const char *body, bool literal, size_t max)
{
    struct call *call = loss_arena_alloc(arena, sizeof *call, 16);
    struct call_answer *answer = loss_arena_alloc(arena, sizeof *answer, 16);
    struct loss_error err = {0};
    assert_non_null(call);
    assert_non_null(answer);
    memset(answer, 0, sizeof *answer);
    if (decode(name, body, call, &err) != LOSS_OK || loss_compute(&call->loss, arena, &answer->loss, &err) != LOSS_OK) {
        fail_msg("%s %s", err.pointer, err.message);
    }
    struct json_encoder *e = json_encoder_new(arena, call, answer, literal);
    assert_non_null(e);
    size_t bound = json_encoder_bound(e);
    char *text = loss_arena_alloc(arena, bound + 1, 1);
    char *piece = malloc(max == 0 ? bound : max);
    assert_non_null(text);
    assert_non_null(piece);
    size_t size = 0;
    for (size_t n; (n = json_encoder_more(e, piece, max == 0 ? bound : max)) > 0;) {
        assert_true(size + n <= bound);
        memcpy(text + size, piece, n);
        size += n;
        if (max == 0) {
            assert_int_equal(json_encoder_more(e, piece, bound), 0);
            break;
        }
    }
    free(piece);
    text[size] = '\0';
    return text;
}

static void test_encoder__prints_fields_in_their_order(void **state)
{
    (void)state;
    assert_string_equal(
        answer_text("mse", "{\"labels\": [[1], [2]], \"predictions\": [[1.5], [5]], \"gradients\": true}", false, 0),
        "{\"loss\":4.625,\"reduction\":\"sum_by_nonzero_weights\",\"dtype\":\"float32\",\"losses\":[[0.25],[9.0]],"
        "\"shape\":[2,1],\"totals\":{\"sum\":9.25,\"mean\":4.625,\"sum_over_batch_size\":4.625,"
        "\"sum_by_nonzero_weights\":4.625,\"batchmean\":4.625,\"weight_sum\":2.0,\"count\":2,"
        "\"nonzero_weights\":2},\"gradients\":{\"predictions\":[[0.5],[3.0]]}}");
}

static void test_encoder__leaves_out_what_there_is_not(void **state)
{
    (void)state;
    const char *text = answer_text("mse", "{\"labels\": 1, \"predictions\": 3, \"reduction\": \"none\"}", false, 0);
    assert_non_null(
        strstr(text, "{\"reduction\":\"none\",\"dtype\":\"float32\",\"losses\":4.0,\"shape\":[],\"totals\":"));
    assert_null(strstr(text, "gradients"));
    assert_null(strstr(text, "nonfinite"));
    assert_null(strstr(text, "entry"));
    text = answer_text("mse", "{\"labels\": 1, \"predictions\": 3, \"losses\": false}", false, 0);
    assert_null(strstr(text, "\"losses\""));
}

static void test_encoder__prints_what_is_not_finite_as_asked(void **state)
{
    (void)state;
    static const char body[] = "{\"labels\": [0, NaN], \"predictions\": [-Infinity, 1], \"gradients\": true}";
    const char *text = answer_text("mae", body, false, 0);
    assert_non_null(strstr(text, "{\"loss\":null,"));
    assert_non_null(strstr(text, "\"losses\":[null,null]"));
    assert_non_null(strstr(text, "\"nonfinite\":3,\"gradients\":{\"predictions\":[-0.5,null]}"));
    text = answer_text("mae", body, true, 0);
    assert_non_null(strstr(text, "{\"loss\":NaN,"));
    assert_non_null(strstr(text, "\"losses\":[Infinity,NaN]"));
    assert_non_null(strstr(text, "\"predictions\":[-0.5,NaN]"));
}

static void test_encoder__nests_as_the_shape_says(void **state)
{
    (void)state;
    static const struct {
        const char *tensor, *losses;
    } cases[] = {
        {"1", "\"losses\":0.0,\"shape\":[],"},
        {"[]", "\"losses\":[],\"shape\":[0],"},
        {"[[],[],[]]", "\"losses\":[[],[],[]],\"shape\":[3,0],"},
        {"{\"shape\": [2, 2, 0, 5], \"data\": []}", "\"losses\":[[[],[]],[[],[]]],\"shape\":[2,2,0,5],"},
        {"{\"shape\": [0, 2], \"data\": []}", "\"losses\":[],\"shape\":[0,2],"},
        {"[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]",
         "\"losses\":[[[0.0,0.0],[0.0,0.0]],[[0.0,0.0],[0.0,0.0]]],\"shape\":[2,2,2],"},
        {"[[[[[[[[1]]]]]]]]", "\"losses\":[[[[[[[[0.0]]]]]]]],\"shape\":[1,1,1,1,1,1,1,1],"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[300];
        snprintf(body, sizeof body, "{\"labels\": %s, \"predictions\": %s}", cases[i].tensor, cases[i].tensor);
        const char *text = answer_text("mae", body, false, 0);
        if (strstr(text, cases[i].losses) == NULL) {
            fail_msg("%s is answered by %s", cases[i].tensor, text);
        }
    }
}

static void test_encoder__prints_the_same_whatever_the_room(void **state)
{
    (void)state;
    static const char body[] = "{\"labels\": [[[0.1, 2e-30], [3, 4]], [[5, 6], [-1e15, 8]]], \"predictions\": [[[0.7, "
                               "0], [1, NaN]], [[1e-9, 7], [8, 0.3]]],"
                               " \"weights\": [[[0.3]], [[0.7]]], \"gradients\": [\"labels\", \"predictions\", "
                               "\"weights\"], \"dtype\": \"float64\"}";
    const char *whole = answer_text("mse", body, true, 0);
    for (size_t max = 64; max < 400; max++) {
        assert_string_equal(answer_text("mse", body, true, max), whole);
    }
}

static void test_encoder__keeps_within_its_bound(void **state)
{
    (void)state;
    /* The longest decimals there are, of both dtypes. */
    static const char *const bodies[] = {
        "{\"labels\": [0, 0, 0, 0], \"predictions\": [1234567800000000, 1.1754944e-38, 0.00012345678, 1.2345679e-30], "
        "\"gradients\": true}",
        "{\"labels\": [0, 0, 0], \"predictions\": [1234567890123456.8, 2.2250738585072014e-308, "
        "0.00012345678901234567],"
        " \"dtype\": \"float64\", \"gradients\": true}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        answer_text("mae", bodies[i], false, 0);
        answer_text("mse", bodies[i], true, 64);
    }
}

/* From body to answer within so much memory; the status, and where it is good the answer's size. */
static loss_status within(size_t ceiling, const char *body, size_t *size)
{
    struct loss_error err = {0};
    struct call call;
    struct call_answer answer = {0};
    struct loss_arena *small = loss_arena_new(ceiling, NULL);
    if (small == NULL) {
        return LOSS_OVERLOADED;
    }
    const struct json_decode_options options = {.desc = loss_catalog_find("mse", NULL), .max_depth = 64};
    struct json_decoder *d = json_decoder_new(small, &options);
    loss_status status = d == NULL ? LOSS_OVERLOADED : json_decoder_feed(d, body, strlen(body), &err);
    status = status == LOSS_OK ? json_decoder_end(d, &call, &err) : status;
    status = status == LOSS_OK ? loss_compute(&call.loss, small, &answer.loss, &err) : status;
    if (status == LOSS_OK) {
        struct json_encoder *e = json_encoder_new(small, &call, &answer, false);
        status = e == NULL ? LOSS_OVERLOADED : LOSS_OK;
        *size = e == NULL ? 0 : json_encoder_bound(e);
    }
    loss_arena_free(small);
    return status;
}

static void test_memory__that_ends_is_an_ordinary_failure(void **state)
{
    (void)state;
    static const char body[] =
        "{\"labels\": {\"dtype\": \"int16\", \"shape\": [2], \"base64\": \"AQACAA==\"}, \"predictions\": [0.5, 3],"
        " \"weights\": {\"shape\": [2], \"data\": [0.5, 2]}, \"gradients\": true}";
    size_t size = 0;
    size_t ceiling = 0;
    size_t failures = 0;
    for (loss_status status; (status = within(ceiling, body, &size)) != LOSS_OK; ceiling += 61) {
        assert_int_equal(status, LOSS_OVERLOADED);
        assert_true(ceiling < HUGE_BUFFER);
        failures++;
    }
    assert_true(failures > 10);
    assert_true(size > 300);
}

static loss_status read_members(const char *text, struct json_member *members, size_t n, struct loss_error *err)
{
    memset(err, 0, sizeof *err);
    return json_read_members(arena, text, strlen(text), members, n, err);
}

static void test_members__reads_a_flat_object(void **state)
{
    (void)state;
    struct json_member m[] = {{.name = "loss", .type = JSON_MEMBER_NUMBER, .required = true},
                              {.name = "name", .type = JSON_MEMBER_STRING},
                              {.name = "step", .type = JSON_MEMBER_WHOLE},
                              {.name = "collection", .type = JSON_MEMBER_STRING}};
    struct loss_error err;
    assert_int_equal(read_members("{\"step\": -9007199254740992, \"loss\": 0.1, \"name\": \"\\u00e9/x\"}", m, 4, &err),
                     LOSS_OK);
    assert_true(m[0].number == 0.1);
    assert_string_equal(m[1].string, "\xc3\xa9/x");
    assert_true(m[2].number == -9007199254740992.0);
    assert_true(m[0].given && m[1].given && m[2].given && !m[3].given);
}

static void test_members__refuses_what_is_not_there(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pointer;
        loss_status status;
    } cases[] = {
        {"{}", "/loss", LOSS_MISSING_FIELD},
        {"", "", LOSS_MALFORMED_JSON},
        {"[]", "", LOSS_MALFORMED_JSON},
        {"{\"loss\": 1, \"lose\": 2}", "/lose", LOSS_UNKNOWN_FIELD},
        {"{\"loss\": 1, \"loss\": 2}", "/loss", LOSS_DUPLICATE_FIELD},
        {"{\"loss\": null}", "/loss", LOSS_INVALID_PARAMETER},
        {"{\"loss\": [1]}", "/loss", LOSS_INVALID_PARAMETER},
        {"{\"loss\": true}", "/loss", LOSS_INVALID_PARAMETER},
        {"{\"loss\": 1e999}", "/loss", LOSS_NUMBER_OUT_OF_RANGE},
        {"{\"loss\": 1, \"step\": 0.5}", "/step", LOSS_INVALID_PARAMETER},
        {"{\"loss\": 1, \"step\": 9007199254740993}", "/step", LOSS_INVALID_PARAMETER},
        {"{\"loss\": 1, \"step\": NaN}", "/step", LOSS_INVALID_PARAMETER},
        {"{\"loss\": 1, \"name\": 1}", "/name", LOSS_INVALID_PARAMETER},
        {"{\"loss\": 1, \"name\": \"a\\u0000\"}", "/name", LOSS_INVALID_NAME},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_member m[] = {{.name = "loss", .type = JSON_MEMBER_NUMBER, .required = true},
                                  {.name = "name", .type = JSON_MEMBER_STRING},
                                  {.name = "step", .type = JSON_MEMBER_WHOLE}};
        struct loss_error err;
        assert_int_equal(read_members(cases[i].text, m, 3, &err), cases[i].status);
        assert_string_equal(err.pointer, cases[i].pointer);
    }
}

static void test_members__keeps_losses_that_are_not_finite(void **state)
{
    (void)state;
    struct json_member m = {.name = "loss", .type = JSON_MEMBER_NUMBER};
    struct loss_error err;
    assert_int_equal(read_members("{\"loss\": NaN}", &m, 1, &err), LOSS_OK);
    assert_true(isnan(m.number));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_decoder__fills_a_call),
        TEST(test_decoder__leaves_defaults_where_fields_are_absent),
        TEST(test_decoder__does_not_care_how_the_body_is_cut),
        TEST(test_decoder__reads_dtype_before_and_after_its_tensors),
        TEST(test_decoder__lets_the_query_win),
        TEST(test_decoder__rounds_each_decimal_to_float32_once),
        TEST(test_decoder__keeps_whole_numbers_exact),
        TEST(test_decoder__points_at_elements_as_they_were_written),
        TEST(test_decoder__refuses_what_is_no_call),
        TEST(test_decoder__does_not_care_how_plain_the_envelope_is),
        TEST(test_decoder__takes_many_members),
        TEST(test_decoder__bounds_what_a_parser_is_given),
        TEST(test_decoder__refuses_shapes_that_answer_without_end),
        TEST(test_decoder__aligns_bytes_and_never_hands_out_null),
        TEST(test_round__gives_the_nearest_of_a_narrower_dtype),
        TEST(test_round__refuses_what_does_not_fit),
        TEST(test_encoder__prints_fields_in_their_order),
        TEST(test_encoder__leaves_out_what_there_is_not),
        TEST(test_encoder__prints_what_is_not_finite_as_asked),
        TEST(test_encoder__nests_as_the_shape_says),
        TEST(test_encoder__prints_the_same_whatever_the_room),
        TEST(test_encoder__keeps_within_its_bound),
        TEST(test_memory__that_ends_is_an_ordinary_failure),
        TEST(test_members__reads_a_flat_object),
        TEST(test_members__refuses_what_is_not_there),
        TEST(test_members__keeps_losses_that_are_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
