/* SPDX-License-Identifier: Apache-2.0
 *
 * number.h - decimal text to the nearest float or double and back, exactly and fast.
 *
 * Reading is correctly rounded (half to even), printing gives the shortest decimal that reads back to the same
 * value, laid out as Python's repr does. No locale, no state, any thread.
 */
#ifndef TEXT_NUMBER_H
#define TEXT_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    NUMBER_OK,
    NUMBER_MORE, /* `end` was reached inside what may be a longer number: come back with more text */
    NUMBER_BAD,  /* not a JSON number; *p stands at the offending byte */
} number_status;

/* What else a reading found out; or-ed into *flags. */
#define NUMBER_OVERFLOW 1u /* too large for the type; the value is the infinity of its sign */
#define NUMBER_LITERAL 2u  /* was NaN, Infinity or -Infinity */
#define NUMBER_TIE                                                                                                     \
    4u /* f64 alone: rounding this double to a narrower type may not give what is nearest to the text; see number_side */

/* Read one JSON number that begins at *p, or NaN, Infinity, -Infinity as Python writes them. On NUMBER_OK *p stands
 * behind it. Needs a byte after the number to see its end: at `end` the answer is NUMBER_MORE, *p unmoved. Never
 * reads at or beyond `end`. Too small a number is rounded to zero of its sign. */
number_status number_read_f64(const char **p, const char *end, double *out, unsigned *flags);
number_status number_read_f32(const char **p, const char *end, float *out, unsigned *flags);

/* So many bytes from *p on are enough for most numbers to be read fast; nearer to `end` they are read byte by byte. */
#define NUMBER_REACH 28

/* Where the text of a number stands of the nearest double to it: 1 beyond (further from 0), -1 before, 0 is it. */
int number_side(const char *text, const char *end, double nearest);

/* What the numbers of a list turned out to be like, so that those of the next one are read as fast as they can be from
 * the first on. Begins as zeros, and decides about time alone. */
struct number_habit {
    bool wide;   /* more than 16 digits */
    bool spaced; /* a space behind each comma */
};

/* Read up to n numbers of which each has a comma behind it, and perhaps a space, as most are in arrays: how many, and *p
 * stands behind them. Stops before whatever is not plain, has a flag, or is near `end`; then the others are to be asked,
 * so it may well be none. What stops it may have touched the number out[] goes on with. */
size_t number_read_list_f64(const char **p, const char *end, double *out, size_t n, struct number_habit *habit);
size_t number_read_list_f32(const char **p, const char *end, float *out, size_t n, struct number_habit *habit);

/* Print the shortest decimal ("0.1", "1.0", "1e-05", "1.5e+16"), without a NUL; returns its length, at most
 * NUMBER_PRINT_MAX. Finite values only. */
#define NUMBER_PRINT_MAX 32
size_t number_print_f64(char *buf, double v);
size_t number_print_f32(char *buf, float v);

/* Print numbers from *p on with a comma behind each, while there are any, they are finite, and *p has not passed `stop`,
 * behind which NUMBER_PRINT_MAX + 1 bytes may be written: how many, and *p stands behind them. */
size_t number_print_list_f64(char **p, const char *stop, const double *v, size_t n);
size_t number_print_list_f32(char **p, const char *stop, const float *v, size_t n);

#endif
