/* SPDX-License-Identifier: Apache-2.0
 *
 * coding_zstd.c - zstd (RFC 8878); the home of zstd.h.
 *
 * Contexts with an allocator of one's own are declared beside what the library promises not to change; without them the
 * memory of a window would be nobody's. They are linked by name: a library without them would not link.
 */
#include <server/coding/coding.h>

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#define LEVEL 1
#define WINDOW_LOG 17 /* faster than the level's own, and a quarter of the memory, for a hundredth of the size */
#define MAGIC 4
#define SKIPPABLE 0x184D2A50U /* and the 15 behind it */

static void *take(void *arena, size_t n)
{
    return loss_arena_resize(arena, NULL, n);
}

static void give(void *arena, void *block)
{
    loss_arena_release(arena, block);
}

/* --- reading --- */

struct reader {
    ZSTD_DCtx *context;
    bool at_end; /* of a frame, or before the first one */
    bool begun;
    unsigned char magic[MAGIC]; /* of the frame that begins, so far */
    size_t n_magic;
};

static coding_state failure(struct coding_stream *s, size_t result)
{
    switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_memory_allocation:
        return CODING_NO_MEMORY;
    case ZSTD_error_frameParameter_windowTooLarge:
        return CODING_TOO_WIDE;
    default:
        s->why = ZSTD_getErrorName(result);
        return CODING_BAD;
    }
}

static coding_state decompress(struct coding_stream *s, struct coding_io *io)
{
    struct reader *r = s->state;
    ZSTD_inBuffer in = {io->in, io->n_in, 0};
    ZSTD_outBuffer out = {io->out, io->n_out, 0};
    size_t result = ZSTD_decompressStream(r->context, &out, &in);

    io->in += in.pos;
    io->n_in -= in.pos;
    io->out += out.pos;
    io->n_out -= out.pos;
    if (ZSTD_isError(result)) {
        return failure(s, result);
    }
    r->at_end = result == 0;
    return r->at_end ? CODING_AT_END : CODING_GO_ON;
}

/* The library may read formats older than the RFC, too, by code that few use: a frame begins with the one magic number,
 * or is one to skip. */
static bool good_magic(const unsigned char *b)
{
    uint32_t magic = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;

    return magic == ZSTD_MAGICNUMBER || (magic & 0xFFFFFFF0U) == SKIPPABLE;
}

static coding_state begin_frame(struct coding_stream *s, struct coding_io *io)
{
    struct reader *r = s->state;

    while (r->n_magic < MAGIC && io->n_in > 0) {
        r->magic[r->n_magic++] = (unsigned char)*io->in++;
        io->n_in--;
    }
    if (r->n_magic < MAGIC) {
        return r->n_magic == 0 && r->begun ? CODING_AT_END : CODING_GO_ON;
    }
    if (!good_magic(r->magic)) {
        s->why = "Unknown frame descriptor";
        return CODING_BAD;
    }
    struct coding_io magic = {(const char *)r->magic, MAGIC, io->out, io->n_out};
    r->n_magic = 0;
    r->begun = true;
    return decompress(s, &magic);
}

static coding_state read_step(struct coding_stream *s, struct coding_io *io, coding_state wish)
{
    struct reader *r = s->state;

    (void)wish;
    if (r->at_end) {
        coding_state state = begin_frame(s, io);
        if (state != CODING_GO_ON || r->at_end) {
            return state;
        }
    }
    return decompress(s, io);
}

static void read_close(struct coding_stream *s)
{
    struct reader *r = s->state;

    ZSTD_freeDCtx(r->context);
}

bool coding_zstd_reader(struct coding_stream *s, struct loss_arena *arena)
{
    struct reader *r = loss_arena_alloc(arena, sizeof *r, alignof(struct reader));

    if (r == NULL) {
        return false;
    }
    *r = (struct reader){.context = ZSTD_createDCtx_advanced((ZSTD_customMem){take, give, arena}), .at_end = true};
    if (r->context == NULL ||
        ZSTD_isError(ZSTD_DCtx_setParameter(r->context, ZSTD_d_windowLogMax, CODING_WINDOW_LOG))) {
        return false;
    }
    *s = (struct coding_stream){.state = r, .step = read_step, .close = read_close};
    return true;
}

/* --- writing --- */

static coding_state write_step(struct coding_stream *s, struct coding_io *io, coding_state wish)
{
    ZSTD_EndDirective how = wish == CODING_AT_END ? ZSTD_e_end : wish == CODING_FLUSH ? ZSTD_e_flush : ZSTD_e_continue;
    ZSTD_inBuffer in = {io->in, io->n_in, 0};
    ZSTD_outBuffer out = {io->out, io->n_out, 0};
    size_t left = ZSTD_compressStream2(s->state, &out, &in, how);

    io->in += in.pos;
    io->n_in -= in.pos;
    io->out += out.pos;
    io->n_out -= out.pos;
    if (ZSTD_isError(left)) {
        return failure(s, left);
    }
    return left == 0 && io->n_in == 0 ? wish : CODING_GO_ON;
}

static void write_close(struct coding_stream *s)
{
    ZSTD_freeCCtx(s->state);
}

bool coding_zstd_writer(struct coding_stream *s, size_t size, struct loss_arena *arena)
{
    ZSTD_CCtx *context = ZSTD_createCCtx_advanced((ZSTD_customMem){take, give, arena});
    char empty[1];
    struct coding_io nothing = {empty, 0, empty, 0};

    if (context == NULL || ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, WINDOW_LOG)) ||
        (size > 0 && ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context, size)))) {
        return false;
    }
    *s = (struct coding_stream){.state = context, .step = write_step, .close = write_close};
    return write_step(s, &nothing, CODING_GO_ON) == CODING_GO_ON; /* all of its memory is taken here */
}
