/* SPDX-License-Identifier: Apache-2.0
 *
 * test_content.c - content codings: what a client accepts, and bodies and answers through the streams, cut everywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <server/coding/content.h>

#define MIB ((size_t)1 << 20)

static const content_coding codings[] = {CODING_GZIP, CODING_ZSTD};

/* What came out of a stream. */
struct sink {
    char *data;
    size_t size, capacity;
    size_t limit; /* refused beyond */
};

static loss_status take(void *arg, const char *bytes, size_t n, struct loss_error *err)
{
    struct sink *s = arg;

    assert_true(n > 0);
    if (s->size + n > s->limit) {
        return loss_fail(err, LOSS_BODY_TOO_LARGE, "", "enough");
    }
    if (s->size + n > s->capacity) {
        s->capacity = 2 * (s->size + n);
        s->data = realloc(s->data, s->capacity);
        assert_non_null(s->data);
    }
    memcpy(s->data + s->size, bytes, n);
    s->size += n;
    return LOSS_OK;
}

static struct loss_arena *make_arena(size_t ceiling)
{
    struct loss_arena *arena = loss_arena_new(ceiling, NULL);

    assert_non_null(arena);
    return arena;
}

/* Decompress in two pieces, or where `piece` is not 0 in pieces of that size. */
static loss_status decompress(content_coding coding, const char *stream, size_t n, size_t cut, size_t piece,
                              struct sink *out, struct loss_error *err)
{
    struct loss_arena *arena = make_arena(64 * MIB);
    const struct content_options options = {.coding = coding, .max_ratio = 100, .sink = take, .arg = out};
    struct content_decoder *d = content_decoder_new(arena, &options);
    loss_status status = LOSS_OK;

    assert_non_null(d);
    out->size = 0;
    *err = (struct loss_error){.status = LOSS_OK};
    for (size_t at = 0; at < n && status == LOSS_OK;) {
        size_t size = piece > 0 ? piece : at < cut ? cut - at : n - at;
        size = size < n - at ? size : n - at;
        char *copy = malloc(size); /* no byte more: a sanitizer shall see the first read too many */
        assert_non_null(copy);
        memcpy(copy, stream + at, size);
        status = content_decoder_feed(d, copy, size, err);
        free(copy);
        at += size;
    }
    if (status == LOSS_OK) {
        status = content_decoder_end(d, err);
    }
    loss_arena_free(arena);
    return status;
}

/* All that a reply sends. */
static void drain(const struct reply *r, size_t room, struct sink *out)
{
    struct loss_error err = {.status = LOSS_OK};
    char *buf = malloc(room);

    assert_non_null(buf);
    out->size = 0;
    if (r->more == NULL && r->n_parts == 0 && r->size > 0) {
        assert_int_equal(take(out, r->body, r->size, &err), LOSS_OK);
    }
    for (size_t i = 0; r->more == NULL && i < r->n_parts; i++) {
        if (r->part[i].size > 0) {
            assert_int_equal(take(out, r->part[i].bytes, r->part[i].size, &err), LOSS_OK);
        }
    }
    for (size_t n; r->more != NULL && (n = r->more(r->state, buf, room)) > 0;) {
        assert_true(n <= room);
        assert_int_equal(take(out, buf, n, &err), LOSS_OK);
    }
    free(buf);
}

static char *make_text(size_t n)
{
    char *text = malloc(n + 1);
    unsigned seed = 1;

    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        text[i] = "0123456789.,-e[]"[(seed >> 24) % 16];
    }
    return text;
}

/* A printed answer. */
struct printed {
    const char *text;
    size_t size, sent;
};

static size_t print_more(void *state, char *buf, size_t max)
{
    struct printed *p = state;
    size_t n = p->size - p->sent < max - 39 ? p->size - p->sent : max - 39;

    assert_true(max >= REPLY_LEAST_ROOM);
    memcpy(buf, p->text + p->sent, n);
    p->sent += n;
    return n;
}

typedef enum { AS_BODY, AS_PARTS, AS_PRINTED, N_FORMS } reply_form;

