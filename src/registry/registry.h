/* SPDX-License-Identifier: Apache-2.0
 *
 * registry.h - named scalar losses that clients have stored: TensorFlow's loss collections, kept.
 *
 * A registry holds steps, a step holds entries in the order of adding, an entry is a named loss in a collection. The
 * rules (unique names, scopes, totals, paging, idempotency) are here; where entries are kept is a store behind
 * store.h. Any thread may call; a call may block on the store's disk or network.
 */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <loss/arena.h>
#include <loss/error.h>
#include <loss/sum.h>
#include <registry/tally.h>

#define REGISTRY_NAME_MAX 512
#define REGISTRY_STEP_MAX 9007199254740992 /* 2^53 */
#define REGISTRY_SPACE_MAX 64              /* bytes of a namespace's name */
#define REGISTRY_SPACE_DEFAULT "default"
#define REGISTRY_KEY_MAX 255        /* visible ASCII characters of an idempotency key */
#define REGISTRY_TTL_MAX 3155760000 /* seconds: a hundred years */
#define REGISTRY_STEP_LATEST (-1)
#define REGISTRY_STEP_ALL (-2)
#define REGISTRY_LOSSES "losses"
#define REGISTRY_REGULARIZATION "regularization_losses"

struct registry;

struct registry_options {
    const char *url;     /* "memory", "sqlite:PATH", "redis://..." */
    int64_t ttl_seconds; /* of registries that set none; 0: for ever */
    int64_t idempotency_seconds;
    int64_t (*now_us)(void *); /* microseconds since 1970; NULL: the system clock (tests set their own) */
    void *now_arg;
    /* For a store behind a network; 0: the fallback below. */
    size_t connections; /* at once */
    int64_t connect_seconds, command_seconds;
    void (*warn)(void *arg, const char *message); /* what its operator should know; any thread; NULL: nobody is told */
    void *warn_arg;
    bool read_only; /* beside a server that has the store open: writes nothing, makes nothing */
};

#define REGISTRY_CONNECTIONS 64
#define REGISTRY_CONNECT_SECONDS 1
#define REGISTRY_COMMAND_SECONDS 5

/* err  LOSS_STORE_UNAVAILABLE, LOSS_INVALID_PARAMETER (no such kind of store) */
loss_status registry_open(const struct registry_options *options, struct registry **out, struct loss_error *err);
void registry_close(struct registry *r); /* NULL is fine */
/* How many calls the store can serve at once: more threads only wait for each other. At least 1. */
size_t registry_width(const struct registry *r);
/* The store's URL for a log: without the password that may be in it. Returns buf. */
const char *registry_url_shown(const char *url, char *buf, size_t size);

/* A namespace: its registries and idempotency keys are apart from those of every other one, so that under the same names
 * neither can be read, changed, listed or told to be there. *out takes every call that is about registries, is closed
 * before `root`, and costs no more than its name. "default" is the namespace of `root` itself. Any other has its name in
 * front of all that it stores (store_prefix), so that files made without namespaces are the default one's.
 * The caller has checked the name. err  LOSS_OVERLOADED */
loss_status registry_space(const struct registry *root, const char *name, struct registry **out,
                           struct loss_error *err);
/* 1 to 64 ASCII letters, digits, '.', '_' and '-', the first a letter or digit. */
bool registry_is_space(const char *name);
/* LOSS_OK where the store takes writes; else the reason. For readiness. */
loss_status registry_ready(struct registry *r, struct loss_error *err);

/* What a repeat is recognised by. key NULL: no key. */
struct registry_key {
    const char *key;               /* Idempotency-Key */
    unsigned char fingerprint[32]; /* of method, target, content type and body */
};

struct registry_entry {
    const char *name, *collection;
    double loss;
    int64_t step;
    const char *dtype, *reduction;      /* "" where it was added by hand */
    int64_t added_at, updated_at;       /* microseconds since 1970; they differ where batches were merged */
    const struct registry_tally *tally; /* what accumulates; NULL: added plainly */
    uint64_t order;                     /* grows with adding, unique in the registry */
};

struct registry_add {
    const char *registry, *name, *collection;
    double loss;
    int64_t step;
    const char *dtype, *reduction;
    const struct registry_tally *tally; /* merge it into the entry of that name; NULL: add an entry */
    struct registry_key key;
};

