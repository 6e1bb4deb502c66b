/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - the JSON body format, inwards: text to a call.
 *
 * json_scan has checked the grammar and taken out all numbers when we come to the envelope: an integer in it is the
 * index of a value. What remains is to give each field its place and to say exactly what is wrong with those that
 * have none.
 */
#include <server/json.h>

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <server/tensor_round.h>
#include <text/json_scan.h>

/* A call's envelope is short, since numbers are not in it. A document of braces grows 80-fold when jansson reads it,
 * so this is also what bounds jansson's memory. */
#define MAX_ENVELOPE ((size_t)64 << 10)

/* An empty tensor needs no data for its shape, and its answer has a "[]" for each row: a few bytes must not ask for
 * an endless answer. */
#define MAX_EMPTY_ROWS ((size_t)1 << 20)

#define SMALL_DEPTH 64

#define MAX_WHOLE 9007199254740992.0 /* 2^53 */
#define MAX_WHOLE_TEXT "9007199254740992"

struct json_decoder {
    struct loss_arena *arena;
    struct json_decode_options options;
    struct json_scan *scan;
    bool has_dtype; /* known so far: from the query, or its field has come */
    loss_dtype dtype;
};

/* The state of reading one envelope. */
struct reader {
    struct loss_arena *arena;
    struct json_scan *scan;
    const struct loss_desc *desc;
    struct call *call;
    unsigned params_seen;
    const json_t *gradients; /* read last: they may name any input */
};

/* Text -> scanner */

static bool is_whole(const struct loss_input *input)
{
    return input->domain == LOSS_CLASS_INDEX || input->domain == LOSS_WHOLE_NUMBER;
}

/* Numbers that the computation will see as `dtype`. Others must not lose digits before they are checked. */
static bool is_real_field(const struct loss_desc *desc, const char *name)
{
    int input = loss_desc_input(desc, name);
    if (input >= 0) {
        return !is_whole(&desc->inputs[input]);
    }
    int param = loss_desc_param(desc, name);
    if (param >= 0) {
        return desc->params[param].type == LOSS_VECTOR || desc->params[param].type == LOSS_NUMBER_OR_VECTOR;
    }
    return strcmp(name, "weights") == 0;
}

static loss_dtype storage(void *arg, const char *pointer)
{
    const struct json_decoder *d = arg;
    /* Inside a tensor object ("/labels/shape", "/labels/data") a dtype of its own may follow. */
    if (!d->has_dtype || pointer[0] != '/' || strchr(pointer + 1, '/') != NULL) {
        return LOSS_FLOAT64;
    }
    return is_real_field(d->options.desc, pointer + 1) ? d->dtype : LOSS_FLOAT64;
}

static void word(void *arg, const char *pointer, const char *text)
{
    struct json_decoder *d = arg;
    loss_dtype dtype;
    if (!d->has_dtype && strcmp(pointer, "/dtype") == 0 && loss_dtype_parse(text, &dtype) &&
        (dtype == LOSS_FLOAT32 || dtype == LOSS_FLOAT64)) {
        d->has_dtype = true;
        d->dtype = dtype;
    }
}

struct json_decoder *json_decoder_new(struct loss_arena *arena, const struct json_decode_options *options)
{
    struct json_decoder *d = loss_arena_alloc(arena, sizeof *d, alignof(struct json_decoder));
    if (d == NULL) {
        return NULL;
    }
    *d = (struct json_decoder){
        .arena = arena, .options = *options, .has_dtype = options->has_dtype, .dtype = options->dtype};
    d->scan = json_scan_new(arena, &(struct json_scan_options){.max_depth = options->max_depth,
                                                               .max_envelope = MAX_ENVELOPE,
                                                               .strict = options->strict,
                                                               .storage = storage,
                                                               .word = word,
                                                               .arg = d});
    return d->scan == NULL ? NULL : d;
}

loss_status json_decoder_feed(struct json_decoder *d, const char *bytes, size_t n, struct loss_error *err)
{
    return json_scan_feed(d->scan, bytes, n, err);
}

/* Scanner -> envelope */

static loss_status no_memory(struct loss_error *err)
{
    return loss_fail(err, LOSS_OVERLOADED, "", "no memory for this request");
}

static loss_status envelope_failure(const struct json_scan *scan, const json_error_t *e, struct loss_error *err)
{
    char pointer[sizeof err->pointer] = "";
    if (e->position > 0) {
        json_scan_pointer_at(scan, (size_t)e->position - 1, pointer, sizeof pointer);
    }
    switch (json_error_code(e)) {
    case json_error_duplicate_key:
        return loss_fail(err, LOSS_DUPLICATE_FIELD, pointer, "this field was given twice");
    case json_error_null_byte_in_key:
        return loss_fail(err, LOSS_UNKNOWN_FIELD, pointer, "no field has a NUL in its name");
    default:
        return loss_fail(err, LOSS_MALFORMED_JSON, pointer, "%s", e->text);
    }
}

