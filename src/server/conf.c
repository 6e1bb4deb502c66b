/* SPDX-License-Identifier: Apache-2.0
 *
 * conf.c - the table of options, and its readers.
 */
#include <server/conf.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <loss/catalog.h>
#include <server/http/cors.h>
#include <server/machine.h>

typedef enum { OPTION_TEXT, OPTION_WORD, OPTION_COUNT, OPTION_BYTES, OPTION_SECONDS } option_type;

struct option {
    const char *name;  /* "max-body": --max-body, LOSSD_MAX_BODY */
    const char *value; /* what stands for its value in the help */
    option_type type;
    size_t offset;        /* of the field in struct conf */
    const char *fallback; /* as a client of the command line would write it; NULL: none */
    int64_t min, max;
    bool (*check)(const char *text);   /* OPTION_TEXT: does it do? NULL: any text */
    const char *const *words;          /* OPTION_WORD, NULL-terminated; the field is the index */
    void (*automatic)(struct conf *c); /* sets the field where the value is "auto" */
    const char *automatic_doc;
    const char *doc;
};

static void auto_store(struct conf *c);
static void auto_memory(struct conf *c);
static void auto_threads(struct conf *c);
static void auto_http_threads(struct conf *c);
static void auto_queue_bytes(struct conf *c);

static const char *const log_formats[] = {"auto", "text", "json", NULL};
static const char *const open_paths[] = {"none", "docs", "metrics", "all", NULL}; /* by CONF_OPEN_... */
static const char *const log_levels[] = {"error", "warning", "info", NULL};
static const char *const isas[] = {"auto", "baseline", "x86-64-v3", "x86-64-v4", NULL};

#define KIB (INT64_C(1) << 10)
#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)
#define TIB (INT64_C(1) << 40)
#define DAY INT64_C(86400)
#define FIELD(field) offsetof(struct conf, field)

