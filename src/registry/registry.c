/* SPDX-License-Identifier: Apache-2.0
 *
 * registry.c - the rules of a registry on top of a store: names, scopes, pages, totals.
 */
#include <assert.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <registry/registry.h>
#include <registry/scope.h>
#include <registry/store.h>
#include <text/hex.h>

struct registry {
    struct store *store; /* of a namespace: its root's */
    int64_t (*now_us)(void *);
    void *now_arg;
    bool is_space;
    char prefix[STORE_PREFIX_MAX + 1]; /* of all names and keys in the store; "" at the root */
};

static int64_t system_now_us(void *unused)
{
    struct timespec t;
    (void)unused;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t now(const struct registry *r)
{
    return r->now_us(r->now_arg);
}

static loss_status open_store(const struct registry_options *options, struct store **out, struct loss_error *err)
{
    static const char sqlite[] = "sqlite:", redis[] = "redis:", tls[] = "rediss:";
    const char *url = options->url;
    char shown[128];
    if (strcmp(url, "memory") == 0) {
        return store_memory_open(out, err);
    }
    if (strncmp(url, sqlite, sizeof sqlite - 1) == 0 && url[sizeof sqlite - 1] != '\0') {
        return store_sqlite_open(url + sizeof sqlite - 1, options->read_only, out, err);
    }
    if (strncmp(url, redis, sizeof redis - 1) == 0 || strncmp(url, tls, sizeof tls - 1) == 0) {
        return store_redis_open(options, out, err);
    }
    return loss_fail(err, LOSS_INVALID_PARAMETER, "",
                     "a store is \"memory\", \"sqlite:PATH\" or \"redis://...\", got \"%s\"",
                     registry_url_shown(url, shown, sizeof shown));
}

loss_status registry_open(const struct registry_options *options, struct registry **out, struct loss_error *err)
{
    struct registry *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return store_fail_memory(err);
    }
    loss_status status = open_store(options, &r->store, err);
    if (status != LOSS_OK) {
        free(r);
        return status;
    }
    assert(r->store != NULL);
    r->store->ttl = options->ttl_seconds * 1000000;
    r->store->key_life = options->idempotency_seconds * 1000000;
    r->now_us = options->now_us != NULL ? options->now_us : system_now_us;
    r->now_arg = options->now_arg;
    *out = r;
    return LOSS_OK;
}

size_t registry_width(const struct registry *r)
{
    return r->store->width > 0 ? r->store->width : 1;
}

/* A password stands before the last @, behind the first colon after the scheme; without that colon, what is there may
 * have been meant as one. */
const char *registry_url_shown(const char *url, char *buf, size_t size)
{
    const char *at = strrchr(url, '@'), *scheme = strstr(url, "//");
    const char *user = scheme != NULL ? scheme + 2 : url;
    if (strncmp(url, "sqlite:", 7) == 0 || at == NULL || at < user) {
        snprintf(buf, size, "%s", url);
    } else {
        size_t shown = user[strcspn(user, ":@")] == ':' ? strcspn(user, ":") : 0;
        snprintf(buf, size, "%.*s%s%s", (int)(user - url) + (int)shown, url, shown > 0 ? ":***" : "***", at);
    }
    return buf;
}

bool registry_is_space(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t n = strlen(name);
    return n > 0 && n <= REGISTRY_SPACE_MAX && name[0] != '\0' && strchr(letters, name[0]) != NULL &&
           n == strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
}

loss_status registry_space(const struct registry *root, const char *name, struct registry **out, struct loss_error *err)
{
    struct registry *r = malloc(sizeof *r);
    assert(!root->is_space && registry_is_space(name));
    if (r == NULL) {
        return store_fail_memory(err);
    }
    *r = *root;
    r->is_space = true;
    if (strcmp(name, REGISTRY_SPACE_DEFAULT) != 0) {
        store_prefix(name, r->prefix);
    }
    *out = r;
    return LOSS_OK;
}

void registry_close(struct registry *r)
{
    if (r != NULL && !r->is_space) {
        r->store->ops->close(r->store);
    }
    free(r);
}

