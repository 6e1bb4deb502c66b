/* SPDX-License-Identifier: Apache-2.0
 *
 * json_envelope.h - what the files that read one envelope share, and no other.
 *
 *   json.c           text to envelope, and the interface
 *   json_envelope.c  the envelope's values: words, numbers, tensors
 *   json_fields.c    the fields of a call
 *
 * A value may be wrong in itself (its fault, which the scanner found) or wrong where it stands; both are told with the
 * pointer that the caller gives. What is read lies in the arena.
 */
#ifndef SERVER_JSON_ENVELOPE_H
#define SERVER_JSON_ENVELOPE_H

#include <stdbool.h>

#include <jansson.h>

#include <server/formats/json.h>
#include <text/json_scan.h>

/* An envelope is short, since numbers are not in it. A document of braces grows 80-fold when jansson reads it, so this is
 * also what bounds jansson's memory. */
#define ENVELOPE_MAX ((size_t)64 << 10)

/* A tensor that several calls refer to: once with the digits it was written with, once as float32. */
struct envelope_shared {
    const char *name;
    const json_t *json; /* NULL: `wide` is there */
    bool has_wide, has_narrow;
    struct loss_tensor wide, narrow;
};

struct envelope_refs {
    struct envelope_shared *list;
    size_t n;
};

/* The state of reading one envelope. */
struct envelope {
    struct loss_arena *arena;
    struct json_scan *scan;
    const struct loss_desc *desc;
    struct call *call;
    unsigned params_seen;
    const json_t *gradients;    /* read last: they may name any input */
    struct envelope_refs *refs; /* what {"ref": "y"} may name; NULL: there are no references here */
};

/* The document of a good scan, an object, which lives in the arena.
 * err  LOSS_DUPLICATE_FIELD, LOSS_UNKNOWN_FIELD (a NUL in a name), LOSS_MALFORMED_JSON (no object), LOSS_OVERLOADED */
loss_status envelope_document(struct loss_arena *arena, struct json_scan *scan, json_t **out, struct loss_error *err);

/* Values */

/* "/parent/key" with ~ and / escaped, in the arena; NULL: no memory. */
const char *envelope_pointer(struct loss_arena *arena, const char *parent, const char *key);
/* The value that an integer of the envelope stands for, or NULL where `json` is something else. */
const struct json_value *envelope_value(const struct json_scan *scan, const json_t *json);
loss_status envelope_wrong_type(const struct json_scan *scan, const json_t *json, const char *wanted,
                                const char *pointer, struct loss_error *err);
loss_status envelope_check(const struct json_value *value, struct loss_error *err); /* its fault, if it has one */
/* A string without a NUL in it, which no name or word of ours has. */
loss_status envelope_word(const struct json_scan *scan, const json_t *json, const char *wanted, const char *pointer,
                          const char **out, struct loss_error *err);
/* The same for what becomes a name in a registry: there the NUL makes it a bad name. */
loss_status envelope_name(const struct json_scan *scan, const json_t *json, const char *pointer, const char **out,
                          struct loss_error *err);
loss_status envelope_bool(const struct json_scan *scan, const json_t *json, const char *pointer, bool *out,
                          struct loss_error *err);
loss_status envelope_number(const struct json_scan *scan, const json_t *json, const char *pointer, double *out,
                            struct loss_error *err);
loss_status envelope_whole(const struct json_scan *scan, const json_t *json, const char *pointer, double *out,
                           struct loss_error *err);
/* A list of dimensions: sets rank, shape and count of a tensor.
 * err  LOSS_INVALID_PARAMETER, LOSS_SHAPE_MISMATCH (rank; a product beyond what memory could hold) */
loss_status envelope_shape(const struct json_scan *scan, const json_t *json, const char *pointer,
                           struct loss_tensor *out, struct loss_error *err);
/* Any form of a tensor. `whole`: its numbers are kept as float64 whatever the call's dtype is. */
loss_status envelope_tensor(struct envelope *r, const json_t *json, bool whole, const char *pointer,
                            struct loss_tensor *out, struct loss_error *err);

/* Fields */

bool fields_whole(const struct loss_input *input); /* are its numbers whole ones? */
/* `pointer` is the member's, if it is there already, or NULL. */
loss_status fields_read(struct envelope *r, const char *key, const char *pointer, const json_t *json,
                        struct loss_error *err);
/* The value of parameter `i` of the loss. */
loss_status fields_param(struct envelope *r, int i, const json_t *json, const char *pointer, struct loss_error *err);
loss_status fields_gradients(struct envelope *r, struct loss_error *err); /* when all fields are read */

#endif
