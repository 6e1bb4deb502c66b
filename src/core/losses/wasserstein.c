/* SPDX-License-Identifier: Apache-2.0
 *
 * wasserstein.c - how far mass must be moved, between neighbouring bins one unit apart, to turn one histogram into
 * the other.
 *
 *   C_k = sum over j <= k of (p_j - y_j), k < c;   L = sum over k < c of |C_k|^q, q = 1 or 2
 *   dL/dp_j = sum over k >= j, k < c of q |C_k|^(q-1) sign(C_k);   dL/dy = -dL/dp
 *
 * The last C, 0 for two distributions, is left out: its rounding would decide a sign. The slope of p_j is the sum of all
 * terms less those before j: for q = 1 whole numbers, and for q = 2 never smaller than it by more than a factor of 2.
 *
 * Shapes  y and p alike [..., c]; L without the last axis
 * Edges   one bin: 0; NaN in, NaN out
 * Source  p = 1 agrees with scipy.stats.wasserstein_distance of rows that sum to 1; Hou, Yu and Samaras 2016 for p = 2
 */
#include "lanes.h"

/* C as high + low, which is 0 for float32: sums of those are exact enough. */
struct total {
    double high, low;
};

VM_INLINE double total_add(struct total *total, double p, double y, bool wide)
{
    if (!wide) {
        return total->high += p - y;
    }
    double difference_error, lost, difference = vm_two_diff(p, y, &difference_error);
    total->high = vm_two_sum(total->high, difference, &lost);
    total->low += lost + difference_error;
    return total->high + VM_SELECT(total->low - total->low == 0.0, total->low, 0.0);
}

/* q |C|^(q-1) sign(C) */
VM_INLINE double slope_of(double total, bool squared)
{
    double sign = VM_SELECT(total > 0.0, 1.0, VM_SELECT(total < 0.0, -1.0, total));
    return squared ? 2.0 * total : sign;
}

VM_INLINE void row(const struct loss__block *b, size_t r, bool squared, bool wide)
{
    const size_t c = b->c;
    const void *y = row_from(b->in[0], r * c, wide), *p = row_from(b->in[1], r * c, wide);
    struct total total = {0, 0};
    double loss = 0, slopes = 0;
    for (size_t k = 0; k + 1 < c; k++) {
        double at = total_add(&total, kernel_load(p, k, wide), kernel_load(y, k, wide), wide);
        loss += squared ? at * at : vm_abs(at);
        slopes += slope_of(at, squared);
    }
    /* a NaN in the last bin is one too */
    double last = c == 0 ? 0 : kernel_load(p, c - 1, wide) - kernel_load(y, c - 1, wide);
    b->loss[r] = last == last ? loss : last;
    slopes = last == last ? slopes : last;
    total = (struct total){0, 0};
    for (size_t k = 0; (b->grad[0] != NULL || b->grad[1] != NULL) && k < c; k++) {
        double down = kernel_chain(b->g[r], k + 1 < c ? slopes : last == last ? 0.0 : last);
        if (b->grad[0] != NULL) {
            kernel_store(b->grad[0], r * c + k, 0.0 - down, wide);
        }
        if (b->grad[1] != NULL) {
            kernel_store(b->grad[1], r * c + k, down, wide);
        }
        slopes -= slope_of(total_add(&total, kernel_load(p, k, wide), kernel_load(y, k, wide), wide), squared);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        if (b->param[0].number == 2) {
            row(b, r, true, wide);
        } else {
            row(b, r, false, wide);
        }
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(wasserstein) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(wasserstein) = {
    .name = "wasserstein",
    .summary = "How far mass must be moved between neighbouring bins to turn one histogram into the other.",
    .formula = "sum over all bins k but the last of |sum over j <= k of (predictions_j - labels_j)|^p",
    .source = "scipy.stats.wasserstein_distance (p = 1); Hou, Yu and Samaras 2016 (p = 2)",
    .edges = "The last cumulated difference, which is 0 for distributions, is left out; with one class the loss is 0. "
             "p is 1 or 2, and no root is taken. Where a cumulated difference is 0 it has no gradient.",
    .elsewhere = "scipy.stats.wasserstein_distance over the positions 0, 1, ... with the rows as weights: p 1, for "
                 "rows that sum to 1. Squared earth mover's distance: p 2. A critic's loss is compute_weighted_loss.",
    .example = "{\"labels\": [[0, 0.5, 0.5]], \"predictions\": [[0.5, 0.25, 0.25]]}",
    .aliases = (const struct loss_alias[]){{"emd", {{0}}}, {"earth_movers", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .params = {{.name = "p",
                .doc = "Power of the distance: 1, or 2 for its square.",
                .type = LOSS_INTEGER,
                .fallback = 1,
                .min = 1,
                .max = 2}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
