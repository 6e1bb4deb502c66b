/* SPDX-License-Identifier: Apache-2.0
 *
 * machine.c - processors and memory, cut by the affinity mask and by the limits of control groups (version 2).
 *
 * A container sees the host's processor count. Sizing threads by it, instead of by the quota, makes a team whose
 * members wait for each other's time slices.
 */
#include <server/machine.h>

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

/* The path of our control group, "/a/b", or "" for the root. */
static void cgroup_path(char *path, size_t size)
{
    char line[1024];
    FILE *f = fopen("/proc/self/cgroup", "re");

    path[0] = '\0';
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "0::/", 4) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(path, size, "%s", strcmp(line + 3, "/") == 0 ? "" : line + 3);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
}

/* The first line of a file of a control group; false where there is none. */
static bool cgroup_read(const char *path, const char *file, char *line, size_t size)
{
    char name[1280];
    bool got = false;
    FILE *f;

    snprintf(name, sizeof name, CGROUP_ROOT "%s/%s", path, file);
    f = fopen(name, "re");
    if (f != NULL) {
        got = fgets(line, (int)size, f) != NULL;
        fclose(f);
    }
    return got;
}

/* The smallest limit among our group and those around it; `parse` reads one, or -1 for none. -1: no limit at all. */
static int64_t cgroup_limit(const char *file, int64_t (*parse)(const char *line))
{
    char path[1024], line[128];
    int64_t least = -1;

    cgroup_path(path, sizeof path);
    for (;;) {
        int64_t limit = cgroup_read(path, file, line, sizeof line) ? parse(line) : -1;
        if (limit >= 0 && (least < 0 || limit < least)) {
            least = limit;
        }
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            return least;
        }
        *slash = '\0';
    }
}

/* "200000 100000": microseconds of processor time a period; rounded up to whole processors. */
static int64_t parse_cpu_max(const char *line)
{
    long long quota, period;
    if (sscanf(line, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0) {
        return -1;
    }
    return (quota + period - 1) / period;
}

static int64_t parse_memory_max(const char *line)
{
    long long bytes;
    return sscanf(line, "%lld", &bytes) == 1 && bytes > 0 ? bytes : -1;
}

int machine_cpus(void)
{
    cpu_set_t set;
    int64_t n = sysconf(_SC_NPROCESSORS_ONLN);

    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        n = CPU_COUNT(&set);
    }
    int64_t quota = cgroup_limit("cpu.max", parse_cpu_max);
    if (quota > 0 && quota < n) {
        n = quota;
    }
    return n < 1 ? 1 : (int)n;
}

int64_t machine_memory(void)
{
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    int64_t limit = cgroup_limit("memory.max", parse_memory_max);
    return limit > 0 && limit < bytes ? limit : bytes;
}

int64_t machine_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
