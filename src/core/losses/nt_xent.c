/* SPDX-License-Identifier: Apache-2.0
 *
 * nt_xent.c - each row of a batch should be nearer to those of its label than to all others.
 *
 *   S = e e'/T of rows brought to length 1;   P(i) the others with i's label
 *   all        L_i = mean over p in P(i) of (log of sum over a != i of exp(S_ia) - S_ip)
 *   negatives  L_i = mean over p in P(i) of log1p(N_i/exp(S_ip)), N_i the sum of exp(S_ia) over other labels
 *   back through the products, in which each row stands on both sides, and the lengths
 *
 * With M the largest S_ip, L of "all" is the mean of M - S_ip plus log1p of the sum over the others relative to M: both
 * are of one sign, so nothing cancels where a row has found its like. Exponentials are taken relative to a base that
 * rises with the products seen. Products are computed tile by tile (similarity.h), once for the losses and once for the
 * gradient, and for "negatives" once more where labels meet: time grows with the square of the batch, memory with the
 * batch.
 *
 * Shapes  e [N, D], labels [N]; L is [N]
 * Edges   a row without another of its label has loss 0 and is not counted; a row of zeros has products and a gradient
 *         of 0; NaN in, NaN out
 * Source  Khosla et al. 2020 (SupCon, L_out): all; optax.losses.ntxent: negatives
 */
#include "losses/similarity.h"

enum { EMBEDDINGS, LABELS };
enum { TEMPERATURE, NORMALIZE, EPSILON, DENOMINATOR };
enum { DENOMINATOR_ALL, DENOMINATOR_NEGATIVES };

#define FAR 600.0 /* beyond this the exponential of a difference may be no double any more */

/* What the products of a row come to; an array of each. */
struct sums {
    double *base;      /* what exponentials are relative to */
    double *negatives; /* sum of exp(S - base) over other labels */
    double *positives; /* ... over those of its label, but for one of the largest */
    double *top;       /* the largest S of its label, M */
    double *gap;       /* sum of M - S_ip */
    double *count;     /* |P| */
    double *shares;    /* negatives: sum over P of the slope of log1p */
    double *of_sum;    /* slopes, with upstream and 1/T: what exp(S - base) is multiplied by */
    double *of_like;   /* ... and what is taken away for one of its label; negatives: multiplied by its share */
};

struct scratch {
    struct unit_rows rows;
    struct sums sums;
    double *slopes; /* panels */
};

VM_INLINE struct scratch layout(const struct loss__block *b, double *base, size_t *used)
{
    size_t n = lanes_padded(b->n);
    struct rows_view from = {
        .x = b->in[EMBEDDINGS], .grad = b->grad[EMBEDDINGS], .n = b->n, .c = b->c, .step = b->c, .stride = 1};
    struct scratch s = {.rows = unit_rows_at(base, used, from)};
    double **arrays[] = {&s.sums.base,  &s.sums.negatives, &s.sums.positives, &s.sums.top,    &s.sums.gap,
                         &s.sums.count, &s.sums.shares,    &s.sums.of_sum,    &s.sums.of_like};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i] = similarity_take(base, used, n);
    }
    s.slopes = similarity_take(base, used, n * b->c);
    return s;
}

LOSS__SIMILARITY_SCRATCH(struct scratch, layout)

static size_t panels(const struct loss__block *b)
{
    return similarity_panels(b->n);
}

VM_INLINE void read(const struct loss__block *b, bool wide)
{
    struct scratch s = scratch_of(b);
    unit_rows_read(&s.rows, b->part, b->param[NORMALIZE].number != 0, b->param[EPSILON].number, wide);
}

/* Which rows of the panels `own` (a bit each, per row of `other`) have the label of a row of `other` and are not it. */
struct likeness {
    uint16_t like[LANES], itself[LANES];
    bool any;
    size_t rows; /* of `other` */
};

VM_INLINE struct likeness likeness_of(const struct loss__block *b, size_t own, size_t other)
{
    const int64_t *labels = b->in[LABELS];
    struct likeness found = {.rows = b->n - other * LANES < LANES ? b->n - other * LANES : LANES};
    size_t lanes = b->n - own * LANES < LANES ? b->n - own * LANES : LANES;
    for (size_t j = 0; j < found.rows; j++) {
        unsigned like = 0, itself = own == other ? 1u << j : 0;
        for (size_t i = 0; i < lanes; i++) {
            like |= (unsigned)(labels[own * LANES + i] == labels[other * LANES + j]) << i;
        }
        found.itself[j] = (uint16_t)itself;
        found.like[j] = (uint16_t)(like & ~itself);
        found.any = found.any || found.like[j] != 0;
    }
    return found;
}

