/* SPDX-License-Identifier: Apache-2.0
 *
 * sum_kernels.c - adding many numbers to an exact sum at the pace of memory.
 *
 * A run of numbers of like magnitude is summed in vector doubles without rounding. Adding and taking away a constant
 * 1.5 * 2^(52 + e) cuts a number to a multiple of 2^e; the rest is exact, and is cut again further down. Where all
 * magnitudes are below 2^(K + 1) and the first cut is at e = K - 43, the sum of 512 such parts needs at most 53 bits:
 * it is exact in any order. So is that of the rests, below 2^(K - 44) each, cut at K - 88, and so on. The run is done
 * when the last rest is zero everywhere, which is tested, not assumed; floats are so short that the smallest exponent
 * tells. What fails (a range too wide, numbers near the ends of the doubles or beyond) goes through integers.
 *
 * Must not be compiled with -ffast-math or -fassociative-math, which would turn (x + m) - m into x.
 */
#include "sum_kernels.h"

#include <stdbool.h>

#include "block.h"

#define RUN 512  /* numbers a try; an outlier spoils the try of its own run only */
#define LANES 16 /* fewer are not vectorised by gcc 12; being exact, the sum does not depend on it */
#define FIRST_CUT 43
#define NEXT_CUT 45
#define MIN_EXPONENT (-800) /* where all three cutters are normal numbers, with room */
#define MAX_EXPONENT 1000
#define MAX_SKIPPED 64

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* 1.5 * 2^(52 + e), whose last place is 2^e. */
static double cutter(int e)
{
    uint64_t bits = (uint64_t)(52 + e + 1023) << 52 | UINT64_C(1) << 51;
    double m;
    memcpy(&m, &bits, sizeof m);
    return m;
}

static double lane_sum(const double lane[LANES])
{
    double sum = 0;
    for (int j = 0; j < LANES; j++) {
        sum += lane[j];
    }
    return sum;
}

static bool all_zero(const uint64_t lane[LANES])
{
    uint64_t any = 0;
    for (int j = 0; j < LANES; j++) {
        any |= lane[j];
    }
    return any << 1 == 0; /* -0.0 is zero */
}

/* The exponents of the largest magnitude and of the smallest that is not 0. The bits of floats, and the top halves of
 * those of doubles, order like whole numbers, and every instruction set compares 32-bit ones. A subnormal float has the
 * exponent of its last place. */
struct span {
    int most, least;
};

static struct span span_f32(const float *restrict x, size_t n)
{
    int32_t most = 0, least = INT32_MAX;
    for (size_t i = 0; i < n; i++) {
        int32_t magnitude;
        memcpy(&magnitude, &x[i], sizeof magnitude);
        magnitude &= INT32_MAX;
        most = magnitude > most ? magnitude : most;
        magnitude = (magnitude - 1) & INT32_MAX; /* 0 becomes the largest */
        least = magnitude < least ? magnitude : least;
    }
    most >>= 23;
    least = (least + (least < INT32_MAX)) >> 23;
    return (struct span){most == 0xff ? 1024 : most - 127, (least > 0 ? least : 1) - 127};
}

/* The exponent of the largest magnitude, above MAX_EXPONENT where not all is finite. */
static int largest_exponent_f64(const double *restrict x, size_t n)
{
    int32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t magnitude = (int32_t)(bits_of(x[i]) >> 32) & INT32_MAX;
        most = magnitude > most ? magnitude : most;
    }
    return (most >> 20) - 1023;
}

/* Of floats it is known beforehand what is exact: each is a multiple of 2^(least - 23). */
#define PLAIN_SPAN 20 /* 512 of them, below 2^(most + 1) each, add up to 53 bits at most */
#define CUT_SPAN 65   /* 512 rests, below 2^(most - 44) each, do */

static double sum_plain_f32(const float *restrict x, size_t n)
{
    double sum[LANES] = {0};
    for (size_t i = 0; i < n; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            sum[j] += x[i + j];
        }
    }
    return lane_sum(sum);
}

