/* SPDX-License-Identifier: Apache-2.0
 *
 * rate.h - a token bucket in one atomic number.
 *
 * Instead of tokens it keeps the moment at which the bucket will be full again (the generic cell rate algorithm): there
 * is nothing to refill, so there is no timer, and taking is one compare-and-swap. Any thread.
 */
#ifndef SERVER_RATE_H
#define SERVER_RATE_H

#include <stdatomic.h>
#include <stdint.h>

struct rate {
    atomic_int_fast64_t full_at; /* nanoseconds of the caller's clock; 0: full */
};

/* Take a token from a bucket of `burst` tokens that gets another every `interval_ns`, at the time `now_ns`. 0: taken;
 * else nothing was taken, and that many nanoseconds have to pass before it would be. */
int64_t rate_take(struct rate *r, int64_t interval_ns, int64_t burst, int64_t now_ns);

#endif
