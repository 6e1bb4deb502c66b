/* SPDX-License-Identifier: Apache-2.0
 *
 * hinge_embedding.c - distances that should be small for a pair that is alike and large for one that is not.
 *
 *   L = d where y = 1, max(0, margin - d) where y = -1
 *   dL/dd = 1 where y = 1, -1 where y = -1 and d < margin, else 0
 *
 * Shapes  y and d alike, any rank; L has their shape
 * Edges   at the kink the gradient is 0; other labels are refused; NaN in, NaN out
 * Source  values agree with torch.nn.functional.hinge_embedding_loss
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double d, const double *k, bool wide)
{
    (void)wide;
    double m = k[0] - d, outside = VM_SELECT(m == m, 0.0, m), alike = VM_MASK(y > 0.0);
    return (struct point){
        .loss = vm_blend(alike, d, VM_SELECT(m > 0.0, m, outside)),
        .dp = vm_blend(alike, 1.0 + outside, VM_SELECT(m > 0.0, -1.0, outside)),
    };
}

LOSS__ELEMENTWISE(hinge_embedding, point);

LOSS__DESCRIPTOR(hinge_embedding) = {
    .name = "hinge_embedding",
    .summary = "Distances that should be small for pairs that are alike and large for others.",
    .formula = "distances where labels = 1, max(0, margin - distances) where labels = -1",
    .source = "torch.nn.functional.hinge_embedding_loss",
    .edges = "Labels other than -1 and 1 are refused. At the kink the gradient is 0.",
    .elsewhere = "torch hinge_embedding_loss: equal, with reduction mean.",
    .example = "{\"labels\": [1, -1, -1], \"distances\": [0.5, 0.25, 2]}",
    .aliases = (const struct loss_alias[]){{"hinge_embedding_loss", {{0}}}, {0}},
    .inputs = {{.name = "labels",
                .doc = "1 for a pair that is alike, -1 for one that is not.",
                .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES),
                .domain = LOSS_SIGN},
               {.name = "distances",
                .doc = "How far the two of a pair are apart.",
                .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES),
                .extent = LOSS_FREE,
                .main = true,
                .differentiable = true}},
    .params = {{.name = "margin",
                .doc = "How far apart a pair that is not alike should be.",
                .type = LOSS_NUMBER,
                .fallback = 1}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