VM_INLINE void similarities(const struct loss__block *b, const struct scratch *s, size_t own, size_t other,
                            struct tile *tile)
{
    const double inverse = 1.0 / b->param[TEMPERATURE].number;
    tile_products(panel_at(&s->rows, own), panel_at(&s->rows, other), b->c, tile);
    for (size_t j = 0; j < LANES; j++) {
        for (size_t i = 0; i < LANES; i++) {
            tile->s[j][i] *= inverse;
        }
    }
}

/* Where a product with another is far above the base of its row, that becomes the base. */
VM_INLINE void raise_bases(const struct tile *tile, const struct likeness *found, const struct sums *sums, size_t first)
{
    struct lanes most = lanes_of(-(double)INFINITY);
    for (size_t j = 0; j < found->rows; j++) {
        for (size_t i = 0; i < LANES; i++) {
            double x = (found->itself[j] >> i & 1) != 0 ? -(double)INFINITY : tile->s[j][i];
            most.at[i] = x > most.at[i] ? x : most.at[i];
        }
    }
    for (size_t i = 0; i < LANES; i++) {
        size_t row = first + i;
        if (most.at[i] - sums->base[row] > FAR) {
            double fall = vm_exp(sums->base[row] - most.at[i]);
            sums->negatives[row] *= fall;
            sums->positives[row] *= fall;
            sums->base[row] = most.at[i];
        }
    }
}

/* One more of the row's label. */
VM_INLINE void add_like(const struct sums *sums, size_t row, double s)
{
    double top = sums->top[row], count = sums->count[row];
    if (count == 0) {
        sums->top[row] = s;
    } else if (s > top) {
        sums->positives[row] += vm_exp(top - sums->base[row]);
        sums->gap[row] += count * (s - top);
        sums->top[row] = s;
    } else {
        sums->positives[row] += vm_exp(s - sums->base[row]);
        sums->gap[row] += top - s;
    }
    sums->count[row] = count + 1;
}

VM_INLINE void add_tile(const struct tile *tile, const struct likeness *found, const struct sums *sums, size_t first,
                        bool wide)
{
    raise_bases(tile, found, sums, first);
    const double *base = sums->base + first;
    double *negatives = sums->negatives + first;
    for (size_t j = 0; j < found->rows; j++) {
        unsigned left_out = (unsigned)found->like[j] | found->itself[j];
        double e[LANES];
        for (size_t i = 0; i < LANES; i++) {
            e[i] = similarity_exp(tile->s[j][i] - base[i], wide);
        }
        for (size_t i = 0; left_out != 0 && i < LANES; i++) {
            e[i] = (left_out >> i & 1) != 0 ? 0.0 : e[i];
        }
        for (size_t i = 0; i < LANES; i++) {
            negatives[i] += e[i];
        }
        for (size_t i = 0; found->like[j] != 0 && i < LANES; i++) {
            if ((found->like[j] >> i & 1) != 0) {
                add_like(sums, first + i, tile->s[j][i]);
            }
        }
    }
}

/* The panels of a block. */
struct span {
    size_t first, end;
};

VM_INLINE struct span block_span(const struct loss__block *b)
{
    size_t first = b->part * BLOCK_PANELS, all = similarity_panels(b->n);
    return (struct span){.first = first, .end = first + BLOCK_PANELS < all ? first + BLOCK_PANELS : all};
}

static size_t blocks(const struct loss__block *b)
{
    return similarity_blocks(b->n);
}

VM_INLINE void sum(const struct loss__block *b, bool wide)
{
    struct scratch s = scratch_of(b);
    struct span span = block_span(b);
    for (size_t i = span.first * LANES; i < span.end * LANES; i++) {
        s.sums.base[i] = -(double)INFINITY;
        s.sums.negatives[i] = s.sums.positives[i] = s.sums.gap[i] = s.sums.count[i] = s.sums.top[i] = 0;
        s.sums.shares[i] = s.sums.of_sum[i] = s.sums.of_like[i] = 0;
    }
    for (size_t other = 0; other < similarity_panels(b->n); other++) {
        for (size_t own = span.first; own < span.end; own++) {
            struct likeness found = likeness_of(b, own, other);
            struct tile tile;
            similarities(b, &s, own, other, &tile);
            add_tile(&tile, &found, &s.sums, own * LANES, wide);
        }
    }
}

/* log of exp(-S) times the sum over other labels */
VM_INLINE double excess(const struct sums *sums, size_t row, double s)
{
    return (sums->base[row] - s) + vm_log(sums->negatives[row]);
}

