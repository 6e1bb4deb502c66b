/* SPDX-License-Identifier: Apache-2.0
 *
 * linger.c - one thread that polls a bounded set of sockets.
 */
#include <server/http/linger.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <server/machine.h>

/* Most clients read while they write, see their answer at once and close: what they had in hand need not come over. */
#define GRACE_US 10000
#define MOST 256 /* beyond it a socket closes at once, as it would without us */

struct linger_set {
    pthread_mutex_t mutex; /* guards `arrived` and `n_arrived` */
    int arrived[MOST];
    size_t n_arrived;
    atomic_bool stopping;
    int wake; /* eventfd */
    pthread_t thread;
    /* The thread's own: */
    size_t n;
    struct pollfd poll[MOST + 1]; /* [0] is `wake` */
    struct {
        int64_t left, from, deadline;
    } bounds[MOST + 1];
};

static void add_arrived(struct linger_set *l)
{
    int64_t now = machine_clock();

    pthread_mutex_lock(&l->mutex);
    for (size_t i = 0; i < l->n_arrived; i++) {
        if (l->n == MOST) {
            close(l->arrived[i]);
            continue;
        }
        l->n++;
        l->poll[l->n] = (struct pollfd){.fd = l->arrived[i]};
        l->bounds[l->n].left = LINGER_BYTES;
        l->bounds[l->n].from = now + GRACE_US;
        l->bounds[l->n].deadline = now + LINGER_US;
    }
    l->n_arrived = 0;
    pthread_mutex_unlock(&l->mutex);
}

/* How long to sleep: no longer than a grace lasts, where somebody has one. */
static int patience(const struct linger_set *l)
{
    int ms = l->n > 0 ? 100 : -1;

    for (size_t i = 1; i <= l->n; i++) {
        ms = l->poll[i].events == 0 && l->bounds[i].left > 0 ? GRACE_US / 1000 : ms;
    }
    return ms;
}

/* Read what there is. False: the client has closed, or its time is up. */
static bool drop_input(struct linger_set *l, size_t i, int64_t now)
{
    static char sink[65536]; /* not written: TCP only counts with MSG_TRUNC */
    struct pollfd *p = &l->poll[i];

    if (now >= l->bounds[i].deadline || (p->revents & (POLLERR | POLLHUP)) != 0) {
        return false;
    }
    p->events = now >= l->bounds[i].from ? POLLIN : 0;
    while ((p->revents & POLLIN) != 0 && l->bounds[i].left > 0) {
        ssize_t n = recv(p->fd, sink, sizeof sink, MSG_DONTWAIT | MSG_TRUNC);
        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        }
        l->bounds[i].left -= n;
    }
    if (l->bounds[i].left <= 0) {
        p->events = 0; /* enough: errors alone, which need no asking */
    }
    return true;
}

static void *run(void *arg)
{
    struct linger_set *l = arg;
    uint64_t count;

    while (!atomic_load(&l->stopping)) {
        if (poll(l->poll, l->n + 1, patience(l)) < 0 && errno != EINTR) {
            break;
        }
        if (l->poll[0].revents != 0 && read(l->wake, &count, sizeof count) == (ssize_t)sizeof count) {
            add_arrived(l);
        }
        int64_t now = machine_clock();
        for (size_t i = l->n; i >= 1; i--) {
            if (!drop_input(l, i, now)) {
                close(l->poll[i].fd);
                l->poll[i] = l->poll[l->n];
                l->bounds[i] = l->bounds[l->n];
                l->n--;
            }
        }
    }
    return NULL;
}

struct linger_set *linger_new(void)
{
    struct linger_set *l = calloc(1, sizeof *l);
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (l == NULL || wake < 0) {
        goto out;
    }
    l->wake = wake;
    l->poll[0] = (struct pollfd){.fd = wake, .events = POLLIN};
    pthread_mutex_init(&l->mutex, NULL);
    if (pthread_create(&l->thread, NULL, run, l) != 0) {
        goto out;
    }
    pthread_setname_np(l->thread, "linger");
    return l;
out:
    if (wake >= 0) {
        close(wake);
    }
    free(l);
    return NULL;
}

static void wake_up(struct linger_set *l)
{
    const uint64_t one = 1;
    ssize_t written = write(l->wake, &one, sizeof one);
    (void)written; /* fails only where the counter is full, and then the thread is awake */
}

void linger_take(struct linger_set *l, int fd)
{
    bool taken;

    shutdown(fd, SHUT_WR);
    pthread_mutex_lock(&l->mutex);
    taken = l->n_arrived < MOST;
    if (taken) {
        l->arrived[l->n_arrived++] = fd;
    }
    pthread_mutex_unlock(&l->mutex);
    if (taken) {
        wake_up(l);
    } else {
        close(fd);
    }
}

void linger_free(struct linger_set *l)
{
    if (l == NULL) {
        return;
    }
    atomic_store(&l->stopping, true);
    wake_up(l);
    pthread_join(l->thread, NULL);
    for (size_t i = 1; i <= l->n; i++) {
        close(l->poll[i].fd);
    }
    for (size_t i = 0; i < l->n_arrived; i++) {
        close(l->arrived[i]);
    }
    close(l->wake);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}
