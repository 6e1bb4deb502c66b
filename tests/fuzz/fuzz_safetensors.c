/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_safetensors.c - any bytes as the header of a safetensors file, and as a body: cut anyhow, the answer is the same.
 *
 * The first byte picks a loss; the second says whether the length of the body is known (1) and seeds the cuts. Behind them
 * stands a file without its first eight bytes, the header's length, which is where the first NUL byte stands, or the end:
 * no header holds one.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <loss/loss.h>
#include <server/formats/safetensors_body.h>

#include "fuzz/replay.h"

#define MEMORY ((size_t)64 << 20)

enum { SIZED = 1 };

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

/* What a header that was read promises. */
static void check_header(const struct safetensors_header *h)
{
    size_t end = 0;

    for (size_t i = 0; i < h->n; i++) {
        const struct safetensors_entry *e = &h->entry[i];
        size_t count = 1, size = loss_dtype_size(e->tensor.dtype);
        require(e->begin == end && e->end >= e->begin, "tensors follow each other");
        require(e->tensor.rank >= 0 && e->tensor.rank <= LOSS_MAX_RANK, "a rank is bounded");
        for (int k = 0; k < e->tensor.rank; k++) {
            require(!__builtin_mul_overflow(count, e->tensor.shape[k], &count) || e->tensor.count == 0,
                    "a shape's product is no overflow");
        }
        require(e->tensor.count * size == e->end - e->begin, "a tensor has its bytes");
        require(e->begin % size == 0, "a tensor is aligned");
        for (size_t k = 0; k < i; k++) {
            require(strcmp(h->entry[k].name, e->name) != 0, "names are unique");
        }
        end = e->end;
    }
    require(end == h->data_size, "the tensors are all there is");
}

struct outcome {
    struct loss_arena *arena;
    struct call call;
    struct call_answer answer;
    struct reply reply;
    struct loss_error err;
    loss_status status;
};

/* Each piece in a block of its own: a sanitizer shall see the first read too many. */
static loss_status feed(struct safetensors_decoder *d, const char *bytes, size_t n, size_t piece,
                        struct loss_error *err)
{
    loss_status status = LOSS_OK;

    for (size_t at = 0; at < n && status == LOSS_OK; at += piece) {
        size_t size = n - at < piece ? n - at : piece;
        char *copy = malloc(size);
        require(copy != NULL, "no memory");
        memcpy(copy, bytes + at, size);
        status = safetensors_decoder_feed(d, copy, size, err);
        free(copy);
    }
    return status;
}

static loss_status ask(struct outcome *o, unsigned loss, unsigned flags, const char *rest, size_t n, size_t piece)
{
    uint64_t length = strnlen(rest, n);
    const struct safetensors_options options = {.desc = loss_catalog_at(loss % loss_catalog_count()),
                                                .has_body_size = (flags & SIZED) != 0,
                                                .body_size = sizeof length + n,
                                                .max_body = MEMORY / 4};
    struct safetensors_decoder *d = safetensors_decoder_new(o->arena, &options);

    require(d != NULL, "no memory");
    LOSS_TRY(feed(d, (const char *)&length, sizeof length, piece, &o->err));
    LOSS_TRY(feed(d, rest, n, piece, &o->err));
    LOSS_TRY(safetensors_decoder_end(d, &o->call, &o->err));
    LOSS_TRY(loss_compute(&o->call.loss, o->arena, &o->answer.loss, &o->err));
    return safetensors_encode(o->arena, &o->call, &o->answer, &o->reply, &o->err);
}

static struct outcome *ask_in_pieces(unsigned loss, unsigned flags, const char *rest, size_t n, size_t piece)
{
    struct outcome *o = calloc(1, sizeof *o);

    require(o != NULL, "no memory");
    o->arena = loss_arena_new(MEMORY, NULL);
    require(o->arena != NULL, "no memory");
    o->status = ask(o, loss, flags, rest, n, piece);
    require(o->status == LOSS_OK || o->err.status == o->status, "a failure is told");
    return o;
}

static void require_same(const struct outcome *a, const struct outcome *b)
{
    require(a->status == b->status, "pieces change whether a request is good");
    require(strcmp(a->err.pointer, b->err.pointer) == 0, "pieces change what is to blame");
    require(a->reply.size == b->reply.size && a->reply.n_parts == b->reply.n_parts, "pieces change the answer's size");
    for (size_t i = 0; i < a->reply.n_parts; i++) {
        require(a->reply.part[i].size == b->reply.part[i].size, "pieces change a tensor's size");
        require(memcmp(a->reply.part[i].bytes, b->reply.part[i].bytes, a->reply.part[i].size) == 0,
                "pieces change a tensor");
    }
}

/* The answer is a safetensors file, too. */
static void check_answer(const struct outcome *o)
{
    struct safetensors_header h;
    struct loss_error err = {.status = LOSS_OK};
    size_t length;
    const struct reply_part *head = o->reply.part;

    require(safetensors_length(head->bytes, head->size, &length, &err) == LOSS_OK, "the answer has a header");
    require(length == head->size - SAFETENSORS_PREFIX, "the answer's header has its length");
    require(safetensors_read(o->arena, (const char *)head->bytes + SAFETENSORS_PREFIX, length, &h, &err) == LOSS_OK,
            "the answer's header is good");
    check_header(&h);
    require(h.data_size == o->reply.size - head->size, "the answer has its data");
}

static void forget(struct outcome *o)
{
    loss_arena_free(o->arena);
    free(o);
}

static void test_header(const char *json, size_t n)
{
    struct loss_arena *arena = loss_arena_new(MEMORY, NULL);
    struct loss_error err = {.status = LOSS_OK};
    struct safetensors_header h;
    char *copy = malloc(n + !n);

    require(arena != NULL && copy != NULL, "no memory");
    memcpy(copy, json, n);
    loss_status status = safetensors_read(arena, copy, n, &h, &err);
    require(status == err.status, "a failure is told");
    if (status == LOSS_OK) {
        check_header(&h);
    }
    free(copy);
    loss_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const char *rest = (const char *)data + 2;
    size_t n = size - 2;
    struct outcome *whole = ask_in_pieces(data[0], data[1], rest, n, n + !n);
    struct outcome *pieces = ask_in_pieces(data[0], data[1], rest, n, 1 + (data[1] >> 1));

    test_header(rest, strnlen(rest, n));
    require_same(whole, pieces);
    if (whole->status == LOSS_OK) {
        check_answer(whole);
    }
    forget(whole);
    forget(pieces);
    return 0;
}
