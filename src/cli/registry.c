/* SPDX-License-Identifier: Apache-2.0
 *
 * registry.c - lossd registry: what a store has, for people; and its registries as lines of JSON, out and in.
 *
 * Reading goes on beside a server that has the store open; taking in needs the store for itself, where it is a file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <registry/registry.h>
#include <server/conf.h>
#include <server/formats/json_result.h>
#include <text/time_text.h>

#include "commands.h"
#include "option.h"
#include "registry_transfer.h"

#define PAGE 1000
#define SHOWN_MAX 512 /* of a store's URL in a line */
#define PATIENCE 120  /* seconds for an answer of Redis, which has all to put in place at the end of an import */
#define FOR_EVER (INT64_C(100) * 366 * 86400) /* a key's age is the server's to judge */

struct arguments {
    const char *verb;
    const char **names; /* what is no option */
    size_t n;
    const char *store, *space, *file, *scope, *key_life;
    int64_t step, key_seconds;
    registry_taken taken;
    bool json, skip_keys;
};

static void usage(FILE *out)
{
    fprintf(
        out,
        "usage: lossd registry list\n"
        "       lossd registry show REGISTRY [--step STEP] [--scope EXPRESSION]\n"
        "       lossd registry export [REGISTRY]... [--file FILE]\n"
        "       lossd registry import [FILE] [--replace | --merge] [--without-keys]\n\n"
        "What a store has, and its registries as lines of JSON, out and in, with every bit.\n"
        "list, show and export read beside a server that has the store open; import into Redis goes beside servers, "
        "too,\n"
        "but needs an SQLite file for itself.\n\n"
        "  --store URL         as of lossd serve (LOSSD_STORE; else the same default)\n"
        "  --namespace NAME    list, show, export: of this one; else of the default one, and for export without "
        "names of all\n"
        "  --json              list, show: a line of JSON each, as the server answers\n"
        "  --step STEP         show: a number, or all; the latest unless given\n"
        "  --scope EXPRESSION  show: entries whose names the regular expression matches from their start\n"
        "  --file FILE         export: where to write; standard output unless given\n"
        "  --replace           import: a registry of that name that is there goes first\n"
        "  --merge             import: entries go behind those that are there; the very same one is left as it is\n"
        "  --without-keys      import: leave out idempotency keys\n"
        "  --idempotency-ttl TIME  import: as of the servers (LOSSD_IDEMPOTENCY_TTL, 24h); into Redis no key goes "
        "whose "
        "time is over\n\n"
        "export without a name writes all registries, and the idempotency keys. import takes in all or nothing; "
        "without\n"
        "--replace or --merge it refuses a name that is there.\n");
}

/* --- arguments --- */

static bool read_step(const char *text, int64_t *step)
{
    size_t digits = strspn(text, "0123456789");
    if (strcmp(text, "all") == 0) {
        *step = REGISTRY_STEP_ALL;
        return true;
    }
    if (digits == 0 || digits > 16 || text[digits] != '\0') {
        return false;
    }
    *step = strtoll(text, NULL, 10);
    return *step <= REGISTRY_STEP_MAX;
}

static bool read_flag(struct arguments *a, const char *word)
{
    bool transfers = strcmp(a->verb, "import") == 0;
    bool shows = strcmp(a->verb, "list") == 0 || strcmp(a->verb, "show") == 0;
    if (transfers && strcmp(word, "--replace") == 0 && a->taken != REGISTRY_MERGE) {
        a->taken = REGISTRY_REPLACE;
    } else if (transfers && strcmp(word, "--merge") == 0 && a->taken != REGISTRY_REPLACE) {
        a->taken = REGISTRY_MERGE;
    } else if (transfers && strcmp(word, "--without-keys") == 0) {
        a->skip_keys = true;
    } else if (shows && strcmp(word, "--json") == 0) {
        a->json = true;
    } else {
        return false;
    }
    return true;
}

