/* SPDX-License-Identifier: Apache-2.0
 *
 * sigmoid_cross_entropy.c - cross-entropy of independent classes, with label smoothing.
 *
 *   formula and derivatives in sigmoid.h, s = label_smoothing
 *
 * Shapes  y and z alike, any rank; L has their shape
 * Edges   labels may be soft; an infinite logit gives NaN or infinity, as the formula does
 * Source  values agree with tf.compat.v1.losses.sigmoid_cross_entropy
 */
#include "sigmoid.h"

VM_INLINE struct point point(double y, double z, const double *k, bool wide)
{
    return sigmoid_point(y, z, k[0], wide);
}

LOSS__ELEMENTWISE(sigmoid_cross_entropy, point);

LOSS__DESCRIPTOR(sigmoid_cross_entropy) = {
    .name = "sigmoid_cross_entropy",
    .summary = "Cross-entropy of independent classes from logits, with label smoothing.",
    .formula = "q = labels*(1 - label_smoothing) + label_smoothing/2; "
               "max(logits, 0) - logits*q + log(1 + exp(-|logits|))",
    .source = "tf.compat.v1.losses.sigmoid_cross_entropy",
    .example = "{\"labels\": [1, 0, 1], \"logits\": [2, -1, 0.5]}",
    .aliases = (const struct loss_alias[]){{"bce_with_logits", {{0}}},
                                           {"binary_cross_entropy_with_logits", {{0}}},
                                           {0}},
    .inputs = LOSS__SIGMOID_INPUTS("multi_class_labels", LOSS__LABELS_ALIASES),
    .params = {{.name = "label_smoothing",
                .doc = "How far labels are drawn towards one half.",
                .type = LOSS_NUMBER,
                .fallback = 0,
                .min = 0,
                .max = 1}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
