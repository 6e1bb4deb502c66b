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

struct framing {
    bool old; /* HTTP/1.0 */
    unsigned fields, lengths, codings, hosts;
    size_t bytes; /* of the head */
    bool odd_name;
    const char *length, *coding; /* borrowed; NULL where there is none */
};

/* Take a header field in; value NULL: empty. */
void framing_add(struct framing *f, const char *name, const char *value);

/* Once all are in.
 * err  LOSS_HEADER_TOO_LARGE; LOSS_BAD_REQUEST, after which nothing else on the connection can be told apart */
loss_status framing_check(const struct framing *f, const struct conf *conf, struct loss_error *err);

uint64_t framing_length(const struct framing *f); /* Content-Length, 0 where there is none */

#endif