/* A number that not even float64 holds is the better reason to refuse a document than its outermost form. */
static loss_status not_an_object(const struct json_scan *scan, struct loss_error *err)
{
    for (size_t i = 0; i < json_scan_count(scan); i++) {
        const struct json_value *value = json_scan_value(scan, i);
        if (value->fault == LOSS_NUMBER_OUT_OF_RANGE) {
            return loss_fail(err, value->fault, value->fault_pointer, "%s", value->fault_message);
        }
    }
    return loss_fail(err, LOSS_MALFORMED_JSON, "", "the body must be one JSON object");
}

/* jansson's memory while this thread reads an envelope: the arena's, so that it is counted, limited and given back with
 * all the rest, and the document needs no freeing. Where it ends, jansson must not go on: it drops the byte of a string
 * that its buffer has no room for, and runs past the end of the buffer where that was the closing quote. All that it
 * holds is the arena's, so it can be left in the middle. */
static _Thread_local struct {
    struct loss_arena *arena; /* NULL: somebody else's jansson */
    jmp_buf ended;
} memory;

static void *jansson_malloc(size_t n)
{
    if (memory.arena == NULL) {
        return malloc(n);
    }
    void *p = loss_arena_alloc(memory.arena, n, alignof(max_align_t));
    if (p == NULL) {
        longjmp(memory.ended, 1);
    }
    return p;
}

static void jansson_free(void *p)
{
    if (memory.arena == NULL) {
        free(p);
    }
}

static void take_jansson_memory(void)
{
    json_set_alloc_funcs(jansson_malloc, jansson_free);
}

/* False: no memory. *out is NULL where jansson refuses the text. */
static bool load(struct loss_arena *arena, const char *text, size_t size, json_t **out, json_error_t *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, take_jansson_memory);
    memory.arena = arena;
    if (setjmp(memory.ended) != 0) {
        memory.arena = NULL;
        return false;
    }
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, e);
    memory.arena = NULL;
    return true;
}

/* The document, an object, which lives in the arena. */
static loss_status read_envelope(struct loss_arena *arena, struct json_scan *scan, json_t **out, struct loss_error *err)
{
    size_t size;
    const char *text = json_scan_envelope(scan, &size);
    json_t *root = NULL;
    json_error_t e;
    if (!load(arena, text, size, &root, &e)) {
        return no_memory(err);
    }
    if (root == NULL) {
        return envelope_failure(scan, &e, err);
    }
    if (!json_is_object(root)) {
        return not_an_object(scan, err);
    }
    *out = root;
    return LOSS_OK;
}

/* Envelope -> values */

/* "/parent/key" with ~ and / escaped, in the arena; NULL: no memory. */
static const char *pointer_to(struct loss_arena *arena, const char *parent, const char *key)
{
    size_t n = strlen(parent) + 2;
    for (const char *k = key; *k != '\0'; k++) {
        n += *k == '~' || *k == '/' ? 2 : 1;
    }
    char *pointer = loss_arena_alloc(arena, n, 1);
    if (pointer == NULL) {
        return NULL;
    }
    char *p = pointer + strlen(parent);
    memcpy(pointer, parent, strlen(parent));
    *p++ = '/';
    for (const char *k = key; *k != '\0'; k++) {
        if (*k == '~' || *k == '/') {
            *p++ = '~';
            *p++ = *k == '~' ? '0' : '1';
        } else {
            *p++ = *k;
        }
    }
    *p = '\0';
    return pointer;
}

/* The value that an integer of the envelope stands for, or NULL where `json` is something else. */
static const struct json_value *value_of(const struct json_scan *scan, const json_t *json)
{
    return json_is_integer(json) ? json_scan_value(scan, (size_t)json_integer_value(json)) : NULL;
}

static const char *kind_of(const struct json_scan *scan, const json_t *json)
{
    const struct json_value *value = value_of(scan, json);
    if (value != NULL) {
        return value->kind == JSON_NUMBER ? "a number" : value->kind == JSON_TENSOR ? "an array" : "base64";
    }
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return "null";
    }
}

static loss_status wrong_type(const struct json_scan *scan, const json_t *json, const char *wanted, const char *pointer,
                              struct loss_error *err)
{
    return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "must be %s, got %s", wanted, kind_of(scan, json));
}

static loss_status check_fault(const struct json_value *value, struct loss_error *err)
{
    return value->fault == LOSS_OK ? LOSS_OK
                                   : loss_fail(err, value->fault, value->fault_pointer, "%s", value->fault_message);
}

