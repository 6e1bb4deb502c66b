/* SPDX-License-Identifier: Apache-2.0
 *
 * divergence.h - losses that compare two distributions, class by class: how they are read, summed and differentiated.
 *
 *   y, p    labels and predictions as probabilities: given so, as their logarithms, or as logits
 *   diff    y - p, also where it cancels: p expm1(log y - log p) where logarithms are what was given
 *   L = sum_k term_k, or where terms alone do not add up to it, sum_k term_k + sum_k diff_k
 *   dL/dx   of probabilities dL/dp; of logarithms T = p dL/dp; of logits T_j - p_j sum_k T_k
 *
 * Elements are worked on some hundreds at a time, of several short rows or a part of a long one, and then summed row by
 * row. Where a gradient is of logits, long rows are gone through again for it, for it needs the sum of T.
 */
#ifndef LOSS__DIVERGENCE_H
#define LOSS__DIVERGENCE_H

#include "losses/softmax.h"
#include "vmath_ratio.h"

/* As LOSS__FORM_PARAM lists its words. */
enum form { FORM_PROBABILITIES, FORM_LOGS, FORM_LOGITS };

enum { DIVERGENCE_CHUNK = 256, DIVERGENCE_ROOM = DIVERGENCE_CHUNK + LANES };

/* One of the two distributions: elements of a chunk. */
struct distribution {
    const void *x;
    enum form form;
    double max, log;                                     /* of the last row read as logits: m and log1p(R) */
    double at[DIVERGENCE_ROOM], log_at[DIVERGENCE_ROOM]; /* probabilities and their logarithms */
    double slope[DIVERGENCE_ROOM];                       /* dL/dp, or T */
};

struct divergence {
    struct distribution y, p;
    double epsilon, beta;
    bool logs;        /* log_at are known: not both are given as probabilities */
    bool sums_to_one; /* both do, by themselves: diff adds up to nothing */
    bool plus_diff;   /* L is the sum of terms and of diff */
    double term[DIVERGENCE_ROOM], diff[DIVERGENCE_ROOM];
};

/* Fills term, diff and the slopes of n elements from at and log_at. Not inlined, to be compiled once. */
typedef void divergence_rule(struct divergence *d, size_t n);

/* Whether |d| is so small that exp(d) - 1 needs care; it is then below a half of ln 2. */
#define DIVERGENCE_NEAR 0.34

/* m and log1p(R) of a row of logits, in full precision also for float32: rows that nearly agree cancel. */
VM_INLINE void divergence_read_body(struct distribution *x, const void *z, size_t c, bool wide)
{
    struct softmax s;
    double row[ROW_CHUNK];
    softmax_begin(&s);
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = softmax_chunk(c, first);
        lanes_load(z, first, n, 0.0, row, wide);
        s.next[0] = s.next[1] = (const char *)row;
        softmax_add_chunk(&s, row, n, false, true);
    }
    softmax_end(&s, true);
    x->max = s.max;
    x->log = s.log;
}

/* What is long is compiled once a dtype. */

__attribute__((noinline, unused)) static void divergence_read_f32(struct distribution *x, const void *z, size_t c)
{
    divergence_read_body(x, z, c, false);
}

__attribute__((noinline, unused)) static void divergence_read_f64(struct distribution *x, const void *z, size_t c)
{
    divergence_read_body(x, z, c, true);
}

VM_INLINE void divergence_read(struct distribution *x, const void *z, size_t c, bool wide)
{
    if (wide) {
        divergence_read_f64(x, z, c);
    } else {
        divergence_read_f32(x, z, c);
    }
}

__attribute__((noinline, unused)) static void divergence_logs(const double *restrict x, size_t n, double *restrict log)
{
    for (size_t i = 0; i < n; i++) {
        log[i] = vm_log(x[i]);
    }
}

__attribute__((noinline, unused)) static void divergence_exps(const double *restrict x, size_t n, double *restrict exp)
{
    for (size_t i = 0; i < n; i++) {
        exp[i] = vm_exp(x[i]);
    }
}

