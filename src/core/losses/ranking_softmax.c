/* SPDX-License-Identifier: Apache-2.0
 *
 * ranking_softmax.c - the cross-entropy of a list's labels with the softmax of its scores.
 *
 *   t = y, y/sum y, or softmax(y), over the items that are not masked;   L = sum t (lse(s/T) - s/T)
 *   dL/ds = (p sum t - t)/T, p = softmax(s/T)
 *
 * With m the largest score and R the sum of exp((s - m)/T) but for one of it, lse is m/T + log1p(R): nothing cancels where
 * an item is far ahead of the others. The work grows with the list.
 *
 * Shapes  y, s and mask alike [..., items]; L without the last axis
 * Edges   a list with nothing unmasked, or with "normalize" and a sum of 0, has loss 0 and is not counted; masked items
 *         are not looked at; NaN in, NaN out
 * Source  optax.losses.ranking_softmax_loss (none); TensorFlow Ranking's SoftmaxLoss (normalize); Cao et al. 2007,
 *         ListNet (softmax)
 */
#include "losses/ranking.h"
#include "losses/softmax.h"

enum { EXPONENTIAL = LIST_ARRAYS, TARGET, ARRAYS };

enum { TRANSFORM_NONE, TRANSFORM_NORMALIZE, TRANSFORM_SOFTMAX };

static size_t scratch(const struct loss__block *b)
{
    return list_bytes(b, ARRAYS);
}

/* exp((x - most)/t) into e; the sum of all of them but one of `most`. */
VM_INLINE double exponentials(const double *restrict x, size_t n, double most, double t, double *restrict e)
{
    size_t top = 0;
    while (top < n && x[top] != most) {
        top++;
    }
    if (t == 1.0) { /* dividing changes nothing */
        for (size_t i = 0; i < n; i++) {
            double lost, d = vm_two_diff(x[i], most, &lost);
            e[i] = vm_exp_hilo(d, VM_SELECT(lost - lost == 0.0, lost, 0.0));
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            double lost, product_error, d = vm_two_diff(x[i], most, &lost), a = d / t;
            double product = vm_two_prod(a, t, &product_error), rest = (((d - product) - product_error) + lost) / t;
            e[i] = vm_exp_hilo(a, VM_SELECT(rest - rest == 0.0, rest, 0.0));
        }
    }
    if (top == n) {
        return list_sum(e, n);
    }
    double of_top = e[top];
    e[top] = 0;
    double sum = list_sum(e, n);
    e[top] = of_top;
    return sum;
}

/* Labels become targets. */
VM_INLINE void find_targets(const struct loss__block *b, struct list *list, const double *restrict label,
                            double *restrict target)
{
    double most = -(double)INFINITY, scale = 1;
    if (b->param[1].number == TRANSFORM_SOFTMAX) {
        for (size_t i = 0; i < list->items; i++) {
            most = label[i] > most ? label[i] : most;
        }
        scale = 1.0 + exponentials(label, list->items, most, 1.0, target);
        label = target;
    } else if (b->param[1].number == TRANSFORM_NORMALIZE) {
        scale = list_sum(label, list->items);
    }
    for (size_t i = 0; i < list->items; i++) {
        target[i] = scale == 0 ? 0.0 : label[i] / scale;
    }
}

/* sum t ((high - s)/T + log) */
VM_INLINE double weighted_sum(const struct list *list, const double *restrict target, const double *restrict score,
                              double log, double *restrict terms)
{
    const double t = list->temperature, high = list->high;
    for (size_t i = 0; i < list->items; i++) {
        double behind = t == 1.0 ? high - score[i] : (high - score[i]) / t;
        terms[i] = VM_SELECT(target[i] == 0.0, 0.0, target[i] * (behind + log));
    }
    return list_sum(terms, list->items);
}

/* Derivatives in place of exponentials. */
VM_INLINE void slopes(const struct list *list, const double *restrict target, double targets, double rest,
                      double *restrict e)
{
    for (size_t i = 0; i < list->items; i++) {
        /* p (sum t - t) - t (1 - p): where a label is met neither is left over from a difference */
        double others = VM_SELECT(e[i] == 1.0, rest, 1.0 + (rest - e[i]));
        e[i] = (e[i] * (targets - target[i]) - target[i] * others) / (1.0 + rest);
    }
    for (size_t i = 0; list->temperature != 1.0 && i < list->items; i++) {
        e[i] /= list->temperature;
    }
}

VM_INLINE void write_all(const struct list *list, double g, const double *restrict slope, void *grad, bool wide)
{
    for (size_t i = 0; i < list->items; i++) {
        kernel_store(grad, i, kernel_chain(g, list->bad == list->bad ? slope[i] : list->bad), wide);
    }
}

