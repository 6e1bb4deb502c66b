/* SPDX-License-Identifier: Apache-2.0
 *
 * oip_decode.c - the bytes of a request of the Open Inference Protocol: JSON first, then tensors into their places.
 */
#include <server/formats/oip_request.h>

#include <assert.h>
#include <inttypes.h>
#include <stdalign.h>
#include <string.h>

/* Bytes are taken as they are: little-endian, as everything we run on. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "binary tensors need swapping here");

typedef enum { PART_JSON, PART_TENSORS, PART_RAW } body_part;

struct oip_decoder {
    struct oip_decode_options options;
    struct loss_arena *arena;
    body_part part;
    uint64_t json_size; /* where it was told; else endless */
    uint64_t json_left;
    size_t input;    /* PART_TENSORS: the one that is being filled ... */
    size_t filled;   /* ... so many bytes of it; PART_RAW: of the body */
    size_t capacity; /* PART_RAW */
    char *raw;
    struct oip_request request;
    struct oip_call call;
};

/* The header field: a whole number from 0 that an int64 holds. */
static loss_status read_json_size(const struct oip_decode_options *options, uint64_t *out, struct loss_error *err)
{
    const char *text = options->json_size;
    size_t digits = strspn(text, "0123456789");
    char clip[CALL_CLIP];
    uint64_t size = 0;
    bool beyond = false;

    if (digits == 0 || text[digits] != '\0') {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, OIP_LENGTH_HEADER,
                                   "must be the length of the JSON in bytes, a whole number from 0, got \"%s\"",
                                   call_clip(text, clip));
    }
    for (size_t i = 0; i < digits; i++) {
        beyond |=
            __builtin_mul_overflow(size, 10, &size) || __builtin_add_overflow(size, (uint64_t)(text[i] - '0'), &size);
    }
    if (beyond || size > INT64_MAX || size > options->max_body) {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, OIP_LENGTH_HEADER,
                                   "%s bytes of JSON are more than a body may have, which is %" PRIu64,
                                   call_clip(text, clip), options->max_body);
    }
    if (options->has_body_size && size > options->body_size) {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, OIP_LENGTH_HEADER,
                                   "%" PRIu64 " bytes of JSON do not fit a body of %" PRIu64 " bytes", size,
                                   options->body_size);
    }
    *out = size;
    return LOSS_OK;
}

/* The body is the only tensor. */
static loss_status begin_raw(struct oip_decoder *d, struct loss_error *err)
{
    const struct loss_desc *desc = d->options.desc;

    if (desc->inputs[1].name != NULL) {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, OIP_LENGTH_HEADER,
                                   "0 says that the body is the bytes of the only input, but %s has more than one; "
                                   "send JSON that names them, and its length here",
                                   desc->name);
    }
    d->part = PART_RAW;
    d->capacity = d->options.has_body_size ? (size_t)d->options.body_size : 4096;
    d->raw = loss_arena_resize(d->arena, NULL, d->capacity + 1);
    return d->raw != NULL ? LOSS_OK : loss_no_memory(err, "this request");
}

loss_status oip_decoder_new(struct loss_arena *arena, const struct oip_decode_options *options,
                            struct oip_decoder **out, struct loss_error *err)
{
    struct oip_decoder *d = loss_arena_alloc(arena, sizeof *d, alignof(struct oip_decoder));
    struct json_scan *scan = json_scan_new(
        arena, &(struct json_scan_options){.max_depth = options->max_depth, .max_envelope = ENVELOPE_MAX});

    if (d == NULL || scan == NULL) {
        return loss_no_memory(err, "this request");
    }
    memset(d, 0, sizeof *d);
    d->options = *options;
    d->arena = arena;
    d->json_size = UINT64_MAX;
    call_init(&d->call.call, options->desc, options->alias);
    oip_request_init(&d->request, arena, scan, &d->call);
    d->request.takes_binary = options->json_size != NULL;
    if (d->request.takes_binary) {
        LOSS_TRY(read_json_size(options, &d->json_size, err));
    }
    d->json_left = d->json_size;
    *out = d;
    return d->json_size == 0 ? begin_raw(d, err) : LOSS_OK;
}

/* What the inputs say must be what is there, as far as that is known before it is there. */
static loss_status check_sizes(const struct oip_decoder *d, struct loss_error *err)
{
    uint64_t behind = d->options.has_body_size ? d->options.body_size - d->json_size : 0;
    uint64_t sum = 0;
    bool beyond = false;

    for (size_t i = 0; i < d->request.n_inputs; i++) {
        beyond |= d->request.input[i].binary && __builtin_add_overflow(sum, d->request.input[i].size, &sum);
    }
    if (d->options.has_body_size && (beyond || sum != behind)) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "/inputs",
                         "binary_data_size of all inputs is %" PRIu64 " bytes together, but %" PRIu64
                         " bytes stand behind the JSON",
                         sum, behind);
    }
    if (beyond || sum > d->options.max_body) {
        return loss_fail(err, LOSS_BODY_TOO_LARGE, "/inputs",
                         "the inputs are larger than a body may be, which is %" PRIu64
                         " bytes; the server's option --max-body sets the limit",
                         d->options.max_body);
    }
    return LOSS_OK;
}

