/* SPDX-License-Identifier: Apache-2.0
 *
 * tally.h - the exact state of an entry that accumulates: sums and counts over all batches so far.
 *
 * Merging is exact, so it does not matter in which order batches come, how they were split, or where.
 */
#ifndef REGISTRY_TALLY_H
#define REGISTRY_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <loss/arena.h>
#include <loss/compute.h>
#include <loss/sum.h>

struct registry_tally {
    const char *what; /* the loss with its parameters: batches of another do not fit */
    uint64_t batches;
    uint64_t count, nonzero_weights; /* of losses */
    uint64_t batch;                  /* samples: the divisor of batchmean */
    struct loss_sum sum, weight_sum;
    struct loss_sum rest; /* what rounding the losses to float32 took from them */
};

/* One batch. `what` is borrowed. */
void tally_of(struct registry_tally *t, const char *what, const struct loss_answer *answer);
/* All but `what` of the other. */
void tally_merge(struct registry_tally *t, const struct registry_tally *other);

void tally_totals(const struct registry_tally *t, struct loss_totals *totals);
/* The loss of the whole: what `reduction` names, rounded once to `dtype`. */
double tally_loss(const struct registry_tally *t, const char *reduction, const char *dtype);

/* Are they of the same loss, with the same sums and counts? */
bool tally_same(const struct registry_tally *a, const struct registry_tally *b);

/* A tally takes this many bytes with its string; tally_place copies it there. */
size_t tally_size(const struct registry_tally *t);
struct registry_tally *tally_place(void *memory, const struct registry_tally *t);

/* The stored form, the same for equal tallies: little-endian, versioned. */
size_t tally_bytes(const struct registry_tally *t);
void tally_store(const struct registry_tally *t, unsigned char *bytes);
/* t->what points into `bytes`. 0: fine; -1: not such a form. */
int tally_load(struct registry_tally *t, const unsigned char *bytes, size_t n);

#endif
