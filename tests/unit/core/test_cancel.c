/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cancel.c - a computation that nobody wants any more stops between two blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <loss/loss.h>

#define N 1000000
#define WANTED 5
#define THREADS 256 /* at most: each may ask once more */

/* Asked before each block: yes from the fifth time on. */
static atomic_int asked;

static bool enough(void *arg)
{
    return atomic_fetch_add(&asked, 1) + 1 > *(const int *)arg;
}

static loss_status compute(int wanted, struct loss_answer *answer, struct loss_error *err)
{
    static float y[N], p[N];
    const size_t shape[] = {N};
    const struct loss_alias *alias;
    const struct loss_desc *desc = loss_catalog_find("sigmoid_cross_entropy", &alias);
    struct loss_tensor tensor = {.dtype = LOSS_FLOAT32, .rank = 1, .count = N};
    struct loss_call call;
    struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);

    loss_call_init(&call, desc, alias);
    memcpy(tensor.shape, shape, sizeof shape);
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        tensor.data = i == 0 ? y : p;
        call.input[i] = tensor;
    }
    call.cancelled = enough;
    call.cancelled_arg = &wanted;
    memset(err, 0, sizeof *err);
    atomic_store(&asked, 0);
    loss_status status = loss_compute(&call, arena, answer, err);
    loss_arena_free(arena);
    return status;
}

static void test_cancelled__stops_at_the_next_block(void **state)
{
    struct loss_answer answer;
    struct loss_error err;
    (void)state;
    assert_int_equal(compute(INT32_MAX - 1, &answer, &err), LOSS_OK);
    assert_true(atomic_load(&asked) > 4 * THREADS);
    assert_int_equal(compute(WANTED, &answer, &err), LOSS_DEADLINE_EXCEEDED);
    assert_in_range(atomic_load(&asked), WANTED + 1, WANTED + THREADS);
    assert_int_equal(compute(0, &answer, &err), LOSS_DEADLINE_EXCEEDED);
    assert_in_range(atomic_load(&asked), 1, THREADS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cancelled__stops_at_the_next_block)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
