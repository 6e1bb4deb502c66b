/* SPDX-License-Identifier: Apache-2.0
 *
 * test_restore.c - registries that move from one store to another: whole, bit for bit, or not at all.
 */
#include <math.h>

#include "support/registry_world.h"

/* What a walk has seen, in an arena: the whole of a registry. */
struct copy {
    struct loss_arena *arena;
    struct registry_entry entry[16];
    size_t n, given, fail_at; /* fail_at: `give` fails at this entry; 0: never */
};

static struct registry_entry keep(struct loss_arena *arena, const struct registry_entry *e)
{
    struct registry_entry kept = *e;
    kept.name = loss_arena_copy(arena, e->name, strlen(e->name));
    kept.collection = loss_arena_copy(arena, e->collection, strlen(e->collection));
    kept.dtype = loss_arena_copy(arena, e->dtype, strlen(e->dtype));
    kept.reduction = loss_arena_copy(arena, e->reduction, strlen(e->reduction));
    kept.tally = e->tally == NULL ? NULL : tally_place(loss_arena_alloc(arena, tally_size(e->tally), 16), e->tally);
    return kept;
}

static loss_status take(void *arg, const struct registry_entry *e, bool *more, struct loss_error *err)
{
    struct copy *c = arg;
    (void)err;
    c->entry[c->n++] = keep(c->arena, e);
    *more = c->n < 16;
    return LOSS_OK;
}

static loss_status give(void *arg, const struct registry_entry **e, struct loss_error *err)
{
    struct copy *c = arg;
    if (c->fail_at != 0 && c->given + 1 == c->fail_at) {
        return loss_fail(err, LOSS_MALFORMED_JSON, "", "cut");
    }
    *e = c->given < c->n ? &c->entry[c->given] : NULL;
    c->given++;
    return LOSS_OK;
}

static struct copy copy_of(struct world *w, const char *registry)
{
    struct copy c = {.arena = w->arena};
    assert_int_equal(registry_walk(w->registry, registry, take, &c, &w->err), LOSS_OK);
    return c;
}

static loss_status restore_as(struct world *w, const char *registry, struct copy *c, registry_taken taken)
{
    struct registry_image image = {.registry = registry, .updated_at = 1600000000 * SECOND, .next = give, .arg = c};
    c->given = 0;
    w->err = (struct loss_error){0};
    return registry_restore(w->registry, &image, taken, &w->err);
}

static struct registry_entry add_batch(struct world *w, const char *name, double loss, const char *key)
{
    struct registry_tally tally = {.what = "mean_squared_error{}", .batches = 1, .count = 3, .batch = 2};
    struct registry_entry out;
    loss_sum_init(&tally.sum);
    loss_sum_init(&tally.weight_sum);
    loss_sum_init(&tally.rest);
    loss_sum_add(&tally.sum, loss);
    loss_sum_add(&tally.sum, 1e-300);
    loss_sum_add(&tally.rest, -1e-9);
    struct registry_add add = {.registry = "run",
                               .name = name,
                               .collection = REGISTRY_LOSSES,
                               .loss = loss,
                               .step = 7,
                               .dtype = "float64",
                               .reduction = "sum",
                               .tally = &tally,
                               .key = {.key = key, .fingerprint = {1, 2, 3}}};
    assert_int_equal(registry_add(w->registry, &add, w->arena, &out, &w->err), LOSS_OK);
    return out;
}

static void fill(struct world *w)
{
    world_add(w, "plain", 0, 0.1);
    world_add(w, "plain", 0, NAN);
    world_add(w, "minus zero", REGISTRY_STEP_MAX, -0.0);
    world_add_to(w, "run", "Zürich", REGISTRY_REGULARIZATION, 0, -INFINITY);
    w->now += SECOND;
    add_batch(w, "whole", 1e300, "first");
    w->now += SECOND;
    add_batch(w, "whole", -0.5, "second");
}

static void expect_same(const struct copy *a, const struct copy *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        const struct registry_entry *x = &a->entry[i], *y = &b->entry[i];
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->collection, y->collection);
        assert_string_equal(x->dtype, y->dtype);
        assert_string_equal(x->reduction, y->reduction);
        assert_memory_equal(&x->loss, &y->loss, sizeof x->loss);
        assert_true(x->step == y->step && x->added_at == y->added_at && x->updated_at == y->updated_at);
        assert_int_equal(x->tally == NULL, y->tally == NULL);
        assert_true(x->tally == NULL || tally_same(x->tally, y->tally));
        assert_true(i == 0 || y->order > b->entry[i - 1].order);
    }
}

