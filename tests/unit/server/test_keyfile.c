/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyfile.c - the file of keys: what it says, and how it says what is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <server/access/keyfile.h>
#include <text/hex.h>

#define A64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define B64 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define HASH "sha256:" A64 " "

static const char *parse(const char *text, struct keyfile *f)
{
    static struct loss_error err;
    err = (struct loss_error){.status = LOSS_OK};
    return keyfile_parse("keys", text, strlen(text), f, &err) == LOSS_OK ? NULL : err.message;
}

static void test_keyfile__reads_every_field(void **state)
{
    static const char text[] =
        "# who\n\n  alice\t" HASH "scopes=compute,registry:read,registry:write,admin namespace=team-a "
        "rate=100/s burst=7 expires=2027-01-31T12:00:01Z  \r\n"
        "bob sha256:" B64 " scopes=compute";
    struct keyfile f;
    (void)state;
    assert_null(parse(text, &f));
    assert_int_equal(f.n, 2);
    assert_string_equal(f.key[0].name, "alice");
    assert_string_equal(f.key[0].space, "team-a");
    assert_int_equal(f.key[0].digest[1], 0x23);
    assert_int_equal(f.key[0].scopes, (1u << N_SCOPES) - 1);
    assert_int_equal(f.key[0].interval_ns, 10000000);
    assert_int_equal(f.key[0].burst, 7);
    assert_int_equal(f.key[0].expires, 1801396801);
    assert_string_equal(f.key[1].name, "bob");
    assert_string_equal(f.key[1].space, "bob"); /* its own */
    assert_int_equal(f.key[1].scopes, 1u << SCOPE_COMPUTE);
    assert_int_equal(f.key[1].interval_ns, 0);
    assert_int_equal(f.key[1].expires, 0);
    keyfile_free(&f);
}

static void test_keyfile__reads_rates(void **state)
{
    static const struct {
        const char *rate;
        int64_t interval_ns, burst;
    } cases[] = {{"rate=1", 1000000000, 1},
                 {"rate=3/s", 333333333, 3},
                 {"rate=1000000/s", 1000, 1000000},
                 {"rate=6/m", 10000000000, 1},
                 {"rate=120/m", 500000000, 2},
                 {"rate=1/h", 3600000000000, 1},
                 {"rate=1/h burst=5", 3600000000000, 5},
                 {"burst=2 rate=50/s", 20000000, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        struct keyfile f;
        snprintf(text, sizeof text, "a " HASH "scopes=compute %s", cases[i].rate);
        assert_null(parse(text, &f));
        assert_int_equal(f.key[0].interval_ns, cases[i].interval_ns);
        assert_int_equal(f.key[0].burst, cases[i].burst);
        keyfile_free(&f);
    }
}

static void test_keyfile__says_what_is_wrong_and_where(void **state)
{
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"-a " HASH "scopes=compute", "begins with the key's name"},
        {"ä " HASH "scopes=compute", "begins with the key's name"},
        {"a", "stands the key's hash"},
        {"a scopes=compute " HASH, "stands the key's hash"},
        {"a sha256:" A64 "00 scopes=compute", "stands the key's hash"},
        {"a sha256:0123 scopes=compute", "stands the key's hash"},
        {"a sha256:0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF scopes=compute", "lower-case"},
        {"a md5:" A64 " scopes=compute", "stands the key's hash"},
        {"a " HASH, "scopes= is missing"},
        {"a " HASH "scopes=", "scopes are compute"},
        {"a " HASH "scopes=compute,", "scopes are compute"},
        {"a " HASH "scopes=compute,write", "scopes are compute"},
        {"a " HASH "scopes=Compute", "scopes are compute"},
        {"a " HASH "scopes=compute scopes=admin", "scopes is given twice"},
        {"a " HASH "scopes=compute namespace=", "a namespace is"},
        {"a " HASH "scopes=compute namespace=a/b", "a namespace is"},
        {"a " HASH "scopes=compute namespace=b namespace=b", "namespace is given twice"},
        {"a " HASH "scopes=compute rate=0", "a rate is"},
        {"a " HASH "scopes=compute rate=1000001", "a rate is"},
        {"a " HASH "scopes=compute rate=5/d", "a rate is"},
        {"a " HASH "scopes=compute rate=-5", "a rate is"},
        {"a " HASH "scopes=compute rate=1.5", "a rate is"},
        {"a " HASH "scopes=compute rate=99999999999999999999", "a rate is"},
        {"a " HASH "scopes=compute rate=5 burst=0", "a burst is"},
        {"a " HASH "scopes=compute rate=5 burst=5/s", "a burst is"},
        {"a " HASH "scopes=compute burst=5", "without rate="},
        {"a " HASH "scopes=compute expires=2027", "a time is written"},
        {"a " HASH "scopes=compute expires=2027-02-30", "a time is written"},
        {"a " HASH "scopes=compute expires=2027-1-3", "a time is written"},
        {"a " HASH "scopes=compute expires=2027-01-31T25:00:00Z", "a time is written"},
        {"a " HASH "scopes=compute expires=2027-01-31T00:00:00+01:00", "a time is written"},
        {"a " HASH "scopes=compute expires=1960-01-01", "a time is written"},
        {"a " HASH "scopes=compute owner=me", "no such field"},
        {"a " HASH "scopes=compute admin", "stand fields"},
        {"a " HASH "scopes = compute", "stand fields"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[400];
        struct keyfile f;
        snprintf(text, sizeof text, "# first\nfirst sha256:" B64 " scopes=compute\n%s\n", cases[i].line);
        const char *message = parse(text, &f);
        assert_non_null(message);
        assert_int_equal(strncmp(message, "keys:3: ", 8), 0);
        if (strstr(message, cases[i].says) == NULL) {
            fail_msg("%s: %s", cases[i].line, message);
        }
    }
}

