/* SPDX-License-Identifier: Apache-2.0
 *
 * categorical_hinge.c - by how much the true class' score is not above the largest of the others by a margin.
 *
 *   L = max(0, margin + max_k (1 - y_k) p_k - sum y p)
 *   dL/dp = (1 - y_k at the first k that is largest) - y where L > 0, else 0
 *
 * Shapes  y and p alike [..., c]; L without the last axis
 * Edges   the maximum is over all classes, so for a row of one 1 it is 0 at least; at the kink the gradient is 0; NaN
 *         in, NaN out
 * Source  values agree with keras.losses.categorical_hinge
 */
#include "losses/largest.h"

VM_INLINE double rival(const void *y, const void *p, size_t k, bool wide)
{
    return (1.0 - kernel_load(y, k, wide)) * kernel_load(p, k, wide);
}

VM_INLINE void row(const struct loss__block *b, size_t r, bool wide)
{
    const size_t c = b->c;
    const void *y = row_from(b->in[0], r * c, wide), *p = row_from(b->in[1], r * c, wide);
    struct largest largest = largest_begin();
    struct lanes high = lanes_of(0.0), low = lanes_of(0.0);
    double label[ROW_CHUNK], score[ROW_CHUNK];
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = row_chunk(c, first);
        lanes_load(y, first, n, 1.0, label, wide);
        lanes_load(p, first, n, 0.0, score, wide);
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                lanes_add_product(label[i + l], score[i + l], &high.at[l], &low.at[l], wide);
                double x = (1.0 - label[i + l]) * score[i + l];
                largest_add(&largest, l, i + l < n ? x : -(double)INFINITY);
            }
        }
    }
    double most = largest_end(&largest), own = lanes_sum_from(0.0, high, low);
    double over = c == 0 ? 0.0 : b->param[0].number + (most - own);
    bool active = over > 0 || over != over;
    b->loss[r] = active ? over : 0.0;
    if (b->grad[1] == NULL) {
        return;
    }
    void *grad = row_place(b->grad[1], r * c, wide);
    const double g = b->g[r], bad = over == over ? 0.0 : over; /* NaN everywhere where the loss is */
    bool found = false;
    for (size_t k = 0; k < c; k++) {
        double is_label = kernel_load(y, k, wide), of_rival = 0;
        if (!found && rival(y, p, k, wide) == most) {
            of_rival = 1.0 - is_label;
            found = true;
        }
        kernel_store(grad, k, kernel_chain(g, active ? (of_rival - is_label) + bad : 0.0), wide);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        row(b, r, wide);
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(categorical_hinge) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(categorical_hinge) = {
    .name = "categorical_hinge",
    .summary = "By how much the true class' score is not above the largest other by a margin.",
    .formula = "max(0, margin + max over classes of (1 - labels)*predictions - sum(labels*predictions))",
    .source = "keras.losses.categorical_hinge",
    .edges = "The greatest wrong score is at least 0 for a one-hot row, as in Keras. Of equal scores the first one "
             "counts. At the kink the gradient is 0.",
    .elsewhere = "keras.losses.categorical_hinge: equal. The loss of Crammer and Singer is multiclass_hinge.",
    .example = "{\"labels\": [[0, 1, 0], [0, 0, 1]], \"predictions\": [[0.25, 0.5, 0.75], [0, 0.5, 2]]}",
    .inputs = LOSS__LABELS_AND_PREDICTIONS(false),
    .params = {{.name = "margin",
                .doc = "By how much a score should be above the others.",
                .type = LOSS_NUMBER,
                .fallback = 1}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
