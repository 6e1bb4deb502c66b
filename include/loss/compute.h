/* SPDX-License-Identifier: Apache-2.0
 *
 * compute.h - one call: named tensors and parameters in, losses, totals and gradients out.
 *
 * Fill a loss_call (loss_call_init, then the setters, which check type and range), then loss_compute. The result is
 * the same bits for any number of threads, any split of the batch and any CPU.
 */
#ifndef LOSS_COMPUTE_H
#define LOSS_COMPUTE_H

#include <stdint.h>

#include <loss/arena.h>
#include <loss/catalog.h>
#include <loss/export.h>
#include <loss/sum.h>
#include <loss/tensor.h>

LOSS_BEGIN_DECLS

struct loss_param_value {
    bool given;                /* by the caller or by default; false: "none" */
    double number;             /* number, integer, boolean, axis, index of a word */
    struct loss_tensor vector; /* LOSS_VECTOR and the vector form of LOSS_NUMBER_OR_VECTOR; data NULL: not a vector */
    int axes[LOSS_MAX_RANK];
    int n_axes;
};

#define LOSS_GRADIENT_WEIGHTS LOSS_MAX_INPUTS /* bit and slot of the weights among the gradients */

struct loss_call {
    const struct loss_desc *desc;
    struct loss_tensor input[LOSS_MAX_INPUTS]; /* any dtype; data NULL: absent */
    struct loss_tensor weights;                /* data NULL: none, which is the scalar 1 */
    struct loss_param_value param[LOSS_MAX_PARAMS];
    loss_reduction reduction;
    loss_dtype dtype;      /* LOSS_FLOAT32 or LOSS_FLOAT64 */
    unsigned gradients;    /* bit i: input i; bit LOSS_GRADIENT_WEIGHTS: the weights */
    bool weights_mask;     /* skip what has weight 0 instead of multiplying */
    bool want_losses;      /* false: answer.losses is left out */
    const double *divisor; /* of the gradients of inputs, where this is a piece of a batch: what the whole's reduction
                                * divides by. NULL: the call is the whole */
    bool (*cancelled)(void *); /* asked between blocks, from any thread; NULL: never */
    void *cancelled_arg;
};

/* Every reduction of the same losses. Exact sums, each rounded once. */
struct loss_totals {
    double sum, mean, sum_over_batch_size, sum_by_nonzero_weights, batchmean, weight_sum;
    uint64_t count, nonzero_weights;
};

struct loss_answer {
    struct loss_tensor losses; /* weighted, unreduced, of the call's dtype; data NULL: not wanted */
    struct loss_tensor gradient[LOSS_MAX_INPUTS + 1]; /* of the call's dtype; data NULL: not asked for */
    struct loss_totals totals;
    double
        loss; /* what `reduction` names, of the losses as they were before rounding, rounded once to dtype; meaningless with none */
    bool has_loss;
    uint64_t nonfinite;              /* values in losses and gradients that are not finite */
    uint64_t batch;                  /* the divisor of batchmean */
    struct loss_sum sum, weight_sum; /* the exact state behind totals, for merging batches */
    struct loss_sum
        rest; /* what rounding the losses to float32 took from their first 41 digits: `loss` is of sum + rest */
};

/* Defaults of the loss, or of the alias it was called by (NULL: none). */
void loss_call_init(struct loss_call *call, const struct loss_desc *desc, const struct loss_alias *alias);

/* Set parameter `i` of the descriptor. `pointer` is its place in the call for the error (NULL: "/" and its name).
 * err  LOSS_INVALID_PARAMETER: wrong type, out of range, unknown word (names the nearest) */
loss_status loss_call_set_number(struct loss_call *call, int i, double value, const char *pointer,
                                 struct loss_error *err);
loss_status loss_call_set_boolean(struct loss_call *call, int i, bool value, const char *pointer,
                                  struct loss_error *err);
loss_status loss_call_set_word(struct loss_call *call, int i, const char *word, const char *pointer,
                               struct loss_error *err);
loss_status loss_call_set_vector(struct loss_call *call, int i, const struct loss_tensor *vector,
                                 struct loss_error *err);
loss_status loss_call_set_axes(struct loss_call *call, int i, const int *axes, int n, const char *pointer,
                               struct loss_error *err);

/* How many numbers the call touches, those of each pair counted where it compares pairs: what decides whether it is
 * small. Never more than 2^48. */
size_t loss_call_elements(const struct loss_call *call);

/* Compute. Answer arrays lie in `arena`. Uses OpenMP for large calls only.
 *
 * err    LOSS_MISSING_FIELD, LOSS_SHAPE_MISMATCH, LOSS_INVALID_WEIGHTS "/weights", LOSS_LABEL_OUT_OF_RANGE and
 *        LOSS_NOT_AN_INTEGER with the element, LOSS_NOT_DIFFERENTIABLE "/gradients", LOSS_NUMBER_OUT_OF_RANGE (a
 *        finite number that the call's dtype cannot hold), LOSS_INVALID_PARAMETER, LOSS_OVERLOADED (no memory),
 *        LOSS_DEADLINE_EXCEEDED (cancelled)
 * holds  nothing is changed on failure but the arena; an empty batch has loss 0 */
loss_status loss_compute(const struct loss_call *call, struct loss_arena *arena, struct loss_answer *answer,
                         struct loss_error *err);

/* Totals from exact state, for one batch or many merged: what loss_compute fills `totals` with. */
void loss_totals_from(struct loss_totals *totals, const struct loss_sum *sum, const struct loss_sum *weight_sum,
                      uint64_t count, uint64_t nonzero_weights, uint64_t batch);
/* What a reduction divides by, as gradients see it; 1 for none and sum. */
double loss_divisor_of(loss_reduction reduction, const struct loss_sum *weight_sum, uint64_t count,
                       uint64_t nonzero_weights, uint64_t batch);
/* The one that a reduction names (0 for none), likewise. */
double loss_total_of(loss_reduction reduction, const struct loss_sum *sum, const struct loss_sum *weight_sum,
                     uint64_t count, uint64_t nonzero_weights, uint64_t batch);

/* The instruction set that the kernels use, "x86-64-v4", "x86-64-v3" or "baseline": the widest that the machine has,
 * until another was selected. All give the same bits. Select before the first call; false: not on this machine. */
const char *loss_isa(void);
bool loss_isa_select(const char *name);

const char *loss_version(void); /* "0.1.0" */

LOSS_END_DECLS

#endif
