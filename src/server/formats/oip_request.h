/* SPDX-License-Identifier: Apache-2.0
 *
 * oip_request.h - what oip_decode.c, which has the bytes, and oip_request.c, which reads their JSON, share.
 */
#ifndef SERVER_OIP_REQUEST_H
#define SERVER_OIP_REQUEST_H

#include <server/formats/json_envelope.h>
#include <server/formats/oip.h>

/* Every input, the weights, and every parameter that is a vector. */
#define OIP_MAX_INPUTS (LOSS_MAX_INPUTS + 1 + LOSS_MAX_PARAMS)

struct oip_input {
    struct loss_tensor tensor;
    struct loss_tensor *place; /* in the call; NULL: it is for a parameter */
    int param;                 /* then: which */
    bool binary;               /* tensor.data is filled with `size` bytes of the body */
    size_t size;
};

/* A request as its JSON says. */
struct oip_request {
    struct loss_arena *arena;
    struct json_scan *scan;
    struct oip_call *out;
    struct envelope envelope; /* for parameters */
    struct oip_input input[OIP_MAX_INPUTS];
    size_t n_inputs;
    bool takes_binary;  /* the header field was sent */
    bool binary_output; /* unless an output says otherwise */
    bool has_dtype;
};

/* `call` must have been through call_init. */
void oip_request_init(struct oip_request *r, struct loss_arena *arena, struct json_scan *scan, struct oip_call *out);
/* Read the JSON. The tensors of binary inputs point nowhere yet (data NULL): oip_request_fill gives them memory. */
loss_status oip_request_read(struct oip_request *r, struct loss_error *err);
loss_status oip_request_fill(struct oip_request *r, struct loss_error *err);
/* Once all tensors are there: what could not be checked without them. */
loss_status oip_request_finish(struct oip_request *r, struct loss_error *err);
/* What a request that names no outputs gets. */
void oip_request_default_outputs(struct oip_request *r);

#endif
