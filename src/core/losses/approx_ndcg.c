/* SPDX-License-Identifier: Apache-2.0
 *
 * approx_ndcg.c - NDCG, or the reciprocal rank, with ranks that are smooth in the scores.
 *
 *   r_i = 1 + sum over j != i of sigma((s_j - s_i)/T)
 *   ndcg  L = -sum G_i/log2(1 + r_i)/maxDCG, G = 2^y - 1;   c_i = dL/dr_i = G_i ln2/((1 + r_i) log(1 + r_i)^2 maxDCG)
 *   mrr   L = -sum y_i/r_i/sum y;                           c_i = y_i/(r_i^2 sum y)
 *   dL/ds_j = 1/T sum over i of (c_i - c_j) x/(1 + x)^2, x = exp((s_j - s_i)/T)
 *
 * The work is a few multiplications a pair (share.h), and for the gradient a division, and grows with the square of the
 * list.
 *
 * Shapes  y, s and mask alike [..., items]; L without the last axis
 * Edges   L is in [-1, 0]; a list without relevance has loss 0 and is not counted; masked items are not looked at; NaN
 *         in, NaN out
 * Source  Qin, Liu and Li 2010; TensorFlow Ranking's ApproxNDCGLoss and ApproxMRRLoss
 */
#include "losses/share.h"

enum { UP = LIST_ARRAYS, DOWN, TERMS, SLOPES, OUTER, ARRAYS };

enum { METRIC_NDCG, METRIC_MRR };

static size_t scratch(const struct loss__block *b)
{
    return list_bytes(b, ARRAYS);
}

/* maxDCG, or the sum of the labels. */
VM_INLINE double relevance(const struct loss__block *b, struct list *list)
{
    double *label = list_numbers(b, list, LABEL), *terms = list_numbers(b, list, TERMS);
    if (b->param[1].number == METRIC_MRR) {
        return list_sum(label, list->items);
    }
    const size_t *order = list_order(label, list->items, list_places(b, list, ORDER), list_places(b, list, SPARE));
    for (size_t i = 0; i < list->items; i++) {
        terms[i] = list_gain(label[order[i]]) * list_discount((double)(i + 1));
    }
    return list_sum(terms, list->items);
}

VM_INLINE void read(const struct loss__block *b, bool wide)
{
    struct list *list = list_read(b, b->part, ARRAYS, b->param[0].number, wide);
    double whole = relevance(b, list);
    list->scale = whole == 0 ? 0 : 1 / whole;
    shares_prepare(list, list_numbers(b, list, SCORE), list_numbers(b, list, UP), list_numbers(b, list, DOWN), wide);
}

VM_INLINE void rank(const struct loss__block *b, bool wide)
{
    struct items items = items_of(b, ARRAYS);
    struct list *list = items.list;
    const double *score = list_numbers(b, list, SCORE), *label = list_numbers(b, list, LABEL);
    const bool reciprocal = b->param[1].number == METRIC_MRR;
    for (size_t i = items.first; i < items.end; i++) {
        double own = score[i], t = list->temperature;
        struct shares shares = list->steps > 0
                                   ? shares_of(list_numbers(b, list, UP), list->items, list_numbers(b, list, DOWN)[i],
                                               list->steps, false, true, wide)
                                   : shares_far(score, list->items, own, 1.0, t);
        double rank = 0.5 + shares.share; /* with itself an item has a share of 1/2 */
        double gain = list_gain(label[i]), log = vm_log(1.0 + rank), discount = list_discount(rank);
        double term = reciprocal ? label[i] / rank : gain * discount;
        double slope = reciprocal ? label[i] / (rank * rank) : gain * discount / ((1.0 + rank) * log);
        list_numbers(b, list, TERMS)[i] = term;
        list_numbers(b, list, OUTER)[i] = slope * list->scale;
    }
}

/* sum over i of (c_i - own) x/(1 + x)^2 for x = factor * u[i] */
VM_INLINE double pull(const double *restrict u, const double *restrict c, size_t n, double factor, double own)
{
    struct lanes sum = lanes_of(0.0);
    size_t whole = n - n % LANES;
    for (size_t at = 0; at < n; at += LANES) {
        double x[LANES] = {0}, outer[LANES] = {0};
        for (size_t l = 0; l < (at < whole ? LANES : n - whole); l++) {
            x[l] = factor * u[at + l];
            outer[l] = c[at + l] - own;
        }
        for (int l = 0; l < LANES; l++) {
            double part = 1.0 / (1.0 + x[l]);
            sum.at[l] += outer[l] * ((x[l] * part) * part);
        }
    }
    return lanes_sum(sum);
}