/* In the order of the help. A later "auto" may look at the fields before it. */
static const struct option options[] = {
    {.name = "listen",
     .value = "HOST:PORT",
     .type = OPTION_TEXT,
     .offset = FIELD(listen),
     .fallback = "127.0.0.1:8080",
     .doc = "Where to listen. [::1]:8080 for IPv6, :8080 for every address of the machine, port 0 for any free port."},
    {.name = "port",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(port),
     .min = 0,
     .max = 65535,
     .doc = "Short for --listen with another port."},
    {.name = "store",
     .value = "URL",
     .type = OPTION_TEXT,
     .offset = FIELD(store),
     .fallback = "auto",
     .automatic = auto_store,
     .automatic_doc = "sqlite:$XDG_DATA_HOME/lossd/registry.db",
     .doc = "Where registries are kept: sqlite:PATH; redis://[user:password@]host[:port][/database], which several "
            "servers may share (user and password percent-encoded; LOSSD_STORE keeps them out of the list of "
            "processes); or "
            "memory, which forgets them at exit."},
    {.name = "store-connections",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(store_connections),
     .fallback = "64",
     .min = 1,
     .max = 256,
     .doc = "Connections to Redis at most, each with a thread that waits for it."},
    {.name = "store-connect-timeout",
     .value = "TIME",
     .type = OPTION_SECONDS,
     .offset = FIELD(store_connect_timeout),
     .fallback = "1s",
     .min = 1,
     .max = 3600,
     .doc = "How long to wait for a connection to Redis."},
    {.name = "store-timeout",
     .value = "TIME",
     .type = OPTION_SECONDS,
     .offset = FIELD(store_timeout),
     .fallback = "5s",
     .min = 1,
     .max = 3600,
     .doc = "How long to wait for an answer of Redis; then the call is answered 503."},
    {.name = "auth-file",
     .value = "FILE",
     .type = OPTION_TEXT,
     .offset = FIELD(auth_file),
     .doc = "Keys, their scopes, namespaces and limits, a line each, as \"lossd key new\" prints it. With it every "
            "request "
            "needs a key, but for /healthz, /readyz and /v2/health. Read again on SIGHUP."},
    {.name = "open-paths",
     .value = "WHICH",
     .type = OPTION_WORD,
     .offset = FIELD(open_paths),
     .fallback = "none",
     .words = open_paths,
     .doc =
         "What needs no key, with --auth-file: docs is what describes the API and the losses, metrics is /metrics and "
         "the statistics."},
    {.name = "tls-cert",
     .value = "FILE",
     .type = OPTION_TEXT,
     .offset = FIELD(tls_cert),
     .doc = "Speak HTTPS, with this certificate and those that lead to its authority (PEM). TLS 1.2 and 1.3. Read "
            "again on "
            "SIGHUP."},
    {.name = "tls-key",
     .value = "FILE",
     .type = OPTION_TEXT,
     .offset = FIELD(tls_key),
     .doc = "The certificate's private key (PEM)."},
    {.name = "tls-client-ca",
     .value = "FILE",
     .type = OPTION_TEXT,
     .offset = FIELD(tls_client_ca),
     .doc = "Take connections only from clients that show a certificate of these authorities (PEM)."},
    {.name = "max-body",
     .value = "SIZE",
     .type = OPTION_BYTES,
     .offset = FIELD(max_body),
     .fallback = "256MiB",
     .min = KIB,
     .max = TIB,
     .doc = "Largest request body; of one that is compressed, what it decompresses to."},
    {.name = "max-head",
     .value = "SIZE",
     .type = OPTION_BYTES,
     .offset = FIELD(max_head),
     .fallback = "16KiB",
     .min = KIB,
     .max = 24 * KIB, /* libmicrohttpd's memory for a connection is 32 KiB */
     .doc = "Largest head of a request: its first line and header fields."},
    {.name = "max-fields",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(max_fields),
     .fallback = "100",
     .min = 8,
     .max = 250,
     .doc = "Most header fields that a request may have."},
    {.name = "max-chunks",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(max_chunks),
     .fallback = "65536",
     .min = 1024,
     .max = GIB,
     .doc = "Chunks below 64 bytes that a chunked body may have."},
    {.name = "max-ratio",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(max_ratio),
     .fallback = "200",
     .min = 1,
     .max = MIB,
     .doc = "How many times as large as what was sent a compressed body may become, beyond 16 MiB."},
    {.name = "compress-from",
     .value = "SIZE",
     .type = OPTION_BYTES,
     .offset = FIELD(compress_from),
     .fallback = "1KiB",
     .min = 1,
     .max = TIB,
     .doc = "Smallest answer that is compressed for clients that accept it; 1TiB: none."},
    {.name = "max-depth",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(max_depth),
     .fallback = "64",
     .min = 1,
     .max = 1024,
     .doc = "How deep JSON arrays and objects may nest."},
    {.name = "memory-budget",
     .value = "SIZE",
     .type = OPTION_BYTES,
     .offset = FIELD(memory_budget),
     .fallback = "auto",
     .min = MIB,
     .max = 64 * TIB,
     .automatic = auto_memory,
     .automatic_doc = "half of the memory that the machine or its container has",
     .doc = "What all requests in flight may hold together; beyond it they are answered 503."},
    {.name = "threads",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(threads),
     .fallback = "auto",
     .min = 1,
     .max = 1024,
     .automatic = auto_threads,
     .automatic_doc = "the processors that affinity and cgroup leave",
     .doc = "Threads that compute a large call."},
    {.name = "http-threads",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(http_threads),
     .fallback = "auto",
     .min = 1,
     .max = 256,
     .automatic = auto_http_threads,
     .automatic_doc = "as many as processors, at most 4",
     .doc = "Threads that read requests, write answers and compute small calls."},
    {.name = "inline-elements",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(inline_elements),
     .fallback = "32768",
     .min = 0,
     .max = GIB,
     .doc = "Calls of up to this many numbers are computed on the HTTP thread, without a hand-over."},
    {.name = "queue-jobs",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(queue_jobs),
     .fallback = "256",
     .min = 1,
     .max = 65536,
     .doc = "Calls that may wait to be computed; beyond it they are answered 503."},
    {.name = "queue-bytes",
     .value = "SIZE",
     .type = OPTION_BYTES,
     .offset = FIELD(queue_bytes),
     .fallback = "auto",
     .min = MIB,
     .max = 64 * TIB,
     .automatic = auto_queue_bytes,
     .automatic_doc = "--memory-budget",
     .doc = "What calls that wait to be computed, large bodies on their way among them, may hold together."},
    {.name = "connection-limit",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(connection_limit),
     .fallback = "10000",
     .min = 16,
     .max = 1000000,
     .doc = "Connections at a time; more wait to be accepted."},
    {.name = "connections-per-ip",
     .value = "N",
     .type = OPTION_COUNT,
     .offset = FIELD(connections_per_ip),
     .fallback = "0",
     .min = 0,
     .max = 1000000,
     .doc = "Connections at a time from one address; more are closed at once. 0: any number."},
    {.name = "connection-timeout",
     .value = "TIME",
     .type = OPTION_SECONDS,
     .offset = FIELD(connection_timeout),
     .fallback = "60s",
     .min = 1,
     .max = DAY,
     .doc = "A connection without a request, or on which nothing moves, is closed after this long."},
    {.name = "head-timeout",
     .value = "TIME",
     .type = OPTION_SECONDS,
     .offset = FIELD(head_timeout),
     .fallback = "10s",
     .min = 1,
     .max = 3600,
     .doc = "How long a request's head may take to arrive."},
    {.name = "body-timeout",
     .value = "TIME",
     .type = OPTION_SECONDS,
     .offset = FIELD(body_timeout),
     .fallback = "10m",
     .min = 1,
     .max = DAY,
     .doc = "How long a request's body may take to arrive, however steadily."},
    {.name = "min-rate",
     .value = "SIZE",
     .type = OPTION_BYTES,
     .offset = FIELD(min_rate),
     .fallback = "16KiB",
     .min = 0,
     .max = GIB,
     .doc = "Bytes a second that a client must send of a body, or read of an answer, over each --rate-window. 0: any."},
    {.name = "rate-window",
     .value = "TIME",
     .type = OPTION_SECONDS,
     .offset = FIELD(rate_window),
     .fallback = "10s",
     .min = 1,
     .max = 3600,
     .doc = "Over how long --min-rate is measured: how long a client may pause."},
    {.name = "cors-origin",
     .value = "ORIGIN[,ORIGIN]...",
     .type = OPTION_TEXT,
     .offset = FIELD(cors_origin),
     .check = cors_list_valid,
     .doc = "Origins whose pages may call the server from a browser, as in https://app.example; * for every one."},
    {.name = "drain-delay",
     .value = "TIME",
     .type = OPTION_SECONDS,
     .offset = FIELD(drain_delay),
     .fallback = "0s",
     .min = 0,
     .max = 3600,
     .doc = "How long to go on taking work after SIGTERM, while /readyz already says 503: time for a load balancer to "
            "notice."},
    {.name = "drain-timeout",
     .value = "TIME",
     .type = OPTION_SECONDS,
     .offset = FIELD(drain_timeout),
     .fallback = "30s",
     .min = 0,
     .max = DAY,
     .doc = "How long to wait, then, for calls in flight."},
    {.name = "registry-ttl",
     .value = "TIME",
     .type = OPTION_SECONDS,
     .offset = FIELD(registry_ttl),
     .fallback = "0s",
     .min = 0,
     .max = 36500 * DAY,
     .doc = "A registry that sets no time of its own is forgotten this long after its last write; 0 keeps it."},
    {.name = "idempotency-ttl",
     .value = "TIME",
     .type = OPTION_SECONDS,
     .offset = FIELD(idempotency_ttl),
     .fallback = "24h",
     .min = 1,
     .max = 365 * DAY,
     .doc = "How long an Idempotency-Key is remembered."},
    {.name = "isa",
     .value = "NAME",
     .type = OPTION_WORD,
     .offset = FIELD(isa),
     .fallback = "auto",
     .words = isas,
     .doc = "Instruction set of the kernels; all give the same bits. auto takes the widest that the machine has."},
    {.name = "log-format",
     .value = "FORMAT",
     .type = OPTION_WORD,
     .offset = FIELD(log_format),
     .fallback = "auto",
     .words = log_formats,
     .doc = "Lines on standard error. auto is text on a terminal and json elsewhere."},
    {.name = "log-level",
     .value = "LEVEL",
     .type = OPTION_WORD,
     .offset = FIELD(log_level),
     .fallback = "info",
     .words = log_levels,
     .doc = "Least important lines to write; requests are info."},
};
#define N_OPTIONS (sizeof options / sizeof options[0])

