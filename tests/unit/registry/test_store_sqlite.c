/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_sqlite.c - what the SQLite store alone promises: to survive, to be alone, and to say why it cannot.
 */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "support/registry_world.h"

static const struct registry_query ALL = {.registry = "run", .step = REGISTRY_STEP_ALL};

/* Run `body` in a process of its own, which ends without closing anything, as a crash would. */
static void in_a_crash(struct world *w, void (*body)(struct world *))
{
    world_close(w);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (world_open(w) != LOSS_OK) {
            _exit(1);
        }
        body(w);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(world_open(w), LOSS_OK);
}

/* Whether an add of "x" under "key" succeeds; no cmocka in a child. */
static bool add_under_key(struct world *w, struct registry_entry *out)
{
    struct registry_add add = {.registry = "run",
                               .name = "x",
                               .collection = REGISTRY_LOSSES,
                               .loss = 0.5,
                               .dtype = "",
                               .reduction = "",
                               .key = {.key = "key", .fingerprint = {1}}};
    return registry_add(w->registry, &add, w->arena, out, NULL) == LOSS_OK;
}

static void add_and_crash(struct world *w)
{
    struct registry_entry out;
    for (int i = 0; i < 3; i++) {
        if (!add_under_key(w, &out)) {
            _exit(2);
        }
    }
}

static void test_sqlite__keeps_what_was_acknowledged_through_a_crash(void **state)
{
    struct world *w = *state;
    struct registry_entry again;
    in_a_crash(w, add_and_crash);
    assert_string_equal(world_names(w, &ALL), "x");
    assert_true(add_under_key(w, &again)); /* a client that never saw the answer */
    assert_string_equal(again.name, "x");
    assert_string_equal(world_names(w, &ALL), "x");
}

static void add_for_ever(struct world *w)
{
    int pipe_end = (int)w->ttl;
    struct registry_entry out;
    for (int i = 0; i < 1000000; i++) {
        char name[16];
        struct registry_add add = {
            .registry = "run", .name = name, .collection = REGISTRY_LOSSES, .loss = i, .dtype = "", .reduction = ""};
        snprintf(name, sizeof name, "n%d", i);
        if (registry_add(w->registry, &add, w->arena, &out, NULL) != LOSS_OK ||
            write(pipe_end, &i, sizeof i) != sizeof i) {
            _exit(2);
        }
    }
}

/* kill -9 in the middle of adding: all that was acknowledged is there, once, and at most one more. */
static void test_sqlite__survives_kill_at_any_moment(void **state)
{
    struct world *w = *state;
    int last = -1, ends[2];
    for (int round = 0; round < 5; round++) {
        uint64_t removed;
        registry_remove(w->registry, "run", NULL, REGISTRY_STEP_ALL, &removed, NULL);
        world_close(w);
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(ends[0]);
            struct registry_options options = {.url = w->url, .idempotency_seconds = 1};
            w->ttl = ends[1];
            if (registry_open(&options, &w->registry, NULL) == LOSS_OK) {
                add_for_ever(w);
            }
            _exit(1);
        }
        close(ends[1]);
        for (int i = 0; i < 10 + 7 * round; i++) {
            assert_int_equal(read(ends[0], &last, sizeof last), sizeof last);
        }
        kill(pid, SIGKILL);
        while (read(ends[0], &last, sizeof last) == sizeof last) {
        }
        close(ends[0]);
        waitpid(pid, NULL, 0);
        assert_int_equal(world_open(w), LOSS_OK);
        struct registry_page page;
        assert_int_equal(registry_list(w->registry, &ALL, w->arena, &page, NULL), LOSS_OK);
        assert_in_range(page.count, last + 1, last + 2);
        for (size_t i = 0; i < page.count; i++) {
            assert_true(page.entries[i].loss == (double)i);
        }
    }
}

