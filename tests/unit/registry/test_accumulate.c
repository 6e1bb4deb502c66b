/* SPDX-License-Identifier: Apache-2.0
 *
 * test_accumulate.c - entries that take in batches, on every kind of store.
 */
#include <math.h>

#include "support/registry_world.h"

/* A batch of losses of float64, each with its weight. */
static struct registry_tally batch_of(const char *what, const double *losses, const double *weights, size_t n)
{
    struct registry_tally t = {.what = what, .batches = 1, .count = n, .nonzero_weights = n, .batch = n};
    loss_sum_init(&t.sum);
    loss_sum_init(&t.weight_sum);
    loss_sum_init(&t.rest);
    loss_sum_add_f64(&t.sum, losses, n);
    loss_sum_add_f64(&t.weight_sum, weights, n);
    return t;
}

static struct registry_tally single(double loss)
{
    double one = 1;
    return batch_of("l", &loss, &one, 1);
}

static struct registry_add adding(const struct registry_tally *tally)
{
    return (struct registry_add){.registry = "run",
                                 .name = "eval",
                                 .collection = REGISTRY_LOSSES,
                                 .dtype = "float64",
                                 .reduction = "mean",
                                 .loss = tally_loss(tally, "mean", "float64"),
                                 .tally = tally};
}

static struct registry_entry kept(struct world *w)
{
    struct registry_query query = {.registry = "run", .name = "eval", .step = REGISTRY_STEP_LATEST};
    struct registry_page page;
    assert_int_equal(registry_list(w->registry, &query, w->arena, &page, NULL), LOSS_OK);
    assert_int_equal(page.count, 1);
    return page.entries[0];
}

/* A store that keeps is opened anew. */
static void reopen(struct world *w)
{
    if (strcmp(w->kind, "memory") != 0) {
        world_reopen(w);
    }
}

static void test_batches__merge_to_the_bit(void **state)
{
    struct world *w = *state;
    const double losses[] = {1e300, 1, -1e300, 3e-300, 0.1, 7, 1e16, -1}, weights[] = {1, 0.1, 3, 0.7, 1e-9, 5, 2, 0.3};
    const size_t first[] = {3, 7, 0, 5}, size[] = {2, 1, 3, 2};
    struct registry_tally whole = batch_of("l", losses, weights, 8);
    struct registry_entry e;
    for (size_t i = 0; i < 4; i++) {
        struct registry_tally t = batch_of("l", losses + first[i], weights + first[i], size[i]);
        struct registry_add add = adding(&t);
        w->now += SECOND;
        assert_int_equal(registry_add(w->registry, &add, w->arena, &e, NULL), LOSS_OK);
        assert_int_equal(e.tally->batches, i + 1);
        assert_int_equal(e.updated_at, w->now);
    }
    reopen(w);
    struct loss_totals totals, wanted;
    e = kept(w);
    tally_totals(e.tally, &totals);
    tally_totals(&whole, &wanted);
    assert_memory_equal(&totals, &wanted, sizeof totals);
    const double loss = tally_loss(&whole, "mean", "float64");
    assert_memory_equal(&e.loss, &loss, sizeof loss);
    assert_int_equal(e.added_at, w->now - 3 * SECOND);
    assert_int_equal(e.updated_at, w->now);
    assert_string_equal(e.tally->what, "l");
}

static void test_batches__merge_only_with_their_like(void **state)
{
    struct world *w = *state;
    struct registry_tally t = single(1), other = single(1);
    struct registry_add add = adding(&t);
    struct registry_entry e;
    other.what = "m";
    assert_int_equal(registry_add(w->registry, &add, w->arena, &e, NULL), LOSS_OK);
    world_add(w, "plain", 0, 1);
    for (int i = 0; i < 5; i++) {
        add = adding(i == 0 ? &other : &t);
        add.dtype = i == 1 ? "float32" : add.dtype;
        add.reduction = i == 2 ? "sum" : add.reduction;
        add.collection = i == 3 ? "another" : add.collection;
        add.name = i == 4 ? "plain" : add.name;
        assert_int_equal(registry_add(w->registry, &add, w->arena, &e, NULL), LOSS_ACCUMULATE_CONFLICT);
    }
    assert_int_equal(kept(w).tally->batches, 1);
    assert_string_equal(world_add(w, "eval", 0, 1).name, "eval_1"); /* a plain one gets a name of its own */
    add = adding(&t);
    add.step = 1;
    assert_int_equal(registry_add(w->registry, &add, w->arena, &e, NULL), LOSS_OK);
    assert_int_equal(e.tally->batches, 1);
}

