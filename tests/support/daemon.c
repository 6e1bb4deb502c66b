/* SPDX-License-Identifier: Apache-2.0
 *
 * daemon.c - fork, exec, and wait for the line that says where it listens.
 */
#include "daemon.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_ARGUMENTS 32
#define PATIENCE_MS 20000

static void sleep_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* The child ends with the test, however that ends. */
static pid_t spawn(const char *const *arguments, int output)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        execv(LOSSD_PROGRAM, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    return pid;
}

static char *file_text(int fd)
{
    struct stat s;
    assert_int_equal(fstat(fd, &s), 0);
    char *text = malloc((size_t)s.st_size + 1);
    assert_non_null(text);
    ssize_t n = pread(fd, text, (size_t)s.st_size, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static int exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int wait_for(pid_t pid)
{
    int status;
    for (long waited = 0; waited < PATIENCE_MS; waited += 5) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            return exit_status(status);
        }
        sleep_ms(5);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    fail_msg("the program did not end within %d ms", PATIENCE_MS);
    return -1;
}

void daemon_start(struct daemon *d, const char *const *options)
{
    const char *arguments[MAX_ARGUMENTS] = {LOSSD_PROGRAM, "serve", "--listen", "127.0.0.1:0", "--store", "memory"};
    size_t n = 6;

    for (; options != NULL && *options != NULL; options++) {
        assert_true(n + 1 < MAX_ARGUMENTS);
        arguments[n++] = *options;
    }
    d->log = memfd_create("log", MFD_CLOEXEC);
    assert_true(d->log >= 0);
    d->pid = spawn(arguments, d->log);
    assert_true(d->pid > 0);
    for (long waited = 0; waited < PATIENCE_MS; waited += 5) {
        char *text = file_text(d->log);
        char *url = strstr(text, "listening on http://127.0.0.1:");
        int got =
            url != NULL && strchr(url, '\n') != NULL ? sscanf(url, "listening on http://127.0.0.1:%d", &d->port) : 0;
        free(text);
        if (got == 1) {
            snprintf(d->url, sizeof d->url, "http://127.0.0.1:%d", d->port);
            return;
        }
        if (waitpid(d->pid, NULL, WNOHANG) == d->pid) {
            break;
        }
        sleep_ms(5);
    }
    fail_msg("lossd did not come up");
}

int daemon_wait(struct daemon *d)
{
    int status = wait_for(d->pid);
    close(d->log);
    return status;
}

int daemon_stop(struct daemon *d, int signal)
{
    kill(d->pid, signal);
    return daemon_wait(d);
}

char *daemon_log(const struct daemon *d)
{
    return file_text(d->log);
}

int program_run(const char *const *arguments, char **output)
{
    const char *all[MAX_ARGUMENTS] = {LOSSD_PROGRAM};
    int out = memfd_create("output", MFD_CLOEXEC);

    assert_true(out >= 0);
    for (size_t n = 1; *arguments != NULL; arguments++, n++) {
        assert_true(n + 1 < MAX_ARGUMENTS);
        all[n] = *arguments;
    }
    int status = wait_for(spawn(all, out));
    *output = file_text(out);
    close(out);
    return status;
}