/* A string without a NUL in it, which no name or word of ours has. */
static loss_status take_word(const struct json_scan *scan, const json_t *json, const char *wanted, const char *pointer,
                             const char **out, struct loss_error *err)
{
    if (!json_is_string(json)) {
        return wrong_type(scan, json, wanted, pointer, err);
    }
    if (strlen(json_string_value(json)) != json_string_length(json)) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "must be %s, got a string with a NUL in it", wanted);
    }
    *out = json_string_value(json);
    return LOSS_OK;
}

/* The same for what becomes a name in a registry: there the NUL makes it a bad name. */
static loss_status take_name(const struct json_scan *scan, const json_t *json, const char *pointer, const char **out,
                             struct loss_error *err)
{
    if (json_is_string(json) && strlen(json_string_value(json)) != json_string_length(json)) {
        return loss_fail(err, LOSS_INVALID_NAME, pointer, "a name must not have a NUL in it");
    }
    return take_word(scan, json, "a string", pointer, out, err);
}

static loss_status take_bool(const struct json_scan *scan, const json_t *json, const char *pointer, bool *out,
                             struct loss_error *err)
{
    if (!json_is_boolean(json)) {
        return wrong_type(scan, json, "true or false", pointer, err);
    }
    *out = json_is_true(json);
    return LOSS_OK;
}

static loss_status take_number(const struct json_scan *scan, const json_t *json, const char *pointer, double *out,
                               struct loss_error *err)
{
    const struct json_value *value = value_of(scan, json);
    if (value == NULL || value->kind != JSON_NUMBER) {
        return wrong_type(scan, json, "a number", pointer, err);
    }
    LOSS_TRY(check_fault(value, err));
    *out = value->number;
    return LOSS_OK;
}

static bool is_whole_within_limit(const struct json_value *value)
{
    /* 2^53 + 1 is rounded to 2^53 when it is read: the limit is taken by its own text alone. */
    const char *digits = value->text[0] == '-' ? value->text + 1 : value->text;
    bool within = fabs(value->number) < MAX_WHOLE || strcmp(digits, MAX_WHOLE_TEXT) == 0;
    return within && value->number == floor(value->number);
}

static loss_status take_whole(const struct json_scan *scan, const json_t *json, const char *pointer, double *out,
                              struct loss_error *err)
{
    const struct json_value *value = value_of(scan, json);
    char buf[CALL_NUMBER];
    if (value == NULL || value->kind != JSON_NUMBER) {
        return wrong_type(scan, json, "a whole number", pointer, err);
    }
    LOSS_TRY(check_fault(value, err));
    if (!is_whole_within_limit(value)) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "must be a whole number of at most 2^53, got %s",
                         value->text[0] != '\0' ? value->text : call_number(value->number, buf));
    }
    *out = value->number;
    return LOSS_OK;
}

/* Values -> tensors */

/* A tensor of rank 0. `narrow` is the float nearest to the text, which is not always the float nearest to the double
 * nearest to the text. */
static loss_status scalar_tensor(struct reader *r, double number, float narrow, loss_dtype dtype, const char *pointer,
                                 struct loss_tensor *out, struct loss_error *err)
{
    if (dtype == LOSS_FLOAT32 && isinf(narrow) && !isinf(number)) {
        char buf[CALL_NUMBER];
        return loss_fail(err, LOSS_NUMBER_OUT_OF_RANGE, pointer, "%s is beyond the largest float32",
                         call_number(number, buf));
    }
    double *data = loss_arena_alloc(r->arena, sizeof *data, alignof(double));
    if (data == NULL) {
        return no_memory(err);
    }
    *out = (struct loss_tensor){.dtype = dtype, .count = 1, .data = data, .pointer = pointer};
    if (dtype == LOSS_FLOAT64) {
        *data = number;
    } else {
        memcpy(data, &narrow, sizeof narrow);
    }
    return LOSS_OK;
}

static loss_status scanned_tensor(struct reader *r, const json_t *json, bool whole, const char *pointer,
                                  struct loss_tensor *out, struct loss_error *err)
{
    size_t i = (size_t)json_integer_value(json);
    const struct json_value *value = json_scan_value(r->scan, i);
    LOSS_TRY(check_fault(value, err));
    loss_dtype dtype = whole ? LOSS_FLOAT64 : r->call->loss.dtype;
    if (value->kind == JSON_NUMBER) {
        return scalar_tensor(r, value->number, value->number_f32, dtype, pointer, out, err);
    }
    if (dtype == LOSS_FLOAT32 && value->tensor.dtype == LOSS_FLOAT64) {
        LOSS_TRY(json_value_narrow(r->scan, i, err));
    }
    *out = value->tensor;
    out->pointer = pointer;
    return LOSS_OK;
}

