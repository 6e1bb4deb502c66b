/* SPDX-License-Identifier: Apache-2.0
 *
 * similarity.h - products of each row with each: what losses of whole batches share.
 *
 * Rows are brought to length 1 and laid out in panels of LANES rows as columns, doubles. A tile is the products of one
 * panel with another: it is computed where it is needed and never kept, so that memory grows with the rows, not with
 * their square. A part of a stage is BLOCK_PANELS panels against all; a tile's lanes are the part's rows, so what a row
 * sums is summed in the order of the other rows, on any machine and by any thread.
 */
#ifndef LOSS__SIMILARITY_H
#define LOSS__SIMILARITY_H

#include <assert.h>

#include "lanes.h"

enum { BLOCK_PANELS = 4, BLOCK_ROWS = BLOCK_PANELS * LANES };

typedef double panel_row __attribute__((vector_size(LANES * sizeof(double))));

/* How many rows of a tile fit the registers. */
#ifdef __AVX512F__
enum { TILE_GROUP = 4 };
#else
enum { TILE_GROUP = 2 };
#endif

/* n rows of c, from a matrix whose element (row, k) is x[row * step + k * stride]. */
struct rows_view {
    const void *x;
    void *grad; /* alike, or NULL */
    size_t n, c, step, stride;
};

/* The rows of an input, of length 1. */
struct unit_rows {
    struct rows_view from;
    double *panels;  /* [padded n][c] in panels */
    double *inverse; /* [padded n] what a row was multiplied by */
    double *varies;  /* [padded n] 1; 0 where the length is epsilon, -1 where it is 0 */
};

VM_INLINE size_t similarity_panels(size_t n)
{
    return (n + LANES - 1) / LANES;
}

VM_INLINE size_t similarity_blocks(size_t n)
{
    return (n + BLOCK_ROWS - 1) / BLOCK_ROWS;
}

/* The next array of `n` doubles in scratch, in whole cache lines; base NULL: it is only measured. */
VM_INLINE double *similarity_take(double *base, size_t *used, size_t n)
{
    size_t first = *used;
    *used += lanes_padded(n);
    return base == NULL ? NULL : base + first;
}

/* scratch_bytes and scratch_of, from layout(block, base, &used), which takes the arrays of a `type` at `base`. */
#define LOSS__SIMILARITY_SCRATCH(type, layout)                                                                         \
    static size_t scratch_bytes(const struct loss__block *b)                                                           \
    {                                                                                                                  \
        size_t used = 0;                                                                                               \
        layout(b, NULL, &used);                                                                                        \
        return used * sizeof(double);                                                                                  \
    }                                                                                                                  \
    VM_INLINE type scratch_of(const struct loss__block *b)                                                             \
    {                                                                                                                  \
        size_t used = 0;                                                                                               \
        assert(b->scratch != NULL);                                                                                    \
        return layout(b, b->scratch, &used);                                                                           \
    }

VM_INLINE struct unit_rows unit_rows_at(double *base, size_t *used, struct rows_view from)
{
    size_t n = lanes_padded(from.n);
    return (struct unit_rows){.from = from,
                              .panels = similarity_take(base, used, n * from.c),
                              .inverse = similarity_take(base, used, n),
                              .varies = similarity_take(base, used, n)};
}

VM_INLINE double *panel_at(const struct unit_rows *rows, size_t panel)
{
    return rows->panels + panel * rows->from.c * LANES;
}

/* Read one panel. */
VM_INLINE void unit_rows_read(const struct unit_rows *rows, size_t panel, bool normalize, double epsilon, bool wide)
{
    const struct rows_view *from = &rows->from;
    double *to = panel_at(rows, panel);
    struct lanes squares = lanes_of(0.0);
    for (size_t k = 0; k < from->c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            size_t row = panel * LANES + l;
            double x = row < from->n ? kernel_load(from->x, row * from->step + k * from->stride, wide) : 0.0;
            to[k * LANES + l] = x;
            squares.at[l] += x * x;
        }
    }
    struct lanes inverse = lanes_of(1.0);
    for (size_t l = 0; l < LANES; l++) {
        double length = sqrt(squares.at[l]);
        bool least = length <= epsilon;
        double varies = length == 0 ? -1.0 : least ? 0.0 : 1.0;
        inverse.at[l] = !normalize ? 1.0 : length == 0 ? 0.0 : 1.0 / (least ? epsilon : length);
        rows->inverse[panel * LANES + l] = inverse.at[l];
        rows->varies[panel * LANES + l] = normalize ? varies : 0.0;
    }
    for (size_t k = 0; normalize && k < from->c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            to[k * LANES + l] *= inverse.at[l];
        }
    }
}

