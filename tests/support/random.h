/* SPDX-License-Identifier: Apache-2.0
 *
 * random.h - random numbers that are the same in every run (xorshift; Marsaglia 2003, "Xorshift RNGs").
 */
#ifndef SUPPORT_RANDOM_H
#define SUPPORT_RANDOM_H

#include <stdint.h>

#define RANDOM_SEED UINT64_C(88172645463325252)

static uint64_t random_state = RANDOM_SEED; /* a test may begin it anew */

static inline uint64_t random_step(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* From 0 to below 1. */
static inline double random_unit(void)
{
    return (double)(random_step() >> 11) * 0x1p-53;
}

#endif
