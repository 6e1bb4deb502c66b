/* SPDX-License-Identifier: Apache-2.0
 *
 * store_redis.c - a store in Redis, which several servers may share: as durable as Redis was told to be.
 *
 * Each operation is one script (lua/), run by Redis as a whole, so that servers neither lose nor double anything of each
 * other's. Three are more: a walk over all steps reads piece by piece, a removal lets the caller pick among what was
 * read, and takes it out if nothing was added meanwhile, and an import (redis_restore.c) is put aside and then in place.
 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <registry/redis_base.h>

#define PROBE "lossd:probe"
#define PIECE 1000    /* entries read at once where they may be read piece by piece */
#define TOGETHER 64   /* registries asked about in one go */
#define PATIENCE 1000 /* times that others may add to what a removal is about */

static void push_times(const struct redis_store *s, struct redis_command *c, int64_t now)
{
    redis_push_number(c, now);
    redis_push_number(c, s->base.ttl);
}

/* Ask one command that a script answers. */
static loss_status ask(struct redis_store *s, struct redis_command *c, redis_kind kind, redisReply **answer,
                       struct loss_error *err)
{
    return redis_ask(s, c, 1, kind, answer, err);
}

/* --- adding --- */

/* The registries of the adds, each once; add i is of base[i]. NULL: no memory. */
static size_t *number_bases(const struct registry_add *adds, size_t n, struct loss_arena *arena,
                            const char **registries, size_t *count)
{
    size_t *base = loss_arena_alloc(arena, n * sizeof *base, alignof(size_t));
    *count = 0;
    for (size_t i = 0; base != NULL && i < n; i++) {
        size_t b = 0;
        while (b < *count && strcmp(registries[b], adds[i].registry) != 0) {
            b++;
        }
        if (b == *count) {
            registries[(*count)++] = adds[i].registry;
        }
        base[i] = b;
    }
    return base;
}

static loss_status write_add(const struct redis_store *s, const struct registry_add *adds, size_t n,
                             const struct registry_key *key, int64_t now, struct loss_arena *arena,
                             struct redis_command *c, struct loss_error *err)
{
    const char **registries = loss_arena_alloc(arena, n * sizeof *registries, alignof(const char *));
    size_t count = 0, *base = registries != NULL ? number_bases(adds, n, arena, registries, &count) : NULL;
    const int first = 4; /* Lua counts from one, and three keys come before */
    if (base == NULL) {
        return store_fail_memory(err);
    }
    redis_begin_script(c, REDIS_ADD, (int)count + 3);
    redis_push_text(c, REDIS_INDEX);
    redis_push_text(c, REDIS_ORDERS);
    if (key->key != NULL) {
        redis_push_key(c, key->key);
    } else {
        redis_push_text(c, REDIS_INDEX);
    }
    for (size_t b = 0; b < count; b++) {
        redis_push_base(c, registries[b]);
    }
    push_times(s, c, now);
    redis_push_number(c, s->base.key_life);
    redis_push(c, key->fingerprint, key->key != NULL ? sizeof key->fingerprint : 0);
    redis_push_number(c, REGISTRY_NAME_MAX);
    for (size_t i = 0; i < n; i++) {
        redis_push_number(c, (int64_t)base[i] + first);
        redis_push_text(c, adds[i].registry);
        redis_push_number(c, adds[i].step);
        redis_push_text(c, adds[i].name);
        redis_push_head(c, &adds[i], now);
        redis_push_tail(c, &adds[i]);
        redis_push_tally(c, adds[i].tally, now);
    }
    return LOSS_OK;
}

/* Memory for an entry's answer, taken before there is one: an add that was made must be told. */
struct room {
    char *at, *end;
};

static loss_status make_room(const struct registry_add *adds, size_t n, struct loss_arena *arena, struct room *room,
                             struct loss_error *err)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        size += REGISTRY_NAME_MAX + strlen(adds[i].collection) + strlen(adds[i].dtype) + strlen(adds[i].reduction) + 4;
        if (adds[i].tally != NULL) {
            size += alignof(struct registry_tally) + tally_size(adds[i].tally);
        }
    }
    room->at = loss_arena_alloc(arena, size, alignof(struct registry_tally));
    if (room->at == NULL) {
        return store_fail_memory(err);
    }
    room->end = room->at + size;
    return LOSS_OK;
}

