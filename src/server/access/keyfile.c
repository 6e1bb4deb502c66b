/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfile.c - a reader of lines that says where it stopped and why.
 */
#include <server/access/keyfile.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <nettle/sha2.h>

#include <loss/catalog.h>
#include <registry/registry.h>
#include <text/hex.h>

#define LINE_BYTES 1024
#define BLANKS " \t\r"
#define SECOND_NS INT64_C(1000000000)
#define MAX_RATE INT64_C(1000000) /* requests a second, minute or hour */

static const char *const scope_names[N_SCOPES] = {
#define SCOPE_NAME(id, word) [SCOPE_##id] = word,
    KEYFILE_SCOPE_MAP(SCOPE_NAME)
#undef SCOPE_NAME
};

const char *keyfile_scope_name(key_scope scope)
{
    return scope_names[scope];
}

void keyfile_digest(const char *key, size_t n, unsigned char digest[KEYFILE_DIGEST])
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, n, (const uint8_t *)key);
    sha256_digest(&sha, KEYFILE_DIGEST, digest);
}

bool keyfile_make(char key[KEYFILE_KEY_SIZE])
{
    unsigned char random[(KEYFILE_KEY_SIZE - sizeof KEYFILE_PREFIX) / 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return false;
    }
    memcpy(key, KEYFILE_PREFIX, sizeof KEYFILE_PREFIX);
    hex_write(key + strlen(KEYFILE_PREFIX), random, sizeof random);
    return true;
}

bool keyfile_time(const char *text, int64_t *seconds)
{
    bool date_alone = strchr(text, 'T') == NULL;
    struct tm parts = {0};
    char again[40];
    const char *end = date_alone ? strptime(text, "%Y-%m-%d", &parts) : strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    if (end == NULL || *end != '\0') {
        return false;
    }
    /* timegm makes 2 March of 30 February: it must read back as it was. */
    *seconds = timegm(&parts);
    size_t n = date_alone ? strftime(again, sizeof again, "%Y-%m-%d", &parts)
                          : strftime(again, sizeof again, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return n > 0 && strcmp(again, text) == 0 && *seconds > 0;
}

/* --- a line --- */

/* A line under way: its words are cut out of `text` one after the other. */
struct line {
    const char *path;
    size_t number;
    char text[LINE_BYTES];
    char *rest;
    struct keyfile_key *key;
    bool seen_scopes, seen_space, seen_rate, seen_burst, seen_expires;
};

static loss_status bad(const struct line *l, struct loss_error *err, const char *what)
{
    return l->path == NULL ? loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s", what)
                           : loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s:%zu: %s", l->path, l->number, what);
}

/* The next word, or NULL. */
static char *next_word(struct line *l)
{
    char *word = l->rest + strspn(l->rest, BLANKS);
    size_t n = strcspn(word, BLANKS);
    if (n == 0) {
        return NULL;
    }
    l->rest = word + n + (word[n] != '\0');
    word[n] = '\0';
    return word;
}

/* A whole number from 1 to `most`; *end is what follows it. */
static bool read_count(const char *text, int64_t most, int64_t *n, const char **end)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9) {
        return false;
    }
    *n = strtoll(text, NULL, 10);
    *end = text + digits;
    return *n >= 1 && *n <= most;
}

static loss_status read_scopes(struct line *l, char *value, struct loss_error *err)
{
    for (char *word = value; word != NULL;) {
        char *comma = strchr(word, ',');
        size_t i = 0;
        if (comma != NULL) {
            *comma = '\0';
        }
        while (i < N_SCOPES && strcmp(scope_names[i], word) != 0) {
            i++;
        }
        if (i == N_SCOPES) {
            return bad(l, err, "scopes are compute, registry:read, registry:write and admin, with commas between them");
        }
        l->key->scopes |= 1u << i;
        word = comma != NULL ? comma + 1 : NULL;
    }
    return LOSS_OK;
}

static loss_status read_space(struct line *l, char *value, struct loss_error *err)
{
    if (!registry_is_space(value)) {
        return bad(l, err,
                   "a namespace is 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit");
    }
    strcpy(l->key->space, value);
    return LOSS_OK;
}

