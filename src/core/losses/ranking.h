/* SPDX-License-Identifier: Apache-2.0
 *
 * ranking.h - lists of items with labels and scores, of which a mask may leave some out: what losses of them share.
 *
 * A stage of its own reads a list into scratch, as doubles and without what is masked; later stages work on blocks of
 * ITEMS items, each against its whole list, so that a long list is shared among threads and can be given up.
 *
 * With u = exp((s - m)/T) for the middle m of the scores, exp((s_j - s_i)/T) is u_j/u_i: no exponential a pair. Where the
 * scores lie too far apart for that, it is computed pair by pair.
 */
#ifndef LOSS__RANKING_H
#define LOSS__RANKING_H

#include "lanes.h"

enum { ITEMS = 64 };

/* Arrays of a list in scratch; a loss may have more. */
enum {
    PLACE, /* size_t: where in the row the item is */
    LABEL, /* double */
    SCORE, /* double */
    ORDER, /* size_t, while sorting */
    SPARE, /* of either, while sorting */
    LIST_ARRAYS,
};

struct list {
    size_t items; /* that are not masked */
    double bad;   /* 0, or NaN where an input is not to be computed with */
    double temperature;
    double scale;     /* what the list's loss is multiplied by, as its kind has it */
    size_t steps;     /* see share.h; 0: scores too far apart */
    double low, high; /* of the scores */
};

#define LIST_BYTES ((sizeof(struct list) + 63) / 64 * 64)

VM_INLINE size_t list_stride(size_t c)
{
    return lanes_padded(c) + LANES;
}

VM_INLINE size_t list_bytes(const struct loss__block *b, size_t arrays)
{
    return b->n * (LIST_BYTES + arrays * list_stride(b->c) * sizeof(double));
}

VM_INLINE struct list *list_at(const struct loss__block *b, size_t r, size_t arrays)
{
    return (void *)((char *)b->scratch + r * (LIST_BYTES + arrays * list_stride(b->c) * sizeof(double)));
}

VM_INLINE double *list_numbers(const struct loss__block *b, struct list *list, size_t array)
{
    return (double *)((char *)list + LIST_BYTES) + array * list_stride(b->c);
}

VM_INLINE size_t *list_places(const struct loss__block *b, struct list *list, size_t array)
{
    return (size_t *)list_numbers(b, list, array);
}

/* Parts of a stage that works on whole lists, and on blocks of items. */
__attribute__((unused)) static size_t list_parts(const struct loss__block *b)
{
    return b->n;
}

__attribute__((unused)) static size_t item_parts(const struct loss__block *b)
{
    return b->n * ((b->c + ITEMS - 1) / ITEMS);
}

/* Part `part` of such a stage. */
struct items {
    struct list *list;
    size_t first, end;
};

VM_INLINE struct items items_of(const struct loss__block *b, size_t arrays)
{
    size_t a_list = (b->c + ITEMS - 1) / ITEMS;
    struct items items = {.list = list_at(b, b->part / a_list, arrays), .first = b->part % a_list * ITEMS};
    items.end = items.first + ITEMS < items.list->items ? items.first + ITEMS : items.list->items;
    return items;
}

VM_INLINE bool is_masked(const struct loss__block *b, size_t i, bool wide)
{
    return b->in[2] != NULL && kernel_load(b->in[2], i, wide) == 0;
}

/* Read n items of a list without a mask. */
VM_INLINE void list_read_all(struct list *list, const void *labels, const void *scores, size_t n,
                             size_t *restrict place, double *restrict label, double *restrict score, bool wide)
{
    struct lanes low = lanes_of(-(double)INFINITY), high = low, bad = lanes_of(0.0); /* low: of minus the scores */
    lanes_load(labels, 0, n, 0.0, label, wide);
    lanes_load(scores, 0, n, 0.0, score, wide);
    for (size_t k = 0; k < n; k++) {
        place[k] = k;
    }
    for (size_t k = 0; k < n / LANES * LANES; k += LANES) {
        for (int l = 0; l < LANES; l++) {
            double y = label[k + l], s = score[k + l];
            bad.at[l] += VM_SELECT(y == y, 0.0, y) + (s - s);
            low.at[l] = -s > low.at[l] ? -s : low.at[l];
            high.at[l] = s > high.at[l] ? s : high.at[l];
        }
    }
    for (size_t k = n / LANES * LANES; k < n; k++) {
        size_t l = k % LANES;
        double y = label[k], s = score[k];
        bad.at[l] += VM_SELECT(y == y, 0.0, y) + (s - s);
        low.at[l] = -s > low.at[l] ? -s : low.at[l];
        high.at[l] = s > high.at[l] ? s : high.at[l];
    }
    list->items = n;
    list->bad = lanes_sum(bad);
    list->low = -lanes_max(low);
    list->high = lanes_max(high);
}

/* Read list `r`: labels are the block's first input, scores its second, a mask its third. */
VM_INLINE struct list *list_read(const struct loss__block *b, size_t r, size_t arrays, double temperature, bool wide)
{
    struct list *list = list_at(b, r, arrays);
    *list = (struct list){.temperature = temperature, .scale = 1, .low = INFINITY, .high = -INFINITY};
    size_t *place = list_places(b, list, PLACE);
    double *label = list_numbers(b, list, LABEL), *score = list_numbers(b, list, SCORE);
    if (b->in[2] == NULL) {
        list_read_all(list, row_from(b->in[0], r * b->c, wide), row_from(b->in[1], r * b->c, wide), b->c, place, label,
                      score, wide);
        return list;
    }
    for (size_t k = 0; k < b->c; k++) {
        size_t i = r * b->c + k;
        if (is_masked(b, i, wide)) {
            continue;
        }
        double y = kernel_load(b->in[0], i, wide), s = kernel_load(b->in[1], i, wide);
        list->bad += (y == y ? 0.0 : y) + (s - s); /* an infinite score has no place beside others */
        list->low = s < list->low ? s : list->low;
        list->high = s > list->high ? s : list->high;
        place[list->items] = k;
        label[list->items] = y;
        score[list->items++] = s;
    }
    return list;
}