/* The members of {"shape", "data"} and {"dtype", "shape", "base64"}. */
struct tensor_object {
    const char *pointer;
    const json_t *dtype, *shape, *data, *base64;
};

static loss_status split_object(struct reader *r, const json_t *json, struct tensor_object *o, struct loss_error *err)
{
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)json, key, member)
    {
        const json_t **place = strcmp(key, "dtype") == 0    ? &o->dtype
                               : strcmp(key, "shape") == 0  ? &o->shape
                               : strcmp(key, "data") == 0   ? &o->data
                               : strcmp(key, "base64") == 0 ? &o->base64
                                                            : NULL;
        const char *pointer = pointer_to(r->arena, o->pointer, key);
        if (pointer == NULL) {
            return no_memory(err);
        }
        if (place == NULL) {
            char clip[CALL_CLIP];
            return loss_fail(err, LOSS_UNKNOWN_FIELD, pointer,
                             "a tensor has no member \"%s\"; it is a number, an array, {\"shape\", \"data\"} or "
                             "{\"dtype\", \"shape\", \"base64\"}",
                             call_clip(key, clip));
        }
        if (json_is_null(member)) {
            return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "null is not a value here");
        }
        *place = member;
    }
    return LOSS_OK;
}

static loss_status missing_member(struct reader *r, const struct tensor_object *o, const char *name, const char *why,
                                  struct loss_error *err)
{
    const char *pointer = pointer_to(r->arena, o->pointer, name);
    return pointer == NULL ? no_memory(err) : loss_fail(err, LOSS_MISSING_FIELD, pointer, "%s", why);
}

static loss_status check_object(struct reader *r, const struct tensor_object *o, struct loss_error *err)
{
    if (o->shape == NULL) {
        return missing_member(r, o, "shape", "a tensor written as an object needs its \"shape\"", err);
    }
    if (o->data == NULL && o->base64 == NULL) {
        return missing_member(r, o, "data", "a tensor written as an object needs its \"data\" or \"base64\"", err);
    }
    if (o->data != NULL && o->base64 != NULL) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, o->pointer, "give \"data\" or \"base64\", not both");
    }
    if (o->base64 != NULL && o->dtype == NULL) {
        return missing_member(r, o, "dtype", "\"base64\" needs a \"dtype\" to be read by", err);
    }
    return LOSS_OK;
}

static loss_status read_tensor_dtype(struct reader *r, const struct tensor_object *o, loss_dtype *out,
                                     struct loss_error *err)
{
    const char *pointer = pointer_to(r->arena, o->pointer, "dtype");
    if (pointer == NULL) {
        return no_memory(err);
    }
    const char *name = NULL;
    LOSS_TRY(take_word(r->scan, o->dtype, "a string", pointer, &name, err));
    if (!loss_dtype_parse(name, out)) {
        char clip[CALL_CLIP];
        return loss_fail(err, LOSS_UNSUPPORTED_DTYPE, pointer,
                         "there is no dtype \"%s\" here; there are float16, bfloat16, float32, float64, int8 to int64, "
                         "uint8 to uint64 and bool",
                         call_clip(name, clip));
    }
    return LOSS_OK;
}

/* Rows of an empty tensor: the dimensions before its first 0. */
static bool few_empty_rows(const struct loss_tensor *t)
{
    size_t rows = 1;
    for (int k = 0; k < t->rank && t->shape[k] != 0; k++) {
        if (t->shape[k] > MAX_EMPTY_ROWS / rows) {
            return false;
        }
        rows *= t->shape[k];
    }
    return true;
}

static loss_status read_shape(struct reader *r, const struct tensor_object *o, struct loss_tensor *out,
                              struct loss_error *err)
{
    const char *pointer = pointer_to(r->arena, o->pointer, "shape");
    if (pointer == NULL) {
        return no_memory(err);
    }
    const struct json_value *value = value_of(r->scan, o->shape);
    if (value == NULL || value->kind != JSON_TENSOR || (value->fault == LOSS_OK && value->tensor.rank != 1)) {
        return wrong_type(r->scan, o->shape, "a list of whole numbers", pointer, err);
    }
    LOSS_TRY(check_fault(value, err));
    if (value->tensor.count > LOSS_MAX_RANK) {
        return loss_fail(err, LOSS_SHAPE_MISMATCH, pointer, "a tensor has a rank of at most %d, this one has %zu",
                         LOSS_MAX_RANK, value->tensor.count);
    }
    out->rank = (int)value->tensor.count;
    for (int k = 0; k < out->rank; k++) {
        double size = loss_tensor_at(&value->tensor, (size_t)k);
        if (!(size >= 0 && size <= MAX_WHOLE) || size != floor(size)) {
            char at[sizeof err->pointer];
            char buf[CALL_NUMBER];
            snprintf(at, sizeof at, "%s/%d", pointer, k);
            return loss_fail(err, LOSS_INVALID_PARAMETER, at, "a dimension is a whole number from 0, got %s",
                             call_number(size, buf));
        }
        out->shape[k] = (size_t)size;
    }
    if (!loss_shape_count(out->rank, out->shape, &out->count) || (out->count == 0 && !few_empty_rows(out))) {
        return loss_fail(err, LOSS_SHAPE_MISMATCH, pointer, "no tensor is that large");
    }
    return LOSS_OK;
}

