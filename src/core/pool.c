/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.c - large pieces of memory that stay mapped between calls.
 */
#include "pool.h"

#include <loss/arena.h>

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_IDLE 64                 /* pieces */
#define KEEP ((size_t)256 << 20)    /* bytes, until somebody says otherwise */
#define HUGE_FROM ((size_t)4 << 20) /* from here on huge pages are worth asking for */
#define TOLERANCE 8                 /* a piece that is larger by an eighth will do */

struct piece {
    void *at;
    size_t size;
};

/* `lock` guards all of it; oldest piece first. */
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

/* Unmap the oldest until `bytes` are left at most, and room for one more. */
static void shrink_to(size_t bytes)
{
    while (idle.n > 0 && (idle.bytes > bytes || idle.n == MAX_IDLE)) {
        struct piece piece = remove_at(0);
        munmap(piece.at, piece.size);
    }
}

/* The idle piece that fits `size` best; its size 0: none does. */
static struct piece take_idle(size_t size)
{
    struct piece best = {0};
    pthread_mutex_lock(&idle.lock);
    size_t at = 0;
    for (size_t i = 0; i < idle.n; i++) {
        size_t has = idle.piece[i].size;
        if (has >= size && has - size <= size / TOLERANCE && (best.size == 0 || has < best.size)) {
            best = idle.piece[i];
            at = i;
        }
    }
    if (best.size > 0) {
        remove_at(at);
    }
    pthread_mutex_unlock(&idle.lock);
    return best;
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
    struct piece piece = take_idle(size);
    if (piece.size == 0) {
        piece = (struct piece){.at = map(size), .size = size};
        if (piece.at == NULL) { /* what is idle may be what is missing */
            loss_pool_trim(0);
            piece.at = map(size);
        }
    }
    *got = piece.size;
    return piece.at;
}

void loss__pool_give(void *p, size_t size)
{
    pthread_mutex_lock(&idle.lock);
    bool kept = size <= idle.keep;
    if (kept) {
        shrink_to(idle.keep - size);
        idle.piece[idle.n++] = (struct piece){.at = p, .size = size};
        idle.bytes += size;
    }
    pthread_mutex_unlock(&idle.lock);
    if (!kept) {
        munmap(p, size);
    }
}

void *loss__pool_resize(void *p, size_t old, size_t size)
{
    void *moved = mremap(p, old, size, MREMAP_MAYMOVE);
    return moved == MAP_FAILED ? NULL : moved;
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
