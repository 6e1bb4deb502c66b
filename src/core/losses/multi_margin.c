/* SPDX-License-Identifier: Apache-2.0
 *
 * multi_margin.c - by how much the true class' score is not above each of the others by a margin, on average.
 *
 *   t_k = max(0, margin - z_y + z_k);   L = w_y/c sum over k != y of t_k^p, p = 1 or 2;   w = class_weights, or 1
 *   dL/dz_k = w_y/c p t_k^(p-1), 0 where t_k = 0;   dL/dz_y = -their sum
 *
 * Shapes  z [..., c], y [...] of class indices; L has the shape of y
 * Edges   at the kink the gradient is 0; NaN in, NaN out
 * Source  values agree with torch.nn.functional.multi_margin_loss, whose mean is `sum_over_batch_size`
 */
#include <string.h>

#include "lanes.h"
#include "losses/classes.h"

/* margin - z_y + z_k where positive, else 0; a NaN stays */
VM_INLINE double shortfall(double z, double own, double margin)
{
    double t = margin + (z - own);
    return VM_SELECT(t <= 0.0, 0.0, t);
}

/* dt^p/dt */
VM_INLINE double slope_of(double t, bool squared)
{
    return squared ? 2.0 * t : VM_SELECT(t > 0.0, 1.0, t);
}

VM_INLINE void row(const struct loss__block *b, size_t r, size_t label, bool squared, bool wide)
{
    const size_t c = b->c;
    const void *z = row_from(b->in[1], r * c, wide);
    const double own = kernel_load(z, label, wide), margin = b->param[CLASS_PARAMS + 1].number;
    const double factor = class_weight(&b->param[CLASS_WEIGHTS], label) / (double)c;
    void *grad = b->grad[1] == NULL ? NULL : row_place(b->grad[1], r * c, wide);
    struct lanes terms = lanes_of(0.0), slopes = lanes_of(0.0);
    double t[ROW_CHUNK];
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = row_chunk(c, first);
        lanes_load(z, first, n, -(double)INFINITY, t, wide);
        if (label >= first && label < first + n) {
            t[label - first] = own == own ? -(double)INFINITY : own;
        }
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                double at = shortfall(t[i + l], own, margin), slope = slope_of(at, squared);
                terms.at[l] += squared ? at * at : at;
                slopes.at[l] += slope;
                t[i + l] = slope;
            }
        }
        for (size_t i = 0; grad != NULL && i < n; i++) {
            kernel_store(grad, first + i, kernel_chain(b->g[r], factor * t[i]), wide);
        }
    }
    b->loss[r] = factor * lanes_sum(terms);
    if (grad != NULL) {
        kernel_store(grad, label, kernel_chain(b->g[r], 0.0 - factor * lanes_sum(slopes)), wide);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    const int64_t *labels = b->in[0];
    for (size_t r = 0; r < b->n; r++) {
        if (labels[r] < 0) {
            b->loss[r] = 0;
            if (b->grad[1] != NULL) {
                memset(row_place(b->grad[1], r * b->c, wide), 0, b->c * (wide ? sizeof(double) : sizeof(float)));
            }
        } else if (b->param[CLASS_PARAMS].number == 2) {
            row(b, r, (size_t)labels[r], true, wide);
        } else {
            row(b, r, (size_t)labels[r], false, wide);
        }
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(multi_margin) = {.f32 = f32, .f64 = f64, LOSS__CLASS_FACTORS};

LOSS__DESCRIPTOR(multi_margin) = {
    .name = "multi_margin",
    .summary = "By how much the true class' score is not above each of the others by a margin, on average.",
    .formula = "class_weights[labels]/classes * sum over other classes of max(0, margin - logits[labels] + logits)^p",
    .source = "torch.nn.functional.multi_margin_loss",
    .edges = "At the kink the gradient is 0. p other than 1 and 2 is refused.",
    .elsewhere = "torch multi_margin_loss(p, margin, weight): equal with class_weights = weight; its mean divides by "
                 "the batch even with weights, which is sum_over_batch_size.",
    .example = "{\"labels\": [1, 0], \"logits\": [[0.5, 2, 1.5], [0, 0.25, -1]]}",
    .aliases = (const struct loss_alias[]){{"multi_margin_loss", {{0}}}, {0}},
    .inputs = {LOSS__CLASS_LABELS,
               {LOSS__LOGITS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,
                .differentiable = true}},
    .params =
        {LOSS__CLASS_PARAMS,
         {.name = "p", .doc = "Power of each term: 1 or 2.", .type = LOSS_INTEGER, .fallback = 1, .min = 1, .max = 2},
         {.name = "margin",
          .doc = "By how much a score should be above the others.",
          .type = LOSS_NUMBER,
          .fallback = 1}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
