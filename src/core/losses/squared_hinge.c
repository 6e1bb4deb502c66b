/* SPDX-License-Identifier: Apache-2.0
 *
 * squared_hinge.c - the square of how far a score is from being right by a margin.
 *
 *   u = sign of the label (encoding.h);   m = margin - u*z;   L = max(m, 0)^2;   dL/dz = -2 u max(m, 0)
 *
 * Shapes  y and z alike, any rank; L has their shape
 * Edges   with label_encoding "auto" a label other than -1, 0 and 1 is refused; NaN in, NaN out
 * Source  values agree with keras.losses.squared_hinge before its mean, for labels all 0 and 1 or all -1 and 1
 */
#include "losses/encoding.h"

VM_INLINE struct point point(double y, double z, const double *k, int encoding, bool wide)
{
    double u_error, u = encoding_sign(y, encoding, &u_error),
                    m = encoding_shortfall(k[1], u, u_error, z, encoding, wide);
    double over = VM_SELECT(m > 0.0, m, VM_SELECT(m == m, 0.0, m)); /* beyond the margin: 0, but a NaN stays */
    return (struct point){.loss = over * over, .dp = VM_SELECT(over == 0.0, 0.0, -2.0 * u * over)};
}

LOSS__ENCODED(squared_hinge, point);

LOSS__DESCRIPTOR(squared_hinge) = {
    .name = "squared_hinge",
    .summary = "Squared distance of a score from being right by a margin.",
    .formula = "max(0, margin - sign*logits)^2, where sign is -1 or 1 as labels say",
    .source = "keras.losses.squared_hinge",
    .edges = "What labels may be is the choice of label_encoding; auto takes each label by itself.",
    .elsewhere = "keras.losses.squared_hinge: equal for labels that are all 0 and 1 or all -1 and 1, then a mean over "
                 "the last axis.",
    .example = "{\"labels\": [1, 0, 1], \"logits\": [0.5, 0.25, 2]}",
    .inputs = LOSS__ENCODED_INPUTS(false),
    .params = {LOSS__ENCODING_PARAM(ENCODING_AUTO),
               {.name = "margin", .doc = "By how much a score should be right.", .type = LOSS_NUMBER, .fallback = 1}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
