/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors_decode.c - the bytes of a safetensors body: length, header, then tensors straight into their places.
 */
#include <server/formats/safetensors_body.h>

#include <inttypes.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include <files/safetensors.h>
#include <server/formats/call_text.h>

#define MAX_HEADER ((size_t)1 << 20)
#define ALIGNMENT 64

struct safetensors_decoder {
    struct loss_arena *arena;
    struct safetensors_options options;
    enum { PART_LENGTH, PART_HEADER, PART_DATA } part;
    unsigned char prefix[SAFETENSORS_PREFIX];
    char *json;
    size_t length; /* of the header */
    size_t filled; /* bytes of the part, or of the tensor under way */
    size_t entry;  /* that tensor */
    struct safetensors_header header;
    struct call call;
};

struct safetensors_decoder *safetensors_decoder_new(struct loss_arena *arena, const struct safetensors_options *options)
{
    struct safetensors_decoder *d = loss_arena_alloc(arena, sizeof *d, alignof(struct safetensors_decoder));
    if (d != NULL) {
        memset(d, 0, sizeof *d);
        d->arena = arena;
        d->options = *options;
        if (options->desc != NULL) {
            call_init(&d->call, options->desc, options->alias);
        }
    }
    return d;
}

static loss_status check_size(const struct safetensors_decoder *d, struct loss_error *err)
{
    uint64_t head = SAFETENSORS_PREFIX + d->length, max = d->options.max_body;
    if (d->header.data_size > max || head > max - d->header.data_size) {
        return loss_fail(err, LOSS_BODY_TOO_LARGE, "",
                         "the tensors are larger than a body may be, which is %" PRIu64
                         " bytes; the server's option --max-body sets the limit",
                         max);
    }
    if (d->options.has_body_size && head + d->header.data_size != d->options.body_size) {
        return loss_fail(err, LOSS_MALFORMED_ENCODING, "",
                         "the safetensors header tells of %" PRIu64 " bytes in all, the body has %" PRIu64,
                         head + d->header.data_size, d->options.body_size);
    }
    return LOSS_OK;
}

/* Where a tensor of this name belongs in the call; vectors are set once their numbers are there.
 * err  LOSS_UNKNOWN_FIELD, LOSS_DUPLICATE_FIELD */
static loss_status find_place(struct safetensors_decoder *d, struct safetensors_entry *e, struct loss_error *err)
{
    const struct loss_desc *desc = d->options.desc;
    const char *pointer = e->tensor.pointer;
    int input = loss_desc_input(desc, e->name), param = loss_desc_param(desc, e->name);
    if (input >= 0 || strcmp(e->name, "weights") == 0) {
        struct loss_tensor *place = input >= 0 ? &d->call.loss.input[input] : &d->call.loss.weights;
        if (place->data != NULL) {
            return loss_fail(err, LOSS_DUPLICATE_FIELD, pointer, "%s was given twice, under two names", e->name);
        }
        *place = e->tensor;
        return LOSS_OK;
    }
    if (param >= 0 && (desc->params[param].type == LOSS_VECTOR || desc->params[param].type == LOSS_NUMBER_OR_VECTOR)) {
        return LOSS_OK;
    }
    if (param >= 0 || strcmp(e->name, "reduction") == 0 || strcmp(e->name, "gradients") == 0) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer,
                         "%s is no tensor: it goes into the metadata or the query, as text", e->name);
    }
    return call_unknown_field(desc, e->name, pointer, err);
}

static loss_status place_tensors(struct safetensors_decoder *d, struct loss_error *err)
{
    for (size_t i = 0; i < d->header.n; i++) {
        struct safetensors_entry *e = &d->header.entry[i];
        size_t size = e->end - e->begin;
        e->tensor.data = loss_arena_resize(d->arena, NULL, size == 0 ? ALIGNMENT : size);
        e->tensor.pointer = loss_arena_format(d->arena, "/%s", e->name);
        if (e->tensor.data == NULL || e->tensor.pointer == NULL) {
            return loss_no_memory(err, "this request");
        }
        if (d->options.desc != NULL) {
            LOSS_TRY(find_place(d, e, err));
        }
    }
    return LOSS_OK;
}

