/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_file.c - the SQLite store's file: its place, its lock, its settings and its tables.
 */
#include <registry/sqlite_base.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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
    loss_status status = rc == SQLITE_ROW ? LOSS_OK : sqlite_fail(s, rc, err);
    if (status == LOSS_OK) {
        bool short_of_memory = false;
        const char *value = sqlite_text(q, 0, &short_of_memory);
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
    return rc == SQLITE_OK ? LOSS_OK : sqlite_fail(s, rc, err);
}

/* Is it a file of ours, and of a version that we know? 0: it is empty. */
static loss_status check_version(struct sqlite_store *s, int *version, struct loss_error *err)
{
    char id[32], version_text[32], tables[32];
    LOSS_TRY(ask_once(s, "PRAGMA application_id", id, err));
    LOSS_TRY(ask_once(s, "PRAGMA user_version", version_text, err));
    LOSS_TRY(ask_once(s, "SELECT count(*) FROM sqlite_schema", tables, err));
    *version = atoi(version_text);
    if (atoi(id) != APPLICATION_ID && strcmp(tables, "0") != 0) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "it is another program's database");
    }
    if (*version < 0 || *version > N_MIGRATIONS) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "",
                         "it was written by a newer version (format %d, this one knows %d)", *version, N_MIGRATIONS);
    }
    return LOSS_OK;
}

/* Bring the file to the newest version; inside of a transaction. */
static loss_status migrate(struct sqlite_store *s, struct loss_error *err)
{
    char sql[96];
    int version;
    LOSS_TRY(check_version(s, &version, err));
    for (int v = version; v < N_MIGRATIONS; v++) {
        LOSS_TRY(exec(s, migrations[v], err));
    }
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID, N_MIGRATIONS);
    return exec(s, sql, err); /* writes, even where it changes nothing */
}

static loss_status open_database(struct sqlite_store *s, const char *path, int how, struct loss_error *err)
{
    /* Nobody asks how much SQLite allocates, and counting takes a mutex each time. Once it has begun, this does nothing. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int rc = sqlite3_open_v2(path, &s->db, how | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        rc = set_up(s->db);
    }
    return rc == SQLITE_OK ? LOSS_OK : sqlite_fail(s, rc, err);
}

/* What is read first fixes the moment of all that is read later. */
static loss_status open_for_reading(struct sqlite_store *s, const char *path, struct loss_error *err)
{
    int version;
    LOSS_TRY(open_database(s, path, SQLITE_OPEN_READONLY, err));
    LOSS_TRY(exec(s, "BEGIN", err));
    LOSS_TRY(check_version(s, &version, err));
    if (version < N_MIGRATIONS) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "",
                         "it has format %d; a server that opens it makes it %d, which is read here", version,
                         N_MIGRATIONS);
    }
    return sqlite_prepare_statements(s, err);
}

loss_status sqlite_open_file(struct sqlite_store *s, const char *path, bool read_only, struct loss_error *err)
{
    if (read_only) {
        return open_for_reading(s, path, err);
    }
    LOSS_TRY(make_parents(path, err));
    LOSS_TRY(lock_out_others(s, path, err));
    LOSS_TRY(open_database(s, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err));
    LOSS_TRY(use_wal(s, err));
    LOSS_TRY(exec(s, "BEGIN IMMEDIATE", err)); /* shows whether the file can be written */
    LOSS_TRY(migrate(s, err));
    LOSS_TRY(exec(s, "COMMIT", err));
    return sqlite_prepare_statements(s, err);
}
