/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - the JSON body format, inwards: text to a call.
 *
 * json_scan has checked the grammar and taken out all numbers when we come to the envelope: an integer in it is the
 * index of a value. What remains is to give each field its place and to say exactly what is wrong with those that
 * have none.
 */
#include <server/formats/json_envelope.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_DEPTH 64

struct json_decoder {
    struct loss_arena *arena;
    struct json_decode_options options;
    struct json_scan *scan;
    bool has_dtype; /* known so far: from the query, or its field has come */
    loss_dtype dtype;
};

/* Text -> scanner */

/* Numbers that the computation will see as `dtype`. Others must not lose digits before they are checked. */
static bool is_real_field(const struct loss_desc *desc, const char *name)
{
    int input = loss_desc_input(desc, name);
    if (input >= 0) {
        return !fields_whole(&desc->inputs[input]);
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
                                                               .max_envelope = ENVELOPE_MAX,
                                                               .size = options->size,
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
 * that its buffer has no room for, and runs past the end of the buffer where that was the closing quote.
 *
 * So it is left in the middle by longjmp. That is safe because json_loadb of a buffer is plain computing between its
 * callers' frame and ours: it takes no lock, opens nothing, and calls back nobody but these two functions; its state is
 * local variables and what it allocated, which is the arena's. What it keeps beside that was settled before: the seed of
 * its hashes by json_object_seed, the allocator by take_jansson_memory, both once. No variable of load() that is read
 * after the jump changes between setjmp and longjmp. */
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
    json_object_seed(0);
    json_set_alloc_funcs(jansson_malloc, jansson_free);
}

static void take_memory(struct loss_arena *arena)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, take_jansson_memory);
    memory.arena = arena;
}

/* False: no memory. *out is NULL where jansson refuses the text. */
static bool load(struct loss_arena *arena, const char *text, size_t size, json_t **out, json_error_t *e)
{
    take_memory(arena);
    if (setjmp(memory.ended) != 0) {
        memory.arena = NULL;
        return false;
    }
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, e);
    memory.arena = NULL;
    return true;
}

loss_status envelope_document(struct loss_arena *arena, struct json_scan *scan, json_t **out, struct loss_error *err)
{
    size_t size;
    const char *text = json_scan_envelope(scan, &size);
    json_t *root = NULL;
    json_error_t e;
    if (!load(arena, text, size, &root, &e)) {
        return loss_no_memory(err, "this request");
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

/* Plain envelopes: one object of at most so many members, whose names and strings have no escape, and whose values are
 * no arrays or objects. Nearly all are, and taking them apart here costs a small call a tenth of what a document does. The
 * scanner has checked their grammar; all others are jansson's. */
#define PLAIN_MEMBERS 16

struct member {
    const char *key;
    size_t key_size;
    char *text; /* of the value, a string's without its quotes */
    size_t size;
    const json_t *json;
};

struct members {
    struct member *list; /* plain, or a document's */
    size_t n;
    struct member plain[PLAIN_MEMBERS];
};

/* Past a string whose opening quote is before p; NULL: it has an escape. */
static char *behind_plain_string(char *p)
{
    while (*p != '"' && *p != '\\') {
        p++;
    }
    return *p == '"' ? p + 1 : NULL;
}

/* Past the value at p; NULL: it is not plain. */
static char *behind_plain_value(char *p, struct member *m)
{
    m->text = p;
    if (*p == '"') {
        m->text++;
        p = behind_plain_string(p + 1);
        m->size = p != NULL ? (size_t)(p - 1 - m->text) : 0;
        return p;
    }
    if (*p == '[' || *p == '{') {
        return NULL;
    }
    while (*p != ',' && *p != '}') {
        p++;
    }
    m->size = (size_t)(p - m->text);
    return p;
}

static bool is_known(const struct members *m, const struct member *other)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->list[i].key_size == other->key_size && memcmp(m->list[i].key, other->key, other->key_size) == 0) {
            return true;
        }
    }
    return false;
}

/* Take a plain envelope apart, in place; false: it is not one, or has a name twice. */
static bool take_apart(char *p, struct members *out)
{
    if (*p++ != '{') {
        return false;
    }
    while (*p == '"' && out->n < PLAIN_MEMBERS) {
        struct member m = {.key = p + 1};
        if ((p = behind_plain_string(p + 1)) == NULL) {
            return false;
        }
        m.key_size = (size_t)(p - 1 - m.key);
        p[-1] = '\0';
        if ((p = behind_plain_value(p + 1, &m)) == NULL || is_known(out, &m)) {
            return false;
        }
        out->list[out->n++] = m;
        p += *p == ',';
    }
    return *p == '}';
}

/* The scanner wrote it: an index of a value, below 2^63. */
static json_int_t index_of(const struct member *m)
{
    json_int_t index = 0;
    for (size_t i = 0; i < m->size; i++) {
        index = index * 10 + (m->text[i] - '0');
    }
    return index;
}

static const json_t *plain_json(const struct member *m)
{
    if (m->text[-1] == '"') {
        return json_stringn_nocheck(m->text, m->size);
    }
    switch (m->text[0]) {
    case 't':
        return json_true();
    case 'f':
        return json_false();
    case 'n':
        return json_null();
    default:
        return json_integer(index_of(m));
    }
}

