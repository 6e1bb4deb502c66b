/* SPDX-License-Identifier: Apache-2.0
 *
 * json_envelope.c - from the envelope's values to words, numbers and tensors, and what is wrong with those that are none.
 */
#include <server/formats/json_envelope.h>

#include <assert.h>
#include <math.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include <server/formats/tensor_round.h>

/* An empty tensor needs no data for its shape, and its answer has a "[]" for each row: a few bytes must not ask for
 * an endless answer. */
#define MAX_EMPTY_ROWS ((size_t)1 << 20)

#define MAX_WHOLE 9007199254740992.0 /* 2^53 */
#define MAX_WHOLE_TEXT "9007199254740992"

const char *envelope_pointer(struct loss_arena *arena, const char *parent, const char *key)
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

const struct json_value *envelope_value(const struct json_scan *scan, const json_t *json)
{
    return json_is_integer(json) ? json_scan_value(scan, (size_t)json_integer_value(json)) : NULL;
}

static const char *kind_of(const struct json_scan *scan, const json_t *json)
{
    const struct json_value *value = envelope_value(scan, json);
    if (value != NULL) {
        return value->kind == JSON_NUMBER ? "a number" : value->kind == JSON_TENSOR ? "an array" : "base64";
    }
    assert(json != NULL);
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

loss_status envelope_wrong_type(const struct json_scan *scan, const json_t *json, const char *wanted,
                                const char *pointer, struct loss_error *err)
{
    return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "must be %s, got %s", wanted, kind_of(scan, json));
}

loss_status envelope_check(const struct json_value *value, struct loss_error *err)
{
    return value->fault == LOSS_OK ? LOSS_OK
                                   : loss_fail(err, value->fault, value->fault_pointer, "%s", value->fault_message);
}

loss_status envelope_word(const struct json_scan *scan, const json_t *json, const char *wanted, const char *pointer,
                          const char **out, struct loss_error *err)
{
    if (!json_is_string(json)) {
        return envelope_wrong_type(scan, json, wanted, pointer, err);
    }
    if (strlen(json_string_value(json)) != json_string_length(json)) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "must be %s, got a string with a NUL in it", wanted);
    }
    *out = json_string_value(json);
    return LOSS_OK;
}

loss_status envelope_name(const struct json_scan *scan, const json_t *json, const char *pointer, const char **out,
                          struct loss_error *err)
{
    if (json_is_string(json) && strlen(json_string_value(json)) != json_string_length(json)) {
        return loss_fail(err, LOSS_INVALID_NAME, pointer, "a name must not have a NUL in it");
    }
    return envelope_word(scan, json, "a string", pointer, out, err);
}

loss_status envelope_bool(const struct json_scan *scan, const json_t *json, const char *pointer, bool *out,
                          struct loss_error *err)
{
    if (!json_is_boolean(json)) {
        return envelope_wrong_type(scan, json, "true or false", pointer, err);
    }
    *out = json_is_true(json);
    return LOSS_OK;
}

