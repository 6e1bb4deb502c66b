/* SPDX-License-Identifier: Apache-2.0
 *
 * info_nce.c - each query should be nearer to its own key than to the keys of all others in the batch.
 *
 *   S = q k'/T of rows brought to length 1;   L_i = lse over j of S_ij - S_ii = log1p(sum over j != i of exp(S_ij - S_ii))
 *   symmetric: half of that and of the same over columns
 *   dL_i/dS_ij = exp(S_ij)/sum, less 1 at j = i, which is minus the others' share; back through products and lengths
 *
 * No exponent is taken from another: with R the sum over the others relative to S_ii, or to the largest where one is far
 * above it, loss and slopes are quotients of positive numbers. The products are computed tile by tile (similarity.h), once
 * for the losses, and once more for each gradient: time grows with the square of the batch, memory with the batch.
 *
 * Shapes  query and key [N, D]; L is [N]
 * Edges   N = 1: 0; a row of zeros has products and a gradient of 0; NaN in, NaN out
 * Source  van den Oord, Li and Vinyals 2018; symmetric: Radford et al. 2021 (CLIP), T = exp(-logit_scale)
 */
#include "losses/similarity.h"

enum { TEMPERATURE, SYMMETRIC, NORMALIZE, EPSILON };
enum { QUERY, KEY };

#define FAR 600.0 /* beyond this the exponential of a difference may be no double any more */

/* What a row (or column) of S comes to: all relative to `base`. */
struct sums {
    double *base;  /* S_ii, or the largest where that is far above it */
    double *rest;  /* sum over the others of exp(S - base) */
    double *whole; /* with its own */
    double *own;   /* S_ii */
};

struct scratch {
    struct unit_rows side[2];
    struct sums sums[2]; /* over keys for each query, and the other way round */
    double *slopes;      /* panels */
};

VM_INLINE struct scratch layout(const struct loss__block *b, double *base, size_t *used)
{
    struct scratch s = {.slopes = similarity_take(base, used, lanes_padded(b->n) * b->c)};
    for (int i = QUERY; i <= KEY; i++) {
        size_t n = lanes_padded(b->n);
        s.side[i] = unit_rows_at(
            base, used,
            (struct rows_view){.x = b->in[i], .grad = b->grad[i], .n = b->n, .c = b->c, .step = b->c, .stride = 1});
        s.sums[i] = (struct sums){.base = similarity_take(base, used, n), .rest = similarity_take(base, used, n)};
        s.sums[i].whole = similarity_take(base, used, n);
        s.sums[i].own = similarity_take(base, used, n);
    }
    return s;
}

LOSS__SIMILARITY_SCRATCH(struct scratch, layout)

static size_t panels_of_both(const struct loss__block *b)
{
    return 2 * similarity_panels(b->n);
}

VM_INLINE void read(const struct loss__block *b, bool wide)
{
    struct scratch s = scratch_of(b);
    size_t panels = similarity_panels(b->n);
    unit_rows_read(&s.side[b->part / panels], b->part % panels, b->param[NORMALIZE].number != 0,
                   b->param[EPSILON].number, wide);
}

/* S of the panel `own` of one side with `other` of the other. */
VM_INLINE void similarities(const struct loss__block *b, const struct scratch *s, int side, size_t own, size_t other,
                            struct tile *tile)
{
    const double inverse = 1.0 / b->param[TEMPERATURE].number;
    tile_products(panel_at(&s->side[side], own), panel_at(&s->side[1 - side], other), b->c, tile);
    for (size_t j = 0; j < LANES; j++) {
        for (size_t i = 0; i < LANES; i++) {
            tile->s[j][i] *= inverse;
        }
    }
}

/* How many rows of a panel there are. */
VM_INLINE size_t rows_of(const struct loss__block *b, size_t panel)
{
    return b->n - panel * LANES < LANES ? b->n - panel * LANES : LANES;
}

/* Where an S is far above the base of its row, that becomes the base. */
VM_INLINE void raise_bases(const struct tile *tile, size_t rows, double *base, double *rest)
{
    struct lanes most = lanes_of(0.0);
    for (size_t j = 0; j < rows; j++) {
        for (size_t i = 0; i < LANES; i++) {
            double over = tile->s[j][i] - base[i];
            most.at[i] = over > most.at[i] ? over : most.at[i];
        }
    }
    if (!(lanes_max(most) > FAR)) {
        return;
    }
    for (size_t i = 0; i < LANES; i++) {
        if (most.at[i] > FAR) {
            rest[i] *= vm_exp(-most.at[i]);
            base[i] += most.at[i];
        }
    }
}

