/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_base.c - statements and changes. A change by itself is a transaction; in a group it is a part of the
 * transaction that the group ends with.
 */
#include <registry/sqlite_base.h>

#include <stdarg.h>

static const char *const statement_sql[] = {
#define STATEMENT_SQL(id, sql) sql,
    STATEMENT_MAP(STATEMENT_SQL)
#undef STATEMENT_SQL
};

loss_status sqlite_fail(struct sqlite_store *s, int rc, struct loss_error *err)
{
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return store_fail_memory(err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "another program writes the store's file");
    case SQLITE_FULL:
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the store's disk is full");
    case SQLITE_READONLY:
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the store's file cannot be written (%s)",
                         sqlite3_errmsg(s->db));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        s->damaged = true;
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the store's file is damaged: %s", sqlite3_errstr(rc));
    default:
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the store failed: %s", sqlite3_errmsg(s->db));
    }
}

static loss_status bind(struct sqlite_store *s, sqlite3_stmt *q, const char *types, va_list values,
                        struct loss_error *err)
{
    int rc = SQLITE_OK;
    for (int i = 0; types[i] != '\0' && rc == SQLITE_OK; i++) {
        if (types[i] == 'i') {
            rc = sqlite3_bind_int64(q, i + 1, va_arg(values, int64_t));
        } else if (types[i] == 's') {
            rc = sqlite3_bind_text(q, i + 1, va_arg(values, const char *), -1, SQLITE_STATIC);
        } else if (types[i] == 'b') {
            const struct blob *blob = va_arg(values, const struct blob *);
            rc = sqlite3_bind_blob(q, i + 1, blob->bytes, (int)blob->n, SQLITE_STATIC);
        } else {
            rc = sqlite3_bind_blob(q, i + 1, va_arg(values, const unsigned char *), 32, SQLITE_STATIC);
        }
    }
    return rc == SQLITE_OK ? LOSS_OK : sqlite_fail(s, rc, err);
}

loss_status sqlite_start(struct sqlite_store *s, enum statement id, sqlite3_stmt **q, struct loss_error *err,
                         const char *types, ...)
{
    va_list values;
    *q = s->statement[id];
    va_start(values, types);
    loss_status status = bind(s, *q, types, values, err);
    va_end(values);
    return status;
}

loss_status sqlite_next_row(struct sqlite_store *s, sqlite3_stmt *q, bool *row, struct loss_error *err)
{
    int rc = sqlite3_step(q);
    *row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? LOSS_OK : sqlite_fail(s, rc, err);
}

void sqlite_done(sqlite3_stmt *q)
{
    if (q != NULL) {
        sqlite3_reset(q);
        sqlite3_clear_bindings(q);
    }
}

loss_status sqlite_run(struct sqlite_store *s, enum statement id, struct loss_error *err, const char *types, ...)
{
    sqlite3_stmt *q = s->statement[id];
    va_list values;
    bool row;
    va_start(values, types);
    loss_status status = bind(s, q, types, values, err);
    va_end(values);
    if (status == LOSS_OK) {
        status = sqlite_next_row(s, q, &row, err);
    }
    sqlite_done(q);
    return status;
}

loss_status sqlite_prepare_statements(struct sqlite_store *s, struct loss_error *err)
{
    for (int i = 0; i < N_STATEMENTS; i++) {
        int rc = sqlite3_prepare_v3(s->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statement[i], NULL);
        if (rc != SQLITE_OK) {
            return sqlite_fail(s, rc, err);
        }
    }
    return LOSS_OK;
}

const char *sqlite_text(sqlite3_stmt *q, int column, bool *short_of_memory)
{
    const char *text = (const char *)sqlite3_column_text(q, column);
    *short_of_memory = *short_of_memory || text == NULL;
    return text;
}

loss_status sqlite_check_in_place(struct sqlite_store *s, struct loss_error *err)
{
    int moved = 0;
    if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the store's file was deleted or replaced while in use");
    }
    return LOSS_OK;
}

static loss_status begin_transaction(struct sqlite_store *s, struct loss_error *err)
{
    LOSS_TRY(sqlite_check_in_place(s, err));
    return sqlite_run(s, SQL_BEGIN, err, "");
}

