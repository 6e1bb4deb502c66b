/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_base.h - what the Redis store is made of: its URL, its connections, its commands, and how entries are written.
 *
 * Every change is one Lua script (lua/), which Redis runs as a whole: nothing is read in one call to be written in
 * another, and nothing is locked. So any number of servers may share one Redis. Connections are kept in a pool; a
 * command takes one for as long as it lasts. hiredis.h has its only home here.
 */
#ifndef REGISTRY_REDIS_BASE_H
#define REGISTRY_REDIS_BASE_H

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>

#include <registry/store.h>

/* --- redis_url.c: redis://[user:password@]host[:port][/db] --- */

struct redis_url {
    char *text; /* holds the strings */
    const char *host;
    const char *user, *password; /* NULL: none */
    int port, db;
};

/* err  LOSS_INVALID_PARAMETER: what is wrong, never with the password; LOSS_OVERLOADED */
loss_status redis_url_read(const char *url, struct redis_url *out, struct loss_error *err);
void redis_url_fini(struct redis_url *url);

/* --- lua/, as generated C --- */

enum redis_script_id {
    REDIS_ADD,
    REDIS_SCAN,
    REDIS_REMOVE,
    REDIS_INFO,
    REDIS_PUT,
    REDIS_DROP,
    REDIS_STAGE,
    REDIS_STAGE_ENTRIES,
    REDIS_STAGE_KEY,
    REDIS_PLACE,
    REDIS_UNSTAGE,
    N_REDIS_SCRIPTS
};

struct redis_script {
    const char *sha; /* SHA-1 of the text, by which Redis knows it */
    const char *text;
    size_t size;
};

extern const struct redis_script redis_scripts[N_REDIS_SCRIPTS];

/* --- the store, and redis_pool.c: its connections --- */

#define REDIS_INDEX "lossd:registries" /* names, in byte order */
#define REDIS_ORDERS "lossd:orders"    /* how many entries were ever added */
#define REDIS_KEYS "lossd:key:"        /* begins the name of an idempotency key in Redis */

/* What registry_restore_begin began. */
struct redis_import {
    bool open;
    bool failed;          /* a part of it did */
    char prefix[64];      /* of all its keys, until they are put in place */
    int64_t begun;        /* registries that it was given, each numbered */
    int64_t n_registries; /* that it has aside, and keys */
    int64_t n_keys;
};

struct redis_store {
    struct store base;
    struct redis_url url;
    struct timeval connect_timeout, command_timeout;
    void (*warn)(void *arg, const char *message);
    void *warn_arg;
    atomic_bool refused;        /* the last change was, by Redis: ready tries one before it says yes */
    struct redis_import import; /* of the one thread that imports */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    redisContext **idle;
    size_t n_idle, n_open, max_open;
    bool known;        /* what is behind the address was looked at, and is as it should be */
    bool trying;       /* while it is away: somebody tries to reach it */
    unsigned failures; /* in a row to connect; 0: not away */
    int64_t until;     /* while it is away, nobody tries before (monotonic, microseconds) */
    struct loss_error away;
};

static inline struct redis_store *redis_of(struct store *s)
{
    return (struct redis_store *)s;
}

/* A connection, greeted and ready, or a new one. At once LOSS_STORE_UNAVAILABLE while Redis is away and it is too early
 * to try again.
 * err  LOSS_STORE_UNAVAILABLE; LOSS_INVALID_PARAMETER where trying again cannot help (password, version) */
loss_status redis_take(struct redis_store *s, redisContext **out, struct loss_error *err);
void redis_give(struct redis_store *s, redisContext *c); /* back into the pool */
void redis_lose(struct redis_store *s, redisContext *c); /* it is broken */

/* redis_greet.c: log in, choose the database, and on the first connection see that Redis will do, and warn of what it
 * does not promise.
 * err  as redis_take */
loss_status redis_greet(struct redis_store *s, redisContext *c, bool look, struct loss_error *err);

/* --- redis_ask.c: commands and their answers --- */

/* A command as it goes over the wire. Zeroed is empty. */
struct redis_command {
    char *bytes; /* FRONT bytes of room, then the arguments */
    size_t size, capacity;
    int arguments;
    int script;  /* enum redis_script_id, or -1 */
    bool failed; /* no memory */
};

void redis_command_fini(struct redis_command *c);
/* Begin anew, with a plain command or a script of so many keys; then push what follows. */
void redis_begin(struct redis_command *c, const char *word);
void redis_begin_script(struct redis_command *c, enum redis_script_id script, int keys);
void redis_push(struct redis_command *c, const void *bytes, size_t n);
void redis_push_text(struct redis_command *c, const char *text);
void redis_push_number(struct redis_command *c, int64_t number);
/* The base key of a registry. */
void redis_push_base(struct redis_command *c, const char *registry);
/* An idempotency key's. */
void redis_push_key(struct redis_command *c, const char *key);

typedef enum {
    REDIS_READS,   /* may be asked again, if a connection breaks */
    REDIS_REPEATS, /* changes, but a repeat changes nothing more */
    REDIS_CHANGES  /* may not be asked again once it may have been heard */
} redis_kind;

/* Ask all and wait for all answers, which the caller frees (redis_free_answers) where it returns LOSS_OK; none is an
 * error then.
 * err  LOSS_STORE_UNAVAILABLE, LOSS_OVERLOADED */
loss_status redis_ask(struct redis_store *s, struct redis_command *commands, size_t n, redis_kind kind,
                      redisReply **answers, struct loss_error *err);
void redis_free_answers(redisReply **answers, size_t n);

/* A script's answer: its first word, and the rest by index. */
bool redis_says(const redisReply *answer, const char *word);
int64_t redis_number(const redisReply *answer, size_t i); /* 0 where it is not one */
loss_status redis_fail_odd(struct loss_error *err);       /* an answer that no script of ours gives */

/* --- redis_keys.c --- */

loss_status redis_keys(struct store *store, int64_t now, registry_visit_key visit, void *arg, struct loss_error *err);

/* --- redis_restore.c --- */

loss_status redis_restore_begin(struct store *store, struct loss_error *err);
loss_status redis_restore_end(struct store *store, int64_t now, bool keep, struct loss_error *err);
loss_status redis_restore(struct store *store, const struct registry_image *image, registry_taken taken, int64_t now,
                          struct loss_error *err);
loss_status redis_restore_key(struct store *store, const struct registry_kept_key *key, registry_taken taken,
                              int64_t now, struct loss_error *err);

/* --- redis_record.c: entries as they are kept --- */

/* Of a record all but the name: a head of fixed size before it, and a tail behind its end. */
#define REDIS_HEAD 25
void redis_push_head(struct redis_command *c, const struct registry_add *add, int64_t now);
void redis_push_tail(struct redis_command *c, const struct registry_add *add);
/* The record whole. */
void redis_push_record(struct redis_command *c, const struct registry_entry *e);
/* The tally with its time; empty for NULL. */
void redis_push_tally(struct redis_command *c, const struct registry_tally *tally, int64_t now);

/* The entry of order, record and tally, at `i` of the answer and behind it. Its strings are the answer's, e->tally is
 * `tally` or NULL.
 * err  LOSS_STORE_UNAVAILABLE: lossd did not write that */
loss_status redis_read_entry(const redisReply *answer, size_t i, struct registry_entry *e, struct registry_tally *tally,
                             struct loss_error *err);

#endif