/* False: no memory. */
static bool make_values(struct loss_arena *arena, struct members *m)
{
    take_memory(arena);
    if (setjmp(memory.ended) != 0) {
        memory.arena = NULL;
        return false;
    }
    for (size_t i = 0; i < m->n; i++) {
        m->list[i].json = plain_json(&m->list[i]);
    }
    memory.arena = NULL;
    return true;
}

static loss_status members_of_document(struct json_decoder *d, struct members *out, struct loss_error *err)
{
    json_t *root = NULL, *json;
    const char *key;
    LOSS_TRY(envelope_document(d->arena, d->scan, &root, err));
    out->n = 0;
    out->list = loss_arena_alloc(d->arena, (json_object_size(root) + 1) * sizeof *out->list, alignof(struct member));
    if (out->list == NULL) {
        return loss_no_memory(err, "this request");
    }
    json_object_foreach(root, key, json)
    {
        out->list[out->n++] = (struct member){.key = key, .json = json};
    }
    return LOSS_OK;
}

/* The members of the envelope, in their order. */
static loss_status members_read(struct json_decoder *d, struct members *out, struct loss_error *err)
{
    size_t size;
    const char *text = json_scan_envelope(d->scan, &size);
    char *copy = loss_arena_copy(d->arena, text, size);
    out->list = out->plain;
    out->n = 0;
    if (copy == NULL) {
        return loss_no_memory(err, "this request");
    }
    if (!take_apart(copy, out)) {
        return members_of_document(d, out, err);
    }
    return make_values(d->arena, out) ? LOSS_OK : loss_no_memory(err, "this request");
}

/* What tensors are read as. A bad dtype is left to its reader. */
static loss_dtype dtype_of(const struct json_decoder *d, const struct members *members)
{
    const char *name = NULL;
    loss_dtype dtype;
    if (d->options.has_dtype) {
        return d->options.dtype;
    }
    for (size_t i = 0; i < members->n; i++) {
        if (strcmp(members->list[i].key, "dtype") == 0) {
            name = json_string_value(members->list[i].json);
        }
    }
    return name != NULL && loss_dtype_parse(name, &dtype) && dtype == LOSS_FLOAT64 ? LOSS_FLOAT64 : LOSS_FLOAT32;
}

loss_status json_decoder_end(struct json_decoder *d, struct call *out, struct loss_error *err)
{
    struct members members;
    LOSS_TRY(json_scan_end(d->scan, err));
    LOSS_TRY(members_read(d, &members, err));

    call_init(out, d->options.desc, d->options.alias);
    out->loss.dtype = dtype_of(d, &members);
    struct envelope r = {.arena = d->arena, .scan = d->scan, .desc = d->options.desc, .call = out};
    for (size_t i = 0; i < members.n; i++) {
        const struct json_value *value = envelope_value(d->scan, members.list[i].json);
        const char *pointer = value != NULL && members.list[i].key_size > 0 ? value->pointer : NULL;
        LOSS_TRY(fields_read(&r, members.list[i].key, pointer, members.list[i].json, err));
    }
    LOSS_TRY(fields_gradients(&r, err));
    return call_check(out, err);
}

/* Small documents */

static loss_status scan_whole(struct loss_arena *arena, const char *body, size_t size, struct json_scan **out,
                              struct loss_error *err)
{
    struct json_scan *scan =
        json_scan_new(arena, &(struct json_scan_options){.max_depth = SMALL_DEPTH, .max_envelope = ENVELOPE_MAX});
    if (scan == NULL) {
        return loss_no_memory(err, "this request");
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
        return envelope_name(scan, json, pointer, &member->string, err);
    case JSON_MEMBER_NUMBER:
        return envelope_number(scan, json, pointer, &member->number, err);
    case JSON_MEMBER_WHOLE:
        break;
    }
    return envelope_whole(scan, json, pointer, &member->number, err);
}

loss_status json_read_members(struct loss_arena *arena, const char *body, size_t size, struct json_member *members,
                              size_t n, struct loss_error *err)
{
    struct json_scan *scan = NULL;
    json_t *root = NULL;
    LOSS_TRY(scan_whole(arena, body, size, &scan, err));
    LOSS_TRY(envelope_document(arena, scan, &root, err));
    const char *key;
    json_t *json;
    json_object_foreach(root, key, json)
    {
        const char *pointer = envelope_pointer(arena, "", key);
        if (pointer == NULL) {
            return loss_no_memory(err, "this request");
        }
        struct json_member *member = find_member(members, n, key);
        if (member == NULL) {
            return unknown_member(members, n, key, pointer, err);
        }
        LOSS_TRY(read_small_member(scan, json, pointer, member, err));
    }
    for (size_t i = 0; i < n; i++) {
        if (members[i].required && !members[i].given) {
            const char *pointer = envelope_pointer(arena, "", members[i].name);
            return pointer == NULL
                       ? loss_no_memory(err, "this request")
                       : loss_fail(err, LOSS_MISSING_FIELD, pointer, "the field \"%s\" is missing", members[i].name);
        }
    }
    return LOSS_OK;
}
