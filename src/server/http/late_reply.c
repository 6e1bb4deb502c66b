/* SPDX-License-Identifier: Apache-2.0
 *
 * late_reply.c - a head in one piece.
 */
#include <server/http/late_reply.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct text {
    char bytes[4096];
    size_t size;
};

/* A field that does not fit is left out, whole; the last line's end always fits. */
__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(t->bytes + t->size, sizeof t->bytes - t->size, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof t->bytes - t->size - strlen("\r\n")) {
        t->size += (size_t)n;
    }
}

static void put_field(struct text *t, const char *name, const char *value)
{
    if (value != NULL) {
        put(t, "%s: %s\r\n", name, value);
    }
}

void late_reply_send(struct client *client, const struct request *q, const struct reply *r, const char *reason)
{
    char date[64];
    time_t now = time(NULL);
    struct tm calendar;
    struct text head = {.size = 0};

    gmtime_r(&now, &calendar);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &calendar);
    put(&head, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\n", r->status, reason, r->size);
    put_field(&head, "Date", date);
    put_field(&head, "Connection", "close");
    put_field(&head, "Server", HTTP_SERVER_NAME);
    put_field(&head, "X-Request-Id", q->request_id);
    put_field(&head, "traceparent", q->traceparent);
    put_field(&head, "Content-Type", r->content_type);
    for (size_t i = 0; i < r->n_headers; i++) {
        put_field(&head, r->header[i].name, r->header[i].value);
    }
    memcpy(head.bytes + head.size, "\r\n", 2);
    head.size += 2;
    client_send(client, head.bytes, head.size, r->body, r->size);
}
