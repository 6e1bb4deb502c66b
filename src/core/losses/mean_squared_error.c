/* SPDX-License-Identifier: Apache-2.0
 *
 * mean_squared_error.c - the squared difference, without a factor of one half.
 *
 *   L = (p - y)^2;   dL/dp = 2(p - y);   dL/dy = -dL/dp
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   NaN in, NaN out
 * Source  values agree with tf.compat.v1.losses.mean_squared_error
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)k;
    (void)wide;
    double e = p - y;
    return (struct point){.loss = e * e, .dp = 2 * e, .dy = -2 * e};
}

LOSS__ELEMENTWISE(mean_squared_error, point);

LOSS__DESCRIPTOR(mean_squared_error) = {
    .name = "mean_squared_error",
    .summary = "Squared difference between labels and predictions.",
    .formula = "(predictions - labels)^2",
    .source = "tf.compat.v1.losses.mean_squared_error",
    .edges = "It is infinite only where the square overflows.",
    .elsewhere = "torch mse_loss: reduction mean. keras.losses.MeanSquaredError: sum_over_batch_size. "
                 "optax.squared_error: reduction none.",
    .example = "{\"labels\": [1, 2, 3], \"predictions\": [1.5, 2, 1]}",
    .aliases = (const struct loss_alias[]){{"mse", {{0}}}, {"mse_loss", {{0}}}, {"squared_error", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