/* Between these, what is added, changed and removed by this thread becomes durable together, at the end: each call
 * by itself still changes all or nothing, and reads see what went before. If the end fails, nothing of all that has
 * happened. A store that cannot group does each by itself.
 * err  LOSS_STORE_UNAVAILABLE */
void registry_group_begin(struct registry *r);
loss_status registry_group_end(struct registry *r, struct loss_error *err);
/* Before the end: let it fail with `why`, so that nothing has happened; where the store groups. */
void registry_group_cancel(struct registry *r, const struct loss_error *why);

/* A name of a registry or an entry: 1..512 bytes of UTF-8 without control characters.
 * err  LOSS_INVALID_NAME at `pointer` */
loss_status registry_check_name(const char *name, size_t n, const char *pointer, struct loss_error *err);

/* Add an entry; its name gets the first of _1, _2, … that is free where it is taken in that step. Creates the
 * registry. Strings of *out lie in `arena`. The same key and fingerprint again: *out is the first one's, nothing is
 * added. With a tally the entry of that very name takes the batch in, and is made where there is none.
 * The caller has checked the names and the step.
 * err  LOSS_IDEMPOTENCY_CONFLICT, LOSS_ACCUMULATE_CONFLICT (the entry is a plain one, or of something else), LOSS_INVALID_PARAMETER (no key at all), LOSS_INVALID_NAME (no room for the suffix),
 *      LOSS_STORE_UNAVAILABLE, LOSS_OVERLOADED */
loss_status registry_add(struct registry *r, const struct registry_add *add, struct loss_arena *arena,
                         struct registry_entry *out, struct loss_error *err);

/* Several at once, all or none, under one key (key->key NULL: no key; those inside of `adds` are not read). A repeat
 * fills `out` as the first did: same key and fingerprint mean the same `n`. */
loss_status registry_add_all(struct registry *r, const struct registry_add *adds, size_t n,
                             const struct registry_key *key, struct loss_arena *arena, struct registry_entry *out,
                             struct loss_error *err);

struct registry_query {
    const char *registry;
    const char *collection; /* NULL: every one */
    const char
        *scope; /* NULL: all; else a regular expression, matched as re.match does, against name and name/value:0 */
    const char *name;   /* NULL: all; else exactly this name */
    int64_t step;       /* or REGISTRY_STEP_LATEST, REGISTRY_STEP_ALL */
    size_t limit;       /* 0: no limit */
    const char *cursor; /* NULL: from the start; else what next_cursor said */
};

struct registry_page {
    struct registry_entry *entries;
    size_t count;
    const char *next_cursor; /* NULL: that was all */
};

/* err  LOSS_UNKNOWN_REGISTRY, LOSS_INVALID_SCOPE, LOSS_INVALID_PARAMETER (cursor), LOSS_STORE_UNAVAILABLE */
loss_status registry_list(struct registry *r, const struct registry_query *query, struct loss_arena *arena,
                          struct registry_page *page, struct loss_error *err);

/* The exact sum of the entries' values in `losses` and/or `regularization_losses`, under scope and step. */
loss_status registry_total(struct registry *r, const struct registry_query *query, bool losses, bool regularization,
                           double *total, uint64_t *count, struct loss_error *err);

struct registry_info {
    const char *registry;
    uint64_t entries, steps;
    int64_t latest_step; /* -1: no entry */
    int64_t updated_at;  /* microseconds since 1970 */
    int64_t ttl_seconds; /* 0: the server's default */
};

loss_status registry_info_get(struct registry *r, const char *registry, struct loss_arena *arena,
                              struct registry_info *out, struct loss_error *err);
/* All registries by name, paged by limit and cursor. */
loss_status registry_info_list(struct registry *r, size_t limit, const char *cursor, struct loss_arena *arena,
                               struct registry_info **out, size_t *count, const char **next_cursor,
                               struct loss_error *err);