VM_INLINE void list_loss(const struct loss__block *b, size_t r, bool wide)
{
    struct list *list = list_read(b, r, ARRAYS, b->param[0].number, wide);
    const double *score = list_numbers(b, list, SCORE);
    double *e = list_numbers(b, list, EXPONENTIAL), *terms = list_numbers(b, list, LABEL);
    double *target = terms;
    if (b->param[1].number != TRANSFORM_NONE) {
        target = list_numbers(b, list, TARGET);
        find_targets(b, list, terms, target);
    }
    double rest = exponentials(score, list->items, list->high, list->temperature, e), log = vm_log1p(rest);
    double loss = weighted_sum(list, target, score, log, list_numbers(b, list, SPARE));
    b->loss[r] = list->items == 0 ? 0.0 : list->bad == list->bad ? loss : list->bad;
    if (b->grad[1] == NULL) {
        return;
    }
    slopes(list, target, list_sum(target, list->items), rest, e);
    if (list->items == b->c) {
        write_all(list, b->g[r], e, row_place(b->grad[1], r * b->c, wide), wide);
    } else {
        list_write(b, r, list, e, wide);
    }
}

/* Lists of float32 as they are, without a mask, are rows of softmax.h, but those with a score of -infinity, which has no
 * place beside others, or a label below 0, by which terms may cancel. */

#define MINUS_INFINITY UINT32_C(0xff800000)

static bool has_odd(const uint32_t *restrict labels, const uint32_t *restrict scores, size_t n)
{
    uint32_t any = 0;
    for (size_t i = 0; i < n; i++) {
        any |= (uint32_t)(labels[i] > UINT32_C(0x80000000)) | (uint32_t)(scores[i] == MINUS_INFINITY);
    }
    return any != 0;
}

static void lists_as_rows(const struct loss__block *b)
{
    const uint32_t *labels = b->in[0], *scores = b->in[1];
    softmax_dense(b, 0.0, false);
    if (!has_odd(labels, scores, b->n * b->c)) {
        return;
    }
    for (size_t r = 0; r < b->n; r++) {
        if (has_odd(labels + r * b->c, scores + r * b->c, b->c)) {
            list_loss(b, r, false);
        }
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    if (!wide && b->in[2] == NULL && b->param[0].number == 1 && b->param[1].number == TRANSFORM_NONE) {
        lists_as_rows(b);
        return;
    }
    for (size_t r = 0; r < b->n; r++) {
        list_loss(b, r, wide);
    }
}

/* Whether a list without "normalize" counts: it has an item. */
static bool has_item(const struct loss__block *b, size_t r)
{
    for (size_t i = r * b->c; i < (r + 1) * b->c; i++) {
        if (!is_masked(b, i, b->wide)) {
            return true;
        }
    }
    return false;
}

static void factor(const struct loss__block *b, double *r)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->param[1].number != TRANSFORM_NORMALIZE) {
            r[i] = has_item(b, i) ? 1 : 0;
            continue;
        }
        struct list *list = list_read(b, i, ARRAYS, 1, b->wide);
        r[i] = list->items == 0 || list_sum(list_numbers(b, list, LABEL), list->items) == 0 ? 0 : 1;
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(ranking_softmax) = {.f32 = f32, .f64 = f64, .scratch = scratch, .factor = factor};

LOSS__DESCRIPTOR(ranking_softmax) = {
    .name = "ranking_softmax",
    .summary = "Cross-entropy of a list's labels with the softmax of its scores.",
    .formula = "sum(t*(logsumexp(scores/temperature) - scores/temperature)), t the labels as label_transform says",
    .source = "optax.losses.ranking_softmax_loss; TensorFlow Ranking SoftmaxLoss; Cao et al. 2007 (ListNet)",
    .edges = "A list with nothing unmasked, or with label_transform normalize and labels that sum to 0, has loss 0 and "
             "is not counted. Masked items are not looked at.",
    .elsewhere = "optax.losses.ranking_softmax_loss: equal. TensorFlow Ranking SoftmaxLoss: label_transform normalize, "
                 "with the list's sum of labels as its weight. ListNet: the alias listnet.",
    .example = "{\"labels\": [[2, 0, 1], [0, 1, 1]], \"scores\": [[1, 0.5, 2], [0, 1, -1]]}",
    .aliases = (const struct loss_alias[]){{"ranking_softmax_loss", {{0}}},
                                           {"listwise_softmax", {{0}}},
                                           {"listnet", {{"label_transform", TRANSFORM_SOFTMAX}}},
                                           {0}},
    .inputs = LOSS__RANKING_INPUTS,
    .params = {LOSS__TEMPERATURE(1),
               {.name = "label_transform",
                .doc = "What is made of labels: as they are, divided by their sum, or their softmax.",
                .words = LOSS__WORDS("none", "normalize", "softmax"),
                .type = LOSS_WORD}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
