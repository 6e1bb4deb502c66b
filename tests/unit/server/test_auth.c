/* SPDX-License-Identifier: Apache-2.0
 *
 * test_auth.c - tables of keys that are read anew while they are held, rate limits, and who may use which route.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <server/access/auth.h>
#include <server/log.h>
#include <server/routes/routes.h>
#include <text/hex.h>

#define SECOND INT64_C(1000000000)

struct world {
    char path[64];
    struct registry *registry;
    struct auth *auth;
    struct loss_error err;
};

static void write_keys(struct world *w, int from, int to)
{
    FILE *f = fopen(w->path, "w");
    assert_non_null(f);
    for (int i = from; i < to; i++) {
        unsigned char digest[KEYFILE_DIGEST];
        char key[32], text[2 * KEYFILE_DIGEST + 1];
        keyfile_digest(key, (size_t)snprintf(key, sizeof key, "secret-%d", i), digest);
        hex_write(text, digest, sizeof digest);
        fprintf(f, "key%d sha256:%s scopes=compute rate=1/h burst=2\n", i, text);
    }
    fclose(f);
}

static const struct auth_key *find(const struct auth_table *t, int i)
{
    char key[32];
    int n = snprintf(key, sizeof key, "secret-%d", i);
    return auth_find(t, key, (size_t)n);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    const struct registry_options options = {.url = "memory", .idempotency_seconds = 60};
    int fd;
    strcpy(w->path, "/tmp/lossd-keys-XXXXXX");
    fd = mkstemp(w->path);
    log_init(false, LOG_ERROR);
    *state = w;
    if (fd < 0 || registry_open(&options, &w->registry, &w->err) != LOSS_OK) {
        return -1;
    }
    close(fd);
    write_keys(w, 0, 1000);
    return auth_open(w->path, w->registry, &w->auth, &w->err) == LOSS_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;
    auth_close(w->auth);
    registry_close(w->registry);
    unlink(w->path);
    free(w);
    return 0;
}

static void test_auth__finds_each_key_and_no_other(void **state)
{
    struct world *w = *state;
    struct auth_table *t = NULL;
    auth_hold(w->auth, &t);
    for (int i = 0; i < 1000; i++) {
        char name[32];
        const struct auth_key *key = find(t, i);
        snprintf(name, sizeof name, "key%d", i);
        assert_non_null(key);
        assert_string_equal(key->is.name, name);
        assert_string_equal(key->use->name, name);
    }
    assert_null(find(t, 1000));
    assert_null(auth_find(t, "", 0));
    auth_release(t);
}

static void test_auth__keeps_a_table_while_it_is_held(void **state)
{
    struct world *w = *state;
    struct auth_table *held = NULL, *other = NULL;
    auth_hold(w->auth, &held);
    auth_hold(w->auth, &other);
    assert_ptr_equal(held, other);
    write_keys(w, 500, 1500);
    assert_int_equal(auth_reload(w->auth, &w->err), LOSS_OK);
    assert_non_null(find(held, 0)); /* still whole */
    const struct auth_use *use = find(held, 700)->use;
    auth_hold(w->auth, &held);
    assert_ptr_not_equal(held, other);
    assert_null(find(held, 0)); /* revoked */
    assert_non_null(find(held, 1400));
    assert_ptr_equal(find(held, 700)->use, use); /* what it has used is its name's */
    auth_release(held);
    auth_release(other);
}

static void test_auth__keeps_the_old_keys_where_the_file_is_bad(void **state)
{
    struct world *w = *state;
    struct auth_table *t = NULL;
    FILE *f = fopen(w->path, "a");
    fputs("broken\n", f);
    fclose(f);
    assert_int_equal(auth_reload(w->auth, &w->err), LOSS_INVALID_PARAMETER);
    assert_non_null(strstr(w->err.message, ":1001: "));
    auth_hold(w->auth, &t);
    assert_non_null(find(t, 999));
    unlink(w->path);
    w->err = (struct loss_error){.status = LOSS_OK};
    assert_int_equal(auth_reload(w->auth, &w->err), LOSS_INVALID_PARAMETER);
    auth_hold(w->auth, &t);
    assert_non_null(find(t, 999));
    auth_release(t);
}

static void test_auth__lets_nobody_in_by_an_empty_file(void **state)
{
    struct world *w = *state;
    struct auth_table *t = NULL;
    write_keys(w, 0, 0);
    assert_int_equal(auth_reload(w->auth, &w->err), LOSS_OK);
    auth_hold(w->auth, &t);
    assert_null(find(t, 0));
    assert_null(auth_find(t, "", 0));
    auth_release(t);
}

struct uses {
    size_t n;
    uint64_t rows;
    char last[KEYFILE_NAME_MAX + 1];
};

static void add_use(void *arg, const struct auth_use *use)
{
    struct uses *u = arg;
    u->n++;
    u->rows += atomic_load(&use->rows);
    strcpy(u->last, use->name);
}

