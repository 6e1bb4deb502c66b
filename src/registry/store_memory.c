/* SPDX-License-Identifier: Apache-2.0
 *
 * store_memory.c - a store that lasts as long as the process: for tests and throw-away runs.
 */
#include <registry/memory_base.h>

#include <search.h>
#include <stdlib.h>
#include <string.h>

static void memory_close(struct store *s)
{
    struct memory_store *m = memory_of(s);
    for (size_t i = 0; i < m->registries.count; i++) {
        memory_registry_free(m->registries.at[i]);
    }
    free(m->registries.at);
    tdestroy(m->keys, memory_leave);
    while (m->oldest != NULL) {
        struct memory_key *k = m->oldest;
        m->oldest = k->newer;
        memory_key_free(k);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static loss_status memory_ready(struct store *s, struct loss_error *err)
{
    (void)s;
    (void)err;
    return LOSS_OK;
}

typedef loss_status (*entry_visit)(void *arg, struct memory_entry *entry, bool *more, struct loss_error *err);

/* NULL: no such step. */
static const struct memory_step *step_of(const struct memory_registry *r, int64_t step)
{
    if (step == REGISTRY_STEP_LATEST) {
        return r->steps.count > 0 ? r->steps.at[r->steps.count - 1] : NULL;
    }
    return memory_find_step(r, step);
}

static loss_status walk_entries(const struct memory_vector *entries, const struct store_range *range, entry_visit visit,
                                void *arg, struct loss_error *err)
{
    uint64_t first = range->after + 1;
    bool more = true;
    for (size_t i = memory_place(entries, &first, memory_order_below); more && i < entries->count; i++) {
        struct memory_entry *entry = entries->at[i];
        if ((range->collection == NULL || strcmp(range->collection, entry->e.collection) == 0) &&
            (range->name == NULL || strcmp(range->name, entry->e.name) == 0)) {
            LOSS_TRY(visit(arg, entry, &more, err));
        }
    }
    return LOSS_OK;
}

static loss_status walk(const struct memory_registry *r, const struct store_range *range, entry_visit visit, void *arg,
                        struct loss_error *err)
{
    if (range->step == REGISTRY_STEP_ALL) {
        return walk_entries(&r->entries, range, visit, arg, err);
    }
    const struct memory_step *step = step_of(r, range->step);
    if (step == NULL) {
        return LOSS_OK;
    }
    if (range->name == NULL) {
        return walk_entries(&step->entries, range, visit, arg, err);
    }
    void *entry = memory_tree_find(&step->names, range->name);
    struct memory_vector one = {.at = &entry, .count = entry != NULL};
    return walk_entries(&one, range, visit, arg, err);
}

struct show_arg {
    store_visit visit;
    void *arg;
};

static loss_status show(void *arg, struct memory_entry *entry, bool *more, struct loss_error *err)
{
    struct show_arg *a = arg;
    return a->visit(a->arg, &entry->e, more, err);
}

static loss_status memory_scan(struct store *s, const struct store_range *range, int64_t now, store_visit visit,
                               void *arg, struct loss_error *err)
{
    struct memory_store *m = memory_of(s);
    struct memory_registry *r;
    struct show_arg a = {visit, arg};
    pthread_mutex_lock(&m->lock);
    loss_status status = memory_find_or_fail(m, range->registry, now, &r, err);
    if (status == LOSS_OK) {
        status = walk(r, range, show, &a, err);
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

struct pick_arg {
    store_pick pick;
    void *arg;
};

static loss_status pick_entry(void *arg, struct memory_entry *entry, bool *more, struct loss_error *err)
{
    struct pick_arg *a = arg;
    (void)more;
    return a->pick(a->arg, &entry->e, &entry->picked, err);
}

/* Take the picked entries out of an array: a step's (their names become free), or with step NULL the registry's,
 * which owns them. How many. */
static uint64_t keep_unpicked(struct memory_vector *v, struct memory_step *step)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->count; i++) {
        struct memory_entry *entry = v->at[i];
        if (!entry->picked) {
            v->at[kept++] = entry;
        } else if (step != NULL) {
            memory_release_name(step, entry);
        } else {
            memory_entry_free(entry);
        }
    }
    uint64_t removed = v->count - kept;
    v->count = kept;
    return removed;
}

static uint64_t remove_picked(struct memory_registry *r)
{
    for (size_t i = r->steps.count; i-- > 0;) {
        struct memory_step *step = r->steps.at[i];
        keep_unpicked(&step->entries, step);
        memory_drop_step_if_empty(r, step);
    }
    return keep_unpicked(&r->entries, NULL);
}

static loss_status memory_remove(struct store *s, const struct store_range *range, int64_t now, store_pick pick,
                                 void *arg, uint64_t *removed, struct loss_error *err)
{
    struct memory_store *m = memory_of(s);
    struct memory_registry *r;
    struct pick_arg a = {pick, arg};
    pthread_mutex_lock(&m->lock);
    loss_status status = memory_find_or_fail(m, range->registry, now, &r, err);
    if (status != LOSS_OK) {
        goto out;
    }
    status = walk(r, range, pick_entry, &a, err);
    if (status != LOSS_OK) {
        for (size_t i = 0; i < r->entries.count; i++) {
            ((struct memory_entry *)r->entries.at[i])->picked = false;
        }
        goto out;
    }
    *removed = remove_picked(r);
    r->updated_at = now;
out:
    pthread_mutex_unlock(&m->lock);
    return status;
}

static struct registry_info info_of(const struct memory_registry *r)
{
    const struct memory_step *latest = r->steps.count > 0 ? r->steps.at[r->steps.count - 1] : NULL;
    return (struct registry_info){.registry = r->name,
                                  .entries = r->entries.count,
                                  .steps = r->steps.count,
                                  .latest_step = latest != NULL ? latest->step : -1,
                                  .updated_at = r->updated_at,
                                  .ttl_seconds = r->ttl_seconds};
}

static loss_status memory_info(struct store *s, const char *registry, int64_t now, store_visit_info visit, void *arg,
                               struct loss_error *err)
{
    struct memory_store *m = memory_of(s);
    struct memory_registry *r;
    bool more = true;
    pthread_mutex_lock(&m->lock);
    loss_status status = memory_find_or_fail(m, registry, now, &r, err);
    if (status == LOSS_OK) {
        struct registry_info info = info_of(r);
        status = visit(arg, &info, &more, err);
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

static loss_status memory_infos(struct store *s, const char *after, int64_t now, store_visit_info visit, void *arg,
                                struct loss_error *err)
{
    struct memory_store *m = memory_of(s);
    loss_status status = LOSS_OK;
    bool more = true;
    pthread_mutex_lock(&m->lock);
    for (size_t i = memory_place(&m->registries, after, memory_registry_below);
         more && status == LOSS_OK && i < m->registries.count; i++) {
        const struct memory_registry *r = m->registries.at[i];
        if (strcmp(r->name, after) != 0 && store_end_of(&m->base, r->ttl_seconds, r->updated_at) > now) {
            struct registry_info info = info_of(r);
            status = visit(arg, &info, &more, err);
        }
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

static loss_status memory_put(struct store *s, const char *registry, int64_t ttl_seconds, int64_t now,
                              struct loss_error *err)
{
    struct memory_store *m = memory_of(s);
    loss_status status = LOSS_OK;
    pthread_mutex_lock(&m->lock);
    struct memory_registry *r = memory_find_or_make(m, registry, now);
    if (r != NULL) {
        r->ttl_seconds = ttl_seconds;
        r->updated_at = now;
        r->fresh = false;
    } else {
        status = store_fail_memory(err);
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

static loss_status memory_drop(struct store *s, const char *registry, int64_t now, uint64_t *removed,
                               struct loss_error *err)
{
    struct memory_store *m = memory_of(s);
    loss_status status = LOSS_OK;
    size_t place;
    pthread_mutex_lock(&m->lock);
    struct memory_registry *r = memory_find(m, registry, now, &place);
    if (r != NULL) {
        *removed = r->entries.count;
        memory_drop_at(m, place);
    } else {
        status = store_fail_unknown(err, registry);
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

static loss_status memory_expire(struct store *s, int64_t now, struct loss_error *err)
{
    struct memory_store *m = memory_of(s);
    (void)err;
    pthread_mutex_lock(&m->lock);
    for (size_t i = m->registries.count; i-- > 0;) {
        const struct memory_registry *r = m->registries.at[i];
        if (store_end_of(&m->base, r->ttl_seconds, r->updated_at) <= now) {
            memory_drop_at(m, i);
        }
    }
    while (m->oldest != NULL && m->oldest->created_at + m->base.key_life <= now) {
        memory_drop_key(m, m->oldest);
    }
    pthread_mutex_unlock(&m->lock);
    return LOSS_OK;
}

static const struct store_ops memory_ops = {
    .close = memory_close,
    .ready = memory_ready,
    .add = memory_add,
    .scan = memory_scan,
    .remove = memory_remove,
    .info = memory_info,
    .infos = memory_infos,
    .put = memory_put,
    .drop = memory_drop,
    .expire = memory_expire,
};

loss_status store_memory_open(struct store **out, struct loss_error *err)
{
    struct memory_store *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return store_fail_memory(err);
    }
    m->base.ops = &memory_ops;
    pthread_mutex_init(&m->lock, NULL);
    *out = &m->base;
    return LOSS_OK;
}
