/* SPDX-License-Identifier: Apache-2.0
 *
 * sum_losses.c - rounding losses to float32, and adding exactly what they are then and what the rounding took.
 *
 * Both sums are made in the pass that rounds, by one cut at a place that is guessed from the losses before. The range of
 * exponents that a cut takes is checked on the way; where the guess was wrong the run is looked at first, and cut as often
 * as it takes.
 */
#include "sum_cuts.h"

/* A loss d is rounded to a float x; the rest is what that took from d's first LOSS__LOSS_DIGITS digits. With x's exponent
 * between `least` and `most` it is a multiple of 2^(least - LOSS__LOSS_DIGITS), since x may have been rounded up to the
 * next power of 2, and below 2^(most - 23). */

#define LOST_BITS (~((UINT64_C(1) << (53 - LOSS__LOSS_DIGITS)) - 1)) /* of a double, to cut it to these digits */

VM_INLINE int rest_place(int least)
{
    return least - LOSS__LOSS_DIGITS;
}

/* What rounding d to the float x took from it, and 0 where x is not finite or 0. */
VM_INLINE double lost_f32(double d, float x)
{
    double lost = vm_from_bits(vm_bits(d) & LOST_BITS) - (double)x;
    return x == 0 || !(lost - lost == 0) ? 0 : lost;
}

/* n losses, their weights (NULL: all 1), and where the products go as floats. */
struct losses {
    const double *w, *loss;
    float *out;
    size_t n;
};

VM_INLINE double loss_at(const struct losses *run, size_t i)
{
    return run->w == NULL ? run->loss[i] : run->w[i] * run->loss[i];
}

VM_INLINE void load_losses(vec *d, const struct losses *run, size_t i, bool weighed)
{
    load_f64(d, run->loss + i);
    if (weighed) {
        vec w;
        load_f64(&w, run->w + i);
        *d *= w;
    }
}

/* What rounding finite ones took. */
VM_INLINE void load_rests(vec *rest, const struct losses *run, size_t i)
{
    vec d, v;
    load_losses(&d, run, i, run->w != NULL);
    load_f32(&v, run->out + i);
    *rest = (vec)((ints)((vec)((ints)d & LOST_BITS) - v) & (v != 0));
}

/* The rests of a run of finite ones, summed. */
static void sum_rests(struct loss_sum *s, const struct losses *run, struct span span)
{
    double all[RUN];
    for (size_t i = 0; i < run->n; i += WIDTH) {
        vec v;
        load_rests(&v, run, i);
        memcpy(all + i, &v, sizeof v);
    }
    cut_down(s, all, run->n, first_place(span.most - 24), rest_place(span.least));
}

/* sum_run_f32 and sum_rests in one pass, where it takes two cuts of the floats, and of the rests one or two. */
static void sum_both_cut(const struct loss__losses_sum *s, const struct losses *run, int most, bool rests_twice)
{
    const int e = first_place(most), of_rest = first_place(most - 24);
    const double m = cutter(e), m2 = cutter(e - PIECE), r = cutter(of_rest), r2 = cutter(of_rest - PIECE);
    ints sum = {0}, sum2 = {0}, rests = {0}, rests2 = {0};
    for (size_t i = 0; i < run->n; i += WIDTH) {
        vec v, rest;
        load_rests(&rest, run, i);
        load_f32(&v, run->out + i);
        cut(&v, m, &sum);
        cut(&rest, r, &rests);
        sum2 += (ints)(v + m2);
        if (rests_twice) {
            rests2 += (ints)(rest + r2);
        }
    }
    add_cuts(s->sum, &sum, run->n, e);
    add_cuts(s->rest, &rests, run->n, of_rest);
    add_cuts(s->sum, &sum2, run->n, e - PIECE);
    if (rests_twice) {
        add_cuts(s->rest, &rests2, run->n, of_rest - PIECE);
    }
}

static void sum_both(const struct loss__losses_sum *s, const struct losses *run, struct span span)
{
    int cuts = cuts_down_to(span.least - 23, first_place(span.most));
    int rest_cuts = cuts_down_to(rest_place(span.least), first_place(span.most - 24));
    if (cuts <= 2 && rest_cuts <= 2) {
        sum_both_cut(s, run, span.most, rest_cuts == 2);
    } else {
        sum_run_f32(s->sum, run->out, run->n, span);
        sum_rests(s->rest, run, span);
    }
}

