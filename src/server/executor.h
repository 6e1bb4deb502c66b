/* SPDX-License-Identifier: Apache-2.0
 *
 * executor.h - a bounded queue and the threads that work it off, first come first served.
 *
 * There are two: the compute executor (one thread, which leads the OpenMP team) and the store executor (which may block
 * on disk or network: one thread, or as many as the store can have wait at once). A queue that is full says so; it never blocks the one who asks.
 *
 * Who sees a job coming, and what goes before it costs much, takes a place in the queue for it first, or is refused then. Such a
 * place is kept for a time that is given at the start: those who are slow do not hold up the others.
 *
 * An executor of one thread may take the jobs that wait as one group: `begin`, each job's work, `end`, then each job's `done`. So
 * many changes share one commit, and nobody is answered before it.
 */
#ifndef SERVER_EXECUTOR_H
#define SERVER_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct executor;

/* A place in a queue, for so many bytes. */
typedef struct {
    int64_t span; /* of time, in which it was taken; the executor's own */
    size_t bytes;
} executor_place;

#define EXECUTOR_NO_PLACE ((executor_place){0})

struct executor_group {
    void (*begin)(void *arg);
    void (*end)(void *arg);
    void *arg;
};

struct executor_bounds {
    size_t jobs, bytes; /* that may wait; wait or run; with places that are kept */
    int64_t keep_us;    /* how long a place is kept at least; up to twice as long */
};

/* group NULL: one job at a time, in the order of submission where there is one thread. NULL: no memory or thread */
struct executor *executor_new(const char *name, size_t threads, const struct executor_bounds *bounds,
                              const struct executor_group *group);
/* Would no job be taken now, however small? */
bool executor_full(struct executor *e);
/* Make *place one for a job of about so many bytes, to be given to executor_submit or executor_leave. False: full. */
bool executor_reserve(struct executor *e, size_t bytes, executor_place *place);
void executor_leave(struct executor *e, executor_place place); /* none is fine */
/* Run work(arg), and when its group has ended done(arg), on a thread of the executor. `bytes` is what the job holds in
 * memory. done NULL: nothing. A place that is too old is none. It is gone either way. False: full or stopping. */
bool executor_submit(struct executor *e, void (*work)(void *), void (*done)(void *), void *arg, size_t bytes,
                     executor_place place);
/* Of the jobs that wait with this `work`, run those now, here, that `unwanted` says nobody waits for any more: their work is to
 * say so. Not where there is a group. */
void executor_sweep(struct executor *e, void (*work)(void *), bool (*unwanted)(void *arg));
size_t executor_length(const struct executor *e); /* jobs waiting or running */
void executor_free(struct executor *e);           /* works off what is queued, then ends; NULL is fine */

#endif
