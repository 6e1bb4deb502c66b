/* SPDX-License-Identifier: Apache-2.0
 *
 * key.c - lossd key: makes keys for --auth-file, and shows whose are in it.
 *
 * A line is added in one write at the file's end, so that owner, mode and mount stay, and a server that reads the file
 * meanwhile finds it whole. Whoever adds has the file locked: no name gets in twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <server/access/keyfile.h>
#include <text/hex.h>

#include "commands.h"
#include "option.h"

#define LINE_BYTES 2048 /* more than a file's line may have */

/* An option and the field of a line that it becomes. */
static const struct field {
    const char *option, *name;
} fields[] = {{"--scopes", "scopes"},
              {"--namespace", "namespace"},
              {"--rate", "rate"},
              {"--burst", "burst"},
              {"--expires", "expires"}};
#define N_FIELDS (sizeof fields / sizeof *fields)

struct arguments {
    const char *name, *file;
    const char *value[N_FIELDS];
};

static void usage(FILE *out)
{
    fprintf(
        out,
        "usage: lossd key new NAME --scopes SCOPE[,SCOPE]... [OPTION]...\n"
        "       lossd key list\n\n"
        "new makes a key, prints it, this once, and adds a line to the file of keys, which has only its hash.\n"
        "Without a file it prints that line, too. list shows whose keys are in the file, and checks it as a server\n"
        "would. A running server reads the file again on SIGHUP.\n\n"
        "  --auth-file FILE       as of lossd serve (LOSSD_AUTH_FILE)\n"
        "  --scopes SCOPE,...     what it may do: compute, registry:read, registry:write, admin\n"
        "  --namespace NAME       whose registries it works on; unless given its own, those of NAME\n"
        "  --rate N/s, N/m, N/h   requests in the long run; unless given any number\n"
        "  --burst N              requests that may come at once; unless given a second's worth\n"
        "  --expires TIME         2027-01-31T00:00:00Z, or 2027-01-31; unless given never\n");
}

static int complain(const char *what, const char *word)
{
    fprintf(stderr, "lossd: %s%s (lossd key --help says what there is)\n", what, word);
    return 2;
}

static int fail(const struct loss_error *err)
{
    fprintf(stderr, "lossd: %s\n", err->message);
    return 1;
}

/* --- arguments --- */

static bool read_argument(struct arguments *a, int argc, char **argv, int *i)
{
    const char *value;
    if (argv[*i][0] != '-' && a->name == NULL) {
        a->name = argv[*i];
        return true;
    }
    if ((value = option_value("--auth-file", argc, argv, i)) != NULL) {
        a->file = value;
        return true;
    }
    for (size_t k = 0; k < N_FIELDS; k++) {
        if ((value = option_value(fields[k].option, argc, argv, i)) != NULL) {
            a->value[k] = value;
            return true;
        }
    }
    return false;
}

/* A blank would begin another field, or another line. */
static bool is_word(const char *text)
{
    return text[0] != '\0' && strpbrk(text, " \t\r\n") == NULL;
}

static int read_arguments(struct arguments *a, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        const char *word = argv[i];
        if (!read_argument(a, argc, argv, &i)) {
            return complain("cannot take ", word);
        }
    }
    if (a->file == NULL) {
        a->file = getenv("LOSSD_AUTH_FILE");
    }
    if (a->file != NULL && a->file[0] == '\0') {
        a->file = NULL;
    }
    return 0;
}

/* --- new --- */

/* "alice sha256:... scopes=compute rate=5/s\n"; false: it is too long. */
static bool write_line(const struct arguments *a, const char *key, char *line, size_t size)
{
    unsigned char digest[KEYFILE_DIGEST];
    char hash[2 * KEYFILE_DIGEST + 1];
    keyfile_digest(key, strlen(key), digest);
    hex_write(hash, digest, sizeof digest);
    size_t n = (size_t)snprintf(line, size, "%s sha256:%s", a->name, hash);
    for (size_t k = 0; k < N_FIELDS && n < size; k++) {
        if (a->value[k] != NULL) {
            n += (size_t)snprintf(line + n, size - n, " %s=%s", fields[k].name, a->value[k]);
        }
    }
    return n < size;
}

static loss_status check_name(const char *path, const char *name, struct loss_error *err)
{
    struct keyfile f = {.n = 0};
    LOSS_TRY(keyfile_read(path, &f, err));
    loss_status status = LOSS_OK;
    for (size_t i = 0; i < f.n && status == LOSS_OK; i++) {
        if (strcmp(f.key[i].name, name) == 0) {
            status =
                loss_fail(err, LOSS_INVALID_PARAMETER, "",
                          "%s has a key of the name %s; another for the same registries gets a name of its own and "
                          "--namespace %s",
                          path, name, f.key[i].space);
        }
    }
    keyfile_free(&f);
    return status;
}

/* Does what is there end with a whole line? */
static bool ends_a_line(int fd)
{
    char last = '\n';
    off_t size = lseek(fd, 0, SEEK_END);
    return size <= 0 || (pread(fd, &last, 1, size - 1) == 1 && last == '\n');
}

