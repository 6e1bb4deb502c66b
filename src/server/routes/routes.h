/* SPDX-License-Identifier: Apache-2.0
 *
 * routes.h - one table: which method and path is answered by whom.
 *
 * Routing, 405 with Allow, HEAD, OPTIONS, unknown query fields, metrics labels and the OpenAPI paths follow from it.
 */
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

#include <server/http/request.h>

typedef enum {
    BODY_NONE,   /* a body is read and ignored */
    BODY_SMALL,  /* collected into request->body, 1 MiB at most, JSON */
    BODY_STREAM, /* goes to feed as it arrives, up to --max-body */
} route_body;

/* Who may use a route where there are keys (--auth-file). */
typedef enum {
    ACCESS_UNSAID,  /* no row says so; a test sees to it */
    ACCESS_OPEN,    /* everybody */
    ACCESS_DOCS,    /* any key; everybody with --open-paths docs */
    ACCESS_METRICS, /* the scope admin; everybody with --open-paths metrics */
    ACCESS_COMPUTE, /* the scope of that name, and so on */
    ACCESS_REGISTRY_READ,
    ACCESS_REGISTRY_WRITE,
} route_access;

struct route {
    const char *method;       /* "GET" (HEAD comes with it), "POST", … */
    const char *path;         /* "/v1/losses/{loss}" */
    const char *const *query; /* names it takes, NULL-terminated; NULL: none */
    const char *const *media; /* types that a body may have, NULL-terminated; NULL: application/json alone */
    const char *fields_media; /* with a body of this type the query may have any names: begin checks them; or NULL */
    route_body body;
    bool many_losses; /* each number of the body may be computed with many times */
    route_access access;
    request_next start; /* where step runs first */
    /* BODY_STREAM: when the head is there (may look at headers), then each piece. Failing here answers early. */
    loss_status (*begin)(struct request *q, struct loss_error *err);
    loss_status (*feed)(struct request *q, const char *bytes, size_t n, struct loss_error *err);
    /* Called when the body is there. Either fills *r and sets q->next = NEXT_DONE, or sets q->next to where it wants
     * to go on (its own q->state says how far it is). A failure is answered as a problem. */
    loss_status (*step)(struct request *q, struct reply *r, struct loss_error *err);
};

extern const struct route routes[];
extern const size_t n_routes;

/* The route of a request's method and path. NULL: none; *path_known says whether another method has one. */
const struct route *routes_match(const struct request *q, bool *path_known);
/* The methods of a request's path, "GET, HEAD, OPTIONS", in the arena; NULL: no memory. */
const char *routes_allow(const struct request *q);

#endif
