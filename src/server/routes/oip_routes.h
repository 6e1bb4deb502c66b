/* SPDX-License-Identifier: Apache-2.0
 *
 * oip_routes.h - the Open Inference Protocol over HTTP: rows of the route table.
 */
#ifndef SERVER_OIP_ROUTES_H
#define SERVER_OIP_ROUTES_H

#include <server/http/request.h>

extern const char *const oip_media[]; /* JSON, or JSON with bytes behind it */

loss_status oip_infer_begin(struct request *q, struct loss_error *err);
loss_status oip_infer_feed(struct request *q, const char *bytes, size_t n, struct loss_error *err);
loss_status oip_infer_step(struct request *q, struct reply *r, struct loss_error *err);

loss_status oip_server_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status oip_live_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status oip_ready_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status oip_model_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status oip_model_ready_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status oip_stats_step(struct request *q, struct reply *r, struct loss_error *err);     /* of one model */
loss_status oip_all_stats_step(struct request *q, struct reply *r, struct loss_error *err); /* of all */
loss_status oip_index_step(struct request *q, struct reply *r, struct loss_error *err);

#define OIP_GET(where, who, what)                                                                                      \
    {                                                                                                                  \
        .method = "GET", .path = where, .access = who, .start = NEXT_HERE, .step = what                                \
    }
#define OIP_INFER(where)                                                                                               \
    {                                                                                                                  \
        .method = "POST", .path = where, .access = ACCESS_COMPUTE, .body = BODY_STREAM, .media = oip_media,            \
        .start = NEXT_HERE, .begin = oip_infer_begin, .feed = oip_infer_feed, .step = oip_infer_step                   \
    }

/* "stats" is no loss: its row stands before those of the models. */
#define OIP_ROUTES                                                                                                     \
    OIP_GET("/v2", ACCESS_DOCS, oip_server_step), OIP_GET("/v2/", ACCESS_DOCS, oip_server_step),                       \
        OIP_GET("/v2/health/live", ACCESS_OPEN, oip_live_step),                                                        \
        OIP_GET("/v2/health/ready", ACCESS_OPEN, oip_ready_step),                                                      \
        OIP_GET("/v2/models/stats", ACCESS_METRICS, oip_all_stats_step),                                               \
        OIP_GET("/v2/models/{loss}", ACCESS_DOCS, oip_model_step),                                                     \
        OIP_GET("/v2/models/{loss}/versions/{version}", ACCESS_DOCS, oip_model_step),                                  \
        OIP_GET("/v2/models/{loss}/ready", ACCESS_DOCS, oip_model_ready_step),                                         \
        OIP_GET("/v2/models/{loss}/versions/{version}/ready", ACCESS_DOCS, oip_model_ready_step),                      \
        OIP_GET("/v2/models/{loss}/stats", ACCESS_METRICS, oip_stats_step),                                            \
        OIP_GET("/v2/models/{loss}/versions/{version}/stats", ACCESS_METRICS, oip_stats_step),                         \
        OIP_INFER("/v2/models/{loss}/infer"), OIP_INFER("/v2/models/{loss}/versions/{version}/infer"),                 \
        {.method = "POST",                                                                                             \
         .path = "/v2/repository/index",                                                                               \
         .access = ACCESS_DOCS,                                                                                        \
         .body = BODY_SMALL,                                                                                           \
         .media = oip_media,                                                                                           \
         .start = NEXT_HERE,                                                                                           \
         .step = oip_index_step},

#endif
