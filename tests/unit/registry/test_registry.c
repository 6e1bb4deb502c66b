/* SPDX-License-Identifier: Apache-2.0
 *
 * test_registry.c - what a registry promises, held against every store.
 */
#include <math.h>

#include "support/registry_world.h"

static const struct registry_query ALL = {.registry = "run", .step = REGISTRY_STEP_ALL};

static struct registry_query at(int64_t step)
{
    return (struct registry_query){.registry = "run", .step = step};
}

static struct registry_query under(const char *scope)
{
    return (struct registry_query){.registry = "run", .step = REGISTRY_STEP_ALL, .scope = scope};
}

static void test_registry__keeps_an_entry_as_it_was_added(void **state)
{
    struct world *w = *state;
    struct registry_page page;
    struct registry_entry out;
    struct registry_add add = {.registry = "run/7",
                               .name = "head/größe 损失",
                               .collection = "extra",
                               .loss = 0.1,
                               .step = REGISTRY_STEP_MAX,
                               .dtype = "float32",
                               .reduction = "mean"};
    assert_int_equal(registry_add(w->registry, &add, w->arena, &out, &w->err), LOSS_OK);
    struct registry_query query = {.registry = "run/7", .step = REGISTRY_STEP_LATEST};
    assert_int_equal(registry_list(w->registry, &query, w->arena, &page, &w->err), LOSS_OK);
    assert_int_equal(page.count, 1);
    assert_null(page.next_cursor);
    const struct registry_entry *both[] = {&out, &page.entries[0]};
    for (int i = 0; i < 2; i++) {
        assert_string_equal(both[i]->name, add.name);
        assert_string_equal(both[i]->collection, "extra");
        assert_true(both[i]->loss == 0.1);
        assert_true(both[i]->step == REGISTRY_STEP_MAX);
        assert_string_equal(both[i]->dtype, "float32");
        assert_string_equal(both[i]->reduction, "mean");
        assert_true(both[i]->added_at == w->now);
        assert_true(both[i]->order == out.order);
    }
}

static void test_registry__keeps_every_double_to_the_bit(void **state)
{
    static const double values[] = {0.0, -0.0, 1.0, -1e308, 5e-324, 0.1, INFINITY, -INFINITY};
    struct world *w = *state;
    struct registry_page page;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        world_add(w, "x", 0, values[i]);
    }
    world_add(w, "x", 0, NAN);
    assert_int_equal(registry_list(w->registry, &ALL, w->arena, &page, &w->err), LOSS_OK);
    assert_int_equal(page.count, 9);
    for (size_t i = 0; i < 8; i++) {
        assert_memory_equal(&page.entries[i].loss, &values[i], sizeof values[i]);
    }
    assert_true(isnan(page.entries[8].loss));
}

static void test_registry__gives_the_next_free_suffix(void **state)
{
    struct world *w = *state;
    assert_string_equal(world_add(w, "x", 0, 1).name, "x");
    assert_string_equal(world_add(w, "x", 0, 1).name, "x_1");
    assert_string_equal(world_add(w, "x_2", 0, 1).name, "x_2");
    assert_string_equal(world_add(w, "x", 0, 1).name, "x_3");
    assert_string_equal(world_add(w, "x_1", 0, 1).name, "x_1_1");
    assert_string_equal(world_add(w, "x", 1, 1).name, "x");
    assert_string_equal(world_add(w, "X", 0, 1).name, "X");
    assert_string_equal(world_add_to(w, "run", "x", REGISTRY_REGULARIZATION, 0, 1).name, "x_4");
    assert_string_equal(world_add_to(w, "other", "x", REGISTRY_LOSSES, 0, 1).name, "x");
    struct registry_query step = at(0);
    assert_string_equal(world_names(w, &step), "x x_1 x_2 x_3 x_1_1 X x_4");
}

