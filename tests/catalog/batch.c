/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.c - a call of any loss, with made-up numbers of any shape.
 */
#include "batch.h"

#include <math.h>
#include <string.h>

double batch_random(struct batch *b, double low, double high)
{
    b->state = b->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    double unit = (double)(b->state >> 40) * 0x1p-24;
    return low + (high - low) * unit;
}

double batch_get(const struct loss_tensor *t, size_t i)
{
    return loss_tensor_at(t, i);
}

void batch_set(struct loss_tensor *t, size_t i, double value)
{
    switch (t->dtype) {
    case LOSS_FLOAT32:
        ((float *)t->data)[i] = (float)value;
        break;
    case LOSS_FLOAT64:
        ((double *)t->data)[i] = value;
        break;
    case LOSS_INT64:
        ((int64_t *)t->data)[i] = (int64_t)value;
        break;
    default:
        fail_msg("no such dtype in these tests");
    }
}

static struct loss_tensor tensor_new(struct batch *b, loss_dtype dtype, int rank, const size_t *shape)
{
    struct loss_tensor t = {.dtype = dtype, .rank = rank, .count = 1};
    for (int i = 0; i < rank; i++) {
        t.shape[i] = shape[i];
        t.count *= shape[i];
    }
    t.data = loss_arena_alloc(b->arena, t.count * loss_dtype_size(dtype), 64);
    assert_non_null(t.data);
    return t;
}

struct loss_tensor batch_tensor(struct batch *b, int rank, const size_t *shape, double low, double high)
{
    struct loss_tensor t = tensor_new(b, b->call.dtype, rank, shape);
    for (size_t i = 0; i < t.count; i++) {
        batch_set(&t, i, batch_random(b, low, high));
    }
    return t;
}

static struct loss_tensor integers(struct batch *b, int rank, const size_t *shape, size_t below)
{
    struct loss_tensor t = tensor_new(b, LOSS_INT64, rank, shape);
    for (size_t i = 0; i < t.count; i++) {
        batch_set(&t, i, floor(batch_random(b, 0, (double)below)));
    }
    return t;
}

/* Inputs with numbers in [low, high) where any number will do. */
static void fill_inputs(struct batch *b, int rank, const size_t *shape, double low, double high)
{
    const struct loss_desc *desc = b->call.desc;
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        int own_rank = desc->inputs[i].extent == LOSS_LEAD && rank > 0 ? rank - 1 : rank;
        switch (desc->inputs[i].domain) {
        case LOSS_REAL:
            b->call.input[i] = batch_tensor(b, own_rank, shape, low, high);
            break;
        case LOSS_CLASS_INDEX:
        case LOSS_WHOLE_NUMBER:
            b->call.input[i] = integers(b, own_rank, shape, rank == 0 ? 1 : shape[rank - 1]);
            break;
        case LOSS_ENCODED:
            if (desc->inputs[i].differentiable) { /* between its two values too */
                b->call.input[i] = batch_tensor(b, own_rank, shape, low, high);
                break;
            }
            /* fall through */
        case LOSS_SIGN:
        case LOSS_BINARY:
            b->call.input[i] = integers(b, own_rank, shape, 2);
            for (size_t k = 0; desc->inputs[i].domain == LOSS_SIGN && k < b->call.input[i].count; k++) {
                batch_set(&b->call.input[i], k, 2 * batch_get(&b->call.input[i], k) - 1);
            }
            break;
        }
    }
}

/* As many dimensions as the loss takes, if it does not take any: the first ones become one. */
static int fold(const struct loss_desc *desc, int rank, const size_t *shape, size_t out[LOSS_MAX_RANK])
{
    int folded = desc->rank == 0 ? 0 : rank - desc->rank;
    assert_true(folded >= 0);
    out[0] = 1;
    for (int i = 0; i < rank; i++) {
        int to = i < folded ? 0 : i - folded;
        out[to] = to == 0 && folded > 0 ? out[0] * shape[i] : shape[i];
    }
    return rank - folded;
}

void batch_limit(const struct loss_desc *desc, size_t shape[2])
{
    size_t *paired = &shape[desc->pairs == LOSS_PAIRS_OF_ROWS ? 0 : 1];
    while (desc->pairs != LOSS_NO_PAIRS && shape[0] * shape[1] * *paired > BATCH_MOST_PAIRS && *paired > 8) {
        *paired = *paired / 2 + 1;
    }
}

