/* SPDX-License-Identifier: Apache-2.0
 *
 * huber_loss.c - quadratic near zero, linear in the tails.
 *
 *   e = p - y;   L = e^2/2 where |e| <= delta, else delta(|e| - delta/2)
 *   dL/dp = e clamped to [-delta, delta];   dL/dy = -dL/dp
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Units   delta is in the units of y
 * Edges   NaN in, NaN out; at |e| = delta both branches agree
 * Source  Huber 1964, Ann. Math. Statist. 35; values agree with tf.compat.v1.losses.huber_loss
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)wide;
    double e = p - y, a = vm_abs(e), delta = k[0];
    double slope = VM_SELECT(e > delta, delta, VM_SELECT(e < -delta, -delta, e));
    return (struct point){
        .loss = VM_SELECT(a <= delta, 0.5 * e * e, delta * (a - 0.5 * delta)),
        .dp = slope,
        .dy = -slope,
    };
}

LOSS__ELEMENTWISE(huber_loss, point);

LOSS__DESCRIPTOR(huber_loss) = {
    .name = "huber_loss",
    .summary = "Quadratic near zero, linear in the tails.",
    .formula = "e = predictions - labels; e^2/2 where |e| <= delta, else delta*(|e| - delta/2)",
    .source = "tf.compat.v1.losses.huber_loss; Huber 1964",
    .edges = "Where the difference is delta exactly both branches agree, in value and slope.",
    .elsewhere = "torch huber_loss(delta): equal, with reduction mean. keras.losses.Huber(delta): sum_over_batch_size. "
                 "smooth_l1 with beta is this with delta = beta, divided by beta.",
    .example = "{\"labels\": [1, 2], \"predictions\": [1.5, 5], \"delta\": 1}",
    .aliases = (const struct loss_alias[]){{"huber", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .params = {{.name = "delta",
                .doc = "Difference at which the tail starts.",
                .type = LOSS_NUMBER,
                .fallback = 1,
                .min = 0,
                .max = INFINITY,
                .above_min = true,
                .below_max = true}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
