/* SPDX-License-Identifier: Apache-2.0
 *
 * oip.h - the Open Inference Protocol V2 with its binary tensor extension: a body to a call, an answer to a body.
 *
 * Every loss is a model. A request is JSON, behind which the bytes of tensors may stand, in the order in which the JSON
 * names them; then a header field says how long the JSON is. Such tensors are read into the place where they are
 * computed, and those of an answer are sent from the place where they were computed.
 */
#ifndef SERVER_OIP_H
#define SERVER_OIP_H

#include <server/formats/call.h>
#include <server/http/request.h>
#include <server/metrics.h>
#include <text/json_write.h>

#define OIP_VERSION "1" /* of every model */
#define OIP_LENGTH_HEADER "Inference-Header-Content-Length"

/* loss, losses, the totals, a gradient for each input and the weights */
#define OIP_MAX_TOTALS 8
#define OIP_MAX_OUTPUTS (2 + OIP_MAX_TOTALS + LOSS_MAX_INPUTS + 1)

/* What an output holds. */
typedef enum { OIP_LOSS, OIP_LOSSES, OIP_TOTAL, OIP_GRADIENT } oip_what;

struct oip_output {
    const char *name; /* as it was asked for */
    oip_what what;
    int index; /* OIP_TOTAL: of oip_totals; OIP_GRADIENT: of loss_answer.gradient */
    bool binary;
};

struct oip_call {
    struct call call;
    const char *id; /* NULL: none */
    size_t id_size;
    struct oip_output output[OIP_MAX_OUTPUTS];
    size_t n_outputs;
    int64_t timeout_us; /* 0: none */
};

/* "totals.sum", ... */
struct oip_total {
    const char *name;
    double (*of)(const struct loss_totals *totals);
};
extern const struct oip_total oip_totals[];
extern const size_t n_oip_totals;

/* Find the output of this name, by names and aliases of inputs too; false: the loss has none such. */
bool oip_output_find(const struct loss_desc *desc, const char *name, struct oip_output *out);

/* "FP32"; NULL: there is none for this dtype. */
const char *oip_datatype_name(loss_dtype dtype);
bool oip_datatype_parse(const char *name, loss_dtype *out);

/* --- inwards --- */

struct oip_decoder;

struct oip_decode_options {
    const struct loss_desc *desc;
    const struct loss_alias *alias; /* or NULL */
    const char *json_size;          /* the header field as it was sent; NULL: the body is JSON */
    bool has_body_size;
    uint64_t body_size; /* of the whole body, where it is known before it is there */
    uint64_t max_body;
    int max_depth;
};

/* err  LOSS_INVALID_PARAMETER: the header field; LOSS_OVERLOADED */
loss_status oip_decoder_new(struct loss_arena *arena, const struct oip_decode_options *options,
                            struct oip_decoder **out, struct loss_error *err);
loss_status oip_decoder_feed(struct oip_decoder *d, const char *bytes, size_t n, struct loss_error *err);
/* The whole body was fed: fill *out (its tensors lie in the arena). */
loss_status oip_decoder_end(struct oip_decoder *d, struct oip_call *out, struct loss_error *err);

/* --- outwards --- */

/* Fill the body of a reply: printed at once, as the socket drains, or in parts. All must outlive it.
 * err  LOSS_OVERLOADED */
loss_status oip_encode(struct loss_arena *arena, const struct oip_call *oip, const struct loss_answer *answer,
                       const char *model, struct reply *r, struct loss_error *err);

/* --- descriptions --- */

void oip_write_server(struct json_out *o);
void oip_write_model(struct json_out *o, const struct loss_desc *desc, const char *name);
void oip_write_index(struct json_out *o);
/* Of one loss, under this name; desc NULL: of all. */
void oip_write_stats(struct json_out *o, const struct metrics *metrics, const struct loss_desc *desc, const char *name);

#endif
