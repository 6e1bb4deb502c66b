/* SPDX-License-Identifier: Apache-2.0
 *
 * test_executor.c - order, bounds and end of an executor.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <unistd.h>

#include <cmocka.h>

#include <server/executor.h>

#define KEEP_US INT64_C(3600000000)

/* A job that says it runs, and ends when it is let. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool entered, open;
};

static void gate_init(struct gate *g)
{
    *g = (struct gate){.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
}

static void gate_job(void *arg)
{
    struct gate *g = arg;
    pthread_mutex_lock(&g->mutex);
    g->entered = true;
    pthread_cond_broadcast(&g->changed);
    while (!g->open) {
        pthread_cond_wait(&g->changed, &g->mutex);
    }
    pthread_mutex_unlock(&g->mutex);
}

static void gate_await(struct gate *g)
{
    pthread_mutex_lock(&g->mutex);
    while (!g->entered) {
        pthread_cond_wait(&g->changed, &g->mutex);
    }
    pthread_mutex_unlock(&g->mutex);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

struct order {
    int seen[64];
    size_t n;
};
struct numbered {
    struct order *order;
    int number;
};

static void numbered_job(void *arg)
{
    struct numbered *j = arg;
    j->order->seen[j->order->n++] = j->number;
}

static void test_jobs__run_in_the_order_of_submission(void **state)
{
    struct executor *e = executor_new("test", 1, &(struct executor_bounds){64, 1000, KEEP_US}, NULL);
    struct order order = {.n = 0};
    struct numbered jobs[64];
    (void)state;
    assert_non_null(e);
    for (int i = 0; i < 64; i++) {
        jobs[i] = (struct numbered){&order, i};
        assert_true(executor_submit(e, numbered_job, NULL, &jobs[i], 1, EXECUTOR_NO_PLACE));
    }
    executor_free(e);
    assert_int_equal(order.n, 64);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(order.seen[i], i);
    }
}

static void test_a_full_queue__refuses(void **state)
{
    struct executor *e = executor_new("test", 1, &(struct executor_bounds){2, 1000, KEEP_US}, NULL);
    struct order order = {.n = 0};
    struct numbered job = {&order, 7};
    struct gate gate;
    (void)state;
    gate_init(&gate);
    assert_true(executor_submit(e, gate_job, NULL, &gate, 0, EXECUTOR_NO_PLACE));
    gate_await(&gate); /* runs: no longer waits */
    assert_true(executor_submit(e, numbered_job, NULL, &job, 0, EXECUTOR_NO_PLACE));
    assert_true(executor_submit(e, numbered_job, NULL, &job, 0, EXECUTOR_NO_PLACE));
    assert_false(executor_submit(e, numbered_job, NULL, &job, 0, EXECUTOR_NO_PLACE));
    assert_int_equal(executor_length(e), 3);
    gate_open(&gate);
    executor_free(e);
    assert_int_equal(order.n, 2);
}

static void test_bytes__are_bounded_together(void **state)
{
    struct executor *e = executor_new("test", 1, &(struct executor_bounds){10, 100, KEEP_US}, NULL);
    struct order order = {.n = 0};
    struct numbered job = {&order, 7};
    struct gate gate;
    (void)state;
    gate_init(&gate);
    assert_true(executor_submit(e, gate_job, NULL, &gate, 40, EXECUTOR_NO_PLACE));
    assert_true(executor_submit(e, numbered_job, NULL, &job, 60, EXECUTOR_NO_PLACE));
    assert_false(executor_submit(e, numbered_job, NULL, &job, 1, EXECUTOR_NO_PLACE));
    assert_false(executor_submit(e, numbered_job, NULL, &job, SIZE_MAX, EXECUTOR_NO_PLACE));
    assert_true(executor_submit(e, numbered_job, NULL, &job, 0, EXECUTOR_NO_PLACE));
    gate_open(&gate);
    executor_free(e);
    assert_int_equal(order.n, 2);
}

