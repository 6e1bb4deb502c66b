/* SPDX-License-Identifier: Apache-2.0
 *
 * weights.h - the weights of a call as the losses see them: broadcast by strides, never materialised.
 */
#ifndef LOSS__WEIGHTS_H
#define LOSS__WEIGHTS_H

#include <stdint.h>

#include <loss/arena.h>
#include <loss/sum.h>
#include <loss/tensor.h>

#include "shape.h"

struct loss__weights {
    struct loss_tensor tensor; /* of the call's dtype; squeezed where the loss squeezes */
    struct loss__grid grid;    /* over the losses' shape, or for sample-wise losses over the main input's */
    bool constant;             /* one weight for all losses ... */
    double value;              /* ... which is this */
    const double *sample;      /* sample-wise: [samples] sum of the weights of each sample; else NULL */
    const size_t *present;     /* sample-wise: [samples] elements of non-zero weight; else NULL */
    bool within;               /* sample-wise: the weights of a sample's elements may differ */
    /* Of all losses together, without row factors. */
    struct loss_sum sum;
    uint64_t nonzero;
};

/* Weights for losses of this shape; `tensor` has passed the broadcasting rule. */
void loss__weights_over(struct loss__weights *w, const struct loss_tensor *tensor, int rank, const size_t *shape);

/* Weights for one loss a sample, where `shape` is the main input's. False: no memory. */
bool loss__weights_over_samples(struct loss__weights *w, const struct loss_tensor *tensor, int rank,
                                const size_t *shape, struct loss_arena *arena);

/* Weights of the losses [first, first + n); `offsets` [n] is scratch. */
void loss__weights_fill(const struct loss__weights *w, size_t first, size_t n, size_t *offsets, double *out);

/* Weights of the c elements of sample `b`, likewise. */
void loss__weights_fill_sample(const struct loss__weights *w, size_t b, size_t c, size_t *offsets, double *out);

/* What the gradient with respect to the weights is made of. */
struct loss__weights_slope {
    int rank; /* shape of the losses */
    const size_t *shape;
    const double *loss;   /* [count] unweighted */
    const double *factor; /* [count] row factors, or NULL: all 1 */
    double divisor;       /* of the reduction */
    bool mean;            /* the divisor depends on the weights */
    double value;         /* the mean itself, unrounded by dtype */
};

/* Write the gradient, shaped like the weights, into `out` (of dtype). */
void loss__weights_gradient(const struct loss__weights *w, const struct loss__weights_slope *slope, loss_dtype dtype,
                            void *out);

#endif
