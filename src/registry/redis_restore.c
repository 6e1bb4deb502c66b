/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_restore.c - registries and keys as they were in another store: put aside in pieces, and in place by one script.
 *
 * What lies aside is seen by nobody (lua/staged.lua), and goes by itself when the import is given up. Servers may write
 * meanwhile: the last script looks at everything again before it changes anything.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include <registry/redis_base.h>
#include <text/hex.h>

#define PIECE_ENTRIES 200 /* of one command: Redis does nothing else for a few milliseconds */
#define PIECE_BYTES (256u << 10)
#define LIFE 3600 /* seconds that what lies aside is kept after the last of its registry came */

static const char *word_of(registry_taken taken)
{
    return taken == REGISTRY_REPLACE ? "replace" : taken == REGISTRY_MERGE ? "merge" : "refuse";
}

static loss_status fail_gone(struct loss_error *err)
{
    return loss_fail(
        err, LOSS_STORE_UNAVAILABLE, "",
        "what was to be imported is no longer in Redis whole: an import has %d minutes, and needs memory that Redis "
        "does not evict",
        LIFE / 60);
}

/* The first arguments of all that puts something aside. */
static void push_aside(struct redis_store *s, struct redis_command *c, int64_t now, int64_t life)
{
    redis_push_number(c, now);
    redis_push_number(c, life);
    redis_push_text(c, s->import.prefix);
    redis_push_number(c, LIFE);
}

/* --- the whole --- */

loss_status redis_restore_begin(struct store *store, struct loss_error *err)
{
    struct redis_store *s = redis_of(store);
    unsigned char random[16];
    char text[2 * sizeof random + 1];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return loss_fail(err, LOSS_INTERNAL, "", "the system has no random bytes");
    }
    hex_write(text, random, sizeof random);
    s->import = (struct redis_import){.open = true};
    snprintf(s->import.prefix, sizeof s->import.prefix, "lossd:import:%s:", text);
    return LOSS_OK;
}

/* As far as it can be done now; the rest expires. */
static void throw_away(struct redis_store *s)
{
    struct redis_command c = {0};
    int64_t left = 1;
    while (left > 0) {
        redisReply *answer = NULL;
        redis_begin_script(&c, REDIS_UNSTAGE, 0);
        redis_push_text(&c, s->import.prefix);
        left = redis_ask(s, &c, 1, REDIS_REPEATS, &answer, NULL) == LOSS_OK ? redis_number(answer, 1) : 0;
        freeReplyObject(answer);
    }
    redis_command_fini(&c);
}

static loss_status fail_place(const redisReply *answer, struct loss_error *err)
{
    const char *name = answer->elements > 1 ? answer->element[1]->str : "";
    if (redis_says(answer, "taken")) {
        return store_fail_taken(err, name);
    }
    if (redis_says(answer, "key")) {
        return store_fail_conflict(err, name);
    }
    if (redis_says(answer, "entry") && answer->elements == 4) {
        return loss_fail(err, LOSS_INVALID_NAME, "",
                         "meanwhile another entry \"%.200s\" was added to step %" PRId64 " of the registry \"%.200s\"",
                         answer->element[3]->str, redis_number(answer, 2), store_shown(name));
    }
    return redis_says(answer, "gone") ? fail_gone(err) : redis_fail_odd(err);
}

static loss_status put_in_place(struct redis_store *s, int64_t now, struct loss_error *err)
{
    struct redis_command c = {0};
    redisReply *answer = NULL;
    redis_begin_script(&c, REDIS_PLACE, 2);
    redis_push_text(&c, REDIS_INDEX);
    redis_push_text(&c, REDIS_ORDERS);
    redis_push_number(&c, now);
    redis_push_number(&c, s->base.ttl);
    redis_push_number(&c, s->base.key_life);
    redis_push_text(&c, s->import.prefix);
    redis_push_number(&c, LIFE);
    redis_push_number(&c, s->import.n_registries);
    redis_push_number(&c, s->import.n_keys);
    loss_status status = redis_ask(s, &c, 1, REDIS_REPEATS, &answer, err);
    if (status == LOSS_OK && !redis_says(answer, "ok")) {
        status = fail_place(answer, err);
    }
    freeReplyObject(answer);
    redis_command_fini(&c);
    return status;
}

loss_status redis_restore_end(struct store *store, int64_t now, bool keep, struct loss_error *err)
{
    struct redis_store *s = redis_of(store);
    loss_status status = LOSS_OK;
    if (keep && s->import.failed) {
        status = loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "a part of the import failed");
    } else if (keep) {
        status = put_in_place(s, now, err);
    }
    if (!keep || status != LOSS_OK) {
        throw_away(s);
    }
    s->import.open = false;
    return status;
}

/* What is restored outside of an import is one of its own. */
static loss_status begin_own(struct redis_store *s, bool *own, struct loss_error *err)
{
    *own = !s->import.open;
    return *own ? redis_restore_begin(&s->base, err) : LOSS_OK;
}

static loss_status end_own(struct redis_store *s, bool own, loss_status status, int64_t now, struct loss_error *err)
{
    s->import.failed |= status != LOSS_OK;
    if (!own) {
        return status;
    }
    loss_status ended = redis_restore_end(&s->base, now, status == LOSS_OK, status == LOSS_OK ? err : NULL);
    return status != LOSS_OK ? status : ended;
}

/* --- registries --- */

