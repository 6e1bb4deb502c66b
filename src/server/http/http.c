/* SPDX-License-Identifier: Apache-2.0
 *
 * http.c - libmicrohttpd on one side, routes and executors on the other.
 *
 * libmicrohttpd calls us three times for a request: with the target before it takes it apart (it would unescape it),
 * then once with the head, once for each piece of body, and once at the end of the body. An answer can be queued only
 * in the first of these, which gives up the connection, or at the end. So a request that fails in between has its
 * remaining body read and dropped within bounds, and beyond them is answered past libmicrohttpd, on the socket.
 */
#include <server/http/http.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>
#include <nettle/sha2.h>

#include <loss/compute.h>
#include <server/access/auth.h>
#include <server/coding/content.h>
#include <server/executor.h>
#include <server/http/body.h>
#include <server/http/client.h>
#include <server/http/cors.h>
#include <server/http/fields.h>
#include <server/http/framing.h>
#include <server/http/hangup.h>
#include <server/http/head.h>
#include <server/http/late_reply.h>
#include <server/http/linger.h>
#include <server/http/pace.h>
#include <server/http/place.h>
#include <server/http/workers.h>
#include <server/log.h>
#include <server/machine.h>
#include <server/routes/routes.h>
#include <server/server.h>

#define REPLY_BLOCK (32 << 10)
#define SMALL_CHUNK 64
#define FREE_CHUNKS 1024 /* so many may be smaller on average */
#define PEEK_US 5000     /* between looks at whether the client is still there */

struct http {
    struct server *server;
    struct workers *workers;
    struct linger_set *linger;
    struct hangup_watch *hangup;
    struct pace_watch *pace;
    struct handshakes *handshakes; /* NULL: plain HTTP */
    atomic_bool refusing, abandoned;
    atomic_size_t suspended;
};

typedef enum {
    PHASE_HEAD,    /* the head is not complete */
    PHASE_BODY,    /* the body arrives */
    PHASE_REFUSED, /* the reply is there, what is left of the body is dropped */
    PHASE_STEPS,   /* the route works, here or on an executor */
    PHASE_REPLY,   /* the reply is there, to be queued */
    PHASE_QUEUED,
} exchange_phase;

/* A request with its reply and what only this file needs of it; in the request's arena. */
struct exchange {
    struct request request; /* first: routes see this alone */
    struct http *http;
    struct MHD_Connection *connection;
    struct pace *pace;        /* the connection's */
    const char *target_place; /* in libmicrohttpd's buffer */
    struct client *client;
    exchange_phase phase;
    request_next place; /* where it was worked on last */
    bool counted;       /* in the metrics' requests in flight */
    bool has_body;
    bool linger;         /* the client may still be sending when the answer is out */
    bool stored;         /* a step on the store executor has run: too late to refuse */
    executor_place kept; /* in the compute queue, while a large body comes */
    bool has_length;
    size_t head_size;              /* bytes; 0: not known */
    uint64_t length;               /* Content-Length */
    uint64_t pieces, small_pieces; /* of a chunked body */
    uint64_t dropped;              /* bytes of body since it was refused */
    int64_t refused_at;
    struct body body;
    uint64_t sent; /* bytes of a reply that is printed as it drains */
    loss_status failure;
    atomic_bool gone;           /* the client has left */
    atomic_int_fast64_t peeked; /* when we last looked */
    struct sha256_ctx fingerprint;
    struct reply reply;
    struct loss_error error; /* not cleared, from here on */
    struct fields fields;    /* set with the head */
};

/* --- what routes ask of a request --- */

static struct exchange *exchange_of(const struct request *q)
{
    return (struct exchange *)(uintptr_t)q; /* its first member */
}

const char *request_query(const struct request *q, const char *name)
{
    for (size_t i = 0; i < q->n_query; i++) {
        if (strcmp(q->query[i].name, name) == 0) {
            return q->query[i].value;
        }
    }
    return NULL;
}

const char *request_header(const struct request *q, const char *name)
{
    return fields_value(&exchange_of(q)->fields, name);
}

const char *request_list(const struct request *q, const char *name)
{
    return fields_list(&exchange_of(q)->fields, name, q->arena);
}

