/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_routes.h - the registry over HTTP: rows of the route table.
 *
 * What calls the registry runs on the store executor; what is added is read before, and answered after, on the connection's own
 * thread. Answers are JSON. A query value that is empty or out of
 * range is LOSS_INVALID_PARAMETER with its parameter; a field of the body that is, with its pointer.
 */
#ifndef SERVER_REGISTRY_ROUTES_H
#define SERVER_REGISTRY_ROUTES_H

#include <server/http/request.h>

loss_status registry_index_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status registry_show_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status registry_put_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status registry_delete_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status registry_add_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status registry_add_regularization_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status registry_list_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status registry_list_regularization_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status registry_entry_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status registry_total_step(struct request *q, struct reply *r, struct loss_error *err);
loss_status registry_total_regularization_step(struct request *q, struct reply *r, struct loss_error *err);

/* The query fields that the routes take. */
extern const char *const registry_page_query[];
extern const char *const registry_list_query[];
extern const char *const registry_list_regularization_query[];
extern const char *const registry_scope_query[];
extern const char *const registry_step_query[];
extern const char *const registry_total_query[];

#define REGISTRY_ROUTE_AT(first, verb, where, who, names, kind, function)                                              \
    {                                                                                                                  \
        .method = verb, .path = "/v1/registries" where, .access = ACCESS_REGISTRY_##who, .query = names, .body = kind, \
        .start = first, .step = function                                                                               \
    }
#define REGISTRY_ROUTE(...) REGISTRY_ROUTE_AT(NEXT_STORE, __VA_ARGS__)
#define REGISTRY_ADD(...) REGISTRY_ROUTE_AT(NEXT_HERE, "POST", __VA_ARGS__)

#define REGISTRY_ROUTES                                                                                                \
    REGISTRY_ROUTE("GET", "", READ, registry_page_query, BODY_NONE, registry_index_step),                              \
        REGISTRY_ROUTE("GET", "/{registry}", READ, NULL, BODY_NONE, registry_show_step),                               \
        REGISTRY_ROUTE("PUT", "/{registry}", WRITE, NULL, BODY_SMALL, registry_put_step),                              \
        REGISTRY_ROUTE("DELETE", "/{registry}", WRITE, registry_scope_query, BODY_NONE, registry_delete_step),         \
        REGISTRY_ADD("/{registry}/losses", WRITE, NULL, BODY_SMALL, registry_add_step),                                \
        REGISTRY_ROUTE("GET", "/{registry}/losses", READ, registry_list_query, BODY_NONE, registry_list_step),         \
        REGISTRY_ROUTE("GET", "/{registry}/losses/{name}", READ, registry_step_query, BODY_NONE, registry_entry_step), \
        REGISTRY_ADD("/{registry}/regularization_losses", WRITE, NULL, BODY_SMALL, registry_add_regularization_step),  \
        REGISTRY_ROUTE("GET", "/{registry}/regularization_losses", READ, registry_list_regularization_query,           \
                       BODY_NONE, registry_list_regularization_step),                                                  \
        REGISTRY_ROUTE("GET", "/{registry}/regularization_loss", READ, registry_scope_query, BODY_NONE,                \
                       registry_total_regularization_step),                                                            \
        REGISTRY_ROUTE("GET", "/{registry}/total_loss", READ, registry_total_query, BODY_NONE, registry_total_step),

#endif
