/* SPDX-License-Identifier: Apache-2.0
 *
 * test_http.c - how lossd speaks HTTP, whatever is computed: a whole server, from outside.
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
#define JSON "Content-Type: application/json\r\n"
#define POST_HEAD "POST " LOSS " HTTP/1.1\r\nHost: x\r\n" JSON
#define LIMIT (1 << 20)

static struct daemon shared; /* --max-body 1MiB */
static struct client *client;

static int start_shared(void **state)
{
    static const char *const options[] = {"--max-body", "1MiB", NULL};
    (void)state;
    daemon_start(&shared, options);
    client = client_new();
    return 0;
}

static int stop_shared(void **state)
{
    (void)state;
    client_free(client);
    assert_int_equal(daemon_stop(&shared, SIGTERM), 0);
    return 0;
}

static void sleep_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* An answer that is a problem document with this status and code. */
static void assert_problem(const struct answer *a, int status, const char *code)
{
    char member[64];

    assert_int_equal(a->status, status);
    assert_string_equal(answer_header(a, "Content-Type"), "application/problem+json");
    snprintf(member, sizeof member, "\"code\":\"%s\"", code);
    assert_non_null(strstr(a->body, member));
    snprintf(member, sizeof member, "\"type\":\"/problems/%s\"", code);
    assert_non_null(strstr(a->body, member));
    snprintf(member, sizeof member, "\"request_id\":\"%.32s", answer_header(a, "X-Request-Id"));
    assert_non_null(strstr(a->body, member));
}

/* --- plain requests --- */

static void test_post__answers_and_keeps_the_connection(void **state)
{
    (void)state;
    struct answer a = client_post(client, shared.url, LOSS, BODY);
    assert_int_equal(a.status, 200);
    assert_true(answer_has(&a, "\"losses\""));
    assert_string_equal(answer_header(&a, "Content-Type"), "application/json");
    assert_true(strncmp(answer_header(&a, "Server"), "lossd/", 6) == 0);
    assert_non_null(answer_header(&a, "Date"));
    for (int i = 0; i < 3; i++) {
        a = client_post(client, shared.url, LOSS, BODY);
        assert_int_equal(a.status, 200);
        assert_int_equal(a.connects, 0);
    }
}

static void test_a_refused_small_body__keeps_the_connection(void **state)
{
    (void)state;
    struct answer a = client_post(client, shared.url, "/nowhere", BODY);
    assert_problem(&a, 404, "not_found");
    a = client_post(client, shared.url, LOSS, "{\"labels\":[1,2],,");
    assert_problem(&a, 400, "malformed_json");
    assert_int_equal(a.connects, 0);
    a = client_get(client, shared.url, "/healthz");
    assert_int_equal(a.status, 200);
    assert_int_equal(a.connects, 0);
}

static void test_head__is_get_without_a_body(void **state)
{
    (void)state;
    struct answer got = client_get(client, shared.url, "/healthz");
    size_t size = got.size;
    struct answer a = client_call(client, "HEAD", shared.url, "/healthz", NULL, NULL, 0);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.size, 0);
    assert_int_equal(strtoul(answer_header(&a, "Content-Length"), NULL, 10), size);
}

static void test_other_methods__are_405_with_allow(void **state)
{
    (void)state;
    struct answer a = client_call(client, "PUT", shared.url, "/healthz", NULL, NULL, 0);
    assert_problem(&a, 405, "method_not_allowed");
    assert_string_equal(answer_header(&a, "Allow"), "GET, HEAD, OPTIONS");
    a = client_call(client, "FROBNICATE", shared.url, LOSS, NULL, NULL, 0);
    assert_problem(&a, 405, "method_not_allowed");
    assert_non_null(strstr(answer_header(&a, "Allow"), "POST"));
}

static void test_options__says_what_is_allowed(void **state)
{
    (void)state;
    struct answer a = client_call(client, "OPTIONS", shared.url, "/healthz", NULL, NULL, 0);
    assert_int_equal(a.status, 204);
    assert_string_equal(answer_header(&a, "Allow"), "GET, HEAD, OPTIONS");
    a = client_call(client, "OPTIONS", shared.url, "/nowhere", NULL, NULL, 0);
    assert_problem(&a, 404, "not_found");
}

