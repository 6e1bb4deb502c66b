/* SPDX-License-Identifier: Apache-2.0
 *
 * log.c - lines put together on the stack.
 */
#include <server/log.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <server/access/auth.h>

#include <server/access/keyfile.h>
#include <server/log_writer.h>
#include <text/hex.h>
#include <text/swar.h>

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

static inline void put_bytes(struct line *l, const char *s, size_t n)
{
    if (n <= sizeof l->text - 1 - l->size) {
        memcpy(l->text + l->size, s, n);
        l->size += n;
        return;
    }
    memcpy(l->text + l->size, s, sizeof l->text - 1 - l->size);
    l->size = sizeof l->text - 1;
}

static void put(struct line *l, const char *s)
{
    put_bytes(l, s, strlen(s));
}

/* What is written here, and so its length too. */
#define PUT(l, literal) put_bytes((l), "" literal, sizeof(literal) - 1)

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
    char digits[24];
    char *p = digits + sizeof digits;

    for (int i = 0; i < 3; i++, v /= 10) {
        *--p = (char)('0' + v % 10);
    }
    *--p = '.';
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    put_bytes(l, p, (size_t)(digits + sizeof digits - p));
}

static bool plain(char c)
{
    return c >= 0x20 && c < 0x7F && (c != '"' || !settings.json) && c != '\\';
}

/* How many of the n bytes at s are plain, eight at a time, the last of them together with some before them; it may stop
 * early. Bit 7 of a byte is set for what is above ASCII, below a space, DEL, a quote or a backslash, and above such a byte
 * perhaps for others. */
static size_t plain_words(const char *s, size_t n)
{
    const uint64_t tops = EACH_BYTE(0x80), ones = EACH_BYTE(1);
    size_t i = 0;

    for (uint64_t v; n >= sizeof v && i < n; i += sizeof v) {
        memcpy(&v, s + (i <= n - sizeof v ? i : n - sizeof v), sizeof v);
        uint64_t quote = v ^ EACH_BYTE('"'), slash = v ^ EACH_BYTE('\\');
        if (((v | (v - EACH_BYTE(0x20)) | (v + ones) | (quote - ones) | (slash - ones)) & tops) != 0) {
            break;
        }
    }
    return i < n ? i : n;
}

/* A client may have put its key where it is logged: into the query, or for its request's id. */
static void hide_keys(struct line *l, size_t from)
{
    const size_t prefix = strlen(KEYFILE_PREFIX);
    char *end = l->text + l->size;
    char *p = l->text + from + prefix - 1;

    while (p < end && (p = memchr(p, KEYFILE_PREFIX[prefix - 1], (size_t)(end - p))) != NULL) {
        char *digits = ++p;
        if (memcmp(p - prefix, KEYFILE_PREFIX, prefix) != 0) {
            continue;
        }
        while (p < end && hex_value(*p) >= 0) {
            p++;
        }
        if (p - digits >= KEY_DIGITS_SHOWN) {
            memset(digits, 'x', (size_t)(p - digits));
        }
    }
}

