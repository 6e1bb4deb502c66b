/* SPDX-License-Identifier: Apache-2.0
 *
 * test_disk.c - a disk that fails, or whose power is cut, at each of its calls in turn, under the SQLite store.
 *
 * A script of changes runs against the store and, as far as they were acknowledged, against a store in memory: what is
 * in the one must be in the other at any time, also when the file is opened again.
 *
 * A run takes one call of WRITE_STRIDE or CUT_STRIDE in each sweep, every sweep others, and each sync: some 400 failures.
 * With LOSSD_TEST_LONG (`./dev test --long`) it takes every call: some 5000.
 */
#include "fault/disk.h"
#include "support/registry_world.h"

#define WRITE_STRIDE 17 /* primes, of which no loop in SQLite or the script is likely a multiple */
#define CUT_STRIDE 11

static bool every_call;

/* --- the script --- */

typedef enum { PUT, ADD, MERGE, PAIR, REMOVE, DROP } change_kind;

/* Changes of one group commit together. */
static const struct change {
    change_kind kind;
    const char *name;
    int group; /* 0: by itself */
} script[] = {
    {PUT, "run", 0},   {ADD, "x", 0},     {ADD, "x", 0},     {MERGE, "whole", 0}, {PAIR, "y", 0},   {MERGE, "whole", 0},
    {REMOVE, "x", 0},  {ADD, "x", 1},     {MERGE, "all", 1}, {REMOVE, "none", 1}, {PAIR, "y", 1},   {ADD, "g", 0},
    {MERGE, "all", 2}, {MERGE, "all", 2}, {ADD, "z", 2},     {DROP, "run", 0},    {ADD, "new", 0},  {MERGE, "whole", 3},
    {PAIR, "new", 3},  {ADD, "new", 0},   {PUT, "run", 0},   {REMOVE, "new", 4},  {ADD, "last", 4}, {MERGE, "whole", 0},
};
#define N_CHANGES ((int)(sizeof script / sizeof *script))

struct trial {
    struct world *world;       /* the store on the disk */
    struct registry *expected; /* in memory */
    struct loss_arena *arena;
    struct loss_error err;
    int refused; /* changes that were not acknowledged */
};

static struct registry_add adding(const char *name, int number, const struct registry_tally *tally)
{
    return (struct registry_add){.registry = "run",
                                 .name = name,
                                 .collection = REGISTRY_LOSSES,
                                 .loss = tally != NULL ? tally_loss(tally, "sum", "float64") : number,
                                 .step = number % 2,
                                 .dtype = tally != NULL ? "float64" : "",
                                 .reduction = tally != NULL ? "sum" : "",
                                 .tally = tally};
}

static struct registry_tally one_batch(int number)
{
    struct registry_tally t = {.what = "l", .batches = 1, .count = 1, .nonzero_weights = 1, .batch = 1};
    loss_sum_init(&t.sum);
    loss_sum_init(&t.weight_sum);
    loss_sum_init(&t.rest);
    loss_sum_add(&t.sum, number * 0.1);
    return t;
}

static loss_status change(struct registry *r, int number, struct loss_arena *arena, struct loss_error *err)
{
    const struct change *c = &script[number];
    struct registry_tally tally = one_batch(number);
    struct registry_add adds[2] = {adding(c->name, number, c->kind == MERGE ? &tally : NULL),
                                   adding("second", number, NULL)};
    struct registry_entry out[2];
    struct registry_key key = {.fingerprint = {(unsigned char)number}};
    uint64_t removed;
    key.key = loss_arena_format(arena, "key-%d", number);
    switch (c->kind) {
    case PUT:
        return registry_put(r, c->name, 1000 + number, err);
    case REMOVE:
        return registry_remove(r, "run", c->name, REGISTRY_STEP_ALL, &removed, err);
    case DROP:
        return registry_remove(r, c->name, NULL, REGISTRY_STEP_ALL, &removed, err);
    default:
        return registry_add_all(r, adds, c->kind == PAIR ? 2 : 1, &key, arena, out, err);
    }
}

/* --- what is in a store --- */

static loss_status write_entry(void *arg, const struct registry_entry *e, bool *more, struct loss_error *err)
{
    FILE *out = arg;
    (void)more;
    (void)err;
    fprintf(out, "%s/%lld %s %.17g %llu %lld\n", e->name, (long long)e->step, e->collection, e->loss,
            (unsigned long long)(e->tally != NULL ? e->tally->batches : 0), (long long)e->updated_at);
    return LOSS_OK;
}

