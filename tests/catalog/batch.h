/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.h - a call of any loss, with made-up numbers of any shape: what the sweeps over the catalog are made of.
 */
#ifndef BATCH_H
#define BATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <loss/loss.h>

struct batch {
    struct loss_arena *arena;
    struct loss_call call;
    struct loss_answer answer;
    struct loss_error error;
    int main;       /* index of the first main input */
    uint64_t state; /* of the generator */
};

/* A call of `desc` whose main input has this shape (or one like it of the rank that the loss takes), parameters at their defaults and required axes at the last one.
 * The numbers depend on the seed alone, and are such that the losses are finite. */
void batch_make(struct batch *b, const struct loss_desc *desc, loss_dtype dtype, int rank, const size_t *shape,
                uint64_t seed);
void batch_free(struct batch *b);

/* Makes rows, or their length, smaller until comparing each pair of them is a matter of moments. */
#define BATCH_MOST_PAIRS ((size_t)1 << 23)
void batch_limit(const struct loss_desc *desc, size_t shape[2]);

/* Fails the test with the message if the computation fails. */
void batch_compute(struct batch *b);

/* In [low, high). */
double batch_random(struct batch *b, double low, double high);

double batch_get(const struct loss_tensor *t, size_t i);
void batch_set(struct loss_tensor *t, size_t i, double value);

/* A tensor of the call's dtype, filled with numbers in [low, high). */
struct loss_tensor batch_tensor(struct batch *b, int rank, const size_t *shape, double low, double high);

/* Kinds of weights that every loss takes, as far as its losses' shape has them. */
enum batch_weights {
    BATCH_NONE,
    BATCH_SCALAR,
    BATCH_ONES, /* every dimension 1 */
    BATCH_ROWS, /* the first dimension, the others 1 */
    BATCH_LAST, /* the last dimension, the others 1 */
    BATCH_FULL,
    BATCH_HOLES, /* full, a third of them 0 */
    BATCH_ALL_ZERO,
    BATCH_WEIGHTS_COUNT,
};

/* Give the call such weights. Whether the loss has that kind. */
bool batch_weigh(struct batch *b, enum batch_weights kind);

/* Give the call the k-th of the values that its parameters have besides their defaults, one at a time; false: there are
 * not so many. `name` is then the parameter. A value that another parameter must go along with brings that. */
bool batch_vary(struct batch *b, size_t k, const char **name);

/* Whether the input may hold any number, also between those it was given. */
bool batch_free_input(const struct batch *b, int input);

/* The same weights with nothing broadcast. */
void batch_materialise(struct batch *b);

/* For each loss of the catalog. */
#define EACH_LOSS(desc)                                                                                                \
    const struct loss_desc *desc;                                                                                      \
    for (size_t loss_ = 0; loss_ < loss_catalog_count() && (desc = loss_catalog_at(loss_)) != NULL; loss_++)

/* An assertion that says which loss it was. */
#define CHECK(desc, condition)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fail_msg("%s: %s", (desc)->name, #condition);                                                              \
        }                                                                                                              \
    } while (0)

bool batch_same_totals(const struct loss_totals *a, const struct loss_totals *b); /* bit for bit */

/* The same bits in losses, gradients, totals and exact sums; the first thing that differs, or NULL. */
const char *batch_difference(const struct loss_answer *a, const struct loss_answer *b);

#endif