/* What a registry or a key of this namespace is called in the store; `name` itself at the root. Only here do names
 * cross from one to the other. */
struct stored {
    char text[STORE_PREFIX_MAX + REGISTRY_NAME_MAX + 1];
};

static const char *stored_name(const struct registry *r, const char *name, struct stored *stored)
{
    if (r->prefix[0] == '\0') {
        assert(name == NULL || name[0] != STORE_PREFIX_MARK);
        return name;
    }
    snprintf(stored->text, sizeof stored->text, "%s%s", r->prefix, name);
    return stored->text;
}

loss_status registry_ready(struct registry *r, struct loss_error *err)
{
    return r->store->ops->ready(r->store, err);
}

void registry_group_begin(struct registry *r)
{
    if (r->store->ops->group_begin != NULL) {
        r->store->ops->group_begin(r->store);
    }
}

void registry_group_cancel(struct registry *r, const struct loss_error *why)
{
    if (r->store->ops->group_cancel != NULL) {
        r->store->ops->group_cancel(r->store, why);
    }
}

loss_status registry_group_end(struct registry *r, struct loss_error *err)
{
    return r->store->ops->group_end != NULL ? r->store->ops->group_end(r->store, err) : LOSS_OK;
}

/* Length of the UTF-8 sequence at s, of at most n bytes, and the code point; 0: there is none. */
static size_t read_utf8(const unsigned char *s, size_t n, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* what needs this many bytes */
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf8 ? 4 : 0;
    if (length == 0 || length > n) {
        return 0;
    }
    uint32_t value = length == 1 ? s[0] : s[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (s[i] & 0x3f);
    }
    if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return 0;
    }
    *point = value;
    return length;
}

loss_status registry_check_name(const char *name, size_t n, const char *pointer, struct loss_error *err)
{
    if (n == 0 || n > REGISTRY_NAME_MAX) {
        return loss_fail(err, LOSS_INVALID_NAME, pointer, "a name has 1 to %d bytes, got %zu", REGISTRY_NAME_MAX, n);
    }
    for (size_t i = 0; i < n;) {
        uint32_t point = 0;
        size_t length = read_utf8((const unsigned char *)name + i, n - i, &point);
        if (length == 0) {
            return loss_fail(err, LOSS_INVALID_NAME, pointer, "a name is UTF-8, which this is not at byte %zu", i);
        }
        if (point < 0x20 || (point >= 0x7f && point <= 0x9f)) {
            return loss_fail(err, LOSS_INVALID_NAME, pointer,
                             "a name has no control characters, got U+%04X at byte %zu", (unsigned)point, i);
        }
        i += length;
    }
    return LOSS_OK;
}

/* For assertions, which a release build leaves out. */
__attribute__((unused)) static bool is_name(const char *name)
{
    return name != NULL && registry_check_name(name, strlen(name), "", NULL) == LOSS_OK;
}

static loss_status check_key(const char *key, struct loss_error *err)
{
    size_t n = key != NULL ? strlen(key) : 1;
    bool visible = true;
    for (const char *c = key; c != NULL && *c != '\0'; c++) {
        visible = visible && *c > ' ' && *c < 0x7f;
    }
    if (n == 0 || n > REGISTRY_KEY_MAX || !visible) {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, "Idempotency-Key",
                                   "must be 1 to %d visible ASCII characters", REGISTRY_KEY_MAX);
    }
    return LOSS_OK;
}

/* The adds with their registries as the store calls them, in the arena; NULL: no memory. */
static const struct registry_add *stored_adds(const struct registry *r, const struct registry_add *adds, size_t n,
                                              struct loss_arena *arena)
{
    if (r->prefix[0] == '\0') {
        return adds;
    }
    struct registry_add *own = loss_arena_alloc(arena, n * sizeof *own, alignof(struct registry_add));
    for (size_t i = 0; own != NULL && i < n; i++) {
        struct stored stored;
        const char *name = stored_name(r, adds[i].registry, &stored);
        own[i] = adds[i];
        own[i].registry = loss_arena_copy(arena, name, strlen(name));
        if (own[i].registry == NULL) {
            return NULL;
        }
    }
    return own;
}

