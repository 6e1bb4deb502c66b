/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_number.c - nanoseconds a number: reading and printing a million normal(0,3) numbers, median and best of many
 * runs, beside memcpy of the same text and the C library, measured in the same run. One thread.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "text/number.h"

enum { NUMBERS = 1000000, RUNS = 99, PLACE = NUMBER_PRINT_MAX + 1 };

struct bench {
    double *doubles, *read64;
    float *floats, *read32;
    char *text32, *text64, *scratch; /* numbers, each with a comma behind */
    size_t size32, size64;
};

static double uniform(uint64_t *state) /* in (0, 1]; splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)(((z ^ z >> 31) >> 11) + 1) * 0x1p-53;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *what, void (*run)(struct bench *), struct bench *b)
{
    double took[RUNS], start = bench_now();
    int n = 0;
    while (n < RUNS && (n < 3 || bench_now() < start + bench_seconds())) {
        double begun = bench_now();
        run(b);
        took[n++] = (bench_now() - begun) * 1e9 / NUMBERS;
    }
    qsort(took, (size_t)n, sizeof *took, compare);
    char row[80];
    snprintf(row, sizeof row, "%s, median", what);
    bench_row(row, took[n / 2], "ns/number");
    snprintf(row, sizeof row, "%s, best", what);
    bench_row(row, took[0], "ns/number");
}

static void read32(struct bench *b)
{
    const char *p = b->text32, *end = p + b->size32;
    unsigned flags = 0;
    for (size_t i = 0; i < NUMBERS; i++, p++) {
        if (number_read_f32(&p, end, &b->read32[i], &flags) != NUMBER_OK)
            abort();
    }
}

static void read64(struct bench *b)
{
    const char *p = b->text64, *end = p + b->size64;
    unsigned flags = 0;
    for (size_t i = 0; i < NUMBERS; i++, p++) {
        if (number_read_f64(&p, end, &b->read64[i], &flags) != NUMBER_OK)
            abort();
    }
}

/* Long text for a float tensor, as Python clients send it. */
static void read64_as_f32(struct bench *b)
{
    const char *p = b->text64, *end = p + b->size64;
    unsigned flags = 0;
    for (size_t i = 0; i < NUMBERS; i++, p++) {
        if (number_read_f32(&p, end, &b->read32[i], &flags) != NUMBER_OK)
            abort();
    }
}

static void library32(struct bench *b)
{
    char *p = b->text32;
    for (size_t i = 0; i < NUMBERS; i++, p++)
        b->read32[i] = strtof(p, &p);
}

static void library64(struct bench *b)
{
    char *p = b->text64;
    for (size_t i = 0; i < NUMBERS; i++, p++)
        b->read64[i] = strtod(p, &p);
}

static void copy32(struct bench *b)
{
    memcpy(b->scratch, b->text32, b->size32);
}

static void copy64(struct bench *b)
{
    memcpy(b->scratch, b->text64, b->size64);
}

static void print32(struct bench *b)
{
    char *p = b->scratch;
    for (size_t i = 0; i < NUMBERS; i++) {
        p += number_print_f32(p, b->floats[i]);
        *p++ = ',';
    }
}

static void print64(struct bench *b)
{
    char *p = b->scratch;
    for (size_t i = 0; i < NUMBERS; i++) {
        p += number_print_f64(p, b->doubles[i]);
        *p++ = ',';
    }
}

static void snprintf32(struct bench *b)
{
    char *p = b->scratch;
    for (size_t i = 0; i < NUMBERS; i++)
        p += snprintf(p, PLACE, "%.9g,", b->floats[i]);
}

static void snprintf64(struct bench *b)
{
    char *p = b->scratch;
    for (size_t i = 0; i < NUMBERS; i++)
        p += snprintf(p, PLACE, "%.17g,", b->doubles[i]);
}

static char *keep(struct bench *b, void (*print)(struct bench *), size_t *size)
{
    print(b);
    char *p = b->scratch;
    for (size_t i = 0; i < NUMBERS; i++)
        p = strchr(p, ',') + 1;
    *size = (size_t)(p - b->scratch);
    char *text = malloc(*size + 1);
    if (!text)
        abort();
    memcpy(text, b->scratch, *size);
    text[*size] = '\0';
    return text;
}

int main(void)
{
    struct bench b = {
        .doubles = malloc(NUMBERS * sizeof(double)),
        .read64 = malloc(NUMBERS * sizeof(double)),
        .floats = malloc(NUMBERS * sizeof(float)),
        .read32 = malloc(NUMBERS * sizeof(float)),
        .scratch = calloc(NUMBERS, PLACE),
    };
    if (!b.doubles || !b.read64 || !b.floats || !b.read32 || !b.scratch)
        return 1;
    uint64_t state = 1;
    for (size_t i = 0; i < NUMBERS; i++) {
        double radius = sqrt(-2 * log(uniform(&state)));
        b.doubles[i] = 3 * radius * cos(6.283185307179586 * uniform(&state));
        b.floats[i] = (float)b.doubles[i];
    }
    b.text32 = keep(&b, print32, &b.size32);
    b.text64 = keep(&b, print64, &b.size64);
    bench_row("float32 text", (double)b.size32 / NUMBERS, "bytes/number");
    bench_row("float64 text", (double)b.size64 / NUMBERS, "bytes/number");

    report("read float32 text", read32, &b);
    report("read float32 text: strtof", library32, &b);
    report("read float32 text: memcpy", copy32, &b);
    report("read float64 text", read64, &b);
    report("read float64 text as float32", read64_as_f32, &b);
    report("read float64 text: strtod", library64, &b);
    report("read float64 text: memcpy", copy64, &b);
    report("print float32", print32, &b);
    report("print float32: snprintf %.9g", snprintf32, &b);
    report("print float64", print64, &b);
    report("print float64: snprintf %.17g", snprintf64, &b);

    free(b.doubles);
    free(b.floats);
    free(b.read64);
    free(b.read32);
    free(b.text32);
    free(b.text64);
    free(b.scratch);
    return 0;
}
