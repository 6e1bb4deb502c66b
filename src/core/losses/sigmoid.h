/* SPDX-License-Identifier: Apache-2.0
 *
 * sigmoid.h - cross-entropy of independent classes, from logits: the formula and kernels of two losses.
 *
 *   q = y(1 - s) + s/2;   L = q softplus(-z) + (1 - q) softplus(z)
 *   dL/dz = (1 - q) sigma(z) - q sigma(-z) = sigma(z) - q;   dL/dy = -z(1 - s)
 *
 * Both forms are sums of terms of one sign for q in [0, 1], so nothing cancels where a prediction is right.
 */
#ifndef LOSS__SIGMOID_H
#define LOSS__SIGMOID_H

#include "elementwise.h"

VM_INLINE struct point sigmoid_point(double y, double z, double smoothing, bool wide)
{
    double q = y * (1.0 - smoothing) + 0.5 * smoothing;
    double not_q = (1.0 - y) * (1.0 - smoothing) + 0.5 * smoothing; /* not 1 - q: both keep their digits */
    double a = vm_abs(z), wrong = VM_SELECT(z > 0.0, not_q, q);
    double not_sigma, tail;
    double sigma = wide ? vm_sigmoid(z, &not_sigma) : vm_sigmoid_brief(z, &not_sigma, &tail);
    tail = wide ? vm_softplus_tail(a) : tail;
    return (struct point){
        .loss = a * wrong + tail,
        .dp = not_q * sigma - q * not_sigma,
        .dy = -z * (1.0 - smoothing),
    };
}

#define LOSS__SIGMOID_INPUTS(...)                                                                                      \
    {                                                                                                                  \
        {LOSS__LABELS, .aliases = LOSS__WORDS(__VA_ARGS__), .differentiable = true},                                   \
        {                                                                                                              \
            LOSS__LOGITS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,               \
                          .differentiable = true                                                                       \
        }                                                                                                              \
    }

#endif
