/* SPDX-License-Identifier: Apache-2.0
 *
 * allocations.c - what the linker puts in place of the C library's functions.
 */
#include "allocations.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

/* The names are the linker's. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);

static struct allocation_fault wanted;
static atomic_bool counting;
static atomic_size_t calls, refused;
static atomic_long live;

void allocations_begin(struct allocation_fault fault)
{
    wanted = fault;
    atomic_store(&calls, 0);
    atomic_store(&refused, 0);
    atomic_store(&live, 0);
    atomic_store(&counting, true);
}

struct allocations allocations_end(void)
{
    atomic_store(&counting, false);
    return (struct allocations){
        .calls = atomic_load(&calls), .refused = atomic_load(&refused), .live = atomic_load(&live)};
}

static bool refuse(void)
{
    if (!atomic_load(&counting)) {
        return false;
    }
    size_t call = atomic_fetch_add(&calls, 1) + 1;
    if (wanted.at == 0 || call < wanted.at || (call > wanted.at && !wanted.onward)) {
        return false;
    }
    atomic_fetch_add(&refused, 1);
    errno = ENOMEM;
    return true;
}

static void *got(void *p)
{
    if (p != NULL && atomic_load(&counting)) {
        atomic_fetch_add(&live, 1);
    }
    return p;
}

void *__wrap_malloc(size_t n)
{
    return refuse() ? NULL : got(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refuse() ? NULL : got(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (refuse()) {
        return NULL;
    }
    return p == NULL ? got(__real_malloc(n)) : __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return refuse() ? NULL : got(__real_aligned_alloc(align, n));
}

char *__wrap_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = __wrap_malloc(n);
    return copy == NULL ? NULL : memcpy(copy, s, n);
}

void __wrap_free(void *p)
{
    if (p != NULL && atomic_load(&counting)) {
        atomic_fetch_sub(&live, 1);
    }
    __real_free(p);
}

/* SQLite wants to know how large a block is: that stands before it. */
#define SIZE_HEADER 16

static void *sized_malloc(int n)
{
    char *p = __wrap_malloc((size_t)n + SIZE_HEADER);
    if (p == NULL) {
        return NULL;
    }
    memcpy(p, &n, sizeof n);
    return p + SIZE_HEADER;
}

static int sized_size(void *p)
{
    int n = 0;
    if (p != NULL) {
        memcpy(&n, (char *)p - SIZE_HEADER, sizeof n);
    }
    return n;
}

static void sized_free(void *p)
{
    if (p != NULL) {
        __wrap_free((char *)p - SIZE_HEADER);
    }
}

static void *sized_realloc(void *p, int n)
{
    if (p == NULL) {
        return sized_malloc(n);
    }
    char *moved = __wrap_realloc((char *)p - SIZE_HEADER, (size_t)n + SIZE_HEADER);
    if (moved == NULL) {
        return NULL;
    }
    memcpy(moved, &n, sizeof n);
    return moved + SIZE_HEADER;
}

static int sized_roundup(int n)
{
    return (n + 7) & ~7;
}

static int sized_init(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void sized_shutdown(void *arg)
{
    (void)arg;
}

void allocations_take_sqlite(void)
{
    static const sqlite3_mem_methods methods = {.xMalloc = sized_malloc,
                                                .xFree = sized_free,
                                                .xRealloc = sized_realloc,
                                                .xSize = sized_size,
                                                .xRoundup = sized_roundup,
                                                .xInit = sized_init,
                                                .xShutdown = sized_shutdown};
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK) {
        abort();
    }
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* else small blocks come from a pool of its own */
}

/* Sweeps */

size_t allocations_sweep(struct allocations (*attempt)(void *arg, struct allocation_fault fault), void *arg)
{
    size_t hurt = 0;
    for (int onward = 0; onward <= 1; onward++) {
        for (size_t at = 1; attempt(arg, (struct allocation_fault){.at = at, .onward = onward == 1}).refused > 0;
             at++) {
            hurt++;
        }
    }
    return hurt;
}
