/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_keys.c - the idempotency keys that Redis remembers, oldest first.
 *
 * They are found by walking through all of Redis's keys, piece by piece, so that other calls get their turn; what is
 * added or ends meanwhile may be there or not.
 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <registry/redis_base.h>

#define PIECE 1000 /* keys that Redis looks at for one answer */
#define FIRST 2    /* of a kept list: fingerprint, time, then each entry as lua/add.lua answers it */

struct kept {
    const char *name; /* in Redis */
    int64_t created_at;
};

struct listing {
    struct redis_store *s;
    struct loss_arena *arena;
    struct redis_command c;
    struct kept *all;
    size_t n;
};

static loss_status ask(struct listing *l, redisReply **answer, struct loss_error *err)
{
    return redis_ask(l->s, &l->c, 1, REDIS_READS, answer, err);
}

static loss_status note_key(struct listing *l, const redisReply *name, struct loss_error *err)
{
    redisReply *time = NULL;
    redis_begin(&l->c, "LINDEX");
    redis_push(&l->c, name->str, name->len);
    redis_push_number(&l->c, 1);
    LOSS_TRY(ask(l, &time, err));
    bool there = time->type == REDIS_REPLY_STRING; /* else it has just ended */
    int64_t created_at = there ? strtoll(time->str, NULL, 10) : 0;
    freeReplyObject(time);
    if (!there) {
        return LOSS_OK;
    }
    struct kept *grown = loss_arena_resize(l->arena, l->all, (l->n + 1) * sizeof *grown);
    const char *copy = loss_arena_format(l->arena, "%s", name->str);
    if (grown == NULL || copy == NULL) {
        return store_fail_memory(err);
    }
    l->all = grown;
    l->all[l->n++] = (struct kept){copy, created_at};
    return LOSS_OK;
}

static loss_status find_keys(struct listing *l, struct loss_error *err)
{
    char cursor[32] = "0";
    loss_status status = LOSS_OK;
    do {
        redisReply *answer = NULL;
        redis_begin(&l->c, "SCAN");
        redis_push_text(&l->c, cursor);
        redis_push_text(&l->c, "MATCH");
        redis_push_text(&l->c, REDIS_KEYS "*");
        redis_push_text(&l->c, "COUNT");
        redis_push_number(&l->c, PIECE);
        LOSS_TRY(ask(l, &answer, err));
        if (answer->type != REDIS_REPLY_ARRAY || answer->elements != 2 || answer->element[0]->len >= sizeof cursor ||
            answer->element[1]->type != REDIS_REPLY_ARRAY) {
            status = redis_fail_odd(err);
        } else {
            memcpy(cursor, answer->element[0]->str, answer->element[0]->len + 1);
        }
        for (size_t i = 0; status == LOSS_OK && i < answer->element[1]->elements; i++) {
            status = note_key(l, answer->element[1]->element[i], err);
        }
        freeReplyObject(answer);
    } while (status == LOSS_OK && strcmp(cursor, "0") != 0);
    return status;
}

static int by_age(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    return x->created_at != y->created_at ? (x->created_at > y->created_at) - (x->created_at < y->created_at)
                                          : strcmp(x->name, y->name);
}

/* The kept list of a key as registry.h shows it; what it points to is the answer's or lies in `arena`. */
static loss_status read_kept(const redisReply *answer, struct loss_arena *arena, struct registry_kept_key *k,
                             struct loss_error *err)
{
    size_t n = (answer->elements - FIRST) / 3;
    if (answer->elements != FIRST + 3 * n || answer->element[0]->len != sizeof k->key.fingerprint) {
        return redis_fail_odd(err);
    }
    struct registry_entry *entries = loss_arena_alloc(arena, (n + 1) * sizeof *entries, alignof(struct registry_entry));
    struct registry_tally *tallies = loss_arena_alloc(arena, (n + 1) * sizeof *tallies, alignof(struct registry_tally));
    if (entries == NULL || tallies == NULL) {
        return store_fail_memory(err);
    }
    memcpy(k->key.fingerprint, answer->element[0]->str, sizeof k->key.fingerprint);
    k->created_at = redis_number(answer, 1);
    k->entries = entries;
    k->n = n;
    for (size_t i = 0; i < n; i++) {
        LOSS_TRY(redis_read_entry(answer, FIRST + 3 * i, &entries[i], &tallies[i], err));
    }
    return LOSS_OK;
}

static loss_status show_key(struct listing *l, const char *name, int64_t now, registry_visit_key visit, void *arg,
                            bool *more, struct loss_error *err)
{
    redisReply *answer = NULL;
    struct registry_kept_key k = {.key.key = name + strlen(REDIS_KEYS)};
    redis_begin(&l->c, "LRANGE");
    redis_push_text(&l->c, name);
    redis_push_number(&l->c, 0);
    redis_push_number(&l->c, -1);
    LOSS_TRY(ask(l, &answer, err));
    struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);
    loss_status status = LOSS_OK;
    if (answer->elements >= FIRST) { /* else it has just ended */
        status = arena != NULL ? read_kept(answer, arena, &k, err) : store_fail_memory(err);
        if (status == LOSS_OK && k.created_at + l->s->base.key_life > now) {
            status = visit(arg, &k, more, err);
        }
    }
    loss_arena_free(arena);
    freeReplyObject(answer);
    return status;
}

loss_status redis_keys(struct store *store, int64_t now, registry_visit_key visit, void *arg, struct loss_error *err)
{
    struct listing l = {.s = redis_of(store), .arena = loss_arena_new(SIZE_MAX, NULL)};
    bool more = true;
    loss_status status = l.arena != NULL ? find_keys(&l, err) : store_fail_memory(err);
    if (status == LOSS_OK && l.n > 0) {
        qsort(l.all, l.n, sizeof *l.all, by_age);
    }
    for (size_t i = 0; status == LOSS_OK && more && i < l.n; i++) {
        if (i == 0 || strcmp(l.all[i].name, l.all[i - 1].name) != 0) { /* Redis may give one twice */
            status = show_key(&l, l.all[i].name, now, visit, arg, &more, err);
        }
    }
    redis_command_fini(&l.c);
    loss_arena_free(l.arena);
    return status;
}
