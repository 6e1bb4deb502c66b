/* SPDX-License-Identifier: Apache-2.0
 *
 * test_exact.c - the sums of losses, as rounded to float32 and before that, have the same state however a batch is
 * split or ordered, on any number of threads and any instruction set, and it is that of adding one loss after the
 * other.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <omp.h>

#include <bind.h>
#include <kernel.h>
#include <support/random.h>

#define N 200001 /* enough for a team of threads; in no multiple of anything */

/* L = a b: 48 bits, half of which do not fit a float. */
static void product_f32(const struct loss__block *b)
{
    for (size_t i = 0; i < b->n; i++) {
        b->loss[i] = kernel_load(b->in[0], i, false) * kernel_load(b->in[1], i, false);
    }
}

static const struct loss__kernels product = {.f32 = product_f32};

static const struct loss_desc product_desc = {
    .name = "product",
    .inputs = {{.name = "a", .extent = LOSS_FREE, .main = true}, {.name = "b"}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM,
};

static struct {
    float a[N], b[N], weight[N];
} data;

static float random_float(int min_exponent, int max_exponent)
{
    int exponent = min_exponent + (int)(random_unit() * (max_exponent - min_exponent + 1));
    return (float)ldexp(random_unit() < 0.5 ? -1 - random_unit() : 1 + random_unit(), exponent);
}

/* What the losses are like: the exponents of the two factors, and one in how many is something else. */
static const struct like {
    int min_exponent, max_exponent;
    size_t rare;
    double other;
} likes[] = {
    {-1, 0, 0, 0},
    {-8, 3, 0, 0},
    {-20, 10, 0, 0},
    {-40, 40, 0, 0},
    {-126, 126, 0, 0},
    {-75, -55, 0, 0},
    {-149, -80, 0, 0},
    {60, 63, 0, 0},
    {-10, 0, 7, 0},
    {-3, 3, 5000, 0x1p60},
    {-3, 3, 70, 0x1p-70},
    {-3, 3, 900, HUGE_VAL},
    {-3, 3, 30000, (double)NAN},
    {60, 66, 0, 0},
    {-76, -74, 0, 0},
};
#define LIKES (sizeof likes / sizeof likes[0])

static void fill(const struct like *like)
{
    random_state = RANDOM_SEED;
    for (size_t i = 0; i < N; i++) {
        bool other = like->rare != 0 && i % like->rare == 3;
        data.a[i] = other ? (float)like->other : random_float(like->min_exponent, like->max_exponent);
        data.b[i] = random_float(like->min_exponent, like->max_exponent);
        data.weight[i] = random_float(-2, 2);
    }
}

/* The two sums, in the form in which equal ones have equal bytes. */
struct state {
    unsigned char sum[LOSS_SUM_BYTES], rest[LOSS_SUM_BYTES];
};

static struct state state_of(const struct loss_sum *sum, const struct loss_sum *rest)
{
    struct state state;
    loss_sum_store(sum, state.sum);
    loss_sum_store(rest, state.rest);
    return state;
}

/* The first 41 binary digits of x. */
static double shortened(double x)
{
    int exponent;
    double fraction = frexp(x, &exponent);
    return ldexp(trunc(ldexp(fraction, 41)), exponent - 41);
}

static struct state one_by_one(bool weighted)
{
    struct loss_sum sum, rest;
    loss_sum_init(&sum);
    loss_sum_init(&rest);
    for (size_t i = 0; i < N; i++) {
        double loss = (weighted ? (double)data.weight[i] : 1) * ((double)data.a[i] * (double)data.b[i]);
        float x = (float)loss;
        loss_sum_add(&sum, (double)x);
        if (isfinite(x) && x != 0) {
            loss_sum_add(&rest, shortened(loss) - (double)x);
        }
    }
    return state_of(&sum, &rest);
}

static struct loss_tensor floats(float *x, size_t first, size_t n)
{
    return (struct loss_tensor){.dtype = LOSS_FLOAT32, .rank = 1, .shape = {n}, .count = n, .data = x + first};
}

/* Add the sums of a call of the elements [first, first + n). */
static void add_part(struct loss_sum *sum, struct loss_sum *rest, size_t first, size_t n, bool weighted)
{
    struct loss_arena *arena = loss_arena_new((size_t)1 << 28, NULL);
    assert_non_null(arena);
    struct loss_call call;
    struct loss_answer answer;
    struct loss_error error = {0};
    loss_call_init(&call, &product_desc, NULL);
    call.input[0] = floats(data.a, first, n);
    call.input[1] = floats(data.b, first, n);
    if (weighted) {
        call.weights = floats(data.weight, first, n);
    }
    call.want_losses = first % 2 == 0;
    if (loss__compute_with(&product, &call, arena, &answer, &error) != LOSS_OK) {
        fail_msg("%s", error.message);
    }
    loss_sum_merge(sum, &answer.sum);
    loss_sum_merge(rest, &answer.rest);
    loss_arena_free(arena);
}

static struct state in_parts(const size_t *sizes, size_t n_sizes, bool weighted)
{
    struct loss_sum sum, rest;
    loss_sum_init(&sum);
    loss_sum_init(&rest);
    for (size_t first = 0, k = 0; first < N; k++) {
        size_t n = sizes[k % n_sizes] < N - first ? sizes[k % n_sizes] : N - first;
        add_part(&sum, &rest, first, n, weighted);
        first += n;
    }
    return state_of(&sum, &rest);
}

static struct state whole(bool weighted)
{
    return in_parts((const size_t[]){N}, 1, weighted);
}

/* The same losses in another order. */
static void shuffle(void)
{
    for (size_t i = N - 1; i > 0; i--) {
        size_t j = (size_t)(random_unit() * (double)(i + 1));
        float *const arrays[] = {data.a, data.b, data.weight};
        for (size_t k = 0; k < 3; k++) {
            float spare = arrays[k][i];
            arrays[k][i] = arrays[k][j];
            arrays[k][j] = spare;
        }
    }
}

static void check(const struct state *expected, struct state found, size_t like, const char *how)
{
    if (memcmp(expected->sum, found.sum, sizeof found.sum) != 0) {
        fail_msg("losses like %zu %s have another sum", like, how);
    }
    if (memcmp(expected->rest, found.rest, sizeof found.rest) != 0) {
        fail_msg("losses like %zu %s have another rest", like, how);
    }
}

static void test_exact__sums_are_those_of_adding_one_by_one(void **state)
{
    (void)state;
    for (size_t k = 0; k < LIKES; k++) {
        fill(&likes[k]);
        for (int weighted = 0; weighted < 2; weighted++) {
            struct state expected = one_by_one(weighted != 0);
            check(&expected, whole(weighted != 0), k, "at once");
        }
    }
}

static void test_exact__sums_do_not_depend_on_split_or_order(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 7, 8, 37, 511, 512, 513, 4096, 20000};
    for (size_t k = 0; k < LIKES; k++) {
        fill(&likes[k]);
        struct state expected = whole(false);
        check(&expected, in_parts(sizes, sizeof sizes / sizeof *sizes, false), k, "in parts");
        shuffle();
        check(&expected, whole(false), k, "shuffled");
        check(&expected, in_parts(sizes, sizeof sizes / sizeof *sizes, false), k, "shuffled in parts");
    }
}

static void test_exact__sums_are_the_same_on_many_threads_and_every_instruction_set(void **state)
{
    (void)state;
    static const char *const isas[] = {"baseline", "x86-64-v3", "x86-64-v4"};
    const char *usual = loss_isa();
    for (size_t k = 0; k < LIKES; k++) {
        fill(&likes[k]);
        struct state expected = whole(true);
        omp_set_num_threads(3);
        check(&expected, whole(true), k, "on three threads");
        omp_set_num_threads(1);
        for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
            if (loss_isa_select(isas[i])) {
                check(&expected, whole(true), k, isas[i]);
            }
        }
        assert_true(loss_isa_select(usual));
    }
}

int main(void)
{
    omp_set_num_threads(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact__sums_are_those_of_adding_one_by_one),
        cmocka_unit_test(test_exact__sums_do_not_depend_on_split_or_order),
        cmocka_unit_test(test_exact__sums_are_the_same_on_many_threads_and_every_instruction_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
