/* SPDX-License-Identifier: Apache-2.0
 *
 * categorical_cross_entropy.c - cross-entropy of exclusive classes, from probabilities.
 *
 *   y <- y(1 - s) + s/K, s = label_smoothing;   S = sum p;   q = p/S, or p itself;   L = -sum_k y_k log(q_k clipped)
 *   t_k = y_k, 0 where q_k is clipped;   dL/dp_k = (sum_j t_j - t_k/q_k)/S, or -t_k/p_k;   dL/dy_k = -(1 - s) log q_k
 *
 * The largest p is left out of the sum R of the others, S = max + R: so 1 - q is R/S where q is near 1, and neither its
 * logarithm nor its gradient loses digits.
 *
 * Shapes  y and p alike; L has their shape without `axis`
 * Edges   epsilon > 0 clips q to [epsilon, 1 - epsilon], with gradient 0 at and beyond the bounds; with epsilon 0 a p
 *         below 0 gives NaN. 0 log 0 is 0; S = 0 gives NaN
 * Source  values agree with keras.losses.categorical_crossentropy
 */
#include "losses/classes.h"
#include "losses/largest.h"

enum { AXIS, EPSILON, SMOOTHING, NORMALIZE };

struct row {
    double sum, rest; /* S, R; 1 and not used where nothing is divided */
    size_t top;
    double keep, add, epsilon, floor, ceiling; /* costs at the bounds */
    double q[ROW_CHUNK], without[ROW_CHUNK];   /* 1 - q */
    double cost[ROW_CHUNK], label[ROW_CHUNK], open[ROW_CHUNK];
};

VM_INLINE void add_up(struct row *row, const void *p, size_t c, bool wide)
{
    struct lanes rest = lanes_of(0.0);
    size_t top = 0;
    for (size_t i = 1; i < c; i++) {
        top = kernel_load(p, i, wide) > kernel_load(p, top, wide) ? i : top;
    }
    for (size_t i = 0; i < c; i++) {
        rest.at[i % LANES] += i == top ? 0.0 : kernel_load(p, i, wide);
    }
    row->top = top;
    row->rest = lanes_sum(rest);
    row->sum = kernel_load(p, top, wide) + row->rest;
}

/* Not inlined, to be compiled once for both dtypes. From q and without. */
__attribute__((noinline)) static void costs(struct row *row, size_t n)
{
    const double epsilon = row->epsilon, floor = row->floor, ceiling = row->ceiling;
    for (size_t i = 0; i < n; i++) {
        row->cost[i] = -vm_log(row->q[i]);
        row->open[i] = 1.0;
    }
    for (size_t i = 0; i < n && epsilon > 0; i++) {
        double low = VM_MASK(row->q[i] <= epsilon), high = VM_MASK(row->without[i] <= epsilon);
        row->cost[i] = vm_blend(low, floor, vm_blend(high, ceiling, row->cost[i]));
        row->open[i] = vm_blend(low, 0.0, vm_blend(high, 0.0, 1.0));
    }
}

VM_INLINE void read_chunk(struct row *row, const void *y, const void *p, size_t first, size_t n, bool divide, bool wide)
{
    for (size_t i = 0; i < n; i++) {
        row->label[i] = kernel_load(y, first + i, wide) * row->keep + row->add;
        row->q[i] = divide ? kernel_load(p, first + i, wide) / row->sum : kernel_load(p, first + i, wide);
        row->without[i] = 1.0 - row->q[i];
    }
    bool holds_top = divide && row->top >= first && row->top < first + n;
    if (holds_top) {
        row->without[row->top - first] = row->rest / row->sum;
    }
    costs(row, n);
    if (holds_top && row->open[row->top - first] != 0 && row->q[row->top - first] > 0.5) {
        row->cost[row->top - first] = -vm_log1p(-row->without[row->top - first]);
    }
}

/* L of a chunk, and of its t the sum. */
VM_INLINE double chunk_loss(const struct row *row, size_t n, double *all)
{
    struct lanes loss = lanes_of(0.0), open = lanes_of(0.0);
    for (size_t i = 0; i < n; i++) {
        double y = row->label[i], cost = row->cost[i];
        loss.at[i % LANES] += VM_SELECT(y == 0.0, VM_SELECT(cost == cost, 0.0, cost), y * cost);
        open.at[i % LANES] += y * row->open[i];
    }
    *all += lanes_sum(open);
    return lanes_sum(loss);
}

