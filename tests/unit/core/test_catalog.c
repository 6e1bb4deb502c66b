/* SPDX-License-Identifier: Apache-2.0
 *
 * test_catalog.c - the table of losses and finding one by name, right or misspelt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <loss/loss.h>

static void test_catalog__is_sorted_and_indexed(void **state)
{
    (void)state;
    assert_true(loss_catalog_count() >= 16);
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        assert_int_equal(loss_catalog_index(loss_catalog_at(i)), i);
        if (i > 0) {
            assert_true(strcmp(loss_catalog_at(i - 1)->name, loss_catalog_at(i)->name) < 0);
        }
    }
}

static void check_sentences(const struct loss_desc *desc, const char *what, const char *text)
{
    if (text == NULL || strlen(text) < 10 || text[strlen(text) - 1] != '.') {
        fail_msg("%s: .%s should be sentences for its page in docs/losses", desc->name, what);
    }
}

static void test_catalog__says_what_its_pages_need(void **state)
{
    (void)state;
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        const struct loss_desc *desc = loss_catalog_at(i);
        check_sentences(desc, "edges", desc->edges);
        check_sentences(desc, "elsewhere", desc->elsewhere);
    }
}

static void test_catalog_find__knows_every_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        const struct loss_desc *desc = loss_catalog_at(i);
        const struct loss_alias *alias = desc->aliases;
        assert_ptr_equal(loss_catalog_find(desc->name, &alias), desc);
        assert_null(alias);
        for (const struct loss_alias *a = desc->aliases; a != NULL && a->name != NULL; a++) {
            /* an alias that is somebody's name, or another's alias too, would not lead here */
            assert_ptr_equal(loss_catalog_find(a->name, &alias), desc);
            assert_ptr_equal(alias, a);
        }
    }
}

static void test_catalog_find__finds_nothing_else(void **state)
{
    (void)state;
    assert_null(loss_catalog_find("", NULL));
    assert_null(loss_catalog_find("huber_los", NULL));
    assert_null(loss_catalog_find("huber_loss ", NULL));
    assert_null(loss_catalog_find("HUBER_LOSS", NULL));
    assert_null(loss_catalog_find("zzz", NULL));
}

static void check_nearest(const char *typed, const char *meant)
{
    const char *nearest[3];
    size_t n = loss_catalog_nearest(typed, nearest, 3);
    if (n == 0 || strcmp(nearest[0], meant) != 0) {
        fail_msg("%s: expected %s, got %s", typed, meant, n == 0 ? "nothing" : nearest[0]);
    }
}

static void test_catalog_nearest__sees_through_slips(void **state)
{
    (void)state;
    check_nearest("softmax_cross_entrpy", "softmax_cross_entropy"); /* left out */
    check_nearest("hubber_loss", "huber_loss");                     /* put in */
    check_nearest("log_lass", "log_loss");                          /* changed */
    check_nearest("hinge_olss", "hinge_loss");                      /* exchanged */
    check_nearest("Mean-Squared-Error", "mean_squared_error");      /* written otherwise */
    check_nearest("sigmoid_crossentropy", "sigmoid_cross_entropy");
}

static void test_catalog_nearest__gives_few_and_none_for_nonsense(void **state)
{
    (void)state;
    const char *nearest[2] = {NULL, NULL};
    assert_int_equal(loss_catalog_nearest("l1_regularizatio", nearest, 2), 2);
    assert_string_equal(nearest[0], "l1_regularization");
    assert_int_equal(loss_catalog_nearest("l1_regularizatio", nearest, 1), 1);
    assert_int_equal(loss_catalog_nearest("l1_regularizatio", nearest, 0), 0);
    assert_int_equal(loss_catalog_nearest("xyzzy plugh", nearest, 2), 0);
    assert_int_equal(loss_catalog_nearest("", nearest, 2), 0);
    char endless[5000];
    memset(endless, 'a', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    assert_int_equal(loss_catalog_nearest(endless, nearest, 2), 0);
}

static void test_nearest_word__picks_the_best_or_none(void **state)
{
    (void)state;
    static const char *const words[] = {"labels", "logits", "weights"};
    assert_string_equal(loss_nearest_word("wieghts", words, 3), "weights");
    assert_string_equal(loss_nearest_word("label", words, 3), "labels");
    assert_null(loss_nearest_word("anchor", words, 3));
    assert_null(loss_nearest_word("labels", words, 0));
}

static void test_desc_names__are_found_with_their_aliases(void **state)
{
    (void)state;
    const struct loss_desc *desc = loss_catalog_find("softmax_cross_entropy", NULL);
    assert_int_equal(loss_desc_input(desc, "labels"), loss_desc_input(desc, "onehot_labels"));
    assert_int_equal(loss_desc_input(desc, "logits"), loss_desc_input(desc, "y_pred"));
    assert_int_equal(loss_desc_input(desc, "predictions"), -1);
    desc = loss_catalog_find("cosine_distance", NULL);
    assert_int_equal(loss_desc_param(desc, "axis"), loss_desc_param(desc, "dim"));
    assert_int_equal(loss_desc_param(desc, "delta"), -1);
}

static void test_reduction_parse__takes_all_names(void **state)
{
    (void)state;
    for (int r = 0; r < LOSS_REDUCTION_COUNT; r++) {
        loss_reduction found = LOSS_REDUCTION_COUNT;
        assert_true(loss_reduction_parse(loss_reduction_name((loss_reduction)r), &found));
        assert_int_equal(found, r);
    }
    loss_reduction found;
    assert_true(loss_reduction_parse("weighted_sum_over_batch_size", &found));
    assert_int_equal(found, LOSS_REDUCE_SUM_OVER_BATCH_SIZE);
    assert_true(loss_reduction_parse("sum_over_nonzero_weights", &found));
    assert_int_equal(found, LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS);
    assert_false(loss_reduction_parse("average", &found));
    assert_false(loss_reduction_parse("", &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalog__is_sorted_and_indexed),
        cmocka_unit_test(test_catalog__says_what_its_pages_need),
        cmocka_unit_test(test_catalog_find__knows_every_name),
        cmocka_unit_test(test_catalog_find__finds_nothing_else),
        cmocka_unit_test(test_catalog_nearest__sees_through_slips),
        cmocka_unit_test(test_catalog_nearest__gives_few_and_none_for_nonsense),
        cmocka_unit_test(test_nearest_word__picks_the_best_or_none),
        cmocka_unit_test(test_desc_names__are_found_with_their_aliases),
        cmocka_unit_test(test_reduction_parse__takes_all_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