static void test_a_job_beyond_the_bound__runs_alone(void **state)
{
    struct executor *e = executor_new("test", 1, &(struct executor_bounds){10, 100, KEEP_US}, NULL);
    struct gate gate;
    (void)state;
    gate_init(&gate);
    assert_true(executor_submit(e, gate_job, NULL, &gate, 1000, EXECUTOR_NO_PLACE));
    assert_false(executor_submit(e, gate_job, NULL, &gate, 1, EXECUTOR_NO_PLACE));
    gate_open(&gate);
    executor_free(e);
}

static void test_a_place_that_is_kept__is_free_for_its_job_alone(void **state)
{
    struct executor *e = executor_new("test", 1, &(struct executor_bounds){2, 100, KEEP_US}, NULL);
    struct order order = {.n = 0};
    struct numbered job = {&order, 7};
    struct gate gate;
    (void)state;
    gate_init(&gate);
    assert_true(executor_submit(e, gate_job, NULL, &gate, 40, EXECUTOR_NO_PLACE));
    gate_await(&gate);
    executor_place one, other, none;
    assert_true(executor_reserve(e, 1, &one));
    assert_true(executor_reserve(e, 1, &other));
    assert_false(executor_reserve(e, 1, &none));
    assert_false(executor_submit(e, numbered_job, NULL, &job, 1, EXECUTOR_NO_PLACE));
    assert_true(executor_submit(e, numbered_job, NULL, &job, 1, one));
    assert_false(executor_reserve(e, 1, &none)); /* the job has it now */
    executor_leave(e, other);
    executor_leave(e, EXECUTOR_NO_PLACE);
    assert_false(executor_reserve(e, 100, &none)); /* there is no room for so many bytes */
    assert_true(executor_submit(e, numbered_job, NULL, &job, 1, EXECUTOR_NO_PLACE));
    assert_false(executor_reserve(e, 1, &none));
    gate_open(&gate);
    executor_free(e);
    assert_int_equal(order.n, 2);
}

static void test_places_that_are_kept__hold_their_bytes(void **state)
{
    struct executor *e = executor_new("test", 1, &(struct executor_bounds){10, 100, KEEP_US}, NULL);
    struct order order = {.n = 0};
    struct numbered job = {&order, 7};
    executor_place large, rest, none;
    (void)state;
    assert_true(executor_reserve(e, 60, &large));
    assert_false(executor_reserve(e, 41, &none));
    assert_false(executor_reserve(e, SIZE_MAX, &none));
    assert_false(executor_submit(e, numbered_job, NULL, &job, 41, EXECUTOR_NO_PLACE));
    assert_true(executor_reserve(e, 40, &rest));
    executor_leave(e, rest);
    assert_true(executor_submit(e, numbered_job, NULL, &job, 100, large)); /* it held more than was thought */
    executor_free(e);
    assert_int_equal(order.n, 1);
}

static void test_a_place_that_is_kept_long__is_anybodys(void **state)
{
    struct executor *e = executor_new("test", 1, &(struct executor_bounds){1, 100, 10000}, NULL);
    struct order order = {.n = 0};
    struct numbered job = {&order, 7};
    (void)state;
    executor_place old;
    assert_true(executor_reserve(e, 1, &old));
    while (!executor_submit(e, numbered_job, NULL, &job, 1, EXECUTOR_NO_PLACE)) {
        usleep(1000);
    }
    executor_leave(e, old); /* changes nothing */
    while (!executor_submit(e, numbered_job, NULL, &job, 1, old)) {
        usleep(1000); /* as one without a place: the first may still wait */
    }
    executor_free(e);
    assert_int_equal(order.n, 2);
}

static bool is_odd(void *arg)
{
    const struct numbered *job = arg;
    return job->number % 2 == 1;
}

static void done_job(void *arg)
{
    const struct numbered *job = arg;
    numbered_job(&(struct numbered){job->order, 100 + job->number});
}

