/* SPDX-License-Identifier: Apache-2.0
 *
 * mean_squared_logarithmic_error.c - squared difference of log(1 + x): relative errors for what is large.
 *
 *   q = max(p, epsilon), z = max(y, epsilon);   d = log(1 + q) - log(1 + z);   L = d^2
 *   dL/dp = 2d/(1 + p) where p > epsilon, else 0
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   all at or below epsilon counts as epsilon; epsilon below -1 may give NaN; NaN in, NaN out
 * Source  values agree with keras.losses.mean_squared_logarithmic_error before its mean
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)wide;
    double epsilon = k[0], q = VM_SELECT(p <= epsilon, epsilon, p), z = VM_SELECT(y <= epsilon, epsilon, y);
    double d =
        vm_log1p((q - z) / (1.0 + z)); /* does not cancel where q and z are near, as the difference of logs does */
    return (struct point){.loss = d * d, .dp = VM_SELECT(p <= epsilon, d - d, 2.0 * d / (1.0 + q))};
}

LOSS__ELEMENTWISE(mean_squared_logarithmic_error, point);

LOSS__DESCRIPTOR(mean_squared_logarithmic_error) = {
    .name = "mean_squared_logarithmic_error",
    .summary = "Squared difference of the logarithms of one more than labels and predictions.",
    .formula = "(log(1 + max(predictions, epsilon)) - log(1 + max(labels, epsilon)))^2",
    .source = "keras.losses.mean_squared_logarithmic_error",
    .edges = "Labels and predictions of epsilon or less count as epsilon; predictions there have gradient 0.",
    .elsewhere = "keras.losses.mean_squared_logarithmic_error: a mean over the last axis. "
                 "sklearn.metrics.mean_squared_log_error refuses negative numbers.",
    .example = "{\"labels\": [1, 2, 4], \"predictions\": [1.5, 2, 3]}",
    .aliases = (const struct loss_alias[]){{"msle", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(false),
    .params = {{.name = "epsilon", .doc = "What is smaller counts as this.", .type = LOSS_NUMBER, .fallback = 1e-7}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
