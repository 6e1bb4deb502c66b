/* SPDX-License-Identifier: Apache-2.0
 *
 * handshake.c - a list of suspended connections, and one thread on an epoll set that resumes them.
 */
#include <server/http/handshake.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#include <server/http/tls.h>

#define AT_A_TIME 256
#define EMPTY_CHAIN 4 /* bytes of a Certificate message without one, at most */

struct handshake {
    struct handshakes *all;
    struct MHD_Connection *connection;
    int fd;
    bool begun, done;
    bool waiting; /* suspended, and in the list; guarded by the mutex, as is the list */
    struct handshake *next, *previous;
};

struct handshakes {
    pthread_mutex_t mutex; /* held while connections are resumed: none of them goes meanwhile */
    struct handshake *waiting;
    bool stopping;
    int set; /* epoll: the sockets, each for one event at a time */
    int stop;
    pthread_t thread;
};

/* --- the list; with the mutex --- */

static void resume(struct handshake *h)
{
    *(h->previous != NULL ? &h->previous->next : &h->all->waiting) = h->next;
    if (h->next != NULL) {
        h->next->previous = h->previous;
    }
    h->waiting = false;
    MHD_resume_connection(h->connection);
}

/* Its next read finds the end, and the handshake fails. */
static void give_up(struct handshake *h)
{
    (void)shutdown(h->fd, SHUT_RDWR);
    resume(h);
}

/* --- the thread --- */

static void resume_ready(struct handshakes *all)
{
    struct epoll_event events[AT_A_TIME];

    pthread_mutex_lock(&all->mutex);
    int n = epoll_wait(all->set, events, AT_A_TIME, 0);
    for (int i = 0; i < n; i++) {
        struct handshake *h = events[i].data.ptr;
        if (h->waiting) {
            resume(h);
        }
    }
    pthread_mutex_unlock(&all->mutex);
}

static void *run(void *arg)
{
    struct handshakes *all = arg;
    struct pollfd fds[] = {{.fd = all->stop, .events = POLLIN}, {.fd = all->set, .events = POLLIN}};

    for (;;) {
        int n = poll(fds, 2, -1);
        if ((n < 0 && errno != EINTR) || (n > 0 && fds[0].revents != 0)) {
            return NULL;
        }
        resume_ready(all);
    }
}

/* --- a handshake, on its connection's thread --- */

/* The client's last message is its Finished; what is read after that is no handshake's. */
static void finish(struct handshake *h)
{
    int on = 1;

    h->done = true;
    (void)epoll_ctl(h->all->set, EPOLL_CTL_DEL, h->fd, NULL);
    /* We have nothing to say now that would carry the acknowledgement, and a client without TCP_NODELAY waits for it
     * with its first request: 40 ms. */
    (void)setsockopt(h->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static int message_came(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                        const gnutls_datum_t *message)
{
    gnutls_transport_ptr_t receive, send;

    gnutls_transport_get_ptr2(session, &receive, &send);
    struct handshake *h = receive;
    if (incoming == 0 || h->done) {
        return 0;
    }
    if (type == GNUTLS_HANDSHAKE_FINISHED && when == GNUTLS_HOOK_POST) {
        finish(h);
    } else if (type == GNUTLS_HANDSHAKE_CERTIFICATE_PKT && when == GNUTLS_HOOK_PRE && message->size <= EMPTY_CHAIN) {
        tls_none_shown(session);
    }
    return 0;
}

/* Suspended first: it may be resumed before this has returned. False: nobody is waited for any more. */
static bool wait_for_client(struct handshake *h)
{
    struct handshakes *all = h->all;
    struct epoll_event once = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = h};

    pthread_mutex_lock(&all->mutex);
    bool waits = !all->stopping;
    if (waits) {
        h->waiting = true;
        h->previous = NULL;
        h->next = all->waiting;
        if (h->next != NULL) {
            h->next->previous = h;
        }
        all->waiting = h;
        MHD_suspend_connection(h->connection);
        if (epoll_ctl(all->set, EPOLL_CTL_MOD, h->fd, &once) != 0) {
            give_up(h);
        }
    }
    pthread_mutex_unlock(&all->mutex);
    return waits;
}

/* A record of a handshake begins with the byte 22, a request with a letter: somebody wrote http:// for https://. What has
 * come is read to its end, or closing would take the answer back. */
static void answer_plain_http(struct handshake *h)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n"
                                 "Content-Length: 46\r\n\r\nThis port speaks HTTPS: https://, not http://\n";
    char rest[1024];

    while (recv(h->fd, rest, sizeof rest, MSG_DONTWAIT) > 0) {
    }
    ssize_t sent = send(h->fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* a client that is gone needs no answer */
    (void)shutdown(h->fd, SHUT_RDWR);
}

static ssize_t fetch(gnutls_transport_ptr_t ptr, void *buf, size_t n)
{
    struct handshake *h = ptr;
    ssize_t got = recv(h->fd, buf, n, 0);

    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !h->done) {
        errno = wait_for_client(h) ? EAGAIN : ECONNRESET;
    }
    if (got > 0 && !h->begun) {
        h->begun = true;
        char first = *(const char *)buf;
        if (first >= 'A' && first <= 'Z') {
            answer_plain_http(h);
            errno = ECONNRESET;
            return -1;
        }
    }
    return got;
}

