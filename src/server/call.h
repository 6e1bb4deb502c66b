/* SPDX-License-Identifier: Apache-2.0
 *
 * call.h - one computation as a client asked for it, whatever format it came in, and its answer.
 *
 * A body format is one file with a decoder that ends in a struct call and an encoder that begins at a struct
 * call_answer. It knows nothing of how losses are computed.
 */
#ifndef SERVER_CALL_H
#define SERVER_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include <loss/loss.h>
#include <registry/registry.h>

struct call {
    struct loss_call loss;
    const char      *registry;    /* NULL: none */
    const char      *name;        /* NULL: the loss's canonical name */
    const char      *collection;  /* NULL: the loss's own */
    int64_t          step;
    bool             accumulate;
};

struct call_answer {
    struct loss_answer    loss;
    bool                  has_entry;
    struct registry_entry entry;
};

/* Fields that every loss takes beside its inputs and parameters: "weights", "reduction", … */
extern const char *const call_fields[];
extern const size_t      n_call_fields;

/* All names a call of this loss may use, for messages and "nearest": inputs and parameters with aliases, call_fields. */
size_t call_field_names(const struct loss_desc *desc, const char **names, size_t max);

/* What every format checks once the fields are there: inputs and required parameters are present, registry with
 * reduction none, names. */
loss_status call_check(struct call *call, struct loss_error *err);

#endif
