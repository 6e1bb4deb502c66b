/* SPDX-License-Identifier: Apache-2.0
 *
 * block.h - what a kernel sees, and the macros by which a loss file declares its descriptor and kernels.
 *
 * A kernel works on one block, single-threaded: it writes the unweighted loss of each element or row as a double
 * and, where a gradient is wanted, upstream times derivative, rounded once to the call's dtype. It does not
 * allocate, fork, lock, or know of weights and reductions.
 *
 * The files in losses/ are compiled once an instruction set (see CMakeLists.txt); LOSS__ISA names the build. Only
 * the baseline build defines the descriptors.
 */
#ifndef LOSS__BLOCK_H
#define LOSS__BLOCK_H

#include <stdint.h>

#include <loss/catalog.h>
#include <loss/compute.h>

#define LOSS__BLOCK_ELEMENTS                                                                                           \
    512 /* elements of an elementwise block, whose scratch then fits the first cache; row blocks
                                   * hold whole rows, one at least */

/* T is float or double, the call's dtype. */
struct loss__block {
    size_t n;                             /* elements, or rows */
    size_t c;                             /* row length; 1 for elementwise and whole-tensor kernels */
    size_t first;                         /* index of the block's first element or row in the whole */
    const void *in[LOSS_MAX_INPUTS];      /* T [n*c] contiguous, LOSS_LEAD inputs [n]; NULL: absent. Class indices and
                                           * whole numbers are int64_t, a class index -1 for a row to be left out */
    void *grad[LOSS_MAX_INPUTS];          /* T, shaped like the input; NULL: not wanted */
    const double *g;                      /* [n] upstream gradient; NULL where no gradient of an input is wanted */
    bool wide;                            /* T is double */
    bool g_alike;                         /* all of g is one number, and not 0 */
    double *loss;                         /* [n] */
    const struct loss_param_value *param; /* vectors are T; element i of an elementwise block has the class
                                           * (first + i) % classes of one */
    void *scratch;                        /* what kernels->scratch asked for, aligned to a cache line */
    size_t part;                          /* of the stage */
    const size_t *present;                /* LOSS_SAMPLEWISE: [n] elements of non-zero weight in each sample */
};

typedef void loss__kernel(const struct loss__block *b);

/* Parts of a stage may run at once on several threads, in any order: what they write must not meet, and what they read
 * be written by earlier stages. */
struct loss__stage {
    loss__kernel *f32, *f64; /* NULL ends a list of stages */
    size_t (*parts)(const struct loss__block *b);
};

struct loss__kernels {
    loss__kernel *f32, *f64;
    const struct loss__stage
        *stages; /* instead of f32 and f64, for a block whose work is worth sharing: in this order */
    /* Bytes that stages want to keep between them for a block of this n and c; NULL: none. */
    size_t (*scratch)(const struct loss__block *b);
    /* Row factors r >= 0 (they go into the divisors, not into the value), [n]; NULL: all 1. */
    void (*factor)(const struct loss__block *b, double *r);
    /* Whether these parameters make any factor other than 1; NULL: always asked. */
    bool (*factored)(const struct loss_param_value *param);
    /* LOSS_WHOLE: the loss from the exact sum of the elements' terms; NULL elsewhere. */
    double (*finish)(const struct loss_param_value *param, const struct loss_sum *terms);
};

#ifndef LOSS__ISA
#define LOSS__ISA baseline
#define LOSS__BASELINE 1
#endif
#define LOSS__JOIN_(a, b) a##_##b
#define LOSS__JOIN(a, b) LOSS__JOIN_(a, b)
#define LOSS__ISA_NAME(name) LOSS__JOIN(name, LOSS__ISA)

#ifdef LOSS__BASELINE
#define LOSS__DESCRIPTOR(name) const struct loss_desc loss__##name
#else
#define LOSS__DESCRIPTOR(name) __attribute__((unused)) static const struct loss_desc loss__##name
#endif
#define LOSS__KERNELS(name) const struct loss__kernels LOSS__ISA_NAME(loss__kernels_##name)

#endif
