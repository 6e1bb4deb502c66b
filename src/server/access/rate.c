/* SPDX-License-Identifier: Apache-2.0
 *
 * rate.c - the generic cell rate algorithm (ITU-T I.371, annex A), as virtual scheduling.
 */
#include <server/access/rate.h>

int64_t rate_take(struct rate *r, int64_t interval_ns, int64_t burst, int64_t now_ns)
{
    int_fast64_t full_at = atomic_load_explicit(&r->full_at, memory_order_relaxed);

    for (;;) {
        int64_t next = (full_at > now_ns ? full_at : now_ns) + interval_ns;
        int64_t wait = next - now_ns - burst * interval_ns;
        if (wait > 0) {
            return wait;
        }
        if (atomic_compare_exchange_weak_explicit(&r->full_at, &full_at, next, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return 0;
        }
    }
}
