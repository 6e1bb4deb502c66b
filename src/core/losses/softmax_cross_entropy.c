/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax_cross_entropy.c - cross-entropy of exclusive classes against a distribution.
 *
 *   formula and derivatives in softmax.h, with t = y(1 - s) + s/K for y, s = label_smoothing, K classes; with weights w
 *   of classes, z_loss lambda and softcap c: L = sum_k w_k t_k (lse - z_k) + lambda lse^2, z capped first:
 *   softmax_terms.h
 *
 * Shapes  y and z alike; L has their shape without `axis`
 * Edges   labels need not sum to 1; a logit of -infinity at a label 0 is fine, a row of nothing else gives NaN
 * Source  values agree with tf.compat.v1.losses.softmax_cross_entropy, but K is the class axis' size at any rank, and
 *         the gradient with respect to labels is the true one; with torch's cross_entropy of probabilities, whose mean
 *         divides by the number of rows
 */
#include "losses/softmax_terms.h"

enum { SMOOTHING, AXIS, WEIGHTS, Z_LOSS, SOFTCAP };

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    const struct loss_param_value *p = b->param;
    struct terms terms = {
        .rule = term_cross_entropy,
        .keep = 1.0 - p[SMOOTHING].number,
        .add = p[SMOOTHING].number / (double)b->c,
        .weights = p[WEIGHTS].given ? &p[WEIGHTS] : NULL,
        .z_loss = p[Z_LOSS].number,
        .softcap = p[SOFTCAP].number,
    };
    if (terms.weights != NULL || terms.z_loss != 0 || terms.softcap != 0) {
        softmax_terms(b, &terms, wide);
    } else {
        softmax_dense(b, p[SMOOTHING].number, wide);
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(softmax_cross_entropy) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(softmax_cross_entropy) = {
    .name = "softmax_cross_entropy",
    .summary = "Cross-entropy of exclusive classes from logits, against a distribution over the classes.",
    .formula = "t = labels*(1 - label_smoothing) + label_smoothing/classes; "
               "sum over axis of class_weights*t*(logsumexp(logits) - logits) + z_loss*logsumexp(logits)^2",
    .source = "tf.compat.v1.losses.softmax_cross_entropy",
    .edges = "Labels need not sum to 1, and their gradient is the true one. 0 times an infinite logarithm is 0; a row "
             "of logits that are all -Infinity gives NaN. Label smoothing divides by the number of classes. A "
             "confident row keeps its digits. class_weights want the classes on the last axis, and divide nothing.",
    .elsewhere = "torch cross_entropy with probabilities: sum_over_batch_size, classes on axis 1. "
                 "keras.losses.CategoricalCrossentropy(from_logits=True): sum_over_batch_size. "
                 "optax.softmax_cross_entropy: reduction none.",
    .example = "{\"labels\": [[1, 0, 0], [0, 0, 1]], \"logits\": [[2, 1, 0.5], [1, 3, 2]]}",
    .inputs = {LOSS__DISTRIBUTION_LABELS("onehot_labels", LOSS__LABELS_ALIASES), LOSS__SOFTMAX_LOGITS},
    .params = {LOSS__CLASS_SMOOTHING_PARAM, LOSS__CLASS_AXIS_PARAM, LOSS__CLASS_WEIGHTS_PARAM, LOSS__Z_LOSS_PARAM,
               LOSS__SOFTCAP_PARAM},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
