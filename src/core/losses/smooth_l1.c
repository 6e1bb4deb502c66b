/* SPDX-License-Identifier: Apache-2.0
 *
 * smooth_l1.c - quadratic near zero, the absolute difference less a constant in the tails.
 *
 *   e = p - y;   L = e^2/(2 beta) where |e| < beta, else |e| - beta/2
 *   dL/dp = e/beta clamped to [-1, 1];   dL/dy = -dL/dp
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   beta 0 is the absolute difference, with a gradient of 0 at 0; NaN in, NaN out
 * Source  values agree with torch.nn.functional.smooth_l1_loss
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)wide;
    double e = p - y, a = vm_abs(e), beta = k[0], steep = e / beta;
    double inside = VM_MASK(a < beta), sign = VM_SELECT(e > 0.0, 1.0, VM_SELECT(e < 0.0, -1.0, e - e));
    double slope = vm_blend(inside, steep, sign);
    return (struct point){
        .loss = vm_blend(inside, 0.5 * e * steep, a - 0.5 * beta),
        .dp = slope,
        .dy = -slope,
    };
}

LOSS__ELEMENTWISE(smooth_l1, point);

LOSS__DESCRIPTOR(smooth_l1) = {
    .name = "smooth_l1",
    .summary = "Quadratic near zero, linear with slope 1 in the tails.",
    .formula = "e = predictions - labels; e^2/(2*beta) where |e| < beta, else |e| - beta/2",
    .source = "torch.nn.functional.smooth_l1_loss; Girshick 2015",
    .edges = "With beta 0 it is the absolute difference, with gradient 0 where both are equal.",
    .elsewhere =
        "torch smooth_l1_loss(beta): equal, with reduction mean. huber_loss with delta = beta is beta times this.",
    .example = "{\"labels\": [1, 2], \"predictions\": [1.5, 5], \"beta\": 1}",
    .aliases = (const struct loss_alias[]){{"smooth_l1_loss", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .params = {{.name = "beta",
                .doc = "Difference at which the tail starts.",
                .type = LOSS_NUMBER,
                .fallback = 1,
                .min = 0,
                .max = INFINITY,
                .below_max = true}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
