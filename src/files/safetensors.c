/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors.c - reading the header: strings, whole numbers, lists of them and objects are all the JSON there is in
 * it.
 */
#include <files/safetensors.h>

#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <text/json_text.h>

static const char *const dtype_names[LOSS_DTYPE_COUNT] = {
    [LOSS_FLOAT32] = "F32", [LOSS_FLOAT64] = "F64", [LOSS_FLOAT16] = "F16", [LOSS_BFLOAT16] = "BF16",
    [LOSS_INT8] = "I8",     [LOSS_INT16] = "I16",   [LOSS_INT32] = "I32",   [LOSS_INT64] = "I64",
    [LOSS_UINT8] = "U8",    [LOSS_UINT16] = "U16",  [LOSS_UINT32] = "U32",  [LOSS_UINT64] = "U64",
    [LOSS_BOOL] = "BOOL",
};

const char *safetensors_dtype_name(loss_dtype dtype)
{
    return dtype_names[dtype];
}

loss_status safetensors_length(const unsigned char prefix[SAFETENSORS_PREFIX], size_t max, size_t *length,
                               struct loss_error *err)
{
    uint64_t n = 0;
    for (int i = SAFETENSORS_PREFIX - 1; i >= 0; i--) {
        n = n << 8 | prefix[i];
    }
    if (n < 2) {
        return loss_fail(err, LOSS_MALFORMED_ENCODING, "",
                         "not a safetensors file: its header has %llu bytes, at least 2 are needed",
                         (unsigned long long)n);
    }
    if (n > max) {
        return loss_fail(err, LOSS_MALFORMED_ENCODING, "",
                         "not a safetensors file that is read here: its header has %llu bytes, at most %zu are taken",
                         (unsigned long long)n, max);
    }
    *length = (size_t)n;
    return LOSS_OK;
}

struct reader {
    struct loss_arena *arena;
    const char *begin, *p, *end;
    struct safetensors_header *out;
    size_t entries, fields; /* room */
    bool has_metadata;
    struct loss_error *err;
};

static loss_status malformed(const struct reader *r, const char *wanted)
{
    return loss_fail(r->err, LOSS_MALFORMED_ENCODING, "", "the safetensors header is damaged at its byte %zu: %s",
                     (size_t)(r->p - r->begin), wanted);
}

static loss_status no_memory(const struct reader *r)
{
    return loss_no_memory(r->err, "a safetensors header");
}

static void skip_blank(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) {
        r->p++;
    }
}

/* Take `c` if it comes next, blanks aside. */
static bool take(struct reader *r, char c)
{
    skip_blank(r);
    if (r->p == r->end || *r->p != c) {
        return false;
    }
    r->p++;
    return true;
}

static loss_status need(struct reader *r, char c, const char *wanted)
{
    return take(r, c) ? LOSS_OK : malformed(r, wanted);
}

/* A string, decoded, in the arena. */
static loss_status read_string(struct reader *r, const char **out)
{
    struct json_text text = {0};
    LOSS_TRY(need(r, '"', "a string is needed"));
    const char *inside = r->p;
    json_text_status found = json_text_check(&text, &r->p, r->end);
    if (found != JSON_TEXT_END) {
        return malformed(r, found == JSON_TEXT_BAD ? text.problem : "a string does not end");
    }
    char *s = loss_arena_alloc(r->arena, (size_t)(r->p - inside) + 1, 1);
    size_t n = 0;
    if (s == NULL) {
        return no_memory(r);
    }
    while (inside < r->p) {
        n += json_text_character(&inside, s + n);
    }
    s[n] = '\0';
    *out = s;
    if (memchr(s, '\0', n) != NULL) {
        return malformed(r, "a string has a NUL in it");
    }
    r->p++;
    return LOSS_OK;
}

static loss_status read_whole(struct reader *r, size_t *out)
{
    size_t value = 0;
    skip_blank(r);
    const char *first = r->p;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
        size_t digit = (size_t)(*r->p - '0');
        if (value > (SIZE_MAX - digit) / 10) {
            return malformed(r, "a number is too large");
        }
        value = value * 10 + digit;
    }
    if (r->p == first || (*first == '0' && r->p > first + 1)) {
        return malformed(r, "a whole number is needed");
    }
    *out = value;
    return LOSS_OK;
}

