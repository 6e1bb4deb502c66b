/* SPDX-License-Identifier: Apache-2.0
 *
 * framing.h - where a request ends: the header fields that say so, and the size of a head.
 *
 * Where two readers of the same bytes could see different requests (RFC 9112, section 11.2), there is no request.
 */
#ifndef SERVER_FRAMING_H
#define SERVER_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <loss/error.h>
#include <server/conf.h>

/* Where a head's parts lie in the buffer that it arrived in: libmicrohttpd cuts it there into strings. */
struct framing_bytes {
    const char *method, *target, *version;
    size_t target_size; /* as it was sent; it has been unescaped meanwhile */
    size_t size;        /* of the whole head */
};

struct framing {
    bool old; /* HTTP/1.0 */
    bool exact, odd_line;
    uintptr_t line; /* where the next field has to begin */
    uintptr_t end;  /* where the head ends */
    unsigned fields, lengths, codings, hosts;
    size_t bytes; /* of the head */
    bool odd_name;
    const char *length, *coding; /* borrowed; NULL where there is none */
};

/* Hold each part of the head against its place, from here on. libmicrohttpd 0.9.75 takes a line that ends without a
 * carriage return, goes on in the next line or has a zero byte for what another reader would not; between the strings it
 * makes of them there is then another number of bytes than between those of a proper head. */
void framing_bytes(struct framing *f, const struct framing_bytes *bytes);

/* Take a header field in, in the order of the head; `size` is the name's length, value NULL: empty. */
void framing_add(struct framing *f, const char *name, size_t size, const char *value);

/* Once all are in.
 * err  LOSS_HEADER_TOO_LARGE; LOSS_BAD_REQUEST, after which nothing else on the connection can be told apart */
loss_status framing_check(const struct framing *f, const struct conf *conf, struct loss_error *err);

uint64_t framing_length(const struct framing *f); /* Content-Length, 0 where there is none */

#endif