/* Commit where all went well, else undo. */
static loss_status end_transaction(struct sqlite_store *s, loss_status status, struct loss_error *err)
{
    if (status == LOSS_OK) {
        status = sqlite_settle(s, err);
    }
    if (status == LOSS_OK) {
        status = sqlite_run(s, SQL_COMMIT, err, "");
    }
    sqlite_forget(s);
    if (!sqlite3_get_autocommit(s->db)) {
        sqlite_run(s, SQL_ROLLBACK, NULL, ""); /* if even this fails, the next BEGIN will say so */
    }
    if (status == LOSS_OK || status == LOSS_STORE_UNAVAILABLE) {
        s->failed = status != LOSS_OK || s->hurt;
    }
    return status;
}

void sqlite_lose_group(struct sqlite_store *s)
{
    loss_fail(&s->group, LOSS_STORE_UNAVAILABLE, "", "the store failed while it wrote several changes");
}

/* Begin a change as a part of the group's transaction. Once that is lost, it stays so until the group ends. */
static loss_status begin_part(struct sqlite_store *s, bool alone, struct loss_error *err)
{
    s->saved = false;
    if (s->group.status == LOSS_OK && !s->begun) {
        s->begun = begin_transaction(s, &s->group) == LOSS_OK;
    }
    if (s->group.status != LOSS_OK) {
        return loss_fail(err, s->group.status, "", "%s", s->group.message);
    }
    s->written = sqlite3_total_changes(s->db);
    if (!alone) {
        return LOSS_OK;
    }
    LOSS_TRY(sqlite_settle(s, err));
    s->saved = true;
    return sqlite_run(s, SQL_SAVEPOINT, err, "");
}

static loss_status end_savepoint(struct sqlite_store *s, loss_status status, struct loss_error *err)
{
    loss_status released = LOSS_OK;
    if (status == LOSS_OK) {
        status = sqlite_settle(s, err);
    }
    if (status != LOSS_OK) {
        sqlite_run(s, SQL_TAKE_BACK, NULL, "");
        sqlite_forget(s);
    }
    if (!sqlite3_get_autocommit(s->db)) {
        released = sqlite_run(s, SQL_RELEASE, status == LOSS_OK ? err : NULL, "");
    }
    return status == LOSS_OK ? released : status;
}

/* Keep the change in the group where all went well, else undo it alone. After some failures SQLite ends the whole
 * transaction by itself: then the group is lost, as where there is something to undo and no savepoint. */
static loss_status end_part(struct sqlite_store *s, loss_status status, struct loss_error *err)
{
    bool saved = s->saved;
    s->hurt |= status == LOSS_STORE_UNAVAILABLE;
    if (s->group.status != LOSS_OK) {
        return status;
    }
    if (saved && !sqlite3_get_autocommit(s->db)) {
        status = end_savepoint(s, status, err);
    }
    s->saved = false;
    bool half_written = status != LOSS_OK && !saved && sqlite3_total_changes(s->db) != s->written;
    if (half_written || sqlite3_get_autocommit(s->db)) {
        sqlite_lose_group(s);
    }
    return status;
}

loss_status sqlite_begin_write(struct sqlite_store *s, bool alone, struct loss_error *err)
{
    pthread_mutex_lock(&s->lock);
    return s->grouping ? begin_part(s, alone, err) : begin_transaction(s, err);
}

loss_status sqlite_end_write(struct sqlite_store *s, loss_status status, struct loss_error *err)
{
    status = s->grouping ? end_part(s, status, err) : end_transaction(s, status, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

void sqlite_group_begin(struct store *store)
{
    struct sqlite_store *s = sqlite_of(store);
    pthread_mutex_lock(&s->lock); /* until the end */
    s->grouping = true;
    s->begun = s->hurt = false;
    s->group = (struct loss_error){.status = LOSS_OK};
}

void sqlite_group_cancel(struct store *store, const struct loss_error *why)
{
    struct sqlite_store *s = sqlite_of(store);
    loss_fail(&s->group, why->status, "", "%s", why->message);
}

loss_status sqlite_group_end(struct store *store, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    loss_status status = s->group.status;
    if (s->begun) {
        if (status != LOSS_OK) {
            loss_fail(err, status, "", "%s", s->group.message);
        }
        status = end_transaction(s, status, err);
    } else { /* nothing was changed, so what was read holds; each change was told why it failed */
        s->failed |= s->hurt;
        status = LOSS_OK;
    }
    s->grouping = s->hurt = false;
    pthread_mutex_unlock(&s->lock);
    return status;
}
