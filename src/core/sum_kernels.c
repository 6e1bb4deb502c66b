/* SPDX-License-Identifier: Apache-2.0
 *
 * sum_kernels.c - adding many numbers to an exact sum at the pace of memory, by the cuts of sum_cuts.h.
 *
 * Of floats it is known beforehand, from the smallest exponent, how many cuts it takes. Of doubles three are tried, and
 * it is tested that nothing is left. What fails (a range too wide, numbers near the ends of the doubles or beyond) goes
 * through integers, one by one.
 */
#include "sum_cuts.h"

#define F64_CUTS 3          /* that are tried */
#define MIN_EXPONENT (-900) /* where all cutters of doubles are normal numbers, with room */
#define MAX_EXPONENT 1000
#define MAX_SKIPPED 64

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

const struct loss__sum_kernels LOSS__ISA_NAME(loss__sum_kernels) = {
    .add_f32 = add_f32,
    .add_f64 = add_f64,
    .add_losses = LOSS__ISA_NAME(loss__add_losses),
};
