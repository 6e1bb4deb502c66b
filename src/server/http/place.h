/* SPDX-License-Identifier: Apache-2.0
 *
 * place.h - a place in the compute queue for a call whose body is still to come, or a refusal while that costs little.
 *
 * Reading a body takes more time than refusing it saves. So what will be queued takes its place before it is read, and is not read
 * where there is none; what only may be queued is not read while the queue is full. Otherwise a server that is asked for
 * ten times what it can do would spend its time on reading what it refuses in the end.
 */
#ifndef SERVER_PLACE_H
#define SERVER_PLACE_H

#include <stdint.h>

#include <server/executor.h>
#include <server/http/request.h>

#define PLACE_LARGE_BODY (256 << 10)

/* The queue is full. */
loss_status place_overloaded(struct loss_error *err);
/* How large the content of a body of so many bytes is, or probably is where it is coded. */
uint64_t place_size(const struct request *q, uint64_t sent);
/* Make *kept (zeroed at first) a place for a request with so many bytes of content, where it is to have one: to be given to executor_submit
 * or executor_leave.
 * err  LOSS_OVERLOADED */
loss_status place_take(const struct request *q, uint64_t size, executor_place *kept, struct loss_error *err);

#endif
