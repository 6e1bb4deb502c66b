/* SPDX-License-Identifier: Apache-2.0
 *
 * problem.c - failures as problem documents (RFC 9457), or in the form of the protocol that was spoken.
 */
#include <server/http/request.h>

#include <stdio.h>
#include <string.h>

#include <server/http/uri.h>
#include <server/routes/routes.h>
#include <text/json_write.h>

/* A member whose text quotes the client, cut at some byte: what is no UTF-8 then is shown as question marks. */
static void member(struct json_out *o, const char *key, const char *text)
{
    char shown[sizeof((struct loss_error *)NULL)->message];

    if (text == NULL || text[0] == '\0') {
        return;
    }
    json_out_key(o, key);
    if (utf8_valid(text, strlen(text))) {
        json_out_string(o, text);
        return;
    }
    snprintf(shown, sizeof shown, "%s", text);
    for (char *p = shown; *p != '\0'; p++) {
        *p = (unsigned char)*p < 0x80 ? *p : '?';
    }
    json_out_string(o, shown);
}

static void write_document(struct json_out *o, const struct request *q, const struct loss_error *err)
{
    char type[64];

    snprintf(type, sizeof type, "/problems/%s", loss_status_slug(err->status));
    json_out_open(o, '{');
    member(o, "type", type);
    member(o, "title", loss_status_title(err->status));
    json_out_key(o, "status");
    json_out_u64(o, (uint64_t)loss_status_http(err->status));
    member(o, "detail", err->message[0] != '\0' ? err->message : loss_status_title(err->status));
    member(o, "code", loss_status_slug(err->status));
    member(o, "pointer", err->pointer);
    member(o, "parameter", err->parameter);
    member(o, "request_id", q->request_id);
    json_out_close(o, '}');
}

bool target_is_oip(const char *target)
{
    return strncmp(target, "/v2", 3) == 0 && (target[3] == '\0' || target[3] == '/' || target[3] == '?');
}

/* Its errors are one sentence, so the place that is to blame goes into it. */
static void write_oip_error(struct json_out *o, const struct loss_error *err)
{
    const char *message = err->message[0] != '\0' ? err->message : loss_status_title(err->status);
    char text[sizeof err->message + sizeof err->pointer + sizeof err->parameter + 16];

    if (err->parameter[0] != '\0') {
        snprintf(text, sizeof text, "%s: %s", err->parameter, message);
    } else if (err->pointer[0] != '\0') {
        snprintf(text, sizeof text, "%s (at %s)", message, err->pointer);
    } else {
        snprintf(text, sizeof text, "%s", message);
    }
    json_out_open(o, '{');
    member(o, "error", text);
    json_out_close(o, '}');
}

/* Where there is no memory left for a document. */
static const char bare[] =
    "{\"type\":\"/problems/overloaded\",\"title\":\"The server has too much to do\",\"status\":503,"
    "\"detail\":\"no memory for an answer now\",\"code\":\"overloaded\"}";
static const char bare_oip[] = "{\"error\":\"no memory for an answer now\"}";

void reply_problem(struct request *q, struct reply *r, const struct loss_error *err)
{
    struct json_out o;
    loss_status status = err->status;
    bool oip = target_is_oip(q->target);

    json_out_init(&o, q->arena);
    if (oip) {
        write_oip_error(&o, err);
    } else {
        write_document(&o, q, err);
    }
    memset(r, 0, sizeof *r);
    r->content_type = oip ? "application/json" : "application/problem+json";
    if (o.failed) {
        status = LOSS_OVERLOADED;
        r->body = oip ? bare_oip : bare;
        r->size = strlen(r->body);
    } else {
        r->body = o.data;
        r->size = o.size;
    }
    r->status = loss_status_http(status);
    if (r->status == 429 || r->status == 503) {
        const char *seconds = q->retry_after > 1 ? loss_arena_format(q->arena, "%u", q->retry_after) : "1";
        reply_header(r, "Retry-After", seconds != NULL ? seconds : "1");
    } else if (r->status == 401) {
        reply_header(r, "WWW-Authenticate", "Bearer realm=\"lossd\"");
    } else if (status == LOSS_METHOD_NOT_ALLOWED) {
        const char *allow = routes_allow(q);
        reply_header(r, "Allow", allow != NULL ? allow : "OPTIONS");
    } else if (status == LOSS_UNSUPPORTED_MEDIA && strcmp(err->parameter, CODING_HEADER) == 0) {
        reply_header(r, "Accept-Encoding", CODING_TAKEN); /* RFC 9110, section 12.5.3 */
    }
}

void reply_header(struct reply *r, const char *name, const char *value)
{
    if (r->n_headers < sizeof r->header / sizeof r->header[0]) {
        r->header[r->n_headers++] = (struct reply_header){name, value};
    }
}