loss_status registry_add_all(struct registry *r, const struct registry_add *adds, size_t n,
                             const struct registry_key *key, struct loss_arena *arena, struct registry_entry *out,
                             struct loss_error *err)
{
    for (size_t i = 0; i < n; i++) {
        assert(is_name(adds[i].registry) && is_name(adds[i].name) && is_name(adds[i].collection));
        assert(adds[i].step >= 0 && adds[i].step <= REGISTRY_STEP_MAX);
        assert(adds[i].dtype != NULL && adds[i].reduction != NULL);
        assert(adds[i].tally == NULL || adds[i].dtype[0] != '\0');
    }
    LOSS_TRY(check_key(key->key, err));
    struct registry_key own = *key;
    struct stored stored;
    if (key->key != NULL) {
        own.key = stored_name(r, key->key, &stored);
    }
    adds = stored_adds(r, adds, n, arena);
    return adds != NULL ? r->store->ops->add(r->store, adds, n, &own, now(r), arena, out, err) : store_fail_memory(err);
}

loss_status registry_add(struct registry *r, const struct registry_add *add, struct loss_arena *arena,
                         struct registry_entry *out, struct loss_error *err)
{
    return registry_add_all(r, add, 1, &add->key, arena, out, err);
}

/* Cursors are bytes in hexadecimal, so that nobody is tempted to count them up. */
static char *cursor_encode(struct loss_arena *arena, const void *bytes, size_t n)
{
    char *text = loss_arena_alloc(arena, 2 * n + 1, 1);
    if (text != NULL) {
        hex_write(text, bytes, n);
    }
    return text;
}

static loss_status bad_cursor(struct loss_error *err, const char *why)
{
    return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, "cursor", "%s", why);
}

/* Where a page of entries ended, and the step it read: the latest may be another one by the time of the next page. */
struct place {
    uint64_t order;
    int64_t step;
};

#define PLACE_BYTES 16

static const char *place_encode(struct loss_arena *arena, struct place place)
{
    unsigned char bytes[PLACE_BYTES];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(place.order >> (56 - 8 * i));
        bytes[8 + i] = (unsigned char)((uint64_t)place.step >> (56 - 8 * i));
    }
    return cursor_encode(arena, bytes, sizeof bytes);
}

static bool place_decode(const char *cursor, struct place *place)
{
    unsigned char bytes[PLACE_BYTES];
    size_t n;
    uint64_t order = 0, step = 0;
    if (!hex_read(cursor, bytes, sizeof bytes, &n) || n != sizeof bytes) {
        return false;
    }
    for (int i = 0; i < 8; i++) {
        order = order << 8 | bytes[i];
        step = step << 8 | bytes[8 + i];
    }
    *place = (struct place){.order = order, .step = (int64_t)step};
    return order <= INT64_MAX &&
           (place->step == REGISTRY_STEP_ALL || (place->step >= 0 && place->step <= REGISTRY_STEP_MAX));
}

static loss_status range_of(const struct registry_query *query, struct store_range *range, struct loss_error *err)
{
    *range = (struct store_range){
        .registry = query->registry, .collection = query->collection, .name = query->name, .step = query->step};
    if (query->cursor == NULL) {
        return LOSS_OK;
    }
    struct place place;
    if (!place_decode(query->cursor, &place)) {
        return bad_cursor(err, "must be the next_cursor of an earlier page");
    }
    if (query->step == REGISTRY_STEP_LATEST ? place.step < 0 : place.step != query->step) {
        return bad_cursor(err, "is of a list of another step");
    }
    range->after = place.order;
    range->step = place.step;
    return LOSS_OK;
}

/* Room for one more element of `size` bytes in an array of the arena that doubles as it grows; NULL: no memory. */
static void *make_room(struct loss_arena *arena, void *array, size_t count, size_t size)
{
    if (array != NULL && (count < 16 || (count & (count - 1)) != 0)) {
        return array;
    }
    return loss_arena_resize(arena, array, (count < 16 ? 16 : 2 * count) * size);
}

