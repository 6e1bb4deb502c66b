/* SPDX-License-Identifier: Apache-2.0
 *
 * binary_cross_entropy.c - cross-entropy of a probability, with the probability clipped.
 *
 *   q = y(1 - s) + s/2;   p is clipped to [epsilon, 1 - epsilon], where epsilon is not 0
 *   L = -q max(log p, f) - (1 - q) max(log(1 - p), f), s = label_smoothing, f = log_floor (none: -infinity)
 *   dL/dp = (1 - q)/(1 - p) - q/p, without the term whose logarithm is floored; 0 where p is clipped
 *   dL/dy = (1 - s)(log(1 - p) - log p)
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   0 * log 0 is 0; with epsilon 0 a p outside [0, 1] gives NaN; NaN in, NaN out
 * Source  values agree with keras.losses.binary_crossentropy before its mean; with epsilon 0 and log_floor -100 with
 *         torch.nn.functional.binary_cross_entropy, whose gradient goes on where the logarithm is floored
 */
#include "elementwise.h"

enum { CLIPPED = LOSS_MAX_PARAMS, FLOORED, LOG_EPSILON, LOG_NOT_EPSILON };

/* Conditions on parameters are made bounds here, NaN where nothing is within them, and those on numbers masks, once: of
 * conditions that come again gcc makes jumps, and the loop is then scalar. */
VM_INLINE void prepare(double *k)
{
    double epsilon = k[0], floor = k[1];
    k[CLIPPED] = epsilon > 0.0 ? epsilon : (double)NAN;
    k[FLOORED] = floor < -DBL_MAX ? (double)NAN : floor;
    k[LOG_EPSILON] = vm_log(epsilon);
    k[LOG_NOT_EPSILON] = vm_log1p(-epsilon);
}

/* A label's share of one class, and the logarithm of what is predicted for it. */
struct term {
    double x, none, log; /* none: the mask of x = 0 */
};

/* x log y, with 0 log 0 = 0. */
VM_INLINE double times_log(struct term t, double log_y)
{
    double product = t.x * log_y;
    return vm_blend(t.none, VM_SELECT(log_y < -DBL_MAX, 0.0, product), product);
}

/* A term's share of dL/dp: x/y, and 0 where x is, or its logarithm is at the floor. */
VM_INLINE double share(struct term t, double y, double floored)
{
    double none = VM_SELECT(y == y, 0.0, y);
    return vm_blend(t.none, none, VM_SELECT(t.log <= floored, none, t.x / y));
}

VM_INLINE struct point point(double y, double p, const double *k, bool wide)
{
    (void)wide;
    double floor = k[1], s = k[2];
    double clipped = k[CLIPPED], floored = k[FLOORED], log_epsilon = k[LOG_EPSILON],
           log_not_epsilon = k[LOG_NOT_EPSILON];
    double q = y * (1.0 - s) + 0.5 * s, not_q = (1.0 - y) * (1.0 - s) + 0.5 * s;
    /* 1 - p is clipped by itself: as 1 less the clipped p it would have lost the digits of epsilon */
    double not_p = 1.0 - p, low = VM_MASK(p <= clipped), high = VM_MASK(not_p <= clipped);
    double log_p = vm_blend(low, log_epsilon, vm_blend(high, log_not_epsilon, vm_log(p)));
    double log_not_p = vm_blend(high, log_epsilon, vm_blend(low, log_not_epsilon, vm_log1p(-p)));
    struct term one = {q, VM_MASK(q == 0.0), log_p}, other = {not_q, VM_MASK(not_q == 0.0), log_not_p};
    double above = VM_SELECT(log_p < floor, floor, log_p), not_above = VM_SELECT(log_not_p < floor, floor, log_not_p);
    double dp = share(other, not_p, floored) - share(one, p, floored);
    dp = vm_blend(low, y - y, vm_blend(high, y - y, dp));
    return (struct point){
        .loss = -times_log(one, above) - times_log(other, not_above),
        .dp = dp,
        .dy = (1.0 - s) * (not_above - above),
    };
}

LOSS__ELEMENTWISE_PREPARED(binary_cross_entropy, point, prepare);

LOSS__DESCRIPTOR(binary_cross_entropy) = {
    .name = "binary_cross_entropy",
    .summary = "Cross-entropy of predicted probabilities, which are clipped.",
    .formula = "y = labels*(1 - label_smoothing) + label_smoothing/2; p = predictions in [epsilon, 1 - epsilon]; "
               "-y*max(log(p), log_floor) - (1 - y)*max(log(1 - p), log_floor)",
    .source = "keras.losses.binary_crossentropy; torch.nn.functional.binary_cross_entropy",
    .edges = "A probability outside [epsilon, 1 - epsilon] is clipped and has gradient 0; with epsilon 0 one outside "
             "[0, 1] gives NaN. 0 times a logarithm of 0 is 0. A logarithm at its floor has gradient 0.",
    .elsewhere = "keras.losses.binary_crossentropy: as it is, then a mean over the last axis. torch "
                 "binary_cross_entropy: the name bce_loss (epsilon 0, log_floor -100); its gradient is not 0 where the "
                 "logarithm is floored. log_loss adds epsilon instead of clipping.",
    .example = "{\"labels\": [1, 0, 1], \"predictions\": [0.9, 0.2, 0.6]}",
    .aliases = (const struct loss_alias[]){{"bce", {{0}}},
                                           {"binary_crossentropy", {{0}}},
                                           {"bce_loss", {{"epsilon", 0}, {"log_floor", -100}}},
                                           {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .params = {{.name = "epsilon",
                .doc = "Probabilities are clipped to [epsilon, 1 - epsilon].",
                .type = LOSS_NUMBER,
                .fallback = 1e-7,
                .min = 0,
                .max = 0.5,
                .below_max = true},
               {.name = "log_floor",
                .doc = "Logarithms are no less than this; left out, they may be infinite.",
                .type = LOSS_NUMBER,
                .fallback = -(double)INFINITY,
                .optional = true,
                .min = -INFINITY,
                .max = 0,
                .above_min = true},
               {.name = "label_smoothing",
                .doc = "How far labels are drawn towards one half.",
                .type = LOSS_NUMBER,
                .fallback = 0,
                .min = 0,
                .max = 1}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
