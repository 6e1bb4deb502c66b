/* SPDX-License-Identifier: Apache-2.0
 *
 * log_cosh.c - quadratic near zero, linear in the tails, and smooth everywhere.
 *
 *   e = p - y, a = |e|;   L = log cosh e;   dL/dp = tanh e;   dL/dy = -dL/dp
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   NaN in, NaN out; L is e^2/2 to the last digit near 0
 * Source  values agree with keras.losses.log_cosh and optax.log_cosh
 */
#include "elementwise.h"

/* With t = e^-a and m = 1 - t, which expm1 gives without cancelling: cosh a = 1 + m^2/(2t) = (e^a/2)(1 + t^2), the first
 * for small a, where L is small too, the second for large a, where the first would overflow. */
VM_INLINE struct point whole(double e)
{
    double a = vm_abs(e), m = -vm_expm1(-a), t = 1.0 - m, t2 = t * t;
    double small = VM_MASK(a < 1.0);
    double tail = vm_log1p(vm_blend(small, m * m / (2.0 * t), t2));
    double slope = vm_copysign(m * (1.0 + t) / (1.0 + t2), e);
    return (struct point){.loss = vm_blend(small, tail, (a - (VM__LN2_HI + VM__LN2_LO)) + tail), .dp = slope};
}

/* The same for float32: log(1 + w) is 2 atanh(w/(2 + w)), which for the small a is 2 atanh(tanh^2(a/2)), and one division
 * serves all. */
VM_INLINE struct point brief(double e)
{
    double a = vm_abs(e), m = -vm_expm1_brief(-a), t = 1.0 - m, t2 = t * t;
    double small = VM_MASK(a < 0.875); /* s is then no more than vm_atanh2_brief takes */
    double below = vm_blend(small, (1.0 + t) * (1.0 + t), 2.0 + t2), both = 1.0 / (below * (1.0 + t2));
    double s = vm_blend(small, m * m, t2) * (both * (1.0 + t2));
    double far = vm_blend(small, 0.0, a - (VM__LN2_HI + VM__LN2_LO));
    return (struct point){.loss = far + vm_atanh2_brief(s), .dp = vm_copysign(m * (1.0 + t) * (both * below), e)};
}

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)k;
    double e = p - y;
    struct point at = wide ? whole(e) : brief(e);
    at.dp = VM_SELECT(e == e, at.dp, e);
    at.dy = -at.dp;
    return at;
}

LOSS__ELEMENTWISE(log_cosh, point);

LOSS__DESCRIPTOR(log_cosh) = {
    .name = "log_cosh",
    .summary = "Logarithm of the hyperbolic cosine of the difference.",
    .formula = "log(cosh(predictions - labels))",
    .source = "keras.losses.log_cosh; optax.log_cosh",
    .edges = "Small differences keep all digits, where the formula that libraries use loses them; large ones do not "
             "overflow.",
    .elsewhere = "keras.losses.log_cosh: a mean over the last axis. optax.log_cosh: equal with reduction none.",
    .example = "{\"labels\": [1, 2], \"predictions\": [1.5, 5]}",
    .aliases = (const struct loss_alias[]){{"logcosh", {{0}}}, {"log_cosh_loss", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
