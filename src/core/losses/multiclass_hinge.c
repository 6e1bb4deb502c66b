/* SPDX-License-Identifier: Apache-2.0
 *
 * multiclass_hinge.c - by how much the true class' score is not above the best other by a margin.
 *
 *   L = w_y max(0, margin + max over k != y of z_k - z_y);   w = class_weights, or 1
 *   dL/dz = w_y at the first best k, -w_y at y where L > 0, else 0
 *
 * Shapes  z [..., c], y [...] of class indices; L has the shape of y
 * Edges   one class: 0; at the kink the gradient is 0; NaN in, NaN out
 * Source  Crammer and Singer 2001; values agree with optax.losses.multiclass_hinge_loss
 */
#include <string.h>

#include "losses/classes.h"
#include "losses/largest.h"

/* The largest score but that of the label. */
VM_INLINE double best_rival(const void *z, size_t c, size_t label, bool wide)
{
    struct largest largest = largest_begin();
    double score[ROW_CHUNK];
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = row_chunk(c, first);
        lanes_load(z, first, n, -(double)INFINITY, score, wide);
        if (label >= first && label < first + n) {
            score[label - first] = -(double)INFINITY;
        }
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                largest_add(&largest, l, score[i + l]);
            }
        }
    }
    return largest_end(&largest);
}

VM_INLINE void gradient(const struct loss__block *b, size_t r, size_t label, double best, double slope, bool wide)
{
    const size_t c = b->c;
    void *grad = row_place(b->grad[1], r * c, wide);
    memset(grad, 0, c * (wide ? sizeof(double) : sizeof(float)));
    if (slope == 0) {
        return;
    }
    double down = kernel_chain(b->g[r], slope);
    size_t k = 0;
    while (k < c && (k == label || kernel_load(b->in[1], r * c + k, wide) != best)) {
        k++;
    }
    kernel_store(grad, label, 0.0 - down, wide);
    if (k < c) {
        kernel_store(grad, k, down, wide);
    }
}

VM_INLINE void row(const struct loss__block *b, size_t r, bool wide)
{
    const int64_t *labels = b->in[0];
    const void *z = row_from(b->in[1], r * b->c, wide);
    double over = 0, best = 0, w = 0;
    if (labels[r] >= 0 && b->c > 1) {
        double lost, difference;
        w = class_weight(&b->param[CLASS_WEIGHTS], (size_t)labels[r]);
        best = best_rival(z, b->c, (size_t)labels[r], wide);
        difference = vm_two_diff(best, kernel_load(z, (size_t)labels[r], wide), &lost);
        over = (b->param[CLASS_PARAMS].number + difference) + VM_SELECT(lost - lost == 0.0, lost, 0.0);
    }
    bool active = over > 0 || over != over;
    b->loss[r] = active ? w * over : 0.0;
    if (b->grad[1] != NULL) {
        double slope = over == over ? w : over;
        gradient(b, r, labels[r] < 0 ? 0 : (size_t)labels[r], best, active ? slope : 0.0, wide);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        row(b, r, wide);
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(multiclass_hinge) = {.f32 = f32, .f64 = f64, LOSS__CLASS_FACTORS};

LOSS__DESCRIPTOR(multiclass_hinge) = {
    .name = "multiclass_hinge",
    .summary = "By how much the true class' score is not above the best other by a margin.",
    .formula = "class_weights[labels]*max(0, margin + max over other classes of logits - logits[labels])",
    .source = "Crammer and Singer 2001; optax.losses.multiclass_hinge_loss",
    .edges = "One class gives 0. At the kink the gradient is 0. Of equal best rivals the first has the gradient.",
    .elsewhere = "optax.losses.multiclass_hinge_loss: equal. keras.losses.CategoricalHinge differs: its maximum is 0 "
                 "at least, which is categorical_hinge.",
    .example = "{\"labels\": [1, 0], \"logits\": [[0.5, 2, 1.5], [0, 0.25, -1]]}",
    .aliases = (const struct loss_alias[]){{"crammer_singer", {{0}}}, {"multiclass_hinge_loss", {{0}}}, {0}},
    .inputs = {LOSS__CLASS_LABELS,
               {LOSS__LOGITS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,
                .differentiable = true}},
    .params = {LOSS__CLASS_PARAMS,
               {.name = "margin",
                .doc = "By how much a score should be above the others.",
                .type = LOSS_NUMBER,
                .fallback = 1}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
