/* SPDX-License-Identifier: Apache-2.0
 *
 * test_spaces.c - namespaces that know nothing of one another, held against every store.
 */
#include "support/registry_world.h"

#include <registry/store.h>

/* Two namespaces, the default one by its name, and the registry that has them. */
struct spaces {
    struct registry *alpha, *beta, *standard, *root;
};

static struct spaces open_spaces(struct world *w)
{
    struct spaces s = {.root = w->registry};
    assert_int_equal(registry_space(w->registry, "alpha", &s.alpha, &w->err), LOSS_OK);
    assert_int_equal(registry_space(w->registry, "beta", &s.beta, &w->err), LOSS_OK);
    assert_int_equal(registry_space(w->registry, REGISTRY_SPACE_DEFAULT, &s.standard, &w->err), LOSS_OK);
    return s;
}

static void close_spaces(struct spaces *s)
{
    registry_close(s->alpha);
    registry_close(s->beta);
    registry_close(s->standard);
}

static loss_status add_under(struct world *w, struct registry *r, const char *registry, const char *key, double loss)
{
    struct registry_entry out;
    struct registry_add add = {.registry = registry,
                               .name = "x",
                               .collection = REGISTRY_LOSSES,
                               .loss = loss,
                               .dtype = "",
                               .reduction = "",
                               .key = {.key = key, .fingerprint = {1}}};
    w->err = (struct loss_error){0};
    return registry_add(r, &add, w->arena, &out, &w->err);
}

static double total_of(struct world *w, struct registry *r, const char *registry)
{
    const struct registry_query query = {.registry = registry, .step = REGISTRY_STEP_LATEST};
    double total;
    uint64_t count;
    w->err = (struct loss_error){0};
    return registry_total(r, &query, true, true, &total, &count, &w->err) == LOSS_OK ? total : -1;
}

/* The registries there are, `limit` a page, joined by spaces. */
static const char *listed(struct world *w, struct registry *r, size_t limit)
{
    const char *names = "", *cursor = NULL;
    do {
        struct registry_info *infos;
        size_t count;
        assert_int_equal(registry_info_list(r, limit, cursor, w->arena, &infos, &count, &cursor, &w->err), LOSS_OK);
        for (size_t i = 0; i < count; i++) {
            names = loss_arena_format(w->arena, "%s%s%s", names, names[0] == '\0' ? "" : " ", infos[i].registry);
        }
    } while (cursor != NULL);
    return names;
}

static void test_spaces__have_registries_of_the_same_name(void **state)
{
    struct world *w = *state;
    struct spaces s = open_spaces(w);
    assert_int_equal(add_under(w, s.alpha, "run", NULL, 1), LOSS_OK);
    assert_int_equal(add_under(w, s.beta, "run", NULL, 2), LOSS_OK);
    assert_int_equal(add_under(w, s.root, "run", NULL, 4), LOSS_OK);
    assert_true(total_of(w, s.alpha, "run") == 1);
    assert_true(total_of(w, s.beta, "run") == 2);
    assert_true(total_of(w, s.root, "run") == 4);
    assert_true(total_of(w, s.standard, "run") == 4);
    close_spaces(&s);
}

static void test_spaces__cannot_tell_that_anothers_registry_is_there(void **state)
{
    struct world *w = *state;
    struct spaces s = open_spaces(w);
    const struct registry_query query = {.registry = "secret", .step = REGISTRY_STEP_ALL};
    struct registry_page page;
    struct registry_info info;
    uint64_t removed;
    assert_int_equal(add_under(w, s.alpha, "secret", NULL, 1), LOSS_OK);
    struct registry *others[] = {s.beta, s.root, s.standard};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char said[sizeof w->err.message];
        w->err = (struct loss_error){0};
        assert_int_equal(registry_list(others[i], &query, w->arena, &page, &w->err), LOSS_UNKNOWN_REGISTRY);
        snprintf(said, sizeof said, "%s", w->err.message);
        assert_string_equal(said, "there is no registry \"secret\"; adding to it or a PUT makes it");
        assert_int_equal(registry_info_get(others[i], "secret", w->arena, &info, NULL), LOSS_UNKNOWN_REGISTRY);
        assert_int_equal(registry_remove(others[i], "secret", NULL, REGISTRY_STEP_ALL, &removed, NULL),
                         LOSS_UNKNOWN_REGISTRY);
        assert_int_equal(registry_remove(others[i], "secret", "x", REGISTRY_STEP_ALL, &removed, NULL),
                         LOSS_UNKNOWN_REGISTRY);
        assert_string_equal(listed(w, others[i], 0), "");
    }
    assert_true(total_of(w, s.alpha, "secret") == 1);
    close_spaces(&s);
}