/* Somebody pastes a key where its hash or name belongs: nothing of it may get into a log. */
static void test_keyfile__never_quotes_what_may_be_a_key(void **state)
{
    static const char key[] = "lossd_00112233445566778899aabbccddeeff0011223344556677";
    static const char *const lines[] = {"alice %s scopes=compute",
                                        "%s " HASH "scopes=compute",
                                        "alice sha256:%s",
                                        "alice " HASH "%s",
                                        "alice " HASH "%s=compute",
                                        "alice " HASH "scopes=%s",
                                        "alice " HASH "scopes=compute namespace=\"%s\"",
                                        "alice " HASH "scopes=compute expires=%s"};
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[400];
        struct keyfile f;
        char *mark = strstr(lines[i], "%s");
        snprintf(text, sizeof text, "%.*s%s%s", (int)(mark - lines[i]), lines[i], key, mark + 2);
        const char *message = parse(text, &f);
        assert_non_null(message);
        assert_null(strstr(message, "00112233"));
    }
}

static void test_keyfile__wants_names_and_keys_once(void **state)
{
    struct keyfile f;
    (void)state;
    assert_string_equal(
        parse("b sha256:" B64 " scopes=compute\na " HASH "scopes=compute\nb " HASH "scopes=admin\n", &f),
        "keys: the name b is there twice");
    assert_string_equal(parse("b " HASH "scopes=compute\nc sha256:" B64 " scopes=admin\na " HASH "scopes=admin\n", &f),
                        "keys: a and b are the same key");
}

static void test_keyfile__reads_odd_files(void **state)
{
    static char text[3000];
    struct keyfile f;
    struct loss_error err = {.status = LOSS_OK};
    (void)state;
    assert_null(parse("", &f));
    assert_int_equal(f.n, 0);
    keyfile_free(&f);
    assert_null(parse("\n\n#\n   \n", &f));
    keyfile_free(&f);
    memset(text, 'a', sizeof text - 1);
    assert_string_equal(parse(text, &f), "keys:1: the line is too long");
    assert_int_equal(keyfile_parse("keys", "\na\0b", 4, &f, &err), LOSS_INVALID_PARAMETER);
    assert_string_equal(err.message, "keys:2: there is a NUL in the line");
    err = (struct loss_error){.status = LOSS_OK};
    assert_int_equal(keyfile_read("/nowhere/keys", &f, &err), LOSS_INVALID_PARAMETER);
    assert_string_equal(err.message, "/nowhere/keys: No such file or directory");
    err = (struct loss_error){.status = LOSS_OK};
    assert_int_equal(keyfile_read("/", &f, &err), LOSS_INVALID_PARAMETER);
}

static void test_keyfile__hashes_by_sha256(void **state)
{
    unsigned char digest[KEYFILE_DIGEST];
    char text[2 * KEYFILE_DIGEST + 1];
    (void)state;
    keyfile_digest("abc", 3, digest); /* the example of FIPS 180-4 */
    hex_write(text, digest, sizeof digest);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_keyfile__makes_keys_that_are_all_different(void **state)
{
    char key[KEYFILE_KEY_SIZE], other[KEYFILE_KEY_SIZE];
    (void)state;
    assert_true(keyfile_make(key) && keyfile_make(other));
    assert_int_equal(strlen(key), KEYFILE_KEY_SIZE - 1);
    assert_int_equal(strncmp(key, "lossd_", 6), 0);
    assert_int_equal(strspn(key + 6, "0123456789abcdef"), 48);
    assert_string_not_equal(key, other);
}

static void test_keyfile__says_no_place_of_a_line_without_one(void **state)
{
    static const char text[] = "a " HASH "scopes=all";
    struct keyfile f;
    struct loss_error err = {.status = LOSS_OK};
    (void)state;
    assert_int_equal(keyfile_parse(NULL, text, strlen(text), &f, &err), LOSS_INVALID_PARAMETER);
    assert_int_equal(strncmp(err.message, "scopes are compute,", 19), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyfile__reads_every_field),
        cmocka_unit_test(test_keyfile__reads_rates),
        cmocka_unit_test(test_keyfile__says_what_is_wrong_and_where),
        cmocka_unit_test(test_keyfile__never_quotes_what_may_be_a_key),
        cmocka_unit_test(test_keyfile__wants_names_and_keys_once),
        cmocka_unit_test(test_keyfile__reads_odd_files),
        cmocka_unit_test(test_keyfile__hashes_by_sha256),
        cmocka_unit_test(test_keyfile__makes_keys_that_are_all_different),
        cmocka_unit_test(test_keyfile__says_no_place_of_a_line_without_one),
    };
    return cmocka_run_group_tests_name("keyfile", tests, NULL, NULL);
}