void batch_make(struct batch *b, const struct loss_desc *desc, loss_dtype dtype, int rank, const size_t *shape,
                uint64_t seed)
{
    size_t folded[LOSS_MAX_RANK];
    rank = fold(desc, rank, shape, folded);
    shape = folded;
    *b = (struct batch){.arena = loss_arena_new((size_t)1 << 30, NULL), .state = seed * 2654435761u + 1};
    assert_non_null(b->arena);
    loss_call_init(&b->call, desc, NULL);
    b->call.dtype = dtype;
    for (int i = 0; desc->params[i].name != NULL; i++) {
        if (desc->params[i].required && desc->params[i].type == LOSS_AXIS) {
            assert_int_equal(loss_call_set_number(&b->call, i, -1, NULL, &b->error), LOSS_OK);
        }
    }
    while (!desc->inputs[b->main].main) {
        b->main++;
    }
    /* Losses of probabilities are not defined everywhere. */
    fill_inputs(b, rank, shape, -3, 3);
    batch_compute(b);
    if (b->answer.nonfinite > 0) {
        fill_inputs(b, rank, shape, 0.05, 0.95);
    }
}

void batch_free(struct batch *b)
{
    loss_arena_free(b->arena);
}

void batch_compute(struct batch *b)
{
    if (loss_compute(&b->call, b->arena, &b->answer, &b->error) != LOSS_OK) {
        fail_msg("%s: %s at %s", b->call.desc->name, b->error.message, b->error.pointer);
    }
}

bool batch_weigh(struct batch *b, enum batch_weights kind)
{
    b->call.weights = (struct loss_tensor){0};
    if (kind == BATCH_NONE) {
        return true;
    }
    batch_compute(b); /* for the shape of the losses */
    bool by_sample = b->call.desc->kind == LOSS_SAMPLEWISE;
    const struct loss_tensor *over = by_sample ? &b->call.input[b->main] : &b->answer.losses;
    size_t shape[LOSS_MAX_RANK];
    int rank = kind == BATCH_SCALAR ? 0 : over->rank;
    if (kind != BATCH_SCALAR && rank == 0) {
        return false;
    }
    for (int i = 0; i < rank; i++) {
        bool kept = kind >= BATCH_FULL || (kind == BATCH_ROWS && i == 0) || (kind == BATCH_LAST && i == rank - 1);
        shape[i] = kept ? over->shape[i] : 1;
    }
    b->call.weights = batch_tensor(b, rank, shape, 0.25, 2);
    for (size_t i = 0; i < b->call.weights.count; i++) {
        if (kind == BATCH_ALL_ZERO || (kind == BATCH_HOLES && i % 3 == 1)) {
            batch_set(&b->call.weights, i, 0);
        }
    }
    return true;
}

/* A number in the parameter's range, `share` of the way. */
static double number_within(const struct loss_param *p, double share)
{
    bool bounded = p->min != 0 || p->max != 0;
    double low = !bounded || isinf(p->min) ? -2.5 : p->min, high = !bounded || isinf(p->max) ? 2.5 : p->max;
    return (1 - share) * low + share * high;
}

/* How many values of the parameter batch_vary has. */
static size_t variants(const struct loss_param *p)
{
    size_t words = 0;
    switch (p->type) {
    case LOSS_NUMBER:
        return 2;
    case LOSS_NUMBER_OR_VECTOR:
        return 3;
    case LOSS_WORD:
        while (p->words[words] != NULL) {
            words++;
        }
        return words;
    case LOSS_AXIS:
    case LOSS_AXES:
        return 0;
    default:
        return 1;
    }
}

static void vary(struct batch *b, int i, size_t k)
{
    const struct loss_param *p = &b->call.desc->params[i];
    const struct loss_tensor *main = &b->call.input[b->main];
    loss_status status = LOSS_OK;
    switch (p->type) {
    case LOSS_NUMBER_OR_VECTOR:
    case LOSS_VECTOR:
        if (k == 0) {
            struct loss_tensor vector = batch_tensor(b, 1, &main->shape[main->rank - 1], 0.25, 2);
            status = loss_call_set_vector(&b->call, i, &vector, &b->error);
            break;
        }
        k--;
        /* fall through */
    case LOSS_NUMBER:
        status = loss_call_set_number(&b->call, i, number_within(p, k == 0 ? 0.1 : 0.6), NULL, &b->error);
        break;
    case LOSS_INTEGER:
        status = loss_call_set_number(&b->call, i, p->min + 1, NULL, &b->error);
        break;
    case LOSS_WORD:
        status = loss_call_set_word(&b->call, i, p->words[k], NULL, &b->error);
        break;
    case LOSS_BOOLEAN:
        status = loss_call_set_boolean(&b->call, i, p->fallback == 0, NULL, &b->error);
        break;
    default:
        break;
    }
    assert_int_equal(status, LOSS_OK);
}

/* Make the call one that is not refused: some values want labels that say by themselves what they mean, others want
 * another parameter. */
