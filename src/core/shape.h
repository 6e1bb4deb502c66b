/* SPDX-License-Identifier: Apache-2.0
 *
 * shape.h - shapes, and how a tensor falls into rows.
 *
 * Everything here is index arithmetic: no numbers are read or copied. Any thread.
 */
#ifndef LOSS__SHAPE_H
#define LOSS__SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#include <loss/tensor.h>

/* Places in a row-major tensor, visited in row-major order of `dim`; a stride of 0 stays where it is. */
struct loss__grid {
    int rank;
    size_t dim[LOSS_MAX_RANK];
    size_t stride[LOSS_MAX_RANK]; /* in elements */
    size_t count;                 /* product of dim */
};

/* A tensor seen as `kept.count` rows of `reduced.count` elements each. */
struct loss__rows {
    struct loss__grid kept, reduced;
    bool contiguous; /* row r begins at r * reduced.count and has no gaps */
};

bool loss__shape_equal(int rank, const size_t *shape, int other_rank, const size_t *other);

/* Axis from either end -> [0, rank); false: there is none such. */
bool loss__shape_axis(int rank, double axis, int *out);

/* Rows over the axes of the bit set `reduced`. */
void loss__rows_cut(struct loss__rows *rows, int rank, const size_t *shape, unsigned reduced);

/* A tensor of shape `of` broadcast to `shape`: each dimension 1 or alike, ranks equal or `of` a scalar. */
void loss__grid_broadcast(struct loss__grid *grid, int rank, const size_t *shape, int of_rank, const size_t *of);

/* Offsets of the places [first, first + n) into `out`. */
void loss__grid_offsets(const struct loss__grid *grid, size_t first, size_t n, size_t *out);

#endif
