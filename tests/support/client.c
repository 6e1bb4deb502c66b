/* SPDX-License-Identifier: Apache-2.0
 *
 * client.c - libcurl and sockets.
 */
#include "client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include <cmocka.h>

struct text {
    char *data;
    size_t size;
};

struct client {
    CURL *curl;
    struct text head, body;
};

static size_t append(char *bytes, size_t one, size_t n, void *to)
{
    struct text *t = to;
    char *data = realloc(t->data, t->size + n + 1);

    (void)one;
    assert_non_null(data);
    t->data = data;
    memcpy(data + t->size, bytes, n);
    t->size += n;
    data[t->size] = '\0';
    return n;
}

static void clear(struct text *t)
{
    free(t->data);
    t->data = calloc(1, 1);
    t->size = 0;
}

struct client *client_new(void)
{
    struct client *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->curl = curl_easy_init();
    assert_non_null(c->curl);
    return c;
}

void client_free(struct client *c)
{
    curl_easy_cleanup(c->curl);
    free(c->head.data);
    free(c->body.data);
    free(c);
}

struct answer client_call(struct client *c, const char *method, const char *url, const char *path,
                          const char *const *headers, const char *body, size_t size)
{
    struct answer a = {0};
    struct curl_slist *list = NULL;
    char whole[16384];
    long status = 0;

    clear(&c->head);
    clear(&c->body);
    snprintf(whole, sizeof whole, "%s%s", url, path);
    for (; headers != NULL && *headers != NULL; headers++) {
        list = curl_slist_append(list, *headers);
    }
    curl_easy_reset(c->curl); /* keeps connections */
    curl_easy_setopt(c->curl, CURLOPT_URL, whole);
    curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, append);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, &c->head);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &c->body);
    if (body != NULL) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    }
    if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(c->curl, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    }
    if (curl_easy_perform(c->curl) == CURLE_OK) {
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(c->curl, CURLINFO_NUM_CONNECTS, &a.connects);
    }
    curl_slist_free_all(list);
    a.status = (int)status;
    a.head = c->head.data;
    a.body = c->body.data;
    a.size = c->body.size;
    return a;
}

struct answer client_get(struct client *c, const char *url, const char *path)
{
    return client_call(c, "GET", url, path, NULL, NULL, 0);
}

struct answer client_post(struct client *c, const char *url, const char *path, const char *json)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    return client_call(c, "POST", url, path, headers, json, strlen(json));
}

const char *answer_header(const struct answer *a, const char *name)
{
    static _Thread_local char value[1024];
    size_t n = strlen(name);

    for (const char *line = a->head; line != NULL && *line != '\0';) {
        if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
            line += n + 1;
            line += strspn(line, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(line, "\r\n"), line);
            return value;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return NULL;
}

bool answer_has(const struct answer *a, const char *text)
{
    return a->body != NULL && strstr(a->body, text) != NULL;
}

/* --- sockets --- */

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int try_connect(int port)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)(const void *)&at, sizeof at) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int raw_connect(int port)
{
    int fd = try_connect(port);
    assert_true(fd >= 0);
    return fd;
}

bool raw_refused(int port)
{
    int fd = try_connect(port);
    if (fd >= 0) {
        close(fd);
    }
    return fd < 0;
}

void raw_send_bytes(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        bytes += sent;
        n -= (size_t)sent;
    }
}

void raw_send(int fd, const char *text)
{
    raw_send_bytes(fd, text, strlen(text));
}

bool raw_expect(int fd, char *buf, size_t size, const char *text, int ms)
{
    int64_t end = clock_ms() + ms;
    size_t n = 0;

    buf[0] = '\0';
    while (n + 1 < size && strstr(buf, text) == NULL) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = end - clock_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0) {
            break;
        }
        ssize_t got = recv(fd, buf + n, size - 1 - n, 0);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
        buf[n] = '\0';
    }
    return strstr(buf, text) != NULL;
}

bool raw_closed(int fd, int ms)
{
    int64_t end = clock_ms() + ms;
    char sink[4096];

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = end - clock_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0) {
            return false;
        }
        if (recv(fd, sink, sizeof sink, 0) <= 0) {
            return true;
        }
    }
}

void raw_exchange(int port, const char *request, char *buf, size_t size)
{
    int fd = raw_connect(port);
    raw_send(fd, request);
    (void)raw_expect(fd, buf, size, "\x01", 5000); /* never comes: until the peer closes */
    close(fd);
}
