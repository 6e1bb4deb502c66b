/* SPDX-License-Identifier: Apache-2.0
 *
 * pace.c - a ring of connections and the thread that goes round.
 */
#include <server/http/pace.h>

#include <linux/tcp.h> /* more of struct tcp_info than the C library's */
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/sockios.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <loss/error.h>
#include <server/http/request.h>
#include <server/metrics.h>

#define ROUND_MS 250
#define CROWD 256       /* connections that leave memory worth giving back */
#define SETTLED_MS 1000 /* an idle connection is not asked about before */
#define LINE_END 2      /* that clients may send behind a body */

struct pace_watch {
    pthread_mutex_t mutex; /* guards the ring, and keeps its sockets open while they are looked at */
    pthread_cond_t arrived;
    bool stopping;
    struct pace ring;
    size_t n, peak; /* connections, and the most of them since memory was given back */
    struct metrics *metrics;
    void (*each_round)(void *arg);
    void *arg;
    int64_t idle_ms, head_ms, body_ms, window_ms, rate; /* rate: bytes a second, 0: any */
    int64_t per_address;                                /* connections, 0: any number */
    pthread_t thread;
};

/* As fine as the kernel's tick, which is enough here, and cheap. */
static int64_t coarse_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#define PHASE_BITS 3

static int64_t state_of(pace_phase phase, int64_t ms)
{
    return ms << PHASE_BITS | (int64_t)phase;
}

static pace_phase phase_of(int64_t state)
{
    return (pace_phase)(state & ((1 << PHASE_BITS) - 1));
}

static int64_t since_of(int64_t state)
{
    return state >> PHASE_BITS;
}

bool pace_move(struct pace *p, pace_phase to)
{
    int_fast64_t state = atomic_load_explicit(&p->state, memory_order_relaxed);

    return phase_of(state) != PACE_LATE && atomic_compare_exchange_strong(&p->state, &state, state_of(to, coarse_ms()));
}

void pace_took(struct pace *p, uint64_t bytes)
{
    uint64_t before = atomic_load_explicit(&p->taken, memory_order_relaxed);
    bool counted = before != PACE_UNCOUNTED && bytes != PACE_UNCOUNTED;

    atomic_store_explicit(&p->taken, counted ? before + bytes + LINE_END : PACE_UNCOUNTED, memory_order_relaxed);
}

bool pace_late(const struct pace *p)
{
    return phase_of(atomic_load(&p->state)) == PACE_LATE;
}

/* --- bytes, as the kernel counts them --- */

/* Bytes that have come (of what is sent: that the client has acknowledged) so far. False: this kernel does not tell. */
static bool bytes_moved(int fd, bool sent, uint64_t *out)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    size_t needed = offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || size < needed) {
        return false;
    }
    *out = sent ? info.tcpi_bytes_acked : info.tcpi_bytes_received;
    return true;
}

/* Is it the server that is slow: is there something that it has not read, or nothing that it has sent? */
static bool ours_to_move(int fd, bool sent)
{
    int queued = 0;

    if (ioctl(fd, sent ? SIOCOUTQ : SIOCINQ, &queued) != 0) {
        return false;
    }
    return sent ? queued == 0 : queued > 0;
}

/* --- ending --- */

static void say_late(const struct pace *p, pace_phase phase)
{
    static const char *const detail[] = {
        [PACE_HEAD] = "the request's head took too long to arrive; the server's option --head-timeout sets the limit",
        [PACE_BODY] = "the request's body took too long to arrive; the server's options --body-timeout, --min-rate and "
                      "--rate-window set the limits"};
    char body[512], text[1024];
    int n;

    if (p->oip && phase == PACE_BODY) {
        n = snprintf(body, sizeof body, "{\"error\":\"%s\"}", detail[phase]);
    } else {
        n = snprintf(body, sizeof body,
                     "{\"type\":\"/problems/request_timeout\",\"title\":\"%s\",\"status\":408,\"detail\":\"%s\","
                     "\"code\":\"request_timeout\"}",
                     loss_status_title(LOSS_REQUEST_TIMEOUT), detail[phase]);
    }
    bool named = phase == PACE_BODY;
    n = snprintf(text, sizeof text,
                 "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nServer: " HTTP_SERVER_NAME "\r\n%s%s%s"
                 "Content-Type: application/%sjson\r\nContent-Length: %d\r\n\r\n%s",
                 named ? "X-Request-Id: " : "", named ? p->id : "", named ? "\r\n" : "",
                 named && p->oip ? "" : "problem+", n, body);
    ssize_t written = send(p->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)written; /* a client that is gone needs no answer */
}

