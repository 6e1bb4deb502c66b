/* SPDX-License-Identifier: Apache-2.0
 *
 * hinge_loss.c - how far a score is from being right by a margin.
 *
 *   u = sign of the label (encoding.h), by default 2y - 1;   m = margin - u*z;   L = max(m, 0)
 *   dL/dz = -u where m > 0, else 0;   dL/dy = -z du/dy where m > 0, else 0;   du/dy = 2, 1 or 0 by label_encoding
 *
 * Shapes  y and z alike, any rank; L has their shape
 * Edges   with label_encoding "zero_one" labels are meant to be 0 or 1 but, as in TensorFlow, not checked; at the kink
 *         the gradient is 0
 * Source  values agree with tf.compat.v1.losses.hinge_loss, with "plus_minus" with optax.losses.hinge_loss, with "auto"
 *         with keras.losses.hinge before its mean
 */
#include "losses/encoding.h"

VM_INLINE struct point hinge(double y, double z, const double *k, int encoding, bool wide)
{
    double u_error, u = encoding_sign(y, encoding, &u_error),
                    m = encoding_shortfall(k[1], u, u_error, z, encoding, wide);
    double of_label = encoding == ENCODING_ZERO_ONE || encoding == ENCODING_HARD ? 2
                      : encoding == ENCODING_PLUS_MINUS                          ? 1
                                                                                 : 0;
    return (struct point){
        .loss = VM_SELECT(m <= 0.0, 0.0, m), /* beyond the margin: 0, but a NaN stays */
        .dp = VM_SELECT(m <= 0.0, 0.0, VM_SELECT(m == m, -u, m)),
        .dy = VM_SELECT(m <= 0.0, 0.0, VM_SELECT(m == m, -of_label * z, m)),
    };
}

LOSS__ENCODED(hinge_loss, hinge);

LOSS__DESCRIPTOR(hinge_loss) = {
    .name = "hinge_loss",
    .summary = "How far a score is from being right by a margin; labels are 0 or 1.",
    .formula = "max(0, margin - sign*logits), where sign is 2*labels - 1, or as label_encoding says",
    .source = "tf.compat.v1.losses.hinge_loss; optax.losses.hinge_loss; keras.losses.hinge",
    .edges = "With zero_one labels are soft between 0 and 1, and -1 counts as -3, as in TensorFlow. At the kink the "
             "gradient is 0.",
    .elsewhere = "tf.compat.v1.losses.hinge_loss: equal. optax.hinge_loss: label_encoding plus_minus, reduction none. "
                 "keras.losses.hinge: label_encoding auto, then a mean over the last axis.",
    .example = "{\"labels\": [1, 0, 1], \"logits\": [0.5, 0.25, 2]}",
    .inputs = LOSS__ENCODED_INPUTS(true),
    .params = {LOSS__ENCODING_PARAM(ENCODING_ZERO_ONE),
               {.name = "margin", .doc = "By how much a score should be right.", .type = LOSS_NUMBER, .fallback = 1}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
