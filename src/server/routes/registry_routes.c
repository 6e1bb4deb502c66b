/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_routes.c - registry calls: query and body to the registry's arguments, results to JSON.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <loss/tensor.h>
#include <server/formats/json.h>
#include <server/formats/json_result.h>
#include <server/machine.h>
#include <server/routes/registry_routes.h>
#include <server/server.h>

#define LIMIT_MAX 1000 /* entries of a page, and what a page has where nothing is said */
#define DEFAULT_NAME "loss"

/* Call the store, count its time, and pass a failure on. */
#define STORE_TRY(q, call)                                                                                             \
    do {                                                                                                               \
        int64_t store_begun_ = machine_clock();                                                                        \
        loss_status store_status_ = (call);                                                                            \
        (q)->times.store += machine_clock() - store_begun_;                                                            \
        if (store_status_ != LOSS_OK) {                                                                                \
            return store_status_;                                                                                      \
        }                                                                                                              \
    } while (0)

const char *const registry_page_query[] = {"limit", "cursor", NULL};
const char *const registry_list_query[] = {"scope", "collection", "step", "limit", "cursor", NULL};
const char *const registry_list_regularization_query[] = {"scope", "step", "limit", "cursor", NULL};
const char *const registry_scope_query[] = {"scope", "step", NULL};
const char *const registry_step_query[] = {"step", NULL};
const char *const registry_total_query[] = {"add_regularization_losses", "scope", "step", NULL};

/* *value is NULL where the parameter is not given. */
static loss_status read_word(const struct request *q, const char *parameter, const char **value, struct loss_error *err)
{
    *value = request_query(q, parameter);
    if (*value != NULL && **value == '\0') {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, parameter, "%s is empty; give a value or leave it out",
                                   parameter);
    }
    return LOSS_OK;
}

/* A whole number in plain digits, from `least` to `most`. */
static bool parse_whole(const char *text, int64_t least, int64_t most, int64_t *value)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != '\0') {
        return false;
    }
    int64_t v = strtoll(text, NULL, 10);
    *value = v;
    return v >= least && v <= most;
}

static loss_status read_step(const struct request *q, bool all_allowed, int64_t fallback, int64_t *step,
                             struct loss_error *err)
{
    const char *text;
    LOSS_TRY(read_word(q, "step", &text, err));
    *step = fallback;
    if (text == NULL) {
        return LOSS_OK;
    }
    if (all_allowed && strcmp(text, "all") == 0) {
        *step = REGISTRY_STEP_ALL;
        return LOSS_OK;
    }
    if (!parse_whole(text, 0, REGISTRY_STEP_MAX, step)) {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, "step",
                                   "step must be a whole number from 0 to 2^53%s, got \"%.80s\"",
                                   all_allowed ? " or \"all\"" : "", text);
    }
    return LOSS_OK;
}

static loss_status read_limit(const struct request *q, size_t *limit, struct loss_error *err)
{
    const char *text;
    int64_t value = LIMIT_MAX;
    LOSS_TRY(read_word(q, "limit", &text, err));
    if (text != NULL && !parse_whole(text, 1, LIMIT_MAX, &value)) {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, "limit",
                                   "limit must be a whole number from 1 to %d, got \"%.80s\"", LIMIT_MAX, text);
    }
    *limit = (size_t)value;
    return LOSS_OK;
}

static loss_status read_flag(const struct request *q, const char *parameter, bool fallback, bool *flag,
                             struct loss_error *err)
{
    const char *text;
    LOSS_TRY(read_word(q, parameter, &text, err));
    if (text != NULL && strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, parameter,
                                   "%s must be \"true\" or \"false\", got \"%.80s\"", parameter, text);
    }
    *flag = text != NULL ? strcmp(text, "true") == 0 : fallback;
    return LOSS_OK;
}

/* A name out of the path: /v1/registries/{registry}/losses/{name}. */
static loss_status read_segment(const struct request *q, size_t i, const char *what, const char **name,
                                struct loss_error *err)
{
    *name = q->segment[i];
    return loss_blame_parameter(err, registry_check_name(*name, strlen(*name), "", err), what);
}

static loss_status read_registry(const struct request *q, const char **registry, struct loss_error *err)
{
    return read_segment(q, 2, "registry", registry, err);
}

