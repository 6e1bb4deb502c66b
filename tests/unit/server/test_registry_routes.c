/* SPDX-License-Identifier: Apache-2.0
 *
 * test_registry_routes.c - registry calls from query and body to status and JSON, without HTTP.
 *
 * A case is a request line and body, and what must come of it: the status and the body in full, where times are @.
 */
#include <server/formats/json_result.h>
#include <server/http/uri.h>
#include <server/routes/registry_routes.h>
#include <server/routes/routes.h>
#include <server/server.h>

#include "support/registry_world.h"

struct client {
    struct world world;
    struct server server;
    struct loss_error err;
    const char *key;
    unsigned char fingerprint;
};

static int setup(void **state)
{
    struct client *c = calloc(1, sizeof *c);
    struct registry_options options = {
        .url = "memory", .idempotency_seconds = 60, .now_us = world_now, .now_arg = &c->world};
    c->world.now = 1700000000 * SECOND + 42;
    *state = c;
    return registry_open(&options, &c->server.registries, &c->err) == LOSS_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct client *c = *state;
    registry_close(c->server.registries);
    loss_arena_free(c->world.arena);
    free(c);
    return 0;
}

/* What the client gets: "201 {...}", or "400 slug pointer-or-parameter". Valid until the next call. */
static const char *call(struct client *c, const char *method, const char *target, const char *body)
{
    bool known;
    loss_arena_free(c->world.arena);
    c->world.arena = loss_arena_new(64u << 20, NULL);
    c->err = (struct loss_error){0};
    struct reply r = {0};
    struct request q = {.arena = c->world.arena,
                        .server = &c->server,
                        .registry = c->server.registries,
                        .method = method,
                        .target = target,
                        .content_type = "application/json",
                        .idempotency_key = c->key,
                        .fingerprint = {c->fingerprint},
                        .body = body,
                        .content_size = strlen(body)};
    assert_int_equal(uri_read(&q, &c->err), LOSS_OK);
    q.route = routes_match(&q, &known);
    assert_non_null(q.route);
    bool met_store = q.route->start == NEXT_STORE;
    loss_status status = LOSS_OK;
    for (q.next = q.route->start; status == LOSS_OK && q.next != NEXT_DONE;) {
        status = q.route->step(&q, &r, &c->err);
        met_store |= q.next == NEXT_STORE;
    }
    if (status != LOSS_OK) {
        assert_int_equal(status, c->err.status);
        return loss_arena_format(c->world.arena, "%d %s %s%s", loss_status_http(status), loss_status_slug(status),
                                 c->err.pointer, c->err.parameter);
    }
    assert_true(met_store);
    assert_string_equal(r.content_type, "application/json");
    return loss_arena_format(c->world.arena, "%d %.*s", r.status, (int)r.size, r.body);
}

#define TIME "\"2023-11-14T22:13:20.000042Z\""

/* `expected` with @ for TIME. */
static void expect(struct client *c, const char *method, const char *target, const char *body, const char *expected)
{
    const char *got = call(c, method, target, body);
    const char *g = got;
    for (const char *e = expected;; e++, g++) {
        if (*e == '@' && strncmp(g, TIME, strlen(TIME)) == 0) {
            g += strlen(TIME) - 1;
        } else if (*e != *g) {
            fail_msg("%s %s %s\n expected %s\n      got %s\n     says %s", method, target, body, expected, got,
                     c->err.message);
        } else if (*e == '\0') {
            return;
        }
    }
}

#define LOSSES "/v1/registries/run/losses"

