/* SPDX-License-Identifier: Apache-2.0
 *
 * json_write.c - JSON text into a growing buffer.
 */
#include <text/json_write.h>

#include <math.h>
#include <string.h>

#include <text/hex.h>
#include <text/number.h>
#include <text/swar.h>

#define FIRST_BUFFER ((size_t)1024)

void json_out_init(struct json_out *o, struct loss_arena *arena)
{
    *o = (struct json_out){.arena = arena};
}

/* A buffer with room for `n` more bytes; NULL: no memory. The first is just memory of the arena, which costs nothing;
 * what outgrows it becomes a block, which doubles. */
static char *larger_buffer(struct json_out *o, size_t n, size_t *capacity)
{
    *capacity = o->capacity < FIRST_BUFFER ? FIRST_BUFFER : o->capacity;
    while (*capacity - o->size < n && *capacity <= SIZE_MAX / 2) {
        *capacity *= 2;
    }
    if (*capacity - o->size < n) {
        return NULL;
    }
    if (o->data == NULL && *capacity == FIRST_BUFFER) {
        return loss_arena_alloc(o->arena, *capacity, 1);
    }
    char *data = loss_arena_resize(o->arena, o->block ? o->data : NULL, *capacity);
    if (data != NULL && !o->block && o->data != NULL) {
        memcpy(data, o->data, o->size);
    }
    o->block |= data != NULL;
    return data;
}

static char *more_room(struct json_out *o, size_t n)
{
    size_t capacity;
    char *data = o->failed ? NULL : larger_buffer(o, n, &capacity);
    if (data == NULL) {
        o->failed = true;
        return NULL;
    }
    o->data = data;
    o->capacity = capacity;
    return data + o->size;
}

/* Where the next `n` bytes go; NULL: failed. */
static inline char *room(struct json_out *o, size_t n)
{
    return !o->failed && n <= o->capacity - o->size ? o->data + o->size : more_room(o, n);
}

static inline void put(struct json_out *o, const char *bytes, size_t n)
{
    char *at = room(o, n);
    if (at != NULL && n > 0) {
        memcpy(at, bytes, n);
        o->size += n;
    }
}

static inline void put_byte(struct json_out *o, char byte)
{
    char *at = room(o, 1);
    if (at != NULL) {
        *at = byte;
        o->size++;
    }
}

/* A value or a name begins: part it from the one before. */
static inline void separate(struct json_out *o)
{
    if (o->comma) {
        put_byte(o, ',');
    }
    o->comma = true;
}

void json_out_open(struct json_out *o, char bracket)
{
    separate(o);
    put_byte(o, bracket);
    o->comma = false;
}

void json_out_close(struct json_out *o, char bracket)
{
    put_byte(o, bracket);
    o->comma = true;
}

/* Can it stand in a string as it is? */
static inline bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && c != '"' && c != '\\';
}

/* Bit 7 of each byte of v that cannot; a borrow can set it for bytes above such a one, too. */
static inline uint64_t marked(uint64_t v)
{
    const uint64_t ones = EACH_BYTE(1), quote = v ^ EACH_BYTE('"'), slash = v ^ EACH_BYTE('\\');
    return (((v - EACH_BYTE(0x20)) & ~v) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & EACH_BYTE(0x80);
}

/* Can all of s? Words that overlap, where they must. */
static inline bool all_plain(const char *s, size_t n)
{
    uint64_t v, marks = 0;
    if (n >= sizeof v) {
        for (size_t i = 0; i + sizeof v < n; i += sizeof v) {
            memcpy(&v, s + i, sizeof v);
            marks |= marked(v);
        }
        memcpy(&v, s + n - sizeof v, sizeof v);
        return (marks | marked(v)) == 0;
    }
    for (size_t i = 0; i < n; i++) {
        marks |= !is_plain(s[i]);
    }
    return marks == 0;
}

/* The escape of a byte that is not plain, into buf. */
static size_t escape(char *buf, char c)
{
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i < sizeof named - 1; i += 2) {
        if (c == named[i]) {
            buf[0] = '\\';
            buf[1] = named[i + 1];
            return 2;
        }
    }
    memcpy(buf, "\\u00", 4);
    buf[4] = hex_digits[(unsigned char)c >> 4];
    buf[5] = hex_digits[c & 15];
    return 6;
}

static void put_escaped(struct json_out *o, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        const size_t from = i;
        while (i < n && is_plain(s[i])) {
            i++;
        }
        put(o, s + from, i - from);
        if (i < n) {
            char buf[6];
            put(o, buf, escape(buf, s[i++]));
        }
    }
}

static void put_quoted(struct json_out *o, const char *s, size_t n)
{
    char *at = all_plain(s, n) ? room(o, n + 2) : NULL;
    if (at != NULL) {
        at[0] = '"';
        memcpy(at + 1, s, n);
        at[n + 1] = '"';
        o->size += n + 2;
        return;
    }
    put_byte(o, '"');
    put_escaped(o, s, n);
    put_byte(o, '"');
}

void json_out_key(struct json_out *o, const char *key)
{
    separate(o);
    put_quoted(o, key, strlen(key));
    put_byte(o, ':');
    o->comma = false;
}

void json_out_ready_key(struct json_out *o, const char *text, size_t n)
{
    char *at = room(o, n + 1);
    if (at != NULL) {
        *at = ',';
        memcpy(at + o->comma, text, n);
        o->size += n + o->comma;
    }
    o->comma = false;
}

void json_out_string_n(struct json_out *o, const char *s, size_t n)
{
    separate(o);
    put_quoted(o, s, n);
}

void json_out_string(struct json_out *o, const char *s)
{
    json_out_string_n(o, s, strlen(s));
}

static size_t copy_word(char *buf, const char *word)
{
    const size_t n = strlen(word);
    memcpy(buf, word, n);
    return n;
}

static size_t print_nonfinite(char *buf, double v, bool literal)
{
    return copy_word(buf, !literal ? "null" : isnan(v) ? "NaN" : v < 0 ? "-Infinity" : "Infinity");
}

size_t json_number_f64(char *buf, double v, bool literal)
{
    return isfinite(v) ? number_print_f64(buf, v) : print_nonfinite(buf, v, literal);
}

size_t json_number_f32(char *buf, float v, bool literal)
{
    return isfinite(v) ? number_print_f32(buf, v) : print_nonfinite(buf, (double)v, literal);
}

void json_out_f64(struct json_out *o, double v)
{
    char *at = room(o, NUMBER_PRINT_MAX + 1);
    if (at != NULL) {
        *at = ',';
        o->size += o->comma + json_number_f64(at + o->comma, v, o->literal);
    }
    o->comma = true;
}

void json_out_f32(struct json_out *o, float v)
{
    char *at = room(o, NUMBER_PRINT_MAX + 1);
    if (at != NULL) {
        *at = ',';
        o->size += o->comma + json_number_f32(at + o->comma, v, o->literal);
    }
    o->comma = true;
}

void json_out_u64(struct json_out *o, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    json_out_raw(o, digits + at, sizeof digits - at);
}

void json_out_bool(struct json_out *o, bool v)
{
    json_out_raw(o, v ? "true" : "false", v ? 4 : 5);
}

void json_out_null(struct json_out *o)
{
    json_out_raw(o, "null", 4);
}

void json_out_raw(struct json_out *o, const char *json, size_t n)
{
    separate(o);
    put(o, json, n);
}