static const char *move_string(struct room *room, const char *s)
{
    size_t n = strlen(s) + 1;
    if (n > (size_t)(room->end - room->at)) {
        return NULL;
    }
    char *to = memcpy(room->at, s, n);
    room->at += n;
    return to;
}

static const struct registry_tally *move_tally(struct room *room, const struct registry_tally *t)
{
    size_t align = alignof(struct registry_tally), off = (size_t)(-(uintptr_t)room->at & (align - 1));
    if (off + tally_size(t) > (size_t)(room->end - room->at)) {
        return NULL;
    }
    struct registry_tally *to = tally_place(room->at + off, t);
    room->at += off + tally_size(t);
    return to;
}

static loss_status move_entry(struct room *room, const struct registry_entry *from, struct registry_entry *to,
                              struct loss_error *err)
{
    struct registry_entry e = *from;
    e.name = move_string(room, from->name);
    e.collection = move_string(room, from->collection);
    e.dtype = move_string(room, from->dtype);
    e.reduction = move_string(room, from->reduction);
    e.tally = from->tally != NULL ? move_tally(room, from->tally) : NULL;
    if (e.name == NULL || e.collection == NULL || e.dtype == NULL || e.reduction == NULL ||
        (e.tally == NULL) != (from->tally == NULL)) {
        return redis_fail_odd(err); /* the same request has the same strings */
    }
    *to = e;
    return LOSS_OK;
}

/* What stands in the way of an add. */
static loss_status refuse_add(const redisReply *answer, const struct registry_add *adds, const struct registry_key *key,
                              struct loss_error *err)
{
    char name[REGISTRY_NAME_MAX + 1];
    struct registry_tally tally;
    struct registry_entry e;
    size_t i = (size_t)redis_number(answer, 1);
    if (redis_says(answer, "key")) {
        return store_fail_conflict(err, key->key);
    }
    if (redis_says(answer, "name")) {
        LOSS_TRY(store_suffixed(adds[i].name, (uint64_t)redis_number(answer, 2), name, err));
    } else if (redis_says(answer, "merge")) {
        LOSS_TRY(redis_read_entry(answer, 2, &e, &tally, err));
        LOSS_TRY(store_check_merge(&e, &adds[i], err));
    }
    return redis_fail_odd(err);
}

static loss_status redis_add(struct store *store, const struct registry_add *adds, size_t n,
                             const struct registry_key *key, int64_t now, struct loss_arena *arena,
                             struct registry_entry *out, struct loss_error *err)
{
    struct redis_store *s = redis_of(store);
    struct redis_command c = {0};
    redisReply *answer = NULL;
    struct room room = {0};
    loss_status status = make_room(adds, n, arena, &room, err);
    if (status == LOSS_OK) {
        status = write_add(s, adds, n, key, now, arena, &c, err);
    }
    if (status == LOSS_OK) {
        status = ask(s, &c, key->key != NULL ? REDIS_REPEATS : REDIS_CHANGES, &answer, err);
    }
    if (status == LOSS_OK && !redis_says(answer, "ok")) {
        status = refuse_add(answer, adds, key, err);
    }
    for (size_t i = 0; status == LOSS_OK && i < n; i++) {
        struct registry_tally tally;
        struct registry_entry e;
        status = redis_read_entry(answer, 1 + 3 * i, &e, &tally, err);
        if (status == LOSS_OK) {
            status = move_entry(&room, &e, &out[i], err);
        }
    }
    freeReplyObject(answer);
    redis_command_fini(&c);
    return status;
}

/* --- reading --- */

/* A walk through a range, read in one go or piece by piece. */
struct walk {
    const struct store_range *range;
    int64_t now;
    int64_t step; /* the latest, once it is known */
    uint64_t after;
    bool whole;         /* in one go */
    redisReply *answer; /* of the piece read last */
    bool ended;
};

