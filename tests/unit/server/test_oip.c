/* SPDX-License-Identifier: Apache-2.0
 *
 * test_oip.c - the Open Inference Protocol's decoder and encoder, without a server: pieces, places and memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <loss/loss.h>
#include <server/formats/oip.h>

/* What a client would send. */
struct body {
    char json_size[16];
    size_t size;
    char bytes[1024];
};

static const float labels[] = {1, 2, 3};
static const double predictions[] = {2, 4, 7};

/* Labels as bytes, then weights as JSON, then predictions as bytes. */
static struct body make_body(const char *outputs)
{
    struct body b = {.size = 0};
    int n =
        snprintf(b.bytes, sizeof b.bytes,
                 "{\"id\":\"7\",\"parameters\":{\"reduction\":\"sum\"},\"inputs\":["
                 "{\"name\":\"labels\",\"datatype\":\"FP32\",\"shape\":[3],\"parameters\":{\"binary_data_size\":12}},"
                 "{\"name\":\"weights\",\"datatype\":\"FP32\",\"shape\":[3],\"data\":[1,1,2]},"
                 "{\"name\":\"predictions\",\"datatype\":\"FP64\",\"shape\":[3],"
                 "\"parameters\":{\"binary_data_size\":24}}]%s}",
                 outputs);
    assert_in_range(n, 1, (int)(sizeof b.bytes - sizeof labels - sizeof predictions));
    snprintf(b.json_size, sizeof b.json_size, "%d", n);
    memcpy(b.bytes + n, labels, sizeof labels);
    memcpy(b.bytes + n + sizeof labels, predictions, sizeof predictions);
    b.size = (size_t)n + sizeof labels + sizeof predictions;
    return b;
}

static struct loss_arena *make_arena(size_t ceiling)
{
    struct loss_arena *arena = loss_arena_new(ceiling, NULL);
    assert_non_null(arena);
    return arena;
}

/* Decode a body that arrives in two pieces. */
static loss_status decode(struct loss_arena *arena, const struct body *b, size_t cut, bool sized, struct oip_call *out,
                          struct loss_error *err)
{
    const struct oip_decode_options options = {.desc = loss_catalog_find("mean_squared_error", NULL),
                                               .json_size = b->json_size,
                                               .has_body_size = sized,
                                               .body_size = b->size,
                                               .max_body = 1 << 20,
                                               .max_depth = 8};
    struct oip_decoder *d = NULL;

    LOSS_TRY(oip_decoder_new(arena, &options, &d, err));
    LOSS_TRY(oip_decoder_feed(d, b->bytes, cut, err));
    LOSS_TRY(oip_decoder_feed(d, b->bytes + cut, b->size - cut, err));
    return oip_decoder_end(d, out, err);
}

static void test_oip_decoder__takes_a_body_cut_anywhere(void **state)
{
    (void)state;
    const struct body b = make_body("");
    for (size_t cut = 0; cut <= b.size; cut++) {
        struct loss_arena *arena = make_arena(SIZE_MAX);
        struct loss_error err = {.status = LOSS_OK};
        struct oip_call oip;
        assert_int_equal(decode(arena, &b, cut, cut % 2 == 0, &oip, &err), LOSS_OK);
        const struct loss_call *call = &oip.call.loss;
        assert_int_equal(call->dtype, LOSS_FLOAT64);
        assert_int_equal(call->reduction, LOSS_REDUCE_SUM);
        assert_memory_equal(call->input[0].data, labels, sizeof labels);
        assert_memory_equal(call->input[1].data, predictions, sizeof predictions);
        assert_int_equal((uintptr_t)call->input[1].data % 64, 0);
        assert_true(loss_tensor_at(&call->weights, 2) == 2);
        loss_arena_free(arena);
    }
}

static void test_oip_decoder__refuses_a_body_cut_short_anywhere(void **state)
{
    (void)state;
    const struct body whole = make_body("");
    for (size_t size = 0; size < whole.size; size++) {
        struct loss_arena *arena = make_arena(SIZE_MAX);
        struct loss_error err = {.status = LOSS_OK};
        struct oip_call oip;
        struct body b = whole;
        b.size = size;
        assert_int_equal(loss_status_http(decode(arena, &b, size / 2, size % 2 == 0, &oip, &err)), 400);
        loss_arena_free(arena);
    }
}

static void test_oip_decoder__refuses_bytes_behind_the_last_tensor(void **state)
{
    (void)state;
    for (int sized = 0; sized < 2; sized++) {
        struct loss_arena *arena = make_arena(SIZE_MAX);
        struct loss_error err = {.status = LOSS_OK};
        struct oip_call oip;
        struct body b = make_body("");
        b.size++;
        assert_int_equal(decode(arena, &b, 0, sized, &oip, &err), LOSS_INVALID_PARAMETER);
        loss_arena_free(arena);
    }
}

/* Decode, compute and encode; the reply's bytes one after another, in memory of the caller. */
static loss_status answer(struct loss_arena *arena, const struct body *b, struct reply *r, struct loss_error *err)
{
    struct oip_call *oip = loss_arena_alloc(arena, sizeof *oip, 16);
    struct loss_answer *computed = loss_arena_alloc(arena, sizeof *computed, 16);

    memset(r, 0, sizeof *r);
    if (oip == NULL || computed == NULL) {
        return loss_fail(err, LOSS_OVERLOADED, "", "no memory");
    }
    LOSS_TRY(decode(arena, b, b->size / 2, true, oip, err));
    LOSS_TRY(loss_compute(&oip->call.loss, arena, computed, err));
    return oip_encode(arena, oip, computed, "mse", r, err);
}

