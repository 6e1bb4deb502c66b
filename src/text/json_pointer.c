/* SPDX-License-Identifier: Apache-2.0
 *
 * json_pointer.c - JSON pointers (RFC 6901) from the scanner's stack, and of a place in the finished envelope.
 */
#include "json_state.h"

#include <stdio.h>
#include <string.h>

/* Append a member's decoded name to buf[*n]; false: it does not fit. */
static bool append_name(char *buf, size_t size, size_t *n, const char *name, const char *end)
{
    while (name < end) {
        if ((unsigned char)*name >= 0x20 && *name != '\\' && *name != '~' && *name != '/') {
            if (size - *n <= 1) {
                return false;
            }
            buf[(*n)++] = *name++;
            continue;
        }
        const char *written = name;
        char c[4];
        size_t length = json_text_character(&name, c);
        const char *as = c;
        if (length == 1 && (c[0] == '~' || c[0] == '/')) {
            as = c[0] == '~' ? "~0" : "~1";
            length = 2;
        } else if (length == 1 && (unsigned char)c[0] < 0x20) {
            as = written;
            length = (size_t)(name - written);
        }
        if (length >= size - *n) {
            return false;
        }
        memcpy(buf + *n, as, length);
        *n += length;
    }
    return true;
}

void scan_write_pointer(const struct json_scan *s, int levels, char *buf, size_t size)
{
    size_t n = 0;
    for (int i = 0; i < levels; i++) {
        const struct frame *f = &s->stack[i];
        size_t longer = n;
        bool fits = n + 1 < size;
        if (fits && f->bracket == '{') {
            buf[longer++] = '/';
            const char *name = s->envelope + f->key_at;
            fits = append_name(buf, size, &longer, name, name + f->key_size);
        } else if (fits) {
            const size_t index = s->mode == IN_TENSOR && i == s->leaf - 1 ? s->n - s->row : f->index;
            const int length = snprintf(buf + n, size - n, "/%zu", index);
            longer += (size_t)length;
            fits = longer < size;
        }
        if (!fits) {
            break;
        }
        n = longer;
    }
    buf[n] = '\0';
}

const char *scan_new_pointer(struct json_scan *s, int levels)
{
    char buf[MAX_POINTER];
    scan_write_pointer(s, levels, buf, sizeof buf);
    const char *pointer = loss_arena_copy(s->arena, buf, strlen(buf));
    if (pointer == NULL) {
        scan_no_memory(s);
    }
    return pointer;
}

/* The last byte of the value that begins at p, of a bracket the bracket alone. */
static const char *token_end(const char *p)
{
    if (*p == '"') {
        for (p++; *p != '"'; p++) {
            p += *p == '\\';
        }
    } else if (*p != '[' && *p != '{') {
        while (p[1] != '\0' && strchr(",]}", p[1]) == NULL) {
            p++;
        }
    }
    return p;
}

void json_scan_pointer_at(const struct json_scan *s, size_t offset, char *buf, size_t size)
{
    const char *stop = s->envelope + (offset < s->envelope_size ? offset : s->envelope_size);
    int depth = 0, levels = 0; /* frames, and those of them that have a member under way */
    bool name_next = false;
    for (const char *p = s->envelope; p <= stop && *p != '\0'; p++) {
        struct frame *f = depth > 0 ? &s->stack[depth - 1] : NULL;
        if (*p == ',' || *p == ':') {
            name_next = *p == ',' && f != NULL && f->bracket == '{';
            continue;
        }
        if (*p == ']' || *p == '}') {
            levels = --depth;
            continue;
        }
        const char *last = token_end(p);
        if (f != NULL && f->bracket == '[') {
            f->index++;
            levels = depth;
        } else if (f != NULL && name_next) {
            f->key_at = (size_t)(p + 1 - s->envelope);
            f->key_size = (size_t)(last - p - 1);
            levels = depth;
        }
        name_next = *p == '{';
        if (*p == '[' || *p == '{') {
            levels = depth++;
            s->stack[levels] = (struct frame){.bracket = *p, .index = UNSET}; /* the first element makes it 0 */
        }
        p = last;
    }
    scan_write_pointer(s, levels, buf, size);
}
