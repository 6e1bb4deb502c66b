/* SPDX-License-Identifier: Apache-2.0
 *
 * test_calls.c - computing calls from body to answer, with every allocation failing in its turn.
 *
 * Each time the call is refused as overloaded or answered as ever (not every lack of memory is felt: shrinking a block
 * may fail in peace), nothing of it is left behind, and the next one is as good as the first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <server/coding/content.h>
#include <server/formats/json.h>
#include <server/routes/catalog_json.h>
#include <server/routes/openapi.h>

#include "allocations.h"

#define PLENTY ((size_t)64 << 20)
#define PIECE ((size_t)16 << 10) /* what libmicrohttpd hands on */
#define CEILINGS 300             /* tried between nothing and enough */

/* What a body came to. */
struct outcome {
    loss_status status;
    struct loss_error err;
    size_t size; /* of the text: the registry's names as they were read, and the answer */
    size_t peak; /* of the arena */
    char text[4 << 20];
};

/* What is asked, and what came of it undisturbed. */
struct question {
    const char *loss, *body;
    size_t ceiling;
    struct outcome *right, *now;
    struct loss_budget budget;
};

static struct outcome right, now;

static loss_status no_memory(struct loss_error *err)
{
    return loss_fail(err, LOSS_OVERLOADED, "", "no memory");
}

static loss_status decode(const struct question *q, struct loss_arena *arena, struct call *call, struct loss_error *err)
{
    struct json_decode_options options = {.max_depth = 64};
    options.desc = loss_catalog_find(q->loss, &options.alias);
    struct json_decoder *d = json_decoder_new(arena, &options);
    if (d == NULL) {
        return no_memory(err);
    }
    size_t n = strlen(q->body);
    for (size_t at = 0; at < n; at += PIECE) {
        LOSS_TRY(json_decoder_feed(d, q->body + at, n - at < PIECE ? n - at : PIECE, err));
    }
    return json_decoder_end(d, call, err);
}

static const char *word(const char *s)
{
    return s == NULL ? "-" : s;
}

static loss_status answer(const struct question *q, struct loss_arena *arena, struct outcome *out)
{
    struct call call;
    struct call_answer answer = {0};
    LOSS_TRY(decode(q, arena, &call, &out->err));
    LOSS_TRY(loss_compute(&call.loss, arena, &answer.loss, &out->err));
    struct json_encoder *e = json_encoder_new(arena, &call, &answer, true);
    if (e == NULL) {
        return no_memory(&out->err);
    }
    out->size = (size_t)snprintf(out->text, sizeof out->text, "%s %s %s ", word(call.registry), word(call.name),
                                 word(call.collection));
    for (size_t n; (n = json_encoder_more(e, out->text + out->size, sizeof out->text - out->size)) > 0;) {
        out->size += n;
    }
    return LOSS_OK;
}

static void ask(struct question *q, struct outcome *out)
{
    out->err = (struct loss_error){0};
    out->size = out->peak = 0;
    struct loss_arena *arena = loss_arena_new(q->ceiling, &q->budget);
    out->status = arena == NULL ? no_memory(&out->err) : answer(q, arena, out);
    out->peak = arena == NULL ? 0 : loss_arena_peak(arena);
    loss_arena_free(arena);
}

/* As undisturbed, or overloaded and nothing else. */
static void check(const struct question *q, const char *when, size_t n)
{
    const struct outcome *a = q->right, *b = q->now;
    if (b->status == LOSS_OVERLOADED && a->status != LOSS_OVERLOADED) {
        assert_int_equal(b->err.status, LOSS_OVERLOADED);
        assert_true(b->err.message[0] != '\0');
    } else if (a->status != b->status || strcmp(a->err.message, b->err.message) != 0 ||
               strcmp(a->err.pointer, b->err.pointer) != 0) {
        fail_msg("%s, %s %zu: %s \"%s\" instead of %s \"%s\", for %.200s", q->loss, when, n,
                 loss_status_slug(b->status), b->err.message, loss_status_slug(a->status), a->err.message, q->body);
    } else if (a->size != b->size || memcmp(a->text, b->text, a->size) != 0) {
        fail_msg("%s, %s %zu: another answer, for %.200s", q->loss, when, n, q->body);
    }
    if (loss_budget_used(&q->budget) != 0) {
        fail_msg("%s, %s %zu: the budget keeps %zu bytes", q->loss, when, n, loss_budget_used(&q->budget));
    }
}

