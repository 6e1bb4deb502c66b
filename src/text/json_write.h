/* SPDX-License-Identifier: Apache-2.0
 *
 * json_write.h - JSON text into a growing buffer.
 *
 * Commas and colons come by themselves. After a failure (no memory) all calls do nothing and `failed` is set: check
 * once at the end. Numbers are the shortest that read back; what is not finite becomes null, or NaN, Infinity and
 * -Infinity where `literal` is set.
 */
#ifndef TEXT_JSON_WRITE_H
#define TEXT_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <loss/arena.h>

struct json_out {
    struct loss_arena *arena;
    char *data;
    size_t size, capacity;
    bool block; /* data can be resized */
    bool failed, literal, comma;
};

void json_out_init(struct json_out *o, struct loss_arena *arena);
void json_out_open(struct json_out *o, char bracket);  /* '{' or '[' */
void json_out_close(struct json_out *o, char bracket); /* '}' or ']' */
void json_out_key(struct json_out *o, const char *key);
/* A key that is a literal without anything to escape, which spares looking. */
#define JSON_OUT_KEY(o, name) json_out_ready_key((o), "\"" name "\":", sizeof(name) + 2)
void json_out_ready_key(struct json_out *o, const char *text, size_t n); /* with its quotes and colon */
void json_out_string(struct json_out *o, const char *s);                 /* escaped; bytes must be UTF-8 */
void json_out_string_n(struct json_out *o, const char *s, size_t n);
void json_out_f64(struct json_out *o, double v);
void json_out_f32(struct json_out *o, float v);
void json_out_u64(struct json_out *o, uint64_t v);
void json_out_bool(struct json_out *o, bool v);
void json_out_null(struct json_out *o);
void json_out_raw(struct json_out *o, const char *json, size_t n); /* one whole value, as it is */

/* The text of one number without a buffer: at most 32 bytes into buf; what json_out_f64 and _f32 print. */
size_t json_number_f64(char *buf, double v, bool literal);
size_t json_number_f32(char *buf, float v, bool literal);

#endif
