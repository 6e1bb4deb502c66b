/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_server.h - a redis-server of one's own: in an empty directory, on a free port, gone with the test at the latest.
 */
#ifndef SUPPORT_REDIS_SERVER_H
#define SUPPORT_REDIS_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define REDIS_OPTIONS_MAX 16

struct redis_server {
    pid_t pid; /* 0: none */
    int port;
    char directory[64];
};

/* Below those that the system gives to clients' sockets: one of these could take it before the server does. A node of a
 * cluster takes the one that is 10000 above, too. */
static inline int redis_free_port(void)
{
    for (int i = 0; i < 1000; i++) {
        uint16_t random = 0;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
            return 0;
        }
        int port = 10000 + random % 22000, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in a = {
            .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
        bool is_free = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
        close(fd);
        if (is_free) {
            return port;
        }
    }
    return 0;
}

/* Send lines to a Redis and take the first piece of its answer; false: nobody is there, or none came in ten seconds. */
static inline bool redis_say(int port, const char *lines, char *answer, size_t size)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n = -1;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
        send(fd, lines, strlen(lines), MSG_NOSIGNAL) == (ssize_t)strlen(lines) && poll(&p, 1, 10000) == 1) {
        n = recv(fd, answer, size - 1, 0);
    }
    close(fd);
    answer[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The child: Redis, or nothing. */
static inline void redis_exec(const struct redis_server *s, const char *const *options)
{
    char port[16];
    const char *words[12 + REDIS_OPTIONS_MAX] = {"redis-server", "--port",     port,     "--bind", "127.0.0.1",
                                                 "--dir",        s->directory, "--save", ""};
    size_t n = 9;
    snprintf(port, sizeof port, "%d", s->port);
    for (size_t i = 0; options != NULL && options[i] != NULL && i < REDIS_OPTIONS_MAX; i++) {
        words[n++] = options[i];
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    execvp(words[0], (char **)(uintptr_t)words);
    _exit(127);
}

/* Start it, again in the same place where it was stopped; `options` ends with NULL, or is NULL. False: it does not run. */
static inline bool redis_start(struct redis_server *s, const char *const *options)
{
    char answer[64];
    if (s->directory[0] == '\0') {
        const char *tmp = getenv("TMPDIR");
        snprintf(s->directory, sizeof s->directory, "%.40s/lossd-redis-XXXXXX", tmp != NULL ? tmp : "/tmp");
        if (mkdtemp(s->directory) == NULL) {
            return false;
        }
        s->port = redis_free_port();
    }
    s->pid = fork();
    if (s->pid == 0) {
        redis_exec(s, options);
    }
    for (int i = 0; i < 1500; i++) {
        if (redis_say(s->port, "PING\r\n", answer, sizeof answer) &&
            (answer[0] == '+' || strncmp(answer, "-NOAUTH", 7) == 0)) {
            return true;
        }
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            fprintf(stderr, "redis-server does not run; is it installed?\n");
            s->pid = 0;
            return false;
        }
        usleep(20000);
    }
    return false;
}

static inline void redis_end(struct redis_server *s, int signal)
{
    if (s->pid > 0) {
        kill(s->pid, signal);
        waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
}

/* End it, and take its directory with it. */
static inline void redis_discard(struct redis_server *s)
{
    char command[128];
    redis_end(s, SIGKILL);
    if (s->directory[0] != '\0') {
        snprintf(command, sizeof command, "rm -rf '%s'", s->directory);
        if (system(command) != 0) {
            fprintf(stderr, "%s stays\n", s->directory);
        }
        s->directory[0] = '\0';
    }
}

static struct redis_server redis_of_all;

static inline void redis_discard_shared(void)
{
    redis_discard(&redis_of_all);
}

/* The port of an empty Redis that all tests of the program take in turns; 0: there is none. */
static inline int redis_shared(void)
{
    char answer[64];
    if (redis_of_all.pid == 0) {
        atexit(redis_discard_shared);
        if (!redis_start(&redis_of_all, NULL)) {
            return 0;
        }
    }
    return redis_say(redis_of_all.port, "FLUSHALL\r\n", answer, sizeof answer) && answer[0] == '+' ? redis_of_all.port
                                                                                                   : 0;
}

#endif