static void test_sqlite__keeps_everything_when_reopened(void **state)
{
    struct world *w = *state;
    struct registry_info info;
    world_add(w, "x", 0, NAN);
    world_add(w, "x", 0, 1);
    assert_int_equal(registry_put(w->registry, "run", 50, NULL), LOSS_OK);
    uint64_t order = world_add(w, "x", 1, 1).order, removed;
    assert_int_equal(registry_remove(w->registry, "run", "x", 1, &removed, NULL), LOSS_OK);
    world_reopen(w);
    assert_string_equal(world_names(w, &ALL), "x x_1");
    assert_string_equal(world_add(w, "x", 0, 1).name, "x_2");
    assert_true(world_add(w, "x", 1, 1).order > order); /* an order is never given twice, or cursors would lie */
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, NULL), LOSS_OK);
    assert_int_equal(info.ttl_seconds, 50);
}

static void expect_closed(struct world *w, const char *url, const char *says)
{
    struct registry_options options = {.url = url};
    struct registry *r = NULL;
    w->err = (struct loss_error){0};
    assert_int_equal(registry_open(&options, &r, &w->err), LOSS_STORE_UNAVAILABLE);
    assert_null(r);
    if (strstr(w->err.message, says) == NULL) {
        fail_msg("%s: \"%s\" does not say \"%s\"", url, w->err.message, says);
    }
}

static void test_sqlite__lets_one_server_in(void **state)
{
    struct world *w = *state;
    expect_closed(w, w->url, "another server has it open");
    world_add(w, "x", 0, 1);
    world_reopen(w);
    assert_string_equal(world_names(w, &ALL), "x");
}

static void test_sqlite__lets_other_programs_read_meanwhile(void **state)
{
    struct world *w = *state;
    sqlite3 *db;
    sqlite3_stmt *q;
    world_add(w, "x", 0, 1);
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT name FROM entries", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(q, 0), "x");
    world_add(w, "y", 0, 1); /* a reader stops nobody */
    sqlite3_finalize(q);
    sqlite3_close(db);
}

static void test_sqlite__says_that_another_program_writes(void **state)
{
    struct world *w = *state;
    struct registry_entry out;
    sqlite3 *db;
    world_add(w, "y", 0, 1);
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct registry_add add = {
        .registry = "run", .name = "x", .collection = REGISTRY_LOSSES, .dtype = "", .reduction = ""};
    assert_int_equal(registry_add(w->registry, &add, w->arena, &out, &w->err), LOSS_STORE_UNAVAILABLE);
    assert_non_null(strstr(w->err.message, "another program writes"));
    assert_string_equal(world_names(w, &ALL), "y");
    assert_int_equal(registry_ready(w->registry, NULL), LOSS_STORE_UNAVAILABLE); /* it tries again */
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(registry_ready(w->registry, NULL), LOSS_OK);
    assert_true(add_under_key(w, &out));
    assert_string_equal(world_names(w, &ALL), "y x");
}