static loss_status stage_registry(struct redis_store *s, const struct registry_image *image, registry_taken taken,
                                  int64_t now, struct redis_command *c, struct loss_error *err)
{
    redisReply *answer = NULL;
    redis_begin_script(c, REDIS_STAGE, 1);
    redis_push_base(c, image->registry);
    push_aside(s, c, now, s->base.ttl);
    redis_push_number(c, ++s->import.begun);
    redis_push_text(c, word_of(taken));
    redis_push_text(c, image->registry);
    redis_push_number(c, image->ttl_seconds);
    redis_push_number(c, image->updated_at);
    LOSS_TRY(redis_ask(s, c, 1, REDIS_REPEATS, &answer, err));
    loss_status status = LOSS_OK;
    if (redis_says(answer, "ok")) {
        s->import.n_registries = redis_number(answer, 1);
    } else {
        status = redis_says(answer, "taken") ? store_fail_taken(err, image->registry) : redis_fail_odd(err);
    }
    freeReplyObject(answer);
    return status;
}

/* Entries on their way into one command. */
struct piece {
    struct redis_command c;
    uint64_t before; /* entries of the registry that were sent */
    size_t n;
    bool ended; /* there are no more */
};

static loss_status fill_piece(struct redis_store *s, const struct registry_image *image, int64_t now, struct piece *p,
                              struct loss_error *err)
{
    redis_begin_script(&p->c, REDIS_STAGE_ENTRIES, 2);
    redis_push_text(&p->c, REDIS_ORDERS);
    redis_push_base(&p->c, image->registry);
    push_aside(s, &p->c, now, s->base.ttl);
    redis_push_number(&p->c, (int64_t)p->before);
    for (p->n = 0; p->n < PIECE_ENTRIES && p->c.size < PIECE_BYTES; p->n++) {
        const struct registry_entry *e;
        LOSS_TRY(image->next(image->arg, &e, err));
        p->ended = e == NULL;
        if (p->ended) {
            break;
        }
        redis_push_number(&p->c, e->step);
        redis_push_text(&p->c, e->name);
        redis_push_record(&p->c, e);
        redis_push_tally(&p->c, e->tally, e->updated_at);
    }
    return LOSS_OK;
}

static loss_status refuse_entry(const struct registry_image *image, const struct piece *p, const redisReply *answer,
                                struct loss_error *err)
{
    if (answer->elements != 4) {
        return redis_fail_odd(err);
    }
    if (image->blame != NULL) {
        image->blame(image->arg, p->before + (uint64_t)redis_number(answer, 1));
    }
    const struct registry_entry e = {.step = redis_number(answer, 2), .name = answer->element[3]->str};
    return store_fail_entry(err, &e);
}

static loss_status send_piece(struct redis_store *s, const struct registry_image *image, struct piece *p,
                              struct loss_error *err)
{
    redisReply *answer = NULL;
    if (p->n == 0) {
        return LOSS_OK;
    }
    LOSS_TRY(redis_ask(s, &p->c, 1, REDIS_REPEATS, &answer, err));
    loss_status status = LOSS_OK;
    if (redis_says(answer, "entry")) {
        status = refuse_entry(image, p, answer, err);
    } else if (!redis_says(answer, "ok")) {
        status = redis_says(answer, "gone") ? fail_gone(err) : redis_fail_odd(err);
    }
    freeReplyObject(answer);
    p->before += p->n;
    return status;
}

loss_status redis_restore(struct store *store, const struct registry_image *image, registry_taken taken, int64_t now,
                          struct loss_error *err)
{
    struct redis_store *s = redis_of(store);
    struct piece p = {.ended = false};
    bool own;
    LOSS_TRY(begin_own(s, &own, err));
    loss_status status = stage_registry(s, image, taken, now, &p.c, err);
    while (status == LOSS_OK && !p.ended) {
        status = fill_piece(s, image, now, &p, err);
        if (status == LOSS_OK) {
            status = send_piece(s, image, &p, err);
        }
    }
    redis_command_fini(&p.c);
    return end_own(s, own, status, now, err);
}

/* --- idempotency keys --- */

static loss_status stage_key(struct redis_store *s, const struct registry_kept_key *key, registry_taken taken,
                             int64_t now, struct loss_error *err)
{
    struct redis_command c = {0};
    redisReply *answer = NULL;
    redis_begin_script(&c, REDIS_STAGE_KEY, 1);
    redis_push_key(&c, key->key.key);
    push_aside(s, &c, now, s->base.key_life);
    redis_push_text(&c, word_of(taken));
    redis_push_text(&c, key->key.key);
    redis_push(&c, key->key.fingerprint, sizeof key->key.fingerprint);
    redis_push_number(&c, key->created_at);
    for (size_t i = 0; i < key->n; i++) {
        redis_push_number(&c, 0); /* an order says nothing there */
        redis_push_record(&c, &key->entries[i]);
        redis_push_tally(&c, key->entries[i].tally, key->entries[i].updated_at);
    }
    loss_status status = redis_ask(s, &c, 1, REDIS_REPEATS, &answer, err);
    if (status == LOSS_OK && redis_says(answer, "ok")) {
        s->import.n_keys = redis_number(answer, 1);
    } else if (status == LOSS_OK) {
        status = redis_says(answer, "key") ? store_fail_conflict(err, key->key.key) : redis_fail_odd(err);
    }
    freeReplyObject(answer);
    redis_command_fini(&c);
    return status;
}

loss_status redis_restore_key(struct store *store, const struct registry_kept_key *key, registry_taken taken,
                              int64_t now, struct loss_error *err)
{
    struct redis_store *s = redis_of(store);
    bool own;
    if (key->created_at + s->base.key_life <= now) { /* nobody would sweep it */
        return LOSS_OK;
    }
    LOSS_TRY(begin_own(s, &own, err));
    return end_own(s, own, stage_key(s, key, taken, now, err), now, err);
}