/* "negatives": the sums over other labels are known; what is like them is met again. The losses go to `gap`. */
VM_INLINE void sum_like(const struct loss__block *b, bool wide)
{
    (void)wide;
    struct scratch s = scratch_of(b);
    struct span span = block_span(b);
    for (size_t i = span.first * LANES; i < span.end * LANES; i++) {
        s.sums.gap[i] = 0;
    }
    for (size_t other = 0; other < similarity_panels(b->n); other++) {
        for (size_t own = span.first; own < span.end; own++) {
            struct likeness found = likeness_of(b, own, other);
            struct tile tile;
            if (!found.any) {
                continue;
            }
            similarities(b, &s, own, other, &tile);
            for (size_t j = 0; j < found.rows; j++) {
                for (size_t i = 0; i < LANES; i++) {
                    size_t row = own * LANES + i;
                    if ((found.like[j] >> i & 1) != 0) {
                        double rest, x = excess(&s.sums, row, tile.s[j][i]);
                        s.sums.gap[row] += (x > 0 ? x : 0.0) + (x < 0 || x >= 0 ? vm_softplus_tail(vm_abs(x)) : x);
                        s.sums.shares[row] += vm_sigmoid(x, &rest);
                    }
                }
            }
        }
    }
}

static size_t blocks_of_like(const struct loss__block *b)
{
    return b->param[DENOMINATOR].number == DENOMINATOR_NEGATIVES ? blocks(b) : 0;
}

/* "all": the mean of M - S_ip, and log of the sum over all others less M. */
VM_INLINE double loss_of_all(const struct sums *sums, size_t row)
{
    double rise = sums->base[row] - sums->top[row], rest = sums->negatives[row] + sums->positives[row];
    double log = rise > FAR ? rise + vm_log(rest + vm_exp(-rise)) : vm_log1p(rest * vm_exp(rise));
    return sums->gap[row] / sums->count[row] + log;
}

VM_INLINE void prepare_slopes(const struct sums *sums, size_t row, double g, double temperature, bool all)
{
    double count = sums->count[row], rest = sums->negatives[row] + sums->positives[row];
    double whole = rest + vm_exp(sums->top[row] - sums->base[row]);
    double slope = all                         ? 1.0 / whole
                   : sums->negatives[row] == 0 ? 0.0
                                               : sums->shares[row] / count / sums->negatives[row];
    /* of a single one of the label 1 - p is the share of the others */
    double like = all && count == 1 ? rest / whole : 1.0 / count;
    sums->of_sum[row] = kernel_chain(g, slope / temperature);
    sums->of_like[row] = kernel_chain(g, like / temperature);
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
    const bool all = b->param[DENOMINATOR].number == DENOMINATOR_ALL;
    for (size_t i = 0; i < b->n; i++) {
        b->loss[i] = 0;
        if (s.sums.count[i] > 0) {
            b->loss[i] = all ? loss_of_all(&s.sums, i) : s.sums.gap[i] / s.sums.count[i];
            if (b->g != NULL) {
                prepare_slopes(&s.sums, i, b->g[i], b->param[TEMPERATURE].number, all);
            }
        }
    }
}

/* dL_row/dS for a product with another of its label. */
VM_INLINE double slope_of_like(const struct sums *sums, size_t row, double s, bool all)
{
    double rest;
    if (!all) {
        return 0.0 - sums->of_like[row] * vm_sigmoid(excess(sums, row, s), &rest);
    }
    return sums->count[row] == 1 ? 0.0 - sums->of_like[row]
                                 : sums->of_sum[row] * vm_exp(s - sums->base[row]) - sums->of_like[row];
}

/* dL/dS of a tile in place of S, from the losses of its lanes and of its rows. */
VM_INLINE void tile_slopes(const struct sums *sums, const struct likeness *found, size_t first, size_t other, bool all,
                           struct tile *tile, bool wide)
{
    const double *base = sums->base + first, *factor = sums->of_sum + first;
    for (size_t j = 0; j < LANES; j++) {
        const size_t row = other * LANES + j;
        double slope[LANES] = {0};
        for (size_t i = 0; j < found->rows && i < LANES; i++) {
            double s = tile->s[j][i];
            slope[i] = factor[i] * similarity_exp(s - base[i], wide) +
                       sums->of_sum[row] * similarity_exp(s - sums->base[row], wide);
        }
        for (size_t i = 0; (found->like[j] | found->itself[j]) != 0 && i < LANES; i++) {
            double s = tile->s[j][i];
            if ((found->like[j] >> i & 1) != 0) {
                slope[i] = slope_of_like(sums, first + i, s, all) + slope_of_like(sums, row, s, all);
            }
            slope[i] = (found->itself[j] >> i & 1) != 0 ? 0.0 : slope[i];
        }
        memcpy(tile->s[j], slope, sizeof slope);
    }
}

