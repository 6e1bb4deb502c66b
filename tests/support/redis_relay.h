/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_relay.h - stands between a client and a Redis, and breaks connections at a chosen moment.
 */
#ifndef SUPPORT_REDIS_RELAY_H
#define SUPPORT_REDIS_RELAY_H

#include <pthread.h>
#include <stdatomic.h>

#include <support/redis_server.h>

typedef enum {
    RELAY_PASSES,
    RELAY_DROPS_REQUEST, /* the next script called is not passed on: the connection ends */
    RELAY_DROPS_ANSWER,  /* the next script called is, but its answer is not */
    RELAY_STALLS         /* answers to scripts stay away, and connections stay open */
} relay_mode;

struct redis_relay {
    int to, listening, port;
    _Atomic relay_mode mode;
    atomic_int breaks; /* how often it did */
    atomic_bool ends;
    pthread_t thread;
};

#define RELAY_MOST 32

/* Pass on one piece; false: the pair is to be closed. */
static inline bool relay_piece(struct redis_relay *r, int client, int server)
{
    char bytes[65536];
    ssize_t n = recv(client, bytes, sizeof bytes, 0);
    relay_mode mode = atomic_load(&r->mode);
    if (n <= 0) {
        return false;
    }
    bool script = memmem(bytes, (size_t)n, "EVALSHA", 7) != NULL;
    if (script && mode == RELAY_DROPS_REQUEST) {
        atomic_store(&r->mode, RELAY_PASSES);
        atomic_fetch_add(&r->breaks, 1);
        return false;
    }
    if (send(server, bytes, (size_t)n, MSG_NOSIGNAL) != n) {
        return false;
    }
    if (script && mode == RELAY_DROPS_ANSWER) {
        atomic_store(&r->mode, RELAY_PASSES);
        atomic_fetch_add(&r->breaks, 1);
        (void)recv(server, bytes, sizeof bytes, 0); /* Redis has done it */
        return false;
    }
    return true;
}

static inline bool relay_back(const struct redis_relay *r, int server, int client)
{
    char bytes[65536];
    ssize_t n = recv(server, bytes, sizeof bytes, 0);
    if (n > 0 && atomic_load(&r->mode) == RELAY_STALLS) {
        return true;
    }
    return n > 0 && send(client, bytes, (size_t)n, MSG_NOSIGNAL) == n;
}

static inline int relay_connect(int port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Two ends of each connection side by side, behind the listening socket. */
static inline void *relay_run(void *arg)
{
    struct redis_relay *r = arg;
    struct pollfd p[1 + 2 * RELAY_MOST] = {{.fd = r->listening, .events = POLLIN}};
    size_t n = 1;
    while (!atomic_load(&r->ends)) {
        if (poll(p, n, 20) <= 0) {
            continue;
        }
        for (size_t i = 1; i < n; i += 2) {
            bool good = (p[i].revents == 0 || relay_piece(r, p[i].fd, p[i + 1].fd)) &&
                        (p[i + 1].revents == 0 || relay_back(r, p[i + 1].fd, p[i].fd));
            if (!good) {
                close(p[i].fd);
                close(p[i + 1].fd);
                p[i] = p[n - 2];
                p[i + 1] = p[n - 1];
                n -= 2;
                break; /* the rest at the next turn */
            }
        }
        if (p[0].revents != 0 && n < sizeof p / sizeof *p) {
            int client = accept(r->listening, NULL, NULL), server = relay_connect(r->to);
            if (client >= 0 && server >= 0) {
                p[n++] = (struct pollfd){.fd = client, .events = POLLIN};
                p[n++] = (struct pollfd){.fd = server, .events = POLLIN};
            } else {
                close(client);
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        close(p[i].fd);
    }
    return NULL;
}

static inline bool relay_start(struct redis_relay *r, int to)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    *r = (struct redis_relay){.to = to, .listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (bind(r->listening, (struct sockaddr *)&a, size) != 0 || listen(r->listening, 64) != 0 ||
        getsockname(r->listening, (struct sockaddr *)&a, &size) != 0) {
        return false;
    }
    r->port = ntohs(a.sin_port);
    return pthread_create(&r->thread, NULL, relay_run, r) == 0;
}

static inline void relay_end(struct redis_relay *r)
{
    atomic_store(&r->ends, true);
    pthread_join(r->thread, NULL);
}

#endif
