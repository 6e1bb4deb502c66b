/* SPDX-License-Identifier: Apache-2.0
 *
 * cgroup.h - what control groups, of version 2 or 1, leave a process of its machine.
 *
 * A container sees the host's processors and memory. Sizing threads by them, instead of by the quota, makes a team whose
 * members wait for each other's time slices.
 */
#ifndef SERVER_CGROUP_H
#define SERVER_CGROUP_H

#include <stdint.h>

struct cgroup_limits {
    int64_t cpus;   /* whole processors, rounded up; -1: no limit */
    int64_t memory; /* bytes; -1: no limit */
};

/* The smallest limits among our group and those around it. `root` stands before /proc and /sys: "" but in tests. */
struct cgroup_limits cgroup_read(const char *root);

#endif
