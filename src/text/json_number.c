/* SPDX-License-Identifier: Apache-2.0
 *
 * json_number.c - numbers in JSON text: the hot loop over plain ones, and the general way for all others.
 *
 * A number that a piece's end cuts is copied to `carry` and read from there; no other is.
 */
#include "json_state.h"

#include <string.h>

#include <text/number.h>

static bool out_of_range(struct json_scan *s, const char *text, size_t size, bool single)
{
    return scan_fault(s, LOSS_NUMBER_OUT_OF_RANGE, s->depth, "%.*s%s is beyond the largest %s",
                      size > 40 ? 40 : (int)size, text, size > 40 ? "..." : "", single ? "float32" : "float64");
}

static bool add_number(struct json_scan *s, const char *text, size_t size, double v, float f, bool overflow)
{
    struct slot *slot = scan_new_value(s, JSON_NUMBER, s->depth);
    if (slot == NULL) {
        return false;
    }
    slot->value.number = v;
    slot->value.number_f32 = f;
    if (size < sizeof slot->value.text) {
        memcpy(slot->value.text, text, size);
    }
    return (!overflow || out_of_range(s, text, size, false)) && scan_put_placeholder(s);
}

/* A number as a tensor or the envelope needs it, from its whole text. */
static bool use_number(struct json_scan *s, const char *text, const char *end)
{
    const size_t size = (size_t)(end - text);
    const char *p = text, *q = text;
    double v = 0;
    float f = 0;
    unsigned flags = 0, flags_f32 = 0;
    number_read_f64(&p, end + 1, &v, &flags);
    number_read_f32(&q, end + 1, &f, &flags_f32);
    if (s->mode == IN_ENVELOPE) {
        return add_number(s, text, size, v, f, (flags & NUMBER_OVERFLOW) != 0);
    }
    const bool single = s->dtype == LOSS_FLOAT32;
    if (((single ? flags_f32 : flags) & NUMBER_OVERFLOW) != 0) {
        return out_of_range(s, text, size, single) && scan_discard_tensor(s);
    }
    const bool sure = single || (flags & NUMBER_TIE) == 0;
    return scan_add_element(s, v, f, sure ? 0 : number_side(text, end, v));
}

/* Read the number at *p, which is byte `offset` of the body. NUMBER_BAD: failed. */
static number_status take_number(struct json_scan *s, const char **p, const char *end, size_t offset)
{
    const char *text = *p;
    double v;
    unsigned flags = 0;
    const number_status status = number_read_f64(p, end, &v, &flags);
    const size_t size = (size_t)(*p - text);
    if (status == NUMBER_MORE) {
        return NUMBER_MORE;
    }
    if (status == NUMBER_BAD) {
        s->state = INSIDE_NUMBER; /* for the message: it does not depend on where pieces end */
        scan_unexpected(s, offset + size, **p);
        return NUMBER_BAD;
    }
    if ((flags & NUMBER_LITERAL) != 0 && s->options.strict) {
        scan_malformed(s, offset, "%.*s is not a number of strict JSON", (int)size, text);
        return NUMBER_BAD;
    }
    if (s->mode != IN_DISCARD && !use_number(s, text, *p)) {
        return NUMBER_BAD;
    }
    scan_value_done(s);
    return NUMBER_OK;
}

/* What a number, even a wrong one, may go on with. */
static bool number_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' ||
           c == '.';
}

/* Keep the bytes of a number that the piece's end cuts, up to one more than it may have. */
static bool carry(struct json_scan *s, const char *bytes, size_t n)
{
    const size_t room = MAX_NUMBER_TEXT + 1 - s->carry_size;
    n = n < room ? n : room;
    char *text = scan_grown(s, s->carry, &s->carry_capacity, s->carry_size + n + 1, 1);
    if (text == NULL) {
        return false;
    }
    s->carry = text;
    memcpy(text + s->carry_size, bytes, n);
    s->carry_size += n;
    return true;
}

bool scan_end_carried(struct json_scan *s, char behind)
{
    s->carry[s->carry_size] = behind;
    const char *p = s->carry, *end = s->carry + s->carry_size;
    const number_status status = take_number(s, &p, end + (s->carry_size <= MAX_NUMBER_TEXT), s->carry_at);
    if (status == NUMBER_MORE) {
        return scan_malformed(s, s->carry_at, "a number is longer than %zu bytes", MAX_NUMBER_TEXT);
    }
    return status == NUMBER_OK && (p == end || scan_unexpected(s, s->carry_at + (size_t)(p - s->carry), *p));
}

bool scan_continue_number(struct json_scan *s, const char **p, const char *end)
{
    const char *from = *p;
    while (*p < end && number_byte(**p)) {
        ++*p;
    }
    if (!carry(s, from, (size_t)(*p - from))) {
        return false;
    }
    if (*p == end && s->carry_size <= MAX_NUMBER_TEXT) {
        return true;
    }
    return scan_end_carried(s, *p < end ? **p : '0');
}