static void test_auth__shows_a_bounded_number_of_names(void **state)
{
    struct world *w = *state;
    struct auth_table *t = NULL;
    struct uses u = {.n = 0};
    auth_hold(w->auth, &t);
    for (int i = 0; i < 1000; i++) {
        atomic_fetch_add(&find(t, i)->use->rows, 1);
    }
    auth_release(t);
    auth_visit_uses(w->auth, add_use, &u);
    assert_int_equal(u.n, AUTH_SHOWN + 1);
    assert_int_equal(u.rows, 1000);
    assert_string_equal(u.last, "");
    write_keys(w, 0, AUTH_SHOWN);
    assert_int_equal(auth_reload(w->auth, &w->err), LOSS_OK);
    u = (struct uses){.n = 0};
    auth_visit_uses(w->auth, add_use, &u);
    assert_int_equal(u.n, AUTH_SHOWN);
}

static void *hold_and_let_go(void *arg)
{
    struct world *w = arg;
    struct auth_table *t = NULL;
    size_t missed = 0;
    for (int i = 0; i < 20000; i++) {
        auth_hold(w->auth, &t);
        missed += find(t, 600) == NULL;
    }
    auth_release(t);
    return missed == 0 ? NULL : arg;
}

static void test_auth__is_read_anew_under_threads_that_use_it(void **state)
{
    struct world *w = *state;
    pthread_t thread[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, hold_and_let_go, w), 0);
    }
    for (int i = 0; i < 50; i++) {
        write_keys(w, i * 10, 700 + i);
        assert_int_equal(auth_reload(w->auth, &w->err), LOSS_OK);
    }
    for (size_t i = 0; i < 4; i++) {
        void *missed;
        pthread_join(thread[i], &missed);
        assert_null(missed);
    }
}

/* --- rates --- */

static void test_rate__lets_through_a_burst_and_then_the_rate(void **state)
{
    struct rate r = {0};
    int64_t now = 77 * SECOND;
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rate_take(&r, SECOND / 2, 5, now), 0);
    }
    assert_int_equal(rate_take(&r, SECOND / 2, 5, now), SECOND / 2);
    assert_int_equal(rate_take(&r, SECOND / 2, 5, now + SECOND / 8),
                     SECOND / 2 - SECOND / 8); /* refusing costs nothing */
    assert_int_equal(rate_take(&r, SECOND / 2, 5, now + SECOND / 2), 0);
    assert_true(rate_take(&r, SECOND / 2, 5, now + SECOND / 2) > 0);
    now += 100 * SECOND; /* a long rest fills it, and no further */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rate_take(&r, SECOND / 2, 5, now), 0);
    }
    assert_true(rate_take(&r, SECOND / 2, 5, now) > 0);
}

static void test_rate__keeps_to_it_exactly_in_the_long_run(void **state)
{
    struct rate r = {0};
    int taken = 0;
    (void)state;
    for (int64_t now = SECOND; now < 101 * SECOND; now += 1000003) { /* a thousand asks a second */
        taken += rate_take(&r, SECOND / 7, 3, now) == 0;
    }
    assert_in_range(taken, 3 + 699, 3 + 700);
}

static void test_rate__does_not_overflow_at_its_largest(void **state)
{
    struct rate r = {0};
    (void)state;
    assert_int_equal(rate_take(&r, 3600 * SECOND, 1000000, INT64_C(1) << 60), 0);
    assert_int_equal(rate_take(&r, 3600 * SECOND, 1, INT64_C(1) << 60), 3600 * SECOND);
}

struct takers {
    struct rate rate;
    atomic_int taken;
};

static void *take_many(void *arg)
{
    struct takers *t = arg;
    for (int i = 0; i < 100000; i++) {
        if (rate_take(&t->rate, SECOND, 1000, SECOND) == 0) {
            atomic_fetch_add(&t->taken, 1);
        }
    }
    return NULL;
}

static void test_rate__gives_no_token_twice(void **state)
{
    struct takers t = {.taken = 0};
    pthread_t thread[4];
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, take_many, &t), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
    }
    assert_int_equal(atomic_load(&t.taken), 1000);
}

/* --- routes --- */

static void test_routes__say_who_may_use_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_routes; i++) {
        const struct route *r = &routes[i];
        bool health = strstr(r->path, "health") != NULL || strcmp(r->path, "/readyz") == 0;
        bool registry = strncmp(r->path, "/v1/registries", 14) == 0;
        assert_int_not_equal(r->access, ACCESS_UNSAID);
        assert_int_equal(r->access == ACCESS_OPEN, health);
        assert_int_equal(r->access == ACCESS_REGISTRY_READ, registry && strcmp(r->method, "GET") == 0);
        assert_int_equal(r->access == ACCESS_REGISTRY_WRITE, registry && strcmp(r->method, "GET") != 0);
        assert_int_equal(r->access == ACCESS_COMPUTE, r->body == BODY_STREAM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_auth__finds_each_key_and_no_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth__keeps_a_table_while_it_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth__keeps_the_old_keys_where_the_file_is_bad, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth__lets_nobody_in_by_an_empty_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth__shows_a_bounded_number_of_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth__is_read_anew_under_threads_that_use_it, setup, teardown),
        cmocka_unit_test(test_rate__lets_through_a_burst_and_then_the_rate),
        cmocka_unit_test(test_rate__keeps_to_it_exactly_in_the_long_run),
        cmocka_unit_test(test_rate__does_not_overflow_at_its_largest),
        cmocka_unit_test(test_rate__gives_no_token_twice),
        cmocka_unit_test(test_routes__say_who_may_use_them),
    };
    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
