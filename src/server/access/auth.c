/* SPDX-License-Identifier: Apache-2.0
 *
 * auth.c - a hash table of hashes, read anew and swapped.
 */
#include <server/access/auth.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <nettle/memops.h>

#include <server/log.h>

struct auth_table {
    uint64_t generation;
    atomic_size_t holders;
    size_t n, mask;
    struct auth_key *key;
    uint32_t *slot; /* mask + 1 of them: index of a key plus one, or 0 */
};

struct auth {
    pthread_mutex_t mutex; /* guards `table` and `uses` */
    struct auth_table *table;
    struct auth_use *uses; /* of every name there ever was */
    atomic_uint_fast64_t generation;
    atomic_uint_fast64_t failures[N_AUTH_FAILURES];
    const struct registry *root;
    char path[];
};

/* --- a table --- */

static void table_free(struct auth_table *t)
{
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->n; i++) {
        registry_close(t->key[i].registry);
    }
    free(t->key);
    free(t->slot);
    free(t);
}

/* The hash of a key is as good as random, and its first bytes place it. */
static size_t first_slot(const struct auth_table *t, const unsigned char digest[KEYFILE_DIGEST])
{
    uint64_t bits;
    memcpy(&bits, digest, sizeof bits);
    return (size_t)bits & t->mask;
}

static void place(struct auth_table *t, size_t i)
{
    size_t slot = first_slot(t, t->key[i].is.digest);
    while (t->slot[slot] != 0) {
        slot = (slot + 1) & t->mask;
    }
    t->slot[slot] = (uint32_t)(i + 1);
}

static loss_status table_new(const struct registry *root, const struct keyfile *f, struct auth_table **out,
                             struct loss_error *err)
{
    struct auth_table *t = calloc(1, sizeof *t);
    size_t slots = 2;
    while (slots < 2 * f->n) {
        slots *= 2;
    }
    if (t == NULL) {
        return loss_no_memory(err, "the keys");
    }
    t->mask = slots - 1;
    t->holders = 1;
    t->key = calloc(f->n + 1, sizeof *t->key);
    t->slot = calloc(slots, sizeof *t->slot);
    loss_status status = t->key == NULL || t->slot == NULL ? loss_no_memory(err, "the keys") : LOSS_OK;
    for (; status == LOSS_OK && t->n < f->n; t->n++) {
        t->key[t->n].is = f->key[t->n];
        status = registry_space(root, f->key[t->n].space, &t->key[t->n].registry, err);
        place(t, t->n);
    }
    if (status != LOSS_OK) {
        table_free(t);
        return status;
    }
    *out = t;
    return LOSS_OK;
}

const struct auth_key *auth_find(const struct auth_table *t, const char *key, size_t n)
{
    unsigned char digest[KEYFILE_DIGEST];
    keyfile_digest(key, n, digest);
    for (size_t slot = first_slot(t, digest); t->slot[slot] != 0; slot = (slot + 1) & t->mask) {
        const struct auth_key *found = &t->key[t->slot[slot] - 1];
        if (memeql_sec(found->is.digest, digest, KEYFILE_DIGEST)) {
            return found;
        }
    }
    return NULL;
}

/* --- what is used --- */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct auth_use *const *)a)->name, (*(struct auth_use *const *)b)->name);
}

/* All uses there are, sorted by name, for a table of many keys; *n of them. NULL: no memory. */
static struct auth_use **sort_uses(const struct auth *a, size_t *n)
{
    *n = 0;
    for (const struct auth_use *use = a->uses; use != NULL; use = use->next) {
        (*n)++;
    }
    struct auth_use **sorted = malloc((*n + 1) * sizeof *sorted);
    size_t i = 0;
    for (struct auth_use *use = a->uses; sorted != NULL && use != NULL; use = use->next) {
        sorted[i++] = use;
    }
    if (sorted != NULL) {
        qsort(sorted, *n, sizeof *sorted, by_name);
    }
    return sorted;
}

static struct auth_use *use_new(const char *name)
{
    struct auth_use *use = calloc(1, sizeof *use);
    if (use != NULL) {
        strcpy(use->name, name);
    }
    return use;
}

/* Give each key of a new table what its name has used so far. */
static loss_status join_uses(struct auth *a, struct auth_table *t, struct loss_error *err)
{
    size_t n;
    struct auth_use **sorted = sort_uses(a, &n);
    loss_status status = sorted != NULL ? LOSS_OK : loss_no_memory(err, "the keys");
    for (size_t i = 0; i < t->n && status == LOSS_OK; i++) {
        struct auth_use named;
        struct auth_use *wanted = &named;
        strcpy(named.name, t->key[i].is.name);
        struct auth_use **found = bsearch(&wanted, sorted, n, sizeof *sorted, by_name);
        struct auth_use *use = found != NULL ? *found : use_new(t->key[i].is.name);
        if (use == NULL) {
            status = loss_no_memory(err, "the keys");
        } else if (found == NULL) {
            use->next = a->uses;
            a->uses = use;
        }
        t->key[i].use = use;
    }
    free(sorted);
    return status;
}

