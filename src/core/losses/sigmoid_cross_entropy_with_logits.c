/* SPDX-License-Identifier: Apache-2.0
 *
 * sigmoid_cross_entropy_with_logits.c - cross-entropy of independent classes, unreduced.
 *
 *   formula and derivatives in sigmoid.h, s = 0
 *
 * Shapes  y and z alike, any rank; L has their shape
 * Edges   as sigmoid_cross_entropy
 * Source  values agree with tf.nn.sigmoid_cross_entropy_with_logits
 */
#include "sigmoid.h"

VM_INLINE struct point point(double y, double z, const double *k, bool wide)
{
    (void)k;
    return sigmoid_point(y, z, 0.0, wide);
}

LOSS__ELEMENTWISE(sigmoid_cross_entropy_with_logits, point);

LOSS__DESCRIPTOR(sigmoid_cross_entropy_with_logits) = {
    .name = "sigmoid_cross_entropy_with_logits",
    .summary = "Cross-entropy of independent classes from logits, not reduced by default.",
    .formula = "max(logits, 0) - logits*labels + log(1 + exp(-|logits|))",
    .source = "tf.nn.sigmoid_cross_entropy_with_logits",
    .edges = "Confident logits keep their digits: a loss becomes 0 only where it is below the smallest number.",
    .elsewhere =
        "tf.nn.sigmoid_cross_entropy_with_logits: equal. sigmoid_cross_entropy is the same, reduced by default.",
    .example = "{\"labels\": [1, 0, 1], \"logits\": [2, -1, 0.5]}",
    .inputs = LOSS__SIGMOID_INPUTS(LOSS__LABELS_ALIASES),
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_NONE,
    .ulp = 2,
};