static void test_registry__gives_a_removed_name_again(void **state)
{
    struct world *w = *state;
    uint64_t removed;
    for (int i = 0; i < 5; i++) {
        world_add(w, "x", 0, 1);
    }
    assert_int_equal(registry_remove(w->registry, "run", "x_[13]$", 0, &removed, &w->err), LOSS_OK);
    assert_int_equal(removed, 2);
    assert_string_equal(world_add(w, "x", 0, 1).name, "x_1");
    assert_string_equal(world_add(w, "x", 0, 1).name, "x_3");
    assert_string_equal(world_add(w, "x", 0, 1).name, "x_5");
    assert_int_equal(registry_remove(w->registry, "run", "x$", 0, &removed, &w->err), LOSS_OK);
    assert_string_equal(world_add(w, "x", 0, 1).name, "x");
    assert_int_equal(registry_remove(w->registry, "run", "", 0, &removed, &w->err), LOSS_OK);
    assert_int_equal(removed, 6);
    assert_string_equal(world_add(w, "x", 0, 1).name, "x");
    assert_string_equal(world_add(w, "x", 0, 1).name, "x_1");
}

static void test_registry__refuses_a_taken_name_without_room_for_a_suffix(void **state)
{
    struct world *w = *state;
    struct registry_entry out;
    char name[513];
    memset(name, 'n', 512);
    name[512] = '\0';
    assert_string_equal(world_add(w, name, 0, 1).name, name);
    struct registry_add add = {
        .registry = "fresh", .name = name, .collection = REGISTRY_LOSSES, .dtype = "", .reduction = ""};
    assert_int_equal(registry_add(w->registry, &add, w->arena, &out, &w->err), LOSS_OK);
    add.registry = "run";
    assert_int_equal(registry_add(w->registry, &add, w->arena, &out, &w->err), LOSS_INVALID_NAME);
    assert_string_equal(w->err.pointer, "/name");
    struct registry_info info;
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, NULL), LOSS_OK);
    assert_int_equal(info.entries, 1);
    name[510] = '\0'; /* leaves room for _1 */
    world_add(w, name, 0, 1);
    assert_int_equal(strlen(world_add(w, name, 0, 1).name), 512);
}

/* With a quadratic search this would take minutes. */
static void test_registry__names_thousands_alike(void **state)
{
    struct world *w = *state;
    struct registry_add adds[100];
    struct registry_entry out[100];
    struct registry_key key = {0};
    for (int i = 0; i < 100; i++) {
        adds[i] = (struct registry_add){
            .registry = "run", .name = "x", .collection = REGISTRY_LOSSES, .dtype = "", .reduction = ""};
    }
    for (int i = 0; i < 200; i++) {
        assert_int_equal(registry_add_all(w->registry, adds, 100, &key, w->arena, out, &w->err), LOSS_OK);
    }
    assert_string_equal(out[99].name, "x_19999");
}

static void test_registry__adds_all_or_none(void **state)
{
    struct world *w = *state;
    char name[513];
    struct registry_entry out[3];
    struct registry_key key = {.key = "k"};
    memset(name, 'n', 512);
    name[512] = '\0';
    world_add(w, name, 0, 1);
    world_add(w, "x", 0, 1);
    struct registry_add adds[] = {
        {.registry = "run", .name = "x", .collection = "losses", .dtype = "", .reduction = ""},
        {.registry = "new", .name = "x", .collection = "losses", .step = 3, .dtype = "", .reduction = ""},
        {.registry = "run", .name = name, .collection = "losses", .dtype = "", .reduction = ""},
    };
    assert_int_equal(registry_add_all(w->registry, adds, 3, &key, w->arena, out, &w->err), LOSS_INVALID_NAME);
    struct registry_query news = {.registry = "new", .step = REGISTRY_STEP_ALL}, xs = under("x");
    assert_string_equal(world_names(w, &news), "!unknown_registry");
    assert_string_equal(world_names(w, &xs), "x");

    adds[2].name = "y"; /* the key of what failed is free */
    key.fingerprint[0] = 1;
    assert_int_equal(registry_add_all(w->registry, adds, 3, &key, w->arena, out, NULL), LOSS_OK);
    assert_string_equal(out[0].name, "x_1");
    assert_string_equal(out[1].name, "x");
    assert_string_equal(out[2].name, "y");
    struct registry_entry again[3];
    assert_int_equal(registry_add_all(w->registry, adds, 3, &key, w->arena, again, NULL), LOSS_OK);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(again[i].name, out[i].name);
        assert_true(again[i].order == out[i].order);
    }
    assert_string_equal(world_names(w, &xs), "x x_1");
}

