/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_restore.c - registries and keys as they were in another store, and the list of keys.
 */
#include <registry/sqlite_base.h>

#include <string.h>

/* Empty-handed where one that is taken may not be touched. */
static loss_status make_room(struct sqlite_store *s, const struct registry_image *image, registry_taken taken,
                             int64_t now, bool *there, struct loss_error *err)
{
    struct sqlite_found found;
    LOSS_TRY(sqlite_find_registry(s, image->registry, now, &found, err));
    *there = found.id != 0 && !found.over;
    if (*there && taken == REGISTRY_REFUSE) {
        return store_fail_taken(err, image->registry);
    }
    if (*there && taken == REGISTRY_REPLACE) {
        *there = false;
        return sqlite_run(s, SQL_DROP_REGISTRY, err, "i", found.id);
    }
    return LOSS_OK;
}

static loss_status restore_entry(struct sqlite_store *s, int64_t registry, const struct registry_entry *e, bool there,
                                 struct loss_arena *arena, struct loss_error *err)
{
    struct registry_entry old;
    struct blob blob;
    bool found;
    LOSS_TRY(sqlite_find_entry(s, registry, e->step, e->name, arena, &old, &found, err));
    if (found) {
        return there && store_same_entry(&old, e) ? LOSS_OK : store_fail_entry(err, e);
    }
    LOSS_TRY(sqlite_blob(e->tally, arena, &blob, err));
    return sqlite_run(s, SQL_ADD_ENTRY, err, "iississibi", registry, e->step, e->name, e->collection,
                      sqlite_bits(e->loss), e->dtype, e->reduction, e->added_at, &blob,
                      e->updated_at != e->added_at ? e->updated_at : (int64_t)0);
}

/* `there`: the registry was, so that entries that it has already are no error. */
static loss_status restore_entries(struct sqlite_store *s, int64_t registry, const struct registry_image *image,
                                   bool there, struct loss_error *err)
{
    for (;;) {
        const struct registry_entry *e;
        LOSS_TRY(image->next(image->arg, &e, err));
        if (e == NULL) {
            return LOSS_OK;
        }
        struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL); /* one each: there may be millions */
        loss_status status = arena != NULL ? restore_entry(s, registry, e, there, arena, err) : store_fail_memory(err);
        loss_arena_free(arena);
        LOSS_TRY(status);
    }
}

static loss_status restore(struct sqlite_store *s, const struct registry_image *image, registry_taken taken,
                           int64_t now, struct loss_error *err)
{
    int64_t registry;
    bool there;
    LOSS_TRY(make_room(s, image, taken, now, &there, err));
    LOSS_TRY(sqlite_find_or_make(s, image->registry, now, &registry, err));
    LOSS_TRY(restore_entries(s, registry, image, there, err));
    return there ? sqlite_run(s, SQL_TOUCH_LATER, err, "ii", registry, image->updated_at)
                 : sqlite_run(s, SQL_SET_TTL, err, "iii", registry, image->ttl_seconds, image->updated_at);
}

loss_status sqlite_restore(struct store *store, const struct registry_image *image, registry_taken taken, int64_t now,
                           struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    loss_status status = sqlite_begin_write(s, true, err);
    if (status == LOSS_OK) {
        status = restore(s, image, taken, now, err);
    }
    return sqlite_end_write(s, status, err);
}

static loss_status read_fingerprint(sqlite3_stmt *q, int column, struct registry_kept_key *k, struct loss_error *err)
{
    const void *fingerprint = sqlite3_column_blob(q, column);
    if (fingerprint == NULL || sqlite3_column_bytes(q, column) != sizeof k->key.fingerprint) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the store's file has a key that lossd did not write");
    }
    memcpy(k->key.fingerprint, fingerprint, sizeof k->key.fingerprint);
    return LOSS_OK;
}

static loss_status read_key(sqlite3_stmt *q, struct registry_kept_key *k, struct loss_error *err)
{
    bool short_of_memory = false;
    k->key.key = sqlite_text(q, 1, &short_of_memory);
    k->created_at = sqlite3_column_int64(q, 3);
    return short_of_memory ? store_fail_memory(err) : read_fingerprint(q, 2, k, err);
}

