/* SPDX-License-Identifier: Apache-2.0
 *
 * multilabel_soft_margin.c - the mean over independent classes of their cross-entropy.
 *
 *   L = 1/c sum_k w_k (y_k softplus(-z_k) + (1 - y_k) softplus(z_k));   dL/dz_k = w_k (sigma(z_k) - y_k)/c
 *
 * Shapes  y and z alike [..., c]; L without the last axis; class_weights [c]
 * Edges   labels may be soft; a row without classes: 0; NaN in, NaN out
 * Source  values agree with torch.nn.functional.multilabel_soft_margin_loss
 */
#include "lanes.h"
#include "losses/sigmoid.h"

/* w_k/c, padded with 0 */
VM_INLINE void class_factors(const struct loss__block *b, size_t first, size_t n, double *w, bool wide)
{
    const void *weights = b->param[0].vector.data;
    for (size_t i = 0; i < lanes_padded(n); i++) {
        w[i] = i >= n ? 0.0 : weights == NULL ? 1.0 : kernel_load(weights, first + i, wide);
    }
}

VM_INLINE void row(const struct loss__block *b, size_t r, bool wide)
{
    const size_t c = b->c;
    const void *y = row_from(b->in[0], r * c, wide), *z = row_from(b->in[1], r * c, wide);
    double w[ROW_CHUNK], label[ROW_CHUNK], logit[ROW_CHUNK];
    struct lanes sum = lanes_of(0.0);
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = row_chunk(c, first);
        class_factors(b, first, n, w, wide);
        lanes_load(y, first, n, 0.0, label, wide);
        lanes_load(z, first, n, 0.0, logit, wide);
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                struct point at = sigmoid_point(label[i + l], logit[i + l], 0.0, wide);
                sum.at[l] += w[i + l] * at.loss; /* NOLINT(clang-analyzer-core*): so is w up to whole lanes */
                logit[i + l] = w[i + l] * at.dp;
            }
        }
        for (size_t i = 0; b->grad[1] != NULL && i < n; i++) {
            kernel_store(b->grad[1], r * c + first + i, kernel_chain(b->g[r], logit[i] / (double)c), wide);
        }
    }
    b->loss[r] = c == 0 ? 0.0 : lanes_sum(sum) / (double)c;
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        row(b, r, wide);
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(multilabel_soft_margin) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(multilabel_soft_margin) = {
    .name = "multilabel_soft_margin",
    .summary = "Mean over independent classes of their cross-entropy, from logits.",
    .formula = "mean over classes of class_weights*(log(1 + exp(logits)) - labels*logits)",
    .source = "torch.nn.functional.multilabel_soft_margin_loss",
    .edges = "Labels may be soft. Confident logits keep their digits.",
    .elsewhere = "torch multilabel_soft_margin_loss(weight): class_weights, reduction mean.",
    .example = "{\"labels\": [[1, 0, 1], [0, 0, 1]], \"logits\": [[2, -1, 0.5], [0, -3, 1]]}",
    .aliases = (const struct loss_alias[]){{"multilabel_soft_margin_loss", {{0}}}, {0}},
    .inputs = {{LOSS__LABELS, .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES)},
               {LOSS__LOGITS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,
                .differentiable = true}},
    .params = {{.name = "class_weights",
                .doc = "A factor for each class.",
                .type = LOSS_VECTOR,
                .optional = true,
                .min = 0,
                .max = INFINITY,
                .below_max = true}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
