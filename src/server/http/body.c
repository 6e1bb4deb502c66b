/* SPDX-License-Identifier: Apache-2.0
 *
 * body.c - the pieces of a body, decompressed where they are coded, to the route's feed or into one block.
 */
#include <server/http/body.h>

#include <string.h>

#include <server/machine.h>
#include <server/routes/routes.h>
#include <server/server.h>

#define SMALL_BODY (1 << 20)

static uint64_t content_limit(const struct request *q)
{
    uint64_t most = (uint64_t)q->server->conf->max_body;

    return q->route != NULL && q->route->body == BODY_STREAM ? most : most < SMALL_BODY ? most : SMALL_BODY;
}

/* What may be sent: a coded body is larger than what is in it where that does not shrink, but not by much. */
static uint64_t sent_limit(const struct request *q)
{
    uint64_t limit = content_limit(q);

    return q->coding == CODING_IDENTITY ? limit : limit + limit / 64 + 1024;
}

static loss_status too_large(const struct request *q, const char *has, uint64_t size, struct loss_error *err)
{
    unsigned long long limit = content_limit(q), n = size;

    if (limit < (unsigned long long)q->server->conf->max_body) {
        return loss_fail(err, LOSS_BODY_TOO_LARGE, "",
                         "a body may have %llu bytes here, this one %s %llu; only the bodies of computing calls may "
                         "be larger (--max-body)",
                         limit, has, n);
    }
    return loss_fail(err, LOSS_BODY_TOO_LARGE, "",
                     "a body may have %llu bytes, this one %s %llu; the server's option --max-body sets the limit",
                     limit, has, n);
}

loss_status body_check_length(const struct request *q, uint64_t length, struct loss_error *err)
{
    return length > sent_limit(q) ? too_large(q, "has", length, err) : LOSS_OK;
}

static loss_status collect(struct body *b, const char *bytes, size_t n, struct loss_error *err)
{
    const struct request *q = b->request;
    size_t size = q->content_size;

    if (b->capacity - size <= n) {
        size_t more = q->announced > size + n ? q->announced + 1 : 2 * (size + n) + 1;
        char *grown = loss_arena_resize(q->arena, b->collected, more);
        if (grown == NULL) {
            return loss_no_memory(err, "the body");
        }
        b->collected = grown;
        b->capacity = more;
    }
    memcpy(b->collected + size, bytes, n);
    b->collected[size + n] = '\0';
    return LOSS_OK;
}

/* What was sent, or what that decompresses to. */
static loss_status take_content(void *body, const char *bytes, size_t n, struct loss_error *err)
{
    struct body *b = body;
    struct request *q = b->request;
    loss_status status = LOSS_OK;

    if (q->content_size + n > content_limit(q)) {
        const char *has = b->content != NULL ? "decompresses to at least" : b->exact ? "has" : "has at least";
        return too_large(q, has, q->content_size + n, err);
    }
    if (q->route != NULL && q->route->body == BODY_SMALL) {
        status = collect(b, bytes, n, err);
    } else if (q->route != NULL && q->route->body == BODY_STREAM) {
        status = q->route->feed(q, bytes, n, err);
    }
    q->content_size += n;
    return status;
}

loss_status body_begin(struct body *b, struct request *q, bool exact, struct loss_error *err)
{
    const struct content_options options = {
        .coding = q->coding, .max_ratio = (uint64_t)q->server->conf->max_ratio, .sink = take_content, .arg = b};

    b->request = q;
    b->exact = exact;
    if (q->coding != CODING_IDENTITY) {
        b->content = content_decoder_new(q->arena, &options);
    }
    return q->coding == CODING_IDENTITY || b->content != NULL ? LOSS_OK : loss_no_memory(err, "decompressing the body");
}

loss_status body_feed(struct body *b, const char *bytes, size_t n, struct loss_error *err)
{
    struct request *q = b->request;

    if (b->content == NULL) {
        return take_content(b, bytes, n, err);
    }
    if (q->body_size + n > sent_limit(q)) {
        return too_large(q, b->exact ? "has" : "has at least", q->body_size + n, err);
    }
    /* Routes count the time of their own decoding: decompressing is added to that. */
    int64_t decoded = q->times.decode, begun = machine_clock();
    loss_status status = content_decoder_feed(b->content, bytes, n, err);
    q->times.decode = decoded + machine_clock() - begun;
    return status;
}

loss_status body_end(struct body *b, struct loss_error *err)
{
    b->request->body = b->collected != NULL ? b->collected : "";
    return b->content != NULL ? content_decoder_end(b->content, err) : LOSS_OK;
}
