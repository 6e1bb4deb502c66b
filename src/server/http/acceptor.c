/* SPDX-License-Identifier: Apache-2.0
 *
 * acceptor.c - accept, until there are too many, until a connection is closed.
 */
#include <server/http/acceptor.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RETRY_MS 10 /* while there are no descriptors or no memory */

struct acceptor {
    int listen_fd; /* -1 once it is stopped */
    int wake;      /* eventfd: look again at `open` and `stopping` */
    size_t most;
    acceptor_take *take;
    void *arg;
    atomic_size_t open; /* taken and not closed */
    atomic_bool stopping;
    bool running;
    pthread_t thread;
};

/* False: there is none, or it could not be had now. */
static bool accept_one(struct acceptor *a)
{
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    int fd = accept4(a->listen_fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        atomic_fetch_add(&a->open, 1);
        a->take(a->arg, fd, (struct sockaddr *)&from, size);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        (void)poll(NULL, 0, RETRY_MS); /* the listening socket stays readable: without a pause this would spin */
    }
    return false;
}

static bool has_room(struct acceptor *a)
{
    return atomic_load(&a->open) < a->most;
}

static void *run(void *arg)
{
    struct acceptor *a = arg;
    struct pollfd fds[] = {{.fd = a->wake, .events = POLLIN}, {.events = POLLIN}};
    eventfd_t count;

    while (!atomic_load(&a->stopping)) {
        fds[1].fd = has_room(a) ? a->listen_fd : -1;
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        if (fds[0].revents != 0) {
            (void)eventfd_read(a->wake, &count);
        }
        while (!atomic_load(&a->stopping) && has_room(a) && accept_one(a)) {
        }
    }
    return NULL;
}

struct acceptor *acceptor_new(int listen_fd, size_t most, acceptor_take *take, void *arg)
{
    struct acceptor *a = calloc(1, sizeof *a);
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (a == NULL || wake < 0) {
        goto out;
    }
    a->listen_fd = listen_fd;
    a->wake = wake;
    a->most = most;
    a->take = take;
    a->arg = arg;
    return a;
out:
    if (wake >= 0) {
        close(wake);
    }
    free(a);
    close(listen_fd);
    return NULL;
}

bool acceptor_start(struct acceptor *a)
{
    a->running = pthread_create(&a->thread, NULL, run, a) == 0;
    if (a->running) {
        pthread_setname_np(a->thread, "accept");
    }
    return a->running;
}

void acceptor_closed(struct acceptor *a)
{
    if (atomic_fetch_sub(&a->open, 1) >= a->most) {
        (void)eventfd_write(a->wake, 1);
    }
}

void acceptor_stop(struct acceptor *a)
{
    if (a->running) {
        a->running = false;
        atomic_store(&a->stopping, true);
        (void)eventfd_write(a->wake, 1);
        pthread_join(a->thread, NULL);
    }
    if (a->listen_fd >= 0) {
        close(a->listen_fd);
        a->listen_fd = -1;
    }
}

void acceptor_free(struct acceptor *a)
{
    if (a == NULL) {
        return;
    }
    acceptor_stop(a);
    close(a->wake);
    free(a);
}
