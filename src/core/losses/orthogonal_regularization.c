/* SPDX-License-Identifier: Apache-2.0
 *
 * orthogonal_regularization.c - how far the rows, or the columns, of a matrix are from being orthogonal.
 *
 *   r_i the rows brought to length 1;   L = scale * mean over pairs i < j of |r_i . r_j|
 *   dL/dr_i = scale/pairs * sum over j != i of sign(r_i . r_j) r_j, sign(0) = 0, and back through the length
 *
 * The work grows with the square of the rows (similarity.h), the memory with their number.
 *
 * Shapes  v of rank 2; L is a scalar
 * Edges   fewer than two rows: 0; a row of zeros has products and a gradient of 0; NaN in, NaN out
 * Source  values agree with keras.regularizers.OrthogonalRegularizer
 */
#include "losses/similarity.h"

enum { MODE_ROWS, MODE_COLUMNS };

struct scratch {
    struct unit_rows rows;
    double *sums;   /* [n] of each row's magnitudes with those behind it */
    double *slopes; /* panels */
};

VM_INLINE struct scratch layout(const struct loss__block *b, double *base, size_t *used)
{
    bool columns = b->param[1].number == MODE_COLUMNS;
    struct rows_view from = {.x = b->in[0],
                             .grad = b->grad[0],
                             .n = columns ? b->c : b->n,
                             .c = columns ? b->n : b->c,
                             .step = columns ? 1 : b->c,
                             .stride = columns ? b->c : 1};
    struct scratch s = {.rows = unit_rows_at(base, used, from)};
    s.sums = similarity_take(base, used, lanes_padded(from.n));
    s.slopes = similarity_take(base, used, lanes_padded(from.n) * from.c);
    return s;
}

LOSS__SIMILARITY_SCRATCH(struct scratch, layout)

static size_t panels(const struct loss__block *b)
{
    return similarity_panels(scratch_of(b).rows.from.n);
}

VM_INLINE void read(const struct loss__block *b, bool wide)
{
    struct scratch s = scratch_of(b);
    unit_rows_read(&s.rows, b->part, true, 0.0, wide);
}

/* Of each product s[j][i] its magnitude to sums[i], if it is of a pair that counts there, and its sign to its place. */
VM_INLINE void take_signs(struct tile *tile, size_t own, size_t other, double *sums)
{
    for (size_t j = 0; j < LANES; j++) {
        for (size_t i = 0; i < LANES; i++) {
            double s = tile->s[j][i], sign = VM_SELECT(s > 0.0, 1.0, VM_SELECT(s < 0.0, -1.0, s));
            bool itself = own == other && i == j, behind = other > own || (other == own && j > i);
            sums[i] += behind ? vm_abs(s) : 0.0;
            tile->s[j][i] = itself ? 0.0 : sign;
        }
    }
}

VM_INLINE void compare(const struct loss__block *b, bool wide)
{
    struct scratch s = scratch_of(b);
    const size_t n = s.rows.from.n, c = s.rows.from.c, all = similarity_panels(n);
    const size_t first = b->part * BLOCK_PANELS, end = first + BLOCK_PANELS < all ? first + BLOCK_PANELS : all;
    double pairs = (double)n * ((double)n - 1) / 2, sums[BLOCK_ROWS] = {0};
    const bool slope = b->grad[0] != NULL;
    (void)wide;
    for (size_t i = first * c * LANES; slope && i < end * c * LANES; i++) {
        s.slopes[i] = 0;
    }
    for (size_t other = slope ? 0 : first; other < all; other++) {
        for (size_t own = first; own < end; own++) {
            struct tile tile;
            tile_products(panel_at(&s.rows, own), panel_at(&s.rows, other), c, &tile);
            take_signs(&tile, own, other, sums + (own - first) * LANES);
            if (slope) {
                tile_apply(&tile, panel_at(&s.rows, other), c, s.slopes + own * c * LANES);
            }
        }
    }
    for (size_t i = 0; i < (end - first) * LANES; i++) {
        s.sums[first * LANES + i] = n < 2 ? 0.0 : sums[i] / pairs;
    }
}