static loss_status read_data(struct reader *r, const struct tensor_object *o, bool whole, struct loss_tensor *out,
                             struct loss_error *err)
{
    const char *pointer = pointer_to(r->arena, o->pointer, "data");
    if (pointer == NULL) {
        return no_memory(err);
    }
    const struct json_value *value = value_of(r->scan, o->data);
    if (value == NULL || value->kind != JSON_TENSOR) {
        return wrong_type(r->scan, o->data, "a flat list of numbers", pointer, err);
    }
    LOSS_TRY(check_fault(value, err));
    if (value->tensor.rank != 1) {
        return loss_fail(err, LOSS_SHAPE_MISMATCH, pointer,
                         "\"data\" is one flat list of numbers beside its \"shape\"; this one is nested");
    }
    if (value->tensor.count != out->count) {
        return loss_fail(err, LOSS_SHAPE_MISMATCH, pointer, "the shape needs %zu numbers, \"data\" has %zu", out->count,
                         value->tensor.count);
    }
    loss_dtype dtype = whole ? LOSS_FLOAT64 : r->call->loss.dtype;
    loss_dtype own = dtype;
    if (o->dtype != NULL) {
        LOSS_TRY(read_tensor_dtype(r, o, &own, err));
    }
    bool narrow = own == LOSS_FLOAT32 || (own == LOSS_FLOAT64 && dtype == LOSS_FLOAT32);
    if (narrow && value->tensor.dtype == LOSS_FLOAT64) {
        LOSS_TRY(json_value_narrow(r->scan, (size_t)json_integer_value(o->data), err));
    }
    out->dtype = value->tensor.dtype;
    out->data = value->tensor.data;
    out->layout = LOSS_FLAT;
    return own == LOSS_FLOAT32 || own == LOSS_FLOAT64 ? LOSS_OK : tensor_round(out, own, err);
}

static loss_status read_base64(struct reader *r, const struct tensor_object *o, struct loss_tensor *out,
                               struct loss_error *err)
{
    /* The bytes are taken as they are: little-endian, as everything we run on. */
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "base64 tensors need swapping here");
    static double nothing;
    const struct json_value *value = value_of(r->scan, o->base64);
    if (value == NULL || value->kind != JSON_BYTES) {
        const char *pointer = pointer_to(r->arena, o->pointer, "base64");
        return pointer == NULL ? no_memory(err) : wrong_type(r->scan, o->base64, "a string", pointer, err);
    }
    LOSS_TRY(read_tensor_dtype(r, o, &out->dtype, err));
    LOSS_TRY(check_fault(value, err));
    size_t size = loss_dtype_size(out->dtype);
    if (value->n_bytes % size != 0 || value->n_bytes / size != out->count) {
        return loss_fail(err, LOSS_SHAPE_MISMATCH, o->pointer,
                         "the shape needs %zu numbers of %zu bytes, \"base64\" has %zu bytes", out->count, size,
                         value->n_bytes);
    }
    for (size_t i = 0; out->dtype == LOSS_BOOL && i < out->count; i++) {
        if (value->bytes[i] > 1) {
            return loss_fail(err, LOSS_INVALID_PARAMETER, o->pointer,
                             "element %zu is no bool: it must be 0 or 1, got %u", i, (unsigned)value->bytes[i]);
        }
    }
    out->data = value->n_bytes == 0 ? (void *)&nothing : value->bytes;
    out->layout = LOSS_OPAQUE;
    return LOSS_OK;
}

static loss_status object_tensor(struct reader *r, const json_t *json, bool whole, const char *pointer,
                                 struct loss_tensor *out, struct loss_error *err)
{
    struct tensor_object o = {.pointer = pointer};
    struct loss_tensor t = {.pointer = pointer};
    LOSS_TRY(split_object(r, json, &o, err));
    LOSS_TRY(check_object(r, &o, err));
    LOSS_TRY(read_shape(r, &o, &t, err));
    LOSS_TRY(o.base64 != NULL ? read_base64(r, &o, &t, err) : read_data(r, &o, whole, &t, err));
    *out = t;
    return LOSS_OK;
}

