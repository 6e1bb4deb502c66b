/* SPDX-License-Identifier: Apache-2.0
 *
 * charbonnier.c - the absolute difference with a rounded tip.
 *
 *   e = p - y;   L = sqrt(e^2 + epsilon^2);   dL/dp = e/L, 0 at e = 0;   dL/dy = -dL/dp
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   epsilon 0 is the absolute difference; nothing overflows before L does; NaN in, NaN out
 * Source  Charbonnier et al. 1994
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)wide;
    double e = p - y, a = vm_abs(e), epsilon = k[0];
    double large = VM_SELECT(a < epsilon, epsilon, a), small = VM_SELECT(a < epsilon, a, epsilon),
           ratio = small / large;
    double length = VM_SELECT(small == 0.0, large, large * sqrt(1.0 + ratio * ratio));
    length = VM_SELECT(a > DBL_MAX, a, length);
    double slope = VM_SELECT(e == 0.0, 0.0, e / length);
    slope = VM_SELECT(a > DBL_MAX, vm_copysign(1.0, e), slope);
    return (struct point){.loss = length, .dp = slope, .dy = -slope};
}

LOSS__ELEMENTWISE(charbonnier, point);

LOSS__DESCRIPTOR(charbonnier) = {
    .name = "charbonnier",
    .summary = "Absolute difference with a rounded tip.",
    .formula = "sqrt((predictions - labels)^2 + epsilon^2)",
    .source = "Charbonnier et al. 1994",
    .edges = "With epsilon 0 it is the absolute difference, with gradient 0 where both are equal.",
    .elsewhere = "Pseudo-Huber with delta d is d*(charbonnier - d) with epsilon d.",
    .example = "{\"labels\": [1, 2, 3], \"predictions\": [1.5, 2, 1]}",
    .aliases = (const struct loss_alias[]){{"charbonnier_loss", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .params = {{.name = "epsilon",
                .doc = "Radius of the tip, and the least loss.",
                .type = LOSS_NUMBER,
                .fallback = 1e-3,
                .min = 0,
                .max = INFINITY,
                .below_max = true}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
