/* SPDX-License-Identifier: Apache-2.0
 *
 * number_check.h - is a text read as it must be? Grammar by a table of states, values by the C library's strtod and
 * strtof, which round correctly in glibc. Shared by the unit test and the fuzz target.
 */
#ifndef SUPPORT_NUMBER_CHECK_H
#define SUPPORT_NUMBER_CHECK_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "text/number.h"

/* What reading a text must answer, and where it must leave off (for NUMBER_MORE: at 0). */
struct number_expected {
    number_status status;
    size_t at;
    bool literal;
};

static inline bool number_literal(const char *text, size_t n, struct number_expected *e)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t w = 0; w < 3; w++) {
        size_t i = 0;
        while (i < n && words[w][i] && text[i] == words[w][i])
            i++;
        if (i < (w == 2 ? 2 : 1)) /* "-" alone begins a number as well */
            continue;
        e->status = i == n ? NUMBER_MORE : words[w][i] ? NUMBER_BAD : NUMBER_OK;
        e->at = i == n ? 0 : i;
        e->literal = true;
        return true;
    }
    return false;
}

static inline struct number_expected number_expect(const char *text, size_t n)
{
    enum { START, MINUS, ZERO, WHOLE, POINT, FRACTION, E, E_SIGN, EXPONENT, STOP };
    /*                               0         1-9       .      e  -       + */
    static const unsigned char next[STOP][6] = {
        [START] = {ZERO, WHOLE, STOP, STOP, MINUS, STOP},
        [MINUS] = {ZERO, WHOLE, STOP, STOP, STOP, STOP},
        [ZERO] = {STOP, STOP, POINT, E, STOP, STOP},
        [WHOLE] = {WHOLE, WHOLE, POINT, E, STOP, STOP},
        [POINT] = {FRACTION, FRACTION, STOP, STOP, STOP, STOP},
        [FRACTION] = {FRACTION, FRACTION, STOP, E, STOP, STOP},
        [E] = {EXPONENT, EXPONENT, STOP, STOP, E_SIGN, E_SIGN},
        [E_SIGN] = {EXPONENT, EXPONENT, STOP, STOP, STOP, STOP},
        [EXPONENT] = {EXPONENT, EXPONENT, STOP, STOP, STOP, STOP},
    };
    struct number_expected e = {NUMBER_MORE, 0, false};
    if (number_literal(text, n, &e))
        return e;
    int state = START;
    for (size_t i = 0; i < n; i++) {
        static const char classes[] = "0123456789.eE-+";
        static const unsigned char columns[] = {0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 3, 4, 5};
        const char *c = text[i] ? strchr(classes, text[i]) : NULL;
        int to = c ? next[state][columns[c - classes]] : STOP;
        if (to == STOP) {
            bool digit = c && columns[c - classes] <= 1; /* only behind a leading zero */
            bool whole = state == ZERO || state == WHOLE || state == FRACTION || state == EXPONENT;
            e.status = whole && !digit ? NUMBER_OK : NUMBER_BAD;
            e.at = i;
            return e;
        }
        state = to;
    }
    return e;
}

static inline bool number_same_f64(double a, double b)
{
    return isnan(a) ? isnan(b) : memcmp(&a, &b, sizeof a) == 0;
}

static inline bool number_same_f32(float a, float b)
{
    return isnan(a) ? isnan(b) : memcmp(&a, &b, sizeof a) == 0;
}

/* May v be half-way between two float16 or bfloat16 numbers? Zero is told of, too, where it has many places. */
static inline bool number_has_few_bits(double v)
{
    int exponent;
    const double significand = ldexp(frexp(v, &exponent), 12);
    return significand == trunc(significand);
}

/* Half-way between floats; by neighbours, not by bits. */
static inline bool number_between_floats(double v)
{
    double a = fabs(v);
    float f = (float)a;
    double nearest = isinf(f) ? 0x1p128 : f;
    if (a == nearest || a >= 0x1p128)
        return false;
    float other = a < nearest ? (isinf(f) ? 0x1.fffffep127f : nextafterf(f, 0)) : nextafterf(f, INFINITY);
    return fabs(a - nearest) == fabs((isinf(other) ? 0x1p128 : other) - a);
}

/* What is wrong with how the n bytes at `text` are read; NULL: nothing. */
static inline const char *number_fault(const char *text, size_t n)
{
    struct number_expected e = number_expect(text, n);
    const char *p64 = text, *p32 = text;
    double v64 = 4711, want64;
    float v32 = 4711, want32;
    unsigned flags64 = 0x100, flags32 = 0x100;
    if (number_read_f64(&p64, text + n, &v64, &flags64) != e.status)
        return "f64: status";
    if (number_read_f32(&p32, text + n, &v32, &flags32) != e.status)
        return "f32: status";
    if (p64 != text + e.at || p32 != text + e.at)
        return "place";
    if (e.status != NUMBER_OK)
        return flags64 != 0x100 || flags32 != 0x100 || v64 != 4711 || v32 != 4711 ? "touched results" : NULL;

    char small[2048], *token = e.at < sizeof small ? small : malloc(e.at + 1);
    if (!token)
        return NULL;
    memcpy(token, text, e.at);
    token[e.at] = '\0';
    want64 = strtod(token, NULL);
    want32 = strtof(token, NULL);
    if (token != small)
        free(token);
    if (!number_same_f64(v64, want64))
        return "f64: value";
    if (!number_same_f32(v32, want32))
        return "f32: value";
    unsigned tie = flags64 & NUMBER_TIE;
    if (!tie && !number_same_f32((float)v64, v32))
        return "f64: tie not told";
    if (tie && !number_between_floats(v64) && !number_has_few_bits(v64))
        return "f64: tie told of no midpoint";
    unsigned literal = e.literal ? NUMBER_LITERAL : 0;
    if (flags64 != (0x100 | tie | literal | (isinf(want64) && !e.literal ? NUMBER_OVERFLOW : 0)))
        return "f64: flags";
    if (flags32 != (0x100 | literal | (isinf(want32) && !e.literal ? NUMBER_OVERFLOW : 0)))
        return "f32: flags";
    return NULL;
}

/* What is wrong with how the n bytes at `text` are read as a list, beside one by one; NULL: nothing. */
static inline const char *number_list_fault_of(const char *text, size_t n, bool single, struct number_habit habit)
{
    enum { MOST = 256 };
    double doubles[MOST], v64;
    float floats[MOST], v32;
    const char *list = text, *p = text;
    size_t found = single ? number_read_list_f32(&list, text + n, floats, MOST, &habit)
                          : number_read_list_f64(&list, text + n, doubles, MOST, &habit);
    for (size_t i = 0; i < found; i++) {
        unsigned flags = 0;
        if ((single ? number_read_f32(&p, text + n, &v32, &flags) : number_read_f64(&p, text + n, &v64, &flags)) !=
            NUMBER_OK)
            return "list: no number";
        if (flags != 0)
            return "list: flags not told";
        if (single ? !number_same_f32(v32, floats[i]) : !number_same_f64(v64, doubles[i]))
            return "list: value";
        if (*p++ != ',')
            return "list: no comma";
        p += p < text + n && *p == ' ';
    }
    return p == list ? NULL : "list: place";
}

/* As above, whatever the lists before were like. */
static inline const char *number_list_fault(const char *text, size_t n, bool single)
{
    const char *fault = NULL;
    for (unsigned i = 0; i < 4 && fault == NULL; i++) {
        const struct number_habit habit = {.wide = (i & 1) != 0, .spaced = (i & 2) != 0};
        fault = number_list_fault_of(text, n, single, habit);
    }
    return fault;
}

#endif