/* One tile into the sums of its lanes; `itself`: lane i is row i. */
VM_INLINE void add_tile(const struct tile *tile, size_t rows, bool itself, double *base, double *rest, bool wide)
{
    raise_bases(tile, rows, base, rest);
    for (size_t j = 0; j < rows; j++) {
        double e[LANES];
        for (size_t i = 0; i < LANES; i++) {
            e[i] = similarity_exp(tile->s[j][i] - base[i], wide);
        }
        e[j] = itself ? 0.0 : e[j];
        for (size_t i = 0; i < LANES; i++) {
            rest[i] += e[i];
        }
    }
}

/* The panels of a block. */
struct span {
    size_t first, end;
};

VM_INLINE struct span block_span(const struct loss__block *b, size_t block)
{
    size_t first = block * BLOCK_PANELS, all = similarity_panels(b->n);
    return (struct span){.first = first, .end = first + BLOCK_PANELS < all ? first + BLOCK_PANELS : all};
}

static size_t blocks_of_sums(const struct loss__block *b)
{
    return similarity_blocks(b->n) * (b->param[SYMMETRIC].number != 0 ? 2 : 1);
}

VM_INLINE void sum(const struct loss__block *b, bool wide)
{
    struct scratch s = scratch_of(b);
    int side = b->part < similarity_blocks(b->n) ? QUERY : KEY;
    struct span span = block_span(b, b->part % similarity_blocks(b->n));
    const struct sums *sums = &s.sums[side];
    struct tile tile;
    for (size_t own = span.first; own < span.end; own++) {
        similarities(b, &s, side, own, own, &tile);
        for (size_t i = 0; i < LANES; i++) {
            sums->base[own * LANES + i] = sums->own[own * LANES + i] = tile.s[i][i];
            sums->rest[own * LANES + i] = 0;
        }
    }
    for (size_t other = 0; other < similarity_panels(b->n); other++) {
        for (size_t own = span.first; own < span.end; own++) {
            similarities(b, &s, side, own, other, &tile);
            add_tile(&tile, rows_of(b, other), own == other, sums->base + own * LANES, sums->rest + own * LANES, wide);
        }
    }
    for (size_t i = span.first * LANES; i < span.end * LANES; i++) {
        double fall = sums->own[i] - sums->base[i];
        sums->whole[i] = sums->rest[i] + (fall == 0 ? 1.0 : vm_exp(fall));
    }
}

/* lse - S_ii */
VM_INLINE double loss_of(const struct sums *sums, size_t i)
{
    double rise = sums->base[i] - sums->own[i];
    return rise == 0 ? vm_log1p(sums->rest[i]) : rise + vm_log(sums->whole[i]);
}

static size_t one(const struct loss__block *b)
{
    (void)b;
    return 1;
}

/* The losses; and in place of each S_ii what an exponential is multiplied by in the slopes. */
VM_INLINE void write(const struct loss__block *b, bool wide)
{
    (void)wide;
    struct scratch s = scratch_of(b);
    const bool symmetric = b->param[SYMMETRIC].number != 0;
    const double share = symmetric ? 0.5 : 1.0, temperature = b->param[TEMPERATURE].number;
    for (size_t i = 0; i < lanes_padded(b->n); i++) {
        if (i < b->n) {
            b->loss[i] =
                symmetric ? 0.5 * (loss_of(&s.sums[QUERY], i) + loss_of(&s.sums[KEY], i)) : loss_of(&s.sums[QUERY], i);
        }
        for (int side = QUERY; b->g != NULL && side <= (symmetric ? KEY : QUERY); side++) {
            double slope = share / (temperature * s.sums[side].whole[i]);
            s.sums[side].own[i] = i < b->n ? kernel_chain(b->g[i], slope) : 0.0;
        }
    }
}

/* dL/dS of a tile whose lanes are rows of `side`, in place of S: by the sums of the lanes, of the rows, or both. */
VM_INLINE void tile_slopes(const struct scratch *s, int side, size_t own, size_t other, size_t rows, bool by_lane,
                           bool by_row, struct tile *tile, bool wide)
{
    const struct sums *lane = &s->sums[side], *row = &s->sums[1 - side];
    const double *base = lane->base + own * LANES, *factor = lane->own + own * LANES;
    for (size_t j = 0; j < LANES; j++) {
        size_t at = other * LANES + j;
        const double row_base = by_row && j < rows ? row->base[at] : 0.0,
                     row_factor = by_row && j < rows ? row->own[at] : 0.0;
        for (size_t i = 0; i < LANES; i++) {
            double x = tile->s[j][i], slope = 0;
            if (by_lane) {
                slope += factor[i] * similarity_exp(x - base[i], wide);
            }
            if (by_row) {
                slope += row_factor * similarity_exp(x - row_base, wide);
            }
            tile->s[j][i] = slope;
        }
        if (own == other && j < rows) {
            double others =
                (by_lane ? lane->own[at] * lane->rest[at] : 0.0) + (by_row ? row->own[at] * row->rest[at] : 0.0);
            tile->s[j][j] = 0.0 - others;
        }
        for (size_t i = 0; j >= rows && i < LANES; i++) {
            tile->s[j][i] = 0;
        }
    }
}