static void test_sqlite__notices_that_its_file_is_gone(void **state)
{
    struct world *w = *state;
    struct registry_entry out;
    world_add(w, "x", 0, 1);
    assert_int_equal(unlink(w->path), 0);
    assert_int_equal(registry_ready(w->registry, &w->err), LOSS_STORE_UNAVAILABLE);
    assert_non_null(strstr(w->err.message, "deleted or replaced"));
    assert_false(add_under_key(w, &out));
    assert_int_equal(registry_ready(w->registry, NULL), LOSS_STORE_UNAVAILABLE);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_sqlite__says_why_it_cannot_open(void **state)
{
    struct world *w = *state;
    char url[160], noise[4096];
    world_close(w);

    snprintf(url, sizeof url, "sqlite:%s", w->directory);
    expect_closed(w, url, "unable to open");
    snprintf(noise, sizeof noise, "%s.lock", w->directory);
    unlink(noise);

    memset(noise, 'x', sizeof noise - 1);
    noise[sizeof noise - 1] = '\0';
    write_file(w->path, noise);
    expect_closed(w, w->url, "not a database");

    snprintf(url, sizeof url, "sqlite:%s/below/registry.db", w->path);
    expect_closed(w, url, "Not a directory");
    unlink(w->path);
    expect_closed(w, "sqlite:/proc/none/registry.db", "cannot make the directory");
}

static void expect_closed_after(struct world *w, const char *sql, const char *says)
{
    sqlite3 *db;
    world_close(w);
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    expect_closed(w, w->url, says);
}

static void test_sqlite__leaves_other_programs_files_alone(void **state)
{
    expect_closed_after(*state, "PRAGMA application_id = 7", "another program's database");
}

static void test_sqlite__takes_files_of_the_first_version(void **state)
{
    struct world *w = *state;
    sqlite3 *db;
    world_add(w, "old", 0, 0.5);
    world_close(w);
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "ALTER TABLE entries DROP COLUMN tally; ALTER TABLE entries DROP COLUMN merged_at;"
                                  "ALTER TABLE key_entries DROP COLUMN tally;"
                                  "ALTER TABLE key_entries DROP COLUMN merged_at; PRAGMA user_version = 1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(world_open(w), LOSS_OK);
    world_add(w, "new", 0, 0.5);
    struct registry_query all = {.registry = "run", .step = REGISTRY_STEP_ALL};
    assert_string_equal(world_names(w, &all), "old new");
}

static void test_sqlite__leaves_newer_files_alone(void **state)
{
    expect_closed_after(*state, "PRAGMA user_version = 1000", "newer version");
}

static void test_sqlite__does_not_take_a_file_it_cannot_read_for_empty(void **state)
{
    struct world *w = *state;
    char page[512];
    world_add(w, "x", 0, 1);
    world_close(w);
    int fd = open(w->path, O_RDWR);
    assert_true(fd >= 0);
    memset(page, 0x5a, sizeof page);
    assert_int_equal(pwrite(fd, page, sizeof page, 100), sizeof page); /* the root of the schema */
    close(fd);
    expect_closed(w, w->url, "malformed");
}

static void test_sqlite__makes_missing_directories(void **state)
{
    struct world *w = *state;
    char path[160], url[170];
    struct registry *r;
    struct registry_options options = {.url = url};
    snprintf(url, sizeof url, "sqlite:%s/a/b/registry.db", w->directory);
    assert_int_equal(registry_open(&options, &r, &w->err), LOSS_OK);
    registry_close(r);
    static const char *const made[] = {"/a/b/registry.db.lock", "/a/b/registry.db"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(path, sizeof path, "%s%s", w->directory, made[i]);
        assert_int_equal(unlink(path), 0);
    }
    snprintf(path, sizeof path, "%s/a/b", w->directory);
    assert_int_equal(rmdir(path), 0);
    snprintf(path, sizeof path, "%s/a", w->directory);
    assert_int_equal(rmdir(path), 0);
}

/* The disk is full for as long as the file may not grow. */
/* How many entries another program sees: what is committed. */
static int committed(const struct world *w)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM entries", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int n = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return n;
}

static void test_sqlite__commits_a_group_together(void **state)
{
    struct world *w = *state;
    char name[513];
    struct registry_entry out;
    struct registry_add add = {
        .registry = "run", .name = name, .collection = REGISTRY_LOSSES, .dtype = "", .reduction = ""};
    memset(name, 'n', 512);
    name[512] = '\0';
    world_add(w, name, 0, 1);
    registry_group_begin(w->registry);
    world_add(w, "x", 0, 1);
    assert_int_equal(registry_add(w->registry, &add, w->arena, &out, NULL), LOSS_INVALID_NAME); /* undone alone */
    world_add(w, "y", 0, 1);
    assert_string_equal(world_names(w, &(struct registry_query){.registry = "run", .scope = "[xy]"}), "x y");
    assert_int_equal(committed(w), 1);
    assert_int_equal(registry_group_end(w->registry, NULL), LOSS_OK);
    assert_int_equal(committed(w), 3);
    registry_group_begin(w->registry);
    assert_int_equal(registry_group_end(w->registry, NULL), LOSS_OK); /* nothing to commit */
}

