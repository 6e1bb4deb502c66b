/* SPDX-License-Identifier: Apache-2.0
 *
 * test_redis_merge.c - Redis adds tallies in Lua: to the same bits as tally_merge, whatever the numbers.
 */
#include <math.h>

#include "support/registry_world.h"

static uint64_t random_state = 20261126;

static uint64_t random_bits(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t x = random_state;
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

/* Any double at all, or often one that makes carries: near powers of 2^32, of either sign. */
static double random_number(void)
{
    uint64_t bits = random_bits();
    double x;
    switch (random_bits() % 4) {
    case 0:
        memcpy(&x, &bits, sizeof x);
        return x;
    case 1:
        return ldexp(bits % 2 == 0 ? 1 : -1, 32 * (int)(random_bits() % 60) - 1000);
    case 2:
        return ldexp((double)(int64_t)bits, (int)(random_bits() % 200) - 1074);
    default:
        return (double)(int64_t)(bits % 2001) - 1000;
    }
}

static void random_sum(struct loss_sum *s, bool finite)
{
    loss_sum_init(s);
    for (uint64_t n = random_bits() % 4; n > 0; n--) {
        double x = random_number();
        if (finite && !isfinite(x)) {
            continue;
        }
        loss_sum_add(s, x);
    }
}

static struct registry_tally random_tally(void)
{
    struct registry_tally t = {.what = "l",
                               .batches = 1,
                               .count = random_bits(),
                               .nonzero_weights = random_bits(),
                               .batch = random_bits() >> (random_bits() % 64)};
    bool finite = random_bits() % 4 != 0;
    random_sum(&t.sum, finite);
    random_sum(&t.weight_sum, finite);
    random_sum(&t.rest, finite);
    return t;
}

static struct registry_add adding(const char *name, const struct registry_tally *t)
{
    return (struct registry_add){.registry = "run",
                                 .name = name,
                                 .collection = REGISTRY_LOSSES,
                                 .dtype = "float64",
                                 .reduction = "sum",
                                 .loss = tally_loss(t, "sum", "float64"),
                                 .tally = t};
}

static void assert_same(const struct registry_tally *a, const struct registry_tally *b)
{
    unsigned char x[1100], y[1100];
    assert_true(tally_bytes(a) <= sizeof x && tally_bytes(a) == tally_bytes(b));
    memset(x, 0, sizeof x);
    memset(y, 0, sizeof y);
    tally_store(a, x);
    tally_store(b, y);
    assert_memory_equal(x, y, sizeof x);
}

/* Merge one more into the entry and into *whole; both are the same. */
static void merge_both(struct world *w, const char *name, struct registry_tally *whole, const struct registry_tally *t)
{
    struct registry_add add = adding(name, t);
    struct registry_entry e;
    w->err = (struct loss_error){0};
    if (whole->batches == 0) {
        *whole = *t;
    } else {
        tally_merge(whole, t);
    }
    if (registry_add(w->registry, &add, w->arena, &e, &w->err) != LOSS_OK) {
        fail_msg("%s", w->err.message);
    }
    assert_same(e.tally, whole);
    const double loss = tally_loss(whole, "sum", "float64");
    assert_memory_equal(&e.loss, &loss, sizeof loss);
}

static void test_merging__gives_the_bits_of_tally_merge(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 100; i++) {
        struct registry_tally whole = {0};
        char name[16];
        snprintf(name, sizeof name, "e%d", i);
        for (int k = 0; k < 8; k++) {
            struct registry_tally t = random_tally();
            merge_both(w, name, &whole, &t);
        }
    }
}

/* What goes in and comes out again leaves nothing, at every place of the sum and of either sign. */
static void test_merging__cancels_at_every_limb(void **state)
{
    struct world *w = *state;
    struct registry_tally whole = {0};
    for (int exponent = -1074; exponent <= 1023; exponent += 31) {
        for (int sign = 1; sign >= -1; sign -= 2) {
            struct registry_tally t = {.what = "l", .batches = 1};
            loss_sum_init(&t.sum);
            loss_sum_init(&t.weight_sum);
            loss_sum_init(&t.rest);
            loss_sum_add(&t.sum, ldexp(sign, exponent));
            loss_sum_add(&t.weight_sum, ldexp(-sign, exponent));
            loss_sum_add(&t.rest, sign);
            merge_both(w, "e", &whole, &t);
        }
        assert_true(loss_sum_round(&whole.sum) == 0);
    }
}

static void test_merging__turns_infinite_where_tally_merge_does(void **state)
{
    struct world *w = *state;
    for (int sign = 1; sign >= -1; sign -= 2) {
        struct registry_tally whole = {0}, t = {.what = "l", .batches = 1};
        loss_sum_init(&t.sum);
        loss_sum_init(&t.weight_sum);
        loss_sum_init(&t.rest);
        loss_sum_add(&t.sum, ldexp(sign, 1023));
        loss_sum_scale(&t.sum, UINT64_C(1) << 62);
        loss_sum_scale(&t.sum, UINT64_C(1) << 60); /* 2^1145; the last limb ends at 2^1163 */
        loss_sum_scale(&t.sum, UINT64_C(1) << 16);
        for (int k = 0; k < 8; k++) {
            merge_both(w, sign > 0 ? "up" : "down", &whole, &t);
        }
        assert_true(loss_sum_round(&whole.sum) == sign * (double)INFINITY);
    }
}

static void test_merging__keeps_counts_at_their_ends(void **state)
{
    struct world *w = *state;
    struct registry_tally whole = {0}, t = {.what = "l", .batches = UINT64_MAX / 2, .count = UINT64_MAX, .batch = 1};
    loss_sum_init(&t.sum);
    loss_sum_init(&t.weight_sum);
    loss_sum_init(&t.rest);
    loss_sum_add(&t.sum, (double)NAN);
    loss_sum_add(&t.weight_sum, -(double)INFINITY);
    loss_sum_scale(&t.sum, UINT64_MAX - 1);
    loss_sum_scale(&t.weight_sum, UINT64_C(1) << 63);
    for (int k = 0; k < 4; k++) {
        merge_both(w, "e", &whole, &t);
    }
    assert_true(whole.sum.nan == UINT64_MAX && whole.weight_sum.minus_infinity == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(test_merging__gives_the_bits_of_tally_merge, "redis"),
        ON_STORE(test_merging__cancels_at_every_limb, "redis"),
        ON_STORE(test_merging__turns_infinite_where_tally_merge_does, "redis"),
        ON_STORE(test_merging__keeps_counts_at_their_ends, "redis"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
