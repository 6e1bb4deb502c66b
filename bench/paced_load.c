/* SPDX-License-Identifier: Apache-2.0
 *
 * paced_load.c - calls at a rate of our choice, whatever becomes of those before: an open loop.
 *
 * paced_load PORT REQUEST RATE SECONDS CONNECTIONS. REQUEST is a file with a whole request, head and body, that is sent over and
 * over. With a RATE each call has its moment, and goes out on a connection that is idle, or on a new one; where all of CONNECTIONS
 * are busy it is counted and left out. RATE 0: every connection sends its next call when it has an answer, a closed loop. Connections
 * are kept as long as the server keeps them; an answer that comes before the body is out, and closes, ends the sending.
 *
 * Prints a JSON object: seconds, sent, left out, good, refused (503 with Retry-After), other answers, connections made, then in ms the
 * p50 and p99 of answers, of refusals (from the call's first byte) and of how late calls went out, and our own CPU seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "bench.h"

enum { ANSWER_MOST = 1 << 16, PIECE = 1 << 16, EVENTS = 64, TIMES_MOST = 1 << 20 };

struct connection {
    int fd;        /* -1: not connected */
    bool busy;     /* a call is under way */
    bool writing;  /* waits for room to send, too */
    bool answered; /* its answer is there, but it is not all sent */
    size_t sent, received;
    double begun;
    struct connection *next; /* of those that are not busy */
    char answer[ANSWER_MOST];
};

struct times {
    double *ms;
    size_t n;
};

static struct {
    struct sockaddr_in address;
    char *request;
    size_t size;
    double rate, begun, end;
    struct connection *idle;
    int epoll;
    unsigned long sent, left_out, good, refused, other, made;
    struct times answers, refusals, lateness;
} load;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void *allocate(size_t n)
{
    void *p = calloc(1, n);
    if (p == NULL) {
        fail("paced_load");
    }
    return p;
}

static void add_time(struct times *t, double seconds)
{
    if (t->n < TIMES_MOST) {
        t->ms[t->n++] = seconds * 1e3;
    }
}

static double percentile(struct times *t, double share)
{
    qsort(t->ms, t->n, sizeof *t->ms, bench_compare);
    return t->n > 0 ? t->ms[(size_t)((double)(t->n - 1) * share)] : 0;
}

/* --- a call --- */

static void connect_to_server(struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    const int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        (connect(c->fd, (struct sockaddr *)&load.address, sizeof load.address) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        fail("connect");
    }
    c->writing = true;
    load.made++;
}

static void disconnect(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
}

/* A piece at a time, so that an answer is seen before all is on its way. Where it fails reading will tell. */
static void send_more(struct connection *c)
{
    size_t left = load.size - c->sent;
    ssize_t n = left > 0 ? send(c->fd, load.request + c->sent, left < PIECE ? left : PIECE, MSG_NOSIGNAL) : 0;

    c->sent += n > 0 ? (size_t)n : 0;
    bool writing = c->sent < load.size;
    if (writing != c->writing) {
        struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
        c->writing = writing;
        (void)epoll_ctl(load.epoll, EPOLL_CTL_MOD, c->fd, &event);
    }
}

static void begin(struct connection *c)
{
    c->busy = true;
    c->answered = false;
    c->sent = c->received = 0;
    c->begun = bench_now();
    if (c->fd < 0) {
        connect_to_server(c);
    }
    load.sent++;
    send_more(c);
}

/* In a closed loop the next call goes out. */
static void finish(struct connection *c)
{
    c->busy = false;
    if (load.rate == 0 && bench_now() < load.end) {
        begin(c);
        return;
    }
    c->next = load.idle;
    load.idle = c;
}

/* Behind a field's colon, or NULL. The head is a string by itself. */
static const char *field(const char *head, const char *name)
{
    const char *found = strcasestr(head, name);
    return found != NULL ? found + strlen(name) : NULL;
}

static bool has_all(const struct connection *c, size_t head_size)
{
    const char *length = field(c->answer, "\r\nContent-Length:");

    return length != NULL ? c->received >= head_size + strtoul(length, NULL, 10)
                          : memcmp(c->answer + c->received - 5, "0\r\n\r\n", 5) == 0;
}

static void count(const struct connection *c)
{
    double took = bench_now() - c->begun;
    int status = atoi(c->answer + strlen("HTTP/1.1 "));

    if (status == 200) {
        load.good++;
        add_time(&load.answers, took);
    } else if (status == 503 && field(c->answer, "\r\nRetry-After:") != NULL) {
        load.refused++;
        add_time(&load.refusals, took);
    } else {
        load.other++;
    }
}

