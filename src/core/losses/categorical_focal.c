/* SPDX-License-Identifier: Apache-2.0
 *
 * categorical_focal.c - cross-entropy of exclusive classes, with easy examples weighing less.
 *
 *   y <- y(1 - s) + s/K, s = label_smoothing;   L = -sum_k alpha_k y_k (1 - p_k)^gamma log p_k
 *   v_k = alpha_k y_k ((1 - p_k)^gamma - gamma (1 - p_k)^(gamma-1) p_k log p_k);   dL/dz_j = p_j sum_k v_k - v_j
 *
 * Shapes  y and z alike [..., K]; L has their shape without the last axis. alpha is a number or [K]
 * Edges   1 - p_k is the sum of the other terms, never a difference; alpha multiplies every class; gamma 0 is the
 *         cross-entropy
 * Source  Lin et al. 2017; values agree with keras.losses.categorical_focal_crossentropy(from_logits=True) but for its
 *         clipping of probabilities
 */
#include "losses/softmax_terms.h"

enum { ALPHA, GAMMA, SMOOTHING };

/* power = q^gamma. Towards q = 0 the cost is q. */
VM_INLINE void focal(struct terms_group *at, size_t i, double power, double gamma)
{
    double t = at->t[i], cost = at->cost[i], p = at->p[i], q = at->q[i];
    double spread = VM_SELECT(p == 0.0, 0.0, gamma * p * VM_SELECT(q == 0.0, 1.0, cost / q));
    at->loss[i] = VM_SELECT(t == 0.0, 0.0, t * (power * cost));
    at->v[i] = VM_SELECT(t == 0.0, 0.0, t * (power + power * spread));
}

__attribute__((noinline)) static void focal_squared(struct terms_group *at, size_t n, const double *k)
{
    const double gamma = k[0];
    for (size_t i = 0; i < n; i++) {
        focal(at, i, at->q[i] * at->q[i], gamma);
    }
}

__attribute__((noinline)) static void focal_of(struct terms_group *at, size_t n, const double *k)
{
    const double gamma = k[0];
    for (size_t i = 0; i < n; i++) {
        focal(at, i, vm_pow(at->q[i], gamma), gamma);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    const struct loss_param_value *p = b->param;
    struct terms terms = {
        .rule = p[GAMMA].number == 2.0 ? focal_squared : focal_of,
        .k = &p[GAMMA].number,
        .keep = 1.0 - p[SMOOTHING].number,
        .add = p[SMOOTHING].number / (double)b->c,
        .weights = &p[ALPHA],
    };
    softmax_terms(b, &terms, wide);
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(categorical_focal) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(categorical_focal) = {
    .name = "categorical_focal",
    .summary = "Cross-entropy of exclusive classes from logits, with easy examples weighing less.",
    .formula = "p = softmax(logits); y = labels*(1 - label_smoothing) + label_smoothing/classes; "
               "-sum over classes of alpha*y*(1 - p)^gamma*log(p)",
    .source = "keras.losses.categorical_focal_crossentropy; Lin et al. 2017",
    .edges = "alpha multiplies every class. 1 - p keeps its digits however easy an example is. gamma 0 is the "
             "cross-entropy.",
    .elsewhere = "keras.losses.CategoricalFocalCrossentropy(from_logits=True): sum_over_batch_size; it clips "
                 "probabilities to [1e-7, 1 - 1e-7] even so.",
    .example = "{\"labels\": [[1, 0, 0], [0, 0, 1]], \"logits\": [[2, 1, 0.5], [1, 3, 2]]}",
    .inputs = {LOSS__CLASS_DISTRIBUTION, LOSS__SOFTMAX_LOGITS},
    .params = {{.name = "alpha",
                .doc = "Weight of all classes, or of each.",
                .type = LOSS_NUMBER_OR_VECTOR,
                .fallback = 0.25,
                .min = 0,
                .max = INFINITY,
                .below_max = true},
               {.name = "gamma",
                .doc = "How much less easy examples weigh.",
                .type = LOSS_NUMBER,
                .fallback = 2,
                .min = 0,
                .max = INFINITY,
                .below_max = true},
               LOSS__CLASS_SMOOTHING_PARAM},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
