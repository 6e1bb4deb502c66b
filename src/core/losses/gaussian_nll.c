/* SPDX-License-Identifier: Apache-2.0
 *
 * gaussian_nll.c - negative log-likelihood of a number under a normal distribution of predicted mean and variance.
 *
 *   v = max(variance, epsilon), e = p - y;   L = (log v + e^2/v)/2;   full adds log(2 pi)/2
 *   dL/dp = e/v;   dL/dy = -e/v;   dL/dvariance = (1 - e^2/v)/(2v), 0 where variance <= epsilon
 *
 * Shapes  y, p and variance alike, any rank; L has their shape
 * Edges   a negative variance gives NaN; NaN in, NaN out
 * Source  values agree with torch.nn.functional.gaussian_nll_loss, which passes a gradient through the maximum
 */
#include "elementwise.h"

VM_INLINE struct point3 point(double y, double p, double variance, const double *k, bool wide)
{
    (void)wide;
    const double half_log_two_pi = 0x1.d67f1c864beb5p-1;
    double e = p - y, floored = VM_MASK(variance <= k[1]);
    double v = VM_SELECT(variance < 0.0, (double)NAN, vm_blend(floored, k[1], variance));
    double slope = e / v, square = e * slope;
    double loss = 0.5 * (vm_log(v) + square);
    return (struct point3){
        .loss = k[0] != 0 ? loss + half_log_two_pi : loss,
        .d = {-slope, slope, vm_blend(floored, v - v, 0.5 * (1.0 - square) / v)},
    };
}

LOSS__ELEMENTWISE_OF_THREE(gaussian_nll, point);

LOSS__DESCRIPTOR(gaussian_nll) = {
    .name = "gaussian_nll",
    .summary = "Negative log-likelihood under a normal distribution of predicted mean and variance.",
    .formula = "v = max(variance, epsilon); (log(v) + (predictions - labels)^2/v)/2; full: + log(2*pi)/2",
    .source = "torch.nn.functional.gaussian_nll_loss; Nix and Weigend 1994",
    .edges = "A negative variance gives NaN. Where variance is epsilon or less its gradient is 0.",
    .elsewhere = "torch gaussian_nll_loss(full, eps): equal, with reduction mean; torch also broadcasts variance and "
                 "passes a gradient through the clamp.",
    .example = "{\"labels\": [1, 2, 3], \"predictions\": [1.5, 2, 1], \"variance\": [0.25, 1, 4]}",
    .aliases = (const struct loss_alias[]){{"gaussian_nll_loss", {{0}}}, {0}},
    .inputs =
        {{LOSS__LABELS, .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES), .differentiable = true},
         {LOSS__PREDICTIONS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,
          .differentiable = true},
         {.name = "variance", .doc = "Predicted variances.", .aliases = LOSS__WORDS("var"), .differentiable = true}},
    .params = {{.name = "full", .doc = "Whether to add the constant.", .type = LOSS_BOOLEAN},
               {.name = "epsilon",
                .doc = "Smallest variance.",
                .type = LOSS_NUMBER,
                .fallback = 1e-6,
                .min = 0,
                .max = INFINITY,
                .below_max = true}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
