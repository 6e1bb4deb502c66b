/* SPDX-License-Identifier: Apache-2.0
 *
 * json_scan.c - a state machine with a stack of its own: what it was doing when a piece ended is all in the struct.
 *
 * Source  RFC 8259
 */
#include "json_state.h"

#include <string.h>

static bool open_bracket(struct json_scan *s, char bracket, size_t offset)
{
    if (s->depth >= s->options.max_depth) {
        return scan_malformed(s, offset, "nested deeper than %d arrays and objects", s->options.max_depth);
    }
    if (bracket == '{') {
        if (!scan_begin_leaf(s, false, "an object") || !scan_copy(s, "{", 1)) {
            return false;
        }
        s->state = AT_FIRST_KEY;
    } else {
        if (s->mode == IN_TENSOR && s->depth == s->leaf && !scan_deeper_than_numbers(s)) {
            return false;
        }
        s->pending += s->mode == IN_ENVELOPE;
        s->row = s->n;
        s->state = AT_FIRST_ELEMENT;
    }
    s->stack[s->depth++] = (struct frame){.bracket = bracket};
    return true;
}

static bool close_array(struct json_scan *s)
{
    if (s->pending > 0 && !scan_begin_leaf(s, true, "")) {
        return false;
    }
    if (s->mode == IN_TENSOR && !scan_check_length(s)) {
        return false;
    }
    s->depth--;
    if (s->mode == IN_ENVELOPE) {
        if (!scan_put(s, "]", 1)) {
            return false;
        }
    } else if (s->depth == s->base && !scan_end_tensor(s)) {
        return false;
    }
    return scan_value_done(s);
}

static bool close_object(struct json_scan *s)
{
    s->depth--;
    return scan_copy(s, "}", 1) && scan_value_done(s);
}

static bool next(struct json_scan *s, const char **p)
{
    const bool array = s->stack[s->depth - 1].bracket == '[';
    const char c = **p;
    if (c == ',') {
        ++*p;
        s->state = array ? AT_VALUE : AT_KEY;
        return scan_copy(s, ",", 1);
    }
    if (c != (array ? ']' : '}')) {
        return scan_unexpected(s, scan_offset_of(s, *p), c);
    }
    ++*p;
    return array ? close_array(s) : close_object(s);
}

static bool begin_key(struct json_scan *s, const char **p)
{
    const bool may_close = s->state == AT_FIRST_KEY;
    if (**p == '}' && may_close) {
        ++*p;
        return close_object(s);
    }
    if (**p != '"') {
        return scan_unexpected(s, scan_offset_of(s, *p), **p);
    }
    ++*p;
    s->text = (struct json_text){0};
    s->state = INSIDE_KEY;
    if (!scan_copy(s, "\"", 1)) {
        return false;
    }
    s->stack[s->depth - 1].key_at = s->envelope_size;
    return true;
}

static bool key_is_base64(const struct json_scan *s)
{
    static const char name[] = "base64";
    if (s->depth == 0 || s->stack[s->depth - 1].bracket != '{') {
        return false;
    }
    const struct frame *f = &s->stack[s->depth - 1];
    const char *p = s->envelope + f->key_at, *end = p + f->key_size;
    size_t i = 0;
    for (; i < sizeof name - 1 && p < end; i++) {
        char c[4];
        if (json_text_character(&p, c) != 1 || c[0] != name[i]) {
            return false;
        }
    }
    return i == sizeof name - 1 && p == end;
}

static bool begin_string(struct json_scan *s)
{
    if (!scan_begin_leaf(s, false, "a string")) {
        return false;
    }
    s->text = (struct json_text){0};
    if (s->mode == IN_ENVELOPE && key_is_base64(s)) {
        base64_init(&s->base64, s->arena);
        s->state = INSIDE_BASE64;
        return true;
    }
    s->state = INSIDE_STRING;
    if (!scan_copy(s, "\"", 1)) {
        return false;
    }
    s->text_at = s->envelope_size;
    return true;
}

