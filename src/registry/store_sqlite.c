/* SPDX-License-Identifier: Apache-2.0
 *
 * store_sqlite.c - a store in one SQLite file: what was acknowledged survives a crash and a power cut.
 *
 * One connection behind one mutex. The file is in WAL mode and synced at every commit; every change is one
 * transaction. Beside it lies PATH.lock, locked for as long as the store is open, so that a second server on the same
 * file is told so; other programs may read the file (or back it up) meanwhile. Each failure of SQLite is
 * LOSS_STORE_UNAVAILABLE with the reason, except want of memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <registry/store.h>

#define APPLICATION_ID 0x6c6f7373 /* "loss": tells our files from other programs' */
#define BUSY_MS 1000              /* how long to wait for another program that writes the file */

/* migrations[v] takes a file from version v to v+1; user_version says where a file stands. A loss is stored as the
 * 64 bits of the double: a REAL column would turn NaN into NULL and -0 into 0. entries.id is the order of adding. */
static const char *const migrations[] = {
    "CREATE TABLE registries ("
    "  id         INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name       TEXT NOT NULL UNIQUE,"
    "  ttl        INTEGER NOT NULL," /* seconds; 0: the server's default */
    "  updated_at INTEGER NOT NULL"  /* microseconds since 1970, as all times here */
    ") STRICT;"
    "CREATE TABLE entries ("
    "  id         INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  registry   INTEGER NOT NULL REFERENCES registries (id) ON DELETE CASCADE,"
    "  step       INTEGER NOT NULL,"
    "  name       TEXT NOT NULL,"
    "  collection TEXT NOT NULL,"
    "  loss_bits  INTEGER NOT NULL,"
    "  dtype      TEXT NOT NULL,"
    "  reduction  TEXT NOT NULL,"
    "  added_at   INTEGER NOT NULL,"
    "  UNIQUE (registry, step, name)"
    ") STRICT;"
    "CREATE INDEX entries_of_step ON entries (registry, step);"
    "CREATE INDEX entries_of_registry ON entries (registry);"
    /* base_1 to base_(next-1) are taken; only bases that were taken once have a row */
    "CREATE TABLE suffixes ("
    "  registry   INTEGER NOT NULL REFERENCES registries (id) ON DELETE CASCADE,"
    "  step       INTEGER NOT NULL,"
    "  base       TEXT NOT NULL,"
    "  next       INTEGER NOT NULL,"
    "  PRIMARY KEY (registry, step, base)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE keys ("
    "  id          INTEGER PRIMARY KEY,"
    "  key         TEXT NOT NULL UNIQUE,"
    "  fingerprint BLOB NOT NULL,"
    "  created_at  INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX keys_by_age ON keys (created_at);"
    /* What was added under a key, kept past its deletion. */
    "CREATE TABLE key_entries ("
    "  key        INTEGER NOT NULL REFERENCES keys (id) ON DELETE CASCADE,"
    "  position   INTEGER NOT NULL,"
    "  entry      INTEGER NOT NULL,"
    "  step       INTEGER NOT NULL,"
    "  name       TEXT NOT NULL,"
    "  collection TEXT NOT NULL,"
    "  loss_bits  INTEGER NOT NULL,"
    "  dtype      TEXT NOT NULL,"
    "  reduction  TEXT NOT NULL,"
    "  added_at   INTEGER NOT NULL,"
    "  PRIMARY KEY (key, position)"
    ") STRICT, WITHOUT ROWID;"
    /* One row, rewritten to see whether writes succeed again. */
    "CREATE TABLE probe ("
    "  id         INTEGER PRIMARY KEY,"
    "  filler     BLOB NOT NULL"
    ") STRICT;",
    /* What accumulates: its exact state (tally.c), and when the last batch came; 0: never a second one. */
    "ALTER TABLE entries ADD COLUMN tally BLOB;"
    "ALTER TABLE entries ADD COLUMN merged_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE key_entries ADD COLUMN tally BLOB;"
    "ALTER TABLE key_entries ADD COLUMN merged_at INTEGER NOT NULL DEFAULT 0;",
};

#define N_MIGRATIONS ((int)(sizeof migrations / sizeof *migrations))

/* The columns that read_entry and read_info take. A registry's end is store_end_of, with ?2 for the default ttl. */
#define ENTRY_FIELDS "step, name, collection, loss_bits, dtype, reduction, added_at, tally, merged_at"
#define ENTRY_COLUMNS "id, " ENTRY_FIELDS
#define INFO_COLUMNS                                                                                                   \
    "name, ttl, updated_at, (SELECT count(*) FROM entries WHERE registry = r.id),"                                     \
    "(SELECT count(DISTINCT step) FROM entries WHERE registry = r.id),"                                                \
    "(SELECT max(step) FROM entries WHERE registry = r.id)"
#define END_OF_REGISTRY "iif(ttl > 0, updated_at + ttl * 1000000, iif(?2 > 0, updated_at + ?2, 9223372036854775807))"

