/* SPDX-License-Identifier: Apache-2.0
 *
 * disk.c - a VFS around the system's own, and the memory of what is durable.
 */
#include "fault/disk.h"

#include <assert.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES 16
#define SECTOR 512
#define LOG_PAGES 8

/* A write (or, with bytes NULL, a truncation to `at`) that no sync has followed. */
struct change {
    sqlite3_int64 at;
    size_t n;
    unsigned char *bytes;
    struct change *next;
};

struct image {
    char path[256]; /* "": free */
    unsigned char *durable;
    size_t size;
    struct change *first, **last;
};

struct disk_file {
    sqlite3_file base;
    struct image *image; /* NULL: a temporary file */
    sqlite3_file *real;
};

static sqlite3_vfs *below;
static struct image images[MAX_FILES];
static struct {
    disk_fault fault;
    size_t at, calls;
    bool onward, failed, dead;
} now;

/* --- what is durable --- */

static void resize(struct image *i, size_t size)
{
    i->durable = realloc(i->durable, size + 1);
    assert(i->durable != NULL);
    if (size > i->size) {
        memset(i->durable + i->size, 0, size - i->size);
    }
    i->size = size;
}

static void apply_bytes(struct image *i, size_t at, const unsigned char *bytes, size_t n)
{
    if (at + n > i->size) {
        resize(i, at + n);
    }
    memcpy(i->durable + at, bytes, n);
}

static void apply(struct image *i, const struct change *c)
{
    if (c->bytes == NULL) {
        resize(i, (size_t)c->at);
    } else {
        apply_bytes(i, (size_t)c->at, c->bytes, c->n);
    }
}

static void drop_changes(struct image *i)
{
    while (i->first != NULL) {
        struct change *c = i->first;
        i->first = c->next;
        free(c->bytes);
        free(c);
    }
    i->last = &i->first;
}

static void add_change(struct image *i, sqlite3_int64 at, const void *bytes, size_t n)
{
    struct change *c = calloc(1, sizeof *c);
    assert(c != NULL);
    c->at = at;
    c->n = n;
    if (bytes != NULL) {
        c->bytes = malloc(n + 1);
        assert(c->bytes != NULL);
        memcpy(c->bytes, bytes, n);
    }
    *i->last = c;
    i->last = &c->next;
}

static void load(struct image *i)
{
    struct stat st;
    int fd = open(i->path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
        resize(i, (size_t)st.st_size);
        ssize_t got = pread(fd, i->durable, i->size, 0);
        assert(got == st.st_size);
        (void)got;
    }
    if (fd >= 0) {
        close(fd);
    }
}

static struct image *image_of(const char *path)
{
    struct image *free_one = NULL;
    for (size_t k = 0; k < MAX_FILES; k++) {
        if (strcmp(images[k].path, path) == 0) {
            return &images[k];
        }
        free_one = images[k].path[0] == '\0' ? &images[k] : free_one;
    }
    assert(free_one != NULL && strlen(path) < sizeof free_one->path);
    *free_one = (struct image){.last = &free_one->first};
    strcpy(free_one->path, path);
    load(free_one);
    return free_one;
}

static void forget(struct image *i)
{
    drop_changes(i);
    free(i->durable);
    *i = (struct image){.last = &i->first};
}

/* --- when to fail --- */

/* Is this call, of those that are counted, the one? */
static bool strikes(bool is_write, bool is_sync)
{
    bool meant = now.fault == DISK_POWER_IS_CUT || (now.fault == DISK_SYNC_FAILS ? is_sync : is_write);
    now.calls += meant;
    bool yes = now.dead || (meant && now.at != 0 && (now.onward ? now.calls >= now.at : now.calls == now.at));
    now.failed = now.failed || yes;
    now.dead = now.dead || (yes && now.fault == DISK_POWER_IS_CUT);
    return yes;
}

static int failure(int io_error)
{
    return now.fault == DISK_IS_FULL || now.fault == DISK_WRITE_IS_SHORT ? SQLITE_FULL
           : now.fault == DISK_IS_READ_ONLY                              ? SQLITE_READONLY
                                                                         : io_error;
}

/* --- files --- */

static struct disk_file *disk_file(sqlite3_file *f)
{
    return (struct disk_file *)f;
}

static sqlite3_file *real(sqlite3_file *f)
{
    return disk_file(f)->real;
}

static int disk_close(sqlite3_file *f)
{
    return real(f)->pMethods->xClose(real(f));
}

static int disk_read(sqlite3_file *f, void *bytes, int n, sqlite3_int64 at)
{
    return real(f)->pMethods->xRead(real(f), bytes, n, at);
}

static int write_through(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    struct disk_file *d = disk_file(f);
    int rc = d->real->pMethods->xWrite(d->real, bytes, n, at);
    if (rc == SQLITE_OK && d->image != NULL) {
        add_change(d->image, at, bytes, (size_t)n);
    }
    return rc;
}

static int disk_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    if (strikes(true, false)) {
        if (now.fault == DISK_WRITE_IS_SHORT && n > 1) {
            write_through(f, bytes, n / 2, at);
        }
        return failure(SQLITE_IOERR_WRITE);
    }
    return write_through(f, bytes, n, at);
}

static int disk_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    if (strikes(true, false)) {
        return failure(SQLITE_IOERR_TRUNCATE);
    }
    int rc = real(f)->pMethods->xTruncate(real(f), size);
    if (rc == SQLITE_OK && disk_file(f)->image != NULL) {
        add_change(disk_file(f)->image, size, NULL, 0);
    }
    return rc;
}

