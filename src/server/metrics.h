/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.h - counters of the daemon, as Prometheus reads them.
 *
 * Every label has a bounded set of values, known at start: routes, losses and statuses are indices into tables. So
 * counters are plain atomics in arrays, and counting takes no lock. Any thread.
 */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stdint.h>

#include <loss/arena.h>
#include <server/http/pace.h>
#include <server/http/request.h>

struct metrics;

struct metrics *metrics_new(void); /* NULL: no memory */
void metrics_free(struct metrics *m);

void metrics_begin(struct metrics *m); /* a request has arrived ... */
/* ... and was answered with this status (0: its client left before). The route, the loss, rows and times are the request's. */
void metrics_end(struct metrics *m, const struct request *q, int status, uint64_t bytes_out, int64_t total_us);

void metrics_connection(struct metrics *m, int change); /* 1: accepted, -1: closed */
void metrics_late(struct metrics *m, pace_phase phase); /* a connection was ended that took too long with this */

uint64_t metrics_in_flight(const struct metrics *m);

/* Calls that computed a loss, or tried to, by its index in the catalog. */
struct metrics_loss {
    uint64_t successes, failures;
    uint64_t success_us, failure_us;           /* from head to end of answer */
    uint64_t decode_us, compute_us, encode_us; /* of the successes */
    uint64_t last_ms;                          /* the last success, since 1970; 0: none yet */
};
void metrics_of_loss(const struct metrics *m, size_t loss, struct metrics_loss *out);

/* The text of GET /metrics, in the arena; NULL: no memory. */
const char *metrics_text(const struct server *server, struct loss_arena *arena, size_t *size);

#endif