/* The same bytes, in one of the forms of a reply. */
static void make_reply(struct reply *r, reply_form form, char *text, size_t n, struct reply_part part[3],
                       struct printed *printed)
{
    *r = (struct reply){.status = 200};
    if (form == AS_BODY) {
        r->body = text;
        r->size = n;
    } else if (form == AS_PARTS) {
        part[0] = (struct reply_part){text, n / 3};
        part[1] = (struct reply_part){text, 0};
        part[2] = (struct reply_part){text + n / 3, n - n / 3};
        r->part = part;
        r->n_parts = 3;
        r->size = n;
    } else {
        *printed = (struct printed){text, n, 0};
        r->more = print_more;
        r->state = printed;
    }
}

static const char *header(const struct reply *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++) {
        if (strcmp(r->header[i].name, name) == 0) {
            return r->header[i].value;
        }
    }
    return NULL;
}

/* A stream of n bytes of text; its arena is the caller's to free. */
static void compress(content_coding coding, char *text, size_t n, struct sink *out)
{
    struct request q = {.arena = make_arena(64 * MIB), .answer_coding = coding, .refuses_plain = true};
    struct reply r = {.status = 200, .body = text, .size = n};

    content_encode(&q, &r, 0);
    assert_string_equal(header(&r, "Content-Encoding"), coding_name(coding));
    drain(&r, 1000, out);
    loss_arena_free(q.arena);
}

static void test_content__what_goes_in_comes_out(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 63, 1000, 32767, 65536, 65537, 131072, 300001, 1500000};
    static const size_t rooms[] = {64, 4096, 32759};
    struct sink coded = {.limit = SIZE_MAX}, plain = {.limit = SIZE_MAX};
    char *text = make_text(1500000);

    for (size_t i = 0; i < 2 * N_FORMS * (sizeof sizes / sizeof *sizes); i++) {
        size_t n = sizes[i / 2 / N_FORMS];
        struct request q = {.arena = make_arena(64 * MIB), .answer_coding = codings[i % 2], .refuses_plain = true};
        struct reply r;
        struct reply_part part[3];
        struct printed printed;
        struct loss_error err;

        make_reply(&r, (reply_form)(i / 2 % N_FORMS), text, n, part, &printed);
        content_encode(&q, &r, 100);
        assert_string_equal(header(&r, "Content-Encoding"), coding_name(q.answer_coding));
        assert_string_equal(header(&r, "Vary"), "Accept-Encoding");
        drain(&r, rooms[i % 3], &coded);
        assert_int_equal(decompress(q.answer_coding, coded.data, coded.size, coded.size / 2, 0, &plain, &err), LOSS_OK);
        assert_int_equal(plain.size, n);
        assert_memory_equal(plain.data, text, n);
        loss_arena_free(q.arena);
    }
    free(text);
    free(coded.data);
    free(plain.data);
}

/* Where a turn reads its piece and the stream gives nothing, it must be made to. */
static void test_content__a_turn_always_gives_something(void **state)
{
    (void)state;
    const size_t size = 20 * MIB;
    char *zeros = calloc(1, size), buf[32768];
    struct sink coded = {.limit = SIZE_MAX}, plain = {.limit = SIZE_MAX};
    struct loss_error err;

    assert_non_null(zeros);
    for (size_t i = 0; i < 2; i++) {
        struct request q = {.arena = make_arena(64 * MIB), .answer_coding = codings[i]};
        struct reply r = {.status = 200, .body = zeros, .size = size};
        size_t turns = 0;

        content_encode(&q, &r, 100);
        coded.size = 0;
        for (size_t n; (n = r.more(r.state, buf, sizeof buf)) > 0; turns++) {
            assert_int_equal(take(&coded, buf, n, &err), LOSS_OK);
        }
        assert_true(turns >= size / (128 << 10));
        struct loss_arena *arena = make_arena(64 * MIB);
        const struct content_options options = {
            .coding = codings[i], .max_ratio = 1000000, .sink = take, .arg = &plain};
        struct content_decoder *d = content_decoder_new(arena, &options);
        plain.size = 0;
        assert_int_equal(content_decoder_feed(d, coded.data, coded.size, &err), LOSS_OK);
        assert_int_equal(content_decoder_end(d, &err), LOSS_OK);
        assert_int_equal(plain.size, size);
        assert_memory_equal(plain.data, zeros, size);
        loss_arena_free(arena);
        loss_arena_free(q.arena);
    }
    free(zeros);
    free(coded.data);
    free(plain.data);
}

