/* SPDX-License-Identifier: Apache-2.0
 *
 * l2_regularization.c - half the sum of squares of a whole tensor.
 *
 *   L = scale/2 * sum v^2;   dL/dv = scale * v
 *
 * Shapes  v any; L is a scalar
 * Edges   an empty tensor gives 0; NaN in, NaN out
 * Source  tf.contrib.layers.l2_regularizer (TensorFlow 1.15); with scale 1 tf.nn.l2_loss
 */
#include "kernel.h"

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t i = 0; i < b->n; i++) {
        double v = kernel_load(b->in[0], i, wide);
        b->loss[i] = v * v;
    }
    if (b->grad[0] == NULL) {
        return;
    }
    double scale = b->param[0].number;
    for (size_t i = 0; i < b->n; i++) {
        double v = kernel_load(b->in[0], i, wide);
        double slope = v;
        kernel_store(b->grad[0], i, kernel_chain(b->g[i], scale * slope), wide);
    }
}

static double finish(const struct loss_param_value *param, const struct loss_sum *terms)
{
    return param[0].number * (0.5 * loss_sum_round(terms));
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(l2_regularization) = {.f32 = f32, .f64 = f64, .finish = finish};

LOSS__DESCRIPTOR(l2_regularization) = {
    .name = "l2_regularization",
    .summary = "Half the sum of squares, scaled.",
    .formula = "scale/2 * sum(values^2)",
    .source = "tf.contrib.layers.l2_regularizer (TensorFlow 1.15); with scale 1 tf.nn.l2_loss",
    .edges = "Of no values the loss is 0.",
    .elsewhere = "tf.nn.l2_loss: scale 1. keras.regularizers.L2(l2) has no half: scale = 2*l2. torch weight_decay adds "
                 "the gradient of this with scale = weight_decay.",
    .example = "{\"values\": [[0.5, -1], [2, 0]], \"scale\": 0.01}",
    .aliases = (const struct loss_alias[]){{"l2_regularizer", {{0}}}, {"l2_loss", {{0}}}, {0}},
    .inputs = {{.name = "values",
                .doc = "The numbers to keep small, of any shape.",
                .aliases = LOSS__WORDS("input"),
                .extent = LOSS_FREE,
                .main = true,
                .differentiable = true}},
    .params = {{.name = "scale",
                .doc = "Factor of the whole.",
                .type = LOSS_NUMBER,
                .fallback = 1,
                .min = 0,
                .max = INFINITY,
                .below_max = true}},
    .kind = LOSS_WHOLE,
    .reduction = LOSS_REDUCE_SUM,
    .collection = "regularization_losses",
    .samples_meet = true,
    .ulp = 2,
};