/* Tell of a string of the outermost object. A NUL inside would make another word of it: then nothing is told. */
static bool tell_word(struct json_scan *s)
{
    const size_t size = s->envelope_size - s->text_at;
    const char *p = s->envelope + s->text_at, *end = p + size;
    char pointer[MAX_POINTER], buf[64];
    char *word = size + 4 <= sizeof buf ? buf : loss_arena_resize(s->arena, NULL, size + 4);
    if (word == NULL) {
        return scan_no_memory(s);
    }
    size_t n = 0;
    while (p < end) {
        n += json_text_character(&p, word + n);
    }
    word[n] = '\0';
    if (strlen(word) == n) {
        scan_write_pointer(s, 1, pointer, sizeof pointer);
        s->options.word(s->options.arg, pointer, word);
    }
    if (word != buf) {
        loss_arena_release(s->arena, word);
    }
    return true;
}

static bool end_key(struct json_scan *s)
{
    struct frame *f = &s->stack[s->depth - 1];
    f->key_size = s->envelope_size - f->key_at;
    s->state = AT_COLON;
    return scan_copy(s, "\"", 1);
}

static bool end_string(struct json_scan *s)
{
    const bool outermost = s->mode == IN_ENVELOPE && s->depth == 1 && s->stack[0].bracket == '{';
    if (outermost && s->options.word != NULL && !tell_word(s)) {
        return false;
    }
    return scan_copy(s, "\"", 1) && scan_value_done(s);
}

static bool end_base64(struct json_scan *s)
{
    if (!base64_end(&s->base64)) {
        return scan_no_memory(s);
    }
    struct slot *slot = scan_new_value(s, JSON_BYTES, s->depth);
    if (slot == NULL) {
        return false;
    }
    slot->value.bytes = s->base64.bytes;
    slot->value.n_bytes = s->base64.size;
    if (s->base64.wrong && !scan_fault(s, LOSS_INVALID_PARAMETER, s->depth - 1, "base64: %s", s->base64.problem)) {
        return false;
    }
    return scan_put_placeholder(s) && scan_value_done(s);
}

static bool continue_string(struct json_scan *s, const char **p, const char *end)
{
    const char *from = *p;
    const json_text_status status = json_text_check(&s->text, p, end);
    if (status == JSON_TEXT_BAD) {
        return scan_malformed(s, scan_offset_of(s, *p), "%s", s->text.problem);
    }
    const size_t n = (size_t)(*p - from);
    if (s->state == INSIDE_BASE64) {
        if (!base64_feed(&s->base64, from, n)) {
            return scan_no_memory(s);
        }
    } else if (!scan_copy(s, from, n)) {
        return false;
    }
    if (status == JSON_TEXT_MORE) {
        return true;
    }
    ++*p;
    return s->state == INSIDE_KEY ? end_key(s) : s->state == INSIDE_STRING ? end_string(s) : end_base64(s);
}

static bool end_word(struct json_scan *s)
{
    if (s->mode == IN_TENSOR) {
        const double v = s->word[0] == 't';
        if (!scan_add_element(s, v, (float)v, 0)) {
            return false;
        }
    }
    return scan_copy(s, s->word, s->word_size) && scan_value_done(s);
}

static bool begin_word(struct json_scan *s, const char *word)
{
    s->word = word;
    s->word_size = 0;
    s->state = INSIDE_WORD;
    return scan_begin_leaf(s, word[0] != 'n', word);
}

static bool continue_word(struct json_scan *s, const char **p, const char *end)
{
    for (; *p < end && s->word[s->word_size] != '\0'; ++*p, s->word_size++) {
        if (**p != s->word[s->word_size]) {
            return scan_unexpected(s, scan_offset_of(s, *p), **p);
        }
    }
    return s->word[s->word_size] != '\0' || end_word(s);
}

static bool begin_value(struct json_scan *s, const char **p, const char *end)
{
    const char c = **p;
    const size_t offset = scan_offset_of(s, *p);
    switch (c) {
    case '[':
    case '{':
        ++*p;
        return open_bracket(s, c, offset);
    case '"':
        ++*p;
        return begin_string(s);
    case 't':
        return begin_word(s, "true");
    case 'f':
        return begin_word(s, "false");
    case 'n':
        return begin_word(s, "null");
    case ']':
        if (s->state != AT_FIRST_ELEMENT) {
            break;
        }
        ++*p;
        return close_array(s);
    default:
        if ((c >= '0' && c <= '9') || c == '-' || c == 'N' || c == 'I') {
            return scan_begin_number(s, p, end);
        }
        break;
    }
    return scan_unexpected(s, offset, c);
}

