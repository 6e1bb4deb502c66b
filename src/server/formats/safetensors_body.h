/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors_body.h - the safetensors body format: a file's bytes to a call, an answer to such bytes.
 *
 * The tensors are the inputs, weights and vector parameters; every other field is text, in the file's metadata or in
 * the
 * query, which wins. "format", which libraries write of their own accord, is passed over.
 */
#ifndef SERVER_SAFETENSORS_BODY_H
#define SERVER_SAFETENSORS_BODY_H

#include <files/safetensors.h>
#include <server/formats/call.h>
#include <server/http/request.h>

#define SAFETENSORS_MEDIA "application/x-safetensors"

struct safetensors_options {
    const struct loss_desc *desc;   /* NULL: tensors have no places in a call, safetensors_decoder_file tells of them */
    const struct loss_alias *alias; /* or NULL */
    const struct query_field *query;
    size_t n_query;
    bool has_body_size;
    uint64_t body_size; /* told by the client */
    uint64_t max_body;
};

/* err  of all three: LOSS_MALFORMED_ENCODING, LOSS_UNSUPPORTED_DTYPE, LOSS_DUPLICATE_FIELD, LOSS_UNKNOWN_FIELD,
 *      LOSS_BODY_TOO_LARGE, LOSS_OVERLOADED and those of call.h; with the parameter where the query is to blame */
struct safetensors_decoder;
struct safetensors_decoder *safetensors_decoder_new(struct loss_arena *arena,
                                                    const struct safetensors_options *options);
loss_status safetensors_decoder_feed(struct safetensors_decoder *d, const char *bytes, size_t n,
                                     struct loss_error *err);
/* The whole body was fed: fill *out, whose tensors lie in the arena. */
/* The whole body was fed: the file, whose tensors lie in the arena. */
loss_status safetensors_decoder_file(struct safetensors_decoder *d, const struct safetensors_header **out,
                                     struct loss_error *err);
loss_status safetensors_decoder_end(struct safetensors_decoder *d, struct call *out, struct loss_error *err);

/* Body and media type of *r: tensors are sent from where they lie, so the answer must live as long as the request. */
loss_status safetensors_encode(struct loss_arena *arena, const struct call *call, const struct call_answer *answer,
                               struct reply *r, struct loss_error *err);

#endif
