/* SPDX-License-Identifier: Apache-2.0
 *
 * disk_shim.c - a disk that misbehaves under a whole server: preloaded, it stands before the C library's calls.
 *
 * DISK_CONTROL names a file of two numbers, which a test may change at any time: what fails (enum below), and how many
 * microseconds a sync takes beyond its own. Only SQLite writes with pwrite and syncs in a server.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { WORKS, WRITE_FAILS, IS_FULL, WRITE_IS_SHORT, SYNC_FAILS, IS_READ_ONLY };

struct control {
    volatile int32_t fault, sync_us;
};

static struct control *control;

typedef int open_call(const char *path, int flags, ...);
typedef ssize_t pwrite_call(int fd, const void *bytes, size_t n, off_t at);
typedef int sync_call(int fd);
typedef int truncate_call(int fd, off_t size);

static open_call *next_open;
static pwrite_call *next_pwrite;
static sync_call *next_fsync, *next_fdatasync;
static truncate_call *next_ftruncate;

__attribute__((constructor)) static void start(void)
{
    static struct control nothing;
    const char *path = getenv("DISK_CONTROL");
    next_open = (open_call *)dlsym(RTLD_NEXT, "open64");
    next_pwrite = (pwrite_call *)dlsym(RTLD_NEXT, "pwrite64");
    next_fsync = (sync_call *)dlsym(RTLD_NEXT, "fsync");
    next_fdatasync = (sync_call *)dlsym(RTLD_NEXT, "fdatasync");
    next_ftruncate = (truncate_call *)dlsym(RTLD_NEXT, "ftruncate64");
    int fd = path != NULL ? next_open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *shared = fd >= 0 ? mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    control = shared != MAP_FAILED ? shared : &nothing;
}

static int refuse(int how)
{
    errno = how;
    return -1;
}

/* What a write, or a call like one, fails with; 0: it goes on. */
static int write_error(void)
{
    switch (control->fault) {
    case WRITE_FAILS:
        return EIO;
    case IS_FULL:
    case WRITE_IS_SHORT:
        return ENOSPC;
    case IS_READ_ONLY:
        return EROFS;
    default:
        return 0;
    }
}

static ssize_t shim_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    static _Thread_local size_t half; /* what was written short of it; the rest then finds the disk full */
    int error = write_error();
    if (error == 0) {
        return next_pwrite(fd, bytes, n, at);
    }
    if (control->fault == WRITE_IS_SHORT && half == 0 && n > 1) {
        half = n - n / 2;
        return next_pwrite(fd, bytes, n / 2, at);
    }
    half = 0;
    return refuse(error);
}

static int shim_sync(sync_call *next, int fd)
{
    const struct timespec extra = {.tv_sec = control->sync_us / 1000000, .tv_nsec = control->sync_us % 1000000 * 1000};
    if (control->fault == SYNC_FAILS) {
        return refuse(EIO);
    }
    if (control->sync_us > 0) {
        nanosleep(&extra, NULL);
    }
    return next(fd);
}

static int shim_open(const char *path, int flags, mode_t mode)
{
    if (control != NULL && control->fault == IS_READ_ONLY && (flags & O_ACCMODE) != O_RDONLY) {
        return refuse(EROFS);
    }
    return next_open(path, flags, mode);
}

/* Each call has two names in the C library: one for programs that were compiled for large files. */
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    return shim_pwrite(fd, bytes, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    return shim_pwrite(fd, bytes, n, at);
}

int ftruncate(int fd, off_t size)
{
    int error = write_error();
    return error != 0 ? refuse(error) : next_ftruncate(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    int error = write_error();
    return error != 0 ? refuse(error) : next_ftruncate(fd, size);
}

int fsync(int fd)
{
    return shim_sync(next_fsync, fd);
}

int fdatasync(int fd)
{
    return shim_sync(next_fdatasync, fd);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return shim_open(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return shim_open(path, flags, mode);
}
