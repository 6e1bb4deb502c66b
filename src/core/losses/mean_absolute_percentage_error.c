/* SPDX-License-Identifier: Apache-2.0
 *
 * mean_absolute_percentage_error.c - the difference in percent of the label.
 *
 *   d = max(|y|, epsilon);   L = 100 |p - y|/d;   dL/dp = 100 sign(p - y)/d, 0 at 0
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   a label 0 with epsilon 0 gives infinity, or NaN for 0/0; NaN in, NaN out
 * Source  values agree with keras.losses.mean_absolute_percentage_error before its mean
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)wide;
    double e = p - y, size = vm_abs(y), d = VM_SELECT(size < k[0], k[0], size);
    double sign = VM_SELECT(e > 0.0, 1.0, VM_SELECT(e < 0.0, -1.0, e - e));
    return (struct point){
        .loss = 100.0 * (vm_abs(e) / d),
        .dp = VM_SELECT(e == 0.0, 0.0, 100.0 * sign / d),
    };
}

LOSS__ELEMENTWISE(mean_absolute_percentage_error, point);

LOSS__DESCRIPTOR(mean_absolute_percentage_error) = {
    .name = "mean_absolute_percentage_error",
    .summary = "Absolute difference in percent of the label.",
    .formula = "100*|predictions - labels|/max(|labels|, epsilon)",
    .source = "keras.losses.mean_absolute_percentage_error",
    .edges = "It is a percentage of the label, so a label near 0 counts as epsilon. With epsilon 0 a label of 0 gives "
             "infinity, or NaN where the prediction is 0 too.",
    .elsewhere = "keras.losses.mean_absolute_percentage_error: a mean over the last axis. "
                 "sklearn.metrics.mean_absolute_percentage_error: a hundredth of it, epsilon 2.220446049250313e-16.",
    .example = "{\"labels\": [1, 2, 4], \"predictions\": [1.5, 2, 3]}",
    .aliases = (const struct loss_alias[]){{"mape", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(false),
    .params = {{.name = "epsilon",
                .doc = "Smallest size of a label to divide by.",
                .type = LOSS_NUMBER,
                .fallback = 1e-7,
                .min = 0,
                .max = INFINITY,
                .below_max = true}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