/* The first thing in an array, or in the arrays within it, that is no number. */
static loss_status not_numbers(struct reader *r, const json_t *array, const char *pointer, struct loss_error *err)
{
    size_t i = 0;
    while (i + 1 < json_array_size(array) &&
           (value_of(r->scan, json_array_get(array, i)) != NULL || json_is_boolean(json_array_get(array, i)))) {
        i++;
    }
    const json_t *culprit = json_array_get(array, i);
    char at[sizeof err->pointer];
    snprintf(at, sizeof at, "%s/%zu", pointer, i);
    return json_is_array(culprit) ? not_numbers(r, culprit, at, err)
                                  : wrong_type(r->scan, culprit, "a number", at, err);
}

/* Any form of a tensor. `whole`: its numbers are kept as float64 whatever the call's dtype is. */
static loss_status read_tensor(struct reader *r, const json_t *json, bool whole, const char *pointer,
                               struct loss_tensor *out, struct loss_error *err)
{
    const struct json_value *value = value_of(r->scan, json);
    if (value != NULL && value->kind != JSON_BYTES) {
        return scanned_tensor(r, json, whole, pointer, out, err);
    }
    if (json_is_boolean(json)) {
        double truth = json_is_true(json);
        return scalar_tensor(r, truth, (float)truth, whole ? LOSS_FLOAT64 : r->call->loss.dtype, pointer, out, err);
    }
    if (json_is_object(json)) {
        return object_tensor(r, json, whole, pointer, out, err);
    }
    if (json_is_array(json)) {
        return not_numbers(r, json, pointer, err);
    }
    return wrong_type(r->scan, json,
                      "a tensor: a number, an array of numbers, {\"shape\", \"data\"} or {\"dtype\", \"shape\", "
                      "\"base64\"}",
                      pointer, err);
}

/* Fields */

static loss_status read_axes(struct reader *r, int i, const json_t *json, const char *pointer, struct loss_error *err)
{
    const struct json_value *value = value_of(r->scan, json);
    double numbers[LOSS_MAX_RANK] = {0};
    int axes[LOSS_MAX_RANK];
    int n = 1;
    if (value != NULL && value->kind == JSON_TENSOR) {
        LOSS_TRY(check_fault(value, err));
        if (value->tensor.rank != 1 || value->tensor.count > LOSS_MAX_RANK) {
            return wrong_type(r->scan, json, "an axis or a list of at most 8 axes", pointer, err);
        }
        n = (int)value->tensor.count;
        for (int k = 0; k < n; k++) {
            numbers[k] = loss_tensor_at(&value->tensor, (size_t)k);
        }
    } else {
        LOSS_TRY(take_number(r->scan, json, pointer, &numbers[0], err));
    }
    for (int k = 0; k < n; k++) {
        if (!(fabs(numbers[k]) <= LOSS_MAX_RANK) || numbers[k] != floor(numbers[k])) {
            char buf[CALL_NUMBER];
            return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "an axis is a whole number from -8 to 7, got %s",
                             call_number(numbers[k], buf));
        }
        axes[k] = (int)numbers[k];
    }
    return loss_call_set_axes(&r->call->loss, i, axes, n, pointer, err);
}

static loss_status read_vector(struct reader *r, int i, const json_t *json, const char *pointer, struct loss_error *err)
{
    struct loss_tensor vector = {0};
    LOSS_TRY(read_tensor(r, json, false, pointer, &vector, err));
    return loss_call_set_vector(&r->call->loss, i, &vector, err);
}

static loss_status read_param(struct reader *r, int i, const json_t *json, const char *pointer, struct loss_error *err)
{
    struct loss_call *call = &r->call->loss;
    const struct json_value *value = value_of(r->scan, json);
    double number = 0;
    bool flag = false;
    const char *text = NULL;
    if ((r->params_seen & (1u << i)) != 0) {
        return loss_fail(err, LOSS_DUPLICATE_FIELD, pointer, "%s was given twice, under two names",
                         r->desc->params[i].name);
    }
    r->params_seen |= 1u << i;
    switch (r->desc->params[i].type) {
    case LOSS_WORD:
        LOSS_TRY(take_word(r->scan, json, "a string", pointer, &text, err));
        return loss_call_set_word(call, i, text, pointer, err);
    case LOSS_BOOLEAN:
        LOSS_TRY(take_bool(r->scan, json, pointer, &flag, err));
        return loss_call_set_boolean(call, i, flag, pointer, err);
    case LOSS_VECTOR:
        return read_vector(r, i, json, pointer, err);
    case LOSS_AXES:
        return read_axes(r, i, json, pointer, err);
    case LOSS_NUMBER_OR_VECTOR:
        if (value == NULL || value->kind != JSON_NUMBER) {
            return read_vector(r, i, json, pointer, err);
        }
        break;
    case LOSS_NUMBER:
    case LOSS_INTEGER:
    case LOSS_AXIS:
        break;
    }
    LOSS_TRY(take_number(r->scan, json, pointer, &number, err));
    return loss_call_set_number(call, i, number, pointer, err);
}

