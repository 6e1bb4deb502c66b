/* SPDX-License-Identifier: Apache-2.0
 *
 * rows.h - moves rows that are not contiguous into a block's scratch and gradients back.
 */
#ifndef LOSS__ROWS_H
#define LOSS__ROWS_H

#include <stddef.h>

/* dst[r*c + j] = src[row[r] + column[j]], elements of 4 or 8 bytes */
void loss__rows_gather(const void *src, size_t size, const size_t *row, size_t n, const size_t *column, size_t c,
                       void *dst);

/* dst[row[r] + column[j]] = src[r*c + j] */
void loss__rows_scatter(const void *src, size_t size, const size_t *row, size_t n, const size_t *column, size_t c,
                        void *dst);

#endif