static void test_registry__checks_names(void **state)
{
    static const struct {
        const char *name;
        loss_status expected;
    } cases[] = {
        {"a", LOSS_OK},
        {"head/xent", LOSS_OK},
        {" ", LOSS_OK},
        {"..", LOSS_OK},
        {"größe 损失 😀", LOSS_OK},
        {"\xef\xbf\xbf", LOSS_OK},
        {"\xf4\x8f\xbf\xbf", LOSS_OK},
        {"", LOSS_INVALID_NAME},
        {"a\n", LOSS_INVALID_NAME},
        {"\x1f", LOSS_INVALID_NAME},
        {"a\x7f", LOSS_INVALID_NAME},
        {"\xc2\x80", LOSS_INVALID_NAME},
        {"\xc2\x9f", LOSS_INVALID_NAME},
        {"\xc2\xa0", LOSS_OK},
        {"\xc3", LOSS_INVALID_NAME},
        {"\x80", LOSS_INVALID_NAME},
        {"\xc0\xaf", LOSS_INVALID_NAME},
        {"\xe0\x80\xaf", LOSS_INVALID_NAME},
        {"\xed\xa0\x80", LOSS_INVALID_NAME},
        {"\xf4\x90\x80\x80", LOSS_INVALID_NAME},
        {"\xf8\x88\x80\x80\x80", LOSS_INVALID_NAME},
        {"\xff", LOSS_INVALID_NAME},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loss_error err = {0};
        if (registry_check_name(cases[i].name, strlen(cases[i].name), "/name", &err) != cases[i].expected) {
            fail_msg("case %zu, \"%s\"", i, cases[i].name);
        }
        assert_string_equal(err.pointer, cases[i].expected == LOSS_OK ? "" : "/name");
    }
    char name[513];
    memset(name, 'n', sizeof name);
    assert_int_equal(registry_check_name(name, 512, "", NULL), LOSS_OK);
    assert_int_equal(registry_check_name(name, 513, "", NULL), LOSS_INVALID_NAME);
    assert_int_equal(registry_check_name("a\0b", 3, "", NULL), LOSS_INVALID_NAME);
}

static void test_registry__knows_only_what_was_made(void **state)
{
    struct world *w = *state;
    struct registry_query latest = at(REGISTRY_STEP_LATEST);
    struct registry_info info;
    double total;
    uint64_t count;
    assert_string_equal(world_names(w, &latest), "!unknown_registry");
    assert_string_equal(world_names(w, &ALL), "!unknown_registry");
    assert_int_equal(registry_total(w->registry, &latest, true, true, &total, &count, NULL), LOSS_UNKNOWN_REGISTRY);
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, NULL), LOSS_UNKNOWN_REGISTRY);
    assert_int_equal(registry_remove(w->registry, "run", NULL, REGISTRY_STEP_ALL, &count, NULL), LOSS_UNKNOWN_REGISTRY);
    assert_int_equal(registry_remove(w->registry, "run", "a", 0, &count, NULL), LOSS_UNKNOWN_REGISTRY);

    assert_int_equal(registry_put(w->registry, "run", 0, NULL), LOSS_OK);
    assert_string_equal(world_names(w, &latest), "");
    assert_string_equal(world_names(w, &ALL), "");
    assert_int_equal(registry_total(w->registry, &latest, true, true, &total, &count, NULL), LOSS_OK);
    assert_int_equal(count, 0);
    assert_true(total == 0);
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, NULL), LOSS_OK);
    assert_string_equal(info.registry, "run");
    assert_int_equal(info.entries + info.steps, 0);
    assert_true(info.latest_step == -1);
}

static void test_registry__reads_steps(void **state)
{
    struct world *w = *state;
    struct registry_query latest = at(REGISTRY_STEP_LATEST), first = at(1), none = at(2);
    world_add(w, "a", 5, 1);
    world_add(w, "b", 1, 1);
    world_add(w, "c", 5, 1);
    world_add_to(w, "run", "d", "extra", 9, 1);
    assert_string_equal(world_names(w, &latest), "d");
    latest.collection = REGISTRY_LOSSES; /* the latest step is the registry's, whatever is asked for in it */
    assert_string_equal(world_names(w, &latest), "");
    assert_string_equal(world_names(w, &first), "b");
    assert_string_equal(world_names(w, &none), "");
    assert_string_equal(world_names(w, &ALL), "a b c d");
    struct registry_info info;
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, NULL), LOSS_OK);
    assert_int_equal(info.entries, 4);
    assert_int_equal(info.steps, 3);
    assert_int_equal(info.latest_step, 9);
    uint64_t removed;
    assert_int_equal(registry_remove(w->registry, "run", NULL, 9, &removed, NULL), LOSS_OK);
    assert_string_equal(world_names(w, &latest), "a c");
}