static loss_status read_input(struct reader *r, int i, const json_t *json, const char *pointer, struct loss_error *err)
{
    struct loss_tensor *input = &r->call->loss.input[i];
    if (input->data != NULL) {
        return loss_fail(err, LOSS_DUPLICATE_FIELD, pointer, "%s was given twice, under two names",
                         r->desc->inputs[i].name);
    }
    return read_tensor(r, json, is_whole(&r->desc->inputs[i]), pointer, input, err);
}

/* One reader for each of call_fields; CALL_FIELD_MAP makes the table of them. */

static loss_status read_weights(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return read_tensor(r, json, false, pointer, &r->call->loss.weights, err);
}

static loss_status read_reduction(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    const char *text = NULL;
    LOSS_TRY(take_word(r->scan, json, "a string", pointer, &text, err));
    return call_set_reduction(r->call, text, pointer, err);
}

static loss_status read_gradients(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    (void)pointer;
    (void)err;
    r->gradients = json;
    return LOSS_OK;
}

static loss_status read_losses(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return take_bool(r->scan, json, pointer, &r->call->loss.want_losses, err);
}

static loss_status read_dtype(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    /* It decides how tensors are read, so dtype_of took it before all others; here it is only checked. */
    const char *text = NULL;
    loss_dtype dtype;
    LOSS_TRY(take_word(r->scan, json, "\"float32\" or \"float64\"", pointer, &text, err));
    return call_parse_dtype(text, pointer, &dtype, err);
}

static loss_status read_weights_mask(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return take_bool(r->scan, json, pointer, &r->call->loss.weights_mask, err);
}

static loss_status read_registry(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return take_name(r->scan, json, pointer, &r->call->registry, err);
}

static loss_status read_name(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return take_name(r->scan, json, pointer, &r->call->name, err);
}

static loss_status read_collection(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return take_name(r->scan, json, pointer, &r->call->collection, err);
}

static loss_status read_step(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    double step = 0;
    LOSS_TRY(take_whole(r->scan, json, pointer, &step, err));
    if (step < 0) {
        char buf[CALL_NUMBER];
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "a step is a whole number from 0 to 2^53, got %s",
                         call_number(step, buf));
    }
    r->call->step = (int64_t)step;
    return LOSS_OK;
}

static loss_status read_accumulate(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return take_bool(r->scan, json, pointer, &r->call->accumulate, err);
}

typedef loss_status field_reader(struct reader *r, const json_t *json, const char *pointer, struct loss_error *err);

static const struct {
    const char *name;
    field_reader *read;
} fields[] = {
#define FIELD_READER(name) {#name, read_##name},
    CALL_FIELD_MAP(FIELD_READER)
#undef FIELD_READER
};

static field_reader *find_field(const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return fields[i].read;
        }
    }
    return NULL;
}

static loss_status read_member(struct reader *r, const char *key, const json_t *json, struct loss_error *err)
{
    const char *pointer = pointer_to(r->arena, "", key);
    if (pointer == NULL) {
        return no_memory(err);
    }
    int input = loss_desc_input(r->desc, key);
    int param = loss_desc_param(r->desc, key);
    field_reader *field = find_field(key);
    if (input < 0 && param < 0 && field == NULL) {
        return call_unknown_field(r->desc, key, pointer, err);
    }
    if (json_is_null(json)) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "null is not a value; leave the field out instead");
    }
    if (input >= 0) {
        return read_input(r, input, json, pointer, err);
    }
    return param >= 0 ? read_param(r, param, json, pointer, err) : field(r, json, pointer, err);
}

static loss_status apply_gradients(struct reader *r, struct loss_error *err)
{
    const json_t *json = r->gradients;
    const struct json_value *value = json == NULL ? NULL : value_of(r->scan, json);
    if (json == NULL || json_is_false(json)) {
        return LOSS_OK;
    }
    if (json_is_true(json)) {
        call_want_gradients(r->call);
        return LOSS_OK;
    }
    if (value != NULL && value->kind == JSON_TENSOR && value->fault == LOSS_OK && value->tensor.rank == 1 &&
        value->tensor.count == 0) {
        return LOSS_OK; /* []: an empty list of names */
    }
    if (!json_is_array(json)) {
        return wrong_type(r->scan, json, "true, false or a list of names of inputs", "/gradients", err);
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        char pointer[64];
        const char *name = NULL;
        snprintf(pointer, sizeof pointer, "/gradients/%zu", i);
        LOSS_TRY(take_word(r->scan, json_array_get(json, i), "the name of an input", pointer, &name, err));
        LOSS_TRY(call_want_gradient(r->call, name, pointer, err));
    }
    return LOSS_OK;
}