static int64_t *number_field(struct conf *c, const struct option *o)
{
    return (int64_t *)(void *)((char *)c + o->offset);
}

static const char **text_field(struct conf *c, const struct option *o)
{
    return (const char **)(void *)((char *)c + o->offset);
}

static void auto_store(struct conf *c)
{
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    int n;

    if (data != NULL && data[0] == '/') {
        n = snprintf(c->store_path, sizeof c->store_path, "sqlite:%s/lossd/registry.db", data);
    } else {
        n = snprintf(c->store_path, sizeof c->store_path, "sqlite:%s/.local/share/lossd/registry.db",
                     home != NULL ? home : "");
    }
    c->store = n < (int)sizeof c->store_path ? c->store_path : "";
}

static void auto_memory(struct conf *c)
{
    c->memory_budget = machine_memory() / 2;
}

static void auto_threads(struct conf *c)
{
    c->threads = machine_cpus();
}

static void auto_http_threads(struct conf *c)
{
    int cpus = machine_cpus();
    c->http_threads = cpus < 4 ? cpus : 4;
}

static void auto_queue_bytes(struct conf *c)
{
    c->queue_bytes = c->memory_budget;
}

/* --- values --- */

struct unit {
    const char *name;
    int64_t factor;
};
static const struct unit byte_units[] = {
    {"", 1},         {"b", 1},   {"k", KIB},   {"kib", KIB},       {"kb", 1000}, {"m", MIB},   {"mib", MIB},
    {"mb", 1000000}, {"g", GIB}, {"gib", GIB}, {"gb", 1000000000}, {"t", TIB},   {"tib", TIB}, {NULL, 0}};
