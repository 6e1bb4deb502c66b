/* SPDX-License-Identifier: Apache-2.0
 *
 * http.h - the server on its socket: what request.h has passes through it; libmicrohttpd is known to it and to
 * workers.h alone.
 */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include <stddef.h>

struct server;

struct http;

/* Serve on a listening socket, which is ours from now on; NULL: could not start. */
struct http *http_start(struct server *server, int listen_fd);
/* Accept no more connections and answer new requests 503, but for those about the server itself. */
void http_refuse(struct http *h);
/* Give up the calls in flight: they count as cancelled from now on. */
void http_abandon(struct http *h);
/* Calls on an executor. While there are any, http_stop must not be called. */
size_t http_suspended(const struct http *h);
void http_stop(struct http *h); /* closes what is left; NULL is fine */

#endif
