/* SPDX-License-Identifier: Apache-2.0
 *
 * sum.h - sums of floating-point numbers without any rounding.
 *
 * The state is one wide fixed-point integer that covers every double, so adding and merging are associative and
 * commutative: threads, batches and replicas arrive at the same bits in any order. Rounding happens once, on
 * reading (half to even). Infinities and NaN are counted beside the number. A sum beyond 2^1164, which no addition of
 * doubles reaches in practice but repeated scaling can, becomes an infinity.
 * One writer at a time; merge per-thread sums at the end.
 */
#ifndef LOSS_SUM_H
#define LOSS_SUM_H

#include <stddef.h>
#include <stdint.h>

#include <loss/export.h>

LOSS_BEGIN_DECLS

/* 32 bits a limb, from 2^-1074 up to beyond DBL_MAX * 2^64. A limb may hold more than 32 bits (signed) between
 * normalisations: its magnitude is below 2^32 * (pending + 1). */
#define LOSS_SUM_LIMBS 70

struct loss_sum {
    int64_t limb[LOSS_SUM_LIMBS];
    uint64_t pending;
    uint64_t nan, plus_infinity, minus_infinity;
    int low, high; /* limbs outside [low, high) are zero */
};

void loss_sum_init(struct loss_sum *s);
void loss_sum_add(struct loss_sum *s, double x);
void loss_sum_add_f32(struct loss_sum *s, const float *x, size_t n);
void loss_sum_add_f64(struct loss_sum *s, const double *x, size_t n);
void loss_sum_merge(struct loss_sum *s, const struct loss_sum *other);
void loss_sum_scale(
    struct loss_sum *s,
    uint64_t times); /* exact: as if everything had been added `times` times; 0 clears all, also what is not finite */

double
loss_sum_round(const struct loss_sum
                   *s); /* the nearest double; math.fsum of what was added; NaN where infinities of both signs met */
double
loss_sum_divide(const struct loss_sum *s,
                uint64_t divisor); /* the nearest double to sum/divisor, rounded once; 0 where the divisor is 0 */
double loss_sum_ratio(const struct loss_sum *s,
                      const struct loss_sum *by); /* the nearest double to sum/by, rounded once; 0 where `by` is 0 */

/* The canonical state, the same for equal sums however they came about: little-endian, LOSS_SUM_BYTES bytes. */
#define LOSS_SUM_BYTES (LOSS_SUM_LIMBS * 4 + 8 + 24)
void loss_sum_store(const struct loss_sum *s, unsigned char bytes[LOSS_SUM_BYTES]);
int loss_sum_load(struct loss_sum *s, const unsigned char bytes[LOSS_SUM_BYTES]); /* 0: fine; -1: not such a state */

LOSS_END_DECLS

#endif