static void test_content__is_the_same_cut_anywhere(void **state)
{
    (void)state;
    struct sink coded = {.limit = SIZE_MAX}, plain = {.limit = SIZE_MAX};
    struct loss_error err;
    char *text = make_text(3000);

    for (size_t i = 0; i < 2; i++) {
        compress(codings[i], text, 3000, &coded);
        for (size_t cut = 0; cut <= coded.size; cut++) {
            assert_int_equal(decompress(codings[i], coded.data, coded.size, cut, 0, &plain, &err), LOSS_OK);
            assert_int_equal(plain.size, 3000);
            assert_memory_equal(plain.data, text, 3000);
        }
        for (size_t piece = 1; piece < 9; piece++) {
            assert_int_equal(decompress(codings[i], coded.data, coded.size, 0, piece, &plain, &err), LOSS_OK);
            assert_int_equal(plain.size, 3000);
            assert_memory_equal(plain.data, text, 3000);
        }
    }
    free(text);
    free(coded.data);
    free(plain.data);
}

static void refuse(content_coding coding, const char *stream, size_t n, struct sink *plain, const char *says)
{
    struct loss_error err;

    for (size_t piece = 0; piece < 3; piece++) {
        assert_int_equal(decompress(coding, stream, n, n, piece, plain, &err), LOSS_MALFORMED_ENCODING);
        assert_string_equal(err.parameter, "Content-Encoding");
        if (strstr(err.message, says) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", err.message, says);
        }
    }
}

static void test_content__every_prefix_is_cut(void **state)
{
    (void)state;
    struct sink coded = {.limit = SIZE_MAX}, plain = {.limit = SIZE_MAX};
    char *text = make_text(500);

    for (size_t i = 0; i < 2; i++) {
        compress(codings[i], text, 500, &coded);
        for (size_t n = 0; n < coded.size; n++) {
            refuse(codings[i], coded.data, n, &plain, "cut");
        }
    }
    free(text);
    free(coded.data);
    free(plain.data);
}

static void test_content__nothing_may_follow_but_another(void **state)
{
    (void)state;
    struct sink one = {.limit = SIZE_MAX}, plain = {.limit = SIZE_MAX}, two = {.limit = SIZE_MAX};
    struct loss_error err;
    char *text = make_text(500);

    for (size_t i = 0; i < 2; i++) {
        compress(codings[i], text, 500, &one);
        for (size_t n = 1; n <= one.size; n++) {
            two.size = 0;
            assert_int_equal(take(&two, one.data, one.size, &err), LOSS_OK);
            assert_int_equal(take(&two, one.data, n, &err), LOSS_OK);
            if (n < one.size) {
                refuse(codings[i], two.data, two.size, &plain, "cut");
            }
        }
        for (size_t cut = 0; cut <= two.size; cut++) {
            assert_int_equal(decompress(codings[i], two.data, two.size, cut, 0, &plain, &err), LOSS_OK);
            assert_int_equal(plain.size, 1000);
            assert_memory_equal(plain.data, text, 500);
            assert_memory_equal(plain.data + 500, text, 500);
        }
        static const char *const rest[] = {"1234", "\0\0\0\0", "\x1f\x8b\x07\x00", "\x25\xb5\x2f\xfd"};
        for (size_t k = 0; k < 4; k++) {
            two.size = one.size;
            assert_int_equal(take(&two, rest[k], 4, &err), LOSS_OK);
            refuse(codings[i], two.data, two.size, &plain, "follows its end");
        }
    }
    free(text);
    free(one.data);
    free(two.data);
    free(plain.data);
}

