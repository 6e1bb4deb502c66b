/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h - the JSON body format: text to a call, an answer to text. jansson.h stops here.
 */
#ifndef SERVER_JSON_H
#define SERVER_JSON_H

#include <server/formats/call.h>

struct json_decoder;

struct json_decode_options {
    const struct loss_desc *desc;
    const struct loss_alias *alias; /* or NULL */
    bool has_dtype;                 /* ?dtype= was given: it wins over the body */
    loss_dtype dtype;
    bool strict; /* ?strict=true */
    int max_depth;
    size_t size; /* of the body, where it was announced; else 0 */
};

struct json_decoder *json_decoder_new(struct loss_arena *arena, const struct json_decode_options *options);
loss_status json_decoder_feed(struct json_decoder *d, const char *bytes, size_t n, struct loss_error *err);
/* The whole body was fed: fill *out (its tensors lie in the arena). */
loss_status json_decoder_end(struct json_decoder *d, struct call *out, struct loss_error *err);

/* The answer's text, printed piece by piece: state for reply.more. `literal`: ?nonfinite=literal. The call and its
 * answer must outlive it. */
struct json_encoder;
struct json_encoder *json_encoder_new(struct loss_arena *arena, const struct call *call,
                                      const struct call_answer *answer, bool literal);
size_t json_encoder_more(void *encoder, char *buf, size_t max);             /* 0: that was all */
const char *json_encoder_whole(const struct json_encoder *e, size_t *size); /* all of it; NULL: it has tensors */
size_t json_encoder_bound(const struct json_encoder *e);                    /* no more bytes than this */

/* A small JSON document (registry calls): numbers and strings of one flat object, checked as strictly as a call. */
struct json_member {
    const char *name;
    enum { JSON_MEMBER_STRING, JSON_MEMBER_NUMBER, JSON_MEMBER_WHOLE } type;
    bool required;
    /* out */
    bool given;
    const char *string;
    double number; /* JSON_MEMBER_WHOLE: a whole number within 2^53 */
};
/* err  LOSS_MALFORMED_JSON, LOSS_UNKNOWN_FIELD, LOSS_DUPLICATE_FIELD, LOSS_MISSING_FIELD, LOSS_INVALID_PARAMETER,
 *      LOSS_NUMBER_OUT_OF_RANGE, LOSS_INVALID_NAME (a NUL in a string, which here is always a name) */
loss_status json_read_members(struct loss_arena *arena, const char *body, size_t size, struct json_member *members,
                              size_t n, struct loss_error *err);

#endif
