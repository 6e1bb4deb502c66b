/* SPDX-License-Identifier: Apache-2.0
 *
 * json_text.c - the inside of a JSON string, byte by byte.
 *
 * Source  RFC 8259 section 7; RFC 3629 section 4 for the ranges of UTF-8's second bytes
 */
#include <text/json_text.h>

#include <stdint.h>
#include <string.h>

#include <text/hex.h>
#include <text/swar.h>

/* Skip what needs no look: eight bytes at once while none of them is a quote, a backslash, a control character or
 * beyond ASCII. A borrow can only mark a byte above the one that caused it, so "no mark" is always right. */
static const char *skip_plain(const char *p, const char *end)
{
    const uint64_t ones = EACH_BYTE(1), tops = EACH_BYTE(0x80);
    while (end - p >= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        const uint64_t quote = v ^ EACH_BYTE('"'), slash = v ^ EACH_BYTE('\\');
        if (((v | (v - EACH_BYTE(0x20)) | (quote - ones) | (slash - ones)) & tops) != 0) {
            break;
        }
        p += 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\') {
        p++;
    }
    return p;
}

/* The first byte of a character beyond ASCII: how many follow, and between which bounds the next must lie. */
static bool begin_character(struct json_text *t, unsigned char lead)
{
    t->least = 0x80;
    t->most = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        t->left = 1;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        t->left = 2;
        t->least = lead == 0xE0 ? 0xA0 : 0x80; /* below: overlong */
        t->most = lead == 0xED ? 0x9F : 0xBF;  /* above: surrogates */
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        t->left = 3;
        t->least = lead == 0xF0 ? 0x90 : 0x80; /* below: overlong */
        t->most = lead == 0xF4 ? 0x8F : 0xBF;  /* above: beyond U+10FFFF */
    } else {
        t->problem = "this byte is not UTF-8";
        return false;
    }
    t->state = JSON_TEXT_TAIL;
    return true;
}

static bool end_escape(struct json_text *t)
{
    t->state = JSON_TEXT_PLAIN;
    const bool high = t->unit >= 0xD800 && t->unit <= 0xDBFF, low = t->unit >= 0xDC00 && t->unit <= 0xDFFF;
    if (low != t->low_expected) {
        t->problem = low ? "a low surrogate without its high one" : "a high surrogate without its low one";
        return false;
    }
    t->low_expected = high;
    if (high) {
        t->state = JSON_TEXT_PAIR;
    }
    return true;
}

/* One byte outside the plain run; false: it is wrong. */
static bool take(struct json_text *t, char c)
{
    switch (t->state) {
    case JSON_TEXT_PLAIN:
        if (c == '\\') {
            t->state = JSON_TEXT_ESCAPE;
            return true;
        }
        if ((unsigned char)c >= 0x80) {
            return begin_character(t, (unsigned char)c);
        }
        t->problem = "a control character in a string must be escaped";
        return false;
    case JSON_TEXT_PAIR:
        t->state = JSON_TEXT_PAIR_MARK;
        t->problem = "a high surrogate without its low one";
        return c == '\\';
    case JSON_TEXT_PAIR_MARK:
        t->problem = "a high surrogate without its low one";
        t->state = JSON_TEXT_HEX;
        t->left = 4;
        t->unit = 0;
        return c == 'u';
    case JSON_TEXT_ESCAPE:
        if (c == 'u') {
            t->state = JSON_TEXT_HEX;
            t->left = 4;
            t->unit = 0;
            return true;
        }
        t->state = JSON_TEXT_PLAIN;
        t->problem = "there is no such escape";
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    case JSON_TEXT_HEX:
        if (hex_value(c) < 0) {
            t->problem = "expected four hexadecimal digits after \\u";
            return false;
        }
        t->unit = t->unit << 4 | (unsigned)hex_value(c);
        return --t->left > 0 || end_escape(t);
    case JSON_TEXT_TAIL:
        if ((unsigned char)c < t->least || (unsigned char)c > t->most) {
            t->problem = "this byte is not UTF-8";
            return false;
        }
        t->least = 0x80;
        t->most = 0xBF;
        if (--t->left == 0) {
            t->state = JSON_TEXT_PLAIN;
        }
        return true;
    }
    return false;
}

json_text_status json_text_check(struct json_text *t, const char **p, const char *end)
{
    while (*p < end) {
        if (t->state == JSON_TEXT_PLAIN) {
            *p = skip_plain(*p, end);
            if (*p == end) {
                break;
            }
            if (**p == '"') {
                return JSON_TEXT_END;
            }
        }
        if (!take(t, **p)) {
            return JSON_TEXT_BAD;
        }
        ++*p;
    }
    return JSON_TEXT_MORE;
}

static unsigned four_digits(const char *p)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        v = v << 4 | (unsigned)hex_value(p[i]);
    }
    return v;
}

static size_t encode(unsigned c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    out[0] = (char)((0xF00u >> n & 0xFF) | c);
    return n;
}

static size_t copy_plain(const char **p, char out[4])
{
    const unsigned char lead = (unsigned char)**p;
    const size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    memcpy(out, *p, n);
    *p += n;
    return n;
}

size_t json_text_character(const char **p, char out[4])
{
    static const char named[] = "b\bf\fn\nr\rt\t";
    if (**p != '\\') {
        return copy_plain(p, out);
    }
    const char mark = (*p)[1];
    *p += 2;
    if (mark != 'u') {
        const char *at = strchr(named, mark);
        out[0] = at != NULL ? at[1] : mark;
        return 1;
    }
    unsigned c = four_digits(*p);
    *p += 4;
    if (c >= 0xD800 && c <= 0xDBFF) {
        c = 0x10000 + ((c - 0xD800) << 10) + (four_digits(*p + 2) - 0xDC00);
        *p += 6;
    }
    return encode(c, out);
}