static void test_sqlite__is_not_ready_while_the_disk_is_full(void **state)
{
    struct world *w = *state;
    struct registry_entry out;
    loss_status status = LOSS_OK;
    char name[16];
    struct registry_add add = {
        .registry = "run", .name = name, .collection = REGISTRY_LOSSES, .dtype = "", .reduction = ""};
    world_add(w, "x", 0, 1);
    world_close(w);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {.rlim_cur = 256 << 10, .rlim_max = RLIM_INFINITY};
        if (world_open(w) != LOSS_OK || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
            _exit(1);
        }
        int n = 0;
        for (; n < 2000 && status == LOSS_OK; n++) {
            snprintf(name, sizeof name, "n%d", n);
            status = registry_add(w->registry, &add, w->arena, &out, NULL);
        }
        bool unready = registry_ready(w->registry, NULL) == LOSS_STORE_UNAVAILABLE;
        limit.rlim_cur = RLIM_INFINITY;
        setrlimit(RLIMIT_FSIZE, &limit);
        bool ready = registry_ready(w->registry, NULL) == LOSS_OK;
        struct registry_page page;
        if (registry_list(w->registry, &ALL, w->arena, &page, NULL) != LOSS_OK) {
            _exit(3);
        }
        bool whole = page.count == (size_t)n; /* "x" and all but the one that failed */
        bool again = registry_add(w->registry, &add, w->arena, &out, NULL) == LOSS_OK;
        _exit(status == LOSS_STORE_UNAVAILABLE && unready && ready && whole && again ? 0 : 4);
    }
    int exit_status;
    assert_int_equal(waitpid(pid, &exit_status, 0), pid);
    assert_true(WIFEXITED(exit_status));
    assert_int_equal(WEXITSTATUS(exit_status), 0);
    assert_int_equal(world_open(w), LOSS_OK);
}

static void test_sqlite__keeps_each_change_of_a_group_to_itself(void **state)
{
    struct world *w = *state;
    struct registry_entry out;
    struct registry_add add = {.registry = "run",
                               .name = "x",
                               .collection = REGISTRY_LOSSES,
                               .dtype = "",
                               .reduction = "",
                               .key = {.key = "key", .fingerprint = {1}}};
    registry_group_begin(w->registry);
    assert_int_equal(registry_add(w->registry, &add, w->arena, &out, &w->err), LOSS_OK);
    add.name = "y";
    add.key.fingerprint[0] = 2;
    assert_int_equal(registry_add(w->registry, &add, w->arena, &out, NULL), LOSS_IDEMPOTENCY_CONFLICT);
    add.name = "z";
    add.key.key = NULL;
    assert_int_equal(registry_add(w->registry, &add, w->arena, &out, &w->err), LOSS_OK);
    assert_string_equal(world_names(w, &ALL), "x z"); /* the group sees itself */
    assert_int_equal(registry_group_end(w->registry, &w->err), LOSS_OK);
    world_reopen(w);
    assert_string_equal(world_names(w, &ALL), "x z");
}