/* n elements from `from` on into at and log_at, from `to` on. */
VM_INLINE void divergence_fill(struct distribution *x, const void *from, size_t n, size_t to, bool logs, bool wide)
{
    double *restrict at = x->at + to, *restrict log_at = x->log_at + to;
    if (x->form == FORM_PROBABILITIES) {
        for (size_t i = 0; i < n; i++) {
            at[i] = kernel_load(from, i, wide);
        }
        if (logs) {
            divergence_logs(at, n, log_at);
        }
        return;
    }
    const bool logits = x->form == FORM_LOGITS;
    const double max = logits ? x->max : 0.0, log = logits ? x->log : 0.0;
    for (size_t i = 0; i < n; i++) {
        log_at[i] = (kernel_load(from, i, wide) - max) - log;
    }
    divergence_exps(log_at, n, at);
}

/* Rows [row, row + rows) of c elements, or n elements from `first` on of one row; up to whole lanes, ones. */
VM_INLINE void divergence_load(struct distribution *x, size_t row, size_t rows, size_t c, size_t first, size_t n,
                               bool logs, bool wide)
{
    if (x->form == FORM_LOGITS && n == rows * c) {
        for (size_t r = 0; r < rows; r++) {
            const void *z = softmax_from(x->x, (row + r) * c, wide);
            divergence_read(x, z, c, wide);
            divergence_fill(x, z, c, r * c, logs, wide);
        }
    } else {
        divergence_fill(x, softmax_from(x->x, row * c + first, wide), n, 0, logs, wide);
    }
    for (size_t i = n; i < lanes_padded(n); i++) {
        x->at[i] = 1.0;
        x->log_at[i] = 0.0;
    }
}

/* A row's sums so far. */
struct divergence_sums {
    double loss, high, low; /* of terms, and of diff */
    double of_y, of_p;      /* of T */
};

/* x[0, n), of which more may be read up to whole lanes. */
VM_INLINE double divergence_sum(const double *x, size_t n)
{
    struct lanes sum = lanes_of(0.0);
    size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            sum.at[l] += x[i + l]; /* NOLINT(clang-analyzer-core*): up to whole lanes all of it is set */
        }
    }
    for (size_t l = 0; l < LANES; l++) {
        sum.at[l] += VM_SELECT((double)l < (double)(n - whole), x[whole + l], 0.0);
    }
    return lanes_sum(sum);
}

VM_INLINE void divergence_add(const struct divergence *d, size_t from, size_t n, struct divergence_sums *sums,
                              bool wide)
{
    sums->loss += divergence_sum(d->term + from, n);
    if (d->plus_diff && !d->sums_to_one && !wide) {
        sums->high += divergence_sum(d->diff + from, n);
    }
    for (size_t i = from; d->plus_diff && !d->sums_to_one && wide && i < from + n; i++) {
        double lost;
        sums->high = vm_two_sum(sums->high, d->diff[i], &lost);
        sums->low += VM_SELECT(lost - lost == 0.0, lost, 0.0);
    }
    sums->of_y += d->y.form == FORM_LOGITS ? divergence_sum(d->y.slope + from, n) : 0.0;
    sums->of_p += d->p.form == FORM_LOGITS ? divergence_sum(d->p.slope + from, n) : 0.0;
}

