/* SPDX-License-Identifier: Apache-2.0
 *
 * test_catalog_same_bits.c - every loss gives the same bits on any number of threads, any instruction set, and however
 * its batch is split or ordered.
 */
#include "batch.h"

#include <string.h>

#include <omp.h>

/* Large enough that threads share the work, and in no multiple of any block or lane. */
static const size_t large[] = {20011, 7};

static void want_everything(struct batch *b)
{
    const struct loss_desc *desc = b->call.desc;
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        b->call.gradients |= desc->inputs[i].differentiable ? 1u << i : 0;
    }
    b->call.gradients |= 1u << LOSS_GRADIENT_WEIGHTS;
}

static void check_threads(const struct loss_desc *desc, loss_dtype dtype, enum batch_weights weights)
{
    static const int counts[] = {2, 7};
    size_t shape[] = {large[0], large[1]};
    struct batch b;
    batch_limit(desc, shape);
    batch_make(&b, desc, dtype, 2, shape, 3);
    if (batch_weigh(&b, weights)) {
        want_everything(&b);
        omp_set_num_threads(1);
        batch_compute(&b);
        struct loss_answer alone = b.answer;
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            omp_set_num_threads(counts[i]);
            batch_compute(&b);
            const char *difference = batch_difference(&alone, &b.answer);
            if (difference != NULL) {
                fail_msg("%s: %s differ on %d threads", desc->name, difference, counts[i]);
            }
        }
    }
    omp_set_num_threads(1);
    batch_free(&b);
}

/* Few rows that are long, of which threads share each: only losses that compare elements do that. */
static void check_threads_of_long_rows(const struct loss_desc *desc)
{
    static const size_t shape[] = {2, 3001};
    struct batch b;
    batch_make(&b, desc, LOSS_FLOAT32, 2, shape, 9);
    want_everything(&b);
    omp_set_num_threads(1);
    batch_compute(&b);
    struct loss_answer alone = b.answer;
    omp_set_num_threads(3);
    batch_compute(&b);
    omp_set_num_threads(1);
    const char *difference = batch_difference(&alone, &b.answer);
    if (difference != NULL) {
        fail_msg("%s: %s of long rows differ on 3 threads", desc->name, difference);
    }
    batch_free(&b);
}

static void test_same_bits__on_any_number_of_threads(void **state)
{
    (void)state;
    EACH_LOSS(desc)
    {
        if (desc->pairs == LOSS_PAIRS_IN_ROWS) {
            check_threads_of_long_rows(desc);
        }
        check_threads(desc, LOSS_FLOAT32, BATCH_NONE);
        check_threads(desc, LOSS_FLOAT32, BATCH_ROWS);
        check_threads(desc, LOSS_FLOAT64, BATCH_HOLES);
    }
}

static void check_instruction_sets(struct batch *b)
{
    static const char *const names[] = {"x86-64-v3", "x86-64-v4"};
    const struct loss_desc *desc = b->call.desc;
    want_everything(b);
    batch_weigh(b, BATCH_ROWS);
    assert_true(loss_isa_select("baseline"));
    batch_compute(b);
    struct loss_answer baseline = b->answer;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!loss_isa_select(names[i])) {
            continue;
        }
        batch_compute(b);
        const char *difference = batch_difference(&baseline, &b->answer);
        if (difference != NULL) {
            const struct loss_tensor *main = &b->call.input[b->main];
            fail_msg("%s: %s differ on %s, %zu columns", desc->name, difference, names[i], main->shape[1]);
        }
    }
}

static void test_same_bits__on_every_instruction_set(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{301, 37}, {9, 777}, {3, 5003}, {1, 133001}};
    const char *usual = loss_isa();
    EACH_LOSS(desc)
    {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            for (int dtype = LOSS_FLOAT32; dtype <= LOSS_FLOAT64; dtype++) {
                size_t shape[] = {shapes[i][0], shapes[i][1]};
                struct batch b;
                batch_limit(desc, shape);
                batch_make(&b, desc, (loss_dtype)dtype, 2, shape, 4);
                check_instruction_sets(&b);
                batch_free(&b);
            }
        }
    }
    assert_true(loss_isa_select(usual));
}

