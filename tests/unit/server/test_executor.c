/* SPDX-License-Identifier: Apache-2.0
 *
 * test_executor.c - order, bounds and end of an executor.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <server/executor.h>

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
    struct executor *e = executor_new("test", 64, 1000);
    struct order order = {.n = 0};
    struct numbered jobs[64];
    (void)state;
    assert_non_null(e);
    for (int i = 0; i < 64; i++) {
        jobs[i] = (struct numbered){&order, i};
        assert_true(executor_submit(e, numbered_job, &jobs[i], 1));
    }
    executor_free(e);
    assert_int_equal(order.n, 64);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(order.seen[i], i);
    }
}

static void test_a_full_queue__refuses(void **state)
{
    struct executor *e = executor_new("test", 2, 1000);
    struct order order = {.n = 0};
    struct numbered job = {&order, 7};
    struct gate gate;
    (void)state;
    gate_init(&gate);
    assert_true(executor_submit(e, gate_job, &gate, 0));
    gate_await(&gate); /* runs: no longer waits */
    assert_true(executor_submit(e, numbered_job, &job, 0));
    assert_true(executor_submit(e, numbered_job, &job, 0));
    assert_false(executor_submit(e, numbered_job, &job, 0));
    assert_int_equal(executor_length(e), 3);
    gate_open(&gate);
    executor_free(e);
    assert_int_equal(order.n, 2);
}

static void test_bytes__are_bounded_together(void **state)
{
    struct executor *e = executor_new("test", 10, 100);
    struct order order = {.n = 0};
    struct numbered job = {&order, 7};
    struct gate gate;
    (void)state;
    gate_init(&gate);
    assert_true(executor_submit(e, gate_job, &gate, 40));
    assert_true(executor_submit(e, numbered_job, &job, 60));
    assert_false(executor_submit(e, numbered_job, &job, 1));
    assert_false(executor_submit(e, numbered_job, &job, SIZE_MAX));
    assert_true(executor_submit(e, numbered_job, &job, 0));
    gate_open(&gate);
    executor_free(e);
    assert_int_equal(order.n, 2);
}

static void test_a_job_beyond_the_bound__runs_alone(void **state)
{
    struct executor *e = executor_new("test", 10, 100);
    struct gate gate;
    (void)state;
    gate_init(&gate);
    assert_true(executor_submit(e, gate_job, &gate, 1000));
    assert_false(executor_submit(e, gate_job, &gate, 1));
    gate_open(&gate);
    executor_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs__run_in_the_order_of_submission),
        cmocka_unit_test(test_a_full_queue__refuses),
        cmocka_unit_test(test_bytes__are_bounded_together),
        cmocka_unit_test(test_a_job_beyond_the_bound__runs_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
