/* SPDX-License-Identifier: Apache-2.0
 *
 * weigh.h - what the driver does to every number of a block, built once an instruction set as the kernels are.
 */
#ifndef LOSS__WEIGH_H
#define LOSS__WEIGH_H

#include <stddef.h>
#include <stdint.h>

struct loss__weigh {
    /* g = w / divisor */
    void (*upstream)(const double *w, double divisor, size_t n, double *g);
    /* out = w * loss; how many of them are not finite. Those of float32 are summed in the same pass: sum_kernels.h. */
    size_t (*losses_f64)(const double *w, const double *loss, size_t n, double *out);
    /* how many are not finite */
    size_t (*nonfinite_f32)(const float *x, size_t n);
    size_t (*nonfinite_f64)(const double *x, size_t n);
    /* hi + lo = a * b without error; lo is 0 where hi is not finite */
    void (*products)(const double *a, const double *b, size_t n, double *hi, double *lo);
    /* Copy past the caches, for what will not be read soon: a write that misses them then need not read first. */
    void (*stream)(const void *from, size_t bytes, void *to);
    /* To be called by the thread that streamed, before anybody is told that it is there. */
    void (*streamed)(void);
};

#endif
