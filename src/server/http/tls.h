/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.h - the certificate that counts now, and what http.c asks of a connection's TLS session.
 *
 * libmicrohttpd makes the sessions and drives them; the credentials are ours, one set for each reading of the files. A
 * connection keeps those that it began with, so that reading the files again breaks none. The home of gnutls.h; a session
 * is a gnutls_session_t, which is a pointer.
 */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <loss/error.h>

/* TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3. */
#define TLS_PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-AES-128-CBC:-AES-256-CBC"

struct tls_files {
    const char *cert, *key; /* PEM: the chain, the leaf first, and its private key */
    const char *client_ca;  /* PEM; NULL: clients need no certificate */
};

struct tls;
struct tls_identity; /* the files as of one reading */

/* Read the files (their names are borrowed). Says in the log whose certificate it is, and whether others can read the key.
 * err  LOSS_INVALID_PARAMETER: a file that cannot be read or does not fit, a certificate that is out of date */
loss_status tls_open(const struct tls_files *files, struct tls **out, struct loss_error *err);
/* Read them again: new connections get the new certificate. On failure the old one. One thread at a time. */
loss_status tls_reload(struct tls *t, struct loss_error *err);
void tls_close(struct tls *t);      /* NULL is fine */
int64_t tls_expires(struct tls *t); /* seconds since 1970, of the certificate that counts now */

/* A connection begins: its session gets the certificate, and asks for the client's where it must have one. NULL: no
 * memory, and the handshake will fail. */
struct tls_identity *tls_begin(struct tls *t, void *session);
/* In a handshake: the client has shown no certificate, which fails. Tells the client and the log. */
void tls_none_shown(void *session);
void tls_end(struct tls_identity *identity); /* its session is gone; NULL is fine */

/* Send as much as there is room for now; what could not be sent is the client's loss. */
void tls_send(void *session, const void *bytes, size_t n);
void tls_bye(void *session); /* nothing more will be sent */

/* For a probe on this machine: send `request` over a connected socket, and read an answer of up to `size` bytes. It shows
 * the server's own certificate, which a server that wants one takes as good, and asks for none. The bytes read; 0: none. */
size_t tls_ask(int fd, const char *cert, const char *key, const char *request, char *answer, size_t size);

#endif
