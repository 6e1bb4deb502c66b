/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.c - one call's memory: small things from chunks, large and growing ones as blocks of their own.
 *
 * The first chunk lies in the same malloc as the arena, so a small call costs one malloc. What is counted against the
 * ceiling is what was handed out of that first chunk, and all of what was fetched from the C library later; the shared
 * budget sees only the latter.
 */
#include <loss/arena.h>

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

#define FIRST_CHUNK (24 * 1024) /* a small call with its answer */
#define NEXT_CHUNK (32 * 1024)
#define MAX_CHUNK (256 * 1024)
#define LARGE (64 * 1024) /* from here on an allocation is a block of its own */
#define BLOCK_ALIGN 64

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define RED_ZONE 16     /* between neighbours, so that running over the end is seen */
#define POOLED SIZE_MAX /* nothing: what is kept mapped is not watched */
#else
#define RED_ZONE 0
#define POOLED ((size_t)1 << 20) /* blocks from this size on come from the pool */
#endif

struct chunk {
    struct chunk *older;
    size_t size; /* as fetched, with this header */
};

/* Stands right before its bytes; `raw` is what the C library or the pool gave, which its size tells. */
struct block {
    struct block *prev, *next;
    void *raw;
    size_t fetched;
};

struct deferred {
    struct deferred *older;
    void (*undo)(void *);
    void *what;
};

struct loss_arena {
    size_t ceiling, used, peak;
    struct loss_budget *budget;
    struct chunk *chunks; /* newest first; without the first one */
    size_t next_chunk;
    char *free, *end; /* what is left of the newest chunk */
    bool in_first;
    struct block blocks; /* ring */
    struct deferred *deferred;
};

/* Under the address sanitizer only what was handed out may be touched. Not inlined: gcc takes the sanitizer's calls for
 * reads of what malloc left unset. */
__attribute__((noinline)) static void poison(char *from, const char *to)
{
#ifdef ARENA_ASAN
    __asan_poison_memory_region(from, (size_t)(to - from));
#else
    (void)from;
    (void)to;
#endif
}

static void unpoison(void *p, size_t n)
{
#ifdef ARENA_ASAN
    __asan_unpoison_memory_region(p, n);
#else
    (void)p;
    (void)n;
#endif
}

size_t loss_budget_used(const struct loss_budget *budget)
{
    return __atomic_load_n(&budget->used, __ATOMIC_RELAXED);
}

