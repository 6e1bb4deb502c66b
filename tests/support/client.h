/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h - requests to a server: well-behaved ones through libcurl, odd ones byte by byte.
 */
#ifndef SUPPORT_CLIENT_H
#define SUPPORT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct client;

struct answer {
    int status;        /* 0: there was none */
    long connects;     /* new connections that it took */
    char *head, *body; /* NUL-terminated; of the client, until its next call */
    size_t size;
};

struct client *client_new(void);
void client_free(struct client *c);
/* headers: NULL or NULL-terminated "Name: value". body NULL: none. */
struct answer client_call(struct client *c, const char *method, const char *url, const char *path,
                          const char *const *headers, const char *body, size_t size);
struct answer client_get(struct client *c, const char *url, const char *path);
struct answer client_post(struct client *c, const char *url, const char *path, const char *json);
/* A header's value in an answer's head, in a buffer of this thread; NULL: not there. */
const char *answer_header(const struct answer *a, const char *name);
bool answer_has(const struct answer *a, const char *text); /* in the body */

/* --- sockets --- */

int raw_connect(int port);  /* fails the test where it cannot */
bool raw_refused(int port); /* nobody listens there */
void raw_send(int fd, const char *text);
void raw_send_bytes(int fd, const char *bytes, size_t n); /* as many as the peer takes; no failure where it closes */
/* Read until `text` has come, the peer closes, or ms pass; NUL-terminated into buf. Whether it has come. */
bool raw_expect(int fd, char *buf, size_t size, const char *text, int ms);
bool raw_closed(int fd, int ms); /* the peer closes within ms */
/* Connect, send, read until the peer closes, close. */
void raw_exchange(int port, const char *request, char *buf, size_t size);

#endif