static void test_content__skippable_frames_are_skipped(void **state)
{
    (void)state;
    static const char skip[] = "\x5f\x2a\x4d\x18\x03\x00\x00\x00"
                               "abc";
    struct sink coded = {.limit = SIZE_MAX}, plain = {.limit = SIZE_MAX}, all = {.limit = SIZE_MAX};
    struct loss_error err;
    char *text = make_text(50);

    compress(CODING_ZSTD, text, 50, &coded);
    assert_int_equal(take(&all, skip, sizeof skip - 1, &err), LOSS_OK);
    assert_int_equal(take(&all, coded.data, coded.size, &err), LOSS_OK);
    assert_int_equal(take(&all, skip, sizeof skip - 1, &err), LOSS_OK);
    for (size_t cut = 0; cut <= all.size; cut++) {
        assert_int_equal(decompress(CODING_ZSTD, all.data, all.size, cut, 0, &plain, &err), LOSS_OK);
        assert_int_equal(plain.size, 50);
        assert_memory_equal(plain.data, text, 50);
    }
    free(text);
    free(all.data);
    free(coded.data);
    free(plain.data);
}

/* Whatever is changed in a gzip stream, what comes out is what went in or a refusal: it has a checksum. */
static void test_content__a_changed_byte_is_seen(void **state)
{
    (void)state;
    struct sink coded = {.limit = 2000}, plain = {.limit = MIB};
    struct loss_error err;
    char *text = make_text(300);

    compress(CODING_GZIP, text, 300, &coded);
    for (size_t i = 0; i < 8 * coded.size; i++) {
        coded.data[i / 8] ^= (char)(1 << i % 8);
        loss_status status = decompress(CODING_GZIP, coded.data, coded.size, coded.size, 0, &plain, &err);
        if (status == LOSS_OK) { /* the head's time, say */
            assert_int_equal(plain.size, 300);
            assert_memory_equal(plain.data, text, 300);
        } else {
            assert_int_equal(status, LOSS_MALFORMED_ENCODING);
        }
        coded.data[i / 8] ^= (char)(1 << i % 8);
    }
    free(text);
    free(coded.data);
    free(plain.data);
}

static void test_content__limits(void **state)
{
    (void)state;
    const size_t size = 40 * MIB;
    struct sink coded = {.limit = SIZE_MAX}, plain = {.limit = SIZE_MAX};
    struct loss_error err;
    char *zeros = calloc(1, size);

    assert_non_null(zeros);
    for (size_t i = 0; i < 2; i++) {
        compress(codings[i], zeros, size, &coded);
        plain.limit = SIZE_MAX;
        assert_int_equal(decompress(codings[i], coded.data, coded.size, 0, 4096, &plain, &err), LOSS_BODY_TOO_LARGE);
        assert_non_null(strstr(err.message, "--max-ratio"));
        assert_true(plain.size <= CONTENT_FREE);
        plain.limit = MIB; /* the sink's own limit comes first, and not much more than it is decompressed */
        assert_int_equal(decompress(codings[i], coded.data, coded.size, 0, 4096, &plain, &err), LOSS_BODY_TOO_LARGE);
        assert_string_equal(err.message, "enough");
    }
    free(zeros);
    free(coded.data);
    free(plain.data);
}

/* With too little memory a body is refused and an answer goes out as it is. */
static void test_content__without_memory(void **state)
{
    (void)state;
    struct sink coded = {.limit = SIZE_MAX}, plain = {.limit = SIZE_MAX};
    struct loss_error err;
    char *text = make_text(100000);
    size_t refused = 0, as_it_is = 0;

    for (size_t ceiling = 20 << 10; ceiling < 2 * MIB; ceiling += 7 << 10) {
        for (size_t i = 0; i < 2; i++) {
            struct request q = {.arena = make_arena(ceiling), .answer_coding = codings[i]};
            struct reply r;
            struct printed printed;
            make_reply(&r, AS_PRINTED, text, 100000, NULL, &printed);
            content_encode(&q, &r, 100);
            drain(&r, 32768, &coded);
            if (header(&r, "Content-Encoding") == NULL) {
                as_it_is++;
                assert_int_equal(coded.size, 100000);
                assert_memory_equal(coded.data, text, 100000);
                compress(codings[i], text, 100000, &coded);
            }
            loss_arena_free(q.arena);
            struct loss_arena *arena = make_arena(ceiling);
            const struct content_options options = {.coding = codings[i], .max_ratio = 9, .sink = take, .arg = &plain};
            struct content_decoder *d = content_decoder_new(arena, &options);
            err = (struct loss_error){.status = LOSS_OK};
            plain.size = 0;
            loss_status status = d == NULL ? LOSS_OVERLOADED : content_decoder_feed(d, coded.data, coded.size, &err);
            assert_true(status == LOSS_OK || status == LOSS_OVERLOADED);
            assert_true(status != LOSS_OK || plain.size == 100000);
            refused += status != LOSS_OK;
            loss_arena_free(arena);
        }
    }
    assert_true(refused > 5 && as_it_is > 5);
    free(text);
    free(coded.data);
    free(plain.data);
}

