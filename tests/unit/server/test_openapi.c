/* SPDX-License-Identifier: Apache-2.0
 *
 * test_openapi.c - the OpenAPI document follows the tables, and api/openapi.json follows it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <loss/loss.h>
#include <server/routes/openapi.h>
#include <server/routes/routes.h>

static const char *document(struct loss_arena **arena, size_t *size)
{
    *arena = loss_arena_new(SIZE_MAX, NULL);
    assert_non_null(*arena);
    const char *text = openapi_document(*arena, size);
    assert_non_null(text);
    return text;
}

static bool holds(const char *text, size_t size, const char *piece)
{
    return memmem(text, size, piece, strlen(piece)) != NULL;
}

static void test_openapi__describes_every_route(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_routes; i++) {
        if (!openapi_describes(&routes[i])) {
            fail_msg("%s %s, or a query field of it, is missing from openapi.c", routes[i].method, routes[i].path);
        }
    }
}

static void test_openapi__has_a_path_and_a_request_for_every_loss(void **state)
{
    (void)state;
    struct loss_arena *arena;
    size_t size;
    const char *text = document(&arena, &size);
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        char piece[200];
        snprintf(piece, sizeof piece, "\"/v1/losses/%s\": {", loss_catalog_at(i)->name);
        assert_true(holds(text, size, piece));
        snprintf(piece, sizeof piece, "\"$ref\": \"#/components/schemas/%s\"", loss_catalog_at(i)->name);
        assert_true(holds(text, size, piece));
    }
    loss_arena_free(arena);
}

static void test_openapi__has_every_problem_code(void **state)
{
    (void)state;
    struct loss_arena *arena;
    size_t size;
    const char *text = document(&arena, &size);
    for (int i = LOSS_OK + 1; i < LOSS_STATUS_COUNT; i++) {
        char piece[100];
        snprintf(piece, sizeof piece, "\"%s\"", loss_status_slug((loss_status)i));
        assert_true(holds(text, size, piece));
        snprintf(piece, sizeof piece, "\"Problem%d\": {", loss_status_http((loss_status)i));
        assert_true(holds(text, size, piece));
    }
    loss_arena_free(arena);
}

static void test_openapi__committed_document_is_current(void **state)
{
    (void)state;
    struct loss_arena *arena;
    size_t size;
    const char *text = document(&arena, &size);
    FILE *file = fopen(SOURCE_DIR "/api/openapi.json", "rb");
    assert_non_null(file);
    char *committed = malloc(size + 1);
    assert_non_null(committed);
    size_t n = fread(committed, 1, size + 1, file);
    fclose(file);
    if (n != size || memcmp(committed, text, size) != 0) {
        fail_msg("api/openapi.json is not what `lossd openapi` prints; build the target `refresh`, and read the diff");
    }
    free(committed);
    loss_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openapi__describes_every_route),
        cmocka_unit_test(test_openapi__has_a_path_and_a_request_for_every_loss),
        cmocka_unit_test(test_openapi__has_every_problem_code),
        cmocka_unit_test(test_openapi__committed_document_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
