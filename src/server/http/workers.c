/* SPDX-License-Identifier: Apache-2.0
 *
 * workers.c - several libmicrohttpds without a listening socket, and the acceptor that feeds them.
 */
#include <server/http/workers.h>

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include <gnutls/abstract.h>

#include <loss/arena.h>
#include <server/http/acceptor.h>
#include <server/http/tls.h>

struct worker {
    struct workers *all;
    struct MHD_Daemon *daemon;
    atomic_size_t connections;
    struct worker_own own;
};

struct workers {
    struct worker_calls calls;
    struct acceptor *acceptor;
    size_t n;
    struct worker worker[];
};

static void connection_closed(struct worker *w)
{
    atomic_fetch_sub(&w->connections, 1);
    acceptor_closed(w->all->acceptor);
}

static void connection_changed(void *arg, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode code)
{
    struct worker *w = arg;

    w->all->calls.changed(w->all->calls.arg, &w->own, connection, context, code);
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        connection_closed(w);
    }
}

/* One that libmicrohttpd drops for want of memory before it has told us of it stays counted. */
static void take_connection(void *arg, int fd, const struct sockaddr *from, socklen_t size)
{
    struct workers *all = arg;
    struct worker *least = &all->worker[0];

    for (size_t i = 1; i < all->n; i++) {
        struct worker *other = &all->worker[i];
        if (atomic_load(&other->connections) < atomic_load(&least->connections)) {
            least = other;
        }
    }
    atomic_fetch_add(&least->connections, 1);
    if (MHD_add_connection(least->daemon, fd, from, size) != MHD_YES) {
        connection_closed(least);
    }
}

/* libmicrohttpd wants a certificate of its own. tls.c gives each connection another one before it is needed; where that
 * failed, the handshake fails here. */
static int no_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certs,
                          unsigned *n, gnutls_ocsp_data_st **ocsp, unsigned *n_ocsp, gnutls_privkey_t *key,
                          unsigned *flags)
{
    (void)session, (void)info, (void)certs, (void)n, (void)ocsp, (void)n_ocsp, (void)key, (void)flags;
    return -1;
}

static bool start_worker(struct worker *w, const struct conf *conf)
{
    const struct worker_calls *calls = &w->all->calls;
    unsigned flags = MHD_USE_EPOLL | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                     MHD_USE_NO_LISTEN_SOCKET | (conf->tls_cert != NULL ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)no_certificate},
                                   {MHD_OPTION_HTTPS_PRIORITIES, 0, (char[]){TLS_PRIORITIES}},
                                   {MHD_OPTION_END, 0, NULL}};

    if (conf->tls_cert == NULL) {
        tls[0] = tls[2];
    }
    w->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, calls->handle, calls->arg, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)WORKER_MEMORY,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)INT_MAX, /* the acceptor's concern */
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)conf->connection_timeout, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_URI_LOG_CALLBACK, calls->begun, calls->arg, MHD_OPTION_NOTIFY_COMPLETED, calls->completed,
        calls->arg, MHD_OPTION_NOTIFY_CONNECTION, connection_changed, w, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    return w->daemon != NULL;
}

struct workers *workers_start(const struct conf *conf, int listen_fd, const struct worker_calls *calls)
{
    size_t n = (size_t)conf->http_threads;
    struct workers *all = calloc(1, sizeof *all + n * sizeof all->worker[0]);

    if (all == NULL) {
        close(listen_fd);
        return NULL;
    }
    all->calls = *calls;
    all->acceptor = acceptor_new(listen_fd, (size_t)conf->connection_limit, take_connection, all);
    if (all->acceptor == NULL) {
        goto out;
    }
    while (all->n < n) {
        all->worker[all->n].all = all;
        if (!start_worker(&all->worker[all->n], conf)) {
            goto out;
        }
        all->n++;
    }
    if (acceptor_start(all->acceptor)) {
        return all;
    }
out:
    workers_stop(all);
    return NULL;
}

void workers_refuse(struct workers *all)
{
    acceptor_stop(all->acceptor);
}

void workers_stop(struct workers *all)
{
    if (all == NULL) {
        return;
    }
    if (all->acceptor != NULL) {
        acceptor_stop(all->acceptor);
    }
    for (size_t i = 0; i < all->n; i++) {
        MHD_stop_daemon(all->worker[i].daemon);
        loss_arena_free(all->worker[i].own.spare);
    }
    acceptor_free(all->acceptor);
    free(all);
}
