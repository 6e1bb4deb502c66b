/* SPDX-License-Identifier: Apache-2.0
 *
 * base64.h - base64 to bytes, in pieces of any size, straight from the inside of a JSON string.
 *
 * The standard alphabet of RFC 4648 section 4; padding required, white space refused. What the last digit says
 * beyond the last byte is ignored. Wrong text is not an error of the call: it is noted, and the rest is skipped.
 */
#ifndef TEXT_BASE64_H
#define TEXT_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <loss/arena.h>

struct base64 {
    struct loss_arena *arena;
    unsigned char *bytes; /* a resizable block of the arena */
    size_t size, capacity;
    size_t index;     /* characters so far */
    uint32_t group;   /* of the group of four under way: its bits, */
    unsigned have;    /* its characters, */
    unsigned padding; /* its '=' signs */
    unsigned escape;  /* within a JSON escape: 1 behind the backslash, 2 to 5 digits of \u to come, plus one */
    uint32_t unit;    /* and the digits' value */
    bool wrong;
    char problem[96]; /* where wrong: a sentence with the index */
};

void base64_init(struct base64 *b, struct loss_arena *arena);
bool base64_feed(struct base64 *b, const char *text, size_t n); /* checked JSON string text; false: no memory */
bool base64_end(struct base64 *b);                              /* trims the block; false: no memory */

#endif
