/* SPDX-License-Identifier: Apache-2.0
 *
 * listen.c - resolve, bind, listen.
 */
#include <server/http/listen.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

struct parts {
    char host[256], port[8];
};

static bool split(const char *address, struct parts *out)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) >= sizeof out->port ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
        return false;
    }
    size_t n = (size_t)(colon - address);
    if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    } else if (memchr(address, ':', n) != NULL) {
        return false; /* an IPv6 address without brackets */
    }
    if (n >= sizeof out->host) {
        return false;
    }
    memcpy(out->host, address, n);
    out->host[n] = '\0';
    strcpy(out->port, colon + 1);
    return true;
}

/* A listening socket, or -1 with errno. */
static int open_at(const struct addrinfo *a)
{
    const int on = 1, off = 0;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);

    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* inherited by what is accepted */
    if (a->ai_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

/* The first address that works, those of `family` only (AF_UNSPEC: any). */
static int open_first(const struct addrinfo *found, int family)
{
    int fd = -1;

    errno = EADDRNOTAVAIL;
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
        if (family == AF_UNSPEC || a->ai_family == family) {
            fd = open_at(a);
        }
    }
    return fd;
}

static void describe(const char *scheme, struct listener *out)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } at;
    socklen_t size = sizeof at;
    char host[INET6_ADDRSTRLEN] = "?";

    memset(&at, 0, sizeof at);
    (void)getsockname(out->fd, &at.any, &size);
    if (at.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &at.v6.sin6_addr, host, sizeof host);
        out->loopback = IN6_IS_ADDR_LOOPBACK(&at.v6.sin6_addr);
        snprintf(out->url, sizeof out->url, "%s://[%s]:%d", scheme, host, ntohs(at.v6.sin6_port));
    } else {
        inet_ntop(AF_INET, &at.v4.sin_addr, host, sizeof host);
        out->loopback = ntohl(at.v4.sin_addr.s_addr) >> 24 == 127;
        snprintf(out->url, sizeof out->url, "%s://%s:%d", scheme, host, ntohs(at.v4.sin_port));
    }
}

loss_status listen_open(const char *address, const char *scheme, struct listener *out, struct loss_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    struct parts parts;

    if (!split(address, &parts)) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "",
                         "--listen takes HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080; got \"%s\"", address);
    }
    int failure = getaddrinfo(parts.host[0] != '\0' ? parts.host : NULL, parts.port, &hints, &found);
    if (failure != 0) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "", "cannot listen on %s: %s", address, gai_strerror(failure));
    }
    /* All addresses: a socket for IPv6 takes IPv4 along. */
    out->fd = parts.host[0] == '\0' ? open_first(found, AF_INET6) : -1;
    if (out->fd < 0) {
        out->fd = open_first(found, AF_UNSPEC);
    }
    int why = errno;
    freeaddrinfo(found);
    if (out->fd < 0) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "", "cannot listen on %s: %s%s", address, strerror(why),
                         why == EADDRINUSE ? "; choose another port by --port" : "");
    }
    describe(scheme, out);
    return LOSS_OK;
}
