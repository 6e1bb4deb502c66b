/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_base.h - what the SQLite store is made of: its state, its statements, and changes that commit together.
 */
#ifndef REGISTRY_SQLITE_BASE_H
#define REGISTRY_SQLITE_BASE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>

#include <registry/store.h>

/* The columns that sqlite_rows.c and read_info (store_sqlite.c) take. A registry's end is store_end_of, with ?2 for the default ttl. */
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
    X(TOUCH_LATER, "UPDATE registries SET updated_at = max(updated_at, ?2) WHERE id = ?1")                             \
    X(SET_TTL, "UPDATE registries SET ttl = ?2, updated_at = ?3 WHERE id = ?1")                                        \
    X(DROP_REGISTRY, "DELETE FROM registries WHERE id = ?1")                                                           \
    X(EXPIRE_REGISTRIES, "DELETE FROM registries WHERE " END_OF_REGISTRY " <= ?1")                                     \
    X(INFO, "SELECT " INFO_COLUMNS " FROM registries r WHERE id = ?1")                                                 \
    X(INFOS, "SELECT " INFO_COLUMNS " FROM registries r WHERE name > ?3 AND " END_OF_REGISTRY " > ?1"                  \
             " ORDER BY name")                                                                                         \
    X(COUNT_ENTRIES, "SELECT count(*) FROM entries WHERE registry = ?1")                                               \
    X(LATEST_STEP, "SELECT max(step) FROM entries WHERE registry = ?1")                                                \
    X(ADD_ENTRY, "INSERT INTO entries (registry, " ENTRY_FIELDS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")  \
    X(NAME_TAKEN, "SELECT 1 FROM entries WHERE registry = ?1 AND step = ?2 AND name = ?3")                             \
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
    X(KEYS, "SELECT id, key, fingerprint, created_at FROM keys WHERE created_at > ?1 ORDER BY created_at, id")         \
    X(KEY_ENTRIES, "SELECT entry, " ENTRY_FIELDS " FROM key_entries WHERE key = ?1 ORDER BY position")

enum statement {
#define STATEMENT_ENUM(id, sql) SQL_##id,
    STATEMENT_MAP(STATEMENT_ENUM)
#undef STATEMENT_ENUM
        N_STATEMENTS
};

/* What the transaction under way knows without asking, and has still to write (sqlite_recent.c). */
struct sqlite_recent {
    int64_t registry; /* that was added to last; 0: none */
    int64_t ttl, updated_at;
    char name[STORE_PREFIX_MAX + REGISTRY_NAME_MAX + 1];
    int64_t step, next; /* of that base in that registry, the next suffix; 0: none */
    char base[REGISTRY_NAME_MAX + 1];
};

struct sqlite_store {
    struct store base;
    pthread_mutex_t lock; /* guards all below, and the transaction */
    sqlite3 *db;
    sqlite3_stmt *statement[N_STATEMENTS];
    struct registry_tally tally; /* of the row that was read last */
    int lock_file;               /* -1: not open */
    bool failed;                 /* the last write did: ready tries one before it says yes */
    bool damaged;                /* the file is: that does not pass */
    bool grouping;               /* changes are parts of one transaction, which begins with the first */
    bool begun;                  /* that transaction */
    bool saved;                  /* the change under way is a savepoint of it */
    int written;                 /* sqlite3_total_changes where that change began */
    bool hurt;                   /* a change of the group could not be written */
    struct sqlite_recent recent;
    struct loss_error group; /* why the group takes no more; status LOSS_OK: it does */
};

static inline struct sqlite_store *sqlite_of(struct store *s)
{
    return (struct sqlite_store *)s;
}

struct sqlite_found {
    int64_t id; /* 0: there is none */
    int64_t ttl;
    bool over; /* there is one, but its time has passed */
};

/* A tally's stored form. */
struct blob {
    unsigned char *bytes; /* NULL: none */
    size_t n;
};

/* A failure of SQLite, as ours. Remembers a damaged file. */
loss_status sqlite_fail(struct sqlite_store *s, int rc, struct loss_error *err);

/* How a statement's parameters are given: one letter each. i int64_t, s string or NULL, f a 32-byte fingerprint,
 * b a struct blob's address. What is bound must live until the statement is done. */

/* Begin a query: *q gives rows to sqlite_next_row, and sqlite_done ends it. Pass each parameter as its letter says. */
loss_status sqlite_start(struct sqlite_store *s, enum statement id, sqlite3_stmt **q, struct loss_error *err,
                         const char *types, ...);
loss_status sqlite_next_row(struct sqlite_store *s, sqlite3_stmt *q, bool *row, struct loss_error *err);
void sqlite_done(sqlite3_stmt *q); /* NULL is fine */
/* Run a statement that gives no rows. */
loss_status sqlite_run(struct sqlite_store *s, enum statement id, struct loss_error *err, const char *types, ...);
/* No column of ours is NULL: SQLite says so only where it has no memory for the text, which sets *short_of_memory. */
const char *sqlite_text(sqlite3_stmt *q, int column, bool *short_of_memory);
/* Make the statements, once the tables are there. */
loss_status sqlite_prepare_statements(struct sqlite_store *s, struct loss_error *err);

/* What was written to a file that has been deleted or replaced would be lost. */
loss_status sqlite_check_in_place(struct sqlite_store *s, struct loss_error *err);

/* Take the store and begin a change. Whatever it returns, sqlite_end_write must follow, which keeps the change where
 * all went well, else undoes it, and releases the store. Returns how it ended. In a group, one that may fail after its
 * first write asks to be undone alone, which costs it a savepoint; without one such a failure is the whole group's. */
loss_status sqlite_begin_write(struct sqlite_store *s, bool alone, struct loss_error *err);
loss_status sqlite_end_write(struct sqlite_store *s, loss_status status, struct loss_error *err);
/* What the group has written so far is not whole: let it fail. */
void sqlite_lose_group(struct sqlite_store *s);
/* The store's group_begin, group_cancel and group_end. */
void sqlite_group_begin(struct store *store);
void sqlite_group_cancel(struct store *store, const struct loss_error *why);
loss_status sqlite_group_end(struct store *store, struct loss_error *err);

/* What changes of one transaction share (sqlite_recent.c). */

/* Is it the registry that was added to last? Then *found is about it. */
bool sqlite_recall(const struct sqlite_store *s, const char *registry, int64_t now, struct sqlite_found *found);
/* It was added to: to be written before another is. */
loss_status sqlite_touch(struct sqlite_store *s, int64_t registry, const char *name, int64_t ttl, int64_t now,
                         struct loss_error *err);
/* The next suffix of the base that was counted last, which is taken itself; 0: it is not this one. */
int64_t sqlite_recall_suffix(const struct sqlite_store *s, int64_t registry, int64_t step, const char *base);
/* Of the registry that was touched. */
loss_status sqlite_count_suffix(struct sqlite_store *s, int64_t step, const char *base, int64_t next,
                                struct loss_error *err);
/* Write what is to be written: before others than adds of one entry change the file, and before registries are read. Where it
 * fails, so does the group, but for what is of a savepoint. */
loss_status sqlite_settle(struct sqlite_store *s, struct loss_error *err);
void sqlite_forget(struct sqlite_store *s); /* what was taken back, or is committed */

/* Rows (sqlite_rows.c). The entry's strings and tally live until the next step of `q`. */
loss_status sqlite_next_entry(struct sqlite_store *s, sqlite3_stmt *q, bool *row, struct registry_entry *e,
                              struct loss_error *err);
/* What is bound for a tally (NULL is fine), and for a loss. */
loss_status sqlite_blob(const struct registry_tally *t, struct loss_arena *arena, struct blob *blob,
                        struct loss_error *err);
int64_t sqlite_bits(double v);

/* In a change (store_sqlite.c). */
loss_status sqlite_find_registry(struct sqlite_store *s, const char *name, int64_t now, struct sqlite_found *found,
                                 struct loss_error *err);
loss_status sqlite_find_or_make(struct sqlite_store *s, const char *name, int64_t now, int64_t *id,
                                struct loss_error *err);
/* The entry of that very name, copied into `arena`; *found is false where there is none. */
loss_status sqlite_find_entry(struct sqlite_store *s, int64_t registry, int64_t step, const char *name,
                              struct loss_arena *arena, struct registry_entry *entry, bool *found,
                              struct loss_error *err);
/* The store's add (sqlite_add.c), and what it keeps of a key. */
loss_status sqlite_add(struct store *store, const struct registry_add *adds, size_t n, const struct registry_key *key,
                       int64_t now, struct loss_arena *arena, struct registry_entry *out, struct loss_error *err);
loss_status sqlite_keep_key(struct sqlite_store *s, const struct registry_key *key, const struct registry_entry *out,
                            size_t n, int64_t now, struct loss_arena *arena, struct loss_error *err);

/* The store's restore, restore_key and keys (sqlite_restore.c). */
loss_status sqlite_restore(struct store *store, const struct registry_image *image, registry_taken taken, int64_t now,
                           struct loss_error *err);
loss_status sqlite_restore_key(struct store *store, const struct registry_kept_key *key, registry_taken taken,
                               int64_t now, struct loss_error *err);
loss_status sqlite_keys(struct store *store, int64_t now, registry_visit_key visit, void *arg, struct loss_error *err);

/* Open the file: lock others out, make or migrate the tables, make the statements (sqlite_file.c). Read-only: none of
 * these but the statements, and a transaction that lasts as long as the connection. */
loss_status sqlite_open_file(struct sqlite_store *s, const char *path, bool read_only, struct loss_error *err);

#endif
