/* SPDX-License-Identifier: Apache-2.0
 *
 * log.c - lines put together on the stack.
 *
 * A line leaves with one write of its own, at once, though collecting several would spare system calls: what a process
 * that crashes has not written is lost, and the lines before a crash are those that somebody will want.
 */
#include <server/log.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <server/access/auth.h>

#include <server/access/keyfile.h>
#include <text/hex.h>

#define LINE_MAX_BYTES 2048
#define TARGET_SHOWN 256
#define KEY_DIGITS_SHOWN 16 /* of a key: what is cut there leaves 128 bits to guess */

static struct {
    bool json;
    log_level level;
} settings = {.level = LOG_INFO};

static const char *const level_names[] = {"error", "warning", "info"};

/* A line under way; what does not fit is left out, the line end always fits. */
struct line {
    char text[LINE_MAX_BYTES];
    size_t size;
};

static void put_bytes(struct line *l, const char *s, size_t n)
{
    size_t room = sizeof l->text - 1 - l->size;
    if (n > room) {
        n = room;
    }
    memcpy(l->text + l->size, s, n);
    l->size += n;
}

static void put(struct line *l, const char *s)
{
    put_bytes(l, s, strlen(s));
}

static void put_number(struct line *l, uint64_t v)
{
    char digits[20];
    char *p = digits + sizeof digits;

    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    put_bytes(l, p, (size_t)(digits + sizeof digits - p));
}

/* Microseconds as milliseconds with three decimals. */
static void put_ms(struct line *l, int64_t us)
{
    uint64_t v = us < 0 ? 0 : (uint64_t)us;
    char fraction[4] = {'.', (char)('0' + v / 100 % 10), (char)('0' + v / 10 % 10), (char)('0' + v % 10)};

    put_number(l, v / 1000);
    put_bytes(l, fraction, sizeof fraction);
}

static bool plain(char c)
{
    return c >= 0x20 && c < 0x7F && (c != '"' || !settings.json) && c != '\\';
}

/* Text of strangers, at most `most` bytes: whatever could end a string or a line, or is no ASCII, is escaped. */
static void put_escaped(struct line *l, const char *s, size_t most)
{
    size_t i = 0;

    while (i < most && s[i] != '\0') {
        size_t begun = i;
        while (i < most && plain(s[i])) {
            i++;
        }
        put_bytes(l, s + begun, i - begun);
        if (i < most && s[i] != '\0') {
            unsigned char c = (unsigned char)s[i++];
            char escape[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};
            put_bytes(l, escape, sizeof escape);
        }
    }
    if (s[i] != '\0') {
        put(l, "...");
    }
}

/* "2026-01-31T12:34:56.789Z". The calendar part is worked out once a second and thread. */
static void put_time(struct line *l)
{
    static _Thread_local time_t second = -1;
    static _Thread_local char calendar[32];
    struct timespec now;
    char fraction[8];

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != second) {
        struct tm t;
        gmtime_r(&now.tv_sec, &t);
        strftime(calendar, sizeof calendar, "%Y-%m-%dT%H:%M:%S", &t);
        second = now.tv_sec;
    }
    long ms = now.tv_nsec / 1000000;
    fraction[0] = '.';
    fraction[1] = (char)('0' + ms / 100);
    fraction[2] = (char)('0' + ms / 10 % 10);
    fraction[3] = (char)('0' + ms % 10);
    fraction[4] = 'Z';
    put(l, calendar);
    put_bytes(l, fraction, 5);
}

/* A client may have put its key where it is logged: into the query, or for its request's id. */
static void hide_keys(struct line *l)
{
    char *end = l->text + l->size;
    char *p = l->text;

    while ((p = memmem(p, (size_t)(end - p), KEYFILE_PREFIX, strlen(KEYFILE_PREFIX))) != NULL) {
        char *digits = p + strlen(KEYFILE_PREFIX);
        for (p = digits; p < end && hex_value(*p) >= 0;) {
            p++;
        }
        if (p - digits >= KEY_DIGITS_SHOWN) {
            memset(digits, 'x', (size_t)(p - digits));
        }
    }
}

static void flush(struct line *l)
{
    hide_keys(l);
    l->text[l->size++] = '\n';
    ssize_t written = write(STDERR_FILENO, l->text, l->size);
    (void)written; /* a log that nobody reads any more is no reason to stop */
}

