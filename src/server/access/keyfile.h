/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfile.h - the file of --auth-file: who may do what, one key a line.
 *
 *   # comment
 *   alice  sha256:<64 hexadecimal digits>  scopes=compute,registry:read  namespace=team-a  rate=100/s  burst=200
 *   ci     sha256:<64 hexadecimal digits>  scopes=compute  expires=2027-01-31T00:00:00Z
 *
 * The file has the hashes of keys, never keys, and no message quotes what could be a key that was put there by mistake.
 * A plain SHA-256 is enough, since keys are random (192 bits): there is no dictionary to try, which is what slow hashes
 * are against, and a server that takes 100 000 calls a second has no time for one.
 */
#ifndef SERVER_KEYFILE_H
#define SERVER_KEYFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <loss/error.h>

#define KEYFILE_NAME_MAX 64
#define KEYFILE_DIGEST 32
#define KEYFILE_PREFIX "lossd_" /* of keys, and so of no name */
#define KEYFILE_KEY_SIZE 55     /* "lossd_", 48 hexadecimal digits and the NUL */
#define KEYFILE_MAX_KEYS 100000
#define KEYFILE_MAX_BYTES (32 << 20)

/* What a key may do. They do not contain one another. */
#define KEYFILE_SCOPE_MAP(X)                                                                                           \
    X(COMPUTE, "compute")                                                                                              \
    X(REGISTRY_READ, "registry:read")                                                                                  \
    X(REGISTRY_WRITE, "registry:write")                                                                                \
    X(ADMIN, "admin")

typedef enum {
#define KEYFILE_SCOPE_ENUM(id, word) SCOPE_##id,
    KEYFILE_SCOPE_MAP(KEYFILE_SCOPE_ENUM)
#undef KEYFILE_SCOPE_ENUM
        N_SCOPES
} key_scope;

const char *keyfile_scope_name(key_scope scope);

struct keyfile_key {
    char name[KEYFILE_NAME_MAX + 1];
    char space[KEYFILE_NAME_MAX + 1];     /* namespace of its registries; the key's name where none is given */
    unsigned char digest[KEYFILE_DIGEST]; /* SHA-256 of the key */
    unsigned scopes;                      /* bits, 1 << SCOPE_... */
    int64_t interval_ns;                  /* between two requests in the long run; 0: no limit */
    int64_t burst;                        /* that may come at once */
    int64_t expires;                      /* seconds since 1970; 0: never */
};

struct keyfile {
    struct keyfile_key *key;
    size_t n;
};

/* Read a file; *out is to be given to keyfile_free. Names and hashes are unique.
 * err  LOSS_INVALID_PARAMETER: "FILE:LINE: what is wrong"; LOSS_OVERLOADED */
loss_status keyfile_read(const char *path, struct keyfile *out, struct loss_error *err);
/* The same for a text; `path` is for messages. NULL: it is a single line, and messages say no place. */
loss_status keyfile_parse(const char *path, const char *text, size_t size, struct keyfile *out, struct loss_error *err);
void keyfile_free(struct keyfile *f);

/* A key that nobody has yet: 192 random bits. False: the system has no random numbers. */
bool keyfile_make(char key[KEYFILE_KEY_SIZE]);

/* SHA-256 of a key as a client sends it. */
void keyfile_digest(const char *key, size_t n, unsigned char digest[KEYFILE_DIGEST]);

/* "2027-01-31T00:00:00Z", or "2027-01-31", which is its first moment; false: it is neither. */
bool keyfile_time(const char *text, int64_t *seconds);

#endif
