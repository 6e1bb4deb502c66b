/* SPDX-License-Identifier: Apache-2.0
 *
 * evaluate_routes.h - POST /v1/evaluate: a row of the route table.
 */
#ifndef SERVER_EVALUATE_ROUTES_H
#define SERVER_EVALUATE_ROUTES_H

#include <server/http/request.h>

extern const char *const evaluate_query[]; /* nonfinite, strict */
extern const char *const evaluate_media[];
loss_status evaluate_begin(struct request *q, struct loss_error *err);
loss_status evaluate_feed(struct request *q, const char *bytes, size_t n, struct loss_error *err);
loss_status evaluate_step(struct request *q, struct reply *r, struct loss_error *err);

#define EVALUATE_ROUTES                                                                                                \
    {.method = "POST",                                                                                                 \
     .path = "/v1/evaluate",                                                                                           \
     .access = ACCESS_COMPUTE,                                                                                         \
     .query = evaluate_query,                                                                                          \
     .body = BODY_STREAM,                                                                                              \
     .many_losses = true,                                                                                              \
     .media = evaluate_media,                                                                                          \
     .start = NEXT_HERE,                                                                                               \
     .begin = evaluate_begin,                                                                                          \
     .feed = evaluate_feed,                                                                                            \
     .step = evaluate_step},

#endif
