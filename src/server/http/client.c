/* SPDX-License-Identifier: Apache-2.0
 *
 * client.c - sockets, with TLS or without.
 */
#include <server/http/client.h>

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <server/access/auth.h>

struct client *client_new(struct MHD_Connection *connection, struct tls *tls, struct handshakes *handshakes)
{
    struct client *c = calloc(1, sizeof *c);
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

    if (c == NULL) {
        (void)shutdown(fd, SHUT_RDWR);
        return NULL;
    }
    c->fd = fd;
    if (tls != NULL) {
        c->session = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session;
        c->pace.encrypted = true;
        c->identity = tls_begin(tls, c->session);
        c->handshake = handshake_begin(handshakes, connection, c->session, fd);
    }
    return c;
}

void client_free(struct client *c)
{
    if (c != NULL) {
        handshake_end(c->handshake);
        tls_end(c->identity);
        auth_release(c->keys);
        free(c);
    }
}

struct client *client_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* Everything that arrived was read, and no more will come. Under TLS its good-bye lies there unread, and is enough. */
bool client_left(const struct client *c)
{
    struct pollfd hung_up = {.fd = c->fd, .events = POLLRDHUP};
    char byte;

    if (c->session != NULL) {
        return poll(&hung_up, 1, 0) > 0;
    }
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void client_send(struct client *c, const void *head, size_t head_size, const void *body, size_t body_size)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)head, head_size}, {(void *)(uintptr_t)body, body_size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    if (c->session != NULL) {
        tls_send(c->session, head, head_size);
        tls_send(c->session, body, body_size);
        return;
    }
    ssize_t written = sendmsg(c->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE); /* one segment with the end */
    (void)written; /* a client that is gone needs no answer */
}

int client_dup(struct client *c)
{
    if (c->session != NULL) {
        tls_bye(c->session); /* lingering shuts the socket down, and then it is too late */
    }
    return dup(c->fd);
}
