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

#include <loss/export.h>

LOSS_BEGIN_DECLS

/* What all arenas of a process may hold together. `limit` 0: no limit. Any thread; `used` is counted atomically: read
 * it through loss_budget_used. The first 24 KiB of an arena stay outside, so that a call that is refused for want of
 * memory can still be told so. */
struct loss_budget {
    size_t used;
    size_t limit;
};

size_t loss_budget_used(const struct loss_budget *budget);

struct loss_arena;

struct loss_arena *loss_arena_new(size_t ceiling, struct loss_budget *budget); /* NULL: no memory; budget may be NULL */
void *loss_arena_alloc(struct loss_arena *a, size_t n,
                       size_t align); /* NULL: ceiling, budget or no memory; n = 0 is fine */
void *loss_arena_copy(struct loss_arena *a, const void *bytes, size_t n); /* with a NUL after them; NULL as above */
char *loss_arena_format(struct loss_arena *a, const char *format, ...) LOSS_PRINTF(2, 3); /* NULL as above */

/* A block of its own that can grow and shrink (`block` NULL: a new one), always 64-byte aligned; growing a large one
 * moves pages, not bytes, where the C library can. Who does not know the length in advance grows by half or doubles:
 * all of `n` is counted, touched or not. NULL: as above, the old block stays. */
void *loss_arena_resize(struct loss_arena *a, void *block, size_t n);
void loss_arena_release(struct loss_arena *a, void *block); /* gives back one such block early; NULL is fine */

bool loss_arena_defer(struct loss_arena *a, void (*undo)(void *),
                      void *what);                  /* newest first, on free; on false `undo` was called */
size_t loss_arena_used(const struct loss_arena *a); /* bytes held now */
size_t loss_arena_peak(const struct loss_arena *a); /* most bytes ever held */
void loss_arena_reset(struct loss_arena *a);        /* all is given back, and it is as new: for the next call */
void loss_arena_free(struct loss_arena *a);         /* NULL is fine */

/* Large blocks of arenas stay mapped when they are given back, for the next call: touching fresh pages costs more than
 * computing what goes into them. Up to this many bytes of them are kept idle (256 MiB unless said otherwise; 0: none).
 * They are outside any budget: it counts what calls hold. For the whole process, any thread. */
void loss_pool_keep(size_t bytes);
void loss_pool_trim(size_t bytes); /* give all but so many back to the system now: what an idle server does */
size_t loss_pool_idle(void);       /* bytes kept now */

LOSS_END_DECLS

#endif