static void test_content__leaves_what_is_not_worth_it(void **state)
{
    (void)state;
    char *noise = malloc(200000);
    unsigned long long seed = 1;
    struct printed printed;

    assert_non_null(noise);
    for (size_t i = 0; i < 200000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        noise[i] = (char)(seed >> 56);
    }
    for (size_t i = 0; i < 2; i++) {
        struct request q = {.arena = make_arena(64 * MIB), .answer_coding = codings[i]};
        struct reply_part part[3];
        struct reply r;
        make_reply(&r, AS_PARTS, noise, 200000, part, &printed); /* tensors of noise */
        content_encode(&q, &r, 1024);
        assert_null(header(&r, "Content-Encoding"));
        assert_string_equal(header(&r, "Vary"), "Accept-Encoding");
        assert_int_equal(r.n_parts, 3);
        make_reply(&r, AS_BODY, noise, 20000, part, &printed); /* a text that does not shrink */
        content_encode(&q, &r, 1024);
        assert_null(header(&r, "Content-Encoding"));
        make_reply(&r, AS_BODY, noise, 1000, part, &printed);
        content_encode(&q, &r, 1024);
        assert_int_equal(r.n_headers, 0);
        make_reply(&r, AS_PRINTED, noise, 1000, part, &printed);
        content_encode(&q, &r, 1024);
        assert_null(header(&r, "Content-Encoding"));
        loss_arena_free(q.arena);
    }
    free(noise);
}

static void test_coding__chooses_what_the_client_likes(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        content_coding coding;
        bool plain, any;
    } cases[] = {
        {"gzip", CODING_GZIP, true, true},
        {"zstd;q=0.5, gzip;q=0.5", CODING_ZSTD, true, true},
        {"gzip;q=0.501, zstd;q=0.5", CODING_GZIP, true, true},
        {"*", CODING_GZIP, true, true},
        {"*, gzip;q=0.5", CODING_ZSTD, true, true},
        {"*;q=0", CODING_IDENTITY, false, false},
        {"*;q=0, identity", CODING_IDENTITY, true, true},
        {"*;q=0, zstd", CODING_ZSTD, false, true},
        {"identity;q=0", CODING_IDENTITY, false, false},
        {"identity;q=0, *", CODING_GZIP, false, true},
        {"identity;q=0.5, *;q=0.1", CODING_IDENTITY, true, true},
        {"deflate, br", CODING_IDENTITY, true, true},
        {"", CODING_IDENTITY, true, true},
        {"x-gzip", CODING_IDENTITY, true, true},
        {"gzip;q=0", CODING_IDENTITY, true, true},
        {"gzi, gzipp", CODING_IDENTITY, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        content_coding coding = CODING_IDENTITY;
        bool plain, any = coding_choose(cases[i].accept, &coding, &plain);
        if (any != cases[i].any || plain != cases[i].plain || (any && coding != cases[i].coding)) {
            fail_msg("\"%s\" chooses %s%s%s", cases[i].accept, any ? coding_name(coding) : "nothing",
                     plain ? ", takes plain" : "", "");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content__what_goes_in_comes_out),
        cmocka_unit_test(test_content__a_turn_always_gives_something),
        cmocka_unit_test(test_content__is_the_same_cut_anywhere),
        cmocka_unit_test(test_content__every_prefix_is_cut),
        cmocka_unit_test(test_content__nothing_may_follow_but_another),
        cmocka_unit_test(test_content__skippable_frames_are_skipped),
        cmocka_unit_test(test_content__a_changed_byte_is_seen),
        cmocka_unit_test(test_content__limits),
        cmocka_unit_test(test_content__without_memory),
        cmocka_unit_test(test_content__leaves_what_is_not_worth_it),
        cmocka_unit_test(test_coding__chooses_what_the_client_likes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