static void test_routes__add_by_hand(void **state)
{
    struct client *c = *state;
    expect(c, "POST", LOSSES, "{\"loss\": 0.5, \"name\": \"head/xent\", \"step\": 3, \"collection\": \"extra\"}",
           "201 "
           "{\"name\":\"head/"
           "xent\",\"loss\":0.5,\"step\":3,\"collection\":\"extra\",\"dtype\":null,\"reduction\":null,\"added_at\":@}");
    expect(c, "POST", LOSSES, "{\"loss\": 1}",
           "201 "
           "{\"name\":\"loss\",\"loss\":1.0,\"step\":0,\"collection\":\"losses\",\"dtype\":null,\"reduction\":null,"
           "\"added_at\":@}");
    expect(c, "POST", LOSSES, "{\"loss\": NaN}",
           "201 "
           "{\"name\":\"loss_1\",\"loss\":null,\"step\":0,\"collection\":\"losses\",\"dtype\":null,\"reduction\":null,"
           "\"added_at\":@}");
    expect(c, "POST", "/v1/registries/run/regularization_losses", "{\"loss\": 0.1, \"name\": \"l2\"}",
           "201 "
           "{\"name\":\"l2\",\"loss\":0.1,\"step\":0,\"collection\":\"regularization_losses\",\"dtype\":null,"
           "\"reduction\":null,\"added_at\":@}");
    expect(c, "POST", "/v1/registries/a%2Fb/losses", "{\"loss\": 1, \"step\": 9007199254740992}",
           "201 "
           "{\"name\":\"loss\",\"loss\":1.0,\"step\":9007199254740992,\"collection\":\"losses\",\"dtype\":null,"
           "\"reduction\":null,\"added_at\":@}");
    expect(c, "GET", "/v1/registries/a%2Fb/losses/loss", "",
           "200 "
           "{\"name\":\"loss\",\"loss\":1.0,\"step\":9007199254740992,\"collection\":\"losses\",\"dtype\":null,"
           "\"reduction\":null,\"added_at\":@}");
}

static void test_routes__refuse_bad_bodies_and_add_nothing(void **state)
{
    static const struct {
        const char *where, *body, *expected;
    } cases[] = {
        {LOSSES, "", "400 malformed_json "},
        {LOSSES, "{", "400 malformed_json "},
        {LOSSES, "{}", "400 missing_field /loss"},
        {LOSSES, "{\"loss\": \"1\"}", "400 invalid_parameter /loss"},
        {LOSSES, "{\"loss\": null}", "400 invalid_parameter /loss"},
        {LOSSES, "{\"loss\": 1e999}", "400 number_out_of_range /loss"},
        {LOSSES, "{\"loss\": 1, \"los\": 1}", "400 unknown_field /los"},
        {LOSSES, "{\"loss\": 1, \"loss\": 1}", "400 duplicate_field /loss"},
        {LOSSES, "{\"loss\": 1, \"step\": -1}", "400 invalid_parameter /step"},
        {LOSSES, "{\"loss\": 1, \"step\": 0.5}", "400 invalid_parameter /step"},
        {LOSSES, "{\"loss\": 1, \"step\": 9007199254740993}", "400 invalid_parameter /step"},
        {LOSSES, "{\"loss\": 1, \"step\": \"all\"}", "400 invalid_parameter /step"},
        {LOSSES, "{\"loss\": 1, \"name\": \"\"}", "400 invalid_name /name"},
        {LOSSES, "{\"loss\": 1, \"name\": \"a\\nb\"}", "400 invalid_name /name"},
        {LOSSES, "{\"loss\": 1, \"name\": \"a\\u0000b\"}", "400 invalid_name /name"},
        {LOSSES, "{\"loss\": 1, \"collection\": \"\"}", "400 invalid_name /collection"},
        {"/v1/registries/run/regularization_losses", "{\"loss\": 1, \"collection\": \"losses\"}",
         "400 unknown_field /collection"},
        {"/v1/registries/%0A/losses", "{\"loss\": 1}", "400 invalid_name registry"},
        {"/v1/registries//losses", "{\"loss\": 1}", "400 invalid_name registry"},
    };
    struct client *c = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect(c, "POST", cases[i].where, cases[i].body, cases[i].expected);
    }
    expect(c, "GET", "/v1/registries", "", "200 {\"registries\":[]}");
}