static void write_scan(const struct redis_store *s, const struct walk *w, struct redis_command *c)
{
    redis_begin_script(c, REDIS_SCAN, 1);
    redis_push_base(c, w->range->registry);
    push_times(s, c, w->now);
    if (w->step >= 0) {
        redis_push_number(c, w->step);
    } else {
        redis_push_text(c, w->step == REGISTRY_STEP_ALL ? "all" : "latest");
    }
    redis_push_number(c, (int64_t)w->after);
    redis_push_text(c, w->range->collection != NULL ? w->range->collection : "");
    redis_push_text(c, w->range->name != NULL ? w->range->name : "");
    redis_push_number(c, w->whole ? 0 : PIECE);
    redis_push_number(c, w->whole ? (int64_t)w->range->most : 0);
}

/* err  LOSS_UNKNOWN_REGISTRY, LOSS_STORE_UNAVAILABLE, LOSS_OVERLOADED */
static loss_status read_piece(struct redis_store *s, struct walk *w, struct redis_command *c, struct loss_error *err)
{
    write_scan(s, w, c);
    freeReplyObject(w->answer);
    w->answer = NULL;
    LOSS_TRY(ask(s, c, REDIS_READS, &w->answer, err));
    if (redis_says(w->answer, "unknown")) {
        return store_fail_unknown(err, w->range->registry);
    }
    if (!redis_says(w->answer, "ok") || w->answer->elements < 4) {
        return redis_fail_odd(err);
    }
    if (w->step == REGISTRY_STEP_LATEST && w->answer->element[1]->len > 0) {
        w->step = redis_number(w->answer, 1);
    }
    w->ended = w->answer->element[2]->len == 0;
    if (!w->ended) {
        w->after = (uint64_t)redis_number(w->answer, 2);
    }
    return LOSS_OK;
}

#define PIECE_ENTRIES 4 /* where they begin in the answer */

static loss_status redis_scan(struct store *store, const struct store_range *range, int64_t now, store_visit visit,
                              void *arg, struct loss_error *err)
{
    struct redis_store *s = redis_of(store);
    struct walk w = {.range = range,
                     .now = now,
                     .step = range->step,
                     .after = range->after,
                     .whole = range->step != REGISTRY_STEP_ALL};
    struct redis_command c = {0};
    bool more = true;
    loss_status status = LOSS_OK;
    while (status == LOSS_OK && more && !w.ended) {
        status = read_piece(s, &w, &c, err);
        for (size_t i = PIECE_ENTRIES; status == LOSS_OK && more && i < w.answer->elements; i += 3) {
            struct registry_tally tally;
            struct registry_entry e;
            status = redis_read_entry(w.answer, i, &e, &tally, err);
            if (status == LOSS_OK) {
                status = visit(arg, &e, &more, err);
            }
        }
    }
    freeReplyObject(w.answer);
    redis_command_fini(&c);
    return status;
}

/* --- removing --- */

/* The orders of what was picked, as lua/remove.lua takes them. */
struct picked {
    unsigned char *bytes;
    size_t n, capacity;
};

static bool note_picked(struct picked *p, uint64_t order)
{
    if (p->n + 8 > p->capacity) {
        size_t capacity = p->capacity == 0 ? 1024 : 2 * p->capacity;
        unsigned char *more = realloc(p->bytes, capacity);
        if (more == NULL) {
            return false;
        }
        p->bytes = more;
        p->capacity = capacity;
    }
    for (int i = 0; i < 8; i++) {
        p->bytes[p->n++] = (unsigned char)(order >> (8 * i));
    }
    return true;
}

static loss_status pick_among(const redisReply *answer, struct walk *w, store_pick pick, void *arg,
                              struct picked *picked, struct loss_error *err)
{
    for (size_t i = PIECE_ENTRIES; i < answer->elements; i += 3) {
        struct registry_tally tally;
        struct registry_entry e;
        bool meant = false;
        LOSS_TRY(redis_read_entry(answer, i, &e, &tally, err));
        LOSS_TRY(pick(arg, &e, &meant, err));
        if (meant && !note_picked(picked, e.order)) {
            return store_fail_memory(err);
        }
        w->after = e.order;
    }
    return LOSS_OK;
}