/* Let another program see to it that nothing can be written to that table. */
static void refuse_rows(const struct world *w, const char *table)
{
    sqlite3 *db;
    char sql[160];
    snprintf(sql, sizeof sql,
             "CREATE TRIGGER refuse_%s BEFORE INSERT ON %s BEGIN SELECT RAISE(ABORT, 'not today'); END", table, table);
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* What fails after its first write: the key is written last. */
static void test_sqlite__never_keeps_half_a_change_of_a_group(void **state)
{
    struct world *w = *state;
    struct registry_entry out[2];
    const struct registry_key key = {.key = "key"};
    const struct registry_add x = {
        .registry = "run", .name = "x", .collection = REGISTRY_LOSSES, .dtype = "", .reduction = "", .key = key};
    const struct registry_add both[2] = {x, x};
    refuse_rows(w, "keys");
    registry_group_begin(w->registry);
    world_add(w, "before", 0, 1);
    assert_int_equal(registry_add_all(w->registry, both, 2, &key, w->arena, out, NULL), LOSS_STORE_UNAVAILABLE);
    world_add(w, "after", 0, 1);
    assert_int_equal(registry_group_end(w->registry, NULL), LOSS_OK); /* several at once are undone alone */
    assert_string_equal(world_names(w, &ALL), "before after");
    registry_group_begin(w->registry);
    world_add(w, "y", 0, 1);
    assert_int_equal(registry_add(w->registry, &x, w->arena, out, NULL), LOSS_STORE_UNAVAILABLE);
    assert_int_equal(registry_group_end(w->registry, NULL), LOSS_STORE_UNAVAILABLE); /* ... one with its group */
    assert_string_equal(world_names(w, &ALL), "before after");
    world_add(w, "y", 0, 1);
    assert_string_equal(world_names(w, &ALL), "before after y");
}

/* What changes of a group share is written at its end, or before it is read. */
static void test_sqlite__never_keeps_a_group_without_what_it_shares(void **state)
{
    struct world *w = *state;
    struct registry_info info;
    world_add(w, "x", 0, 1);
    refuse_rows(w, "suffixes");
    registry_group_begin(w->registry);
    world_add(w, "y", 0, 1);
    world_add(w, "x", 0, 1);
    assert_int_equal(registry_group_end(w->registry, NULL), LOSS_STORE_UNAVAILABLE);
    assert_string_equal(world_names(w, &ALL), "x");
    registry_group_begin(w->registry);
    world_add(w, "x", 0, 1);
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, NULL), LOSS_STORE_UNAVAILABLE);
    assert_int_equal(registry_group_end(w->registry, NULL), LOSS_STORE_UNAVAILABLE);
    assert_string_equal(world_names(w, &ALL), "x");
}

/* A group as one change after the other would be: what each sees of those before it, and what is there at the end. */
static void test_sqlite__shares_within_a_group_and_nobody_sees_it(void **state)
{
    struct world *w = *state;
    struct registry_info info;
    struct registry_entry out[2];
    uint64_t removed;
    const struct registry_add x = {
        .registry = "run", .name = "x", .collection = REGISTRY_LOSSES, .dtype = "", .reduction = ""};
    const struct registry_add both[2] = {x, x};
    struct registry_add other = x;
    other.registry = "other";
    registry_group_begin(w->registry);
    world_add(w, "x", 0, 1);
    world_add(w, "x", 0, 1);
    w->now += SECOND;
    world_add(w, "x", 0, 1);
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, &w->err), LOSS_OK);
    assert_int_equal(info.updated_at, w->now);
    assert_int_equal(registry_add(w->registry, &other, w->arena, out, &w->err), LOSS_OK);
    assert_int_equal(registry_remove(w->registry, "run", "x_1$", 0, &removed, &w->err), LOSS_OK);
    assert_int_equal(removed, 1);
    world_add(w, "x", 0, 1); /* takes the name that is free again */
    world_add(w, "x", 1, 1);
    world_add(w, "x", 1, 1);
    assert_int_equal(registry_add_all(w->registry, both, 2, &(struct registry_key){0}, w->arena, out, &w->err),
                     LOSS_OK);
    w->now += SECOND;
    assert_int_equal(registry_add(w->registry, &other, w->arena, out, &w->err), LOSS_OK);
    assert_int_equal(registry_group_end(w->registry, &w->err), LOSS_OK);
    world_reopen(w);
    assert_string_equal(world_names(w, &(struct registry_query){.registry = "run", .step = 0}), "x x_2 x_1 x_3 x_4");
    assert_string_equal(world_names(w, &(struct registry_query){.registry = "run", .step = 1}), "x x_1");
    assert_string_equal(world_names(w, &(struct registry_query){.registry = "other", .step = 0}), "x x_1");
    assert_int_equal(registry_info_get(w->registry, "run", w->arena, &info, &w->err), LOSS_OK);
    assert_int_equal(info.updated_at, w->now - SECOND);
    assert_int_equal(registry_info_get(w->registry, "other", w->arena, &info, &w->err), LOSS_OK);
    assert_int_equal(info.updated_at, w->now);
}

