/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c - the daemon's life. The main thread starts it, then waits for signals and the minute.
 */
#include <server/server.h>

#include <omp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <loss/compute.h>
#include <server/access/auth.h>
#include <server/http/http.h>
#include <server/http/listen.h>
#include <server/http/tls.h>
#include <server/log.h>
#include <server/log_writer.h>
#include <server/machine.h>

#define EXPIRE_SECONDS 60
#define DRAIN_POLL_MS 10
#define SHOWN_MAX 512   /* of a store's URL in a line */
#define ABANDON_MS 5000 /* for calls to notice that they are cancelled */

/* --- signals, which all threads block and the main thread fetches --- */

static void signals_init(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a store that may not grow says so */
}

/* The signal that came within that time, or 0. */
static int signals_wait(const sigset_t *set, int64_t ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    int got = sigtimedwait(set, NULL, &t);
    return got > 0 ? got : 0;
}

/* Wait for up to ms, or until done(arg). During a drain another signal means: now. */
static void drain_wait(const sigset_t *set, int64_t ms, bool (*done)(void *), void *arg)
{
    int64_t end = machine_clock() + ms * 1000;

    while (machine_clock() < end && !(done != NULL && done(arg))) {
        int again = signals_wait(set, DRAIN_POLL_MS);
        if (again != 0 && again != SIGHUP) {
            log_line(LOG_WARNING, "second signal: ending at once");
            _exit(128 + again);
        }
    }
}

/* --- jobs of the executors --- */

/* The compute executor's thread leads the team; the size of a team belongs to its leader. */
static void size_team(void *arg)
{
    const struct server *s = arg;
    omp_set_num_threads((int)s->conf->threads);
}

static void expire(void *arg)
{
    struct server *s = arg;
    struct loss_error err = {.status = LOSS_OK};

    if (registry_expire(s->registries, &err) != LOSS_OK) {
        log_line(LOG_WARNING, "cannot expire registries: %s", err.message);
    }
}

/* --- start --- */

static void warn_of_store(void *unused, const char *message)
{
    (void)unused;
    log_line(LOG_WARNING, "%s", message);
}

static bool start_registry(struct server *s)
{
    const struct conf *conf = s->conf;
    const struct registry_options options = {.url = conf->store,
                                             .ttl_seconds = conf->registry_ttl,
                                             .idempotency_seconds = conf->idempotency_ttl,
                                             .connections = (size_t)conf->store_connections,
                                             .connect_seconds = conf->store_connect_timeout,
                                             .command_seconds = conf->store_timeout,
                                             .warn = warn_of_store};
    struct loss_error err = {.status = LOSS_OK};
    char shown[SHOWN_MAX];

    if (registry_open(&options, &s->registries, &err) != LOSS_OK) {
        log_line(LOG_ERROR, "cannot open the store %s: %s", registry_url_shown(conf->store, shown, sizeof shown),
                 err.message);
        return false;
    }
    return true;
}

static bool start_auth(struct server *s)
{
    struct loss_error err = {.status = LOSS_OK};

    if (s->conf->auth_file != NULL && auth_open(s->conf->auth_file, s->registries, &s->auth, &err) != LOSS_OK) {
        log_line(LOG_ERROR, "--auth-file: %s", err.message);
        return false;
    }
    return true;
}

static bool start_tls(struct server *s)
{
    const struct conf *conf = s->conf;
    const struct tls_files files = {.cert = conf->tls_cert, .key = conf->tls_key, .client_ca = conf->tls_client_ca};
    struct loss_error err = {.status = LOSS_OK};

    if (files.cert != NULL && tls_open(&files, &s->tls, &err) != LOSS_OK) {
        log_line(LOG_ERROR, "%s", err.message);
        return false;
    }
    return true;
}

/* What the store executor found waiting shares one commit; where several threads may wait for the store, it is the
 * store that makes one of what arrives together. */
static void begin_commit(void *arg)
{
    struct server *s = arg;
    registry_group_begin(s->registries);
}

static void end_commit(void *arg)
{
    struct server *s = arg;
    s->commit = (struct loss_error){.status = LOSS_OK};
    (void)registry_group_end(s->registries, &s->commit);
}

static bool start_executors(struct server *s)
{
    const struct conf *conf = s->conf;

    const struct executor_group commit = {.begin = begin_commit, .end = end_commit, .arg = s};
    const struct executor_bounds bounds = {
        .jobs = (size_t)conf->queue_jobs, .bytes = (size_t)conf->queue_bytes, .keep_us = conf->rate_window * 1000000};
    size_t width = registry_width(s->registries);

    s->metrics = metrics_new();
    s->compute = executor_new("compute", 1, &bounds, NULL);
    s->store = executor_new("store", width, &bounds, width == 1 ? &commit : NULL);
    if (s->metrics == NULL || s->compute == NULL || s->store == NULL ||
        !executor_submit(s->compute, size_team, NULL, s, 0, EXECUTOR_NO_PLACE)) {
        log_line(LOG_ERROR, "cannot start: no memory or no threads");
        return false;
    }
    return true;
}

