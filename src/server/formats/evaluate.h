/* SPDX-License-Identifier: Apache-2.0
 *
 * evaluate.h - several losses over shared tensors: one body to many calls, their answers to one text.
 *
 * {"tensors": {"y": …}, "losses": [{"loss": "huber_loss", "labels": {"ref": "y"}, …}, …]}, or a safetensors file whose
 * metadata holds that, without the tensors, as `spec`. An entry that is wrong makes the whole wrong, with a pointer
 * that
 * begins at "/losses".
 */
#ifndef SERVER_EVALUATE_H
#define SERVER_EVALUATE_H

#include <server/formats/call.h>

struct evaluate_decoder;

struct evaluate_options {
    bool safetensors; /* the body is such a file */
    bool has_body_size;
    uint64_t body_size, max_body;
    int max_depth;
    bool strict;
};

struct evaluation {
    struct call *call;
    struct call_answer *answer; /* as many, zeroed */
    size_t n;
};

struct evaluate_decoder *evaluate_decoder_new(struct loss_arena *arena, const struct evaluate_options *options);
loss_status evaluate_decoder_feed(struct evaluate_decoder *d, const char *bytes, size_t n, struct loss_error *err);
/* err  those of json.h and safetensors_body.h; LOSS_UNKNOWN_LOSS, LOSS_MISSING_FIELD, LOSS_INVALID_PARAMETER (a list
 * that is
 *      empty, a reference to nothing) */
loss_status evaluate_decoder_end(struct evaluate_decoder *d, struct evaluation *out, struct loss_error *err);

/* Let the pointer of a failure within entry `i` begin at "/losses/i". Returns `status`. */
loss_status evaluate_blame(size_t i, loss_status status, const struct loss_error *inner, struct loss_error *err);

/* The answer, piece by piece: state for reply.more. */
struct evaluate_encoder;
struct evaluate_encoder *evaluate_encoder_new(struct loss_arena *arena, const struct evaluation *e, bool literal);
size_t evaluate_encoder_more(void *encoder, char *buf, size_t max);

#endif
