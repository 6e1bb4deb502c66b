/* SPDX-License-Identifier: Apache-2.0
 *
 * routes.c - the table, its matching, and the routes of operating a server.
 */
#include <server/routes/routes.h>

#include <string.h>

#include <loss/compute.h>
#include <server/metrics.h>
#include <server/routes/evaluate_routes.h>
#include <server/routes/loss_routes.h>
#include <server/routes/oip_routes.h>
#include <server/routes/registry_routes.h>
#include <server/server.h>
#include <text/json_write.h>

static loss_status answer_json(struct request *q, struct reply *r, const struct json_out *o, struct loss_error *err)
{
    if (o->failed) {
        return loss_no_memory(err, "an answer");
    }
    r->status = 200;
    r->content_type = "application/json";
    r->body = o->data;
    r->size = o->size;
    q->next = NEXT_DONE;
    return LOSS_OK;
}

static loss_status answer_word(struct request *q, struct reply *r, const char *word, struct loss_error *err)
{
    struct json_out o;

    json_out_init(&o, q->arena);
    json_out_open(&o, '{');
    json_out_key(&o, "status");
    json_out_string(&o, word);
    json_out_close(&o, '}');
    return answer_json(q, r, &o, err);
}

static loss_status step_healthz(struct request *q, struct reply *r, struct loss_error *err)
{
    return answer_word(q, r, "alive", err);
}

/* Draining is told from the HTTP thread, at once; the store may have to be waited for. */
static loss_status step_readyz(struct request *q, struct reply *r, struct loss_error *err)
{
    if (atomic_load(&q->server->draining)) {
        return loss_fail(err, LOSS_SHUTTING_DOWN, "", "the server is shutting down and takes no new work");
    }
    if (q->next != NEXT_STORE) {
        q->next = NEXT_STORE;
        return LOSS_OK;
    }
    LOSS_TRY(registry_ready(q->server->registries, err));
    return answer_word(q, r, "ready", err);
}

static loss_status step_metrics(struct request *q, struct reply *r, struct loss_error *err)
{
    r->body = metrics_text(q->server, q->arena, &r->size);
    if (r->body == NULL) {
        return loss_no_memory(err, "an answer");
    }
    r->status = 200;
    r->content_type = "text/plain; version=0.0.4; charset=utf-8";
    q->next = NEXT_DONE;
    return LOSS_OK;
}

/* Where to go from "/": every path that a plain GET reads. */
static loss_status step_index(struct request *q, struct reply *r, struct loss_error *err)
{
    struct json_out o;

    json_out_init(&o, q->arena);
    json_out_open(&o, '{');
    json_out_key(&o, "name");
    json_out_string(&o, "lossd");
    json_out_key(&o, "version");
    json_out_string(&o, loss_version());
    json_out_key(&o, "links");
    json_out_open(&o, '[');
    for (size_t i = 0; i < n_routes; i++) {
        if (strcmp(routes[i].method, "GET") == 0 && strchr(routes[i].path, '{') == NULL) {
            json_out_string(&o, routes[i].path);
        }
    }
    json_out_close(&o, ']');
    json_out_close(&o, '}');
    return answer_json(q, r, &o, err);
}

const struct route routes[] = {
    {.method = "GET", .path = "/", .access = ACCESS_DOCS, .start = NEXT_HERE, .step = step_index},
    {.method = "GET", .path = "/healthz", .access = ACCESS_OPEN, .start = NEXT_HERE, .step = step_healthz},
    {.method = "GET", .path = "/readyz", .access = ACCESS_OPEN, .start = NEXT_HERE, .step = step_readyz},
    {.method = "GET", .path = "/metrics", .access = ACCESS_METRICS, .start = NEXT_HERE, .step = step_metrics},
    LOSS_ROUTES EVALUATE_ROUTES REGISTRY_ROUTES OIP_ROUTES};
const size_t n_routes = sizeof routes / sizeof routes[0];

/* One part of a route's path against one of the request's: behind the former, or NULL where they differ. A name may be
 * empty (its own route says what is wrong with it), but not at the end: /v1/losses/ is another path. */
static const char *behind_part(const char *part, const char *segment, bool last)
{
    if (part[0] == '{') {
        return last && segment[0] == '\0' ? NULL : strchrnul(part, '/');
    }
    while (*part != '\0' && *part != '/' && *part == *segment) {
        part++;
        segment++;
    }
    return (*part == '\0' || *part == '/') && *segment == '\0' ? part : NULL;
}

/* "/v1/losses/{loss}" fits /v1/losses/huber_loss. */
static bool path_fits(const char *path, const struct request *q)
{
    size_t i = 0;

    if (strcmp(path, "/") == 0) {
        return q->n_segments == 0;
    }
    for (const char *part = path; *part == '/'; i++) {
        if (i == q->n_segments) {
            return false;
        }
        part = behind_part(part + 1, q->segment[i], i + 1 == q->n_segments);
        if (part == NULL) {
            return false;
        }
    }
    return i == q->n_segments;
}

/* HEAD is answered by GET's route. */
static const char *route_method(const struct request *q)
{
    return strcmp(q->method, "HEAD") == 0 ? "GET" : q->method;
}

const struct route *routes_match(const struct request *q, bool *path_known)
{
    const char *method = route_method(q);

    *path_known = false;
    for (size_t i = 0; i < n_routes; i++) {
        if (path_fits(routes[i].path, q)) {
            if (strcmp(routes[i].method, method) == 0) {
                return &routes[i];
            }
            *path_known = true;
        }
    }
    return NULL;
}

/* Does an earlier row say so of this path? /v2/models/stats fits two. */
static bool listed_before(const struct request *q, size_t row)
{
    size_t i = 0;

    while (i < row && !(strcmp(routes[i].method, routes[row].method) == 0 && path_fits(routes[i].path, q))) {
        i++;
    }
    return i < row;
}

const char *routes_allow(const struct request *q)
{
    const char *allow = "";

    for (size_t i = 0; i < n_routes && allow != NULL; i++) {
        if (path_fits(routes[i].path, q) && !listed_before(q, i)) {
            bool get = strcmp(routes[i].method, "GET") == 0;
            allow = loss_arena_format(q->arena, "%s%s%s, ", allow, routes[i].method, get ? ", HEAD" : "");
        }
    }
    return allow != NULL ? loss_arena_format(q->arena, "%sOPTIONS", allow) : NULL;
}