/* A tile: s[j][i] is the product of row j of panel `other` with row i of panel `own`. */
struct tile {
    _Alignas(64) double s[LANES][LANES];
};

VM_INLINE void tile_products(const double *own, const double *other, size_t c, struct tile *tile)
{
    for (size_t j = 0; j < LANES; j += TILE_GROUP) {
        panel_row sum[TILE_GROUP] = {{0}};
        for (size_t k = 0; k < c; k++) {
            panel_row x;
            memcpy(&x, own + k * LANES, sizeof x);
            for (size_t g = 0; g < TILE_GROUP; g++) {
                sum[g] += x * other[k * LANES + j + g];
            }
        }
        memcpy(tile->s[j], sum, sizeof sum);
    }
}

/* to[k][i] += sum over j of s[j][i] other[k][j] */
VM_INLINE void tile_apply(const struct tile *tile, const double *other, size_t c, double *to)
{
    size_t k = 0;
    for (; k + TILE_GROUP <= c; k += TILE_GROUP) {
        panel_row sum[TILE_GROUP];
        memcpy(sum, to + k * LANES, sizeof sum);
        for (size_t j = 0; j < LANES; j++) {
            panel_row s;
            memcpy(&s, tile->s[j], sizeof s);
            for (size_t g = 0; g < TILE_GROUP; g++) {
                sum[g] += s * other[(k + g) * LANES + j];
            }
        }
        memcpy(to + k * LANES, sum, sizeof sum);
    }
    for (; k < c; k++) {
        for (size_t j = 0; j < LANES; j++) {
            for (size_t i = 0; i < LANES; i++) {
                to[k * LANES + i] += tile->s[j][i] * other[k * LANES + j];
            }
        }
    }
}

/* exp(x) for x up to some 600. */
VM_INLINE double similarity_exp(double x, bool wide)
{
    return wide ? vm_exp(x) : vm_exp_brief(x);
}

/* Back through the length: what was found for the unit rows of panel `panel` (`slope`, as a panel) to the gradient. */
VM_INLINE void unit_rows_write(const struct unit_rows *rows, size_t panel, const double *slope, bool wide)
{
    const struct rows_view *from = &rows->from;
    const double *unit = panel_at(rows, panel);
    struct lanes along = lanes_of(0.0);
    for (size_t k = 0; k < from->c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            along.at[l] += slope[k * LANES + l] * unit[k * LANES + l];
        }
    }
    for (size_t l = 0; l < LANES && panel * LANES + l < from->n; l++) {
        size_t row = panel * LANES + l;
        double varies = rows->varies[row], inverse = rows->inverse[row], taken = varies > 0 ? along.at[l] : 0.0;
        for (size_t k = 0; k < from->c; k++) {
            double at = (slope[k * LANES + l] - unit[k * LANES + l] * taken) * inverse;
            kernel_store(from->grad, row * from->step + k * from->stride, varies < 0 ? 0.0 : at, wide);
        }
    }
}

#define LOSS__SIMILARITY_NORMALIZE                                                                                     \
    {                                                                                                                  \
        .name = "normalize", .doc = "Bring rows to length 1 first.", .type = LOSS_BOOLEAN, .fallback = 1               \
    }
#define LOSS__SIMILARITY_EPSILON                                                                                       \
    {                                                                                                                  \
        .name = "epsilon", .doc = "The least length of a row.", .type = LOSS_NUMBER, .fallback = 1e-8, .min = 0,       \
        .max = INFINITY, .below_max = true                                                                             \
    }

#endif
