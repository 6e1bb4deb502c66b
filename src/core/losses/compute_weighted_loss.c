/* SPDX-License-Identifier: Apache-2.0
 *
 * compute_weighted_loss.c - losses that somebody else computed, weighted and reduced.
 *
 *   L = v;   dL/dv = 1
 *
 * Shapes  any; L has the shape of v
 * Source  values agree with tf.compat.v1.losses.compute_weighted_loss
 */
#include "kernel.h"

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t i = 0; i < b->n; i++) {
        b->loss[i] = kernel_load(b->in[0], i, wide);
    }
    if (b->grad[0] == NULL) {
        return;
    }
    for (size_t i = 0; i < b->n; i++) {
        kernel_store(b->grad[0], i, b->g[i], wide);
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(compute_weighted_loss) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(compute_weighted_loss) = {
    .name = "compute_weighted_loss",
    .summary = "Weights and reduces given losses.",
    .formula = "values",
    .source = "tf.compat.v1.losses.compute_weighted_loss",
    .edges = "What is not finite stays so, also at weight 0, unless weights_mask is true.",
    .elsewhere =
        "tf.compat.v1.losses.compute_weighted_loss: equal. A critic's Wasserstein loss is this of -labels*predictions.",
    .example = "{\"values\": [0.5, 1.5, 2], \"weights\": [1, 0, 1]}",
    .inputs = {{.name = "values",
                .doc = "Losses, of any shape.",
                .aliases = LOSS__WORDS("input"),
                .extent = LOSS_FREE,
                .main = true,
                .differentiable = true}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 1,
};
