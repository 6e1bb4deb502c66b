/* SPDX-License-Identifier: Apache-2.0
 *
 * executor.h - a bounded queue and the threads that work it off, first come first served.
 *
 * There are two: the compute executor (one thread, which leads the OpenMP team) and the store executor (which may block
 * on disk or network: one thread, or as many as the store can have wait at once). A queue that is full says so; it never blocks the one who asks.
 *
 * An executor of one thread may take the jobs that wait as one group: `begin`, each job's work, `end`, then each job's `done`. So
 * many changes share one commit, and nobody is answered before it.
 */
#ifndef SERVER_EXECUTOR_H
#define SERVER_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>

struct executor;

struct executor_group {
    void (*begin)(void *arg);
    void (*end)(void *arg);
    void *arg;
};

/* group NULL: one job at a time, in the order of submission where there is one thread. NULL: no memory or thread */
struct executor *executor_new(const char *name, size_t threads, size_t max_jobs, size_t max_bytes,
                              const struct executor_group *group);
/* Run work(arg), and when its group has ended done(arg), on a thread of the executor. `bytes` is what the job holds in
 * memory. done NULL: nothing. False: full or stopping. */
bool executor_submit(struct executor *e, void (*work)(void *), void (*done)(void *), void *arg, size_t bytes);
size_t executor_length(const struct executor *e); /* jobs waiting or running */
void executor_free(struct executor *e);           /* works off what is queued, then ends; NULL is fine */

#endif