bool scan_begin_number(struct json_scan *s, const char **p, const char *end)
{
    const bool opens_tensor = s->pending > 0;
    if (!scan_begin_leaf(s, true, "")) {
        return false;
    }
    const char *from = *p;
    if (opens_tensor && s->mode == IN_TENSOR) {
        if (!scan_read_numbers(s, p, end) || *p != from) {
            return s->status == LOSS_OK;
        }
    }
    const size_t offset = scan_offset_of(s, from);
    const number_status status = take_number(s, p, end, offset);
    if (status == NUMBER_MORE) {
        s->state = INSIDE_NUMBER;
        s->carry_size = 0;
        s->carry_at = offset;
        return scan_continue_number(s, p, end);
    }
    return status == NUMBER_OK;
}

#define WITHOUT_LIST 16 /* numbers read one by one where a list was tried in vain */

/* Behind a comma: the next byte that is no white space, if the piece has one. */
static inline const char *behind_comma(struct json_scan *s, const char *q, const char *end)
{
    q += q < end && *q == ' '; /* as many writers put it */
    if (q < end && *q <= ' ') {
        scan_skip_space(s, &q, end);
    }
    return q;
}

#define WHOLE_DIGITS 8

/* The whole number at q, if it has one digit, or up to eight where the piece is nearly over, and the byte behind it is a
 * comma or a bracket: behind its digits. Else NULL. What small calls are made of. */
static inline const char *small_whole(const char *q, const char *end, unsigned *out)
{
    unsigned v = (unsigned)(*q - '0'), digit;
    const char *most = end - q > NUMBER_REACH ? q + 1 : end - q > WHOLE_DIGITS ? q + WHOLE_DIGITS : end - 1;

    if (v > 9) {
        return NULL;
    }
    for (q++; q < most && v != 0 && (digit = (unsigned)(*q - '0')) <= 9; q++) {
        v = v * 10 + digit;
    }
    *out = v;
    return q < end && (*q == ',' || *q == ']') ? q : NULL;
}

/* The hot loop: numbers and commas from *p into the tensor's room, until that is full or anything else comes. What is
 * not plain (cut, wrong, flagged) is left unread to the general way. Where lists stop, numbers are read one by one for a
 * while, longer where there was no list: a try costs as much as a number. */
static inline void read_run(struct json_scan *s, const char **p, const char *end, const bool single)
{
    const char *q = *p;
    float *f = (float *)s->data + s->n;
    double *d = (double *)s->data + s->n;
    const size_t room = s->capacity - s->n;
    scan_state state = s->state;
    unsigned flags = 0;
    size_t n = 0, next_list = 0;
    while (n < room && q < end) {
        unsigned whole;
        const char *behind = small_whole(q, end, &whole);
        if (behind != NULL) {
            if (single) {
                f[n++] = (float)whole;
            } else {
                d[n++] = whole;
            }
            if (*behind != ',') {
                state = AT_NEXT;
                q = behind;
                break;
            }
            state = AT_VALUE;
            q = behind_comma(s, behind + 1, end);
            continue;
        }
        if (n >= next_list) {
            const size_t list = single ? number_read_list_f32(&q, end, f + n, room - n, &s->habit)
                                       : number_read_list_f64(&q, end, d + n, room - n, &s->habit);
            n += list;
            next_list = n + (list > 0 ? 1 : WITHOUT_LIST);
            if (list > 0) {
                state = AT_VALUE;
                q = behind_comma(s, q, end);
                continue;
            }
        }
        const char *text = q;
        const number_status status =
            single ? number_read_f32(&q, end, f + n, &flags) : number_read_f64(&q, end, d + n, &flags);
        if (status != NUMBER_OK || flags != 0) {
            q = text;
            break;
        }
        n++;
        if (*q != ',') {
            state = AT_NEXT;
            break;
        }
        state = AT_VALUE;
        q = behind_comma(s, q + 1, end);
    }
    s->n += n;
    s->state = state;
    *p = q;
}

/* From the end of a row into the next, where nothing stands between and the row is as long as the first: what the state
 * machine would do in five steps, which short rows would feel. */
static bool next_row(struct json_scan *s, const char **p, const char *end)
{
    const char *q = *p;
    if (s->leaf - s->base < 2 || s->n - s->row != s->length[s->leaf - 1 - s->base]) {
        return false;
    }
    if (end - q < 4 || q[0] != ']' || q[1] != ',') {
        return false;
    }
    q += q[2] == ' ' ? 3 : 2;
    if (*q != '[') {
        return false;
    }
    s->stack[s->leaf - 2].index++;
    s->row = s->n;
    s->state = AT_FIRST_ELEMENT;
    *p = q + 1;
    return true;
}

bool scan_read_numbers(struct json_scan *s, const char **p, const char *end)
{
    if (s->n == 0) {
        s->tensor_at = scan_offset_of(s, *p);
    }
    do {
        if (s->n == s->capacity && !scan_grow_tensor(s, scan_offset_of(s, *p))) {
            return false;
        }
        if (s->dtype == LOSS_FLOAT32) {
            read_run(s, p, end, true);
        } else {
            read_run(s, p, end, false);
        }
    } while (s->state == AT_NEXT && next_row(s, p, end));
    return true;
}