/* The answer as far as it is there. */
static void look(struct connection *c)
{
    c->answer[c->received] = '\0';
    char *end = strstr(c->answer, "\r\n\r\n");
    if (c->answered || end == NULL) {
        return;
    }
    end[2] = '\0';
    c->answered = has_all(c, (size_t)(end + 4 - c->answer));
    const char *connection = field(c->answer, "\r\nConnection:");
    if (c->answered) {
        count(c);
    }
    if (c->answered && connection != NULL && strncasecmp(connection, " close", 6) == 0) {
        disconnect(c);
    }
    end[2] = '\r';
}

static void take_event(struct connection *c)
{
    ssize_t n = 1;

    while (c->fd >= 0 && n > 0 && c->received < ANSWER_MOST - 1) {
        n = recv(c->fd, c->answer + c->received, ANSWER_MOST - 1 - c->received, 0);
        c->received += n > 0 ? (size_t)n : 0;
        if (n > 0) {
            look(c);
        }
    }
    if (c->fd >= 0 && (n == 0 || (n < 0 && errno != EAGAIN))) {
        load.other += c->busy && !c->answered;
        c->answered = true;
        disconnect(c);
    }
    if (c->fd >= 0 && c->busy) {
        send_more(c);
    }
    if (c->busy && c->answered && (c->fd < 0 || c->sent == load.size)) {
        finish(c);
    }
}

/* --- the rate --- */

/* Send what is due. */
static void send_due(unsigned long *due)
{
    double now = bench_now();

    for (double at; (at = load.begun + (double)*due / load.rate) <= now && at < load.end; ++*due) {
        struct connection *c = load.idle;
        if (c == NULL) {
            load.left_out++;
            continue;
        }
        load.idle = c->next;
        add_time(&load.lateness, bench_now() - at);
        begin(c);
    }
}

static void arm(int timer, double at)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)at, .tv_nsec = (long)((at - (double)(time_t)at) * 1e9) + 1}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void run(int timer)
{
    struct epoll_event events[EVENTS];
    unsigned long due = 0;

    while (bench_now() < load.end) {
        if (load.rate > 0) {
            send_due(&due);
            arm(timer, load.begun + (double)due / load.rate);
        }
        int n = epoll_wait(load.epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c != NULL && c->fd >= 0) {
                take_event(c);
            }
        }
    }
}

static void read_request(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat s;

    if (f == NULL || fstat(fileno(f), &s) != 0) {
        fail(path);
    }
    load.size = (size_t)s.st_size;
    load.request = allocate(load.size + 1);
    if (fread(load.request, 1, load.size, f) != load.size) {
        fail(path);
    }
    fclose(f);
}

static void print(double seconds)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    printf("{\"seconds\": %.6f, \"sent\": %lu, \"left_out\": %lu, \"good\": %lu, \"refused\": %lu, \"other\": %lu, "
           "\"made\": %lu, ",
           seconds, load.sent, load.left_out, load.good, load.refused, load.other, load.made);
    printf("\"answer_p50\": %.6g, \"answer_p99\": %.6g, \"refusal_p50\": %.6g, \"refusal_p99\": %.6g, \"late_p99\": "
           "%.6g, \"cpu\": %.6g}\n",
           percentile(&load.answers, 0.5), percentile(&load.answers, 0.99), percentile(&load.refusals, 0.5),
           percentile(&load.refusals, 0.99), percentile(&load.lateness, 0.99), cpu);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: paced_load PORT REQUEST RATE SECONDS CONNECTIONS\n");
        return 2;
    }
    load.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    load.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    read_request(argv[2]);
    load.rate = strtod(argv[3], NULL);
    load.answers.ms = allocate(TIMES_MOST * sizeof(double));
    load.refusals.ms = allocate(TIMES_MOST * sizeof(double));
    load.lateness.ms = allocate(TIMES_MOST * sizeof(double));
    struct epoll_event tick = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.epoll < 0 || timer < 0 || epoll_ctl(load.epoll, EPOLL_CTL_ADD, timer, &tick) != 0) {
        fail("epoll");
    }
    size_t n = strtoul(argv[5], NULL, 10);
    struct connection *connections = allocate(n * sizeof *connections);
    load.begun = bench_now();
    load.end = load.begun + strtod(argv[4], NULL);
    for (size_t i = 0; i < n; i++) {
        connections[i].fd = -1;
        finish(&connections[i]);
    }
    run(timer);
    print(bench_now() - load.begun);
    return 0;
}
