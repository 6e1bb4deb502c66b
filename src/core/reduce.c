/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce.c - from exact sums to totals, and the names of reductions.
 */
#include <string.h>

#include <loss/compute.h>

#include "sum_kernels.h"

const char *loss_reduction_name(loss_reduction reduction)
{
    static const char *const names[] = {
#define NAME(id, name, tensorflow) [LOSS_REDUCE_##id] = name,
        LOSS_REDUCTION_MAP(NAME)
#undef NAME
    };
    return names[reduction];
}

bool loss_reduction_parse(const char *name, loss_reduction *out)
{
    static const struct {
        const char *name;
        loss_reduction reduction;
    } known[] = {
#define BOTH(id, name, tensorflow) {name, LOSS_REDUCE_##id}, {tensorflow, LOSS_REDUCE_##id},
        LOSS_REDUCTION_MAP(BOTH)
#undef BOTH
        /* TensorFlow's older name of the same value. */
        {"sum_over_nonzero_weights", LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) == 0) {
            *out = known[i].reduction;
            return true;
        }
    }
    return false;
}

double loss_total_of(loss_reduction reduction, const struct loss_sum *sum, const struct loss_sum *weight_sum,
                     uint64_t count, uint64_t nonzero_weights, uint64_t batch)
{
    switch (reduction) {
    case LOSS_REDUCE_SUM:
        return loss_sum_round(sum);
    case LOSS_REDUCE_MEAN:
        return loss_sum_ratio(sum, weight_sum);
    case LOSS_REDUCE_SUM_OVER_BATCH_SIZE:
        return loss_sum_divide(sum, count);
    case LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS:
        return loss_sum_divide(sum, nonzero_weights);
    case LOSS_REDUCE_BATCHMEAN:
        return loss_sum_divide(sum, batch);
    default:
        return 0;
    }
}

void loss_totals_from(struct loss_totals *totals, const struct loss_sum *sum, const struct loss_sum *weight_sum,
                      uint64_t count, uint64_t nonzero_weights, uint64_t batch)
{
    /* The divisors are mostly equal, and an exact division costs as much as a small call's kernel. */
    double by_count = loss_sum_divide(sum, count);
    bool ones = loss__sum_is_whole(weight_sum, count); /* or weights that come to the same */
    *totals = (struct loss_totals){
        .sum = loss_sum_round(sum),
        .mean = ones ? by_count : loss_sum_ratio(sum, weight_sum),
        .sum_over_batch_size = by_count,
        .sum_by_nonzero_weights = nonzero_weights == count ? by_count : loss_sum_divide(sum, nonzero_weights),
        .batchmean = batch == count ? by_count : loss_sum_divide(sum, batch),
        .weight_sum = ones ? (double)count : loss_sum_round(weight_sum),
        .count = count,
        .nonzero_weights = nonzero_weights,
    };
}

double loss_divisor_of(loss_reduction reduction, const struct loss_sum *weight_sum, uint64_t count,
                       uint64_t nonzero_weights, uint64_t batch)
{
    switch (reduction) {
    case LOSS_REDUCE_MEAN:
        return loss_sum_round(weight_sum);
    case LOSS_REDUCE_SUM_OVER_BATCH_SIZE:
        return (double)count;
    case LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS:
        return (double)nonzero_weights;
    case LOSS_REDUCE_BATCHMEAN:
        return (double)batch;
    default:
        return 1;
    }
}
