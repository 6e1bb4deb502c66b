/* SPDX-License-Identifier: Apache-2.0
 *
 * test_workers.c - who gets which connection, and how many there may be.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <loss/arena.h>
#include <server/http/listen.h>
#include <server/http/workers.h>

#define THREADS 3
#define CONNECTIONS 12

/* A server whose answers say nothing; it remembers which thread each request ran on. */
struct site {
    struct workers *workers;
    struct sockaddr_in at;
    pthread_mutex_t mutex;
    pthread_t ran_on[CONNECTIONS];
    size_t n;
    int open, strangers;
};

static void *begun(void *arg, const char *target, struct MHD_Connection *connection)
{
    (void)target;
    (void)connection;
    return arg;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *bytes, size_t *n, void **context)
{
    struct site *s = arg;
    (void)url, (void)method, (void)version, (void)bytes, (void)n;

    if (*context == s) { /* the head alone: an answer now would end the connection */
        *context = &s->n;
        return MHD_YES;
    }
    pthread_mutex_lock(&s->mutex);
    s->ran_on[s->n++ % CONNECTIONS] = pthread_self();
    pthread_mutex_unlock(&s->mutex);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(2, (void *)(uintptr_t) "ok", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return queued;
}

static void completed(void *arg, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode code)
{
    (void)arg, (void)connection, (void)code;
    *context = NULL;
}

/* What is a worker's own is that of one thread, which leaves something there for the worker to free. */
static void changed(void *arg, struct worker_own *own, struct MHD_Connection *connection, void **context,
                    enum MHD_ConnectionNotificationCode code)
{
    static _Thread_local const struct worker_own *mine;
    struct site *s = arg;
    (void)connection, (void)context;

    if (mine == NULL) {
        mine = own;
        own->spare = loss_arena_new(1000, NULL);
    }
    pthread_mutex_lock(&s->mutex);
    s->open += code == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1;
    s->strangers += own != mine;
    pthread_mutex_unlock(&s->mutex);
}

static void site_start(struct site *s, int64_t limit)
{
    const struct conf conf = {.http_threads = THREADS, .connection_limit = limit, .connection_timeout = 60};
    const struct worker_calls calls = {
        .begun = begun, .handle = handle, .completed = completed, .changed = changed, .arg = s};
    struct loss_error err = {.status = LOSS_OK};
    struct listener listener;
    socklen_t size = sizeof s->at;

    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->mutex, NULL);
    assert_int_equal(listen_open("127.0.0.1:0", "http", &listener, &err), LOSS_OK);
    assert_int_equal(getsockname(listener.fd, (struct sockaddr *)&s->at, &size), 0);
    s->workers = workers_start(&conf, listener.fd, &calls);
    assert_non_null(s->workers);
}

static void site_stop(struct site *s)
{
    workers_stop(s->workers);
    assert_int_equal(s->open, 0);
    assert_int_equal(s->strangers, 0);
    pthread_mutex_destroy(&s->mutex);
}

static int ask(const struct site *s)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&s->at, sizeof s->at), 0);
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    return fd;
}

static bool answered(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char reply[1024];

    return poll(&p, 1, ms) == 1 && recv(fd, reply, sizeof reply, 0) > 0 && memcmp(reply, "HTTP/1.1 200", 12) == 0;
}

static void test_connections__are_dealt_out_evenly(void **state)
{
    struct site s;
    int fds[CONNECTIONS];
    (void)state;

    site_start(&s, 100);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        fds[i] = ask(&s);
        assert_true(answered(fds[i], 30000));
    }
    assert_int_equal(s.n, CONNECTIONS);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        size_t same = 0;
        for (size_t j = 0; j < CONNECTIONS; j++) {
            same += pthread_equal(s.ran_on[i], s.ran_on[j]) != 0;
        }
        assert_int_equal(same, CONNECTIONS / THREADS);
        close(fds[i]);
    }
    site_stop(&s);
}

static void test_a_connection_too_many__waits_until_another_closes(void **state)
{
    struct site s;
    (void)state;

    site_start(&s, 2);
    int first = ask(&s), second = ask(&s);
    assert_true(answered(first, 30000));
    assert_true(answered(second, 30000));
    int third = ask(&s);
    assert_false(answered(third, 100));
    close(first);
    assert_true(answered(third, 30000));
    close(second);
    close(third);
    site_stop(&s);
}

static void test_refusing__answers_old_connections_alone(void **state)
{
    struct site s;
    char byte;
    (void)state;

    site_start(&s, 100);
    int old = ask(&s);
    assert_true(answered(old, 30000));
    workers_refuse(s.workers);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&s.at, sizeof s.at), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    assert_int_equal(send(old, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, MSG_NOSIGNAL), 27);
    assert_true(answered(old, 30000));
    site_stop(&s);
    assert_int_equal(recv(old, &byte, 1, 0), 0);
    close(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections__are_dealt_out_evenly),
        cmocka_unit_test(test_a_connection_too_many__waits_until_another_closes),
        cmocka_unit_test(test_refusing__answers_old_connections_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
