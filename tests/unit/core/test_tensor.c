/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tensor.c - reading elements, naming places, and the errors that carry them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <loss/tensor.h>

static void test_dtype__is_found_by_its_name_alone(void **state)
{
    (void)state;
    loss_dtype dtype;
    for (int i = 0; i < LOSS_DTYPE_COUNT; i++) {
        assert_true(loss_dtype_parse(loss_dtype_name((loss_dtype)i), &dtype));
        assert_int_equal(dtype, i);
    }
    assert_false(loss_dtype_parse("float", &dtype));
    assert_false(loss_dtype_parse("", &dtype));
    assert_int_equal(loss_dtype_size(LOSS_BFLOAT16), 2);
    assert_int_equal(loss_dtype_size(LOSS_FLOAT64), 8);
}

/* Computed from the format's definition, not by moving bits. */
static double float16_value(unsigned bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double fraction = bits & 1023, value;
    if (exponent == 31) {
        value = fraction > 0 ? (double)NAN : (double)INFINITY;
    } else {
        value = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    }
    return bits & 0x8000 ? -value : value;
}

static double bfloat16_value(unsigned bits)
{
    int exponent = (int)(bits >> 7 & 255);
    double fraction = bits & 127, value;
    if (exponent == 255) {
        value = fraction > 0 ? (double)NAN : (double)INFINITY;
    } else {
        value = exponent == 0 ? ldexp(fraction, -133) : ldexp(128 + fraction, exponent - 134);
    }
    return bits & 0x8000 ? -value : value;
}

static void assert_same_double(double a, double b)
{
    if (isnan(a) && isnan(b)) {
        return;
    }
    assert_memory_equal(&a, &b, sizeof a);
}

static void test_tensor__widens_every_16_bit_float_exactly(void **state)
{
    (void)state;
    uint16_t bits;
    struct loss_tensor half = {.dtype = LOSS_FLOAT16, .count = 1, .data = &bits};
    struct loss_tensor brain = {.dtype = LOSS_BFLOAT16, .count = 1, .data = &bits};
    for (unsigned i = 0; i <= UINT16_MAX; i++) {
        bits = (uint16_t)i;
        assert_same_double(loss_tensor_at(&half, 0), float16_value(i));
        assert_same_double(loss_tensor_at(&brain, 0), bfloat16_value(i));
    }
}

#define CHECK_AT(dtype_, type, value)                                                                                  \
    do {                                                                                                               \
        type data[3] = {0, value, 1};                                                                                  \
        struct loss_tensor t = {.dtype = dtype_, .rank = 1, .shape = {3}, .count = 3, .data = data};                   \
        assert_true(loss_tensor_at(&t, 0) == 0 && loss_tensor_at(&t, 1) == (double)value);                             \
        assert_true(loss_tensor_at(&t, 2) == 1);                                                                       \
    } while (0)

static void test_tensor__reads_elements_of_every_dtype(void **state)
{
    (void)state;
    CHECK_AT(LOSS_FLOAT32, float, 0.1f);
    CHECK_AT(LOSS_FLOAT64, double, -1e300);
    CHECK_AT(LOSS_INT8, int8_t, INT8_MIN);
    CHECK_AT(LOSS_INT16, int16_t, INT16_MIN);
    CHECK_AT(LOSS_INT32, int32_t, INT32_MIN);
    CHECK_AT(LOSS_INT64, int64_t, INT64_MIN);
    CHECK_AT(LOSS_INT64, int64_t, INT64_MAX);
    CHECK_AT(LOSS_UINT8, uint8_t, UINT8_MAX);
    CHECK_AT(LOSS_UINT16, uint16_t, UINT16_MAX);
    CHECK_AT(LOSS_UINT32, uint32_t, UINT32_MAX);
    CHECK_AT(LOSS_UINT64, uint64_t, UINT64_MAX);
    unsigned char truth[] = {0, 1, 255};
    struct loss_tensor t = {.dtype = LOSS_BOOL, .data = truth};
    assert_true(loss_tensor_at(&t, 0) == 0 && loss_tensor_at(&t, 1) == 1 && loss_tensor_at(&t, 2) == 1);
}

static void assert_pointer(const struct loss_tensor *t, size_t i, const char *expected)
{
    char buf[64];
    loss_tensor_pointer(t, i, buf, sizeof buf);
    assert_string_equal(buf, expected);
}

static void test_tensor_pointer__names_an_element_as_the_client_wrote_it(void **state)
{
    (void)state;
    struct loss_tensor t = {.rank = 3, .shape = {2, 3, 4}, .count = 24, .pointer = "/labels"};
    assert_pointer(&t, 0, "/labels/0/0/0");
    assert_pointer(&t, 23, "/labels/1/2/3");
    assert_pointer(&t, 17, "/labels/1/1/1");
    t.layout = LOSS_FLAT;
    assert_pointer(&t, 17, "/labels/data/17");
    t.layout = LOSS_OPAQUE;
    assert_pointer(&t, 17, "/labels");
}

static void test_tensor_pointer__of_a_scalar_is_its_own_place(void **state)
{
    (void)state;
    struct loss_tensor t = {.rank = 0, .count = 1, .pointer = "/weights"};
    assert_pointer(&t, 0, "/weights");
    t.layout = LOSS_FLAT;
    assert_pointer(&t, 0, "/weights/data/0");
}

