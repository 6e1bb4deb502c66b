/* SPDX-License-Identifier: Apache-2.0
 *
 * hex.h - bytes as hexadecimal text: two lower-case digits a byte, the high one first.
 */
#ifndef TEXT_HEX_H
#define TEXT_HEX_H

#include <stdbool.h>
#include <stddef.h>

extern const char hex_digits[16]; /* "0123456789abcdef" */

int hex_value(char digit); /* 0 to 15, either case; -1: not a digit */

/* n bytes as 2n digits and a NUL. */
void hex_write(char *text, const void *bytes, size_t n);

/* The bytes that `text` stands for, at most `max` of them: their number is in *n. False: empty, too long, odd, or with
 * something else than lower-case digits in it. */
bool hex_read(const char *text, unsigned char *bytes, size_t max, size_t *n);

#endif
