/* SPDX-License-Identifier: Apache-2.0
 *
 * cosine_similarity.c - how little the directions of two vectors differ, from -1 for alike to 1 for opposite.
 *
 *   L = -c, the cosine of the angle between labels and predictions (cosine.h), with its derivatives
 *
 * Shapes  y and p alike; L has their shape without `axis`
 * Edges   a vector of length 0 has L = 0 and a gradient of 0; lengths below epsilon count as epsilon; NaN in, NaN out
 * Source  values agree with keras.losses.cosine_similarity
 */
#include "losses/cosine.h"

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        size_t first = r * b->c;
        struct cosine cosine =
            cosine_of(row_from(b->in[0], first, wide), row_from(b->in[1], first, wide), b->c, b->param[1].number, wide);
        b->loss[r] = 0.0 - cosine.c;
        for (int i = 0; i < 2; i++) {
            void *grad = b->grad[i] == NULL ? NULL : row_place(b->grad[i], first, wide);
            const struct cosine_side *side = i == 0 ? &cosine.a : &cosine.b, *other = i == 0 ? &cosine.b : &cosine.a;
            cosine_gradient(side, other, cosine.c, grad == NULL ? 0 : -b->g[r], b->c, grad, wide);
        }
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(cosine_similarity) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(cosine_similarity) = {
    .name = "cosine_similarity",
    .summary = "Cosine of the angle between labels and predictions, with the sign turned: -1 for alike.",
    .formula = "-sum(labels*predictions)/(max(|labels|, epsilon)*max(|predictions|, epsilon)), sums over axis",
    .source = "keras.losses.cosine_similarity",
    .edges = "A zero vector has similarity 0 and gradient 0. A norm of epsilon or less counts as epsilon.",
    .elsewhere = "keras.losses.cosine_similarity: equal, also in sign. torch cosine_similarity: minus this, epsilon "
                 "1e-8. optax.cosine_distance: cosine_distance with normalize.",
    .example = "{\"labels\": [[3, 4], [1, 0]], \"predictions\": [[4, 3], [0, 1]]}",
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .params = {{.name = "axis",
                .doc = "The axis of the vectors' components.",
                .aliases = LOSS__WORDS("dim"),
                .type = LOSS_AXIS,
                .fallback = -1},
               LOSS__COSINE_EPSILON(1e-7)},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
