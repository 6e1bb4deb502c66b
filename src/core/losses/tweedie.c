/* SPDX-License-Identifier: Apache-2.0
 *
 * tweedie.c - negative log-likelihood of amounts of which many are 0, up to terms that only labels have a say in.
 *
 *   a = 2 - power, b = power - 1;   L = p^a/a + y p^-b/b;   with log_input e^p for p;   deviance subtracts y^a/(a b)
 *   dL/dp = p^-b - y p^-power;   with log_input that times e^p
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   p below 0, or below 0 labels with deviance, give NaN; p = 0 gives infinity, or 0 for a label 0
 * Source  objective reg:tweedie of XGBoost, with log_input; half of sklearn's Tweedie deviance, with deviance
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)wide;
    double a = 2.0 - k[0], b = k[0] - 1.0;
    bool log_input = k[1] != 0, deviance = k[2] != 0;
    double log_p = log_input ? p : vm_log(p);
    double grown = vm_exp(a * log_p), shrunk = VM_SELECT(y == 0.0, 0.0, y * vm_exp(-b * log_p));
    double loss = grown / a + shrunk / b;
    if (deviance) {
        /* With u = log(p/y) it is y^a ((e^(au) - 1)/a + (e^(-bu) - 1)/b), where only 1/(a b) has cancelled. */
        double u = log_input ? p - vm_log(y) : vm_log1p((p - y) / y);
        double about = vm_exp(a * vm_log(y)) * (vm_expm1(a * u) / a + vm_expm1(-b * u) / b);
        double near = VM_MASK(vm_abs(u) < 1.0);
        double y_term = VM_SELECT(y == 0.0, 0.0, vm_exp(a * vm_log(y)) / (a * b));
        loss = vm_blend(near, about, loss - y_term);
    }
    double slope = log_input ? grown - shrunk : VM_SELECT(y == 0.0, vm_exp(-b * log_p), (grown - shrunk) / p);
    return (struct point){.loss = loss, .dp = slope};
}

LOSS__ELEMENTWISE(tweedie, point);

LOSS__DESCRIPTOR(tweedie) = {
    .name = "tweedie",
    .summary = "Negative log-likelihood of amounts of which many are 0, under a Tweedie distribution.",
    .formula = "p = predictions, or with log_input exp(predictions); "
               "p^(2 - power)/(2 - power) - labels*p^(1 - power)/(1 - power); "
               "deviance: + labels^(2 - power)/((1 - power)*(2 - power))",
    .source = "XGBoost reg:tweedie; sklearn.metrics.mean_tweedie_deviance",
    .edges = "Predictions below 0 give NaN; one of 0 gives infinity unless its label is 0.",
    .elsewhere =
        "sklearn.metrics.mean_tweedie_deviance(power): twice this with deviance. XGBoost reg:tweedie: log_input.",
    .example = "{\"labels\": [1, 0, 3], \"predictions\": [0.5, 0.25, 4]}",
    .aliases = (const struct loss_alias[]){{"tweedie_nll", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(false),
    .params = {{.name = "power",
                .doc = "Variance grows as the mean to this power.",
                .type = LOSS_NUMBER,
                .fallback = 1.5,
                .min = 1,
                .max = 2,
                .above_min = true,
                .below_max = true},
               {.name = "log_input", .doc = "Whether predictions are logarithms of means.", .type = LOSS_BOOLEAN},
               {.name = "deviance",
                .doc = "Whether to take off the least value that L has for the label.",
                .type = LOSS_BOOLEAN}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
