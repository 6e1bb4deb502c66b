/* SPDX-License-Identifier: Apache-2.0
 *
 * hangup.c - one thread on an epoll set of its own, which reports nothing but closes.
 */
#include <server/http/hangup.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_A_TIME 256

struct hangup_watch {
    pthread_mutex_t mutex; /* held while sockets are woken: none of them is closed meanwhile, and its number reused */
    int set;               /* epoll: the sockets */
    int stop;              /* eventfd */
    pthread_t thread;
};

/* Shutting down what the client has shut down changes nothing, but is an edge. */
static void wake_closed(struct hangup_watch *h)
{
    struct epoll_event events[AT_A_TIME];

    pthread_mutex_lock(&h->mutex);
    int n = epoll_wait(h->set, events, AT_A_TIME, 0);
    for (int i = 0; i < n; i++) {
        (void)shutdown(events[i].data.fd, SHUT_RD);
    }
    pthread_mutex_unlock(&h->mutex);
}

/* False: the watch is over. */
static bool sleep_until(struct hangup_watch *h, bool closes, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = h->stop, .events = POLLIN}, {.fd = closes ? h->set : -1, .events = POLLIN}};
    int n;

    do {
        n = poll(fds, 2, timeout_ms);
    } while (n < 0 && errno == EINTR);
    return n >= 0 && fds[0].revents == 0;
}

static void *run(void *arg)
{
    struct hangup_watch *h = arg;

    /* The time between is for the bytes that came with the close: the edges would else be one again. */
    while (sleep_until(h, true, -1) && sleep_until(h, false, HANGUP_US / 1000)) {
        wake_closed(h);
    }
    return NULL;
}

struct hangup_watch *hangup_new(void)
{
    struct hangup_watch *h = calloc(1, sizeof *h);

    if (h == NULL) {
        return NULL;
    }
    pthread_mutex_init(&h->mutex, NULL);
    h->set = epoll_create1(EPOLL_CLOEXEC);
    h->stop = eventfd(0, EFD_CLOEXEC);
    if (h->set >= 0 && h->stop >= 0 && pthread_create(&h->thread, NULL, run, h) == 0) {
        return h;
    }
    if (h->set >= 0) {
        close(h->set);
    }
    if (h->stop >= 0) {
        close(h->stop);
    }
    pthread_mutex_destroy(&h->mutex);
    free(h);
    return NULL;
}

void hangup_add(struct hangup_watch *h, int fd)
{
    struct epoll_event closes = {.events = EPOLLRDHUP, .data.fd = fd};

    (void)epoll_ctl(h->set, EPOLL_CTL_ADD, fd, &closes); /* without memory it is unwatched, and times out */
}

void hangup_remove(struct hangup_watch *h, int fd)
{
    pthread_mutex_lock(&h->mutex);
    (void)epoll_ctl(h->set, EPOLL_CTL_DEL, fd, NULL);
    pthread_mutex_unlock(&h->mutex);
}

void hangup_free(struct hangup_watch *h)
{
    if (h == NULL) {
        return;
    }
    (void)eventfd_write(h->stop, 1);
    pthread_join(h->thread, NULL);
    close(h->set);
    close(h->stop);
    pthread_mutex_destroy(&h->mutex);
    free(h);
}