static loss_status end_header(struct safetensors_decoder *d, struct loss_error *err)
{
    LOSS_TRY(safetensors_read(d->arena, d->json, d->length, &d->header, err));
    LOSS_TRY(check_size(d, err));
    d->part = PART_DATA;
    d->filled = 0;
    return place_tensors(d, err);
}

static loss_status end_length(struct safetensors_decoder *d, struct loss_error *err)
{
    LOSS_TRY(safetensors_length(d->prefix, MAX_HEADER, &d->length, err));
    d->json = loss_arena_resize(d->arena, NULL, d->length);
    d->part = PART_HEADER;
    d->filled = 0;
    return d->json != NULL ? LOSS_OK : loss_no_memory(err, "this request");
}

/* Bytes into `to`, which takes `size` and has d->filled; how many of n were taken. */
static size_t fill(struct safetensors_decoder *d, void *to, size_t size, const char *bytes, size_t n)
{
    size_t used = size - d->filled < n ? size - d->filled : n;
    memcpy((char *)to + d->filled, bytes, used);
    d->filled += used;
    return used;
}

/* The tensor that bytes are still missing of, or NULL. */
static struct safetensors_entry *next_entry(struct safetensors_decoder *d)
{
    while (d->entry < d->header.n) {
        struct safetensors_entry *e = &d->header.entry[d->entry];
        if (d->filled < e->end - e->begin) {
            return e;
        }
        d->entry++;
        d->filled = 0;
    }
    return NULL;
}

loss_status safetensors_decoder_feed(struct safetensors_decoder *d, const char *bytes, size_t n, struct loss_error *err)
{
    while (n > 0) {
        size_t used = 0;
        struct safetensors_entry *e;
        switch (d->part) {
        case PART_LENGTH:
            used = fill(d, d->prefix, sizeof d->prefix, bytes, n);
            if (d->filled == sizeof d->prefix) {
                LOSS_TRY(end_length(d, err));
            }
            break;
        case PART_HEADER:
            used = fill(d, d->json, d->length, bytes, n);
            if (d->filled == d->length) {
                LOSS_TRY(end_header(d, err));
            }
            break;
        case PART_DATA:
            e = next_entry(d);
            if (e == NULL) {
                return loss_fail(err, LOSS_MALFORMED_ENCODING, "", "something follows the last tensor");
            }
            used = fill(d, e->tensor.data, e->end - e->begin, bytes, n);
            break;
        }
        bytes += used;
        n -= used;
    }
    return LOSS_OK;
}

static const char *query_value(const struct safetensors_decoder *d, const char *name)
{
    for (size_t i = 0; i < d->options.n_query; i++) {
        if (strcmp(d->options.query[i].name, name) == 0) {
            return d->options.query[i].value;
        }
    }
    return NULL;
}

static const char *metadata_value(const struct safetensors_decoder *d, const char *name)
{
    for (size_t i = 0; i < d->header.n_metadata; i++) {
        if (strcmp(d->header.metadata[i].name, name) == 0) {
            return d->header.metadata[i].value;
        }
    }
    return NULL;
}

/* As the client says; else float64 where a real input is. */
static loss_status set_dtype(struct safetensors_decoder *d, struct loss_error *err)
{
    struct loss_call *call = &d->call.loss;
    const char *query = query_value(d, "dtype"), *metadata = metadata_value(d, "dtype");
    if (query != NULL) {
        loss_status status = call_parse_dtype(query, "", &call->dtype, err);
        return loss_blame_parameter(err, status, "dtype");
    }
    if (metadata != NULL) {
        return call_parse_dtype(metadata, "/dtype", &call->dtype, err);
    }
    for (int i = 0; call->desc->inputs[i].name != NULL; i++) {
        loss_domain domain = call->desc->inputs[i].domain;
        bool real = domain != LOSS_CLASS_INDEX && domain != LOSS_WHOLE_NUMBER;
        if (real && call->input[i].data != NULL && call->input[i].dtype == LOSS_FLOAT64) {
            call->dtype = LOSS_FLOAT64;
        }
    }
    return LOSS_OK;
}