/* libmicrohttpd does not watch a suspended connection. A client that has shut down its side counts as gone. */
static bool client_gone(struct exchange *x, int64_t now)
{
    int_fast64_t peeked = atomic_load_explicit(&x->peeked, memory_order_relaxed);

    if (atomic_load_explicit(&x->gone, memory_order_relaxed)) {
        return true;
    }
    if (now - peeked < PEEK_US || !atomic_compare_exchange_strong(&x->peeked, &peeked, now)) {
        return false;
    }
    if (client_left(x->client)) {
        atomic_store(&x->gone, true);
    }
    return atomic_load(&x->gone);
}

bool request_cancelled(void *q)
{
    struct exchange *x = exchange_of(q);
    int64_t now = machine_clock();

    return (x->request.deadline != 0 && now >= x->request.deadline) || client_gone(x, now) ||
           atomic_load_explicit(&x->http->abandoned, memory_order_relaxed);
}

/* --- replies --- */

static void set_problem(struct exchange *x)
{
    x->failure = x->error.status;
    reply_problem(&x->request, &x->reply, &x->error);
}

static ssize_t read_more(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct exchange *x = cls;
    int64_t begun = machine_clock();
    size_t n = x->reply.more(x->reply.state, buf, max);

    (void)pos;
    x->request.times.encode += machine_clock() - begun;
    x->sent += n;
    return n > 0 ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}

static struct MHD_Response *response_from_parts(const struct reply *r)
{
    struct MHD_IoVec pieces[REPLY_MAX_PARTS];

    for (size_t i = 0; i < r->n_parts; i++) {
        pieces[i] = (struct MHD_IoVec){r->part[i].bytes, r->part[i].size};
    }
    return MHD_create_response_from_iovec(pieces, (unsigned)r->n_parts, NULL, NULL);
}

static struct MHD_Response *make_response(struct exchange *x)
{
    struct reply *r = &x->reply;