static void test_registry__picks_by_collection_name_and_scope(void **state)
{
    struct world *w = *state;
    world_add(w, "head/x", 0, 1);
    world_add_to(w, "run", "head/y", REGISTRY_REGULARIZATION, 0, 1);
    world_add(w, "tail", 0, 1);
    world_add(w, "head/x", 1, 1);
    struct registry_query q = {.registry = "run", .step = 0, .collection = REGISTRY_LOSSES};
    assert_string_equal(world_names(w, &q), "head/x tail");
    q.scope = "head/";
    assert_string_equal(world_names(w, &q), "head/x");
    q = (struct registry_query){.registry = "run", .step = 0, .name = "head/y"};
    assert_string_equal(world_names(w, &q), "head/y");
    q.collection = REGISTRY_LOSSES;
    assert_string_equal(world_names(w, &q), "");
    q = (struct registry_query){.registry = "run", .step = 0, .name = "head"};
    assert_string_equal(world_names(w, &q), "");
    q = (struct registry_query){.registry = "run", .step = REGISTRY_STEP_ALL, .name = "head/x"};
    assert_string_equal(world_names(w, &q), "head/x head/x");
    q = under("(");
    assert_string_equal(world_names(w, &q), "!invalid_scope");
    assert_string_equal(w->err.parameter, "scope");
    q = under("(a+)+$");
    world_add(w, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", 0, 1);
    assert_string_equal(world_names(w, &q), "!invalid_scope");
}

static void test_registry__totals_exactly(void **state)
{
    static const struct {
        const char *scope;
        int64_t step;
        bool losses, regularization;
        double total;
        uint64_t count;
    } cases[] = {
        {NULL, 0, true, true, 1.125, 4},  {NULL, 0, true, false, 1, 3},
        {NULL, 0, false, true, 0.125, 1}, {"big", 0, true, true, 0, 2},
        {"nothing", 0, true, true, 0, 0}, {NULL, REGISTRY_STEP_LATEST, true, true, NAN, 2},
        {"nan", 1, true, true, NAN, 1},   {"inf", 1, true, true, INFINITY, 1},
        {NULL, 7, true, true, 0, 0},      {"small", REGISTRY_STEP_ALL, true, true, 1, 1},
    };
    struct world *w = *state;
    world_add(w, "big", 0, 1e100);
    world_add(w, "small", 0, 1);
    world_add(w, "big", 0, -1e100);
    world_add_to(w, "run", "l2", REGISTRY_REGULARIZATION, 0, 0.125);
    world_add_to(w, "run", "extra", "extra", 0, 1000);
    world_add(w, "nan", 1, NAN);
    world_add(w, "inf", 1, INFINITY);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct registry_query q = {.registry = "run", .scope = cases[i].scope, .step = cases[i].step};
        double total = -1;
        uint64_t count = 99;
        assert_int_equal(
            registry_total(w->registry, &q, cases[i].losses, cases[i].regularization, &total, &count, &w->err),
            LOSS_OK);
        if (!(total == cases[i].total || (isnan(total) && isnan(cases[i].total))) || count != cases[i].count) {
            fail_msg("case %zu: total %g, count %d", i, total, (int)count);
        }
    }
}

static void test_registry__removes_what_is_meant(void **state)
{
    struct world *w = *state;
    uint64_t removed = 77;
    world_add(w, "head/x", 0, 1);
    world_add_to(w, "run", "head/y", "extra", 0, 1);
    world_add(w, "tail", 0, 1);
    world_add(w, "head/x", 1, 1);
    assert_int_equal(registry_remove(w->registry, "run", "head/", 0, &removed, NULL), LOSS_OK);
    assert_int_equal(removed, 2);
    assert_string_equal(world_names(w, &ALL), "tail head/x");
    assert_int_equal(registry_remove(w->registry, "run", "none", REGISTRY_STEP_ALL, &removed, NULL), LOSS_OK);
    assert_int_equal(removed, 0);
    assert_int_equal(registry_remove(w->registry, "run", "", REGISTRY_STEP_ALL, &removed, NULL), LOSS_OK);
    assert_int_equal(removed, 2);
    assert_string_equal(world_names(w, &ALL), ""); /* emptied, it stays */
    world_add(w, "a", 3, 1);
    assert_int_equal(registry_remove(w->registry, "run", NULL, REGISTRY_STEP_ALL, &removed, NULL), LOSS_OK);
    assert_int_equal(removed, 1);
    assert_string_equal(world_names(w, &ALL), "!unknown_registry");
    assert_string_equal(world_add(w, "a", 3, 1).name, "a");
}

