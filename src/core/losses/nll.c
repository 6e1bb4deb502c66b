/* SPDX-License-Identifier: Apache-2.0
 *
 * nll.c - negative log-likelihood of the true class, from log-probabilities.
 *
 *   L = -w_y l_y;   dL/dl_k = -w_y at k = y, else 0;   w = class_weights, or 1
 *
 * Shapes  l [..., K], y [...] of class indices; L has the shape of y
 * Edges   l is not checked to be log-probabilities; only the label's is looked at
 * Source  values agree with torch.nn.functional.nll_loss, whose mean is `mean`, but that all ignored is 0
 */
#include <string.h>

#include "losses/classes.h"

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    const int64_t *labels = b->in[0];
    void *grad = b->grad[1];
    if (grad != NULL) {
        memset(grad, 0, b->n * b->c * (wide ? sizeof(double) : sizeof(float)));
    }
    for (size_t r = 0; r < b->n; r++) {
        if (labels[r] < 0) {
            b->loss[r] = 0;
            continue;
        }
        size_t at = r * b->c + (size_t)labels[r];
        double w = class_weight(&b->param[CLASS_WEIGHTS], (size_t)labels[r]), l = kernel_load(b->in[1], at, wide);
        b->loss[r] = VM_SELECT(w == 0.0, VM_SELECT(l == l, 0.0, l), -w * l);
        if (grad != NULL) {
            kernel_store(grad, at, kernel_chain(b->g[r], -w), wide);
        }
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(nll) = {.f32 = f32, .f64 = f64, LOSS__CLASS_FACTORS};

LOSS__DESCRIPTOR(nll) = {
    .name = "nll",
    .summary = "Negative log-likelihood of the true class, from log-probabilities.",
    .formula = "-class_weights[labels]*log_probabilities[labels]",
    .source = "torch.nn.functional.nll_loss",
    .edges = "Nothing checks that the inputs are log-probabilities. A label outside the classes is refused, but for "
             "ignore_index; ignored rows count for nothing.",
    .elsewhere =
        "torch nll_loss(weight, ignore_index): class_weights and ignore_index, reduction mean, classes on axis "
        "1 there.",
    .example = "{\"labels\": [2, 0], \"log_probabilities\": [[-2, -1.5, -0.5], [-0.25, -2, -3]]}",
    .aliases = (const struct loss_alias[]){{"nll_loss", {{0}}}, {0}},
    .inputs = {LOSS__CLASS_LABELS,
               {.name = "log_probabilities",
                .doc = "Logarithm of each class' probability.",
                .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES),
                .extent = LOSS_FREE,
                .main = true,
                .differentiable = true}},
    .params = {LOSS__CLASS_PARAMS},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
