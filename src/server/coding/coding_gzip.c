/* SPDX-License-Identifier: Apache-2.0
 *
 * coding_gzip.c - gzip (RFC 1952); the home of zlib.h.
 */
#include <server/coding/coding.h>

#include <limits.h>
#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include <zlib.h>

#define GZIP_ONLY (MAX_WBITS + 16) /* neither zlib's own wrapper nor bare deflate */
#define LEVEL 1
#define MEMORY_LEVEL 8

struct gzip {
    z_stream z;
    bool at_end; /* of a member, and nothing of another has come */
};

static voidpf take(voidpf arena, uInt n, uInt size)
{
    return loss_arena_resize(arena, NULL, (size_t)n * size);
}

static void give(voidpf arena, voidpf block)
{
    loss_arena_release(arena, block);
}

static struct gzip *gzip_new(struct loss_arena *arena)
{
    struct gzip *g = loss_arena_alloc(arena, sizeof *g, alignof(struct gzip));

    if (g != NULL) {
        memset(g, 0, sizeof *g);
        g->z.zalloc = take;
        g->z.zfree = give;
        g->z.opaque = arena;
    }
    return g;
}

static uInt clamp(size_t n)
{
    return n < UINT_MAX ? (uInt)n : UINT_MAX;
}

/* One call of inflate or deflate. */
static int run(z_stream *z, struct coding_io *io, int (*call)(z_stream *, int), int flush)
{
    uInt in = clamp(io->n_in), out = clamp(io->n_out);

    z->next_in = (z_const Bytef *)(uintptr_t)io->in;
    z->avail_in = in;
    z->next_out = (Bytef *)io->out;
    z->avail_out = out;
    int result = call(z, flush);
    io->in += in - z->avail_in;
    io->n_in -= in - z->avail_in;
    io->out += out - z->avail_out;
    io->n_out -= out - z->avail_out;
    return result;
}

static coding_state read_step(struct coding_stream *s, struct coding_io *io, coding_state wish)
{
    struct gzip *g = s->state;

    (void)wish;
    if (g->at_end && io->n_in == 0) {
        return CODING_AT_END;
    }
    if (g->at_end) {
        (void)inflateReset(&g->z);
        g->at_end = false;
    }
    switch (run(&g->z, io, inflate, Z_NO_FLUSH)) {
    case Z_STREAM_END:
        g->at_end = true;
        return CODING_AT_END;
    case Z_OK:
    case Z_BUF_ERROR: /* nothing to take, or no room */
        return CODING_GO_ON;
    case Z_MEM_ERROR:
        return CODING_NO_MEMORY;
    default:
        s->why = g->z.msg;
        return CODING_BAD;
    }
}

static void read_close(struct coding_stream *s)
{
    struct gzip *g = s->state;

    (void)inflateEnd(&g->z);
}

bool coding_gzip_reader(struct coding_stream *s, struct loss_arena *arena)
{
    struct gzip *g = gzip_new(arena);

    if (g == NULL || inflateInit2(&g->z, GZIP_ONLY) != Z_OK) {
        return false;
    }
    *s = (struct coding_stream){.state = g, .step = read_step, .close = read_close};
    return true;
}

static coding_state write_step(struct coding_stream *s, struct coding_io *io, coding_state wish)
{
    struct gzip *g = s->state;
    int flush = wish == CODING_AT_END ? Z_FINISH : wish == CODING_FLUSH ? Z_SYNC_FLUSH : Z_NO_FLUSH;
    int result = run(&g->z, io, deflate, flush);

    if (result == Z_STREAM_END) {
        return CODING_AT_END;
    }
    return wish == CODING_FLUSH && io->n_in == 0 && io->n_out > 0 ? CODING_FLUSH : CODING_GO_ON;
}

static void write_close(struct coding_stream *s)
{
    struct gzip *g = s->state;

    (void)deflateEnd(&g->z);
}

bool coding_gzip_writer(struct coding_stream *s, struct loss_arena *arena)
{
    struct gzip *g = gzip_new(arena);

    if (g == NULL || deflateInit2(&g->z, LEVEL, Z_DEFLATED, GZIP_ONLY, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        return false;
    }
    *s = (struct coding_stream){.state = g, .step = write_step, .close = write_close};
    return true;
}
