/* SPDX-License-Identifier: Apache-2.0
 *
 * test_framing.c - which heads say where their request ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <server/http/framing.h>

#define MOST 12

static const struct conf conf = {.max_head = 1000, .max_fields = 10};

/* "Name: value", NULL-terminated */
static loss_status check(struct framing *f, const char *const *fields, struct loss_error *err)
{
    char line[MOST][128];

    memset(err, 0, sizeof *err);
    for (size_t i = 0; fields[i] != NULL; i++) {
        assert_true(i < MOST);
        strcpy(line[i], fields[i]);
        char *colon = strstr(line[i], ":");
        *colon = '\0';
        framing_add(f, line[i], strlen(line[i]), colon[1] != '\0' ? colon + 2 : NULL);
    }
    return framing_check(f, &conf, err);
}

#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_framing__takes_what_ends_in_one_place(void **state)
{
    const char *const *good[] = {FIELDS("Host: x"), FIELDS("Host: x", "Content-Length: 5"),
                                 FIELDS("Host: x", "transfer-encoding: Chunked"), FIELDS("Host:")};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct framing f = {.bytes = 1000};
        struct loss_error err;
        assert_int_equal(check(&f, good[i], &err), LOSS_OK);
        assert_int_equal(framing_length(&f), i == 1 ? 5 : 0);
    }
}

static void test_framing__refuses_what_two_readers_end_elsewhere(void **state)
{
    static const struct {
        const char *const fields[4];
        const char *parameter;
        bool old;
    } bad[] = {
        {{"Content-Length: 5", "Content-Length: 6"}, "Content-Length", false},
        {{"Content-Length: 5", "content-length: 5"}, "Content-Length", false},
        {{"Host: a", "Host: b"}, "Host", false},
        {{"Content-Length: 5", "Transfer-Encoding: chunked"}, "Transfer-Encoding", false},
        {{"Transfer-Encoding: chunked", "Transfer-Encoding: identity"}, "Transfer-Encoding", false},
        {{"Transfer-Encoding: chunked, chunked"}, "Transfer-Encoding", false},
        {{"Transfer-Encoding:"}, "Transfer-Encoding", false},
        {{"Transfer-Encoding: chunked"}, "Transfer-Encoding", true},
        {{"Content-Length: 5x"}, "Content-Length", false},
        {{"Content-Length:"}, "Content-Length", false},
        {{"X-A : b"}, "", false},
        {{"X-A: b\rHost: c"}, "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct framing f = {.old = bad[i].old, .bytes = 100};
        struct loss_error err;
        assert_int_equal(check(&f, bad[i].fields, &err), LOSS_BAD_REQUEST);
        assert_string_equal(err.parameter, bad[i].parameter);
    }
}

/* A head as libmicrohttpd leaves it behind: strings where it has found ends. */
static loss_status check_bytes(const char *head, size_t size, size_t target_size, const size_t *ends, size_t n_ends)
{
    char buffer[256];
    struct framing f = {.bytes = size};
    struct framing_bytes bytes = {.method = buffer, .target = buffer + 4, .target_size = target_size, .size = size};
    struct loss_error err = {.status = LOSS_OK};

    memcpy(buffer, head, size);
    for (size_t i = 0; i < n_ends; i++) {
        buffer[ends[i]] = '\0';
    }
    bytes.version = buffer + 7;
    framing_bytes(&f, &bytes);
    framing_add(&f, buffer + 17, strlen(buffer + 17), buffer + 20);
    framing_add(&f, buffer + 23, strlen(buffer + 23), buffer + 26);
    return framing_check(&f, &conf, &err);
}

static void test_framing__counts_the_bytes_between_lines(void **state)
{
    static const char good[] = "GET /a HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n";
    static const size_t ends[] = {3, 6, 15, 18, 21, 24, 27};
    static const size_t zero_in_value[] = {3, 6, 15, 18, 20, 24, 27}, zero_in_target[] = {3, 5, 15, 18, 21, 24, 27};
    (void)state;
    assert_int_equal(check_bytes(good, sizeof good - 1, 2, ends, 7), LOSS_OK);
    assert_int_equal(check_bytes(good, sizeof good - 1, 2, zero_in_value, 7), LOSS_BAD_REQUEST);
    assert_int_equal(check_bytes(good, sizeof good - 1, 1, zero_in_target, 7), LOSS_BAD_REQUEST);
    assert_int_equal(check_bytes(good, sizeof good - 2, 2, ends, 7), LOSS_BAD_REQUEST);
}

static void test_framing__names_the_option_of_each_limit(void **state)
{
    struct framing large = {.bytes = 1001}, many = {.bytes = 10};
    struct loss_error err;
    (void)state;
    assert_int_equal(check(&large, FIELDS("Host: x"), &err), LOSS_HEADER_TOO_LARGE);
    assert_string_equal(err.message, "a request head may have 1000 bytes, this one has 1001; the server's option "
                                     "--max-head sets the limit");
    assert_int_equal(
        check(&many, FIELDS("a: 1", "b: 1", "c: 1", "d: 1", "e: 1", "f: 1", "g: 1", "h: 1", "i: 1", "j: 1", "k: 1"),
              &err),
        LOSS_HEADER_TOO_LARGE);
    assert_string_equal(err.message, "a request may have 10 header fields, this one has 11; the server's option "
                                     "--max-fields sets the limit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing__takes_what_ends_in_one_place),
        cmocka_unit_test(test_framing__refuses_what_two_readers_end_elsewhere),
        cmocka_unit_test(test_framing__counts_the_bytes_between_lines),
        cmocka_unit_test(test_framing__names_the_option_of_each_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
