/* SPDX-License-Identifier: Apache-2.0
 *
 * sum_kernels.c - adding many numbers to an exact sum at the pace of memory.
 *
 * A run of up to 512 numbers is cut, all at the same places, into pieces of 51 bits. Adding 1.5 * 2^(52 + e) to a
 * number below 2^(51 + e) rounds it to a multiple of 2^e, and leaves that multiple in the low bits of the sum: so
 * whole numbers are added, which is exact in any order, and what the cut left over is cut again 51 bits further down.
 * With the largest magnitude below 2^(K + 1) the first cut is at e = K - 50. All is in vector registers.
 *
 * Of floats it is known beforehand, from the smallest exponent, how many cuts it takes. Of doubles three are tried, and
 * it is tested that nothing is left. What fails (a range too wide, numbers near the ends of the doubles or beyond) goes
 * through integers, one by one.
 *
 * Must not be compiled with -ffast-math or -fassociative-math, which would turn (x + m) - m into x.
 */
#include "sum_kernels.h"

#include <stdbool.h>

#include "kernel.h"

#define RUN 512  /* numbers a try; an outlier spoils the try of its own run only */
#define WIDTH 8  /* of a vector: the widest machine's, others take it in pieces. Being exact, the sums do not show it */
#define PIECE 51 /* bits that a cut takes */
#define F64_CUTS 3          /* that are tried */
#define MIN_EXPONENT (-900) /* where all cutters of doubles are normal numbers, with room */
#define MAX_EXPONENT 1000
#define MAX_SKIPPED 64

typedef double vec __attribute__((vector_size(8 * WIDTH)));
typedef float half_vec __attribute__((vector_size(4 * WIDTH)));
typedef uint64_t ints __attribute__((vector_size(8 * WIDTH))); /* sums that wrap */

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

static struct span span_f32(const float *restrict x, size_t n)
{
    int32_t most = 0, least = INT32_MAX;
    for (size_t i = 0; i < n; i++) {
        widen_span(x[i], &most, &least);
    }
    return span_of_bits(most, least);
}

/* The exponent of the largest magnitude, above MAX_EXPONENT where not all is finite. */
static int largest_exponent_f64(const double *restrict x, size_t n)
{
    int32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t magnitude = (int32_t)(vm_bits(x[i]) >> 32) & INT32_MAX;
        most = magnitude > most ? magnitude : most;
    }
    return (most >> 20) - 1023;
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
static void add_cuts(struct loss_sum *s, const ints *sum, size_t n, int e)
{
    uint64_t units = -(uint64_t)n * vm_bits(cutter(e));
    for (int j = 0; j < WIDTH; j++) {
        units += (uint64_t)(*sum)[j];
    }
    loss__sum_add_units(s, (int64_t)units, e);
}

VM_INLINE void load_f32(vec *v, const float *x)
{
    half_vec h;
    memcpy(&h, x, sizeof h);
    *v = __builtin_convertvector(h, vec);
}

VM_INLINE void load_f64(vec *v, const double *x)
{
    memcpy(v, x, sizeof *v);
}

/* Cut v[n] at e and below until nothing is left of multiples of 2^last; v is spoilt. */
static void cut_down(struct loss_sum *s, double *v, size_t n, int e, int last)
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

static void sum_run_f32(struct loss_sum *s, const float *restrict x, size_t n, struct span span)
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

/* False, and s is as it was: it cannot be had this way. */
static bool sum_run_f64(struct loss_sum *s, const double *restrict x, size_t n)
{
    const int k = largest_exponent_f64(x, n), e = first_place(k);
    if (k < MIN_EXPONENT || k > MAX_EXPONENT) {
        return false;
    }
    const double m1 = cutter(e), m2 = cutter(e - PIECE), m3 = cutter(e - 2 * PIECE);
    ints sum1 = {0}, sum2 = {0}, sum3 = {0}, left = {0};
    for (size_t i = 0; i < n; i += WIDTH) {
        vec v;
        load_f64(&v, x + i);
        cut(&v, m1, &sum1);
        cut(&v, m2, &sum2);
        cut(&v, m3, &sum3);
        left |= (ints)v;
    }
    uint64_t any = 0;
    for (int j = 0; j < WIDTH; j++) {
        any |= (uint64_t)left[j];
    }
    if (any << 1 != 0) { /* -0.0 is zero */
        return false;
    }
    add_cuts(s, &sum1, n, e);
    add_cuts(s, &sum2, n, e - PIECE);
    add_cuts(s, &sum3, n, e - 2 * PIECE);
    return true;
}

/* Through integers. */

/* Two limbs take a shifted fraction of up to 84 bits: 32 into the first, 52 into the second, which has room for 2047.
 * Neighbours go to different copies, so that one need not wait for what the other stored. */
