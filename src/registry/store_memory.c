/* SPDX-License-Identifier: Apache-2.0
 *
 * store_memory.c - a store that lasts as long as the process: for tests and throw-away runs.
 *
 * A registry holds its entries twice in the order of adding, all together and by step; a step also holds them by
 * name. Sorted arrays of pointers serve where order is asked for, search trees (tsearch) where only names are: both
 * are indifferent to names chosen to collide.
 */
#include <pthread.h>
#include <search.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <registry/store.h>

struct vector {
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
    struct vector entries; /* by order */
    void *names;           /* tree of its entries */
    void *suffixes;        /* tree of memory_suffix; only bases that were taken once */
};

struct memory_registry {
    const char *name; /* is text */
    int64_t ttl_seconds;
    int64_t updated_at;
    bool fresh;            /* made by the call under way */
    struct vector entries; /* by order */
    struct vector steps;   /* by step, none is empty */
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
    pthread_mutex_t lock;     /* guards all below */
    struct vector registries; /* by name */
    void *keys;               /* tree of memory_key */
    struct memory_key *oldest, *newest;
    uint64_t last_order;
};

static bool vector_insert(struct vector *v, size_t i, void *what)
{
    if (v->count == v->capacity) {
        size_t capacity = v->capacity == 0 ? 4 : 2 * v->capacity;
        void **at = reallocarray(v->at, capacity, sizeof *at);
        if (at == NULL) {
            return false;
        }
        v->at = at;
        v->capacity = capacity;
    }
    memmove(v->at + i + 1, v->at + i, (v->count - i) * sizeof *v->at);
    v->at[i] = what;
    v->count++;
    return true;
}

static void vector_remove(struct vector *v, size_t i)
{
    v->count--;
    memmove(v->at + i, v->at + i + 1, (v->count - i) * sizeof *v->at);
}

