/* SPDX-License-Identifier: Apache-2.0
 *
 * daemon.h - a lossd of the test's own: on a free port, with its log in memory.
 */
#ifndef SUPPORT_DAEMON_H
#define SUPPORT_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

struct daemon {
    pid_t pid;
    int port;
    int log;      /* a memory file */
    char url[64]; /* "http://127.0.0.1:PORT" */
};

/* lossd serve --listen 127.0.0.1:0 --store memory and these options (NULL-terminated). Fails the test where it does not
 * come up. */
void daemon_start(struct daemon *d, const char *const *options);
/* Signal it, wait, and give its exit status (128 and more: killed by a signal). Fails the test after 20 seconds. */
int daemon_stop(struct daemon *d, int signal);
int daemon_wait(struct daemon *d);
/* What it has logged so far; to be freed. */
char *daemon_log(const struct daemon *d);

/* Run lossd with these arguments to its end; all it printed goes into *output (to be freed). Its exit status. */
int program_run(const char *const *arguments, char **output);

#endif
