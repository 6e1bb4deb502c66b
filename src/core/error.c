/* SPDX-License-Identifier: Apache-2.0
 *
 * error.c - the names of statuses, and the filling of a loss_error.
 */
#include <loss/error.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pointer.h"

static const struct {
    int http;
    const char *slug, *title;
} statuses[LOSS_STATUS_COUNT] = {
#define LOSS_STATUS_ROW(id, http_code, slug_word, title_text)                                                          \
    [LOSS_##id] = {.http = http_code, .slug = slug_word, .title = title_text},
    LOSS_STATUS_MAP(LOSS_STATUS_ROW)
#undef LOSS_STATUS_ROW
};

size_t loss__pointer_append(char *buf, size_t size, size_t length, const char *more)
{
    assert(length < size);
    size_t room = size - 1 - length;
    size_t fits = strnlen(more, room + 1);
    if (fits > room) {
        fits = room;
        while (fits > 0 && more[fits] != '/') {
            fits--;
        }
    }
    memcpy(buf + length, more, fits);
    buf[length + fits] = '\0';
    return length + fits;
}

/* A text that was cut at `length` bytes must not end in half a UTF-8 character. */
static void drop_partial_character(char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 4 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    if (start == 0) {
        return;
    }
    unsigned char lead = (unsigned char)text[start - 1];
    size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (length - (start - 1) < wanted) {
        text[start - 1] = '\0';
    }
}

/* The message of a failure that *err has just been given. */
static void write_message(struct loss_error *err, const char *format, va_list args)
{
    int length = vsnprintf(err->message, sizeof err->message, format, args);
    if (length < 0) {
        err->message[0] = '\0';
    } else if ((size_t)length >= sizeof err->message) {
        drop_partial_character(err->message, sizeof err->message - 1);
    }
}

loss_status loss_fail(struct loss_error *err, loss_status status, const char *pointer, const char *format, ...)
{
    if (!err || err->status != LOSS_OK) {
        return status;
    }
    err->status = status;
    err->parameter[0] = '\0';
    loss__pointer_append(err->pointer, sizeof err->pointer, 0, pointer ? pointer : "");
    va_list args;
    va_start(args, format);
    write_message(err, format, args);
    va_end(args);
    return status;
}

loss_status loss_fail_parameter(struct loss_error *err, loss_status status, const char *parameter, const char *format,
                                ...)
{
    if (!err || err->status != LOSS_OK) {
        return status;
    }
    err->status = status;
    loss_blame_parameter(err, status, parameter);
    va_list args;
    va_start(args, format);
    write_message(err, format, args);
    va_end(args);
    return status;
}

loss_status loss_blame_parameter(struct loss_error *err, loss_status status, const char *parameter)
{
    if (err && status != LOSS_OK && err->status == status) {
        err->pointer[0] = '\0';
        int length = snprintf(err->parameter, sizeof err->parameter, "%s", parameter);
        if (length >= (int)sizeof err->parameter) {
            drop_partial_character(err->parameter, sizeof err->parameter - 1);
        }
    }
    return status;
}

loss_status loss_no_memory(struct loss_error *err, const char *what)
{
    return loss_fail(err, LOSS_OVERLOADED, "", "no memory for %s now", what);
}

int loss_status_http(loss_status status)
{
    return statuses[status].http;
}

const char *loss_status_slug(loss_status status)
{
    return statuses[status].slug;
}

const char *loss_status_title(loss_status status)
{
    return statuses[status].title;
}