static void test_routes__refuse_bad_queries(void **state)
{
    static const struct {
        const char *target, *expected;
    } cases[] = {
        {LOSSES "?step=", "400 invalid_parameter step"},
        {LOSSES "?step=-1", "400 invalid_parameter step"},
        {LOSSES "?step=1.0", "400 invalid_parameter step"},
        {LOSSES "?step=+1", "400 invalid_parameter step"},
        {LOSSES "?step=9007199254740993", "400 invalid_parameter step"},
        {LOSSES "?step=99999999999999999999", "400 invalid_parameter step"},
        {LOSSES "?step=ALL", "400 invalid_parameter step"},
        {LOSSES "?scope=", "400 invalid_parameter scope"},
        {LOSSES "?scope=(", "400 invalid_scope scope"},
        {LOSSES "?collection=", "400 invalid_parameter collection"},
        {LOSSES "?limit=", "400 invalid_parameter limit"},
        {LOSSES "?limit=0", "400 invalid_parameter limit"},
        {LOSSES "?limit=1001", "400 invalid_parameter limit"},
        {LOSSES "?limit=x", "400 invalid_parameter limit"},
        {LOSSES "?cursor=", "400 invalid_parameter cursor"},
        {LOSSES "?cursor=1", "400 invalid_parameter cursor"},
        {LOSSES "/x?step=all", "400 invalid_parameter step"},
        {LOSSES "/%7F", "400 invalid_name name"},
        {"/v1/registries?limit=0", "400 invalid_parameter limit"},
        {"/v1/registries?cursor=g0", "400 invalid_parameter cursor"},
        {"/v1/registries/run/total_loss?step=all", "400 invalid_parameter step"},
        {"/v1/registries/run/total_loss?add_regularization_losses=1",
         "400 invalid_parameter add_regularization_losses"},
        {"/v1/registries/run/total_loss?add_regularization_losses=", "400 invalid_parameter add_regularization_losses"},
        {"/v1/registries/run/regularization_loss?step=all", "400 invalid_parameter step"},
        {"/v1/registries/run/regularization_losses?limit=1e3", "400 invalid_parameter limit"},
    };
    struct client *c = *state;
    call(c, "POST", LOSSES, "{\"loss\": 1}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect(c, "GET", cases[i].target, "", cases[i].expected);
    }
    expect(c, "DELETE", "/v1/registries/run?step=", "", "400 invalid_parameter step");
    expect(c, "DELETE", "/v1/registries/run?scope=", "", "400 invalid_parameter scope");
    expect(c, "DELETE", "/v1/registries/run?scope=[", "", "400 invalid_scope scope");
    expect(c, "GET", "/v1/registries/run/total_loss", "", "200 {\"total_loss\":1.0,\"count\":1}");
}

static void test_routes__know_only_what_was_made(void **state)
{
    static const char *const targets[] = {
        LOSSES,
        LOSSES "/x",
        "/v1/registries/run",
        "/v1/registries/run/total_loss",
        "/v1/registries/run/regularization_loss",
        "/v1/registries/run/regularization_losses",
    };
    struct client *c = *state;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        expect(c, "GET", targets[i], "", "404 unknown_registry ");
    }
    expect(c, "DELETE", "/v1/registries/run", "", "404 unknown_registry ");
    expect(c, "DELETE", "/v1/registries/run?step=1", "", "404 unknown_registry ");
}

static void add(struct client *c, const char *name, const char *collection, int step, const char *loss)
{
    char body[200];
    snprintf(body, sizeof body, "{\"name\": \"%s\", \"collection\": \"%s\", \"step\": %d, \"loss\": %s}", name,
             collection, step, loss);
    assert_memory_equal(call(c, "POST", LOSSES, body), "201", 3);
}

#define ENTRY(name, loss, step, collection)                                                                            \
    "{\"name\":\"" name "\",\"loss\":" loss ",\"step\":" step ",\"collection\":\"" collection                          \
    "\",\"dtype\":null,\"reduction\":null,\"added_at\":@}"

static void test_routes__list(void **state)
{
    struct client *c = *state;
    add(c, "head/x", "losses", 0, "1");
    add(c, "head/x", "losses", 2, "2");
    add(c, "tail", "losses", 2, "3");
    add(c, "w", "regularization_losses", 2, "4");
    add(c, "e", "extra", 2, "5");
    expect(c, "GET", LOSSES, "",
           "200 {\"losses\":[" ENTRY("head/x", "2.0", "2", "losses") "," ENTRY("tail", "3.0", "2", "losses") "]}");
    expect(c, "GET", LOSSES "?step=0", "", "200 {\"losses\":[" ENTRY("head/x", "1.0", "0", "losses") "]}");
    expect(c, "GET", LOSSES "?step=1", "", "200 {\"losses\":[]}");
    expect(c, "GET", LOSSES "?scope=head/&step=all", "",
           "200 {\"losses\":[" ENTRY("head/x", "1.0", "0", "losses") "," ENTRY("head/x", "2.0", "2", "losses") "]}");
    expect(c, "GET", LOSSES "?collection=extra", "", "200 {\"losses\":[" ENTRY("e", "5.0", "2", "extra") "]}");
    expect(c, "GET", "/v1/registries/run/regularization_losses", "",
           "200 {\"regularization_losses\":[" ENTRY("w", "4.0", "2", "regularization_losses") "]}");
    expect(c, "GET", "/v1/registries/run/regularization_losses?scope=x", "", "200 {\"regularization_losses\":[]}");
    expect(c, "GET", LOSSES "/e", "", "200 " ENTRY("e", "5.0", "2", "extra"));
    expect(c, "GET", LOSSES "/head%2Fx?step=0", "", "200 " ENTRY("head/x", "1.0", "0", "losses"));
    expect(c, "GET", LOSSES "/head", "", "404 not_found ");
}

