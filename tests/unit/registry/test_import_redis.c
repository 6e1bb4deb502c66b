/* SPDX-License-Identifier: Apache-2.0
 *
 * test_import_redis.c - an import into Redis beside servers that write: nothing is seen before its end, and what came
 * meanwhile is looked at then.
 */
#include "support/redis_relay.h"
#include "support/registry_world.h"

/* Entries that are made as they are asked for: base, base_1, … in step 4, every third accumulating. */
struct source {
    const char *base;
    size_t n, given, blamed;
    char name[64];
    struct registry_entry entry;
    struct registry_tally tally;
};

static loss_status give(void *arg, const struct registry_entry **e, struct loss_error *err)
{
    struct source *s = arg;
    (void)err;
    *e = NULL;
    if (s->given < s->n) {
        snprintf(s->name, sizeof s->name, s->given > 0 ? "%s_%zu" : "%s", s->base, s->given);
        s->tally = (struct registry_tally){.what = "l", .batches = s->given + 1, .count = 1, .batch = 1};
        loss_sum_init(&s->tally.sum);
        loss_sum_init(&s->tally.weight_sum);
        loss_sum_init(&s->tally.rest);
        bool merges = s->given % 3 == 0;
        s->entry = (struct registry_entry){.name = s->name,
                                           .collection = REGISTRY_LOSSES,
                                           .loss = merges ? 0 : (double)s->given,
                                           .step = 4,
                                           .dtype = "float64",
                                           .reduction = "sum",
                                           .added_at = 1600000000 * SECOND,
                                           .updated_at = 1600000000 * SECOND + merges,
                                           .tally = merges ? &s->tally : NULL};
        *e = &s->entry;
    }
    s->given++;
    return LOSS_OK;
}

static void note_blame(void *arg, uint64_t entry)
{
    ((struct source *)arg)->blamed = entry;
}

static loss_status stage(struct world *w, const char *registry, struct source *s, registry_taken taken)
{
    const struct registry_image image = {
        .registry = registry, .updated_at = 1600000001 * SECOND, .next = give, .blame = note_blame, .arg = s};
    s->given = 0;
    w->err = (struct loss_error){0};
    return registry_restore(w->registry, &image, taken, &w->err);
}

static loss_status stage_key(struct world *w, const char *key, registry_taken taken)
{
    const struct registry_entry e = {
        .name = "kept", .collection = "c", .dtype = "", .reduction = "", .added_at = w->now, .updated_at = w->now};
    const struct registry_kept_key k = {
        .key = {.key = key, .fingerprint = {1}}, .created_at = w->now - 10 * SECOND, .entries = &e, .n = 1};
    return registry_restore_key(w->registry, &k, taken, &w->err);
}

static loss_status end(struct world *w)
{
    w->err = (struct loss_error){0};
    return registry_restore_end(w->registry, NULL, &w->err);
}

static void begin(struct world *w)
{
    assert_int_equal(registry_restore_begin(w->registry, &w->err), LOSS_OK);
}

static const char *names_of(struct world *w, const char *registry)
{
    const struct registry_query all = {.registry = registry, .step = REGISTRY_STEP_ALL};
    return world_names(w, &all);
}

static const char *say(const char *line)
{
    static char answer[65536];
    char lines[256];
    snprintf(lines, sizeof lines, "%s\r\n", line);
    assert_true(redis_say(redis_of_all.port, lines, answer, sizeof answer));
    return answer;
}

static void expect_nothing_aside(void)
{
    const char *keys = say("KEYS lossd:import:*:[^d]*");
    if (strcmp(keys, "*0\r\n") != 0) {
        fail_msg("aside: %s", keys);
    }
}

static void expect_says(const struct world *w, const char *part)
{
    if (strstr(w->err.message, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, w->err.message);
    }
}

static loss_status add_with_key(struct world *w, const char *key, unsigned char fingerprint, struct registry_entry *out)
{
    const struct registry_add add = {.registry = "other",
                                     .name = "x",
                                     .collection = REGISTRY_LOSSES,
                                     .dtype = "",
                                     .reduction = "",
                                     .key = {.key = key, .fingerprint = {fingerprint}}};
    return registry_add(w->registry, &add, w->arena, out, &w->err);
}