struct listing {
    const struct registry_query *query;
    struct scope *scope;
    struct loss_arena *arena;
    struct registry_page page;
};

static loss_status list_visit(void *arg, const struct registry_entry *entry, bool *more, struct loss_error *err)
{
    struct listing *l = arg;
    struct registry_page *page = &l->page;
    bool matches;
    LOSS_TRY(scope_matches(l->scope, entry->name, &matches, err));
    if (!matches) {
        return LOSS_OK;
    }
    if (l->query->limit != 0 && page->count == l->query->limit) { /* the page is full, and this one is for the next */
        const struct registry_entry *last = &page->entries[page->count - 1];
        struct place place = {last->order, l->query->step == REGISTRY_STEP_ALL ? REGISTRY_STEP_ALL : last->step};
        page->next_cursor = place_encode(l->arena, place);
        *more = false;
        return page->next_cursor != NULL ? LOSS_OK : store_fail_memory(err);
    }
    void *room = make_room(l->arena, page->entries, page->count, sizeof *page->entries);
    if (room == NULL) {
        return store_fail_memory(err);
    }
    page->entries = room;
    LOSS_TRY(store_entry_copy(l->arena, entry, &page->entries[page->count], err));
    page->count++;
    return LOSS_OK;
}

loss_status registry_list(struct registry *r, const struct registry_query *query, struct loss_arena *arena,
                          struct registry_page *page, struct loss_error *err)
{
    struct listing l = {.query = query, .arena = arena};
    struct store_range range;
    struct stored stored;
    LOSS_TRY(range_of(query, &range, err));
    range.registry = stored_name(r, query->registry, &stored);
    range.most = query->scope == NULL && query->limit != 0 ? query->limit + 1 : 0; /* one more tells of a next page */
    LOSS_TRY(scope_new(query->scope, &l.scope, err));
    loss_status status = r->store->ops->scan(r->store, &range, now(r), list_visit, &l, err);
    scope_free(l.scope);
    if (status == LOSS_OK) {
        *page = l.page;
    }
    return status;
}

struct totalling {
    struct scope *scope;
    bool losses, regularization;
    struct loss_sum sum;
    uint64_t count;
};

static loss_status total_visit(void *arg, const struct registry_entry *entry, bool *more, struct loss_error *err)
{
    struct totalling *t = arg;
    bool matches;
    (void)more;
    if (!(t->losses && strcmp(entry->collection, REGISTRY_LOSSES) == 0) &&
        !(t->regularization && strcmp(entry->collection, REGISTRY_REGULARIZATION) == 0)) {
        return LOSS_OK;
    }
    LOSS_TRY(scope_matches(t->scope, entry->name, &matches, err));
    if (matches) {
        loss_sum_add(&t->sum, entry->loss);
        t->count++;
    }
    return LOSS_OK;
}

loss_status registry_total(struct registry *r, const struct registry_query *query, bool losses, bool regularization,
                           double *total, uint64_t *count, struct loss_error *err)
{
    struct totalling t = {.losses = losses, .regularization = regularization};
    struct stored stored;
    struct store_range range = {
        .registry = stored_name(r, query->registry, &stored), .name = query->name, .step = query->step};
    LOSS_TRY(scope_new(query->scope, &t.scope, err));
    loss_sum_init(&t.sum);
    loss_status status = r->store->ops->scan(r->store, &range, now(r), total_visit, &t, err);
    scope_free(t.scope);
    if (status == LOSS_OK) {
        *total = loss_sum_round(&t.sum);
        *count = t.count;
    }
    return status;
}

struct info_listing {
    struct loss_arena *arena;
    const char *prefix; /* what names begin with that are listed */
    size_t limit;
    struct registry_info *infos;
    size_t count;
    const char *next_cursor;
};

