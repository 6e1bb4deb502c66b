/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_recent.c - what the changes of one transaction would ask and write again and again: the registry's row and the next
 * suffix of a name. They are remembered, and written once, before anybody else reads or changes them.
 */
#include <registry/sqlite_base.h>

#include <string.h>

bool sqlite_recall(const struct sqlite_store *s, const char *registry, int64_t now, struct sqlite_found *found)
{
    const struct sqlite_recent *r = &s->recent;
    if (r->registry == 0 || strcmp(r->name, registry) != 0) {
        return false;
    }
    *found = (struct sqlite_found){
        .id = r->registry, .ttl = r->ttl, .over = store_end_of(&s->base, r->ttl, r->updated_at) <= now};
    return true;
}

loss_status sqlite_touch(struct sqlite_store *s, int64_t registry, const char *name, int64_t ttl, int64_t now,
                         struct loss_error *err)
{
    struct sqlite_recent *r = &s->recent;
    if (r->registry != registry) {
        LOSS_TRY(sqlite_settle(s, err));
        r->registry = registry;
        r->ttl = ttl;
        strcpy(r->name, name);
    }
    r->updated_at = now;
    return LOSS_OK;
}

int64_t sqlite_recall_suffix(const struct sqlite_store *s, int64_t registry, int64_t step, const char *base)
{
    const struct sqlite_recent *r = &s->recent;
    return r->registry == registry && r->next != 0 && r->step == step && strcmp(r->base, base) == 0 ? r->next : 0;
}

static loss_status write_suffix(struct sqlite_store *s, struct loss_error *err)
{
    const struct sqlite_recent *r = &s->recent;
    return r->next == 0 ? LOSS_OK : sqlite_run(s, SQL_SET_SUFFIX, err, "iisi", r->registry, r->step, r->base, r->next);
}

loss_status sqlite_count_suffix(struct sqlite_store *s, int64_t step, const char *base, int64_t next,
                                struct loss_error *err)
{
    struct sqlite_recent *r = &s->recent;
    if (sqlite_recall_suffix(s, r->registry, step, base) == 0) {
        LOSS_TRY(write_suffix(s, err));
        r->step = step;
        strcpy(r->base, base);
    }
    r->next = next;
    return LOSS_OK;
}

void sqlite_forget(struct sqlite_store *s)
{
    s->recent.registry = s->recent.next = 0;
}

loss_status sqlite_settle(struct sqlite_store *s, struct loss_error *err)
{
    const struct sqlite_recent *r = &s->recent;
    if (r->registry == 0) {
        return LOSS_OK;
    }
    loss_status status = sqlite_run(s, SQL_TOUCH_REGISTRY, err, "ii", r->registry, r->updated_at);
    if (status == LOSS_OK) {
        status = write_suffix(s, err);
    }
    sqlite_forget(s);
    if (status != LOSS_OK && !s->saved) { /* it was of changes before this one */
        sqlite_lose_group(s);
    }
    return status;
}