static char *contents(struct registry *r, struct loss_arena *arena)
{
    struct registry_info info;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct loss_error err = {0};
    loss_status status = registry_info_get(r, "run", arena, &info, &err);
    if (status == LOSS_OK) {
        fprintf(out, "ttl %lld, updated %lld\n", (long long)info.ttl_seconds, (long long)info.updated_at);
        assert_int_equal(registry_walk(r, "run", write_entry, out, &err), LOSS_OK);
    } else if (status != LOSS_UNKNOWN_REGISTRY) {
        fail_msg("cannot read: %s", err.message);
    }
    fclose(out);
    return text;
}

static bool is_as_expected(struct trial *t, bool must, const char *when)
{
    char *is = contents(t->world->registry, t->arena), *should_be = contents(t->expected, t->arena);
    bool same = strcmp(is, should_be) == 0;
    if (must && !same) {
        fail_msg("%s the store has\n%sand should have\n%s", when, is, should_be);
    }
    free(is);
    free(should_be);
    return same;
}

/* --- running it --- */

/* Changes `first` up to the next that is of another group (or the one that is of none); how many. */
static int unit_at(int first)
{
    int n = 1;
    while (script[first].group != 0 && first + n < N_CHANGES && script[first + n].group == script[first].group) {
        n++;
    }
    return n;
}

/* What a store says to a unit: its changes' statuses; where the group fails, that is all of them. */
static loss_status run_unit(struct registry *r, int first, int n, loss_status *said, struct trial *t)
{
    loss_status status = LOSS_OK;
    if (n > 1) {
        registry_group_begin(r);
    }
    for (int i = 0; i < n; i++) {
        t->err = (struct loss_error){0};
        said[i] = change(r, first + i, t->arena, &t->err);
    }
    if (n > 1) {
        t->err = (struct loss_error){0};
        status = registry_group_end(r, &t->err);
    }
    for (int i = 0; i < n; i++) {
        said[i] = status != LOSS_OK ? status : said[i];
    }
    return status;
}

/* The unit, and of what was acknowledged the same in memory. */
static void change_both(struct trial *t, int first, int n)
{
    loss_status said[8], says;
    t->world->now += SECOND;
    run_unit(t->world->registry, first, n, said, t);
    for (int i = 0; i < n; i++) {
        if (said[i] == LOSS_STORE_UNAVAILABLE) {
            assert_true(disk_failed());
            t->refused++;
            continue;
        }
        struct loss_error err = {0};
        says = change(t->expected, first + i, t->arena, &err);
        assert_int_equal(says, said[i]); /* also what is refused for its own sake */
    }
}

static void trial_begin(struct trial *t)
{
    struct registry_options memory = {
        .url = "memory", .idempotency_seconds = WORLD_KEY_SECONDS, .now_us = world_now, .now_arg = t->world};
    assert_int_equal(registry_open(&memory, &t->expected, NULL), LOSS_OK);
    t->arena = loss_arena_new(64u << 20, NULL);
    t->refused = 0;
    world_close(t->world);
    disk_forget();
    for (int i = 0; i < 4; i++) {
        static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
        char path[128];
        snprintf(path, sizeof path, "%s%s", t->world->path, suffixes[i]);
        unlink(path);
    }
}

static void trial_end(struct trial *t)
{
    registry_close(t->expected);
    loss_arena_free(t->arena);
}

/* Open the file while the disk may fail; if that fails it says so, and succeeds on a mended disk. */
static void open_failing(struct trial *t)
{
    if (world_open(t->world) != LOSS_OK) {
        assert_true(disk_failed());
        assert_int_equal(t->world->err.status, LOSS_STORE_UNAVAILABLE);
        assert_true(strlen(t->world->err.message) > 10);
        assert_null(t->world->registry);
        disk_mend();
        assert_int_equal(world_open(t->world), LOSS_OK);
    }
}

/* After a failure that lasts: not ready, with a reason, until it is mended; reading goes on. */
static void expect_not_ready(struct trial *t)
{
    struct loss_error err = {0};
    assert_int_equal(registry_ready(t->world->registry, &err), LOSS_STORE_UNAVAILABLE);
    assert_true(strlen(err.message) > 10);
    is_as_expected(t, true, "while the disk fails");
}

