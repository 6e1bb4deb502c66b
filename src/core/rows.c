/* SPDX-License-Identifier: Apache-2.0
 *
 * rows.c - moves rows that are not contiguous. Rows run innermost: neighbouring rows are neighbours in memory.
 */
#include "rows.h"

#include <assert.h>
#include <stdint.h>

#define MOVE(type, to, from)                                                                                           \
    for (size_t j = 0; j < c; j++) {                                                                                   \
        for (size_t r = 0; r < n; r++) {                                                                               \
            size_t in_block = r * c + j, outside = row[r] + column[j];                                                 \
            ((type *)dst)[to] = ((const type *)src)[from];                                                             \
        }                                                                                                              \
    }

void loss__rows_gather(const void *src, size_t size, const size_t *row, size_t n, const size_t *column, size_t c,
                       void *dst)
{
    assert(size == sizeof(uint32_t) || size == sizeof(uint64_t));
    if (size == sizeof(uint32_t)) {
        MOVE(uint32_t, in_block, outside)
    } else {
        MOVE(uint64_t, in_block, outside)
    }
}

void loss__rows_scatter(const void *src, size_t size, const size_t *row, size_t n, const size_t *column, size_t c,
                        void *dst)
{
    assert(size == sizeof(uint32_t) || size == sizeof(uint64_t));
    if (size == sizeof(uint32_t)) {
        MOVE(uint32_t, outside, in_block)
    } else {
        MOVE(uint64_t, outside, in_block)
    }
}
