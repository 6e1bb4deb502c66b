/* SPDX-License-Identifier: Apache-2.0
 *
 * hinge_loss.c - how far a score is from being right by a margin of 1.
 *
 *   u = 2y - 1;   m = 1 - u*z;   L = max(m, 0)
 *   dL/dz = -u where m > 0, else 0;   dL/dy = -2z where m > 0, else 0
 *
 * Shapes  y and z alike, any rank; L has their shape
 * Edges   labels are meant to be 0 or 1 but, as in TensorFlow, not checked; at the kink the gradient is 0
 * Source  values agree with tf.compat.v1.losses.hinge_loss
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double z, const double *k, bool wide)
{
    (void)k;
    (void)wide;
    /* 1 - u*z cancels near the kink, so what u and the product lost in rounding is carried along. Where the product's
     * error cannot be had (|z| beyond 2^996) it does not matter either. */
    double u_error, product_error, u = vm_two_sum(2 * y, -1.0, &u_error);
    double product = vm_two_prod(u, z, &product_error);
    double error = product_error + u_error * z;
    error = VM_SELECT(error - error == 0.0, error, 0.0);
    double m = (1.0 - product) - error;
    double outside = VM_SELECT(m == m, 0.0, m); /* beyond the margin: 0, but a NaN stays */
    return (struct point){
        .loss = VM_SELECT(m > 0.0, m, outside),
        .dp = VM_SELECT(m > 0.0, -u, outside),
        .dy = VM_SELECT(m > 0.0, -2 * z, outside),
    };
}

LOSS__ELEMENTWISE(hinge_loss, point);

LOSS__DESCRIPTOR(hinge_loss) = {
    .name = "hinge_loss",
    .summary = "How far a score is from being right by a margin of 1; labels are 0 or 1.",
    .formula = "max(0, 1 - (2*labels - 1)*logits)",
    .source = "tf.compat.v1.losses.hinge_loss",
    .example = "{\"labels\": [1, 0, 1], \"logits\": [0.5, 0.25, 2]}",
    .inputs = {{LOSS__LABELS, .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES), .differentiable = true},
               {LOSS__LOGITS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,
                .differentiable = true}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
