/* SPDX-License-Identifier: Apache-2.0
 *
 * dice.c - how little a region and its prediction overlap.
 *
 *   I = sum y p;   S = sum y + sum p, or sum y^2 + sum p^2 where squared;   D = S + smooth + epsilon
 *   L = 1 - (2 I + smooth)/D = (S - 2 I + epsilon)/D
 *   dL/dp = ((2 I + smooth) d - 2 y D)/D^2, d = 1, or 2 p where squared
 *
 * S - 2 I is summed as y(1 - p) + p(1 - y), or (y - p)^2: where the overlap is nearly full the difference would cancel.
 *
 * Shapes  y and p alike; L without the axes of `axis`, by default all but the first
 * Edges   nothing there and nothing predicted: 1 with smooth = 0, NaN with epsilon = 0 too; NaN in, NaN out
 * Source  values agree with keras.losses.dice given its axes; Milletari, Navab and Ahmadi 2016 (squared)
 */
#include "lanes.h"
#include "losses/overlap.h"

VM_INLINE void row(const struct loss__block *b, size_t r, bool squared, bool wide)
{
    const double smooth = b->param[1].number, epsilon = b->param[2].number;
    const size_t c = b->c;
    struct overlap overlap =
        overlap_of(row_from(b->in[0], r * c, wide), row_from(b->in[1], r * c, wide), c, squared, wide);
    double apart = overlap.missed + overlap.added, common = 2.0 * overlap.both + smooth;
    double d = apart + common + epsilon;
    b->loss[r] = (apart + epsilon) / d;
    for (size_t k = 0; b->grad[1] != NULL && k < c; k++) {
        double y = kernel_load(b->in[0], r * c + k, wide), p = kernel_load(b->in[1], r * c + k, wide);
        double slope = (common / d * (squared ? 2.0 * p : 1.0) - 2.0 * y) / d;
        kernel_store(b->grad[1], r * c + k, kernel_chain(b->g[r], slope), wide);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        if (b->param[3].number != 0) {
            row(b, r, true, wide);
        } else {
            row(b, r, false, wide);
        }
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(dice) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(dice) = {
    .name = "dice",
    .summary = "How little a region and its prediction overlap, by the Sorensen-Dice coefficient.",
    .formula = "1 - (2*sum(labels*predictions) + smooth)/(sum(labels) + sum(predictions) + smooth + epsilon)",
    .source = "keras.losses.dice; squared: Milletari, Navab and Ahmadi 2016",
    .edges = "With nothing there and nothing predicted the loss is 1 with smooth 0, and NaN with epsilon 0 too.",
    .elsewhere = "keras.losses.dice sums over the whole tensor: give every axis. optax.losses.dice_loss(smooth): "
                 "smooth is twice that, epsilon 0, spatial axes, on predictions after its softmax.",
    .example = "{\"labels\": [[0, 1, 1, 0]], \"predictions\": [[0.25, 0.75, 0.5, 0]], \"smooth\": 1}",
    .aliases = (const struct loss_alias[]){{"soft_dice", {{0}}}, {0}},
    .inputs = LOSS__OVERLAP_INPUTS,
    .params = {LOSS__OVERLAP_AXIS,
               LOSS__OVERLAP_SMOOTH,
               LOSS__OVERLAP_EPSILON,
               {.name = "squared", .doc = "Sum squares in the denominator.", .type = LOSS_BOOLEAN}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
