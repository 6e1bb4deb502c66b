/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.c - arrays of atomics, and their text.
 */
#include <server/metrics.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <loss/loss.h>
#include <server/access/auth.h>
#include <server/http/tls.h>
#include <server/routes/routes.h>
#include <server/server.h>

/* Every status there can be; of equal ones only the first is used. 499: the client left. */
static const int statuses[] = {200, 201, 204, 499,
#define STATUS_HTTP(id, http, slug, title) http,
                               LOSS_STATUS_MAP(STATUS_HTTP)
#undef STATUS_HTTP
};
#define N_STATUSES (sizeof statuses / sizeof statuses[0])

static const double bounds[] = {1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05,
                                0.1,  0.25,   0.5,  1,    2.5,    5,    10,   30,    60};
#define N_BOUNDS (sizeof bounds / sizeof bounds[0])

static const char *const phases[] = {"read", "decode", "compute", "store", "encode"};
#define N_PHASES (sizeof phases / sizeof phases[0])

static const char *const late_phases[PACE_N_PHASES] = {
    [PACE_NEW] = NULL, [PACE_IDLE] = "idle", [PACE_HEAD] = "head", [PACE_BODY] = "body", [PACE_ANSWER] = "answer"};

struct histogram {
    atomic_uint_fast64_t bucket[N_BOUNDS + 1], sum_us;
};

struct loss_counters {
    atomic_uint_fast64_t successes, failures, success_us, failure_us, decode_us, compute_us, encode_us, last_ms;
};

struct metrics {
    double started;
    atomic_uint_fast64_t begun, ended, bytes_in, bytes_out;
    atomic_uint_fast64_t late[PACE_N_PHASES];
    atomic_int_fast64_t connections;
    struct histogram phase[N_PHASES];
    size_t n_losses;                /* and one for none */
    struct histogram *seconds;      /* [route]; the last is for what no route matched */
    atomic_uint_fast64_t *requests; /* [route][loss][status] */
    atomic_uint_fast64_t *rows;     /* [loss] */
    struct loss_counters *computed; /* [loss] */
};