/* At most `max` whole numbers. */
static loss_status read_list(struct reader *r, size_t *out, int max, int *n, const char *too_many)
{
    *n = 0;
    LOSS_TRY(need(r, '[', "a list is needed"));
    if (take(r, ']')) {
        return LOSS_OK;
    }
    do {
        if (*n == max) {
            return malformed(r, too_many);
        }
        LOSS_TRY(read_whole(r, &out[(*n)++]));
    } while (take(r, ','));
    return need(r, ']', "the list must go on with a comma or end");
}

static loss_status read_dtype(struct reader *r, const char *tensor, loss_dtype *out)
{
    const char *word;
    LOSS_TRY(read_string(r, &word));
    for (int i = 0; i < LOSS_DTYPE_COUNT; i++) {
        if (strcmp(word, dtype_names[i]) == 0) {
            *out = (loss_dtype)i;
            return LOSS_OK;
        }
    }
    return loss_fail(r->err, LOSS_UNSUPPORTED_DTYPE, "",
                     "the tensor %.80s has dtype %.20s; BOOL, U8 to U64, I8 to I64, F16, BF16, F32 and F64 are read",
                     tensor, word);
}

/* dtype, size and place agree? */
static loss_status check_entry(const struct reader *r, struct safetensors_entry *e)
{
    size_t size = loss_dtype_size(e->tensor.dtype);
    if (!loss_shape_count(e->tensor.rank, e->tensor.shape, &e->tensor.count) || e->tensor.count > SIZE_MAX / size) {
        return loss_fail(r->err, LOSS_MALFORMED_ENCODING, "", "the shape of tensor %.80s is beyond any memory",
                         e->name);
    }
    if (e->begin > e->end || e->end - e->begin != e->tensor.count * size) {
        return loss_fail(r->err, LOSS_MALFORMED_ENCODING, "",
                         "data_offsets of tensor %.80s are %zu and %zu, but its dtype and shape need %zu bytes",
                         e->name, e->begin, e->end, e->tensor.count * size);
    }
    if (e->begin % size != 0) {
        return loss_fail(r->err, LOSS_MALFORMED_ENCODING, "",
                         "tensor %.80s begins at byte %zu of the data, not at a multiple of its numbers' %zu bytes",
                         e->name, e->begin, size);
    }
    return LOSS_OK;
}

enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4, HAS_ALL = 7 };

static loss_status read_entry_member(struct reader *r, struct safetensors_entry *e, unsigned *seen)
{
    const char *key;
    size_t offset[2];
    int n;
    unsigned which;
    LOSS_TRY(read_string(r, &key));
    LOSS_TRY(need(r, ':', "a colon is needed"));
    if (strcmp(key, "dtype") == 0) {
        which = HAS_DTYPE;
        LOSS_TRY(read_dtype(r, e->name, &e->tensor.dtype));
    } else if (strcmp(key, "shape") == 0) {
        which = HAS_SHAPE;
        LOSS_TRY(read_list(r, e->tensor.shape, LOSS_MAX_RANK, &e->tensor.rank, "a tensor has at most 8 dimensions"));
    } else if (strcmp(key, "data_offsets") == 0) {
        which = HAS_OFFSETS;
        LOSS_TRY(read_list(r, offset, 2, &n, "data_offsets are two numbers"));
        if (n != 2) {
            return malformed(r, "data_offsets are two numbers");
        }
        e->begin = offset[0];
        e->end = offset[1];
    } else {
        return malformed(r, "a tensor has dtype, shape and data_offsets alone");
    }
    if (*seen & which) {
        return malformed(r, "a member is given twice");
    }
    *seen |= which;
    return LOSS_OK;
}

/* Room for one more of `size` bytes in a list that grows by doubling; false: no memory. */
static bool grow(struct loss_arena *arena, void **list, size_t n, size_t *room, size_t size)
{
    if (n < *room) {
        return true;
    }
    size_t more = *room == 0 ? 8 : 2 * *room;
    void *grown = loss_arena_resize(arena, *list, more * size);
    if (grown != NULL) {
        *list = grown;
        *room = more;
    }
    return grown != NULL;
}

static loss_status read_entry(struct reader *r, const char *name)
{
    struct safetensors_header *h = r->out;
    void *list = h->entry;
    if (!grow(r->arena, &list, h->n, &r->entries, sizeof *h->entry)) {
        return no_memory(r);
    }
    h->entry = list;
    struct safetensors_entry *e = &h->entry[h->n++];
    *e = (struct safetensors_entry){.name = name, .tensor = {.layout = LOSS_OPAQUE}};
    unsigned seen = 0;
    LOSS_TRY(need(r, '{', "a tensor's object is needed"));
    do {
        LOSS_TRY(read_entry_member(r, e, &seen));
    } while (take(r, ','));
    LOSS_TRY(need(r, '}', "the object must go on with a comma or end"));
    return seen == HAS_ALL ? check_entry(r, e) : malformed(r, "a tensor needs dtype, shape and data_offsets");
}