static bool read_argument(struct arguments *a, int argc, char **argv, int *i)
{
    const char *value;
    if (argv[*i][0] != '-' || argv[*i][1] == '\0') {
        a->names[a->n++] = argv[*i];
        return true;
    }
    if (read_flag(a, argv[*i])) {
        return true;
    }
    if ((value = option_value("--store", argc, argv, i)) != NULL) {
        a->store = value;
    } else if (strcmp(a->verb, "import") == 0 && (value = option_value("--idempotency-ttl", argc, argv, i)) != NULL) {
        a->key_life = value;
    } else if (strcmp(a->verb, "import") != 0 && (value = option_value("--namespace", argc, argv, i)) != NULL) {
        a->space = value;
        return registry_is_space(value);
    } else if (strcmp(a->verb, "export") == 0 && (value = option_value("--file", argc, argv, i)) != NULL) {
        a->file = value;
    } else if (strcmp(a->verb, "show") == 0 && (value = option_value("--scope", argc, argv, i)) != NULL) {
        a->scope = value;
    } else if (strcmp(a->verb, "show") == 0 && (value = option_value("--step", argc, argv, i)) != NULL) {
        return read_step(value, &a->step);
    } else {
        return false;
    }
    return true;
}

static bool complain(const char *what, const char *word)
{
    fprintf(stderr, "lossd: %s%s (lossd registry --help says what there is)\n", what, word);
    return false;
}

static bool read_arguments(struct arguments *a, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        const char *word = argv[i];
        if (!read_argument(a, argc, argv, &i)) {
            return complain("cannot take ", word);
        }
    }
    if (strcmp(a->verb, "show") == 0 && a->n != 1) {
        return complain("show needs the name of one registry", "");
    }
    if ((strcmp(a->verb, "list") == 0 && a->n > 0) || (strcmp(a->verb, "import") == 0 && a->n > 1)) {
        return complain("too many words: ", a->names[a->n - 1]);
    }
    return true;
}

/* The store as `lossd serve` would find it. */
static bool find_store(struct arguments *a, struct conf *conf)
{
    char *words[6] = {(char *)"registry"};
    int n = 1;
    if (a->store != NULL) {
        words[n++] = (char *)"--store";
        words[n++] = (char *)a->store;
    }
    if (a->key_life != NULL) {
        words[n++] = (char *)"--idempotency-ttl";
        words[n++] = (char *)a->key_life;
    }
    if (!conf_load(conf, n, words, stderr)) {
        return false;
    }
    a->store = conf->store;
    a->key_seconds = conf->idempotency_ttl;
    return strcmp(a->store, "memory") != 0 || complain("a store in memory has nothing once its server ends", "");
}

/* --- list and show --- */

static void print_line(void (*write)(struct json_out *o, const void *what), const void *what, struct loss_arena *arena)
{
    struct json_out o;
    json_out_init(&o, arena);
    write(&o, what);
    printf("%.*s\n", (int)o.size, o.failed ? "" : o.data);
}

static void write_info(struct json_out *o, const void *info)
{
    json_write_registry(o, info);
}

static void write_entry(struct json_out *o, const void *entry)
{
    json_write_entry(o, entry);
}

/* How wide a field of so many characters is for printf, which counts bytes. */
static int width_of(const char *text, int characters)
{
    for (; *text != '\0'; text++) {
        characters += ((unsigned char)*text & 0xc0) == 0x80;
    }
    return characters;
}

static void print_info(const struct registry_info *info)
{
    char time[TIME_TEXT_SIZE], latest[24] = "-", ttl[24] = "-";
    time_text_write(time, info->updated_at);
    if (info->latest_step >= 0) {
        snprintf(latest, sizeof latest, "%" PRId64, info->latest_step);
    }
    if (info->ttl_seconds > 0) {
        snprintf(ttl, sizeof ttl, "%" PRId64, info->ttl_seconds);
    }
    printf("%-*s  %10" PRIu64 "  %8" PRIu64 "  %10s  %s  %s\n", width_of(info->registry, 32), info->registry,
           info->entries, info->steps, latest, time, ttl);
}

static void print_entry(const struct registry_entry *e)
{
    char loss[40], time[TIME_TEXT_SIZE], batches[24] = "";
    bool narrow = strcmp(e->dtype, "float32") == 0;
    size_t n = narrow ? json_number_f32(loss, (float)e->loss, true) : json_number_f64(loss, e->loss, true);
    time_text_write(time, e->updated_at);
    if (e->tally != NULL) {
        snprintf(batches, sizeof batches, "  %" PRIu64 " %s", e->tally->batches,
                 e->tally->batches == 1 ? "batch" : "batches");
    }
    printf("%8" PRId64 "  %-*s  %24.*s  %-*s  %s%s\n", e->step, width_of(e->name, 32), e->name, (int)n, loss,
           width_of(e->collection, 22), e->collection, time, batches);
}