/* The first index whose element is not below the key. */
static size_t vector_find(const struct vector *v, const void *key, bool (*below)(const void *element, const void *key))
{
    size_t low = 0, high = v->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (below(v->at[middle], key)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool registry_below(const void *element, const void *name)
{
    return strcmp(((const struct memory_registry *)element)->name, name) < 0;
}

static bool step_below(const void *element, const void *step)
{
    return ((const struct memory_step *)element)->step < *(const int64_t *)step;
}

static bool order_below(const void *element, const void *order)
{
    return ((const struct memory_entry *)element)->e.order < *(const uint64_t *)order;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void *tree_find(void *const *root, const char *name)
{
    void *node = tfind(&name, root, compare_names);
    return node != NULL ? *(void **)node : NULL;
}

static void leave(void *unused)
{
    (void)unused;
}

static const char *place_string(char **end, const char *s)
{
    char *start = *end;
    *end = stpcpy(start, s) + 1;
    return start;
}

static struct memory_entry *entry_new(const struct registry_entry *from)
{
    size_t text = strlen(from->name) + strlen(from->collection) + strlen(from->dtype) + strlen(from->reduction) + 4;
    struct memory_entry *entry = malloc(sizeof *entry + text);
    if (entry != NULL) {
        char *end = entry->text;
        entry->e = *from;
        entry->picked = false;
        entry->tally = NULL;
        entry->e.name = place_string(&end, from->name);
        entry->e.collection = place_string(&end, from->collection);
        entry->e.dtype = place_string(&end, from->dtype);
        entry->e.reduction = place_string(&end, from->reduction);
    }
    if (entry != NULL && from->tally != NULL) {
        entry->tally = malloc(tally_size(from->tally));
        if (entry->tally == NULL) {
            free(entry);
            return NULL;
        }
        entry->e.tally = tally_place(entry->tally, from->tally);
    }
    return entry;
}

static void entry_free(struct memory_entry *entry)
{
    if (entry != NULL) {
        free(entry->tally);
        free(entry);
    }
}

/* Its entries are the registry's to free. */
static void step_free(struct memory_step *step)
{
    tdestroy(step->names, leave);
    tdestroy(step->suffixes, free);
    free(step->entries.at);
    free(step);
}

static void registry_free(struct memory_registry *r)
{
    for (size_t i = 0; i < r->steps.count; i++) {
        step_free(r->steps.at[i]);
    }
    for (size_t i = 0; i < r->entries.count; i++) {
        entry_free(r->entries.at[i]);
    }
    free(r->steps.at);
    free(r->entries.at);
    free(r);
}

static void key_free(struct memory_key *k)
{
    for (size_t i = 0; k->entries != NULL && i < k->n; i++) {
        entry_free(k->entries[i]);
    }
    free(k->entries);
    free(k);
}

static struct memory_store *memory_of(struct store *s)
{
    return (struct memory_store *)s;
}

static void memory_close(struct store *s)
{
    struct memory_store *m = memory_of(s);
    for (size_t i = 0; i < m->registries.count; i++) {
        registry_free(m->registries.at[i]);
    }
    free(m->registries.at);
    tdestroy(m->keys, leave);
    while (m->oldest != NULL) {
        struct memory_key *k = m->oldest;
        m->oldest = k->newer;
        key_free(k);
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

static void drop_at(struct memory_store *m, size_t i)
{
    registry_free(m->registries.at[i]);
    vector_remove(&m->registries, i);
}

/* The registry, or NULL; swept away first if its time has passed. *place is where it is or would be. */
static struct memory_registry *find(struct memory_store *m, const char *name, int64_t now, size_t *place)
{
    size_t i = vector_find(&m->registries, name, registry_below);
    *place = i;
    if (i == m->registries.count) {
        return NULL;
    }
    struct memory_registry *r = m->registries.at[i];
    if (strcmp(r->name, name) != 0) {
        return NULL;
    }
    if (!r->fresh && store_end_of(&m->base, r->ttl_seconds, r->updated_at) <= now) {
        drop_at(m, i);
        return NULL;
    }
    return r;
}

static loss_status find_or_fail(struct memory_store *m, const char *name, int64_t now, struct memory_registry **r,
                                struct loss_error *err)
{
    size_t place;
    *r = find(m, name, now, &place);
    return *r != NULL ? LOSS_OK : store_fail_unknown(err, name);
}

/* NULL: no memory. A new one is marked fresh. */
static struct memory_registry *find_or_make(struct memory_store *m, const char *name, int64_t now)
{
    size_t place;
    struct memory_registry *r = find(m, name, now, &place);
    if (r != NULL) {
        return r;
    }
    r = calloc(1, sizeof *r + strlen(name) + 1);
    if (r == NULL) {
        return NULL;
    }
    r->name = strcpy(r->text, name);
    r->fresh = true;
    if (!vector_insert(&m->registries, place, r)) {
        free(r);
        return NULL;
    }
    return r;
}

static struct memory_step *find_step(const struct memory_registry *r, int64_t step)
{
    size_t i = vector_find(&r->steps, &step, step_below);
    if (i == r->steps.count) {
        return NULL;
    }
    struct memory_step *found = r->steps.at[i];
    return found->step == step ? found : NULL;
}

/* NULL: no memory. A new one is empty, which the caller must see to. */
static struct memory_step *find_or_make_step(struct memory_registry *r, int64_t step)
{
    struct memory_step *found = find_step(r, step);
    if (found != NULL) {
        return found;
    }
    struct memory_step *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    made->step = step;
    if (!vector_insert(&r->steps, vector_find(&r->steps, &step, step_below), made)) {
        free(made);
        return NULL;
    }
    return made;
}

static void drop_step_if_empty(struct memory_registry *r, struct memory_step *step)
{
    if (step->entries.count == 0) {
        vector_remove(&r->steps, vector_find(&r->steps, &step->step, step_below));
        step_free(step);
    }
}

static struct memory_suffix *find_or_make_suffix(struct memory_step *step, const char *base)
{
    struct memory_suffix *suffix = tree_find(&step->suffixes, base);
    if (suffix != NULL) {
        return suffix;
    }
    suffix = malloc(sizeof *suffix + strlen(base) + 1);
    if (suffix == NULL) {
        return NULL;
    }
    suffix->base = strcpy(suffix->text, base);
    suffix->next = 1;
    if (tsearch(suffix, &step->suffixes, compare_names) == NULL) {
        free(suffix);
        return NULL;
    }
    return suffix;
}

/* The name that an entry called `base` gets. */
static loss_status free_name(struct memory_step *step, const char *base, char name[REGISTRY_NAME_MAX + 1],
                             struct loss_error *err)
{
    if (tree_find(&step->names, base) == NULL) {
        strcpy(name, base);
        return LOSS_OK;
    }
    struct memory_suffix *suffix = find_or_make_suffix(step, base);
    if (suffix == NULL) {
        return store_fail_memory(err);
    }
    LOSS_TRY(store_suffixed(base, suffix->next, name, err));
    while (tree_find(&step->names, name) != NULL) {
        suffix->next++;
        LOSS_TRY(store_suffixed(base, suffix->next, name, err));
    }
    return LOSS_OK;
}

/* Take the name out of the step, so that it can be given again. */
static void release_name(struct memory_step *step, const struct memory_entry *entry)
{
    char base[REGISTRY_NAME_MAX + 1];
    size_t length;
    uint64_t number;
    tdelete(entry, &step->names, compare_names);
    if (store_suffix_of(entry->e.name, &length, &number)) {
        memcpy(base, entry->e.name, length);
        base[length] = '\0';
        struct memory_suffix *suffix = tree_find(&step->suffixes, base);
        if (suffix != NULL && suffix->next > number) {
            suffix->next = number;
        }
    }
}

static loss_status link_entry(struct memory_registry *r, struct memory_step *step, struct memory_entry *entry,
                              struct loss_error *err)
{
    if (!vector_insert(&r->entries, r->entries.count, entry)) {
        return store_fail_memory(err);
    }
    if (!vector_insert(&step->entries, step->entries.count, entry)) {
        r->entries.count--;
        return store_fail_memory(err);
    }
    if (tsearch(entry, &step->names, compare_names) == NULL) {
        r->entries.count--;
        step->entries.count--;
        return store_fail_memory(err);
    }
    return LOSS_OK;
}

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
    struct memory_entry *same = add->tally != NULL ? tree_find(&step->names, add->name) : NULL;
    if (same != NULL) {
        return merge(same, add, now, undo, arena, out, err);
    }
    char name[REGISTRY_NAME_MAX + 1];
    LOSS_TRY(free_name(step, add->name, name, err));
    struct registry_entry e = {.name = name,
                               .collection = add->collection,
                               .loss = add->loss,
                               .step = add->step,
                               .dtype = add->dtype,
                               .reduction = add->reduction,
                               .added_at = now,
                               .updated_at = now,
                               .tally = add->tally,
                               .order = m->last_order + 1};
    LOSS_TRY(store_entry_copy(arena, &e, out, err));
    struct memory_entry *entry = entry_new(&e);
    if (entry == NULL) {
        return store_fail_memory(err);
    }
    loss_status status = link_entry(r, step, entry, err);
    if (status != LOSS_OK) {
        entry_free(entry);
        return status;
    }
    m->last_order++;
    return LOSS_OK;
}

static loss_status add_one(struct memory_store *m, const struct registry_add *add, int64_t now, struct undo *undo,
                           struct loss_arena *arena, struct registry_entry *out, struct loss_error *err)
{
    struct memory_registry *r = find_or_make(m, add->registry, now);
    struct memory_step *step = r != NULL ? find_or_make_step(r, add->step) : NULL;
    if (step == NULL) {
        return store_fail_memory(err);
    }
    loss_status status = add_to_step(m, r, step, add, now, undo, arena, out, err);
    drop_step_if_empty(r, step);
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
        struct memory_registry *r = find(m, adds[i].registry, now, &place);
        struct memory_step *step = find_step(r, adds[i].step);
        struct memory_entry *entry = r->entries.at[--r->entries.count];
        step->entries.count--;
        release_name(step, entry);
        entry_free(entry);
        drop_step_if_empty(r, step);
    }
    for (size_t i = m->registries.count; i-- > 0;) {
        if (((struct memory_registry *)m->registries.at[i])->fresh) {
            drop_at(m, i);
        }
    }
}

static void touch(struct memory_store *m, const char *registry, int64_t now)
{
    size_t place;
    struct memory_registry *r = find(m, registry, now, &place);
    r->fresh = false;
    r->updated_at = now;
}

static void drop_key(struct memory_store *m, struct memory_key *k)
{
    *(k->older != NULL ? &k->older->newer : &m->oldest) = k->newer;
    *(k->newer != NULL ? &k->newer->older : &m->newest) = k->older;
    tdelete(k, &m->keys, compare_names);
    key_free(k);
}

/* The key where it is known and its time has not passed, else NULL. */
static struct memory_key *find_key(struct memory_store *m, const char *key, int64_t now)
{
    struct memory_key *k = key != NULL ? tree_find(&m->keys, key) : NULL;
    if (k != NULL && k->created_at + m->base.key_life <= now) {
        drop_key(m, k);
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
        k->entries[i] = entry_new(&out[i]);
        whole = k->entries[i] != NULL;
    }
    if (!whole || tsearch(k, &m->keys, compare_names) == NULL) {
        key_free(k);
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

static loss_status memory_add(struct store *s, const struct registry_add *adds, size_t n,
                              const struct registry_key *key, int64_t now, struct loss_arena *arena,
                              struct registry_entry *out, struct loss_error *err)
{
    struct memory_store *m = memory_of(s);
    pthread_mutex_lock(&m->lock);
    loss_status status = add_locked(m, adds, n, key, now, arena, out, err);
    pthread_mutex_unlock(&m->lock);
    return status;
}

typedef loss_status (*entry_visit)(void *arg, struct memory_entry *entry, bool *more, struct loss_error *err);

/* NULL: no such step. */
static const struct memory_step *step_of(const struct memory_registry *r, int64_t step)
{
    if (step == REGISTRY_STEP_LATEST) {
        return r->steps.count > 0 ? r->steps.at[r->steps.count - 1] : NULL;
    }
    return find_step(r, step);
}

static loss_status walk_entries(const struct vector *entries, const struct store_range *range, entry_visit visit,
                                void *arg, struct loss_error *err)
{
    uint64_t first = range->after + 1;
    bool more = true;
    for (size_t i = vector_find(entries, &first, order_below); more && i < entries->count; i++) {
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
    void *entry = tree_find(&step->names, range->name);
    struct vector one = {.at = &entry, .count = entry != NULL};
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
    loss_status status = find_or_fail(m, range->registry, now, &r, err);
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
static uint64_t keep_unpicked(struct vector *v, struct memory_step *step)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->count; i++) {
        struct memory_entry *entry = v->at[i];
        if (!entry->picked) {
            v->at[kept++] = entry;
        } else if (step != NULL) {
            release_name(step, entry);
        } else {
            entry_free(entry);
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
        drop_step_if_empty(r, step);
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
    loss_status status = find_or_fail(m, range->registry, now, &r, err);
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
    loss_status status = find_or_fail(m, registry, now, &r, err);
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
    for (size_t i = vector_find(&m->registries, after, registry_below);
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
    struct memory_registry *r = find_or_make(m, registry, now);
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
    struct memory_registry *r = find(m, registry, now, &place);
    if (r != NULL) {
        *removed = r->entries.count;
        drop_at(m, place);
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
            drop_at(m, i);
        }
    }
    while (m->oldest != NULL && m->oldest->created_at + m->base.key_life <= now) {
        drop_key(m, m->oldest);
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
