/* SPDX-License-Identifier: Apache-2.0
 *
 * test_time_text.c - moments to text and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <text/time_text.h>

static void test_time_text__is_what_python_prints(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } known[] = {{0, "1970-01-01T00:00:00.000000Z"},
                 {1, "1970-01-01T00:00:00.000001Z"},
                 {951782399999999, "2000-02-28T23:59:59.999999Z"},
                 {951782400000000, "2000-02-29T00:00:00.000000Z"},
                 {1700000000123456, "2023-11-14T22:13:20.123456Z"},
                 {253402300799999999, "9999-12-31T23:59:59.999999Z"}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char text[TIME_TEXT_SIZE];
        int64_t us = -1;
        time_text_write(text, known[i].us);
        assert_string_equal(text, known[i].text);
        assert_true(time_text_read(known[i].text, &us));
        assert_true(us == known[i].us);
    }
}

static void test_time_text__reads_nothing_else(void **state)
{
    static const char *const bad[] = {"",
                                      "now",
                                      "2023-11-14",
                                      "2023-11-14T22:13:20Z",
                                      "2023-11-14T22:13:20.1Z",
                                      "2023-11-14T22:13:20.123456",
                                      "2023-11-14T22:13:20.123456Z ",
                                      " 2023-11-14T22:13:20.123456Z",
                                      "2023-11-14T22:13:20.123456+00:00",
                                      "2023-11-14 22:13:20.123456Z",
                                      "2023-02-29T22:13:20.123456Z",
                                      "2023-13-14T22:13:20.123456Z",
                                      "2023-11-14T24:13:20.123456Z",
                                      "2023-11-14T22:13:20.-23456Z",
                                      "1969-12-31T23:59:59.999999Z",
                                      "2023-11-14T22:13:20.1234567890123456789012345678901234567890Z"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t us = -7;
        if (time_text_read(bad[i], &us) || us != -7) {
            fail_msg("\"%s\" was read", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_time_text__is_what_python_prints),
                                       cmocka_unit_test(test_time_text__reads_nothing_else)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
