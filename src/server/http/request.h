/* SPDX-License-Identifier: Apache-2.0
 *
 * request.h - a request and its reply, as routes, formats and the checks of access see them.
 *
 * A request is matched against the route table (routes.h) when its head is there. Its body goes piece by piece to
 * the route's feed, or is collected for it. Then the route's step runs, on the thread that request->next names,
 * until it says NEXT_DONE: small work on the HTTP thread, large work on the compute executor, whatever may block on
 * the store on the store executor. One thread at a time has a request; the rest of its life it is in a queue.
 */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <loss/arena.h>
#include <loss/catalog.h>
#include <loss/error.h>
#include <server/coding/coding.h>

#define HTTP_SERVER_NAME "lossd/" LOSSD_VERSION

struct server;
struct route;
struct registry;
struct auth_key;
struct auth_table;

typedef enum { NEXT_HERE, NEXT_COMPUTE, NEXT_STORE, NEXT_DONE } request_next;

struct query_field {
    const char *name, *value; /* percent-decoded, UTF-8 checked, no NUL inside */
};

/* Where a request's time went, microseconds; log.c and metrics.c read it. */
struct request_times {
    int64_t begun, read, decode, compute, store, encode; /* begun: monotonic clock at the head; the others: durations */
    int64_t fed; /* when the last piece of the body was read, and the body ended: a reading of the clock for two */
};

struct reply_header {
    const char *name, *value;
};

/* Bytes that are sent from where they lie: they live as long as the request. */
struct reply_part {
    const void *bytes;
    size_t size;
};

#define REPLY_MAX_PARTS 32
#define REPLY_LEAST_ROOM 64

struct reply {
    int status;
    const char *content_type;
    const char *body; /* in the request's arena */
    size_t size;
    /* Or, instead of body, several pieces, at most REPLY_MAX_PARTS; `size` is their sum. */
    const struct reply_part *part;
    size_t n_parts;
    /* Or a reply that is printed as the socket drains: write at most `max` bytes (max >= REPLY_LEAST_ROOM) into buf; the number
     * written, 0 at the end. Called from the HTTP thread. */
    size_t (*more)(void *state, char *buf, size_t max);
    void *state;
    struct reply_header header[12];
    size_t n_headers;
};

struct request {
    struct loss_arena *arena; /* lives until the reply is sent */
    struct server *server;
    struct auth_table *keys;    /* those that count for this request; NULL: there are none */
    const struct auth_key *key; /* the client's; NULL: it needs none */
    struct registry *registry;  /* the namespace that it works in; NULL where the route is open to everybody */
    unsigned retry_after;       /* seconds, for a 429; 0: 1 */
    const struct route *route;
    const char *method;
    const char *target;         /* as it was sent */
    const char *const *segment; /* the path's parts, percent-decoded */
    size_t n_segments;
    const struct query_field *query;
    size_t n_query;
    const char *content_type;    /* "" where there is none */
    const char *idempotency_key; /* NULL where there is none */
    const char *request_id;
    const char *traceparent;       /* NULL where there is none */
    const char *body;              /* collected, for BODY_SMALL */
    size_t content_size;           /* bytes of it so far, decompressed, also where it was fed */
    size_t body_size;              /* bytes of body so far, as sent */
    bool has_announced;            /* the bytes that will be fed are told before: `announced` */
    size_t announced;              /* by Content-Length, where the body is not coded; else 0 */
    content_coding coding;         /* of the body */
    content_coding answer_coding;  /* what the client likes best for the answer */
    bool refuses_plain;            /* ... and it takes no other: not one without a coding */
    unsigned char fingerprint[32]; /* of method, target, content type and body; set where there is an idempotency key */
    int64_t deadline;              /* monotonic microseconds; 0: none */
    request_next next;
    void *state; /* the route's */
    struct request_times times;
    const struct loss_desc *loss; /* for log and metrics; NULL: none */
    uint64_t rows;                /* for metrics */
};

/* The value of a query field, or NULL. */
const char *request_query(const struct request *q, const char *name);
/* The value of any header of the request (first one), or NULL. On the HTTP thread only. */
const char *request_header(const struct request *q, const char *name);
/* All values of a header whose fields are lists, joined by commas, or NULL: none, or no memory. Likewise. */
const char *request_list(const struct request *q, const char *name);
/* True once the client has left or the deadline has passed. Any thread. */
bool request_cancelled(void *q);

void reply_header(struct reply *r, const char *name,
                  const char *value); /* both outlive the reply; beyond 12 they are dropped */
/* Is this a path of the Open Inference Protocol, known or not? Its errors have another form. */
bool target_is_oip(const char *target);
/* A problem document (RFC 9457) for *err; never fails. Adds Allow, Retry-After and the like as the status wants. */
void reply_problem(struct request *q, struct reply *r, const struct loss_error *err);

#endif
