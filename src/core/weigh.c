/* SPDX-License-Identifier: Apache-2.0
 *
 * weigh.c - what the driver does to every number of a block.
 */
#include "weigh.h"

#include <math.h>

#include "block.h"
#include "vmath.h"

static void upstream(const double *restrict w, double divisor, size_t n, double *restrict g)
{
    for (size_t i = 0; i < n; i++) {
        g[i] = w[i] / divisor;
    }
}

/* x - x is 0 for every finite x and NaN for the others. */
#define NONFINITE(x) (!((x) - (x) == 0))

static size_t losses_f32(const double *restrict w, const double *restrict loss, size_t n, float *restrict out,
                         float *restrict rest)
{
    uint32_t nonfinite = 0;
    for (size_t i = 0; i < n; i++) {
        double exact = w[i] * loss[i];
        float x = (float)exact, left = (float)(exact - (double)x);
        out[i] = x;
        rest[i] = NONFINITE(x) ? 0.0f : left;
        nonfinite += NONFINITE(x);
    }
    return nonfinite;
}

static size_t losses_f64(const double *restrict w, const double *restrict loss, size_t n, double *restrict out)
{
    uint64_t nonfinite = 0;
    for (size_t i = 0; i < n; i++) {
        double x = w[i] * loss[i];
        out[i] = x;
        nonfinite += NONFINITE(x);
    }
    return nonfinite;
}

static size_t nonfinite_f32(const float *x, size_t n)
{
    uint32_t nonfinite = 0;
    for (size_t i = 0; i < n; i++) {
        nonfinite += NONFINITE(x[i]);
    }
    return nonfinite;
}

static size_t nonfinite_f64(const double *x, size_t n)
{
    uint64_t nonfinite = 0;
    for (size_t i = 0; i < n; i++) {
        nonfinite += NONFINITE(x[i]);
    }
    return nonfinite;
}

static void products(const double *restrict a, const double *restrict b, size_t n, double *restrict hi,
                     double *restrict lo)
{
    for (size_t i = 0; i < n; i++) {
        double low;
        hi[i] = vm_two_prod(a[i], b[i], &low);
        lo[i] = NONFINITE(low) ? 0 : low;
    }
}

const struct loss__weigh LOSS__ISA_NAME(loss__weigh_builds) = {
    .upstream = upstream,
    .losses_f32 = losses_f32,
    .losses_f64 = losses_f64,
    .nonfinite_f32 = nonfinite_f32,
    .nonfinite_f64 = nonfinite_f64,
    .products = products,
};
