/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_add.c - adding to the memory store: all of a call or nothing, and what its idempotency key is answered again.
 */
#include <registry/memory_base.h>

#include <search.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* An entry as it was before a batch was merged into it. */
struct undo {
    struct memory_entry *merged; /* NULL: nothing was merged, an entry was added */
    struct registry_entry e;
    void *tally;
};

static loss_status merge(struct memory_entry *entry, const struct registry_add *add, int64_t now, struct undo *undo,
                         struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    LOSS_TRY(store_check_merge(&entry->e, add, err));
    void *memory = malloc(tally_size(entry->e.tally));
    if (memory == NULL) {
        return store_fail_memory(err);
    }
    struct registry_tally *tally = tally_place(memory, entry->e.tally);
    struct registry_entry e = entry->e;
    tally_merge(tally, add->tally);
    e.tally = tally;
    e.loss = tally_loss(tally, e.reduction, e.dtype);
    e.updated_at = now;
    loss_status status = store_entry_copy(arena, &e, out, err);
    if (status != LOSS_OK) {
        free(memory);
        return status;
    }
    *undo = (struct undo){.merged = entry, .e = entry->e, .tally = entry->tally};
    entry->e = e;
    entry->tally = memory;
    return LOSS_OK;
}

static loss_status add_to_step(struct memory_store *m, struct memory_registry *r, struct memory_step *step,
                               const struct registry_add *add, int64_t now, struct undo *undo, struct loss_arena *arena,
                               struct registry_entry *out, struct loss_error *err)
{
    struct memory_entry *same = add->tally != NULL ? memory_tree_find(&step->names, add->name) : NULL;
    if (same != NULL) {
        return merge(same, add, now, undo, arena, out, err);
    }
    char name[REGISTRY_NAME_MAX + 1];
    LOSS_TRY(memory_free_name(step, add->name, name, err));
    struct registry_entry e = store_entry_of(add, name, now);
    e.order = m->last_order + 1;
    LOSS_TRY(store_entry_copy(arena, &e, out, err));
    struct memory_entry *entry = memory_entry_new(&e);
    if (entry == NULL) {
        return store_fail_memory(err);
    }
    loss_status status = memory_link_entry(r, step, entry, err);
    if (status != LOSS_OK) {
        memory_entry_free(entry);
        return status;
    }
    m->last_order++;
    return LOSS_OK;
}

static loss_status add_one(struct memory_store *m, const struct registry_add *add, int64_t now, struct undo *undo,
                           struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    struct memory_registry *r = memory_find_or_make(m, add->registry, now);
    struct memory_step *step = r != NULL ? memory_find_or_make_step(r, add->step) : NULL;
    if (step == NULL) {
        return store_fail_memory(err);
    }
    loss_status status = add_to_step(m, r, step, add, now, undo, arena, out, err);
    memory_drop_step_if_empty(r, step);
    return status;
}

/* Take back the last `n` adds, newest first, and all registries that are fresh. */
static void take_back(struct memory_store *m, const struct registry_add *adds, const struct undo *undo, size_t n,
                      int64_t now)
{
    for (size_t i = n; i-- > 0;) {
        struct memory_entry *merged = undo[i].merged;
        if (merged != NULL) {
            free(merged->tally);
            merged->e = undo[i].e;
            merged->tally = undo[i].tally;
            continue;
        }
        size_t place;
        struct memory_registry *r = memory_find(m, adds[i].registry, now, &place);
        struct memory_step *step = memory_find_step(r, adds[i].step);
        struct memory_entry *entry = r->entries.at[--r->entries.count];
        step->entries.count--;
        memory_release_name(step, entry);
        memory_entry_free(entry);
        memory_drop_step_if_empty(r, step);
    }
    for (size_t i = m->registries.count; i-- > 0;) {
        if (((struct memory_registry *)m->registries.at[i])->fresh) {
            memory_drop_at(m, i);
        }
    }
}

static void touch(struct memory_store *m, const char *registry, int64_t now)
{
    size_t place;
    struct memory_registry *r = memory_find(m, registry, now, &place);
    r->fresh = false;
    r->updated_at = now;
}