/* As many connections as were asked for need as many file descriptors. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool select_isa(const struct conf *conf)
{
    const char *name = conf_isa_name(conf);
    if (name != NULL && !loss_isa_select(name)) {
        log_line(LOG_ERROR, "--isa %s: this machine does not have it; auto picks %s", name, loss_isa());
        return false;
    }
    return true;
}

static struct http *start(struct server *s, struct listener *listener)
{
    struct loss_error err = {.status = LOSS_OK};
    struct http *http = NULL;

    raise_file_limit();
    if (!select_isa(s->conf)) {
        return NULL;
    }
    if (listen_open(s->conf->listen, s->conf->tls_cert != NULL ? "https" : "http", listener, &err) != LOSS_OK) {
        log_line(LOG_ERROR, "%s", err.message);
        return NULL;
    }
    s->url = listener->url;
    if (start_registry(s) && start_executors(s) && start_auth(s) && start_tls(s)) {
        http = http_start(s, listener->fd);
        if (http == NULL) {
            log_line(LOG_ERROR, "cannot start the HTTP server");
        }
    } else {
        close(listener->fd);
    }
    return http;
}

static void announce(const struct server *s, const struct listener *listener)
{
    const struct conf *conf = s->conf;
    char shown[SHOWN_MAX];

    log_line(LOG_INFO,
             "lossd %s listening on %s (isa %s, %d compute and %d http threads, memory budget %lld MiB, store %s)",
             loss_version(), s->url, loss_isa(), (int)conf->threads, (int)conf->http_threads,
             (long long)(conf->memory_budget >> 20), registry_url_shown(conf->store, shown, sizeof shown));
    if (!listener->loopback && s->auth == NULL) {
        log_line(LOG_WARNING, "%s can be reached from other machines, and everybody may do everything (--auth-file)",
                 s->url);
    }
}

/* --- end --- */

static bool all_answered(void *arg)
{
    const struct server *s = arg;
    return metrics_in_flight(s->metrics) == 0;
}

static bool none_suspended(void *arg)
{
    return http_suspended(arg) == 0;
}

/* Unready at once, refusing after the delay, then wait for what is in flight. False: calls had to be given up. */
static bool drain(struct server *s, struct http *http, const sigset_t *signals)
{
    const struct conf *conf = s->conf;

    atomic_store(&s->draining, true);
    log_line(LOG_INFO, "draining: %llu requests in flight", (unsigned long long)metrics_in_flight(s->metrics));
    drain_wait(signals, conf->drain_delay * 1000, NULL, NULL);
    http_refuse(http);
    drain_wait(signals, conf->drain_timeout * 1000, all_answered, s);
    bool answered = all_answered(s);
    if (!answered) {
        log_line(LOG_WARNING, "giving up %llu requests after --drain-timeout",
                 (unsigned long long)metrics_in_flight(s->metrics));
        http_abandon(http);
    }
    drain_wait(signals, ABANDON_MS, none_suspended, http); /* an executor lets go a little after the answer is out */
    if (!none_suspended(http)) {
        log_line(LOG_ERROR, "calls do not end: leaving without them");
        _exit(1);
    }
    return answered;
}

/* SIGHUP: what cannot be read or does not do is left as it was. */
static void reload(struct server *s)
{
    struct loss_error err = {.status = LOSS_OK};

    if (s->auth == NULL && s->tls == NULL) {
        log_line(LOG_INFO, "SIGHUP: there is nothing to read again");
    }
    if (s->auth != NULL && auth_reload(s->auth, &err) != LOSS_OK) {
        log_line(LOG_ERROR, "SIGHUP: the keys stay as they were: %s", err.message);
    }
    err = (struct loss_error){.status = LOSS_OK};
    if (s->tls != NULL && tls_reload(s->tls, &err) != LOSS_OK) {
        log_line(LOG_ERROR, "SIGHUP: the certificate stays as it was: %s", err.message);
    }
}

static void serve(struct server *s, const sigset_t *signals)
{
    int64_t next_expiry = machine_clock() + EXPIRE_SECONDS * INT64_C(1000000);

    for (;;) {
        int64_t left = (next_expiry - machine_clock()) / 1000;
        if (left > 0) {
            int signal = signals_wait(signals, left);
            if (signal == SIGHUP) {
                reload(s);
            } else if (signal != 0) {
                return;
            }
        } else {
            /* A full queue has more urgent work: next minute, then. */
            (void)executor_submit(s->store, expire, NULL, s, 0, EXECUTOR_NO_PLACE);
            next_expiry += EXPIRE_SECONDS * INT64_C(1000000);
        }
    }
}

int server_run(const struct conf *conf)
{
    struct server s = {.conf = conf};
    struct listener listener = {.fd = -1};
    sigset_t signals;
    bool ended_well = false;

    s.budget.limit = (size_t)conf->memory_budget;
    signals_init(&signals);
    log_init(conf->log_format == CONF_LOG_JSON || (conf->log_format == CONF_LOG_AUTO && isatty(STDERR_FILENO) == 0),
             (log_level)conf->log_level);
    (void)log_writer_start(); /* without it lines leave one by one */
    struct http *http = start(&s, &listener);
    if (http != NULL) {
        announce(&s, &listener);
        serve(&s, &signals);
        ended_well = drain(&s, http, &signals);
        http_stop(http);
        log_line(LOG_INFO, "stopped");
    }
    executor_free(s.compute);
    executor_free(s.store);
    tls_close(s.tls);
    auth_close(s.auth);
    registry_close(s.registries);
    metrics_free(s.metrics);
    log_writer_stop();
    return ended_well ? 0 : 1;
}