static loss_status answer(struct request *q, struct reply *r, int status, const struct json_out *o,
                          struct loss_error *err)
{
    if (o->failed) {
        return loss_no_memory(err, "an answer");
    }
    r->status = status;
    r->content_type = "application/json";
    r->body = o->data;
    r->size = o->size;
    q->next = NEXT_DONE;
    return LOSS_OK;
}

static void write_cursor(struct json_out *o, const char *next_cursor)
{
    if (next_cursor != NULL) {
        json_out_key(o, "next_cursor");
        json_out_string(o, next_cursor);
    }
}

/* GET /v1/registries */
loss_status registry_index_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct registry_info *infos;
    size_t limit, count;
    const char *cursor, *next_cursor;
    LOSS_TRY(read_limit(q, &limit, err));
    LOSS_TRY(read_word(q, "cursor", &cursor, err));
    STORE_TRY(q, registry_info_list(q->registry, limit, cursor, q->arena, &infos, &count, &next_cursor, err));

    struct json_out o;
    json_out_init(&o, q->arena);
    json_out_open(&o, '{');
    json_out_key(&o, "registries");
    json_out_open(&o, '[');
    for (size_t i = 0; i < count; i++) {
        json_write_registry(&o, &infos[i]);
    }
    json_out_close(&o, ']');
    write_cursor(&o, next_cursor);
    json_out_close(&o, '}');
    return answer(q, r, 200, &o, err);
}

static loss_status answer_info(struct request *q, struct reply *r, const char *registry, struct loss_error *err)
{
    struct registry_info info;
    struct json_out o;
    STORE_TRY(q, registry_info_get(q->registry, registry, q->arena, &info, err));
    json_out_init(&o, q->arena);
    json_write_registry(&o, &info);
    return answer(q, r, 200, &o, err);
}

/* GET /v1/registries/{registry} */
loss_status registry_show_step(struct request *q, struct reply *r, struct loss_error *err)
{
    const char *registry;
    LOSS_TRY(read_registry(q, &registry, err));
    return answer_info(q, r, registry, err);
}

/* PUT /v1/registries/{registry}; no body is as good as {}. */
loss_status registry_put_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct json_member ttl = {.name = "ttl", .type = JSON_MEMBER_WHOLE};
    const char *registry;
    LOSS_TRY(read_registry(q, &registry, err));
    if (q->content_size > 0) {
        LOSS_TRY(json_read_members(q->arena, q->body, q->content_size, &ttl, 1, err));
    }
    if (ttl.given && (ttl.number < 1 || ttl.number > (double)REGISTRY_TTL_MAX)) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "/ttl",
                         "ttl must be 1 to %lld seconds, got %.17g; leave it out for the server's own",
                         (long long)REGISTRY_TTL_MAX, ttl.number);
    }
    STORE_TRY(q, registry_put(q->registry, registry, ttl.given ? (int64_t)ttl.number : 0, err));
    return answer_info(q, r, registry, err);
}

/* DELETE /v1/registries/{registry}; `step=all` means all entries, not the registry. */
loss_status registry_delete_step(struct request *q, struct reply *r, struct loss_error *err)
{
    const char *registry, *scope;
    int64_t step;
    uint64_t removed;
    LOSS_TRY(read_registry(q, &registry, err));
    LOSS_TRY(read_word(q, "scope", &scope, err));
    LOSS_TRY(read_step(q, true, REGISTRY_STEP_ALL, &step, err));
    if (scope == NULL && step == REGISTRY_STEP_ALL && request_query(q, "step") != NULL) {
        scope = "";
    }
    STORE_TRY(q, registry_remove(q->registry, registry, scope, step, &removed, err));

    struct json_out o;
    json_out_init(&o, q->arena);
    json_out_open(&o, '{');
    json_out_key(&o, "removed");
    json_out_u64(&o, removed);
    json_out_close(&o, '}');
    return answer(q, r, 200, &o, err);
}

enum { ADD_LOSS, ADD_NAME, ADD_STEP, ADD_COLLECTION, N_ADD_MEMBERS };

