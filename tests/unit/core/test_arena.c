/* SPDX-License-Identifier: Apache-2.0
 *
 * test_arena.c - memory of one call: room, ceilings, growth, clean-up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <loss/arena.h>

#define MIB ((size_t)1 << 20)

static void test_arena__gives_aligned_writable_memory_of_any_size(void **state)
{
    (void)state;
    struct loss_arena *a = loss_arena_new(64 * MIB, NULL);
    unsigned char *seen[200];
    size_t length[200];
    for (size_t i = 0; i < 200; i++) {
        size_t align = (size_t)1 << i % 13;
        length[i] = i * i * 7 % 70000;
        seen[i] = loss_arena_alloc(a, length[i], align);
        assert_non_null(seen[i]);
        assert_int_equal((uintptr_t)seen[i] % align, 0);
        memset(seen[i], (int)i, length[i]);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t j = 0; j < length[i]; j++) {
            assert_int_equal(seen[i][j], i);
        }
    }
    loss_arena_free(a);
}

static void test_arena__aligns_large_blocks_for_vectors(void **state)
{
    (void)state;
    struct loss_arena *a = loss_arena_new(64 * MIB, NULL);
    for (size_t n = 65536; n < 4 * MIB; n += 333333) {
        assert_int_equal((uintptr_t)loss_arena_alloc(a, n, 8) % 64, 0);
    }
    loss_arena_free(a);
}

static void test_arena__refuses_past_its_ceiling(void **state)
{
    (void)state;
    struct loss_arena *a = loss_arena_new(100000, NULL);
    assert_null(loss_arena_alloc(a, 100001, 1));
    assert_null(loss_arena_resize(a, NULL, 100001));
    size_t got = 0;
    while (loss_arena_alloc(a, 1000, 8)) {
        got += 1000;
    }
    assert_in_range(got, 60000, 100000);
    assert_true(loss_arena_used(a) <= 100000);
    loss_arena_free(a);
}

static void test_arena__keeps_a_ceiling_below_its_first_chunk(void **state)
{
    (void)state;
    struct loss_arena *a = loss_arena_new(100, NULL);
    assert_null(loss_arena_alloc(a, 101, 1));
    assert_non_null(loss_arena_alloc(a, 50, 1));
    assert_null(loss_arena_alloc(a, 60, 1));
    loss_arena_free(a);
}

static void test_arena__refuses_sizes_that_overflow(void **state)
{
    (void)state;
    struct loss_arena *a = loss_arena_new(SIZE_MAX / 4, NULL);
    for (size_t less = 0; less < 200; less++) {
        assert_null(loss_arena_alloc(a, SIZE_MAX - less, 64));
        assert_null(loss_arena_resize(a, NULL, SIZE_MAX - less));
    }
    assert_null(loss_arena_copy(a, "", SIZE_MAX));
    void *block = loss_arena_resize(a, NULL, 10);
    assert_null(loss_arena_resize(a, block, SIZE_MAX - 100));
    memset(block, 1, 10);
    loss_arena_free(a);
}

static void test_arena__shares_a_budget_and_returns_all_of_it(void **state)
{
    (void)state;
    struct loss_budget budget = {.limit = MIB};
    struct loss_arena *a = loss_arena_new(SIZE_MAX, &budget), *b = loss_arena_new(SIZE_MAX, &budget);
    assert_non_null(loss_arena_alloc(a, 700000, 8));
    assert_null(loss_arena_alloc(b, 700000, 8));
    assert_non_null(loss_arena_alloc(b, 100000, 8));
    assert_in_range(loss_budget_used(&budget), 800000, 802000);
    assert_non_null(loss_arena_alloc(b, 1000, 8)); /* what is refused can still be told */
    loss_arena_free(a);
    assert_non_null(loss_arena_alloc(b, 700000, 8));
    loss_arena_free(b);
    assert_int_equal(loss_budget_used(&budget), 0);
}

static void test_arena__uses_the_last_bytes_of_a_budget(void **state)
{
    (void)state;
    struct loss_budget budget = {.limit = 40000};
    struct loss_arena *a = loss_arena_new(SIZE_MAX, &budget);
    size_t got = 0;
    while (loss_arena_alloc(a, 500, 8)) {
        got += 500;
    }
    assert_in_range(got, 56000, 65000); /* and those of the first chunk */
    assert_true(loss_budget_used(&budget) <= 40000);
    loss_arena_free(a);
    assert_int_equal(loss_budget_used(&budget), 0);
}

static void test_arena__grows_and_shrinks_a_block_with_its_bytes(void **state)
{
    (void)state;
    struct loss_budget budget = {.limit = 0};
    struct loss_arena *a = loss_arena_new(256 * MIB, &budget);
    unsigned char *grown = NULL, *other = NULL;
    size_t held = 0;
    for (size_t n = 1; n < 32 * MIB; n += n / 2 + 1) {
        grown = loss_arena_resize(a, grown, n);
        assert_non_null(grown);
        assert_int_equal((uintptr_t)grown % 64, 0);
        for (size_t i = held; i < n; i++) {
            grown[i] = (unsigned char)(i * 31);
        }
        held = n;
        other = loss_arena_resize(a, other, n % 5000 + 1); /* so that neighbours are in the way */
        assert_non_null(other);
    }
    for (size_t n = held; n > 0; n = n * 2 / 3) {
        grown = loss_arena_resize(a, grown, n);
        assert_non_null(grown);
        for (size_t i = 0; i < n; i += i / 64 + 1) {
            assert_int_equal(grown[i], (unsigned char)(i * 31));
        }
    }
    assert_true(loss_arena_used(a) < 10000);
    assert_true(loss_arena_peak(a) > 20 * MIB);
    loss_arena_release(a, grown);
    loss_arena_release(a, other);
    loss_arena_release(a, NULL);
    assert_int_equal(loss_budget_used(&budget), 0);
    loss_arena_free(a);
}

