/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json_suite.c - the scanner over JSONTestSuite, each file in pieces of several kinds.
 *
 * The suite's names say what must be: y_ accept, n_ refuse, i_ is ours to rule. Our rulings: NaN and the infinities
 * are taken unless `strict`, a number beyond double is well-formed but its value has a fault (counted as refused
 * here), numbers too small or with too many digits are rounded, and nothing that is not UTF-8 or a pair of surrogates
 * passes.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "json_feed.h"

#define SUITE SHARED_DIR "/json-test-suite/test_parsing"
#define DEPTH 64

/* The i_ files to accept; all others are refused. */
static const char *const accepted[] = {
    "i_number_double_huge_neg_exp.json", "i_number_real_underflow.json",        "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",     "i_number_very_big_negative_int.json",
};

/* The n_ files to accept where the call is not strict. */
static const char *const literals[] = {
    "n_number_NaN.json",
    "n_number_infinity.json",
    "n_number_minus_infinity.json",
};

static bool listed(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool must_pass(const char *name, bool strict)
{
    switch (name[0]) {
    case 'y':
        return true;
    case 'n':
        return !strict && listed(literals, sizeof literals / sizeof *literals, name);
    default:
        return listed(accepted, sizeof accepted / sizeof *accepted, name);
    }
}

/* LOSS_OK, or what was wrong, be it with the document or with a value; `err` has the message. */
static loss_status outcome(const char *text, size_t n, bool strict, struct json_cut cut, struct loss_error *err)
{
    struct loss_arena *arena = loss_arena_new((size_t)16 << 20, NULL);
    const struct json_scan_options options = {.max_depth = DEPTH, .max_envelope = 1 << 20, .strict = strict};
    struct json_scan *s = json_scan_new(arena, &options);
    *err = (struct loss_error){0};
    loss_status status = json_feed(s, text, n, cut, err);
    for (size_t i = 0; status == LOSS_OK && i < json_scan_count(s); i++) {
        status = json_scan_value(s, i)->fault == LOSS_NUMBER_OUT_OF_RANGE ? LOSS_NUMBER_OUT_OF_RANGE : LOSS_OK;
    }
    loss_arena_free(arena);
    return status;
}

static char *read_file(const char *name, size_t *n)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", SUITE, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = malloc(1 << 20);
    *n = fread(text, 1, 1 << 20, file);
    fclose(file);
    return text;
}

static void check_file(const char *name, bool strict)
{
    const struct json_cut cuts[] = {{.every = 1}, {.every = 2}, {.every = 7}, {.seed = 1}, {.seed = 2}, {.seed = 3}};
    size_t n;
    char *text = read_file(name, &n);
    struct loss_error whole, pieces;
    const loss_status status = outcome(text, n, strict, FEED_WHOLE, &whole);
    if ((status == LOSS_OK) != must_pass(name, strict)) {
        fail_msg("%s (strict %d): %s %s", name, strict, loss_status_slug(status), whole.message);
    }
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        assert_int_equal(outcome(text, n, strict, cuts[i], &pieces), status);
        assert_string_equal(pieces.message, whole.message);
    }
    free(text);
}

static size_t check_all(bool strict)
{
    DIR *folder = opendir(SUITE);
    if (folder == NULL) {
        skip(); /* main says why */
    }
    size_t files = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strstr(entry->d_name, ".json") != NULL) {
            check_file(entry->d_name, strict);
            files++;
        }
    }
    closedir(folder);
    return files;
}

static void test_json_suite__is_ruled_as_written_however_it_is_cut(void **state)
{
    (void)state;
    assert_int_equal(check_all(false), 318);
}

static void test_json_suite__strict_refuses_every_n_file(void **state)
{
    (void)state;
    assert_int_equal(check_all(true), 318);
}

/* The two files that are deep on purpose; made here, so that this runs without the suite too. */
static void test_json_suite__deep_nesting_is_refused_at_its_depth(void **state)
{
    (void)state;
    static char brackets[100000], objects[250000];
    memset(brackets, '[', sizeof brackets);
    for (size_t i = 0; i < sizeof objects; i += 5) {
        memcpy(objects + i, "[{\"\":", 5);
    }
    struct loss_error err;
    assert_int_equal(outcome(brackets, sizeof brackets, false, FEED_WHOLE, &err), LOSS_MALFORMED_JSON);
    assert_string_equal(err.message, "line 1, column 65: nested deeper than 64 arrays and objects");
    assert_int_equal(outcome(objects, sizeof objects, false, FEED_WHOLE, &err), LOSS_MALFORMED_JSON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_suite__is_ruled_as_written_however_it_is_cut),
        cmocka_unit_test(test_json_suite__strict_refuses_every_n_file),
        cmocka_unit_test(test_json_suite__deep_nesting_is_refused_at_its_depth),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (failed == 0 && access(SUITE, R_OK) != 0) {
        printf("skipped: there is no JSONTestSuite at %s\n", SUITE);
        return 77;
    }
    return failed;
}
