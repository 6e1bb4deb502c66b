/* SPDX-License-Identifier: Apache-2.0
 *
 * list_mle.c - the likelihood of the order that a list's labels say, where the items are drawn one after another by the
 * softmax of their scores.
 *
 *   pi sorts labels descending, ties by position;   u_k = exp(s_pi(k)/T);   S_k = sum over j >= k of u_j
 *   L = sum over k of log1p(S_{k+1}/u_k);   dL/ds_pi(k) = (u_k sum over i < k of 1/S_i - S_{k+1}/S_k)/T
 *
 * Each term is of one sign: nothing is taken from a logsumexp. Where the scores lie too far apart for exponentials
 * around their middle, S is carried as a largest exponent and a sum. The work is that of sorting.
 *
 * Shapes  y, s and mask alike [..., items]; L without the last axis
 * Edges   a list with nothing unmasked has loss 0 and is not counted; masked items are not looked at; NaN in, NaN out
 * Source  Xia et al. 2008; TensorFlow Ranking's ListMLELoss for labels without ties, which it shuffles
 */
#include "losses/share.h"

enum { UP = LIST_ARRAYS, SLOPES, ARRAYS };

static size_t scratch(const struct loss__block *b)
{
    return list_bytes(b, ARRAYS);
}

/* The terms into `terms`, dL/ds into `slope`; u: exponentials, replaced by what is behind each item, S_{k+1}. */
VM_INLINE void near(struct list *list, const double *u, double *terms, double *slope, double *behind)
{
    const size_t n = list->items;
    double sum = 0, inverses = 0;
    for (size_t k = n; k-- > 0;) {
        behind[k] = sum;
        sum += u[k];
    }
    for (size_t k = 0; k < n; k++) {
        terms[k] = vm_log1p(behind[k] / u[k]);
    }
    for (size_t k = 0; k < n; k++) {
        double all = behind[k] + u[k];
        slope[k] = (u[k] * inverses - behind[k] / all) / list->temperature;
        inverses += 1.0 / all;
    }
}

/* log(e^a + e^b) */
VM_INLINE double add_logs(double a, double b)
{
    double most = a > b ? a : b, least = a > b ? b : a;
    return most + (least == -(double)INFINITY ? 0.0 : vm_softplus_tail(most - least));
}

/* Likewise in logarithms. */
VM_INLINE void far(struct list *list, const double *score, double *terms, double *slope, double *behind)
{
    const size_t n = list->items;
    const double t = list->temperature;
    double sum = -(double)INFINITY, inverses = -(double)INFINITY;
    for (size_t k = n; k-- > 0;) {
        behind[k] = sum;
        sum = add_logs(sum, score[k] / t);
    }
    for (size_t k = 0; k < n; k++) {
        double x = behind[k] - score[k] / t; /* log(S_{k+1}/u_k) */
        terms[k] = x == -(double)INFINITY ? 0.0 : (x > 0 ? x : 0.0) + vm_softplus_tail(vm_abs(x));
        double other, mine = vm_sigmoid(x, &other); /* S_{k+1}/S_k */
        slope[k] = (vm_exp(score[k] / t + inverses) - mine) / t;
        inverses = add_logs(inverses, -add_logs(behind[k], score[k] / t));
    }
}

VM_INLINE void list_loss(const struct loss__block *b, size_t r, bool wide)
{
    struct list *list = list_read(b, r, ARRAYS, b->param[0].number, wide);
    double *score = list_numbers(b, list, SCORE), *up = list_numbers(b, list, UP),
           *slope = list_numbers(b, list, SLOPES);
    double *terms = list_numbers(b, list, LABEL), *behind = list_numbers(b, list, SPARE);
    list_sort_by_label(b, list, up, 0);
    shares_prepare(list, score, up, slope, wide);
    if (list->steps > 0) {
        near(list, up, terms, slope, behind);
    } else {
        far(list, score, terms, slope, behind);
    }
    b->loss[r] = list->bad == list->bad ? list_sum(terms, list->items) : list->bad;
    list_write(b, r, list, slope, wide);
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        list_loss(b, r, wide);
    }
}

static void factor(const struct loss__block *b, double *r)
{
    for (size_t i = 0; i < b->n; i++) {
        r[i] = 0;
        for (size_t k = i * b->c; k < (i + 1) * b->c && r[i] == 0; k++) {
            r[i] = is_masked(b, k, b->wide) ? 0 : 1;
        }
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(list_mle) = {.f32 = f32, .f64 = f64, .scratch = scratch, .factor = factor};

LOSS__DESCRIPTOR(list_mle) = {
    .name = "list_mle",
    .summary = "Likelihood of the order that a list's labels say, with items drawn one by one by their scores.",
    .formula = "sum over items in the order of falling labels of logsumexp(scores from there on/temperature) - "
               "scores/temperature",
    .source = "Xia et al. 2008; TensorFlow Ranking ListMLELoss",
    .edges = "Equal labels stand in the order of the list. A list with nothing unmasked has loss 0 and is not counted. "
             "Masked items are not looked at.",
    .elsewhere = "TensorFlow Ranking ListMLELoss: equal where no two labels are; it shuffles those that are.",
    .example = "{\"labels\": [[2, 0, 1], [0, 1, 3]], \"scores\": [[1, 0.5, 2], [0, 1, -1]]}",
    .aliases = (const struct loss_alias[]){{"list_mle_loss", {{0}}}, {"listmle", {{0}}}, {0}},
    .inputs = LOSS__RANKING_INPUTS,
    .params = {LOSS__TEMPERATURE(1)},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
