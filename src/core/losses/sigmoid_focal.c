/* SPDX-License-Identifier: Apache-2.0
 *
 * sigmoid_focal.c - cross-entropy of independent classes, with easy examples weighing less.
 *
 *   q = y(1 - s) + s/2, s = label_smoothing;   C = q softplus(-z) + (1 - q) softplus(z)
 *   m = q sigma(-z) + (1 - q) sigma(z), what is missing to being right;   a = alpha q + (1 - alpha)(1 - q), or 1
 *   L = a m^gamma C
 *   dL/dz = a m^gamma (sigma(z) - q + gamma (1 - 2q) sigma(z) sigma(-z) C/m)
 *
 * Shapes  y and z alike, any rank; L has their shape
 * Edges   gamma 0 is sigmoid_cross_entropy; m keeps its digits on easy examples; an infinite logit gives NaN
 * Source  Lin et al. 2017; values agree with torchvision.ops.sigmoid_focal_loss with alpha 0.25, with optax without
 */
#include "sigmoid.h"

VM_INLINE struct point point(double y, double z, const double *k, bool wide)
{
    double alpha = k[0], gamma = k[1];
    struct point cross_entropy = sigmoid_point(y, z, k[2], wide);
    double q = y * (1.0 - k[2]) + 0.5 * k[2], not_q = (1.0 - y) * (1.0 - k[2]) + 0.5 * k[2];
    double not_sigma, sigma = vm_sigmoid(z, &not_sigma), m = q * not_sigma + not_q * sigma;
    double share = VM_SELECT(m == 0.0, 0.0, sigma * not_sigma / m);
    double a = VM_SELECT(alpha < 0.0, 1.0, alpha * q + (1.0 - alpha) * not_q) * vm_pow(m, gamma);
    return (struct point){
        .loss = a * cross_entropy.loss,
        .dp = a * (cross_entropy.dp + gamma * (not_q - q) * share * cross_entropy.loss),
    };
}

LOSS__ELEMENTWISE(sigmoid_focal, point);

LOSS__DESCRIPTOR(sigmoid_focal) = {
    .name = "sigmoid_focal",
    .summary = "Cross-entropy of independent classes from logits, with easy examples weighing less.",
    .formula = "y = labels*(1 - label_smoothing) + label_smoothing/2; m = y*sigmoid(-logits) + (1 - "
               "y)*sigmoid(logits); (alpha*y + (1 - alpha)*(1 - y))*m^gamma*cross entropy",
    .source = "torchvision.ops.sigmoid_focal_loss; optax.sigmoid_focal_loss; Lin et al. 2017",
    .edges = "With gamma 0 it is the sigmoid cross-entropy. Probabilities are not clipped, so easy examples keep their "
             "digits.",
    .elsewhere =
        "torchvision.ops.sigmoid_focal_loss: that name (alpha 0.25). optax.sigmoid_focal_loss: as it is, with "
        "reduction none. Keras BinaryFocalCrossentropy(from_logits=True) clips probabilities to [1e-7, 1 - 1e-7].",
    .example = "{\"labels\": [1, 0, 1], \"logits\": [2, -1, 0.5]}",
    .aliases = (const struct loss_alias[]){{"binary_focal", {{0}}}, {"sigmoid_focal_loss", {{"alpha", 0.25}}}, {0}},
    .inputs = {{LOSS__LABELS, .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES)},
               {LOSS__LOGITS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,
                .differentiable = true}},
    .params = {{.name = "alpha",
                .doc = "Weight of positives, 1 less it that of negatives; left out, both weigh 1.",
                .type = LOSS_NUMBER,
                .fallback = -1,
                .optional = true,
                .min = 0,
                .max = 1},
               {.name = "gamma",
                .doc = "How much less easy examples weigh.",
                .type = LOSS_NUMBER,
                .fallback = 2,
                .min = 0,
                .max = INFINITY,
                .below_max = true},
               {.name = "label_smoothing",
                .doc = "How far labels are drawn towards one half.",
                .type = LOSS_NUMBER,
                .fallback = 0,
                .min = 0,
                .max = 1}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
