/* SPDX-License-Identifier: Apache-2.0
 *
 * framing.c - the checks that libmicrohttpd leaves to us.
 */
#include <server/http/framing.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_END 2

void framing_bytes(struct framing *f, const struct framing_bytes *b)
{
    f->exact = true;
    f->line = (uintptr_t)b->version + strlen(b->version) + LINE_END;
    f->end = (uintptr_t)b->method + b->size;
    f->odd_line |= (uintptr_t)b->target != (uintptr_t)b->method + strlen(b->method) + 1 ||
                   (uintptr_t)b->version != (uintptr_t)b->target + b->target_size + 1;
}

/* The name begins where the line before has ended, and the value stands behind a colon and nothing but white space. */
static void follow(struct framing *f, const char *name, size_t size, const char *value)
{
    uintptr_t colon = (uintptr_t)name + size;
    bool in_line = value != NULL && (uintptr_t)value > colon && (uintptr_t)value < f->end;

    f->odd_line |= (uintptr_t)name != f->line || !in_line;
    f->line = in_line ? (uintptr_t)value + strlen(value) + LINE_END : 0;
}

static bool has_blank(const char *s, size_t n)
{
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        found |= s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n';
    }
    return found;
}

static bool is_named(const char *name, size_t size, const char *word)
{
    return size == strlen(word) && strncasecmp(name, word, size) == 0;
}

void framing_add(struct framing *f, const char *name, size_t size, const char *value)
{
    f->fields++;
    if (f->exact) {
        follow(f, name, size, value);
    }
    f->odd_name |= size == 0 || has_blank(name, size);
    f->odd_line |= value != NULL && strchr(value, '\r') != NULL;
    if (is_named(name, size, "Content-Length")) {
        f->lengths++;
        f->length = value != NULL ? value : "";
    } else if (is_named(name, size, "Transfer-Encoding")) {
        f->codings++;
        f->coding = value != NULL ? value : "";
    } else if (is_named(name, size, "Host")) {
        f->hosts++;
    }
}

static loss_status check_size(const struct framing *f, const struct conf *conf, struct loss_error *err)
{
    if (f->fields > conf->max_fields) {
        return loss_fail(err, LOSS_HEADER_TOO_LARGE, "",
                         "a request may have %" PRId64 " header fields, this one has %u; the server's option "
                         "--max-fields sets the limit",
                         conf->max_fields, f->fields);
    }
    if (f->bytes > (size_t)conf->max_head) {
        return loss_fail(err, LOSS_HEADER_TOO_LARGE, "",
                         "a request head may have %" PRId64 " bytes, this one has %zu; the server's option --max-head "
                         "sets the limit",
                         conf->max_head, f->bytes);
    }
    return LOSS_OK;
}

static loss_status given_twice(const char *name, struct loss_error *err)
{
    return loss_fail_parameter(err, LOSS_BAD_REQUEST, name, "the header field is given more than once");
}

loss_status framing_check(const struct framing *f, const struct conf *conf, struct loss_error *err)
{
    LOSS_TRY(check_size(f, conf, err));
    if (f->lengths > 1) {
        return given_twice("Content-Length", err);
    }
    if (f->codings > 1) {
        return given_twice("Transfer-Encoding", err);
    }
    if (f->hosts > 1) {
        return given_twice("Host", err);
    }
    if (f->lengths > 0 && f->codings > 0) {
        return loss_fail_parameter(err, LOSS_BAD_REQUEST, "Transfer-Encoding",
                                   "Content-Length and Transfer-Encoding exclude each other");
    }
    if (f->coding != NULL && strcasecmp(f->coding, "chunked") != 0) {
        return loss_fail_parameter(err, LOSS_BAD_REQUEST, "Transfer-Encoding", "the only transfer encoding is chunked");
    }
    if (f->coding != NULL && f->old) {
        return loss_fail_parameter(err, LOSS_BAD_REQUEST, "Transfer-Encoding",
                                   "HTTP/1.0 has no transfer encodings: send HTTP/1.1, or Content-Length");
    }
    if (f->length != NULL && (f->length[0] == '\0' || f->length[strspn(f->length, "0123456789")] != '\0')) {
        return loss_fail_parameter(err, LOSS_BAD_REQUEST, "Content-Length", "a length has nothing but digits");
    }
    if (f->odd_name) {
        return loss_fail(err, LOSS_BAD_REQUEST, "", "a header field's name has white space in it");
    }
    if (f->odd_line || (f->exact && f->line + LINE_END != f->end)) {
        return loss_fail(err, LOSS_BAD_REQUEST, "",
                         "each line of a head ends with a carriage return and a line feed, is one line, has no zero "
                         "byte, and the first one has a space between its parts");
    }
    return LOSS_OK;
}

uint64_t framing_length(const struct framing *f)
{
    return f->length != NULL ? strtoull(f->length, NULL, 10) : 0;
}
