/* SPDX-License-Identifier: Apache-2.0
 *
 * workers.h - the HTTP threads: each a libmicrohttpd of its own, with connections that the acceptor deals out.
 *
 * A connection stays with its thread. It gets the one that has the fewest, so that many connections keep all threads
 * busy, and a large answer slows down its share of the small ones alone.
 */
#ifndef SERVER_WORKERS_H
#define SERVER_WORKERS_H

#include <microhttpd.h>

#include <server/conf.h>

#define WORKER_MEMORY (32 << 10) /* of a connection; more makes small calls slower: it is cleared for each request */

struct workers;

/* What the requests of one thread hand on to each other; without a lock, since only that thread has it. */
struct worker_own {
    struct loss_arena *spare; /* empty, for the next request, whose memory is warm then; NULL: there is none */
};

/* What libmicrohttpd calls, on a worker's thread, with `arg` first. */
struct worker_calls {
    void *(*begun)(void *arg, const char *target, struct MHD_Connection *connection);
    MHD_AccessHandlerCallback handle;
    MHD_RequestCompletedCallback completed;
    void (*changed)(void *arg, struct worker_own *own, struct MHD_Connection *connection, void **context,
                    enum MHD_ConnectionNotificationCode code);
    void *arg;
};

/* Serve on a listening socket, which is ours from now on; NULL: no memory, descriptor or thread. */
struct workers *workers_start(const struct conf *conf, int listen_fd, const struct worker_calls *calls);
void workers_refuse(struct workers *all); /* accept no more connections */
void workers_stop(struct workers *all);   /* closes what is left; NULL is fine */

#endif
