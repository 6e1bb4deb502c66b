/* SPDX-License-Identifier: Apache-2.0
 *
 * log_loss.c - cross-entropy of a probability, with epsilon added inside the logarithms.
 *
 *   a = p + epsilon;   b = 1 - p + epsilon;   L = -y log a - (1 - y) log b
 *   dL/dp = (1 - y)/b - y/a;   dL/dy = log b - log a
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   0 * log 0 is 0; p outside [-epsilon, 1 + epsilon] gives NaN; L is slightly negative where p is right
 * Source  values agree with tf.compat.v1.losses.log_loss
 */
#include "elementwise.h"

/* log(high + low). Where high is near 1 the logarithm is small, and what rounding took from the argument is not; for a
 * float it matters nowhere else, and there it is low itself. */
VM_INLINE double log_of_sum(double high, double low, bool wide)
{
    if (!wide) {
        return vm_log_brief(high) + VM_SELECT(high < 2.0, low, 0.0);
    }
    double correction = low / high;
    return vm_log(high) + VM_SELECT(correction - correction == 0.0, correction, 0.0);
}

/* y log x, with 0 log 0 = 0. */
VM_INLINE double times_log(double y, double log_x)
{
    return VM_SELECT(y == 0.0, VM_SELECT(log_x < -DBL_MAX, 0.0, y * log_x), y * log_x);
}

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    double epsilon = k[0], a_low, b_low, b_lower;
    double a = vm_two_sum(p, epsilon, &a_low);
    double b = vm_two_sum(vm_two_diff(1.0, p, &b_lower), epsilon, &b_low);
    b_low += b_lower;
    double b_sum = b + b_low; /* b alone may be all rounding error where 1 - p cancels */
    b_low = (b - b_sum) + b_low;
    double log_a = log_of_sum(a, a_low, wide), log_b = log_of_sum(b_sum, b_low, wide);

    /* On a common denominator the two terms of dL/dp cancel in the numerator, where it is exact enough. For hard labels
     * one term is alone, and its denominator alone may be 0. */
    double above = (p - y) + epsilon * (1.0 - 2.0 * y), below = a * b_sum;
    above = VM_SELECT(y == 0.0, 1.0, VM_SELECT(y == 1.0, -1.0, above));
    below = VM_SELECT(y == 0.0, b_sum, VM_SELECT(y == 1.0, a, below));

    /* log b - log a = log(b/a), which is small where p is near one half */
    double ratio = (1.0 - 2.0 * p) / a;
    double dy = VM_SELECT(vm_abs(ratio) < 0.5, vm_log1p(ratio), log_b - log_a);
    return (struct point){.loss = -times_log(y, log_a) - times_log(1.0 - y, log_b), .dp = above / below, .dy = dy};
}

LOSS__ELEMENTWISE(log_loss, point);

LOSS__DESCRIPTOR(log_loss) = {
    .name = "log_loss",
    .summary = "Cross-entropy of predicted probabilities, with a small number added inside the logarithms.",
    .formula = "-labels*log(predictions + epsilon) - (1 - labels)*log(1 - predictions + epsilon)",
    .source = "tf.compat.v1.losses.log_loss",
    .edges = "Probabilities more than epsilon outside [0, 1] give NaN; a perfect prediction of 1 gives a loss a little "
             "below 0.",
    .elsewhere =
        "tf.compat.v1.losses.log_loss: equal. sklearn.metrics.log_loss and Keras clip instead: binary_cross_entropy.",
    .example = "{\"labels\": [1, 0, 1], \"predictions\": [0.9, 0.2, 0.6]}",
    .inputs = {{LOSS__LABELS, .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES), .differentiable = true},
               {.name = "predictions",
                .doc = "Probabilities.",
                .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES),
                .extent = LOSS_FREE,
                .main = true,
                .differentiable = true}},
    .params = {{.name = "epsilon",
                .doc = "Added to both probabilities before the logarithm.",
                .type = LOSS_NUMBER,
                .fallback = 1e-7,
                .min = 0,
                .max = INFINITY,
                .below_max = true}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
