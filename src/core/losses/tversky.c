/* SPDX-License-Identifier: Apache-2.0
 *
 * tversky.c - how little a region and its prediction overlap, where the two kinds of error weigh differently.
 *
 *   I = sum y p;   F = sum (1 - y) p;   M = sum y (1 - p);   E = alpha F + beta M + epsilon;   D = I + smooth + E
 *   L = (1 - t)^gamma, t = (I + smooth)/D, 1 - t = E/D
 *   dL/dp = gamma (1 - t)^(gamma-1) ((I + smooth) d - y D)/D^2, d = y + alpha (1 - y) - beta y
 *
 * Shapes  y and p alike; L without the axes of `axis`, by default all but the first
 * Edges   alpha weighs what is predicted and not there; nothing there and nothing predicted: 1 with smooth = 0; NaN in,
 *         NaN out
 * Source  Salehi, Erdogmus and Gholipour 2017; gamma: Abraham and Khan 2019. keras.losses.tversky has alpha and beta the
 *         other way round
 */
#include "lanes.h"
#include "losses/overlap.h"

/* x^y, also for the x < 0 that comes of numbers beyond [0, 1], where y is a whole number */
VM_INLINE double power(double x, double y)
{
    if (y == 1.0) {
        return x;
    }
    double magnitude = vm_pow(x < 0.0 ? -x : x, y);
    bool whole = y == trunc(y), odd = whole && trunc(0.5 * y) != 0.5 * y;
    return x < 0.0 ? (odd ? -magnitude : whole ? magnitude : (double)NAN) : magnitude;
}

VM_INLINE void row(const struct loss__block *b, size_t r, bool wide)
{
    const double alpha = b->param[0].number, beta = b->param[1].number, gamma = b->param[2].number;
    const double smooth = b->param[4].number, epsilon = b->param[5].number;
    const size_t c = b->c;
    struct overlap overlap =
        overlap_of(row_from(b->in[0], r * c, wide), row_from(b->in[1], r * c, wide), c, false, wide);
    double common = overlap.both + smooth, error = alpha * overlap.added + beta * overlap.missed + epsilon;
    double d = common + error, rest = error / d;
    b->loss[r] = power(rest, gamma);
    if (b->grad[1] == NULL) {
        return;
    }
    /* of the infinite slope at 1 - t = 0 with gamma < 1, and of none with gamma = 1 */
    double outer = gamma == 1.0 ? 1.0 : gamma * power(rest, gamma - 1.0);
    for (size_t k = 0; k < c; k++) {
        double y = kernel_load(b->in[0], r * c + k, wide);
        double of_d = y + alpha * (1.0 - y) - beta * y;
        double slope = outer * ((common / d * of_d - y) / d);
        kernel_store(b->grad[1], r * c + k, kernel_chain(b->g[r], slope), wide);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        row(b, r, wide);
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(tversky) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(tversky) = {
    .name = "tversky",
    .summary =
        "How little a region and its prediction overlap; what is predicted too much and too little weighs apart.",
    .formula =
        "(1 - (I + smooth)/(I + alpha*sum((1 - labels)*predictions) + beta*sum(labels*(1 - predictions)) + smooth "
        "+ epsilon))^gamma, I = sum(labels*predictions)",
    .source = "Salehi, Erdogmus and Gholipour 2017; gamma: Abraham and Khan 2019",
    .edges = "alpha weighs false positives and beta false negatives, as in the paper. Where 1 - t is 0 with gamma "
             "below 1 the gradient is not finite.",
    .elsewhere = "keras.losses.tversky weighs the other way round: exchange alpha and beta. Jaccard or IoU loss: the "
                 "name jaccard. Focal Tversky: the name focal_tversky (gamma 0.75).",
    .example = "{\"labels\": [[0, 1, 1, 0]], \"predictions\": [[0.25, 0.75, 0.5, 0]], \"alpha\": 0.25, \"beta\": 0.75}",
    .aliases = (const struct loss_alias[]){{"tversky_loss", {{0}}},
                                           {"jaccard", {{"alpha", 1}, {"beta", 1}}},
                                           {"iou", {{"alpha", 1}, {"beta", 1}}},
                                           {"focal_tversky", {{"gamma", 0.75}}},
                                           {0}},
    .inputs = LOSS__OVERLAP_INPUTS,
    .params = {{.name = "alpha",
                .doc = "Weight of what is predicted and not there.",
                .type = LOSS_NUMBER,
                .fallback = 0.5,
                .min = 0,
                .max = INFINITY,
                .below_max = true},
               {.name = "beta",
                .doc = "Weight of what is there and not predicted.",
                .type = LOSS_NUMBER,
                .fallback = 0.5,
                .min = 0,
                .max = INFINITY,
                .below_max = true},
               {.name = "gamma",
                .doc = "Power of the whole.",
                .type = LOSS_NUMBER,
                .fallback = 1,
                .min = 0,
                .max = INFINITY,
                .above_min = true,
                .below_max = true},
               LOSS__OVERLAP_AXIS,
               LOSS__OVERLAP_SMOOTH,
               LOSS__OVERLAP_EPSILON},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