#define STATEMENT_MAP(X)                                                                                               \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                        \
    X(COMMIT, "COMMIT")                                                                                                \
    X(SAVEPOINT, "SAVEPOINT change")                                                                                   \
    X(RELEASE, "RELEASE change")                                                                                       \
    X(TAKE_BACK, "ROLLBACK TO change")                                                                                 \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(PROBE, "INSERT OR REPLACE INTO probe (id, filler) VALUES (1, zeroblob(65536))")                                  \
    X(FIND_REGISTRY, "SELECT id, ttl, updated_at FROM registries WHERE name = ?1")                                     \
    X(MAKE_REGISTRY, "INSERT INTO registries (name, ttl, updated_at) VALUES (?1, ?2, ?3)")                             \
    X(TOUCH_REGISTRY, "UPDATE registries SET updated_at = ?2 WHERE id = ?1")                                           \
    X(SET_TTL, "UPDATE registries SET ttl = ?2, updated_at = ?3 WHERE id = ?1")                                        \
    X(DROP_REGISTRY, "DELETE FROM registries WHERE id = ?1")                                                           \
    X(EXPIRE_REGISTRIES, "DELETE FROM registries WHERE " END_OF_REGISTRY " <= ?1")                                     \
    X(INFO, "SELECT " INFO_COLUMNS " FROM registries r WHERE id = ?1")                                                 \
    X(INFOS, "SELECT " INFO_COLUMNS " FROM registries r WHERE name > ?3 AND " END_OF_REGISTRY " > ?1"                  \
             " ORDER BY name")                                                                                         \
    X(COUNT_ENTRIES, "SELECT count(*) FROM entries WHERE registry = ?1")                                               \
    X(LATEST_STEP, "SELECT max(step) FROM entries WHERE registry = ?1")                                                \
    X(FIND_NAME, "SELECT 1 FROM entries WHERE registry = ?1 AND step = ?2 AND name = ?3")                              \
    X(ADD_ENTRY, "INSERT INTO entries (registry, " ENTRY_FIELDS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)")    \
    X(MERGE_ENTRY, "UPDATE entries SET loss_bits = ?2, tally = ?3, merged_at = ?4 WHERE id = ?1")                      \
    X(REMOVE_ENTRY, "DELETE FROM entries WHERE id = ?1")                                                               \
    X(SCAN_ALL, "SELECT " ENTRY_COLUMNS " FROM entries INDEXED BY entries_of_registry"                                 \
                " WHERE registry = ?1 AND id > ?3"                                                                     \
                " AND (?4 IS NULL OR collection = ?4) AND (?5 IS NULL OR name = ?5) ORDER BY id")                      \
    X(SCAN_STEP, "SELECT " ENTRY_COLUMNS " FROM entries INDEXED BY entries_of_step"                                    \
                 " WHERE registry = ?1 AND step = ?2 AND id > ?3"                                                      \
                 " AND (?4 IS NULL OR collection = ?4) ORDER BY id")                                                   \
    X(SCAN_NAME, "SELECT " ENTRY_COLUMNS " FROM entries WHERE registry = ?1 AND step = ?2 AND name = ?5"               \
                 " AND id > ?3 AND (?4 IS NULL OR collection = ?4)")                                                   \
    X(FIND_SUFFIX, "SELECT next FROM suffixes WHERE registry = ?1 AND step = ?2 AND base = ?3")                        \
    X(SET_SUFFIX, "INSERT INTO suffixes (registry, step, base, next) VALUES (?1, ?2, ?3, ?4)"                          \
                  " ON CONFLICT DO UPDATE SET next = ?4")                                                              \
    X(LOWER_SUFFIX, "UPDATE suffixes SET next = ?4"                                                                    \
                    " WHERE registry = ?1 AND step = ?2 AND base = ?3 AND next > ?4")                                  \
    X(FIND_KEY, "SELECT id, fingerprint, created_at FROM keys WHERE key = ?1")                                         \
    X(ADD_KEY, "INSERT INTO keys (key, fingerprint, created_at) VALUES (?1, ?2, ?3)")                                  \
    X(DROP_KEY, "DELETE FROM keys WHERE id = ?1")                                                                      \
    X(EXPIRE_KEYS, "DELETE FROM keys WHERE created_at <= ?1")                                                          \
    X(ADD_KEY_ENTRY, "INSERT INTO key_entries (key, position, entry, " ENTRY_FIELDS ")"                                \
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")                                    \
    X(KEY_ENTRIES, "SELECT entry, " ENTRY_FIELDS " FROM key_entries WHERE key = ?1 ORDER BY position")

enum statement {
#define STATEMENT_ENUM(id, sql) SQL_##id,
    STATEMENT_MAP(STATEMENT_ENUM)
#undef STATEMENT_ENUM
        N_STATEMENTS
};

static const char *const statement_sql[] = {
#define STATEMENT_SQL(id, sql) sql,
    STATEMENT_MAP(STATEMENT_SQL)
#undef STATEMENT_SQL
};

