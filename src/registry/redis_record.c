/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_record.c - entries and tallies as bytes in Redis.
 *
 * What never changes of an entry is its record: version, step, loss and time of adding (eight bytes each, little-endian),
 * then name, collection, dtype, reduction and the tally's loss, each with a zero. What does is its tally, which
 * lua/merge.lua describes and adds to: a short form of tally_store's, for of a sum's seventy limbs a few are used.
 */
#include <stdlib.h>
#include <string.h>

#include <registry/redis_base.h>

#define VERSION 1
#define LIMB 4
#define LIMBS LOSS_SUM_LIMBS
#define COUNTS 24  /* bytes of the canonical form's end: of NaN and the infinities */
#define COUNTERS 4 /* of a tally */
#define TALLY_FRONT (8 + 8 * COUNTERS)
#define SUM_MAX (3 + LIMB * LIMBS + COUNTS)

static void put_u64(unsigned char *bytes, uint64_t x)
{
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(x >> (8 * i));
    }
}

static uint64_t get_u64(const unsigned char *bytes)
{
    uint64_t x = 0;
    for (int i = 8; i-- > 0;) {
        x = x << 8 | bytes[i];
    }
    return x;
}

static void write_head(unsigned char head[REDIS_HEAD], int64_t step, double loss, int64_t added_at)
{
    uint64_t bits;
    memcpy(&bits, &loss, sizeof bits);
    head[0] = VERSION;
    put_u64(head + 1, (uint64_t)step);
    put_u64(head + 9, bits);
    put_u64(head + 17, (uint64_t)added_at);
}

void redis_push_head(struct redis_command *c, const struct registry_add *add, int64_t now)
{
    unsigned char head[REDIS_HEAD];
    write_head(head, add->step, add->loss, now);
    redis_push(c, head, sizeof head);
}

/* What `front` has, and behind it the texts, each with a zero. */
static void push_texts(struct redis_command *c, const void *front, size_t n, const char *const *texts, int n_texts)
{
    size_t size = n;
    for (int i = 0; i < n_texts; i++) {
        size += strlen(texts[i]) + 1;
    }
    char *bytes = malloc(size);
    if (bytes == NULL) {
        c->failed = true;
        return;
    }
    if (n > 0) {
        memcpy(bytes, front, n);
    }
    for (int i = 0; i < n_texts; i++) {
        size_t length = strlen(texts[i]) + 1;
        memcpy(bytes + n, texts[i], length);
        n += length;
    }
    redis_push(c, bytes, n);
    free(bytes);
}

void redis_push_tail(struct redis_command *c, const struct registry_add *add)
{
    const char *const texts[] = {add->collection, add->dtype, add->reduction,
                                 add->tally != NULL ? add->tally->what : ""};
    push_texts(c, NULL, 0, texts, 4);
}

void redis_push_record(struct redis_command *c, const struct registry_entry *e)
{
    const char *const texts[] = {e->name, e->collection, e->dtype, e->reduction,
                                 e->tally != NULL ? e->tally->what : ""};
    unsigned char head[REDIS_HEAD];
    write_head(head, e->step, e->loss, e->added_at);
    push_texts(c, head, sizeof head, texts, 5);
}

static bool is_zero(const unsigned char *limb)
{
    return (limb[0] | limb[1] | limb[2] | limb[3]) == 0;
}

/* Does this limb say no more than the sign of the one below? */
static bool repeats_sign(const unsigned char *limb)
{
    unsigned char sign = (limb[-1] & 0x80) != 0 ? 0xff : 0;
    return limb[0] == sign && limb[1] == sign && limb[2] == sign && limb[3] == sign;
}

/* The short form of the canonical one; its length. */
static size_t shorten(const unsigned char canonical[LOSS_SUM_BYTES], unsigned char out[SUM_MAX])
{
    const unsigned char *counts = canonical + LOSS_SUM_BYTES - COUNTS;
    static const unsigned char none[COUNTS];
    int low = 0, high = LIMBS;
    while (high > 1 && repeats_sign(canonical + LIMB * (high - 1))) {
        high--;
    }
    while (low < high && is_zero(canonical + LIMB * low)) {
        low++;
    }
    size_t n = (size_t)(high - low);
    bool odd = memcmp(counts, none, COUNTS) != 0;
    out[0] = n > 0 ? (unsigned char)low : 0;
    out[1] = (unsigned char)n;
    out[2] = odd;
    memcpy(out + 3, canonical + LIMB * low, LIMB * n);
    memcpy(out + 3 + LIMB * n, counts, odd ? COUNTS : 0);
    return 3 + LIMB * n + (odd ? COUNTS : 0);
}