static loss_status end_json(struct oip_decoder *d, struct loss_error *err)
{
    LOSS_TRY(json_scan_end(d->request.scan, err));
    LOSS_TRY(oip_request_read(&d->request, err));
    if (d->request.takes_binary) {
        LOSS_TRY(check_sizes(d, err));
    }
    d->part = PART_TENSORS;
    return oip_request_fill(&d->request, err);
}

static loss_status feed_json(struct oip_decoder *d, const char *bytes, size_t n, size_t *used, struct loss_error *err)
{
    *used = n < d->json_left ? n : (size_t)d->json_left;
    LOSS_TRY(json_scan_feed(d->request.scan, bytes, *used, err));
    d->json_left -= *used;
    return d->json_left == 0 ? end_json(d, err) : LOSS_OK;
}

/* The input whose bytes come next, or NULL. */
static struct oip_input *next_input(struct oip_decoder *d)
{
    while (d->input < d->request.n_inputs) {
        struct oip_input *input = &d->request.input[d->input];
        if (input->binary && d->filled < input->size) {
            return input;
        }
        d->input++;
        d->filled = 0;
    }
    return NULL;
}

static loss_status feed_tensors(struct oip_decoder *d, const char *bytes, size_t n, size_t *used,
                                struct loss_error *err)
{
    struct oip_input *input = next_input(d);

    if (input == NULL) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "/inputs",
                         "the body goes on behind the last tensor: more bytes stand behind the JSON than "
                         "binary_data_size of all inputs says");
    }
    *used = n < input->size - d->filled ? n : input->size - d->filled;
    memcpy((char *)input->tensor.data + d->filled, bytes, *used);
    d->filled += *used;
    return LOSS_OK;
}

static loss_status feed_raw(struct oip_decoder *d, const char *bytes, size_t n, struct loss_error *err)
{
    if (d->capacity - d->filled < n) {
        size_t capacity = 2 * d->capacity + n;
        char *grown = loss_arena_resize(d->arena, d->raw, capacity + 1);
        if (grown == NULL) {
            return loss_no_memory(err, "this request");
        }
        d->raw = grown;
        d->capacity = capacity;
    }
    memcpy(d->raw + d->filled, bytes, n);
    d->filled += n;
    return LOSS_OK;
}

loss_status oip_decoder_feed(struct oip_decoder *d, const char *bytes, size_t n, struct loss_error *err)
{
    if (d->part == PART_RAW) {
        return feed_raw(d, bytes, n, err);
    }
    while (n > 0) {
        size_t used = 0;
        LOSS_TRY(d->part == PART_JSON ? feed_json(d, bytes, n, &used, err) : feed_tensors(d, bytes, n, &used, err));
        bytes += used;
        n -= used;
    }
    return LOSS_OK;
}

static loss_status end_raw(struct oip_decoder *d, struct loss_error *err)
{
    struct loss_tensor t = {.dtype = LOSS_FLOAT32, .layout = LOSS_OPAQUE, .rank = 1, .data = d->raw, .pointer = ""};

    if (d->filled % sizeof(float) != 0) {
        return loss_fail(err, LOSS_SHAPE_MISMATCH, "",
                         "the body is numbers of FP32, but its %zu bytes are no multiple of 4", d->filled);
    }
    t.count = t.shape[0] = d->filled / sizeof(float);
    d->call.call.loss.input[0] = t;
    d->request.binary_output = true;
    oip_request_default_outputs(&d->request);
    return call_check(&d->call.call, err);
}

loss_status oip_decoder_end(struct oip_decoder *d, struct oip_call *out, struct loss_error *err)
{
    if (d->part == PART_JSON && d->request.takes_binary) {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, OIP_LENGTH_HEADER,
                                   "the body ends before %" PRIu64 " bytes of JSON do", d->json_size);
    }
    if (d->part == PART_JSON) {
        LOSS_TRY(end_json(d, err));
    }
    if (d->part == PART_TENSORS && next_input(d) != NULL) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, d->request.input[d->input].tensor.pointer,
                         "the body ends before this tensor's bytes do");
    }
    LOSS_TRY(d->part == PART_RAW ? end_raw(d, err) : oip_request_finish(&d->request, err));
    *out = d->call;
    return LOSS_OK;
}