static void test_import__is_seen_whole_at_its_end(void **state)
{
    struct world *w = *state;
    struct source few = {.base = "a", .n = 2}, none = {.base = "b"};
    struct registry_entry out;
    begin(w);
    assert_int_equal(stage(w, "run", &few, REGISTRY_REFUSE), LOSS_OK);
    assert_int_equal(stage(w, "none", &none, REGISTRY_REFUSE), LOSS_OK);
    assert_int_equal(stage_key(w, "k", REGISTRY_REFUSE), LOSS_OK);
    assert_string_equal(names_of(w, "run"), "!unknown_registry");
    assert_string_equal(say("ZCARD lossd:registries"), ":0\r\n");
    assert_int_equal(end(w), LOSS_OK);
    assert_string_equal(names_of(w, "run"), "a a_1");
    assert_string_equal(names_of(w, "none"), "");
    assert_int_equal(add_with_key(w, "k", 1, &out), LOSS_OK);
    assert_string_equal(out.name, "kept"); /* a repeat of what it was kept for */
    expect_nothing_aside();
    assert_string_equal(say("TTL lossd:{run}"), ":-1\r\n");
    assert_string_equal(say("TTL lossd:{run}:e"), ":-1\r\n");
    assert_string_equal(say("TTL lossd:key:k"), ":86390\r\n");
    assert_string_equal(say("HLEN lossd:{run}"), ":3\r\n"); /* ttl, updated, last */

    begin(w);
    assert_int_equal(stage(w, "more", &few, REGISTRY_REFUSE), LOSS_OK);
    assert_int_equal(stage_key(w, "l", REGISTRY_REFUSE), LOSS_OK);
    assert_int_equal(registry_restore_end(w->registry, &w->err, NULL), LOSS_OK); /* given up */
    assert_string_equal(names_of(w, "more"), "!unknown_registry");
    expect_nothing_aside();
}

static void test_import__what_came_meanwhile_refuses_it(void **state)
{
    struct world *w = *state;
    struct source few = {.base = "a", .n = 2};
    struct registry_entry out;
    begin(w);
    assert_int_equal(stage(w, "first", &few, REGISTRY_REFUSE), LOSS_OK);
    assert_int_equal(stage(w, "run", &few, REGISTRY_REFUSE), LOSS_OK);
    world_add(w, "mine", 0, 1);
    assert_int_equal(end(w), LOSS_INVALID_NAME);
    expect_says(w, "a registry \"run\" already");
    assert_string_equal(names_of(w, "run"), "mine");
    assert_string_equal(names_of(w, "first"), "!unknown_registry");

    begin(w);
    assert_int_equal(stage(w, "run", &few, REGISTRY_MERGE), LOSS_OK);
    world_add(w, "a_1", 4, 1); /* not what is imported under that name */
    assert_int_equal(end(w), LOSS_INVALID_NAME);
    expect_says(w, "entry \"a_1\" was added to step 4 of the registry \"run\"");
    assert_string_equal(names_of(w, "run"), "mine a_1");

    begin(w);
    assert_int_equal(stage(w, "first", &few, REGISTRY_REFUSE), LOSS_OK);
    assert_int_equal(stage_key(w, "k", REGISTRY_MERGE), LOSS_OK);
    assert_int_equal(add_with_key(w, "k", 2, &out), LOSS_OK);
    assert_int_equal(end(w), LOSS_IDEMPOTENCY_CONFLICT);
    assert_string_equal(names_of(w, "first"), "!unknown_registry");
    assert_int_equal(add_with_key(w, "k", 2, &out), LOSS_OK);
    assert_string_equal(names_of(w, "other"), "x");
    expect_nothing_aside();
}

