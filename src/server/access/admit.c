/* SPDX-License-Identifier: Apache-2.0
 *
 * admit.c - the key of a request, and what its route asks of it.
 */
#include <server/access/admit.h>

#include <string.h>
#include <strings.h>
#include <time.h>

#include <server/access/auth.h>
#include <server/server.h>

#define SECOND_NS INT64_C(1000000000)

/* Access that --open-paths gives to those without a key. */
static bool is_open(const struct request *q, route_access access)
{
    int64_t open = q->server->conf->open_paths;
    return access == ACCESS_OPEN || (access == ACCESS_DOCS && (open & CONF_OPEN_DOCS) != 0) ||
           (access == ACCESS_METRICS && (open & CONF_OPEN_METRICS) != 0);
}

/* The key as it was sent, and its length; 0: none was. A proxy may use Authorization for a scheme of its own. */
static const char *sent_key(const struct request *q, size_t *n)
{
    static const char scheme[] = "Bearer ";
    const char *value = request_header(q, "Authorization");
    if (value != NULL && strncasecmp(value, scheme, sizeof scheme - 1) == 0) {
        value += sizeof scheme - 1;
    } else {
        value = request_header(q, "X-API-Key");
    }
    if (value == NULL) {
        value = "";
    }
    value += strspn(value, " \t");
    *n = strlen(value);
    while (*n > 0 && (value[*n - 1] == ' ' || value[*n - 1] == '\t')) { /* libmicrohttpd leaves it to us */
        (*n)--;
    }
    return value;
}

/* Seconds since 1970, of the last tick. */
static int64_t wall_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return t.tv_sec;
}

static loss_status unauthorized(const struct request *q, auth_failure why, struct loss_error *err)
{
    static const char *const details[N_AUTH_FAILURES] = {
        [AUTH_MISSING] = "this needs a key: send the header Authorization: Bearer KEY",
        [AUTH_UNKNOWN] = "there is no such key; it may have been revoked",
        [AUTH_EXPIRED] = "the key has expired"};
    auth_count_failure(q->server->auth, why);
    return loss_fail_parameter(err, LOSS_UNAUTHORIZED, "Authorization", "%s", details[why]);
}

static loss_status identify(struct request *q, struct loss_error *err)
{
    size_t n;
    const char *sent = sent_key(q, &n);
    if (n == 0) {
        return unauthorized(q, AUTH_MISSING, err);
    }
    const struct auth_key *key = auth_find(q->keys, sent, n);
    if (key == NULL) {
        return unauthorized(q, AUTH_UNKNOWN, err);
    }
    if (key->is.expires != 0 && wall_seconds() >= key->is.expires) {
        return unauthorized(q, AUTH_EXPIRED, err);
    }
    q->key = key;
    q->registry = key->registry;
    return LOSS_OK;
}

static loss_status take_token(struct request *q, struct loss_error *err)
{
    const struct keyfile_key *key = &q->key->is;
    if (key->interval_ns == 0) {
        return LOSS_OK;
    }
    int64_t wait = rate_take(&q->key->use->rate, key->interval_ns, key->burst, q->times.begun * 1000);
    if (wait == 0) {
        return LOSS_OK;
    }
    atomic_fetch_add_explicit(&q->key->use->limited, 1, memory_order_relaxed);
    q->retry_after = (unsigned)((wait + SECOND_NS - 1) / SECOND_NS);
    return loss_fail(
        err, LOSS_RATE_LIMITED, "",
        "the key \"%s\" may send a request every %.6g seconds, and %lld at once; the next one in %.6g seconds",
        key->name, (double)key->interval_ns / SECOND_NS, (long long)key->burst, (double)wait / SECOND_NS);
}

key_scope admit_needs(route_access access)
{
    switch (access) {
    case ACCESS_COMPUTE:
        return SCOPE_COMPUTE;
    case ACCESS_REGISTRY_READ:
        return SCOPE_REGISTRY_READ;
    case ACCESS_REGISTRY_WRITE:
        return SCOPE_REGISTRY_WRITE;
    case ACCESS_OPEN:
    case ACCESS_DOCS:
        return ADMIT_ANY_KEY;
    case ACCESS_UNSAID: /* a row that forgot to say stays closed to most */
    case ACCESS_METRICS:
        break;
    }
    return SCOPE_ADMIN;
}

loss_status admit_scope(const struct request *q, key_scope scope, const char *pointer, struct loss_error *err)
{
    if (q->key == NULL || scope == ADMIT_ANY_KEY || (q->key->is.scopes & 1u << scope) != 0) {
        return LOSS_OK;
    }
    return loss_fail(err, LOSS_FORBIDDEN, pointer, "this needs the scope %s, which the key \"%s\" does not have",
                     keyfile_scope_name(scope), q->key->is.name);
}

loss_status admit_request(struct request *q, bool preflight, struct loss_error *err)
{
    route_access access = q->route != NULL ? q->route->access : ACCESS_DOCS;
    if (q->server->auth == NULL) {
        q->registry = q->server->registries;
        return LOSS_OK;
    }
    if (preflight || is_open(q, access)) {
        return LOSS_OK;
    }
    LOSS_TRY(identify(q, err));
    LOSS_TRY(take_token(q, err));
    return admit_scope(q, admit_needs(access), "", err);
}
