/* SPDX-License-Identifier: Apache-2.0
 *
 * npy_writer.h - a .npy file written piece by piece. It takes its name when it is whole, and not before.
 */
#ifndef FILES_NPY_WRITER_H
#define FILES_NPY_WRITER_H

#include <stdbool.h>
#include <stdio.h>

#include <loss/error.h>
#include <loss/tensor.h>

struct npy_writer {
    const char *path;
    char part[4096]; /* the name until then */
    FILE *file;      /* NULL: not open */
    bool begun;
};

/* `path` must outlive the writer.
 * err  LOSS_INVALID_PARAMETER: it does not end in .npy, or cannot be written */
loss_status npy_writer_open(struct npy_writer *w, const char *path, struct loss_error *err);
/* Append a piece. The first one tells dtype and shape; `rows` is the length of the whole's first dimension. */
loss_status npy_writer_add(struct npy_writer *w, const struct loss_tensor *piece, size_t rows, struct loss_error *err);
loss_status npy_writer_commit(struct npy_writer *w, struct loss_error *err);
void npy_writer_close(struct npy_writer *w); /* what was not committed is gone */

#endif