struct sqlite_store {
    struct store base;
    pthread_mutex_t lock; /* guards all below, and the transaction */
    sqlite3 *db;
    sqlite3_stmt *statement[N_STATEMENTS];
    struct registry_tally tally; /* of the row that was read last */
    int lock_file;               /* -1: not open */
    bool failed;                 /* the last write did: ready tries one before it says yes */
    bool grouping;               /* changes are savepoints of one transaction, which begins with the first */
    bool begun;                  /* that transaction */
    bool hurt;                   /* a change of the group could not be written */
    struct loss_error group;     /* why the group takes no more; status LOSS_OK: it does */
};

static struct sqlite_store *sqlite_of(struct store *s)
{
    return (struct sqlite_store *)s;
}

static loss_status fail(const struct sqlite_store *s, int rc, struct loss_error *err)
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
    default:
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the store failed: %s", sqlite3_errmsg(s->db));
    }
}

/* A tally's stored form. */
struct blob {
    unsigned char *bytes; /* NULL: none */
    size_t n;
};

static loss_status blob_of(const struct registry_tally *t, struct loss_arena *arena, struct blob *blob,
                           struct loss_error *err)
{
    *blob = (struct blob){0};
    if (t == NULL) {
        return LOSS_OK;
    }
    blob->n = tally_bytes(t);
    blob->bytes = loss_arena_alloc(arena, blob->n, 1);
    if (blob->bytes == NULL) {
        return store_fail_memory(err);
    }
    tally_store(t, blob->bytes);
    return LOSS_OK;
}

/* How a statement's parameters are given: one letter each. i int64_t, s string or NULL, f a 32-byte fingerprint,
 * b a struct blob's address.
 * What is bound must live until the statement is done. */
static loss_status bind(const struct sqlite_store *s, sqlite3_stmt *q, const char *types, va_list values,
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
    return rc == SQLITE_OK ? LOSS_OK : fail(s, rc, err);
}

/* Begin a query: *q gives rows to next_row, and `done` ends it. Pass each parameter as the type its letter says. */
static loss_status start(struct sqlite_store *s, enum statement id, sqlite3_stmt **q, struct loss_error *err,
                         const char *types, ...)
{
    va_list values;
    *q = s->statement[id];
    va_start(values, types);
    loss_status status = bind(s, *q, types, values, err);
    va_end(values);
    return status;
}

static loss_status next_row(struct sqlite_store *s, sqlite3_stmt *q, bool *row, struct loss_error *err)
{
    int rc = sqlite3_step(q);
    *row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? LOSS_OK : fail(s, rc, err);
}

static void done(sqlite3_stmt *q)
{
    if (q != NULL) {
        sqlite3_reset(q);
        sqlite3_clear_bindings(q);
    }
}

/* Run a statement that gives no rows. */
static loss_status run(struct sqlite_store *s, enum statement id, struct loss_error *err, const char *types, ...)
{
    sqlite3_stmt *q = s->statement[id];
    va_list values;
    bool row;
    va_start(values, types);
    loss_status status = bind(s, q, types, values, err);
    va_end(values);
    if (status == LOSS_OK) {
        status = next_row(s, q, &row, err);
    }
    done(q);
    return status;
}

/* No column of ours is NULL: SQLite says so only where it has no memory for the text, which sets *short_of_memory. */
static const char *text_of(sqlite3_stmt *q, int column, bool *short_of_memory)
{
    const char *text = (const char *)sqlite3_column_text(q, column);
    *short_of_memory = *short_of_memory || text == NULL;
    return text;
}

static int64_t bits_of(double v)
{
    int64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static double double_of(int64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* The row's tally, or NULL. */
static loss_status read_tally(struct sqlite_store *s, sqlite3_stmt *q, int column, const struct registry_tally **tally,
                              struct loss_error *err)
{
    *tally = NULL;
    if (sqlite3_column_type(q, column) == SQLITE_NULL) {
        return LOSS_OK;
    }
    const unsigned char *bytes = sqlite3_column_blob(q, column);
    if (bytes == NULL) {
        return store_fail_memory(err);
    }
    if (tally_load(&s->tally, bytes, (size_t)sqlite3_column_bytes(q, column)) != 0) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the store's file has sums that lossd did not write");
    }
    *tally = &s->tally;
    return LOSS_OK;
}

/* The row's entry; its strings and tally live until the next step. */
static loss_status read_entry(struct sqlite_store *s, sqlite3_stmt *q, struct registry_entry *e, struct loss_error *err)
{
    bool short_of_memory = false;
    int64_t merged_at = sqlite3_column_int64(q, 9);
    *e = (struct registry_entry){.order = (uint64_t)sqlite3_column_int64(q, 0),
                                 .step = sqlite3_column_int64(q, 1),
                                 .name = text_of(q, 2, &short_of_memory),
                                 .collection = text_of(q, 3, &short_of_memory),
                                 .loss = double_of(sqlite3_column_int64(q, 4)),
                                 .dtype = text_of(q, 5, &short_of_memory),
                                 .reduction = text_of(q, 6, &short_of_memory),
                                 .added_at = sqlite3_column_int64(q, 7)};
    e->updated_at = merged_at != 0 ? merged_at : e->added_at;
    return short_of_memory ? store_fail_memory(err) : read_tally(s, q, 8, &e->tally, err);
}

static loss_status next_entry(struct sqlite_store *s, sqlite3_stmt *q, bool *row, struct registry_entry *e,
                              struct loss_error *err)
{
    LOSS_TRY(next_row(s, q, row, err));
    return *row ? read_entry(s, q, e, err) : LOSS_OK;
}

static loss_status read_info(sqlite3_stmt *q, struct registry_info *info, struct loss_error *err)
{
    bool short_of_memory = false;
    bool empty = sqlite3_column_type(q, 5) == SQLITE_NULL;
    *info = (struct registry_info){.registry = text_of(q, 0, &short_of_memory),
                                   .ttl_seconds = sqlite3_column_int64(q, 1),
                                   .updated_at = sqlite3_column_int64(q, 2),
                                   .entries = (uint64_t)sqlite3_column_int64(q, 3),
                                   .steps = (uint64_t)sqlite3_column_int64(q, 4),
                                   .latest_step = empty ? -1 : sqlite3_column_int64(q, 5)};
    return short_of_memory ? store_fail_memory(err) : LOSS_OK;
}

/* What was written to a file that has been deleted or replaced would be lost. */
static loss_status check_in_place(struct sqlite_store *s, struct loss_error *err)
{
    int moved = 0;
    if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the store's file was deleted or replaced while in use");
    }
    return LOSS_OK;
}

