/* SPDX-License-Identifier: Apache-2.0
 *
 * csv.c - lines of numbers to bytes.
 */
#include <files/csv.h>

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SEPARATORS ",;\t"
#define BLANK " \"\r\n"
#define ALL_COLUMNS SIZE_MAX

struct reader {
    const char *column;
    loss_dtype dtype;
    FILE *out;
    size_t line, lines, columns; /* columns: of a line */
    size_t wanted;               /* its index, or ALL_COLUMNS */
    struct loss_error *err;
};

/* A field without the blanks and quotes around it: *s moves behind its separator, or becomes NULL at the end. */
static char *next_field(char **s)
{
    char *field = strsep(s, SEPARATORS);
    field += strspn(field, BLANK);
    size_t n = strlen(field);
    while (n > 0 && strchr(BLANK, field[n - 1]) != NULL) {
        n--;
    }
    field[n] = '\0';
    return field;
}

/* False: not a number. */
static bool parse(const char *field, loss_dtype dtype, double *value, float *narrow)
{
    char *end;
    if (dtype == LOSS_FLOAT32) {
        *narrow = strtof(field, &end);
        *value = (double)*narrow;
    } else {
        *value = strtod(field, &end);
    }
    return end != field && *end == '\0';
}

static bool is_blank(const char *line)
{
    return line[strspn(line, BLANK)] == '\0';
}

/* A first line with something that is no number has names. */
static bool has_names(const char *line, loss_dtype dtype)
{
    char *copy = strdup(line), *rest = copy;
    bool names = false;
    while (rest != NULL) {
        double value;
        float narrow;
        names |= !parse(next_field(&rest), dtype, &value, &narrow);
    }
    free(copy);
    return names;
}

static loss_status no_column(const struct reader *r)
{
    return loss_fail(r->err, LOSS_NOT_FOUND, "", "there is no column \"%.80s\" in the first line", r->column);
}

static loss_status read_names(struct reader *r, char *line)
{
    for (size_t i = 0; line != NULL; i++) {
        const char *name = next_field(&line);
        if (r->column != NULL && r->wanted == ALL_COLUMNS && strcmp(name, r->column) == 0) {
            r->wanted = i;
        }
    }
    return r->column != NULL && r->wanted == ALL_COLUMNS ? no_column(r) : LOSS_OK;
}

static loss_status write_number(struct reader *r, const char *field, size_t i)
{
    double value = 0;
    float narrow = 0;
    if (!parse(field, r->dtype, &value, &narrow)) {
        return loss_fail(r->err, LOSS_MALFORMED_ENCODING, "", "line %zu, column %zu: \"%.40s\" is not a number",
                         r->line, i + 1, field);
    }
    if (isinf(value) && strpbrk(field, "iI") == NULL) {
        return loss_fail(r->err, LOSS_NUMBER_OUT_OF_RANGE, "", "line %zu, column %zu: %.40s is beyond %s", r->line,
                         i + 1, field, loss_dtype_name(r->dtype));
    }
    size_t written =
        r->dtype == LOSS_FLOAT32 ? fwrite(&narrow, sizeof narrow, 1, r->out) : fwrite(&value, sizeof value, 1, r->out);
    return written == 1 ? LOSS_OK : loss_fail(r->err, LOSS_OVERLOADED, "", "a temporary file cannot be written");
}

static loss_status read_numbers(struct reader *r, char *line)
{
    size_t n = 0;
    for (; line != NULL; n++) {
        const char *field = next_field(&line);
        if (r->wanted == ALL_COLUMNS || r->wanted == n) {
            LOSS_TRY(write_number(r, field, n));
        }
    }
    if (r->lines > 0 && n != r->columns) {
        return loss_fail(r->err, LOSS_RAGGED_TENSOR, "", "line %zu has %zu columns, those before it have %zu", r->line,
                         n, r->columns);
    }
    r->columns = n;
    r->lines++;
    return LOSS_OK;
}

static loss_status read_line(struct reader *r, char *line)
{
    if (r->line++ == 0) {
        if (has_names(line, r->dtype)) {
            return read_names(r, line);
        }
        if (r->column != NULL) {
            return no_column(r);
        }
    }
    return is_blank(line) ? LOSS_OK : read_numbers(r, line);
}

static loss_status has_nul(const struct reader *r)
{
    return loss_fail(r->err, LOSS_MALFORMED_ENCODING, "", "line %zu has a NUL byte: this is no text", r->line + 1);
}

loss_status csv_convert(FILE *in, const char *column, loss_dtype dtype, FILE *out, struct loss_tensor *t,
                        struct loss_error *err)
{
    struct reader r = {.column = column, .dtype = dtype, .out = out, .wanted = ALL_COLUMNS, .err = err};
    char *line = NULL;
    size_t room = 0;
    loss_status status = LOSS_OK;
    for (ssize_t n; status == LOSS_OK && (n = getline(&line, &room, in)) >= 0;) {
        status = memchr(line, '\0', (size_t)n) == NULL ? read_line(&r, line) : has_nul(&r);
    }
    free(line);
    LOSS_TRY(status);
    if (ferror(in)) {
        return loss_fail(err, LOSS_OVERLOADED, "", "it cannot be read");
    }
    bool flat = r.wanted != ALL_COLUMNS || r.columns <= 1;
    *t = (struct loss_tensor){.dtype = dtype, .layout = LOSS_OPAQUE, .rank = flat ? 1 : 2};
    t->shape[0] = r.lines;
    t->shape[1] = flat ? 0 : r.columns;
    t->count = r.lines * (flat ? 1 : r.columns);
    return LOSS_OK;
}
