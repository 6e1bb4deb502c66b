/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cgroup.c - limits of control groups, read from trees of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <server/cgroup.h>

static char root[] = "/tmp/test_cgroup.XXXXXX";

static int make_root(void **state)
{
    (void)state;
    strcpy(root + strlen(root) - 6, "XXXXXX");
    return mkdtemp(root) == NULL;
}

static int remove_root(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void put(const char *name, const char *text)
{
    char path[512];

    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void check(int64_t cpus, int64_t memory)
{
    struct cgroup_limits found = cgroup_read(root);
    assert_int_equal(found.cpus, cpus);
    assert_int_equal(found.memory, memory);
}

static void test_no_control_groups__no_limits(void **state)
{
    (void)state;
    check(-1, -1);
}

static void test_version_2__the_smallest_on_the_way_up(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/b/memory.max", "2147483648\n");
    check(-1, INT64_C(2147483648));
    put("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/a/memory.max", "1073741824\n");
    check(2, INT64_C(1073741824));
    put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    put("/sys/fs/cgroup/a/memory.max", "max\n");
    check(1, INT64_C(2147483648));
}

static void test_version_2__the_root_of_a_container(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    put("/sys/fs/cgroup/memory.max", "268435456\n");
    check(4, 268435456);
}

static void test_version_1__each_controller_has_a_tree(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "12:pids:/x\n5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "9223372036854771712\n");
    check(-1, -1);
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "250000\n");
    put("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "536870912\n");
    check(3, 536870912);
}

/* The path is the host's, and what is mounted is the container's own group. */
static void test_version_1__a_path_that_is_not_there(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "5:cpuacct,cpu:/docker/1\n4:memory:/docker/1\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");
    check(1, 134217728);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_control_groups__no_limits, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_version_2__the_smallest_on_the_way_up, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_version_2__the_root_of_a_container, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_version_1__each_controller_has_a_tree, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_version_1__a_path_that_is_not_there, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
