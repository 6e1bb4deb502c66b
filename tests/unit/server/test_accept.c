/* SPDX-License-Identifier: Apache-2.0
 *
 * test_accept.c - what an Accept header says about a media type.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <server/http/accept.h>

static void test_accept__weighs_json(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        int quality;
    } cases[] = {
        {NULL, 1000},
        {"", 1000},
        {" , ", 1000},
        {"*/*", 1000},
        {"application/json", 1000},
        {"Application/JSON; charset=utf-8", 1000},
        {"application/*;q=0.25", 250},
        {"text/html, application/json;q=0.9, */*;q=0.1", 900},
        {"application/json;q=0, */*", 0},
        {"*/*;q=0", 0},
        {"*/*;q=0.1, application/*;q=0", 0},
        {"application/json ; Q=0.5", 500},
        {"application/json;version=1;q=0.125", 125},
        {"application/json;q=0.2, application/json;q=0.7", 700},
        {"application/json;q=nonsense", 1000},
        {"application/json;q=2", 1000},
        {"application/json;q=1.000", 1000},
        {"text/html", 0},
        {"application/jsonp", 0},
        {"application/jso", 0},
        {"text/*, image/png", 0},
        {";;;,q=1", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int quality = accept_quality(cases[i].accept, "application/json");
        if (quality != cases[i].quality) {
            fail_msg("\"%s\" weighs %d, not %d", cases[i].accept, quality, cases[i].quality);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_accept__weighs_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