/* Text of strangers, at most `most` bytes: whatever could end a string or a line, or is no ASCII, is escaped. */
static void put_escaped(struct line *l, const char *s, size_t most)
{
    size_t n = strnlen(s, most + 1), i = 0, from = l->size;
    bool cut = n > most;

    n -= cut;
    while (i < n) {
        size_t begun = i;
        i += plain_words(s + i, n - i);
        while (i < n && plain(s[i])) {
            i++;
        }
        put_bytes(l, s + begun, i - begun);
        if (i < n) {
            unsigned char c = (unsigned char)s[i++];
            char escape[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};
            put_bytes(l, escape, sizeof escape);
        }
    }
    if (cut) {
        PUT(l, "...");
    }
    if (l->size - from >= strlen(KEYFILE_PREFIX) + KEY_DIGITS_SHOWN) {
        hide_keys(l, from);
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
    put_bytes(l, calendar, sizeof "2026-01-31T12:34:56" - 1);
    put_bytes(l, fraction, 5);
}

static void end_line(struct line *l)
{
    l->text[l->size++] = '\n';
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
        PUT(&l, "{\"time\":\"");
        put_time(&l);
        PUT(&l, "\",\"level\":\"");
        put(&l, level_names[level]);
        PUT(&l, "\",\"message\":\"");
        put_escaped(&l, message, sizeof message);
        PUT(&l, "\"}");
    } else {
        put_time(&l);
        PUT(&l, " ");
        put(&l, level_names[level]);
        PUT(&l, ": ");
        put_escaped(&l, message, sizeof message);
    }
    end_line(&l);
    log_writer_put_now(l.text, l.size);
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

    PUT(l, "{\"time\":\"");
    put_time(l);
    PUT(l, "\",\"level\":\"info\",\"method\":\"");
    put_escaped(l, q->method, 16);
    PUT(l, "\",\"target\":\"");
    put_escaped(l, q->target, TARGET_SHOWN);
    PUT(l, "\",\"status\":");
    put_number(l, (uint64_t)r->status);
    PUT(l, ",\"bytes_in\":");
    put_number(l, q->body_size);
    PUT(l, ",\"bytes_out\":");
    put_number(l, r->bytes_out);
    if (q->loss != NULL) {
        PUT(l, ",\"loss\":\"");
        put(l, q->loss->name);
        PUT(l, "\",\"rows\":");
        put_number(l, q->rows);
    }
    PUT(l, ",\"ms\":");
    put_ms(l, r->total_us);
    put_phase(l, ",\"read_ms\":", q->times.read);
    put_phase(l, ",\"decode_ms\":", q->times.decode);
    put_phase(l, ",\"compute_ms\":", q->times.compute);
    put_phase(l, ",\"store_ms\":", q->times.store);
    put_phase(l, ",\"encode_ms\":", q->times.encode);
    if (q->key != NULL) {
        PUT(l, ",\"key\":\"");
        put(l, q->key->is.name);
        PUT(l, "\"");
    }
    if (r->code != NULL) {
        PUT(l, ",\"code\":\"");
        put(l, r->code);
        PUT(l, "\"");
    }
    if (q->traceparent != NULL) {
        PUT(l, ",\"traceparent\":\"");
        put(l, q->traceparent);
        PUT(l, "\"");
    }
    PUT(l, ",\"request_id\":\"");
    put_escaped(l, q->request_id, 128);
    PUT(l, "\"}");
}

static void request_text(struct line *l, const struct log_request *r)
{
    const struct request *q = r->request;

    put_time(l);
    PUT(l, " ");
    put_number(l, (uint64_t)r->status);
    PUT(l, " ");
    put_escaped(l, q->method, 16);
    PUT(l, " ");
    put_escaped(l, q->target, TARGET_SHOWN);
    PUT(l, " ");
    put_ms(l, r->total_us);
    PUT(l, " ms");
    put_phase(l, " read ", q->times.read);
    put_phase(l, " decode ", q->times.decode);
    put_phase(l, " compute ", q->times.compute);
    put_phase(l, " store ", q->times.store);
    put_phase(l, " encode ", q->times.encode);
    PUT(l, " in ");
    put_number(l, q->body_size);
    PUT(l, " out ");
    put_number(l, r->bytes_out);
    if (q->loss != NULL) {
        PUT(l, " ");
        put(l, q->loss->name);
        PUT(l, " rows ");
        put_number(l, q->rows);
    }
    if (q->key != NULL) {
        PUT(l, " key ");
        put(l, q->key->is.name);
    }
    if (r->code != NULL) {
        PUT(l, " ");
        put(l, r->code);
    }
    PUT(l, " ");
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
    end_line(&l);
    log_writer_put(l.text, l.size);
}