static loss_status list_page(struct registry *r, const struct arguments *a, struct loss_arena *arena,
                             const char **cursor, struct loss_error *err)
{
    struct registry_info *infos;
    size_t count;
    bool first = *cursor == NULL;
    LOSS_TRY(registry_info_list(r, PAGE, *cursor, arena, &infos, &count, cursor, err));
    if (first && !a->json) {
        printf("%-32s  %10s  %8s  %10s  %-27s  %s\n", "REGISTRY", "ENTRIES", "STEPS", "LATEST", "UPDATED", "TTL");
    }
    for (size_t i = 0; i < count; i++) {
        if (a->json) {
            print_line(write_info, &infos[i], arena);
        } else {
            print_info(&infos[i]);
        }
    }
    return LOSS_OK;
}

static loss_status show_page(struct registry *r, const struct arguments *a, struct loss_arena *arena,
                             const char **cursor, struct loss_error *err)
{
    struct registry_page page;
    const struct registry_query query = {
        .registry = a->names[0], .scope = a->scope, .step = a->step, .limit = PAGE, .cursor = *cursor};
    LOSS_TRY(registry_list(r, &query, arena, &page, err));
    if (*cursor == NULL && !a->json) {
        printf("%8s  %-32s  %24s  %-22s  %s\n", "STEP", "NAME", "LOSS", "COLLECTION", "UPDATED");
    }
    for (size_t i = 0; i < page.count; i++) {
        if (a->json) {
            print_line(write_entry, &page.entries[i], arena);
        } else {
            print_entry(&page.entries[i]);
        }
    }
    *cursor = page.next_cursor;
    return LOSS_OK;
}

typedef loss_status (*paged)(struct registry *r, const struct arguments *a, struct loss_arena *arena,
                             const char **cursor, struct loss_error *err);

/* Page after page; of each only its cursor is kept. */
static loss_status pages_of(struct registry *r, const struct arguments *a, paged print, struct loss_error *err)
{
    char next[2 * REGISTRY_NAME_MAX + 1];
    const char *cursor = NULL;
    loss_status status;
    do {
        struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);
        if (arena == NULL) {
            return loss_no_memory(err, "a page");
        }
        status = print(r, a, arena, &cursor, err);
        if (status == LOSS_OK && cursor != NULL) {
            snprintf(next, sizeof next, "%s", cursor);
            cursor = next;
        }
        loss_arena_free(arena);
    } while (status == LOSS_OK && cursor != NULL);
    return status;
}

static loss_status all_pages(struct registry *root, const struct arguments *a, paged print, struct loss_error *err)
{
    struct registry *r;
    LOSS_TRY(registry_space(root, a->space != NULL ? a->space : REGISTRY_SPACE_DEFAULT, &r, err));
    loss_status status = pages_of(r, a, print, err);
    registry_close(r);
    return status;
}

static loss_status run_list(struct registry *r, struct arguments *a, struct loss_error *err)
{
    return all_pages(r, a, list_page, err);
}

static loss_status run_show(struct registry *r, struct arguments *a, struct loss_error *err)
{
    return all_pages(r, a, show_page, err);
}

/* --- export and import --- */

static void report(const char *what, const struct transfer_counts *c)
{
    fprintf(stderr, "lossd: %s %" PRIu64 " %s, %" PRIu64 " %s, %" PRIu64 " idempotency %s\n", what, c->registries,
            c->registries == 1 ? "registry" : "registries", c->entries, c->entries == 1 ? "entry" : "entries", c->keys,
            c->keys == 1 ? "key" : "keys");
}

/* Written beside the file and put in its place when it is whole. */
static loss_status export_to_file(struct registry *r, const struct arguments *a, struct transfer_counts *counts,
                                  struct loss_error *err)
{
    char *beside = NULL;
    loss_status status = LOSS_OK;
    FILE *out = asprintf(&beside, "%s.part", a->file) > 0 ? fopen(beside, "we") : NULL;
    if (out == NULL) {
        status = loss_fail(err, LOSS_INTERNAL, "", "cannot write %s: %s", beside != NULL ? beside : a->file,
                           strerror(errno));
        goto out;
    }
    status = registry_export(r, a->space, a->n > 0 ? a->names : NULL, a->n, out, counts, err);
    if (status == LOSS_OK && fsync(fileno(out)) != 0) {
        status = loss_fail(err, LOSS_INTERNAL, "", "cannot write %s: %s", beside, strerror(errno));
    }
    if ((fclose(out) != 0 || (status == LOSS_OK && rename(beside, a->file) != 0)) && status == LOSS_OK) {
        status = loss_fail(err, LOSS_INTERNAL, "", "cannot write %s: %s", a->file, strerror(errno));
    }
    if (status != LOSS_OK) {
        unlink(beside);
    }
out:
    free(beside);
    return status;
}