void auth_visit_uses(struct auth *a, auth_visit visit, void *arg)
{
    struct auth_use others = {.name = ""};
    pthread_mutex_lock(&a->mutex);
    const struct auth_table *t = a->table;
    for (size_t i = 0; i < t->n; i++) {
        struct auth_use *use = t->key[i].use;
        if (i < AUTH_SHOWN) {
            visit(arg, use);
            continue;
        }
        for (size_t k = 0; k < N_KEY_OUTCOMES; k++) {
            atomic_fetch_add(&others.outcome[k], atomic_load(&use->outcome[k]));
        }
        atomic_fetch_add(&others.rows, atomic_load(&use->rows));
        atomic_fetch_add(&others.limited, atomic_load(&use->limited));
    }
    if (t->n > AUTH_SHOWN) {
        visit(arg, &others);
    }
    pthread_mutex_unlock(&a->mutex);
}

void auth_count_failure(struct auth *a, auth_failure why)
{
    atomic_fetch_add_explicit(&a->failures[why], 1, memory_order_relaxed);
}

uint64_t auth_failures(const struct auth *a, auth_failure why)
{
    return atomic_load_explicit(&a->failures[why], memory_order_relaxed);
}

/* --- reading --- */

static void warn_of_mode(const char *path)
{
    struct stat s;
    if (stat(path, &s) == 0 && S_ISREG(s.st_mode) && (s.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0) {
        log_line(LOG_WARNING, "%s can be read or written by others (mode %04o); chmod 0600 or 0640 makes it safe", path,
                 (unsigned)(s.st_mode & 07777));
    }
}

static loss_status read_table(struct auth *a, struct auth_table **out, struct loss_error *err)
{
    struct keyfile f = {.n = 0};
    LOSS_TRY(keyfile_read(a->path, &f, err));
    loss_status status = table_new(a->root, &f, out, err);
    keyfile_free(&f);
    if (status != LOSS_OK) {
        return status;
    }
    warn_of_mode(a->path);
    if ((*out)->n == 0) {
        log_line(LOG_WARNING, "%s has no keys: nobody can do anything", a->path);
    }
    return LOSS_OK;
}

loss_status auth_reload(struct auth *a, struct loss_error *err)
{
    struct auth_table *fresh = NULL;
    LOSS_TRY(read_table(a, &fresh, err));
    pthread_mutex_lock(&a->mutex);
    loss_status status = join_uses(a, fresh, err);
    struct auth_table *old = a->table;
    if (status == LOSS_OK) {
        fresh->generation = atomic_load(&a->generation) + 1;
        a->table = fresh;
        atomic_store(&a->generation, fresh->generation);
    }
    pthread_mutex_unlock(&a->mutex);
    if (status != LOSS_OK) {
        table_free(fresh);
        return status;
    }
    auth_release(old);
    log_line(LOG_INFO, "%zu %s read from %s", fresh->n, fresh->n == 1 ? "key" : "keys", a->path);
    return LOSS_OK;
}

loss_status auth_open(const char *path, const struct registry *root, struct auth **out, struct loss_error *err)
{
    size_t n = strlen(path) + 1;
    struct auth *a = calloc(1, sizeof *a + n);
    if (a == NULL) {
        return loss_no_memory(err, "the keys");
    }
    memcpy(a->path, path, n);
    a->root = root;
    pthread_mutex_init(&a->mutex, NULL);
    loss_status status = auth_reload(a, err);
    if (status != LOSS_OK) {
        auth_close(a);
        return status;
    }
    *out = a;
    return LOSS_OK;
}

void auth_close(struct auth *a)
{
    if (a == NULL) {
        return;
    }
    auth_release(a->table);
    for (struct auth_use *use = a->uses; use != NULL;) {
        struct auth_use *next = use->next;
        free(use);
        use = next;
    }
    pthread_mutex_destroy(&a->mutex);
    free(a);
}

/* --- holding --- */

void auth_hold(struct auth *a, struct auth_table **held)
{
    struct auth_table *old = *held;
    if (old != NULL && old->generation == atomic_load_explicit(&a->generation, memory_order_acquire)) {
        return;
    }
    pthread_mutex_lock(&a->mutex);
    atomic_fetch_add(&a->table->holders, 1);
    *held = a->table;
    pthread_mutex_unlock(&a->mutex);
    auth_release(old);
}

void auth_release(struct auth_table *held)
{
    if (held != NULL && atomic_fetch_sub(&held->holders, 1) == 1) {
        table_free(held);
    }
}