static void test_registry__removes_nothing_when_the_scope_runs_away(void **state)
{
    struct world *w = *state;
    uint64_t removed = 77;
    world_add(w, "aa", 0, 1);
    world_add(w, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", 0, 1);
    assert_int_equal(registry_remove(w->registry, "run", "(a+)+$", 0, &removed, NULL), LOSS_INVALID_SCOPE);
    assert_int_equal(registry_remove(w->registry, "run", "(", 0, &removed, NULL), LOSS_INVALID_SCOPE);
    assert_int_equal(removed, 77);
    struct registry_info info;
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, NULL), LOSS_OK);
    assert_int_equal(info.entries, 2);
    world_add(w, "x", 1, 1);
    assert_int_equal(registry_remove(w->registry, "run", "x", 1, &removed, NULL), LOSS_OK);
    assert_int_equal(removed, 1); /* nothing of the other step stayed marked */
}

static void test_registry__pages_through_a_list(void **state)
{
    struct world *w = *state;
    struct registry_page page;
    char name[16];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "%s%d", i % 2 == 0 ? "even" : "odd", i);
        world_add(w, name, 4, i);
    }
    struct registry_query q = {.registry = "run", .step = REGISTRY_STEP_LATEST, .scope = "even", .limit = 10};
    int seen = 0, pages = 0;
    do {
        assert_int_equal(registry_list(w->registry, &q, w->arena, &page, &w->err), LOSS_OK);
        for (size_t i = 0; i < page.count; i++, seen++) {
            assert_true(page.entries[i].loss == 2 * seen);
        }
        q.cursor = page.next_cursor;
        if (pages++ == 0) { /* a later step and a later entry between the pages */
            world_add(w, "even_later", 5, 1);
            world_add(w, "even50", 4, 50);
        }
    } while (q.cursor != NULL);
    assert_int_equal(seen, 26);
    assert_int_equal(pages, 3);
    q = (struct registry_query){.registry = "run", .step = 4, .limit = 51};
    assert_int_equal(registry_list(w->registry, &q, w->arena, &page, &w->err), LOSS_OK);
    assert_int_equal(page.count, 51);
    assert_null(page.next_cursor); /* nothing is left: no empty page follows */
}

static void test_registry__refuses_a_bad_cursor(void **state)
{
    static const char *const cursors[] = {"",
                                          "0",
                                          "xyz",
                                          "00000000000000010000000000000000ff",
                                          "0000000000000001",
                                          "0000000000000001000000000000000G",
                                          "ffffffffffffffff0000000000000000",
                                          "0000000000000001fffffffffffffff0",
                                          "00000000000000010000000000000003"};
    struct world *w = *state;
    world_add(w, "a", 0, 1);
    for (size_t i = 0; i < sizeof cursors / sizeof *cursors; i++) {
        struct registry_query q = {.registry = "run", .step = 0, .cursor = cursors[i]};
        assert_string_equal(world_names(w, &q), "!invalid_parameter");
        assert_string_equal(w->err.parameter, "cursor");
    }
    struct registry_query q = {.registry = "run", .step = 0, .cursor = "00000000000000000000000000000000"};
    assert_string_equal(world_names(w, &q), "a");
}