static struct allocations attempt(void *arg, struct allocation_fault fault)
{
    struct question *q = arg;
    allocations_begin(fault);
    ask(q, q->now);
    struct allocations a = allocations_end();
    check(q, fault.onward ? "from allocation" : "at allocation", fault.at);
    if (a.live != 0) {
        fail_msg("%s: %ld blocks are left after allocation %zu failed, for %.200s", q->loss, a.live, fault.at, q->body);
    }
    return a;
}

/* Fail each allocation in its turn, then give the arena too little in many ways. */
static void torture(const char *loss, const char *body, loss_status status)
{
    struct question q = {.loss = loss, .body = body, .ceiling = PLENTY, .right = &right, .now = &now};
    ask(&q, q.right);
    if (right.status != status) {
        fail_msg("%s: %s (%s), not %s, for %.200s", loss, loss_status_slug(right.status), right.err.message,
                 loss_status_slug(status), body);
    }
    assert_true(allocations_sweep(attempt, &q) >= 2); /* the arena's own, at least */
    size_t step = right.peak / CEILINGS + 1;
    for (q.ceiling = 0; q.ceiling < right.peak; q.ceiling += step) {
        ask(&q, q.now);
        check(&q, "with a ceiling of", q.ceiling);
    }
    q.ceiling = PLENTY;
    ask(&q, q.now);
    check(&q, "at last, with a ceiling of", q.ceiling);
    assert_int_equal(now.status, status);
}

/* Bodies */

/* The loss's example, with gradients of all that has some. */
static void example_body(const struct loss_desc *desc, const char *more, char *body, size_t size)
{
    int n = snprintf(body, size, "%.*s%s, \"gradients\": [\"weights\"", (int)strlen(desc->example) - 1, desc->example,
                     more);
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        if (input->differentiable) {
            n += snprintf(body + n, size - (size_t)n, ", \"%s\"", input->name);
        }
    }
    snprintf(body + n, size - (size_t)n, "]}");
}

static void test_examples__survive_every_failing_allocation(void **state)
{
    (void)state;
    char body[2048];
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        const struct loss_desc *desc = loss_catalog_at(i);
        example_body(desc, "", body, sizeof body);
        torture(desc->name, body, LOSS_OK);
        example_body(desc, ", \"dtype\": \"float64\", \"weights_mask\": true", body, sizeof body);
        torture(desc->name, body, LOSS_OK);
    }
}

static void test_other_forms__survive_every_failing_allocation(void **state)
{
    (void)state;
    torture("mse",
            "{\"labels\": {\"dtype\": \"int16\", \"shape\": [2], \"base64\": \"AQACAA==\"}, \"predictions\": "
            "{\"dtype\": \"float16\", \"shape\": [2], \"data\": [0.5, 2]}, \"weights\": [true, false]}",
            LOSS_OK);
    torture("huber",
            "{\"target\": [[1, 2], [3, 4]], \"input\": [[1e-3, 2], [0, -7.25]], \"delta\": 0.5, \"registry\": "
            "\"r\\u00fcn/1 of the sixteenth of July\", \"name\": \"a \\\"b\\\"/and/a/name/of/many/parts\", "
            "\"collection\": \"those that are kept for long\", \"step\": 7, \"gradients\": true}",
            LOSS_OK);
    torture("cosine_distance", "{\"labels\": [[1, 0]], \"predictions\": [[0.6, 0.8]], \"dim\": 1, \"losses\": false}",
            LOSS_OK);
}

/* `rows` rows of `columns` numbers. */
static size_t print_rows(char *buf, size_t size, int rows, int columns)
{
    size_t n = 0;
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < columns; k++) {
            n += (size_t)snprintf(buf + n, size - n, "%s%d.%d",
                                  k > 0   ? ","
                                  : i > 0 ? "],["
                                          : "[[",
                                  (i * k) % 23 - 11, (3 * i + k) % 10);
        }
    }
    return n + (size_t)snprintf(buf + n, size - n, "]]");
}

