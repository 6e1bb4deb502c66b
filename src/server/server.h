/* SPDX-License-Identifier: Apache-2.0
 *
 * server.h - what all requests of one daemon share, and its life: start, serve, drain, stop.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdatomic.h>

#include <loss/arena.h>
#include <registry/registry.h>
#include <server/conf.h>
#include <server/executor.h>
#include <server/metrics.h>

struct server {
    const struct conf *conf;
    struct loss_budget budget;
    struct executor *compute, *store;
    struct registry *registries; /* all namespaces; a request has its own (request->registry) */
    struct auth *auth;           /* NULL: no keys */
    struct tls *tls;             /* NULL: plain HTTP */
    struct loss_error commit;    /* how the last group of store jobs ended; the store executor's own */
    struct metrics *metrics;
    atomic_bool draining;
    const char *url; /* "http://127.0.0.1:8080", once listening */
};

/* Serve until SIGTERM or SIGINT, then drain. Returns the process's exit status: 0 after a drain, 1 where it could not
 * start or calls in flight did not end. A second signal ends the process at once, with 128 and its number. */
int server_run(const struct conf *conf);

#endif