static bool budget_take(struct loss_budget *budget, size_t n)
{
    if (!budget) {
        return true;
    }
    size_t limit = budget->limit ? budget->limit : SIZE_MAX;
    size_t used = loss_budget_used(budget);
    do {
        if (used > limit || n > limit - used) {
            return false;
        }
    } while (!__atomic_compare_exchange_n(&budget->used, &used, used + n, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

static void budget_return(struct loss_budget *budget, size_t n)
{
    if (budget) {
        __atomic_fetch_sub(&budget->used, n, __ATOMIC_RELAXED);
    }
}

/* Room below the ceiling; counted on success. */
static bool count(struct loss_arena *a, size_t n)
{
    if (n > a->ceiling - a->used) {
        return false;
    }
    a->used += n;
    if (a->used > a->peak) {
        a->peak = a->used;
    }
    return true;
}

/* Room in ceiling and budget for `n` bytes that are about to be fetched. */
static bool charge(struct loss_arena *a, size_t n)
{
    if (n > a->ceiling - a->used || !budget_take(a->budget, n)) {
        return false;
    }
    return count(a, n);
}

static void discharge(struct loss_arena *a, size_t n)
{
    a->used -= n;
    budget_return(a->budget, n);
}

static void begin(struct loss_arena *a, size_t ceiling, struct loss_budget *budget)
{
    *a = (struct loss_arena){.ceiling = ceiling, .budget = budget, .next_chunk = NEXT_CHUNK, .in_first = true};
    a->free = (char *)(a + 1);
    a->end = (char *)a + FIRST_CHUNK;
    a->blocks.prev = a->blocks.next = &a->blocks;
    poison(a->free, a->end);
}

struct loss_arena *loss_arena_new(size_t ceiling, struct loss_budget *budget)
{
    struct loss_arena *a = malloc(FIRST_CHUNK);
    if (a) {
        begin(a, ceiling, budget);
    }
    return a;
}

static size_t padding(const void *p, size_t align)
{
    return (size_t)(-(uintptr_t)p & (align - 1));
}

static void *take_from_chunk(struct loss_arena *a, size_t n, size_t align)
{
    size_t pad = padding(a->free, align);
    size_t need = pad + n + RED_ZONE; /* n < LARGE: no overflow */
    if (need > (size_t)(a->end - a->free) || (a->in_first && !count(a, need))) {
        return NULL;
    }
    char *p = a->free + pad;
    a->free += need;
    unpoison(p, n);
    return p;
}

/* A new chunk with room for `n` bytes: the usual size, or just enough where ceiling or budget are near. */
static bool add_chunk(struct loss_arena *a, size_t n, size_t align)
{
    size_t least = sizeof(struct chunk) + n + align + RED_ZONE;
    size_t size = least > a->next_chunk ? least : a->next_chunk;
    if (!charge(a, size)) {
        size = least;
        if (!charge(a, size)) {
            return false;
        }
    }
    struct chunk *chunk = malloc(size);
    if (!chunk) {
        discharge(a, size);
        return false;
    }
    *chunk = (struct chunk){.older = a->chunks, .size = size};
    a->chunks = chunk;
    a->free = (char *)(chunk + 1);
    a->end = (char *)chunk + size;
    a->in_first = false;
    if (a->next_chunk < MAX_CHUNK) {
        a->next_chunk *= 2;
    }
    poison(a->free, a->end);
    return true;
}

/* What must be fetched for a block of `n` bytes at any alignment; false: too much. */
static bool block_size(size_t n, size_t align, size_t *size)
{
    if (__builtin_add_overflow(n, sizeof(struct block) + align, size)) {
        return false;
    }
    if (*size < POOLED) {
        return true;
    }
    bool fits = *size <= SIZE_MAX - LOSS__POOL_PAGE;
    *size = (*size + LOSS__POOL_PAGE - 1) / LOSS__POOL_PAGE * LOSS__POOL_PAGE;
    return fits;
}

static void unfetch(void *raw, size_t size)
{
    if (size < POOLED) {
        free(raw);
    } else {
        loss__pool_give(raw, size);
    }
}

/* *size bytes that are already charged; more, and then charged too, where the pool has a piece that is a little larger. */
static void *fetch(struct loss_arena *a, size_t *size)
{
    if (*size < POOLED) {
        return malloc(*size);
    }
    size_t got;
    void *raw = loss__pool_take(*size, &got);
    if (raw && got > *size) {
        if (charge(a, got - *size)) {
            *size = got;
        } else {
            raw = loss__pool_resize(raw, got, *size); /* shrinking does not fail */
        }
    }
    return raw;
}

static size_t block_offset(const void *raw, size_t align)
{
    size_t header = sizeof(struct block);
    return header + padding((const char *)raw + header, align);
}

static void *link_block(struct loss_arena *a, void *raw, size_t size, size_t offset)
{
    struct block *block = (struct block *)((char *)raw + offset) - 1;
    *block = (struct block){.prev = &a->blocks, .next = a->blocks.next, .raw = raw, .fetched = size};
    block->prev->next = block->next->prev = block;
    return block + 1;
}

static void *new_block(struct loss_arena *a, size_t n, size_t align)
{
    size_t size;
    if (!block_size(n, align, &size) || !charge(a, size)) {
        return NULL;
    }
    void *raw = fetch(a, &size);
    if (!raw) {
        discharge(a, size);
        return NULL;
    }
    return link_block(a, raw, size, block_offset(raw, align));
}

static void unlink_block(struct block *block)
{
    block->prev->next = block->next;
    block->next->prev = block->prev;
}

void *loss_arena_alloc(struct loss_arena *a, size_t n, size_t align)
{
    assert(align > 0 && (align & (align - 1)) == 0 && align <= 4096);
    if (n >= LARGE) {
        return new_block(a, n, align > BLOCK_ALIGN ? align : BLOCK_ALIGN);
    }
    void *p = take_from_chunk(a, n, align);
    if (!p && add_chunk(a, n, align)) {
        p = take_from_chunk(a, n, align);
    }
    return p;
}

void *loss_arena_copy(struct loss_arena *a, const void *bytes, size_t n)
{
    char *copy = n < SIZE_MAX ? loss_arena_alloc(a, n + 1, 1) : NULL;
    if (copy) {
        if (n > 0) {
            memcpy(copy, bytes, n);
        }
        copy[n] = '\0';
    }
    return copy;
}

char *loss_arena_format(struct loss_arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : loss_arena_alloc(a, (size_t)length + 1, 1);
    if (text) {
        vsnprintf(text, (size_t)length + 1, format, again);
    }
    va_end(again);
    va_end(args);
    return text;
}

/* realloc may move a block to another place within its 64 bytes; only then are the bytes shifted. */
static void *realloc_raw(void *raw, size_t offset, size_t size, size_t keep, size_t *new_offset)
{
    char *moved = realloc(raw, size);
    if (moved) {
        *new_offset = block_offset(moved, BLOCK_ALIGN);
        if (*new_offset != offset) {
            memmove(moved + *new_offset, moved + offset, keep);
        }
    }
    return moved;
}

/* From `old` bytes, of which `keep` from `offset` on matter, to *size, which are already charged. Small blocks are the C
 * library's; in the pool pages are moved. */
static void *resize_raw(struct loss_arena *a, void *raw, size_t offset, size_t old, size_t *size, size_t keep,
                        size_t *new_offset)
{
    if (old < POOLED && *size < POOLED) {
        return realloc_raw(raw, offset, *size, keep, new_offset);
    }
    if (old >= POOLED && *size >= POOLED) {
        *new_offset = offset;
        return loss__pool_resize(raw, old, *size);
    }
    char *moved = fetch(a, size);
    if (moved) {
        *new_offset = block_offset(moved, BLOCK_ALIGN);
        memcpy(moved + *new_offset, (char *)raw + offset, keep);
        unfetch(raw, old);
    }
    return moved;
}

void *loss_arena_resize(struct loss_arena *a, void *block, size_t n)
{
    if (!block) {
        return new_block(a, n, BLOCK_ALIGN);
    }
    struct block *head = (struct block *)block - 1;
    size_t size, old = head->fetched;
    if (!block_size(n, BLOCK_ALIGN, &size) || (size > old && !charge(a, size - old))) {
        return NULL;
    }
    void *raw = head->raw;
    size_t offset = (size_t)((char *)block - (char *)raw), new_offset;
    size_t held = old - sizeof(struct block) - BLOCK_ALIGN;
    unlink_block(head);
    size_t charged = size > old ? size : old;
    size_t got = size;
    void *moved = resize_raw(a, raw, offset, old, &got, held < n ? held : n, &new_offset);
    if (!moved) { /* raw is as it was */
        discharge(a, charged - old);
        link_block(a, raw, old, offset);
        return NULL;
    }
    discharge(a, charged - size);
    size = got;
    return link_block(a, moved, size, new_offset);
}

void loss_arena_release(struct loss_arena *a, void *block)
{
    if (!block) {
        return;
    }
    struct block *head = (struct block *)block - 1;
    unlink_block(head);
    discharge(a, head->fetched);
    unfetch(head->raw, head->fetched);
}

bool loss_arena_defer(struct loss_arena *a, void (*undo)(void *), void *what)
{
    struct deferred *d = loss_arena_alloc(a, sizeof *d, _Alignof(struct deferred));
    if (!d) {
        undo(what);
        return false;
    }
    *d = (struct deferred){.older = a->deferred, .undo = undo, .what = what};
    a->deferred = d;
    return true;
}

size_t loss_arena_used(const struct loss_arena *a)
{
    return a->used;
}

size_t loss_arena_peak(const struct loss_arena *a)
{
    return a->peak;
}

/* All but the first chunk. */
static void give_back(struct loss_arena *a)
{
    while (a->deferred) { /* an undo may look at what lies in the arena, so this comes first */
        struct deferred *d = a->deferred;
        a->deferred = d->older;
        d->undo(d->what);
    }
    for (struct block *block = a->blocks.next, *next; block != &a->blocks; block = next) {
        next = block->next;
        discharge(a, block->fetched);
        unfetch(block->raw, block->fetched);
    }
    while (a->chunks) {
        struct chunk *chunk = a->chunks;
        a->chunks = chunk->older;
        discharge(a, chunk->size);
        unpoison(chunk, chunk->size);
        free(chunk);
    }
}

void loss_arena_reset(struct loss_arena *a)
{
    give_back(a);
    begin(a, a->ceiling, a->budget);
}

void loss_arena_free(struct loss_arena *a)
{
    if (!a) {
        return;
    }
    give_back(a);
    unpoison(a, FIRST_CHUNK);
    free(a);
}
