/* SPDX-License-Identifier: Apache-2.0
 *
 * lambda_rank.c - pairs of a list as in pairwise_logistic, each weighed by what exchanging the two would change of the
 * NDCG.
 *
 *   G = 2^y - 1;   D = 1/log2(1 + r), 0 for r > topn;   r the rank by score, ties by position
 *   L = sum over pairs with y_i > y_j of |G_i - G_j| |D_i - D_j|/maxDCG softplus(-(s_i - s_j)/T)
 *   dL/ds by the softplus alone: ranks are constants
 *
 * The work is a logarithm and a division a pair, and grows with the square of the list.
 *
 * Shapes  y, s and mask alike [..., items]; L without the last axis
 * Edges   a list without such a pair, or with maxDCG = 0, has loss 0 and is not counted; masked items are not looked at;
 *         NaN in, NaN out
 * Source  Burges 2010 (LambdaRank); TensorFlow Ranking's PairwiseLogisticLoss with DCGLambdaWeight, normalized, is this
 *         times the size of the list
 */
#include "losses/share.h"

enum { UP = LIST_ARRAYS, DOWN, GAIN, DISCOUNT, FIRST, END, LOGS, SLOPES, ARRAYS };

static size_t scratch(const struct loss__block *b)
{
    return list_bytes(b, ARRAYS);
}

VM_INLINE double discount_at(size_t rank, const struct loss_param_value *topn)
{
    return topn->given && (double)rank > topn->number ? 0.0 : list_discount((double)rank);
}

/* D of each item; the list stands as in the row. */
VM_INLINE void find_discounts(const struct loss__block *b, struct list *list)
{
    const size_t *ranked =
        list_order(list_numbers(b, list, SCORE), list->items, list_places(b, list, ORDER), list_places(b, list, SPARE));
    double *discount = list_numbers(b, list, DISCOUNT);
    for (size_t rank = 1; rank <= list->items; rank++) {
        discount[ranked[rank - 1]] = discount_at(rank, &b->param[1]);
    }
}

/* G of each item, and the largest DCG there could be; the list stands in the order of labels. */
VM_INLINE double find_gains(const struct loss__block *b, struct list *list)
{
    const double *label = list_numbers(b, list, LABEL);
    double *gain = list_numbers(b, list, GAIN), *terms = list_numbers(b, list, LOGS);
    for (size_t i = 0; i < list->items; i++) {
        gain[i] = list_gain(label[i]);
        terms[i] = gain[i] * discount_at(i + 1, &b->param[1]);
    }
    return list_sum(terms, list->items);
}

VM_INLINE void read(const struct loss__block *b, bool wide)
{
    struct list *list = list_read(b, b->part, ARRAYS, b->param[0].number, wide);
    find_discounts(b, list);
    list_sort_by_label(b, list, list_numbers(b, list, LOGS), DISCOUNT);
    double pairs =
        list_group(list_numbers(b, list, LABEL), list->items, list_places(b, list, FIRST), list_places(b, list, END));
    double most = find_gains(b, list);
    list->scale = pairs == 0 || most == 0 ? 0 : 1 / most;
    shares_prepare(list, list_numbers(b, list, SCORE), list_numbers(b, list, UP), list_numbers(b, list, DOWN), wide);
}

/* An item and those that it is compared with. */
struct comparison {
    double score, gain, discount, factor; /* factor: exp(+-(s - m)/T) of the item */
    const double *scores, *gains, *discounts, *exponentials;
    size_t n;
    double sign, temperature;
};

VM_INLINE double weight_of(const struct comparison *c, size_t i)
{
    return vm_abs(c->gain - c->gains[i]) * vm_abs(c->discount - c->discounts[i]);
}

/* The weighed log(1 + x) and x/(1 + x) of the others. */
VM_INLINE struct shares weighed(const struct comparison *c, bool logs, bool shares, bool wide)
{
    struct lanes log = lanes_of(0.0), share = lanes_of(0.0);
    size_t whole = c->n - c->n % LANES;
    for (size_t at = 0; at < c->n; at += LANES) {
        double x[LANES] = {0}, w[LANES] = {0};
        for (size_t l = 0; l < (at < whole ? LANES : c->n - whole); l++) {
            x[l] = c->factor * c->exponentials[at + l];
            w[l] = weight_of(c, at + l);
        }
        for (int l = 0; l < LANES; l++) {
            if (logs) {
                log.at[l] += w[l] * (wide ? vm_log1p(x[l]) : vm_log1p_brief(x[l]));
            }
            if (shares) {
                share.at[l] += w[l] * (x[l] / (1.0 + x[l]));
            }
        }
    }
    return (struct shares){.log = lanes_sum(log), .share = lanes_sum(share)};
}