VM_INLINE void differentiate(const struct loss__block *b, bool wide)
{
    struct scratch s = scratch_of(b);
    struct span span = block_span(b);
    const size_t panel = b->c * LANES;
    const bool all = b->param[DENOMINATOR].number == DENOMINATOR_ALL;
    for (size_t i = span.first * panel; i < span.end * panel; i++) {
        s.slopes[i] = 0;
    }
    for (size_t other = 0; other < similarity_panels(b->n); other++) {
        for (size_t own = span.first; own < span.end; own++) {
            struct likeness found = likeness_of(b, own, other);
            struct tile tile;
            similarities(b, &s, own, other, &tile);
            tile_slopes(&s.sums, &found, own * LANES, other, all, &tile, wide);
            tile_apply(&tile, panel_at(&s.rows, other), b->c, s.slopes + own * panel);
        }
    }
    for (size_t own = span.first; own < span.end; own++) {
        unit_rows_write(&s.rows, own, s.slopes + own * panel, wide);
    }
}

static size_t blocks_of_gradient(const struct loss__block *b)
{
    return b->grad[EMBEDDINGS] == NULL ? 0 : blocks(b);
}

/* Whether there is another of the row's label; what is like is mostly not far. */
static void factor(const struct loss__block *b, double *r)
{
    const int64_t *labels = b->in[LABELS];
    for (size_t i = 0; i < b->n; i++) {
        r[i] = 0;
        for (size_t step = 1; step < b->n && r[i] == 0; step++) {
            size_t j = i + step < b->n ? i + step : i + step - b->n;
            r[i] = labels[j] == labels[i] ? 1 : 0;
        }
    }
}

LOSS__STAGE_BODIES(read)
LOSS__STAGE_BODIES(sum)
LOSS__STAGE_BODIES(sum_like)
LOSS__STAGE_BODIES(write)
LOSS__STAGE_BODIES(differentiate)
LOSS__KERNELS(nt_xent) = {
    LOSS__STAGES(LOSS__STAGE(read, panels), LOSS__STAGE(sum, blocks), LOSS__STAGE(sum_like, blocks_of_like),
                 LOSS__STAGE(write, one), LOSS__STAGE(differentiate, blocks_of_gradient)),
    .scratch = scratch_bytes,
    .factor = factor,
};

LOSS__DESCRIPTOR(nt_xent) = {
    .name = "nt_xent",
    .summary = "Each row of a batch should be nearer to those of its label than to all others.",
    .formula =
        "mean over others p of the same label of logsumexp over a != i of S_ia - S_ip, S = "
        "embeddings*embeddings^T/temperature of rows of length 1; negatives: the sum holds p and other labels only",
    .source = "Khosla et al. 2020 (SupCon, L_out); optax.losses.ntxent",
    .edges =
        "A row without another of its label has loss 0 and is not counted. A row of zeros has products and a gradient "
        "of 0. Time grows with the square of the batch, memory with the batch.",
    .elsewhere =
        "SupCon's L_out: equal. optax ntxent is the alias ntxent; it averages over pairs, which is the same where "
        "every row has equally many of its label. Both denominators agree where each has one.",
    .example = "{\"embeddings\": [[1, 0], [0.5, 1], [1, 0.5]], \"labels\": [0, 1, 0], \"temperature\": 0.5}",
    .aliases = (const struct loss_alias[]){{"supcon", {{0}}},
                                           {"ntxent", {{"denominator", DENOMINATOR_NEGATIVES}}},
                                           {0}},
    .inputs =
        {{.name = "embeddings", .doc = "A row a sample.", .extent = LOSS_FREE, .main = true, .differentiable = true},
         {.name = "labels",
          .doc = "Rows of one label belong together.",
          .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES),
          .domain = LOSS_WHOLE_NUMBER,
          .extent = LOSS_LEAD}},
    .params = {{.name = "temperature",
                .doc = "What products are divided by.",
                .type = LOSS_NUMBER,
                .fallback = 0.07,
                .min = 0,
                .max = INFINITY,
                .above_min = true,
                .below_max = true},
               LOSS__SIMILARITY_NORMALIZE,
               LOSS__SIMILARITY_EPSILON,
               {.name = "denominator",
                .doc = "Which rows are summed over.",
                .words = LOSS__WORDS("all", "negatives"),
                .type = LOSS_WORD}},
    .kind = LOSS_BATCHWISE,
    .pairs = LOSS_PAIRS_OF_ROWS,
    .rank = 2,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .samples_meet = true,
    .ulp = 2,
};