/* The exact sum of n <= RUN numbers, a multiple of LANES, as two doubles; false: it cannot be had this way. */
static bool sum_run_f32(const float *restrict x, size_t n, double part[2])
{
    struct span span = span_f32(x, n);
    if (span.most > MAX_EXPONENT || span.least < span.most - CUT_SPAN) {
        return false;
    }
    part[1] = 0;
    if (span.least >= span.most - PLAIN_SPAN) {
        part[0] = sum_plain_f32(x, n);
        return true;
    }
    const double m = cutter(span.most - FIRST_CUT);
    double sum[LANES] = {0}, rests[LANES] = {0};
    for (size_t i = 0; i < n; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            double v = x[i + j], cut = (v + m) - m;
            sum[j] += cut;
            rests[j] += v - cut;
        }
    }
    part[0] = lane_sum(sum);
    part[1] = lane_sum(rests);
    return true;
}

/* As above; a double takes three parts. */
static bool sum_run_f64(const double *restrict x, size_t n, double part[3])
{
    int k = largest_exponent_f64(x, n);
    if (k < MIN_EXPONENT || k > MAX_EXPONENT) {
        return false;
    }
    const double m1 = cutter(k - FIRST_CUT), m2 = cutter(k - FIRST_CUT - NEXT_CUT),
                 m3 = cutter(k - FIRST_CUT - 2 * NEXT_CUT);
    double sum1[LANES] = {0}, sum2[LANES] = {0}, sum3[LANES] = {0};
    uint64_t left[LANES] = {0};
    for (size_t i = 0; i < n; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            double v = x[i + j];
            double part1 = (v + m1) - m1;
            double rest = v - part1;
            double part2 = (rest + m2) - m2;
            double last = rest - part2;
            double part3 = (last + m3) - m3;
            sum1[j] += part1;
            sum2[j] += part2;
            sum3[j] += part3;
            left[j] |= bits_of(last - part3);
        }
    }
    part[0] = lane_sum(sum1);
    part[1] = lane_sum(sum2);
    part[2] = lane_sum(sum3);
    return all_zero(left);
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
    uint64_t bits = bits_of(x);
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

static void add_f32(struct loss_sum *s, const float *x, size_t n)
{
    struct tally tally;
    struct tries tries = {0};
    tally.n = 0;
    while (n >= LANES) {
        size_t run = n < RUN ? n - n % LANES : RUN;
        double part[2];
        if (may_try(&tries) && tried(&tries, sum_run_f32(x, run, part))) {
            loss_sum_add(s, part[0]);
            loss_sum_add(s, part[1]);
        } else {
            make_room(&tally, s, run);
            for (size_t i = 0; i < run; i += COPIES) {
                tally_one(tally.limb[0], s, x[i]);
                tally_one(tally.limb[1], s, x[i + 1]);
            }
        }
        x += run;
        n -= run;
    }
    fold(&tally, s);
    for (size_t i = 0; i < n; i++) {
        loss_sum_add(s, x[i]);
    }
}

static void add_f64(struct loss_sum *s, const double *x, size_t n)
{
    struct tally tally;
    struct tries tries = {0};
    tally.n = 0;
    while (n >= LANES) {
        size_t run = n < RUN ? n - n % LANES : RUN;
        double part[3];
        if (may_try(&tries) && tried(&tries, sum_run_f64(x, run, part))) {
            loss_sum_add(s, part[0]);
            loss_sum_add(s, part[1]);
            loss_sum_add(s, part[2]);
        } else {
            make_room(&tally, s, run);
            for (size_t i = 0; i < run; i += COPIES) {
                tally_one(tally.limb[0], s, x[i]);
                tally_one(tally.limb[1], s, x[i + 1]);
            }
        }
        x += run;
        n -= run;
    }
    fold(&tally, s);
    for (size_t i = 0; i < n; i++) {
        loss_sum_add(s, x[i]);
    }
}

const struct loss__sum_kernels LOSS__ISA_NAME(loss__sum_kernels) = {.add_f32 = add_f32, .add_f64 = add_f64};
