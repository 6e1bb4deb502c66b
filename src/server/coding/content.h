/* SPDX-License-Identifier: Apache-2.0
 *
 * content.h - coded bodies: what stands between the bytes of a connection and those of a body format.
 *
 * Inwards a decoder is fed the pieces of a body and hands on what they decompress to, a block at a time. Outwards a reply
 * is given another source, which compresses what the first one gives while the socket drains. HTTP thread only.
 */
#ifndef SERVER_CONTENT_H
#define SERVER_CONTENT_H

#include <server/coding/coding.h>
#include <server/http/request.h>

/* A body that decompresses to no more than this may do so at any ratio. */
#define CONTENT_FREE ((uint64_t)16 << 20)

struct content_options {
    content_coding coding; /* not CODING_IDENTITY */
    uint64_t max_ratio;    /* beyond CONTENT_FREE: of what was given to what was taken */
    /* Takes n > 0 bytes. Failing ends all. */
    loss_status (*sink)(void *arg, const char *bytes, size_t n, struct loss_error *err);
    void *arg;
};

struct content_decoder;
struct content_decoder *content_decoder_new(struct loss_arena *arena, const struct content_options *options);
/* err  LOSS_MALFORMED_ENCODING with the parameter CODING_HEADER, LOSS_BODY_TOO_LARGE, LOSS_OVERLOADED and the sink's */
loss_status content_decoder_feed(struct content_decoder *d, const char *bytes, size_t n, struct loss_error *err);
/* The body is complete: no more is fed, and the memory goes.
 * err  LOSS_MALFORMED_ENCODING: the stream is cut */
loss_status content_decoder_end(struct content_decoder *d, struct loss_error *err);

/* Compress an answer where the client likes that (q->answer_coding) and it is worth it: from `least` bytes on, and for
 * tensors where a sample of them shrinks. Sets its headers; Vary also where it stays as it is. Without memory the
 * answer stays as it is. */
void content_encode(const struct request *q, struct reply *r, size_t least);

#endif
