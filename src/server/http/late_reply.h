/* SPDX-License-Identifier: Apache-2.0
 *
 * late_reply.h - answers past libmicrohttpd, which would not let us answer in the middle of a body.
 *
 * Nothing else may be on its way to the client then. A problem document fits the socket's buffer.
 */
#ifndef SERVER_LATE_REPLY_H
#define SERVER_LATE_REPLY_H

#include <server/http/client.h>
#include <server/http/request.h>

/* Write the reply, whose body lies in one piece, and which says that the connection closes. A client that is gone gets
 * none. */
void late_reply_send(struct client *client, const struct request *q, const struct reply *r, const char *reason);

#endif