/* All that was added under the key, copied into `arena`. */
static loss_status read_key_entries(struct sqlite_store *s, int64_t id, struct loss_arena *arena,
                                    struct registry_kept_key *k, struct loss_error *err)
{
    struct registry_entry *entries = NULL;
    sqlite3_stmt *q;
    bool row = true;
    loss_status status = sqlite_start(s, SQL_KEY_ENTRIES, &q, err, "i", id);
    k->n = 0;
    while (status == LOSS_OK && row) {
        struct registry_entry e;
        status = sqlite_next_entry(s, q, &row, &e, err);
        if (status != LOSS_OK || !row) {
            break;
        }
        struct registry_entry *grown = loss_arena_resize(arena, entries, (k->n + 1) * sizeof *entries);
        if (grown == NULL) {
            status = store_fail_memory(err);
            break;
        }
        entries = grown;
        status = store_entry_copy(arena, &e, &entries[k->n], err);
        k->n += status == LOSS_OK;
    }
    sqlite_done(q);
    k->entries = entries;
    return status;
}

static loss_status show_key(struct sqlite_store *s, sqlite3_stmt *q, registry_visit_key visit, void *arg, bool *more,
                            struct loss_error *err)
{
    struct registry_kept_key k = {.n = 0};
    struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);
    loss_status status = arena != NULL ? read_key(q, &k, err) : store_fail_memory(err);
    if (status == LOSS_OK) {
        status = read_key_entries(s, sqlite3_column_int64(q, 0), arena, &k, err);
    }
    if (status == LOSS_OK) {
        status = visit(arg, &k, more, err);
    }
    loss_arena_free(arena);
    return status;
}

loss_status sqlite_keys(struct store *store, int64_t now, registry_visit_key visit, void *arg, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    sqlite3_stmt *q;
    bool row = true, more = true;
    pthread_mutex_lock(&s->lock);
    loss_status status = sqlite_start(s, SQL_KEYS, &q, err, "i", now - s->base.key_life);
    while (status == LOSS_OK && more) {
        status = sqlite_next_row(s, q, &row, err);
        if (status != LOSS_OK || !row) {
            break;
        }
        status = show_key(s, q, visit, arg, &more, err);
    }
    sqlite_done(q);
    pthread_mutex_unlock(&s->lock);
    return status;
}

/* *there: the very same key is. */
static loss_status make_room_for_key(struct sqlite_store *s, const struct registry_kept_key *key, registry_taken taken,
                                     bool *there, struct loss_error *err)
{
    struct registry_kept_key old = {.n = 0};
    sqlite3_stmt *q;
    bool row = false;
    int64_t id = 0;
    loss_status status = sqlite_start(s, SQL_FIND_KEY, &q, err, "s", key->key.key);
    if (status == LOSS_OK) {
        status = sqlite_next_row(s, q, &row, err);
    }
    if (status == LOSS_OK && row) {
        id = sqlite3_column_int64(q, 0);
        old.created_at = sqlite3_column_int64(q, 2);
        status = read_fingerprint(q, 1, &old, err);
    }
    sqlite_done(q);
    *there = row && old.created_at == key->created_at &&
             memcmp(old.key.fingerprint, key->key.fingerprint, sizeof old.key.fingerprint) == 0;
    if (status != LOSS_OK || !row || *there) {
        return status;
    }
    return taken == REGISTRY_REPLACE ? sqlite_run(s, SQL_DROP_KEY, err, "i", id)
                                     : store_fail_conflict(err, key->key.key);
}

static loss_status restore_key(struct sqlite_store *s, const struct registry_kept_key *key, registry_taken taken,
                               struct loss_error *err)
{
    bool there;
    LOSS_TRY(make_room_for_key(s, key, taken, &there, err));
    if (there) {
        return LOSS_OK;
    }
    struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);
    loss_status status = arena != NULL
                             ? sqlite_keep_key(s, &key->key, key->entries, key->n, key->created_at, arena, err)
                             : store_fail_memory(err);
    loss_arena_free(arena);
    return status;
}

loss_status sqlite_restore_key(struct store *store, const struct registry_kept_key *key, registry_taken taken,
                               int64_t now, struct loss_error *err)
{
    (void)now; /* what is over is swept later */
    struct sqlite_store *s = sqlite_of(store);
    loss_status status = sqlite_begin_write(s, true, err);
    if (status == LOSS_OK) {
        status = restore_key(s, key, taken, err);
    }
    return sqlite_end_write(s, status, err);
}
