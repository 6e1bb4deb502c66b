/* SPDX-License-Identifier: Apache-2.0
 *
 * test_npy.c - heads of .npy files, written and read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <files/npy.h>

/* A file of version 1 with this dictionary, blanks to a multiple of 16, and `data` bytes behind it, in memory of just
 * its size. */
static char *file_of(const char *dictionary, size_t data, size_t *size)
{
    size_t n = (10 + strlen(dictionary) + 15) / 16 * 16 - 10;
    char *file = calloc(1, 10 + n + data);
    assert_non_null(file);
    memcpy(file, "\x93NUMPY\1\0", 8);
    file[8] = (char)n;
    memset(file + 10, ' ', n);
    memcpy(file + 10, dictionary, strlen(dictionary));
    *size = 10 + n + data;
    return file;
}

static void test_head__reads_back_what_was_written(void **state)
{
    static const size_t shapes[][LOSS_MAX_RANK] = {{0}, {7}, {2, 0}, {3, 4, 5}, {1, 1, 1, 1, 1, 1, 1, 2}};
    static const int ranks[] = {0, 1, 2, 3, 8};
    (void)state;
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        char head[NPY_HEAD_MAX];
        size_t n = npy_head(LOSS_FLOAT32, ranks[i], shapes[i], head), count, begin;
        struct loss_tensor t;
        assert_int_equal(n % 64, 0);
        assert_true(loss_shape_count(ranks[i], shapes[i], &count));
        char *file = calloc(1, n + 4 * count);
        assert_non_null(file);
        memcpy(file, head, n);
        assert_int_equal(npy_read(file, n + 4 * count, &t, &begin, NULL), LOSS_OK);
        assert_int_equal(begin, n);
        assert_int_equal(t.dtype, LOSS_FLOAT32);
        assert_int_equal(t.rank, ranks[i]);
        assert_memory_equal(t.shape, shapes[i], (size_t)ranks[i] * sizeof(size_t));
        free(file);
    }
}

static void test_head__is_refused_where_it_is_wrong(void **state)
{
    static const struct {
        const char *dictionary;
        size_t data;
        loss_status status;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }  ", 8, LOSS_OK},
        {"{\"shape\":(2,),\"descr\":\"<f4\",\"fortran_order\":True}  ", 8, LOSS_OK},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1)}", 8, LOSS_UNSUPPORTED_DTYPE},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", 8, LOSS_UNSUPPORTED_DTYPE},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", 8, LOSS_UNSUPPORTED_DTYPE},
        {"{'descr': '', 'fortran_order': False, 'shape': (1,), }", 8, LOSS_UNSUPPORTED_DTYPE},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 7, LOSS_MALFORMED_ENCODING},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9, LOSS_MALFORMED_ENCODING},
        {"{'descr': '<f4', 'fortran_order': Fals, 'shape': (2,), }", 8, LOSS_MALFORMED_ENCODING},
        {"{'descr': '<f4', 'fortran_order': False}", 8, LOSS_MALFORMED_ENCODING},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8, LOSS_MALFORMED_ENCODING},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8, LOSS_MALFORMED_ENCODING},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 2)}", 16, LOSS_MALFORMED_ENCODING},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2", 8, LOSS_MALFORMED_ENCODING},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2)}", 8, LOSS_MALFORMED_ENCODING},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,)}", 8, LOSS_MALFORMED_ENCODING},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2)}", 8, LOSS_MALFORMED_ENCODING},
        {"", 8, LOSS_MALFORMED_ENCODING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loss_tensor t;
        struct loss_error err = {.status = LOSS_OK};
        size_t size, begin;
        char *file = file_of(cases[i].dictionary, cases[i].data, &size);
        loss_status status = npy_read(file, size, &t, &begin, &err);
        free(file);
        if (status != cases[i].status) {
            fail_msg("%s: %d %s", cases[i].dictionary, status, err.message);
        }
    }
}

static void test_head__is_refused_wherever_it_is_cut(void **state)
{
    char head[NPY_HEAD_MAX];
    size_t shape[] = {1}, n = npy_head(LOSS_UINT8, 1, shape, head);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        struct loss_tensor t;
        size_t begin;
        char *file = malloc(i + 1);
        assert_non_null(file);
        memcpy(file, head, i);
        assert_int_not_equal(npy_read(file, i, &t, &begin, NULL), LOSS_OK);
        free(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head__reads_back_what_was_written),
        cmocka_unit_test(test_head__is_refused_where_it_is_wrong),
        cmocka_unit_test(test_head__is_refused_wherever_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
