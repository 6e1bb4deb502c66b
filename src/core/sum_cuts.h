/* SPDX-License-Identifier: Apache-2.0
 *
 * sum_cuts.h - how many numbers are added exactly in vector registers: what the builds of sum_kernels.c and sum_losses.c
 * share.
 *
 * A run of up to 512 numbers is cut, all at the same places, into pieces of 51 bits. Adding 1.5 * 2^(52 + e) to a
 * number below 2^(51 + e) rounds it to a multiple of 2^e, and leaves that multiple in the low bits of the sum: so
 * whole numbers are added, which is exact in any order, and what the cut left over is cut again 51 bits further down.
 * With the largest magnitude below 2^(K + 1) the first cut is at e = K - 50. All is in vector registers.
 *
 * Must not be compiled with -ffast-math or -fassociative-math, which would turn (x + m) - m into x.
 */
#ifndef LOSS__SUM_CUTS_H
#define LOSS__SUM_CUTS_H

#include <stdbool.h>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "kernel.h"
#include "sum_kernels.h"

#define RUN 512  /* numbers a try; an outlier spoils the try of its own run only */
#define WIDTH 8  /* of a vector: the widest machine's, others take it in pieces. Being exact, the sums do not show it */
#define PIECE 51 /* bits that a cut takes */

typedef double vec __attribute__((vector_size(8 * WIDTH)));
typedef float half_vec __attribute__((vector_size(4 * WIDTH)));
typedef uint64_t ints __attribute__((vector_size(8 * WIDTH))); /* sums that wrap */
typedef uint32_t half_ints __attribute__((vector_size(4 * WIDTH)));
typedef int32_t half_signed __attribute__((vector_size(4 * WIDTH)));

/* The exponents of the largest magnitude and of the smallest that is not 0. The bits of floats, and the top halves of
 * those of doubles, order like whole numbers, and every instruction set compares 32-bit ones. */
struct span {
    int most, least;
};
#define NOT_FINITE 1024 /* as `most` */

/* Subnormal floats count as the smallest of them. */
VM_INLINE struct span span_of_bits(int32_t most, int32_t least)
{
    most >>= 23;
    least = (least + (least < INT32_MAX)) >> 23;
    return (struct span){
        .most = most == 0xff ? NOT_FINITE : (most > 0 ? most : 1) - 127,
        .least = least == 0 ? -149 : least - 127,
    };
}

VM_INLINE void widen_span(float x, int32_t *most, int32_t *least)
{
    int32_t magnitude;
    memcpy(&magnitude, &x, sizeof magnitude);
    magnitude &= INT32_MAX;
    *most = magnitude > *most ? magnitude : *most;
    magnitude = (magnitude - 1) & INT32_MAX; /* 0 becomes the largest */
    *least = magnitude < *least ? magnitude : *least;
}

__attribute__((unused)) static struct span span_f32(const float *restrict x, size_t n)
{
    int32_t most = 0, least = INT32_MAX;
    for (size_t i = 0; i < n; i++) {
        widen_span(x[i], &most, &least);
    }
    return span_of_bits(most, least);
}

/* Cuts. */

/* The last place of the first cut of numbers below 2^(exponent + 1). */
VM_INLINE int first_place(int exponent)
{
    return exponent + 1 - PIECE;
}

/* How many cuts it takes to be left with nothing of multiples of 2^last. */
VM_INLINE int cuts_down_to(int last, int first)
{
    return last >= first ? 1 : 1 + (first - last + PIECE - 1) / PIECE;
}

/* 1.5 * 2^(52 + e), whose last place is 2^e. */
VM_INLINE double cutter(int e)
{
    return vm_from_bits((uint64_t)(52 + e + 1023) << 52 | UINT64_C(1) << 51);
}

/* Cut *v: the multiple to *sum, and what is left to *v. */
VM_INLINE void cut(vec *v, double m, ints *sum)
{
    vec shifted = *v + m;
    *sum += (ints)shifted;
    *v -= shifted - m;
}

/* Add what n cuts at last place e found. */
__attribute__((unused)) static void add_cuts(struct loss_sum *s, const ints *sum, size_t n, int e)
{
    uint64_t units = -(uint64_t)n * vm_bits(cutter(e));
    for (int j = 0; j < WIDTH; j++) {
        units += (uint64_t)(*sum)[j];
    }
    loss__sum_add_units(s, (int64_t)units, e);
}

/* Which the compiler would do by halves. */
VM_INLINE void widen(vec *v, const half_vec *h)
{
#ifdef __AVX512F__
    *v = (vec)_mm512_cvtps_pd((__m256)*h);
#else
    *v = __builtin_convertvector(*h, vec);
#endif
}

VM_INLINE void load_f32(vec *v, const float *x)
{
    half_vec h;
    memcpy(&h, x, sizeof h);
    widen(v, &h);
}

VM_INLINE void load_f64(vec *v, const double *x)
{
    memcpy(v, x, sizeof *v);
}

/* Cut v[n] at e and below until nothing is left of multiples of 2^last; v is spoilt. */
__attribute__((unused)) static void cut_down(struct loss_sum *s, double *v, size_t n, int e, int last)
{
    for (int cuts = cuts_down_to(last, e); cuts > 0; cuts--, e -= PIECE) {
        const double m = cutter(e);
        ints sum = {0};
        for (size_t i = 0; i < n; i += WIDTH) {
            vec x;
            load_f64(&x, v + i);
            cut(&x, m, &sum);
            memcpy(v + i, &x, sizeof x);
        }
        add_cuts(s, &sum, n, e);
    }
}

/* Runs: n <= RUN numbers, a multiple of WIDTH. */

__attribute__((unused)) static void sum_run_f32(struct loss_sum *s, const float *restrict x, size_t n, struct span span)
{
    const int e = first_place(span.most), cuts = cuts_down_to(span.least - 23, e);
    const double m = cutter(e), m2 = cutter(e - PIECE);
    ints sum = {0}, sum2 = {0};
    vec v;
    if (cuts == 1) {
        for (size_t i = 0; i < n; i += WIDTH) {
            load_f32(&v, x + i);
            sum += (ints)(v + m);
        }
        add_cuts(s, &sum, n, e);
    } else if (cuts == 2) {
        for (size_t i = 0; i < n; i += WIDTH) {
            load_f32(&v, x + i);
            cut(&v, m, &sum);
            sum2 += (ints)(v + m2);
        }
        add_cuts(s, &sum, n, e);
        add_cuts(s, &sum2, n, e - PIECE);
    } else {
        double all[RUN];
        for (size_t i = 0; i < n; i++) {
            all[i] = (double)x[i];
        }
        cut_down(s, all, n, e, span.least - 23);
    }
}

#endif