/* Whoever moves the connection first has it: its own thread, and then it is not late, or this one. `as` is what it was
 * late with. */
static void end(struct pace_watch *w, struct pace *p, int64_t state, pace_phase as)
{
    int_fast64_t expected = state;

    if (!atomic_compare_exchange_strong(&p->state, &expected, state_of(PACE_LATE, since_of(state)))) {
        return;
    }
    metrics_late(w->metrics, as);
    if ((as == PACE_HEAD || as == PACE_BODY) && !p->encrypted) {
        say_late(p, as);
        (void)shutdown(p->fd, SHUT_RD);
    } else {
        (void)shutdown(p->fd, SHUT_RDWR);
    }
}

/* --- looking --- */

/* Too few bytes in the last window? */
static bool too_slow(struct pace_watch *w, struct pace *p, bool sent, int64_t now)
{
    uint64_t moved;

    if (w->rate == 0 || now - p->window < w->window_ms || !bytes_moved(p->fd, sent, &moved)) {
        return false;
    }
    bool slow = p->counted && moved - p->moved < (uint64_t)w->rate * (uint64_t)(now - p->window) / 1000 &&
                !ours_to_move(p->fd, sent);
    p->counted = true;
    p->moved = moved;
    p->window = now;
    return slow;
}

/* The figures of a phase begin where it is first seen. */
static void begin_window(struct pace *p, bool sent, int64_t now)
{
    p->counted = bytes_moved(p->fd, sent, &p->moved);
    p->window = now;
}

/* Did more come than the requests that there were? Bytes of TLS are others than those of requests. */
static bool has_more(const struct pace *p, uint64_t moved)
{
    uint64_t taken = atomic_load_explicit(&p->taken, memory_order_relaxed);

    return !p->encrypted && taken != PACE_UNCOUNTED && moved > taken;
}

/* A request's first line is not told before its end: of an idle connection only the bytes tell that there is one. */
static void look_at_idle(struct pace_watch *w, struct pace *p, int64_t state, int64_t now)
{
    int64_t since = since_of(state);
    uint64_t moved;

    if (now - since >= w->idle_ms) {
        end(w, p, state, PACE_IDLE);
        return;
    }
    if (now < p->look_at || now - since < SETTLED_MS) {
        return;
    }
    p->look_at = now + w->head_ms / 4;
    if (!bytes_moved(p->fd, false, &moved)) {
        return;
    }
    if (!p->counted) {
        p->counted = true;
        p->moved = phase_of(state) == PACE_IDLE ? moved : 0;
        if (phase_of(state) == PACE_IDLE && has_more(p, moved)) {
            p->line_begun = since;
        }
    }
    if (moved > p->moved && p->line_begun == 0) {
        p->line_begun = phase_of(state) == PACE_IDLE ? now : since;
    }
    if (p->line_begun != 0 && now - p->line_begun >= w->head_ms && !ours_to_move(p->fd, false)) {
        end(w, p, state, PACE_HEAD);
    }
}

static void look_at(struct pace_watch *w, struct pace *p, int64_t now)
{
    int64_t state = atomic_load_explicit(&p->state, memory_order_acquire);
    pace_phase phase = phase_of(state);
    int64_t took = now - since_of(state);

    if (state != p->seen) {
        p->seen = state;
        p->look_at = p->line_begun = 0;
        p->counted = false;
        if (w->rate != 0 && (phase == PACE_BODY || phase == PACE_ANSWER)) {
            begin_window(p, phase == PACE_ANSWER, now);
        }
    }
    switch (phase) {
    case PACE_NEW:
    case PACE_IDLE:
        look_at_idle(w, p, state, now);
        break;
    case PACE_HEAD:
        if (took >= w->head_ms && !ours_to_move(p->fd, false)) {
            end(w, p, state, PACE_HEAD);
        }
        break;
    case PACE_BODY:
        if ((took >= w->body_ms && !ours_to_move(p->fd, false)) || too_slow(w, p, false, now)) {
            end(w, p, state, PACE_BODY);
        }
        break;
    case PACE_ANSWER:
        if (too_slow(w, p, true, now)) {
            end(w, p, state, PACE_ANSWER);
        }
        break;
    case PACE_WORK:
    case PACE_LATE:
        break;
    }
}