static loss_status read_rate(struct line *l, char *value, struct loss_error *err)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } units[] = {{"", 1}, {"/s", 1}, {"/m", 60}, {"/h", 3600}};
    const char *unit;
    int64_t n;
    if (read_count(value, MAX_RATE, &n, &unit)) {
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            if (strcmp(units[i].text, unit) == 0) {
                l->key->interval_ns = units[i].seconds * SECOND_NS / n;
                return LOSS_OK;
            }
        }
    }
    return bad(l, err, "a rate is 1 to 1000000 requests a second, minute or hour: rate=100/s, rate=10/m, rate=5/h");
}

static loss_status read_burst(struct line *l, char *value, struct loss_error *err)
{
    const char *end;
    if (!read_count(value, MAX_RATE, &l->key->burst, &end) || *end != '\0') {
        return bad(l, err, "a burst is 1 to 1000000 requests");
    }
    return LOSS_OK;
}

static loss_status read_expires(struct line *l, char *value, struct loss_error *err)
{
    if (!keyfile_time(value, &l->key->expires)) {
        return bad(l, err, "a time is written 2027-01-31T00:00:00Z or 2027-01-31, in UTC");
    }
    return LOSS_OK;
}

static const struct field {
    const char *name;
    size_t seen; /* offset in struct line */
    loss_status (*read)(struct line *l, char *value, struct loss_error *err);
} fields[] = {{"scopes", offsetof(struct line, seen_scopes), read_scopes},
              {"namespace", offsetof(struct line, seen_space), read_space},
              {"rate", offsetof(struct line, seen_rate), read_rate},
              {"burst", offsetof(struct line, seen_burst), read_burst},
              {"expires", offsetof(struct line, seen_expires), read_expires}};
#define N_FIELDS (sizeof fields / sizeof *fields)

static loss_status read_field(struct line *l, char *word, struct loss_error *err)
{
    char *equals = strchr(word, '=');
    char text[64];
    if (equals == NULL) {
        return bad(l, err, "behind the hash stand fields, name=value, without blanks around the \"=\"");
    }
    *equals = '\0';
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (strcmp(fields[i].name, word) == 0) {
            bool *seen = (bool *)((char *)l + fields[i].seen);
            if (*seen) {
                snprintf(text, sizeof text, "%s is given twice", fields[i].name);
                return bad(l, err, text);
            }
            *seen = true;
            return fields[i].read(l, equals + 1, err);
        }
    }
    return bad(l, err, "there is no such field; the fields are scopes, namespace, rate, burst and expires");
}

static loss_status read_name(struct line *l, const char *word, struct loss_error *err)
{
    if (!registry_is_space(word) || strncmp(word, KEYFILE_PREFIX, strlen(KEYFILE_PREFIX)) == 0) {
        return bad(l, err,
                   "a line begins with the key's name: 1 to 64 letters, digits, '.', '_' and '-', a letter or digit "
                   "first, and not \"" KEYFILE_PREFIX "\", which keys themselves begin with");
    }
    strcpy(l->key->name, word);
    strcpy(l->key->space, word);
    return LOSS_OK;
}

static loss_status read_digest(struct line *l, const char *word, struct loss_error *err)
{
    static const char mark[] = "sha256:";
    size_t n;
    if (word == NULL || strncmp(word, mark, sizeof mark - 1) != 0 ||
        !hex_read(word + sizeof mark - 1, l->key->digest, KEYFILE_DIGEST, &n) || n != KEYFILE_DIGEST) {
        return bad(l, err,
                   "behind the name stands the key's hash, sha256: and 64 lower-case hexadecimal digits, as "
                   "lossd key new prints it");
    }
    return LOSS_OK;
}

/* What a client may do at once where the line does not say: a second's worth. */
static int64_t default_burst(int64_t interval_ns)
{
    return interval_ns >= SECOND_NS ? 1 : SECOND_NS / interval_ns;
}

static loss_status read_line(struct line *l, const char *name, struct loss_error *err)
{
    char *word;
    LOSS_TRY(read_name(l, name, err));
    LOSS_TRY(read_digest(l, next_word(l), err));
    while ((word = next_word(l)) != NULL) {
        LOSS_TRY(read_field(l, word, err));
    }
    if (!l->seen_scopes) {
        return bad(l, err, "scopes= is missing: what the key may do");
    }
    if (l->seen_burst && !l->seen_rate) {
        return bad(l, err, "burst= says nothing without rate=");
    }
    if (l->seen_rate && !l->seen_burst) {
        l->key->burst = default_burst(l->key->interval_ns);
    }
    return LOSS_OK;
}

/* --- the file --- */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct keyfile_key *const *)a)->name, (*(const struct keyfile_key *const *)b)->name);
}