static void count(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t counted(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* As fine as the kernel's tick. */
static double wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct metrics *metrics_new(void)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    m->started = wall_clock();
    m->n_losses = loss_catalog_count();
    m->seconds = calloc(n_routes + 1, sizeof *m->seconds);
    m->requests = calloc((n_routes + 1) * (m->n_losses + 1) * N_STATUSES, sizeof *m->requests);
    m->rows = calloc(m->n_losses + 1, sizeof *m->rows);
    m->computed = calloc(m->n_losses, sizeof *m->computed);
    if (m->seconds == NULL || m->requests == NULL || m->rows == NULL || m->computed == NULL) {
        metrics_free(m);
        return NULL;
    }
    return m;
}

void metrics_free(struct metrics *m)
{
    if (m != NULL) {
        free(m->seconds);
        free(m->requests);
        free(m->rows);
        free(m->computed);
        free(m);
    }
}

static size_t status_slot(int status)
{
    size_t i = 0;
    while (i + 1 < N_STATUSES && statuses[i] != status) {
        i++;
    }
    return i;
}

static void observe(struct histogram *h, int64_t us)
{
    double seconds = (double)us * 1e-6;
    size_t i = 0;

    while (i < N_BOUNDS && seconds > bounds[i]) {
        i++;
    }
    count(&h->bucket[i], 1);
    count(&h->sum_us, us > 0 ? (uint64_t)us : 0);
}

void metrics_begin(struct metrics *m)
{
    count(&m->begun, 1);
}

static void count_computed(struct loss_counters *c, const struct request *q, int status, int64_t total_us)
{
    if (status != 200) {
        count(&c->failures, 1);
        count(&c->failure_us, (uint64_t)total_us);
        return;
    }
    count(&c->successes, 1);
    count(&c->success_us, (uint64_t)total_us);
    count(&c->decode_us, (uint64_t)q->times.decode);
    count(&c->compute_us, (uint64_t)q->times.compute);
    count(&c->encode_us, (uint64_t)q->times.encode);
    atomic_store_explicit(&c->last_ms, (uint64_t)(wall_clock() * 1000), memory_order_relaxed);
}

void metrics_of_loss(const struct metrics *m, size_t loss, struct metrics_loss *out)
{
    const struct loss_counters *c = &m->computed[loss];

    *out = (struct metrics_loss){.successes = counted(&c->successes),
                                 .failures = counted(&c->failures),
                                 .success_us = counted(&c->success_us),
                                 .failure_us = counted(&c->failure_us),
                                 .decode_us = counted(&c->decode_us),
                                 .compute_us = counted(&c->compute_us),
                                 .encode_us = counted(&c->encode_us),
                                 .last_ms = counted(&c->last_ms)};
}

static key_outcome key_outcome_of(int status)
{
    return status == 0    ? KEY_LEFT
           : status < 400 ? KEY_ANSWERED_2XX
           : status < 500 ? KEY_ANSWERED_4XX
                          : KEY_ANSWERED_5XX;
}

void metrics_end(struct metrics *m, const struct request *q, int status, uint64_t bytes_out, int64_t total_us)
{
    const int64_t times[N_PHASES] = {q->times.read, q->times.decode, q->times.compute, q->times.store, q->times.encode};
    size_t route = q->route != NULL ? (size_t)(q->route - routes) : n_routes;
    size_t loss = q->loss != NULL ? loss_catalog_index(q->loss) : m->n_losses;

    count(&m->requests[(route * (m->n_losses + 1) + loss) * N_STATUSES + status_slot(status == 0 ? 499 : status)], 1);
    count(&m->rows[loss], q->rows);
    if (q->loss != NULL && q->route != NULL && q->route->body == BODY_STREAM) {
        count_computed(&m->computed[loss], q, status, total_us);
    }
    if (q->key != NULL) {
        count(&q->key->use->outcome[key_outcome_of(status)], 1);
        count(&q->key->use->rows, q->rows);
    }
    count(&m->bytes_in, q->body_size);
    count(&m->bytes_out, bytes_out);
    observe(&m->seconds[route], total_us);
    for (size_t i = 0; i < N_PHASES; i++) {
        if (times[i] > 0) {
            observe(&m->phase[i], times[i]);
        }
    }
    atomic_fetch_add(&m->ended, 1);
}

void metrics_connection(struct metrics *m, int change)
{
    atomic_fetch_add_explicit(&m->connections, change, memory_order_relaxed);
}

void metrics_late(struct metrics *m, pace_phase phase)
{
    count(&m->late[phase], 1);
}

uint64_t metrics_in_flight(const struct metrics *m)
{
    /* Ended first: it never overtakes begun. */
    uint64_t ended = atomic_load(&m->ended);
    return atomic_load(&m->begun) - ended;
}

/* --- text --- */

struct text {
    struct loss_arena *arena;
    char *data;
    size_t size, capacity;
    bool failed;
};

static void add(struct text *t, const char *format, ...) LOSS_PRINTF(2, 3);

static void add(struct text *t, const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (t->failed || n < 0 || n >= (int)sizeof line) {
        t->failed = true;
        return;
    }
    if (t->capacity - t->size < (size_t)n) {
        size_t more = t->capacity * 2 + 8192;
        char *data = loss_arena_resize(t->arena, t->data, more);
        if (data == NULL) {
            t->failed = true;
            return;
        }
        t->data = data;
        t->capacity = more;
    }
    memcpy(t->data + t->size, line, (size_t)n);
    t->size += (size_t)n;
}

static void add_head(struct text *t, const char *name, const char *type, const char *help)
{
    add(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_value(struct text *t, const char *name, const char *type, const char *help, double value)
{
    add_head(t, name, type, help);
    add(t, "%s %.17g\n", name, value);
}

static const char *loss_label(const struct metrics *m, size_t loss)
{
    return loss < m->n_losses ? loss_catalog_at(loss)->name : "";
}

static const char *route_label(size_t route)
{
    return route < n_routes ? routes[route].path : "";
}

static const char *method_label(size_t route)
{
    return route < n_routes ? routes[route].method : "";
}

static void add_requests(struct text *t, struct metrics *m)
{
    add_head(t, "lossd_requests_total", "counter", "Requests answered; status 499 where the client left before.");
    for (size_t route = 0; route <= n_routes; route++) {
        for (size_t loss = 0; loss <= m->n_losses; loss++) {
            for (size_t status = 0; status < N_STATUSES; status++) {
                uint64_t n = counted(&m->requests[(route * (m->n_losses + 1) + loss) * N_STATUSES + status]);
                if (n > 0) {
                    add(t, "lossd_requests_total{method=\"%s\",route=\"%s\",loss=\"%s\",status=\"%d\"} %" PRIu64 "\n",
                        method_label(route), route_label(route), loss_label(m, loss), statuses[status], n);
                }
            }
        }
    }
}

/* Series of one histogram; `labels` as in `phase="read"`. Nothing where nothing was observed. */
static void add_histogram(struct text *t, const char *name, const char *labels, struct histogram *h)
{
    uint64_t total = 0, below = 0;

    for (size_t i = 0; i <= N_BOUNDS; i++) {
        total += counted(&h->bucket[i]);
    }
    if (total == 0) {
        return;
    }
    for (size_t i = 0; i < N_BOUNDS; i++) {
        below += counted(&h->bucket[i]);
        add(t, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels, bounds[i], below);
    }
    below += counted(&h->bucket[N_BOUNDS]);
    add(t, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, below);
    add(t, "%s_sum{%s} %.6f\n", name, labels, (double)counted(&h->sum_us) * 1e-6);
    add(t, "%s_count{%s} %" PRIu64 "\n", name, labels, below);
}

static void add_histograms(struct text *t, struct metrics *m)
{
    char labels[256];

    add_head(t, "lossd_request_seconds", "histogram", "Time from a request's head to the end of its answer.");
    for (size_t route = 0; route <= n_routes; route++) {
        snprintf(labels, sizeof labels, "method=\"%s\",route=\"%s\"", method_label(route), route_label(route));
        add_histogram(t, "lossd_request_seconds", labels, &m->seconds[route]);
    }
    add_head(t, "lossd_phase_seconds", "histogram", "Time of a request's phases.");
    for (size_t i = 0; i < N_PHASES; i++) {
        snprintf(labels, sizeof labels, "phase=\"%s\"", phases[i]);
        add_histogram(t, "lossd_phase_seconds", labels, &m->phase[i]);
    }
}

static void add_rows(struct text *t, struct metrics *m)
{
    add_head(t, "lossd_rows_total", "counter", "Per-sample losses computed.");
    for (size_t loss = 0; loss < m->n_losses; loss++) {
        uint64_t n = counted(&m->rows[loss]);
        if (n > 0) {
            add(t, "lossd_rows_total{loss=\"%s\"} %" PRIu64 "\n", loss_label(m, loss), n);
        }
    }
}

static void add_outcomes(void *arg, const struct auth_use *use)
{
    static const char *const outcomes[N_KEY_OUTCOMES] = {"2xx", "4xx", "5xx", "499"};
    for (size_t i = 0; i < N_KEY_OUTCOMES; i++) {
        add(arg, "lossd_key_requests_total{key=\"%s\",status=\"%s\"} %" PRIu64 "\n", use->name, outcomes[i],
            counted(&use->outcome[i]));
    }
}

static void add_limited(void *arg, const struct auth_use *use)
{
    add(arg, "lossd_key_rate_limited_total{key=\"%s\"} %" PRIu64 "\n", use->name, counted(&use->limited));
}

static void add_key_rows(void *arg, const struct auth_use *use)
{
    add(arg, "lossd_key_rows_total{key=\"%s\"} %" PRIu64 "\n", use->name, counted(&use->rows));
}

static void add_keys(struct text *t, struct auth *auth)
{
    static const char *const reasons[N_AUTH_FAILURES] = {"missing", "unknown", "expired"};
    add_head(t, "lossd_unauthorized_total", "counter", "Requests without a key that counts.");
    for (size_t i = 0; i < N_AUTH_FAILURES; i++) {
        add(t, "lossd_unauthorized_total{reason=\"%s\"} %" PRIu64 "\n", reasons[i], auth_failures(auth, i));
    }
    add_head(t, "lossd_key_requests_total", "counter",
             "Requests of a key; 499 where the client left before the answer.");
    auth_visit_uses(auth, add_outcomes, t);
    add_head(t, "lossd_key_rate_limited_total", "counter", "Requests of a key that its rate limit refused.");
    auth_visit_uses(auth, add_limited, t);
    add_head(t, "lossd_key_rows_total", "counter", "Per-sample losses computed for a key.");
    auth_visit_uses(auth, add_key_rows, t);
}

static double resident_bytes(void)
{
    unsigned long total, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f != NULL) {
        if (fscanf(f, "%lu %lu", &total, &resident) != 2) {
            resident = 0;
        }
        fclose(f);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void add_connections(struct text *t, struct metrics *m)
{
    add_value(t, "lossd_connections", "gauge", "Connections of clients.",
              (double)atomic_load_explicit(&m->connections, memory_order_relaxed));
    add_head(t, "lossd_late_connections_total", "counter", "Connections ended because their client took too long.");
    for (size_t i = 0; i < PACE_N_PHASES; i++) {
        if (late_phases[i] != NULL) {
            add(t, "lossd_late_connections_total{phase=\"%s\"} %" PRIu64 "\n", late_phases[i], counted(&m->late[i]));
        }
    }
}

static void add_server(struct text *t, const struct server *server)
{
    struct metrics *m = server->metrics;

    add_head(t, "lossd_build_info", "gauge", "What runs here.");
    add(t, "lossd_build_info{version=\"%s\",isa=\"%s\"} 1\n", loss_version(), loss_isa());
    add_head(t, "lossd_queue_length", "gauge", "Jobs waiting or running.");
    add(t, "lossd_queue_length{queue=\"compute\"} %zu\n", executor_length(server->compute));
    add(t, "lossd_queue_length{queue=\"store\"} %zu\n", executor_length(server->store));
    add_value(t, "lossd_requests_in_flight", "gauge", "Requests begun and not yet answered.",
              (double)metrics_in_flight(m));
    add_connections(t, m);
    add_value(t, "lossd_memory_used_bytes", "gauge", "What the requests in flight hold.",
              (double)loss_budget_used(&server->budget));
    add_value(t, "lossd_memory_budget_bytes", "gauge", "What they may hold (--memory-budget).",
              (double)server->budget.limit);
    add_value(t, "lossd_draining", "gauge", "1 once the server is shutting down.", atomic_load(&server->draining));
    add_value(t, "lossd_received_bytes_total", "counter", "Bytes of request bodies.", (double)counted(&m->bytes_in));
    add_value(t, "lossd_sent_bytes_total", "counter", "Bytes of answer bodies.", (double)counted(&m->bytes_out));
    if (server->tls != NULL) {
        add_value(t, "lossd_tls_certificate_expires_seconds", "gauge",
                  "When the certificate expires, seconds since 1970.", (double)tls_expires(server->tls));
    }
    add_value(t, "process_start_time_seconds", "gauge", "Start of the process, seconds since 1970.", m->started);
    add_value(t, "process_cpu_seconds_total", "counter", "Processor time used.", cpu_seconds());
    add_value(t, "process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
}

const char *metrics_text(const struct server *server, struct loss_arena *arena, size_t *size)
{
    struct text t = {.arena = arena};

    add_server(&t, server);
    add_requests(&t, server->metrics);
    add_histograms(&t, server->metrics);
    add_rows(&t, server->metrics);
    if (server->auth != NULL) {
        add_keys(&t, server->auth);
    }
    *size = t.size;
    return t.failed ? NULL : t.data;
}