/* Guesses. A cut at place e takes floats whose exponents are from e + 23 to e + PIECE - 1; of these, RUN / WIDTH rests in
 * a lane add up without error. Smaller ones are left out and added one by one, while they are few. */

#define LEAST_OF_CUT(e) ((e) + 23)
#define MOST_OF_CUT(e) ((e) + PIECE - 1)
#define GUESS_ABOVE 2 /* exponents: by how much the next run may have larger numbers */
#define FEW_SMALLER 8 /* of a run */

/* The bits of the least normal float with this exponent, or nearest to it; above all that are finite for a large one. */
VM_INLINE uint32_t float_bits(int exponent)
{
    int biased = exponent + 127;
    return (uint32_t)(biased < 1 ? 1 : biased > 0xff ? 0xff : biased) << 23;
}

VM_INLINE uint32_t magnitude_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & INT32_MAX;
}

/* For the next run, after one whose largest has this exponent. */
static void guess_from(struct loss__losses_guess *guess, int most, const float *x, size_t n)
{
    guess->place = most + GUESS_ABOVE - MOST_OF_CUT(0);
    const uint32_t least = float_bits(LEAST_OF_CUT(guess->place));
    uint32_t smaller = 0;
    for (size_t i = 0; i < n; i++) {
        smaller += magnitude_bits(x[i]) - 1 < least - 1;
    }
    guess->no_good = smaller > FEW_SMALLER;
}

VM_INLINE void add_one_loss(const struct loss__losses_sum *s, const struct losses *run, size_t i)
{
    loss_sum_add(s->sum, (double)run->out[i]);
    loss_sum_add(s->rest, lost_f32(loss_at(run, i), run->out[i]));
}

/* Add those whose bits are below these. */
static void sum_smaller(const struct loss__losses_sum *s, const struct losses *run, uint32_t least)
{
    unsigned found = 0;
    for (size_t first = 0; first < run->n; first += WIDTH) {
        uint32_t any = 0;
        for (size_t i = first; i < first + WIDTH; i++) {
            any |= magnitude_bits(run->out[i]) - 1 < least - 1;
        }
        for (size_t i = first; any != 0 && i < first + WIDTH; i++) {
            if (magnitude_bits(run->out[i]) - 1 < least - 1) {
                add_one_loss(s, run, i);
                found++;
            }
        }
    }
    s->guess->no_good = found > FEW_SMALLER;
}

/* One pass over a run: what the cut takes, the sums so far, and of all losses what tells whether it was right. */
struct guessed {
    uint32_t least, most; /* bits of the smallest and the largest float that it takes */
    double m;
    ints sum;
    vec rests;
    half_ints large; /* the bits of the largest, or the sign bit where one was too large */
    half_ints small; /* not 0 where one was too small, but 0 itself */
};

#ifdef __AVX512F__

/* Add losses d, which are x when rounded, but for those that are too small. (The compiler does not find these masks.) */
VM_INLINE void add_guessed(struct guessed *g, const vec *d, const half_vec *x)
{
    __m256i bits = _mm256_and_si256((__m256i)*x, _mm256_set1_epi32(INT32_MAX));
    __mmask8 inside = _mm256_cmpge_epu32_mask(bits, _mm256_set1_epi32((int)g->least));
    g->large = (half_ints)_mm256_max_epu32((__m256i)g->large, bits);
    g->small = (half_ints)_mm256_mask_or_epi32((__m256i)g->small, (__mmask8)~inside, (__m256i)g->small, bits);
    __m512d v = _mm512_maskz_cvtps_pd(inside, (__m256)*x);
    g->rests += (vec)_mm512_maskz_sub_pd(inside, (__m512d)((ints)*d & LOST_BITS), v);
    g->sum += (ints)((vec)v + g->m);
}

VM_INLINE bool too_large(const struct guessed *g)
{
    return _mm256_cmpgt_epu32_mask((__m256i)g->large, _mm256_set1_epi32((int)g->most)) != 0;
}

#else