/* What a crowd held lies scattered in the C library's heap when it has gone, which would keep it. */
static bool crowd_gone(struct pace_watch *w)
{
    bool gone = w->peak >= CROWD && w->n <= w->peak / 2;

    w->peak = gone || w->n > w->peak ? w->n : w->peak;
    return gone;
}

static void give_memory_back(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

static void sleep_round(void)
{
    const struct timespec t = {.tv_nsec = ROUND_MS * 1000000L};
    nanosleep(&t, NULL);
}

static void *run(void *arg)
{
    struct pace_watch *w = arg;

    pthread_mutex_lock(&w->mutex);
    while (!w->stopping) {
        if (w->n == 0 && w->peak < CROWD) {
            pthread_cond_wait(&w->arrived, &w->mutex);
            continue;
        }
        int64_t now = coarse_ms();
        for (struct pace *p = w->ring.next; p != &w->ring; p = p->next) {
            look_at(w, p, now);
        }
        bool gone = crowd_gone(w);
        pthread_mutex_unlock(&w->mutex);
        if (gone) {
            give_memory_back();
        }
        w->each_round(w->arg);
        sleep_round();
        pthread_mutex_lock(&w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

/* --- life --- */

struct pace_watch *pace_new(const struct conf *conf, struct metrics *metrics, void (*each_round)(void *arg), void *arg)
{
    struct pace_watch *w = calloc(1, sizeof *w);

    if (w == NULL) {
        return NULL;
    }
    w->metrics = metrics;
    w->each_round = each_round;
    w->arg = arg;
    w->idle_ms = conf->connection_timeout * 1000;
    w->head_ms = conf->head_timeout * 1000;
    w->body_ms = conf->body_timeout * 1000;
    w->window_ms = conf->rate_window * 1000;
    w->rate = conf->min_rate;
    w->per_address = conf->connections_per_ip;
    w->ring.prev = w->ring.next = &w->ring;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->arrived, NULL);
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        pthread_cond_destroy(&w->arrived);
        pthread_mutex_destroy(&w->mutex);
        free(w);
        return NULL;
    }
    pthread_setname_np(w->thread, "pace");
    return w;
}

/* IPv4 as IPv6 maps it. */
static struct in6_addr peer_address(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at = {.any.sa_family = AF_UNSPEC};
    socklen_t size = sizeof at;
    struct in6_addr mapped = {.s6_addr = {[10] = 0xFF, [11] = 0xFF}};

    if (getpeername(fd, &at.any, &size) != 0) {
        return in6addr_any;
    }
    if (at.any.sa_family == AF_INET6) {
        return at.v6.sin6_addr;
    }
    memcpy(&mapped.s6_addr[12], &at.v4.sin_addr, sizeof at.v4.sin_addr);
    return mapped;
}

static bool one_too_many(const struct pace_watch *w, const struct pace *p)
{
    int64_t n = 0;

    for (const struct pace *other = w->ring.next; other != &w->ring && n < w->per_address; other = other->next) {
        n += memcmp(&other->from, &p->from, sizeof p->from) == 0;
    }
    return n >= w->per_address;
}

void pace_add(struct pace_watch *w, struct pace *p, int fd)
{
    p->fd = fd;
    atomic_store(&p->state, state_of(PACE_NEW, coarse_ms()));
    if (w->per_address > 0) {
        p->from = peer_address(fd);
    }
    pthread_mutex_lock(&w->mutex);
    if (w->per_address > 0 && one_too_many(w, p)) {
        (void)shutdown(fd, SHUT_RDWR);
    }
    if (w->n++ == 0) {
        pthread_cond_signal(&w->arrived);
    }
    p->prev = &w->ring;
    p->next = w->ring.next;
    p->next->prev = p;
    w->ring.next = p;
    pthread_mutex_unlock(&w->mutex);
    metrics_connection(w->metrics, 1);
}

void pace_remove(struct pace_watch *w, struct pace *p)
{
    pthread_mutex_lock(&w->mutex);
    p->prev->next = p->next;
    p->next->prev = p->prev;
    w->n--;
    pthread_mutex_unlock(&w->mutex);
    metrics_connection(w->metrics, -1);
}

void pace_free(struct pace_watch *w)
{
    if (w == NULL) {
        return;
    }
    pthread_mutex_lock(&w->mutex);
    w->stopping = true;
    pthread_cond_signal(&w->arrived);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->arrived);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}
