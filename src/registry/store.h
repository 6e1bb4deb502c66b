/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h - where a registry's entries are kept: what memory, SQLite and others have to offer.
 *
 * A store does what must be atomic: adding under a free name together with an idempotency key, reading one step as
 * it is at one moment, removing what a caller picks. It knows nothing of regular expressions, pages or totals, which
 * are built on top (registry.c). Strings it is given are borrowed for the call; those it shows to a visitor are
 * valid until the visitor returns.
 *
 * Any thread may call, several at once. A call that changes something returns LOSS_OK only when the change is as
 * durable as the store can make it; a store may let calls that wait at the same time share one commit. A call that
 * fails has changed nothing. `now` is microseconds since 1970, by the caller's clock: a registry whose time has
 * passed at `now` is not there, whether or not it was swept yet.
 */
#ifndef REGISTRY_STORE_H
#define REGISTRY_STORE_H

#include <registry/registry.h>

struct store {
    const struct store_ops *ops;
    int64_t ttl;      /* microseconds; of registries that set none; 0: for ever */
    int64_t key_life; /* microseconds that an idempotency key is kept */
    size_t width;     /* calls that it serves at once; 0: one after the other */
};

/* Which entries, in the order of adding. */
struct store_range {
    const char *registry;
    const char *collection; /* NULL: every one */
    const char *name;       /* NULL: every one */
    int64_t step;           /* or REGISTRY_STEP_LATEST, REGISTRY_STEP_ALL */
    uint64_t after;         /* only entries of a higher order; 0: from the start */
    size_t most;            /* the visitor looks at no more than so many; 0: it is not known at how many */
};

typedef registry_visit store_visit;
/* Is this entry meant? A failure ends the call, which then changes nothing. */
typedef loss_status (*store_pick)(void *arg, const struct registry_entry *entry, bool *picked, struct loss_error *err);
typedef loss_status (*store_visit_info)(void *arg, const struct registry_info *info, bool *more,
                                        struct loss_error *err);

struct store_ops {
    void (*close)(struct store *s);
    loss_status (*ready)(struct store *s, struct loss_error *err);

    /* registry_group_begin, _cancel and _end; all NULL: it does not group. */
    void (*group_begin)(struct store *s);
    void (*group_cancel)(struct store *s, const struct loss_error *why);
    loss_status (*group_end)(struct store *s, struct loss_error *err);

    /* Add all `n` entries or none, each under the free name next to its own, creating registries that are missing.
     * One with a tally is merged into the entry of its name, where there is one (store_check_merge).
     * The strings of `out` lie in `arena`. key->key not NULL: if the key is known, `out` is what was added under it
     * then, and nothing is added now; else it is kept with these entries. The `key` inside of `adds` is not read.
     * err  LOSS_IDEMPOTENCY_CONFLICT, LOSS_ACCUMULATE_CONFLICT, LOSS_INVALID_NAME (no room for a suffix), LOSS_STORE_UNAVAILABLE,
     *      LOSS_OVERLOADED */
    loss_status (*add)(struct store *s, const struct registry_add *adds, size_t n, const struct registry_key *key,
                       int64_t now, struct loss_arena *arena, struct registry_entry *out, struct loss_error *err);
    /* err  LOSS_UNKNOWN_REGISTRY, LOSS_STORE_UNAVAILABLE, LOSS_OVERLOADED, the visitor's; so for all that follow */
    loss_status (*scan)(struct store *s, const struct store_range *range, int64_t now, store_visit visit, void *arg,
                        struct loss_error *err);
    /* Take out the picked entries; the registry stays. */
    loss_status (*remove)(struct store *s, const struct store_range *range, int64_t now, store_pick pick, void *arg,
                          uint64_t *removed, struct loss_error *err);

    loss_status (*info)(struct store *s, const char *registry, int64_t now, store_visit_info visit, void *arg,
                        struct loss_error *err);
    /* Those whose name is greater than `after` ("": all), by name in byte order. */
    loss_status (*infos)(struct store *s, const char *after, int64_t now, store_visit_info visit, void *arg,
                         struct loss_error *err);
    loss_status (*put)(struct store *s, const char *registry, int64_t ttl_seconds, int64_t now, struct loss_error *err);
    /* The registry and all that is in it; keys stay. */
    loss_status (*drop)(struct store *s, const char *registry, int64_t now, uint64_t *removed, struct loss_error *err);
    loss_status (*expire)(struct store *s, int64_t now, struct loss_error *err);

