/* SPDX-License-Identifier: Apache-2.0
 *
 * bind.h - a call checked against its descriptor: shapes agree, numbers are of one dtype, rows are cut.
 */
#ifndef LOSS__BIND_H
#define LOSS__BIND_H

#include <loss/compute.h>

#include "block.h"
#include "shape.h"
#include "weights.h"

struct loss__plan {
    const struct loss_call *call;
    const struct loss__kernels *kernels;
    struct loss_tensor input[LOSS_MAX_INPUTS];      /* of the call's dtype, or int64 where whole; squeezed */
    bool lead[LOSS_MAX_INPUTS];                     /* one number a row */
    struct loss_param_value param[LOSS_MAX_PARAMS]; /* vectors of the call's dtype */
    int main;                                       /* the input that sets the shape */
    struct loss__rows rows;                         /* how the main input falls into rows; elementwise: of 1 */
    size_t *column;                                 /* [c] offsets within a row; NULL: contiguous rows */
    int rank;                                       /* of the losses */
    size_t shape[LOSS_MAX_RANK];
    size_t count;
    struct loss__weights weights;
    void (*factor)(const struct loss__block *b, double *r); /* row factors; NULL: all 1 */
    bool masked_elements; /* a sample is computed from its elements of non-zero weight alone */
};

/* Errors are those of loss_compute. */
loss_status loss__bind(struct loss__plan *plan, const struct loss_call *call, const struct loss__kernels *kernels,
                       struct loss_arena *arena, struct loss_error *err);

/* loss_compute with other kernels than the catalog's. */
loss_status loss__compute_with(const struct loss__kernels *kernels, const struct loss_call *call,
                               struct loss_arena *arena, struct loss_answer *answer, struct loss_error *err);

/* The catalog's kernels for the instruction set in use. */
const struct loss__kernels *loss__catalog_kernels(const struct loss_desc *desc);

#endif
