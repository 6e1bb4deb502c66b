/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <text/hex.h>

static void every_byte_comes_back(void **state)
{
    (void)state;
    unsigned char bytes[256], back[256];
    char text[513];
    size_t n = 0;

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)i;
    }
    hex_write(text, bytes, sizeof bytes);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_true(hex_read(text, back, sizeof back, &n));
    assert_int_equal(n, 256);
    assert_memory_equal(back, bytes, sizeof bytes);
}

static void only_what_was_written_is_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "0", "abc", "0G", "AB", "00 1", " 00", "000102"};
    unsigned char bytes[2];
    size_t n = 7;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(hex_read(bad[i], bytes, sizeof bytes, &n));
    }
    assert_int_equal(n, 7);
}

static void digits_have_values_in_either_case(void **state)
{
    (void)state;
    for (int c = -128; c < 128; c++) {
        const char *place = c == 0 ? NULL : strchr("0123456789abcdefABCDEF", c);
        int want = place == NULL ? -1 : (int)(place - strchr("0123456789abcdefABCDEF", '0'));
        assert_int_equal(hex_value((char)c), want > 15 ? want - 6 : want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(only_what_was_written_is_read),
        cmocka_unit_test(digits_have_values_in_either_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
