/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_base.h - what the memory store is made of.
 *
 * A registry holds its entries twice in the order of adding, all together and by step; a step also holds them by
 * name. Sorted arrays of pointers serve where order is asked for, search trees (tsearch) where only names are: both
 * are indifferent to names chosen to collide.
 */
#ifndef REGISTRY_MEMORY_BASE_H
#define REGISTRY_MEMORY_BASE_H

#include <pthread.h>
#include <stdbool.h>

#include <registry/store.h>

struct memory_vector {
    void **at;
    size_t count, capacity;
};

/* What trees hold begins with its name. */
struct memory_entry {
    struct registry_entry e; /* its strings are in text */
    void *tally;             /* the block of e.tally */
    bool picked;
    char text[];
};

struct memory_suffix {
    const char *base; /* is text */
    uint64_t next;    /* base_1 to base_(next-1) are taken */
    char text[];
};

struct memory_step {
    int64_t step;
    struct memory_vector entries; /* by order */
    void *names;                  /* tree of its entries */
    void *suffixes;               /* tree of memory_suffix; only bases that were taken once */
};

struct memory_registry {
    const char *name; /* is text */
    int64_t ttl_seconds;
    int64_t updated_at;
    bool fresh;                   /* made by the call under way */
    struct memory_vector entries; /* by order */
    struct memory_vector steps;   /* by step, none is empty */
    char text[];
};

struct memory_key {
    const char *key; /* is text */
    unsigned char fingerprint[32];
    int64_t created_at;
    struct memory_key *older, *newer;
    size_t n;
    struct memory_entry **entries; /* copies */
    char text[];
};

struct memory_store {
    struct store base;
    pthread_mutex_t lock;            /* guards all below */
    struct memory_vector registries; /* by name */
    void *keys;                      /* tree of memory_key */
    struct memory_key *oldest, *newest;
    uint64_t last_order;
};

static inline struct memory_store *memory_of(struct store *s)
{
    return (struct memory_store *)s;
}

/* Arrays and trees. False, and NULL where something is made: no memory. */

bool memory_insert(struct memory_vector *v, size_t i, void *what);
void memory_take_out(struct memory_vector *v, size_t i);
/* The first index whose element is not below the key. */
size_t memory_place(const struct memory_vector *v, const void *key,
                    bool (*below)(const void *element, const void *key));
bool memory_registry_below(const void *element, const void *name);
bool memory_order_below(const void *element, const void *order);
int memory_compare_names(const void *a, const void *b);
void *memory_tree_find(void *const *root, const char *name);
void memory_leave(void *unused); /* what a tree holds is freed elsewhere */

/* Entries and registries. */

struct memory_entry *memory_entry_new(const struct registry_entry *from);
void memory_entry_free(struct memory_entry *entry);
void memory_registry_free(struct memory_registry *r);
void memory_drop_at(struct memory_store *m, size_t i);
/* The registry, or NULL; swept away first if its time has passed. *place is where it is or would be. */
struct memory_registry *memory_find(struct memory_store *m, const char *name, int64_t now, size_t *place);
loss_status memory_find_or_fail(struct memory_store *m, const char *name, int64_t now, struct memory_registry **r,
                                struct loss_error *err);
/* NULL: no memory. A new one is marked fresh. */
struct memory_registry *memory_find_or_make(struct memory_store *m, const char *name, int64_t now);
struct memory_step *memory_find_step(const struct memory_registry *r, int64_t step);
/* NULL: no memory. A new one is empty, which the caller must see to. */
struct memory_step *memory_find_or_make_step(struct memory_registry *r, int64_t step);
void memory_drop_step_if_empty(struct memory_registry *r, struct memory_step *step);
/* The name that an entry called `base` gets. */
loss_status memory_free_name(struct memory_step *step, const char *base, char name[REGISTRY_NAME_MAX + 1],
                             struct loss_error *err);
/* Take the name out of the step, so that it can be given again. */
void memory_release_name(struct memory_step *step, const struct memory_entry *entry);
loss_status memory_link_entry(struct memory_registry *r, struct memory_step *step, struct memory_entry *entry,
                              struct loss_error *err);

/* Adding, and the keys of adds (memory_add.c). */

void memory_key_free(struct memory_key *k);
void memory_drop_key(struct memory_store *m, struct memory_key *k);
loss_status memory_add(struct store *s, const struct registry_add *adds, size_t n, const struct registry_key *key,
                       int64_t now, struct loss_arena *arena, struct registry_entry *out, struct loss_error *err);

#endif
