/* SPDX-License-Identifier: Apache-2.0
 *
 * test_redis_url.c - what a Redis URL may say, and that no message tells its password.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <registry/redis_base.h>

static void test_url__is_taken_apart(void **state)
{
    static const struct {
        const char *url, *host, *user, *password;
        int port, db;
    } cases[] = {
        {"redis://localhost", "localhost", NULL, NULL, 6379, 0},
        {"redis://localhost/", "localhost", NULL, NULL, 6379, 0},
        {"redis://10.0.0.7:7000/12", "10.0.0.7", NULL, NULL, 7000, 12},
        {"redis://[::1]:7000/3", "::1", NULL, NULL, 7000, 3},
        {"redis://[fe80::1]", "fe80::1", NULL, NULL, 6379, 0},
        {"redis://:secret@cache", "cache", NULL, "secret", 6379, 0},
        {"redis://lossd:se:cret@cache:6380", "cache", "lossd", "se:cret", 6380, 0},
        {"redis://lossd:p%40ss%2fw%25%3A@cache/1", "cache", "lossd", "p@ss/w%:", 6379, 1},
        {"redis://a%40b:@cache", "cache", "a@b", "", 6379, 0},
        {"redis://lossd:p@ss@cache", "cache", "lossd", "p@ss", 6379, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct redis_url url;
        struct loss_error err = {.status = LOSS_OK};
        if (redis_url_read(cases[i].url, &url, &err) != LOSS_OK) {
            fail_msg("%s: %s", cases[i].url, err.message);
        }
        assert_string_equal(url.host, cases[i].host);
        assert_int_equal(url.port, cases[i].port);
        assert_int_equal(url.db, cases[i].db);
        assert_true((url.user == NULL) == (cases[i].user == NULL));
        assert_true(url.user == NULL || strcmp(url.user, cases[i].user) == 0);
        assert_true((url.password == NULL) == (cases[i].password == NULL));
        assert_true(url.password == NULL || strcmp(url.password, cases[i].password) == 0);
        redis_url_fini(&url);
    }
}

static void test_url__is_refused_without_telling_the_password(void **state)
{
    static const struct {
        const char *url, *says;
    } cases[] = {
        {"redis://", "no host"},
        {"redis:localhost", "no Redis URL"},
        {"redis://u:hunter2@", "no host"},
        {"redis://u:hunter2@:6379", "no host"},
        {"redis://hunter2@cache", "without a password"},
        {"redis://u:hunter2%@cache", "percent-encoded"},
        {"redis://u:hunter2%zz@cache", "percent-encoded"},
        {"redis://u:hunter2%00@cache", "percent-encoded"},
        {"redis://u:hunter2@cache:0", "port"},
        {"redis://u:hunter2@cache:65536", "port"},
        {"redis://u:hunter2@cache:", "port"},
        {"redis://u:hunter2@cache:6379x/1", "port"},
        {"redis://u:hunter2@cache/one", "database"},
        {"redis://u:hunter2@cache/-1", "database"},
        {"redis://u:hunter2@cache/1/2", "database"},
        {"redis://u:hunter2@cache/1?timeout=3", "? or #"},
        {"redis://u:hunter2#3@cache/1", "? or #"},
        {"redis://u:hunter2@[::1", "without a ]"},
        {"redis://u:hunter2@[::1]x", "port"},
        {"rediss://u:hunter2@cache:6379/0", "TLS tunnel"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct redis_url url;
        struct loss_error err = {.status = LOSS_OK};
        assert_int_equal(redis_url_read(cases[i].url, &url, &err), LOSS_INVALID_PARAMETER);
        if (strstr(err.message, cases[i].says) == NULL || strstr(err.message, "hunter2") != NULL) {
            fail_msg("%s: %s", cases[i].url, err.message);
        }
        assert_null(url.text);
    }
}

static void test_url__is_shown_without_its_password(void **state)
{
    static const char *const cases[][2] = {
        {"redis://cache:6379/1", "redis://cache:6379/1"},
        {"redis://u:hunter2@cache/1", "redis://u:***@cache/1"},
        {"redis://:hunter2@cache/1", "redis://***@cache/1"},
        {"redis://hunter2@cache", "redis://***@cache"},
        {"redis://u:hun@ter2@cache", "redis://u:***@cache"},
        {"rediss://u:hunter2@cache", "rediss://u:***@cache"},
        {"redis:u:hunter2@cache", "redis:***@cache"},
        {"sqlite:/data/a:b@c.db", "sqlite:/data/a:b@c.db"},
        {"memory", "memory"},
    };
    char shown[64];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(registry_url_shown(cases[i][0], shown, sizeof shown), cases[i][1]);
    }
    assert_string_equal(registry_url_shown("redis://u:hunter2@cache", shown, 10), "redis://u");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url__is_taken_apart),
        cmocka_unit_test(test_url__is_refused_without_telling_the_password),
        cmocka_unit_test(test_url__is_shown_without_its_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