static void test_the_absolute_form__is_taken(void **state)
{
    char buf[4096];
    (void)state;
    raw_exchange(shared.port, "GET http://example.org/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", buf,
                 sizeof buf);
    assert_true(strncmp(buf, "HTTP/1.1 200", 12) == 0);
}

static void test_http_1_0__is_answered_and_closed(void **state)
{
    char buf[4096];
    (void)state;
    raw_exchange(shared.port, "GET /healthz HTTP/1.0\r\n\r\n", buf, sizeof buf);
    assert_non_null(strstr(buf, " 200 "));
    assert_non_null(strstr(buf, "alive"));
}

static void test_pipelined_requests__are_answered_in_order(void **state)
{
    char buf[8192];
    (void)state;
    raw_exchange(shared.port,
                 "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: first\r\n\r\n"
                 "GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Request-Id: second\r\n\r\n"
                 "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: third\r\nConnection: close\r\n\r\n",
                 buf, sizeof buf);
    const char *first = strstr(buf, "X-Request-Id: first");
    const char *second = strstr(buf, "X-Request-Id: second");
    const char *third = strstr(buf, "X-Request-Id: third");
    assert_non_null(first);
    assert_non_null(second);
    assert_non_null(third);
    assert_true(first < second && second < third);
}

/* --- targets --- */

static void test_a_long_target__is_414(void **state)
{
    static char path[9000];
    (void)state;
    memset(path, 'a', sizeof path - 1);
    path[0] = '/';
    struct answer a = client_get(client, shared.url, path);
    assert_problem(&a, 414, "uri_too_long");
}

static void test_bad_escapes__are_400(void **state)
{
    static const char *const paths[] = {"/v1/losses/%zz",      "/v1/losses/%4",  "/v1/losses/%",
                                        "/v1/losses/a%00b",    "/v1/losses/%ff", "/v1/losses/%c0%af",
                                        "/v1/losses/%ed%a0%80"};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct answer a = client_get(client, shared.url, paths[i]);
        assert_problem(&a, 400, "invalid_name");
    }
    struct answer a = client_post(client, shared.url, LOSS "?dtype=%f", BODY);
    assert_problem(&a, 400, "bad_request");
    assert_true(answer_has(&a, "\"parameter\":\"dtype\""));
}

static void test_an_escaped_slash__is_no_separator(void **state)
{
    (void)state;
    struct answer a = client_get(client, shared.url, "/v1%2Flosses");
    assert_problem(&a, 404, "not_found");
    a = client_get(client, shared.url, "/v1/losses/absolute%5Fdifference");
    assert_int_equal(a.status, 200);
    a = client_get(client, shared.url, "/v1/losses/");
    assert_problem(&a, 404, "not_found");
}

static void test_query_parameters__must_be_known_single_and_filled(void **state)
{
    (void)state;
    struct answer a = client_post(client, shared.url, LOSS "?dtyp=float64", BODY);
    assert_problem(&a, 400, "unknown_field");
    assert_true(answer_has(&a, "\"parameter\":\"dtyp\""));
    assert_true(answer_has(&a, "dtype"));
    a = client_post(client, shared.url, LOSS "?dtype=float64&dtype=float32", BODY);
    assert_problem(&a, 400, "duplicate_field");
    a = client_post(client, shared.url, LOSS "?dtype=", BODY);
    assert_problem(&a, 400, "invalid_parameter");
    a = client_get(client, shared.url, "/healthz?x=1");
    assert_problem(&a, 400, "unknown_field");
    a = client_post(client, shared.url, LOSS "?&dtype=float64&", BODY);
    assert_int_equal(a.status, 200);
}

/* --- headers --- */

static void test_request_ids__are_taken_over_or_made(void **state)
{
    static const char *const given[] = {"X-Request-Id: abc-123", NULL};
    static const char *const bad[] = {"X-Request-Id: has space", NULL};
    char id[64];
    (void)state;
    struct answer a = client_call(client, "GET", shared.url, "/healthz", given, NULL, 0);
    assert_string_equal(answer_header(&a, "X-Request-Id"), "abc-123");
    a = client_call(client, "GET", shared.url, "/nowhere", given, NULL, 0);
    assert_problem(&a, 404, "not_found");
    assert_true(answer_has(&a, "\"request_id\":\"abc-123\""));
    a = client_call(client, "GET", shared.url, "/healthz", bad, NULL, 0);
    snprintf(id, sizeof id, "%s", answer_header(&a, "X-Request-Id"));
    assert_int_equal(strlen(id), 32);
    assert_int_equal(strspn(id, "0123456789abcdef"), 32);
    a = client_get(client, shared.url, "/healthz");
    assert_string_not_equal(answer_header(&a, "X-Request-Id"), id);
}

