/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_inflate.c - any bytes as a compressed body: cut anyhow, the same comes out; and any bytes as an answer to compress.
 *
 * The first byte: the coding (1: zstd), and whether what follows is a stream (0) or an answer (2); its upper bits, with
 * the second byte, seed the cuts.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <server/coding/content.h>

#include "fuzz/replay.h"

#define MEMORY ((size_t)64 << 20)
#define MOST ((size_t)4 << 20) /* decompressed, for the fuzzer's sake */

enum { ZSTD = 1, ANSWER = 2 };

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

struct outcome {
    char *data;
    size_t size, capacity;
    loss_status status;
};

static loss_status take(void *arg, const char *bytes, size_t n, struct loss_error *err)
{
    struct outcome *o = arg;

    require(n > 0, "nothing is handed on");
    if (o->size + n > MOST) {
        return loss_fail(err, LOSS_BODY_TOO_LARGE, "", "enough");
    }
    if (o->size + n > o->capacity) {
        o->capacity = 2 * (o->size + n);
        o->data = realloc(o->data, o->capacity);
        require(o->data != NULL, "no memory");
    }
    memcpy(o->data + o->size, bytes, n);
    o->size += n;
    return LOSS_OK;
}

/* Sizes from 1 on, mostly small. */
static size_t next_piece(uint32_t *seed, size_t left)
{
    *seed = *seed * 1664525u + 1013904223u;
    size_t piece = 1 + (*seed >> 16) % ((*seed >> 8) % 4 == 0 ? 4096 : 9);
    return piece < left ? piece : left;
}

/* In one piece, or where `seed` is not 0 in several, each in a block of its own. */
static void decompress(content_coding coding, const char *stream, size_t n, uint32_t seed, struct outcome *out)
{
    struct loss_arena *arena = loss_arena_new(MEMORY, NULL);
    const struct content_options options = {.coding = coding, .max_ratio = 1000, .sink = take, .arg = out};
    struct content_decoder *d = arena != NULL ? content_decoder_new(arena, &options) : NULL;
    struct loss_error err = {.status = LOSS_OK};

    require(d != NULL, "no memory");
    out->status = LOSS_OK;
    for (size_t at = 0; at < n && out->status == LOSS_OK;) {
        size_t size = seed != 0 ? next_piece(&seed, n - at) : n;
        char *copy = malloc(size);
        require(copy != NULL, "no memory");
        memcpy(copy, stream + at, size);
        out->status = content_decoder_feed(d, copy, size, &err);
        free(copy);
        at += size;
    }
    if (out->status == LOSS_OK) {
        out->status = content_decoder_end(d, &err);
    }
    require(out->status == err.status, "a failure is told");
    loss_arena_free(arena);
}

static void test_body(content_coding coding, const char *stream, size_t n, uint32_t seed)
{
    struct outcome whole = {0}, pieces = {0};

    decompress(coding, stream, n, 0, &whole);
    decompress(coding, stream, n, seed | 1, &pieces);
    require(whole.status == pieces.status, "pieces change whether a stream is good");
    require(whole.status != LOSS_OK ||
                (whole.size == pieces.size && memcmp(whole.data, pieces.data, whole.size) == 0) || whole.size == 0,
            "pieces change what comes out");
    free(whole.data);
    free(pieces.data);
}

static void test_answer(content_coding coding, const char *text, size_t n, uint32_t seed)
{
    struct request q = {.arena = loss_arena_new(MEMORY, NULL), .answer_coding = coding, .refuses_plain = true};
    struct reply_part part[3] = {{text, n / 3}, {text + n / 3, n - n / 3 - n / 5}, {text + n - n / 5, n / 5}};
    struct reply r = {.status = 200, .part = part, .n_parts = 3, .size = n};
    struct outcome coded = {0}, plain = {0};
    struct loss_error err = {.status = LOSS_OK};
    char buf[4096];

    require(q.arena != NULL, "no memory");
    content_encode(&q, &r, 1);
    require(r.n_parts == 0, "it is compressed");
    if (r.more == NULL) {
        require(take(&coded, r.body, r.size, &err) == LOSS_OK, "too large");
    }
    for (size_t k; r.more != NULL && (k = r.more(r.state, buf, 64 + (seed & 0xFFF) % (sizeof buf - 63))) > 0;) {
        require(take(&coded, buf, k, &err) == LOSS_OK, "too large");
    }
    decompress(coding, coded.data, coded.size, seed | 1, &plain);
    require(plain.status == LOSS_OK && plain.size == n && memcmp(plain.data, text, n) == 0, "what went in comes out");
    free(coded.data);
    free(plain.data);
    loss_arena_free(q.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }
    uint32_t seed = (uint32_t)data[0] << 8 | data[1];
    content_coding coding = (data[0] & ZSTD) != 0 ? CODING_ZSTD : CODING_GZIP;

    if ((data[0] & ANSWER) != 0) {
        test_answer(coding, (const char *)data + 2, size - 2, seed);
    } else {
        test_body(coding, (const char *)data + 2, size - 2, seed);
    }
    return 0;
}
