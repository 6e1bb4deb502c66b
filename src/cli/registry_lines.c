/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_lines.c - one table of the fields that lines have; what is read is checked as strictly as a request.
 */
#include <math.h>
#include <stdalign.h>
#include <string.h>

#include <loss/catalog.h>
#include <server/formats/json.h>
#include <text/hex.h>
#include <text/time_text.h>

#include "registry_lines.h"

#define ON(kind) (1u << LINE_##kind)
#define ENTRIES (ON(ENTRY) | ON(ANSWER))

/*    id           name               type     lines that must have it       lines that may */
#define FIELD_MAP(X)                                                                                                   \
    X(KIND, "kind", STRING, (1u << N_LINE_KINDS) - 1, 0)                                                               \
    X(FORMAT, "format", WHOLE, ON(LOSSD), 0)                                                                           \
    X(REGISTRY, "registry", STRING, ON(REGISTRY), 0)                                                                   \
    X(SPACE, "namespace", STRING, 0, ON(REGISTRY) | ON(KEY))                                                           \
    X(TTL, "ttl", WHOLE, 0, ON(REGISTRY))                                                                              \
    X(NAME, "name", STRING, ENTRIES, 0)                                                                                \
    X(LOSS, "loss", NUMBER, 0, ENTRIES)                                                                                \
    X(NONFINITE, "nonfinite", STRING, 0, ENTRIES)                                                                      \
    X(STEP, "step", WHOLE, ENTRIES, 0)                                                                                 \
    X(COLLECTION, "collection", STRING, ENTRIES, 0)                                                                    \
    X(DTYPE, "dtype", STRING, 0, ENTRIES)                                                                              \
    X(REDUCTION, "reduction", STRING, 0, ENTRIES)                                                                      \
    X(ADDED_AT, "added_at", STRING, ENTRIES, 0)                                                                        \
    X(UPDATED_AT, "updated_at", STRING, ENTRIES | ON(REGISTRY), 0)                                                     \
    X(ACCUMULATES, "accumulates", STRING, 0, ENTRIES)                                                                  \
    X(BATCHES, "batches", WHOLE, 0, ENTRIES)                                                                           \
    X(COUNT, "count", WHOLE, 0, ENTRIES)                                                                               \
    X(NONZERO, "nonzero_weights", WHOLE, 0, ENTRIES)                                                                   \
    X(SAMPLES, "samples", WHOLE, 0, ENTRIES)                                                                           \
    X(SUM, "sum", STRING, 0, ENTRIES)                                                                                  \
    X(WEIGHT_SUM, "weight_sum", STRING, 0, ENTRIES)                                                                    \
    X(REST, "rest", STRING, 0, ENTRIES)                                                                                \
    X(KEY, "key", STRING, ON(KEY), 0)                                                                                  \
    X(FINGERPRINT, "fingerprint", STRING, ON(KEY), 0)                                                                  \
    X(CREATED_AT, "created_at", STRING, ON(KEY), 0)                                                                    \
    X(ANSWERS, "answers", WHOLE, ON(KEY), 0)                                                                           \
    X(REGISTRIES, "registries", WHOLE, ON(END), 0)                                                                     \
    X(ENTRY_COUNT, "entries", WHOLE, ON(END), 0)                                                                       \
    X(KEYS, "keys", WHOLE, ON(END), 0)

enum field {
#define FIELD_ENUM(id, name, type, must, may) F_##id,
    FIELD_MAP(FIELD_ENUM)
#undef FIELD_ENUM
        N_FIELDS
};

static const struct json_member fields[] = {
#define FIELD_MEMBER(id, text, kind, must, may) {.name = text, .type = JSON_MEMBER_##kind},
    FIELD_MAP(FIELD_MEMBER)
#undef FIELD_MEMBER
};

