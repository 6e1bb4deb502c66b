/* SPDX-License-Identifier: Apache-2.0
 *
 * cors.c - a preflight is any OPTIONS request that asks for a method.
 */
#include <server/http/cors.h>

#include <string.h>

#include <server/routes/routes.h>

/* What a page may send and read beyond what browsers let it anyway. */
#define REQUEST_FIELDS                                                                                                 \
    "Accept, Accept-Encoding, Authorization, Content-Encoding, Content-Type, Idempotency-Key, "                        \
    "Inference-Header-Content-Length, X-Api-Key, X-Request-Id, X-Request-Timeout-Ms, traceparent"
#define ANSWER_FIELDS "Allow, Inference-Header-Content-Length, Retry-After, X-Request-Id, traceparent"
#define PREFLIGHT_SECONDS "600"

/* scheme "://" host [":" port], lower case as browsers send it, without a path. */
static bool origin_valid(const char *s, size_t n)
{
    const char *at = memchr(s, ':', n);
    size_t scheme = at != NULL ? (size_t)(at - s) : 0;

    if (scheme == 0 || n < scheme + 4 || memcmp(at, "://", 3) != 0) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool separator = i >= scheme && i < scheme + 3;
        if (!separator && strchr("abcdefghijklmnopqrstuvwxyz0123456789.-+:[]_", s[i]) == NULL) {
            return false;
        }
    }
    return true;
}

bool cors_list_valid(const char *list)
{
    if (strcmp(list, "*") == 0) {
        return true;
    }
    for (;;) {
        size_t n = strcspn(list, ",");
        if (!origin_valid(list, n)) {
            return false;
        }
        if (list[n] == '\0') {
            return true;
        }
        list += n + 1;
    }
}

static bool listed(const char *list, const char *origin)
{
    size_t size = strlen(origin);

    while (size > 0) {
        size_t n = strcspn(list, ",");
        if (n == size && memcmp(list, origin, n) == 0) {
            return true;
        }
        if (list[n] == '\0') {
            break;
        }
        list += n + 1;
    }
    return false;
}

void cors_add(struct request *q, struct reply *r, const char *list)
{
    const char *origin;

    if (list == NULL) {
        return;
    }
    bool any = strcmp(list, "*") == 0;
    if (!any) {
        reply_header(r, "Vary", "Origin"); /* what is cached for one origin is not for another */
    }
    origin = request_header(q, "Origin");
    if (origin == NULL || !(any || listed(list, origin))) {
        return;
    }
    reply_header(r, "Access-Control-Allow-Origin", any ? "*" : origin);
    if (strcmp(q->method, "OPTIONS") != 0 || request_header(q, "Access-Control-Request-Method") == NULL) {
        reply_header(r, "Access-Control-Expose-Headers", ANSWER_FIELDS);
        return;
    }
    const char *allow = routes_allow(q);
    reply_header(r, "Access-Control-Allow-Methods", allow != NULL ? allow : "OPTIONS");
    reply_header(r, "Access-Control-Allow-Headers", REQUEST_FIELDS);
    reply_header(r, "Access-Control-Max-Age", PREFLIGHT_SECONDS);
}
