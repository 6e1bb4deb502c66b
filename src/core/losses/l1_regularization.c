/* SPDX-License-Identifier: Apache-2.0
 *
 * l1_regularization.c - the sum of absolute values of a whole tensor.
 *
 *   L = scale * sum |v|;   dL/dv = scale * sign(v), 0 at 0
 *
 * Shapes  v any; L is a scalar
 * Edges   an empty tensor gives 0; NaN in, NaN out
 * Source  tf.contrib.layers.l1_regularizer (TensorFlow 1.15)
 */
#include "kernel.h"

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t i = 0; i < b->n; i++) {
        double v = kernel_load(b->in[0], i, wide);
        b->loss[i] = vm_abs(v);
    }
    if (b->grad[0] == NULL) {
        return;
    }
    double scale = b->param[0].number;
    for (size_t i = 0; i < b->n; i++) {
        double v = kernel_load(b->in[0], i, wide);
        double slope = VM_SELECT(v > 0.0, 1.0, VM_SELECT(v < 0.0, -1.0, v - v));
        kernel_store(b->grad[0], i, kernel_chain(b->g[i], scale * slope), wide);
    }
}

static double finish(const struct loss_param_value *param, const struct loss_sum *terms)
{
    return param[0].number * (loss_sum_round(terms));
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(l1_regularization) = {.f32 = f32, .f64 = f64, .finish = finish};

LOSS__DESCRIPTOR(l1_regularization) = {
    .name = "l1_regularization",
    .summary = "Sum of absolute values, scaled.",
    .formula = "scale * sum(|values|)",
    .source = "tf.contrib.layers.l1_regularizer (TensorFlow 1.15)",
    .edges = "The gradient at 0 is 0. Of no values the loss is 0.",
    .elsewhere = "keras.regularizers.L1(l1): scale = l1.",
    .example = "{\"values\": [[0.5, -1], [2, 0]], \"scale\": 0.01}",
    .aliases = (const struct loss_alias[]){{"l1_regularizer", {{0}}}, {0}},
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
