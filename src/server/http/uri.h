/* SPDX-License-Identifier: Apache-2.0
 *
 * uri.h - a request target, taken apart: path segments and query fields, percent-decoded and checked.
 *
 * A slash that was sent as %2F is part of a name, never a separator. Decoded text is UTF-8 without NUL.
 */
#ifndef SERVER_URI_H
#define SERVER_URI_H

#include <stdbool.h>
#include <stddef.h>

#include <loss/arena.h>
#include <loss/error.h>
#include <server/http/request.h>

#define URI_MAX 8192     /* bytes of a target */
#define URI_MAX_QUERY 64 /* fields of a query */

/* Fill the request's segments and query from its target.
 * err  LOSS_URI_TOO_LONG, LOSS_INVALID_NAME (path), LOSS_BAD_REQUEST (query, with the parameter), LOSS_OVERLOADED */
loss_status uri_read(struct request *q, struct loss_error *err);

bool utf8_valid(const char *s, size_t n);

#endif
