/* SPDX-License-Identifier: Apache-2.0
 *
 * test_shape.c - index arithmetic against the obvious way of doing it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rows.h>
#include <shape.h>

/* Offset in a row-major tensor of shape `of` of the element that place `i` of `shape` is broadcast from. */
static size_t obvious_offset(int rank, const size_t *shape, const size_t *of, size_t i)
{
    size_t offset = 0, step = 1;
    for (int d = rank - 1; d >= 0; d--) {
        size_t index = i % shape[d];
        i /= shape[d];
        offset += (of[d] == 1 ? 0 : index) * step;
        step *= of[d];
    }
    return offset;
}

static void test_grid_offsets__broadcast_every_combination(void **state)
{
    (void)state;
    static const size_t shape[] = {2, 3, 1, 4};
    for (unsigned ones = 0; ones < 16; ones++) {
        size_t of[4];
        for (int d = 0; d < 4; d++) {
            of[d] = ones & (1u << d) ? 1 : shape[d];
        }
        struct loss__grid grid;
        loss__grid_broadcast(&grid, 4, shape, 4, of);
        assert_int_equal(grid.count, 24);
        for (size_t first = 0; first < 24; first++) {
            for (size_t n = 0; n <= 24 - first; n++) {
                size_t offsets[25];
                offsets[n] = 999;
                loss__grid_offsets(&grid, first, n, offsets);
                for (size_t i = 0; i < n; i++) {
                    assert_int_equal(offsets[i], obvious_offset(4, shape, of, first + i));
                }
                assert_int_equal(offsets[n], 999);
            }
        }
    }
}

static void test_grid_offsets__of_a_scalar_are_zero(void **state)
{
    (void)state;
    static const size_t shape[] = {2, 2};
    struct loss__grid grid;
    size_t offsets[4] = {9, 9, 9, 9};
    loss__grid_broadcast(&grid, 2, shape, 0, NULL);
    loss__grid_offsets(&grid, 0, 4, offsets);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(offsets[i], 0);
    }
    loss__grid_broadcast(&grid, 0, NULL, 0, NULL);
    assert_int_equal(grid.count, 1);
    offsets[0] = 9;
    loss__grid_offsets(&grid, 0, 1, offsets);
    assert_int_equal(offsets[0], 0);
}

static void test_rows_cut__partitions_any_set_of_axes(void **state)
{
    (void)state;
    static const size_t shape[] = {2, 3, 1, 4};
    for (unsigned reduced = 0; reduced < 16; reduced++) {
        struct loss__rows rows;
        loss__rows_cut(&rows, 4, shape, reduced);
        assert_int_equal(rows.kept.count * rows.reduced.count, 24);
        size_t row[24], column[24], seen = 0;
        loss__grid_offsets(&rows.kept, 0, rows.kept.count, row);
        loss__grid_offsets(&rows.reduced, 0, rows.reduced.count, column);
        bool in_order = true;
        for (size_t r = 0; r < rows.kept.count; r++) {
            for (size_t j = 0; j < rows.reduced.count; j++) {
                size_t at = row[r] + column[j];
                assert_true(at < 24 && !(seen & ((size_t)1 << at)));
                seen |= (size_t)1 << at;
                in_order = in_order && at == r * rows.reduced.count + j;
            }
        }
        assert_int_equal(rows.contiguous, in_order);
    }
}

static void test_rows_cut__sees_through_dimensions_of_one(void **state)
{
    (void)state;
    static const size_t shape[] = {5, 3, 1};
    struct loss__rows rows;
    loss__rows_cut(&rows, 3, shape, 1u << 1);
    assert_true(rows.contiguous);
    loss__rows_cut(&rows, 3, shape, 1u << 0);
    assert_false(rows.contiguous);
}

static void test_rows__come_back_where_they_were(void **state)
{
    (void)state;
    static const size_t shape[] = {3, 4, 2};
    double from[24], block[24], to[24];
    for (int i = 0; i < 24; i++) {
        from[i] = i + 0.5;
    }
    for (unsigned reduced = 0; reduced < 8; reduced++) {
        struct loss__rows rows;
        size_t row[24], column[24];
        loss__rows_cut(&rows, 3, shape, reduced);
        loss__grid_offsets(&rows.kept, 0, rows.kept.count, row);
        loss__grid_offsets(&rows.reduced, 0, rows.reduced.count, column);
        memset(to, 0, sizeof to);
        loss__rows_gather(from, sizeof *from, row, rows.kept.count, column, rows.reduced.count, block);
        assert_true(block[rows.reduced.count - 1] == from[column[rows.reduced.count - 1]]);
        loss__rows_scatter(block, sizeof *from, row, rows.kept.count, column, rows.reduced.count, to);
        assert_memory_equal(from, to, sizeof from);
    }
}

static void test_shape_axis__counts_from_either_end(void **state)
{
    (void)state;
    int axis = 7;
    assert_true(loss__shape_axis(3, 0, &axis));
    assert_int_equal(axis, 0);
    assert_true(loss__shape_axis(3, -1, &axis));
    assert_int_equal(axis, 2);
    assert_true(loss__shape_axis(3, -3, &axis));
    assert_int_equal(axis, 0);
    assert_false(loss__shape_axis(3, 3, &axis));
    assert_false(loss__shape_axis(3, -4, &axis));
    assert_false(loss__shape_axis(3, 0.5, &axis));
    assert_false(loss__shape_axis(0, 0, &axis));
    assert_false(loss__shape_axis(3, 1e300, &axis));
}

static void test_shape_equal__compares_rank_and_dimensions(void **state)
{
    (void)state;
    static const size_t a[] = {2, 3}, b[] = {2, 4};
    assert_true(loss__shape_equal(2, a, 2, a));
    assert_false(loss__shape_equal(2, a, 2, b));
    assert_true(loss__shape_equal(1, a, 1, b));
    assert_false(loss__shape_equal(1, a, 2, a));
    assert_true(loss__shape_equal(0, a, 0, b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid_offsets__broadcast_every_combination),
        cmocka_unit_test(test_grid_offsets__of_a_scalar_are_zero),
        cmocka_unit_test(test_rows_cut__partitions_any_set_of_axes),
        cmocka_unit_test(test_rows_cut__sees_through_dimensions_of_one),
        cmocka_unit_test(test_rows__come_back_where_they_were),
        cmocka_unit_test(test_shape_axis__counts_from_either_end),
        cmocka_unit_test(test_shape_equal__compares_rank_and_dimensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
