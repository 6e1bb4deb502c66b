/* SPDX-License-Identifier: Apache-2.0
 *
 * tally.c - merging, reading and storing the state of an entry that accumulates.
 */
#include <registry/tally.h>

#include <string.h>

#include <loss/catalog.h>

/* version, batches, count, nonzero_weights, batch, the three sums, `what` with its end */
#define FORM_VERSION 1
#define FORM_NUMBERS 4
#define FORM_SUMS (1 + 8 * FORM_NUMBERS)
#define FORM_WHAT (FORM_SUMS + 3 * LOSS_SUM_BYTES)

void tally_of(struct registry_tally *t, const char *what, const struct loss_answer *answer)
{
    *t = (struct registry_tally){
        .what = what,
        .batches = 1,
        .count = answer->totals.count,
        .nonzero_weights = answer->totals.nonzero_weights,
        .batch = answer->batch,
        .sum = answer->sum,
        .weight_sum = answer->weight_sum,
        .rest = answer->rest,
    };
}

void tally_merge(struct registry_tally *t, const struct registry_tally *other)
{
    t->batches += other->batches;
    t->count += other->count;
    t->nonzero_weights += other->nonzero_weights;
    t->batch += other->batch;
    loss_sum_merge(&t->sum, &other->sum);
    loss_sum_merge(&t->weight_sum, &other->weight_sum);
    loss_sum_merge(&t->rest, &other->rest);
}

void tally_totals(const struct registry_tally *t, struct loss_totals *totals)
{
    loss_totals_from(totals, &t->sum, &t->weight_sum, t->count, t->nonzero_weights, t->batch);
}

double tally_loss(const struct registry_tally *t, const char *reduction, const char *dtype)
{
    loss_reduction by = LOSS_REDUCE_NONE;
    struct loss_sum unrounded = t->sum;
    loss_reduction_parse(reduction, &by);
    loss_sum_merge(&unrounded, &t->rest);
    double loss = loss_total_of(by, &unrounded, &t->weight_sum, t->count, t->nonzero_weights, t->batch);
    return strcmp(dtype, loss_dtype_name(LOSS_FLOAT32)) == 0 ? (float)loss : loss;
}

static bool same_sum(const struct loss_sum *a, const struct loss_sum *b)
{
    unsigned char left[LOSS_SUM_BYTES], right[LOSS_SUM_BYTES];
    loss_sum_store(a, left);
    loss_sum_store(b, right);
    return memcmp(left, right, sizeof left) == 0;
}

bool tally_same(const struct registry_tally *a, const struct registry_tally *b)
{
    return strcmp(a->what, b->what) == 0 && a->batches == b->batches && a->count == b->count &&
           a->nonzero_weights == b->nonzero_weights && a->batch == b->batch && same_sum(&a->sum, &b->sum) &&
           same_sum(&a->weight_sum, &b->weight_sum) && same_sum(&a->rest, &b->rest);
}

size_t tally_size(const struct registry_tally *t)
{
    return sizeof *t + strlen(t->what) + 1;
}

struct registry_tally *tally_place(void *memory, const struct registry_tally *t)
{
    struct registry_tally *copy = memory;
    *copy = *t;
    copy->what = strcpy((char *)(copy + 1), t->what);
    return copy;
}

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

size_t tally_bytes(const struct registry_tally *t)
{
    return FORM_WHAT + strlen(t->what) + 1;
}

void tally_store(const struct registry_tally *t, unsigned char *bytes)
{
    const uint64_t numbers[FORM_NUMBERS] = {t->batches, t->count, t->nonzero_weights, t->batch};
    const struct loss_sum *sums[] = {&t->sum, &t->weight_sum, &t->rest};
    bytes[0] = FORM_VERSION;
    for (int i = 0; i < FORM_NUMBERS; i++) {
        put_u64(bytes + 1 + 8 * i, numbers[i]);
    }
    for (int i = 0; i < 3; i++) {
        loss_sum_store(sums[i], bytes + FORM_SUMS + i * LOSS_SUM_BYTES);
    }
    strcpy((char *)bytes + FORM_WHAT, t->what);
}

int tally_load(struct registry_tally *t, const unsigned char *bytes, size_t n)
{
    uint64_t *numbers[FORM_NUMBERS] = {&t->batches, &t->count, &t->nonzero_weights, &t->batch};
    struct loss_sum *sums[] = {&t->sum, &t->weight_sum, &t->rest};
    if (n <= FORM_WHAT || bytes[0] != FORM_VERSION || bytes[n - 1] != '\0') {
        return -1;
    }
    for (int i = 0; i < FORM_NUMBERS; i++) {
        *numbers[i] = get_u64(bytes + 1 + 8 * i);
    }
    for (int i = 0; i < 3; i++) {
        if (loss_sum_load(sums[i], bytes + FORM_SUMS + i * LOSS_SUM_BYTES) != 0) {
            return -1;
        }
    }
    t->what = (const char *)bytes + FORM_WHAT;
    return 0;
}