static ssize_t fetch_nothing(gnutls_transport_ptr_t ptr, void *buf, size_t n)
{
    (void)ptr, (void)buf, (void)n;
    errno = ECONNRESET;
    return -1;
}

struct handshake *handshake_begin(struct handshakes *all, struct MHD_Connection *connection, void *session, int fd)
{
    struct handshake *h = calloc(1, sizeof *h);
    struct epoll_event never = {.events = EPOLLONESHOT, .data.ptr = h};

    if (h == NULL || epoll_ctl(all->set, EPOLL_CTL_ADD, fd, &never) != 0) {
        gnutls_transport_set_pull_function(session, fetch_nothing);
        free(h);
        return NULL;
    }
    *h = (struct handshake){.all = all, .connection = connection, .fd = fd};
    gnutls_transport_set_ptr2(session, h, (gnutls_transport_ptr_t)(intptr_t)fd);
    gnutls_transport_set_pull_function(session, fetch);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH, message_came);
    return h;
}

void handshake_end(struct handshake *h)
{
    if (h == NULL) {
        return;
    }
    pthread_mutex_lock(&h->all->mutex);
    if (!h->done) {
        (void)epoll_ctl(h->all->set, EPOLL_CTL_DEL, h->fd, NULL);
    }
    pthread_mutex_unlock(&h->all->mutex);
    free(h);
}

/* --- life --- */

struct handshakes *handshakes_new(void)
{
    struct handshakes *all = calloc(1, sizeof *all);

    if (all == NULL) {
        return NULL;
    }
    pthread_mutex_init(&all->mutex, NULL);
    all->set = epoll_create1(EPOLL_CLOEXEC);
    all->stop = eventfd(0, EFD_CLOEXEC);
    if (all->set >= 0 && all->stop >= 0 && pthread_create(&all->thread, NULL, run, all) == 0) {
        pthread_setname_np(all->thread, "handshake");
        return all;
    }
    if (all->set >= 0) {
        close(all->set);
    }
    if (all->stop >= 0) {
        close(all->stop);
    }
    pthread_mutex_destroy(&all->mutex);
    free(all);
    return NULL;
}

void handshakes_stop(struct handshakes *all)
{
    if (all == NULL) {
        return;
    }
    pthread_mutex_lock(&all->mutex);
    all->stopping = true;
    while (all->waiting != NULL) {
        give_up(all->waiting);
    }
    pthread_mutex_unlock(&all->mutex);
}

void handshakes_free(struct handshakes *all)
{
    if (all == NULL) {
        return;
    }
    handshakes_stop(all);
    (void)eventfd_write(all->stop, 1);
    pthread_join(all->thread, NULL);
    close(all->set);
    close(all->stop);
    pthread_mutex_destroy(&all->mutex);
    free(all);
}
