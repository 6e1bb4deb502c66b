/* SPDX-License-Identifier: Apache-2.0
 *
 * pairwise_logistic.c - of each two items of a list, the one with the larger label is to have the larger score.
 *
 *   L = mean (or sum) over pairs with y_i > y_j of softplus(-(s_i - s_j)/T)
 *   dL/ds_i = -sigma(-(s_i - s_j)/T)/T summed over those that i should be above, plus sigma(-(s_k - s_i)/T)/T over those
 *   that should be above it
 *
 * With the items in the order of falling labels each has those below it behind it: the work is a few multiplications a
 * pair (share.h), and grows with the square of the list.
 *
 * Shapes  y, s and mask alike [..., items]; L without the last axis
 * Edges   a list without such a pair has loss 0 and is not counted; masked items are not looked at; NaN in, NaN out
 * Source  Burges et al. 2005 (RankNet); TensorFlow Ranking's PairwiseLogisticLoss a list; rax.pairwise_logistic_loss
 */
#include "losses/share.h"

enum { UP = LIST_ARRAYS, DOWN, FIRST, END, LOGS, SLOPES, ARRAYS };

enum { PAIR_MEAN, PAIR_SUM };

static size_t scratch(const struct loss__block *b)
{
    return list_bytes(b, ARRAYS);
}

VM_INLINE void read(const struct loss__block *b, bool wide)
{
    struct list *list = list_read(b, b->part, ARRAYS, b->param[0].number, wide);
    list_sort_by_label(b, list, list_numbers(b, list, LOGS), 0);
    double pairs =
        list_group(list_numbers(b, list, LABEL), list->items, list_places(b, list, FIRST), list_places(b, list, END));
    list->scale = pairs == 0 ? 0 : b->param[1].number == PAIR_SUM ? 1 : 1 / pairs;
    shares_prepare(list, list_numbers(b, list, SCORE), list_numbers(b, list, UP), list_numbers(b, list, DOWN), wide);
}

VM_INLINE void compare(const struct loss__block *b, bool slopes, bool wide)
{
    struct items items = items_of(b, ARRAYS);
    struct list *list = items.list;
    const double *score = list_numbers(b, list, SCORE), *up = list_numbers(b, list, UP),
                 *down = list_numbers(b, list, DOWN), t = list->temperature;
    const size_t *first = list_places(b, list, FIRST), *end = list_places(b, list, END), n = list->items;
    for (size_t i = items.first; i < items.end; i++) {
        size_t below = n - end[i], above = first[i];
        struct shares of_below, of_above = {0, 0};
        if (list->steps > 0) {
            of_below = shares_of(up + end[i], below, down[i], list->steps, true, slopes, wide);
            of_above = slopes ? shares_of(down, above, up[i], list->steps, false, true, wide) : of_above;
        } else {
            of_below = shares_far(score + end[i], below, score[i], 1.0, t);
            of_above = slopes ? shares_far(score, above, score[i], -1.0, t) : of_above;
        }
        list_numbers(b, list, LOGS)[i] = of_below.log;
        list_numbers(b, list, SLOPES)[i] = (of_above.share - of_below.share) / t * list->scale;
    }
}

VM_INLINE void compare_body(const struct loss__block *b, bool wide)
{
    if (b->grad[1] != NULL) {
        compare(b, true, wide);
    } else {
        compare(b, false, wide);
    }
}

VM_INLINE void write(const struct loss__block *b, bool wide)
{
    size_t r = b->part;
    struct list *list = list_at(b, r, ARRAYS);
    b->loss[r] = list->bad == list->bad ? list->scale * list_sum(list_numbers(b, list, LOGS), list->items) : list->bad;
    list_write(b, r, list, list_numbers(b, list, SLOPES), wide);
}

static void factor(const struct loss__block *b, double *r)
{
    for (size_t i = 0; i < b->n; i++) {
        r[i] = list_has_pair(b, i) ? 1 : 0;
    }
}

LOSS__STAGE_BODIES(read)
LOSS__STAGE_BODIES(compare_body)
LOSS__STAGE_BODIES(write)
LOSS__KERNELS(pairwise_logistic) = {
    LOSS__STAGES(LOSS__STAGE(read, list_parts), LOSS__STAGE(compare_body, item_parts), LOSS__STAGE(write, list_parts)),
    .scratch = scratch,
    .factor = factor,
};

LOSS__DESCRIPTOR(pairwise_logistic) = {
    .name = "pairwise_logistic",
    .summary = "Of each two items of a list, the one with the larger label is to have the larger score.",
    .formula = "mean over pairs with labels_i > labels_j of log(1 + exp(-(scores_i - scores_j)/temperature))",
    .source = "Burges et al. 2005 (RankNet); TensorFlow Ranking PairwiseLogisticLoss; rax.pairwise_logistic_loss",
    .edges = "A list without two different labels has loss 0 and is not counted. Masked items are not looked at. Time "
             "grows with the square of the list.",
    .elsewhere = "TensorFlow Ranking PairwiseLogisticLoss: equal a list. rax.pairwise_logistic_loss and RankNet sum "
                 "over the pairs: the alias ranknet.",
    .example = "{\"labels\": [[2, 0, 1], [0, 1, 1]], \"scores\": [[1, 0.5, 2], [0, 1, -1]]}",
    .aliases = (const struct loss_alias[]){{"ranknet", {{"pair_reduction", PAIR_SUM}}}, {0}},
    .inputs = LOSS__RANKING_INPUTS,
    .params = {LOSS__TEMPERATURE(1),
               {.name = "pair_reduction",
                .doc = "What is made of the pairs of a list.",
                .words = LOSS__WORDS("mean", "sum"),
                .type = LOSS_WORD}},
    .kind = LOSS_ROWWISE,
    .pairs = LOSS_PAIRS_IN_ROWS,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