static int by_digest(const void *a, const void *b)
{
    const struct keyfile_key *x = *(const struct keyfile_key *const *)a, *y = *(const struct keyfile_key *const *)b;
    int order = memcmp(x->digest, y->digest, KEYFILE_DIGEST);
    return order != 0 ? order : strcmp(x->name, y->name);
}

/* Two keys of one name could not be told apart in the log, and one key on two lines would be whichever is found. */
static loss_status check_unique(const char *path, const struct keyfile *f, struct loss_error *err)
{
    const struct keyfile_key **sorted = malloc((f->n + 1) * sizeof *sorted);
    loss_status status = LOSS_OK;
    if (sorted == NULL) {
        return loss_no_memory(err, "the keys");
    }
    for (size_t i = 0; i < f->n; i++) {
        sorted[i] = &f->key[i];
    }
    qsort(sorted, f->n, sizeof *sorted, by_name);
    for (size_t i = 1; i < f->n && status == LOSS_OK; i++) {
        if (by_name(&sorted[i - 1], &sorted[i]) == 0) {
            status =
                loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s: the name %s is there twice", path, sorted[i]->name);
        }
    }
    qsort(sorted, f->n, sizeof *sorted, by_digest);
    for (size_t i = 1; i < f->n && status == LOSS_OK; i++) {
        if (memcmp(sorted[i - 1]->digest, sorted[i]->digest, KEYFILE_DIGEST) == 0) {
            status = loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s: %s and %s are the same key", path,
                               sorted[i - 1]->name, sorted[i]->name);
        }
    }
    free(sorted);
    return status;
}

static loss_status add_key(struct keyfile *f, struct line *l, const char *name, struct loss_error *err)
{
    if (f->n == KEYFILE_MAX_KEYS) {
        return bad(l, err, "there are too many keys");
    }
    if ((f->n & (f->n - 1)) == 0) { /* the array doubles when its size is a power of two */
        void *grown = realloc(f->key, (f->n == 0 ? 1 : 2 * f->n) * sizeof *f->key);
        if (grown == NULL) {
            return loss_no_memory(err, "the keys");
        }
        f->key = grown;
    }
    l->key = &f->key[f->n++];
    memset(l->key, 0, sizeof *l->key);
    return read_line(l, name, err);
}

static loss_status parse_lines(const char *path, const char *text, size_t size, struct keyfile *f,
                               struct loss_error *err)
{
    struct line l = {.path = path};
    for (size_t at = 0; at < size; at++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t n = end != NULL ? (size_t)(end - text) - at : size - at;
        l = (struct line){.path = path, .number = l.number + 1};
        if (n >= sizeof l.text) {
            return bad(&l, err, "the line is too long");
        }
        if (memchr(text + at, '\0', n) != NULL) {
            return bad(&l, err, "there is a NUL in the line");
        }
        memcpy(l.text, text + at, n);
        l.text[n] = '\0';
        l.rest = l.text;
        char *name = next_word(&l);
        if (name != NULL && name[0] != '#') {
            LOSS_TRY(add_key(f, &l, name, err));
        }
        at += n;
    }
    return check_unique(path, f, err);
}

loss_status keyfile_parse(const char *path, const char *text, size_t size, struct keyfile *out, struct loss_error *err)
{
    struct keyfile f = {.n = 0};
    loss_status status = parse_lines(path, text, size, &f, err);
    if (status != LOSS_OK) {
        keyfile_free(&f);
        return status;
    }
    *out = f;
    return LOSS_OK;
}

loss_status keyfile_read(const char *path, struct keyfile *out, struct loss_error *err)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    loss_status status;

    if (file == NULL) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s: %s", path, strerror(errno));
    }
    text = malloc(KEYFILE_MAX_BYTES + 1);
    if (text == NULL) {
        status = loss_no_memory(err, "the keys");
        goto out;
    }
    size = fread(text, 1, KEYFILE_MAX_BYTES + 1, file);
    if (ferror(file)) {
        status = loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s: %s", path, strerror(errno));
    } else if (size > KEYFILE_MAX_BYTES) {
        status = loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s: a file of keys has at most 32 MiB", path);
    } else {
        status = keyfile_parse(path, text, size, out, err);
    }
out:
    free(text);
    fclose(file);
    return status;
}

void keyfile_free(struct keyfile *f)
{
    free(f->key);
    *f = (struct keyfile){.n = 0};
}
