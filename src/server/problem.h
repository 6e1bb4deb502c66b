/* SPDX-License-Identifier: Apache-2.0
 *
 * problem.h - failures that a query parameter or a header is to blame for. reply_problem (http.h) writes them out.
 */
#ifndef SERVER_PROBLEM_H
#define SERVER_PROBLEM_H

#include <loss/error.h>

/* As loss_fail, with `parameter` instead of a pointer: "step", "Idempotency-Key". */
loss_status problem_parameter(struct loss_error *err, loss_status status, const char *parameter, const char *format,
                              ...) LOSS_PRINTF(4, 5);

#endif