/* Larger than the arena's chunks: blocks that grow, are shrunk and given back; threads. */
static void test_large_calls__survive_every_failing_allocation(void **state)
{
    (void)state;
    static char body[1 << 20];
    size_t n = 0;
    n += (size_t)snprintf(body + n, sizeof body - n, "{\"labels\": ");
    n += print_rows(body + n, sizeof body - n, 300, 100);
    n += (size_t)snprintf(body + n, sizeof body - n, ", \"predictions\": ");
    n += print_rows(body + n, sizeof body - n, 300, 100);
    snprintf(body + n, sizeof body - n, ", \"gradients\": [\"labels\", \"predictions\", \"weights\"]}");
    torture("mse", body, LOSS_OK);
    torture("mean_pairwise_squared_error", body, LOSS_OK);
    torture("softmax_cross_entropy", body, LOSS_UNKNOWN_FIELD);
}

static void test_refusals__stay_what_they_are_or_say_overloaded(void **state)
{
    (void)state;
    torture("mse", "{\"labels\": [1, 2], \"predictions\": [1, ]}", LOSS_MALFORMED_JSON);
    torture("mse", "[1, [2, {\"a\": \"b\"}]]", LOSS_MALFORMED_JSON);
    torture("mse", "{\"labels\": [1], \"predictions\": [1], \"labels\": [2]}", LOSS_DUPLICATE_FIELD);
    torture("mse", "{\"labels\": {\"shape\": [1], \"shape\": [1]}}", LOSS_DUPLICATE_FIELD);
    torture("mse", "{\"labels\\u0000\": [1]}", LOSS_UNKNOWN_FIELD);
    torture("mse", "{\"lables\": [1]}", LOSS_UNKNOWN_FIELD);
    torture("mse", "{\"labels\": [1]}", LOSS_MISSING_FIELD);
    torture("mse", "{\"labels\": [[1], [2, 3]], \"predictions\": 1}", LOSS_RAGGED_TENSOR);
    torture("mse", "{\"labels\": [1, {\"a\": [\"b\", null]}], \"predictions\": 1}", LOSS_INVALID_PARAMETER);
    torture("mse", "{\"labels\": [\"a\", \"b\", [\"c\"]], \"predictions\": 1}", LOSS_INVALID_PARAMETER);
    torture("mse", "{\"labels\": [1, 1e40], \"predictions\": [1, 2]}", LOSS_NUMBER_OUT_OF_RANGE);
    torture("mse", "{\"labels\": [1, 2, 3], \"predictions\": [1, 2]}", LOSS_SHAPE_MISMATCH);
    torture("mse", "{\"labels\": {\"dtype\": \"int8\", \"shape\": [2], \"base64\": \"?\"}, \"predictions\": 1}",
            LOSS_INVALID_PARAMETER);
    torture("mse", "{\"labels\": [1], \"predictions\": [1], \"weights\": [1, 2]}", LOSS_INVALID_WEIGHTS);
    torture("mse", "{\"labels\": [1], \"predictions\": [1], \"gradients\": [\"x\"]}", LOSS_INVALID_PARAMETER);
    torture("sparse_softmax_cross_entropy", "{\"labels\": [0, 5], \"logits\": [[1, 2], [3, 4]]}",
            LOSS_LABEL_OUT_OF_RANGE);
    torture("sparse_softmax_cross_entropy", "{\"labels\": [0, 0.5], \"logits\": [[1, 2], [3, 4]]}",
            LOSS_NOT_AN_INTEGER);
}

/* Small documents */