/* Returns whether the fault was met. */
static bool fail_at(struct world *w, disk_fault fault, size_t at, bool onward)
{
    struct trial t = {.world = w};
    trial_begin(&t);
    disk_begin(fault, at, onward);
    open_failing(&t);
    for (int i = 0; i < N_CHANGES; i += unit_at(i)) {
        int refused_before = t.refused;
        change_both(&t, i, unit_at(i));
        is_as_expected(&t, true, "after a change");
        if (onward && t.refused > refused_before) {
            expect_not_ready(&t);
            if (t.refused > 6) {
                disk_mend();
            }
        }
    }
    bool met = disk_failed();
    disk_mend();
    assert_int_equal(registry_ready(w->registry, NULL), LOSS_OK);
    change_both(&t, N_CHANGES - 1, 1); /* writes go on */
    is_as_expected(&t, true, "on a mended disk");
    world_reopen(w);
    is_as_expected(&t, true, "opened again");
    trial_end(&t);
    return met;
}

static void sweep(struct world *w, disk_fault fault)
{
    for (int onward = 0; onward < 2; onward++) {
        bool all = every_call || fault == DISK_SYNC_FAILS;
        size_t at = all ? 1 : 1 + 3 * (size_t)fault + 2 * (size_t)onward;
        while (fail_at(w, fault, at, onward)) {
            at += all ? 1 : WRITE_STRIDE;
        }
        assert_true(at > 20); /* the sweep was one */
        print_message("failed at one of %zu calls%s\n", at, onward ? " and at all behind it" : "");
    }
}

static void test_disk__a_write_that_fails(void **state)
{
    sweep(*state, DISK_WRITE_FAILS);
}

static void test_disk__a_disk_that_is_full(void **state)
{
    sweep(*state, DISK_IS_FULL);
}

static void test_disk__a_write_that_is_short(void **state)
{
    sweep(*state, DISK_WRITE_IS_SHORT);
}

static void test_disk__a_sync_that_fails(void **state)
{
    sweep(*state, DISK_SYNC_FAILS);
}

static void test_disk__a_disk_that_turns_read_only(void **state)
{
    sweep(*state, DISK_IS_READ_ONLY);
}

/* --- power --- */

/* The power is cut in a unit: once it is back, all that was acknowledged is there, and of that unit all or nothing,
 * which a client that asks again with its key cannot tell. */
static bool cut_at(struct world *w, size_t at, disk_keeps keeps)
{
    struct trial t = {.world = w};
    trial_begin(&t);
    disk_begin(DISK_POWER_IS_CUT, at, true);
    loss_status opened = world_open(w);
    int i = 0, n = 0;
    while (opened == LOSS_OK && i < N_CHANGES) {
        loss_status said[8];
        n = unit_at(i);
        w->now += SECOND;
        run_unit(w->registry, i, n, said, &t);
        bool lost = false;
        for (int k = 0; k < n; k++) {
            lost = lost || said[k] == LOSS_STORE_UNAVAILABLE;
        }
        if (lost) {
            break;
        }
        for (int k = 0; k < n; k++) {
            change(t.expected, i + k, t.arena, NULL);
        }
        i += n;
    }
    bool met = disk_failed();
    world_close(w);
    disk_restart(keeps, (unsigned)at);
    char shared[128];
    snprintf(shared, sizeof shared, "%s-shm", w->path);
    unlink(shared);
    assert_int_equal(world_open(w), LOSS_OK);
    if (i < N_CHANGES && !is_as_expected(&t, false, "")) {
        for (int k = 0; k < n; k++) {
            change(t.expected, i + k, t.arena, NULL);
        }
        is_as_expected(&t, true, "after a power cut");
        i += n;
    }
    for (; i < N_CHANGES; i += unit_at(i)) {
        change_both(&t, i, unit_at(i));
    }
    is_as_expected(&t, true, "going on after a power cut");
    trial_end(&t);
    return met;
}

static void test_power__what_was_acknowledged_survives_a_cut(void **state)
{
    struct world *w = *state;
    for (int keeps = 0; keeps < N_DISK_KEEPS; keeps++) {
        size_t at = every_call ? 1 : 1 + 3 * (size_t)keeps;
        while (cut_at(w, at, (disk_keeps)keeps)) {
            at += every_call ? 1 : CUT_STRIDE;
        }
        assert_true(at > 50);
        print_message("cut at one of %zu calls\n", at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(test_disk__a_write_that_fails, "sqlite"),
        ON_STORE(test_disk__a_disk_that_is_full, "sqlite"),
        ON_STORE(test_disk__a_write_that_is_short, "sqlite"),
        ON_STORE(test_disk__a_sync_that_fails, "sqlite"),
        ON_STORE(test_disk__a_disk_that_turns_read_only, "sqlite"),
        ON_STORE(test_power__what_was_acknowledged_survives_a_cut, "sqlite"),
    };
    every_call = getenv("LOSSD_TEST_LONG") != NULL;
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
