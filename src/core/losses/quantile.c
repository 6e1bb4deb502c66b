/* SPDX-License-Identifier: Apache-2.0
 *
 * quantile.c - over- and underestimates at different prices; least at the tau-quantile.
 *
 *   e = y - p;   L = max(tau e, (tau - 1) e)
 *   dL/dp = -tau where e > 0, 1 - tau where e < 0, 0 at 0;   dL/dy = -dL/dp
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   tau 0.5 is half the absolute difference; NaN in, NaN out
 * Source  Koenker and Bassett 1978; values agree with sklearn.metrics.mean_pinball_loss
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)wide;
    double e = y - p, tau = k[0], slope = VM_SELECT(e > 0.0, tau, VM_SELECT(e < 0.0, tau - 1.0, e - e));
    return (struct point){.loss = VM_SELECT(e == 0.0, 0.0, e * slope), .dp = -slope, .dy = slope};
}

LOSS__ELEMENTWISE(quantile, point);

LOSS__DESCRIPTOR(quantile) = {
    .name = "quantile",
    .summary = "Pinball loss: least where predictions are the tau-quantile of the labels.",
    .formula = "e = labels - predictions; max(tau*e, (tau - 1)*e)",
    .source = "sklearn.metrics.mean_pinball_loss; Koenker and Bassett 1978",
    .edges =
        "With tau 0.5 it is half the absolute difference. The gradient is 0 where labels and predictions are equal.",
    .elsewhere = "sklearn.metrics.mean_pinball_loss(alpha): tau = alpha.",
    .example = "{\"labels\": [1, 2, 3], \"predictions\": [1.5, 2, 1], \"tau\": 0.9}",
    .aliases = (const struct loss_alias[]){{"pinball", {{0}}}, {"pinball_loss", {{0}}}, {"quantile_loss", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .params = {{.name = "tau", .doc = "Which quantile.", .type = LOSS_NUMBER, .fallback = 0.5, .min = 0, .max = 1}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