VM_INLINE double pull_far(const double *score, const double *c, size_t n, double own_score, double own, double t)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double other, sigma = vm_sigmoid((own_score - score[i]) / t, &other);
        sum += (c[i] - own) * (sigma * other);
    }
    return sum;
}

VM_INLINE void differentiate(const struct loss__block *b, bool wide)
{
    struct items items = items_of(b, ARRAYS);
    struct list *list = items.list;
    const double *score = list_numbers(b, list, SCORE), *outer = list_numbers(b, list, OUTER), t = list->temperature;
    (void)wide;
    for (size_t i = items.first; b->grad[1] != NULL && i < items.end; i++) {
        double sum = list->steps > 0
                         ? pull(list_numbers(b, list, DOWN), outer, list->items, list_numbers(b, list, UP)[i], outer[i])
                         : pull_far(score, outer, list->items, score[i], outer[i], t);
        list_numbers(b, list, SLOPES)[i] = sum / t;
    }
}

VM_INLINE void write(const struct loss__block *b, bool wide)
{
    size_t r = b->part;
    struct list *list = list_at(b, r, ARRAYS);
    double sum = list_sum(list_numbers(b, list, TERMS), list->items);
    b->loss[r] = list->bad == list->bad ? 0.0 - list->scale * sum : list->bad;
    list_write(b, r, list, list_numbers(b, list, SLOPES), wide);
}

static void factor(const struct loss__block *b, double *r)
{
    for (size_t i = 0; i < b->n; i++) {
        struct list *list = list_read(b, i, ARRAYS, 1, b->wide);
        r[i] = relevance(b, list) == 0 ? 0 : 1;
    }
}

LOSS__STAGE_BODIES(read)
LOSS__STAGE_BODIES(rank)
LOSS__STAGE_BODIES(differentiate)
LOSS__STAGE_BODIES(write)
LOSS__KERNELS(approx_ndcg) = {
    LOSS__STAGES(LOSS__STAGE(read, list_parts), LOSS__STAGE(rank, item_parts), LOSS__STAGE(differentiate, item_parts),
                 LOSS__STAGE(write, list_parts)),
    .scratch = scratch,
    .factor = factor,
};

LOSS__DESCRIPTOR(approx_ndcg) = {
    .name = "approx_ndcg",
    .summary = "NDCG, or the reciprocal rank, with ranks that are smooth in the scores, and the sign turned.",
    .formula = "-sum((2^labels - 1)/log2(1 + r))/maxDCG, or -sum(labels/r)/sum(labels), r_i = 1 + sum over j != i of "
               "sigmoid((scores_j - scores_i)/temperature)",
    .source = "Qin, Liu and Li 2010; TensorFlow Ranking ApproxNDCGLoss, ApproxMRRLoss",
    .edges = "The loss is in [-1, 0]. A list without relevant items has loss 0 and is not counted. Masked items are "
             "not looked at. Time grows with the square of the list.",
    .elsewhere =
        "TensorFlow Ranking ApproxNDCGLoss, and as the alias approx_mrr ApproxMRRLoss: equal. 1 - NDCG is 1 + this.",
    .example = "{\"labels\": [[2, 0, 1], [0, 1, 1]], \"scores\": [[1, 0.5, 2], [0, 1, -1]]}",
    .aliases = (const struct loss_alias[]){{"approx_ndcg_loss", {{0}}},
                                           {"approx_mrr", {{"metric", METRIC_MRR}}},
                                           {"approx_mrr_loss", {{"metric", METRIC_MRR}}},
                                           {0}},
    .inputs = LOSS__RANKING_INPUTS,
    .params =
        {LOSS__TEMPERATURE(0.1),
         {.name = "metric", .doc = "What is approximated.", .words = LOSS__WORDS("ndcg", "mrr"), .type = LOSS_WORD}},
    .kind = LOSS_ROWWISE,
    .pairs = LOSS_PAIRS_IN_ROWS,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
