/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_json_scan.c - any bytes as a document: cut anyhow, it comes out the same, and as jansson sees it.
 *
 * The first two bytes seed the cuts and say whether the scan is strict. Where the two parsers differ on purpose
 * nothing is compared: NaN and the infinities (compared is a strict scan), numbers beyond double, NUL in names, depth.
 * Jansson 2.14 also loses a NUL byte behind a number or word; no document may hold one.
 */
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <text/json_scan.h>

#include "fuzz/replay.h"

#define DEPTH 64

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

/* ---- scanning ---- */

struct scanned {
    struct loss_arena *arena;
    struct json_scan *scan;
    loss_status status;
    struct loss_error err;
};

static loss_dtype as_float32(void *arg, const char *pointer)
{
    require(*pointer == '\0' || *pointer == '/', "a pointer begins with a slash");
    return *(const bool *)arg ? LOSS_FLOAT32 : LOSS_FLOAT64;
}

static void read_word(void *arg, const char *pointer, const char *word)
{
    (void)arg;
    /* none where the name is longer than a pointer may be */
    require((*pointer == '\0' || *pointer == '/') && strlen(word) < SIZE_MAX, "a pointer begins with a slash");
}

/* Pieces of 1 to 16 bytes by the seed, or of any size where it is 0. */
static size_t piece_size(uint32_t *seed, size_t left)
{
    if (*seed == 0) {
        return left;
    }
    *seed = *seed * 1664525u + 1013904223u;
    const size_t size = 1 + (*seed >> 28);
    *seed |= 1;
    return size < left ? size : left;
}

static struct scanned scan(const char *text, size_t n, uint32_t seed, bool strict, bool single)
{
    const struct json_scan_options options = {.max_depth = DEPTH,
                                              .max_envelope = (size_t)1 << 20,
                                              .size = seed, /* whatever it is, only memory goes by it */
                                              .strict = strict,
                                              .storage = as_float32,
                                              .word = read_word,
                                              .arg = &single};
    struct scanned r = {.arena = loss_arena_new((size_t)256 << 20, NULL)};
    r.scan = r.arena != NULL ? json_scan_new(r.arena, &options) : NULL;
    require(r.scan != NULL, "no memory");
    for (size_t at = 0, size; at < n && r.status == LOSS_OK; at += size) {
        size = piece_size(&seed, n - at);
        char *piece = malloc(size); /* a block of its own: a sanitizer shall see the first read too many */
        require(piece != NULL, "no memory");
        memcpy(piece, text + at, size);
        r.status = json_scan_feed(r.scan, piece, size, &r.err);
        free(piece);
    }
    if (r.status == LOSS_OK) {
        r.status = json_scan_end(r.scan, &r.err);
    }
    require(r.status == r.err.status, "the error's status is the call's");
    return r;
}

static bool same_tensor(const struct loss_tensor *t, const struct loss_tensor *u)
{
    return t->dtype == u->dtype && t->rank == u->rank && t->count == u->count &&
           memcmp(t->shape, u->shape, sizeof t->shape) == 0 &&
           memcmp(t->data, u->data, t->count * loss_dtype_size(t->dtype)) == 0;
}

static bool same_value(const struct json_value *v, const struct json_value *w)
{
    if (v->kind != w->kind || v->fault != w->fault || strcmp(v->pointer, w->pointer) != 0 ||
        strcmp(v->text, w->text) != 0) {
        return false;
    }
    if (v->fault != LOSS_OK) {
        return strcmp(v->fault_pointer, w->fault_pointer) == 0 && strcmp(v->fault_message, w->fault_message) == 0;
    }
    switch (v->kind) {
    case JSON_NUMBER:
        return memcmp(&v->number, &w->number, sizeof v->number) == 0;
    case JSON_TENSOR:
        return same_tensor(&v->tensor, &w->tensor);
    case JSON_BYTES:
        return v->n_bytes == w->n_bytes && memcmp(v->bytes, w->bytes, v->n_bytes) == 0;
    }
    return false;
}