/* The other way round; how many bytes were read, 0: not such a form. */
static size_t lengthen(const unsigned char *in, size_t size, struct loss_sum *sum)
{
    unsigned char canonical[LOSS_SUM_BYTES];
    struct loss_sum zero;
    if (size < 3) {
        return 0;
    }
    size_t low = in[0], n = in[1], odd = in[2] != 0 ? COUNTS : 0;
    if (low + n > LIMBS || size < 3 + LIMB * n + odd) {
        return 0;
    }
    loss_sum_init(&zero);
    loss_sum_store(&zero, canonical); /* for its tag */
    memcpy(canonical + LIMB * low, in + 3, LIMB * n);
    if (n > 0 && (in[2 + LIMB * n] & 0x80) != 0) {
        memset(canonical + LIMB * (low + n), 0xff, LIMB * (LIMBS - low - n));
    }
    memcpy(canonical + LOSS_SUM_BYTES - COUNTS, in + 3 + LIMB * n, odd);
    return loss_sum_load(sum, canonical) == 0 ? 3 + LIMB * n + odd : 0;
}

void redis_push_tally(struct redis_command *c, const struct registry_tally *t, int64_t now)
{
    unsigned char bytes[TALLY_FRONT + 3 * SUM_MAX];
    size_t n = 0;
    if (t != NULL) {
        const uint64_t numbers[COUNTERS] = {t->batches, t->count, t->nonzero_weights, t->batch};
        const struct loss_sum *sums[] = {&t->sum, &t->weight_sum, &t->rest};
        put_u64(bytes, (uint64_t)now);
        for (int i = 0; i < COUNTERS; i++) {
            put_u64(bytes + 8 + 8 * i, numbers[i]);
        }
        n = TALLY_FRONT;
        for (int i = 0; i < 3; i++) {
            unsigned char canonical[LOSS_SUM_BYTES];
            loss_sum_store(sums[i], canonical);
            n += shorten(canonical, bytes + n);
        }
    }
    redis_push(c, bytes, n);
}

static bool read_tally(const unsigned char *bytes, size_t size, struct registry_tally *t, int64_t *time)
{
    uint64_t *numbers[COUNTERS] = {&t->batches, &t->count, &t->nonzero_weights, &t->batch};
    struct loss_sum *sums[] = {&t->sum, &t->weight_sum, &t->rest};
    size_t at = TALLY_FRONT;
    if (size < TALLY_FRONT) {
        return false;
    }
    *time = (int64_t)get_u64(bytes);
    for (int i = 0; i < COUNTERS; i++) {
        *numbers[i] = get_u64(bytes + 8 + 8 * i);
    }
    for (int i = 0; i < 3; i++) {
        size_t n = lengthen(bytes + at, size - at, sums[i]);
        if (n == 0) {
            return false;
        }
        at += n;
    }
    return at == size;
}

/* The strings of a record; false: they do not end where it does. */
static bool read_strings(const char *at, const char *end, const char **strings, int n)
{
    for (int i = 0; i < n; i++) {
        const char *zero = memchr(at, '\0', (size_t)(end - at));
        if (zero == NULL) {
            return false;
        }
        strings[i] = at;
        at = zero + 1;
    }
    return at == end;
}

loss_status redis_read_entry(const redisReply *answer, size_t i, struct registry_entry *e, struct registry_tally *tally,
                             struct loss_error *err)
{
    const char *strings[5];
    if (i + 3 > answer->elements || answer->element[i + 1]->type != REDIS_REPLY_STRING ||
        answer->element[i + 2]->type != REDIS_REPLY_STRING) {
        return redis_fail_odd(err);
    }
    const redisReply *record = answer->element[i + 1], *sums = answer->element[i + 2];
    const unsigned char *head = (const unsigned char *)record->str;
    if ((size_t)record->len < REDIS_HEAD || head[0] != VERSION ||
        !read_strings(record->str + REDIS_HEAD, record->str + record->len, strings, 5)) {
        return redis_fail_odd(err);
    }
    uint64_t bits = get_u64(head + 9);
    *e = (struct registry_entry){.name = strings[0],
                                 .collection = strings[1],
                                 .dtype = strings[2],
                                 .reduction = strings[3],
                                 .step = (int64_t)get_u64(head + 1),
                                 .added_at = (int64_t)get_u64(head + 17),
                                 .order = (uint64_t)redis_number(answer, i)};
    memcpy(&e->loss, &bits, sizeof bits);
    e->updated_at = e->added_at;
    if (sums->len > 0) {
        if (!read_tally((const unsigned char *)sums->str, (size_t)sums->len, tally, &e->updated_at)) {
            return redis_fail_odd(err);
        }
        tally->what = strings[4];
        e->tally = tally;
        e->loss = tally_loss(tally, e->reduction, e->dtype);
    }
    return LOSS_OK;
}