/* Create it if it is not there, set its ttl (0: the server's default). */
loss_status registry_put(struct registry *r, const char *registry, int64_t ttl_seconds, struct loss_error *err);
/* Delete the whole registry (scope NULL and step REGISTRY_STEP_ALL), or the entries of that scope and step. */
loss_status registry_remove(struct registry *r, const char *registry, const char *scope, int64_t step,
                            uint64_t *removed, struct loss_error *err);
/* Forget registries and keys whose time has passed; called now and then. */
loss_status registry_expire(struct registry *r, struct loss_error *err);

/* --- registries on their way from one store to another --- */

/* Look at an entry; *more = false ends the walk. A failure ends it too and becomes the walk's. */
typedef loss_status (*registry_visit)(void *arg, const struct registry_entry *entry, bool *more,
                                      struct loss_error *err);
/* The next namespace behind `space` ("": the first) by name that has a registry, but for the default one; "" where there
 * are no more. */
loss_status registry_next_space(struct registry *root, char space[REGISTRY_SPACE_MAX + 1], struct loss_error *err);
/* All entries of a registry in the order of adding; what is shown lives until the visitor returns.
 * err  LOSS_UNKNOWN_REGISTRY, LOSS_STORE_UNAVAILABLE, the visitor's */
loss_status registry_walk(struct registry *r, const char *registry, registry_visit visit, void *arg,
                          struct loss_error *err);

/* An idempotency key that is remembered, and what a repeat is answered: the entries as they were then. */
struct registry_kept_key {
    struct registry_key key;
    int64_t created_at;
    const struct registry_entry *entries; /* their `order` says nothing */
    size_t n;
};
typedef loss_status (*registry_visit_key)(void *arg, const struct registry_kept_key *key, bool *more,
                                          struct loss_error *err);
/* All keys, oldest first.
 * err  LOSS_NOT_FOUND (this store cannot list them: memory), as registry_walk */
loss_status registry_walk_keys(struct registry *r, registry_visit_key visit, void *arg, struct loss_error *err);

/* What a restored registry or key does where one of its name is there. */
typedef enum {
    REGISTRY_REFUSE,
    REGISTRY_REPLACE, /* the old one goes, with all that is in it */
    REGISTRY_MERGE    /* entries go behind those that are there; the very same entry is left as it is */
} registry_taken;

/* Between these, what one thread restores is an import: it becomes visible together, at the end, or where something failed
 * or `why` is given not at all. Servers may share the store meanwhile, where it can be shared. One at a time.
 * err  LOSS_STORE_UNAVAILABLE, LOSS_OVERLOADED; at the end as registry_restore and registry_restore_key, for what came
 *      meanwhile */
loss_status registry_restore_begin(struct registry *r, struct loss_error *err);
loss_status registry_restore_end(struct registry *r, const struct loss_error *why, struct loss_error *err);

/* The next entry of what is restored, in the order of adding; *entry NULL: that was all. It lives until the next is asked
 * for. One without a tally has one time. */
typedef loss_status (*registry_next)(void *arg, const struct registry_entry **entry, struct loss_error *err);
/* A store may take entries in together: the failure that comes is about that one, counted from zero. */
typedef void (*registry_blame)(void *arg, uint64_t entry);
struct registry_image {
    const char *registry;
    int64_t ttl_seconds; /* 0: the server's default */
    int64_t updated_at;
    registry_next next;
    registry_blame blame; /* NULL: nobody asks */
    void *arg;            /* of both */
};

/* Make a registry as it was, every entry under its own name with its own times, whole or not at all. Only orders are
 * new. Names and steps were checked. Merging keeps the ttl that is there, and the later updated_at.
 * err  LOSS_INVALID_NAME (the registry, or a name in it, is taken), LOSS_STORE_UNAVAILABLE, LOSS_OVERLOADED,
 *      LOSS_NOT_FOUND (this store cannot), what `next` returns */
loss_status registry_restore(struct registry *r, const struct registry_image *image, registry_taken taken,
                             struct loss_error *err);
/* Remember a key, with its age. One that is there with the same fingerprint and age stays. One whose life is over may be
 * left out.
 * err  LOSS_IDEMPOTENCY_CONFLICT (it is there with others, and is not to be replaced), as registry_restore */
loss_status registry_restore_key(struct registry *r, const struct registry_kept_key *key, registry_taken taken,
                                 struct loss_error *err);

#endif
