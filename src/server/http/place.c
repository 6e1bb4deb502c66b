/* SPDX-License-Identifier: Apache-2.0
 *
 * place.c - how large a call will be, as far as its body's size tells.
 */
#include <server/http/place.h>

#include <server/routes/routes.h>
#include <server/server.h>

#define LEAST_NUMBER 2         /* bytes of a number in JSON, with its comma */
#define MANY_LOSSES (16 << 10) /* bytes of a body that many losses may be computed of */
#define LIKELY_RATIO 4         /* of coded bodies */

loss_status place_overloaded(struct loss_error *err)
{
    return loss_fail(err, LOSS_OVERLOADED, "",
                     "too many calls are waiting; the server's options --queue-jobs and "
                     "--queue-bytes set the limit");
}

uint64_t place_size(const struct request *q, uint64_t sent)
{
    return q->coding == CODING_IDENTITY || sent > PLACE_LARGE_BODY ? sent : sent * LIKELY_RATIO;
}

loss_status place_take(const struct request *q, uint64_t size, executor_place *kept, struct loss_error *err)
{
    const struct route *route = q->route;
    struct executor *queue = q->server->compute;

    if (route == NULL || route->body != BODY_STREAM || kept->span != 0) {
        return LOSS_OK;
    }
    if (size > PLACE_LARGE_BODY || (route->many_losses && size > MANY_LOSSES)) {
        return executor_reserve(queue, (size_t)size, kept) ? LOSS_OK : place_overloaded(err);
    }
    /* Below that, no body has more numbers than are computed without the queue. */
    bool may_wait = size > LEAST_NUMBER * (uint64_t)q->server->conf->inline_elements;
    return may_wait && executor_full(queue) ? place_overloaded(err) : LOSS_OK;
}
