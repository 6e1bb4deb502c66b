/* SPDX-License-Identifier: Apache-2.0
 *
 * auth.h - the keys that count now, and what each has used.
 *
 * A reading of the key file is a constant table. A connection holds the table it began its last request with, and looks
 * at one number a request to see whether there is a newer one: no lock on the way of a call, and a table goes when the
 * last connection has let go of it. What a key has used (its rate limit, its counters) belongs to its name, and
 * outlives a reload.
 */
#ifndef SERVER_AUTH_H
#define SERVER_AUTH_H

#include <stdatomic.h>
#include <stdint.h>

#include <registry/registry.h>
#include <server/access/keyfile.h>
#include <server/access/rate.h>

struct auth;
struct auth_table;

typedef enum { KEY_ANSWERED_2XX, KEY_ANSWERED_4XX, KEY_ANSWERED_5XX, KEY_LEFT, N_KEY_OUTCOMES } key_outcome;

/* By a key's name. */
struct auth_use {
    struct auth_use *next;
    char name[KEYFILE_NAME_MAX + 1];
    struct rate rate;
    atomic_uint_fast64_t outcome[N_KEY_OUTCOMES], rows, limited;
};

struct auth_key {
    struct keyfile_key is;
    struct registry *registry; /* its namespace's */
    struct auth_use *use;
};

/* Why a request was not let in, for the metrics. */
typedef enum { AUTH_MISSING, AUTH_UNKNOWN, AUTH_EXPIRED, N_AUTH_FAILURES } auth_failure;

/* Read the file. `root` outlives it. Says in the log what is odd about the file's mode and its keys.
 * err  LOSS_INVALID_PARAMETER, LOSS_OVERLOADED */
loss_status auth_open(const char *path, const struct registry *root, struct auth **out, struct loss_error *err);
/* Read it again: from now on its keys count. On failure the old ones do. One thread at a time. */
loss_status auth_reload(struct auth *a, struct loss_error *err);
void auth_close(struct auth *a); /* nobody holds a table any more; NULL is fine */

/* Make *held the table that counts now; NULL before the first time. */
void auth_hold(struct auth *a, struct auth_table **held);
void auth_release(struct auth_table *held); /* NULL is fine */

/* The key that a client has sent, or NULL. The time it takes says nothing about the keys there are, but for how many
 * share a prefix of their hashes. */
const struct auth_key *auth_find(const struct auth_table *t, const char *key, size_t n);

void auth_count_failure(struct auth *a, auth_failure why);
uint64_t auth_failures(const struct auth *a, auth_failure why);

/* What keys have used, by name, in the order of the file: the first AUTH_SHOWN keys, and all others together under the
 * name "" (of `others`, which is the caller's to fill). Holds off a reload meanwhile. */
#define AUTH_SHOWN 200
typedef void (*auth_visit)(void *arg, const struct auth_use *use);
void auth_visit_uses(struct auth *a, auth_visit visit, void *arg);

#endif
