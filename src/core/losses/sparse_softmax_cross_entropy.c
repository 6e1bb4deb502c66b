/* SPDX-License-Identifier: Apache-2.0
 *
 * sparse_softmax_cross_entropy.c - cross-entropy of exclusive classes against one true class.
 *
 *   formula and derivatives in softmax.h
 *
 * Shapes  z [..., K], y [...] of class indices; L has the shape of y. One dimension of 1 too many at the end of labels,
 *         logits or weights is dropped
 * Edges   a label outside [0, K) is refused; a logit of -infinity is fine where it is not the label's
 * Source  values agree with tf.compat.v1.losses.sparse_softmax_cross_entropy
 */
#include "softmax.h"

LOSS__KERNEL_BODIES(softmax_sparse)
LOSS__KERNELS(sparse_softmax_cross_entropy) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(sparse_softmax_cross_entropy) = {
    .name = "sparse_softmax_cross_entropy",
    .summary = "Cross-entropy of exclusive classes from logits, against the index of the true class.",
    .formula = "logsumexp(logits) - logits[labels]",
    .source = "tf.compat.v1.losses.sparse_softmax_cross_entropy",
    .edges = "A label outside the classes is refused. Labels, logits or weights may have one dimension of 1 too many. "
             "A row of logits that are all -Infinity gives NaN. A confident row keeps its digits.",
    .elsewhere = "torch cross_entropy with class indices: reduction mean, classes on axis 1. "
                 "keras.losses.SparseCategoricalCrossentropy(from_logits=True): sum_over_batch_size. "
                 "optax.softmax_cross_entropy_with_integer_labels: reduction none.",
    .example = "{\"labels\": [2, 1, 0, 0, 1], "
               "\"logits\": [[1, 2, 7], [3, 5, 2], [6, 1, 3], [8, 2, 0], [3, 6, 1]], \"weights\": 0.2}",
    .inputs = {LOSS__CLASS_LABELS, LOSS__SOFTMAX_LOGITS},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .squeezes = true,
    .ulp = 2,
};
