/* SPDX-License-Identifier: Apache-2.0
 *
 * tensor.c - what can be asked of a tensor without computing.
 */
#include <loss/tensor.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "pointer.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[LOSS_DTYPE_COUNT] = {
#define LOSS_DTYPE_ROW(id, text, bytes) [LOSS_##id] = {.name = text, .size = bytes},
    LOSS_DTYPE_MAP(LOSS_DTYPE_ROW)
#undef LOSS_DTYPE_ROW
};

const char *loss_dtype_name(loss_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t loss_dtype_size(loss_dtype dtype)
{
    return dtypes[dtype].size;
}

bool loss_dtype_parse(const char *name, loss_dtype *out)
{
    for (int i = 0; i < LOSS_DTYPE_COUNT; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *out = (loss_dtype)i;
            return true;
        }
    }
    return false;
}

static double from_float_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double from_float16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = (half >> 10) & 0x1f;
    uint32_t fraction = half & 0x3ff;
    if (exponent == 0x1f) { /* infinity and NaN */
        return from_float_bits(sign | 0x7f800000 | fraction << 13);
    }
    if (exponent == 0) { /* a multiple of 2^-24 */
        double magnitude = fraction * 0x1p-24;
        return sign ? -magnitude : magnitude;
    }
    return from_float_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

double loss_tensor_at(const struct loss_tensor *t, size_t i)
{
    switch (t->dtype) {
    case LOSS_FLOAT32:
        return ((const float *)t->data)[i];
    case LOSS_FLOAT64:
        return ((const double *)t->data)[i];
    case LOSS_FLOAT16:
        return from_float16(((const uint16_t *)t->data)[i]);
    case LOSS_BFLOAT16:
        return from_float_bits((uint32_t)((const uint16_t *)t->data)[i] << 16);
    case LOSS_INT8:
        return ((const int8_t *)t->data)[i];
    case LOSS_INT16:
        return ((const int16_t *)t->data)[i];
    case LOSS_INT32:
        return ((const int32_t *)t->data)[i];
    case LOSS_INT64:
        return (double)((const int64_t *)t->data)[i];
    case LOSS_UINT8:
        return ((const uint8_t *)t->data)[i];
    case LOSS_UINT16:
        return ((const uint16_t *)t->data)[i];
    case LOSS_UINT32:
        return ((const uint32_t *)t->data)[i];
    case LOSS_UINT64:
        return (double)((const uint64_t *)t->data)[i];
    case LOSS_BOOL:
        return ((const unsigned char *)t->data)[i] != 0;
    case LOSS_DTYPE_COUNT:
        break;
    }
    return 0;
}

static size_t append_index(char *buf, size_t size, size_t length, size_t index)
{
    char member[24];
    snprintf(member, sizeof member, "/%zu", index);
    return loss__pointer_append(buf, size, length, member);
}

void loss_tensor_pointer(const struct loss_tensor *t, size_t i, char *buf, size_t size)
{
    const char *base = t->pointer ? t->pointer : "";
    size_t length = loss__pointer_append(buf, size, 0, base);
    if (length < strlen(base)) {
        return; /* cut already: what follows would name something else */
    }
    if (t->layout == LOSS_FLAT) {
        char member[32];
        snprintf(member, sizeof member, "/data/%zu", i);
        loss__pointer_append(buf, size, length, member);
    } else if (t->layout == LOSS_NESTED) {
        size_t stride = t->count;
        for (int axis = 0; axis < t->rank && stride > 0; axis++) {
            stride /= t->shape[axis];
            size_t before = length;
            length = append_index(buf, size, length, i / stride);
            if (length == before) {
                return;
            }
            i %= stride;
        }
    }
}

void loss_shape_format(int rank, const size_t *shape, char *buf, size_t size)
{
    size_t length = 0;
    for (int axis = 0; axis < rank && length < size; axis++) {
        length += (size_t)snprintf(buf + length, size - length, "%s%zu", axis == 0 ? "[" : ", ", shape[axis]);
    }
    if (length < size) {
        snprintf(buf + length, size - length, "%s", rank == 0 ? "[]" : "]");
    }
}

bool loss_shape_count(int rank, const size_t *shape, size_t *count)
{
    size_t product = 1;
    bool overflow = false, empty = false;
    for (int axis = 0; axis < rank; axis++) {
        empty |= shape[axis] == 0;
        overflow |= __builtin_mul_overflow(product, shape[axis], &product);
    }
    if (empty) { /* [2^40, 2^40, 0] holds nothing, whatever the other axes say */
        *count = 0;
        return true;
    }
    if (overflow) {
        return false;
    }
    *count = product;
    return true;
}
