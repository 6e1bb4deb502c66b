/* SPDX-License-Identifier: Apache-2.0
 *
 * csv.h - numbers in lines, between commas, semicolons or tabs; the first line may hold names instead.
 */
#ifndef FILES_CSV_H
#define FILES_CSV_H

#include <stdio.h>

#include <loss/error.h>
#include <loss/tensor.h>

/* Write the numbers of `in` to `out` one after another as `dtype` (LOSS_FLOAT32 or LOSS_FLOAT64), each the nearest to
 * its text, and set dtype and shape of *t: [lines, columns], or [lines] of one column. `column`: the one of this name;
 * NULL: all. Memory: one line.
 * err  LOSS_MALFORMED_ENCODING (no number; with line and column), LOSS_RAGGED_TENSOR, LOSS_NUMBER_OUT_OF_RANGE,
 *      LOSS_NOT_FOUND (no such column), LOSS_OVERLOADED (no memory, or `out` cannot be written) */
loss_status csv_convert(FILE *in, const char *column, loss_dtype dtype, FILE *out, struct loss_tensor *t,
                        struct loss_error *err);

#endif
