/* SPDX-License-Identifier: Apache-2.0
 *
 * health.c - lossd health: is the server at an address ready? For container health checks, where there is no curl.
 *
 * Without an argument it asks where `lossd serve` would listen by the environment: LOSSD_LISTEN, else 127.0.0.1:8080;
 * by TLS where LOSSD_TLS_CERT is set there. It checks no certificate: what it asks is whether its neighbour is ready.
 */
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <server/http/tls.h>

#include "commands.h"

#define DEFAULT_ADDRESS "127.0.0.1:8080"
#define TIMEOUT_SECONDS 3

struct address {
    char host[256], port[8];
};

/* "HOST:PORT", "[HOST]:PORT" or ":PORT" (this machine). */
static bool parse_address(const char *text, struct address *out)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) >= sizeof out->port) {
        return false;
    }
    size_t n = (size_t)(colon - text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n >= sizeof out->host) {
        return false;
    }
    memcpy(out->host, text, n);
    out->host[n] = '\0';
    if (n == 0) {
        strcpy(out->host, "127.0.0.1");
    }
    strcpy(out->port, colon + 1);
    return true;
}

/* A connected socket, or -1. */
static int connect_to(const struct address *address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
    struct addrinfo *found = NULL;
    int fd = -1;

    if (getaddrinfo(address->host, address->port, &hints, &found) != 0) {
        return -1;
    }
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0) {
            continue;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout); /* of connect, too */
        if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* Of an answer's first n bytes, for which there is room for one more; 0: it is none. */
static int read_status(char *head, size_t n)
{
    head[n] = '\0';
    return strncmp(head, "HTTP/1.1 ", 9) == 0 ? (int)strtol(head + 9, NULL, 10) : 0;
}

/* The status that GET /readyz answers, or 0. */
static int ask_ready(int fd)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    const char *cert = getenv("LOSSD_TLS_CERT");
    char head[32];
    size_t n = 0;

    if (cert != NULL && cert[0] != '\0') {
        n = tls_ask(fd, cert, getenv("LOSSD_TLS_KEY"), request, head, sizeof head - 1);
        return read_status(head, n);
    }
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof request - 1)) {
        return 0;
    }
    while (n < sizeof head - 1) {
        ssize_t got = recv(fd, head + n, sizeof head - 1 - n, 0);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    return read_status(head, n);
}

int cmd_health(int argc, char **argv)
{
    const char *text = getenv("LOSSD_LISTEN");
    struct address address;

    if (argc > 1) {
        text = argv[1];
    }
    if (text == NULL || text[0] == '\0') {
        text = DEFAULT_ADDRESS;
    }
    if (argc > 2 || !parse_address(text, &address)) {
        fprintf(stderr, "usage: lossd health [HOST:PORT]\n");
        return 2;
    }
    int fd = connect_to(&address);
    if (fd < 0) {
        fprintf(stderr, "lossd health: nothing answers at %s\n", text);
        return 1;
    }
    int status = ask_ready(fd);
    close(fd);
    if (status != 200) {
        fprintf(stderr, "lossd health: %s is not ready (status %d)\n", text, status);
        return 1;
    }
    return 0;
}
