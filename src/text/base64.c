/* SPDX-License-Identifier: Apache-2.0
 *
 * base64.c - groups of four digits to three bytes; a table for the many, a small machine for the odd.
 */
#include <text/base64.h>

#include <stdio.h>
#include <string.h>

#define NO_DIGIT 0x80u

/* Value of each ASCII byte from '+' to 'z' plus one; 0: not a digit. */
static const unsigned char digit_plus_one['z' - '+' + 1] = {
    63, 0,  0,  0,  64, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 0,  0,  0,  0,  0,  0,  0,  1,  2,  3,  4,  5,
    6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 0,  0,  0,  0,  0,  0,
    27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
};

static inline unsigned digit(char c)
{
    const unsigned i = (unsigned char)c - (unsigned)'+';
    return i < sizeof digit_plus_one ? (digit_plus_one[i] - 1u) & 0xFF : NO_DIGIT;
}

void base64_init(struct base64 *b, struct loss_arena *arena)
{
    *b = (struct base64){.arena = arena};
}

/* Room for `more` bytes; the block doubles, since growing a large one moves pages only. */
static bool reserve(struct base64 *b, size_t more)
{
    if (more <= b->capacity - b->size) {
        return true;
    }
    size_t capacity = b->capacity < 256 ? 256 : 2 * b->capacity;
    if (capacity < b->size + more) {
        capacity = b->size + more;
    }
    unsigned char *bytes = loss_arena_resize(b->arena, b->bytes, capacity);
    if (bytes == NULL) {
        return false;
    }
    b->bytes = bytes;
    b->capacity = capacity;
    return true;
}

static void complain(struct base64 *b, char c)
{
    b->wrong = true;
    if (c == '=' || b->padding > 0) {
        snprintf(b->problem, sizeof b->problem, "padding out of place at index %zu", b->index);
    } else if (c > ' ' && c < 0x7F) {
        snprintf(b->problem, sizeof b->problem, "'%c' at index %zu is no base64 digit", c, b->index);
    } else {
        snprintf(b->problem, sizeof b->problem, "the byte 0x%02x at index %zu is no base64 digit", (unsigned char)c,
                 b->index);
    }
}

static bool end_group(struct base64 *b)
{
    if (!reserve(b, 3)) {
        return false;
    }
    b->bytes[b->size] = (unsigned char)(b->group >> 16);
    b->bytes[b->size + 1] = (unsigned char)(b->group >> 8);
    b->bytes[b->size + 2] = (unsigned char)b->group;
    b->size += 3 - b->padding;
    b->have = 0;
    b->group = 0;
    return true; /* padding stays: nothing may follow it */
}

/* One decoded character. */
static bool take(struct base64 *b, char c)
{
    const unsigned d = digit(c);
    const bool pad = c == '=' && b->have >= 2;
    if ((b->padding > 0 && (!pad || b->have == 0)) || (!pad && d >= 64)) {
        complain(b, c);
        return true;
    }
    b->group = b->group << 6 | (pad ? 0 : d);
    b->padding += pad;
    b->have++;
    b->index++;
    return b->have < 4 || end_group(b);
}

/* Within an escape: all that can stand for a digit is \/ and \u00XX. */
static bool take_escape(struct base64 *b, char c)
{
    if (b->escape == 1) {
        if (c == 'u') {
            b->escape = 5;
            b->unit = 0;
            return true;
        }
        b->escape = 0;
        return take(b, c == '/' ? '/' : '\\');
    }
    b->unit = b->unit << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    if (--b->escape > 1) {
        return true;
    }
    b->escape = 0;
    return take(b, b->unit < 0x80 ? (char)b->unit : '\\');
}

/* Whole groups of plain digits; returns where it stopped. */
static const char *take_groups(struct base64 *b, const char *p, const char *end)
{
    unsigned char *out = b->bytes + b->size;
    const char *from = p;
    for (; end - p >= 4; p += 4, out += 3) {
        const unsigned a = digit(p[0]), c = digit(p[1]), d = digit(p[2]), e = digit(p[3]);
        if ((a | c | d | e) >= 64) {
            break;
        }
        const uint32_t group = a << 18 | c << 12 | d << 6 | e;
        out[0] = (unsigned char)(group >> 16);
        out[1] = (unsigned char)(group >> 8);
        out[2] = (unsigned char)group;
    }
    b->index += (size_t)(p - from);
    b->size = (size_t)(out - b->bytes);
    return p;
}

bool base64_feed(struct base64 *b, const char *text, size_t n)
{
    const char *p = text, *end = text + n;
    if (n > 0 && !b->wrong && !reserve(b, n / 4 * 3 + 3)) {
        return false;
    }
    while (p < end && !b->wrong) {
        if (b->have == 0 && b->escape == 0 && b->padding == 0) {
            p = take_groups(b, p, end);
            if (p == end) {
                break;
            }
        }
        const char c = *p++;
        if (b->escape > 0) {
            if (!take_escape(b, c)) {
                return false;
            }
        } else if (c == '\\') {
            b->escape = 1;
        } else if (!take(b, c)) {
            return false;
        }
    }
    return true;
}

bool base64_end(struct base64 *b)
{
    if (!b->wrong && b->have > 0) {
        b->wrong = true;
        snprintf(b->problem, sizeof b->problem, "%zu characters are no whole groups of four (padding is required)",
                 b->index);
    }
    if (b->wrong) {
        loss_arena_release(b->arena, b->bytes);
        b->bytes = NULL;
        b->size = 0;
        return true;
    }
    unsigned char *trimmed = loss_arena_resize(b->arena, b->bytes, b->size > 0 ? b->size : 1);
    if (trimmed != NULL) {
        b->bytes = trimmed;
    }
    return b->bytes != NULL;
}