static const struct unit time_units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", DAY}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

/* A whole number with a unit; false where it is none or does not fit. */
static bool read_quantity(const char *text, const struct unit *units, int64_t *out)
{
    char *end;

    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    for (; units->name != NULL; units++) {
        if (strcasecmp(end, units->name) == 0) {
            return !__builtin_mul_overflow((int64_t)n, units->factor, out);
        }
    }
    return false;
}

static const struct unit *option_units(const struct option *o)
{
    return o->type == OPTION_BYTES ? byte_units : o->type == OPTION_SECONDS ? time_units : no_units;
}

/* 268435456 as "256MiB", 86400 as "24h". */
static void format_quantity(const struct option *o, int64_t v, char *buf, size_t size)
{
    static const struct unit bytes[] = {{"TiB", TIB}, {"GiB", GIB}, {"MiB", MIB}, {"KiB", KIB}, {NULL, 0}};
    static const struct unit times[] = {{"d", DAY}, {"h", 3600}, {"m", 60}, {"s", 1}, {NULL, 0}};
    static const struct unit plain[] = {{NULL, 0}};

    for (const struct unit *u = o->type == OPTION_BYTES     ? bytes
                                : o->type == OPTION_SECONDS ? times
                                                            : plain;
         u->name != NULL; u++) {
        if (v >= u->factor && v % u->factor == 0) {
            snprintf(buf, size, "%" PRId64 "%s", v / u->factor, u->name);
            return;
        }
    }
    snprintf(buf, size, "%" PRId64, v);
}

