/* SPDX-License-Identifier: Apache-2.0
 *
 * machine.c - processors and memory, cut by the affinity mask and by control groups.
 */
#include <server/machine.h>

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <server/cgroup.h>

int machine_cpus(void)
{
    cpu_set_t set;
    int64_t n = sysconf(_SC_NPROCESSORS_ONLN);

    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        n = CPU_COUNT(&set);
    }
    int64_t quota = cgroup_read("").cpus;
    if (quota > 0 && quota < n) {
        n = quota;
    }
    return n < 1 ? 1 : (int)n;
}

int64_t machine_memory(void)
{
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    int64_t limit = cgroup_read("").memory;
    return limit > 0 && limit < bytes ? limit : bytes;
}

int64_t machine_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
