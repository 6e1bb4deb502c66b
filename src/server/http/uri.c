/* SPDX-License-Identifier: Apache-2.0
 *
 * uri.c - splits first, decodes second, so that what was escaped cannot act as syntax.
 */
#include <server/http/uri.h>

#include <stdint.h>
#include <string.h>

#include <text/hex.h>
#include <text/swar.h>

/* Length of the UTF-8 sequence at s (within n bytes), or 0: overlong forms, surrogates and what lies beyond U+10FFFF
 * are none. */
static size_t utf8_sequence(const unsigned char *s, size_t n)
{
    unsigned char lead = s[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;

    if (length > n) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    if ((lead == 0xE0 && s[1] < 0xA0) || (lead == 0xED && s[1] > 0x9F) || (lead == 0xF0 && s[1] < 0x90) ||
        (lead == 0xF4 && s[1] > 0x8F)) {
        return 0;
    }
    return length;
}

bool utf8_valid(const char *s, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)s;

    for (size_t i = 0; i < n;) {
        size_t length = utf8_sequence(bytes + i, n - i);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

/* Copy bytes that stand for themselves, eight at a time, up to the first eight of which one may not; how many. In v ^ the
 * eightfold byte, that byte is zero, and borrows when one is taken from it; above it others may seem to be one, too. */
static size_t copy_plain(const char *s, size_t n, char *out)
{
    const uint64_t tops = EACH_BYTE(0x80), ones = EACH_BYTE(1);
    size_t i = 0;

    for (uint64_t v; i + sizeof v <= n; i += sizeof v) {
        memcpy(&v, s + i, sizeof v);
        if (((v | (v - ones) | ((v ^ EACH_BYTE('%')) - ones) | ((v ^ EACH_BYTE('+')) - ones)) & tops) != 0) {
            break;
        }
        memcpy(out + i, &v, sizeof v);
    }
    return i;
}

/* Percent-decode n bytes into out, which has room for n + 1; NULL, or what is wrong with them. */
static const char *decode(const char *s, size_t n, bool plus_is_space, char *out)
{
    size_t size = copy_plain(s, n, out);
    unsigned char all = 0; /* bits of all bytes from there on */

    for (size_t i = size; i < n; i++) {
        char c = s[i];
        if (c == '%') {
            int high = i + 2 < n ? hex_value(s[i + 1]) : -1;
            int low = i + 2 < n ? hex_value(s[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return "has a % that two hexadecimal digits do not follow";
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0') {
            return "has a zero byte";
        }
        all |= (unsigned char)c;
        out[size++] = c;
    }
    out[size] = '\0';
    return all < 0x80 || utf8_valid(out, size) ? NULL : "is not UTF-8";
}

static size_t count_byte(const char *s, size_t n, char byte)
{
    const char *end = s + n;
    size_t count = 0;
    while ((s = memchr(s, byte, (size_t)(end - s))) != NULL) {
        s++;
        count++;
    }
    return count;
}

/* "/v1/losses" has two segments, "/" has none, "/v2/" has two, the second empty. */
static loss_status read_path(struct request *q, const char *path, size_t n, struct loss_error *err)
{
    const char **segment;
    char *text;
    size_t count = 0;

    if (n == 0 || path[0] != '/') {
        return loss_fail(err, LOSS_BAD_REQUEST, "", "a request target begins with a slash");
    }
    segment = loss_arena_alloc(q->arena, count_byte(path, n, '/') * sizeof *segment, _Alignof(char *));
    text = loss_arena_alloc(q->arena, n + 1, 1);
    if (segment == NULL || text == NULL) {
        return loss_no_memory(err, "another request");
    }
    for (size_t at = 1; n > 1 && at <= n;) {
        const char *slash = memchr(path + at, '/', n - at);
        size_t length = slash != NULL ? (size_t)(slash - path) - at : n - at;
        const char *wrong = decode(path + at, length, false, text);
        if (wrong != NULL) {
            return loss_fail(err, LOSS_INVALID_NAME, "", "part %zu of the path %s", count + 1, wrong);
        }
        segment[count++] = text;
        text += strlen(text) + 1;
        at += length + 1;
    }
    q->segment = segment;
    q->n_segments = count;
    return LOSS_OK;
}

/* One "name=value"; a name alone has the value "". */
static loss_status read_field(const char *s, size_t n, char *text, struct query_field *field, struct loss_error *err)
{
    const char *equals = memchr(s, '=', n);
    size_t name = equals != NULL ? (size_t)(equals - s) : n;
    const char *wrong = decode(s, name, true, text);

    if (wrong != NULL) {
        return loss_fail(err, LOSS_BAD_REQUEST, "", "the name of a query parameter %s", wrong);
    }
    field->name = text;
    text += strlen(text) + 1;
    wrong = decode(equals != NULL ? equals + 1 : "", equals != NULL ? n - name - 1 : 0, true, text);
    if (wrong != NULL) {
        return loss_fail_parameter(err, LOSS_BAD_REQUEST, field->name, "the value of %s %s", field->name, wrong);
    }
    field->value = text;
    return LOSS_OK;
}

static loss_status read_query(struct request *q, const char *query, size_t n, struct loss_error *err)
{
    size_t most = count_byte(query, n, '&') + 1, count = 0;
    struct query_field *field;
    char *text;

    if (most > URI_MAX_QUERY) {
        return loss_fail(err, LOSS_BAD_REQUEST, "", "a query has at most %d parameters", URI_MAX_QUERY);
    }
    field = loss_arena_alloc(q->arena, most * sizeof *field, _Alignof(struct query_field));
    text = loss_arena_alloc(q->arena, n + 2 * most, 1);
    if (field == NULL || text == NULL) {
        return loss_no_memory(err, "another request");
    }
    for (size_t at = 0; at < n;) {
        const char *end = memchr(query + at, '&', n - at);
        size_t length = end != NULL ? (size_t)(end - query) - at : n - at;
        if (length > 0) {
            LOSS_TRY(read_field(query + at, length, text, &field[count], err));
            text += strlen(field[count].name) + strlen(field[count].value) + 2;
            count++;
        }
        at += length + 1;
    }
    q->query = field;
    q->n_query = count;
    return LOSS_OK;
}

/* Behind "http://host" of the absolute form, which a server must take (RFC 9112, 3.2.2). */
static const char *skip_authority(const char *target)
{
    size_t scheme = *target == '/'                            ? 0
                    : strncasecmp(target, "http://", 7) == 0  ? 7
                    : strncasecmp(target, "https://", 8) == 0 ? 8
                                                              : 0;
    if (scheme == 0) {
        return target;
    }
    target += scheme + strcspn(target + scheme, "/?");
    return *target == '/' ? target : "/";
}

loss_status uri_read(struct request *q, struct loss_error *err)
{
    size_t size = strlen(q->target);
    bool asterisk = strcmp(q->target, "*") == 0 && strcmp(q->method, "OPTIONS") == 0; /* the server as such */
    const char *path = asterisk ? "/" : skip_authority(q->target);
    size_t n = (size_t)(strchrnul(path, '?') - path);

    if (size > URI_MAX) {
        return loss_fail(err, LOSS_URI_TOO_LONG, "", "a request target has at most %d bytes, this one has %zu", URI_MAX,
                         size);
    }
    LOSS_TRY(read_path(q, path, n, err));
    return path[n] == '?' ? read_query(q, path + n + 1, strlen(path + n + 1), err) : LOSS_OK;
}