static void test_import__merges_behind_and_replaces_what_came_meanwhile(void **state)
{
    struct world *w = *state;
    struct source few = {.base = "a", .n = 3};
    struct registry_info info;
    world_add(w, "old", 0, 1);
    begin(w);
    assert_int_equal(stage(w, "run", &few, REGISTRY_MERGE), LOSS_OK);
    world_add(w, "late", 0, 1);
    assert_int_equal(end(w), LOSS_OK);
    assert_string_equal(names_of(w, "run"), "old late a a_1 a_2");
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, &w->err), LOSS_OK);
    assert_true(info.entries == 5 && info.steps == 2 && info.latest_step == 4 && info.updated_at == w->now);
    assert_string_equal(world_add(w, "a", 4, 0).name, "a_3");

    begin(w);
    assert_int_equal(stage(w, "run", &few, REGISTRY_REPLACE), LOSS_OK);
    world_add(w, "later", 0, 1);
    assert_int_equal(end(w), LOSS_OK);
    assert_string_equal(names_of(w, "run"), "a a_1 a_2");
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, &w->err), LOSS_OK);
    assert_true(info.entries == 3 && info.steps == 1 && info.updated_at == 1600000001 * SECOND);
    assert_string_equal(world_add(w, "a", 4, 0).name, "a_3");
    expect_nothing_aside();
}

static uint64_t count(struct world *w, const char *registry)
{
    struct registry_page page;
    const struct registry_query all = {.registry = registry, .step = REGISTRY_STEP_ALL};
    assert_int_equal(registry_list(w->registry, &all, w->arena, &page, &w->err), LOSS_OK);
    for (size_t i = 1; i < page.count; i++) {
        assert_true(page.entries[i].order > page.entries[i - 1].order);
    }
    return page.count;
}

static void test_import__of_many_pieces(void **state)
{
    enum { N = 2345 };
    struct world *w = *state;
    struct source many = {.base = "a", .n = N}, again = {.base = "a", .n = N + 10}, other = {.base = "a", .n = N};
    assert_int_equal(stage(w, "run", &many, REGISTRY_REFUSE), LOSS_OK);
    assert_int_equal(count(w, "run"), N);
    assert_string_equal(world_add(w, "a", 4, 0).name, "a_2345");
    world_add(w, "late", 4, 0);
    assert_int_equal(stage(w, "run", &many, REGISTRY_MERGE), LOSS_OK); /* all are there */
    assert_int_equal(count(w, "run"), N + 2);
    assert_int_equal(stage(w, "run", &again, REGISTRY_MERGE), LOSS_INVALID_NAME); /* but for a_2345 */
    assert_int_equal(again.blamed, N);
    expect_says(w, "step 4 has another entry \"a_2345\" already");
    assert_int_equal(stage(w, "new", &other, REGISTRY_MERGE), LOSS_OK);
    assert_int_equal(stage(w, "new", &again, REGISTRY_MERGE), LOSS_OK); /* the last ten are new */
    assert_int_equal(count(w, "new"), N + 10);
    assert_string_equal(world_add_to(w, "new", "a", REGISTRY_LOSSES, 4, 0).name, "a_2355");
    expect_nothing_aside();
}

static void test_import__what_stands_twice_in_it(void **state)
{
    struct world *w = *state;
    struct source few = {.base = "a", .n = 2}, more = {.base = "a", .n = 3};
    begin(w);
    assert_int_equal(stage(w, "run", &few, REGISTRY_REFUSE), LOSS_OK);
    assert_int_equal(stage(w, "run", &few, REGISTRY_REFUSE), LOSS_INVALID_NAME);
    assert_int_not_equal(end(w), LOSS_OK); /* a part failed */
    assert_string_equal(names_of(w, "run"), "!unknown_registry");
    begin(w);
    assert_int_equal(stage(w, "run", &few, REGISTRY_MERGE), LOSS_OK);
    assert_int_equal(stage(w, "run", &more, REGISTRY_MERGE), LOSS_OK);
    assert_int_equal(stage(w, "two", &more, REGISTRY_REPLACE), LOSS_OK);
    assert_int_equal(stage(w, "two", &few, REGISTRY_REPLACE), LOSS_OK);
    assert_int_equal(end(w), LOSS_OK);
    assert_string_equal(names_of(w, "run"), "a a_1 a_2");
    assert_string_equal(names_of(w, "two"), "a a_1");
    expect_nothing_aside();
}