static void test_spaces__list_their_own_alone_page_by_page(void **state)
{
    static const char *const names[] = {"!", "a", "alpha", "beta", "zz", "ünï"};
    struct world *w = *state;
    struct spaces s = open_spaces(w);
    struct registry *all[] = {s.alpha, s.beta, s.root};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
            if ((i + k) % 3 != 0) {
                assert_int_equal(registry_put(all[k], names[i], 0, &w->err), LOSS_OK);
            }
        }
    }
    for (size_t limit = 0; limit <= 5; limit++) {
        assert_string_equal(listed(w, s.alpha, limit), "a alpha zz ünï");
        assert_string_equal(listed(w, s.beta, limit), "! a beta zz");
        assert_string_equal(listed(w, s.root, limit), "! alpha beta ünï");
        assert_string_equal(listed(w, s.standard, limit), "! alpha beta ünï");
    }
    close_spaces(&s);
}

static void test_spaces__have_idempotency_keys_of_their_own(void **state)
{
    struct world *w = *state;
    struct spaces s = open_spaces(w);
    assert_int_equal(add_under(w, s.alpha, "run", "key", 1), LOSS_OK);
    assert_int_equal(add_under(w, s.beta, "run", "key", 2), LOSS_OK);
    assert_int_equal(add_under(w, s.root, "run", "key", 4), LOSS_OK);
    assert_int_equal(add_under(w, s.alpha, "run", "key", 1), LOSS_OK); /* a repeat */
    assert_true(total_of(w, s.alpha, "run") == 1);
    assert_true(total_of(w, s.beta, "run") == 2);
    assert_true(total_of(w, s.root, "run") == 4);
    struct registry_add other = {.registry = "run",
                                 .name = "x",
                                 .collection = REGISTRY_LOSSES,
                                 .dtype = "",
                                 .reduction = "",
                                 .key = {.key = "key", .fingerprint = {2}}};
    struct registry_entry out;
    w->err = (struct loss_error){0};
    assert_int_equal(registry_add(s.alpha, &other, w->arena, &out, &w->err), LOSS_IDEMPOTENCY_CONFLICT);
    assert_string_equal(w->err.message, "the key \"key\" was used for another request; take a new key");
    close_spaces(&s);
}

static void test_spaces__are_deleted_from_alone(void **state)
{
    struct world *w = *state;
    struct spaces s = open_spaces(w);
    struct registry *all[] = {s.alpha, s.beta, s.root};
    uint64_t removed;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(add_under(w, all[i], "run", NULL, (double)i), LOSS_OK);
        assert_int_equal(add_under(w, all[i], "run", NULL, 10), LOSS_OK);
    }
    assert_int_equal(registry_remove(s.alpha, "run", NULL, REGISTRY_STEP_ALL, &removed, &w->err), LOSS_OK);
    assert_int_equal(removed, 2);
    assert_int_equal(registry_remove(s.root, "run", "x_1", REGISTRY_STEP_ALL, &removed, &w->err), LOSS_OK);
    assert_int_equal(removed, 1);
    assert_string_equal(listed(w, s.alpha, 0), "");
    assert_true(total_of(w, s.beta, "run") == 11);
    assert_true(total_of(w, s.root, "run") == 2);
    close_spaces(&s);
}

static void test_spaces__outlive_the_process(void **state)
{
    struct world *w = *state;
    struct spaces s = open_spaces(w);
    assert_int_equal(add_under(w, s.alpha, "run", "key", 1), LOSS_OK);
    close_spaces(&s);
    world_reopen(w);
    s = open_spaces(w);
    assert_int_equal(add_under(w, s.alpha, "run", "key", 1), LOSS_OK);
    assert_true(total_of(w, s.alpha, "run") == 1);
    assert_string_equal(listed(w, s.alpha, 0), "run");
    assert_string_equal(listed(w, s.root, 0), "");
    close_spaces(&s);
}

static void test_spaces__are_found_one_after_the_other(void **state)
{
    static const char *const spaces[] = {"a", "a-b", "a.b", "a0", "aa", "b", "default", "z"};
    struct world *w = *state;
    struct registry *r;
    char space[REGISTRY_SPACE_MAX + 1] = "";
    const char *found = "";
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        assert_int_equal(registry_space(w->registry, spaces[i], &r, &w->err), LOSS_OK);
        assert_int_equal(registry_put(r, "one", 0, &w->err), LOSS_OK);
        assert_int_equal(registry_put(r, "two", 0, &w->err), LOSS_OK);
        registry_close(r);
    }
    for (;;) {
        assert_int_equal(registry_next_space(w->registry, space, &w->err), LOSS_OK);
        if (space[0] == '\0') {
            break;
        }
        found = loss_arena_format(w->arena, "%s%s ", found, space);
    }
    assert_string_equal(found, "a a-b a.b a0 aa b z ");
}

static loss_status join_entry(void *arg, const struct registry_entry *entry, bool *more, struct loss_error *err)
{
    (void)more;
    (void)err;
    snprintf((char *)arg + strlen(arg), 100, "%s=%g ", entry->name, entry->loss);
    return LOSS_OK;
}

static loss_status join_key(void *arg, const struct registry_kept_key *key, bool *more, struct loss_error *err)
{
    (void)more;
    (void)err;
    snprintf((char *)arg + strlen(arg), 100, "%s=%g ", key->key.key, key->entries[0].loss);
    return LOSS_OK;
}

