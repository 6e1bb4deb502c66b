/* SPDX-License-Identifier: Apache-2.0
 *
 * generalized_cross_entropy.c - between the cross-entropy and the absolute error: it forgives wrong labels.
 *
 *   L = w_y (1 - p_y^q)/q;   dL/dz_k = w_y p_y^q (p_k - 1 at k = y);   w = class_weights, or 1
 *
 * Shapes  z [..., K], y [...] of class indices; L has the shape of y
 * Edges   q to 0 is the cross-entropy, q = 1 is 1 - p_y; ignored rows as in classes.h
 * Source  Zhang and Sabuncu 2018; values agree with keras.losses.categorical_generalized_cross_entropy of softmax(z)
 */
#include "losses/softmax_terms.h"

__attribute__((noinline)) static void generalized(struct terms_group *at, size_t n, const double *k)
{
    const double q = k[0];
    for (size_t i = 0; i < n; i++) {
        double t = at->t[i], of_log = -q * at->cost[i];
        at->loss[i] = VM_SELECT(t == 0.0, 0.0, -t * vm_expm1(of_log) / q);
        at->v[i] = t * vm_exp(of_log);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    struct terms terms = {
        .rule = generalized,
        .k = &b->param[CLASS_PARAMS].number,
        .weights = b->param[CLASS_WEIGHTS].given ? &b->param[CLASS_WEIGHTS] : NULL,
        .sparse = true,
    };
    softmax_single(b, &terms, wide);
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(generalized_cross_entropy) = {.f32 = f32, .f64 = f64, LOSS__CLASS_FACTORS};

LOSS__DESCRIPTOR(generalized_cross_entropy) = {
    .name = "generalized_cross_entropy",
    .summary = "Between the cross-entropy and the absolute error of the true class' probability, from logits.",
    .formula = "class_weights[labels]*(1 - softmax(logits)[labels]^q)/q",
    .source = "keras.losses.categorical_generalized_cross_entropy; Zhang and Sabuncu 2018",
    .edges =
        "q towards 0 is the cross-entropy, q 1 is 1 - p. Ignored rows count for nothing. A confident row keeps its "
        "digits.",
    .elsewhere = "keras.losses.CategoricalGeneralizedCrossEntropy(q) takes probabilities: give it softmax(logits); "
                 "reduction sum_over_batch_size.",
    .example = "{\"labels\": [2, 0], \"logits\": [[1, 2, 7], [3, 5, 2]]}",
    .aliases = (const struct loss_alias[]){{"gce", {{0}}}, {0}},
    .inputs = {LOSS__CLASS_LABELS, LOSS__SOFTMAX_LOGITS},
    .params = {LOSS__CLASS_PARAMS,
               {.name = "q",
                .doc = "How far from the cross-entropy towards the absolute error.",
                .type = LOSS_NUMBER,
                .fallback = 0.5,
                .min = 0,
                .max = 1,
                .above_min = true}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
