/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.c - large pieces of memory that stay mapped between calls.
 */
#include "pool.h"

#include <loss/arena.h>

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_IDLE 64                 /* pieces */
#define KEEP ((size_t)256 << 20)    /* bytes, until somebody says otherwise */
#define HUGE_FROM ((size_t)4 << 20) /* from here on huge pages are worth asking for */
#define CRUMB ((size_t)256 << 10)   /* what would be left of a piece is given along below this size */

struct piece {
    char *at;
    size_t size;
};

/* `lock` guards all of it; oldest piece first, and no piece begins where another ends. */
static struct {
    pthread_mutex_t lock;
    struct piece piece[MAX_IDLE];
    size_t n, bytes, keep;
} idle = {.lock = PTHREAD_MUTEX_INITIALIZER, .keep = KEEP};

static struct piece remove_at(size_t i)
{
    struct piece piece = idle.piece[i];
    idle.n--;
    idle.bytes -= piece.size;
    memmove(&idle.piece[i], &idle.piece[i + 1], (idle.n - i) * sizeof piece);
    return piece;
}

/* The first `size` bytes of an idle piece. */
static void *cut_at(size_t i, size_t size)
{
    struct piece *piece = &idle.piece[i];
    void *at = piece->at;

    if (piece->size == size) {
        remove_at(i);
        return at;
    }
    piece->at += size;
    piece->size -= size;
    idle.bytes -= size;
    return at;
}

/* There is room for one more. What was cut apart is joined again, or nothing large would be left one day. */
static void insert(struct piece piece)
{
    for (size_t i = idle.n; i-- > 0;) {
        struct piece other = idle.piece[i];
        if (other.at + other.size == piece.at || piece.at + piece.size == other.at) {
            remove_at(i);
            piece.at = other.at < piece.at ? other.at : piece.at;
            piece.size += other.size;
        }
    }
    idle.piece[idle.n++] = piece;
    idle.bytes += piece.size;
}

/* Unmap the oldest until `bytes` are left at most, and room for one more piece. */
static void shrink_to(size_t bytes)
{
    while (idle.n > 0 && (idle.bytes > bytes || idle.n == MAX_IDLE)) {
        struct piece *oldest = &idle.piece[0];
        size_t excess = idle.bytes > bytes ? idle.bytes - bytes : oldest->size;
        excess = (excess + LOSS__POOL_PAGE - 1) / LOSS__POOL_PAGE * LOSS__POOL_PAGE;
        if (excess >= oldest->size) {
            struct piece piece = remove_at(0);
            munmap(piece.at, piece.size);
        } else {
            oldest->size -= excess;
            idle.bytes -= excess;
            munmap(oldest->at + oldest->size, excess);
        }
    }
}

/* From the smallest idle piece that has as much: `size` bytes, or all of it where no more than `crumb` would be left.
 * NULL: there is none. */
static void *take_idle(size_t size, size_t crumb, size_t *got)
{
    void *at = NULL;
    size_t best = MAX_IDLE;

    pthread_mutex_lock(&idle.lock);
    for (size_t i = 0; i < idle.n; i++) {
        size_t has = idle.piece[i].size;
        if (has >= size && (best == MAX_IDLE || has < idle.piece[best].size)) {
            best = i;
        }
    }
    if (best < MAX_IDLE) {
        size_t has = idle.piece[best].size;
        *got = has - size <= crumb ? has : size;
        at = cut_at(best, *got);
    }
    pthread_mutex_unlock(&idle.lock);
    return at;
}

/* The `size` bytes from `at` on, where they are idle. */
static bool take_there(const char *at, size_t size)
{
    bool taken = false;

    pthread_mutex_lock(&idle.lock);
    for (size_t i = 0; i < idle.n && !taken; i++) {
        if (idle.piece[i].at == at && idle.piece[i].size >= size) {
            cut_at(i, size);
            taken = true;
        }
    }
    pthread_mutex_unlock(&idle.lock);
    return taken;
}

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    if (size >= HUGE_FROM) {
        (void)madvise(p, size, MADV_HUGEPAGE); /* a wish: without it all is as right */
    }
    return p;
}

void *loss__pool_take(size_t size, size_t *got)
{
    void *at = take_idle(size, CRUMB, got);

    if (at == NULL) {
        *got = size;
        at = map(size);
    }
    if (at == NULL) { /* what is idle may be what is missing */
        loss_pool_trim(0);
        at = map(size);
    }
    return at;
}

void loss__pool_give(void *p, size_t size)
{
    pthread_mutex_lock(&idle.lock);
    bool kept = size <= idle.keep;
    if (kept) {
        shrink_to(idle.keep - size);
        insert((struct piece){.at = p, .size = size});
    }
    pthread_mutex_unlock(&idle.lock);
    if (!kept) {
        munmap(p, size);
    }
}

static void *move_to(void *to, void *p, size_t old)
{
    memcpy(to, p, old);
    loss__pool_give(p, old);
    return to;
}

void *loss__pool_resize(void *p, size_t old, size_t size)
{
    size_t got;

    if (size <= old) {
        if (size < old) {
            loss__pool_give((char *)p + size, old - size);
        }
        return p;
    }
    if (take_there((char *)p + old, size - old)) {
        return p;
    }
    void *mapped = old <= size / 2 ? take_idle(size, 0, &got) : NULL; /* else copying may cost more than fresh pages */
    if (mapped != NULL) {
        return move_to(mapped, p, old);
    }
    void *moved = mremap(p, old, size, MREMAP_MAYMOVE);
    if (moved != MAP_FAILED) {
        return moved;
    }
    void *fresh = map(size); /* what was joined is no single mapping to the kernel */
    return fresh != NULL ? move_to(fresh, p, old) : NULL;
}

void loss_pool_keep(size_t bytes)
{
    pthread_mutex_lock(&idle.lock);
    idle.keep = bytes;
    shrink_to(bytes);
    pthread_mutex_unlock(&idle.lock);
}

void loss_pool_trim(size_t bytes)
{
    pthread_mutex_lock(&idle.lock);
    shrink_to(bytes);
    pthread_mutex_unlock(&idle.lock);
}

size_t loss_pool_idle(void)
{
    pthread_mutex_lock(&idle.lock);
    size_t bytes = idle.bytes;
    pthread_mutex_unlock(&idle.lock);
    return bytes;
}
