/* SPDX-License-Identifier: Apache-2.0
 *
 * store_sqlite.c - a store in one SQLite file: what was acknowledged survives a crash and a power cut.
 *
 * One connection behind one mutex. The file is in WAL mode and synced at every commit; every change is one
 * transaction. Beside it lies PATH.lock, locked for as long as the store is open, so that a second server on the same
 * file is told so; other programs may read the file (or back it up) meanwhile. Each failure of SQLite is
 * LOSS_STORE_UNAVAILABLE with the reason, except want of memory.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <registry/sqlite_base.h>

static loss_status read_info(sqlite3_stmt *q, struct registry_info *info, struct loss_error *err)
{
    bool short_of_memory = false;
    bool empty = sqlite3_column_type(q, 5) == SQLITE_NULL;
    *info = (struct registry_info){.registry = sqlite_text(q, 0, &short_of_memory),
                                   .ttl_seconds = sqlite3_column_int64(q, 1),
                                   .updated_at = sqlite3_column_int64(q, 2),
                                   .entries = (uint64_t)sqlite3_column_int64(q, 3),
                                   .steps = (uint64_t)sqlite3_column_int64(q, 4),
                                   .latest_step = empty ? -1 : sqlite3_column_int64(q, 5)};
    return short_of_memory ? store_fail_memory(err) : LOSS_OK;
}

loss_status sqlite_find_registry(struct sqlite_store *s, const char *name, int64_t now, struct sqlite_found *found,
                                 struct loss_error *err)
{
    sqlite3_stmt *q;
    bool row = false;
    if (sqlite_recall(s, name, now, found)) {
        return LOSS_OK;
    }
    loss_status status = sqlite_start(s, SQL_FIND_REGISTRY, &q, err, "s", name);
    if (status == LOSS_OK) {
        status = sqlite_next_row(s, q, &row, err);
    }
    *found = (struct sqlite_found){0};
    if (row) {
        found->id = sqlite3_column_int64(q, 0);
        found->ttl = sqlite3_column_int64(q, 1);
        found->over = store_end_of(&s->base, found->ttl, sqlite3_column_int64(q, 2)) <= now;
    }
    sqlite_done(q);
    return status;
}

static loss_status find_or_fail(struct sqlite_store *s, const char *name, int64_t now, int64_t *id,
                                struct loss_error *err)
{
    struct sqlite_found found;
    LOSS_TRY(sqlite_find_registry(s, name, now, &found, err));
    if (found.id == 0 || found.over) {
        return store_fail_unknown(err, name);
    }
    *id = found.id;
    return LOSS_OK;
}

loss_status sqlite_find_or_make(struct sqlite_store *s, const char *name, int64_t now, int64_t *id,
                                struct loss_error *err)
{
    struct sqlite_found found;
    LOSS_TRY(sqlite_find_registry(s, name, now, &found, err));
    if (found.over) {
        sqlite_forget(s);
        LOSS_TRY(sqlite_run(s, SQL_DROP_REGISTRY, err, "i", found.id));
    }
    if (found.id != 0 && !found.over) {
        *id = found.id;
        return LOSS_OK;
    }
    LOSS_TRY(sqlite_run(s, SQL_MAKE_REGISTRY, err, "sii", name, (int64_t)0, now));
    *id = sqlite3_last_insert_rowid(s->db);
    return LOSS_OK;
}

/* The one number that a query gives; `fallback` where it is NULL or there is no row. */
static loss_status ask_number(struct sqlite_store *s, enum statement id, int64_t registry, int64_t fallback,
                              int64_t *number, struct loss_error *err)
{
    sqlite3_stmt *q;
    bool row = false;
    loss_status status = sqlite_start(s, id, &q, err, "i", registry);
    if (status == LOSS_OK) {
        status = sqlite_next_row(s, q, &row, err);
    }
    *number = row && sqlite3_column_type(q, 0) != SQLITE_NULL ? sqlite3_column_int64(q, 0) : fallback;
    sqlite_done(q);
    return status;
}

/* The name is free again: the next one of its base may take it. */
static loss_status release_name(struct sqlite_store *s, int64_t registry, const struct registry_entry *entry,
                                struct loss_error *err)
{
    char base[REGISTRY_NAME_MAX + 1];
    size_t length;
    uint64_t number;
    if (!store_suffix_of(entry->name, &length, &number) || length > REGISTRY_NAME_MAX) {
        return LOSS_OK;
    }
    memcpy(base, entry->name, length);
    base[length] = '\0';
    return sqlite_run(s, SQL_LOWER_SUFFIX, err, "iisi", registry, entry->step, base, (int64_t)number);
}

loss_status sqlite_find_entry(struct sqlite_store *s, int64_t registry, int64_t step, const char *name,
                              struct loss_arena *arena, struct registry_entry *entry, bool *found,
                              struct loss_error *err)
{
    sqlite3_stmt *q;
    struct registry_entry row;
    *found = false;
    loss_status status = sqlite_start(s, SQL_SCAN_NAME, &q, err, "iiiss", registry, step, (int64_t)0, NULL, name);
    if (status == LOSS_OK) {
        status = sqlite_next_entry(s, q, found, &row, err);
    }
    if (status == LOSS_OK && *found) {
        status = store_entry_copy(arena, &row, entry, err);
    }
    sqlite_done(q);
    return status;
}