static void test_import__that_has_lost_a_part_changes_nothing(void **state)
{
    static const char *const losses[] = {"", ":e", ":n", ":t", ":c", ":a", ":s"}; /* of keys that Redis evicted */
    struct world *w = *state;
    struct source few = {.base = "a", .n = 2};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        char line[128];
        begin(w);
        assert_int_equal(stage(w, "first", &few, REGISTRY_REFUSE), LOSS_OK);
        assert_int_equal(stage(w, "run", &few, REGISTRY_REFUSE), LOSS_OK);
        snprintf(
            line, sizeof line,
            "EVAL \"for _, k in ipairs(redis.call('KEYS', 'lossd:import:*:{run}%s')) do redis.call('DEL', k) end\" 0",
            losses[i]);
        assert_string_equal(say(line), "$-1\r\n");
        assert_int_equal(end(w), LOSS_STORE_UNAVAILABLE);
        expect_says(w, "no longer in Redis whole");
        assert_string_equal(names_of(w, "first"), "!unknown_registry");
        assert_string_equal(names_of(w, "run"), "!unknown_registry");
        assert_string_equal(say("EVAL \"return #redis.call('KEYS', 'lossd:{*')\" 0"), ":0\r\n");
    }
}

static void test_import__where_memory_is_full_changes_nothing(void **state)
{
    struct world *w = *state;
    struct source few = {.base = "a", .n = 2};
    world_add(w, "old", 0, 1);
    begin(w);
    assert_int_equal(stage(w, "run", &few, REGISTRY_MERGE), LOSS_OK);
    assert_int_equal(stage(w, "new", &few, REGISTRY_MERGE), LOSS_OK);
    assert_string_equal(say("CONFIG SET maxmemory 1"), "+OK\r\n");
    loss_status status = end(w);
    assert_string_equal(say("CONFIG SET maxmemory 0"), "+OK\r\n");
    assert_int_equal(status, LOSS_STORE_UNAVAILABLE);
    expect_says(w, "memory of Redis is full");
    assert_string_equal(names_of(w, "run"), "old");
    assert_string_equal(names_of(w, "new"), "!unknown_registry");
    expect_nothing_aside();
}

/* Whatever is lost on the way is asked again, and is done once. */
static void test_import__outlives_a_connection(void **state)
{
    struct world *w = *state;
    struct source few = {.base = "a", .n = 2};
    struct redis_relay relay;
    world_close(w);
    assert_true(relay_start(&relay, redis_of_all.port));
    snprintf(w->url, sizeof w->url, "redis://127.0.0.1:%d/0", relay.port);
    assert_int_equal(world_open(w), LOSS_OK);
    for (int i = 0; i < 2; i++) {
        relay_mode mode = i == 0 ? RELAY_DROPS_ANSWER : RELAY_DROPS_REQUEST;
        const char *registry = i == 0 ? "run" : "two", *key = i == 0 ? "k" : "l";
        begin(w);
        assert_int_equal(stage(w, registry, &few, REGISTRY_REFUSE), LOSS_OK); /* knows the scripts now */
        atomic_store(&relay.mode, mode);
        assert_int_equal(stage(w, i == 0 ? "third" : "fourth", &few, REGISTRY_REFUSE), LOSS_OK);
        assert_int_equal(atomic_load(&relay.breaks), 3 * i + 1);
        atomic_store(&relay.mode, mode);
        assert_int_equal(stage_key(w, key, REGISTRY_REFUSE), LOSS_OK);
        atomic_store(&relay.mode, mode);
        assert_int_equal(end(w), LOSS_OK);
        assert_int_equal(atomic_load(&relay.breaks), 3 * i + 3);
        assert_string_equal(names_of(w, registry), "a a_1");
    }
    assert_string_equal(say("ZCARD lossd:registries"), ":4\r\n");
    expect_nothing_aside();
    world_close(w);
    relay_end(&relay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(test_import__is_seen_whole_at_its_end, "redis"),
        ON_STORE(test_import__what_came_meanwhile_refuses_it, "redis"),
        ON_STORE(test_import__merges_behind_and_replaces_what_came_meanwhile, "redis"),
        ON_STORE(test_import__of_many_pieces, "redis"),
        ON_STORE(test_import__what_stands_twice_in_it, "redis"),
        ON_STORE(test_import__that_has_lost_a_part_changes_nothing, "redis"),
        ON_STORE(test_import__where_memory_is_full_changes_nothing, "redis"),
        ON_STORE(test_import__outlives_a_connection, "redis"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
