/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.h - large pieces of memory that stay mapped between calls.
 *
 * Touching fresh pages costs more than computing what goes into them, so what a call gives back is kept for the next
 * one: up to loss_pool_keep bytes, the oldest going first. Pieces are cut to measure and joined again, so that it does
 * not matter in what sizes the next call asks. Sizes are multiples of LOSS__POOL_PAGE. Any thread.
 */
#ifndef LOSS__POOL_H
#define LOSS__POOL_H

#include <stddef.h>

#define LOSS__POOL_PAGE ((size_t)4096)

/* At least `size` bytes, of undefined content, on a page's boundary; *got is how many. NULL: no memory. */
void *loss__pool_take(size_t size, size_t *got);
void loss__pool_give(void *p, size_t size);

/* The first bytes of p in `size` bytes, wherever they then are. Pages that are mapped are preferred to fresh ones; where
 * those are needed, pages are moved, not copied. NULL: p is as it was. Shrinking does not fail. */
void *loss__pool_resize(void *p, size_t old, size_t size);

#endif
