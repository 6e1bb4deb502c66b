/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax_cross_entropy_with_logits.c - cross-entropy of exclusive classes against a distribution, unreduced.
 *
 *   formula and derivatives in softmax.h
 *
 * Shapes  y and z alike; L has their shape without `axis`
 * Edges   as softmax_cross_entropy
 * Source  values agree with tf.nn.softmax_cross_entropy_with_logits (of TensorFlow 2: labels have a gradient)
 */
#include "softmax.h"

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    softmax_dense(b, 0.0, wide);
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(softmax_cross_entropy_with_logits) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(softmax_cross_entropy_with_logits) = {
    .name = "softmax_cross_entropy_with_logits",
    .summary = "Cross-entropy of exclusive classes from logits, not reduced by default.",
    .formula = "sum over axis of labels*(logsumexp(logits) - logits)",
    .source = "tf.nn.softmax_cross_entropy_with_logits",
    .edges = "Labels need not sum to 1, and their gradient is the true one. A row of logits that are all -Infinity "
             "gives NaN.",
    .elsewhere =
        "tf.nn.softmax_cross_entropy_with_logits: equal. softmax_cross_entropy is the same, reduced by default.",
    .example = "{\"labels\": [[1, 0, 0], [0, 0.5, 0.5]], \"logits\": [[2, 1, 0.5], [1, 3, 2]]}",
    .aliases = (const struct loss_alias[]){{"softmax_cross_entropy_with_logits_v2", {{0}}}, {0}},
    .inputs = {LOSS__DISTRIBUTION_LABELS(LOSS__LABELS_ALIASES), LOSS__SOFTMAX_LOGITS},
    .params = {LOSS__CLASS_AXIS_PARAM},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_NONE,
    .ulp = 2,
};