static void test_tensor_pointer__is_cut_between_members(void **state)
{
    (void)state;
    struct loss_tensor t = {.rank = 2, .shape = {100, 100}, .count = 10000, .pointer = "/losses/1/labels"};
    const char *whole = "/losses/1/labels/12/34";
    char buf[32];
    for (size_t size = 1; size <= sizeof buf; size++) {
        loss_tensor_pointer(&t, 1234, buf, size);
        size_t length = strlen(buf);
        assert_true(length < size);
        assert_memory_equal(buf, whole, length);
        assert_true(whole[length] == '/' || whole[length] == '\0');
        const char *next = whole[length] == '\0' ? NULL : strchr(whole + length + 1, '/');
        size_t longer = next ? (size_t)(next - whole) : strlen(whole);
        assert_true(whole[length] == '\0' || longer >= size); /* not one member more would fit */
    }
}

static void test_shape__is_written_as_a_list(void **state)
{
    (void)state;
    char buf[32];
    const size_t shape[] = {2, 3, 40};
    loss_shape_format(3, shape, buf, sizeof buf);
    assert_string_equal(buf, "[2, 3, 40]");
    loss_shape_format(1, shape, buf, sizeof buf);
    assert_string_equal(buf, "[2]");
    loss_shape_format(0, NULL, buf, sizeof buf);
    assert_string_equal(buf, "[]");
    loss_shape_format(3, shape, buf, 5);
    assert_string_equal(buf, "[2, ");
}

static void test_shape_count__refuses_what_overflows(void **state)
{
    (void)state;
    size_t count = 7;
    assert_true(loss_shape_count(0, NULL, &count));
    assert_int_equal(count, 1);
    const size_t fine[] = {3, 0, 5}, half = (size_t)1 << (sizeof(size_t) * 4);
    assert_true(loss_shape_count(3, fine, &count));
    assert_int_equal(count, 0);
    const size_t wide[] = {half, half}, wide_but_empty[] = {half, half, 0};
    count = 7;
    assert_false(loss_shape_count(2, wide, &count));
    assert_int_equal(count, 7);
    assert_true(loss_shape_count(3, wide_but_empty, &count));
    assert_int_equal(count, 0);
}

static void test_fail__keeps_the_first_failure(void **state)
{
    (void)state;
    struct loss_error err = {.status = LOSS_OK};
    assert_int_equal(loss_fail(&err, LOSS_INVALID_PARAMETER, "/delta", "must be > 0, got %g", -1.0),
                     LOSS_INVALID_PARAMETER);
    assert_int_equal(loss_fail(&err, LOSS_INTERNAL, "/other", "later"), LOSS_INTERNAL);
    assert_int_equal(err.status, LOSS_INVALID_PARAMETER);
    assert_string_equal(err.pointer, "/delta");
    assert_string_equal(err.message, "must be > 0, got -1");
    assert_int_equal(loss_fail(NULL, LOSS_INTERNAL, NULL, "nobody asks"), LOSS_INTERNAL);
}

static void test_fail__cuts_messages_between_characters(void **state)
{
    (void)state;
    static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t c = 0; c < 4; c++) {
        for (size_t lead = 0; lead < 5; lead++) {
            char text[3000] = "";
            memset(text, '.', lead);
            while (strlen(text) < 2000) {
                strcat(text, characters[c]);
            }
            struct loss_error err = {.status = LOSS_OK};
            loss_fail(&err, LOSS_INTERNAL, "", "%s", text);
            size_t length = strlen(err.message), one = strlen(characters[c]);
            assert_true(length < sizeof err.message && length + one >= sizeof err.message);
            assert_int_equal((length - lead) % one, 0);
        }
    }
}

static void test_fail__cuts_pointers_between_members(void **state)
{
    (void)state;
    char pointer[3000] = "";
    while (strlen(pointer) < 2000) {
        strcat(pointer, "/member");
    }
    struct loss_error err = {.status = LOSS_OK};
    loss_fail(&err, LOSS_INTERNAL, pointer, "too deep");
    assert_int_equal(strlen(err.pointer), 1022); /* 146 members of 7 */
    assert_string_equal(err.pointer + 1015, "/member");
}

static void test_status__has_a_distinct_slug_and_a_code(void **state)
{
    (void)state;
    for (int i = 0; i < LOSS_STATUS_COUNT; i++) {
        assert_in_range(loss_status_http((loss_status)i), 200, 599);
        assert_true(strlen(loss_status_title((loss_status)i)) > 0);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(loss_status_slug((loss_status)i), loss_status_slug((loss_status)j));
        }
    }
    assert_int_equal(loss_status_http(LOSS_SHAPE_MISMATCH), 422);
    assert_string_equal(loss_status_slug(LOSS_SHAPE_MISMATCH), "shape_mismatch");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtype__is_found_by_its_name_alone),
        cmocka_unit_test(test_tensor__widens_every_16_bit_float_exactly),
        cmocka_unit_test(test_tensor__reads_elements_of_every_dtype),
        cmocka_unit_test(test_tensor_pointer__names_an_element_as_the_client_wrote_it),
        cmocka_unit_test(test_tensor_pointer__of_a_scalar_is_its_own_place),
        cmocka_unit_test(test_tensor_pointer__is_cut_between_members),
        cmocka_unit_test(test_shape__is_written_as_a_list),
        cmocka_unit_test(test_shape_count__refuses_what_overflows),
        cmocka_unit_test(test_fail__keeps_the_first_failure),
        cmocka_unit_test(test_fail__cuts_messages_between_characters),
        cmocka_unit_test(test_fail__cuts_pointers_between_members),
        cmocka_unit_test(test_status__has_a_distinct_slug_and_a_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
