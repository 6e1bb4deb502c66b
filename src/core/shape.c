/* SPDX-License-Identifier: Apache-2.0
 *
 * shape.c - shapes, and how a tensor falls into rows.
 */
#include "shape.h"

#include <string.h>

bool loss__shape_equal(int rank, const size_t *shape, int other_rank, const size_t *other)
{
    return rank == other_rank && memcmp(shape, other, (size_t)rank * sizeof *shape) == 0;
}

bool loss__shape_axis(int rank, double axis, int *out)
{
    if (!(axis >= -rank && axis < rank)) {
        return false;
    }
    int whole = (int)axis;
    if (whole != axis) {
        return false;
    }
    *out = whole < 0 ? whole + rank : whole;
    return true;
}

static void row_major_strides(int rank, const size_t *shape, size_t *stride)
{
    size_t step = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape[i];
    }
}

static void grid_append(struct loss__grid *grid, size_t dim, size_t stride)
{
    grid->dim[grid->rank] = dim;
    grid->stride[grid->rank] = stride;
    grid->rank++;
    grid->count *= dim;
}

void loss__rows_cut(struct loss__rows *rows, int rank, const size_t *shape, unsigned reduced)
{
    size_t stride[LOSS_MAX_RANK];
    row_major_strides(rank, shape, stride);
    *rows = (struct loss__rows){.kept.count = 1, .reduced.count = 1, .contiguous = true};
    bool seen_reduced = false;
    for (int i = 0; i < rank; i++) {
        if (reduced & (1u << i)) {
            grid_append(&rows->reduced, shape[i], stride[i]);
            seen_reduced = seen_reduced || shape[i] != 1;
        } else {
            grid_append(&rows->kept, shape[i], stride[i]);
            /* A kept dimension behind a reduced one interleaves the rows. */
            rows->contiguous = rows->contiguous && (!seen_reduced || shape[i] == 1);
        }
    }
}

void loss__grid_broadcast(struct loss__grid *grid, int rank, const size_t *shape, int of_rank, const size_t *of)
{
    size_t stride[LOSS_MAX_RANK] = {0};
    row_major_strides(of_rank, of, stride);
    *grid = (struct loss__grid){.count = 1};
    for (int i = 0; i < rank; i++) {
        bool copied = of_rank == 0 || of[i] != shape[i];
        grid_append(grid, shape[i], copied ? 0 : stride[i]);
    }
}

void loss__grid_offsets(const struct loss__grid *grid, size_t first, size_t n, size_t *out)
{
    if (n == 0) {
        return;
    }
    if (grid->rank == 0) {
        out[0] = 0;
        return;
    }
    int last = grid->rank - 1;
    size_t index[LOSS_MAX_RANK] = {0}, offset = 0;
    for (int i = last; i >= 0; i--) {
        index[i] = first % grid->dim[i];
        first /= grid->dim[i];
        offset += index[i] * grid->stride[i];
    }
    for (size_t done = 0; done < n;) {
        /* The last dimension runs at one stride; the others are carried like an odometer's digits. */
        size_t run = grid->dim[last] - index[last];
        run = run < n - done ? run : n - done;
        for (size_t i = 0; i < run; i++) {
            out[done + i] = offset + i * grid->stride[last];
        }
        done += run;
        offset -= index[last] * grid->stride[last];
        index[last] = 0;
        for (int i = last - 1; i >= 0 && done < n; i--) {
            offset += grid->stride[i];
            if (++index[i] < grid->dim[i]) {
                break;
            }
            offset -= grid->dim[i] * grid->stride[i];
            index[i] = 0;
        }
    }
}
