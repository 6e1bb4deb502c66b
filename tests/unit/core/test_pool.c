/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pool.c - large memory that is cut, joined, grown and shrunk without losing what lies in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <loss/arena.h>

#include "pool.h"

#define MB ((size_t)1 << 20)

static int empty(void **state)
{
    (void)state;
    loss_pool_keep(256 * MB);
    loss_pool_trim(0);
    assert_int_equal(loss_pool_idle(), 0);
    return 0;
}

static char *take(size_t size)
{
    size_t got;
    char *p = loss__pool_take(size, &got);
    assert_non_null(p);
    assert_true(got >= size);
    return p;
}

/* A word in each page that tells which page of what it is. */
static void mark(char *p, size_t size, uint64_t what)
{
    for (size_t at = 0; at < size; at += LOSS__POOL_PAGE) {
        *(uint64_t *)(void *)(p + at) = what << 32 | at / LOSS__POOL_PAGE;
    }
}

static bool marked(const char *p, size_t size, uint64_t what)
{
    for (size_t at = 0; at < size; at += LOSS__POOL_PAGE) {
        if (*(const uint64_t *)(const void *)(p + at) != (what << 32 | at / LOSS__POOL_PAGE)) {
            return false;
        }
    }
    return true;
}

static void test_a_piece__is_cut_to_measure_and_joined_again(void **state)
{
    (void)state;
    char *whole = take(8 * MB);
    loss__pool_give(whole, 8 * MB);
    assert_int_equal(loss_pool_idle(), 8 * MB);

    char *a = take(3 * MB);
    assert_int_equal(loss_pool_idle(), 5 * MB);
    char *b = take(5 * MB);
    assert_int_equal(loss_pool_idle(), 0);
    loss__pool_give(a, 3 * MB);
    loss__pool_give(b, 5 * MB);

    assert_ptr_equal(take(8 * MB), whole);
    assert_int_equal(loss_pool_idle(), 0);
    loss__pool_give(whole, 8 * MB);
}

static void test_what_shrinks__can_grow_back_in_place(void **state)
{
    (void)state;
    char *p = take(8 * MB);
    mark(p, 2 * MB, 1);
    assert_ptr_equal(loss__pool_resize(p, 8 * MB, 2 * MB), p);
    assert_int_equal(loss_pool_idle(), 6 * MB);
    assert_ptr_equal(loss__pool_resize(p, 2 * MB, 8 * MB), p);
    assert_int_equal(loss_pool_idle(), 0);
    assert_true(marked(p, 2 * MB, 1));
    loss__pool_give(p, 8 * MB);
}

static void test_growing__prefers_what_is_mapped(void **state)
{
    (void)state;
    char *small = take(2 * MB), *wall = take(2 * MB), *large = take(16 * MB);
    mark(small, 2 * MB, 1);
    loss__pool_give(large, 16 * MB);
    char *grown = loss__pool_resize(small, 2 * MB, 16 * MB);
    assert_ptr_equal(grown, large);
    assert_true(marked(grown, 2 * MB, 1));
    assert_int_equal(loss_pool_idle(), 2 * MB);
    loss__pool_give(grown, 16 * MB);
    loss__pool_give(wall, 2 * MB);
}

static void test_keeping_less__unmaps_no_more_than_it_must(void **state)
{
    (void)state;
    loss__pool_give(take(16 * MB), 16 * MB);
    loss_pool_trim(10 * MB);
    assert_int_equal(loss_pool_idle(), 10 * MB);
    loss_pool_keep(4 * MB);
    assert_int_equal(loss_pool_idle(), 4 * MB);
    loss__pool_give(take(8 * MB), 8 * MB); /* more than may be kept at all */
    assert_int_equal(loss_pool_idle(), 4 * MB);
    char *p = take(3 * MB);
    assert_int_equal(loss_pool_idle(), 1 * MB);
    loss__pool_give(p, 3 * MB);
    assert_int_equal(loss_pool_idle(), 4 * MB);
}

static void test_many_pieces__keep_what_was_written(void **state)
{
    enum { PIECES = 24, STEPS = 4000 };
    struct {
        char *at;
        size_t size;
    } piece[PIECES] = {{NULL, 0}};
    uint64_t seed = 1;
    (void)state;

    loss_pool_keep(32 * MB);
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t i = (size_t)(seed >> 33) % PIECES;
        size_t size = (1 + (size_t)(seed >> 40) % 300) * LOSS__POOL_PAGE;
        if (piece[i].at == NULL) {
            piece[i].at = loss__pool_take(size, &piece[i].size);
            assert_non_null(piece[i].at);
        } else {
            assert_true(marked(piece[i].at, piece[i].size, i));
            if ((seed >> 60 & 1) != 0) {
                loss__pool_give(piece[i].at, piece[i].size);
                piece[i].at = NULL;
                continue;
            }
            size_t kept = size < piece[i].size ? size : piece[i].size;
            piece[i].at = loss__pool_resize(piece[i].at, piece[i].size, size);
            assert_non_null(piece[i].at);
            assert_true(marked(piece[i].at, kept, i));
            piece[i].size = size;
        }
        mark(piece[i].at, piece[i].size, i);
        assert_true(loss_pool_idle() <= 32 * MB);
    }
    for (size_t i = 0; i < PIECES; i++) {
        if (piece[i].at != NULL) {
            assert_true(marked(piece[i].at, piece[i].size, i));
            loss__pool_give(piece[i].at, piece[i].size);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_piece__is_cut_to_measure_and_joined_again, empty),
        cmocka_unit_test_setup(test_what_shrinks__can_grow_back_in_place, empty),
        cmocka_unit_test_setup(test_growing__prefers_what_is_mapped, empty),
        cmocka_unit_test_setup(test_keeping_less__unmaps_no_more_than_it_must, empty),
        cmocka_unit_test_setup(test_many_pieces__keep_what_was_written, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
