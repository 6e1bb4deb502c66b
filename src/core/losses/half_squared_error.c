/* SPDX-License-Identifier: Apache-2.0
 *
 * half_squared_error.c - half the square of the difference.
 *
 *   L = (p - y)^2/2;   dL/dp = p - y;   dL/dy = y - p
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   NaN in, NaN out; the square overflows only where L does
 * Source  values agree with optax.l2_loss
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)k;
    (void)wide;
    double e = p - y;
    return (struct point){.loss = 0.5 * e * e, .dp = e, .dy = -e};
}

LOSS__ELEMENTWISE(half_squared_error, point);

LOSS__DESCRIPTOR(half_squared_error) = {
    .name = "half_squared_error",
    .summary = "Half the squared difference.",
    .formula = "(predictions - labels)^2/2",
    .source = "optax.l2_loss",
    .edges = "It is infinite only where the result itself overflows.",
    .elsewhere = "optax.l2_loss: equal with reduction none. tf.nn.l2_loss sums over the tensor: l2_regularization.",
    .example = "{\"labels\": [1, 2, 3], \"predictions\": [1.5, 2, 1]}",
    .aliases = (const struct loss_alias[]){{"half_mse", {{0}}}, {"l2_error", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
