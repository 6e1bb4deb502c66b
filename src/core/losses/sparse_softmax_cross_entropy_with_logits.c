/* SPDX-License-Identifier: Apache-2.0
 *
 * sparse_softmax_cross_entropy_with_logits.c - cross-entropy of exclusive classes against one true class, unreduced.
 *
 *   formula and derivatives in softmax.h
 *
 * Shapes  z [..., K], y [...] of class indices; L has the shape of y. Nothing is squeezed
 * Edges   as sparse_softmax_cross_entropy
 * Source  values agree with tf.nn.sparse_softmax_cross_entropy_with_logits
 */
#include "softmax.h"

LOSS__KERNEL_BODIES(softmax_sparse)
LOSS__KERNELS(sparse_softmax_cross_entropy_with_logits) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(sparse_softmax_cross_entropy_with_logits) = {
    .name = "sparse_softmax_cross_entropy_with_logits",
    .summary = "Cross-entropy of exclusive classes from logits, against the index of the true class, not reduced by "
               "default.",
    .formula = "logsumexp(logits) - logits[labels]",
    .source = "tf.nn.sparse_softmax_cross_entropy_with_logits",
    .edges = "A label outside the classes is refused. A row of logits that are all -Infinity gives NaN.",
    .elsewhere = "tf.nn.sparse_softmax_cross_entropy_with_logits: equal. sparse_softmax_cross_entropy is the same, "
                 "reduced by default.",
    .example = "{\"labels\": [2, 0], \"logits\": [[1, 2, 7], [3, 5, 2]]}",
    .inputs = {LOSS__CLASS_LABELS, LOSS__SOFTMAX_LOGITS},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_NONE,
    .ulp = 2,
};