    if (r->n_parts > 0) {
        return response_from_parts(r);
    }
    if (r->more != NULL) {
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, REPLY_BLOCK, read_more, x, NULL);
    }
    return MHD_create_response_from_buffer(r->size, (void *)(uintptr_t)r->body, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result queue_reply(struct exchange *x)
{
    struct reply *r = &x->reply;
    struct MHD_Response *response;

    if (x->failure == LOSS_OK) {
        content_encode(&x->request, r, (size_t)x->http->server->conf->compress_from);
    }
    cors_add(&x->request, r, x->http->server->conf->cors_origin);
    if (!pace_move(x->pace, PACE_ANSWER) || (response = make_response(x)) == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, "Server", HTTP_SERVER_NAME);
    MHD_add_response_header(response, "X-Request-Id", x->request.request_id);
    if (x->request.traceparent != NULL) {
        MHD_add_response_header(response, "traceparent", x->request.traceparent);
    }
    if (r->content_type != NULL) {
        MHD_add_response_header(response, "Content-Type", r->content_type);
    }
    for (size_t i = 0; i < r->n_headers; i++) {
        MHD_add_response_header(response, r->header[i].name, r->header[i].value);
    }
    if (atomic_load_explicit(&x->http->server->draining, memory_order_relaxed)) {
        MHD_add_response_header(response, "Connection", "close");
    }
    enum MHD_Result queued = MHD_queue_response(x->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    x->phase = PHASE_QUEUED;
    return queued;
}

/* Answer in the callback for the head: the body stays unread, the connection closes behind the answer. */
static enum MHD_Result queue_reply_and_close(struct exchange *x)
{
    x->linger = x->has_body;
    return queue_reply(x);
}

/* Answer in the middle of a body. MHD_NO makes libmicrohttpd close its side. */
static enum MHD_Result send_reply_and_close(struct exchange *x)
{
    cors_add(&x->request, &x->reply, x->http->server->conf->cors_origin);
    if (pace_move(x->pace, PACE_ANSWER)) {
        late_reply_send(x->client, &x->request, &x->reply, MHD_get_reason_phrase_for((unsigned)x->reply.status));
    }
    x->phase = PHASE_QUEUED;
    x->linger = true;
    return MHD_NO;
}

/* --- the head --- */

/* Of this version it is known how it leaves a head behind; later ones refuse what this one does not see. */
static bool leaves_heads_in_place(void)
{
    return strcmp(MHD_get_version(), "0.9.75") == 0;
}

static loss_status check_framing(struct exchange *x, const char *version, struct loss_error *err)
{
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct framing f = {.old = strcmp(version, "HTTP/1.0") == 0, .bytes = size != NULL ? size->header_size : 0};

    if (size != NULL && leaves_heads_in_place()) {
        framing_bytes(&f, &(struct framing_bytes){.method = x->request.method,
                                                  .target = x->target_place,
                                                  .target_size = strlen(x->request.target),
                                                  .version = version,
                                                  .size = f.bytes});
    }
    fields_frame(&x->fields, &f);
    x->head_size = f.bytes;
    x->has_length = f.length != NULL;
    x->length = framing_length(&f);
    x->request.has_announced = x->has_length;
    x->request.announced = (size_t)x->length;
    x->has_body = f.coding != NULL || x->length > 0;
    return framing_check(&f, x->http->server->conf, err);
}

/* Work is refused during a drain; asking after the server itself is not. */
static bool is_work(const struct route *route)
{
    return route != NULL && (route->start != NEXT_HERE || route->body != BODY_NONE);
}

static void begin_fingerprint(struct exchange *x)
{
    const struct request *q = &x->request;
    const char *const parts[] = {q->method, q->target, q->content_type};

    sha256_init(&x->fingerprint);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        sha256_update(&x->fingerprint, strlen(parts[i]) + 1, (const uint8_t *)parts[i]);
    }
}

static void leave_place(struct exchange *x)
{
    executor_leave(x->http->server->compute, x->kept);
    x->kept = EXECUTOR_NO_PLACE;
}

static loss_status accept_head(struct exchange *x, struct loss_error *err)
{
    struct request *q = &x->request;

    LOSS_TRY(head_read(q, err));
    if (atomic_load(&x->http->refusing) && is_work(q->route)) {
        return loss_fail(err, LOSS_SHUTTING_DOWN, "", "the server is shutting down and takes no new work");
    }
    LOSS_TRY(body_check_length(q, x->length, err));
    LOSS_TRY(place_take(q, place_size(q, x->length), &x->kept, err)); /* before anything is made for reading it */
    if (q->idempotency_key != NULL) {
        begin_fingerprint(x);
    }
    LOSS_TRY(q->route != NULL && q->route->begin != NULL ? q->route->begin(q, err) : LOSS_OK);
    return body_begin(&x->body, q, x->has_length, err);
}

/* The reply is a failure that came before the end of the body. */
static void refuse(struct exchange *x)
{
    set_problem(x);
    leave_place(x);
    x->phase = PHASE_REFUSED;
    x->refused_at = machine_clock();
}

/* Is dropping what is left of the body not worth the while? */
static bool too_much_left(const struct exchange *x)
{
    uint64_t left = x->has_length && x->length > x->request.body_size ? x->length - x->request.body_size : 0;
    return left > LINGER_BYTES || x->dropped > LINGER_BYTES || machine_clock() - x->refused_at > LINGER_US;
}

/* Where a body is to come its pace counts from now on. False: the head was too late. */
static bool begin_pace(struct exchange *x)
{
    if (!x->has_body) {
        return pace_move(x->pace, PACE_WORK);
    }
    size_t n = strnlen(x->request.request_id, sizeof x->pace->id - 1);
    memcpy(x->pace->id, x->request.request_id, n);
    x->pace->id[n] = '\0';
    x->pace->oip = target_is_oip(x->request.target);
    return pace_move(x->pace, PACE_BODY);
}

static enum MHD_Result take_head(struct exchange *x, const char *method, const char *version)
{
    struct request *q = &x->request;
    bool broken;

    q->method = method;
    q->times.begun = machine_clock();
    atomic_store_explicit(&x->peeked, q->times.begun, memory_order_relaxed);
    fields_keep(&x->fields, x->connection);
    if (!head_identify(q)) {
        return MHD_NO;
    }
    metrics_begin(x->http->server->metrics);
    x->counted = true;
    broken = check_framing(x, version, &x->error) != LOSS_OK;
    if (!begin_pace(x)) {
        return MHD_NO;
    }
    if (broken || accept_head(x, &x->error) != LOSS_OK) {
        refuse(x);
        const char *expect = request_header(q, "Expect");
        if (x->has_body && x->error.status == LOSS_OVERLOADED && expect == NULL) {
            return send_reply_and_close(x);
        }
        if (broken || (x->has_body && (expect != NULL || too_much_left(x)))) {
            return queue_reply_and_close(x);
        }
        return MHD_YES;
    }
    x->phase = PHASE_BODY;
    return MHD_YES;
}

/* --- the body --- */

static loss_status deadline_passed(struct loss_error *err)
{
    return loss_fail(err, LOSS_DEADLINE_EXCEEDED, "", "the deadline that X-Request-Timeout-Ms set has passed");
}

/* Each chunk costs a call, however small it is; libmicrohttpd gives a large one in several pieces, as it arrives. */
static loss_status check_chunks(struct exchange *x, size_t n, struct loss_error *err)
{
    long long most = x->http->server->conf->max_chunks;

    x->pieces++;
    x->small_pieces += n < SMALL_CHUNK;
    if (x->small_pieces > (uint64_t)most) {
        return loss_fail(err, LOSS_BAD_REQUEST, "",
                         "a body may have %lld chunks below %d bytes; the server's option --max-chunks sets the limit",
                         most, SMALL_CHUNK);
    }
    if (x->pieces > FREE_CHUNKS && (x->request.body_size + n) / SMALL_CHUNK < x->pieces) {
        return loss_fail(err, LOSS_BAD_REQUEST, "", "beyond %d chunks a body has at least %d bytes a chunk on average",
                         FREE_CHUNKS, SMALL_CHUNK);
    }
    return LOSS_OK;
}

static loss_status accept_piece(struct exchange *x, const char *bytes, size_t n, struct loss_error *err)
{
    struct request *q = &x->request;

    if (!x->has_length) {
        LOSS_TRY(check_chunks(x, n, err));
    }
    if (q->deadline != 0 && machine_clock() >= q->deadline) {
        return deadline_passed(err);
    }
    if (q->idempotency_key != NULL) {
        sha256_update(&x->fingerprint, n, (const uint8_t *)bytes);
    }
    if (!q->has_announced) { /* the head did not tell how large it is */
        LOSS_TRY(place_take(q, q->content_size, &x->kept, err));
    }
    return body_feed(&x->body, bytes, n, err);
}

static enum MHD_Result take_piece(struct exchange *x, const char *bytes, size_t *n)
{
    size_t size = *n;

    *n = 0; /* all of it is taken */
    if (x->phase == PHASE_REFUSED) {
        x->dropped += size;
    } else if (accept_piece(x, bytes, size, &x->error) != LOSS_OK) {
        refuse(x);
    }
    x->request.body_size += size;
    if (x->phase == PHASE_REFUSED && (too_much_left(x) || x->error.status == LOSS_OVERLOADED)) {
        return send_reply_and_close(x);
    }
    return MHD_YES;
}

/* --- steps --- */

static loss_status check_wanted(struct exchange *x, request_next place, struct loss_error *err)
{
    if (place == NEXT_HERE || x->stored || !request_cancelled(&x->request)) {
        return LOSS_OK;
    }
    return deadline_passed(err);
}

/* Run the route's steps that belong on this thread. */
static void run_steps(struct exchange *x, request_next place)
{
    struct request *q = &x->request;

    while (q->next == place) {
        loss_status status = check_wanted(x, place, &x->error);
        if (status == LOSS_OK) {
            x->stored |= place == NEXT_STORE;
            status = q->route->step(q, &x->reply, &x->error);
        }
        if (status == LOSS_DEADLINE_EXCEEDED && atomic_load(&x->http->abandoned)) {
            x->error = (struct loss_error){.status = LOSS_OK};
            status = loss_fail(&x->error, LOSS_SHUTTING_DOWN, "", "the server shut down before the call was done");
        }
        if (status != LOSS_OK) {
            set_problem(x);
            q->next = NEXT_DONE;
        }
    }
}

static void set_overloaded(struct exchange *x)
{
    place_overloaded(&x->error);
    set_problem(x);
    x->request.next = NEXT_DONE;
}

static void work(void *arg);
static void pass_on(void *arg);

static bool submit(struct exchange *x)
{
    const struct server *server = x->http->server;
    size_t used = loss_arena_used(x->request.arena);
    executor_place kept = x->kept;

    if (x->request.next == NEXT_STORE) {
        return executor_submit(server->store, work, pass_on, x, used, EXECUTOR_NO_PLACE);
    }
    x->kept = EXECUTOR_NO_PLACE; /* before: afterwards it is another thread's */
    return executor_submit(server->compute, work, pass_on, x, used, kept);
}

/* On an executor: run what belongs there. */
static void work(void *arg)
{
    struct exchange *x = arg;

    x->place = x->request.next;
    run_steps(x, x->request.next);
}

/* What a request was told of a commit that failed then is not true. */
static void take_back(struct exchange *x)
{
    memset(&x->reply, 0, sizeof x->reply);
    x->error = x->http->server->commit;
    set_problem(x);
    x->request.next = NEXT_DONE;
}

/* On an executor: the work is done, and committed. After that the exchange may be gone. */
static void pass_on(void *arg)
{
    struct exchange *x = arg;
    struct http *http = x->http;
    struct MHD_Connection *connection = x->connection;

    if (x->place == NEXT_STORE && http->server->commit.status != LOSS_OK) {
        take_back(x);
    }
    if (x->request.next == NEXT_COMPUTE || x->request.next == NEXT_STORE) {
        if (submit(x)) {
            return;
        }
        set_overloaded(x);
    }
    MHD_resume_connection(connection);
    atomic_fetch_sub(&http->suspended, 1);
}

static bool unwanted(void *arg)
{
    const struct exchange *x = arg;
    return request_cancelled((void *)(uintptr_t)&x->request);
}

/* On the pace thread: calls that wait behind others are told of their deadline when it passes, and give up their place. */
static void end_unwanted(void *arg)
{
    const struct http *http = arg;
    executor_sweep(http->server->compute, work, unwanted);
}

/* Suspended first: the executor may be done with it before submit has returned. */
static enum MHD_Result hand_over(struct exchange *x)
{
    struct http *http = x->http;
    struct MHD_Connection *connection = x->connection;

    atomic_fetch_add(&http->suspended, 1);
    MHD_suspend_connection(connection);
    if (!submit(x)) {
        set_overloaded(x);
        MHD_resume_connection(connection);
        atomic_fetch_sub(&http->suspended, 1);
    }
    return MHD_YES;
}

static void answer_options(struct exchange *x)
{
    const char *allow = routes_allow(&x->request);

    if (allow == NULL) {
        loss_no_memory(&x->error, "an answer");
        set_problem(x);
        return;
    }
    x->reply.status = 204;
    reply_header(&x->reply, "Allow", allow);
}

/* What is left to do at the end of a large body takes milliseconds, which small calls on this thread would wait. */
static request_next first_place(const struct request *q)
{
    bool large = q->route->body == BODY_STREAM && q->content_size > PLACE_LARGE_BODY;
    return large && q->route->start == NEXT_HERE ? NEXT_COMPUTE : q->route->start;
}

static void end_body(struct exchange *x)
{
    struct request *q = &x->request;

    if (q->times.fed == 0 || !x->has_length) { /* the end of a chunked body may come later than its last piece */
        q->times.fed = machine_clock();
    }
    if (x->has_body) {
        q->times.read = q->times.fed - q->times.begun - q->times.decode;
    }
    if (q->idempotency_key != NULL) {
        sha256_digest(&x->fingerprint, sizeof q->fingerprint, q->fingerprint);
    }
    x->phase = PHASE_STEPS;
    if (body_end(&x->body, &x->error) != LOSS_OK) {
        set_problem(x);
        q->next = NEXT_DONE;
    } else if (q->route != NULL) {
        q->next = first_place(q);
    } else {
        answer_options(x);
        q->next = NEXT_DONE;
    }
}

/* The body is there, or the request is back from an executor. */
static enum MHD_Result take_end(struct exchange *x)
{
    if (x->phase == PHASE_BODY) {
        if (x->has_body && !pace_move(x->pace, PACE_WORK)) {
            return MHD_NO;
        }
        end_body(x);
    }
    if (x->phase == PHASE_STEPS) {
        run_steps(x, NEXT_HERE);
        if (x->request.next != NEXT_DONE) {
            return hand_over(x);
        }
        x->phase = PHASE_REPLY;
    }
    return queue_reply(x);
}

/* --- libmicrohttpd --- */

static struct loss_arena *begin_arena(struct client *client, struct loss_budget *budget)
{
    struct loss_arena *spare = client->own->spare;

    client->own->spare = NULL;
    return spare != NULL ? spare : loss_arena_new(budget->limit, budget);
}

static void end_arena(struct client *client, struct loss_arena *arena)
{
    if (client->own->spare != NULL) {
        loss_arena_free(arena);
        return;
    }
    loss_arena_reset(arena);
    client->own->spare = arena;
}

/* What stands for a request that there is no memory for. */
static char no_memory;

/* The target as it was sent. What is returned here comes back in the other callbacks; the call is followed by
 * request_completed, but not where libmicrohttpd runs out of memory of its own for the head. */
static void *request_begun(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct http *http = cls;
    struct client *client = client_of(connection);
    struct loss_budget *budget = &http->server->budget;
    struct loss_arena *arena = client != NULL ? begin_arena(client, budget) : NULL;
    struct exchange *x = arena != NULL ? loss_arena_alloc(arena, sizeof *x, _Alignof(struct exchange)) : NULL;
    const char *copy = x != NULL ? loss_arena_copy(arena, target, strlen(target)) : NULL;
    char *query = strchr(target, '?');

    if (query != NULL) {
        query[1] = '\0'; /* uri.c reads the copy; libmicrohttpd is lost when its own reading runs out of memory */
    }
    if (copy == NULL) {
        loss_arena_free(arena);
        return &no_memory;
    }
    memset(x, 0, offsetof(struct exchange, error));
    x->error.status = LOSS_OK;
    x->error.pointer[0] = x->error.parameter[0] = x->error.message[0] = '\0';
    x->fields.n = 0;
    x->http = http;
    x->connection = connection;
    x->client = client;
    x->pace = &client->pace;
    (void)pace_move(x->pace, PACE_HEAD); /* where it is late, the head is not waited for */
    x->request.arena = arena;
    x->request.server = http->server;
    x->request.target = copy;
    x->target_place = target;
    if (http->server->auth != NULL) {
        auth_hold(http->server->auth, &client->keys);
        x->request.keys = client->keys;
    }
    client->current = x;
    return x;
}

static enum MHD_Result answer_without_memory(struct MHD_Connection *connection)
{
    static char body[] = "{\"type\":\"/problems/overloaded\",\"title\":\"The server has too much to do\","
                         "\"status\":503,\"detail\":\"no memory for another request now\","
                         "\"code\":\"overloaded\"}";
    const char *id = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Request-Id");
    struct MHD_Response *response = MHD_create_response_from_buffer(sizeof body - 1, body, MHD_RESPMEM_PERSISTENT);

    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "application/problem+json");
    MHD_add_response_header(response, "Retry-After", "1");
    if (id != NULL) {
        MHD_add_response_header(response, "X-Request-Id", id);
    }
    enum MHD_Result queued = MHD_queue_response(connection, 503, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result request_handle(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                      const char *version, const char *bytes, size_t *n, void **context)
{
    (void)cls;
    (void)url;
    if (*context == &no_memory) {
        return answer_without_memory(connection);
    }
    struct exchange *x = *context;
    if (x->phase == PHASE_HEAD) {
        return take_head(x, method, version);
    }
    return *n > 0 ? take_piece(x, bytes, n) : take_end(x);
}

static void linger_on(struct http *http, struct MHD_Connection *connection)
{
    struct client *client = client_of(connection);
    int fd = client != NULL ? client_dup(client) : -1;
    if (fd >= 0) {
        linger_take(http->linger, fd);
    }
}

static void account(struct exchange *x, bool complete)
{
    const struct request *q = &x->request;
    bool late = pace_late(x->pace) && x->phase <= PHASE_REFUSED;
    bool gone = !late && (atomic_load(&x->gone) || (!complete && !x->linger));
    int64_t total = machine_clock() - q->times.begun;
    bool body = strcmp(q->method, "HEAD") != 0;
    uint64_t bytes_out = x->reply.more != NULL ? x->sent : body ? x->reply.size : 0;
    struct log_request line = {.request = q,
                               .status = late   ? loss_status_http(LOSS_REQUEST_TIMEOUT)
                                         : gone ? 0
                                                : x->reply.status,
                               .code = late                    ? loss_status_slug(LOSS_REQUEST_TIMEOUT)
                                       : gone                  ? "client_gone"
                                       : x->failure != LOSS_OK ? loss_status_slug(x->failure)
                                                               : NULL,
                               .bytes_out = gone ? x->sent : bytes_out,
                               .total_us = total};

    metrics_end(x->http->server->metrics, q, line.status, line.bytes_out, total);
    log_request(&line);
}

static void request_completed(void *cls, struct MHD_Connection *connection, void **context,
                              enum MHD_RequestTerminationCode code)
{
    struct http *http = cls;
    struct exchange *x = *context;

    *context = NULL;
    if (x == NULL) {
        return;
    }
    if ((void *)x == &no_memory) {
        linger_on(http, connection);
        return;
    }
    if (x->linger || pace_late(x->pace)) {
        linger_on(http, connection);
    }
    if (x->counted) {
        account(x, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    }
    bool counted = x->head_size > 0 && (x->has_length || !x->has_body);
    pace_took(x->pace, counted ? x->head_size + x->request.body_size : PACE_UNCOUNTED);
    (void)pace_move(x->pace, PACE_IDLE);
    leave_place(x);
    x->client->current = NULL;
    end_arena(x->client, x->request.arena);
}

static void connection_changed(void *cls, struct worker_own *own, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode code)
{
    struct http *http = cls;
    struct client *client = *context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        client = *context = client_new(connection, http->server->tls, http->handshakes);
        if (client != NULL) {
            client->own = own;
            hangup_add(http->hangup, client->fd);
            pace_add(http->pace, &client->pace, client->fd);
        }
        return;
    }
    if (client == NULL) {
        return;
    }
    hangup_remove(http->hangup, client->fd);
    if (client->current != NULL) {
        if (pace_late(&client->pace) && client->session == NULL) { /* a TLS session is gone by now */
            linger_on(http, connection);
        }
        end_arena(client, client->current->request.arena);
    }
    pace_remove(http->pace, &client->pace);
    client_free(client);
}

/* --- life --- */

struct http *http_start(struct server *server, int listen_fd)
{
    struct http *h = calloc(1, sizeof *h);
    const struct worker_calls calls = {.begun = request_begun,
                                       .handle = request_handle,
                                       .completed = request_completed,
                                       .changed = connection_changed,
                                       .arg = h};

    if (h == NULL) {
        goto out;
    }
    h->server = server;
    h->linger = linger_new();
    h->hangup = hangup_new();
    h->pace = pace_new(server->conf, server->metrics, end_unwanted, h);
    h->handshakes = server->tls != NULL ? handshakes_new() : NULL;
    if (h->linger == NULL || h->hangup == NULL || h->pace == NULL || (server->tls != NULL && h->handshakes == NULL)) {
        goto out;
    }
    h->workers = workers_start(server->conf, listen_fd, &calls);
    if (h->workers == NULL) {
        http_stop(h);
        return NULL;
    }
    return h;
out:
    close(listen_fd);
    http_stop(h);
    return NULL;
}

void http_refuse(struct http *h)
{
    atomic_store(&h->refusing, true);
    workers_refuse(h->workers);
}

void http_abandon(struct http *h)
{
    atomic_store(&h->abandoned, true);
}

size_t http_suspended(const struct http *h)
{
    return atomic_load(&h->suspended);
}

void http_stop(struct http *h)
{
    if (h == NULL) {
        return;
    }
    handshakes_stop(h->handshakes);
    workers_stop(h->workers);
    handshakes_free(h->handshakes);
    pace_free(h->pace);
    hangup_free(h->hangup);
    linger_free(h->linger);
    free(h);
}
