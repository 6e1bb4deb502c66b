/* SPDX-License-Identifier: Apache-2.0
 *
 * json_scan.h - JSON text, byte by byte as it arrives, with its numbers taken out.
 *
 * Checks the whole grammar (RFC 8259; UTF-8; depth), reads every number and every array of numbers straight into
 * tensors, and leaves an envelope: the same document in which each number, number array and base64 string is an
 * integer, the index of a json_value. All other integers are gone from it, so that a general parser can read the
 * envelope and integers can only mean values. May be stopped and resumed at any byte.
 *
 * A broken document is an error at once, with line and column (in bytes, from 1) of the body. What is well-formed
 * JSON but no good tensor (ragged, a string among numbers) is kept as a fault of that value, for the reader of the
 * envelope to report: it may turn out that nobody asked for it.
 *
 * Strings stand in the envelope as they were written; pointers have them decoded, control characters excepted, and end
 * at the last member that fits 1023 bytes. One thread at a time.
 */
#ifndef TEXT_JSON_SCAN_H
#define TEXT_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include <loss/arena.h>
#include <loss/error.h>
#include <loss/tensor.h>

typedef enum {
    JSON_NUMBER, /* a number outside an array of numbers */
    JSON_TENSOR, /* [..] of numbers, true, false and such arrays; also []. The first element decides: an array that
                  * begins with a string, an object or null is an ordinary one and stays in the envelope */
    JSON_BYTES,  /* the decoded value of a member called "base64" */
} json_kind;

struct json_value {
    json_kind kind;
    double number;             /* JSON_NUMBER: the nearest double to its text */
    float number_f32;          /* JSON_NUMBER: the nearest float to its text; infinite where that overflows */
    char text[32];             /* JSON_NUMBER: as written; "" where that is longer */
    struct loss_tensor tensor; /* JSON_TENSOR: float32 or float64, layout LOSS_NESTED, .pointer set */
    unsigned char *bytes;      /* JSON_BYTES */
    size_t n_bytes;
    const char *pointer;       /* where it stands: "/labels", "/labels/data" */
    loss_status fault;         /* LOSS_OK; RAGGED_TENSOR, INVALID_PARAMETER (no number; base64),
                                     * NUMBER_OUT_OF_RANGE, SHAPE_MISMATCH (rank above LOSS_MAX_RANK). The first in
                                     * the text is kept; then there is no data: tensor.data and bytes are NULL */
    const char *fault_pointer; /* the first culprit: "/labels/3/1"; base64: the object around it */
    const char *fault_message;
};

struct json_scan_options {
    int max_depth;       /* arrays and objects within each other, the outermost counts 1 */
    size_t max_envelope; /* bytes; more is LOSS_BODY_TOO_LARGE */
    size_t size;         /* of the body, where it is known before; else 0. Only memory is planned by it */
    bool strict;         /* refuse NaN and the infinities */
    /* What to keep an array's numbers as, asked when it begins: LOSS_FLOAT32 or LOSS_FLOAT64. NULL: float64. A float64
     * tensor can be narrowed later without a second rounding (json_value_narrow). */
    loss_dtype (*storage)(void *arg, const char *pointer);
    /* Told of each string member of the outermost object, as it ends ("/dtype", "float32"). NULL: not told. */
    void (*word)(void *arg, const char *pointer, const char *word);
    void *arg;
};

struct json_scan;

struct json_scan *json_scan_new(struct loss_arena *arena,
                                const struct json_scan_options *options); /* NULL: no memory */

/* err  LOSS_MALFORMED_JSON (with line and column), LOSS_BODY_TOO_LARGE, LOSS_OVERLOADED (no memory); final */
loss_status json_scan_feed(struct json_scan *s, const char *bytes, size_t n, struct loss_error *err);
loss_status json_scan_end(struct json_scan *s, struct loss_error *err);

/* After a good json_scan_end. */
const char *json_scan_envelope(const struct json_scan *s, size_t *size);
size_t json_scan_count(const struct json_scan *s);
const struct json_value *json_scan_value(const struct json_scan *s, size_t i); /* NULL: no such value */

/* Make a float64 tensor without fault a float32 one, in place, giving back half its memory: each number is the nearest
 * float to its text. A float32 tensor stays as it is; so does the value on failure.
 * err  LOSS_NUMBER_OUT_OF_RANGE with the element, for a finite number beyond the largest float */
loss_status json_value_narrow(struct json_scan *s, size_t i, struct loss_error *err);

/* Before a float64 tensor without fault is rounded to a type narrower than float32: move each double that is not what its
 * text says, and might be half-way between two of these, to the next one on the text's side. */
void json_value_lean(struct json_scan *s, size_t i);

/* JSON pointer of the member at byte `offset` of the envelope (for messages of a parser that read it): of the array or
 * object open there, the last member whose name or value has begun. Uses the scanner's stack: one thread at a time. */
void json_scan_pointer_at(const struct json_scan *s, size_t offset, char *buf, size_t size);

#endif