loss_status envelope_number(const struct json_scan *scan, const json_t *json, const char *pointer, double *out,
                            struct loss_error *err)
{
    const struct json_value *value = envelope_value(scan, json);
    if (value == NULL || value->kind != JSON_NUMBER) {
        return envelope_wrong_type(scan, json, "a number", pointer, err);
    }
    LOSS_TRY(envelope_check(value, err));
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

loss_status envelope_whole(const struct json_scan *scan, const json_t *json, const char *pointer, double *out,
                           struct loss_error *err)
{
    const struct json_value *value = envelope_value(scan, json);
    char buf[CALL_NUMBER];
    if (value == NULL || value->kind != JSON_NUMBER) {
        return envelope_wrong_type(scan, json, "a whole number", pointer, err);
    }
    LOSS_TRY(envelope_check(value, err));
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
static loss_status scalar_tensor(struct envelope *r, double number, float narrow, loss_dtype dtype, const char *pointer,
                                 struct loss_tensor *out, struct loss_error *err)
{
    if (dtype == LOSS_FLOAT32 && isinf(narrow) && !isinf(number)) {
        char buf[CALL_NUMBER];
        return loss_fail(err, LOSS_NUMBER_OUT_OF_RANGE, pointer, "%s is beyond the largest float32",
                         call_number(number, buf));
    }
    double *data = loss_arena_alloc(r->arena, sizeof *data, alignof(double));
    if (data == NULL) {
        return loss_no_memory(err, "this request");
    }
    *out = (struct loss_tensor){.dtype = dtype, .count = 1, .data = data, .pointer = pointer};
    if (dtype == LOSS_FLOAT64) {
        *data = number;
    } else {
        memcpy(data, &narrow, sizeof narrow);
    }
    return LOSS_OK;
}

static loss_status scanned_tensor(struct envelope *r, const json_t *json, bool whole, const char *pointer,
                                  struct loss_tensor *out, struct loss_error *err)
{
    size_t i = (size_t)json_integer_value(json);
    const struct json_value *value = json_scan_value(r->scan, i);
    LOSS_TRY(envelope_check(value, err));
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

static loss_status split_object(struct envelope *r, const json_t *json, struct tensor_object *o, struct loss_error *err)
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
        const char *pointer = envelope_pointer(r->arena, o->pointer, key);
        if (pointer == NULL) {
            return loss_no_memory(err, "this request");
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

static loss_status missing_member(struct envelope *r, const struct tensor_object *o, const char *name, const char *why,
                                  struct loss_error *err)
{
    const char *pointer = envelope_pointer(r->arena, o->pointer, name);
    return pointer == NULL ? loss_no_memory(err, "this request")
                           : loss_fail(err, LOSS_MISSING_FIELD, pointer, "%s", why);
}

static loss_status check_object(struct envelope *r, const struct tensor_object *o, struct loss_error *err)
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

static loss_status read_tensor_dtype(struct envelope *r, const struct tensor_object *o, loss_dtype *out,
                                     struct loss_error *err)
{
    const char *pointer = envelope_pointer(r->arena, o->pointer, "dtype");
    if (pointer == NULL) {
        return loss_no_memory(err, "this request");
    }
    const char *name = NULL;
    LOSS_TRY(envelope_word(r->scan, o->dtype, "a string", pointer, &name, err));
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

loss_status envelope_shape(const struct json_scan *scan, const json_t *json, const char *pointer,
                           struct loss_tensor *out, struct loss_error *err)
{
    const struct json_value *value = envelope_value(scan, json);
    if (value == NULL || value->kind != JSON_TENSOR || (value->fault == LOSS_OK && value->tensor.rank != 1)) {
        return envelope_wrong_type(scan, json, "a list of whole numbers", pointer, err);
    }
    LOSS_TRY(envelope_check(value, err));
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

static loss_status read_shape(struct envelope *r, const struct tensor_object *o, struct loss_tensor *out,
                              struct loss_error *err)
{
    const char *pointer = envelope_pointer(r->arena, o->pointer, "shape");
    return pointer == NULL ? loss_no_memory(err, "this request") : envelope_shape(r->scan, o->shape, pointer, out, err);
}

static loss_status read_data(struct envelope *r, const struct tensor_object *o, bool whole, struct loss_tensor *out,
                             struct loss_error *err)
{
    const char *pointer = envelope_pointer(r->arena, o->pointer, "data");
    if (pointer == NULL) {
        return loss_no_memory(err, "this request");
    }
    const struct json_value *value = envelope_value(r->scan, o->data);
    if (value == NULL || value->kind != JSON_TENSOR) {
        return envelope_wrong_type(r->scan, o->data, "a flat list of numbers", pointer, err);
    }
    LOSS_TRY(envelope_check(value, err));
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
    if (own == LOSS_FLOAT32 || own == LOSS_FLOAT64) {
        return LOSS_OK;
    }
    json_value_lean(r->scan, (size_t)json_integer_value(o->data));
    return tensor_round(out, own, err);
}

static loss_status read_base64(struct envelope *r, const struct tensor_object *o, struct loss_tensor *out,
                               struct loss_error *err)
{
    /* The bytes are taken as they are: little-endian, as everything we run on. */
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "base64 tensors need swapping here");
    static double nothing;
    const struct json_value *value = envelope_value(r->scan, o->base64);
    if (value == NULL || value->kind != JSON_BYTES) {
        const char *pointer = envelope_pointer(r->arena, o->pointer, "base64");
        return pointer == NULL ? loss_no_memory(err, "this request")
                               : envelope_wrong_type(r->scan, o->base64, "a string", pointer, err);
    }
    LOSS_TRY(read_tensor_dtype(r, o, &out->dtype, err));
    LOSS_TRY(envelope_check(value, err));
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

static loss_status object_tensor(struct envelope *r, const json_t *json, bool whole, const char *pointer,
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
static loss_status not_numbers(struct envelope *r, const json_t *array, const char *pointer, struct loss_error *err)
{
    size_t i = 0;
    while (i + 1 < json_array_size(array) &&
           (envelope_value(r->scan, json_array_get(array, i)) != NULL || json_is_boolean(json_array_get(array, i)))) {
        i++;
    }
    const json_t *culprit = json_array_get(array, i);
    char at[sizeof err->pointer];
    snprintf(at, sizeof at, "%s/%zu", pointer, i);
    return json_is_array(culprit) ? not_numbers(r, culprit, at, err)
                                  : envelope_wrong_type(r->scan, culprit, "a number", at, err);
}

/* The numbers of a tensor in memory of their own: the scanner's are narrowed in place. */
static loss_status keep_wide(struct envelope *r, struct envelope_shared *s, const char *pointer, struct loss_error *err)
{
    if (s->has_wide) {
        return LOSS_OK;
    }
    LOSS_TRY(envelope_tensor(r, s->json, true, pointer, &s->wide, err));
    if (s->wide.layout != LOSS_OPAQUE && s->wide.dtype == LOSS_FLOAT64) {
        const size_t size = s->wide.count * sizeof(double);
        double *copy = loss_arena_alloc(r->arena, size, alignof(double));
        if (copy == NULL) {
            return loss_no_memory(err, "this request");
        }
        s->wide.data = memcpy(copy, s->wide.data, size);
    }
    s->has_wide = true;
    return LOSS_OK;
}

/* {"ref": "y"} */
static loss_status referred_tensor(struct envelope *r, const json_t *json, bool whole, const char *pointer,
                                   struct loss_tensor *out, struct loss_error *err)
{
    const char *name = "";
    char clip[CALL_CLIP];
    size_t i = 0;
    LOSS_TRY(envelope_word(r->scan, json_object_get(json, "ref"), "the name of a tensor", pointer, &name, err));
    while (i < r->refs->n && strcmp(r->refs->list[i].name, name) != 0) {
        i++;
    }
    if (i == r->refs->n) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "there is no tensor \"%s\" to refer to",
                         call_clip(name, clip));
    }
    struct envelope_shared *s = &r->refs->list[i];
    struct envelope_refs *refs = r->refs;
    const char *place = envelope_pointer(r->arena, "/tensors", name);
    if (place == NULL) {
        return loss_no_memory(err, "this request");
    }
    r->refs = NULL; /* a shared tensor is no reference */
    loss_status status = keep_wide(r, s, place, err);
    bool narrow = status == LOSS_OK && !whole && r->call->loss.dtype == LOSS_FLOAT32 && s->json != NULL;
    if (narrow && !s->has_narrow) {
        status = envelope_tensor(r, s->json, false, place, &s->narrow, err);
        s->has_narrow = status == LOSS_OK;
    }
    r->refs = refs;
    LOSS_TRY(status);
    *out = narrow ? s->narrow : s->wide;
    out->pointer = pointer;
    out->layout = LOSS_OPAQUE; /* an element has no place of its own there */
    return LOSS_OK;
}

loss_status envelope_tensor(struct envelope *r, const json_t *json, bool whole, const char *pointer,
                            struct loss_tensor *out, struct loss_error *err)
{
    const struct json_value *value = envelope_value(r->scan, json);
    if (value != NULL && value->kind != JSON_BYTES) {
        return scanned_tensor(r, json, whole, pointer, out, err);
    }
    if (json_is_boolean(json)) {
        double truth = json_is_true(json);
        return scalar_tensor(r, truth, (float)truth, whole ? LOSS_FLOAT64 : r->call->loss.dtype, pointer, out, err);
    }
    if (r->refs != NULL && json_object_size(json) == 1 && json_object_get(json, "ref") != NULL) {
        return referred_tensor(r, json, whole, pointer, out, err);
    }
    if (json_is_object(json)) {
        return object_tensor(r, json, whole, pointer, out, err);
    }
    if (json_is_array(json)) {
        return not_numbers(r, json, pointer, err);
    }
    return envelope_wrong_type(
        r->scan, json,
        "a tensor: a number, an array of numbers, {\"shape\", \"data\"} or {\"dtype\", \"shape\", "
        "\"base64\"}",
        pointer, err);
}