static loss_status info_visit(void *arg, const struct registry_info *info, bool *more, struct loss_error *err)
{
    struct info_listing *l = arg;
    size_t skip = strlen(l->prefix);
    if (strncmp(info->registry, l->prefix, skip) != 0) { /* those of the next namespace */
        *more = false;
        return LOSS_OK;
    }
    if (l->limit != 0 && l->count == l->limit) {
        const char *last = l->infos[l->count - 1].registry;
        l->next_cursor = cursor_encode(l->arena, last, strlen(last));
        *more = false;
        return l->next_cursor != NULL ? LOSS_OK : store_fail_memory(err);
    }
    void *room = make_room(l->arena, l->infos, l->count, sizeof *l->infos);
    const char *name = loss_arena_copy(l->arena, info->registry + skip, strlen(info->registry + skip));
    if (room == NULL || name == NULL) {
        return store_fail_memory(err);
    }
    l->infos = room;
    l->infos[l->count] = *info;
    l->infos[l->count].registry = name;
    l->count++;
    return LOSS_OK;
}

loss_status registry_info_get(struct registry *r, const char *registry, struct loss_arena *arena,
                              struct registry_info *out, struct loss_error *err)
{
    struct info_listing l = {.arena = arena, .prefix = r->prefix};
    struct stored stored;
    LOSS_TRY(r->store->ops->info(r->store, stored_name(r, registry, &stored), now(r), info_visit, &l, err));
    *out = l.infos[0];
    return LOSS_OK;
}

loss_status registry_info_list(struct registry *r, size_t limit, const char *cursor, struct loss_arena *arena,
                               struct registry_info **out, size_t *count, const char **next_cursor,
                               struct loss_error *err)
{
    struct info_listing l = {.arena = arena, .limit = limit, .prefix = r->prefix};
    struct stored stored;
    unsigned char after[REGISTRY_NAME_MAX + 1];
    size_t n = 0;
    if (cursor != NULL && (!hex_read(cursor, after, REGISTRY_NAME_MAX, &n) ||
                           registry_check_name((const char *)after, n, "", NULL) != LOSS_OK)) {
        return bad_cursor(err, "must be the next_cursor of an earlier page");
    }
    after[n] = '\0';
    const char *start = stored_name(r, (const char *)after, &stored);
    if (start[0] == '\0') {
        start = STORE_PREFIX_LAST; /* the root's own stand behind all namespaces' */
    }
    LOSS_TRY(r->store->ops->infos(r->store, start, now(r), info_visit, &l, err));
    *out = l.infos;
    *count = l.count;
    *next_cursor = l.next_cursor;
    return LOSS_OK;
}

loss_status registry_put(struct registry *r, const char *registry, int64_t ttl_seconds, struct loss_error *err)
{
    assert(is_name(registry) && ttl_seconds >= 0 && ttl_seconds <= REGISTRY_TTL_MAX);
    struct stored stored;
    return r->store->ops->put(r->store, stored_name(r, registry, &stored), ttl_seconds, now(r), err);
}

static loss_status remove_pick(void *arg, const struct registry_entry *entry, bool *picked, struct loss_error *err)
{
    return scope_matches(arg, entry->name, picked, err);
}

loss_status registry_remove(struct registry *r, const char *registry, const char *scope, int64_t step,
                            uint64_t *removed, struct loss_error *err)
{
    struct stored stored;
    struct store_range range = {.registry = stored_name(r, registry, &stored), .step = step};
    struct scope *compiled;
    if (scope == NULL && step == REGISTRY_STEP_ALL) {
        return r->store->ops->drop(r->store, range.registry, now(r), removed, err);
    }
    LOSS_TRY(scope_new(scope, &compiled, err));
    loss_status status = r->store->ops->remove(r->store, &range, now(r), remove_pick, compiled, removed, err);
    scope_free(compiled);
    return status;
}

loss_status registry_expire(struct registry *r, struct loss_error *err)
{
    return r->store->ops->expire(r->store, now(r), err);
}

loss_status registry_walk(struct registry *r, const char *registry, registry_visit visit, void *arg,
                          struct loss_error *err)
{
    struct stored stored;
    struct store_range range = {.registry = stored_name(r, registry, &stored), .step = REGISTRY_STEP_ALL};
    return r->store->ops->scan(r->store, &range, now(r), visit, arg, err);
}