static void test_routes__page(void **state)
{
    struct client *c = *state;
    char target[200];
    add(c, "a", "losses", 0, "1");
    add(c, "b", "losses", 0, "2");
    add(c, "c", "losses", 0, "3");
    const char *answer = call(c, "GET", LOSSES "?limit=2", "");
    const char *cursor = strstr(answer, "\"next_cursor\":\"");
    assert_non_null(cursor);
    assert_non_null(strstr(answer, "\"b\""));
    snprintf(target, sizeof target, LOSSES "?limit=2&cursor=%.32s", cursor + 15);
    expect(c, "GET", target, "", "200 {\"losses\":[" ENTRY("c", "3.0", "0", "losses") "]}");

    assert_memory_equal(call(c, "PUT", "/v1/registries/z", ""), "200", 3);
    answer = call(c, "GET", "/v1/registries?limit=1", "");
    cursor = strstr(answer, "\"next_cursor\":\"");
    assert_non_null(cursor);
    snprintf(target, sizeof target, "/v1/registries?cursor=%.6s", cursor + 15);
    expect(
        c, "GET", target, "",
        "200 {\"registries\":[{\"registry\":\"z\",\"entries\":0,\"steps\":0,\"latest_step\":null,\"updated_at\":@}]}");
}

static void test_routes__total(void **state)
{
    struct client *c = *state;
    add(c, "big", "losses", 0, "1e100");
    add(c, "one", "losses", 0, "1");
    add(c, "big", "losses", 0, "-1e100");
    expect(c, "GET", "/v1/registries/run/regularization_loss", "", "200 {\"regularization_loss\":0.0,\"count\":0}");
    add(c, "w", "regularization_losses", 0, "0.5");
    expect(c, "GET", "/v1/registries/run/total_loss", "", "200 {\"total_loss\":1.5,\"count\":4}");
    expect(c, "GET", "/v1/registries/run/total_loss?add_regularization_losses=true&scope=big", "",
           "200 {\"total_loss\":0.0,\"count\":2}");
    expect(c, "GET", "/v1/registries/run/total_loss?add_regularization_losses=false", "",
           "200 {\"total_loss\":1.0,\"count\":3}");
    expect(c, "GET", "/v1/registries/run/regularization_loss?scope=w&step=0", "",
           "200 {\"regularization_loss\":0.5,\"count\":1}");
    expect(c, "GET", "/v1/registries/run/total_loss?step=1", "", "409 no_losses ");
    expect(c, "GET", "/v1/registries/run/total_loss?scope=none", "", "409 no_losses ");
    add(c, "nan", "losses", 0, "NaN");
    expect(c, "GET", "/v1/registries/run/total_loss", "", "200 {\"total_loss\":null,\"count\":5}");
}

#define INFO(entries, steps, latest, rest)                                                                             \
    "200 {\"registry\":\"run\",\"entries\":" entries ",\"steps\":" steps ",\"latest_step\":" latest                    \
    ",\"updated_at\":@" rest "}"

