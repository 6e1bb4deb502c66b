/* SPDX-License-Identifier: Apache-2.0
 *
 * sparse_softmax_cross_entropy.c - cross-entropy of exclusive classes against one true class.
 *
 *   L = lse - z_y and its derivatives in softmax.h; with weights w of classes, smoothing s, z_loss lambda and softcap c
 *   L = (1 - s) w_y (lse - z_y) + s/K sum_k w_k (lse - z_k) + lambda lse^2, z capped first: softmax_terms.h
 *
 * Shapes  z [..., K], y [...] of class indices; L has the shape of y. One dimension of 1 too many at the end of labels,
 *         logits or weights is dropped
 * Edges   a label outside [0, K) is refused, but for ignore_index; a logit of -infinity is fine where it is not the
 *         label's. Rows divide by w_y in a mean, and rows that are ignored are not counted (classes.h)
 * Source  values agree with tf.compat.v1.losses.sparse_softmax_cross_entropy, torch.nn.functional.cross_entropy with
 *         `mean`, and Liger's z-loss and softcap
 */
#include "losses/softmax_terms.h"

enum { SMOOTHING = CLASS_PARAMS, Z_LOSS, SOFTCAP };

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    const struct loss_param_value *p = b->param;
    struct terms terms = {
        .rule = term_cross_entropy,
        .keep = 1.0 - p[SMOOTHING].number,
        .add = p[SMOOTHING].number / (double)b->c,
        .weights = p[CLASS_WEIGHTS].given ? &p[CLASS_WEIGHTS] : NULL,
        .z_loss = p[Z_LOSS].number,
        .softcap = p[SOFTCAP].number,
        .sparse = true,
    };
    if (terms.add != 0 || terms.softcap != 0) {
        softmax_terms(b, &terms, wide);
    } else if (terms.weights != NULL || terms.z_loss != 0) {
        softmax_single(b, &terms, wide);
    } else {
        softmax_sparse(b, wide);
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(sparse_softmax_cross_entropy) = {.f32 = f32, .f64 = f64, LOSS__CLASS_FACTORS};

LOSS__DESCRIPTOR(sparse_softmax_cross_entropy) = {
    .name = "sparse_softmax_cross_entropy",
    .summary = "Cross-entropy of exclusive classes from logits, against the index of the true class.",
    .formula =
        "(1 - label_smoothing)*class_weights[labels]*(logsumexp(logits) - logits[labels]) + label_smoothing/classes*"
        "sum(class_weights*(logsumexp(logits) - logits)) + z_loss*logsumexp(logits)^2",
    .source = "tf.compat.v1.losses.sparse_softmax_cross_entropy; torch.nn.functional.cross_entropy",
    .edges =
        "A label outside the classes is refused, but for ignore_index. Ignored rows have loss and gradient 0 and count "
        "for nothing, and their logits are not looked at; a mean divides by the sum of the labels' class weights. "
        "Labels, logits or weights may have one dimension of 1 too many. "
        "A row of logits that are all -Infinity gives NaN. A confident row keeps its digits.",
    .elsewhere =
        "torch cross_entropy with class indices: cross_entropy with reduction mean, classes on axis 1 there. Liger's "
        "lse_square_scale is z_loss. "
        "keras.losses.SparseCategoricalCrossentropy(from_logits=True): sum_over_batch_size. "
        "optax.softmax_cross_entropy_with_integer_labels: reduction none.",
    .example = "{\"labels\": [2, 1, 0, 0, 1], "
               "\"logits\": [[1, 2, 7], [3, 5, 2], [6, 1, 3], [8, 2, 0], [3, 6, 1]], \"weights\": 0.2}",
    .aliases = (const struct loss_alias[]){{"cross_entropy", {{"ignore_index", -100}}}, {0}},
    .inputs = {LOSS__CLASS_LABELS, LOSS__SOFTMAX_LOGITS},
    .params = {LOSS__CLASS_PARAMS, LOSS__CLASS_SMOOTHING_PARAM, LOSS__Z_LOSS_PARAM, LOSS__SOFTCAP_PARAM},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .squeezes = true,
    .ulp = 2,
};