/* Likewise where the scores lie too far apart for exponentials of their own. */
VM_INLINE struct shares weighed_far(const struct comparison *c)
{
    struct shares sum = {0, 0};
    for (size_t i = 0; i < c->n; i++) {
        struct shares at = shares_far(c->scores + i, 1, c->score, c->sign, c->temperature);
        sum.log += weight_of(c, i) * at.log;
        sum.share += weight_of(c, i) * at.share;
    }
    return sum;
}

VM_INLINE struct shares compare_with(const struct loss__block *b, struct list *list, size_t i, bool below, bool slopes,
                                     bool wide)
{
    size_t first = below ? list_places(b, list, END)[i] : 0;
    size_t end = below ? list->items : list_places(b, list, FIRST)[i];
    struct comparison c = {
        .score = list_numbers(b, list, SCORE)[i],
        .gain = list_numbers(b, list, GAIN)[i],
        .discount = list_numbers(b, list, DISCOUNT)[i],
        .factor = list_numbers(b, list, below ? DOWN : UP)[i],
        .scores = list_numbers(b, list, SCORE) + first,
        .gains = list_numbers(b, list, GAIN) + first,
        .discounts = list_numbers(b, list, DISCOUNT) + first,
        .exponentials = list_numbers(b, list, below ? UP : DOWN) + first,
        .n = end - first,
        .sign = below ? 1 : -1,
        .temperature = list->temperature,
    };
    if (list->steps == 0) {
        return weighed_far(&c);
    }
    return below ? (slopes ? weighed(&c, true, true, wide) : weighed(&c, true, false, wide))
                 : weighed(&c, false, true, wide);
}

VM_INLINE void compare(const struct loss__block *b, bool wide)
{
    struct items items = items_of(b, ARRAYS);
    struct list *list = items.list;
    bool slopes = b->grad[1] != NULL;
    for (size_t i = items.first; i < items.end; i++) {
        struct shares below = compare_with(b, list, i, true, slopes, wide), above = {0, 0};
        above = slopes ? compare_with(b, list, i, false, slopes, wide) : above;
        list_numbers(b, list, LOGS)[i] = below.log;
        list_numbers(b, list, SLOPES)[i] = (above.share - below.share) / list->temperature * list->scale;
    }
}

VM_INLINE void write(const struct loss__block *b, bool wide)
{
    size_t r = b->part;
    struct list *list = list_at(b, r, ARRAYS);
    b->loss[r] = list->bad == list->bad ? list->scale * list_sum(list_numbers(b, list, LOGS), list->items) : list->bad;
    list_write(b, r, list, list_numbers(b, list, SLOPES), wide);
}

/* maxDCG may be 0 beside a pair, where labels are negative. */
static void factor(const struct loss__block *b, double *r)
{
    for (size_t i = 0; i < b->n; i++) {
        struct loss__block one = *b;
        one.part = i;
        r[i] = 0;
        if (list_has_pair(b, i)) {
            read(&one, b->wide);
            struct list *list = list_at(b, i, ARRAYS);
            r[i] = list->scale != 0 || list->bad != list->bad ? 1 : 0;
        }
    }
}

LOSS__STAGE_BODIES(read)
LOSS__STAGE_BODIES(compare)
LOSS__STAGE_BODIES(write)
LOSS__KERNELS(lambda_rank) = {
    LOSS__STAGES(LOSS__STAGE(read, list_parts), LOSS__STAGE(compare, item_parts), LOSS__STAGE(write, list_parts)),
    .scratch = scratch,
    .factor = factor,
};

LOSS__DESCRIPTOR(lambda_rank) = {
    .name = "lambda_rank",
    .summary = "Pairs of a list that are out of order, weighed by what exchanging the two would change of the NDCG.",
    .formula = "sum over pairs with labels_i > labels_j of |G_i - G_j|*|D_i - D_j|/maxDCG * log(1 + exp(-(scores_i - "
               "scores_j)/temperature)), G = 2^labels - 1, D = 1/log2(1 + rank)",
    .source = "Burges 2010 (LambdaRank); TensorFlow Ranking DCGLambdaWeight",
    .edges = "A list without two different labels has loss 0 and is not counted. Equal scores are ranked by position. "
             "Masked items are not looked at. Time grows with the square of the list.",
    .elsewhere = "TensorFlow Ranking PairwiseLogisticLoss with DCGLambdaWeight (gain 2^y - 1, discount 1/log2(1 + r), "
                 "normalized), summed a list, is this times the size of the list.",
    .example = "{\"labels\": [[2, 0, 1], [0, 1, 1]], \"scores\": [[1, 0.5, 2], [0, 1, -1]]}",
    .aliases = (const struct loss_alias[]){{"lambdarank", {{0}}}, {0}},
    .inputs = LOSS__RANKING_INPUTS,
    .params = {LOSS__TEMPERATURE(1),
               {.name = "topn",
                .doc = "Ranks beyond it count nothing.",
                .type = LOSS_INTEGER,
                .optional = true,
                .min = 1,
                .max = INFINITY}},
    .kind = LOSS_ROWWISE,
    .pairs = LOSS_PAIRS_IN_ROWS,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