static void reconcile(struct batch *b)
{
    const struct loss_desc *desc = b->call.desc;
    loss_status status = loss_compute(&b->call, b->arena, &b->answer, &(struct loss_error){0});
    for (int i = 0; status == LOSS_LABEL_OUT_OF_RANGE && desc->inputs[i].name != NULL; i++) {
        for (size_t k = 0; desc->inputs[i].domain == LOSS_ENCODED && k < b->call.input[i].count; k++) {
            batch_set(&b->call.input[i], k, batch_get(&b->call.input[i], k) > 0);
        }
    }
    for (int i = 0; status == LOSS_INVALID_PARAMETER && desc->params[i].name != NULL; i++) {
        if (desc->params[i].type == LOSS_NUMBER) {
            vary(b, i, 0);
        }
    }
}

bool batch_vary(struct batch *b, size_t k, const char **name)
{
    const struct loss_desc *desc = b->call.desc;
    for (int i = 0; desc->params[i].name != NULL; i++) {
        size_t n = variants(&desc->params[i]);
        if (k < n) {
            vary(b, i, k);
            reconcile(b);
            *name = desc->params[i].name;
            return true;
        }
        k -= n;
    }
    return false;
}

bool batch_free_input(const struct batch *b, int input)
{
    loss_domain domain = b->call.desc->inputs[input].domain;
    int encoding = loss_desc_param(b->call.desc, "label_encoding");
    return domain == LOSS_REAL ||
           (domain == LOSS_ENCODED && encoding >= 0 &&
            strcmp(b->call.desc->params[encoding].words[(size_t)b->call.param[encoding].number], "auto") != 0);
}

void batch_materialise(struct batch *b)
{
    const struct loss_tensor from = b->call.weights, *losses = &b->answer.losses;
    struct loss_tensor to = tensor_new(b, b->call.dtype, losses->rank, losses->shape);
    for (size_t i = 0; i < to.count; i++) {
        size_t rest = i, at = 0, step = 1;
        for (int d = to.rank - 1; d >= 0 && to.shape[d] > 0; d--) {
            size_t index = rest % to.shape[d];
            rest /= to.shape[d];
            if (from.rank > 0) {
                at += (from.shape[d] == 1 ? 0 : index) * step;
                step *= from.shape[d];
            }
        }
        batch_set(&to, i, from.data == NULL ? 1 : batch_get(&from, at));
    }
    b->call.weights = to;
}

static bool same_bits(double a, double b)
{
    uint64_t bits_of_a, bits_of_b;
    memcpy(&bits_of_a, &a, sizeof a);
    memcpy(&bits_of_b, &b, sizeof b);
    return bits_of_a == bits_of_b;
}

bool batch_same_totals(const struct loss_totals *a, const struct loss_totals *b)
{
    return same_bits(a->sum, b->sum) && same_bits(a->mean, b->mean) &&
           same_bits(a->sum_over_batch_size, b->sum_over_batch_size) &&
           same_bits(a->sum_by_nonzero_weights, b->sum_by_nonzero_weights) && same_bits(a->batchmean, b->batchmean) &&
           same_bits(a->weight_sum, b->weight_sum) && a->count == b->count && a->nonzero_weights == b->nonzero_weights;
}

static bool same_tensor(const struct loss_tensor *a, const struct loss_tensor *b)
{
    if ((a->data == NULL) != (b->data == NULL)) {
        return false;
    }
    return a->data == NULL ||
           (a->count == b->count && memcmp(a->data, b->data, a->count * loss_dtype_size(a->dtype)) == 0);
}

static bool same_sum(const struct loss_sum *a, const struct loss_sum *b)
{
    unsigned char of_a[LOSS_SUM_BYTES], of_b[LOSS_SUM_BYTES];
    loss_sum_store(a, of_a);
    loss_sum_store(b, of_b);
    return memcmp(of_a, of_b, LOSS_SUM_BYTES) == 0;
}

const char *batch_difference(const struct loss_answer *a, const struct loss_answer *b)
{
    if (!same_tensor(&a->losses, &b->losses)) {
        return "losses";
    }
    for (int i = 0; i <= LOSS_GRADIENT_WEIGHTS; i++) {
        if (!same_tensor(&a->gradient[i], &b->gradient[i])) {
            return i == LOSS_GRADIENT_WEIGHTS ? "the weights' gradient" : "a gradient";
        }
    }
    if (!batch_same_totals(&a->totals, &b->totals)) {
        return "totals";
    }
    if (!same_bits(a->loss, b->loss)) {
        return "the loss";
    }
    if (!same_sum(&a->sum, &b->sum)) {
        return "the exact sum";
    }
    return same_sum(&a->rest, &b->rest) ? NULL : "the exact sum of what rounding took";
}