static loss_status give_one(void *arg, const struct registry_entry **e, struct loss_error *err)
{
    const struct registry_entry **next = arg;
    (void)err;
    *e = *next;
    *next = NULL;
    return LOSS_OK;
}

static void restore_into(struct world *w, struct registry *r)
{
    const struct registry_entry entry = {
        .name = "x", .collection = REGISTRY_LOSSES, .loss = 7, .dtype = "", .reduction = "", .added_at = 1};
    const struct registry_entry *next = &entry;
    const struct registry_image image = {.registry = "back", .updated_at = w->now, .next = give_one, .arg = &next};
    const struct registry_kept_key key = {
        .key = {.key = "again", .fingerprint = {1}}, .created_at = w->now, .entries = &entry, .n = 1};
    w->err = (struct loss_error){0};
    assert_int_equal(registry_restore(r, &image, REGISTRY_REFUSE, &w->err), LOSS_OK);
    assert_int_equal(registry_restore_key(r, &key, REGISTRY_REFUSE, &w->err), LOSS_OK);
}

static void test_spaces__are_walked_and_restored_alone(void **state)
{
    struct world *w = *state;
    struct spaces s = open_spaces(w);
    struct registry *all[] = {s.alpha, s.beta, s.root};
    static const char *const expected[] = {"key=0 ", "key=1 ", "key=2 "};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(add_under(w, all[i], "run", "key", (double)i), LOSS_OK);
    }
    for (size_t i = 0; i < 3; i++) {
        char entries[200] = "", keys[200] = "", entry[16];
        assert_int_equal(registry_walk(all[i], "run", join_entry, entries, &w->err), LOSS_OK);
        snprintf(entry, sizeof entry, "x=%zu ", i);
        assert_string_equal(entries, entry);
        assert_int_equal(registry_walk_keys(all[i], join_key, keys, &w->err), LOSS_OK);
        assert_string_equal(keys, expected[i]);
    }
    restore_into(w, s.alpha);
    restore_into(w, s.root); /* its name is not taken there */
    assert_true(total_of(w, s.beta, "back") == -1);
    assert_int_equal(add_under(w, s.alpha, "back", "again", 1), LOSS_OK); /* a repeat, then */
    assert_true(total_of(w, s.alpha, "back") == 7);
    close_spaces(&s);
}

static void test_spaces__take_names_as_long_as_any(void **state)
{
    struct world *w = *state;
    char space[REGISTRY_SPACE_MAX + 2], name[REGISTRY_NAME_MAX + 1], key[REGISTRY_KEY_MAX + 1];
    struct registry *r;
    memset(space, 's', sizeof space);
    memset(name, 'n', sizeof name);
    memset(key, 'k', sizeof key);
    space[REGISTRY_SPACE_MAX + 1] = name[REGISTRY_NAME_MAX] = key[REGISTRY_KEY_MAX] = '\0';
    assert_false(registry_is_space(space));
    space[REGISTRY_SPACE_MAX] = '\0';
    assert_true(registry_is_space(space));
    assert_int_equal(registry_space(w->registry, space, &r, &w->err), LOSS_OK);
    assert_int_equal(add_under(w, r, name, key, 1), LOSS_OK);
    assert_int_equal(add_under(w, r, name, key, 1), LOSS_OK);
    assert_true(total_of(w, r, name) == 1);
    assert_string_equal(listed(w, r, 1), name);
    registry_close(r);
}

static void test_spaces__have_plain_names(void **state)
{
    (void)state;
    assert_true(registry_is_space("a"));
    assert_true(registry_is_space("0"));
    assert_true(registry_is_space("Team-A_1.prod"));
    assert_false(registry_is_space(""));
    assert_false(registry_is_space("-a"));
    assert_false(registry_is_space(".a"));
    assert_false(registry_is_space("a b"));
    assert_false(registry_is_space("a\x1f"));
    assert_false(registry_is_space("ä"));
    assert_string_equal(store_shown("run"), "run");
    assert_string_equal(store_shown("\x1f"
                                    "alpha\x1frun"),
                        "run");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_EACH_STORE(test_spaces__have_registries_of_the_same_name),
        ON_EACH_STORE(test_spaces__cannot_tell_that_anothers_registry_is_there),
        ON_EACH_STORE(test_spaces__list_their_own_alone_page_by_page),
        ON_EACH_STORE(test_spaces__have_idempotency_keys_of_their_own),
        ON_EACH_STORE(test_spaces__are_deleted_from_alone),
        ON_STORE(test_spaces__outlive_the_process, "sqlite"),
        ON_EACH_STORE(test_spaces__are_found_one_after_the_other),
        ON_STORE(test_spaces__are_walked_and_restored_alone, "sqlite"),
        ON_EACH_STORE(test_spaces__take_names_as_long_as_any),
        cmocka_unit_test(test_spaces__have_plain_names),
    };
    return cmocka_run_group_tests_name("spaces", tests, NULL, NULL);
}