static void write_words(FILE *out, const struct option *o)
{
    for (size_t i = 0; o->words[i] != NULL; i++) {
        fprintf(out, "%s%s", i == 0 ? "" : o->words[i + 1] == NULL ? " or " : ", ", o->words[i]);
    }
}

/* What an option takes, for messages: "a size from 1KiB to 1TiB (64KiB, 256MiB, 2GiB)". */
static void write_accepted(FILE *out, const struct option *o)
{
    static const char *const kinds[] = {
        [OPTION_COUNT] = "a whole number", [OPTION_BYTES] = "a size", [OPTION_SECONDS] = "a time"};
    static const char *const samples[] = {
        [OPTION_COUNT] = "", [OPTION_BYTES] = ", as in 64KiB or 2GiB", [OPTION_SECONDS] = ", as in 30s, 5m or 24h"};
    char least[32], most[32];

    if (o->type == OPTION_WORD) {
        write_words(out, o);
    } else if (o->type == OPTION_TEXT) {
        fprintf(out, "%s", o->value);
    } else {
        format_quantity(o, o->min, least, sizeof least);
        format_quantity(o, o->max, most, sizeof most);
        fprintf(out, "%s from %s to %s%s%s", kinds[o->type], least, most, samples[o->type],
                o->automatic != NULL ? ", or auto" : "");
    }
}

static bool set_word(struct conf *c, const struct option *o, const char *text)
{
    for (int64_t i = 0; o->words[i] != NULL; i++) {
        if (strcmp(o->words[i], text) == 0) {
            *number_field(c, o) = i;
            return true;
        }
    }
    return false;
}

/* Set the option's field from text. False: the text does not do. */
static bool set_value(struct conf *c, const struct option *o, const char *text)
{
    int64_t v;

    if (o->automatic != NULL && strcmp(text, "auto") == 0) {
        o->automatic(c);
        return true;
    }
    switch (o->type) {
    case OPTION_TEXT:
        *text_field(c, o) = text;
        return text[0] != '\0' && (o->check == NULL || o->check(text));
    case OPTION_WORD:
        return set_word(c, o, text);
    default:
        if (!read_quantity(text, option_units(o), &v) || v < o->min || v > o->max) {
            return false;
        }
        *number_field(c, o) = v;
        return true;
    }
}

/* --- flags and environment --- */

static void env_name(const struct option *o, char *buf, size_t size)
{
    snprintf(buf, size, "LOSSD_%s", o->name);
    for (char *p = buf; *p != '\0'; p++) {
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    }
}

static void complain_value(FILE *errors, const char *who, const struct option *o, const char *text)
{
    fprintf(errors, "lossd: %s takes ", who);
    write_accepted(errors, o);
    fprintf(errors, "; got \"%s\"\n", text);
}

static void complain_name(FILE *errors, const char *argument)
{
    const char *names[N_OPTIONS];
    char word[64];

    if (strncmp(argument, "--", 2) != 0) {
        fprintf(errors,
                "lossd: unexpected argument \"%s\"; options are written --name VALUE (see lossd serve --help)\n",
                argument);
        return;
    }
    snprintf(word, sizeof word, "%.*s", (int)strcspn(argument + 2, "="), argument + 2);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        names[i] = options[i].name;
    }
    const char *nearest = loss_nearest_word(word, names, N_OPTIONS);
    fprintf(errors, "lossd: there is no option --%s", word);
    if (nearest != NULL) {
        fprintf(errors, "; did you mean --%s?", nearest);
    }
    fprintf(errors, " (lossd serve --help lists them all)\n");
}