    /* As in registry.h; all NULL: groups do it. */
    loss_status (*restore_begin)(struct store *s, struct loss_error *err);
    loss_status (*restore_end)(struct store *s, int64_t now, bool keep, struct loss_error *err);

    /* As in registry.h; NULL: this store cannot. */
    loss_status (*keys)(struct store *s, int64_t now, registry_visit_key visit, void *arg, struct loss_error *err);
    loss_status (*restore)(struct store *s, const struct registry_image *image, registry_taken taken, int64_t now,
                           struct loss_error *err);
    loss_status (*restore_key)(struct store *s, const struct registry_kept_key *key, registry_taken taken, int64_t now,
                               struct loss_error *err);
};

/* What follows `sqlite:`; the file and missing directories above it are made. Read-only, nothing is made, a server may
 * have the file open, and all is seen as it was at the opening, for as long as the store is open.
 * err  LOSS_STORE_UNAVAILABLE with the reason, LOSS_OVERLOADED */
loss_status store_sqlite_open(const char *path, bool read_only, struct store **out, struct loss_error *err);
loss_status store_memory_open(struct store **out, struct loss_error *err);
/* options->url is redis://...; where Redis cannot be reached now, the store is away until it can.
 * err  LOSS_INVALID_PARAMETER (the URL), LOSS_STORE_UNAVAILABLE (what is there will not do), LOSS_OVERLOADED */
loss_status store_redis_open(const struct registry_options *options, struct store **out, struct loss_error *err);

/* What every store needs (store.c). */

/* Registries and keys of a namespace are stored as MARK namespace MARK name: as no name has control characters, they are
 * none of another namespace, and in byte order they stand together and before those of the default one, which have no
 * prefix. So a store's names are longer than a client's. */
#define STORE_PREFIX_MARK '\x1f'
#define STORE_PREFIX_LAST "\x1f\x7f" /* greater than every name with a prefix, less than every other */
#define STORE_PREFIX_MAX (REGISTRY_SPACE_MAX + 2)
void store_prefix(const char *space, char prefix[STORE_PREFIX_MAX + 1]);
/* The part behind the prefix, for messages: what a client wrote. */
const char *store_shown(const char *stored);

/* When a registry that was last written at `updated_at` ends; INT64_MAX: never. */
int64_t store_end_of(const struct store *s, int64_t ttl_seconds, int64_t updated_at);

/* The name that a suffix makes of `base`: base_number.
 * err  LOSS_INVALID_NAME "/name": longer than REGISTRY_NAME_MAX */
loss_status store_suffixed(const char *base, uint64_t number, char name[REGISTRY_NAME_MAX + 1], struct loss_error *err);
/* The other way round: true if `name` is what store_suffixed makes of its first *length bytes and *number. */
bool store_suffix_of(const char *name, size_t *length, uint64_t *number);

/* May this batch go into that entry?
 * err  LOSS_ACCUMULATE_CONFLICT: what is another one */
loss_status store_check_merge(const struct registry_entry *entry, const struct registry_add *add,
                              struct loss_error *err);

/* Are they alike in all but their order? */
bool store_same_entry(const struct registry_entry *a, const struct registry_entry *b);

/* The entry that an add makes under this name, but for its order. It borrows the add's strings and tally. */
struct registry_entry store_entry_of(const struct registry_add *add, const char *name, int64_t now);
/* Copy with its strings and tally into `arena`. err  LOSS_OVERLOADED */
loss_status store_entry_copy(struct loss_arena *arena, const struct registry_entry *from, struct registry_entry *to,
                             struct loss_error *err);

loss_status store_fail_taken(struct loss_error *err, const char *registry);
loss_status store_fail_entry(struct loss_error *err, const struct registry_entry *e);
loss_status store_fail_unknown(struct loss_error *err, const char *registry);
loss_status store_fail_conflict(struct loss_error *err, const char *key);
loss_status store_fail_memory(struct loss_error *err);

#endif