static void compare_scans(const struct scanned *a, const struct scanned *b)
{
    require(a->status == b->status && strcmp(a->err.message, b->err.message) == 0, "cuts change the outcome");
    if (a->status != LOSS_OK) {
        return;
    }
    size_t n, m;
    const char *envelope = json_scan_envelope(a->scan, &n), *other = json_scan_envelope(b->scan, &m);
    require(n == m && memcmp(envelope, other, n) == 0, "cuts change the envelope");
    require(json_scan_count(a->scan) == json_scan_count(b->scan), "cuts change the number of values");
    for (size_t i = 0; i < json_scan_count(a->scan); i++) {
        require(same_value(json_scan_value(a->scan, i), json_scan_value(b->scan, i)), "cuts change a value");
    }
    char pointer[64];
    for (size_t i = 0; i <= n; i += 1 + n / 16) {
        json_scan_pointer_at(a->scan, i, pointer, sizeof pointer);
        require(pointer[0] == '\0' || pointer[0] == '/', "a pointer begins with a slash");
    }
}

/* A float64 tensor narrowed is the tensor read as float32. `wide` is spoilt. */
static void compare_roundings(struct scanned *wide, const struct scanned *single)
{
    require(wide->status == single->status, "the type changes the grammar");
    for (size_t i = 0; wide->status == LOSS_OK && i < json_scan_count(wide->scan); i++) {
        const struct json_value *v = json_scan_value(wide->scan, i), *w = json_scan_value(single->scan, i);
        if (v->kind == JSON_TENSOR && v->fault == LOSS_OK) {
            const loss_status status = json_value_narrow(wide->scan, i, NULL);
            require(status != LOSS_OK || w->fault == LOSS_OK, "narrowing passes what float32 refuses");
            require(status == LOSS_OK || w->fault == LOSS_NUMBER_OUT_OF_RANGE, "narrowing refuses what float32 passes");
            require(status != LOSS_OK || same_tensor(&v->tensor, &w->tensor), "narrowing is not reading");
        }
    }
}

/* ---- jansson ---- */

struct shape {
    int rank;
    size_t size[DEPTH + 1], count;
    bool good;
};

static bool is_element(const json_t *j)
{
    return json_is_number(j) || json_is_boolean(j);
}

/* Whether `j` is a rectangular array of numbers and booleans of the shape, `level` arrays deep. */
static bool is_regular(const json_t *j, const struct shape *shape, int level)
{
    if (level == shape->rank) {
        return is_element(j);
    }
    if (!json_is_array(j) || json_array_size(j) != shape->size[level]) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(j); i++) {
        if (!is_regular(json_array_get(j, i), shape, level + 1)) {
            return false;
        }
    }
    return true;
}

static struct shape shape_of(const json_t *array)
{
    struct shape shape = {.count = 1};
    for (const json_t *j = array; json_is_array(j); j = json_array_get(j, 0)) {
        shape.size[shape.rank++] = json_array_size(j);
        shape.count *= json_array_size(j);
    }
    shape.good = shape.rank <= LOSS_MAX_RANK && is_regular(array, &shape, 0);
    return shape;
}

static size_t compare_elements(const json_t *j, const struct loss_tensor *t, size_t at)
{
    if (is_element(j)) {
        const double v = json_is_number(j) ? json_number_value(j) : (double)json_is_true(j);
        const double w = loss_tensor_at(t, at);
        require(memcmp(&v, &w, sizeof v) == 0, "an element differs");
        return at + 1;
    }
    for (size_t i = 0; i < json_array_size(j); i++) {
        at = compare_elements(json_array_get(j, i), t, at);
    }
    return at;
}

static void compare_tensor(const json_t *j, const struct json_value *v)
{
    require(json_is_array(j), "a tensor is an array");
    const struct shape shape = shape_of(j);
    require(shape.good == (v->fault == LOSS_OK), "one calls it a tensor, the other does not");
    if (shape.good) {
        const struct loss_tensor *t = &v->tensor;
        require(t->rank == shape.rank && t->count == shape.count, "the shapes differ");
        require(memcmp(t->shape, shape.size, (size_t)t->rank * sizeof t->shape[0]) == 0, "the shapes differ");
        require(compare_elements(j, t, 0) == t->count, "the counts differ");
    }
}

