/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_number.c - any bytes as a number or a list of them to read, and as numbers to print. The first byte says how many bytes of
 * filler stand behind the text: at the end of the data and far from it two different paths read.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/replay.h"
#include "support/number_check.h"

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void read_text(const char *text, size_t n, size_t filler)
{
    char *copy = malloc(n + filler + !(n + filler));
    if (!copy)
        return;
    memcpy(copy, text, n);
    memset(copy + n, ',', filler);
    const char *fault = number_fault(copy, n + filler);
    require(!fault, fault ? fault : "");
    for (int single = 0; single < 2; single++) {
        fault = number_list_fault(copy, n + filler, single);
        require(!fault, fault ? fault : "");
    }
    free(copy);
}

static void print_f64(double v)
{
    char text[NUMBER_PRINT_MAX + 1];
    size_t n = number_print_f64(text, v);
    require(n <= NUMBER_PRINT_MAX, "f64: too long");
    text[n] = '\0';
    require(number_same_f64(strtod(text, NULL), v), "f64: reads back as another");
    read_text(text, n, 1);
    read_text(text, n, NUMBER_PRINT_MAX);
}

static void print_f32(float v)
{
    char text[NUMBER_PRINT_MAX + 1];
    size_t n = number_print_f32(text, v);
    require(n <= NUMBER_PRINT_MAX, "f32: too long");
    text[n] = '\0';
    require(number_same_f32(strtof(text, NULL), v), "f32: reads back as another");
    read_text(text, n, 1);
    read_text(text, n, NUMBER_PRINT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double v;
    float f;
    if (size == 0)
        return 0;
    read_text((const char *)data + 1, size - 1, data[0] % 160);
    if (size == 1 + sizeof v) {
        memcpy(&v, data + 1, sizeof v);
        if (isfinite(v))
            print_f64(v);
    }
    if (size == 1 + sizeof f) {
        memcpy(&f, data + 1, sizeof f);
        if (isfinite(f))
            print_f32(f);
    }
    return 0;
}