/* n slopes of a row to grad, unless that is NULL. */
VM_INLINE void divergence_gradient(const struct distribution *x, size_t from, size_t n, double sum, double g,
                                   void *grad, bool wide)
{
    if (grad == NULL) {
        return;
    }
    if (x->form != FORM_LOGITS) {
        for (size_t i = 0; i < n; i++) {
            kernel_store(grad, i, kernel_chain(g, x->slope[from + i]), wide);
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        kernel_store(grad, i, kernel_chain(g, x->slope[from + i] - x->at[from + i] * sum), wide);
    }
}

/* Gradients of n elements that lie at `at` of the block and at `from` of the chunk. */
VM_INLINE void divergence_gradients(const struct divergence *d, const struct loss__block *b, size_t r, size_t at,
                                    size_t from, size_t n, const struct divergence_sums *sums, bool wide)
{
    void *of_y = b->grad[0] == NULL ? NULL : softmax_place(b->grad[0], at, wide);
    void *of_p = b->grad[1] == NULL ? NULL : softmax_place(b->grad[1], at, wide);
    divergence_gradient(&d->y, from, n, sums->of_y, b->g[r], of_y, wide);
    divergence_gradient(&d->p, from, n, sums->of_p, b->g[r], of_p, wide);
}

VM_INLINE void divergence_keep(const struct loss__block *b, size_t r, const struct divergence_sums *sums)
{
    b->loss[r] = sums->loss + (sums->high + sums->low);
}

VM_INLINE void divergence_elements(struct divergence *d, size_t row, size_t rows, size_t c, size_t first, size_t n,
                                   divergence_rule *rule, bool wide)
{
    divergence_load(&d->y, row, rows, c, first, n, d->logs, wide);
    divergence_load(&d->p, row, rows, c, first, n, d->logs, wide);
    rule(d, lanes_padded(n));
}

VM_INLINE void divergence_short_rows(struct divergence *d, const struct loss__block *b, divergence_rule *rule,
                                     bool wide)
{
    size_t at_once = DIVERGENCE_CHUNK / b->c;
    for (size_t row = 0; row < b->n; row += at_once) {
        size_t rows = b->n - row < at_once ? b->n - row : at_once;
        divergence_elements(d, row, rows, b->c, 0, rows * b->c, rule, wide);
        for (size_t r = 0; r < rows; r++) {
            struct divergence_sums sums = {0};
            divergence_add(d, r * b->c, b->c, &sums, wide);
            divergence_keep(b, row + r, &sums);
            if (b->g != NULL) {
                divergence_gradients(d, b, row + r, (row + r) * b->c, r * b->c, b->c, &sums, wide);
            }
        }
    }
}

VM_INLINE void divergence_long_row(struct divergence *d, const struct loss__block *b, size_t r, divergence_rule *rule,
                                   bool wide)
{
    bool logits = d->y.form == FORM_LOGITS || d->p.form == FORM_LOGITS;
    struct divergence_sums sums = {0};
    if (d->y.form == FORM_LOGITS) {
        divergence_read(&d->y, softmax_from(d->y.x, r * b->c, wide), b->c, wide);
    }
    if (d->p.form == FORM_LOGITS) {
        divergence_read(&d->p, softmax_from(d->p.x, r * b->c, wide), b->c, wide);
    }
    for (int pass = 0; pass < (logits && b->g != NULL ? 2 : 1); pass++) {
        for (size_t first = 0; first < b->c; first += DIVERGENCE_CHUNK) {
            size_t n = b->c - first < DIVERGENCE_CHUNK ? b->c - first : DIVERGENCE_CHUNK;
            divergence_elements(d, r, 1, b->c, first, n, rule, wide);
            if (pass == 0) {
                divergence_add(d, 0, n, &sums, wide);
            }
            if (b->g != NULL && pass == logits) {
                divergence_gradients(d, b, r, r * b->c + first, 0, n, &sums, wide);
            }
        }
    }
    divergence_keep(b, r, &sums);
}

/* in  labels [n, c], predictions [n, c] */
VM_INLINE void divergence(const struct loss__block *b, struct divergence *d, divergence_rule *rule, bool wide)
{
    d->y.x = b->in[0];
    d->p.x = b->in[1];
    d->logs = d->y.form != FORM_PROBABILITIES || d->p.form != FORM_PROBABILITIES;
    if (b->c == 0) {
        memset(b->loss, 0, b->n * sizeof *b->loss);
    } else if (b->c <= DIVERGENCE_CHUNK) {
        divergence_short_rows(d, b, rule, wide);
    } else {
        for (size_t r = 0; r < b->n; r++) {
            divergence_long_row(d, b, r, rule, wide);
        }
    }
}

#define LOSS__FORM_PARAM(of, what)                                                                                     \
    {                                                                                                                  \
        .name = of, .doc = "What " what " are.", .words = LOSS__WORDS("probabilities", "log_probabilities", "logits"), \
        .type = LOSS_WORD, .fallback = FORM_PROBABILITIES                                                              \
    }

#endif