static void test_registry__lists_registries_by_name(void **state)
{
    struct world *w = *state;
    struct registry_info *infos;
    size_t count;
    const char *cursor = NULL;
    char names[64] = "";
    world_add_to(w, "b", "x", "losses", 3, 1);
    w->now += SECOND;
    world_add_to(w, "ä", "x", "losses", 0, 1);
    world_add_to(w, "a/1", "x", "losses", 0, 1);
    assert_int_equal(registry_put(w->registry, "B", 60, NULL), LOSS_OK);
    world_add_to(w, "b", "x", "losses", 1, 1);
    do {
        assert_int_equal(registry_info_list(w->registry, 3, cursor, w->arena, &infos, &count, &cursor, NULL), LOSS_OK);
        for (size_t i = 0; i < count; i++) {
            strcat(strcat(names, infos[i].registry), " ");
            if (strcmp(infos[i].registry, "b") == 0) {
                assert_int_equal(infos[i].entries, 2);
                assert_int_equal(infos[i].steps, 2);
                assert_int_equal(infos[i].latest_step, 3);
                assert_true(infos[i].updated_at == w->now);
                assert_int_equal(infos[i].ttl_seconds, 0);
            }
        }
        strcat(names, "| ");
    } while (cursor != NULL);
    assert_string_equal(names, "B a/1 b | ä | ");
    assert_int_equal(registry_info_list(w->registry, 3, "zz", w->arena, &infos, &count, &cursor, &w->err),
                     LOSS_INVALID_PARAMETER);
    assert_string_equal(w->err.parameter, "cursor");
    assert_int_equal(registry_info_list(w->registry, 0, NULL, w->arena, &infos, &count, &cursor, NULL), LOSS_OK);
    assert_int_equal(count, 4);
}

static loss_status add_with_key(struct world *w, const char *key, unsigned char fingerprint, const char *name,
                                struct registry_entry *out)
{
    struct registry_add add = {.registry = "run",
                               .name = name,
                               .collection = REGISTRY_LOSSES,
                               .loss = 0.5,
                               .step = 2,
                               .dtype = "float32",
                               .reduction = "sum",
                               .key = {.key = key, .fingerprint = {fingerprint}}};
    w->err = (struct loss_error){0};
    return registry_add(w->registry, &add, w->arena, out, &w->err);
}

static void test_registry__adds_once_a_key(void **state)
{
    struct world *w = *state;
    struct registry_entry first, again;
    world_add(w, "x", 2, 1);
    assert_int_equal(add_with_key(w, "key", 1, "x", &first), LOSS_OK);
    w->now += 5 * SECOND;
    assert_int_equal(add_with_key(w, "key", 1, "x", &again), LOSS_OK);
    assert_string_equal(again.name, "x_1");
    assert_true(again.order == first.order && again.added_at == first.added_at);
    assert_true(again.loss == 0.5 && again.step == 2);
    assert_string_equal(again.collection, REGISTRY_LOSSES);
    assert_string_equal(again.dtype, "float32");
    assert_string_equal(again.reduction, "sum");
    assert_int_equal(add_with_key(w, "key", 2, "x", &again), LOSS_IDEMPOTENCY_CONFLICT);
    assert_string_equal(w->err.parameter, "Idempotency-Key");
    assert_int_equal(add_with_key(w, "Key", 1, "x", &again), LOSS_OK); /* another key */
    assert_string_equal(world_names(w, &ALL), "x x_1 x_2");
}

static void test_registry__keeps_keys_past_deletion_and_for_a_day(void **state)
{
    struct world *w = *state;
    struct registry_entry first, again;
    uint64_t removed;
    assert_int_equal(add_with_key(w, "key", 1, "x", &first), LOSS_OK);
    assert_int_equal(registry_remove(w->registry, "run", NULL, REGISTRY_STEP_ALL, &removed, NULL), LOSS_OK);
    assert_int_equal(add_with_key(w, "key", 1, "x", &again), LOSS_OK);
    assert_true(again.order == first.order);
    assert_string_equal(world_names(w, &ALL), "!unknown_registry");
    w->now += WORLD_KEY_SECONDS * SECOND - 1;
    assert_int_equal(registry_expire(w->registry, NULL), LOSS_OK);
    assert_int_equal(add_with_key(w, "key", 2, "x", &again), LOSS_IDEMPOTENCY_CONFLICT);
    w->now += 1; /* now it is over, also where nobody swept */
    assert_int_equal(add_with_key(w, "key", 2, "x", &again), LOSS_OK);
    assert_string_equal(world_names(w, &ALL), "x");
    w->now += WORLD_KEY_SECONDS * SECOND;
    assert_int_equal(registry_expire(w->registry, NULL), LOSS_OK);
    assert_int_equal(add_with_key(w, "key", 3, "x", &again), LOSS_OK);
    assert_string_equal(world_names(w, &ALL), "x x_1");
}