#define COPIES 2
#define COPY_ROOM 1024
#define COPY_LIMBS 65

struct tally {
    unsigned n; /* numbers since the last fold */
    int64_t limb[COPIES][COPY_LIMBS];
};

static void fold(struct tally *t, struct loss_sum *s)
{
    if (t->n == 0) {
        return;
    }
    if (s->pending >= LOSS__SUM_MAX_PENDING) {
        loss__sum_normalise(s);
    }
    for (int copy = 0; copy < COPIES; copy++) {
        for (int i = 0; i < COPY_LIMBS; i++) {
            int64_t v = t->limb[copy][i];
            if (v != 0) {
                s->limb[i] += v & UINT32_MAX;
                s->limb[i + 1] += v >> 32;
                loss__sum_cover(s, i, i + 1);
            }
        }
    }
    s->pending += 2 * COPIES;
    t->n = 0;
}

static inline __attribute__((always_inline)) void tally_one(int64_t limb[COPY_LIMBS], struct loss_sum *s, double x)
{
    uint64_t bits = vm_bits(x);
    if ((bits >> 52 & 0x7ff) == 0x7ff) {
        loss_sum_add(s, x);
        return;
    }
    struct loss__sum_number v = loss__sum_number(bits);
    int i = v.position >> 5, shift = v.position & 31;
    limb[i] += loss__sum_signed(v.fraction << shift & UINT32_MAX, v.negative);
    limb[i + 1] += loss__sum_signed(v.fraction >> (32 - shift), v.negative);
}

static void make_room(struct tally *t, struct loss_sum *s, size_t n)
{
    if (t->n + n > COPIES * COPY_ROOM) {
        fold(t, s);
    }
    if (t->n == 0) {
        memset(t->limb, 0, sizeof t->limb);
    }
    t->n += (unsigned)n;
}

/* Runs. */

/* Tries that keep failing are made ever more rarely. */
struct tries {
    unsigned skip, penalty;
};

static bool may_try(struct tries *t)
{
    if (t->skip > 0) {
        t->skip--;
        return false;
    }
    return true;
}

static bool tried(struct tries *t, bool good)
{
    if (good) {
        t->penalty = 0;
    } else {
        t->skip = t->penalty; /* none at first: it may have been a lone outlier */
        t->penalty = t->penalty == 0 ? 1 : t->penalty < MAX_SKIPPED ? 2 * t->penalty : MAX_SKIPPED;
    }
    return good;
}

static void tally_run_f64(struct tally *tally, struct loss_sum *s, const double *x, size_t n)
{
    make_room(tally, s, n);
    for (size_t i = 0; i < n; i += COPIES) {
        tally_one(tally->limb[0], s, x[i]);
        tally_one(tally->limb[1], s, x[i + 1]);
    }
}

static void add_f64(struct loss_sum *s, const double *x, size_t n)
{
    struct tally tally;
    struct tries tries = {0};
    tally.n = 0;
    while (n >= WIDTH) {
        size_t run = n < RUN ? n - n % WIDTH : RUN;
        if (!may_try(&tries) || !tried(&tries, sum_run_f64(s, x, run))) {
            tally_run_f64(&tally, s, x, run);
        }
        x += run;
        n -= run;
    }
    fold(&tally, s);
    for (size_t i = 0; i < n; i++) {
        loss_sum_add(s, x[i]);
    }
}

static void add_each_f32(struct loss_sum *s, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        loss_sum_add(s, (double)x[i]);
    }
}

static void add_f32(struct loss_sum *s, const float *x, size_t n)
{
    while (n >= WIDTH) {
        size_t run = n < RUN ? n - n % WIDTH : RUN;
        struct span span = span_f32(x, run);
        if (span.most == NOT_FINITE) {
            add_each_f32(s, x, run);
        } else {
            sum_run_f32(s, x, run, span);
        }
        x += run;
        n -= run;
    }
    add_each_f32(s, x, n);
}

/* Losses. */

/* What rounding d to the float x took from it: exact, and 0 where x is not finite or 0. */
VM_INLINE double lost_f32(double d, float x)
{
    double lost = d - (double)x;
    return x == 0 || !(lost - lost == 0) ? 0 : lost;
}

/* The same of WIDTH finite ones. */
VM_INLINE void load_rests(vec *rest, const double *w, const double *loss, const float *x)
{
    vec weight, d, v;
    load_f64(&weight, w);
    load_f64(&d, loss);
    load_f32(&v, x);
    *rest = (vec)((ints)(weight * d - v) & (v != 0));
}

/* The same of a run of finite ones, summed. A float's rest is at most half its last place, and of a double that is a
 * multiple of 2^(least - 53), since the float may have been rounded up to the next power of 2. */
