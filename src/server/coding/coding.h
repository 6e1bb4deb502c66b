/* SPDX-License-Identifier: Apache-2.0
 *
 * coding.h - content codings (RFC 9110, section 8.4): names, what a client accepts, and streams of gzip and zstd.
 *
 * A stream turns bytes into bytes in steps, with memory from a request's arena alone, so that it is counted and limited
 * like all of the request. zlib.h has its home in coding_gzip.c, zstd.h in coding_zstd.c.
 */
#ifndef SERVER_CODING_H
#define SERVER_CODING_H

#include <stdbool.h>
#include <stddef.h>

#include <loss/arena.h>

typedef enum { CODING_IDENTITY, CODING_GZIP, CODING_ZSTD, N_CODINGS } content_coding;

/* What a body may be coded in, as for Accept-Encoding. */
#define CODING_TAKEN "gzip, zstd"
#define CODING_HEADER "Content-Encoding"

const char *coding_name(content_coding coding);
/* The coding that a Content-Encoding header names; false: another one, or more than one. */
bool coding_parse(const char *header, content_coding *out);
/* What a client that sent this Accept-Encoding header (NULL: none) likes best: of equal weights zstd, then gzip, then
 * none; for "*" alone gzip, which everybody reads. *plain says whether it takes no coding at all, too. False: it takes
 * nothing that we have. */
bool coding_choose(const char *accept, content_coding *out, bool *plain);

/* --- streams --- */

/* Both ends move on by what a step took and gave. */
struct coding_io {
    const char *in;
    size_t n_in;
    char *out;
    size_t n_out;
};

typedef enum {
    CODING_GO_ON,    /* wants more bytes, or more room */
    CODING_FLUSH,    /* writers: all that was taken shall be given, too */
    CODING_AT_END,   /* readers: at the end of a member or frame, where the stream may end; writers: end it, or ended */
    CODING_BAD,      /* this is no such stream: coding_stream.why */
    CODING_TOO_WIDE, /* zstd: it looks back further than CODING_WINDOW */
    CODING_NO_MEMORY,
} coding_state;

#define CODING_WINDOW_LOG 23 /* 8 MiB, which RFC 8878 asks every decoder to support, and no more of encoders */

struct coding_stream {
    void *state;
    /* One step. `wish` is for writers: CODING_GO_ON, CODING_FLUSH or CODING_AT_END; FLUSH and AT_END are asked for again,
     * with room, until the step answers the same. A reader ignores it, and begins the next member or frame by itself. */
    coding_state (*step)(struct coding_stream *s, struct coding_io *io, coding_state wish);
    void (*close)(struct coding_stream *s); /* gives the memory back before the arena does */
    const char *why;                        /* what is wrong with a stream, in the library's words, or NULL */
};

/* False: no memory. The state lies in the arena. */
bool coding_reader(struct coding_stream *s, content_coding coding, struct loss_arena *arena);
/* `size` of all that will be written, where it is known; else 0. */
bool coding_writer(struct coding_stream *s, content_coding coding, size_t size, struct loss_arena *arena);

bool coding_gzip_reader(struct coding_stream *s, struct loss_arena *arena);
bool coding_gzip_writer(struct coding_stream *s, struct loss_arena *arena);
bool coding_zstd_reader(struct coding_stream *s, struct loss_arena *arena);
bool coding_zstd_writer(struct coding_stream *s, size_t size, struct loss_arena *arena);

#endif
