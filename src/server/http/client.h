/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h - a connection: what outlives its requests, and what is done on its socket past libmicrohttpd.
 *
 * On its own HTTP thread, but for client_left.
 */
#ifndef SERVER_CLIENT_H
#define SERVER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <server/http/handshake.h>
#include <server/http/pace.h>
#include <server/http/tls.h>

struct auth_table;
struct exchange;
struct worker_own;

struct client {
    int fd;
    struct worker_own *own;   /* its thread's */
    void *session;            /* TLS; NULL: plain HTTP */
    struct exchange *current; /* begun, and not completed */
    struct auth_table *keys;  /* as of its last request */
    struct pace pace;
    struct tls_identity *identity;
    struct handshake *handshake;
};

/* Of a connection that has just begun; with `tls` NULL for plain HTTP. NULL: no memory, and the socket is shut down. */
struct client *client_new(struct MHD_Connection *connection, struct tls *tls, struct handshakes *handshakes);
void client_free(struct client *c); /* before its socket is closed; NULL is fine */
struct client *client_of(struct MHD_Connection *connection);

/* True if no more will come from it. Any thread, while the connection lives. */
bool client_left(const struct client *c);
/* A whole answer, in the middle of a request: as much of it as there is room for now. */
void client_send(struct client *c, const void *head, size_t head_size, const void *body, size_t body_size);
/* A socket of its own for what the client may still send (linger.h); -1: there is none. */
int client_dup(struct client *c);

#endif
