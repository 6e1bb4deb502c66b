/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax_cross_entropy.c - cross-entropy of exclusive classes against a distribution, with label smoothing.
 *
 *   formula and derivatives in softmax.h, with y(1 - s) + s/K for y, s = label_smoothing, K classes
 *
 * Shapes  y and z alike [..., K]; L has their shape without the last axis
 * Edges   labels need not sum to 1; a logit of -infinity at a label 0 is fine, a row of nothing else gives NaN
 * Source  values agree with tf.compat.v1.losses.softmax_cross_entropy, but K is the class axis' size at any rank, and
 *         the gradient with respect to labels is the true one
 */
#include "softmax.h"

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    softmax_dense(b, b->param[0].number, wide);
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(softmax_cross_entropy) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(softmax_cross_entropy) = {
    .name = "softmax_cross_entropy",
    .summary = "Cross-entropy of exclusive classes from logits, against a distribution over the classes.",
    .formula = "t = labels*(1 - label_smoothing) + label_smoothing/classes; "
               "sum over classes of t*(logsumexp(logits) - logits)",
    .source = "tf.compat.v1.losses.softmax_cross_entropy",
    .edges = "Labels need not sum to 1, and their gradient is the true one. 0 times an infinite logarithm is 0; a row "
             "of logits that are all -Infinity gives NaN. Label smoothing divides by the number of classes. A "
             "confident row keeps its digits.",
    .elsewhere = "torch cross_entropy with probabilities: sum_over_batch_size, classes on axis 1. "
                 "keras.losses.CategoricalCrossentropy(from_logits=True): sum_over_batch_size. "
                 "optax.softmax_cross_entropy: reduction none.",
    .example = "{\"labels\": [[1, 0, 0], [0, 0, 1]], \"logits\": [[2, 1, 0.5], [1, 3, 2]]}",
    .inputs = {LOSS__DISTRIBUTION_LABELS("onehot_labels", LOSS__LABELS_ALIASES), LOSS__SOFTMAX_LOGITS},
    .params = {{.name = "label_smoothing",
                .doc = "How far labels are drawn towards the uniform distribution.",
                .type = LOSS_NUMBER,
                .fallback = 0,
                .min = 0,
                .max = 1}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
