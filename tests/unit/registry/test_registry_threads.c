/* SPDX-License-Identifier: Apache-2.0
 *
 * test_registry_threads.c - threads at one registry: no name is given twice, nothing is lost.
 */
#include <pthread.h>

#include "support/registry_world.h"

enum { THREADS = 8, ADDS = 50 };

static const struct registry_query ALL = {.registry = "run", .step = REGISTRY_STEP_ALL};

struct worker {
    struct world *world;
    struct loss_arena *arena;
    int number, failures;
    const char *key; /* NULL: none */
    uint64_t last_order;
};

static void *add_many(void *arg)
{
    struct worker *self = arg;
    for (int i = 0; i < ADDS; i++) {
        struct registry_entry out;
        struct registry_add add = {.registry = "run",
                                   .name = "x",
                                   .collection = REGISTRY_LOSSES,
                                   .loss = self->number * ADDS + i,
                                   .dtype = "",
                                   .reduction = "",
                                   .key = {.key = self->key}};
        loss_status status = registry_add(self->world->registry, &add, self->arena, &out, NULL);
        self->failures += status != LOSS_OK;
        self->last_order = status == LOSS_OK ? out.order : self->last_order;
    }
    return NULL;
}

static void run_threads(struct world *w, struct worker *workers, void *(*body)(void *), const char *key)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.world = w, .number = i, .key = key, .arena = loss_arena_new(8u << 20, NULL)};
        assert_int_equal(pthread_create(&threads[i], NULL, body, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        loss_arena_free(workers[i].arena);
    }
}

static void test_threads__lose_nothing_and_share_no_name(void **state)
{
    struct world *w = *state;
    struct worker workers[THREADS];
    struct registry_page page;
    bool named[THREADS * ADDS] = {false}, valued[THREADS * ADDS] = {false};
    run_threads(w, workers, add_many, NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(workers[i].failures, 0);
    }
    assert_int_equal(registry_list(w->registry, &ALL, w->arena, &page, NULL), LOSS_OK);
    assert_int_equal(page.count, THREADS * ADDS);
    for (size_t i = 0; i < page.count; i++) {
        int number = strcmp(page.entries[i].name, "x") == 0 ? 0 : atoi(page.entries[i].name + 2);
        int value = (int)page.entries[i].loss;
        assert_in_range(number, 0, THREADS * ADDS - 1);
        assert_false(named[number] || valued[value]);
        named[number] = valued[value] = true;
        assert_true(i == 0 || page.entries[i].order > page.entries[i - 1].order);
    }
}

static void test_threads__add_once_under_one_key(void **state)
{
    struct world *w = *state;
    struct worker workers[THREADS];
    run_threads(w, workers, add_many, "key");
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(workers[i].failures, 0);
        assert_true(workers[i].last_order == workers[0].last_order);
    }
    assert_string_equal(world_names(w, &ALL), "x");
}

static void *do_everything(void *arg)
{
    struct worker *self = arg;
    struct registry *r = self->world->registry;
    struct registry_query latest = {.registry = "run", .step = REGISTRY_STEP_LATEST, .scope = "x"};
    for (int i = 0; i < ADDS / 2; i++) {
        struct registry_page page;
        struct registry_info info, *infos;
        struct registry_entry out;
        struct registry_add add = {
            .registry = "run", .name = "x", .collection = REGISTRY_LOSSES, .step = i, .dtype = "", .reduction = ""};
        const char *cursor;
        double total;
        uint64_t count;
        size_t n;
        self->failures += registry_add(r, &add, self->arena, &out, NULL) != LOSS_OK;
        switch ((i + self->number) % 4) {
        case 0:
            self->failures += registry_list(r, &latest, self->arena, &page, NULL) != LOSS_OK;
            break;
        case 1:
            self->failures += registry_total(r, &latest, true, true, &total, &count, NULL) != LOSS_OK;
            break;
        case 2:
            self->failures += registry_remove(r, "run", "x_[2-4]", i / 2, &count, NULL) != LOSS_OK;
            self->failures += registry_expire(r, NULL) != LOSS_OK;
            break;
        default:
            self->failures += registry_info_get(r, "run", self->arena, &info, NULL) != LOSS_OK;
            self->failures += registry_info_list(r, 0, NULL, self->arena, &infos, &n, &cursor, NULL) != LOSS_OK;
        }
    }
    return NULL;
}

static void test_threads__may_call_anything(void **state)
{
    struct world *w = *state;
    struct worker workers[THREADS];
    run_threads(w, workers, do_everything, NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(workers[i].failures, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_EACH_STORE(test_threads__lose_nothing_and_share_no_name),
        ON_EACH_STORE(test_threads__add_once_under_one_key),
        ON_EACH_STORE(test_threads__may_call_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