static loss_status read_name(const struct json_member *member, const char *pointer, const char *fallback,
                             const char **name, struct loss_error *err)
{
    *name = member->given ? member->string : fallback;
    return registry_check_name(*name, strlen(*name), pointer, err);
}

/* Read the body into *add. `collection` NULL: the body may name one; else it is this one. */
static loss_status read_add(struct request *q, const char *collection, struct registry_add *add, struct loss_error *err)
{
    struct json_member m[N_ADD_MEMBERS] = {
        [ADD_LOSS] = {.name = "loss", .type = JSON_MEMBER_NUMBER, .required = true},
        [ADD_NAME] = {.name = "name", .type = JSON_MEMBER_STRING},
        [ADD_STEP] = {.name = "step", .type = JSON_MEMBER_WHOLE},
        [ADD_COLLECTION] = {.name = "collection", .type = JSON_MEMBER_STRING},
    };
    size_t n = collection == NULL ? N_ADD_MEMBERS : ADD_COLLECTION;
    *add = (struct registry_add){.dtype = "", .reduction = ""};
    LOSS_TRY(read_registry(q, &add->registry, err));
    LOSS_TRY(json_read_members(q->arena, q->body, q->content_size, m, n, err));
    LOSS_TRY(read_name(&m[ADD_NAME], "/name", DEFAULT_NAME, &add->name, err));
    LOSS_TRY(read_name(&m[ADD_COLLECTION], "/collection", collection != NULL ? collection : REGISTRY_LOSSES,
                       &add->collection, err));
    if (m[ADD_STEP].given && (m[ADD_STEP].number < 0 || m[ADD_STEP].number > (double)REGISTRY_STEP_MAX)) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "/step", "step must be a whole number from 0 to 2^53, got %.17g",
                         m[ADD_STEP].number);
    }
    add->step = m[ADD_STEP].given ? (int64_t)m[ADD_STEP].number : 0;
    add->loss = m[ADD_LOSS].number;
    add->key.key = q->idempotency_key;
    memcpy(add->key.fingerprint, q->fingerprint, sizeof add->key.fingerprint);
    return LOSS_OK;
}

static loss_status answer_entry(struct request *q, struct reply *r, int status, const struct registry_entry *entry,
                                struct loss_error *err)
{
    struct json_out o;
    json_out_init(&o, q->arena);
    json_write_entry(&o, entry);
    return answer(q, r, status, &o, err);
}

/* What is added, then also the entry that came of it; the store is kept neither with reading nor with writing. */
struct addition {
    struct registry_add add;
    struct registry_entry entry;
    bool added;
};

static loss_status add_entry(struct request *q, struct reply *r, const char *collection, struct loss_error *err)
{
    struct addition *a = q->state;
    if (a == NULL) {
        a = loss_arena_alloc(q->arena, sizeof *a, _Alignof(struct addition));
        if (a == NULL) {
            return loss_no_memory(err, "this request");
        }
        a->added = false;
        LOSS_TRY(read_add(q, collection, &a->add, err));
        q->state = a;
        q->next = NEXT_STORE;
        return LOSS_OK;
    }
    if (!a->added) {
        STORE_TRY(q, registry_add(q->registry, &a->add, q->arena, &a->entry, err));
        a->added = true;
        q->next = NEXT_HERE;
        return LOSS_OK;
    }
    return answer_entry(q, r, 201, &a->entry, err);
}

/* POST /v1/registries/{registry}/losses */
loss_status registry_add_step(struct request *q, struct reply *r, struct loss_error *err)
{
    return add_entry(q, r, NULL, err);
}

/* POST /v1/registries/{registry}/regularization_losses */
loss_status registry_add_regularization_step(struct request *q, struct reply *r, struct loss_error *err)
{
    return add_entry(q, r, REGISTRY_REGULARIZATION, err);
}

static loss_status list_entries(struct request *q, struct reply *r, const char *collection, const char *key,
                                struct loss_error *err)
{
    struct registry_query query = {.collection = collection};
    struct registry_page page;
    LOSS_TRY(read_registry(q, &query.registry, err));
    LOSS_TRY(read_word(q, "scope", &query.scope, err));
    LOSS_TRY(read_step(q, true, REGISTRY_STEP_LATEST, &query.step, err));
    LOSS_TRY(read_limit(q, &query.limit, err));
    LOSS_TRY(read_word(q, "cursor", &query.cursor, err));
    STORE_TRY(q, registry_list(q->registry, &query, q->arena, &page, err));