static bool take_value(struct json_scan *s, const char **p, const char *end)
{
    const char *from = *p;
    if (s->mode == IN_TENSOR && s->depth == s->leaf) {
        if (!scan_read_numbers(s, p, end)) {
            return false;
        }
        if (*p != from) {
            return true;
        }
    }
    return begin_value(s, p, end);
}

/* Go on from *p: at least one byte, or the state changes. */
static bool step(struct json_scan *s, const char **p, const char *end)
{
    if (s->state < INSIDE_KEY && !scan_skip_space(s, p, end)) {
        return true;
    }
    switch (s->state) {
    case AT_VALUE:
    case AT_FIRST_ELEMENT:
        return take_value(s, p, end);
    case AT_NEXT:
        return next(s, p);
    case AT_FIRST_KEY:
    case AT_KEY:
        return begin_key(s, p);
    case AT_COLON:
        if (**p != ':') {
            break;
        }
        ++*p;
        s->state = AT_VALUE;
        return scan_copy(s, ":", 1);
    case AT_END:
        break;
    case INSIDE_KEY:
    case INSIDE_STRING:
    case INSIDE_BASE64:
        return continue_string(s, p, end);
    case INSIDE_NUMBER:
        return scan_continue_number(s, p, end);
    case INSIDE_WORD:
        return continue_word(s, p, end);
    }
    return scan_unexpected(s, scan_offset_of(s, *p), **p);
}

struct json_scan *json_scan_new(struct loss_arena *arena, const struct json_scan_options *options)
{
    struct json_scan *s = loss_arena_alloc(arena, sizeof *s, alignof(struct json_scan));
    if (s == NULL) {
        return NULL;
    }
    memset(s, 0, offsetof(struct json_scan, stage));
    s->arena = arena;
    s->options = *options;
    s->line = 1;
    s->envelope = s->first_envelope;
    s->envelope_capacity = FIRST_ENVELOPE;
    s->values = s->first_values;
    s->values_capacity = FIRST_VALUES;
    const size_t depth = options->max_depth > 0 ? (size_t)options->max_depth : 0;
    s->stack = loss_arena_alloc(arena, depth * sizeof *s->stack, alignof(struct frame));
    return s->stack != NULL ? s : NULL;
}

/* Pieces are cut to MAX_NUMBER_TEXT, so that an overlong number is always a carried one: only there must it be asked. */
loss_status json_scan_feed(struct json_scan *s, const char *bytes, size_t n, struct loss_error *err)
{
    if (s->status != LOSS_OK) {
        return loss_fail(err, s->status, "", "the body was refused before");
    }
    s->err = err;
    while (n > 0 && s->status == LOSS_OK) {
        const size_t size = n < MAX_NUMBER_TEXT ? n : MAX_NUMBER_TEXT;
        const char *p = bytes, *end = bytes + size;
        s->piece = bytes;
        while (p < end && step(s, &p, end)) {
        }
        s->before += size;
        bytes += size;
        n -= size;
    }
    return s->status;
}

loss_status json_scan_end(struct json_scan *s, struct loss_error *err)
{
    if (s->status != LOSS_OK) {
        return loss_fail(err, s->status, "", "the body was refused before");
    }
    s->err = err;
    s->ended = true;
    if (s->state == INSIDE_NUMBER && !scan_end_carried(s, ' ')) {
        return s->status;
    }
    if (s->state != AT_END) {
        scan_unexpected(s, s->before, '\0');
    }
    return s->status;
}

const char *json_scan_envelope(const struct json_scan *s, size_t *size)
{
    *size = s->envelope_size;
    return s->envelope;
}

size_t json_scan_count(const struct json_scan *s)
{
    return s->n_values;
}

const struct json_value *json_scan_value(const struct json_scan *s, size_t i)
{
    return i < s->n_values ? &s->values[i].value : NULL;
}
