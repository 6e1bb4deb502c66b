/* SPDX-License-Identifier: Apache-2.0
 *
 * soft_margin.c - cross-entropy of two classes from the score of one of them, labels as signs.
 *
 *   u = sign of the label (encoding.h);   L = softplus(-u*z);   dL/dz = -u sigma(-u*z)
 *
 * Shapes  y and z alike, any rank; L has their shape
 * Edges   with label_encoding "auto" a label other than -1, 0 and 1 is refused; NaN in, NaN out
 * Source  values agree with torch.nn.functional.soft_margin_loss
 */
#include "losses/encoding.h"

VM_INLINE struct point point(double y, double z, const double *k, int encoding, bool wide)
{
    (void)k;
    double u_error, u = encoding_sign(y, encoding, &u_error), wrong = -((u + u_error) * z);
    double not_sigma, tail, sigma = wide ? vm_sigmoid(wrong, &not_sigma) : vm_sigmoid_brief(wrong, &not_sigma, &tail);
    tail = wide ? vm_softplus_tail(vm_abs(wrong)) : tail;
    return (struct point){.loss = VM_SELECT(wrong > 0.0, wrong, 0.0) + tail, .dp = -(u + u_error) * sigma};
}

LOSS__ENCODED(soft_margin, point);

LOSS__DESCRIPTOR(soft_margin) = {
    .name = "soft_margin",
    .summary = "Cross-entropy of two classes from the score of one of them, labels as signs.",
    .formula = "log(1 + exp(-sign*logits)), where sign is -1 or 1 as labels say",
    .source = "torch.nn.functional.soft_margin_loss",
    .edges = "Confident logits keep their digits. What labels may be is the choice of label_encoding.",
    .elsewhere = "torch soft_margin_loss: labels -1 and 1, reduction mean.",
    .example = "{\"labels\": [1, -1, 1], \"logits\": [2, -1, 0.5]}",
    .aliases = (const struct loss_alias[]){{"soft_margin_loss", {{0}}}, {"logistic", {{0}}}, {0}},
    .inputs = LOSS__ENCODED_INPUTS(false),
    .params = {LOSS__ENCODING_PARAM(ENCODING_AUTO)},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