static void test_restore__gives_every_bit_back(void **state)
{
    struct world *w = *state;
    struct registry_info info;
    fill(w);
    struct copy before = copy_of(w, "run");
    assert_int_equal(before.n, 5);
    assert_int_equal(restore_as(w, "copy", &before, REGISTRY_REFUSE), LOSS_OK);
    struct copy after = copy_of(w, "copy");
    expect_same(&before, &after);
    assert_int_equal(registry_restore(w->registry,
                                      &(struct registry_image){.registry = "timed",
                                                               .ttl_seconds = 70,
                                                               .updated_at = w->now,
                                                               .next = give,
                                                               .arg = &(struct copy){.n = 0}},
                                      REGISTRY_REFUSE, &w->err),
                     LOSS_OK);
    assert_int_equal(registry_info_get(w->registry, "timed", w->arena, &info, &w->err), LOSS_OK);
    assert_true(info.ttl_seconds == 70 && info.updated_at == w->now && info.entries == 0);
    assert_string_equal(world_add_to(w, "run", "plain", REGISTRY_LOSSES, 0, 1).name, "plain_2"); /* names go on */
}

static void test_restore__refuses_a_taken_name_unless_told(void **state)
{
    struct world *w = *state;
    fill(w);
    struct copy before = copy_of(w, "run");
    assert_int_equal(restore_as(w, "run", &before, REGISTRY_REFUSE), LOSS_INVALID_NAME);
    assert_non_null(strstr(w->err.message, "already"));
    world_add(w, "later", 0, 1);
    assert_int_equal(restore_as(w, "run", &before, REGISTRY_MERGE), LOSS_OK); /* the very same: left as they are */
    struct copy merged = copy_of(w, "run");
    assert_int_equal(merged.n, before.n + 1);
    assert_int_equal(restore_as(w, "run", &before, REGISTRY_REPLACE), LOSS_OK);
    struct copy replaced = copy_of(w, "run");
    expect_same(&before, &replaced);
}

static void test_restore__merges_whole_or_not_at_all(void **state)
{
    struct world *w = *state;
    struct registry_info info;
    fill(w);
    struct copy other = copy_of(w, "run");
    other.entry[0].name = "new";
    struct registry_tally another = *other.entry[4].tally;
    another.batches++;
    other.entry[4].tally = &another; /* another entry of a name that is taken */
    struct copy before = copy_of(w, "run");
    assert_int_equal(restore_as(w, "run", &other, REGISTRY_MERGE), LOSS_INVALID_NAME);
    assert_non_null(strstr(w->err.message, "\"whole\""));
    struct copy after = copy_of(w, "run");
    expect_same(&before, &after);

    for (other.fail_at = 1; other.fail_at <= other.n; other.fail_at++) {
        assert_int_equal(restore_as(w, "copy", &other, REGISTRY_REFUSE), LOSS_MALFORMED_JSON);
        assert_int_equal(restore_as(w, "run", &other, REGISTRY_REPLACE), LOSS_MALFORMED_JSON);
        assert_int_equal(registry_info_get(w->registry, "copy", w->arena, &info, NULL), LOSS_UNKNOWN_REGISTRY);
        after = copy_of(w, "run");
        expect_same(&before, &after);
    }
    other.fail_at = 0;
    other.entry[4] = before.entry[4];
    assert_int_equal(restore_as(w, "run", &other, REGISTRY_MERGE), LOSS_OK);
    after = copy_of(w, "run");
    assert_int_equal(after.n, 6);
    assert_string_equal(after.entry[5].name, "new"); /* behind those that were there */
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, NULL), LOSS_OK);
    assert_true(info.ttl_seconds == 0 && info.updated_at == w->now); /* its own, and the later one */
}

struct keys {
    struct loss_arena *arena;
    struct registry_kept_key key[8];
    struct registry_entry entry[8];
    size_t n;
};

