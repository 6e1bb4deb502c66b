/* SPDX-License-Identifier: Apache-2.0
 *
 * content_encode.c - answers, compressed while the socket drains.
 *
 * A connection's turn is short: a step reads a piece of bounded size, and where the stream has kept all of it to itself
 * it is told to give what it has. So a large answer does not hold up the other connections of its thread.
 */
#include <server/coding/content.h>

#include <stdalign.h>
#include <string.h>

#define PIECE ((size_t)128 << 10)  /* of the answer, a turn */
#define BLOCK ((size_t)32 << 10)   /* of what is printed as the socket drains */
#define SMALL ((size_t)64 << 10)   /* compressed at once, so that its length can be told */
#define SAMPLE ((size_t)64 << 10)  /* of tensors, to see whether they shrink ... */
#define WORTH(n) ((n) / 4 * 3)     /* ... to this at most */
#define OVERHEAD ((size_t)1 << 10) /* what a stream may be larger than what is in it, up to SMALL */

struct encoder {
    struct coding_stream stream;
    struct reply plain; /* the answer as it was */
    size_t part;        /* the next one */
    const char *in;     /* what was read and not yet compressed */
    size_t n_in;
    char *block; /* what a printed answer is read into */
    coding_state wish;
    bool complete; /* nothing is left to read */
    bool ended, failed;
};

/* What comes next of the answer, into e->in. */
static void read_next(struct encoder *e)
{
    const struct reply *r = &e->plain;

    if (r->more != NULL) {
        e->in = e->block;
        e->n_in = r->more(r->state, e->block, BLOCK);
    } else if (e->part < r->n_parts) {
        e->in = r->part[e->part].bytes;
        e->n_in = r->part[e->part].size;
        e->part++;
        return;
    }
    e->complete = e->n_in == 0;
}

/* One step on at most *most bytes of what was read; *most is what is left of them. */
static void step(struct encoder *e, struct coding_io *io, size_t *most)
{
    size_t given = e->wish == CODING_FLUSH ? 0 : e->n_in < *most ? e->n_in : *most;

    io->in = e->in;
    io->n_in = given;
    coding_state state = e->stream.step(&e->stream, io, e->wish);
    e->in += given - io->n_in;
    e->n_in -= given - io->n_in;
    *most -= given - io->n_in;
    if (e->wish == CODING_FLUSH && state == CODING_FLUSH) {
        e->wish = CODING_GO_ON;
    }
    e->ended = state == CODING_AT_END;
    e->failed = state > CODING_AT_END;
}

/* A reply's `more`. A writer has its memory before it begins and takes any bytes, so it does not fail; if it did, the
 * client would see a stream that is cut. */
static size_t encoder_more(void *state, char *buf, size_t max)
{
    struct encoder *e = state;
    struct coding_io io = {.out = buf, .n_out = max};
    size_t most = PIECE;

    while (!e->ended && !e->failed && io.n_out > 0) {
        while (e->n_in == 0 && !e->complete) {
            read_next(e);
        }
        if (e->complete) {
            e->wish = CODING_AT_END;
        } else if (most == 0 && io.n_out < max) {
            break;
        } else if (most == 0) {
            e->wish = CODING_FLUSH;
        }
        step(e, &io, &most);
    }
    return max - io.n_out;
}

/* The beginning of a printed answer into e->block; one that ends there is printed no more, but a body. */
static void print_begin(struct encoder *e, struct reply *r)
{
    size_t n = 1;

    while (n > 0 && BLOCK - e->n_in >= REPLY_LEAST_ROOM) {
        n = r->more(r->state, e->block + e->n_in, BLOCK - e->n_in);
        e->n_in += n;
    }
    if (n == 0) {
        r->more = NULL;
        r->body = e->block;
        r->size = e->n_in;
    }
}

/* False: no memory, and *r is as it was. */
static bool encoder_init(struct encoder *e, const struct request *q, struct reply *r)
{
    memset(e, 0, sizeof *e);
    e->wish = CODING_GO_ON;
    if (!coding_writer(&e->stream, q->answer_coding, r->more == NULL ? r->size : 0, q->arena)) {
        return false;
    }
    if (r->more != NULL) {
        e->block = loss_arena_resize(q->arena, NULL, BLOCK);
        if (e->block == NULL) {
            return false;
        }
        print_begin(e, r);
        e->in = e->block;
    } else if (r->n_parts == 0) {
        e->in = r->body;
        e->n_in = r->size;
    }
    e->plain = *r;
    return true;
}

/* All of an answer into memory, where that is smaller or must be. False: it is not, or there is no memory. */
static bool encode_whole(const struct request *q, struct reply *r, struct encoder *e)
{
    size_t room = q->refuses_plain ? r->size + OVERHEAD : r->size, size = 0;
    char *coded = loss_arena_resize(q->arena, NULL, room);

    while (coded != NULL && !e->ended && !e->failed && size < room) {
        size += encoder_more(e, coded + size, room - size);
    }
    e->stream.close(&e->stream);
    if (!e->ended) {
        loss_arena_release(q->arena, coded);
        return false;
    }
    r->body = coded;
    r->size = size;
    r->part = NULL;
    r->n_parts = 0;
    return true;
}

/* Do tensors shrink, by the longest of them? Most do not: the low bits of what was computed are as good as random. */
static bool shrinks(const struct request *q, const struct reply *r)
{
    struct reply_part longest = {NULL, 0};
    struct encoder e;

    for (size_t i = 0; i < r->n_parts; i++) {
        longest = r->part[i].size > longest.size ? r->part[i] : longest;
    }
    size_t size = longest.size < SAMPLE ? longest.size : SAMPLE;
    struct reply sample = {.body = longest.bytes, .size = size};
    return encoder_init(&e, q, &sample) && encode_whole(q, &sample, &e) && sample.size <= WORTH(size);
}

static bool worth_it(const struct request *q, const struct reply *r, size_t least)
{
    return r->more != NULL || (r->size > 0 && (r->size >= least || q->refuses_plain));
}

void content_encode(const struct request *q, struct reply *r, size_t least)
{
    struct encoder *e;

    if (!worth_it(q, r, least)) {
        return;
    }
    reply_header(r, "Vary", "Accept-Encoding");
    if (q->answer_coding == CODING_IDENTITY || (r->n_parts > 0 && !q->refuses_plain && !shrinks(q, r))) {
        return;
    }
    e = loss_arena_alloc(q->arena, sizeof *e, alignof(struct encoder));
    if (e == NULL || !encoder_init(e, q, r) || !worth_it(q, r, least)) {
        return;
    }
    if (r->more != NULL || r->size > SMALL) {
        r->more = encoder_more;
        r->state = e;
        r->n_parts = 0;
    } else if (!encode_whole(q, r, e)) {
        return;
    }
    reply_header(r, CODING_HEADER, coding_name(q->answer_coding));
}
