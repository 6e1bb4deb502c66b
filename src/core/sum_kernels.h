/* SPDX-License-Identifier: Apache-2.0
 *
 * sum_kernels.h - between sum.c and the builds of sum_kernels.c: how a number gets into the limbs.
 */
#ifndef LOSS__SUM_KERNELS_H
#define LOSS__SUM_KERNELS_H

#include <loss/sum.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Past this a limb would come near its 63 bits: normalise first. */
#define LOSS__SUM_MAX_PENDING (UINT64_C(1) << 30)

/* Where float32 losses are summed: as rounded to float32, and what the rounding took from them. */
struct loss__losses_sum {
    struct loss_sum *sum, *rest;
    struct loss__losses_guess *guess;
};

/* What the last losses were like, by which the next are first tried. It shows in no sum. */
struct loss__losses_guess {
    int place;    /* of the cut */
    bool no_good; /* more than a few were smaller than it takes */
};

/* Binary digits of a loss before it is rounded to float32. What the rounding took is taken from so many of them: then it
 * is exact in as few additions as the float itself. */
#define LOSS__LOSS_DIGITS 41

struct loss__sum_kernels {
    void (*add_f32)(struct loss_sum *s, const float *x, size_t n);
    void (*add_f64)(struct loss_sum *s, const double *x, size_t n);
    /* out = w * loss, rounded, and summed; how many of them are not finite, which have no rest. Nor have those that are
     * rounded to 0. w: NULL where all are 1. */
    size_t (*add_losses)(const struct loss__losses_sum *s, const double *w, const double *loss, size_t n, float *out);
};
/* add_losses of each build. */
size_t loss__add_losses_baseline(const struct loss__losses_sum *s, const double *w, const double *loss, size_t n,
                                 float *out);
size_t loss__add_losses_v3(const struct loss__losses_sum *s, const double *w, const double *loss, size_t n, float *out);
size_t loss__add_losses_v4(const struct loss__losses_sum *s, const double *w, const double *loss, size_t n, float *out);

extern const struct loss__sum_kernels loss__sum_kernels_baseline;
extern const struct loss__sum_kernels loss__sum_kernels_v3;
extern const struct loss__sum_kernels loss__sum_kernels_v4;

const struct loss__sum_kernels *loss__sum_kernels_in_use(void);

/* Add units * 2^exponent, where |units| < 2^62 and exponent >= -1074. */
void loss__sum_add_units(struct loss_sum *s, int64_t units, int exponent);

/* Whether it is finite and exactly n. */
bool loss__sum_is_whole(const struct loss_sum *s, uint64_t n);

/* Brings every limb but the highest back to 32 bits, and the highest to 33 with sign. */
void loss__sum_normalise(struct loss_sum *s);

/* A finite double is (-1)^negative * fraction * 2^(position - 1074). */
struct loss__sum_number {
    uint64_t fraction;
    int position;
    int64_t negative; /* 0, or -1: all bits set */
};

static inline struct loss__sum_number loss__sum_number(uint64_t bits)
{
    uint64_t exponent = (bits >> 52) & 0x7ff;
    uint64_t normal = exponent != 0;
    return (struct loss__sum_number){
        .fraction = (bits & UINT64_C(0x000fffffffffffff)) | normal << 52,
        .position = (int)(exponent - normal),
        .negative = -(int64_t)(bits >> 63),
    };
}

static inline int64_t loss__sum_signed(uint64_t magnitude, int64_t negative)
{
    return ((int64_t)magnitude ^ negative) - negative;
}

/* Make [low, high) cover limbs first to last. */
static inline void loss__sum_cover(struct loss_sum *s, int first, int last)
{
    s->low = first < s->low ? first : s->low;
    s->high = last >= s->high ? last + 1 : s->high;
}

#endif
