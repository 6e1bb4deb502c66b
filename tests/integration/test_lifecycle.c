/* SPDX-License-Identifier: Apache-2.0
 *
 * test_lifecycle.c - starting, draining and ending lossd, and what its command line says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <signal.h>

#include <cmocka.h>

#include <support/client.h>
#include <support/daemon.h>

#define LOSS "/v1/losses/absolute_difference"
#define BODY "{\"labels\":[1,2],\"predictions\":[1.5,4]}"
#define HALF 10
#define POST_HEAD "POST " LOSS " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 38\r\n\r\n"

static void sleep_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* A call of which the server has seen the head and half the body. */
static int begin_call(const struct daemon *d)
{
    int fd = raw_connect(d->port);
    raw_send(fd, POST_HEAD);
    raw_send_bytes(fd, BODY, HALF);
    sleep_ms(100);
    return fd;
}

static bool finish_call(int fd)
{
    char buf[4096];
    raw_send(fd, BODY + HALF);
    bool answered = raw_expect(fd, buf, sizeof buf, "\"losses\"", 5000);
    return answered && strstr(buf, "Connection: close") != NULL;
}

/* --- draining --- */

static void test_sigterm__answers_what_is_in_flight_and_exits_0(void **state)
{
    struct daemon d;
    (void)state;
    daemon_start(&d, NULL);
    int fd = begin_call(&d);
    kill(d.pid, SIGTERM);
    for (int i = 0; i < 100 && !raw_refused(d.port); i++) {
        sleep_ms(20);
    }
    assert_true(raw_refused(d.port));
    assert_true(finish_call(fd));
    assert_int_equal(daemon_wait(&d), 0);
    close(fd);
}

static void test_sigint__drains_as_well(void **state)
{
    struct daemon d;
    (void)state;
    daemon_start(&d, NULL);
    assert_int_equal(daemon_stop(&d, SIGINT), 0);
}

