/* SPDX-License-Identifier: Apache-2.0
 *
 * accept.h - what a client takes for an answer (RFC 9110, section 12.5).
 */
#ifndef SERVER_ACCEPT_H
#define SERVER_ACCEPT_H

#include <server/http/request.h>

/* How much a client likes a media type ("application/json"), 0 (not at all) to 1000, by the value of its Accept header
 * (NULL: it likes everything). The most specific range that fits decides. */
int accept_quality(const char *accept, const char *type);

/* The weight, 0 to 1000, that a list like Accept-Encoding gives a token, "gzip" or "*"; -1 where it does not name it or
 * is NULL. */
int accept_weight(const char *accept, const char *token);

/* On the HTTP thread.
 * err  LOSS_NOT_ACCEPTABLE: the client does not take JSON */
loss_status accept_json(const struct request *q, struct loss_error *err);

#endif
