/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h - what every benchmark shares: a clock, the median of many runs, and one figure a line, which bench/run.py reads back.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double bench_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* How long to repeat one measurement: BENCH_SECONDS, or half a second. */
static inline double bench_seconds(void)
{
    const char *text = getenv("BENCH_SECONDS");
    double seconds = text != NULL ? strtod(text, NULL) : 0;
    return seconds > 0 ? seconds : 0.5;
}

enum { BENCH_RUNS_MAX = 4096 };

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds that a run takes: the median of many, five at least. */
static inline double bench_median(void (*run)(void *), void *arg)
{
    static double took[BENCH_RUNS_MAX];
    double limit = bench_now() + bench_seconds();
    int n = 0;
    while (n < BENCH_RUNS_MAX && (n < 5 || bench_now() < limit)) {
        double begun = bench_now();
        run(arg);
        took[n++] = bench_now() - begun;
    }
    qsort(took, (size_t)n, sizeof *took, bench_compare);
    return took[n / 2];
}

static inline void bench_row(const char *what, double value, const char *unit)
{
    printf("%-72s  %.4g %s\n", what, value, unit);
    fflush(stdout);
}

#endif