static loss_status run_export(struct registry *r, struct arguments *a, struct loss_error *err)
{
    struct transfer_counts counts = {0};
    LOSS_TRY(a->file != NULL ? export_to_file(r, a, &counts, err)
                             : registry_export(r, a->space, a->n > 0 ? a->names : NULL, a->n, stdout, &counts, err));
    report("exported", &counts);
    return LOSS_OK;
}

/* Put the line's number before what is wrong with it. */
static loss_status blame_line(struct loss_error *err, uint64_t line)
{
    char text[sizeof err->message];
    if (line > 0) {
        snprintf(text, sizeof text, "line %" PRIu64 ": %.200s%s%.700s", line, err->pointer,
                 err->pointer[0] != '\0' ? ": " : "", err->message);
        strcpy(err->message, text);
    }
    return err->status;
}

static loss_status run_import(struct registry *r, struct arguments *a, struct loss_error *err)
{
    struct transfer_counts counts = {0};
    uint64_t line = 0;
    bool from_file = a->n > 0 && strcmp(a->names[0], "-") != 0;
    FILE *in = from_file ? fopen(a->names[0], "re") : stdin;
    if (in == NULL) {
        return loss_fail(err, LOSS_NOT_FOUND, "", "cannot read %s: %s", a->names[0], strerror(errno));
    }
    loss_status status = registry_import(r, in, a->taken, a->skip_keys, &counts, &line, err);
    if (from_file) {
        fclose(in);
    }
    if (status != LOSS_OK) {
        return blame_line(err, line);
    }
    report("imported", &counts);
    return LOSS_OK;
}

/* --- the command --- */

static const struct verb {
    const char *name;
    loss_status (*run)(struct registry *r, struct arguments *a, struct loss_error *err);
    bool writes;
} verbs[] = {
    {"list", run_list, false}, {"show", run_show, false}, {"export", run_export, false}, {"import", run_import, true}};
#define N_VERBS (sizeof verbs / sizeof *verbs)

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < N_VERBS; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static int run_verb(const struct verb *verb, struct arguments *a)
{
    struct loss_error err = {.status = LOSS_OK};
    struct registry *r = NULL;
    const struct registry_options options = {.url = a->store,
                                             .idempotency_seconds = verb->writes ? a->key_seconds : FOR_EVER,
                                             .command_seconds = PATIENCE,
                                             .read_only = !verb->writes};
    if (registry_open(&options, &r, &err) != LOSS_OK) {
        char shown[SHOWN_MAX];
        fprintf(stderr, "lossd: cannot open the store %s: %s\n", registry_url_shown(a->store, shown, sizeof shown),
                err.message);
        return 1;
    }
    loss_status status = verb->run(r, a, &err);
    registry_close(r);
    if (status == LOSS_OK && fflush(stdout) != 0) {
        status = loss_fail(&err, LOSS_INTERNAL, "", "cannot write to standard output: %s", strerror(errno));
    }
    if (status != LOSS_OK) {
        bool of_option = err.parameter[0] != '\0';
        fprintf(stderr, "lossd: %s%s%s%s\n", of_option ? "--" : "", err.parameter, of_option ? ": " : "", err.message);
    }
    return status == LOSS_OK ? 0 : 1;
}

int cmd_registry(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            usage(stdout);
            return 0;
        }
    }
    const struct verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
    if (verb == NULL) {
        usage(stderr);
        return 2;
    }
    struct conf conf;
    struct arguments a = {.verb = verb->name, .step = REGISTRY_STEP_LATEST};
    a.names = calloc((size_t)argc, sizeof *a.names);
    int status = 2;
    if (a.names != NULL && read_arguments(&a, argc, argv) && find_store(&a, &conf)) {
        status = run_verb(verb, &a);
    }
    free(a.names);
    return status;
}