/* order[] of n keys: the largest first, equal ones as they stand. `spare` is as large. */
VM_INLINE size_t *list_sort_runs(const double *key, size_t n, size_t *order, size_t *spare)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t first = 0; first < n; first += 2 * width) {
            size_t middle = first + width < n ? first + width : n, end = middle + width < n ? middle + width : n;
            size_t a = first, b = middle;
            for (size_t to = first; to < end; to++) {
                bool second = a == middle || (b < end && key[order[b]] > key[order[a]]);
                spare[to] = second ? order[b++] : order[a++];
            }
        }
        size_t *swap = order;
        order = spare;
        spare = swap;
    }
    return order;
}

__attribute__((noinline, unused)) static const size_t *list_order(const double *key, size_t n, size_t *order,
                                                                  size_t *spare)
{
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
    }
    return list_sort_runs(key, n, order, spare);
}

/* Bring the items into the order of falling labels, and array `extra` along unless that is one of them. Needs room for n
 * doubles beside. */
VM_INLINE void list_sort_by_label(const struct loss__block *b, struct list *list, double *room, size_t extra)
{
    const size_t *order =
        list_order(list_numbers(b, list, LABEL), list->items, list_places(b, list, ORDER), list_places(b, list, SPARE));
    const size_t arrays[] = {PLACE, LABEL, SCORE, extra};
    for (size_t k = 0; k < (extra > SCORE ? 4 : 3); k++) {
        uint64_t *from = (void *)list_numbers(b, list, arrays[k]), *to = (void *)room;
        for (size_t i = 0; i < list->items; i++) {
            to[i] = from[order[i]];
        }
        memcpy(from, to, list->items * sizeof *to);
    }
}

/* [first[i], end[i]) of each item, in the order of labels: those with the same label. How many pairs have not. */
VM_INLINE double list_group(const double *label, size_t n, size_t *first, size_t *end)
{
    double pairs = 0;
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && label[next] == label[i];) {
            next++;
        }
        for (size_t k = i; k < next; k++) {
            first[k] = i;
            end[k] = next;
        }
        pairs += (double)(next - i) * (double)(n - next);
    }
    return pairs;
}

/* Whether two labels of list `r` differ; a NaN does from itself. */
VM_INLINE bool list_has_pair(const struct loss__block *b, size_t r)
{
    double seen = 0;
    bool any = false;
    for (size_t i = r * b->c; i < (r + 1) * b->c; i++) {
        if (is_masked(b, i, b->wide)) {
            continue;
        }
        double y = kernel_load(b->in[0], i, b->wide);
        if (y != y || (any && y != seen)) {
            return true;
        }
        seen = y;
        any = true;
    }
    return false;
}

/* Gradients of a list whose items have these slopes with respect to their scores; NULL: all 0. */
VM_INLINE void list_write(const struct loss__block *b, size_t r, struct list *list, const double *slope, bool wide)
{
    if (b->grad[1] == NULL) {
        return;
    }
    void *grad = row_place(b->grad[1], r * b->c, wide);
    memset(grad, 0, b->c * (wide ? sizeof(double) : sizeof(float)));
    const size_t *place = list_places(b, list, PLACE);
    for (size_t i = 0; i < list->items; i++) {
        double at = slope == NULL ? 0.0 : slope[i];
        kernel_store(grad, place[i], kernel_chain(b->g[r], list->bad == list->bad ? at : list->bad), wide);
    }
}

VM_INLINE double list_sum(const double *x, size_t n)
{
    struct lanes sum = lanes_of(0.0);
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            sum.at[l] += x[i + l];
        }
    }
    for (size_t i = whole; i < n; i++) {
        sum.at[i - whole] += x[i];
    }
    return lanes_sum(sum);
}

/* 2^y - 1 */
VM_INLINE double list_gain(double y)
{
    return vm_expm1(y * 0x1.62e42fefa39efp-1);
}

/* 1/log2(1 + r) */
VM_INLINE double list_discount(double rank)
{
    return 0x1.62e42fefa39efp-1 / vm_log(1.0 + rank);
}

#define LOSS__RANKING_INPUTS                                                                                           \
    {                                                                                                                  \
        {.name = "labels", .doc = "How good each item is.", .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES)},             \
            {.name = "scores",                                                                                         \
             .doc = "By which the items of a list are ordered.",                                                       \
             .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES),                                                               \
             .extent = LOSS_FREE,                                                                                      \
             .main = true,                                                                                             \
             .differentiable = true},                                                                                  \
        {                                                                                                              \
            .name = "mask", .doc = "0 for items that are not in the list, else 1.", .domain = LOSS_BINARY,             \
            .optional = true                                                                                           \
        }                                                                                                              \
    }
#define LOSS__TEMPERATURE(standard)                                                                                    \
    {                                                                                                                  \
        .name = "temperature", .doc = "What scores are divided by.", .type = LOSS_NUMBER, .fallback = (standard),      \
        .min = 0, .max = INFINITY, .above_min = true, .below_max = true                                                \
    }

#endif