void log_init(bool json, log_level level)
{
    settings.json = json;
    settings.level = level;
}

void log_line(log_level level, const char *format, ...)
{
    struct line l;
    char message[LINE_MAX_BYTES / 2];
    va_list args;

    if (level > settings.level) {
        return;
    }
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    l.size = 0;
    if (settings.json) {
        put(&l, "{\"time\":\"");
        put_time(&l);
        put(&l, "\",\"level\":\"");
        put(&l, level_names[level]);
        put(&l, "\",\"message\":\"");
        put_escaped(&l, message, sizeof message);
        put(&l, "\"}");
    } else {
        put_time(&l);
        put(&l, " ");
        put(&l, level_names[level]);
        put(&l, ": ");
        put_escaped(&l, message, sizeof message);
    }
    flush(&l);
}

static void put_phase(struct line *l, const char *before, int64_t us)
{
    if (us > 0) {
        put(l, before);
        put_ms(l, us);
    }
}

static void request_json(struct line *l, const struct log_request *r)
{
    const struct request *q = r->request;

    put(l, "{\"time\":\"");
    put_time(l);
    put(l, "\",\"level\":\"info\",\"method\":\"");
    put_escaped(l, q->method, 16);
    put(l, "\",\"target\":\"");
    put_escaped(l, q->target, TARGET_SHOWN);
    put(l, "\",\"status\":");
    put_number(l, (uint64_t)r->status);
    put(l, ",\"bytes_in\":");
    put_number(l, q->body_size);
    put(l, ",\"bytes_out\":");
    put_number(l, r->bytes_out);
    if (q->loss != NULL) {
        put(l, ",\"loss\":\"");
        put(l, q->loss->name);
        put(l, "\",\"rows\":");
        put_number(l, q->rows);
    }
    put(l, ",\"ms\":");
    put_ms(l, r->total_us);
    put_phase(l, ",\"read_ms\":", q->times.read);
    put_phase(l, ",\"decode_ms\":", q->times.decode);
    put_phase(l, ",\"compute_ms\":", q->times.compute);
    put_phase(l, ",\"store_ms\":", q->times.store);
    put_phase(l, ",\"encode_ms\":", q->times.encode);
    if (q->key != NULL) {
        put(l, ",\"key\":\"");
        put(l, q->key->is.name);
        put(l, "\"");
    }
    if (r->code != NULL) {
        put(l, ",\"code\":\"");
        put(l, r->code);
        put(l, "\"");
    }
    if (q->traceparent != NULL) {
        put(l, ",\"traceparent\":\"");
        put(l, q->traceparent);
        put(l, "\"");
    }
    put(l, ",\"request_id\":\"");
    put_escaped(l, q->request_id, 128);
    put(l, "\"}");
}

static void request_text(struct line *l, const struct log_request *r)
{
    const struct request *q = r->request;

    put_time(l);
    put(l, " ");
    put_number(l, (uint64_t)r->status);
    put(l, " ");
    put_escaped(l, q->method, 16);
    put(l, " ");
    put_escaped(l, q->target, TARGET_SHOWN);
    put(l, " ");
    put_ms(l, r->total_us);
    put(l, " ms");
    put_phase(l, " read ", q->times.read);
    put_phase(l, " decode ", q->times.decode);
    put_phase(l, " compute ", q->times.compute);
    put_phase(l, " store ", q->times.store);
    put_phase(l, " encode ", q->times.encode);
    put(l, " in ");
    put_number(l, q->body_size);
    put(l, " out ");
    put_number(l, r->bytes_out);
    if (q->loss != NULL) {
        put(l, " ");
        put(l, q->loss->name);
        put(l, " rows ");
        put_number(l, q->rows);
    }
    if (q->key != NULL) {
        put(l, " key ");
        put(l, q->key->is.name);
    }
    if (r->code != NULL) {
        put(l, " ");
        put(l, r->code);
    }
    put(l, " ");
    put_escaped(l, q->request_id, 128);
}

void log_request(const struct log_request *r)
{
    struct line l;

    if (settings.level < LOG_INFO) {
        return;
    }
    l.size = 0;
    if (settings.json) {
        request_json(&l, r);
    } else {
        request_text(&l, r);
    }
    flush(&l);
}
