/* SPDX-License-Identifier: Apache-2.0
 *
 * cast.h - numbers of any dtype as float32, float64 or int64, each rounded at most once.
 */
#ifndef LOSS__CAST_H
#define LOSS__CAST_H

#include <stdint.h>

#include <loss/tensor.h>

/* All of `t` as `to` (LOSS_FLOAT32 or LOSS_FLOAT64) into out[t->count]. The index of the first finite number that
 * `to` cannot hold, or t->count. */
size_t loss__cast_real(const struct loss_tensor *t, loss_dtype to, void *out);

typedef enum { LOSS__WHOLE, LOSS__FRACTION, LOSS__BEYOND_INT64 } loss__wholeness;

/* Element `i` as a whole number. A NaN or an infinity counts as a fraction. */
loss__wholeness loss__cast_whole(const struct loss_tensor *t, size_t i, int64_t *out);

#endif