static void test_oip_encode__sends_tensors_from_where_they_were_computed(void **state)
{
    (void)state;
    struct loss_arena *arena = make_arena(SIZE_MAX);
    struct loss_error err = {.status = LOSS_OK};
    struct reply r;
    const struct body b = make_body(",\"outputs\":[{\"name\":\"losses\",\"parameters\":{\"binary_data\":true}},"
                                    "{\"name\":\"totals.count\"},"
                                    "{\"name\":\"gradients.predictions\",\"parameters\":{\"binary_data\":true}}]");
    static const double losses[] = {1, 4, 32}, gradients[] = {2, 4, 16};
    assert_int_equal(answer(arena, &b, &r, &err), LOSS_OK);
    assert_int_equal(r.n_parts, 3);
    assert_int_equal(r.part[1].size, sizeof losses);
    assert_memory_equal(r.part[1].bytes, losses, sizeof losses);
    assert_memory_equal(r.part[2].bytes, gradients, sizeof gradients);
    assert_int_equal(r.size, r.part[0].size + r.part[1].size + r.part[2].size);
    static const char json[] = "{\"model_name\":\"mse\",\"model_version\":\"1\",\"id\":\"7\",\"outputs\":["
                               "{\"name\":\"losses\",\"shape\":[3],\"datatype\":\"FP64\","
                               "\"parameters\":{\"binary_data_size\":24}},"
                               "{\"name\":\"totals.count\",\"shape\":[1],\"datatype\":\"FP64\",\"data\":[3.0]},"
                               "{\"name\":\"gradients.predictions\",\"shape\":[3],\"datatype\":\"FP64\","
                               "\"parameters\":{\"binary_data_size\":24}}]}";
    assert_int_equal(r.part[0].size, sizeof json - 1);
    assert_memory_equal(r.part[0].bytes, json, sizeof json - 1);
    loss_arena_free(arena);
}

/* A long answer in JSON, taken in pieces of `max` bytes, is what it is in one piece. */
static void test_oip_encode__prints_a_long_answer_in_pieces_of_any_size(void **state)
{
    (void)state;
    enum { N = 20000, ROOM = 1 << 20 };
    struct loss_arena *arena = make_arena(SIZE_MAX);
    float *values = loss_arena_alloc(arena, N * sizeof *values, 64);
    char *first = malloc(ROOM);
    assert_non_null(values);
    assert_non_null(first);
    size_t first_size = 0;
    for (int i = 0; i < N; i++) {
        values[i] = (float)i / 7;
    }
    struct oip_call oip = {.n_outputs = 1};
    call_init(&oip.call, loss_catalog_find("mean_squared_error", NULL), NULL);
    oip.output[0] = (struct oip_output){.name = "losses", .what = OIP_LOSSES};
    const struct loss_answer computed = {
        .losses = {.dtype = LOSS_FLOAT32, .rank = 1, .shape = {N}, .count = N, .data = values}};
    for (size_t max = 64; max < ROOM; max = max * 5 + 1) {
        struct loss_error err = {.status = LOSS_OK};
        struct reply r = {.status = 0};
        char *text = malloc(ROOM);
        assert_non_null(text);
        size_t size = 0, n;
        assert_int_equal(oip_encode(arena, &oip, &computed, "mse", &r, &err), LOSS_OK);
        assert_non_null(r.more);
        while ((n = r.more(r.state, text + size, max < ROOM - size ? max : ROOM - size)) > 0) {
            size += n;
        }
        assert_true(max > 64 || memcpy(first, text, first_size = size) != NULL);
        assert_int_equal(size, first_size);
        assert_memory_equal(text, first, size);
        free(text);
    }
    assert_memory_equal(first + first_size - 4, "]}]}", 4);
    free(first);
    loss_arena_free(arena);
}

static void test_oip__fails_ordinarily_wherever_memory_ends(void **state)
{
    (void)state;
    const struct body b = make_body(",\"outputs\":[{\"name\":\"losses\",\"parameters\":{\"binary_data\":true}}]");
    bool done = false;
    for (size_t ceiling = 0; !done; ceiling += 64) {
        struct loss_arena *arena = loss_arena_new(ceiling, NULL);
        struct loss_error err = {.status = LOSS_OK};
        struct reply r;
        if (arena != NULL) {
            loss_status status = answer(arena, &b, &r, &err);
            done = status == LOSS_OK;
            assert_true(done || status == LOSS_OVERLOADED);
        }
        loss_arena_free(arena);
        assert_true(ceiling < 1 << 24);
    }
}

static void test_oip_datatype__is_found_by_its_own_name(void **state)
{
    (void)state;
    loss_dtype dtype;
    for (int i = 0; i < LOSS_DTYPE_COUNT; i++) {
        assert_true(oip_datatype_parse(oip_datatype_name((loss_dtype)i), &dtype));
        assert_int_equal(dtype, i);
    }
    assert_false(oip_datatype_parse("BYTES", &dtype));
    assert_false(oip_datatype_parse("fp32", &dtype));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oip_decoder__takes_a_body_cut_anywhere),
        cmocka_unit_test(test_oip_decoder__refuses_a_body_cut_short_anywhere),
        cmocka_unit_test(test_oip_decoder__refuses_bytes_behind_the_last_tensor),
        cmocka_unit_test(test_oip_encode__sends_tensors_from_where_they_were_computed),
        cmocka_unit_test(test_oip_encode__prints_a_long_answer_in_pieces_of_any_size),
        cmocka_unit_test(test_oip__fails_ordinarily_wherever_memory_ends),
        cmocka_unit_test(test_oip_datatype__is_found_by_its_own_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