static loss_status add_line(const char *path, const char *name, const char *line, struct loss_error *err)
{
    char text[LINE_BYTES + 2];
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    loss_status status = LOSS_OK;
    if (fd < 0) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s: %s", path, strerror(errno));
    }
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    status = check_name(path, name, err);
    if (status == LOSS_OK) {
        int n = snprintf(text, sizeof text, "%s%s\n", ends_a_line(fd) ? "" : "\n", line);
        if (write(fd, text, (size_t)n) != n || fsync(fd) != 0) {
            status = loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s: %s", path, strerror(errno));
        }
    }
    close(fd);
    return status;
}

/* A key and its line, which a server would take. 0, or the exit status. */
static int make_key(const struct arguments *a, char key[KEYFILE_KEY_SIZE], char *line, size_t size)
{
    struct loss_error err = {.status = LOSS_OK};
    struct keyfile f = {.n = 0};

    if (a->name == NULL) {
        return complain("new needs a name for the key", "");
    }
    for (size_t k = 0; k < N_FIELDS; k++) {
        if (a->value[k] != NULL && !is_word(a->value[k])) {
            return complain("no blanks may be in the value of ", fields[k].option);
        }
    }
    if (!keyfile_make(key)) {
        fprintf(stderr, "lossd: the system has no random numbers: %s\n", strerror(errno));
        return 1;
    }
    if (!is_word(a->name) || a->name[0] == '#' || !write_line(a, key, line, size)) {
        return complain("that is no name and no fields of a key: ", a->name);
    }
    if (keyfile_parse(NULL, line, strlen(line), &f, &err) != LOSS_OK) {
        return complain(err.message, "");
    }
    keyfile_free(&f);
    return 0;
}

/* The key goes out last: who has it can use it. */
static int run_new(const struct arguments *a)
{
    char key[KEYFILE_KEY_SIZE], line[LINE_BYTES];
    struct loss_error err = {.status = LOSS_OK};

    int status = make_key(a, key, line, sizeof line);
    if (status != 0) {
        return status;
    }
    if (a->file != NULL && add_line(a->file, a->name, line, &err) != LOSS_OK) {
        return fail(&err);
    }
    printf("%s\n", key);
    if (a->file == NULL) {
        printf("%s\n", line);
    } else {
        fprintf(stderr, "lossd: %s is in %s, which a running server reads on SIGHUP\n", a->name, a->file);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

/* --- list --- */

static void print_scopes(unsigned scopes)
{
    const char *comma = "";
    for (int i = 0; i < N_SCOPES; i++) {
        if ((scopes & 1u << i) != 0) {
            printf("%s%s", comma, keyfile_scope_name((key_scope)i));
            comma = ",";
        }
    }
}

/* "100/s", in the unit that makes it a number of 1 or more. */
static void write_rate(const struct keyfile_key *key, char *text, size_t size)
{
    static const struct {
        double seconds;
        char unit;
    } units[] = {{1, 's'}, {60, 'm'}, {3600, 'h'}};
    double a_second = 1e9 / (double)key->interval_ns; /* in whole nanoseconds: 3/s is 3.000000003 */
    size_t i = a_second > 1 - 1e-6 ? 0 : a_second * 60 > 1 - 1e-6 ? 1 : 2;
    snprintf(text, size, "%.6g/%c, burst %lld", a_second * units[i].seconds, units[i].unit, (long long)key->burst);
}

static void print_key(const struct keyfile_key *key, time_t now)
{
    char expires[32] = "-", rate[48] = "-";
    struct tm parts;
    time_t at = (time_t)key->expires;
    bool expired = key->expires != 0 && now >= at;

    if (key->expires != 0) {
        strftime(expires, sizeof expires, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &parts));
    }
    if (key->interval_ns != 0) {
        write_rate(key, rate, sizeof rate);
    }
    printf("%-20s  %-20s  %-20s%-8s  %-24s  ", key->name, key->space, expires, expired ? " expired" : "", rate);
    print_scopes(key->scopes);
    printf("\n");
}

static int run_list(const struct arguments *a)
{
    struct loss_error err = {.status = LOSS_OK};
    struct keyfile f = {.n = 0};
    if (a->file == NULL || a->name != NULL) {
        return complain("list needs a file, by --auth-file or LOSSD_AUTH_FILE, and nothing else", "");
    }
    if (keyfile_read(a->file, &f, &err) != LOSS_OK) {
        return fail(&err);
    }
    time_t now = time(NULL);
    printf("%-20s  %-20s  %-28s  %-24s  %s\n", "NAME", "NAMESPACE", "EXPIRES", "RATE", "SCOPES");
    for (size_t i = 0; i < f.n; i++) {
        print_key(&f.key[i], now);
    }
    keyfile_free(&f);
    return fflush(stdout) == 0 ? 0 : 1;
}

int cmd_key(int argc, char **argv)
{
    struct arguments a = {.name = NULL};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            usage(stdout);
            return 0;
        }
    }
    bool makes = argc > 1 && strcmp(argv[1], "new") == 0;
    if (!makes && (argc <= 1 || strcmp(argv[1], "list") != 0)) {
        usage(stderr);
        return 2;
    }
    int status = read_arguments(&a, argc, argv);
    return status != 0 ? status : makes ? run_new(&a) : run_list(&a);
}
