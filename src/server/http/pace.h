/* SPDX-License-Identifier: Apache-2.0
 *
 * pace.h - how long a client may take: for a head, for a body, to read its answer, between requests.
 *
 * libmicrohttpd's timeout counts only the time without a byte, so a client that sends one now and then holds its
 * connection for ever. Here each connection says what it is doing in one word, which one thread looks at a few times a
 * second. Only where it could be late the kernel is asked how many bytes have moved; so a request that keeps up pays for
 * a few atomic instructions. Nobody is late while the server itself has not yet read what has come, or has nothing to
 * send.
 *
 * Who is late has the connection ended from outside: the socket is shut down, which wakes libmicrohttpd.
 */
#ifndef SERVER_PACE_H
#define SERVER_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <netinet/in.h>

#include <server/conf.h>

typedef enum {
    PACE_NEW,    /* no request yet, or within the first one's first line */
    PACE_IDLE,   /* the same between requests */
    PACE_HEAD,   /* the first line is there */
    PACE_BODY,   /* the head is there, and a body comes */
    PACE_WORK,   /* the server's turn: no deadline */
    PACE_ANSWER, /* the client reads */
    PACE_LATE,   /* ended: whatever is done on this connection is for nobody */
} pace_phase;

#define PACE_N_PHASES PACE_LATE
#define PACE_ID_MAX 129
#define PACE_UNCOUNTED UINT64_MAX

/* Of one connection, inside what its owner has for it; zeroed at first. */
struct pace {
    atomic_int_fast64_t state;  /* milliseconds since when, and the phase in the lowest bits */
    char id[PACE_ID_MAX];       /* of the request, for who sends a body; set before PACE_BODY */
    atomic_uint_fast64_t taken; /* bytes of the requests so far, at most; PACE_UNCOUNTED: some were not counted */
    bool oip, encrypted;        /* how to say that it is late: set before PACE_BODY, and at the beginning */
    /* The watching thread's own: */
    struct pace *prev, *next;
    int fd;
    struct in6_addr from; /* where connections from one address are counted */
    int64_t seen;         /* the state that the figures below belong to */
    int64_t look_at;      /* when to look again */
    int64_t window;       /* since when bytes are counted */
    uint64_t moved;       /* bytes then */
    int64_t line_begun;   /* when the first bytes of a request line were seen; 0: not yet */
    bool counted;         /* `moved` is known */
};

struct pace_watch;
struct metrics;

/* The watching thread calls each_round(arg) a few times a second while there are connections: for others who look at what is late.
 * NULL: no memory or thread. */
struct pace_watch *pace_new(const struct conf *conf, struct metrics *metrics, void (*each_round)(void *arg), void *arg);
/* From accept to right before close. One too many from an address is ended at once. Any thread. */
void pace_add(struct pace_watch *w, struct pace *p, int fd);
void pace_remove(struct pace_watch *w, struct pace *p);
/* The connection's thread: go on to that phase. False: it was late, and has been ended. */
bool pace_move(struct pace *p, pace_phase to);
/* The same, before PACE_IDLE: the request had so many bytes; PACE_UNCOUNTED: we do not know. */
void pace_took(struct pace *p, uint64_t bytes);
bool pace_late(const struct pace *p);
void pace_free(struct pace_watch *w); /* NULL is fine */

#endif