static void test_arena__keeps_a_block_that_cannot_grow(void **state)
{
    (void)state;
    struct loss_arena *a = loss_arena_new(200000, NULL);
    char *block = loss_arena_resize(a, NULL, 100000);
    strcpy(block, "still here");
    size_t used = loss_arena_used(a);
    assert_null(loss_arena_resize(a, block, 300000));
    assert_string_equal(block, "still here");
    assert_int_equal(loss_arena_used(a), used);
    loss_arena_free(a);
}

static void test_arena__counts_a_released_block_as_free(void **state)
{
    (void)state;
    struct loss_arena *a = loss_arena_new(200000, NULL);
    for (int i = 0; i < 100; i++) {
        void *block = loss_arena_resize(a, NULL, 150000);
        assert_non_null(block);
        loss_arena_release(a, block);
    }
    assert_int_equal(loss_arena_used(a), 0);
    loss_arena_free(a);
}

static char order[10];

static void note(void *what)
{
    strncat(order, what, 1);
}

static void test_arena__undoes_newest_first_on_free(void **state)
{
    (void)state;
    order[0] = '\0';
    struct loss_arena *a = loss_arena_new(MIB, NULL);
    char *in_arena = loss_arena_copy(a, "a", 1);
    assert_true(loss_arena_defer(a, note, in_arena));
    assert_true(loss_arena_defer(a, note, loss_arena_copy(a, "b", 1)));
    assert_true(loss_arena_defer(a, note, loss_arena_copy(a, "c", 1)));
    assert_string_equal(order, "");
    loss_arena_free(a);
    assert_string_equal(order, "cba");
}

static void test_arena__is_as_new_after_a_reset(void **state)
{
    (void)state;
    struct loss_budget budget = {.limit = MIB};
    struct loss_arena *a = loss_arena_new(700000, &budget);
    order[0] = '\0';
    for (int call = 0; call < 3; call++) {
        assert_int_equal(loss_arena_used(a), 0);
        assert_int_equal(loss_arena_peak(a), 0);
        assert_true(loss_arena_defer(a, note, loss_arena_copy(a, "x", 1)));
        void *block = loss_arena_resize(a, NULL, 300000);
        assert_non_null(block);
        memset(block, call, 300000);
        for (size_t got = 0; got < 300000; got += 1000) { /* several chunks */
            void *small = loss_arena_alloc(a, 1000, 8);
            assert_non_null(small);
            memset(small, call, 1000);
        }
        assert_null(loss_arena_alloc(a, 400000, 8));
        assert_in_range(loss_arena_used(a), 600000, 700000);
        loss_arena_reset(a);
        assert_int_equal(loss_budget_used(&budget), 0);
    }
    assert_string_equal(order, "xxx");
    loss_arena_free(a);
}

static void test_arena__undoes_at_once_what_it_cannot_defer(void **state)
{
    (void)state;
    order[0] = '\0';
    struct loss_arena *a = loss_arena_new(8, NULL);
    char what[] = "x";
    assert_false(loss_arena_defer(a, note, what));
    assert_string_equal(order, "x");
    loss_arena_free(a);
    assert_string_equal(order, "x");
}

static void test_arena__copies_and_formats_text(void **state)
{
    (void)state;
    struct loss_arena *a = loss_arena_new(MIB, NULL);
    assert_string_equal(loss_arena_copy(a, "abcdef", 3), "abc");
    assert_string_equal(loss_arena_copy(a, NULL, 0), "");
    assert_string_equal(loss_arena_format(a, "%s/%d", "labels", 3), "labels/3");
    char *wide = loss_arena_format(a, "%*d", 100000, 7);
    assert_int_equal(strlen(wide), 100000);
    assert_int_equal(wide[99999], '7');
    loss_arena_free(a);
}

static void test_arena__frees_nothing_for_null(void **state)
{
    (void)state;
    loss_arena_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena__gives_aligned_writable_memory_of_any_size),
        cmocka_unit_test(test_arena__aligns_large_blocks_for_vectors),
        cmocka_unit_test(test_arena__refuses_past_its_ceiling),
        cmocka_unit_test(test_arena__keeps_a_ceiling_below_its_first_chunk),
        cmocka_unit_test(test_arena__refuses_sizes_that_overflow),
        cmocka_unit_test(test_arena__shares_a_budget_and_returns_all_of_it),
        cmocka_unit_test(test_arena__uses_the_last_bytes_of_a_budget),
        cmocka_unit_test(test_arena__grows_and_shrinks_a_block_with_its_bytes),
        cmocka_unit_test(test_arena__keeps_a_block_that_cannot_grow),
        cmocka_unit_test(test_arena__counts_a_released_block_as_free),
        cmocka_unit_test(test_arena__undoes_newest_first_on_free),
        cmocka_unit_test(test_arena__is_as_new_after_a_reset),
        cmocka_unit_test(test_arena__undoes_at_once_what_it_cannot_defer),
        cmocka_unit_test(test_arena__copies_and_formats_text),
        cmocka_unit_test(test_arena__frees_nothing_for_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