void memory_key_free(struct memory_key *k)
{
    for (size_t i = 0; k->entries != NULL && i < k->n; i++) {
        memory_entry_free(k->entries[i]);
    }
    free(k->entries);
    free(k);
}

void memory_drop_key(struct memory_store *m, struct memory_key *k)
{
    *(k->older != NULL ? &k->older->newer : &m->oldest) = k->newer;
    *(k->newer != NULL ? &k->newer->older : &m->newest) = k->older;
    tdelete(k, &m->keys, memory_compare_names);
    memory_key_free(k);
}

/* The key where it is known and its time has not passed, else NULL. */
static struct memory_key *find_key(struct memory_store *m, const char *key, int64_t now)
{
    struct memory_key *k = key != NULL ? memory_tree_find(&m->keys, key) : NULL;
    if (k != NULL && k->created_at + m->base.key_life <= now) {
        memory_drop_key(m, k);
        return NULL;
    }
    return k;
}

static loss_status answer_again(const struct memory_key *k, const struct registry_key *key, size_t n,
                                struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    if (memcmp(k->fingerprint, key->fingerprint, sizeof k->fingerprint) != 0 || k->n != n) {
        return store_fail_conflict(err, key->key);
    }
    for (size_t i = 0; i < n; i++) {
        LOSS_TRY(store_entry_copy(arena, &k->entries[i]->e, &out[i], err));
    }
    return LOSS_OK;
}

static loss_status keep_key(struct memory_store *m, const struct registry_key *key, const struct registry_entry *out,
                            size_t n, int64_t now, struct loss_error *err)
{
    struct memory_key *k = calloc(1, sizeof *k + strlen(key->key) + 1);
    if (k == NULL) {
        return store_fail_memory(err);
    }
    k->key = strcpy(k->text, key->key);
    k->created_at = now;
    k->n = n;
    memcpy(k->fingerprint, key->fingerprint, sizeof k->fingerprint);
    k->entries = calloc(n, sizeof *k->entries);
    bool whole = k->entries != NULL;
    for (size_t i = 0; whole && i < n; i++) {
        k->entries[i] = memory_entry_new(&out[i]);
        whole = k->entries[i] != NULL;
    }
    if (!whole || tsearch(k, &m->keys, memory_compare_names) == NULL) {
        memory_key_free(k);
        return store_fail_memory(err);
    }
    k->older = m->newest;
    *(m->newest != NULL ? &m->newest->newer : &m->oldest) = k;
    m->newest = k;
    return LOSS_OK;
}

static loss_status add_locked(struct memory_store *m, const struct registry_add *adds, size_t n,
                              const struct registry_key *key, int64_t now, struct loss_arena *arena,
                              struct registry_entry *out, struct loss_error *err)
{
    struct memory_key *known = find_key(m, key->key, now);
    if (known != NULL) {
        return answer_again(known, key, n, arena, out, err);
    }
    struct undo *undo = loss_arena_alloc(arena, n * sizeof *undo, alignof(struct undo));
    if (undo == NULL) {
        return store_fail_memory(err);
    }
    memset(undo, 0, n * sizeof *undo);
    loss_status status = LOSS_OK;
    size_t done = 0;
    while (done < n && status == LOSS_OK) {
        status = add_one(m, &adds[done], now, &undo[done], arena, &out[done], err);
        done += status == LOSS_OK;
    }
    if (status == LOSS_OK && key->key != NULL) {
        status = keep_key(m, key, out, n, now, err);
    }
    if (status != LOSS_OK) {
        take_back(m, adds, undo, done, now);
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        free(undo[i].tally);
        touch(m, adds[i].registry, now);
    }
    return LOSS_OK;
}

loss_status memory_add(struct store *s, const struct registry_add *adds, size_t n, const struct registry_key *key,
                       int64_t now, struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    struct memory_store *m = memory_of(s);
    pthread_mutex_lock(&m->lock);
    loss_status status = add_locked(m, adds, n, key, now, arena, out, err);
    pthread_mutex_unlock(&m->lock);
    return status;
}