static void test_traceparent__is_taken_over_where_it_is_one(void **state)
{
    static const char *const good[] = {"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL};
    static const char *const bad[][2] = {
        {"traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01", NULL},
        {"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", NULL},
        {"traceparent: ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL},
        {"traceparent: 00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", NULL},
        {"traceparent: 00", NULL}};
    (void)state;
    struct answer a = client_call(client, "GET", shared.url, "/nowhere", good, NULL, 0);
    assert_string_equal(answer_header(&a, "traceparent"), good[0] + strlen("traceparent: "));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        a = client_call(client, "GET", shared.url, "/healthz", bad[i], NULL, 0);
        assert_int_equal(a.status, 200);
        assert_null(answer_header(&a, "traceparent"));
    }
}

static void test_other_media_types__are_415_and_say_what_to_send(void **state)
{
    static const char *const form[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    static const char *const like[] = {"Content-Type: application/jsonx", NULL};
    static const char *const charset[] = {"Content-Type: Application/JSON ; charset=utf-8", NULL};
    static const char *const none[] = {"Content-Type:", NULL};
    static const char *const zipped[] = {"Content-Type: application/json", "Content-Encoding: br", NULL};
    (void)state;
    struct answer a = client_call(client, "POST", shared.url, LOSS, form, BODY, strlen(BODY));
    assert_problem(&a, 415, "unsupported_media_type");
    assert_true(answer_has(&a, "Content-Type: application/json"));
    a = client_call(client, "POST", shared.url, LOSS, like, BODY, strlen(BODY));
    assert_problem(&a, 415, "unsupported_media_type");
    a = client_call(client, "POST", shared.url, LOSS, zipped, BODY, strlen(BODY));
    assert_problem(&a, 415, "unsupported_media_type");
    a = client_call(client, "POST", shared.url, LOSS, charset, BODY, strlen(BODY));
    assert_int_equal(a.status, 200);
    a = client_call(client, "POST", shared.url, LOSS, none, BODY, strlen(BODY));
    assert_int_equal(a.status, 200);
}

static void test_idempotency_keys__are_visible_ascii(void **state)
{
    static char longest[300] = "Idempotency-Key: ", beyond[300] = "Idempotency-Key: ";
    const char *const taken[] = {"Content-Type: application/json", longest, NULL};
    const char *const refused[][3] = {{"Content-Type: application/json", beyond, NULL},
                                      {"Content-Type: application/json", "Idempotency-Key: a b", NULL},
                                      {"Content-Type: application/json", "Idempotency-Key;", NULL},
                                      {"Content-Type: application/json", "Idempotency-Key: \xc3\xa4", NULL}};
    (void)state;
    memset(longest + strlen(longest), 'k', 255);
    memset(beyond + strlen(beyond), 'k', 256);
    struct answer a = client_call(client, "POST", shared.url, LOSS, taken, BODY, strlen(BODY));
    assert_int_equal(a.status, 200);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        a = client_call(client, "POST", shared.url, LOSS, refused[i], BODY, strlen(BODY));
        assert_problem(&a, 400, "invalid_parameter");
        assert_true(answer_has(&a, "\"parameter\":\"Idempotency-Key\""));
    }
}

static void test_deadlines__are_whole_milliseconds(void **state)
{
    static const char *const bad[][2] = {{"X-Request-Timeout-Ms: 0", NULL},
                                         {"X-Request-Timeout-Ms: -1", NULL},
                                         {"X-Request-Timeout-Ms: 1.5", NULL},
                                         {"X-Request-Timeout-Ms: 86400001", NULL},
                                         {"X-Request-Timeout-Ms: 1e3", NULL},
                                         {"X-Request-Timeout-Ms;", NULL},
                                         {"X-Request-Timeout-Ms: 999999999999999999999", NULL}};
    static const char *const good[] = {"X-Request-Timeout-Ms: 86400000", NULL};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct answer a = client_call(client, "GET", shared.url, "/healthz", bad[i], NULL, 0);
        assert_problem(&a, 400, "invalid_parameter");
        assert_true(answer_has(&a, "\"parameter\":\"X-Request-Timeout-Ms\""));
    }
    struct answer a = client_call(client, "GET", shared.url, "/healthz", good, NULL, 0);
    assert_int_equal(a.status, 200);
}

