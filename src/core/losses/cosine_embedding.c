/* SPDX-License-Identifier: Apache-2.0
 *
 * cosine_embedding.c - pairs of vectors that should point the same way, or not.
 *
 *   L = 1 - c where y = 1, max(0, c - margin) where y = -1;   c and its derivatives: cosine.h
 *
 * Shapes  x1 and x2 alike [..., c]; y and L without the last axis
 * Edges   y other than 1 and -1 is refused; a vector of length 0 has c = 0 and a gradient of 0; at the kink the
 *         gradient is 0; NaN in, NaN out
 * Source  values agree with torch.nn.functional.cosine_embedding_loss but for the 1e-12 that it adds to squared lengths
 */
#include "losses/cosine.h"

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        size_t first = r * b->c;
        struct cosine cosine =
            cosine_of(row_from(b->in[0], first, wide), row_from(b->in[1], first, wide), b->c, b->param[1].number, wide);
        bool alike = kernel_load(b->in[2], r, wide) > 0;
        double over = cosine.c - b->param[0].number;
        double active = over > 0 || over != over ? 1.0 : 0.0, sign = alike ? -1.0 : active;
        b->loss[r] = alike ? cosine_complement(&cosine, b->c, wide) : active == 0 ? 0.0 : over;
        for (int i = 0; i < 2; i++) {
            void *grad = b->grad[i] == NULL ? NULL : row_place(b->grad[i], first, wide);
            const struct cosine_side *side = i == 0 ? &cosine.a : &cosine.b, *other = i == 0 ? &cosine.b : &cosine.a;
            cosine_gradient(side, other, cosine.c, grad == NULL ? 0 : sign * b->g[r], b->c, grad, wide);
        }
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(cosine_embedding) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(cosine_embedding) = {
    .name = "cosine_embedding",
    .summary = "Pairs of vectors that should point the same way, or not.",
    .formula = "1 - c where labels = 1, max(0, c - margin) where -1, c the cosine of the angle between x1 and x2",
    .source = "torch.nn.functional.cosine_embedding_loss",
    .edges = "Labels other than -1 and 1 are refused. A zero vector has similarity 0 and gradient 0. At the kink the "
             "gradient is 0. Vectors that nearly agree keep their digits.",
    .elsewhere = "torch cosine_embedding_loss(margin): equal, with reduction mean, but that torch adds 1e-12 to the "
                 "squared norms.",
    .example = "{\"x1\": [[3, 4], [1, 0]], \"x2\": [[4, 3], [1, 1]], \"labels\": [1, -1], \"margin\": 0.5}",
    .aliases = (const struct loss_alias[]){{"cosine_embedding_loss", {{0}}}, {0}},
    .inputs = LOSS__PAIRS_AND_LABELS("1 where the two should point the same way, -1 where not.", LOSS_SIGN),
    .params = {{.name = "margin",
                .doc = "The cosine that vectors which should differ may have.",
                .type = LOSS_NUMBER,
                .fallback = 0,
                .min = -1,
                .max = 1},
               LOSS__COSINE_EPSILON(1e-8)},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
