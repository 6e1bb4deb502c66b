/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_world.h - a registry of any kind with a clock of its own, for tests that must hold for every store.
 *
 * A test listed with ON_EACH_STORE runs once a kind; its state is a struct world.
 */
#ifndef SUPPORT_REGISTRY_WORLD_H
#define SUPPORT_REGISTRY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <registry/registry.h>
#include <support/redis_server.h>

#define WORLD_KEY_SECONDS 86400
#define SECOND INT64_C(1000000)

struct world {
    const char *kind;
    char directory[64];
    char path[96]; /* the file, for SQLite */
    char url[128];
    struct registry *registry;
    struct loss_arena *arena;
    struct loss_error err;
    int64_t now;
    int64_t ttl;
};

static int64_t world_now(void *world)
{
    return ((struct world *)world)->now;
}

static inline loss_status world_open(struct world *w)
{
    struct registry_options options = {.url = w->url,
                                       .ttl_seconds = w->ttl,
                                       .idempotency_seconds = WORLD_KEY_SECONDS,
                                       .now_us = world_now,
                                       .now_arg = w};
    w->err = (struct loss_error){0};
    return registry_open(&options, &w->registry, &w->err);
}

static inline void world_close(struct world *w)
{
    registry_close(w->registry);
    w->registry = NULL;
}

static inline void world_reopen(struct world *w)
{
    world_close(w);
    assert_int_equal(world_open(w), LOSS_OK);
}

static inline int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->kind = *state;
    w->now = 1700000000 * SECOND;
    const char *tmp = getenv("TMPDIR");
    snprintf(w->directory, sizeof w->directory, "%.40s/lossd-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(w->directory) == NULL) {
        return -1;
    }
    snprintf(w->path, sizeof w->path, "%s/registry.db", w->directory);
    if (strcmp(w->kind, "memory") == 0) {
        strcpy(w->url, "memory");
    } else if (strcmp(w->kind, "redis") == 0) {
        snprintf(w->url, sizeof w->url, "redis://127.0.0.1:%d/0", redis_shared());
    } else {
        snprintf(w->url, sizeof w->url, "sqlite:%s", w->path);
    }
    w->arena = loss_arena_new(64u << 20, NULL);
    *state = w;
    return world_open(w) == LOSS_OK ? 0 : -1;
}

static inline int world_teardown(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    struct world *w = *state;
    world_close(w);
    loss_arena_free(w->arena);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", w->path, suffixes[i]);
        unlink(path);
    }
    int rc = rmdir(w->directory);
    free(w);
    return rc;
}

#define ON_STORE(test, kind)                                                                                           \
    {                                                                                                                  \
#test " (" kind ")", test, world_setup, world_teardown, (void *)(uintptr_t)(kind)                              \
    }
#define ON_EACH_STORE(test) ON_STORE(test, "memory"), ON_STORE(test, "sqlite"), ON_STORE(test, "redis")

/* Add by hand; the entry, which must come about. */
static inline struct registry_entry world_add_to(struct world *w, const char *registry, const char *name,
                                                 const char *collection, int64_t step, double loss)
{
    struct registry_entry entry;
    struct registry_add add = {.registry = registry,
                               .name = name,
                               .collection = collection,
                               .loss = loss,
                               .step = step,
                               .dtype = "",
                               .reduction = ""};
    w->err = (struct loss_error){0};
    if (registry_add(w->registry, &add, w->arena, &entry, &w->err) != LOSS_OK) {
        fail_msg("adding %s: %s", name, w->err.message);
    }
    return entry;
}

static inline struct registry_entry world_add(struct world *w, const char *name, int64_t step, double loss)
{
    return world_add_to(w, "run", name, REGISTRY_LOSSES, step, loss);
}

/* The names of a list, joined by spaces; "!slug" where it fails. */
static inline const char *world_names(struct world *w, const struct registry_query *query)
{
    struct registry_page page;
    w->err = (struct loss_error){0};
    loss_status status = registry_list(w->registry, query, w->arena, &page, &w->err);
    if (status != LOSS_OK) {
        return loss_arena_format(w->arena, "!%s", loss_status_slug(status));
    }
    const char *names = "";
    for (size_t i = 0; i < page.count; i++) {
        names = loss_arena_format(w->arena, "%s%s%s", names, i == 0 ? "" : " ", page.entries[i].name);
    }
    return names;
}

#endif