static void sum_rests(struct loss_sum *s, const double *restrict w, const double *restrict loss,
                      const float *restrict x, size_t n, struct span span)
{
    const int e = first_place(span.most - 24), last = span.least - 53, cuts = cuts_down_to(last, e);
    const double m = cutter(e), m2 = cutter(e - PIECE);
    ints sum = {0}, sum2 = {0};
    vec v;
    if (cuts == 1) {
        for (size_t i = 0; i < n; i += WIDTH) {
            load_rests(&v, w + i, loss + i, x + i);
            sum += (ints)(v + m);
        }
        add_cuts(s, &sum, n, e);
    } else if (cuts == 2) {
        for (size_t i = 0; i < n; i += WIDTH) {
            load_rests(&v, w + i, loss + i, x + i);
            cut(&v, m, &sum);
            sum2 += (ints)(v + m2);
        }
        add_cuts(s, &sum, n, e);
        add_cuts(s, &sum2, n, e - PIECE);
    } else {
        double all[RUN];
        for (size_t i = 0; i < n; i += WIDTH) {
            load_rests(&v, w + i, loss + i, x + i);
            memcpy(all + i, &v, sizeof v);
        }
        cut_down(s, all, n, e, last);
    }
}

/* sum_run_f32 and sum_rests in one pass, where it takes that many cuts of each: 1 or 2. */
VM_INLINE void sum_both_cut(struct loss__losses_sum *s, const double *restrict w, const double *restrict loss,
                            const float *restrict x, size_t n, int most, bool twice, bool rests_twice)
{
    const int e = first_place(most), of_rest = first_place(most - 24);
    const double m = cutter(e), m2 = cutter(e - PIECE), r = cutter(of_rest), r2 = cutter(of_rest - PIECE);
    ints sum = {0}, sum2 = {0}, rests = {0}, rests2 = {0};
    for (size_t i = 0; i < n; i += WIDTH) {
        vec v, rest;
        load_rests(&rest, w + i, loss + i, x + i);
        load_f32(&v, x + i);
        cut(&v, m, &sum);
        cut(&rest, r, &rests);
        if (twice) {
            sum2 += (ints)(v + m2);
        }
        if (rests_twice) {
            rests2 += (ints)(rest + r2);
        }
    }
    add_cuts(s->sum, &sum, n, e);
    add_cuts(s->rest, &rests, n, of_rest);
    if (twice) {
        add_cuts(s->sum, &sum2, n, e - PIECE);
    }
    if (rests_twice) {
        add_cuts(s->rest, &rests2, n, of_rest - PIECE);
    }
}

static void sum_both(struct loss__losses_sum *s, const double *w, const double *loss, const float *x, size_t n,
                     struct span span)
{
    int cuts = cuts_down_to(span.least - 23, first_place(span.most));
    int rest_cuts = cuts_down_to(span.least - 53, first_place(span.most - 24));
    if (cuts > 2 || rest_cuts > 2) {
        sum_run_f32(s->sum, x, n, span);
        sum_rests(s->rest, w, loss, x, n, span);
    } else if (cuts == 1 && rest_cuts == 1) {
        sum_both_cut(s, w, loss, x, n, span.most, false, false);
    } else if (cuts == 1) {
        sum_both_cut(s, w, loss, x, n, span.most, false, true);
    } else {
        sum_both_cut(s, w, loss, x, n, span.most, true, true);
    }
}

static size_t add_losses_each(struct loss__losses_sum *s, const double *w, const double *loss, const float *x, size_t n)
{
    size_t nonfinite = 0;
    for (size_t i = 0; i < n; i++) {
        loss_sum_add(s->sum, (double)x[i]);
        loss_sum_add(s->rest, lost_f32(w[i] * loss[i], x[i]));
        nonfinite += !(x[i] - x[i] == 0);
    }
    return nonfinite;
}

static size_t add_losses(struct loss__losses_sum *s, const double *restrict w, const double *restrict loss, size_t n,
                         float *restrict out)
{
    size_t nonfinite = 0;
    while (n > 0) {
        size_t run = n < WIDTH ? n : n < RUN ? n - n % WIDTH : RUN;
        int32_t most = 0, least = INT32_MAX;
        for (size_t i = 0; i < run; i++) {
            out[i] = (float)(w[i] * loss[i]);
            widen_span(out[i], &most, &least);
        }
        struct span span = span_of_bits(most, least);
        if (n < WIDTH || span.most == NOT_FINITE) {
            nonfinite += add_losses_each(s, w, loss, out, run);
        } else {
            sum_both(s, w, loss, out, run, span);
        }
        w += run;
        loss += run;
        out += run;
        n -= run;
    }
    return nonfinite;
}

const struct loss__sum_kernels LOSS__ISA_NAME(loss__sum_kernels) = {
    .add_f32 = add_f32,
    .add_f64 = add_f64,
    .add_losses = add_losses,
};