VM_INLINE void slopes(const struct loss__block *b, int side, bool by_lane, bool by_row, bool wide)
{
    struct scratch s = scratch_of(b);
    struct span span = block_span(b, b->part);
    const size_t panel = b->c * LANES;
    for (size_t i = span.first * panel; i < span.end * panel; i++) {
        s.slopes[i] = 0;
    }
    for (size_t other = 0; other < similarity_panels(b->n); other++) {
        for (size_t own = span.first; own < span.end; own++) {
            struct tile tile;
            similarities(b, &s, side, own, other, &tile);
            tile_slopes(&s, side, own, other, rows_of(b, other), by_lane, by_row, &tile, wide);
            tile_apply(&tile, panel_at(&s.side[1 - side], other), b->c, s.slopes + own * panel);
        }
    }
    for (size_t own = span.first; own < span.end; own++) {
        unit_rows_write(&s.side[side], own, s.slopes + own * panel, wide);
    }
}

VM_INLINE void differentiate_query(const struct loss__block *b, bool wide)
{
    if (b->param[SYMMETRIC].number != 0) {
        slopes(b, QUERY, true, true, wide);
    } else {
        slopes(b, QUERY, true, false, wide);
    }
}

VM_INLINE void differentiate_key(const struct loss__block *b, bool wide)
{
    if (b->param[SYMMETRIC].number != 0) {
        slopes(b, KEY, true, true, wide);
    } else {
        slopes(b, KEY, false, true, wide);
    }
}

static size_t blocks_of_query(const struct loss__block *b)
{
    return b->grad[QUERY] == NULL ? 0 : similarity_blocks(b->n);
}

static size_t blocks_of_key(const struct loss__block *b)
{
    return b->grad[KEY] == NULL ? 0 : similarity_blocks(b->n);
}

LOSS__STAGE_BODIES(read)
LOSS__STAGE_BODIES(sum)
LOSS__STAGE_BODIES(write)
LOSS__STAGE_BODIES(differentiate_query)
LOSS__STAGE_BODIES(differentiate_key)
LOSS__KERNELS(info_nce) = {
    LOSS__STAGES(LOSS__STAGE(read, panels_of_both), LOSS__STAGE(sum, blocks_of_sums), LOSS__STAGE(write, one),
                 LOSS__STAGE(differentiate_query, blocks_of_query), LOSS__STAGE(differentiate_key, blocks_of_key)),
    .scratch = scratch_bytes,
};

LOSS__DESCRIPTOR(info_nce) = {
    .name = "info_nce",
    .summary = "Each query should be nearer to its own key than to the keys of all others in the batch.",
    .formula =
        "logsumexp over j of S_ij - S_ii, S = query*key^T/temperature of rows of length 1; symmetric: half of that "
        "and of the same over columns",
    .source = "van den Oord, Li and Vinyals 2018; Radford et al. 2021 (CLIP)",
    .edges =
        "A batch of one has loss 0. A row of zeros has products and a gradient of 0. Time grows with the square of "
        "the batch, memory with the batch.",
    .elsewhere = "torch cross_entropy(q @ k.T / temperature, arange(N)) of normalised rows: equal. CLIP's loss is the "
                 "alias clip, with temperature = exp(-logit_scale). N-pairs: normalize false, temperature 1.",
    .example = "{\"query\": [[1, 0], [0.5, 1]], \"key\": [[1, 0.25], [0, 1]], \"temperature\": 0.5}",
    .aliases = (const struct loss_alias[]){{"clip", {{"symmetric", 1}}}, {"clip_loss", {{"symmetric", 1}}}, {0}},
    .inputs = {{.name = "query", .doc = "A row a sample.", .extent = LOSS_FREE, .main = true, .differentiable = true},
               {.name = "key", .doc = "The row that belongs to it.", .main = true, .differentiable = true}},
    .params = {{.name = "temperature",
                .doc = "What products are divided by.",
                .type = LOSS_NUMBER,
                .fallback = 0.07,
                .min = 0,
                .max = INFINITY,
                .above_min = true,
                .below_max = true},
               {.name = "symmetric", .doc = "Also tell the query from the key.", .type = LOSS_BOOLEAN},
               LOSS__SIMILARITY_NORMALIZE,
               LOSS__SIMILARITY_EPSILON},
    .kind = LOSS_BATCHWISE,
    .pairs = LOSS_PAIRS_OF_ROWS,
    .rank = 2,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .samples_meet = true,
    .ulp = 2,
};
