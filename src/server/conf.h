/* SPDX-License-Identifier: Apache-2.0
 *
 * conf.h - what the daemon was told: flags, environment, defaults.
 *
 * One table in conf.c names every option once; flags, LOSSD_* variables, --help and error messages follow from it.
 * A flag wins over the environment, the environment over the default. Read once at start, constant from then on.
 */
#ifndef SERVER_CONF_H
#define SERVER_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CONF_PATH_MAX 4096

enum { CONF_LOG_AUTO, CONF_LOG_TEXT, CONF_LOG_JSON };
enum { CONF_OPEN_DOCS = 1, CONF_OPEN_METRICS = 2 }; /* bits */
enum { CONF_LEVEL_ERROR, CONF_LEVEL_WARNING, CONF_LEVEL_INFO };

/* Numbers are int64_t throughout, so that one table can set them all. Times are seconds. */
struct conf {
    const char *listen;                             /* "127.0.0.1:8080", "[::1]:0" */
    const char *store;                              /* what registry_open takes */
    const char *tls_cert, *tls_key, *tls_client_ca; /* PEM files; NULL: plain HTTP; clients show none */
    const char *auth_file;                          /* keys; NULL: none, everybody may do everything */
    int64_t max_body, max_ratio, compress_from, max_head, max_fields, max_chunks, max_depth, inline_elements;
    int64_t memory_budget, queue_jobs, queue_bytes;
    int64_t threads, http_threads;
    int64_t connection_limit, connections_per_ip, connection_timeout;
    int64_t head_timeout, body_timeout, rate_window;
    int64_t min_rate;        /* bytes a second */
    const char *cors_origin; /* NULL: none */
    int64_t drain_delay, drain_timeout;
    int64_t registry_ttl, idempotency_ttl;
    int64_t store_connections, store_connect_timeout, store_timeout;
    int64_t log_format, log_level, isa, port;
    int64_t open_paths;             /* CONF_OPEN_... */
    char listen_at[320];            /* behind `listen` where --port was given */
    char store_path[CONF_PATH_MAX]; /* behind `store` where it is the default */
};

/* Fill *c from the defaults, the environment and argv[1..]. False: what is wrong, the nearest option and what would
 * do were written to `errors`. Strings are borrowed from argv and the environment. */
bool conf_load(struct conf *c, int argc, char **argv, FILE *errors);

/* One paragraph an option, for --help. */
void conf_help(FILE *out);

/* What loss_isa_select takes, or NULL for the widest that the machine has. */
const char *conf_isa_name(const struct conf *c);

#endif
