/* SPDX-License-Identifier: Apache-2.0
 *
 * handshake.h - connections that wait for their client in the middle of a TLS handshake.
 *
 * libmicrohttpd 0.9.75 on epoll does not wait there: it asks for the next bytes again and again until they come, so that
 * one client that connects and says little keeps an HTTP thread busy. So the bytes are fetched by a function of ours,
 * which suspends the connection where there are none, and a thread resumes it when there are. How long a client may take
 * is pace.h's matter: the socket that it shuts down wakes the thread as well.
 */
#ifndef SERVER_HANDSHAKE_H
#define SERVER_HANDSHAKE_H

#include <microhttpd.h>

struct handshakes;
struct handshake;

struct handshakes *handshakes_new(void); /* NULL: no memory, descriptor or thread */
/* Wait for nobody any more: those that wait are given up, and resumed. Before their libmicrohttpds are stopped. */
void handshakes_stop(struct handshakes *all); /* NULL is fine */
void handshakes_free(struct handshakes *all); /* after they are stopped; NULL is fine */

/* A connection begins, on its own thread; `session` is its gnutls_session_t. NULL: no memory, and it will be closed. */
struct handshake *handshake_begin(struct handshakes *all, struct MHD_Connection *connection, void *session, int fd);
/* It has ended, and its socket is not closed yet; NULL is fine. */
void handshake_end(struct handshake *h);

#endif
