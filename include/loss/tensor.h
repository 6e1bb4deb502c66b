/* SPDX-License-Identifier: Apache-2.0
 *
 * tensor.h - a row-major array of numbers, with the place it came from.
 */
#ifndef LOSS_TENSOR_H
#define LOSS_TENSOR_H

#include <stdbool.h>
#include <stddef.h>

#include <loss/error.h>
#include <loss/export.h>

LOSS_BEGIN_DECLS

#define LOSS_MAX_RANK 8

/*    enum      name        bytes */
#define LOSS_DTYPE_MAP(X)                                                                                              \
    X(FLOAT32, "float32", 4)                                                                                           \
    X(FLOAT64, "float64", 8)                                                                                           \
    X(FLOAT16, "float16", 2)                                                                                           \
    X(BFLOAT16, "bfloat16", 2)                                                                                         \
    X(INT8, "int8", 1)                                                                                                 \
    X(INT16, "int16", 2)                                                                                               \
    X(INT32, "int32", 4)                                                                                               \
    X(INT64, "int64", 8)                                                                                               \
    X(UINT8, "uint8", 1)                                                                                               \
    X(UINT16, "uint16", 2)                                                                                             \
    X(UINT32, "uint32", 4)                                                                                             \
    X(UINT64, "uint64", 8)                                                                                             \
    X(BOOL, "bool", 1)

typedef enum {
#define LOSS_DTYPE_ENUM(id, name, bytes) LOSS_##id,
    LOSS_DTYPE_MAP(LOSS_DTYPE_ENUM)
#undef LOSS_DTYPE_ENUM
        LOSS_DTYPE_COUNT
} loss_dtype;

/* How a client wrote the numbers; decides what an element's JSON pointer looks like. */
typedef enum {
    LOSS_NESTED, /* nested arrays: /labels/1/0 */
    LOSS_FLAT,   /* {"shape", "data"}: /labels/data/2 */
    LOSS_OPAQUE, /* base64 or binary: /labels, the index goes into the message */
} loss_layout;

struct loss_tensor {
    loss_dtype dtype;
    loss_layout layout;
    int rank;                    /* 0 to LOSS_MAX_RANK */
    size_t shape[LOSS_MAX_RANK]; /* row-major, the last axis is contiguous */
    size_t count;                /* product of shape; 1 for a scalar */
    void *data;                  /* borrowed; NULL: the tensor is absent (an empty one still points somewhere) */
    const char *pointer;         /* where it stands in the call, "/labels"; NULL: "/" and the input's name */
};

const char *loss_dtype_name(loss_dtype dtype);
size_t loss_dtype_size(loss_dtype dtype);
bool loss_dtype_parse(const char *name, loss_dtype *out); /* false: no such dtype */

/* Element `i` as a double (float16 and bfloat16 widened; 64-bit integers rounded). */
double loss_tensor_at(const struct loss_tensor *t, size_t i);

/* JSON pointer of element `i`, as the client wrote it, into buf. */
void loss_tensor_pointer(const struct loss_tensor *t, size_t i, char *buf, size_t size);

/* "[2, 3]" into buf, for messages. */
void loss_shape_format(int rank, const size_t *shape, char *buf, size_t size);

/* Product of shape; false where it overflows. */
bool loss_shape_count(int rank, const size_t *shape, size_t *count);

LOSS_END_DECLS

#endif