static const struct {
    unsigned must, may;
} lines_of[] = {
#define FIELD_LINES(id, name, type, must, may) {must, may},
    FIELD_MAP(FIELD_LINES)
#undef FIELD_LINES
};

static const char *const kinds[N_LINE_KINDS] = {
    [LINE_LOSSD] = "lossd", [LINE_REGISTRY] = "registry", [LINE_ENTRY] = "entry",
    [LINE_KEY] = "key",     [LINE_ANSWER] = "answer",     [LINE_END] = "end",
};

static const struct {
    const char *name;
    double value;
} nonfinite[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
#define N_NONFINITE (sizeof nonfinite / sizeof *nonfinite)

const char *registry_line_kind(enum line_kind kind)
{
    return kinds[kind];
}

/* --- reading --- */

static loss_status read_kind(const char *word, enum line_kind *kind, struct loss_error *err)
{
    for (int i = 0; i < N_LINE_KINDS; i++) {
        if (strcmp(word, kinds[i]) == 0) {
            *kind = (enum line_kind)i;
            return LOSS_OK;
        }
    }
    return loss_fail(err, LOSS_INVALID_PARAMETER, "/kind", "there is no kind of line \"%.80s\"", word);
}

static loss_status check_fields(const struct json_member *m, enum line_kind kind, struct loss_error *err)
{
    unsigned line = 1u << kind;
    for (int i = 0; i < N_FIELDS; i++) {
        if (m[i].given && ((lines_of[i].must | lines_of[i].may) & line) == 0) {
            return loss_fail(err, LOSS_UNKNOWN_FIELD, "", "a line of kind \"%s\" has no field \"%s\"", kinds[kind],
                             m[i].name);
        }
        if (!m[i].given && (lines_of[i].must & line) != 0) {
            return loss_fail(err, LOSS_MISSING_FIELD, "", "a line of kind \"%s\" needs the field \"%s\"", kinds[kind],
                             m[i].name);
        }
    }
    return LOSS_OK;
}

static loss_status bad(const struct json_member *m, const char *what, struct loss_error *err)
{
    return loss_fail(err, LOSS_INVALID_PARAMETER, "", "the field \"%s\" must be %s", m->name, what);
}

static loss_status read_name(const struct json_member *m, const char **name, struct loss_error *err)
{
    *name = m->string;
    return registry_check_name(m->string, strlen(m->string), "", err);
}

static loss_status read_time(const struct json_member *m, int64_t *us, struct loss_error *err)
{
    return time_text_read(m->string, us) ? LOSS_OK : bad(m, "a time like 2026-11-26T03:37:19.123456Z", err);
}

/* No field stands for 0. */
static loss_status read_count(const struct json_member *m, double most, uint64_t *count, struct loss_error *err)
{
    double number = m->given ? m->number : 0;
    if (number < 0 || number > most) {
        return bad(m, "a whole number that is in its range", err);
    }
    *count = (uint64_t)number;
    return LOSS_OK;
}

static loss_status read_sum(const struct json_member *m, struct loss_sum *sum, struct loss_error *err)
{
    unsigned char bytes[LOSS_SUM_BYTES];
    size_t n;
    return hex_read(m->string, bytes, sizeof bytes, &n) && n == sizeof bytes && loss_sum_load(sum, bytes) == 0
               ? LOSS_OK
               : bad(m, "an exact sum as lossd writes it", err);
}

static loss_status read_loss(const struct json_member *m, double *loss, struct loss_error *err)
{
    const struct json_member *word = &m[F_NONFINITE];
    if (m[F_LOSS].given == word->given) {
        return loss_fail(err, LOSS_MISSING_FIELD, "", "one of \"loss\" and \"nonfinite\" is needed");
    }
    *loss = m[F_LOSS].number;
    if (!word->given) {
        return isfinite(*loss) ? LOSS_OK : bad(&m[F_LOSS], "finite; \"nonfinite\" says what is not", err);
    }
    for (size_t i = 0; i < N_NONFINITE; i++) {
        if (strcmp(word->string, nonfinite[i].name) == 0) {
            *loss = nonfinite[i].value;
            return LOSS_OK;
        }
    }
    return bad(word, "NaN, Infinity or -Infinity", err);
}

/* All its fields or none. */
static loss_status read_tally(struct loss_arena *arena, const struct json_member *m, const struct registry_tally **out,
                              struct loss_error *err)
{
    static const double most = REGISTRY_STEP_MAX; /* what a JSON number holds without rounding */
    int given = 0;
    for (int i = F_ACCUMULATES; i <= F_REST; i++) {
        given += m[i].given;
    }
    *out = NULL;
    if (given == 0) {
        return LOSS_OK;
    }
    if (given != F_REST - F_ACCUMULATES + 1 || !m[F_DTYPE].given || !m[F_REDUCTION].given) {
        return loss_fail(err, LOSS_MISSING_FIELD, "",
                         "an entry that accumulates has all fields from \"dtype\" to \"rest\"");
    }
    struct registry_tally *t = loss_arena_alloc(arena, sizeof *t, alignof(struct registry_tally));
    if (t == NULL) {
        return loss_no_memory(err, "the line");
    }
    t->what = m[F_ACCUMULATES].string;
    LOSS_TRY(read_count(&m[F_BATCHES], most, &t->batches, err));
    LOSS_TRY(read_count(&m[F_COUNT], most, &t->count, err));
    LOSS_TRY(read_count(&m[F_NONZERO], most, &t->nonzero_weights, err));
    LOSS_TRY(read_count(&m[F_SAMPLES], most, &t->batch, err));
    LOSS_TRY(read_sum(&m[F_SUM], &t->sum, err));
    LOSS_TRY(read_sum(&m[F_WEIGHT_SUM], &t->weight_sum, err));
    LOSS_TRY(read_sum(&m[F_REST], &t->rest, err));
    *out = t;
    return LOSS_OK;
}

/* The bits, but for what kind of NaN it is. */
static bool same_number(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

static loss_status read_entry(struct loss_arena *arena, const struct json_member *m, struct registry_entry *e,
                              struct loss_error *err)
{
    loss_dtype dtype;
    loss_reduction reduction;
    uint64_t step = 0;
    LOSS_TRY(read_name(&m[F_NAME], &e->name, err));
    LOSS_TRY(read_name(&m[F_COLLECTION], &e->collection, err));
    LOSS_TRY(read_count(&m[F_STEP], (double)REGISTRY_STEP_MAX, &step, err));
    LOSS_TRY(read_time(&m[F_ADDED_AT], &e->added_at, err));
    LOSS_TRY(read_time(&m[F_UPDATED_AT], &e->updated_at, err));
    LOSS_TRY(read_loss(m, &e->loss, err));
    LOSS_TRY(read_tally(arena, m, &e->tally, err));
    e->step = (int64_t)step;
    e->dtype = m[F_DTYPE].given ? m[F_DTYPE].string : "";
    e->reduction = m[F_REDUCTION].given ? m[F_REDUCTION].string : "";
    if (m[F_DTYPE].given && (!loss_dtype_parse(e->dtype, &dtype) || (dtype != LOSS_FLOAT32 && dtype != LOSS_FLOAT64))) {
        return bad(&m[F_DTYPE], "float32 or float64", err);
    }
    if (m[F_REDUCTION].given && (!loss_reduction_parse(e->reduction, &reduction) || reduction == LOSS_REDUCE_NONE)) {
        return bad(&m[F_REDUCTION], "a reduction to a scalar", err);
    }
    if (e->tally == NULL && e->updated_at != e->added_at) {
        return bad(&m[F_UPDATED_AT], "the same as \"added_at\" where the entry does not accumulate", err);
    }
    if (e->tally != NULL && !same_number(e->loss, tally_loss(e->tally, e->reduction, e->dtype))) {
        return bad(&m[F_LOSS], "what the sums and counts give", err);
    }
    return LOSS_OK;
}

static loss_status read_space(const struct json_member *m, const char **space, struct loss_error *err)
{
    *space = m->given ? m->string : REGISTRY_SPACE_DEFAULT;
    return registry_is_space(*space) ? LOSS_OK : bad(m, "the name of a namespace", err);
}

static loss_status read_key(const struct json_member *m, struct registry_kept_key *k, struct loss_error *err)
{
    size_t n;
    uint64_t answers = 0;
    k->key.key = m[F_KEY].string;
    if (!hex_read(m[F_FINGERPRINT].string, k->key.fingerprint, sizeof k->key.fingerprint, &n) ||
        n != sizeof k->key.fingerprint) {
        return bad(&m[F_FINGERPRINT], "64 hexadecimal digits", err);
    }
    LOSS_TRY(read_count(&m[F_ANSWERS], 1e6, &answers, err));
    k->n = (size_t)answers;
    return read_time(&m[F_CREATED_AT], &k->created_at, err);
}

static loss_status read_registry(const struct json_member *m, struct registry_image *image, struct loss_error *err)
{
    uint64_t ttl = 0;
    LOSS_TRY(read_name(&m[F_REGISTRY], &image->registry, err));
    LOSS_TRY(read_time(&m[F_UPDATED_AT], &image->updated_at, err));
    LOSS_TRY(read_count(&m[F_TTL], (double)REGISTRY_TTL_MAX, &ttl, err));
    image->ttl_seconds = (int64_t)ttl;
    return LOSS_OK;
}

static loss_status read_end(const struct json_member *m, struct registry_line *line, struct loss_error *err)
{
    LOSS_TRY(read_count(&m[F_REGISTRIES], (double)REGISTRY_STEP_MAX, &line->registries, err));
    LOSS_TRY(read_count(&m[F_ENTRY_COUNT], (double)REGISTRY_STEP_MAX, &line->entries, err));
    return read_count(&m[F_KEYS], (double)REGISTRY_STEP_MAX, &line->keys, err);
}

loss_status registry_line_read(struct loss_arena *arena, const char *text, size_t n, struct registry_line *line,
                               struct loss_error *err)
{
    struct json_member m[N_FIELDS];
    memcpy(m, fields, sizeof m);
    m[F_KIND].required = true;
    *line = (struct registry_line){.kind = LINE_LOSSD};
    LOSS_TRY(json_read_members(arena, text, n, m, N_FIELDS, err));
    LOSS_TRY(read_kind(m[F_KIND].string, &line->kind, err));
    LOSS_TRY(check_fields(m, line->kind, err));
    LOSS_TRY(read_space(&m[F_SPACE], &line->space, err));
    switch (line->kind) {
    case LINE_REGISTRY:
        return read_registry(m, &line->image, err);
    case LINE_ENTRY:
    case LINE_ANSWER:
        return read_entry(arena, m, &line->entry, err);
    case LINE_KEY:
        return read_key(m, &line->key, err);
    case LINE_END:
        return read_end(m, line, err);
    default:
        break;
    }
    return m[F_FORMAT].number == REGISTRY_LINES_FORMAT
               ? LOSS_OK
               : loss_fail(err, LOSS_INVALID_PARAMETER, "", "format %g is of another version; this one reads %d",
                           m[F_FORMAT].number, REGISTRY_LINES_FORMAT);
}

/* --- writing --- */

static void write_string(struct json_out *o, enum field field, const char *value)
{
    json_out_key(o, fields[field].name);
    json_out_string(o, value);
}

static void write_count(struct json_out *o, enum field field, uint64_t value)
{
    json_out_key(o, fields[field].name);
    json_out_u64(o, value);
}

static void write_time(struct json_out *o, enum field field, int64_t us)
{
    char text[TIME_TEXT_SIZE];
    time_text_write(text, us);
    write_string(o, field, text);
}

static void write_sum(struct json_out *o, enum field field, const struct loss_sum *sum)
{
    unsigned char bytes[LOSS_SUM_BYTES];
    char text[2 * LOSS_SUM_BYTES + 1];
    loss_sum_store(sum, bytes);
    hex_write(text, bytes, sizeof bytes);
    write_string(o, field, text);
}

static void write_loss(struct json_out *o, double loss)
{
    if (isfinite(loss)) {
        json_out_key(o, fields[F_LOSS].name);
        json_out_f64(o, loss);
    } else {
        write_string(o, F_NONFINITE, nonfinite[isnan(loss) ? 0 : loss > 0 ? 1 : 2].name);
    }
}

static void write_tally(struct json_out *o, const struct registry_tally *t)
{
    write_string(o, F_ACCUMULATES, t->what);
    write_count(o, F_BATCHES, t->batches);
    write_count(o, F_COUNT, t->count);
    write_count(o, F_NONZERO, t->nonzero_weights);
    write_count(o, F_SAMPLES, t->batch);
    write_sum(o, F_SUM, &t->sum);
    write_sum(o, F_WEIGHT_SUM, &t->weight_sum);
    write_sum(o, F_REST, &t->rest);
}

static void write_entry(struct json_out *o, const struct registry_entry *e)
{
    write_string(o, F_NAME, e->name);
    write_loss(o, e->loss);
    write_count(o, F_STEP, (uint64_t)e->step);
    write_string(o, F_COLLECTION, e->collection);
    if (e->dtype[0] != '\0') {
        write_string(o, F_DTYPE, e->dtype);
    }
    if (e->reduction[0] != '\0') {
        write_string(o, F_REDUCTION, e->reduction);
    }
    write_time(o, F_ADDED_AT, e->added_at);
    write_time(o, F_UPDATED_AT, e->updated_at);
    if (e->tally != NULL) {
        write_tally(o, e->tally);
    }
}

static void write_space(struct json_out *o, const char *space)
{
    if (strcmp(space, REGISTRY_SPACE_DEFAULT) != 0) {
        write_string(o, F_SPACE, space);
    }
}

static void write_registry(struct json_out *o, const struct registry_image *image)
{
    write_string(o, F_REGISTRY, image->registry);
    write_time(o, F_UPDATED_AT, image->updated_at);
    if (image->ttl_seconds > 0) {
        write_count(o, F_TTL, (uint64_t)image->ttl_seconds);
    }
}

static void write_key(struct json_out *o, const struct registry_kept_key *k)
{
    char fingerprint[2 * sizeof k->key.fingerprint + 1];
    hex_write(fingerprint, k->key.fingerprint, sizeof k->key.fingerprint);
    write_string(o, F_KEY, k->key.key);
    write_string(o, F_FINGERPRINT, fingerprint);
    write_time(o, F_CREATED_AT, k->created_at);
    write_count(o, F_ANSWERS, k->n);
}

void registry_line_write(struct json_out *o, const struct registry_line *line)
{
    json_out_open(o, '{');
    write_string(o, F_KIND, kinds[line->kind]);
    switch (line->kind) {
    case LINE_REGISTRY:
        write_space(o, line->space);
        write_registry(o, &line->image);
        break;
    case LINE_ENTRY:
    case LINE_ANSWER:
        write_entry(o, &line->entry);
        break;
    case LINE_KEY:
        write_space(o, line->space);
        write_key(o, &line->key);
        break;
    case LINE_END:
        write_count(o, F_REGISTRIES, line->registries);
        write_count(o, F_ENTRY_COUNT, line->entries);
        write_count(o, F_KEYS, line->keys);
        break;
    default:
        write_count(o, F_FORMAT, REGISTRY_LINES_FORMAT);
        break;
    }
    json_out_close(o, '}');
}
