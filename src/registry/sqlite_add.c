/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_add.c - adding and merging, and what an idempotency key is answered again.
 */
#include <registry/sqlite_base.h>

#include <stdalign.h>
#include <string.h>

static loss_status next_suffix(struct sqlite_store *s, int64_t registry, int64_t step, const char *base, int64_t *next,
                               struct loss_error *err)
{
    sqlite3_stmt *q;
    bool row = false;
    loss_status status = sqlite_start(s, SQL_FIND_SUFFIX, &q, err, "iis", registry, step, base);
    if (status == LOSS_OK) {
        status = sqlite_next_row(s, q, &row, err);
    }
    *next = row ? sqlite3_column_int64(q, 0) : 1;
    sqlite_done(q);
    return status;
}

/* Merge a batch into the entry *out, which is as the file has it. */
static loss_status merge(struct sqlite_store *s, const struct registry_add *add, int64_t now, struct loss_arena *arena,
                         struct registry_entry *out, struct loss_error *err)
{
    LOSS_TRY(store_check_merge(out, add, err));
    struct registry_tally *tally = loss_arena_alloc(arena, sizeof *tally, alignof(struct registry_tally));
    struct blob blob;
    if (tally == NULL) {
        return store_fail_memory(err);
    }
    *tally = *out->tally;
    tally_merge(tally, add->tally);
    out->tally = tally;
    out->loss = tally_loss(tally, out->reduction, out->dtype);
    out->updated_at = now;
    LOSS_TRY(sqlite_blob(tally, arena, &blob, err));
    return sqlite_run(s, SQL_MERGE_ENTRY, err, "iibi", (int64_t)out->order, sqlite_bits(out->loss), &blob, now);
}

/* Is an entry called so? */
static loss_status is_taken(struct sqlite_store *s, int64_t registry, int64_t step, const char *name, bool *taken,
                            struct loss_error *err)
{
    sqlite3_stmt *q;
    loss_status status = sqlite_start(s, SQL_NAME_TAKEN, &q, err, "iis", registry, step, name);
    if (status == LOSS_OK) {
        status = sqlite_next_row(s, q, taken, err);
    }
    sqlite_done(q);
    return status;
}

/* The first name of the add's base that is free, and its suffix; 0: the base itself. */
static loss_status pick_name(struct sqlite_store *s, int64_t registry, const struct registry_add *add,
                             char name[REGISTRY_NAME_MAX + 1], int64_t *suffix, struct loss_error *err)
{
    bool taken;
    *suffix = sqlite_recall_suffix(s, registry, add->step, add->name);
    if (*suffix == 0) {
        LOSS_TRY(is_taken(s, registry, add->step, strcpy(name, add->name), &taken, err));
        if (!taken) {
            return LOSS_OK;
        }
        LOSS_TRY(next_suffix(s, registry, add->step, add->name, suffix, err));
    }
    for (;; ++*suffix) {
        LOSS_TRY(store_suffixed(add->name, (uint64_t)*suffix, name, err));
        LOSS_TRY(is_taken(s, registry, add->step, name, &taken, err));
        if (!taken) {
            return LOSS_OK;
        }
    }
}

/* What can be refused is, before the first write. */
static loss_status add_new(struct sqlite_store *s, const struct sqlite_found *found, const struct registry_add *add,
                           int64_t now, struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    char name[REGISTRY_NAME_MAX + 1];
    struct blob blob;
    int64_t registry = found->id, suffix = 0;
    struct registry_entry e = store_entry_of(add, add->name, now);
    bool fresh = found->id == 0 || found->over;
    if (!fresh) {
        LOSS_TRY(pick_name(s, registry, add, name, &suffix, err));
        e.name = name;
    }
    LOSS_TRY(sqlite_blob(add->tally, arena, &blob, err));
    LOSS_TRY(store_entry_copy(arena, &e, out, err));
    if (fresh) {
        LOSS_TRY(sqlite_find_or_make(s, add->registry, now, &registry, err));
    }
    LOSS_TRY(sqlite_run(s, SQL_ADD_ENTRY, err, "iississibi", registry, e.step, e.name, e.collection,
                        sqlite_bits(e.loss), e.dtype, e.reduction, now, &blob, (int64_t)0));
    out->order = (uint64_t)sqlite3_last_insert_rowid(s->db);
    LOSS_TRY(sqlite_touch(s, registry, add->registry, fresh ? 0 : found->ttl, now, err));
    return suffix != 0 ? sqlite_count_suffix(s, add->step, add->name, suffix + 1, err) : LOSS_OK;
}