static loss_status take_key(void *arg, const struct registry_kept_key *key, bool *more, struct loss_error *err)
{
    struct keys *k = arg;
    (void)more;
    (void)err;
    assert_int_equal(key->n, 1);
    k->entry[k->n] = keep(k->arena, key->entries);
    k->key[k->n] = *key;
    k->key[k->n].key.key = loss_arena_copy(k->arena, key->key.key, strlen(key->key.key));
    k->key[k->n].entries = &k->entry[k->n];
    k->n++;
    return LOSS_OK;
}

static void test_restore__keys_answer_as_they_did(void **state)
{
    struct world *w = *state;
    struct keys k = {.arena = w->arena};
    fill(w);
    assert_int_equal(registry_walk_keys(w->registry, take_key, &k, &w->err), LOSS_OK);
    assert_int_equal(k.n, 2);
    assert_string_equal(k.key[0].key.key, "first"); /* oldest first */
    assert_true(k.key[1].created_at == w->now && k.entry[0].tally->batches == 1 && k.entry[1].tally->batches == 2);
    assert_int_equal(registry_restore_key(w->registry, &k.key[0], REGISTRY_REFUSE, &w->err), LOSS_OK);

    k.key[0].key.fingerprint[0] ^= 1;
    assert_int_equal(registry_restore_key(w->registry, &k.key[0], REGISTRY_REFUSE, NULL), LOSS_IDEMPOTENCY_CONFLICT);
    assert_int_equal(registry_restore_key(w->registry, &k.key[0], REGISTRY_MERGE, NULL), LOSS_IDEMPOTENCY_CONFLICT);
    assert_int_equal(registry_restore_key(w->registry, &k.key[0], REGISTRY_REPLACE, &w->err), LOSS_OK);
    k.key[0].key.fingerprint[0] ^= 1;
    assert_int_equal(registry_restore_key(w->registry, &k.key[0], REGISTRY_REPLACE, &w->err), LOSS_OK);

    k.key[0].key.key = "elsewhere";
    assert_int_equal(registry_restore_key(w->registry, &k.key[0], REGISTRY_REFUSE, &w->err), LOSS_OK);
    struct registry_entry again = add_batch(w, "whole", 1e300, "elsewhere");
    assert_true(again.tally->batches == 1 && again.loss == 1e300); /* the answer of then; nothing was added */
    assert_true(copy_of(w, "run").entry[4].tally->batches == 2);
}

static void test_read_only__sees_one_moment_and_writes_nothing(void **state)
{
    struct world *w = *state;
    struct registry *reader;
    struct registry_options options = {.url = w->url, .read_only = true, .now_us = world_now, .now_arg = w};
    struct registry_page page;
    struct registry_entry out;
    struct registry_query all = {.registry = "run", .step = REGISTRY_STEP_ALL};
    fill(w);
    assert_int_equal(registry_open(&options, &reader, &w->err), LOSS_OK); /* though a server has it */
    world_add(w, "later", 0, 1);
    assert_int_equal(registry_list(reader, &all, w->arena, &page, &w->err), LOSS_OK);
    assert_int_equal(page.count, 5);
    struct registry_add add = {
        .registry = "run", .name = "x", .collection = REGISTRY_LOSSES, .dtype = "", .reduction = ""};
    assert_int_equal(registry_add(reader, &add, w->arena, &out, NULL), LOSS_STORE_UNAVAILABLE);
    registry_close(reader);
    assert_int_equal(copy_of(w, "run").n, 6);

    char url[192];
    snprintf(url, sizeof url, "sqlite:%s/none/none.db", w->directory);
    options.url = url;
    assert_int_equal(registry_open(&options, &reader, &w->err), LOSS_STORE_UNAVAILABLE);
    snprintf(url, sizeof url, "%s/none", w->directory);
    assert_int_not_equal(access(url, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(test_restore__gives_every_bit_back, "sqlite"),
        ON_STORE(test_restore__gives_every_bit_back, "redis"),
        ON_STORE(test_restore__refuses_a_taken_name_unless_told, "sqlite"),
        ON_STORE(test_restore__refuses_a_taken_name_unless_told, "redis"),
        ON_STORE(test_restore__merges_whole_or_not_at_all, "sqlite"),
        ON_STORE(test_restore__merges_whole_or_not_at_all, "redis"),
        ON_STORE(test_restore__keys_answer_as_they_did, "sqlite"),
        ON_STORE(test_restore__keys_answer_as_they_did, "redis"),
        ON_STORE(test_read_only__sees_one_moment_and_writes_nothing, "sqlite"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
