/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_csv.c - any bytes as a CSV file, whole and one column of it, as float32 and float64.
 *
 * The first byte says which: the dtype (1: float64) and whether a column is wanted (2); its name is what stands before the
 * first NUL byte, and the file is behind it. What was read is written as text and read again, the same.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <files/csv.h>
#include <text/number.h>

#include "fuzz/replay.h"

enum { WIDE = 1, COLUMN = 2 };

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

struct outcome {
    char *bytes;
    size_t size;
    struct loss_tensor tensor;
    loss_status status;
};

static struct outcome convert(const char *text, size_t n, const char *column, loss_dtype dtype)
{
    struct outcome o = {0};
    struct loss_error err = {.status = LOSS_OK};
    char *copy = malloc(n + !n);

    require(copy != NULL, "no memory");
    memcpy(copy, text, n);
    FILE *in = n > 0 ? fmemopen(copy, n, "rb") : fopen("/dev/null", "rb");
    FILE *out = open_memstream(&o.bytes, &o.size);
    require(in != NULL && out != NULL, "no memory");
    o.status = csv_convert(in, column, dtype, out, &o.tensor, &err);
    require(o.status == err.status, "a failure is told");
    fclose(in);
    fclose(out);
    free(copy);
    return o;
}

static void check(const struct outcome *o, loss_dtype dtype)
{
    const struct loss_tensor *t = &o->tensor;

    require(t->dtype == dtype && (t->rank == 1 || t->rank == 2), "there are lines and columns");
    require(t->count == t->shape[0] * (t->rank == 2 ? t->shape[1] : 1), "the shape has the numbers");
    require(o->size == t->count * loss_dtype_size(dtype), "the numbers are written");
}

static size_t print_value(char *buf, const struct outcome *o, size_t i)
{
    float narrow;
    double wide;

    if (o->tensor.dtype == LOSS_FLOAT32) {
        memcpy(&narrow, o->bytes + i * sizeof narrow, sizeof narrow);
        wide = (double)narrow;
    } else {
        memcpy(&wide, o->bytes + i * sizeof wide, sizeof wide);
    }
    if (!isfinite(wide)) {
        return (size_t)sprintf(buf, "%s", isnan(wide) ? "nan" : wide > 0 ? "inf" : "-inf");
    }
    return o->tensor.dtype == LOSS_FLOAT32 ? number_print_f32(buf, (float)wide) : number_print_f64(buf, wide);
}

static bool same_value(const struct outcome *a, const struct outcome *b, size_t i)
{
    size_t size = loss_dtype_size(a->tensor.dtype);
    char x[NUMBER_PRINT_MAX + 8], y[NUMBER_PRINT_MAX + 8];
    size_t n = print_value(x, a, i);

    return memcmp(a->bytes + i * size, b->bytes + i * size, size) == 0 ||
           (n == print_value(y, b, i) && memcmp(x, y, n) == 0); /* a NaN is a NaN */
}

static void check_again(const struct outcome *o)
{
    size_t columns = o->tensor.rank == 2 ? o->tensor.shape[1] : 1, n = 0;
    char *text = malloc(o->tensor.count * (NUMBER_PRINT_MAX + 8) + 1);

    require(text != NULL, "no memory");
    for (size_t i = 0; i < o->tensor.count; i++) {
        n += print_value(text + n, o, i);
        text[n++] = (i + 1) % columns == 0 ? '\n' : ',';
    }
    struct outcome again = convert(text, n, NULL, o->tensor.dtype);
    require(again.status == LOSS_OK && again.tensor.count == o->tensor.count, "what is printed can be read");
    for (size_t i = 0; i < o->tensor.count; i++) {
        require(same_value(o, &again, i), "what is read is what was printed");
    }
    free(again.bytes);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[64] = "";

    if (size < 2) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    size_t n = size - 1;
    if ((data[0] & COLUMN) != 0) {
        size_t length = strnlen(text, n < sizeof name - 1 ? n : sizeof name - 1);
        memcpy(name, text, length);
        text += length + (length < n);
        n -= length + (length < n);
    }
    loss_dtype dtype = (data[0] & WIDE) != 0 ? LOSS_FLOAT64 : LOSS_FLOAT32;
    struct outcome o = convert(text, n, (data[0] & COLUMN) != 0 ? name : NULL, dtype);
    if (o.status == LOSS_OK) {
        check(&o, dtype);
        check_again(&o);
    }
    free(o.bytes);
    return 0;
}
