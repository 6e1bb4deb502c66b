/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h - what every benchmark shares: a clock, best-of timing, and one figure a line, which bench/run.py reads back.
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

/* Seconds that the fastest of many runs took: others on the machine can only make it slower. Three runs at least. */
static inline double bench_best(void (*run)(void *), void *arg)
{
    double limit = bench_now() + bench_seconds();
    double best = 0;
    for (int i = 0; i < 3 || bench_now() < limit; i++) {
        double begun = bench_now();
        run(arg);
        double took = bench_now() - begun;
        if (i == 0 || took < best) {
            best = took;
        }
    }
    return best;
}

static inline void bench_row(const char *what, double value, const char *unit)
{
    printf("%-72s  %.4g %s\n", what, value, unit);
    fflush(stdout);
}

#endif