/* Take out what was picked, if the registry's last entry is still the one that was there; *done. */
static loss_status remove_picked(struct redis_store *s, const struct walk *w, const struct picked *picked,
                                 struct redis_command *c, bool *done, uint64_t *removed, struct loss_error *err)
{
    redisReply *answer = NULL;
    redis_begin_script(c, REDIS_REMOVE, 1);
    redis_push_base(c, w->range->registry);
    push_times(s, c, w->now);
    redis_push_text(c, w->answer->element[3]->str);
    redis_push(c, picked->bytes, picked->n);
    LOSS_TRY(ask(s, c, REDIS_CHANGES, &answer, err));
    loss_status status = LOSS_OK;
    *done = redis_says(answer, "ok");
    if (*done) {
        *removed = (uint64_t)redis_number(answer, 1);
    } else if (redis_says(answer, "unknown")) {
        status = store_fail_unknown(err, w->range->registry);
    }
    freeReplyObject(answer);
    return status;
}

static loss_status redis_remove(struct store *store, const struct store_range *range, int64_t now, store_pick pick,
                                void *arg, uint64_t *removed, struct loss_error *err)
{
    struct redis_store *s = redis_of(store);
    struct walk w = {.range = range, .now = now, .step = range->step, .after = range->after};
    struct redis_command c = {0};
    struct picked picked = {0};
    bool done = false;
    loss_status status = LOSS_OK;
    for (int turn = 0; status == LOSS_OK && !done; turn++) {
        if (turn == PATIENCE) {
            status = loss_fail(err, LOSS_OVERLOADED, "", "the registry is added to faster than entries can be removed");
            break;
        }
        do {
            status = read_piece(s, &w, &c, err);
            if (status == LOSS_OK) {
                status = pick_among(w.answer, &w, pick, arg, &picked, err);
            }
        } while (status == LOSS_OK && !w.ended);
        if (status == LOSS_OK) {
            status = remove_picked(s, &w, &picked, &c, &done, removed, err);
        }
    }
    free(picked.bytes);
    freeReplyObject(w.answer);
    redis_command_fini(&c);
    return status;
}

/* --- registries --- */

static void write_info(const struct redis_store *s, const char *registry, int64_t now, struct redis_command *c)
{
    redis_begin_script(c, REDIS_INFO, 1);
    redis_push_base(c, registry);
    push_times(s, c, now);
}

static struct registry_info info_of(const redisReply *answer, const char *registry)
{
    return (struct registry_info){.registry = registry,
                                  .ttl_seconds = redis_number(answer, 1),
                                  .updated_at = redis_number(answer, 2),
                                  .entries = (uint64_t)redis_number(answer, 3),
                                  .steps = (uint64_t)redis_number(answer, 4),
                                  .latest_step = answer->element[5]->len > 0 ? redis_number(answer, 5) : -1};
}

static bool is_info(const redisReply *answer)
{
    return redis_says(answer, "ok") && answer->elements == 6;
}

static loss_status redis_info(struct store *store, const char *registry, int64_t now, store_visit_info visit, void *arg,
                              struct loss_error *err)
{
    struct redis_store *s = redis_of(store);
    struct redis_command c = {0};
    redisReply *answer = NULL;
    bool more = true;
    write_info(s, registry, now, &c);
    loss_status status = ask(s, &c, REDIS_READS, &answer, err);
    if (status == LOSS_OK && is_info(answer)) {
        struct registry_info info = info_of(answer, registry);
        status = visit(arg, &info, &more, err);
    } else if (status == LOSS_OK) {
        status = redis_says(answer, "unknown") ? store_fail_unknown(err, registry) : redis_fail_odd(err);
    }
    freeReplyObject(answer);
    redis_command_fini(&c);
    return status;
}

static void write_drop(const struct redis_store *s, const char *registry, const char *which, int64_t now,
                       struct redis_command *c)
{
    redis_begin_script(c, REDIS_DROP, 2);
    redis_push_text(c, REDIS_INDEX);
    redis_push_base(c, registry);
    push_times(s, c, now);
    redis_push_text(c, registry);
    redis_push_text(c, which);
}