static loss_status read_small(struct loss_arena *arena, struct loss_error *err)
{
    static const char body[] = "{\"name\": \"head/\\u00e9\", \"loss\": 0.25, \"step\": 12}";
    struct json_member members[] = {{.name = "name", .type = JSON_MEMBER_STRING},
                                    {.name = "loss", .type = JSON_MEMBER_NUMBER, .required = true},
                                    {.name = "step", .type = JSON_MEMBER_WHOLE}};
    loss_status status = json_read_members(arena, body, sizeof body - 1, members, 3, err);
    if (status == LOSS_OK) {
        assert_string_equal(members[0].string, "head/\xc3\xa9");
        assert_true(members[1].number == 0.25 && members[2].number == 12);
    }
    return status;
}

static loss_status print_catalog(struct loss_arena *arena, struct loss_error *err)
{
    struct json_out o;
    json_out_init(&o, arena);
    catalog_json_list(&o, NULL, NULL);
    return o.failed ? no_memory(err) : LOSS_OK;
}

static loss_status print_openapi(struct loss_arena *arena, struct loss_error *err)
{
    size_t size;
    return openapi_document(arena, &size) == NULL ? no_memory(err) : LOSS_OK;
}

/* An answer out through a stream, and back in as a body. */

struct text {
    char *bytes;
    size_t size, same; /* how much of it has come back */
};

static loss_status compare(void *arg, const char *bytes, size_t n, struct loss_error *err)
{
    struct text *t = arg;
    (void)err;
    assert_true(t->same + n <= t->size);
    assert_memory_equal(t->bytes + t->same, bytes, n);
    t->same += n;
    return LOSS_OK;
}

static loss_status through_coding(content_coding coding, struct loss_arena *arena, struct loss_error *err)
{
    static char text[100000], coded[100000];
    struct text t = {text, sizeof text, 0};
    struct request q = {.arena = arena, .answer_coding = coding};
    struct reply r = {.body = text, .size = sizeof text};
    size_t size = 0;
    content_encode(&q, &r, 1);
    for (size_t n; r.more != NULL && (n = r.more(r.state, coded + size, sizeof coded - size)) > 0;) {
        size += n;
    }
    if (r.more == NULL) { /* without memory it goes out as it is */
        assert_ptr_equal(r.body, text);
        return no_memory(err);
    }
    const struct content_options options = {.coding = coding, .max_ratio = 1, .sink = compare, .arg = &t};
    struct content_decoder *d = content_decoder_new(arena, &options);
    if (d == NULL) {
        return no_memory(err);
    }
    LOSS_TRY(content_decoder_feed(d, coded, size, err));
    LOSS_TRY(content_decoder_end(d, err));
    assert_int_equal(t.same, t.size);
    return LOSS_OK;
}

static loss_status through_gzip(struct loss_arena *arena, struct loss_error *err)
{
    return through_coding(CODING_GZIP, arena, err);
}

static loss_status through_zstd(struct loss_arena *arena, struct loss_error *err)
{
    return through_coding(CODING_ZSTD, arena, err);
}

typedef loss_status small_work(struct loss_arena *arena, struct loss_error *err);

static struct allocations attempt_small(void *arg, struct allocation_fault fault)
{
    struct loss_error err = {0};
    allocations_begin(fault);
    struct loss_arena *arena = loss_arena_new(PLENTY, NULL);
    loss_status status = arena == NULL ? no_memory(&err) : (*(small_work **)arg)(arena, &err);
    loss_arena_free(arena);
    struct allocations a = allocations_end();
    assert_int_equal(a.live, 0);
    if (status != LOSS_OVERLOADED) {
        assert_int_equal(status, LOSS_OK);
    }
    return a;
}

static void test_small_documents__survive_every_failing_allocation(void **state)
{
    (void)state;
    static small_work *const works[] = {read_small, print_catalog, print_openapi, through_gzip, through_zstd};
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        small_work *work = works[i];
        assert_true(allocations_sweep(attempt_small, &work) >= 2);
        assert_int_equal(attempt_small(&work, (struct allocation_fault){0}).refused, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples__survive_every_failing_allocation),
        cmocka_unit_test(test_other_forms__survive_every_failing_allocation),
        cmocka_unit_test(test_large_calls__survive_every_failing_allocation),
        cmocka_unit_test(test_refusals__stay_what_they_are_or_say_overloaded),
        cmocka_unit_test(test_small_documents__survive_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
