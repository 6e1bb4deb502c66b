/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_base.c - arrays, trees, and the registries, steps and entries that lie in them.
 */
#include <registry/memory_base.h>

#include <search.h>
#include <stdlib.h>
#include <string.h>

bool memory_insert(struct memory_vector *v, size_t i, void *what)
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

void memory_take_out(struct memory_vector *v, size_t i)
{
    v->count--;
    memmove(v->at + i, v->at + i + 1, (v->count - i) * sizeof *v->at);
}

size_t memory_place(const struct memory_vector *v, const void *key, bool (*below)(const void *element, const void *key))
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

bool memory_registry_below(const void *element, const void *name)
{
    return strcmp(((const struct memory_registry *)element)->name, name) < 0;
}

static bool step_below(const void *element, const void *step)
{
    return ((const struct memory_step *)element)->step < *(const int64_t *)step;
}

bool memory_order_below(const void *element, const void *order)
{
    return ((const struct memory_entry *)element)->e.order < *(const uint64_t *)order;
}

int memory_compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void *memory_tree_find(void *const *root, const char *name)
{
    void *node = tfind(&name, root, memory_compare_names);
    return node != NULL ? *(void **)node : NULL;
}

void memory_leave(void *unused)
{
    (void)unused;
}

static const char *place_string(char **end, const char *s)
{
    char *start = *end;
    *end = stpcpy(start, s) + 1;
    return start;
}

struct memory_entry *memory_entry_new(const struct registry_entry *from)
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

void memory_entry_free(struct memory_entry *entry)
{
    if (entry != NULL) {
        free(entry->tally);
        free(entry);
    }
}

/* Its entries are the registry's to free. */
static void step_free(struct memory_step *step)
{
    tdestroy(step->names, memory_leave);
    tdestroy(step->suffixes, free);
    free(step->entries.at);
    free(step);
}

void memory_registry_free(struct memory_registry *r)
{
    for (size_t i = 0; i < r->steps.count; i++) {
        step_free(r->steps.at[i]);
    }
    for (size_t i = 0; i < r->entries.count; i++) {
        memory_entry_free(r->entries.at[i]);
    }
    free(r->steps.at);
    free(r->entries.at);
    free(r);
}

void memory_drop_at(struct memory_store *m, size_t i)
{
    memory_registry_free(m->registries.at[i]);
    memory_take_out(&m->registries, i);
}

struct memory_registry *memory_find(struct memory_store *m, const char *name, int64_t now, size_t *place)
{
    size_t i = memory_place(&m->registries, name, memory_registry_below);
    *place = i;
    if (i == m->registries.count) {
        return NULL;
    }
    struct memory_registry *r = m->registries.at[i];
    if (strcmp(r->name, name) != 0) {
        return NULL;
    }
    if (!r->fresh && store_end_of(&m->base, r->ttl_seconds, r->updated_at) <= now) {
        memory_drop_at(m, i);
        return NULL;
    }
    return r;
}

loss_status memory_find_or_fail(struct memory_store *m, const char *name, int64_t now, struct memory_registry **r,
                                struct loss_error *err)
{
    size_t place;
    *r = memory_find(m, name, now, &place);
    return *r != NULL ? LOSS_OK : store_fail_unknown(err, name);
}

struct memory_registry *memory_find_or_make(struct memory_store *m, const char *name, int64_t now)
{
    size_t place;
    struct memory_registry *r = memory_find(m, name, now, &place);
    if (r != NULL) {
        return r;
    }
    r = calloc(1, sizeof *r + strlen(name) + 1);
    if (r == NULL) {
        return NULL;
    }
    r->name = strcpy(r->text, name);
    r->fresh = true;
    if (!memory_insert(&m->registries, place, r)) {
        free(r);
        return NULL;
    }
    return r;
}

struct memory_step *memory_find_step(const struct memory_registry *r, int64_t step)
{
    size_t i = memory_place(&r->steps, &step, step_below);
    if (i == r->steps.count) {
        return NULL;
    }
    struct memory_step *found = r->steps.at[i];
    return found->step == step ? found : NULL;
}

struct memory_step *memory_find_or_make_step(struct memory_registry *r, int64_t step)
{
    struct memory_step *found = memory_find_step(r, step);
    if (found != NULL) {
        return found;
    }
    struct memory_step *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    made->step = step;
    if (!memory_insert(&r->steps, memory_place(&r->steps, &step, step_below), made)) {
        free(made);
        return NULL;
    }
    return made;
}

void memory_drop_step_if_empty(struct memory_registry *r, struct memory_step *step)
{
    if (step->entries.count == 0) {
        memory_take_out(&r->steps, memory_place(&r->steps, &step->step, step_below));
        step_free(step);
    }
}

static struct memory_suffix *find_or_make_suffix(struct memory_step *step, const char *base)
{
    struct memory_suffix *suffix = memory_tree_find(&step->suffixes, base);
    if (suffix != NULL) {
        return suffix;
    }
    suffix = malloc(sizeof *suffix + strlen(base) + 1);
    if (suffix == NULL) {
        return NULL;
    }
    suffix->base = strcpy(suffix->text, base);
    suffix->next = 1;
    if (tsearch(suffix, &step->suffixes, memory_compare_names) == NULL) {
        free(suffix);
        return NULL;
    }
    return suffix;
}

loss_status memory_free_name(struct memory_step *step, const char *base, char name[REGISTRY_NAME_MAX + 1],
                             struct loss_error *err)
{
    if (memory_tree_find(&step->names, base) == NULL) {
        strcpy(name, base);
        return LOSS_OK;
    }
    struct memory_suffix *suffix = find_or_make_suffix(step, base);
    if (suffix == NULL) {
        return store_fail_memory(err);
    }
    LOSS_TRY(store_suffixed(base, suffix->next, name, err));
    while (memory_tree_find(&step->names, name) != NULL) {
        suffix->next++;
        LOSS_TRY(store_suffixed(base, suffix->next, name, err));
    }
    return LOSS_OK;
}

void memory_release_name(struct memory_step *step, const struct memory_entry *entry)
{
    char base[REGISTRY_NAME_MAX + 1];
    size_t length;
    uint64_t number;
    tdelete(entry, &step->names, memory_compare_names);
    if (store_suffix_of(entry->e.name, &length, &number)) {
        memcpy(base, entry->e.name, length);
        base[length] = '\0';
        struct memory_suffix *suffix = memory_tree_find(&step->suffixes, base);
        if (suffix != NULL && suffix->next > number) {
            suffix->next = number;
        }
    }
}

loss_status memory_link_entry(struct memory_registry *r, struct memory_step *step, struct memory_entry *entry,
                              struct loss_error *err)
{
    if (!memory_insert(&r->entries, r->entries.count, entry)) {
        return store_fail_memory(err);
    }
    if (!memory_insert(&step->entries, step->entries.count, entry)) {
        r->entries.count--;
        return store_fail_memory(err);
    }
    if (tsearch(entry, &step->names, memory_compare_names) == NULL) {
        r->entries.count--;
        step->entries.count--;
        return store_fail_memory(err);
    }
    return LOSS_OK;
}