/* The next names of registries behind `after`, at most TOGETHER. */
static loss_status next_names(struct redis_store *s, const char *after, struct redis_command *c, redisReply **names,
                              struct loss_error *err)
{
    char *start = malloc(strlen(after) + 2);
    if (start == NULL) {
        return store_fail_memory(err);
    }
    strcpy(start + 1, after);
    start[0] = '(';
    redis_begin(c, "ZRANGEBYLEX");
    redis_push_text(c, REDIS_INDEX);
    redis_push_text(c, after[0] != '\0' ? start : "-");
    redis_push_text(c, "+");
    redis_push_text(c, "LIMIT");
    redis_push_number(c, 0);
    redis_push_number(c, TOGETHER);
    free(start);
    LOSS_TRY(ask(s, c, REDIS_READS, names, err));
    if ((*names)->type != REDIS_REPLY_ARRAY || (*names)->elements > TOGETHER) {
        freeReplyObject(*names);
        *names = NULL;
        return redis_fail_odd(err);
    }
    return LOSS_OK;
}

/* Look at a registry's answer; *more = false ends the walk. */
typedef loss_status (*visit_answer)(void *arg, const char *registry, const redisReply *answer, bool *more,
                                    struct loss_error *err);

/* What each registry behind `after` answers to info, or where `over` to being dropped if it is over. */
static loss_status ask_registries(struct redis_store *s, const char *after, bool over, int64_t now, visit_answer visit,
                                  void *arg, struct loss_error *err)
{
    struct redis_command commands[TOGETHER] = {0}, list = {0};
    redisReply *answers[TOGETHER], *names = NULL;
    loss_status status = LOSS_OK;
    bool more = true;
    while (status == LOSS_OK && more) {
        redisReply *next = NULL;
        status = next_names(s, after, &list, &next, err);
        size_t n = next != NULL ? next->elements : 0;
        freeReplyObject(names); /* `after` was in it */
        names = next;
        if (n == 0) {
            break;
        }
        for (size_t i = 0; i < n; i++) {
            if (over) {
                write_drop(s, names->element[i]->str, "over", now, &commands[i]);
            } else {
                write_info(s, names->element[i]->str, now, &commands[i]);
            }
        }
        status = redis_ask(s, commands, n, over ? REDIS_REPEATS : REDIS_READS, answers, err);
        if (status != LOSS_OK) {
            break;
        }
        for (size_t i = 0; status == LOSS_OK && more && i < n; i++) {
            status = visit(arg, names->element[i]->str, answers[i], &more, err);
        }
        redis_free_answers(answers, n);
        after = names->element[n - 1]->str;
    }
    freeReplyObject(names);
    for (size_t i = 0; i < TOGETHER; i++) {
        redis_command_fini(&commands[i]);
    }
    redis_command_fini(&list);
    return status;
}

struct show_infos {
    store_visit_info visit;
    void *arg;
};

static loss_status show_info(void *arg, const char *registry, const redisReply *answer, bool *more,
                             struct loss_error *err)
{
    const struct show_infos *show = arg;
    if (!is_info(answer)) { /* over, or gone since */
        return LOSS_OK;
    }
    struct registry_info info = info_of(answer, registry);
    return show->visit(show->arg, &info, more, err);
}

static loss_status redis_infos(struct store *store, const char *after, int64_t now, store_visit_info visit, void *arg,
                               struct loss_error *err)
{
    struct show_infos show = {visit, arg};
    return ask_registries(redis_of(store), after, false, now, show_info, &show, err);
}

static loss_status no_visit(void *arg, const char *registry, const redisReply *answer, bool *more,
                            struct loss_error *err)
{
    (void)arg;
    (void)registry;
    (void)answer;
    (void)more;
    (void)err;
    return LOSS_OK;
}

/* Keys go by themselves: Redis was told when. */
static loss_status redis_expire(struct store *store, int64_t now, struct loss_error *err)
{
    return ask_registries(redis_of(store), "", true, now, no_visit, NULL, err);
}

static loss_status redis_put(struct store *store, const char *registry, int64_t ttl_seconds, int64_t now,
                             struct loss_error *err)
{
    struct redis_store *s = redis_of(store);
    struct redis_command c = {0};
    redisReply *answer = NULL;
    redis_begin_script(&c, REDIS_PUT, 2);
    redis_push_text(&c, REDIS_INDEX);
    redis_push_base(&c, registry);
    push_times(s, &c, now);
    redis_push_text(&c, registry);
    redis_push_number(&c, ttl_seconds);
    loss_status status = ask(s, &c, REDIS_CHANGES, &answer, err);
    freeReplyObject(answer);
    redis_command_fini(&c);
    return status;
}