/* What tensors are read as. A bad dtype is left to its reader. */
static loss_dtype dtype_of(const struct json_decoder *d, const json_t *root)
{
    const char *name = json_string_value(json_object_get(root, "dtype"));
    loss_dtype dtype;
    if (d->options.has_dtype) {
        return d->options.dtype;
    }
    return name != NULL && loss_dtype_parse(name, &dtype) && dtype == LOSS_FLOAT64 ? LOSS_FLOAT64 : LOSS_FLOAT32;
}

loss_status json_decoder_end(struct json_decoder *d, struct call *out, struct loss_error *err)
{
    json_t *root = NULL;
    LOSS_TRY(json_scan_end(d->scan, err));
    LOSS_TRY(read_envelope(d->arena, d->scan, &root, err));

    struct call call;
    call_init(&call, d->options.desc, d->options.alias);
    call.loss.dtype = dtype_of(d, root);
    struct reader r = {.arena = d->arena, .scan = d->scan, .desc = d->options.desc, .call = &call};
    const char *key;
    json_t *member;
    json_object_foreach(root, key, member)
    {
        LOSS_TRY(read_member(&r, key, member, err));
    }
    LOSS_TRY(apply_gradients(&r, err));
    LOSS_TRY(call_check(&call, err));
    *out = call;
    return LOSS_OK;
}

/* Small documents */

static loss_status scan_whole(struct loss_arena *arena, const char *body, size_t size, struct json_scan **out,
                              struct loss_error *err)
{
    struct json_scan *scan =
        json_scan_new(arena, &(struct json_scan_options){.max_depth = SMALL_DEPTH, .max_envelope = MAX_ENVELOPE});
    if (scan == NULL) {
        return no_memory(err);
    }
    LOSS_TRY(json_scan_feed(scan, body, size, err));
    LOSS_TRY(json_scan_end(scan, err));
    *out = scan;
    return LOSS_OK;
}

static struct json_member *find_member(struct json_member *members, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(members[i].name, name) == 0) {
            return &members[i];
        }
    }
    return NULL;
}

static loss_status unknown_member(const struct json_member *members, size_t n, const char *key, const char *pointer,
                                  struct loss_error *err)
{
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < n && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", members[i].name);
    }
    char clip[CALL_CLIP];
    return loss_fail(err, LOSS_UNKNOWN_FIELD, pointer, "there is no field \"%s\" here; there are %s",
                     call_clip(key, clip), list);
}

static loss_status read_small_member(struct json_scan *scan, const json_t *json, const char *pointer,
                                     struct json_member *member, struct loss_error *err)
{
    if (json_is_null(json)) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "null is not a value; leave the field out instead");
    }
    member->given = true;
    switch (member->type) {
    case JSON_MEMBER_STRING:
        return take_name(scan, json, pointer, &member->string, err);
    case JSON_MEMBER_NUMBER:
        return take_number(scan, json, pointer, &member->number, err);
    case JSON_MEMBER_WHOLE:
        break;
    }
    return take_whole(scan, json, pointer, &member->number, err);
}

loss_status json_read_members(struct loss_arena *arena, const char *body, size_t size, struct json_member *members,
                              size_t n, struct loss_error *err)
{
    struct json_scan *scan = NULL;
    json_t *root = NULL;
    LOSS_TRY(scan_whole(arena, body, size, &scan, err));
    LOSS_TRY(read_envelope(arena, scan, &root, err));
    const char *key;
    json_t *json;
    json_object_foreach(root, key, json)
    {
        const char *pointer = pointer_to(arena, "", key);
        if (pointer == NULL) {
            return no_memory(err);
        }
        struct json_member *member = find_member(members, n, key);
        if (member == NULL) {
            return unknown_member(members, n, key, pointer, err);
        }
        LOSS_TRY(read_small_member(scan, json, pointer, member, err));
    }
    for (size_t i = 0; i < n; i++) {
        if (members[i].required && !members[i].given) {
            const char *pointer = pointer_to(arena, "", members[i].name);
            return pointer == NULL
                       ? no_memory(err)
                       : loss_fail(err, LOSS_MISSING_FIELD, pointer, "the field \"%s\" is missing", members[i].name);
        }
    }
    return LOSS_OK;
}