static void test_same_bits__with_every_parameter(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{53, 11}, {5, 77}, {2, 5003}};
    const char *usual = loss_isa(), *name;
    EACH_LOSS(desc)
    {
        for (size_t k = 0, more = true; more; k++) {
            for (size_t i = 0; more && i < sizeof shapes / sizeof *shapes; i++) {
                size_t shape[] = {shapes[i][0], shapes[i][1]};
                struct batch b;
                batch_limit(desc, shape);
                batch_make(&b, desc, k % 2 == 0 ? LOSS_FLOAT32 : LOSS_FLOAT64, 2, shape, 5);
                more = batch_vary(&b, k, &name);
                if (more) {
                    check_instruction_sets(&b);
                }
                batch_free(&b);
            }
        }
    }
    assert_true(loss_isa_select(usual));
}

/* The same call over rows [first, first + n) of its inputs and weights. */
static struct loss_call rows_of(const struct loss_call *call, size_t rows, size_t first, size_t n)
{
    struct loss_call part = *call;
    for (int i = 0; i <= LOSS_MAX_INPUTS; i++) {
        struct loss_tensor *t = i == LOSS_MAX_INPUTS ? &part.weights : &part.input[i];
        if (t->data == NULL || t->rank == 0 || t->shape[0] != rows) {
            continue;
        }
        size_t row = t->count / rows;
        t->data = (char *)t->data + first * row * loss_dtype_size(t->dtype);
        t->shape[0] = n;
        t->count = n * row;
    }
    return part;
}

/* Reverse the order of the rows. */
static void reverse(struct loss_tensor *t, size_t rows)
{
    if (t->data == NULL || t->rank == 0 || t->shape[0] != rows) {
        return;
    }
    size_t row = t->count / rows * loss_dtype_size(t->dtype);
    char *a = t->data, *b = a + (rows - 1) * row, spare[256];
    assert_true(row <= sizeof spare);
    for (; a < b; a += row, b -= row) {
        memcpy(spare, a, row);
        memcpy(a, b, row);
        memcpy(b, spare, row);
    }
}

static struct loss_totals totals_of_parts(struct batch *b, size_t rows)
{
    static const size_t sizes[] = {1, 37, 4096, 20000};
    struct loss_sum sum, weight_sum;
    uint64_t count = 0, nonzero = 0, batch = 0;
    loss_sum_init(&sum);
    loss_sum_init(&weight_sum);
    for (size_t first = 0, k = 0; first < rows; k++) {
        size_t n = sizes[k % 4] < rows - first ? sizes[k % 4] : rows - first;
        struct loss_call part = rows_of(&b->call, rows, first, n);
        struct loss_answer answer;
        assert_int_equal(loss_compute(&part, b->arena, &answer, &b->error), LOSS_OK);
        loss_sum_merge(&sum, &answer.sum);
        loss_sum_merge(&weight_sum, &answer.weight_sum);
        count += answer.totals.count;
        nonzero += answer.totals.nonzero_weights;
        batch += answer.batch;
        first += n;
    }
    struct loss_totals totals;
    loss_totals_from(&totals, &sum, &weight_sum, count, nonzero, batch);
    return totals;
}

static void check_splits(struct batch *b, size_t rows)
{
    const struct loss_desc *desc = b->call.desc;
    assert_true(batch_weigh(b, BATCH_HOLES));
    batch_compute(b);
    struct loss_totals whole = b->answer.totals, parts = totals_of_parts(b, rows);
    CHECK(desc, batch_same_totals(&whole, &parts));
    for (int i = 0; i < LOSS_MAX_INPUTS; i++) {
        reverse(&b->call.input[i], rows);
    }
    reverse(&b->call.weights, rows);
    parts = totals_of_parts(b, rows);
    CHECK(desc, batch_same_totals(&whole, &parts));
}

static void test_same_bits__however_the_batch_is_split_or_ordered(void **state)
{
    (void)state;
    static const size_t shape[] = {10000, 5}, small[] = {600, 5};
    EACH_LOSS(desc)
    {
        for (int dtype = LOSS_FLOAT32; !desc->samples_meet && dtype <= LOSS_FLOAT64; dtype++) {
            struct batch b;
            batch_make(&b, desc, (loss_dtype)dtype, 2, shape, 8);
            check_splits(&b, shape[0]);
            batch_free(&b);
            for (size_t k = 0, more = true; more; k++) {
                const char *name;
                batch_make(&b, desc, (loss_dtype)dtype, 2, small, 9);
                more = batch_vary(&b, k, &name);
                if (more) {
                    check_splits(&b, small[0]);
                }
                batch_free(&b);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits__on_any_number_of_threads),
        cmocka_unit_test(test_same_bits__on_every_instruction_set),
        cmocka_unit_test(test_same_bits__with_every_parameter),
        cmocka_unit_test(test_same_bits__however_the_batch_is_split_or_ordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