/* Start the query of a range; *q is NULL where there can be no entry. */
static loss_status start_scan(struct sqlite_store *s, int64_t registry, const struct store_range *range,
                              sqlite3_stmt **q, struct loss_error *err)
{
    int64_t step = range->step;
    *q = NULL;
    if (step == REGISTRY_STEP_LATEST) {
        LOSS_TRY(ask_number(s, SQL_LATEST_STEP, registry, -1, &step, err));
        if (step < 0) {
            return LOSS_OK;
        }
    }
    if (step == REGISTRY_STEP_ALL) {
        return sqlite_start(s, SQL_SCAN_ALL, q, err, "iiiss", registry, step, (int64_t)range->after, range->collection,
                            range->name);
    }
    if (range->name != NULL) {
        return sqlite_start(s, SQL_SCAN_NAME, q, err, "iiiss", registry, step, (int64_t)range->after, range->collection,
                            range->name);
    }
    return sqlite_start(s, SQL_SCAN_STEP, q, err, "iiis", registry, step, (int64_t)range->after, range->collection);
}

static loss_status scan(struct sqlite_store *s, const struct store_range *range, int64_t now, store_visit visit,
                        void *arg, struct loss_error *err)
{
    sqlite3_stmt *q;
    int64_t registry = 0;
    bool row = true, more = true;
    LOSS_TRY(find_or_fail(s, range->registry, now, &registry, err));
    loss_status status = start_scan(s, registry, range, &q, err);
    while (status == LOSS_OK && q != NULL && row && more) {
        struct registry_entry e;
        status = sqlite_next_entry(s, q, &row, &e, err);
        if (status == LOSS_OK && row) {
            status = visit(arg, &e, &more, err);
        }
    }
    sqlite_done(q);
    return status;
}