static loss_status begin_transaction(struct sqlite_store *s, struct loss_error *err)
{
    LOSS_TRY(check_in_place(s, err));
    return run(s, SQL_BEGIN, err, "");
}

/* Commit where all went well, else undo. */
static loss_status end_transaction(struct sqlite_store *s, loss_status status, struct loss_error *err)
{
    if (status == LOSS_OK) {
        status = run(s, SQL_COMMIT, err, "");
    }
    if (!sqlite3_get_autocommit(s->db)) {
        run(s, SQL_ROLLBACK, NULL, ""); /* if even this fails, the next BEGIN will say so */
    }
    if (status == LOSS_OK || status == LOSS_STORE_UNAVAILABLE) {
        s->failed = status != LOSS_OK || s->hurt;
    }
    return status;
}

/* Begin a change as a part of the group's transaction. Once that is lost, it stays so until the group ends. */
static loss_status begin_savepoint(struct sqlite_store *s, struct loss_error *err)
{
    if (s->group.status == LOSS_OK && !s->begun) {
        s->begun = begin_transaction(s, &s->group) == LOSS_OK;
    }
    if (s->group.status != LOSS_OK) {
        return loss_fail(err, s->group.status, "", "%s", s->group.message);
    }
    return run(s, SQL_SAVEPOINT, err, "");
}

/* Keep the change in the group where all went well, else undo it alone. After some failures SQLite ends the whole
 * transaction by itself: then the group is lost. */
static loss_status end_savepoint(struct sqlite_store *s, loss_status status, struct loss_error *err)
{
    s->hurt |= status == LOSS_STORE_UNAVAILABLE;
    if (s->group.status != LOSS_OK) {
        return status;
    }
    if (status != LOSS_OK && !sqlite3_get_autocommit(s->db)) {
        run(s, SQL_TAKE_BACK, NULL, "");
    }
    loss_status released = LOSS_OK;
    if (!sqlite3_get_autocommit(s->db)) {
        released = run(s, SQL_RELEASE, status == LOSS_OK ? err : NULL, "");
    }
    if (sqlite3_get_autocommit(s->db)) {
        loss_fail(&s->group, LOSS_STORE_UNAVAILABLE, "", "the store failed while it wrote several changes");
    }
    return status == LOSS_OK ? released : status;
}

/* Take the store and begin a change. Whatever it returns, end_write must follow. */
static loss_status begin_write(struct sqlite_store *s, struct loss_error *err)
{
    pthread_mutex_lock(&s->lock);
    return s->grouping ? begin_savepoint(s, err) : begin_transaction(s, err);
}

