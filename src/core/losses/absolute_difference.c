/* SPDX-License-Identifier: Apache-2.0
 *
 * absolute_difference.c - the distance between prediction and label.
 *
 *   L = |p - y|;   dL/dp = sign(p - y), 0 at 0;   dL/dy = -dL/dp
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   NaN in, NaN out, also in the gradient
 * Source  values agree with tf.compat.v1.losses.absolute_difference
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)k;
    (void)wide;
    double e = p - y;
    double sign = VM_SELECT(e > 0.0, 1.0, VM_SELECT(e < 0.0, -1.0, e - e)); /* e - e: 0, or NaN for NaN */
    return (struct point){.loss = vm_abs(e), .dp = sign, .dy = -sign};
}

LOSS__ELEMENTWISE(absolute_difference, point);

LOSS__DESCRIPTOR(absolute_difference) = {
    .name = "absolute_difference",
    .summary = "Absolute difference between labels and predictions.",
    .formula = "|predictions - labels|",
    .source = "tf.compat.v1.losses.absolute_difference",
    .edges = "The gradient is 0 where labels and predictions are equal.",
    .elsewhere = "torch l1_loss: reduction mean. keras.losses.MeanAbsoluteError: sum_over_batch_size; unreduced, Keras "
                 "averages over the last axis.",
    .example = "{\"labels\": [1, 2, 3], \"predictions\": [1.5, 2, 1]}",
    .aliases = (const struct loss_alias[]){{"mae", {{0}}}, {"mean_absolute_error", {{0}}}, {"l1_loss", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 1,
};