static void test_routes__make_tell_of_and_delete_registries(void **state)
{
    struct client *c = *state;
    expect(c, "PUT", "/v1/registries/run", "{\"ttl\": 60}", INFO("0", "0", "null", ",\"ttl\":60"));
    expect(c, "PUT", "/v1/registries/run", "", INFO("0", "0", "null", ""));
    expect(c, "PUT", "/v1/registries/run", "{}", INFO("0", "0", "null", ""));
    expect(c, "PUT", "/v1/registries/run", "{\"ttl\": 3155760000}", INFO("0", "0", "null", ",\"ttl\":3155760000"));
    expect(c, "PUT", "/v1/registries/run", "{\"ttl\": 3155760001}", "400 invalid_parameter /ttl");
    expect(c, "PUT", "/v1/registries/run", "{\"ttl\": 0}", "400 invalid_parameter /ttl");
    expect(c, "PUT", "/v1/registries/run", "{\"ttl\": \"60\"}", "400 invalid_parameter /ttl");
    expect(c, "PUT", "/v1/registries/run", "{\"tll\": 60}", "400 unknown_field /tll");
    expect(c, "PUT", "/v1/registries/run", "[]", "400 malformed_json ");
    add(c, "a/1", "losses", 0, "1");
    add(c, "a/2", "extra", 7, "1");
    add(c, "b", "losses", 7, "1");
    expect(c, "GET", "/v1/registries/run", "", INFO("3", "2", "7", ",\"ttl\":3155760000"));
    expect(c, "DELETE", "/v1/registries/run?scope=a/&step=7", "", "200 {\"removed\":1}");
    expect(c, "DELETE", "/v1/registries/run?scope=a/", "", "200 {\"removed\":1}");
    expect(c, "DELETE", "/v1/registries/run?step=3", "", "200 {\"removed\":0}");
    expect(c, "DELETE", "/v1/registries/run?step=all", "", "200 {\"removed\":1}");
    expect(c, "GET", "/v1/registries/run", "", INFO("0", "0", "null", ",\"ttl\":3155760000"));
    add(c, "b", "losses", 7, "1");
    expect(c, "DELETE", "/v1/registries/run", "", "200 {\"removed\":1}");
    expect(c, "GET", "/v1/registries/run", "", "404 unknown_registry ");
}

static void test_routes__answer_a_repeat_again(void **state)
{
    struct client *c = *state;
    c->key = "key";
    expect(c, "POST", LOSSES, "{\"loss\": 1}", "201 " ENTRY("loss", "1.0", "0", "losses"));
    expect(c, "POST", LOSSES, "{\"loss\": 1}", "201 " ENTRY("loss", "1.0", "0", "losses"));
    c->fingerprint = 1;
    expect(c, "POST", LOSSES, "{\"loss\": 2}", "409 idempotency_conflict Idempotency-Key");
    c->key = NULL;
    expect(c, "GET", LOSSES, "", "200 {\"losses\":[" ENTRY("loss", "1.0", "0", "losses") "]}");
}

/* As json_encode prints it behind a computation. */
static void test_routes__print_an_entry_in_its_dtype(void **state)
{
    struct client *c = *state;
    struct json_out o;
    struct registry_entry e = {.name = "a\"b",
                               .collection = "losses",
                               .loss = (double)0.1f,
                               .step = 1,
                               .dtype = "float32",
                               .reduction = "mean",
                               .added_at = c->world.now};
    c->world.arena = loss_arena_new(1u << 20, NULL);
    json_out_init(&o, c->world.arena);
    json_write_entry(&o, &e);
    assert_false(o.failed);
    const char *text = loss_arena_format(c->world.arena, "%.*s", (int)o.size, o.data);
    assert_string_equal(text, "{\"name\":\"a\\\"b\",\"loss\":0.1,\"step\":1,\"collection\":\"losses\","
                              "\"dtype\":\"float32\",\"reduction\":\"mean\",\"added_at\":" TIME "}");
    e.dtype = "float64";
    json_out_init(&o, c->world.arena);
    json_write_entry(&o, &e);
    text = loss_arena_format(c->world.arena, "%.*s", (int)o.size, o.data);
    assert_non_null(strstr(text, "\"loss\":0.10000000149011612,"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_routes__add_by_hand),
        CASE(test_routes__refuse_bad_bodies_and_add_nothing),
        CASE(test_routes__refuse_bad_queries),
        CASE(test_routes__know_only_what_was_made),
        CASE(test_routes__list),
        CASE(test_routes__page),
        CASE(test_routes__total),
        CASE(test_routes__make_tell_of_and_delete_registries),
        CASE(test_routes__answer_a_repeat_again),
        CASE(test_routes__print_an_entry_in_its_dtype),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
