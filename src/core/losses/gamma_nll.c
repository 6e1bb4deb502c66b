/* SPDX-License-Identifier: Apache-2.0
 *
 * gamma_nll.c - negative log-likelihood of positive amounts, without the part that the mean has no say in.
 *
 *   L = y/p + log p, or with log_input y e^-p + p
 *   dL/dp = (p - y)/p^2, or 1 - y e^-p
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   p at or below 0 gives NaN, but with log_input; NaN in, NaN out
 * Source  objective reg:gamma of XGBoost, with log_input; half of sklearn's gamma deviance but for a constant
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)wide;
    if (k[0] != 0) {
        double share = y * vm_exp(-p);
        return (struct point){.loss = share + p, .dp = 1.0 - share};
    }
    double outside = VM_MASK(p <= 0.0);
    return (struct point){
        .loss = vm_blend(outside, (double)NAN, y / p + vm_log(p)),
        .dp = vm_blend(outside, (double)NAN, (p - y) / p / p),
    };
}

LOSS__ELEMENTWISE(gamma_nll, point);

LOSS__DESCRIPTOR(gamma_nll) = {
    .name = "gamma_nll",
    .summary = "Negative log-likelihood of positive amounts under a gamma distribution.",
    .formula = "labels/predictions + log(predictions), or with log_input labels*exp(-predictions) + predictions",
    .source = "XGBoost reg:gamma; sklearn.metrics.mean_gamma_deviance",
    .edges = "Predictions of 0 or less give NaN unless log_input is true.",
    .elsewhere = "XGBoost reg:gamma: log_input. sklearn.metrics.mean_gamma_deviance: 2*(loss - log(labels) - 1).",
    .example = "{\"labels\": [1, 2, 3], \"predictions\": [0.5, 2, 4]}",
    .inputs = LOSS__LABELS_AND_PREDICTIONS(false),
    .params = {{.name = "log_input", .doc = "Whether predictions are logarithms of means.", .type = LOSS_BOOLEAN}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
