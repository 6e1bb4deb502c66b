/* SPDX-License-Identifier: Apache-2.0
 *
 * linger.c - a ring of sockets and one thread that looks at them now and then.
 *
 * Under overload most requests end here, each with a body on its way. So nothing is done for one of them but what has to be: no
 * wake-up, no system call before its grace is over, and no more bytes are dropped than the share that all have together.
 */
#include <server/http/linger.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <server/machine.h>

/* Most clients read while they write, see their answer at once and close: what they had in hand need not come over. */
#define GRACE_US 10000
#define ROUND_MS 5
#define MOST 1024                  /* beyond it the oldest one is closed */
#define SECOND_BYTES (64 << 20)    /* dropped a second, of all together */
#define AT_ONCE (4 * LINGER_BYTES) /* of them after a pause */

struct lingering {
    int fd; /* -1: closed */
    int64_t left, from, deadline;
};

struct linger_set {
    pthread_mutex_t mutex; /* guards the next four */
    pthread_cond_t some;
    bool stopping;
    int arrived[MOST];
    size_t n_arrived;
    pthread_t thread;
    /* The thread's own: */
    size_t first, n; /* of the ring */
    struct lingering ring[MOST];
    int64_t share, shared_at; /* bytes that may be dropped now, by that time */
};

static void end(struct lingering *p)
{
    if (p->fd >= 0) {
        close(p->fd);
        p->fd = -1;
    }
}

static void add(struct linger_set *l, int fd, int64_t now)
{
    if (l->n == MOST) {
        end(&l->ring[l->first]);
        l->first = (l->first + 1) % MOST;
        l->n--;
    }
    l->ring[(l->first + l->n) % MOST] =
        (struct lingering){.fd = fd, .left = LINGER_BYTES, .from = now + GRACE_US, .deadline = now + LINGER_US};
    l->n++;
}

/* Sleep while there is none. False: it is over. */
static bool take_arrived(struct linger_set *l)
{
    int fds[MOST];

    pthread_mutex_lock(&l->mutex);
    while (l->n == 0 && l->n_arrived == 0 && !l->stopping) {
        pthread_cond_wait(&l->some, &l->mutex);
    }
    size_t n = l->n_arrived;
    memcpy(fds, l->arrived, n * sizeof fds[0]);
    l->n_arrived = 0;
    bool stopping = l->stopping;
    pthread_mutex_unlock(&l->mutex);

    int64_t now = machine_clock();
    for (size_t i = 0; i < n; i++) {
        add(l, fds[i], now);
    }
    return !stopping;
}

/* Read what there is. False: the client has closed. */
static bool drop_input(struct linger_set *l, struct lingering *p)
{
    static char sink[65536]; /* not written: TCP only counts with MSG_TRUNC */

    while (p->left > 0 && l->share > 0) {
        ssize_t n = recv(p->fd, sink, sizeof sink, MSG_DONTWAIT | MSG_TRUNC);
        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        }
        p->left -= n;
        l->share -= n;
    }
    return true;
}

static void refill(struct linger_set *l, int64_t now)
{
    int64_t share = l->share + (now - l->shared_at) * SECOND_BYTES / 1000000;

    l->share = share < AT_ONCE ? share : AT_ONCE;
    l->shared_at = now;
}

/* The oldest first. */
static void go_round(struct linger_set *l)
{
    int64_t now = machine_clock();

    refill(l, now);
    for (size_t i = 0; i < l->n; i++) {
        struct lingering *p = &l->ring[(l->first + i) % MOST];
        if (p->fd >= 0 && now >= p->from && (now >= p->deadline || !drop_input(l, p))) {
            end(p);
        }
    }
    while (l->n > 0 && l->ring[l->first].fd < 0) {
        l->first = (l->first + 1) % MOST;
        l->n--;
    }
}

static void *run(void *arg)
{
    struct linger_set *l = arg;
    const struct timespec pause = {.tv_nsec = ROUND_MS * 1000000L};

    while (take_arrived(l)) {
        nanosleep(&pause, NULL);
        go_round(l);
    }
    return NULL;
}

struct linger_set *linger_new(void)
{
    struct linger_set *l = calloc(1, sizeof *l);

    if (l == NULL) {
        return NULL;
    }
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->some, NULL);
    if (pthread_create(&l->thread, NULL, run, l) != 0) {
        pthread_cond_destroy(&l->some);
        pthread_mutex_destroy(&l->mutex);
        free(l);
        return NULL;
    }
    pthread_setname_np(l->thread, "linger");
    return l;
}

void linger_take(struct linger_set *l, int fd)
{
    shutdown(fd, SHUT_WR);
    pthread_mutex_lock(&l->mutex);
    bool taken = l->n_arrived < MOST;
    if (taken) {
        l->arrived[l->n_arrived++] = fd;
    }
    if (l->n_arrived == 1) {
        pthread_cond_signal(&l->some);
    }
    pthread_mutex_unlock(&l->mutex);
    if (!taken) {
        close(fd);
    }
}

void linger_free(struct linger_set *l)
{
    if (l == NULL) {
        return;
    }
    pthread_mutex_lock(&l->mutex);
    l->stopping = true;
    pthread_cond_signal(&l->some);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL); /* it has taken over all that came before */
    for (size_t i = 0; i < l->n; i++) {
        end(&l->ring[(l->first + i) % MOST]);
    }
    pthread_cond_destroy(&l->some);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}
