/* SPDX-License-Identifier: Apache-2.0
 *
 * cast.c - numbers of any dtype as float32, float64 or int64.
 */
#include "cast.h"

#include <math.h>
#include <string.h>

/* memcpy instead of a typed access: a tensor that came out of a file may lie at any address. */
#define CAST_LOOP(from, to)                                                                                            \
    for (size_t i = 0; i < t->count; i++) {                                                                            \
        from x;                                                                                                        \
        memcpy(&x, (const from *)t->data + i, sizeof x);                                                               \
        ((to *)out)[i] = (to)x;                                                                                        \
    }

#define CAST_SWITCH(to)                                                                                                \
    switch (t->dtype) {                                                                                                \
    case LOSS_FLOAT32:                                                                                                 \
        CAST_LOOP(float, to) break;                                                                                    \
    case LOSS_FLOAT64:                                                                                                 \
        CAST_LOOP(double, to) break;                                                                                   \
    case LOSS_INT8:                                                                                                    \
        CAST_LOOP(int8_t, to) break;                                                                                   \
    case LOSS_INT16:                                                                                                   \
        CAST_LOOP(int16_t, to) break;                                                                                  \
    case LOSS_INT32:                                                                                                   \
        CAST_LOOP(int32_t, to) break;                                                                                  \
    case LOSS_INT64:                                                                                                   \
        CAST_LOOP(int64_t, to) break;                                                                                  \
    case LOSS_UINT8:                                                                                                   \
        CAST_LOOP(uint8_t, to) break;                                                                                  \
    case LOSS_UINT16:                                                                                                  \
        CAST_LOOP(uint16_t, to) break;                                                                                 \
    case LOSS_UINT32:                                                                                                  \
        CAST_LOOP(uint32_t, to) break;                                                                                 \
    case LOSS_UINT64:                                                                                                  \
        CAST_LOOP(uint64_t, to) break;                                                                                 \
    default: /* float16, bfloat16 and bool have no C type of their own */                                              \
        for (size_t i = 0; i < t->count; i++) {                                                                        \
            ((to *)out)[i] = (to)loss_tensor_at(t, i);                                                                 \
        }                                                                                                              \
        break;                                                                                                         \
    }

size_t loss__cast_real(const struct loss_tensor *t, loss_dtype to, void *out)
{
    if (t->dtype == to) {
        memcpy(out, t->data, t->count * loss_dtype_size(to));
        return t->count;
    }
    if (to == LOSS_FLOAT64) {
        CAST_SWITCH(double)
        return t->count;
    }
    CAST_SWITCH(float)
    if (t->dtype != LOSS_FLOAT64) {
        return t->count; /* no other dtype reaches beyond float32 */
    }
    for (size_t i = 0; i < t->count; i++) {
        if (isinf(((float *)out)[i]) && !isinf(loss_tensor_at(t, i))) {
            return i;
        }
    }
    return t->count;
}

loss__wholeness loss__cast_whole(const struct loss_tensor *t, size_t i, int64_t *out)
{
    const char *at = (const char *)t->data + i * loss_dtype_size(t->dtype);
    if (t->dtype == LOSS_INT64) {
        memcpy(out, at, sizeof *out);
        return LOSS__WHOLE;
    }
    if (t->dtype == LOSS_UINT64) {
        uint64_t x;
        memcpy(&x, at, sizeof x);
        *out = (int64_t)(x & INT64_MAX);
        return x <= INT64_MAX ? LOSS__WHOLE : LOSS__BEYOND_INT64;
    }
    double x = loss_tensor_at(t, i);
    if (!isfinite(x) || x != trunc(x)) {
        return LOSS__FRACTION;
    }
    if (!(x >= -0x1p63 && x < 0x1p63)) {
        return LOSS__BEYOND_INT64;
    }
    *out = (int64_t)x;
    return LOSS__WHOLE;
}