VM_INLINE void write_panel(const struct loss__block *b, bool wide)
{
    struct scratch s = scratch_of(b);
    const size_t n = s.rows.from.n, c = s.rows.from.c;
    double *slopes = s.slopes + b->part * c * LANES;
    double factor = n < 2 ? 0.0 : b->g[0] * b->param[0].number / ((double)n * ((double)n - 1) / 2);
    for (size_t i = 0; i < c * LANES; i++) {
        slopes[i] = kernel_chain(factor, slopes[i]);
    }
    unit_rows_write(&s.rows, b->part, slopes, wide);
}

static size_t blocks(const struct loss__block *b)
{
    return similarity_blocks(scratch_of(b).rows.from.n);
}

static size_t panels_of_gradient(const struct loss__block *b)
{
    return b->grad[0] == NULL ? 0 : panels(b);
}

static size_t one(const struct loss__block *b)
{
    (void)b;
    return 1;
}

VM_INLINE void write(const struct loss__block *b, bool wide)
{
    (void)wide;
    struct scratch s = scratch_of(b);
    struct lanes sum = lanes_of(0.0);
    for (size_t i = 0; i < s.rows.from.n; i++) {
        sum.at[i % LANES] += s.sums[i];
    }
    for (size_t r = 0; r < b->n; r++) {
        b->loss[r] = r == 0 ? lanes_sum(sum) : 0.0;
    }
}

static double finish(const struct loss_param_value *param, const struct loss_sum *terms)
{
    return param[0].number * loss_sum_round(terms);
}

LOSS__STAGE_BODIES(read)
LOSS__STAGE_BODIES(compare)
LOSS__STAGE_BODIES(write_panel)
LOSS__STAGE_BODIES(write)
LOSS__KERNELS(orthogonal_regularization) = {
    LOSS__STAGES(LOSS__STAGE(read, panels), LOSS__STAGE(compare, blocks), LOSS__STAGE(write_panel, panels_of_gradient),
                 LOSS__STAGE(write, one)),
    .scratch = scratch_bytes,
    .finish = finish,
};

LOSS__DESCRIPTOR(orthogonal_regularization) = {
    .name = "orthogonal_regularization",
    .summary = "How far the rows, or the columns, of a matrix are from being orthogonal.",
    .formula = "scale * mean over pairs of rows, brought to length 1, of |their dot product|",
    .source = "keras.regularizers.OrthogonalRegularizer",
    .edges =
        "Fewer than two rows give 0. A row of zeros has products and a gradient of 0. Time grows with the square of "
        "the rows, memory with their number.",
    .elsewhere =
        "keras OrthogonalRegularizer(factor, mode) is the alias orthogonal_regularizer with scale = factor; its "
        "default factor is 0.01.",
    .example = "{\"values\": [[1, 0], [1, 1], [0, 2]], \"scale\": 0.5}",
    .aliases = (const struct loss_alias[]){{"orthogonal_regularizer", {{"scale", 0.01}}}, {0}},
    .inputs = {{.name = "values",
                .doc = "The matrix.",
                .aliases = LOSS__WORDS("input"),
                .extent = LOSS_FREE,
                .main = true,
                .differentiable = true}},
    .params = {{.name = "scale",
                .doc = "Factor of the whole.",
                .type = LOSS_NUMBER,
                .fallback = 1,
                .min = 0,
                .max = INFINITY,
                .below_max = true},
               {.name = "mode",
                .doc = "Which of the matrix should be orthogonal.",
                .words = LOSS__WORDS("rows", "columns"),
                .type = LOSS_WORD}},
    .kind = LOSS_WHOLE,
    .pairs = LOSS_PAIRS_OF_ROWS,
    .rank = 2,
    .reduction = LOSS_REDUCE_SUM,
    .collection = "regularization_losses",
    .samples_meet = true,
    .ulp = 2,
};
