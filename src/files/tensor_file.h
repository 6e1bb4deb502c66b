/* SPDX-License-Identifier: Apache-2.0
 *
 * tensor_file.h - one tensor of a file, mapped: read piece by piece, it needs no more memory than a piece.
 *
 * The ending says what a file is: .npy, .safetensors or .csv. A file must not be cut short while it is open.
 */
#ifndef FILES_TENSOR_FILE_H
#define FILES_TENSOR_FILE_H

#include <stddef.h>

#include <loss/error.h>
#include <loss/tensor.h>

struct tensor_file {
    struct loss_tensor tensor; /* data points into the mapping */
    void *map;                 /* NULL: nothing is mapped */
    size_t size;
};

/* Open the tensor `name` of a file, or what is behind a colon in `path` ("train.safetensors:logits",
 * "train.csv:label").
 * An .npy file has one tensor; a CSV file without such a name is taken whole, as `csv_dtype` (LOSS_FLOAT32 or
 * LOSS_FLOAT64).
 * err  LOSS_NOT_FOUND, LOSS_UNSUPPORTED_MEDIA (the ending), and those of npy.h, safetensors.h and csv.h, the path in
 *      front */
loss_status tensor_file_open(struct tensor_file *f, const char *path, const char *name, loss_dtype csv_dtype,
                             struct loss_error *err);

/* Numbers `first` to first + n of it are not needed in memory for now; they stay readable. Any thread. */
void tensor_file_drop(const struct tensor_file *f, size_t first, size_t n);

void tensor_file_close(struct tensor_file *f);

#endif
