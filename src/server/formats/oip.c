/* SPDX-License-Identifier: Apache-2.0
 *
 * oip.c - names of the protocol: datatypes and outputs.
 */
#include <server/formats/oip.h>

#include <assert.h>
#include <string.h>

static const char *const datatypes[LOSS_DTYPE_COUNT] = {
    [LOSS_FLOAT32] = "FP32", [LOSS_FLOAT64] = "FP64",  [LOSS_FLOAT16] = "FP16",  [LOSS_BFLOAT16] = "BF16",
    [LOSS_INT8] = "INT8",    [LOSS_INT16] = "INT16",   [LOSS_INT32] = "INT32",   [LOSS_INT64] = "INT64",
    [LOSS_UINT8] = "UINT8",  [LOSS_UINT16] = "UINT16", [LOSS_UINT32] = "UINT32", [LOSS_UINT64] = "UINT64",
    [LOSS_BOOL] = "BOOL",
};

const char *oip_datatype_name(loss_dtype dtype)
{
    return datatypes[dtype];
}

bool oip_datatype_parse(const char *name, loss_dtype *out)
{
    for (int i = 0; i < LOSS_DTYPE_COUNT; i++) {
        if (strcmp(datatypes[i], name) == 0) {
            *out = (loss_dtype)i;
            return true;
        }
    }
    return false;
}

#define TOTAL_MAP(X)                                                                                                   \
    X(sum)                                                                                                             \
    X(mean)                                                                                                            \
    X(sum_over_batch_size)                                                                                             \
    X(sum_by_nonzero_weights)                                                                                          \
    X(batchmean)                                                                                                       \
    X(weight_sum)                                                                                                      \
    X(count)                                                                                                           \
    X(nonzero_weights)

#define TOTAL_READER(field)                                                                                            \
    static double total_##field(const struct loss_totals *totals)                                                      \
    {                                                                                                                  \
        return (double)totals->field;                                                                                  \
    }
TOTAL_MAP(TOTAL_READER)
#undef TOTAL_READER

const struct oip_total oip_totals[] = {
#define TOTAL_ROW(field) {"totals." #field, total_##field},
    TOTAL_MAP(TOTAL_ROW)
#undef TOTAL_ROW
};
const size_t n_oip_totals = sizeof oip_totals / sizeof oip_totals[0];
static_assert(sizeof oip_totals / sizeof oip_totals[0] == OIP_MAX_TOTALS, "OIP_MAX_OUTPUTS counts them");

static bool find_gradient(const struct loss_desc *desc, const char *input, struct oip_output *out)
{
    int i = strcmp(input, "weights") == 0 ? LOSS_GRADIENT_WEIGHTS : loss_desc_input(desc, input);

    out->what = OIP_GRADIENT;
    out->index = i;
    return i >= 0;
}

bool oip_output_find(const struct loss_desc *desc, const char *name, struct oip_output *out)
{
    static const char gradients[] = "gradients.";

    *out = (struct oip_output){.name = name};
    if (strncmp(name, gradients, sizeof gradients - 1) == 0) {
        return find_gradient(desc, name + sizeof gradients - 1, out);
    }
    for (size_t i = 0; i < n_oip_totals; i++) {
        if (strcmp(name, oip_totals[i].name) == 0) {
            out->what = OIP_TOTAL;
            out->index = (int)i;
            return true;
        }
    }
    out->what = strcmp(name, "loss") == 0 ? OIP_LOSS : OIP_LOSSES;
    return out->what == OIP_LOSS || strcmp(name, "losses") == 0;
}
