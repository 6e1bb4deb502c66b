/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_json_scan.c - a million numbers as one JSON array, and as rows of 4 and of 1000: nanoseconds a number and
 * bytes a second, in the pieces that a server sees, beside memcpy of the same text, number_read alone and jansson.
 * One thread. Short text is as a float32's shortest decimal without spaces, long text a double's with ", " between.
 */
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <text/json_scan.h>
#include <text/number.h>

#include "bench.h"

enum { NUMBERS = 1000000 };

struct work {
    char *text, *copy;
    size_t size, piece;
    loss_dtype dtype;
    void *numbers;
};

static double uniform(uint64_t *state) /* in (0, 1]; splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)(((z ^ z >> 31) >> 11) + 1) * 0x1p-53;
}

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "bench_json_scan: %s\n", what);
        exit(1);
    }
}

/* normal(0,3) numbers in rows of `row` (0: one array). */
static void write_text(struct work *w, size_t row, bool single)
{
    uint64_t seed = 1;
    const char *comma = single ? "," : ", ";
    char *p = w->text;
    *p++ = '[';
    for (size_t i = 0; i < NUMBERS; i++) {
        const double v = 3 * sqrt(-2 * log(uniform(&seed))) * cos(6.283185307179586 * uniform(&seed));
        p += sprintf(p, "%s", i > 0 && (row == 0 || i % row > 0) ? comma : "");
        if (row > 0 && i % row == 0) {
            p += sprintf(p, "%s[", i > 0 ? comma : "");
        }
        p += single ? number_print_f32(p, (float)v) : number_print_f64(p, v);
        p += sprintf(p, "%s", row > 0 && (i % row == row - 1 || i == NUMBERS - 1) ? "]" : "");
    }
    *p++ = ']';
    w->size = (size_t)(p - w->text);
}

static loss_dtype storage(void *arg, const char *pointer)
{
    (void)pointer;
    return ((const struct work *)arg)->dtype;
}

static void run_scan(void *arg)
{
    struct work *w = arg;
    const struct json_scan_options options = {.max_depth = 64, .max_envelope = 1 << 20, .storage = storage, .arg = w};
    struct loss_arena *arena = loss_arena_new((size_t)1 << 30, NULL);
    struct json_scan *s = arena != NULL ? json_scan_new(arena, &options) : NULL;
    require(s != NULL, "no memory");
    struct loss_error err = {0};
    for (size_t at = 0; at < w->size; at += w->piece) {
        const size_t left = w->size - at;
        json_scan_feed(s, w->text + at, left < w->piece ? left : w->piece, &err);
    }
    require(json_scan_end(s, &err) == LOSS_OK, err.message);
    require(json_scan_value(s, 0)->fault == LOSS_OK && json_scan_value(s, 0)->tensor.count == NUMBERS, "a fault");
    loss_arena_free(arena);
}

static void run_read(void *arg)
{
    struct work *w = arg;
    const char *p = w->text, *end = p + w->size;
    unsigned flags = 0;
    for (size_t i = 0; i < NUMBERS; i++) {
        while (*p == '[' || *p == ']' || *p == ',' || *p == ' ') {
            p++;
        }
        const number_status status = w->dtype == LOSS_FLOAT32
                                         ? number_read_f32(&p, end, (float *)w->numbers + i, &flags)
                                         : number_read_f64(&p, end, (double *)w->numbers + i, &flags);
        require(status == NUMBER_OK, "no number");
    }
}

static void run_copy(void *arg)
{
    struct work *w = arg;
    memcpy(w->copy, w->text, w->size);
}

static void run_jansson(void *arg)
{
    struct work *w = arg;
    json_error_t err;
    json_t *document = json_loadb(w->text, w->size, 0, &err);
    require(document != NULL, err.text);
    json_decref(document);
}

static void report(const char *what, const char *text, void (*run)(void *), struct work *w)
{
    char name[128];
    const double seconds = bench_median(run, w);
    snprintf(name, sizeof name, "json_scan/%s/%s", text, what);
    bench_row(name, seconds / NUMBERS * 1e9, "ns/number");
    snprintf(name, sizeof name, "json_scan/%s/%s rate", text, what);
    bench_row(name, (double)w->size / seconds / 1e6, "MB/s");
}

static void report_pieces(const char *text, struct work *w)
{
    static const struct {
        const char *name;
        size_t size;
    } pieces[] = {{"whole", SIZE_MAX / 2}, {"16 KiB pieces", 16384}, {"1448 B pieces", 1448}};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        w->piece = pieces[i].size;
        report(pieces[i].name, text, run_scan, w);
    }
}

int main(void)
{
    static const struct {
        const char *name;
        size_t row;
        bool single;
    } texts[] = {
        {"short text", 0, true},
        {"short text, rows of 1000", 1000, true},
        {"short text, rows of 4", 4, true},
        {"long text to float32", 0, false},
        {"long text", 0, false},
    };
    const size_t room = (size_t)NUMBERS * (NUMBER_PRINT_MAX + 4);
    struct work w = {.text = malloc(room), .copy = malloc(room), .numbers = malloc(NUMBERS * sizeof(double))};
    require(w.text != NULL && w.copy != NULL && w.numbers != NULL, "no memory");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const bool wide = i + 1 == sizeof texts / sizeof *texts;
        w.dtype = wide ? LOSS_FLOAT64 : LOSS_FLOAT32;
        write_text(&w, texts[i].row, texts[i].single);
        report_pieces(texts[i].name, &w);
        report("number_read alone", texts[i].name, run_read, &w);
        report("memcpy", texts[i].name, run_copy, &w);
        report("jansson", texts[i].name, run_jansson, &w);
    }
    free(w.text);
    free(w.copy);
    free(w.numbers);
    return 0;
}
