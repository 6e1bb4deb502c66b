/* SPDX-License-Identifier: Apache-2.0
 *
 * head.c - the checks that need no body, in the order in which a client can mend what is wrong.
 */
#include <server/http/head.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <server/access/admit.h>
#include <server/http/uri.h>
#include <server/machine.h>
#include <server/routes/routes.h>
#include <text/hex.h>

#define MAX_ID 128
#define MAX_KEY 255
#define MAX_TIMEOUT_MS 86400000

/* --- who asks --- */

/* 1 to `most` bytes, each a visible ASCII character. */
static bool visible(const char *s, size_t most)
{
    size_t n = 0;
    for (; s[n] != '\0'; n++) {
        if (n == most || s[n] < 0x21 || s[n] > 0x7E) {
            return false;
        }
    }
    return n > 0;
}

/* 16 random bytes; the kernel is asked for a page of them at a time. */
static void random_id(unsigned char id[16])
{
    static _Thread_local unsigned char pool[4096];
    static _Thread_local size_t left;

    if (left < 16) {
        size_t got = 0;
        while (got < sizeof pool) {
            ssize_t n = getrandom(pool + got, sizeof pool - got, 0);
            got += n > 0 ? (size_t)n : 0;
        }
        left = sizeof pool;
    }
    left -= 16;
    memcpy(id, pool + left, 16);
}

static const char *make_id(struct loss_arena *arena)
{
    unsigned char id[16];
    char *text = loss_arena_alloc(arena, 33, 1);

    if (text != NULL) {
        random_id(id);
        hex_write(text, id, sizeof id);
    }
    return text;
}

static bool lower_hex(const char *s, size_t n)
{
    bool other_than_zero = false;
    for (size_t i = 0; i < n; i++) {
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f'))) {
            return false;
        }
        other_than_zero |= s[i] != '0';
    }
    return other_than_zero || n == 2;
}

/* version-trace-parent-flags of W3C Trace Context; a later version may go on behind another dash. */
static bool good_traceparent(const char *s)
{
    size_t n = strnlen(s, MAX_ID + 1);
    return n >= 55 && n <= MAX_ID && lower_hex(s, 2) && memcmp(s, "ff", 2) != 0 && s[2] == '-' &&
           lower_hex(s + 3, 32) && s[35] == '-' && lower_hex(s + 36, 16) && s[52] == '-' && lower_hex(s + 53, 2) &&
           (n == 55 || (memcmp(s, "00", 2) != 0 && s[55] == '-' && visible(s, MAX_ID)));
}

bool head_identify(struct request *q)
{
    const char *id = request_header(q, "X-Request-Id");
    const char *trace = request_header(q, "traceparent");

    q->traceparent = trace != NULL && good_traceparent(trace) ? trace : NULL;
    q->request_id = id != NULL && visible(id, MAX_ID) ? id : make_id(q->arena);
    return q->request_id != NULL;
}

/* --- what for --- */

static loss_status find_route(struct request *q, struct loss_error *err)
{
    bool path_known;

    q->route = routes_match(q, &path_known);
    bool options = q->route == NULL && path_known && strcmp(q->method, "OPTIONS") == 0;
    LOSS_TRY(admit_request(q, options, err)); /* who has no key is not even told what paths there are */
    if (q->route != NULL || options) {
        return LOSS_OK;
    }
    if (path_known) {
        return loss_fail(err, LOSS_METHOD_NOT_ALLOWED, "", "%.16s is no method of this path; it takes %s", q->method,
                         routes_allow(q));
    }
    return loss_fail(err, LOSS_NOT_FOUND, "", "there is no such path");
}

static loss_status unknown_query(const struct request *q, const char *name, struct loss_error *err)
{
    const char *const *known = q->route->query;
    size_t n = 0;

    while (known != NULL && known[n] != NULL) {
        n++;
    }
    if (n == 0) {
        return loss_fail_parameter(err, LOSS_UNKNOWN_FIELD, name, "this path takes no query parameters, got \"%s\"",
                                   name);
    }
    const char *nearest = loss_nearest_word(name, known, n);
    return loss_fail_parameter(
        err, LOSS_UNKNOWN_FIELD, name, "there is no query parameter \"%s\" here; %s \"%s\"", name,
        nearest != NULL ? "did you mean" : "one there is:", nearest != NULL ? nearest : known[0]);
}

/* Does "application/json; charset=utf-8" name this type? */
static bool media_type_is(const char *header, const char *type)
{
    size_t n = strlen(type);
    if (strncasecmp(header, type, n) != 0) {
        return false;
    }
    header += n;
    header += strspn(header, " \t");
    return *header == '\0' || *header == ';';
}

