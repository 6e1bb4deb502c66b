/* SPDX-License-Identifier: Apache-2.0
 *
 * content_decode.c - a coded body, decompressed as it arrives.
 */
#include <server/coding/content.h>

#include <inttypes.h>
#include <stdalign.h>

#define BLOCK ((size_t)64 << 10) /* what is decompressed before limits are looked at */

struct content_decoder {
    struct loss_arena *arena;
    struct content_options options;
    struct coding_stream stream;
    char *block;
    uint64_t taken, given;
    bool at_end;
};

struct content_decoder *content_decoder_new(struct loss_arena *arena, const struct content_options *options)
{
    struct content_decoder *d = loss_arena_alloc(arena, sizeof *d, alignof(struct content_decoder));

    if (d == NULL) {
        return NULL;
    }
    *d = (struct content_decoder){.arena = arena, .options = *options, .block = loss_arena_resize(arena, NULL, BLOCK)};
    return d->block != NULL && coding_reader(&d->stream, options->coding, arena) ? d : NULL;
}

static loss_status fail_stream(const struct content_decoder *d, coding_state state, struct loss_error *err)
{
    const char *name = coding_name(d->options.coding);

    if (state == CODING_NO_MEMORY) {
        return loss_no_memory(err, "decompressing the body");
    }
    if (state == CODING_TOO_WIDE) {
        return loss_fail_parameter(err, LOSS_MALFORMED_ENCODING, CODING_HEADER,
                                   "the body's %s stream needs a window of more than %d MiB; compress it without long "
                                   "distances",
                                   name, 1 << (CODING_WINDOW_LOG - 20));
    }
    return loss_fail_parameter(err, LOSS_MALFORMED_ENCODING, CODING_HEADER,
                               "the body is no %s stream, or something follows its end, at byte %" PRIu64 ": %s", name,
                               d->taken, d->stream.why != NULL ? d->stream.why : "it is corrupt");
}

static loss_status check_ratio(const struct content_decoder *d, struct loss_error *err)
{
    uint64_t ratio = d->options.max_ratio;

    if (d->given <= CONTENT_FREE || d->given / ratio <= d->taken) {
        return LOSS_OK;
    }
    return loss_fail(err, LOSS_BODY_TOO_LARGE, "",
                     "a body of more than %" PRIu64 " bytes may be %" PRIu64
                     " times as large as what it was compressed to, this one has %" PRIu64 " bytes from %" PRIu64
                     "; the server's option --max-ratio sets the limit",
                     (uint64_t)CONTENT_FREE, ratio, d->given, d->taken);
}

/* What comes out before a fault is handed on first: what is wrong with it is said of any pieces of the same stream. */
static loss_status hand_on(struct content_decoder *d, size_t made, struct loss_error *err)
{
    d->given += made;
    LOSS_TRY(check_ratio(d, err));
    return made > 0 ? d->options.sink(d->options.arg, d->block, made, err) : LOSS_OK;
}

loss_status content_decoder_feed(struct content_decoder *d, const char *bytes, size_t n, struct loss_error *err)
{
    struct coding_io io = {.in = bytes, .n_in = n};

    do {
        size_t before = io.n_in;
        io.out = d->block;
        io.n_out = BLOCK;
        coding_state state = d->stream.step(&d->stream, &io, CODING_GO_ON);
        d->taken += before - io.n_in;
        d->at_end = state == CODING_AT_END;
        LOSS_TRY(hand_on(d, BLOCK - io.n_out, err));
        if (state != CODING_GO_ON && state != CODING_AT_END) {
            return fail_stream(d, state, err);
        }
    } while (io.n_in > 0 || io.n_out == 0);
    return LOSS_OK;
}

loss_status content_decoder_end(struct content_decoder *d, struct loss_error *err)
{
    d->stream.close(&d->stream);
    loss_arena_release(d->arena, d->block);
    if (d->at_end) {
        return LOSS_OK;
    }
    return loss_fail_parameter(err, LOSS_MALFORMED_ENCODING, CODING_HEADER,
                               "the body is cut: it ends within its %s stream, after %" PRIu64 " bytes",
                               coding_name(d->options.coding), d->taken);
}