static void test_a_passed_deadline__is_504(void **state)
{
    char buf[4096];
    int fd = raw_connect(shared.port);
    (void)state;
    raw_send(fd, POST_HEAD "X-Request-Timeout-Ms: 30\r\nContent-Length: 41\r\n\r\n{\"labels\":");
    sleep_ms(60);
    raw_send(fd, "[1,2],\"predictions\":[1.5,4]}   ");
    assert_true(raw_expect(fd, buf, sizeof buf, "deadline_exceeded", 5000));
    assert_true(strncmp(buf, "HTTP/1.1 504", 12) == 0);
    close(fd);
}

static void test_too_many_header_fields__are_431(void **state)
{
    static char request[8192];
    char buf[4096];
    (void)state;
    strcpy(request, "GET /healthz HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 120; i++) {
        strcat(request, "X-Filler: y\r\n");
    }
    strcat(request, "\r\n");
    raw_exchange(shared.port, request, buf, sizeof buf);
    assert_true(strncmp(buf, "HTTP/1.1 431", 12) == 0);
}

static void test_a_huge_head__is_431(void **state)
{
    static char request[70000];
    char buf[4096];
    (void)state;
    strcpy(request, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Filler: ");
    memset(request + strlen(request), 'y', 60000);
    strcat(request, "\r\n\r\n");
    raw_exchange(shared.port, request, buf, sizeof buf);
    assert_true(strncmp(buf, "HTTP/1.1 431", 12) == 0);
}

static void test_heads_up_to_16_kib__are_read(void **state)
{
    static const struct {
        size_t size;
        const char *answer;
    } cases[] = {{16384, "HTTP/1.1 200"}, {16385, "HTTP/1.1 431"}, {30000, "HTTP/1.1 431"}};
    static char request[32000];
    char buf[4096];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        strcpy(request, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Filler: ");
        size_t used = strlen(request);
        memset(request + used, 'y', cases[i].size - used - 4);
        strcpy(request + cases[i].size - 4, "\r\n\r\n");
        raw_exchange(shared.port, request, buf, sizeof buf);
        assert_true(strncmp(buf, cases[i].answer, 12) == 0);
    }
}

/* Each is a request that two readers could take for different ones. */
static void test_ambiguous_framing__is_400_and_closes(void **state)
{
    static const char *const requests[] = {
        POST_HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST_HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST_HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        POST_HEAD "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        POST_HEAD "Content-Length: -1\r\n\r\n",
        POST_HEAD "Content-Length: 2x\r\n\r\n{}",
        POST_HEAD "Content-Length: +2\r\n\r\n{}",
        POST_HEAD "Content-Length: 0x2\r\n\r\n{}",
        POST_HEAD "Host: y\r\nContent-Length: 2\r\n\r\n{}",
        POST_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST_HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST_HEAD "Content-Length : 2\r\n\r\n{}",
        POST_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n\r\n",
    };
    char buf[4096];
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        raw_exchange(shared.port, requests[i], buf, sizeof buf);
        if (strncmp(buf, "HTTP/1.1 400", 12) != 0 || strstr(buf, "HTTP/1.1 200") != NULL) {
            fail_msg("request %zu was answered:\n%s", i, buf);
        }
    }
}

/* --- bodies --- */

static void test_a_body_byte_by_byte__is_read(void **state)
{
    char buf[4096];
    int fd = raw_connect(shared.port);
    (void)state;
    raw_send(fd, POST_HEAD "Content-Length: 38\r\n\r\n");
    for (const char *p = BODY; *p != '\0'; p++) {
        raw_send_bytes(fd, p, 1);
        sleep_ms(1);
    }
    assert_true(raw_expect(fd, buf, sizeof buf, "\"losses\"", 5000));
    assert_true(strncmp(buf, "HTTP/1.1 200", 12) == 0);
    close(fd);
}