static loss_status sqlite_scan(struct store *store, const struct store_range *range, int64_t now, store_visit visit,
                               void *arg, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    pthread_mutex_lock(&s->lock);
    loss_status status = scan(s, range, now, visit, arg, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static loss_status remove_entry(struct sqlite_store *s, int64_t registry, const struct registry_entry *entry,
                                struct loss_error *err)
{
    LOSS_TRY(release_name(s, registry, entry, err));
    return sqlite_run(s, SQL_REMOVE_ENTRY, err, "i", (int64_t)entry->order);
}

static loss_status remove_range(struct sqlite_store *s, const struct store_range *range, int64_t now, store_pick pick,
                                void *arg, uint64_t *removed, struct loss_error *err)
{
    sqlite3_stmt *q;
    int64_t registry = 0;
    uint64_t count = 0;
    bool row = true;
    LOSS_TRY(find_or_fail(s, range->registry, now, &registry, err));
    loss_status status = start_scan(s, registry, range, &q, err);
    while (status == LOSS_OK && q != NULL && row) {
        struct registry_entry e;
        bool picked = false;
        status = sqlite_next_entry(s, q, &row, &e, err);
        if (status == LOSS_OK && row) {
            status = pick(arg, &e, &picked, err);
        }
        if (status == LOSS_OK && picked) { /* SQLite lets a query go on when the row it stands on is deleted */
            status = remove_entry(s, registry, &e, err);
            count++;
        }
    }
    sqlite_done(q);
    LOSS_TRY(status);
    *removed = count;
    return sqlite_run(s, SQL_TOUCH_REGISTRY, err, "ii", registry, now);
}

static loss_status sqlite_remove(struct store *store, const struct store_range *range, int64_t now, store_pick pick,
                                 void *arg, uint64_t *removed, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    uint64_t count = 0;
    loss_status status = sqlite_begin_write(s, true, err);
    if (status == LOSS_OK) {
        status = remove_range(s, range, now, pick, arg, &count, err);
    }
    status = sqlite_end_write(s, status, err);
    if (status == LOSS_OK) {
        *removed = count;
    }
    return status;
}

static loss_status show_infos(struct sqlite_store *s, sqlite3_stmt *q, store_visit_info visit, void *arg,
                              struct loss_error *err)
{
    loss_status status = LOSS_OK;
    bool row = true, more = true;
    while (status == LOSS_OK && row && more) {
        status = sqlite_next_row(s, q, &row, err);
        struct registry_info info;
        if (status == LOSS_OK && row) {
            status = read_info(q, &info, err);
        }
        if (status == LOSS_OK && row) {
            status = visit(arg, &info, &more, err);
        }
    }
    return status;
}

static loss_status sqlite_info(struct store *store, const char *registry, int64_t now, store_visit_info visit,
                               void *arg, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    sqlite3_stmt *q = NULL;
    int64_t id = 0;
    pthread_mutex_lock(&s->lock);
    loss_status status = sqlite_settle(s, err);
    if (status == LOSS_OK) {
        status = find_or_fail(s, registry, now, &id, err);
    }
    if (status == LOSS_OK) {
        status = sqlite_start(s, SQL_INFO, &q, err, "i", id);
    }
    if (status == LOSS_OK) {
        status = show_infos(s, q, visit, arg, err);
    }
    sqlite_done(q);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static loss_status sqlite_infos(struct store *store, const char *after, int64_t now, store_visit_info visit, void *arg,
                                struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    sqlite3_stmt *q = NULL;
    pthread_mutex_lock(&s->lock);
    loss_status status = sqlite_settle(s, err);
    if (status == LOSS_OK) {
        status = sqlite_start(s, SQL_INFOS, &q, err, "iis", now, s->base.ttl, after);
    }
    if (status == LOSS_OK) {
        status = show_infos(s, q, visit, arg, err);
    }
    sqlite_done(q);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static loss_status sqlite_put(struct store *store, const char *registry, int64_t ttl_seconds, int64_t now,
                              struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    int64_t id = 0;
    loss_status status = sqlite_begin_write(s, true, err);
    if (status == LOSS_OK) {
        status = sqlite_find_or_make(s, registry, now, &id, err);
    }
    if (status == LOSS_OK) {
        status = sqlite_run(s, SQL_SET_TTL, err, "iii", id, ttl_seconds, now);
    }
    return sqlite_end_write(s, status, err);
}

static loss_status sqlite_drop(struct store *store, const char *registry, int64_t now, uint64_t *removed,
                               struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    int64_t id = 0, count = 0;
    loss_status status = sqlite_begin_write(s, true, err);
    if (status == LOSS_OK) {
        status = find_or_fail(s, registry, now, &id, err);
    }
    if (status == LOSS_OK) {
        status = ask_number(s, SQL_COUNT_ENTRIES, id, 0, &count, err);
    }
    if (status == LOSS_OK) {
        status = sqlite_run(s, SQL_DROP_REGISTRY, err, "i", id);
    }
    status = sqlite_end_write(s, status, err);
    if (status == LOSS_OK) {
        *removed = (uint64_t)count;
    }
    return status;
}

static loss_status sqlite_expire(struct store *store, int64_t now, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    loss_status status = sqlite_begin_write(s, true, err);
    if (status == LOSS_OK) {
        status = sqlite_run(s, SQL_EXPIRE_REGISTRIES, err, "ii", now, s->base.ttl);
    }
    if (status == LOSS_OK) {
        status = sqlite_run(s, SQL_EXPIRE_KEYS, err, "i", now - s->base.key_life);
    }
    return sqlite_end_write(s, status, err);
}

/* Cheap while writes succeed; after one that failed, another must succeed first. It is larger than what an add writes:
 * on a full disk a small one may still find room in what the log had taken before. */
static loss_status sqlite_ready(struct store *store, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    pthread_mutex_lock(&s->lock);
    bool failed = s->failed && !s->damaged;
    loss_status status = s->damaged ? sqlite_fail(s, SQLITE_CORRUPT, err)
                         : failed   ? LOSS_OK
                                    : sqlite_check_in_place(s, err);
    pthread_mutex_unlock(&s->lock);
    if (!failed) {
        return status;
    }
    status = sqlite_begin_write(s, true, err);
    if (status == LOSS_OK) {
        status = sqlite_run(s, SQL_PROBE, err, "");
    }
    return sqlite_end_write(s, status, err);
}

static void sqlite_close_store(struct store *store)
{
    struct sqlite_store *s = sqlite_of(store);
    for (int i = 0; i < N_STATEMENTS; i++) {
        sqlite3_finalize(s->statement[i]);
    }
    sqlite3_close(s->db);
    if (s->lock_file >= 0) {
        close(s->lock_file);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}
static const struct store_ops sqlite_ops = {
    .close = sqlite_close_store,
    .ready = sqlite_ready,
    .group_begin = sqlite_group_begin,
    .group_cancel = sqlite_group_cancel,
    .group_end = sqlite_group_end,
    .add = sqlite_add,
    .scan = sqlite_scan,
    .remove = sqlite_remove,
    .info = sqlite_info,
    .infos = sqlite_infos,
    .put = sqlite_put,
    .drop = sqlite_drop,
    .expire = sqlite_expire,
    .keys = sqlite_keys,
    .restore = sqlite_restore,
    .restore_key = sqlite_restore_key,
};

loss_status store_sqlite_open(const char *path, bool read_only, struct store **out, struct loss_error *err)
{
    struct sqlite_store *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return store_fail_memory(err);
    }
    s->base.ops = &sqlite_ops;
    s->lock_file = -1;
    pthread_mutexattr_t again; /* who has begun a group goes on to change */
    pthread_mutexattr_init(&again);
    pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &again);
    pthread_mutexattr_destroy(&again);
    loss_status status = sqlite_open_file(s, path, read_only, err);
    if (status != LOSS_OK) {
        sqlite_close_store(&s->base);
        return status;
    }
    *out = &s->base;
    return LOSS_OK;
}