static loss_status cannot(struct loss_error *err, const char *what)
{
    return loss_fail(err, LOSS_NOT_FOUND, "", "this kind of store cannot %s", what);
}

struct space_walk {
    char space[REGISTRY_SPACE_MAX + 1]; /* the one found; "" where there are no more */
};

static loss_status find_space(void *arg, const struct registry_info *info, bool *more, struct loss_error *err)
{
    struct space_walk *w = arg;
    (void)err;
    if (info->registry[0] == STORE_PREFIX_MARK) {
        size_t n = strcspn(info->registry + 1, (const char[]){STORE_PREFIX_MARK, '\0'});
        snprintf(w->space, sizeof w->space, "%.*s", (int)n, info->registry + 1);
    }
    *more = false;
    return LOSS_OK;
}

loss_status registry_next_space(struct registry *root, char space[REGISTRY_SPACE_MAX + 1], struct loss_error *err)
{
    /* A blank stands behind the mark, and before all that a longer name would go on with. */
    char after[STORE_PREFIX_MAX + 1];
    struct space_walk w = {.space = ""};
    snprintf(after, sizeof after, "%c%s%s", STORE_PREFIX_MARK, space, space[0] != '\0' ? " " : "");
    LOSS_TRY(root->store->ops->infos(root->store, after, now(root), find_space, &w, err));
    strcpy(space, w.space);
    return LOSS_OK;
}

struct key_walk {
    const char *prefix;
    registry_visit_key visit;
    void *arg;
};

/* Those of this namespace alone. */
static loss_status show_key(void *arg, const struct registry_kept_key *key, bool *more, struct loss_error *err)
{
    const struct key_walk *w = arg;
    struct registry_kept_key own = *key;
    size_t skip = strlen(w->prefix);
    if (strncmp(key->key.key, w->prefix, skip) != 0 || key->key.key[skip] == STORE_PREFIX_MARK) {
        return LOSS_OK;
    }
    own.key.key += skip;
    return w->visit(w->arg, &own, more, err);
}

loss_status registry_walk_keys(struct registry *r, registry_visit_key visit, void *arg, struct loss_error *err)
{
    struct key_walk w = {.prefix = r->prefix, .visit = visit, .arg = arg};
    return r->store->ops->keys != NULL ? r->store->ops->keys(r->store, now(r), show_key, &w, err)
                                       : cannot(err, "list its idempotency keys");
}

loss_status registry_restore_begin(struct registry *r, struct loss_error *err)
{
    if (r->store->ops->restore_begin != NULL) {
        return r->store->ops->restore_begin(r->store, err);
    }
    registry_group_begin(r);
    return LOSS_OK;
}

loss_status registry_restore_end(struct registry *r, const struct loss_error *why, struct loss_error *err)
{
    if (r->store->ops->restore_end != NULL) {
        return r->store->ops->restore_end(r->store, now(r), why == NULL, err);
    }
    if (why != NULL) {
        registry_group_cancel(r, why);
    }
    return registry_group_end(r, err);
}

loss_status registry_restore(struct registry *r, const struct registry_image *image, registry_taken taken,
                             struct loss_error *err)
{
    assert(is_name(image->registry) && image->ttl_seconds >= 0 && image->ttl_seconds <= REGISTRY_TTL_MAX);
    struct registry_image own = *image;
    struct stored stored;
    own.registry = stored_name(r, image->registry, &stored);
    return r->store->ops->restore != NULL ? r->store->ops->restore(r->store, &own, taken, now(r), err)
                                          : cannot(err, "take in whole registries");
}

loss_status registry_restore_key(struct registry *r, const struct registry_kept_key *key, registry_taken taken,
                                 struct loss_error *err)
{
    LOSS_TRY(check_key(key->key.key, err));
    struct registry_kept_key own = *key;
    struct stored stored;
    own.key.key = stored_name(r, key->key.key, &stored);
    return r->store->ops->restore_key != NULL ? r->store->ops->restore_key(r->store, &own, taken, now(r), err)
                                              : cannot(err, "take in idempotency keys");
}
