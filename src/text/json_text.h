/* SPDX-License-Identifier: Apache-2.0
 *
 * json_text.h - the inside of a JSON string: checked as it arrives, decoded once it was checked.
 *
 * Checked are control characters, escapes, UTF-8 (no overlong form, no surrogate, nothing above U+10FFFF), and that
 * surrogates written as \u escapes come in pairs, high before low. No memory, no state but the struct.
 */
#ifndef TEXT_JSON_TEXT_H
#define TEXT_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    JSON_TEXT_MORE, /* all was good so far; *p == end */
    JSON_TEXT_END,  /* *p stands at the closing quote */
    JSON_TEXT_BAD,  /* *p stands at the offending byte; `problem` says what is wrong */
} json_text_status;

/* Zeroed before each string. */
struct json_text {
    enum {
        JSON_TEXT_PLAIN,
        JSON_TEXT_ESCAPE,    /* behind a backslash */
        JSON_TEXT_HEX,       /* among the digits of \u */
        JSON_TEXT_PAIR,      /* behind a high surrogate: a backslash must come */
        JSON_TEXT_PAIR_MARK, /* and its 'u' */
        JSON_TEXT_TAIL,      /* among the continuation bytes of a character */
    } state;
    unsigned left;             /* digits or continuation bytes to come */
    unsigned unit;             /* the digits' value so far */
    bool low_expected;         /* the digits must make a low surrogate */
    unsigned char least, most; /* bounds of the next continuation byte */
    const char *problem;
};

/* Go on checking at *p, which stands behind the opening quote or where the last call left it. */
json_text_status json_text_check(struct json_text *t, const char **p, const char *end);

/* Decode one character of a checked inside, escapes resolved; *p moves behind it. Returns its length in bytes. */
size_t json_text_character(const char **p, char out[4]);

#endif