/* End the change, and release the store. Returns how it ended. */
static loss_status end_write(struct sqlite_store *s, loss_status status, struct loss_error *err)
{
    status = s->grouping ? end_savepoint(s, status, err) : end_transaction(s, status, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static void sqlite_group_begin(struct store *store)
{
    struct sqlite_store *s = sqlite_of(store);
    pthread_mutex_lock(&s->lock); /* until the end */
    s->grouping = true;
    s->begun = s->hurt = false;
    s->group = (struct loss_error){.status = LOSS_OK};
}

static loss_status sqlite_group_end(struct store *store, struct loss_error *err)
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

struct found {
    int64_t id; /* 0: there is none */
    bool over;  /* there is one, but its time has passed */
};

static loss_status find_registry(struct sqlite_store *s, const char *name, int64_t now, struct found *found,
                                 struct loss_error *err)
{
    sqlite3_stmt *q;
    bool row = false;
    loss_status status = start(s, SQL_FIND_REGISTRY, &q, err, "s", name);
    if (status == LOSS_OK) {
        status = next_row(s, q, &row, err);
    }
    *found = (struct found){0};
    if (row) {
        found->id = sqlite3_column_int64(q, 0);
        found->over = store_end_of(&s->base, sqlite3_column_int64(q, 1), sqlite3_column_int64(q, 2)) <= now;
    }
    done(q);
    return status;
}

static loss_status find_or_fail(struct sqlite_store *s, const char *name, int64_t now, int64_t *id,
                                struct loss_error *err)
{
    struct found found;
    LOSS_TRY(find_registry(s, name, now, &found, err));
    if (found.id == 0 || found.over) {
        return store_fail_unknown(err, name);
    }
    *id = found.id;
    return LOSS_OK;
}

static loss_status find_or_make(struct sqlite_store *s, const char *name, int64_t now, int64_t *id,
                                struct loss_error *err)
{
    struct found found;
    LOSS_TRY(find_registry(s, name, now, &found, err));
    if (found.over) {
        LOSS_TRY(run(s, SQL_DROP_REGISTRY, err, "i", found.id));
    }
    if (found.id != 0 && !found.over) {
        *id = found.id;
        return LOSS_OK;
    }
    LOSS_TRY(run(s, SQL_MAKE_REGISTRY, err, "sii", name, (int64_t)0, now));
    *id = sqlite3_last_insert_rowid(s->db);
    return LOSS_OK;
}

/* The one number that a query gives; `fallback` where it is NULL or there is no row. */
static loss_status ask_number(struct sqlite_store *s, enum statement id, int64_t registry, int64_t fallback,
                              int64_t *number, struct loss_error *err)
{
    sqlite3_stmt *q;
    bool row = false;
    loss_status status = start(s, id, &q, err, "i", registry);
    if (status == LOSS_OK) {
        status = next_row(s, q, &row, err);
    }
    *number = row && sqlite3_column_type(q, 0) != SQLITE_NULL ? sqlite3_column_int64(q, 0) : fallback;
    done(q);
    return status;
}

static loss_status is_taken(struct sqlite_store *s, int64_t registry, int64_t step, const char *name, bool *taken,
                            struct loss_error *err)
{
    sqlite3_stmt *q;
    loss_status status = start(s, SQL_FIND_NAME, &q, err, "iis", registry, step, name);
    if (status == LOSS_OK) {
        status = next_row(s, q, taken, err);
    }
    done(q);
    return status;
}

static loss_status next_suffix(struct sqlite_store *s, int64_t registry, int64_t step, const char *base, int64_t *next,
                               struct loss_error *err)
{
    sqlite3_stmt *q;
    bool row = false;
    loss_status status = start(s, SQL_FIND_SUFFIX, &q, err, "iis", registry, step, base);
    if (status == LOSS_OK) {
        status = next_row(s, q, &row, err);
    }
    *next = row ? sqlite3_column_int64(q, 0) : 1;
    done(q);
    return status;
}

/* The name that an entry called `base` gets. */
static loss_status free_name(struct sqlite_store *s, int64_t registry, int64_t step, const char *base,
                             char name[REGISTRY_NAME_MAX + 1], struct loss_error *err)
{
    bool taken;
    int64_t number;
    LOSS_TRY(is_taken(s, registry, step, base, &taken, err));
    if (!taken) {
        strcpy(name, base);
        return LOSS_OK;
    }
    LOSS_TRY(next_suffix(s, registry, step, base, &number, err));
    for (;; number++) {
        LOSS_TRY(store_suffixed(base, (uint64_t)number, name, err));
        LOSS_TRY(is_taken(s, registry, step, name, &taken, err));
        if (!taken) {
            return run(s, SQL_SET_SUFFIX, err, "iisi", registry, step, base, number + 1);
        }
    }
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
    return run(s, SQL_LOWER_SUFFIX, err, "iisi", registry, entry->step, base, (int64_t)number);
}

/* The entry of that very name, copied into `arena`; *found is false where there is none. */
static loss_status find_entry(struct sqlite_store *s, int64_t registry, const struct registry_add *add,
                              struct loss_arena *arena, struct registry_entry *entry, bool *found,
                              struct loss_error *err)
{
    sqlite3_stmt *q;
    struct registry_entry row;
    *found = false;
    loss_status status = start(s, SQL_SCAN_NAME, &q, err, "iiiss", registry, add->step, (int64_t)0, NULL, add->name);
    if (status == LOSS_OK) {
        status = next_entry(s, q, found, &row, err);
    }
    if (status == LOSS_OK && *found) {
        status = store_entry_copy(arena, &row, entry, err);
    }
    done(q);
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
    LOSS_TRY(blob_of(tally, arena, &blob, err));
    return run(s, SQL_MERGE_ENTRY, err, "iibi", (int64_t)out->order, bits_of(out->loss), &blob, now);
}

static loss_status add_new(struct sqlite_store *s, int64_t registry, const struct registry_add *add, int64_t now,
                           struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    char name[REGISTRY_NAME_MAX + 1];
    struct blob blob;
    LOSS_TRY(free_name(s, registry, add->step, add->name, name, err));
    LOSS_TRY(blob_of(add->tally, arena, &blob, err));
    LOSS_TRY(run(s, SQL_ADD_ENTRY, err, "iississib", registry, add->step, name, add->collection, bits_of(add->loss),
                 add->dtype, add->reduction, now, &blob));
    struct registry_entry e = {.name = name,
                               .collection = add->collection,
                               .loss = add->loss,
                               .step = add->step,
                               .dtype = add->dtype,
                               .reduction = add->reduction,
                               .added_at = now,
                               .updated_at = now,
                               .tally = add->tally,
                               .order = (uint64_t)sqlite3_last_insert_rowid(s->db)};
    return store_entry_copy(arena, &e, out, err);
}

static loss_status add_one(struct sqlite_store *s, const struct registry_add *add, int64_t now,
                           struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    int64_t registry;
    bool found = false;
    LOSS_TRY(find_or_make(s, add->registry, now, &registry, err));
    LOSS_TRY(run(s, SQL_TOUCH_REGISTRY, err, "ii", registry, now));
    if (add->tally != NULL) {
        LOSS_TRY(find_entry(s, registry, add, arena, out, &found, err));
    }
    return found ? merge(s, add, now, arena, out, err) : add_new(s, registry, add, now, arena, out, err);
}

/* *id is the key's where it is known and its time has not passed, else 0. */
static loss_status find_key(struct sqlite_store *s, const struct registry_key *key, int64_t now, int64_t *id,
                            struct loss_error *err)
{
    sqlite3_stmt *q;
    bool row = false, same = false;
    int64_t found = 0, created_at = 0;
    loss_status status = start(s, SQL_FIND_KEY, &q, err, "s", key->key);
    if (status == LOSS_OK) {
        status = next_row(s, q, &row, err);
    }
    if (row) {
        found = sqlite3_column_int64(q, 0);
        created_at = sqlite3_column_int64(q, 2);
        same = sqlite3_column_bytes(q, 1) == sizeof key->fingerprint &&
               memcmp(sqlite3_column_blob(q, 1), key->fingerprint, sizeof key->fingerprint) == 0;
    }
    done(q);
    *id = 0;
    if (status != LOSS_OK || found == 0) {
        return status;
    }
    if (created_at + s->base.key_life <= now) {
        return run(s, SQL_DROP_KEY, err, "i", found);
    }
    *id = found;
    return same ? LOSS_OK : store_fail_conflict(err, key->key);
}

static loss_status answer_again(struct sqlite_store *s, int64_t id, const struct registry_key *key, size_t n,
                                struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    sqlite3_stmt *q;
    size_t count = 0;
    bool row = true;
    loss_status status = start(s, SQL_KEY_ENTRIES, &q, err, "i", id);
    while (status == LOSS_OK && row) {
        struct registry_entry e;
        status = next_entry(s, q, &row, &e, err);
        if (status == LOSS_OK && row && count < n) {
            status = store_entry_copy(arena, &e, &out[count], err);
        }
        count += row;
    }
    done(q);
    return status == LOSS_OK && count != n ? store_fail_conflict(err, key->key) : status;
}

static loss_status keep_key(struct sqlite_store *s, const struct registry_key *key, const struct registry_entry *out,
                            size_t n, int64_t now, struct loss_arena *arena, struct loss_error *err)
{
    LOSS_TRY(run(s, SQL_ADD_KEY, err, "sfi", key->key, key->fingerprint, now));
    int64_t id = sqlite3_last_insert_rowid(s->db);
    for (size_t i = 0; i < n; i++) {
        struct blob blob;
        LOSS_TRY(blob_of(out[i].tally, arena, &blob, err));
        LOSS_TRY(run(s, SQL_ADD_KEY_ENTRY, err, "iiiississibi", id, (int64_t)i, (int64_t)out[i].order, out[i].step,
                     out[i].name, out[i].collection, bits_of(out[i].loss), out[i].dtype, out[i].reduction,
                     out[i].added_at, &blob, out[i].updated_at));
    }
    return LOSS_OK;
}

static loss_status add_all(struct sqlite_store *s, const struct registry_add *adds, size_t n,
                           const struct registry_key *key, int64_t now, struct loss_arena *arena,
                           struct registry_entry *out, struct loss_error *err)
{
    if (key->key != NULL) {
        int64_t known;
        LOSS_TRY(find_key(s, key, now, &known, err));
        if (known != 0) {
            return answer_again(s, known, key, n, arena, out, err);
        }
    }
    for (size_t i = 0; i < n; i++) {
        LOSS_TRY(add_one(s, &adds[i], now, arena, &out[i], err));
    }
    return key->key != NULL ? keep_key(s, key, out, n, now, arena, err) : LOSS_OK;
}

static loss_status sqlite_add(struct store *store, const struct registry_add *adds, size_t n,
                              const struct registry_key *key, int64_t now, struct loss_arena *arena,
                              struct registry_entry *out, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    loss_status status = begin_write(s, err);
    if (status == LOSS_OK) {
        status = add_all(s, adds, n, key, now, arena, out, err);
    }
    return end_write(s, status, err);
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
        return start(s, SQL_SCAN_ALL, q, err, "iiiss", registry, step, (int64_t)range->after, range->collection,
                     range->name);
    }
    if (range->name != NULL) {
        return start(s, SQL_SCAN_NAME, q, err, "iiiss", registry, step, (int64_t)range->after, range->collection,
                     range->name);
    }
    return start(s, SQL_SCAN_STEP, q, err, "iiis", registry, step, (int64_t)range->after, range->collection);
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
        status = next_entry(s, q, &row, &e, err);
        if (status == LOSS_OK && row) {
            status = visit(arg, &e, &more, err);
        }
    }
    done(q);
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
    return run(s, SQL_REMOVE_ENTRY, err, "i", (int64_t)entry->order);
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
        status = next_entry(s, q, &row, &e, err);
        if (status == LOSS_OK && row) {
            status = pick(arg, &e, &picked, err);
        }
        if (status == LOSS_OK && picked) { /* SQLite lets a query go on when the row it stands on is deleted */
            status = remove_entry(s, registry, &e, err);
            count++;
        }
    }
    done(q);
    LOSS_TRY(status);
    *removed = count;
    return run(s, SQL_TOUCH_REGISTRY, err, "ii", registry, now);
}