    struct json_out o;
    json_out_init(&o, q->arena);
    json_out_open(&o, '{');
    json_out_key(&o, key);
    json_out_open(&o, '[');
    for (size_t i = 0; i < page.count; i++) {
        json_write_entry(&o, &page.entries[i]);
    }
    json_out_close(&o, ']');
    write_cursor(&o, page.next_cursor);
    json_out_close(&o, '}');
    return answer(q, r, 200, &o, err);
}

/* GET /v1/registries/{registry}/losses: the collection `losses` where none is named, as tf.losses.get_losses. */
loss_status registry_list_step(struct request *q, struct reply *r, struct loss_error *err)
{
    const char *collection;
    LOSS_TRY(read_word(q, "collection", &collection, err));
    return list_entries(q, r, collection != NULL ? collection : REGISTRY_LOSSES, "losses", err);
}

/* GET /v1/registries/{registry}/regularization_losses */
loss_status registry_list_regularization_step(struct request *q, struct reply *r, struct loss_error *err)
{
    return list_entries(q, r, REGISTRY_REGULARIZATION, "regularization_losses", err);
}

/* GET /v1/registries/{registry}/losses/{name}: of any collection, as names are unique in a step. */
loss_status registry_entry_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct registry_query query = {0};
    struct registry_page page;
    LOSS_TRY(read_registry(q, &query.registry, err));
    LOSS_TRY(read_segment(q, 4, "name", &query.name, err));
    LOSS_TRY(read_step(q, false, REGISTRY_STEP_LATEST, &query.step, err));
    STORE_TRY(q, registry_list(q->registry, &query, q->arena, &page, err));
    if (page.count == 0) {
        return loss_fail(err, LOSS_NOT_FOUND, "", "there is no entry \"%.300s\" in %s of registry \"%.300s\"",
                         query.name, query.step == REGISTRY_STEP_LATEST ? "the latest step" : "that step",
                         query.registry);
    }
    return answer_entry(q, r, 200, &page.entries[0], err);
}

/* The exact total under scope and step. */
static loss_status read_total(struct request *q, bool losses, bool regularization, struct registry_query *query,
                              double *total, uint64_t *count, struct loss_error *err)
{
    *query = (struct registry_query){0};
    LOSS_TRY(read_registry(q, &query->registry, err));
    LOSS_TRY(read_word(q, "scope", &query->scope, err));
    LOSS_TRY(read_step(q, false, REGISTRY_STEP_LATEST, &query->step, err));
    STORE_TRY(q, registry_total(q->registry, query, losses, regularization, total, count, err));
    return LOSS_OK;
}

static loss_status answer_total(struct request *q, struct reply *r, const char *key, double total, uint64_t count,
                                struct loss_error *err)
{
    struct json_out o;
    json_out_init(&o, q->arena);
    json_out_open(&o, '{');
    json_out_key(&o, key);
    json_out_f64(&o, total);
    json_out_key(&o, "count");
    json_out_u64(&o, count);
    json_out_close(&o, '}');
    return answer(q, r, 200, &o, err);
}

/* GET /v1/registries/{registry}/total_loss */
loss_status registry_total_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct registry_query query;
    bool regularization = true;
    double total;
    uint64_t count;
    LOSS_TRY(read_flag(q, "add_regularization_losses", true, &regularization, err));
    LOSS_TRY(read_total(q, true, regularization, &query, &total, &count, err));
    if (count == 0) {
        return loss_fail(err, LOSS_NO_LOSSES, "", "registry \"%.300s\" has no losses %s%s to total", query.registry,
                         query.step == REGISTRY_STEP_LATEST ? "in its latest step" : "in that step",
                         query.scope != NULL ? " under that scope" : "");
    }
    return answer_total(q, r, "total_loss", total, count, err);
}

/* GET /v1/registries/{registry}/regularization_loss */
loss_status registry_total_regularization_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct registry_query query;
    double total;
    uint64_t count;
    LOSS_TRY(read_total(q, false, true, &query, &total, &count, err));
    return answer_total(q, r, "regularization_loss", total, count, err);
}
