/* SPDX-License-Identifier: Apache-2.0
 *
 * json_state.c - what the scanner's parts share: errors with their position, growing buffers, values and their faults.
 */
#include "json_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool scan_fail(struct json_scan *s, loss_status status, const char *message)
{
    s->status = loss_fail(s->err, status, "", "%s", message);
    return false;
}

bool scan_no_memory(struct json_scan *s)
{
    return scan_fail(s, LOSS_OVERLOADED, "no memory is left for this request's numbers");
}

bool scan_malformed(struct json_scan *s, size_t offset, const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    s->status = loss_fail(s->err, LOSS_MALFORMED_JSON, "", "line %zu, column %zu: %s", s->line,
                          offset - s->line_start + 1, what);
    return false;
}

static const char *expectation(const struct json_scan *s)
{
    switch (s->state) {
    case AT_VALUE:
        return "expected a value";
    case AT_FIRST_ELEMENT:
        return "expected a value or ']'";
    case AT_FIRST_KEY:
        return "expected a name in double quotes or '}'";
    case AT_KEY:
        return "expected a name in double quotes";
    case AT_COLON:
        return "expected ':'";
    case AT_NEXT:
        return s->stack[s->depth - 1].bracket == '[' ? "expected ',' or ']'" : "expected ',' or '}'";
    case AT_END:
        return "nothing may follow the document";
    case INSIDE_NUMBER:
        return "expected a JSON number";
    case INSIDE_WORD:
        return "expected true, false or null";
    case INSIDE_KEY:
    case INSIDE_STRING:
    case INSIDE_BASE64:
        break;
    }
    return "expected the end of a string";
}

bool scan_unexpected(struct json_scan *s, size_t offset, char found)
{
    if (s->ended && offset == s->before) {
        const bool nothing = s->state == AT_VALUE && s->depth == 0;
        return scan_malformed(s, offset, "%s, but the body %s", expectation(s), nothing ? "is empty" : "ends here");
    }
    if (offset == 0 && found == '\xEF') {
        return scan_malformed(s, offset, "%s, found a byte order mark", expectation(s));
    }
    if (found >= ' ' && found < 0x7F) {
        return scan_malformed(s, offset, "%s, found '%c'", expectation(s), found);
    }
    return scan_malformed(s, offset, "%s, found the byte 0x%02x", expectation(s), (unsigned char)found);
}

static bool is_within(const struct json_scan *s, const void *p)
{
    return (uintptr_t)p - (uintptr_t)s < sizeof *s;
}

void *scan_grown(struct json_scan *s, void *block, size_t *capacity, size_t need, size_t item)
{
    if (need <= *capacity) {
        return block;
    }
    size_t n = *capacity < 64 ? 64 : *capacity;
    while (n < need && n <= SIZE_MAX / 2 / item) {
        n *= 2;
    }
    const bool within = is_within(s, block);
    void *larger =
        n < need || n > SIZE_MAX / item ? NULL : loss_arena_resize(s->arena, within ? NULL : block, n * item);
    if (larger == NULL) {
        scan_no_memory(s);
        return NULL;
    }
    if (within) {
        memcpy(larger, block, *capacity * item);
    }
    *capacity = n;
    return larger;
}

bool scan_put(struct json_scan *s, const char *bytes, size_t n)
{
    if (n > s->options.max_envelope - s->envelope_size) {
        char message[128];
        snprintf(message, sizeof message, "the body without its numbers is larger than %zu bytes",
                 s->options.max_envelope);
        return scan_fail(s, LOSS_BODY_TOO_LARGE, message);
    }
    char *envelope = scan_grown(s, s->envelope, &s->envelope_capacity, s->envelope_size + n + 1, 1);
    if (envelope == NULL) {
        return false;
    }
    s->envelope = envelope;
    memcpy(envelope + s->envelope_size, bytes, n);
    s->envelope_size += n;
    envelope[s->envelope_size] = '\0';
    return true;
}

bool scan_copy(struct json_scan *s, const char *bytes, size_t n)
{
    return s->mode != IN_ENVELOPE || scan_put(s, bytes, n);
}

struct slot *scan_new_value(struct json_scan *s, json_kind kind, int levels)
{
    struct slot *values = scan_grown(s, s->values, &s->values_capacity, s->n_values + 1, sizeof *values);
    if (values == NULL) {
        return NULL;
    }
    s->values = values;
    const char *pointer = scan_new_pointer(s, levels);
    if (pointer == NULL) {
        return NULL;
    }
    struct slot *slot = &values[s->n_values++];
    *slot = (struct slot){.value = {.kind = kind, .pointer = pointer}, .first_tie = s->n_ties};
    slot->value.tensor.pointer = pointer;
    return slot;
}

bool scan_put_placeholder(struct json_scan *s)
{
    char digits[24];
    size_t at = sizeof digits;
    size_t index = s->n_values - 1;
    do {
        digits[--at] = (char)('0' + index % 10);
        index /= 10;
    } while (index > 0);
    return scan_put(s, digits + at, sizeof digits - at);
}

bool scan_fault(struct json_scan *s, loss_status status, int levels, const char *format, ...)
{
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct json_value *v = &s->values[s->n_values - 1].value;
    v->fault = status;
    v->fault_pointer = scan_new_pointer(s, levels);
    v->fault_message = loss_arena_copy(s->arena, message, strlen(message));
    return v->fault_message != NULL ? v->fault_pointer != NULL : scan_no_memory(s);
}

bool scan_value_done(struct json_scan *s)
{
    if (s->depth == 0) {
        s->state = AT_END;
    } else {
        s->state = AT_NEXT;
        s->stack[s->depth - 1].index++;
    }
    return true;
}
