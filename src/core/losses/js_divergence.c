/* SPDX-License-Identifier: Apache-2.0
 *
 * js_divergence.c - how far two distributions are from their mixture.
 *
 *   m = beta y + (1 - beta) p;   L = beta sum_k y_k log(y_k/m_k) + (1 - beta) sum_k p_k log(p_k/m_k)
 *   dL/dy_k = beta log(y_k/m_k);   dL/dp_k = (1 - beta) log(p_k/m_k);   of other forms as in divergence.h
 *
 * y - m = (1 - beta)(y - p) and p - m = -beta (y - p) cancel in the sum, so each class adds the two y log(y/m) - (y - m),
 * which are never below 0, and nothing cancels.
 *
 * Shapes  y and p alike [..., K]; L has their shape without the last axis
 * Edges   0 log 0 is 0; natural logarithms; the gradient at a probability 0 is -infinity
 * Source  Lin 1991; beta as in Liger's jsd, whose teacher is y
 */
#include "losses/divergence.h"

__attribute__((noinline)) static void by_mixture(struct divergence *d, size_t n)
{
    const double beta = d->beta, rest = 1.0 - beta;
    const bool logs = d->logs, y_given = d->y.form == FORM_PROBABILITIES, p_given = d->p.form == FORM_PROBABILITIES;
    for (size_t i = 0; i < n; i++) {
        double y = d->y.at[i], p = d->p.at[i], diff = y - p, of_y, of_p;
        if (logs) {
            double log = d->y.log_at[i] - d->p.log_at[i];
            diff = VM_SELECT(vm_abs(log) < DIVERGENCE_NEAR, p * vm_expm1(log), diff);
        }
        double m = beta * y + rest * p;
        double log_y = vm_log_ratio(y, m, rest * diff, &of_y), log_p = vm_log_ratio(p, m, -beta * diff, &of_p);
        d->diff[i] = diff;
        d->term[i] = beta * of_y + rest * of_p;
        double by_y = beta * log_y, by_p = rest * log_p;
        d->y.slope[i] = y_given ? by_y : VM_SELECT(y == 0.0, 0.0, y * by_y);
        d->p.slope[i] = p_given ? by_p : VM_SELECT(p == 0.0, 0.0, p * by_p);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    struct divergence d;
    d.beta = b->param[0].number;
    d.y.form = (enum form)b->param[1].number;
    d.p.form = (enum form)b->param[2].number;
    d.plus_diff = d.sums_to_one = false;
    divergence(b, &d, by_mixture, wide);
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(js_divergence) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(js_divergence) = {
    .name = "js_divergence",
    .summary = "How far two distributions are from their mixture, by the Jensen-Shannon divergence.",
    .formula = "m = beta*y + (1 - beta)*p; beta*sum(y*log(y/m)) + (1 - beta)*sum(p*log(p/m)), sums over classes",
    .source = "Lin 1991; Liger's jsd",
    .edges =
        "0 times the logarithm of 0 is 0. Logarithms are natural: divide by log(2) for bits. The gradient with respect "
        "to a probability 0 is not finite. Distributions that nearly agree keep their digits.",
    .elsewhere = "Liger's jsd(beta): labels are the teacher; its beta 0 and 1 are kl_divergence. "
                 "scipy.spatial.distance.jensenshannon is the square root, of distributions that it normalises.",
    .example =
        "{\"labels\": [[0.25, 0.25, 0.5], [0.5, 0.5, 0]], \"predictions\": [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]}",
    .aliases = (const struct loss_alias[]){{"jsd", {{0}}}, {"jensen_shannon", {{0}}}, {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .params = {{.name = "beta",
                .doc = "Share of the labels in the mixture.",
                .type = LOSS_NUMBER,
                .fallback = 0.5,
                .min = 0,
                .max = 1,
                .above_min = true,
                .below_max = true},
               LOSS__FORM_PARAM("labels_form", "labels"),
               LOSS__FORM_PARAM("predictions_form", "predictions")},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