VM_INLINE void chunk_gradients(const struct row *row, size_t n, double all, bool divide, double g, void *of_labels,
                               void *of_predictions, bool wide)
{
    for (size_t i = 0; i < n && of_labels != NULL; i++) {
        kernel_store(of_labels, i, kernel_chain(g, row->keep * row->cost[i]), wide);
    }
    for (size_t i = 0; i < n && of_predictions != NULL; i++) {
        double t = row->label[i] * row->open[i], slope = VM_SELECT(t == 0.0, 0.0, -t / row->q[i]);
        if (divide) { /* all - t/q */
            double grown = VM_SELECT(t == 0.0, 0.0, t * (row->without[i] / row->q[i]));
            slope = ((all - t) - grown) / row->sum;
        }
        kernel_store(of_predictions, i, kernel_chain(g, slope), wide);
    }
}

VM_INLINE void one_row(const struct loss__block *b, size_t r, struct row *row, bool divide, bool wide)
{
    const size_t c = b->c;
    const void *y = row_from(b->in[0], r * c, wide), *p = row_from(b->in[1], r * c, wide);
    double loss = 0.0, all = 0.0;
    row->sum = 1.0;
    if (divide) {
        add_up(row, p, c, wide);
        loss = all = 0.0 / row->sum; /* a NaN shows */
    }
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        read_chunk(row, y, p, first, row_chunk(c, first), divide, wide);
        loss += chunk_loss(row, row_chunk(c, first), &all);
    }
    b->loss[r] = loss;
    for (size_t first = 0; first < c && b->g != NULL; first += ROW_CHUNK) {
        size_t n = row_chunk(c, first), at = r * c + first;
        if (c > ROW_CHUNK) {
            read_chunk(row, y, p, first, n, divide, wide);
        }
        chunk_gradients(row, n, all, divide, b->g[r], b->grad[0] == NULL ? NULL : row_place(b->grad[0], at, wide),
                        b->grad[1] == NULL ? NULL : row_place(b->grad[1], at, wide), wide);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    const double epsilon = b->param[EPSILON].number, s = b->param[SMOOTHING].number;
    const bool divide = b->param[NORMALIZE].number != 0;
    struct row row = {.keep = 1.0 - s,
                      .add = s / (double)b->c,
                      .epsilon = epsilon,
                      .floor = -vm_log(epsilon),
                      .ceiling = -vm_log1p(-epsilon)};
    for (size_t r = 0; r < b->n; r++) {
        if (b->c == 0) {
            b->loss[r] = 0;
        } else {
            one_row(b, r, &row, divide, wide);
        }
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(categorical_cross_entropy) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(categorical_cross_entropy) = {
    .name = "categorical_cross_entropy",
    .summary = "Cross-entropy of exclusive classes, from probabilities.",
    .formula = "q = clip(predictions/sum(predictions), epsilon, 1 - epsilon); "
               "y = labels*(1 - label_smoothing) + label_smoothing/classes; -sum over axis of y*log(q)",
    .source = "keras.losses.categorical_crossentropy",
    .edges = "Probabilities are divided by their sum, then clipped to [epsilon, 1 - epsilon]; clipped ones have "
             "gradient 0. A row that sums to 0 gives NaN. 0 times a logarithm of 0 is 0.",
    .elsewhere = "keras.losses.CategoricalCrossentropy: sum_over_batch_size. Keras' sparse one clips before it divides "
                 "and differs by up to classes*1e-7. For logits there is softmax_cross_entropy.",
    .example = "{\"labels\": [[1, 0, 0], [0, 0, 1]], \"predictions\": [[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]}",
    .aliases = (const struct loss_alias[]){{"categorical_crossentropy", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .params = {LOSS__CLASS_AXIS_PARAM,
               {.name = "epsilon",
                .doc = "Probabilities are clipped to [epsilon, 1 - epsilon]; 0: not at all.",
                .type = LOSS_NUMBER,
                .fallback = 1e-7,
                .min = 0,
                .max = 0.5,
                .below_max = true},
               LOSS__CLASS_SMOOTHING_PARAM,
               {.name = "normalize",
                .doc = "Whether predictions are divided by their sum first.",
                .type = LOSS_BOOLEAN,
                .fallback = 1}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