/* The option that "--name" or "--name=value" names, or NULL. */
static const struct option *find_option(const char *argument, const char **value)
{
    if (strncmp(argument, "--", 2) != 0) {
        return NULL;
    }
    size_t n = strcspn(argument + 2, "=");
    *value = argument[2 + n] == '=' ? argument + 3 + n : NULL;
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (strlen(options[i].name) == n && memcmp(options[i].name, argument + 2, n) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

/* Give the address of --listen the port of --port, where one was given. False: it does not fit. */
static bool apply_port(struct conf *c)
{
    if (c->port < 0) {
        return true;
    }
    const char *colon = strrchr(c->listen, ':');
    int host = colon == NULL ? (int)strlen(c->listen) : (int)(colon - c->listen);
    char at[sizeof c->listen_at];
    int n = snprintf(at, sizeof at, "%.*s:%" PRId64, host, c->listen, c->port);

    c->port = -1;
    if (n >= (int)sizeof at) {
        return false;
    }
    memcpy(c->listen_at, at, sizeof at);
    c->listen = c->listen_at;
    return true;
}

static bool load_environment(struct conf *c, FILE *errors)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        char name[64];
        const char *text;

        env_name(&options[i], name, sizeof name);
        text = getenv(name);
        if (text != NULL && text[0] != '\0' && !set_value(c, &options[i], text)) {
            complain_value(errors, name, &options[i], text);
            return false;
        }
    }
    return true;
}

static bool load_flags(struct conf *c, int argc, char **argv, FILE *errors)
{
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        const struct option *o = find_option(argv[i], &value);
        char who[64];

        if (o == NULL) {
            complain_name(errors, argv[i]);
            return false;
        }
        snprintf(who, sizeof who, "--%s", o->name);
        if (value == NULL && i + 1 == argc) {
            fprintf(errors, "lossd: %s needs a value: ", who);
            write_accepted(errors, o);
            fprintf(errors, "\n");
            return false;
        }
        if (value == NULL) {
            value = argv[++i];
        }
        if (!set_value(c, o, value)) {
            complain_value(errors, who, o, value);
            return false;
        }
    }
    return true;
}

static bool check_together(const struct conf *c, FILE *errors)
{
    if ((c->tls_cert == NULL) != (c->tls_key == NULL)) {
        fprintf(errors, "lossd: --tls-cert and --tls-key belong together\n");
        return false;
    }
    if (c->tls_client_ca != NULL && c->tls_cert == NULL) {
        fprintf(errors, "lossd: --tls-client-ca says nothing without --tls-cert and --tls-key\n");
        return false;
    }
    return true;
}

bool conf_load(struct conf *c, int argc, char **argv, FILE *errors)
{
    /* "auto" may lean on other options (the queue on the budget), so what was asked for is set first and what is
     * still at its default after that. */
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (options[i].type != OPTION_TEXT) {
            *number_field(c, &options[i]) = -1;
        }
        if (options[i].fallback != NULL && options[i].automatic == NULL) {
            (void)set_value(c, &options[i], options[i].fallback);
        }
    }
    if (!load_environment(c, errors) || !apply_port(c) || !load_flags(c, argc, argv, errors) || !apply_port(c)) {
        return false;
    }
    for (size_t i = 0; i < N_OPTIONS; i++) {
        bool unset =
            options[i].type == OPTION_TEXT ? *text_field(c, &options[i]) == NULL : *number_field(c, &options[i]) < 0;
        if (unset && options[i].automatic != NULL) {
            options[i].automatic(c);
        }
    }
    return check_together(c, errors);
}

void conf_help(FILE *out)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];
        char name[64];

        env_name(o, name, sizeof name);
        fprintf(out, "  --%s %s\n      %s\n      ", o->name, o->value, o->doc);
        if (o->type != OPTION_TEXT) {
            fprintf(out, "Takes ");
            write_accepted(out, o);
            fprintf(out, ". ");
        }
        if (o->automatic_doc != NULL) {
            fprintf(out, "Default: auto, %s. ", o->automatic_doc);
        } else if (o->fallback != NULL) {
            fprintf(out, "Default: %s. ", o->fallback);
        }
        fprintf(out, "Environment: %s\n", name);
    }
}

const char *conf_isa_name(const struct conf *c)
{
    return c->isa == 0 ? NULL : isas[c->isa];
}
