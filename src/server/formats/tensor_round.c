/* SPDX-License-Identifier: Apache-2.0
 *
 * tensor_round.c - decimal numbers made those of a narrower dtype.
 */
#include <server/formats/tensor_round.h>

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>

#include <server/formats/call.h>

/* The nearest number with `bits` significant bits and no bit below 2^min_exponent, half to even. */
static double round_to(double v, int bits, int min_exponent)
{
    int exponent;
    if (!isfinite(v) || v == 0) {
        return v;
    }
    frexp(v, &exponent);
    int last = exponent - bits > min_exponent ? exponent - bits : min_exponent;
    return ldexp(nearbyint(ldexp(v, -last)), last);
}

/* What the narrower dtypes hold. */
struct number_range {
    double min, max;
    bool whole;
};

static struct number_range range_of(loss_dtype dtype)
{
    switch (dtype) {
    case LOSS_FLOAT16:
        return (struct number_range){-65504.0, 65504.0, false};
    case LOSS_BFLOAT16:
        return (struct number_range){-0x1.fep127, 0x1.fep127, false};
    case LOSS_BOOL:
        return (struct number_range){0, 1, true};
    case LOSS_UINT8:
    case LOSS_UINT16:
    case LOSS_UINT32:
    case LOSS_UINT64:
        return (struct number_range){0, ldexp(1, 8 * (int)loss_dtype_size(dtype)) - 1, true};
    case LOSS_INT8:
    case LOSS_INT16:
    case LOSS_INT32:
    case LOSS_INT64: {
        double end = ldexp(1, 8 * (int)loss_dtype_size(dtype) - 1);
        return (struct number_range){-end, end - 1, true};
    }
    default:
        return (struct number_range){-DBL_MAX, DBL_MAX, false};
    }
}

loss_status tensor_round(struct loss_tensor *t, loss_dtype dtype, struct loss_error *err)
{
    assert(t->dtype == LOSS_FLOAT64);
    const struct number_range range = range_of(dtype);
    double *data = t->data;
    for (size_t i = 0; i < t->count; i++) {
        double v = data[i];
        char pointer[sizeof err->pointer];
        char buf[CALL_NUMBER];
        if (range.whole && !(v == floor(v) && isfinite(v))) {
            loss_tensor_pointer(t, i, pointer, sizeof pointer);
            return loss_fail(err, LOSS_NOT_AN_INTEGER, pointer, "%s holds whole numbers, got %s",
                             loss_dtype_name(dtype), call_number(v, buf));
        }
        v = dtype == LOSS_FLOAT16 ? round_to(v, 11, -24) : dtype == LOSS_BFLOAT16 ? round_to(v, 8, -133) : v;
        if (isfinite(v) && !(v >= range.min && v <= range.max)) {
            loss_tensor_pointer(t, i, pointer, sizeof pointer);
            return loss_fail(err, LOSS_NUMBER_OUT_OF_RANGE, pointer, "%s is beyond what %s holds",
                             call_number(data[i], buf), loss_dtype_name(dtype));
        }
        data[i] = v;
    }
    return LOSS_OK;
}
