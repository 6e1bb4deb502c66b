/* SPDX-License-Identifier: Apache-2.0
 *
 * body.h - a request's body between the connection and its route: limits, decompression, collecting.
 */
#ifndef SERVER_BODY_H
#define SERVER_BODY_H

#include <server/coding/content.h>
#include <server/http/request.h>

/* In the exchange, zero until it begins. */
struct body {
    struct request *request;
    bool exact;                      /* its length was told */
    struct content_decoder *content; /* NULL: it is not coded */
    char *collected;                 /* for BODY_SMALL, with a NUL behind it */
    size_t capacity;
};

/* With the head.
 * err  LOSS_BODY_TOO_LARGE: so much would not be taken */
loss_status body_check_length(const struct request *q, uint64_t length, struct loss_error *err);
/* err  LOSS_OVERLOADED */
loss_status body_begin(struct body *b, struct request *q, bool exact, struct loss_error *err);
/* A piece as it was sent; q->body_size is what came before it.
 * err  LOSS_BODY_TOO_LARGE, LOSS_OVERLOADED, LOSS_MALFORMED_ENCODING and what the route's feed says */
loss_status body_feed(struct body *b, const char *bytes, size_t n, struct loss_error *err);
/* All is there: q->body is set.
 * err  LOSS_MALFORMED_ENCODING */
loss_status body_end(struct body *b, struct loss_error *err);

#endif