static void test_registry__refuses_what_is_no_key(void **state)
{
    struct world *w = *state;
    struct registry_entry out;
    char key[257];
    memset(key, 'k', 256);
    key[256] = '\0';
    const char *const bad[] = {"", "a b", "a\tb", "schlüssel", key};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(add_with_key(w, bad[i], 1, "x", &out), LOSS_INVALID_PARAMETER);
        assert_string_equal(w->err.parameter, "Idempotency-Key");
    }
    assert_int_equal(add_with_key(w, key + 1, 1, "x", &out), LOSS_OK);
}

static void test_registry__forgets_after_its_ttl(void **state)
{
    struct world *w = *state;
    uint64_t removed;
    struct registry_info info, *infos;
    size_t count;
    const char *cursor;
    struct registry_query latest = at(REGISTRY_STEP_LATEST);
    world_add(w, "x", 0, 1);
    assert_int_equal(registry_put(w->registry, "run", 10, NULL), LOSS_OK);
    w->now += 6 * SECOND;
    world_add(w, "y", 0, 1); /* a write, from which it counts anew */
    w->now += 6 * SECOND;
    assert_string_equal(world_names(w, &latest), "x y");
    assert_int_equal(registry_remove(w->registry, "run", "y", 0, &removed, NULL), LOSS_OK);
    w->now += 10 * SECOND - 1;
    assert_string_equal(world_names(w, &latest), "x");
    w->now += 1;
    assert_string_equal(world_names(w, &latest), "!unknown_registry");
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, NULL), LOSS_UNKNOWN_REGISTRY);
    assert_int_equal(registry_info_list(w->registry, 0, NULL, w->arena, &infos, &count, &cursor, NULL), LOSS_OK);
    assert_int_equal(count, 0);
    assert_int_equal(registry_remove(w->registry, "run", NULL, REGISTRY_STEP_ALL, &removed, NULL),
                     LOSS_UNKNOWN_REGISTRY);
    assert_string_equal(world_add(w, "x", 0, 1).name, "x"); /* a new one, with nothing of the old */
    assert_string_equal(world_names(w, &latest), "x");
    w->now += 1000 * SECOND;
    assert_string_equal(world_names(w, &latest), "x");
}

static void test_registry__put_makes_a_new_one_of_an_expired_one(void **state)
{
    struct world *w = *state;
    world_add(w, "x", 0, 1);
    assert_int_equal(registry_put(w->registry, "run", 10, NULL), LOSS_OK);
    w->now += 10 * SECOND;
    assert_int_equal(registry_put(w->registry, "run", 0, NULL), LOSS_OK);
    assert_string_equal(world_names(w, &ALL), "");
}

static void test_registry__sweeps_what_is_over(void **state)
{
    struct world *w = *state;
    world_add_to(w, "kept", "x", "losses", 0, 1);
    world_add(w, "x", 0, 1);
    assert_int_equal(registry_put(w->registry, "run", 10, NULL), LOSS_OK);
    w->now += 10 * SECOND;
    assert_int_equal(registry_expire(w->registry, NULL), LOSS_OK);
    w->now -= SECOND; /* as if it were not over yet: but it is gone */
    assert_string_equal(world_names(w, &ALL), "!unknown_registry");
    struct registry_query kept = {.registry = "kept", .step = REGISTRY_STEP_ALL};
    assert_string_equal(world_names(w, &kept), "x");
}

static void test_registry__has_a_default_ttl(void **state)
{
    struct world *w = *state;
    w->ttl = 20;
    world_reopen(w);
    world_add(w, "x", 0, 1);
    world_add_to(w, "own", "x", "losses", 0, 1);
    assert_int_equal(registry_put(w->registry, "own", 40, NULL), LOSS_OK);
    struct registry_query own = {.registry = "own", .step = REGISTRY_STEP_ALL};
    w->now += 20 * SECOND - 1;
    assert_string_equal(world_names(w, &ALL), "x");
    w->now += 1;
    assert_string_equal(world_names(w, &ALL), "!unknown_registry");
    assert_string_equal(world_names(w, &own), "x");
    assert_int_equal(registry_expire(w->registry, NULL), LOSS_OK);
    assert_string_equal(world_names(w, &own), "x");
}

