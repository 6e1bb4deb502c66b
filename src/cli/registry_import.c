/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_import.c - lines to registries and idempotency keys. The store pulls a registry's entries, line by line.
 */
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "registry_lines.h"
#include "registry_transfer.h"

struct importing {
    struct registry *registry; /* the default namespace, from which all others come */
    FILE *in;
    char *text;
    size_t room;
    uint64_t number;           /* of the line in `line`, or of one that is to blame */
    uint64_t first;            /* of the registry's first entry */
    struct loss_arena *arena;  /* what `line` lies in */
    struct registry_line line; /* read and not yet used up */
    bool skip_keys;
    struct transfer_counts *counts;
};

/* Every file ends with an "end" line: where there is no line left, it was cut. */
static loss_status get_line(struct importing *m, size_t *n, struct loss_error *err)
{
    ssize_t got = getline(&m->text, &m->room, m->in);
    m->number++;
    if (got < 0 && ferror(m->in)) {
        return loss_fail(err, LOSS_MALFORMED_JSON, "", "cannot read: %s", strerror(errno));
    }
    if (got < 0) {
        return loss_fail(err, LOSS_MALFORMED_JSON, "", "the file ends before its \"end\" line: it was cut");
    }
    *n = (size_t)got - (m->text[got - 1] == '\n');
    return LOSS_OK;
}

/* The next line lies in the arena beside those before it. */
static loss_status further_line(struct importing *m, struct loss_error *err)
{
    size_t n = 0;
    LOSS_TRY(get_line(m, &n, err));
    return registry_line_read(m->arena, m->text, n, &m->line, err);
}

static loss_status next_line(struct importing *m, struct loss_error *err)
{
    loss_arena_free(m->arena);
    m->arena = loss_arena_new(SIZE_MAX, NULL);
    return m->arena != NULL ? further_line(m, err) : loss_no_memory(err, "a line");
}

static loss_status misplaced(const struct importing *m, const char *where, struct loss_error *err)
{
    return loss_fail(err, LOSS_MALFORMED_JSON, "", "a line of kind \"%s\" cannot stand %s",
                     registry_line_kind(m->line.kind), where);
}

static loss_status next_entry(void *arg, const struct registry_entry **entry, struct loss_error *err)
{
    struct importing *m = arg;
    LOSS_TRY(next_line(m, err));
    *entry = m->line.kind == LINE_ENTRY ? &m->line.entry : NULL;
    m->counts->entries += *entry != NULL;
    return LOSS_OK;
}

static void blame_entry(void *arg, uint64_t entry)
{
    struct importing *m = arg;
    m->number = m->first + entry;
}

static loss_status import_registry(struct importing *m, registry_taken taken, struct loss_error *err)
{
    struct registry_image image = m->line.image;
    char name[REGISTRY_NAME_MAX + 1];
    strcpy(name, image.registry); /* the line's memory goes with it */
    image.registry = name;
    image.next = next_entry;
    image.blame = blame_entry;
    image.arg = m;
    m->first = m->number + 1;
    struct registry *space;
    LOSS_TRY(registry_space(m->registry, m->line.space, &space, err));
    loss_status status = registry_restore(space, &image, taken, err);
    registry_close(space);
    m->counts->registries += status == LOSS_OK;
    return status;
}

static loss_status read_answers(struct importing *m, struct registry_kept_key *key, struct loss_error *err)
{
    struct registry_entry *entries =
        loss_arena_alloc(m->arena, key->n * sizeof *entries, alignof(struct registry_entry));
    if (entries == NULL) {
        return loss_no_memory(err, "a key's answers");
    }
    for (size_t i = 0; i < key->n; i++) {
        LOSS_TRY(further_line(m, err));
        if (m->line.kind != LINE_ANSWER) {
            return misplaced(m, "where an answer of the key must", err);
        }
        entries[i] = m->line.entry;
    }
    key->entries = entries;
    return LOSS_OK;
}

static loss_status import_key(struct importing *m, registry_taken taken, struct loss_error *err)
{
    struct registry_kept_key key = m->line.key;
    uint64_t number = m->number;
    const char *name = m->line.space;
    struct registry *space;
    LOSS_TRY(read_answers(m, &key, err));
    LOSS_TRY(registry_space(m->registry, name, &space, err));
    loss_status status = m->skip_keys ? LOSS_OK : registry_restore_key(space, &key, taken, err);
    registry_close(space);
    if (status != LOSS_OK) {
        m->number = number; /* the key is to blame, not its last answer */
        return status;
    }
    m->counts->keys++;
    return next_line(m, err);
}

static loss_status check_end(struct importing *m, struct loss_error *err)
{
    const struct transfer_counts *c = m->counts;
    if (m->line.registries != c->registries || m->line.entries != c->entries || m->line.keys != c->keys) {
        return loss_fail(err, LOSS_MALFORMED_JSON, "",
                         "the \"end\" line counts other lines than there are: some are missing");
    }
    if (getc(m->in) != EOF) {
        m->number++;
        return loss_fail(err, LOSS_MALFORMED_JSON, "", "nothing may follow the \"end\" line");
    }
    return LOSS_OK;
}

/* The first line is read; each step reads up to the first line that is not its own. */
static loss_status import_all(struct importing *m, registry_taken taken, struct loss_error *err)
{
    LOSS_TRY(next_line(m, err));
    if (m->line.kind != LINE_LOSSD) {
        return misplaced(m, "at the beginning", err);
    }
    LOSS_TRY(next_line(m, err));
    while (m->line.kind == LINE_REGISTRY) {
        LOSS_TRY(import_registry(m, taken, err));
    }
    while (m->line.kind == LINE_KEY) {
        LOSS_TRY(import_key(m, taken, err));
    }
    return m->line.kind == LINE_END ? check_end(m, err) : misplaced(m, "here", err);
}

loss_status registry_import(struct registry *r, FILE *in, registry_taken taken, bool skip_keys,
                            struct transfer_counts *counts, uint64_t *line, struct loss_error *err)
{
    struct importing m = {.registry = r, .in = in, .skip_keys = skip_keys, .counts = counts};
    *counts = (struct transfer_counts){0};
    LOSS_TRY(registry_restore_begin(r, err));
    loss_status status = import_all(&m, taken, err);
    loss_status ended = registry_restore_end(r, status == LOSS_OK ? NULL : err, status == LOSS_OK ? err : NULL);
    *line = status == LOSS_OK || status == LOSS_STORE_UNAVAILABLE ? 0 : m.number;
    loss_arena_free(m.arena);
    free(m.text);
    return status == LOSS_OK ? ended : status;
}
