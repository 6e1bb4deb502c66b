/* SPDX-License-Identifier: Apache-2.0
 *
 * npy.h - the head of NumPy's .npy files (format 1.0 to 3.0).
 */
#ifndef FILES_NPY_H
#define FILES_NPY_H

#include <stddef.h>

#include <loss/error.h>
#include <loss/tensor.h>

/* What the head of a file of `size` bytes says: dtype, shape and count of *out, and where its data begins.
 * err  LOSS_MALFORMED_ENCODING, LOSS_UNSUPPORTED_DTYPE (big-endian, complex, strings, …; also Fortran order) */
loss_status npy_read(const char *bytes, size_t size, struct loss_tensor *out, size_t *data, struct loss_error *err);

/* The head for a tensor of this dtype and shape, into buf; its length. */
#define NPY_HEAD_MAX 384
size_t npy_head(loss_dtype dtype, int rank, const size_t *shape, char buf[NPY_HEAD_MAX]);

#endif