VM_INLINE void add_guessed(struct guessed *g, const vec *d, const half_vec *x)
{
    float least;
    memcpy(&least, &g->least, sizeof least);
    vec v;
    widen(&v, x);
    half_ints bits = (half_ints)*x & INT32_MAX;
    ints inside = (ints)((vec)((ints)v & INT64_MAX) >= (double)least);
    g->large |= g->most - bits;
    g->small |= (half_ints)((half_signed)bits < (int32_t)g->least) & bits;
    g->rests += (vec)((ints)((vec)((ints)*d & LOST_BITS) - v) & inside);
    g->sum += (ints)((vec)((ints)v & inside) + g->m);
}

VM_INLINE bool too_large(const struct guessed *g)
{
    uint32_t any = 0;
    for (int j = 0; j < WIDTH; j++) {
        any |= g->large[j];
    }
    return any >> 31 != 0;
}

#endif

VM_INLINE bool too_small(const struct guessed *g)
{
    uint32_t any = 0;
    for (int j = 0; j < WIDTH; j++) {
        any |= g->small[j];
    }
    return any != 0;
}

/* Round a run, and if its losses are as guessed, sum it in the same pass; else nothing is added. */
VM_INLINE bool sum_guessed_body(const struct loss__losses_sum *s, const struct losses *run, bool weighed)
{
    const int e = s->guess->place, of_rests = rest_place(LEAST_OF_CUT(e));
    struct guessed g = {
        .least = float_bits(LEAST_OF_CUT(e)), .most = float_bits(MOST_OF_CUT(e) + 1) - 1, .m = cutter(e)};
    const struct losses all = *run; /* which the stores are known not to change */
    for (size_t i = 0; i < all.n; i += WIDTH) {
        vec d;
        load_losses(&d, &all, i, weighed);
        half_vec x = __builtin_convertvector(d, half_vec);
        memcpy(all.out + i, &x, sizeof x);
        add_guessed(&g, &d, &x);
    }
    if (too_large(&g)) {
        return false;
    }
    add_cuts(s->sum, &g.sum, run->n, e);
    g.sum = (ints)(g.rests + cutter(of_rests));
    add_cuts(s->rest, &g.sum, WIDTH, of_rests);
    if (too_small(&g)) {
        sum_smaller(s, run, g.least);
    }
    return true;
}

static bool sum_guessed(const struct loss__losses_sum *s, const struct losses *run)
{
    return run->w == NULL ? sum_guessed_body(s, run, false) : sum_guessed_body(s, run, true);
}

static size_t sum_each(const struct loss__losses_sum *s, const struct losses *run)
{
    size_t nonfinite = 0;
    for (size_t i = 0; i < run->n; i++) {
        run->out[i] = (float)loss_at(run, i);
        add_one_loss(s, run, i);
        nonfinite += !(run->out[i] - run->out[i] == 0);
    }
    return nonfinite;
}

/* A whole number of vectors; how many are not finite. */
static size_t sum_losses(const struct loss__losses_sum *s, const struct losses *run)
{
    if (!s->guess->no_good && sum_guessed(s, run)) {
        return 0;
    }
    for (size_t i = 0; i < run->n; i++) {
        run->out[i] = (float)loss_at(run, i);
    }
    struct span span = span_f32(run->out, run->n);
    if (span.most == NOT_FINITE) {
        return sum_each(s, run);
    }
    guess_from(s->guess, span.most, run->out, run->n);
    if (s->guess->no_good || !sum_guessed(s, run)) {
        sum_both(s, run, span);
    }
    return 0;
}

size_t LOSS__ISA_NAME(loss__add_losses)(const struct loss__losses_sum *s, const double *w, const double *loss, size_t n,
                                        float *out)
{
    size_t nonfinite = 0;
    for (size_t first = 0; first < n;) {
        size_t left = n - first;
        struct losses run = {
            .w = w == NULL ? NULL : w + first,
            .loss = loss + first,
            .out = out + first,
            .n = left < WIDTH ? left
                 : left < RUN ? left - left % WIDTH
                              : RUN,
        };
        nonfinite += run.n < WIDTH ? sum_each(s, &run) : sum_losses(s, &run);
        first += run.n;
    }
    return nonfinite;
}