static void test_a_chunked_body__is_read(void **state)
{
    static const char *const chunked[] = {"Content-Type: application/json", "Transfer-Encoding: chunked", NULL};
    char buf[4096];
    (void)state;
    struct answer a = client_call(client, "POST", shared.url, LOSS, chunked, BODY, strlen(BODY));
    assert_int_equal(a.status, 200);
    int fd = raw_connect(shared.port);
    raw_send(fd, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    for (const char *p = BODY; *p != '\0'; p++) {
        char piece[16];
        snprintf(piece, sizeof piece, "1\r\n%c\r\n", *p);
        raw_send(fd, piece);
    }
    raw_send(fd, "0\r\nX-Trailer: y\r\n\r\n");
    assert_true(raw_expect(fd, buf, sizeof buf, "\"losses\"", 5000));
    close(fd);
}

/* Each chunk costs a call, so a body of a million bytes does not come as a million chunks. */
static void test_many_tiny_chunks__are_400(void **state)
{
    static char pieces[6 * 2000 + 1];
    char buf[4096];
    int fd = raw_connect(shared.port);
    (void)state;
    for (int i = 0; i < 2000; i++) {
        memcpy(pieces + 6 * i, "1\r\n \r\n", 6);
    }
    raw_send(fd, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    raw_send_bytes(fd, pieces, 6 * 1024);
    raw_send_bytes(fd, pieces, sizeof pieces - 1);
    raw_send_bytes(fd, "0\r\n\r\n", 5);
    assert_true(raw_expect(fd, buf, sizeof buf, "bytes a chunk on average", 5000));
    assert_true(strncmp(buf, "HTTP/1.1 400", 12) == 0);
    close(fd);
}

static void test_expect_continue__is_asked_for_the_body(void **state)
{
    char buf[4096];
    int fd = raw_connect(shared.port);
    (void)state;
    raw_send(fd, POST_HEAD "Content-Length: 38\r\nExpect: 100-continue\r\n\r\n");
    assert_true(raw_expect(fd, buf, sizeof buf, "HTTP/1.1 100", 5000));
    raw_send(fd, BODY);
    assert_true(raw_expect(fd, buf, sizeof buf, "\"losses\"", 5000));
    close(fd);
}

static void test_expect_continue__is_refused_by_the_head_alone(void **state)
{
    static const char *const requests[] = {
        "POST " LOSS " HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 38\r\n",
        "POST /nowhere HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: 38\r\n",
        POST_HEAD "Content-Length: 9999999\r\n",
        POST_HEAD "Content-Length: 38\r\nX-Request-Timeout-Ms: x\r\n",
    };
    static const char *const statuses[] = {"415", "404", "413", "400"};
    char buf[4096];
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        int fd = raw_connect(shared.port);
        raw_send(fd, requests[i]);
        raw_send(fd, "Expect: 100-continue\r\n\r\n");
        (void)raw_expect(fd, buf, sizeof buf, "\x01", 5000);
        assert_true(strncmp(buf, "HTTP/1.1 ", 9) == 0);
        assert_memory_equal(buf + 9, statuses[i], 3);
        assert_non_null(strstr(buf, "Connection: close"));
        close(fd);
    }
}

/* 32 MiB against a limit of one. */
static void check_large_body(const char *const *headers, const char *body, size_t size)
{
    struct answer a = client_call(client, "POST", shared.url, LOSS, headers, body, size);
    assert_problem(&a, 413, "body_too_large");
    assert_true(answer_has(&a, "--max-body"));
    assert_true(answer_has(&a, "1048576"));
}

static void test_a_body_beyond_the_limit__is_413_that_arrives(void **state)
{
    static const char *const expect[] = {"Content-Type: application/json", NULL};
    static const char *const plain[] = {"Content-Type: application/json", "Expect:", NULL};
    static const char *const chunked[] = {"Content-Type: application/json", "Expect:", "Transfer-Encoding: chunked",
                                          NULL};
    size_t size = 32 << 20;
    char *body = malloc(size);
    (void)state;
    assert_non_null(body);
    memset(body, ' ', size);
    for (int i = 0; i < 5; i++) {
        check_large_body(expect, body, size);
        check_large_body(plain, body, size);
        check_large_body(chunked, body, size);
        check_large_body(plain, body, LIMIT + 1);
        check_large_body(chunked, body, LIMIT + 1);
    }
    free(body);
}

/* A client that reads only when all is sent gets its answer, if what is too much is within bounds. */
static void test_a_client_that_sends_first__still_gets_its_413(void **state)
{
    size_t size = LIMIT + LIMIT / 2;
    char *body = malloc(size);
    char buf[4096];
    int fd = raw_connect(shared.port);
    (void)state;
    assert_non_null(body);
    memset(body, ' ', size);
    raw_send(fd, POST_HEAD "Content-Length: 1572864\r\n\r\n");
    raw_send_bytes(fd, body, size);
    assert_true(raw_expect(fd, buf, sizeof buf, "body_too_large", 5000));
    assert_true(strncmp(buf, "HTTP/1.1 413", 12) == 0);
    assert_true(raw_closed(fd, 3000));
    close(fd);
    free(body);
}

/* A failure in the middle of a body that has a long way to go is told at once. */
static void test_a_late_failure__is_answered_before_the_body_ends(void **state)
{
    char buf[4096];
    int fd = raw_connect(shared.port);
    (void)state;
    raw_send(fd, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\",\r\n");
    for (int i = 0; i < 40; i++) {
        sleep_ms(50);
        raw_send(fd, "1\r\n \r\n");
    }
    assert_true(raw_expect(fd, buf, sizeof buf, "malformed_json", 5000));
    assert_true(strncmp(buf, "HTTP/1.1 400", 12) == 0);
    assert_non_null(strstr(buf, "Connection: close"));
    close(fd);
}

static void test_other_calls_bodies__are_read_and_ignored(void **state)
{
    (void)state;
    struct answer a = client_call(client, "GET", shared.url, "/healthz", NULL, "whatever", 8);
    assert_int_equal(a.status, 200);
    a = client_get(client, shared.url, "/healthz");
    assert_int_equal(a.connects, 0);
}

static void test_a_client_that_leaves__is_counted_as_such(void **state)
{
    int fd = raw_connect(shared.port);
    (void)state;
    raw_send(fd, POST_HEAD "Content-Length: 38\r\n\r\n{\"labels\"");
    sleep_ms(50);
    close(fd);
    for (int i = 0; i < 100; i++) {
        struct answer a = client_get(client, shared.url, "/metrics");
        if (answer_has(&a, "loss=\"absolute_difference\",status=\"499\"} ")) {
            return;
        }
        sleep_ms(20);
    }
    fail_msg("the metrics do not know of the client that left");
}

/* --- metrics and memory --- */

static bool is_name(const char *s, size_t n)
{
    return n > 0 && strspn(s, "abcdefghijklmnopqrstuvwxyz_") >= n;
}

/* "name{label="value",…} number" of Prometheus's text format. */
static bool is_sample(const char *line)
{
    size_t n = strcspn(line, "{ ");
    if (!is_name(line, n)) {
        return false;
    }
    line += n;
    if (*line == '{') {
        do {
            line++;
            n = strcspn(line, "=");
            if (!is_name(line, n) || line[n + 1] != '"') {
                return false;
            }
            line += n + 2;
            line += strcspn(line, "\"") + 1;
        } while (*line == ',');
        if (*line++ != '}') {
            return false;
        }
    }
    char *end;
    if (*line != ' ') {
        return false;
    }
    strtod(line + 1, &end);
    return end > line + 1 && *end == '\0';
}

static void test_metrics__are_prometheus_text(void **state)
{
    int samples = 0;
    (void)state;
    (void)client_post(client, shared.url, LOSS, BODY);
    struct answer a = client_get(client, shared.url, "/metrics");
    assert_int_equal(a.status, 200);
    assert_string_equal(answer_header(&a, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_true(answer_has(&a, "lossd_requests_total{method=\"POST\",route=\"/v1/losses/{loss}\","
                               "loss=\"absolute_difference\",status=\"200\"} "));
    assert_true(answer_has(&a, "lossd_rows_total{loss=\"absolute_difference\"} "));
    assert_true(answer_has(&a, "lossd_phase_seconds_bucket{phase=\"decode\",le=\"+Inf\"} "));
    assert_true(answer_has(&a, "lossd_build_info{version="));
    for (char *line = strtok(a.body, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "# HELP ", 7) != 0 && strncmp(line, "# TYPE ", 7) != 0) {
            samples++;
            if (!is_sample(line)) {
                fail_msg("not a sample: %s", line);
            }
        }
    }
    assert_true(samples > 30);
}

/* 0 where there is no such sample yet. */
static double metric(const char *name)
{
    struct answer a = client_get(client, shared.url, "/metrics");
    char line[160];

    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(a.body, line);
    return at != NULL ? strtod(at + strlen(line), NULL) : 0;
}

static void await_metric(const char *name, double value)
{
    for (int i = 0; i < 250 && metric(name) != value; i++) {
        sleep_ms(20);
    }
    assert_true(metric(name) == value);
}

/* The close comes along with the last bytes, and no event of its own tells of it. */
static void test_clients_that_send_and_leave_at_once__hold_nothing(void **state)
{
    static const char left[] = "lossd_requests_total{method=\"POST\",route=\"/v1/losses/{loss}\","
                               "loss=\"absolute_difference\",status=\"499\"}";
    size_t size = LIMIT / 2;
    char *body = malloc(size);
    double before = metric(left);
    (void)state;
    assert_non_null(body);
    memset(body, ' ', size);
    for (int i = 0; i < 40; i++) {
        int fd = raw_connect(shared.port);
        raw_send(fd, POST_HEAD "Content-Length: 1000000\r\n\r\n");
        raw_send_bytes(fd, body, 1 + size * (size_t)i / 40);
        close(fd);
    }
    free(body);
    await_metric(left, before + 40);
    await_metric("lossd_requests_in_flight", 1);
}

/* Last of the shared server's tests: whatever they did, only this request is left. */
static void test_nothing__is_left_behind(void **state)
{
    (void)state;
    await_metric("lossd_requests_in_flight", 1);
    assert_true(metric("lossd_memory_used_bytes") < 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_post__answers_and_keeps_the_connection),
        cmocka_unit_test(test_a_refused_small_body__keeps_the_connection),
        cmocka_unit_test(test_head__is_get_without_a_body),
        cmocka_unit_test(test_other_methods__are_405_with_allow),
        cmocka_unit_test(test_options__says_what_is_allowed),
        cmocka_unit_test(test_the_absolute_form__is_taken),
        cmocka_unit_test(test_http_1_0__is_answered_and_closed),
        cmocka_unit_test(test_pipelined_requests__are_answered_in_order),
        cmocka_unit_test(test_a_long_target__is_414),
        cmocka_unit_test(test_bad_escapes__are_400),
        cmocka_unit_test(test_an_escaped_slash__is_no_separator),
        cmocka_unit_test(test_query_parameters__must_be_known_single_and_filled),
        cmocka_unit_test(test_request_ids__are_taken_over_or_made),
        cmocka_unit_test(test_traceparent__is_taken_over_where_it_is_one),
        cmocka_unit_test(test_other_media_types__are_415_and_say_what_to_send),
        cmocka_unit_test(test_idempotency_keys__are_visible_ascii),
        cmocka_unit_test(test_deadlines__are_whole_milliseconds),
        cmocka_unit_test(test_a_passed_deadline__is_504),
        cmocka_unit_test(test_too_many_header_fields__are_431),
        cmocka_unit_test(test_a_huge_head__is_431),
        cmocka_unit_test(test_heads_up_to_16_kib__are_read),
        cmocka_unit_test(test_ambiguous_framing__is_400_and_closes),
        cmocka_unit_test(test_a_body_byte_by_byte__is_read),
        cmocka_unit_test(test_a_chunked_body__is_read),
        cmocka_unit_test(test_many_tiny_chunks__are_400),
        cmocka_unit_test(test_expect_continue__is_asked_for_the_body),
        cmocka_unit_test(test_expect_continue__is_refused_by_the_head_alone),
        cmocka_unit_test(test_a_body_beyond_the_limit__is_413_that_arrives),
        cmocka_unit_test(test_a_client_that_sends_first__still_gets_its_413),
        cmocka_unit_test(test_a_late_failure__is_answered_before_the_body_ends),
        cmocka_unit_test(test_other_calls_bodies__are_read_and_ignored),
        cmocka_unit_test(test_a_client_that_leaves__is_counted_as_such),
        cmocka_unit_test(test_clients_that_send_and_leave_at_once__hold_nothing),
        cmocka_unit_test(test_metrics__are_prometheus_text),
        cmocka_unit_test(test_nothing__is_left_behind),
    };
    return cmocka_run_group_tests(tests, start_shared, stop_shared);
}
