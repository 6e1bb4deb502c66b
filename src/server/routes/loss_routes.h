/* SPDX-License-Identifier: Apache-2.0
 *
 * loss_routes.h - computing losses and reading the catalog over HTTP: rows of the route table.
 */
#ifndef SERVER_LOSS_ROUTES_H
#define SERVER_LOSS_ROUTES_H

#include <server/formats/safetensors_body.h>
#include <server/http/request.h>

/* The loss that the third part of the path names; *alias is NULL where that is its own name.
 * err  LOSS_UNKNOWN_LOSS, with the nearest ones */
loss_status losses_find(const struct request *q, const struct loss_desc **desc, const struct loss_alias **alias,
                        struct loss_error *err);

/* A query field that is one of two words: *out says whether it is the second. Left alone where it is absent. */
loss_status losses_query_choice(const struct request *q, const char *name, const char *no, const char *yes, bool *out,
                                struct loss_error *err);

/* What a computed call adds to the registry it names; *add points to *tally where it accumulates. */
loss_status losses_registry_add(const struct request *q, const struct call *call, const struct call_answer *answer,
                                struct registry_tally *tally, struct registry_add *add, struct loss_error *err);

/* POST /v1/losses/{loss}: a BODY_STREAM route that starts HERE. */
extern const char *const losses_compute_query[]; /* dtype, nonfinite, strict */
extern const char *const losses_compute_media[]; /* JSON and safetensors */
loss_status losses_compute_begin(struct request *q, struct loss_error *err);
loss_status losses_compute_feed(struct request *q, const char *bytes, size_t n, struct loss_error *err);
loss_status losses_compute_step(struct request *q, struct reply *r, struct loss_error *err);

extern const char *const losses_list_query[];                                                /* kind, q */
loss_status losses_list_step(struct request *q, struct reply *r, struct loss_error *err);    /* GET /v1/losses */
loss_status losses_show_step(struct request *q, struct reply *r, struct loss_error *err);    /* GET /v1/losses/{loss} */
loss_status losses_openapi_step(struct request *q, struct reply *r, struct loss_error *err); /* GET /openapi.json */

#define LOSS_ROUTES                                                                                                    \
    {.method = "POST",                                                                                                 \
     .path = "/v1/losses/{loss}",                                                                                      \
     .access = ACCESS_COMPUTE,                                                                                         \
     .query = losses_compute_query,                                                                                    \
     .body = BODY_STREAM,                                                                                              \
     .media = losses_compute_media,                                                                                    \
     .fields_media = SAFETENSORS_MEDIA,                                                                                \
     .start = NEXT_HERE,                                                                                               \
     .begin = losses_compute_begin,                                                                                    \
     .feed = losses_compute_feed,                                                                                      \
     .step = losses_compute_step},                                                                                     \
        {.method = "GET",                                                                                              \
         .path = "/v1/losses",                                                                                         \
         .query = losses_list_query,                                                                                   \
         .access = ACCESS_DOCS,                                                                                        \
         .start = NEXT_HERE,                                                                                           \
         .step = losses_list_step},                                                                                    \
        {.method = "GET",                                                                                              \
         .path = "/v1/losses/{loss}",                                                                                  \
         .access = ACCESS_DOCS,                                                                                        \
         .start = NEXT_HERE,                                                                                           \
         .step = losses_show_step},                                                                                    \
        {.method = "GET",                                                                                              \
         .path = "/openapi.json",                                                                                      \
         .access = ACCESS_DOCS,                                                                                        \
         .start = NEXT_HERE,                                                                                           \
         .step = losses_openapi_step},

#endif