/* The real disk need not be synced: what is durable is what we remember. */
static int disk_sync(sqlite3_file *f, int flags)
{
    (void)flags;
    if (strikes(false, true)) {
        return SQLITE_IOERR_FSYNC;
    }
    struct image *i = disk_file(f)->image;
    for (const struct change *c = i != NULL ? i->first : NULL; c != NULL; c = c->next) {
        apply(i, c);
    }
    if (i != NULL) {
        drop_changes(i);
    }
    return SQLITE_OK;
}

static int disk_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real(f)->pMethods->xFileSize(real(f), size);
}

static int disk_lock(sqlite3_file *f, int how)
{
    return real(f)->pMethods->xLock(real(f), how);
}

static int disk_unlock(sqlite3_file *f, int how)
{
    return real(f)->pMethods->xUnlock(real(f), how);
}

static int disk_check_lock(sqlite3_file *f, int *is)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), is);
}

static int disk_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int disk_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int disk_promises(sqlite3_file *f)
{
    (void)f;
    return 0; /* none: not even that a sector is written whole */
}

static int disk_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **at)
{
    return real(f)->pMethods->xShmMap(real(f), page, size, extend, at);
}

static int disk_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void disk_shm_barrier(sqlite3_file *f)
{
    real(f)->pMethods->xShmBarrier(real(f));
}

static int disk_shm_unmap(sqlite3_file *f, int delete)
{
    return real(f)->pMethods->xShmUnmap(real(f), delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* without memory maps: every write is seen */
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_size,
    .xLock = disk_lock,
    .xUnlock = disk_unlock,
    .xCheckReservedLock = disk_check_lock,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector,
    .xDeviceCharacteristics = disk_promises,
    .xShmMap = disk_shm_map,
    .xShmLock = disk_shm_lock,
    .xShmBarrier = disk_shm_barrier,
    .xShmUnmap = disk_shm_unmap,
};

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *got)
{
    struct disk_file *d = disk_file(f);
    (void)vfs;
    f->pMethods = NULL;
    if (path != NULL && (flags & SQLITE_OPEN_READWRITE) != 0 && strikes(true, false)) {
        return SQLITE_CANTOPEN;
    }
    d->real = (sqlite3_file *)(d + 1);
    d->image = path != NULL ? image_of(path) : NULL;
    int rc = below->xOpen(below, path, d->real, flags, got);
    f->pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    (void)vfs;
    if (strikes(true, false)) {
        return SQLITE_IOERR_DELETE;
    }
    int rc = below->xDelete(below, path, sync);
    if (rc == SQLITE_OK) {
        forget(image_of(path));
    }
    return rc;
}

/* Every connection writes its log into the file after a few pages. */
static int shorten_log(sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)message;
    (void)api;
    return sqlite3_wal_autocheckpoint(db, LOG_PAGES);
}

void disk_install(void)
{
    static sqlite3_vfs vfs;
    below = sqlite3_vfs_find(NULL);
    vfs = *below;
    vfs.zName = "disk";
    vfs.szOsFile = below->szOsFile + (int)sizeof(struct disk_file);
    vfs.xOpen = disk_open;
    vfs.xDelete = disk_delete;
    for (size_t k = 0; k < MAX_FILES; k++) {
        images[k].last = &images[k].first;
    }
    int rc = sqlite3_vfs_register(&vfs, 1);
    assert(rc == SQLITE_OK);
    rc = sqlite3_auto_extension((void (*)(void))shorten_log);
    assert(rc == SQLITE_OK);
    (void)rc;
}

void disk_begin(disk_fault fault, size_t at, bool onward)
{
    now.fault = fault;
    now.at = at;
    now.onward = onward;
    now.calls = 0;
    now.failed = now.dead = false;
}

size_t disk_calls(void)
{
    return now.calls;
}

bool disk_failed(void)
{
    return now.failed;
}

void disk_mend(void)
{
    now.at = 0;
    now.dead = false;
}

static void keep_some(struct image *i, disk_keeps keeps, unsigned *seed)
{
    for (const struct change *c = i->first; c != NULL; c = c->next) {
        bool whole = keeps == DISK_KEEPS_ALL || (keeps != DISK_KEEPS_NONE && rand_r(seed) % 2 == 0);
        if (whole && (keeps != DISK_KEEPS_SECTORS || c->bytes == NULL)) {
            apply(i, c);
        }
        for (size_t at = 0; keeps == DISK_KEEPS_SECTORS && c->bytes != NULL && at < c->n; at += SECTOR) {
            if (rand_r(seed) % 2 == 0) {
                apply_bytes(i, (size_t)c->at + at, c->bytes + at, c->n - at < SECTOR ? c->n - at : SECTOR);
            }
        }
    }
    drop_changes(i);
}

static void write_out(const struct image *i)
{
    int fd = open(i->path, O_WRONLY | O_TRUNC | O_CLOEXEC); /* what was never made stays so */
    if (fd >= 0) {
        ssize_t put = i->size > 0 ? pwrite(fd, i->durable, i->size, 0) : 0;
        assert(put == (ssize_t)i->size);
        (void)put;
        close(fd);
    }
}

void disk_restart(disk_keeps keeps, unsigned seed)
{
    disk_mend();
    for (size_t k = 0; k < MAX_FILES; k++) {
        if (images[k].path[0] != '\0') {
            keep_some(&images[k], keeps, &seed);
            write_out(&images[k]);
        }
    }
}

void disk_forget(void)
{
    for (size_t k = 0; k < MAX_FILES; k++) {
        forget(&images[k]);
    }
}