static loss_status add_one(struct sqlite_store *s, const struct registry_add *add, int64_t now,
                           struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    struct sqlite_found found;
    bool merges = false;
    LOSS_TRY(sqlite_find_registry(s, add->registry, now, &found, err));
    if (found.id != 0 && !found.over && add->tally != NULL) {
        LOSS_TRY(sqlite_find_entry(s, found.id, add->step, add->name, arena, out, &merges, err));
    }
    if (!merges) {
        return add_new(s, &found, add, now, arena, out, err);
    }
    LOSS_TRY(merge(s, add, now, arena, out, err));
    return sqlite_touch(s, found.id, add->registry, found.ttl, now, err);
}

/* *id is the key's, or 0; *over: its time has passed, so that it is as good as none. */
static loss_status find_key(struct sqlite_store *s, const struct registry_key *key, int64_t now, int64_t *id,
                            bool *over, struct loss_error *err)
{
    sqlite3_stmt *q;
    bool row = false, same = false;
    int64_t created_at = 0;
    *id = 0;
    loss_status status = sqlite_start(s, SQL_FIND_KEY, &q, err, "s", key->key);
    if (status == LOSS_OK) {
        status = sqlite_next_row(s, q, &row, err);
    }
    if (row) {
        *id = sqlite3_column_int64(q, 0);
        created_at = sqlite3_column_int64(q, 2);
        same = sqlite3_column_bytes(q, 1) == sizeof key->fingerprint &&
               memcmp(sqlite3_column_blob(q, 1), key->fingerprint, sizeof key->fingerprint) == 0;
    }
    sqlite_done(q);
    *over = *id != 0 && created_at + s->base.key_life <= now;
    return status != LOSS_OK || *id == 0 || *over || same ? status : store_fail_conflict(err, key->key);
}

static loss_status answer_again(struct sqlite_store *s, int64_t id, const struct registry_key *key, size_t n,
                                struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    sqlite3_stmt *q;
    size_t count = 0;
    bool row = true;
    loss_status status = sqlite_start(s, SQL_KEY_ENTRIES, &q, err, "i", id);
    while (status == LOSS_OK && row) {
        struct registry_entry e;
        status = sqlite_next_entry(s, q, &row, &e, err);
        if (status == LOSS_OK && row && count < n) {
            status = store_entry_copy(arena, &e, &out[count], err);
        }
        count += row;
    }
    sqlite_done(q);
    return status == LOSS_OK && count != n ? store_fail_conflict(err, key->key) : status;
}

loss_status sqlite_keep_key(struct sqlite_store *s, const struct registry_key *key, const struct registry_entry *out,
                            size_t n, int64_t now, struct loss_arena *arena, struct loss_error *err)
{
    LOSS_TRY(sqlite_run(s, SQL_ADD_KEY, err, "sfi", key->key, key->fingerprint, now));
    int64_t id = sqlite3_last_insert_rowid(s->db);
    for (size_t i = 0; i < n; i++) {
        struct blob blob;
        LOSS_TRY(sqlite_blob(out[i].tally, arena, &blob, err));
        LOSS_TRY(sqlite_run(s, SQL_ADD_KEY_ENTRY, err, "iiiississibi", id, (int64_t)i, (int64_t)out[i].order,
                            out[i].step, out[i].name, out[i].collection, sqlite_bits(out[i].loss), out[i].dtype,
                            out[i].reduction, out[i].added_at, &blob, out[i].updated_at));
    }
    return LOSS_OK;
}

static loss_status add_all(struct sqlite_store *s, const struct registry_add *adds, size_t n,
                           const struct registry_key *key, int64_t now, struct loss_arena *arena,
                           struct registry_entry *out, struct loss_error *err)
{
    int64_t known = 0;
    bool over = false;
    if (key->key != NULL) {
        LOSS_TRY(find_key(s, key, now, &known, &over, err));
        if (known != 0 && !over) {
            return answer_again(s, known, key, n, arena, out, err);
        }
    }
    for (size_t i = 0; i < n; i++) {
        LOSS_TRY(add_one(s, &adds[i], now, arena, &out[i], err));
    }
    if (over) {
        LOSS_TRY(sqlite_run(s, SQL_DROP_KEY, err, "i", known));
    }
    return key->key != NULL ? sqlite_keep_key(s, key, out, n, now, arena, err) : LOSS_OK;
}

loss_status sqlite_add(struct store *store, const struct registry_add *adds, size_t n, const struct registry_key *key,
                       int64_t now, struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    loss_status status = sqlite_begin_write(s, n > 1, err); /* one alone is refused before it has written anything */
    if (status == LOSS_OK) {
        status = add_all(s, adds, n, key, now, arena, out, err);
    }
    return sqlite_end_write(s, status, err);
}
