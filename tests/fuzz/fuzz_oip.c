/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_oip.c - any bytes as a request of the Open Inference Protocol: cut anyhow, the answer is the same.
 *
 * The first byte picks a loss; the second says whether the length of the body is known (1), whether the header field is
 * sent (2), whether it says 0 (4), and seeds the cuts. The JSON ends where the first NUL byte stands, which no JSON holds.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <loss/loss.h>
#include <server/formats/oip.h>

#include "fuzz/replay.h"

#define MEMORY ((size_t)64 << 20)

enum { SIZED = 1, HEADER = 2, RAW = 4 };

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

struct outcome {
    struct loss_arena *arena;
    struct oip_call oip;
    struct loss_answer answer;
    struct reply reply;
    struct loss_error err;
    loss_status status;
};

/* Each piece in a block of its own: a sanitizer shall see the first read too many. */
static loss_status feed(struct oip_decoder *d, const char *body, size_t n, size_t piece, struct loss_error *err)
{
    loss_status status = LOSS_OK;

    for (size_t at = 0; at < n && status == LOSS_OK; at += piece) {
        size_t size = n - at < piece ? n - at : piece;
        char *copy = malloc(size);
        require(copy != NULL, "no memory");
        memcpy(copy, body + at, size);
        status = oip_decoder_feed(d, copy, size, err);
        free(copy);
    }
    return status;
}

static loss_status ask(struct outcome *o, unsigned loss, unsigned flags, const char *body, size_t n, size_t piece)
{
    char json_size[24];
    const struct oip_decode_options options = {.desc = loss_catalog_at(loss % loss_catalog_count()),
                                               .json_size = (flags & HEADER) != 0 ? json_size : NULL,
                                               .has_body_size = (flags & SIZED) != 0,
                                               .body_size = n,
                                               .max_body = MEMORY / 4,
                                               .max_depth = 16};
    struct oip_decoder *d = NULL;

    snprintf(json_size, sizeof json_size, "%zu", (flags & RAW) != 0 || n == 0 ? 0 : strnlen(body, n));
    LOSS_TRY(oip_decoder_new(o->arena, &options, &d, &o->err));
    LOSS_TRY(feed(d, body, n, piece, &o->err));
    LOSS_TRY(oip_decoder_end(d, &o->oip, &o->err));
    LOSS_TRY(loss_compute(&o->oip.call.loss, o->arena, &o->answer, &o->err));
    return oip_encode(o->arena, &o->oip, &o->answer, options.desc->name, &o->reply, &o->err);
}

static struct outcome *ask_in_pieces(unsigned loss, unsigned flags, const char *body, size_t n, size_t piece)
{
    struct outcome *o = calloc(1, sizeof *o);

    require(o != NULL, "no memory");
    o->arena = loss_arena_new(MEMORY, NULL);
    require(o->arena != NULL, "no memory");
    o->status = ask(o, loss, flags, body, n, piece);
    require(o->status == LOSS_OK || o->err.status == o->status, "a failure is told");
    return o;
}

static void require_same(const struct outcome *a, const struct outcome *b)
{
    require(a->status == b->status, "pieces change whether a request is good");
    require(strcmp(a->err.pointer, b->err.pointer) == 0, "pieces change what is to blame");
    require(a->reply.size == b->reply.size && a->reply.n_parts == b->reply.n_parts, "pieces change the answer's size");
    require(a->reply.body == NULL ||
                memcmp(a->reply.body, b->reply.body, a->reply.n_parts > 0 ? a->reply.part[0].size : a->reply.size) == 0,
            "pieces change the answer");
    for (size_t i = 1; i < a->reply.n_parts; i++) {
        require(a->reply.part[i].size == b->reply.part[i].size, "pieces change a tensor's size");
        require(memcmp(a->reply.part[i].bytes, b->reply.part[i].bytes, a->reply.part[i].size) == 0,
                "pieces change a tensor");
    }
}

static void forget(struct outcome *o)
{
    loss_arena_free(o->arena);
    free(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const char *body = (const char *)data + 2;
    size_t piece = 1 + (data[1] >> 3);
    struct outcome *whole = ask_in_pieces(data[0], data[1], body, size - 2, size);
    struct outcome *pieces = ask_in_pieces(data[0], data[1], body, size - 2, piece);

    require_same(whole, pieces);
    forget(whole);
    forget(pieces);
    return 0;
}