static loss_status sqlite_remove(struct store *store, const struct store_range *range, int64_t now, store_pick pick,
                                 void *arg, uint64_t *removed, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    uint64_t count = 0;
    loss_status status = begin_write(s, err);
    if (status == LOSS_OK) {
        status = remove_range(s, range, now, pick, arg, &count, err);
    }
    status = end_write(s, status, err);
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
        status = next_row(s, q, &row, err);
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
    loss_status status = find_or_fail(s, registry, now, &id, err);
    if (status == LOSS_OK) {
        status = start(s, SQL_INFO, &q, err, "i", id);
    }
    if (status == LOSS_OK) {
        status = show_infos(s, q, visit, arg, err);
    }
    done(q);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static loss_status sqlite_infos(struct store *store, const char *after, int64_t now, store_visit_info visit, void *arg,
                                struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    sqlite3_stmt *q;
    pthread_mutex_lock(&s->lock);
    loss_status status = start(s, SQL_INFOS, &q, err, "iis", now, s->base.ttl, after);
    if (status == LOSS_OK) {
        status = show_infos(s, q, visit, arg, err);
    }
    done(q);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static loss_status sqlite_put(struct store *store, const char *registry, int64_t ttl_seconds, int64_t now,
                              struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    int64_t id = 0;
    loss_status status = begin_write(s, err);
    if (status == LOSS_OK) {
        status = find_or_make(s, registry, now, &id, err);
    }
    if (status == LOSS_OK) {
        status = run(s, SQL_SET_TTL, err, "iii", id, ttl_seconds, now);
    }
    return end_write(s, status, err);
}

static loss_status sqlite_drop(struct store *store, const char *registry, int64_t now, uint64_t *removed,
                               struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    int64_t id = 0, count = 0;
    loss_status status = begin_write(s, err);
    if (status == LOSS_OK) {
        status = find_or_fail(s, registry, now, &id, err);
    }
    if (status == LOSS_OK) {
        status = ask_number(s, SQL_COUNT_ENTRIES, id, 0, &count, err);
    }
    if (status == LOSS_OK) {
        status = run(s, SQL_DROP_REGISTRY, err, "i", id);
    }
    status = end_write(s, status, err);
    if (status == LOSS_OK) {
        *removed = (uint64_t)count;
    }
    return status;
}

static loss_status sqlite_expire(struct store *store, int64_t now, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    loss_status status = begin_write(s, err);
    if (status == LOSS_OK) {
        status = run(s, SQL_EXPIRE_REGISTRIES, err, "ii", now, s->base.ttl);
    }
    if (status == LOSS_OK) {
        status = run(s, SQL_EXPIRE_KEYS, err, "i", now - s->base.key_life);
    }
    return end_write(s, status, err);
}

/* Cheap while writes succeed; after one that failed, another must succeed first. It is larger than what an add writes:
 * on a full disk a small one may still find room in what the log had taken before. */
static loss_status sqlite_ready(struct store *store, struct loss_error *err)
{
    struct sqlite_store *s = sqlite_of(store);
    pthread_mutex_lock(&s->lock);
    bool failed = s->failed;
    loss_status status = failed ? LOSS_OK : check_in_place(s, err);
    pthread_mutex_unlock(&s->lock);
    if (!failed) {
        return status;
    }
    status = begin_write(s, err);
    if (status == LOSS_OK) {
        status = run(s, SQL_PROBE, err, "");
    }
    return end_write(s, status, err);
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

/* So that a power cut does not take back the directory just made. */
static void sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* Make the directories above `path` that are missing. */
static loss_status make_parents(const char *path, struct loss_error *err)
{
    char *copy = strdup(path);
    if (copy == NULL) {
        return store_fail_memory(err);
    }
    loss_status status = LOSS_OK;
    const char *parent = path[0] == '/' ? "/" : ".";
    for (char *slash = strchr(copy + 1, '/'); slash != NULL && status == LOSS_OK; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0750) == 0) {
            sync_directory(parent);
        } else if (errno != EEXIST) {
            status =
                loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "cannot make the directory %s: %s", copy, strerror(errno));
        }
        *slash = '/';
    }
    free(copy);
    return status;
}

