/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_export.c - registries and idempotency keys to lines.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry_lines.h"
#include "registry_transfer.h"

#define INFO_PAGE 1000

struct exporting {
    struct registry *root, *registry; /* the namespace at work */
    const char *space;                /* its name */
    const char *const *names;
    size_t n_names;
    FILE *out;
    struct transfer_counts *counts;
};

static loss_status write_line(const struct exporting *x, const struct registry_line *line, struct loss_error *err)
{
    struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);
    loss_status status = LOSS_OK;
    struct json_out o;
    if (arena == NULL) {
        return loss_no_memory(err, "a line");
    }
    json_out_init(&o, arena);
    registry_line_write(&o, line);
    if (o.failed) {
        status = loss_no_memory(err, "a line");
    } else if (fwrite(o.data, 1, o.size, x->out) != o.size || putc('\n', x->out) == EOF) {
        status = loss_fail(err, LOSS_INTERNAL, "", "cannot write: %s", strerror(errno));
    }
    loss_arena_free(arena);
    return status;
}

static loss_status export_entry(void *arg, const struct registry_entry *e, bool *more, struct loss_error *err)
{
    const struct exporting *x = arg;
    (void)more;
    x->counts->entries++;
    return write_line(x, &(struct registry_line){.kind = LINE_ENTRY, .entry = *e}, err);
}

static loss_status export_registry(struct exporting *x, const struct registry_info *info, struct loss_error *err)
{
    const struct registry_line line = {
        .kind = LINE_REGISTRY,
        .space = x->space,
        .image = {.registry = info->registry, .ttl_seconds = info->ttl_seconds, .updated_at = info->updated_at}};
    LOSS_TRY(write_line(x, &line, err));
    x->counts->registries++;
    return registry_walk(x->registry, info->registry, export_entry, x, err);
}

static loss_status export_key(void *arg, const struct registry_kept_key *key, bool *more, struct loss_error *err)
{
    const struct exporting *x = arg;
    (void)more;
    LOSS_TRY(write_line(x, &(struct registry_line){.kind = LINE_KEY, .space = x->space, .key = *key}, err));
    for (size_t i = 0; i < key->n; i++) {
        LOSS_TRY(write_line(x, &(struct registry_line){.kind = LINE_ANSWER, .entry = key->entries[i]}, err));
    }
    x->counts->keys++;
    return LOSS_OK;
}

/* A page of registries from *cursor on, which becomes where the next one begins; NULL: there is none. */
static loss_status export_page(struct exporting *x, char **cursor, struct loss_error *err)
{
    struct registry_info *infos;
    const char *next = NULL;
    size_t count = 0;
    struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);
    if (arena == NULL) {
        return loss_no_memory(err, "a list of registries");
    }
    loss_status status = registry_info_list(x->registry, INFO_PAGE, *cursor, arena, &infos, &count, &next, err);
    for (size_t i = 0; i < count && status == LOSS_OK; i++) {
        status = export_registry(x, &infos[i], err);
    }
    free(*cursor);
    *cursor = next != NULL ? strdup(next) : NULL;
    if (status == LOSS_OK && next != NULL && *cursor == NULL) {
        status = loss_no_memory(err, "a list of registries");
    }
    loss_arena_free(arena);
    return status;
}

static loss_status export_registries(struct exporting *x, struct loss_error *err)
{
    char *cursor = NULL;
    loss_status status;
    do {
        status = export_page(x, &cursor, err);
    } while (status == LOSS_OK && cursor != NULL);
    free(cursor);
    return status;
}

static loss_status export_keys(struct exporting *x, struct loss_error *err)
{
    return registry_walk_keys(x->registry, export_key, x, err);
}

typedef loss_status (*export_step)(struct exporting *x, struct loss_error *err);

static loss_status in_space(struct exporting *x, const char *space, export_step step, struct loss_error *err)
{
    LOSS_TRY(registry_space(x->root, space, &x->registry, err));
    x->space = space;
    loss_status status = step(x, err);
    registry_close(x->registry);
    return status;
}

static loss_status in_every_space(struct exporting *x, export_step step, struct loss_error *err)
{
    char space[REGISTRY_SPACE_MAX + 1] = "";
    LOSS_TRY(in_space(x, REGISTRY_SPACE_DEFAULT, step, err));
    for (;;) {
        LOSS_TRY(registry_next_space(x->root, space, err));
        if (space[0] == '\0') {
            return LOSS_OK;
        }
        LOSS_TRY(in_space(x, space, step, err));
    }
}

/* Keys come behind all registries. */
static loss_status export_all(struct exporting *x, const char *space, struct loss_error *err)
{
    static const export_step steps[] = {export_registries, export_keys};
    for (size_t i = 0; i < 2; i++) {
        LOSS_TRY(space != NULL ? in_space(x, space, steps[i], err) : in_every_space(x, steps[i], err));
    }
    return LOSS_OK;
}

static loss_status export_named(struct exporting *x, const char *name, struct loss_error *err)
{
    struct registry_info info;
    struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);
    loss_status status =
        arena != NULL ? registry_info_get(x->registry, name, arena, &info, err) : loss_no_memory(err, "a registry");
    if (status == LOSS_OK) {
        status = export_registry(x, &info, err);
    }
    loss_arena_free(arena);
    return status;
}

static loss_status export_names(struct exporting *x, struct loss_error *err)
{
    for (size_t i = 0; i < x->n_names; i++) {
        LOSS_TRY(export_named(x, x->names[i], err));
    }
    return LOSS_OK;
}

loss_status registry_export(struct registry *r, const char *space, const char *const *names, size_t n, FILE *out,
                            struct transfer_counts *counts, struct loss_error *err)
{
    struct exporting x = {.root = r, .names = names, .n_names = n, .out = out, .counts = counts};
    *counts = (struct transfer_counts){0};
    LOSS_TRY(write_line(&x, &(struct registry_line){.kind = LINE_LOSSD}, err));
    if (names == NULL) {
        LOSS_TRY(export_all(&x, space, err));
    } else {
        LOSS_TRY(in_space(&x, space != NULL ? space : REGISTRY_SPACE_DEFAULT, export_names, err));
    }
    const struct registry_line end = {
        .kind = LINE_END, .registries = counts->registries, .entries = counts->entries, .keys = counts->keys};
    LOSS_TRY(write_line(&x, &end, err));
    return fflush(out) == 0 ? LOSS_OK : loss_fail(err, LOSS_INTERNAL, "", "cannot write: %s", strerror(errno));
}
