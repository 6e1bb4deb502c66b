/* SPDX-License-Identifier: Apache-2.0
 *
 * poly_cross_entropy.c - cross-entropy of exclusive classes, with more or less of its first polynomial term.
 *
 *   L = sum_k y_k (lse - z_k) + epsilon sum_k y_k (1 - p_k), epsilon = poly_epsilon
 *   dL/dz_j = p_j sum_k y_k - y_j - epsilon p_j (y_j - sum_k y_k p_k)
 *
 * Shapes  y and z alike; L has their shape without `axis`
 * Edges   labels need not sum to 1; a logit of -infinity at a label 0 is fine, a row of nothing else gives NaN
 * Source  Leng et al. 2022, PolyLoss; values agree with optax.poly_loss_cross_entropy
 */
#include "losses/softmax_terms.h"

__attribute__((noinline)) static void poly(struct terms_group *at, size_t n, const double *k)
{
    const double epsilon = k[0];
    for (size_t i = 0; i < n; i++) {
        double t = at->t[i];
        at->loss[i] = VM_SELECT(t == 0.0, 0.0, t * at->cost[i] + epsilon * t * at->q[i]);
        at->v[i] = t + epsilon * t * at->p[i];
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    struct terms terms = {.rule = poly, .k = &b->param[0].number, .keep = 1};
    softmax_terms(b, &terms, wide);
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(poly_cross_entropy) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(poly_cross_entropy) = {
    .name = "poly_cross_entropy",
    .summary = "Cross-entropy of exclusive classes from logits, with its first polynomial term weighed anew.",
    .formula = "sum over axis of labels*(logsumexp(logits) - logits) + poly_epsilon*labels*(1 - softmax(logits))",
    .source = "optax.losses.poly_loss_cross_entropy; Leng et al. 2022",
    .edges =
        "Labels need not sum to 1. 0 times an infinite logarithm is 0; a row of logits that are all -Infinity gives "
        "NaN. A confident row keeps its digits.",
    .elsewhere =
        "optax.poly_loss_cross_entropy(epsilon): poly_epsilon, reduction none. The parameter is named so because "
        "epsilon is a stabiliser everywhere else.",
    .example = "{\"labels\": [[1, 0, 0], [0, 0, 1]], \"logits\": [[2, 1, 0.5], [1, 3, 2]]}",
    .aliases = (const struct loss_alias[]){{"poly1", {{0}}}, {"poly_loss_cross_entropy", {{0}}}, {0}},
    .inputs = {LOSS__CLASS_DISTRIBUTION, LOSS__SOFTMAX_LOGITS},
    .params = {{.name = "poly_epsilon",
                .doc = "How much of 1 - p of the true class is added.",
                .type = LOSS_NUMBER,
                .fallback = 2},
               LOSS__CLASS_AXIS_PARAM},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
