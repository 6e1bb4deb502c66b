/* SPDX-License-Identifier: Apache-2.0
 *
 * fields.c - a short list, walked.
 */
#include <server/http/fields.h>

#include <string.h>

#include <microhttpd.h>

static enum MHD_Result keep(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct fields *f = cls;

    (void)kind;
    if (f->n < FIELDS_KEPT) {
        f->kept[f->n] = (struct field){.name = name, .value = value, .size = strlen(name)};
    }
    f->n++;
    return MHD_YES;
}

void fields_keep(struct fields *f, struct MHD_Connection *connection)
{
    f->connection = connection;
    f->n = 0;
    MHD_get_connection_values(connection, MHD_HEADER_KIND, keep, f);
}

/* The next one of this name from *i on, which is left behind it; NULL: there is none. All are kept. */
static const struct field *next(const struct fields *f, const char *name, size_t size, size_t *i)
{
    while (*i < f->n) {
        const struct field *field = &f->kept[(*i)++];
        if (field->size == size && strncasecmp(field->name, name, size) == 0) {
            return field;
        }
    }
    return NULL;
}

const char *fields_value(const struct fields *f, const char *name)
{
    size_t i = 0;

    if (f->n > FIELDS_KEPT) {
        return MHD_lookup_connection_value(f->connection, MHD_HEADER_KIND, name);
    }
    const struct field *field = next(f, name, strlen(name), &i);
    return field != NULL ? field->value : NULL;
}

struct list {
    struct loss_arena *arena;
    const char *name, *values;
};

static enum MHD_Result join(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct list *l = cls;

    (void)kind;
    if (strcasecmp(name, l->name) == 0 && value != NULL) {
        l->values = l->values == NULL ? value : loss_arena_format(l->arena, "%s, %s", l->values, value);
    }
    return MHD_YES;
}

const char *fields_list(const struct fields *f, const char *name, struct loss_arena *arena)
{
    struct list l = {arena, name, NULL};
    const size_t size = strlen(name);
    size_t i = 0;

    if (f->n > FIELDS_KEPT) {
        MHD_get_connection_values(f->connection, MHD_HEADER_KIND, join, &l);
        return l.values;
    }
    for (const struct field *field; (field = next(f, name, size, &i)) != NULL;) {
        join(&l, MHD_HEADER_KIND, field->name, field->value);
    }
    return l.values;
}

static enum MHD_Result frame(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    framing_add(cls, name, strlen(name), value);
    return MHD_YES;
}

void fields_frame(const struct fields *f, struct framing *framing)
{
    if (f->n > FIELDS_KEPT) {
        MHD_get_connection_values(f->connection, MHD_HEADER_KIND, frame, framing);
        return;
    }
    for (size_t i = 0; i < f->n; i++) {
        framing_add(framing, f->kept[i].name, f->kept[i].size, f->kept[i].value);
    }
}
