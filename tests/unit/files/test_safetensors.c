/* SPDX-License-Identifier: Apache-2.0
 *
 * test_safetensors.c - the header of a safetensors file: what is read, and everything that is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <files/safetensors.h>

struct world {
    struct loss_arena *arena;
    struct safetensors_header header;
    struct loss_error err;
};

static int make(void **state)
{
    static struct world world;
    world = (struct world){.arena = loss_arena_new(1 << 20, NULL)};
    *state = &world;
    return world.arena == NULL;
}

static int drop(void **state)
{
    loss_arena_free(((struct world *)*state)->arena);
    return 0;
}

static loss_status read(struct world *w, const char *json)
{
    w->err = (struct loss_error){.status = LOSS_OK};
    return safetensors_read(w->arena, json, strlen(json), &w->header, &w->err);
}

static void test_header__names_tensors_in_the_order_of_their_data(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        read(w, "{\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},\"__metadata__\":{\"k\":\"v\"},"
                " \"a\":{\"data_offsets\":[0,8],\"shape\":[],\"dtype\":\"I64\"} }   "),
        LOSS_OK);
    assert_int_equal(w->header.n, 2);
    assert_string_equal(w->header.entry[0].name, "a");
    assert_int_equal(w->header.entry[0].tensor.dtype, LOSS_INT64);
    assert_int_equal(w->header.entry[0].tensor.count, 1);
    assert_string_equal(w->header.entry[1].name, "b");
    assert_int_equal(w->header.entry[1].tensor.rank, 2);
    assert_int_equal(w->header.entry[1].tensor.count, 6);
    assert_int_equal(w->header.data_size, 32);
    assert_int_equal(w->header.n_metadata, 1);
    assert_string_equal(w->header.metadata[0].value, "v");
}

static void test_header__decodes_escapes(void **state)
{
    struct world *w = *state;
    assert_int_equal(read(w, "{\"__metadata__\":{\"\\u00e9\\n\":\"\\ud83d\\ude00\"}}"), LOSS_OK);
    assert_string_equal(w->header.metadata[0].name, "\xc3\xa9\n");
    assert_string_equal(w->header.metadata[0].value, "\xf0\x9f\x98\x80");
}

static void test_header__takes_many_tensors_and_empty_ones(void **state)
{
    struct world *w = *state;
    char json[8192] = "{";
    for (int i = 0; i < 60; i++) {
        size_t n = strlen(json);
        snprintf(json + n, sizeof json - n, "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[%d,%d]}",
                 i == 0 ? "" : ",", i, i % 2, i / 2, i / 2 + i % 2);
    }
    strcat(json, "}");
    assert_int_equal(read(w, json), LOSS_OK);
    assert_int_equal(w->header.n, 60);
    assert_int_equal(w->header.data_size, 30);
}

static void test_header__refuses_what_is_damaged(void **state)
{
    static const struct {
        const char *json;
        loss_status status;
    } cases[] = {
        {"", LOSS_MALFORMED_ENCODING},
        {" {}", LOSS_MALFORMED_ENCODING},
        {"[]", LOSS_MALFORMED_ENCODING},
        {"{} x", LOSS_MALFORMED_ENCODING},
        {"{\"a\":1}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"C64\",\"shape\":[1],\"data_offsets\":[0,8]}}", LOSS_UNSUPPORTED_DTYPE},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", LOSS_MALFORMED_ENCODING}, /* a gap */
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4294967296],\"data_offsets\":[0,0]}}",
         LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999999],\"data_offsets\":[0,4]}}",
         LOSS_MALFORMED_ENCODING},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
         LOSS_MALFORMED_ENCODING}, /* an overlap */
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}}",
         LOSS_MALFORMED_ENCODING}, /* not aligned */
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
         LOSS_DUPLICATE_FIELD},
        {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", LOSS_DUPLICATE_FIELD},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", LOSS_MALFORMED_ENCODING},
        {"{\"__metadata__\":{\"k\":1}}", LOSS_MALFORMED_ENCODING},
        {"{\"__metadata__\":{\"k\":\"\\u0000\"}}", LOSS_MALFORMED_ENCODING},
        {"{\"\xff\":{}}", LOSS_MALFORMED_ENCODING},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (read(w, cases[i].json) != cases[i].status) {
            fail_msg("%s: %s", cases[i].json, w->err.message);
        }
        assert_true(w->err.message[0] != '\0');
    }
}

static void test_header__is_refused_wherever_it_is_cut(void **state)
{
    static const char json[] =
        "{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    struct world *w = *state;
    for (size_t n = 0; n < sizeof json - 1; n++) {
        char *exact = loss_arena_resize(w->arena, NULL, n + 1); /* so that a sanitizer sees reading beyond */
        assert_non_null(exact);
        memcpy(exact, json, n);
        w->err.status = LOSS_OK;
        assert_int_not_equal(safetensors_read(w->arena, exact, n, &w->header, &w->err), LOSS_OK);
    }
}

static void test_length__is_bounded_on_both_sides(void **state)
{
    static const unsigned char one[8] = {1}, two[8] = {2}, most[8] = {0, 1}, more[8] = {1, 1},
                               huge[8] = {2, 0, 0, 0, 0, 0, 0, 128};
    size_t length = 0;
    (void)state;
    assert_int_equal(safetensors_length(one, 256, &length, NULL), LOSS_MALFORMED_ENCODING);
    assert_int_equal(safetensors_length(two, 256, &length, NULL), LOSS_OK);
    assert_int_equal(length, 2);
    assert_int_equal(safetensors_length(most, 256, &length, NULL), LOSS_OK);
    assert_int_equal(safetensors_length(more, 256, &length, NULL), LOSS_MALFORMED_ENCODING);
    assert_int_equal(safetensors_length(huge, 256, &length, NULL), LOSS_MALFORMED_ENCODING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_header__names_tensors_in_the_order_of_their_data, make, drop),
        cmocka_unit_test_setup_teardown(test_header__decodes_escapes, make, drop),
        cmocka_unit_test_setup_teardown(test_header__takes_many_tensors_and_empty_ones, make, drop),
        cmocka_unit_test_setup_teardown(test_header__refuses_what_is_damaged, make, drop),
        cmocka_unit_test_setup_teardown(test_header__is_refused_wherever_it_is_cut, make, drop),
        cmocka_unit_test(test_length__is_bounded_on_both_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