static loss_status redis_drop(struct store *store, const char *registry, int64_t now, uint64_t *removed,
                              struct loss_error *err)
{
    struct redis_store *s = redis_of(store);
    struct redis_command c = {0};
    redisReply *answer = NULL;
    write_drop(s, registry, "any", now, &c);
    loss_status status = ask(s, &c, REDIS_CHANGES, &answer, err);
    if (status == LOSS_OK && redis_says(answer, "ok")) {
        *removed = (uint64_t)redis_number(answer, 1);
    } else if (status == LOSS_OK) {
        status = store_fail_unknown(err, registry);
    }
    freeReplyObject(answer);
    redis_command_fini(&c);
    return status;
}

/* --- the store itself --- */

/* A word from Redis is enough while it takes changes; after one that it refused, another must succeed first. */
static loss_status redis_ready(struct store *store, struct loss_error *err)
{
    struct redis_store *s = redis_of(store);
    struct redis_command c = {0};
    redisReply *answer = NULL;
    bool probes = atomic_load(&s->refused);
    redis_begin(&c, probes ? "SET" : "PING");
    if (probes) {
        redis_push_text(&c, PROBE);
        redis_push_text(&c, "");
    }
    loss_status status = ask(s, &c, probes ? REDIS_REPEATS : REDIS_READS, &answer, err);
    freeReplyObject(answer);
    redis_command_fini(&c);
    return status;
}

static void redis_close(struct store *store)
{
    struct redis_store *s = redis_of(store);
    for (size_t i = 0; i < s->n_idle; i++) {
        redisFree(s->idle[i]);
    }
    free(s->idle);
    redis_url_fini(&s->url);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static const struct store_ops redis_ops = {
    .close = redis_close,
    .ready = redis_ready,
    .add = redis_add,
    .scan = redis_scan,
    .remove = redis_remove,
    .info = redis_info,
    .infos = redis_infos,
    .put = redis_put,
    .drop = redis_drop,
    .expire = redis_expire,
    .keys = redis_keys,
    .restore_begin = redis_restore_begin,
    .restore_end = redis_restore_end,
    .restore = redis_restore,
    .restore_key = redis_restore_key,
};

static struct timeval timeout_of(int64_t seconds, int64_t fallback)
{
    return (struct timeval){.tv_sec = seconds > 0 ? seconds : fallback};
}

static struct redis_store *new_store(const struct registry_options *options)
{
    struct redis_store *s = calloc(1, sizeof *s);
    size_t connections = options->connections > 0 ? options->connections : REGISTRY_CONNECTIONS;
    redisContext **idle = calloc(connections, sizeof(redisContext *));
    pthread_condattr_t clock;
    if (s == NULL || idle == NULL) {
        free(s);
        free(idle);
        return NULL;
    }
    s->base.ops = &redis_ops;
    s->base.width = connections;
    s->idle = idle;
    s->max_open = connections;
    s->connect_timeout = timeout_of(options->connect_seconds, REGISTRY_CONNECT_SECONDS);
    s->command_timeout = timeout_of(options->command_seconds, REGISTRY_COMMAND_SECONDS);
    s->warn = options->warn;
    s->warn_arg = options->warn_arg;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &clock);
    pthread_condattr_destroy(&clock);
    return s;
}

loss_status store_redis_open(const struct registry_options *options, struct store **out, struct loss_error *err)
{
    struct redis_store *s = new_store(options);
    struct loss_error why = {.status = LOSS_OK};
    redisContext *c;
    if (s == NULL) {
        return store_fail_memory(err);
    }
    loss_status status = redis_url_read(options->url, &s->url, err);
    if (status == LOSS_OK && redis_take(s, &c, &why) == LOSS_OK) {
        redis_give(s, c);
    } else if (status == LOSS_OK && why.status != LOSS_STORE_UNAVAILABLE) { /* waiting would not help */
        status = loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "%s", why.message);
    }
    if (status != LOSS_OK) {
        redis_close(&s->base);
        return status;
    }
    *out = &s->base;
    return LOSS_OK;
}
