/* SPDX-License-Identifier: Apache-2.0
 *
 * poisson.c - negative log-likelihood of counts, without the part that only labels have a say in.
 *
 *   L = p - y log(p + epsilon), or with log_input e^p - y p;   full adds y log y - y + log(2 pi y)/2 where y > 1
 *   dL/dp = 1 - y/(p + epsilon), or e^p - y
 *
 * Shapes  y and p alike, any rank; L has their shape
 * Edges   a label 0 drops the logarithm; p + epsilon below 0 gives NaN, at 0 infinity; NaN in, NaN out
 * Source  values agree with keras.losses.poisson before its mean, torch.nn.functional.poisson_nll_loss and
 *         tf.nn.log_poisson_loss
 */
#include "elementwise.h"

VM_INLINE struct point point(double y, double p, const double *k, bool log_input, bool full, bool wide)
{
    double loss, dp;
    if (log_input) {
        double rate = vm_exp(p);
        loss = VM_SELECT(y == 0.0, rate, rate - y * p);
        dp = rate - y;
    } else {
        double low, rate = vm_two_sum(p, k[2], &low), correction = 0.0;
        if (wide) { /* where p is a float what rounding took from the rate is beyond the digits of its logarithm */
            correction = low / rate;
            correction = VM_SELECT(correction - correction == 0.0, correction, 0.0);
        }
        loss = VM_SELECT(y == 0.0, p, p - y * (vm_log(rate) + correction));
        dp = VM_SELECT(y == 0.0, 1.0 + (p - p), ((p - y) + k[2]) / rate);
    }
    if (full) {
        double two_pi = 0x1.921fb54442d18p+2, stirling = y * (vm_log(y) - 1.0) + 0.5 * vm_log(two_pi * y);
        loss += VM_SELECT(y > 1.0, stirling, 0.0);
    }
    return (struct point){.loss = loss, .dp = dp};
}

/* A loop for each choice of parameters: a loop that has the choice within it computes all the logarithms. */
#define POISSON_LOOPS(name, log_input, full)                                                                           \
    VM_INLINE struct point name(double y, double p, const double *k, bool wide)                                        \
    {                                                                                                                  \
        return point(y, p, k, log_input, full, wide);                                                                  \
    }                                                                                                                  \
    LOSS__ELEMENTWISE_LOOPS(float, name##_f32, name, false)                                                            \
    LOSS__ELEMENTWISE_LOOPS(double, name##_f64, name, true)

POISSON_LOOPS(of_rate, false, false)
POISSON_LOOPS(of_log, true, false)
POISSON_LOOPS(full_of_rate, false, true)
POISSON_LOOPS(full_of_log, true, true)

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    loss__kernel *const loops[2][2][2] = {{{of_rate_f32, of_rate_f64}, {full_of_rate_f32, full_of_rate_f64}},
                                          {{of_log_f32, of_log_f64}, {full_of_log_f32, full_of_log_f64}}};
    loops[b->param[0].number != 0][b->param[1].number != 0][wide](b);
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(poisson) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(poisson) = {
    .name = "poisson",
    .summary = "Negative log-likelihood of counts under a Poisson distribution.",
    .formula = "predictions - labels*log(predictions + epsilon), or with log_input exp(predictions) - "
               "labels*predictions; full: + labels*log(labels) - labels + log(2*pi*labels)/2 where labels > 1",
    .source = "keras.losses.poisson; torch.nn.functional.poisson_nll_loss; tf.nn.log_poisson_loss",
    .edges = "A label of 0 has no logarithm to add. A prediction below -epsilon gives NaN, one of -epsilon infinity, "
             "unless the label is 0. epsilon is unused with log_input.",
    .elsewhere =
        "keras.losses.poisson: a mean over the last axis. torch poisson_nll_loss: that name (log_input, epsilon 1e-8), "
        "with reduction mean. tf.nn.log_poisson_loss: the name log_poisson_loss; its compute_full_loss is full.",
    .example = "{\"labels\": [1, 0, 3], \"predictions\": [0.5, 0.25, 4]}",
    .aliases = (const struct loss_alias[]){{"poisson_nll_loss", {{"log_input", 1}, {"epsilon", 1e-8}}},
                                           {"log_poisson_loss", {{"log_input", 1}}},
                                           {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(false),
    .params = {{.name = "log_input", .doc = "Whether predictions are logarithms of rates.", .type = LOSS_BOOLEAN},
               {.name = "full",
                .doc = "Whether to add Stirling's approximation of log(labels!).",
                .type = LOSS_BOOLEAN},
               {.name = "epsilon",
                .doc = "Added to the rate inside the logarithm.",
                .type = LOSS_NUMBER,
                .fallback = 1e-7,
                .min = 0,
                .max = INFINITY,
                .below_max = true}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
