/* SPDX-License-Identifier: Apache-2.0
 *
 * call.h - one computation as a client asked for it, whatever format it came in, and its answer.
 *
 * A body format is one file with a decoder that ends in a struct call and an encoder that begins at a struct
 * call_answer. It knows nothing of how losses are computed. What all formats do alike with a name or a word that a
 * client wrote is here: call_init, then the setters, then call_check.
 */
#ifndef SERVER_CALL_H
#define SERVER_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include <loss/loss.h>
#include <registry/registry.h>

struct call {
    struct loss_call loss;
    const char *registry;   /* NULL: none */
    const char *name;       /* NULL: the loss's canonical name */
    const char *collection; /* NULL: the loss's own */
    int64_t step;           /* CALL_NO_STEP until call_check, which makes it 0 */
    bool accumulate;
};

#define CALL_NO_STEP (-1)

struct call_answer {
    struct loss_answer loss;
    bool has_entry;
    struct registry_entry entry;
};

/* Fields that every loss takes beside its inputs and parameters. */
#define CALL_FIELD_MAP(X)                                                                                              \
    X(weights)                                                                                                         \
    X(reduction)                                                                                                       \
    X(gradients)                                                                                                       \
    X(losses)                                                                                                          \
    X(dtype)                                                                                                           \
    X(weights_mask)                                                                                                    \
    X(registry)                                                                                                        \
    X(name)                                                                                                            \
    X(collection)                                                                                                      \
    X(step)                                                                                                            \
    X(accumulate)

extern const char *const call_fields[];
extern const size_t n_call_fields;

/* All names a call of this loss may use, for messages and "nearest": inputs and parameters with aliases, call_fields.
 * How many there are; at most `max` are written. */
size_t call_field_names(const struct loss_desc *desc, const char **names, size_t max);
#define CALL_MAX_NAMES 128

/* Defaults of the loss, or of the alias it was called by (NULL: none). */
void call_init(struct call *call, const struct loss_desc *desc, const struct loss_alias *alias);

/* A word that a client wrote, cut to fit a message, never inside a character. Returns buf. */
#define CALL_CLIP 80
const char *call_clip(const char *word, char buf[CALL_CLIP]);

/* A number as a client would write it, for a message. Returns buf. */
#define CALL_NUMBER 40
const char *call_number(double number, char buf[CALL_NUMBER]);

/* LOSS_UNKNOWN_FIELD that names the nearest field and lists them all. */
loss_status call_unknown_field(const struct loss_desc *desc, const char *name, const char *pointer,
                               struct loss_error *err);

/* err  LOSS_INVALID_PARAMETER: no such reduction */
loss_status call_set_reduction(struct call *call, const char *word, const char *pointer, struct loss_error *err);

/* The dtype of a computation.
 * err  LOSS_UNSUPPORTED_DTYPE: neither float32 nor float64 */
loss_status call_parse_dtype(const char *word, const char *pointer, loss_dtype *out, struct loss_error *err);

/* Ask for the gradients of all main inputs, or of one input by name or alias ("weights" too). After the inputs.
 * err  LOSS_INVALID_PARAMETER: no such input, or one that was not given; LOSS_NOT_DIFFERENTIABLE */
void call_want_gradients(struct call *call);
loss_status call_want_gradient(struct call *call, const char *name, const char *pointer, struct loss_error *err);

/* The loss with its parameters as they are, the same for calls whose batches may be merged; NULL: no memory. */
const char *call_what(const struct call *call, struct loss_arena *arena);

/* What every format checks once the fields are there.
 * err  LOSS_MISSING_FIELD: an input or a required parameter; LOSS_INVALID_PARAMETER: registry fields without a
 *      registry; LOSS_INVALID_NAME; LOSS_NOT_SCALAR "/reduction"; LOSS_NOT_ACCUMULABLE "/accumulate" */
loss_status call_check(struct call *call, struct loss_error *err);

#endif
