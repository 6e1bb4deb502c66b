/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_sum.c - what exactness costs: exact sums beside a plain sum in 16 lanes and memcpy, in the same run.
 *
 * Four distributions: losses as they are, sums that cancel, exponents over the whole range, and one huge number in
 * every 4096. At the end what a small call pays: a state, 64 numbers and the four divisions of its totals.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <loss/loss.h>

#include "bench.h"

#define ELEMENTS ((size_t)1 << 18) /* so short that most runs are not interrupted on a busy machine */
#define BLOCK 4096                 /* as compute hands them over */
#define LANES 16
#define SMALL 64
#define REPEATS 10000

static uint64_t random_state = 88172645463325252u;

static double random_unit(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) * 0x1p-53;
}

static double like_losses(size_t i)
{
    (void)i;
    return exp(log(1e-7) + random_unit() * log(1e9));
}

static double cancelling(size_t i)
{
    static double last;
    last = i % 2 ? -last * (1 + 1e-6 * random_unit()) : 6 * (random_unit() + random_unit() + random_unit()) - 9;
    return last;
}

static double any_exponent_f32(size_t i)
{
    return ldexp((i % 3 ? 1 : -1) * (1 + random_unit()), (int)(random_unit() * 250) - 125);
}

static double any_exponent_f64(size_t i)
{
    return ldexp((i % 3 ? 1 : -1) * (1 + random_unit()), (int)(random_unit() * 2040) - 1020);
}

static double with_outliers(size_t i)
{
    return i % 4096 == 1234 ? 1e30 : like_losses(i);
}

static struct {
    float *f32;
    double *f64, *copy;
    double result;
} data;

static void exact_f32(void *unused)
{
    (void)unused;
    struct loss_sum s;
    loss_sum_init(&s);
    for (size_t i = 0; i < ELEMENTS; i += BLOCK) {
        loss_sum_add_f32(&s, data.f32 + i, BLOCK);
    }
    data.result = loss_sum_round(&s);
}

static void exact_f64(void *unused)
{
    (void)unused;
    struct loss_sum s;
    loss_sum_init(&s);
    for (size_t i = 0; i < ELEMENTS; i += BLOCK) {
        loss_sum_add_f64(&s, data.f64 + i, BLOCK);
    }
    data.result = loss_sum_round(&s);
}

static void plain_f32(void *unused)
{
    (void)unused;
    double lane[LANES] = {0};
    for (size_t i = 0; i < ELEMENTS; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            lane[j] += data.f32[i + (size_t)j];
        }
    }
    data.result = 0;
    for (int j = 0; j < LANES; j++) {
        data.result += lane[j];
    }
}

static void plain_f64(void *unused)
{
    (void)unused;
    double lane[LANES] = {0};
    for (size_t i = 0; i < ELEMENTS; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            lane[j] += data.f64[i + (size_t)j];
        }
    }
    data.result = 0;
    for (int j = 0; j < LANES; j++) {
        data.result += lane[j];
    }
}

static void copy_f32(void *unused)
{
    (void)unused;
    memcpy(data.copy, data.f32, ELEMENTS * sizeof(float));
}

static void copy_f64(void *unused)
{
    (void)unused;
    memcpy(data.copy, data.f64, ELEMENTS * sizeof(double));
}

static void small_call(void *unused)
{
    (void)unused;
    struct loss_sum s, w;
    for (int i = 0; i < REPEATS; i++) {
        loss_sum_init(&s);
        loss_sum_init(&w);
        loss_sum_add_f64(&s, data.f64 + i, SMALL);
        loss_sum_add(&w, 61.5);
        data.result += loss_sum_ratio(&s, &w) + loss_sum_divide(&s, SMALL) + loss_sum_divide(&s, 61) +
                       loss_sum_divide(&s, 5) + loss_sum_round(&s) + loss_sum_round(&w);
    }
}

static void ratios(void *unused)
{
    (void)unused;
    struct loss_sum s, w;
    loss_sum_init(&s);
    loss_sum_init(&w);
    loss_sum_add_f64(&s, data.f64, SMALL);
    loss_sum_add(&w, 61.5);
    for (int i = 0; i < REPEATS; i++) {
        data.result += loss_sum_ratio(&s, &w);
    }
}

static void measure(const char *distribution, double (*f32)(size_t), double (*f64)(size_t))
{
    for (size_t i = 0; i < ELEMENTS; i++) {
        data.f32[i] = (float)f32(i);
        data.f64[i] = f64(i);
    }
    static const struct {
        const char *what;
        void (*run)(void *);
    } runs[] = {
        {"exact f32", exact_f32}, {"plain f32", plain_f32}, {"memcpy f32", copy_f32},
        {"exact f64", exact_f64}, {"plain f64", plain_f64}, {"memcpy f64", copy_f64},
    };
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        char what[100];
        snprintf(what, sizeof what, "sum, %s, %s", distribution, runs[i].what);
        bench_row(what, bench_median(runs[i].run, NULL) * 1e9 / (double)ELEMENTS, "ns/element");
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && !loss_isa_select(argv[1])) {
        fprintf(stderr, "usage: bench_sum [x86-64-v4|x86-64-v3|baseline]\n");
        return 2;
    }
    data.f32 = malloc(ELEMENTS * sizeof *data.f32);
    data.f64 = malloc(ELEMENTS * sizeof *data.f64);
    data.copy = malloc(ELEMENTS * sizeof *data.copy);
    if (!data.f32 || !data.f64 || !data.copy) {
        return 1;
    }
    printf("kernels: %s\n", loss_isa());
    measure("any exponent", any_exponent_f32, any_exponent_f64);
    measure("outliers", with_outliers, with_outliers);
    measure("cancelling", cancelling, cancelling);
    measure("like losses", like_losses, like_losses);
    bench_row("sum, small call: 64 numbers, all totals", bench_median(small_call, NULL) * 1e9 / REPEATS, "ns");
    bench_row("sum, one ratio", bench_median(ratios, NULL) * 1e9 / REPEATS, "ns");
    free(data.f32);
    free(data.f64);
    free(data.copy);
    return 0;
}