/* The lock file stays when the store is closed: deleting it could part two servers that both wait for it. */
static loss_status lock_out_others(struct sqlite_store *s, const char *path, struct loss_error *err)
{
    char *lock_path;
    if (asprintf(&lock_path, "%s.lock", path) < 0) {
        return store_fail_memory(err);
    }
    s->lock_file = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    free(lock_path);
    if (s->lock_file < 0) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "cannot make its lock file: %s", strerror(errno));
    }
    if (flock(s->lock_file, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK
                   ? loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "another server has it open")
                   : loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "cannot lock its lock file: %s", strerror(errno));
    }
    return LOSS_OK;
}

static int set_up(sqlite3 *db)
{
    static const char *const pragmas[] = {
        "PRAGMA synchronous = FULL",   "PRAGMA foreign_keys = ON",    "PRAGMA temp_store = MEMORY",
        "PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON", "PRAGMA journal_size_limit = 67108864",
    };
    int rc = sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_extended_result_codes(db, 1);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas && rc == SQLITE_OK; i++) {
        rc = sqlite3_exec(db, pragmas[i], NULL, NULL, NULL);
    }
    return rc;
}

/* The text of the one value that a query gives. */
static loss_status ask_once(struct sqlite_store *s, const char *sql, char text[32], struct loss_error *err)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(q);
    }
    loss_status status = rc == SQLITE_ROW ? LOSS_OK : fail(s, rc, err);
    if (status == LOSS_OK) {
        bool short_of_memory = false;
        const char *value = text_of(q, 0, &short_of_memory);
        status = short_of_memory ? store_fail_memory(err) : LOSS_OK;
        snprintf(text, 32, "%s", short_of_memory ? "" : value);
    }
    sqlite3_finalize(q);
    return status;
}

