/* SPDX-License-Identifier: Apache-2.0
 *
 * elastic_net_regularization.c - a mixture of the sum of magnitudes and half the sum of squares of a whole tensor.
 *
 *   L = scale (r sum |v| + (1 - r)/2 sum v^2);   dL/dv = scale (r sign(v) + (1 - r) v), sign(0) = 0
 *
 * Shapes  v any; L is a scalar
 * Edges   r = 1 is l1_regularization, r = 0 l2_regularization; an empty tensor gives 0; NaN in, NaN out
 * Source  the penalty of sklearn.linear_model.ElasticNet; Zou and Hastie 2005, J. R. Statist. Soc. B 67
 */
#include "kernel.h"

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    const double scale = b->param[0].number, of_l1 = b->param[1].number, of_l2 = 1.0 - of_l1;
    for (size_t i = 0; i < b->n; i++) {
        double v = kernel_load(b->in[0], i, wide);
        b->loss[i] = of_l1 * vm_abs(v) + 0.5 * of_l2 * v * v;
    }
    for (size_t i = 0; b->grad[0] != NULL && i < b->n; i++) {
        double v = kernel_load(b->in[0], i, wide);
        double sign = VM_SELECT(v > 0.0, 1.0, VM_SELECT(v < 0.0, -1.0, v));
        kernel_store(b->grad[0], i, kernel_chain(b->g[i], scale * (of_l1 * sign + of_l2 * v)), wide);
    }
}

static double finish(const struct loss_param_value *param, const struct loss_sum *terms)
{
    return param[0].number * loss_sum_round(terms);
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(elastic_net_regularization) = {.f32 = f32, .f64 = f64, .finish = finish};

LOSS__DESCRIPTOR(elastic_net_regularization) = {
    .name = "elastic_net_regularization",
    .summary = "Sum of magnitudes and half the sum of squares, mixed and scaled.",
    .formula = "scale*(l1_ratio*sum(|values|) + (1 - l1_ratio)/2*sum(values^2))",
    .source = "sklearn.linear_model.ElasticNet; Zou and Hastie 2005",
    .edges = "Of no values the loss is 0. The gradient of the absolute value at 0 is 0.",
    .elsewhere = "sklearn ElasticNet: scale alpha and l1_ratio. keras.regularizers.L1L2(l1, l2) has no half: "
                 "scale*l1_ratio is l1, scale*(1 - l1_ratio) is 2*l2.",
    .example = "{\"values\": [[0.5, -1], [2, 0]], \"scale\": 0.01, \"l1_ratio\": 0.25}",
    .aliases = (const struct loss_alias[]){{"elastic_net", {{0}}}, {0}},
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
                .below_max = true},
               {.name = "l1_ratio",
                .doc = "Share of the magnitudes; the squares have the rest.",
                .type = LOSS_NUMBER,
                .fallback = 0.5,
                .min = 0,
                .max = 1}},
    .kind = LOSS_WHOLE,
    .reduction = LOSS_REDUCE_SUM,
    .collection = "regularization_losses",
    .samples_meet = true,
    .ulp = 2,
};
