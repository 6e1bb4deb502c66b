/* SPDX-License-Identifier: Apache-2.0
 *
 * number_side.c - a decimal text beside the double nearest to it, digit by digit.
 *
 * Asked for the few numbers of which it matters, so it is short rather than fast.
 */
#include "text/number.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#define DIGITS 767 /* significant ones that a double has, at most */

/* Significant digits one by one, as many zeros behind them as are asked for. */
struct digits {
    const char *p, *end;
    int64_t exponent; /* of the first digit */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The exponent saturates far above what digits in memory could balance. */
static int64_t read_exponent(const char *p, const char *end)
{
    int64_t e = 0;
    const bool negative = p < end && *p == '-';
    for (p += p < end && (*p == '-' || *p == '+'); p < end; p++) {
        e = e < INT64_MAX / 100 ? e * 10 + (*p - '0') : e;
    }
    return negative ? -e : e;
}

/* Text without sign, of any locale's decimal point. */
static struct digits digits_of(const char *p, const char *end)
{
    struct digits d = {.end = p};
    const char *point = NULL;
    while (d.end < end && (*d.end | 0x20) != 'e') {
        point = is_digit(*d.end) ? point : d.end;
        d.end++;
    }
    point = point != NULL ? point : d.end;
    while (p < d.end && (*p == '0' || p == point)) {
        p++;
    }
    d.p = p;
    d.exponent = (p < point ? point - p - 1 : point - p) + (d.end < end ? read_exponent(d.end + 1, end) : 0);
    return d;
}

static char next_digit(struct digits *d)
{
    if (d->p < d->end && !is_digit(*d->p)) {
        d->p++;
    }
    return d->p < d->end ? *d->p++ : '0';
}

/* How many significant digits v > 0 has, at most: as many decimal places as binary ones, and those before the point. */
static int digits_needed(double v)
{
    int exponent;
    const uint64_t significand = (uint64_t)ldexp(frexp(v, &exponent), 53);
    const int places = 53 - exponent - __builtin_ctzll(significand);
    const int digits = (places > 0 ? places : 0) + (exponent > 0 ? exponent / 3 + 1 : 1);
    return digits < DIGITS ? digits : DIGITS;
}

int number_side(const char *text, const char *end, double nearest)
{
    char exact[DIGITS + 32];
    if (nearest == 0 || !isfinite(nearest)) {
        return 0;
    }
    nearest = fabs(nearest);
    const int n = snprintf(exact, sizeof exact, "%.*e", digits_needed(nearest) - 1, nearest);
    struct digits a = digits_of(text + (*text == '-'), end), b = digits_of(exact, exact + n);
    if (a.exponent != b.exponent) {
        return a.exponent > b.exponent ? 1 : -1;
    }
    while (a.p < a.end || b.p < b.end) {
        const char x = next_digit(&a), y = next_digit(&b);
        if (x != y) {
            return x > y ? 1 : -1;
        }
    }
    return 0;
}
