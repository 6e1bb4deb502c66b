/* SPDX-License-Identifier: Apache-2.0
 *
 * store.c - what all stores share: when a registry ends, how names get suffixes, and their common failures.
 */
#include <inttypes.h>
#include <math.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include <registry/store.h>

int64_t store_end_of(const struct store *s, int64_t ttl_seconds, int64_t updated_at)
{
    int64_t ttl = ttl_seconds > 0 ? ttl_seconds * 1000000 : s->ttl;
    return ttl > 0 ? updated_at + ttl : INT64_MAX;
}

loss_status store_suffixed(const char *base, uint64_t number, char name[REGISTRY_NAME_MAX + 1], struct loss_error *err)
{
    int length = snprintf(name, REGISTRY_NAME_MAX + 1, "%s_%" PRIu64, base, number);
    if (length > REGISTRY_NAME_MAX) {
        return loss_fail(err, LOSS_INVALID_NAME, "/name",
                         "the name is taken in this step, and with the suffix _%" PRIu64
                         " it would be longer than %d bytes",
                         number, REGISTRY_NAME_MAX);
    }
    return LOSS_OK;
}

bool store_suffix_of(const char *name, size_t *length, uint64_t *number)
{
    const char *mark = strrchr(name, '_');
    if (mark == NULL || mark == name || mark[1] < '1' || mark[1] > '9') {
        return false; /* numbers are written without leading zeros */
    }
    uint64_t value = 0;
    size_t digits = strspn(mark + 1, "0123456789");
    if (mark[1 + digits] != '\0' || digits > 18) {
        return false;
    }
    for (const char *c = mark + 1; *c != '\0'; c++) {
        value = value * 10 + (uint64_t)(*c - '0');
    }
    *length = (size_t)(mark - name);
    *number = value;
    return true;
}

static loss_status conflict(struct loss_error *err, const char *name, const char *what, const char *there,
                            const char *here)
{
    return loss_fail(err, LOSS_ACCUMULATE_CONFLICT, "/name",
                     "the entry \"%.200s\" accumulates %s %.300s, this batch is of %.300s", name, what, there, here);
}

loss_status store_check_merge(const struct registry_entry *entry, const struct registry_add *add,
                              struct loss_error *err)
{
    if (entry->tally == NULL) {
        return loss_fail(err, LOSS_ACCUMULATE_CONFLICT, "/name",
                         "the entry \"%.200s\" was added plainly, and takes no batches", entry->name);
    }
    const struct {
        const char *what, *there, *here;
    } same[] = {{"the loss", entry->tally->what, add->tally->what},
                {"with the reduction", entry->reduction, add->reduction},
                {"in", entry->dtype, add->dtype},
                {"in the collection", entry->collection, add->collection}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        if (strcmp(same[i].there, same[i].here) != 0) {
            return conflict(err, entry->name, same[i].what, same[i].there, same[i].here);
        }
    }
    return LOSS_OK;
}

static bool same_number(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

bool store_same_entry(const struct registry_entry *a, const struct registry_entry *b)
{
    if (a->tally == NULL || b->tally == NULL) {
        if (a->tally != b->tally) {
            return false;
        }
    } else if (!tally_same(a->tally, b->tally)) {
        return false;
    }
    return strcmp(a->name, b->name) == 0 && strcmp(a->collection, b->collection) == 0 &&
           strcmp(a->dtype, b->dtype) == 0 && strcmp(a->reduction, b->reduction) == 0 && a->step == b->step &&
           same_number(a->loss, b->loss) && a->added_at == b->added_at && a->updated_at == b->updated_at;
}

void store_prefix(const char *space, char prefix[STORE_PREFIX_MAX + 1])
{
    snprintf(prefix, STORE_PREFIX_MAX + 1, "%c%s%c", STORE_PREFIX_MARK, space, STORE_PREFIX_MARK);
}

const char *store_shown(const char *stored)
{
    const char *mark = strrchr(stored, STORE_PREFIX_MARK);
    return mark != NULL ? mark + 1 : stored;
}

static const char *copy_string(struct loss_arena *arena, const char *s)
{
    return loss_arena_copy(arena, s, strlen(s));
}

struct registry_entry store_entry_of(const struct registry_add *add, const char *name, int64_t now)
{
    return (struct registry_entry){.name = name,
                                   .collection = add->collection,
                                   .loss = add->loss,
                                   .step = add->step,
                                   .dtype = add->dtype,
                                   .reduction = add->reduction,
                                   .added_at = now,
                                   .updated_at = now,
                                   .tally = add->tally};
}

loss_status store_entry_copy(struct loss_arena *arena, const struct registry_entry *from, struct registry_entry *to,
                             struct loss_error *err)
{
    struct registry_entry copy = *from;
    copy.name = copy_string(arena, from->name);
    copy.collection = copy_string(arena, from->collection);
    copy.dtype = copy_string(arena, from->dtype);
    copy.reduction = copy_string(arena, from->reduction);
    if (copy.name == NULL || copy.collection == NULL || copy.dtype == NULL || copy.reduction == NULL) {
        return store_fail_memory(err);
    }
    if (from->tally != NULL) {
        void *memory = loss_arena_alloc(arena, tally_size(from->tally), alignof(struct registry_tally));
        if (memory == NULL) {
            return store_fail_memory(err);
        }
        copy.tally = tally_place(memory, from->tally);
    }
    *to = copy;
    return LOSS_OK;
}

loss_status store_fail_taken(struct loss_error *err, const char *registry)
{
    return loss_fail(err, LOSS_INVALID_NAME, "", "there is a registry \"%.200s\" already", store_shown(registry));
}

loss_status store_fail_entry(struct loss_error *err, const struct registry_entry *e)
{
    return loss_fail(err, LOSS_INVALID_NAME, "/name", "step %" PRId64 " has another entry \"%.200s\" already", e->step,
                     e->name);
}

loss_status store_fail_unknown(struct loss_error *err, const char *registry)
{
    return loss_fail(err, LOSS_UNKNOWN_REGISTRY, "", "there is no registry \"%.200s\"; adding to it or a PUT makes it",
                     store_shown(registry));
}

loss_status store_fail_conflict(struct loss_error *err, const char *key)
{
    return loss_fail_parameter(err, LOSS_IDEMPOTENCY_CONFLICT, "Idempotency-Key",
                               "the key \"%.255s\" was used for another request; take a new key", store_shown(key));
}

loss_status store_fail_memory(struct loss_error *err)
{
    return loss_fail(err, LOSS_OVERLOADED, "", "out of memory");
}
