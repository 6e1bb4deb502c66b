/* SPDX-License-Identifier: Apache-2.0
 *
 * cgroup.c - /proc/self/cgroup tells our place in each hierarchy, files there and above it tell the limits.
 */
#include <server/cgroup.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PATH_SIZE 1024

struct place {
    const char *root;
    const char *hierarchy; /* where it is mounted, below /sys/fs/cgroup: "" for version 2, "/memory" */
    char path[PATH_SIZE];  /* our group in it, "/a/b" or "" */
};

/* Is `name` among the words of "cpu,cpuacct"? */
static bool has_word(const char *list, size_t n, const char *name)
{
    size_t size = strlen(name);

    for (size_t at = 0; at < n;) {
        size_t length = strcspn(list + at, ",:");
        if (length == size && memcmp(list + at, name, size) == 0) {
            return true;
        }
        at += length + 1;
    }
    return false;
}

/* A line is "number:controllers:path"; version 2 has number 0 and no controllers. False: we are in none such. */
static bool find_place(struct place *p, const char *root, const char *controller)
{
    char line[PATH_SIZE + 64];
    bool found = false;

    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *f = fopen(line, "re");
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        char *list = strchr(line, ':');
        char *path = list != NULL ? strchr(list + 1, ':') : NULL;
        if (path == NULL) {
            continue;
        }
        size_t n = (size_t)(path - ++list);
        found = controller[0] == '\0' ? n == 0 : has_word(list, n, controller);
        path[1 + strcspn(path + 1, "\n")] = '\0';
        snprintf(p->path, sizeof p->path, "%s", found && strcmp(path + 1, "/") != 0 ? path + 1 : "");
    }
    if (f != NULL) {
        fclose(f);
    }
    p->root = root;
    return found;
}

/* The whole number at the beginning of a file, and a second one where there are two; how many. */
static int read_numbers(const struct place *p, const char *file, long long out[2])
{
    char name[2 * PATH_SIZE + 256];
    int got = 0;

    snprintf(name, sizeof name, "%s/sys/fs/cgroup%s%s/%s", p->root, p->hierarchy, p->path, file);
    FILE *f = fopen(name, "re");
    if (f != NULL) {
        got = fscanf(f, "%lld %lld", &out[0], &out[1]);
        fclose(f);
    }
    return got < 0 ? 0 : got;
}

static int64_t processors(long long quota_us, long long period_us)
{
    return quota_us > 0 && period_us > 0 ? (quota_us + period_us - 1) / period_us : -1;
}

/* "200000 100000": microseconds a period; or "max 100000" */
static int64_t read_cpu_max(const struct place *p)
{
    long long v[2];
    return read_numbers(p, "cpu.max", v) == 2 ? processors(v[0], v[1]) : -1;
}

/* Version 1: two files; the quota is -1 where there is none. */
static int64_t read_cfs_quota(const struct place *p)
{
    long long quota[2], period[2];
    return read_numbers(p, "cpu.cfs_quota_us", quota) >= 1 && read_numbers(p, "cpu.cfs_period_us", period) >= 1
               ? processors(quota[0], period[0])
               : -1;
}

static int64_t read_memory_max(const struct place *p)
{
    long long v[2];
    return read_numbers(p, "memory.max", v) >= 1 && v[0] > 0 ? v[0] : -1;
}

/* Version 1 says "no limit" by a number near 2^63. */
static int64_t read_memory_limit(const struct place *p)
{
    long long v[2];
    return read_numbers(p, "memory.limit_in_bytes", v) >= 1 && v[0] > 0 && v[0] < (INT64_C(1) << 60) ? v[0] : -1;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* From our group up to the root. Where only a part of the tree is mounted, as in a container, its root is found last. */
static int64_t least(struct place *p, int64_t (*limit)(const struct place *p))
{
    int64_t found = limit(p);

    for (char *slash; (slash = strrchr(p->path, '/')) != NULL;) {
        *slash = '\0';
        found = smaller(found, limit(p));
    }
    return found;
}

struct cgroup_limits cgroup_read(const char *root)
{
    static const struct {
        const char *controller;
        const char *mounts[2];
        int64_t (*limit)(const struct place *p);
        bool memory;
    } kinds[] = {
        {"", {""}, read_cpu_max, false},
        {"", {""}, read_memory_max, true},
        {"cpu", {"/cpu", "/cpu,cpuacct"}, read_cfs_quota, false},
        {"memory", {"/memory"}, read_memory_limit, true},
    };
    struct cgroup_limits found = {-1, -1};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        for (size_t j = 0; j < 2 && kinds[i].mounts[j] != NULL; j++) {
            struct place p = {.hierarchy = kinds[i].mounts[j]};
            int64_t *to = kinds[i].memory ? &found.memory : &found.cpus;
            if (find_place(&p, root, kinds[i].controller)) {
                *to = smaller(*to, least(&p, kinds[i].limit));
            }
        }
    }
    return found;
}
