/* SPDX-License-Identifier: Apache-2.0
 *
 * kl_divergence.c - how far predicted distributions are from the true ones.
 *
 *   L = sum_k y_k (log y_k - log p_k), each as (y log(y/p) - (y - p)) + (y - p), of which the first is never below 0
 *   dL/dp_k = -y_k/p_k;   dL/dy_k = log y_k - log p_k + 1;   of other forms as in divergence.h
 *
 * Shapes  y and p alike [..., K]; L has their shape without the last axis
 * Edges   a label 0 adds nothing; a prediction 0 for a label above 0 gives infinity; epsilon > 0 clips both to
 *         [epsilon, 1], with gradient 0 at and beyond the bounds; dL/dy at a label 0 is -infinity
 * Source  Kullback and Leibler 1951; values agree with torch.nn.functional.kl_div a row, keras.losses.kl_divergence and
 *         optax.kl_divergence
 */
#include "losses/divergence.h"

VM_INLINE double clipped(double x, double low, double high)
{
    return VM_SELECT(x < low, low, VM_SELECT(x > high, high, x));
}

/* 1 where x is within the bounds, else 0. */
VM_INLINE double within(double x, double epsilon)
{
    return VM_SELECT(x > epsilon, VM_SELECT(x < 1.0, 1.0, 0.0), 0.0);
}

/* Both given as probabilities. */
__attribute__((noinline)) static void by_ratio(struct divergence *d, size_t n)
{
    const double epsilon = d->epsilon;
    for (size_t i = 0; i < n; i++) {
        double y = d->y.at[i], p = d->p.at[i], y_open = 1.0, p_open = 1.0;
        if (epsilon > 0) {
            y_open = within(y, epsilon);
            p_open = within(p, epsilon);
            y = clipped(y, epsilon, 1.0);
            p = clipped(p, epsilon, 1.0);
        }
        d->diff[i] = y - p;
        double log = vm_log_ratio(y, p, y - p, &d->term[i]);
        d->y.slope[i] = VM_SELECT(y_open == 0.0, 0.0, log + 1.0);
        d->p.slope[i] = VM_SELECT(y == 0.0, 0.0, -(y * p_open) / p);
    }
}

/* At least one given by its logarithm. */
__attribute__((noinline)) static void by_logs(struct divergence *d, size_t n)
{
    const double epsilon = d->epsilon, floor = epsilon > 0 ? vm_log(epsilon) : 0.0;
    const bool y_logits = d->y.form == FORM_LOGITS, p_logits = d->p.form == FORM_LOGITS;
    const bool y_given = d->y.form == FORM_PROBABILITIES, p_given = d->p.form == FORM_PROBABILITIES;
    for (size_t i = 0; i < n; i++) {
        double y = d->y.at[i], p = d->p.at[i], log_y = d->y.log_at[i], log_p = d->p.log_at[i];
        double y_open = 1.0, p_open = 1.0;
        if (epsilon > 0) {
            y_open = within(y, epsilon);
            p_open = within(p, epsilon);
            y = clipped(y, epsilon, 1.0);
            p = clipped(p, epsilon, 1.0);
            log_y = clipped(log_y, floor, 0.0);
            log_p = clipped(log_p, floor, 0.0);
        }
        double nothing = VM_MASK(y == 0.0), unequal = log_y - log_p;
        double log = vm_blend(nothing, VM_SELECT(log_p == log_p, -(double)INFINITY, log_p), unequal);
        double less, grown = vm_expm1_less(log, &less); /* exp(log) - 1, and that less log */
        double near = VM_MASK(vm_abs(log) < DIVERGENCE_NEAR);
        double diff = vm_blend(near, p * grown, y - p);
        double whole = vm_blend(nothing, VM_SELECT(log == log, 0.0, log), y * log);
        d->diff[i] = diff;
        d->term[i] = vm_blend(near, p * (log * grown - less), whole - diff);
        double of_y = y_given ? log + 1.0 : y_logits && epsilon == 0 ? whole : whole + y;
        double of_p = p_given ? -y / p : p_logits && epsilon == 0 ? -diff : -y;
        d->y.slope[i] = VM_SELECT(y_open == 0.0, 0.0, of_y);
        d->p.slope[i] = VM_SELECT(p_open == 0.0, 0.0, p_given ? vm_blend(nothing, 0.0, of_p) : of_p);
    }
}

/* Probabilities of float32 with a short logarithm: a row that adds up to what is much less than its terms has the whole
 * one's digits, and so has one with a number out of place. */

#define CANCELS 16.0    /* times: terms good to 2^-31 leave 2^-27 of the loss */
#define BRIEF_CLASSES 6 /* a row's least: it is worked on in whole lanes */

/* The sums of terms and of diff in 16 lanes. */
struct brief {
    struct lanes term, diff;
    double epsilon, g;
};

/* Sixteen classes; y and p as divergence.h has them, in float32. */
VM_INLINE void brief_classes(struct brief *s, const float *restrict labels, const float *restrict predictions,
                             float *restrict grad, bool clips, bool slopes)
{
    const double epsilon = s->epsilon, g = s->g;
    for (size_t l = 0; l < LANES; l++) {
        double y = (double)labels[l], p = (double)predictions[l], p_open = clips ? within(p, epsilon) : 1.0, ratio;
        y = clips ? clipped(y, epsilon, 1.0) : y;
        p = clips ? clipped(p, epsilon, 1.0) : p;
        double bracket = vm_bracket_brief(y, p, &ratio), diff = y - p;
        double without = VM_SELECT(y == 0.0 && p > 0.0, -diff, (double)NAN);
        s->term.at[l] += VM_SELECT(y > 0.0 && p > 0.0, bracket, without);
        s->diff.at[l] += diff;
        if (slopes) {
            grad[l] = (float)(g * VM_SELECT(y == 0.0, 0.0, -(ratio * p_open)));
        }
    }
}

