/* SPDX-License-Identifier: Apache-2.0
 *
 * tidy.h - read before every file by clang-tidy alone: that the functions which set an error return the status they
 * are given. Its analyzer sees one file at a time, and would go on after a failure as if nothing had happened.
 */
#include <stddef.h>

#include <loss/error.h>

static inline loss_status tidy_fail(struct loss_error *err, loss_status status, ...)
{
    if (err != NULL) {
        err->status = status;
    }
    return status;
}
#define loss_fail tidy_fail
#define loss_no_memory(err, what) ((void)(err), (void)(what), LOSS_OVERLOADED)
#define loss_fail_parameter tidy_fail
#define loss_blame_parameter(err, status, parameter) (status)