/* Encoded again, the bytes give the text; of a padded end only the length is looked at. */
static void compare_bytes(const json_t *j, const struct json_value *v)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    require(json_is_string(j), "base64 is a string");
    if (v->fault != LOSS_OK) {
        return;
    }
    const char *text = json_string_value(j);
    require(json_string_length(j) == (v->n_bytes + 2) / 3 * 4, "base64 has another length");
    for (size_t i = 0; i + 3 <= v->n_bytes; i += 3, text += 4) {
        const unsigned group = (unsigned)v->bytes[i] << 16 | (unsigned)v->bytes[i + 1] << 8 | v->bytes[i + 2];
        for (int k = 0; k < 4; k++) {
            require(text[k] == digits[group >> (18 - 6 * k) & 63], "base64 has other bytes");
        }
    }
}

/* The document beside its envelope. */
static void compare_trees(const json_t *j, const json_t *e, const struct json_scan *s)
{
    if (json_is_integer(e)) {
        const struct json_value *v = json_scan_value(s, (size_t)json_integer_value(e));
        require(v != NULL, "a placeholder without a value");
        if (v->kind == JSON_NUMBER) {
            const double d = json_number_value(j);
            require(json_is_number(j) && memcmp(&v->number, &d, sizeof d) == 0, "a number differs");
        } else if (v->kind == JSON_TENSOR) {
            compare_tensor(j, v);
        } else {
            compare_bytes(j, v);
        }
        return;
    }
    require(json_typeof(j) == json_typeof(e), "the envelope has another type");
    if (json_is_string(j)) {
        require(json_equal(j, e), "the envelope has another string");
    } else if (json_is_array(j)) {
        require(json_array_size(j) == json_array_size(e), "the envelope has another length");
        for (size_t i = 0; i < json_array_size(j); i++) {
            compare_trees(json_array_get(j, i), json_array_get(e, i), s);
        }
    } else if (json_is_object(j)) {
        require(json_object_size(j) == json_object_size(e), "the envelope has other members");
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)j, key, value)
        {
            compare_trees(value, json_object_get(e, key), s);
        }
    }
}

static void compare_with_jansson(const char *text, size_t n, const struct scanned *strict)
{
    if (memchr(text, '\0', n) != NULL) {
        require(strict->status != LOSS_OK, "a NUL byte is no JSON");
        return;
    }
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_error_t err;
    json_t *document = json_loadb(text, n, flags | JSON_DECODE_INT_AS_REAL, &err);
    if (document == NULL) {
        const enum json_error_code code = json_error_code(&err);
        const bool ours = code == json_error_numeric_overflow || code == json_error_null_byte_in_key;
        require(strict->status != LOSS_OK || ours, "jansson refuses it");
        return;
    }
    if (strict->status == LOSS_OK) {
        size_t size;
        const char *envelope = json_scan_envelope(strict->scan, &size);
        json_t *e = json_loadb(envelope, size, flags, &err);
        require(e != NULL, "the envelope is not JSON");
        compare_trees(document, e, strict->scan);
        json_decref(e);
    } else {
        require(strstr(strict->err.message, "nested deeper") != NULL, "jansson takes it");
    }
    json_decref(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 60000) {
        return 0;
    }
    const char *text = (const char *)data + 2;
    const size_t n = size - 2;
    const uint32_t seed = (uint32_t)data[0] << 8 | data[1] | 1;
    struct scanned whole = scan(text, n, 0, (data[1] & 1) != 0, false);
    struct scanned pieces = scan(text, n, seed, (data[1] & 1) != 0, false);
    compare_scans(&whole, &pieces);
    struct scanned strict = scan(text, n, 0, true, false);
    compare_with_jansson(text, n, &strict);
    struct scanned single = scan(text, n, seed, (data[1] & 1) != 0, true);
    compare_roundings(&whole, &single);
    loss_arena_free(whole.arena);
    loss_arena_free(pieces.arena);
    loss_arena_free(strict.arena);
    loss_arena_free(single.arena);
    return 0;
}