static void test_new_work_on_an_old_connection__is_503_while_draining(void **state)
{
    struct daemon d;
    char buf[4096];
    (void)state;
    daemon_start(&d, NULL);
    int held = begin_call(&d);
    int idle = raw_connect(d.port);
    raw_send(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(raw_expect(idle, buf, sizeof buf, "alive", 5000));
    kill(d.pid, SIGTERM);
    sleep_ms(200);
    raw_send(idle, POST_HEAD BODY);
    assert_true(raw_expect(idle, buf, sizeof buf, "shutting_down", 5000));
    assert_true(strncmp(buf, "HTTP/1.1 503", 12) == 0);
    assert_non_null(strstr(buf, "Retry-After: "));
    assert_non_null(strstr(buf, "Connection: close"));
    assert_true(raw_closed(idle, 5000));
    assert_true(finish_call(held));
    assert_int_equal(daemon_wait(&d), 0);
    close(held);
    close(idle);
}

static void test_drain_delay__is_unready_but_takes_work(void **state)
{
    static const char *const options[] = {"--drain-delay", "1s", NULL};
    struct daemon d;
    struct client *client = client_new();
    (void)state;
    daemon_start(&d, options);
    struct answer a = client_get(client, d.url, "/readyz");
    assert_int_equal(a.status, 200);
    kill(d.pid, SIGTERM);
    sleep_ms(100);
    a = client_get(client, d.url, "/readyz");
    assert_int_equal(a.status, 503);
    assert_true(answer_has(&a, "shutting_down"));
    a = client_get(client, d.url, "/healthz");
    assert_int_equal(a.status, 200);
    a = client_post(client, d.url, LOSS, BODY);
    assert_int_equal(a.status, 200);
    assert_string_equal(answer_header(&a, "Connection"), "close");
    assert_int_equal(daemon_wait(&d), 0);
    client_free(client);
}

static void test_drain_timeout__gives_up_and_exits_1(void **state)
{
    static const char *const options[] = {"--drain-timeout", "1s", NULL};
    struct daemon d;
    (void)state;
    daemon_start(&d, options);
    int fd = begin_call(&d);
    assert_int_equal(daemon_stop(&d, SIGTERM), 1);
    close(fd);
}

static void test_a_second_signal__ends_at_once(void **state)
{
    struct daemon d;
    (void)state;
    daemon_start(&d, NULL);
    int fd = begin_call(&d);
    kill(d.pid, SIGTERM);
    sleep_ms(100);
    assert_int_equal(daemon_stop(&d, SIGTERM), 128 + SIGTERM);
    close(fd);
}

static void test_an_idle_connection__does_not_hold_up_the_end(void **state)
{
    struct daemon d;
    char buf[4096];
    (void)state;
    daemon_start(&d, NULL);
    int fd = raw_connect(d.port);
    raw_send(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(raw_expect(fd, buf, sizeof buf, "alive", 5000));
    assert_int_equal(daemon_stop(&d, SIGTERM), 0);
    close(fd);
}

static void test_a_silent_connection__is_closed(void **state)
{
    static const char *const options[] = {"--connection-timeout", "1", NULL};
    struct daemon d;
    (void)state;
    daemon_start(&d, options);
    int fd = raw_connect(d.port);
    raw_send(fd, "GET /healthz HT");
    assert_true(raw_closed(fd, 5000));
    close(fd);
    fd = begin_call(&d);
    assert_true(raw_closed(fd, 5000));
    close(fd);
    assert_int_equal(daemon_stop(&d, SIGTERM), 0);
}

/* --- executors and threads --- */

static void check_computes(const char *const *options)
{
    struct daemon d;
    struct client *client = client_new();
    daemon_start(&d, options);
    for (int i = 0; i < 20; i++) {
        struct answer a = client_post(client, d.url, LOSS, BODY);
        assert_int_equal(a.status, 200);
        assert_true(answer_has(&a, "\"loss\":1.25"));
    }
    assert_int_equal(daemon_stop(&d, SIGTERM), 0);
    client_free(client);
}

static void test_any_number_of_threads__computes(void **state)
{
    static const char *const one[] = {"--http-threads=1", "--threads=1", NULL};
    static const char *const many[] = {"--http-threads=8", "--threads=8", NULL};
    static const char *const queued[] = {"--inline-elements", "0", NULL};
    (void)state;
    check_computes(one);
    check_computes(many);
    check_computes(queued);
}

static void test_no_memory__is_503_with_retry_after(void **state)
{
    static const char *const options[] = {"--memory-budget", "1MiB", NULL};
    struct daemon d;
    struct client *client = client_new();
    size_t n = 400000, size = 0;
    char *body = malloc(2 * n + 64);
    (void)state;
    assert_non_null(body);
    size += (size_t)sprintf(body, "{\"labels\":[1");
    for (size_t i = 0; i < n; i++) {
        memcpy(body + size, ",1", 2);
        size += 2;
    }
    size += (size_t)sprintf(body + size, "]}");
    daemon_start(&d, options);
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct answer a = client_call(client, "POST", d.url, LOSS, headers, body, size);
    assert_int_equal(a.status, 503);
    assert_true(answer_has(&a, "\"code\":\"overloaded\""));
    assert_string_equal(answer_header(&a, "Retry-After"), "1");
    a = client_post(client, d.url, LOSS, BODY);
    assert_int_equal(a.status, 200);
    assert_int_equal(daemon_stop(&d, SIGTERM), 0);
    client_free(client);
    free(body);
}

/* --- the log --- */

static void test_the_log__has_one_json_line_a_request(void **state)
{
    struct daemon d;
    struct client *client = client_new();
    (void)state;
    daemon_start(&d, NULL);
    static const char *const headers[] = {"Content-Type: application/json", "X-Request-Id: find-me", NULL};
    struct answer a = client_call(client, "POST", d.url, LOSS, headers, BODY, strlen(BODY));
    assert_int_equal(a.status, 200);
    a = client_get(client, d.url, "/nowhere?a=%22%0a");
    assert_int_equal(a.status, 404);
    kill(d.pid, SIGTERM);
    char *log = daemon_log(&d);
    for (int tries = 0; strstr(log, "\"stopped\"") == NULL && tries < 1500; tries++) {
        sleep_ms(20);
        free(log);
        log = daemon_log(&d);
    }
    assert_int_equal(daemon_wait(&d), 0);
    const char *line = strstr(log, "\"target\":\"" LOSS "\"");
    assert_non_null(line);
    assert_non_null(strstr(line, "\"status\":200,\"bytes_in\":38,"));
    assert_non_null(strstr(line, "\"loss\":\"absolute_difference\",\"rows\":2,"));
    assert_non_null(strstr(line, "\"request_id\":\"find-me\"}\n"));
    assert_non_null(strstr(log, "\"code\":\"not_found\""));
    for (line = log; *line != '\0'; line = strchr(line, '\n') + 1) {
        assert_true(line[0] == '{');
        assert_non_null(strchr(line, '\n'));
    }
    free(log);
    client_free(client);
}

/* --- the command line --- */

static void check_refused(const char *const *arguments, int status, const char *const *words)
{
    char *output;
    int got = program_run(arguments, &output);
    if (got != status) {
        fail_msg("%s %s: exit %d, not %d: %s", arguments[0], arguments[1], got, status, output);
    }
    for (; *words != NULL; words++) {
        if (strstr(output, *words) == NULL) {
            fail_msg("\"%s\" is not in: %s", *words, output);
        }
    }
    free(output);
}

#define REFUSED(status, words, ...) check_refused((const char *const[]){__VA_ARGS__, NULL}, status, words)
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_bad_options__exit_2_and_name_what_would_do(void **state)
{
    (void)state;
    REFUSED(2, WORDS("--max-bodi", "--max-body"), "serve", "--max-bodi", "1MiB");
    REFUSED(2, WORDS("--max-body", "lots", "1KiB", "1TiB", "64KiB"), "serve", "--max-body", "lots");
    REFUSED(2, WORDS("--max-body", "1KiB"), "serve", "--max-body=10");
    REFUSED(2, WORDS("--max-body"), "serve", "--max-body", "99999999999999999999");
    REFUSED(2, WORDS("--max-body needs a value"), "serve", "--max-body");
    REFUSED(2, WORDS("--log-format", "auto, text or json"), "serve", "--log-format", "xml");
    REFUSED(2, WORDS("--threads", "from 1 to"), "serve", "--threads", "0");
    REFUSED(2, WORDS("--drain-timeout", "30s"), "serve", "--drain-timeout", "soon");
    REFUSED(2, WORDS("--port", "65535"), "serve", "--port", "65536");
    REFUSED(2, WORDS("stray"), "serve", "stray");
    REFUSED(2, WORDS("serv", "serve"), "serv", "--port=0");
    REFUSED(1, WORDS("--listen", "HOST:PORT"), "serve", "--store", "memory", "--listen", "nonsense");
    REFUSED(1, WORDS("--listen", "HOST:PORT"), "serve", "--store", "memory", "--listen", "::1:80");
    REFUSED(1, WORDS("carrier"), "serve", "--port", "0", "--store", "carrier:pigeon");
}

static void test_the_environment__sets_options_and_a_flag_wins(void **state)
{
    static const char *const flag[] = {"--max-body", "2KiB", NULL};
    struct daemon d;
    struct client *client = client_new();
    static char body[4096];
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    (void)state;
    memset(body, ' ', sizeof body);
    setenv("LOSSD_MAX_BODY", "1KiB", 1);
    daemon_start(&d, NULL);
    struct answer a = client_call(client, "POST", d.url, LOSS, headers, body, 1025);
    assert_int_equal(a.status, 413);
    assert_int_equal(daemon_stop(&d, SIGTERM), 0);
    daemon_start(&d, flag);
    a = client_call(client, "POST", d.url, LOSS, headers, body, 1025);
    assert_int_equal(a.status, 400);
    a = client_call(client, "POST", d.url, LOSS, headers, body, 2049);
    assert_int_equal(a.status, 413);
    assert_int_equal(daemon_stop(&d, SIGTERM), 0);
    setenv("LOSSD_MAX_BODY", "lots", 1);
    REFUSED(2, WORDS("LOSSD_MAX_BODY", "lots"), "serve", "--port", "0");
    unsetenv("LOSSD_MAX_BODY");
    client_free(client);
}

static void test_a_taken_port__exits_1_and_says_so(void **state)
{
    struct daemon d;
    char port[16];
    (void)state;
    daemon_start(&d, NULL);
    snprintf(port, sizeof port, "%d", d.port);
    REFUSED(1, WORDS("127.0.0.1:", port, "in use", "--port"), "serve", "--store", "memory", "--port", port);
    assert_int_equal(daemon_stop(&d, SIGTERM), 0);
}

static void test_loopback__needs_no_warning(void **state)
{
    struct daemon d;
    (void)state;
    daemon_start(&d, NULL);
    char *log = daemon_log(&d);
    assert_null(strstr(log, "everybody may do everything"));
    free(log);
    assert_int_equal(daemon_stop(&d, SIGTERM), 0);
}

static void test_help__mentions_every_option(void **state)
{
    static const char *const names[] = {"listen",
                                        "port",
                                        "store",
                                        "max-body",
                                        "max-head",
                                        "max-fields",
                                        "max-chunks",
                                        "max-depth",
                                        "memory-budget",
                                        "threads",
                                        "http-threads",
                                        "inline-elements",
                                        "queue-jobs",
                                        "queue-bytes",
                                        "connection-limit",
                                        "connections-per-ip",
                                        "connection-timeout",
                                        "head-timeout",
                                        "body-timeout",
                                        "min-rate",
                                        "rate-window",
                                        "cors-origin",
                                        "drain-delay",
                                        "drain-timeout",
                                        "registry-ttl",
                                        "idempotency-ttl",
                                        "isa",
                                        "log-format",
                                        "log-level"};
    char *output;
    (void)state;
    assert_int_equal(program_run((const char *const[]){"serve", "--help", NULL}, &output), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char flag[64], variable[64];
        snprintf(flag, sizeof flag, "--%s ", names[i]);
        snprintf(variable, sizeof variable, "LOSSD_%s", names[i]);
        for (char *p = variable; *p != '\0'; p++) {
            *p = *p == '-' ? '_' : *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
        }
        assert_non_null(strstr(output, flag));
        assert_non_null(strstr(output, variable));
    }
    free(output);
}

static void test_version_and_help__exit_0(void **state)
{
    char *output;
    (void)state;
    assert_int_equal(program_run((const char *const[]){"--version", NULL}, &output), 0);
    assert_true(strncmp(output, "lossd ", 6) == 0);
    assert_non_null(strchr(output, '('));
    free(output);
    assert_int_equal(program_run((const char *const[]){"--help", NULL}, &output), 0);
    assert_non_null(strstr(output, "serve"));
    free(output);
}

static void test_health__asks_a_server(void **state)
{
    struct daemon d;
    char address[32];
    char *output;
    (void)state;
    daemon_start(&d, NULL);
    snprintf(address, sizeof address, "127.0.0.1:%d", d.port);
    assert_int_equal(program_run((const char *const[]){"health", address, NULL}, &output), 0);
    free(output);
    assert_int_equal(daemon_stop(&d, SIGTERM), 0);
    assert_int_equal(program_run((const char *const[]){"health", address, NULL}, &output), 1);
    free(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigterm__answers_what_is_in_flight_and_exits_0),
        cmocka_unit_test(test_sigint__drains_as_well),
        cmocka_unit_test(test_new_work_on_an_old_connection__is_503_while_draining),
        cmocka_unit_test(test_drain_delay__is_unready_but_takes_work),
        cmocka_unit_test(test_drain_timeout__gives_up_and_exits_1),
        cmocka_unit_test(test_a_second_signal__ends_at_once),
        cmocka_unit_test(test_an_idle_connection__does_not_hold_up_the_end),
        cmocka_unit_test(test_a_silent_connection__is_closed),
        cmocka_unit_test(test_any_number_of_threads__computes),
        cmocka_unit_test(test_no_memory__is_503_with_retry_after),
        cmocka_unit_test(test_the_log__has_one_json_line_a_request),
        cmocka_unit_test(test_bad_options__exit_2_and_name_what_would_do),
        cmocka_unit_test(test_the_environment__sets_options_and_a_flag_wins),
        cmocka_unit_test(test_a_taken_port__exits_1_and_says_so),
        cmocka_unit_test(test_loopback__needs_no_warning),
        cmocka_unit_test(test_help__mentions_every_option),
        cmocka_unit_test(test_version_and_help__exit_0),
        cmocka_unit_test(test_health__asks_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