/* The same field, by whatever name? */
static bool same_field(const struct loss_desc *desc, const char *a, const char *b)
{
    int param = loss_desc_param(desc, a);
    return strcmp(a, b) == 0 || (param >= 0 && loss_desc_param(desc, b) == param);
}

static bool in_query(const struct safetensors_decoder *d, const char *name)
{
    for (size_t i = 0; i < d->options.n_query; i++) {
        if (same_field(d->options.desc, name, d->options.query[i].name)) {
            return true;
        }
    }
    return false;
}

static bool is_tensor(const struct safetensors_decoder *d, const char *name)
{
    for (size_t i = 0; i < d->header.n; i++) {
        if (same_field(d->options.desc, name, d->header.entry[i].name)) {
            return true;
        }
    }
    return false;
}

static loss_status set_text(struct safetensors_decoder *d, const char *name, const char *value, struct loss_error *err)
{
    if (is_tensor(d, name)) {
        return loss_fail(err, LOSS_DUPLICATE_FIELD, "", "%s is given as a tensor and as text", name);
    }
    return call_set_text(&d->call, name, value, d->arena, err);
}

/* Fields other than gradients, or those alone: they come last, since they may name any input. */
static loss_status set_fields(struct safetensors_decoder *d, bool gradients, struct loss_error *err)
{
    static const char *const elsewhere[] = {"dtype", "nonfinite", "strict", "format", NULL};
    for (size_t i = 0; i < d->options.n_query + d->header.n_metadata; i++) {
        bool query = i < d->options.n_query;
        const struct safetensors_field *field = query ? NULL : &d->header.metadata[i - d->options.n_query];
        const char *name = query ? d->options.query[i].name : field->name;
        const char *const *known = elsewhere;
        while (*known != NULL && strcmp(*known, name) != 0) {
            known++;
        }
        if (*known != NULL || (strcmp(name, "gradients") == 0) != gradients || (!query && in_query(d, name))) {
            continue;
        }
        loss_status status = set_text(d, name, query ? d->options.query[i].value : field->value, err);
        LOSS_TRY(query ? loss_blame_parameter(err, status, name) : status);
    }
    return LOSS_OK;
}

static loss_status set_vectors(struct safetensors_decoder *d, struct loss_error *err)
{
    for (size_t i = 0; i < d->header.n; i++) {
        const struct safetensors_entry *e = &d->header.entry[i];
        int param = loss_desc_param(d->options.desc, e->name);
        if (param >= 0) {
            LOSS_TRY(loss_call_set_vector(&d->call.loss, param, &e->tensor, err));
        }
    }
    return LOSS_OK;
}

/* Bytes that a bool must not have. */
static loss_status check_bools(const struct safetensors_decoder *d, struct loss_error *err)
{
    for (size_t i = 0; i < d->header.n; i++) {
        const struct loss_tensor *t = &d->header.entry[i].tensor;
        const unsigned char *bytes = t->data;
        for (size_t k = 0; t->dtype == LOSS_BOOL && k < t->count; k++) {
            if (bytes[k] > 1) {
                return loss_fail(err, LOSS_INVALID_PARAMETER, t->pointer,
                                 "element %zu is no bool: it must be 0 or 1, got %u", k, (unsigned)bytes[k]);
            }
        }
    }
    return LOSS_OK;
}

loss_status safetensors_decoder_file(struct safetensors_decoder *d, const struct safetensors_header **out,
                                     struct loss_error *err)
{
    if (d->part != PART_DATA || next_entry(d) != NULL) {
        return loss_fail(err, LOSS_MALFORMED_ENCODING, "", "the safetensors body is cut %s",
                         d->part == PART_DATA ? "within a tensor" : "within its header");
    }
    *out = &d->header;
    return check_bools(d, err);
}

loss_status safetensors_decoder_end(struct safetensors_decoder *d, struct call *out, struct loss_error *err)
{
    const struct safetensors_header *file;
    LOSS_TRY(safetensors_decoder_file(d, &file, err));
    LOSS_TRY(set_dtype(d, err));
    LOSS_TRY(set_vectors(d, err));
    LOSS_TRY(set_fields(d, false, err));
    LOSS_TRY(set_fields(d, true, err));
    LOSS_TRY(call_check(&d->call, err));
    *out = d->call;
    return LOSS_OK;
}