VM_INLINE bool brief_body(struct brief *s, const float *y, const float *p, size_t n, float *grad, double *loss,
                          bool clips, bool slopes)
{
    const size_t whole = n - n % LANES, left = n - whole;
    float tail[3][LANES];
    s->term = s->diff = lanes_of(0.0);
    for (size_t i = 0; i < whole; i += LANES) {
        brief_classes(s, y + i, p + i, slopes ? grad + i : NULL, clips, slopes);
    }
    if (left > 0) {
        for (size_t l = 0; l < LANES; l++) {
            tail[0][l] = tail[1][l] = 1.0F;
        }
        memcpy(tail[0], y + whole, left * sizeof *y);
        memcpy(tail[1], p + whole, left * sizeof *p);
        brief_classes(s, tail[0], tail[1], tail[2], clips, slopes);
        if (slopes) {
            memcpy(grad + whole, tail[2], left * sizeof *grad);
        }
    }
    const double terms = lanes_sum(s->term);
    *loss = terms + lanes_sum(s->diff);
    return terms <= CANCELS * vm_abs(*loss);
}

/* A row's loss, and its slopes unless grad is NULL; whether they are good. Infinite and NaN ones are not. */
__attribute__((noinline)) static bool brief_row(struct brief *s, const float *y, const float *p, size_t n, float *grad,
                                                double *loss)
{
    if (s->epsilon > 0) {
        return grad == NULL ? brief_body(s, y, p, n, grad, loss, true, false)
                            : brief_body(s, y, p, n, grad, loss, true, true);
    }
    return grad == NULL ? brief_body(s, y, p, n, grad, loss, false, false)
                        : brief_body(s, y, p, n, grad, loss, false, true);
}

static void brief(const struct loss__block *b, struct divergence *d)
{
    struct brief s = {.epsilon = d->epsilon};
    for (size_t r = 0; r < b->n; r++) {
        const float *y = (const float *)b->in[0] + r * b->c, *p = (const float *)b->in[1] + r * b->c;
        float *grad = b->grad[1] == NULL ? NULL : (float *)b->grad[1] + r * b->c;
        s.g = grad == NULL ? 1.0 : b->g[r];
        if (s.g != 0 && brief_row(&s, y, p, b->c, grad, &b->loss[r])) {
            continue;
        }
        struct loss__block row = {.n = 1, .c = b->c, .in = {y, p}, .grad = {NULL, grad}, .loss = &b->loss[r]};
        row.g = b->g == NULL ? NULL : &b->g[r];
        divergence(&row, d, by_ratio, false);
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    struct divergence d;
    d.y.form = (enum form)b->param[0].number;
    d.p.form = (enum form)b->param[1].number;
    d.epsilon = b->param[2].number;
    d.plus_diff = true;
    d.sums_to_one = d.y.form == FORM_LOGITS && d.p.form == FORM_LOGITS && d.epsilon == 0;
    bool given = d.y.form == FORM_PROBABILITIES && d.p.form == FORM_PROBABILITIES;
    if (!wide && given && b->c >= BRIEF_CLASSES && b->grad[0] == NULL && (d.epsilon == 0 || d.epsilon > 0x1p-500)) {
        brief(b, &d);
        return;
    }
    divergence(b, &d, given ? by_ratio : by_logs, wide);
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(kl_divergence) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(kl_divergence) = {
    .name = "kl_divergence",
    .summary = "How far predicted distributions are from the true ones, by the Kullback-Leibler divergence.",
    .formula =
        "sum over classes of y*(log(y) - log(p)), y and p the probabilities that labels and predictions stand for",
    .source = "torch.nn.functional.kl_div; keras.losses.kl_divergence; optax.losses.kl_divergence",
    .edges = "A label 0 adds nothing; a prediction 0 for a label above 0 gives infinity. epsilon above 0 clips both to "
             "[epsilon, 1]. The gradient with respect to a label 0 is not finite. Distributions that nearly agree keep "
             "their digits.",
    .elsewhere = "torch kl_div: the name kl_div, reduction batchmean for a matrix; torch's own mean divides by all "
                 "elements. keras.losses.kl_divergence: the name kullback_leibler_divergence, which sets epsilon. "
                 "optax.kl_divergence: predictions_form log_probabilities, reduction none.",
    .example =
        "{\"labels\": [[0.25, 0.25, 0.5], [0.5, 0.5, 0]], \"predictions\": [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]}",
    .aliases = (const struct loss_alias[]){{"kl", {{0}}},
                                           {"kl_div", {{"predictions_form", FORM_LOGS}}},
                                           {"kullback_leibler_divergence", {{"epsilon", 1e-7}}},
                                           {0}},
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .params = {LOSS__FORM_PARAM("labels_form", "labels"),
               LOSS__FORM_PARAM("predictions_form", "predictions"),
               {.name = "epsilon",
                .doc = "The least probability; 0: none.",
                .type = LOSS_NUMBER,
                .fallback = 0,
                .min = 0,
                .max = 1,
                .below_max = true}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
