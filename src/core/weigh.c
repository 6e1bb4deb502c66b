/* SPDX-License-Identifier: Apache-2.0
 *
 * weigh.c - what the driver does to every number of a block.
 */
#include "weigh.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "kernel.h"

static void upstream(const double *restrict w, double divisor, size_t n, double *restrict g)
{
    for (size_t i = 0; i < n; i++) {
        g[i] = w[i] / divisor;
    }
}

/* x - x is 0 for every finite x and NaN for the others. */
#define NONFINITE(x) (!((x) - (x) == 0))

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

#ifdef __SSE2__
#define LINE 64 /* bytes of a cache line, which must be written whole */

static void stream(const void *from, size_t bytes, void *to)
{
    const char *source = from;
    char *target = to;
    size_t head = -(uintptr_t)target % LINE;
    head = head < bytes ? head : bytes;
    memcpy(target, source, head);
    size_t i = head;
    for (; i + LINE <= bytes; i += LINE) {
#ifdef __AVX512F__
        _mm512_stream_ps((float *)(target + i), _mm512_loadu_ps(source + i));
#else
        for (size_t k = i; k < i + LINE; k += 16) {
            _mm_stream_ps((float *)(target + k), _mm_loadu_ps((const float *)(source + k)));
        }
#endif
    }
    memcpy(target + i, source + i, bytes - i);
}

static void streamed(void)
{
    _mm_sfence();
}
#else
static void stream(const void *from, size_t bytes, void *to)
{
    memcpy(to, from, bytes);
}

static void streamed(void)
{
}
#endif

const struct loss__weigh LOSS__ISA_NAME(loss__weigh_builds) = {
    .upstream = upstream,
    .losses_f64 = losses_f64,
    .nonfinite_f32 = nonfinite_f32,
    .nonfinite_f64 = nonfinite_f64,
    .products = products,
    .stream = stream,
    .streamed = streamed,
};
