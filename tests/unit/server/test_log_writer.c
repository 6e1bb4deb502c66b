/* SPDX-License-Identifier: Apache-2.0
 *
 * test_log_writer.c - lines leave whole, in order, and whatever ends the process.
 *
 * Standard error belongs to a child process, whose lines are read from a pipe.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <server/log_writer.h>

#define MOST ((size_t)4 << 20)
#define THREADS 4
#define LINES 5000 /* a thread; more than the writer has room for */
#define LONE_LINES 6
#define LONE_STEP_US 2000

/* What `act` wrote to standard error in a process of its own, and how that ended. Allocated. */
static char *said_by(void (*act)(void), int *status)
{
    int ends[2];
    char *text = malloc(MOST + 1);
    size_t size = 0;
    assert_non_null(text);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL); /* the test library's own, or a sanitizer's */
        signal(SIGABRT, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        act();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t n; (n = read(ends[0], text + size, MOST - size)) > 0;) {
        size += (size_t)n;
    }
    close(ends[0]);
    assert_int_equal(waitpid(child, status, 0), child);
    text[size] = '\0';
    return text;
}

static void put(const char *line)
{
    log_writer_put(line, strlen(line));
}

static void put_now(const char *line)
{
    log_writer_put_now(line, strlen(line));
}

/* --- order --- */

static void *put_many(void *arg)
{
    const char *name = arg;
    char line[128];
    for (int i = 0; i < LINES; i++) {
        snprintf(line, sizeof line, "%s %d %060d\n", name, i, i);
        put(line);
    }
    return NULL;
}

static void put_from_many_threads(void)
{
    static char names[THREADS][2] = {"a", "b", "c", "d"};
    pthread_t thread[THREADS];
    if (!log_writer_start()) {
        _exit(1);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&thread[i], NULL, put_many, names[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    log_writer_stop();
}

static void test_log_writer__keeps_each_threads_lines_whole_and_in_order(void **state)
{
    int status, next[THREADS] = {0}, total = 0;
    char *text = said_by(put_from_many_threads, &status);
    (void)state;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (char *line = text, *end; *line != '\0'; line = end + 1, total++) {
        char name;
        int i, again;
        end = strchr(line, '\n');
        assert_non_null(end);
        assert_int_equal(sscanf(line, "%c %d %d", &name, &i, &again), 3);
        assert_in_range(name, 'a', 'a' + THREADS - 1);
        assert_int_equal(i, next[name - 'a']++);
        assert_int_equal(again, i);
    }
    assert_int_equal(total, THREADS * LINES);
    free(text);
}

static void put_both_ways(void)
{
    put("before it runs\n");
    if (!log_writer_start()) {
        _exit(1);
    }
    put("first\n");
    put("second\n");
    put_now("third\n");
    put("fourth\n");
    log_writer_stop();
    put("after it ran\n");
}

static void test_log_writer__puts_what_cannot_wait_behind_what_can(void **state)
{
    int status;
    char *text = said_by(put_both_ways, &status);
    (void)state;
    assert_int_equal(status, 0);
    assert_string_equal(text, "before it runs\nfirst\nsecond\nthird\nfourth\nafter it ran\n");
    free(text);
}

static void put_and_leave_at_once(void)
{
    if (!log_writer_start()) {
        _exit(1);
    }
    put("waits\n");
    put_now("does not\n");
    _exit(3);
}

static void test_log_writer__has_written_what_cannot_wait_on_return(void **state)
{
    int status;
    char *text = said_by(put_and_leave_at_once, &status);
    (void)state;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    assert_string_equal(text, "waits\ndoes not\n");
    free(text);
}

/* Lines apart by anything from less than the writer gathers to so long that it sleeps meanwhile. */
static void put_now_and_then(void)
{
    if (!log_writer_start()) {
        _exit(1);
    }
    for (useconds_t us = 0; us < LONE_LINES * LONE_STEP_US; us += LONE_STEP_US) {
        usleep(us);
        put("a line\n");
    }
    for (;;) {
        pause();
    }
}

/* Nobody asks for them: the lines come by themselves, or the test hangs. */
static void test_log_writer__lets_lone_lines_go(void **state)
{
    int ends[2];
    char text[LONE_LINES * 7];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        put_now_and_then();
    }
    for (size_t got = 0; got < sizeof text;) {
        ssize_t n = read(ends[0], text + got, sizeof text - got);
        assert_true(n > 0);
        got += (size_t)n;
    }
    for (size_t i = 0; i < sizeof text; i += 7) {
        assert_memory_equal(text + i, "a line\n", 7);
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ends[0]);
    close(ends[1]);
}

/* --- ends --- */

static void start_and_put(void)
{
    if (!log_writer_start()) {
        _exit(1);
    }
    put("the last words\n");
}

static void crash_by_memory(void)
{
    start_and_put();
    volatile int *forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *forbidden = 1;
}

static void crash_by_abort(void)
{
    start_and_put();
    abort();
}

static void crash_from_outside(void)
{
    start_and_put();
    kill(getpid(), SIGBUS);
    pause();
}

static void test_log_writer__gives_out_what_waits_when_the_process_crashes(void **state)
{
    void (*const ways[])(void) = {crash_by_memory, crash_by_abort, crash_from_outside};
    const int signals[] = {SIGSEGV, SIGABRT, SIGBUS};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        int status;
        char *text = said_by(ways[i], &status);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i]);
        assert_string_equal(text, "the last words\n");
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_writer__keeps_each_threads_lines_whole_and_in_order),
        cmocka_unit_test(test_log_writer__puts_what_cannot_wait_behind_what_can),
        cmocka_unit_test(test_log_writer__has_written_what_cannot_wait_on_return),
        cmocka_unit_test(test_log_writer__lets_lone_lines_go),
        cmocka_unit_test(test_log_writer__gives_out_what_waits_when_the_process_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
