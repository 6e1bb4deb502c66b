/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_npy.c - any bytes as a .npy file; what was read is written and read again, the same.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <files/npy.h>

#include "fuzz/replay.h"

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void check(const struct loss_tensor *t, size_t begin, size_t size)
{
    size_t count = 1;

    require(t->rank >= 0 && t->rank <= LOSS_MAX_RANK, "a rank is bounded");
    for (int i = 0; i < t->rank; i++) {
        require(!__builtin_mul_overflow(count, t->shape[i], &count) || t->count == 0,
                "a shape's product is no overflow");
    }
    require(begin <= size && t->count * loss_dtype_size(t->dtype) == size - begin,
            "the tensor is what follows the head");
    require(begin % loss_dtype_size(t->dtype) == 0, "the data is aligned");
}

/* As our own writer would say it. */
static void check_again(const struct loss_tensor *t)
{
    char head[NPY_HEAD_MAX];
    struct loss_error err = {.status = LOSS_OK};
    struct loss_tensor again;
    size_t n = npy_head(t->dtype, t->rank, t->shape, head), begin, bytes = t->count * loss_dtype_size(t->dtype);

    require(n <= sizeof head && n % 64 == 0, "a head is aligned");
    char *file = calloc(1, n + bytes);
    require(file != NULL, "no memory");
    memcpy(file, head, n);
    require(npy_read(file, n + bytes, &again, &begin, &err) == LOSS_OK, "what is written can be read");
    require(begin == n && again.dtype == t->dtype && again.rank == t->rank && again.count == t->count &&
                memcmp(again.shape, t->shape, (size_t)t->rank * sizeof t->shape[0]) == 0,
            "what is read is what was written");
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loss_error err = {.status = LOSS_OK};
    struct loss_tensor t;
    size_t begin = 0;
    loss_status status = npy_read((const char *)data, size, &t, &begin, &err);

    require(status == err.status, "a failure is told");
    if (status == LOSS_OK) {
        check(&t, begin, size);
        check_again(&t);
    }
    return 0;
}
