/* SPDX-License-Identifier: Apache-2.0
 *
 * margin_ranking.c - of two scores, the one that should be larger is to be so by a margin.
 *
 *   m = margin - y(x1 - x2);   L = max(0, m);   dL/dx1 = -y where m > 0, else 0;   dL/dx2 = -dL/dx1
 *
 * Shapes  x1, x2 and y alike, any rank; L has their shape
 * Edges   y other than 1 and -1 is refused; at the kink the gradient is 0; NaN in, NaN out
 * Source  values agree with torch.nn.functional.margin_ranking_loss
 */
#include "elementwise.h"

VM_INLINE struct point3 point(double x1, double x2, double y, const double *k, bool wide)
{
    (void)wide;
    /* margin - y(x1 - x2) cancels near the kink, so what rounding took from the difference is carried along */
    double error, difference = vm_two_diff(x1, x2, &error);
    error = VM_SELECT(error - error == 0.0, error, 0.0);
    double m = (k[0] - y * difference) - y * error;
    double outside = VM_SELECT(m == m, 0.0, m); /* beyond the margin: 0, but a NaN stays */
    double slope = VM_SELECT(m > 0.0, y, outside);
    return (struct point3){.loss = VM_SELECT(m > 0.0, m, outside), .d = {-slope, slope, 0.0}};
}

LOSS__ELEMENTWISE_OF_THREE(margin_ranking, point);

LOSS__DESCRIPTOR(margin_ranking) = {
    .name = "margin_ranking",
    .summary = "Of two scores, the one that should be larger is to be so by a margin.",
    .formula = "max(0, margin - labels*(x1 - x2))",
    .source = "torch.nn.functional.margin_ranking_loss",
    .edges = "At the kink the gradient is 0.",
    .elsewhere = "torch margin_ranking_loss: equal, with reduction mean.",
    .example = "{\"x1\": [0.5, 2, 1], \"x2\": [1, 0.5, 0.75], \"labels\": [1, 1, -1], \"margin\": 0.5}",
    .aliases = (const struct loss_alias[]){{"margin_ranking_loss", {{0}}}, {0}},
    .inputs = {{.name = "x1",
                .doc = "Scores.",
                .aliases = LOSS__WORDS("input1"),
                .extent = LOSS_FREE,
                .main = true,
                .differentiable = true},
               {.name = "x2",
                .doc = "Scores to compare with.",
                .aliases = LOSS__WORDS("input2"),
                .main = true,
                .differentiable = true},
               {.name = "labels",
                .doc = "1 where x1 should be larger, -1 where x2 should.",
                .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES),
                .domain = LOSS_SIGN}},
    .params = {{.name = "margin", .doc = "By how much.", .type = LOSS_NUMBER, .fallback = 0}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