static void test_batches__merge_all_or_none(void **state)
{
    struct world *w = *state;
    struct registry_tally t = single(1), u = single(2);
    struct registry_add adds[] = {adding(&t), adding(&u), adding(&u)};
    struct registry_key none = {0};
    struct registry_entry out[3];
    assert_int_equal(registry_add(w->registry, &adds[0], w->arena, &out[0], NULL), LOSS_OK);
    adds[2].dtype = "float32";
    assert_int_equal(registry_add_all(w->registry, adds, 3, &none, w->arena, out, NULL), LOSS_ACCUMULATE_CONFLICT);
    assert_int_equal(kept(w).tally->batches, 1);
    assert_true(kept(w).loss == 1);
    adds[2].name = "fresh";
    assert_int_equal(registry_add_all(w->registry, adds, 3, &none, w->arena, out, NULL), LOSS_OK);
    assert_int_equal(out[0].tally->batches, 2);
    assert_int_equal(out[1].tally->batches, 3);
    assert_true(out[1].loss == 4.0 / 3);
    assert_int_equal(out[2].tally->batches, 1);
}

static void test_batches__merge_once_a_key(void **state)
{
    struct world *w = *state;
    struct registry_tally t = single(1);
    struct registry_add add = adding(&t);
    struct registry_entry e;
    add.key.key = "k";
    assert_int_equal(registry_add(w->registry, &add, w->arena, &e, NULL), LOSS_OK);
    add.key.key = "other";
    assert_int_equal(registry_add(w->registry, &add, w->arena, &e, NULL), LOSS_OK);
    assert_int_equal(e.tally->batches, 2);
    reopen(w);
    add.key.key = "k"; /* what was answered then, though more has come since */
    assert_int_equal(registry_add(w->registry, &add, w->arena, &e, NULL), LOSS_OK);
    assert_int_equal(e.tally->batches, 1);
    assert_int_equal(kept(w).tally->batches, 2);
}

static void test_batches__that_are_not_finite_stay_so(void **state)
{
    struct world *w = *state;
    struct registry_tally t = single(INFINITY), u = single(1);
    struct registry_add adds[] = {adding(&t), adding(&u)};
    struct registry_key none = {0};
    struct registry_entry out[2];
    assert_int_equal(registry_add_all(w->registry, adds, 2, &none, w->arena, out, NULL), LOSS_OK);
    reopen(w);
    assert_true(isinf(kept(w).loss));
    assert_int_equal(kept(w).tally->batches, 2);
}

static void test_stored_form__is_checked(void **state)
{
    (void)state;
    struct registry_tally t = single(0.1), back;
    unsigned char bytes[2048];
    const size_t n = tally_bytes(&t);
    assert_true(n <= sizeof bytes);
    tally_store(&t, bytes);
    assert_int_equal(tally_load(&back, bytes, n), 0);
    assert_string_equal(back.what, "l");
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(tally_load(&back, bytes, cut), -1);
    }
    bytes[0]++;
    assert_int_equal(tally_load(&back, bytes, n), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_EACH_STORE(test_batches__merge_to_the_bit),
        ON_EACH_STORE(test_batches__merge_only_with_their_like),
        ON_EACH_STORE(test_batches__merge_all_or_none),
        ON_EACH_STORE(test_batches__merge_once_a_key),
        ON_EACH_STORE(test_batches__that_are_not_finite_stay_so),
        cmocka_unit_test(test_stored_form__is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