static loss_status use_wal(struct sqlite_store *s, struct loss_error *err)
{
    char mode[32];
    LOSS_TRY(ask_once(s, "PRAGMA journal_mode = WAL", mode, err));
    if (strcmp(mode, "wal") != 0) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "SQLite cannot keep a write-ahead log there");
    }
    return LOSS_OK;
}

static loss_status exec(struct sqlite_store *s, const char *sql, struct loss_error *err)
{
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? LOSS_OK : fail(s, rc, err);
}

/* Bring the file to the newest version; inside of a transaction. */
static loss_status migrate(struct sqlite_store *s, struct loss_error *err)
{
    char id[32], version_text[32], tables[32], sql[96];
    LOSS_TRY(ask_once(s, "PRAGMA application_id", id, err));
    LOSS_TRY(ask_once(s, "PRAGMA user_version", version_text, err));
    LOSS_TRY(ask_once(s, "SELECT count(*) FROM sqlite_schema", tables, err));
    int version = atoi(version_text);
    if (atoi(id) != APPLICATION_ID && strcmp(tables, "0") != 0) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "it is another program's database");
    }
    if (version < 0 || version > N_MIGRATIONS) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "",
                         "it was written by a newer version (format %d, this one knows %d)", version, N_MIGRATIONS);
    }
    for (int v = version; v < N_MIGRATIONS; v++) {
        LOSS_TRY(exec(s, migrations[v], err));
    }
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID, N_MIGRATIONS);
    return exec(s, sql, err); /* writes, even where it changes nothing */
}

static loss_status prepare(struct sqlite_store *s, struct loss_error *err)
{
    for (int i = 0; i < N_STATEMENTS; i++) {
        int rc = sqlite3_prepare_v3(s->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statement[i], NULL);
        if (rc != SQLITE_OK) {
            return fail(s, rc, err);
        }
    }
    return LOSS_OK;
}

static loss_status open_file(struct sqlite_store *s, const char *path, struct loss_error *err)
{
    LOSS_TRY(make_parents(path, err));
    LOSS_TRY(lock_out_others(s, path, err));
    int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        rc = set_up(s->db);
    }
    if (rc != SQLITE_OK) {
        return fail(s, rc, err);
    }
    LOSS_TRY(use_wal(s, err));
    LOSS_TRY(exec(s, "BEGIN IMMEDIATE", err)); /* shows whether the file can be written */
    LOSS_TRY(migrate(s, err));
    LOSS_TRY(exec(s, "COMMIT", err));
    return prepare(s, err);
}

static const struct store_ops sqlite_ops = {
    .close = sqlite_close_store,
    .ready = sqlite_ready,
    .group_begin = sqlite_group_begin,
    .group_end = sqlite_group_end,
    .add = sqlite_add,
    .scan = sqlite_scan,
    .remove = sqlite_remove,
    .info = sqlite_info,
    .infos = sqlite_infos,
    .put = sqlite_put,
    .drop = sqlite_drop,
    .expire = sqlite_expire,
};

loss_status store_sqlite_open(const char *path, struct store **out, struct loss_error *err)
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
    loss_status status = open_file(s, path, err);
    if (status != LOSS_OK) {
        sqlite_close_store(&s->base);
        return status;
    }
    *out = &s->base;
    return LOSS_OK;
}
