/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h - memory that lives exactly as long as one call.
 *
 * Bytes are taken one by one and returned all at once. The ceiling is fixed at birth, and meeting it (or the
 * budget that several arenas share) is an ordinary failure. One owner at a time: parallel code takes its
 * scratch before it forks.
 */
#ifndef LOSS_ARENA_H
#define LOSS_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
#include <atomic>
typedef std::atomic<size_t> loss_atomic_size; /* laid out as C's */
extern "C" {
#else
#include <stdatomic.h>
typedef atomic_size_t loss_atomic_size;
#endif

/* What all arenas of a process may hold together. `limit` 0: no limit. Any thread. */
struct loss_budget {
    loss_atomic_size used;
    size_t           limit;
};

struct loss_arena;

struct loss_arena *loss_arena_new(size_t ceiling, struct loss_budget *budget); /* NULL: no memory; budget may be NULL */
void              *loss_arena_alloc(struct loss_arena *a, size_t n, size_t align); /* NULL: ceiling, budget or no memory; n = 0 is fine */
void              *loss_arena_copy(struct loss_arena *a, const void *bytes, size_t n); /* with a NUL after them; NULL as above */
char              *loss_arena_format(struct loss_arena *a, const char *format, ...); /* NULL as above */

/* A block of its own that can grow and shrink (`block` NULL: a new one), 64-byte aligned only where it is new or
 * mapped; growing a large one moves pages, not bytes. NULL: as above, the old block stays. */
void *loss_arena_resize(struct loss_arena *a, void *block, size_t n);
void  loss_arena_release(struct loss_arena *a, void *block);     /* gives back one such block early; NULL is fine */

bool   loss_arena_defer(struct loss_arena *a, void (*undo)(void *), void *what); /* newest first, on free; on false `undo` was called */
size_t loss_arena_used(const struct loss_arena *a);  /* bytes held now */
size_t loss_arena_peak(const struct loss_arena *a);  /* most bytes ever held */
void   loss_arena_free(struct loss_arena *a);        /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
