/* SPDX-License-Identifier: Apache-2.0
 *
 * head.h - what the head of a request says, and whether it may go on.
 */
#ifndef SERVER_HEAD_H
#define SERVER_HEAD_H

#include <server/http/request.h>

/* Request id and trace context, taken over or made: first, so that every answer has them. False: no memory. */
bool head_identify(struct request *q);

/* Target, route, query, deadline, idempotency key, media type and codings. OPTIONS of a known path has no route.
 * err  the 400s of uri_read, LOSS_UNKNOWN_FIELD, LOSS_DUPLICATE_FIELD, LOSS_INVALID_PARAMETER, LOSS_NOT_FOUND,
 *      LOSS_METHOD_NOT_ALLOWED, LOSS_UNSUPPORTED_MEDIA, LOSS_NOT_ACCEPTABLE, LOSS_OVERLOADED */
loss_status head_read(struct request *q, struct loss_error *err);

#endif