static loss_status check_query(const struct request *q, struct loss_error *err)
{
    const char *media = q->route->fields_media;
    bool any = media != NULL && media_type_is(q->content_type, media);

    for (size_t i = 0; i < q->n_query; i++) {
        const char *name = q->query[i].name;
        const char *const *known = q->route->query;

        while (known != NULL && *known != NULL && strcmp(*known, name) != 0) {
            known++;
        }
        if ((known == NULL || *known == NULL) && !any) {
            return unknown_query(q, name, err);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(q->query[j].name, name) == 0) {
                return loss_fail_parameter(err, LOSS_DUPLICATE_FIELD, name, "the query parameter \"%s\" is given twice",
                                           name);
            }
        }
        if (q->query[i].value[0] == '\0') {
            return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, name, "the query parameter \"%s\" has no value",
                                       name);
        }
    }
    return LOSS_OK;
}

static loss_status read_deadline(struct request *q, struct loss_error *err)
{
    static const char name[] = "X-Request-Timeout-Ms";
    const char *text = request_header(q, name);
    size_t digits = text == NULL ? 0 : strspn(text, "0123456789");

    if (text == NULL) {
        return LOSS_OK;
    }
    long ms = digits > 0 && digits <= 8 && text[digits] == '\0' ? strtol(text, NULL, 10) : 0;
    if (ms < 1 || ms > MAX_TIMEOUT_MS) {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, name,
                                   "must be a whole number of milliseconds from 1 to %d", MAX_TIMEOUT_MS);
    }
    q->deadline = q->times.begun + ms * 1000;
    return LOSS_OK;
}

static loss_status read_idempotency_key(struct request *q, struct loss_error *err)
{
    static const char name[] = "Idempotency-Key";

    q->idempotency_key = request_header(q, name);
    if (q->idempotency_key != NULL && !visible(q->idempotency_key, MAX_KEY)) {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, name, "must be 1 to %d visible ASCII characters",
                                   MAX_KEY);
    }
    return LOSS_OK;
}

static loss_status unsupported_media(const struct request *q, const char *const *media, struct loss_error *err)
{
    char list[256] = "";
    size_t used = 0;

    for (size_t i = 0; media[i] != NULL && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? " or " : "", media[i]);
    }
    return loss_fail_parameter(err, LOSS_UNSUPPORTED_MEDIA, "Content-Type",
                               "send the body with the header Content-Type: %s, got \"%.100s\"", list, q->content_type);
}

static loss_status check_media(const struct request *q, struct loss_error *err)
{
    static const char *const json[] = {"application/json", NULL};
    const char *const *media = q->route->media != NULL ? q->route->media : json;
    size_t i = 0;

    while (media[i] != NULL && !media_type_is(q->content_type, media[i])) {
        i++;
    }
    return q->content_type[0] != '\0' && media[i] == NULL ? unsupported_media(q, media, err) : LOSS_OK;
}

/* How the body is coded, and how the answer may be. */
static loss_status read_codings(struct request *q, struct loss_error *err)
{
    const char *encoding = q->route->body != BODY_NONE ? request_list(q, CODING_HEADER) : NULL;
    const char *accept = request_list(q, "Accept-Encoding");
    bool takes_plain = true;

    if (encoding != NULL && !coding_parse(encoding, &q->coding)) {
        return loss_fail_parameter(
            err, LOSS_UNSUPPORTED_MEDIA, CODING_HEADER,
            "send the body as it is, or compressed once, with one of " CODING_TAKEN ", got \"%.100s\"", encoding);
    }
    if (q->coding != CODING_IDENTITY) {
        q->has_announced = false;
        q->announced = 0;
    }
    if (accept != NULL && !coding_choose(accept, &q->answer_coding, &takes_plain)) {
        return loss_fail_parameter(err, LOSS_NOT_ACCEPTABLE, "Accept-Encoding",
                                   "the answer is sent as it is, or compressed with one of " CODING_TAKEN
                                   "; the client takes \"%.100s\"",
                                   accept);
    }
    q->refuses_plain = !takes_plain;
    return LOSS_OK;
}

loss_status head_read(struct request *q, struct loss_error *err)
{
    const char *type = request_header(q, "Content-Type");

    q->content_type = type != NULL ? type : "";
    LOSS_TRY(uri_read(q, err));
    LOSS_TRY(find_route(q, err));
    if (q->route == NULL) {
        return LOSS_OK;
    }
    LOSS_TRY(check_query(q, err));
    LOSS_TRY(read_deadline(q, err));
    LOSS_TRY(read_idempotency_key(q, err));
    if (q->route->body != BODY_NONE) {
        LOSS_TRY(check_media(q, err));
    }
    return read_codings(q, err);
}