static loss_status read_metadata(struct reader *r)
{
    struct safetensors_header *h = r->out;
    if (r->has_metadata) {
        return malformed(r, "__metadata__ is given twice");
    }
    r->has_metadata = true;
    LOSS_TRY(need(r, '{', "__metadata__ must be an object"));
    if (take(r, '}')) {
        return LOSS_OK;
    }
    do {
        void *list = h->metadata;
        if (!grow(r->arena, &list, h->n_metadata, &r->fields, sizeof *h->metadata)) {
            return no_memory(r);
        }
        h->metadata = list;
        struct safetensors_field *field = &h->metadata[h->n_metadata++];
        LOSS_TRY(read_string(r, &field->name));
        LOSS_TRY(need(r, ':', "a colon is needed"));
        LOSS_TRY(read_string(r, &field->value));
    } while (take(r, ','));
    return need(r, '}', "the object must go on with a comma or end");
}

static loss_status read_members(struct reader *r)
{
    const char *name;
    LOSS_TRY(need(r, '{', "an object is needed"));
    if (take(r, '}')) {
        return LOSS_OK;
    }
    do {
        LOSS_TRY(read_string(r, &name));
        LOSS_TRY(need(r, ':', "a colon is needed"));
        LOSS_TRY(strcmp(name, "__metadata__") == 0 ? read_metadata(r) : read_entry(r, name));
    } while (take(r, ','));
    return need(r, '}', "the object must go on with a comma or end");
}

static int by_name(const void *a, const void *b)
{
    const struct safetensors_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_field(const void *a, const void *b)
{
    const struct safetensors_field *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_place(const void *a, const void *b)
{
    const struct safetensors_entry *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return (x->end > y->end) - (x->end < y->end);
}

static loss_status twice(const struct reader *r, const char *name)
{
    return loss_fail(r->err, LOSS_DUPLICATE_FIELD, "", "\"%.80s\" stands twice in the safetensors header", name);
}

static loss_status check_names(const struct reader *r)
{
    struct safetensors_header *h = r->out;
    if (h->n > 1) {
        qsort(h->entry, h->n, sizeof *h->entry, by_name);
    }
    for (size_t i = 1; i < h->n; i++) {
        if (by_name(&h->entry[i - 1], &h->entry[i]) == 0) {
            return twice(r, h->entry[i].name);
        }
    }
    if (h->n_metadata > 1) {
        qsort(h->metadata, h->n_metadata, sizeof *h->metadata, by_field);
    }
    for (size_t i = 1; i < h->n_metadata; i++) {
        if (by_field(&h->metadata[i - 1], &h->metadata[i]) == 0) {
            return twice(r, h->metadata[i].name);
        }
    }
    return LOSS_OK;
}

static loss_status check_places(const struct reader *r)
{
    struct safetensors_header *h = r->out;
    size_t end = 0;
    if (h->n > 1) {
        qsort(h->entry, h->n, sizeof *h->entry, by_place);
    }
    for (size_t i = 0; i < h->n; i++) {
        const struct safetensors_entry *e = &h->entry[i];
        if (e->begin != end) {
            return loss_fail(r->err, LOSS_MALFORMED_ENCODING, "",
                             "tensor %.80s begins at byte %zu of the data, %s: the one before it ends at %zu", e->name,
                             e->begin, e->begin < end ? "within another" : "behind a gap", end);
        }
        end = e->end;
    }
    h->data_size = end;
    return LOSS_OK;
}

loss_status safetensors_read(struct loss_arena *arena, const char *json, size_t size, struct safetensors_header *out,
                             struct loss_error *err)
{
    struct reader r = {.arena = arena, .begin = json, .p = json, .end = json + size, .out = out, .err = err};
    *out = (struct safetensors_header){0};
    if (size == 0 || json[0] != '{') {
        return malformed(&r, "it must begin with a brace");
    }
    LOSS_TRY(read_members(&r));
    skip_blank(&r);
    if (r.p != r.end) {
        return malformed(&r, "something follows the object");
    }
    LOSS_TRY(check_names(&r));
    return check_places(&r);
}