static void test_sweeping__ends_what_nobody_waits_for(void **state)
{
    static const int wanted[] = {1, 101, 3, 103, 0, 100, 2, 102, 4, 104};
    struct executor *e = executor_new("test", 1, &(struct executor_bounds){5, 5, KEEP_US}, NULL);
    struct order order = {.n = 0};
    struct numbered jobs[5];
    executor_place none;
    struct gate gate;
    (void)state;
    gate_init(&gate);
    assert_true(executor_submit(e, gate_job, NULL, &gate, 0, EXECUTOR_NO_PLACE));
    gate_await(&gate);
    for (int i = 0; i < 5; i++) {
        jobs[i] = (struct numbered){&order, i};
        assert_true(executor_submit(e, numbered_job, done_job, &jobs[i], 1, EXECUTOR_NO_PLACE));
    }
    assert_false(executor_reserve(e, 2, &none));
    executor_sweep(e, gate_job, is_odd); /* none of that kind waits */
    assert_int_equal(order.n, 0);
    executor_sweep(e, numbered_job, is_odd);
    assert_int_equal(order.n, 4);
    assert_int_equal(executor_length(e), 4);
    assert_true(executor_reserve(e, 2, &none)); /* their bytes are free again, and their places */
    gate_open(&gate);
    executor_free(e);
    assert_int_equal(order.n, sizeof wanted / sizeof *wanted);
    assert_memory_equal(order.seen, wanted, sizeof wanted);
}

static void begin_group(void *order)
{
    numbered_job(&(struct numbered){order, -1});
}

static void end_group(void *order)
{
    numbered_job(&(struct numbered){order, -2});
}

static void test_what_waits__goes_together_and_is_done_after_the_end(void **state)
{
    static const int wanted[] = {-1, -2, -1, 1, 2, -2, 101, 102};
    struct order order = {.n = 0};
    const struct executor_group group = {begin_group, end_group, &order};
    struct executor *e = executor_new("test", 1, &(struct executor_bounds){10, 100, KEEP_US}, &group);
    struct numbered jobs[] = {{&order, 1}, {&order, 2}};
    struct gate gate;
    (void)state;
    gate_init(&gate);
    assert_true(executor_submit(e, gate_job, NULL, &gate, 0, EXECUTOR_NO_PLACE)); /* a group of its own */
    gate_await(&gate);
    for (int i = 0; i < 2; i++) {
        assert_true(executor_submit(e, numbered_job, done_job, &jobs[i], 0, EXECUTOR_NO_PLACE));
    }
    gate_open(&gate);
    executor_free(e);
    assert_int_equal(order.n, sizeof wanted / sizeof *wanted);
    assert_memory_equal(order.seen, wanted, sizeof wanted);
}

static void test_several_threads__wait_at_once(void **state)
{
    enum { THREADS = 3 };
    struct executor *e = executor_new("test", THREADS, &(struct executor_bounds){10, 100, KEEP_US}, NULL);
    struct gate gates[THREADS];
    (void)state;
    assert_non_null(e);
    for (int i = 0; i < THREADS; i++) {
        gate_init(&gates[i]);
        assert_true(executor_submit(e, gate_job, NULL, &gates[i], 0, EXECUTOR_NO_PLACE));
    }
    for (int i = 0; i < THREADS; i++) {
        gate_await(&gates[i]); /* all run, and none has ended */
    }
    assert_int_equal(executor_length(e), THREADS);
    for (int i = 0; i < THREADS; i++) {
        gate_open(&gates[i]);
    }
    executor_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs__run_in_the_order_of_submission),
        cmocka_unit_test(test_a_full_queue__refuses),
        cmocka_unit_test(test_a_place_that_is_kept__is_free_for_its_job_alone),
        cmocka_unit_test(test_places_that_are_kept__hold_their_bytes),
        cmocka_unit_test(test_a_place_that_is_kept_long__is_anybodys),
        cmocka_unit_test(test_sweeping__ends_what_nobody_waits_for),
        cmocka_unit_test(test_bytes__are_bounded_together),
        cmocka_unit_test(test_a_job_beyond_the_bound__runs_alone),
        cmocka_unit_test(test_what_waits__goes_together_and_is_done_after_the_end),
        cmocka_unit_test(test_several_threads__wait_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