static void test_registry__fails_without_changing_anything_when_the_arena_is_full(void **state)
{
    struct world *w = *state;
    struct loss_arena *tiny = loss_arena_new(0, NULL);
    struct registry_entry out;
    struct registry_add add = {.registry = "run",
                               .name = "x",
                               .collection = REGISTRY_LOSSES,
                               .dtype = "",
                               .reduction = "",
                               .key = {.key = "key"}};
    assert_int_equal(registry_add(w->registry, &add, tiny, &out, NULL), LOSS_OVERLOADED);
    assert_string_equal(world_names(w, &ALL), "!unknown_registry");
    assert_int_equal(registry_add(w->registry, &add, w->arena, &out, NULL), LOSS_OK);
    struct registry_page page;
    assert_int_equal(registry_list(w->registry, &ALL, tiny, &page, NULL), LOSS_OVERLOADED);
    assert_string_equal(world_names(w, &ALL), "x");
    loss_arena_free(tiny);
}

static void test_registry__is_ready(void **state)
{
    struct world *w = *state;
    assert_int_equal(registry_ready(w->registry, &w->err), LOSS_OK);
}

static void test_registry__refuses_unknown_kinds_of_store(void **state)
{
    static const char *const urls[] = {
        "", "memory:", "sqlite", "sqlite:", "redis", "valkey://localhost", "/var/lib/registry.db"};
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct registry_options options = {.url = urls[i]};
        struct registry *r = NULL;
        assert_int_equal(registry_open(&options, &r, NULL), LOSS_INVALID_PARAMETER);
        assert_null(r);
    }
}

static void test_registry__uses_the_system_clock_by_itself(void **state)
{
    struct world *w = *state;
    struct registry_options options = {.url = "memory", .idempotency_seconds = 1};
    struct registry *r;
    struct registry_entry out;
    struct registry_add add = {
        .registry = "run", .name = "x", .collection = REGISTRY_LOSSES, .dtype = "", .reduction = ""};
    assert_int_equal(registry_open(&options, &r, NULL), LOSS_OK);
    assert_int_equal(registry_add(r, &add, w->arena, &out, NULL), LOSS_OK);
    assert_true(out.added_at > 1700000000 * SECOND);
    registry_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_EACH_STORE(test_registry__keeps_an_entry_as_it_was_added),
        ON_EACH_STORE(test_registry__keeps_every_double_to_the_bit),
        ON_EACH_STORE(test_registry__gives_the_next_free_suffix),
        ON_EACH_STORE(test_registry__gives_a_removed_name_again),
        ON_EACH_STORE(test_registry__refuses_a_taken_name_without_room_for_a_suffix),
        ON_EACH_STORE(test_registry__names_thousands_alike),
        ON_EACH_STORE(test_registry__adds_all_or_none),
        cmocka_unit_test(test_registry__checks_names),
        ON_EACH_STORE(test_registry__knows_only_what_was_made),
        ON_EACH_STORE(test_registry__reads_steps),
        ON_EACH_STORE(test_registry__picks_by_collection_name_and_scope),
        ON_EACH_STORE(test_registry__totals_exactly),
        ON_EACH_STORE(test_registry__removes_what_is_meant),
        ON_EACH_STORE(test_registry__removes_nothing_when_the_scope_runs_away),
        ON_EACH_STORE(test_registry__pages_through_a_list),
        ON_EACH_STORE(test_registry__refuses_a_bad_cursor),
        ON_EACH_STORE(test_registry__lists_registries_by_name),
        ON_EACH_STORE(test_registry__adds_once_a_key),
        ON_EACH_STORE(test_registry__keeps_keys_past_deletion_and_for_a_day),
        ON_EACH_STORE(test_registry__refuses_what_is_no_key),
        ON_EACH_STORE(test_registry__forgets_after_its_ttl),
        ON_EACH_STORE(test_registry__put_makes_a_new_one_of_an_expired_one),
        ON_EACH_STORE(test_registry__sweeps_what_is_over),
        ON_EACH_STORE(test_registry__has_a_default_ttl),
        ON_EACH_STORE(test_registry__fails_without_changing_anything_when_the_arena_is_full),
        ON_EACH_STORE(test_registry__is_ready),
        cmocka_unit_test(test_registry__refuses_unknown_kinds_of_store),
        ON_STORE(test_registry__uses_the_system_clock_by_itself, "memory"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