static void group_and_crash(struct world *w)
{
    struct registry_entry out;
    registry_group_begin(w->registry);
    if (!add_under_key(w, &out)) {
        _exit(2);
    }
}

static void test_sqlite__forgets_a_group_that_never_ended(void **state)
{
    struct world *w = *state;
    world_add(w, "before", 0, 1);
    in_a_crash(w, group_and_crash);
    assert_string_equal(world_names(w, &ALL), "before");
}

/* In a child, whose files may then grow no further. */
static int fail_a_group(struct world *w)
{
    struct registry_entry out;
    struct rlimit limit = {.rlim_cur = 0, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    if (world_open(w) != LOSS_OK || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 1;
    }
    registry_group_begin(w->registry);
    if (!add_under_key(w, &out)) {
        return 2;
    }
    if (registry_group_end(w->registry, NULL) != LOSS_STORE_UNAVAILABLE ||
        registry_ready(w->registry, NULL) != LOSS_STORE_UNAVAILABLE) {
        return 3;
    }
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    return registry_ready(w->registry, NULL) == LOSS_OK ? 0 : 4;
}

static void test_sqlite__takes_back_a_group_that_the_disk_refused(void **state)
{
    struct world *w = *state;
    int exit_status;
    world_add(w, "before", 0, 1);
    world_close(w);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(fail_a_group(w));
    }
    assert_int_equal(waitpid(pid, &exit_status, 0), pid);
    assert_true(WIFEXITED(exit_status));
    assert_int_equal(WEXITSTATUS(exit_status), 0);
    assert_int_equal(world_open(w), LOSS_OK);
    assert_string_equal(world_names(w, &ALL), "before");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(test_sqlite__keeps_what_was_acknowledged_through_a_crash, "sqlite"),
        ON_STORE(test_sqlite__survives_kill_at_any_moment, "sqlite"),
        ON_STORE(test_sqlite__keeps_everything_when_reopened, "sqlite"),
        ON_STORE(test_sqlite__lets_one_server_in, "sqlite"),
        ON_STORE(test_sqlite__lets_other_programs_read_meanwhile, "sqlite"),
        ON_STORE(test_sqlite__says_that_another_program_writes, "sqlite"),
        ON_STORE(test_sqlite__notices_that_its_file_is_gone, "sqlite"),
        ON_STORE(test_sqlite__says_why_it_cannot_open, "sqlite"),
        ON_STORE(test_sqlite__leaves_other_programs_files_alone, "sqlite"),
        ON_STORE(test_sqlite__takes_files_of_the_first_version, "sqlite"),
        ON_STORE(test_sqlite__leaves_newer_files_alone, "sqlite"),
        ON_STORE(test_sqlite__does_not_take_a_file_it_cannot_read_for_empty, "sqlite"),
        ON_STORE(test_sqlite__makes_missing_directories, "sqlite"),
        ON_STORE(test_sqlite__commits_a_group_together, "sqlite"),
        ON_STORE(test_sqlite__is_not_ready_while_the_disk_is_full, "sqlite"),
        ON_STORE(test_sqlite__keeps_each_change_of_a_group_to_itself, "sqlite"),
        ON_STORE(test_sqlite__never_keeps_half_a_change_of_a_group, "sqlite"),
        ON_STORE(test_sqlite__never_keeps_a_group_without_what_it_shares, "sqlite"),
        ON_STORE(test_sqlite__shares_within_a_group_and_nobody_sees_it, "sqlite"),
        ON_STORE(test_sqlite__forgets_a_group_that_never_ended, "sqlite"),
        ON_STORE(test_sqlite__takes_back_a_group_that_the_disk_refused, "sqlite"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
