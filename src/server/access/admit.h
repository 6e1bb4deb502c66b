/* SPDX-License-Identifier: Apache-2.0
 *
 * admit.h - who may do what: a request's key, its rate limit, and the scope that its route needs.
 *
 * Looked at when the head is there, before anything of the body. Without --auth-file everybody may do everything.
 */
#ifndef SERVER_ADMIT_H
#define SERVER_ADMIT_H

#include <server/access/keyfile.h>
#include <server/http/request.h>
#include <server/routes/routes.h>

#define ADMIT_ANY_KEY N_SCOPES

/* The scope that a key needs for a route; ADMIT_ANY_KEY: none. */
key_scope admit_needs(route_access access);

/* Sets q->registry, to the default namespace or to that of the key, and q->key. q->route may be NULL: any key will do
 * to be told that there is no such path. `preflight`: an OPTIONS request, which browsers send without a key.
 * err  LOSS_UNAUTHORIZED, LOSS_RATE_LIMITED (sets q->retry_after), LOSS_FORBIDDEN */
loss_status admit_request(struct request *q, bool preflight, struct loss_error *err);

/* Has the request's key this scope? For what only the body says: `pointer` is to blame.
 * err  LOSS_FORBIDDEN */
loss_status admit_scope(const struct request *q, key_scope scope, const char *pointer, struct loss_error *err);

#endif
