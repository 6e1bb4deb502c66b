/* SPDX-License-Identifier: Apache-2.0
 *
 * tensor_round.h - numbers that a client wrote in decimals, beside the dtype that it wants them read as.
 */
#ifndef SERVER_TENSOR_ROUND_H
#define SERVER_TENSOR_ROUND_H

#include <loss/error.h>
#include <loss/tensor.h>

/* Make the numbers of a float64 tensor those that `dtype` holds, half to even; the tensor stays float64.
 * err  with the element: LOSS_NOT_AN_INTEGER (a fraction, NaN or an infinity for an integer or bool),
 *      LOSS_NUMBER_OUT_OF_RANGE */
loss_status tensor_round(struct loss_tensor *t, loss_dtype dtype, struct loss_error *err);

#endif
