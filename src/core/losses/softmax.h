/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax.h - cross-entropy of exclusive classes, from logits: the kernels of four losses.
 *
 *   m = max z;   e_k = exp(z_k - m);   R = the sum of all e but one maximum's;   lse = m + log1p(R)
 *   dense    L = sum_k y_k (lse - z_k);   dL/dz_k = p_k Y - y_k;   dL/dy_k = lse - z_k;   Y = sum y
 *   sparse   L = lse - z_y;               dL/dz_k = p_k, less 1 at k = y
 *
 * A confident row has an R of 1e-9 or 1e-40, and its loss and gradient are about R: hence the maximum is left out of
 * the sum instead of 1 being taken from it, the rounding error of z - m goes into the exponential, and 1 - p_k is the
 * sum of the other terms. An infinite maximum makes R and everything else NaN, as in TensorFlow.
 *
 * Rows of few classes are worked on sixteen at a time (softmax_narrow.h), others one by one here.
 */
#ifndef LOSS__SOFTMAX_H
#define LOSS__SOFTMAX_H

#include "losses/classes.h"
#include "losses/softmax_narrow.h"

enum { SAVED_CHUNKS = 64 };

/* A row, read once from its beginning, a chunk at a time: m, R and the rest are of what has been read, and are brought
 * to a new maximum where a chunk has one. */
struct softmax {
    double max, base;         /* m, and the same but 0 while m is -infinity */
    double rest;              /* R */
    double log;               /* log1p(R) */
    double inverse;           /* 1/(1 + R) */
    double labels, sum;       /* dense: Y, and the sum of y (m - z) */
    const char *next[2];      /* what is read after this chunk, of logits and of labels */
    double e[ROW_CHUNK];      /* exponentials: of a row of one chunk, else scratch */
    double tail[LANES];       /* the last z of a chunk, padded with -infinity to whole lanes */
    double top[SAVED_CHUNKS]; /* m after each chunk */
};

VM_INLINE size_t softmax_chunk(size_t c, size_t first)
{
    return c - first < ROW_CHUNK ? c - first : ROW_CHUNK;
}

VM_INLINE const void *softmax_from(const void *x, size_t i, bool wide)
{
    return (const char *)x + i * (wide ? sizeof(double) : sizeof(float));
}

VM_INLINE void *softmax_place(void *x, size_t i, bool wide)
{
    return (char *)x + i * (wide ? sizeof(double) : sizeof(float));
}

/* The largest of n numbers. Maxima of whole numbers are what a compiler may take in any order and so in vectors:
 * floats are ordered by their bits, once those of the negative ones are reversed. A NaN may come out as the largest,
 * or not. */
VM_INLINE double softmax_largest_f32(const float *restrict z, size_t n)
{
    int32_t most = INT32_MIN;
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, &z[i], sizeof bits);
        bits ^= (bits >> 31) & INT32_MAX;
        most = bits > most ? bits : most;
    }
    float largest;
    most ^= (most >> 31) & INT32_MAX;
    memcpy(&largest, &most, sizeof largest);
    return (double)largest;
}

VM_INLINE double softmax_largest_f64(const double *restrict z, size_t n)
{
    struct lanes max = lanes_of(-(double)INFINITY);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            max.at[l] = z[i + l] > max.at[l] ? z[i + l] : max.at[l];
        }
    }
    for (size_t l = 0; i + l < n; l++) {
        max.at[l] = z[i + l] > max.at[l] ? z[i + l] : max.at[l];
    }
    return lanes_max(max);
}

/* Memory is read while the processor computes: ask now for what a later chunk will want, wherever it lies. Beyond the
 * end of an array that does no harm. */
VM_INLINE void softmax_fetch(const struct softmax *s, size_t i, bool wide)
{
    for (size_t line = 0; line < LANES * (wide ? sizeof(double) : sizeof(float)); line += 64) {
        __builtin_prefetch((const char *)((uintptr_t)s->next[0] + i * (wide ? sizeof(double) : sizeof(float)) + line));
        __builtin_prefetch((const char *)((uintptr_t)s->next[1] + i * (wide ? sizeof(double) : sizeof(float)) + line));
    }
}

/* The sum of the exponentials of a chunk, and themselves into e where `keep`. */
VM_INLINE double softmax_exps_body(struct softmax *s, const void *z, size_t n, bool keep, bool wide)
{
    struct lanes sum = lanes_of(0.0);
    const double base = s->base;
    double *restrict e = s->e;
    size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        softmax_fetch(s, i, wide);
        for (size_t l = 0; l < LANES; l++) {
            double x = softmax_exp(kernel_load(z, i + l, wide), base, wide);
            if (keep) {
                e[i + l] = x;
            }
            sum.at[l] += x;
        }
    }
    if (whole < n) {
        lanes_load(z, whole, n - whole, -(double)INFINITY, s->tail, wide);
        for (size_t l = 0; l < LANES; l++) {
            double x = softmax_exp(s->tail[l], base, wide);
            e[whole + l] = x;
            sum.at[l] += x;
        }
    }
    return lanes_sum(sum);
}

/* Not inlined: the longest loops there are would else be compiled a dozen times. */
__attribute__((noinline, unused)) static double softmax_exps_f32(struct softmax *s, const void *z, size_t n, bool keep)
{
    return keep ? softmax_exps_body(s, z, n, true, false) : softmax_exps_body(s, z, n, false, false);
}

__attribute__((noinline, unused)) static double softmax_exps_f64(struct softmax *s, const void *z, size_t n)
{
    return softmax_exps_body(s, z, n, true, true);
}

VM_INLINE double softmax_exps(struct softmax *s, const void *z, size_t n, bool keep, bool wide)
{
    return wide ? softmax_exps_f64(s, z, n) : softmax_exps_f32(s, z, n, keep);
}

/* The sum of the kept exponentials but one of the maximum. */
VM_INLINE double softmax_sum_but_top(struct softmax *s, const void *z, size_t n, double largest, bool wide)
{
    size_t top = 0;
    while (kernel_load(z, top, wide) != largest) {
        top++;
    }
    for (size_t i = n; i < lanes_padded(n); i++) {
        s->e[i] = 0;
    }
    struct lanes sum = lanes_of(0.0);
    s->e[top] = 0;
    for (size_t i = 0; i < n; i += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            sum.at[l] += s->e[i + l];
        }
    }
    s->e[top] = 1;
    return lanes_sum(sum);
}

/* The sum of a chunk's exponentials but one of its maximum, which is the row's so far. To take 1 from the sum leaves
 * enough digits for a float32, unless little is left; then, and for float64, the maximum is left out. */
VM_INLINE double softmax_exps_but_top(struct softmax *s, const void *z, size_t n, double largest, bool keep, bool wide)
{
    double rest = softmax_exps(s, z, n, keep || wide, wide) - 1.0;
    if (rest >= SOFTMAX_FEW && !wide) {
        return rest;
    }
    if (rest != rest) {
        return rest;
    }
    if (!keep && !wide) {
        softmax_exps(s, z, n, true, wide);
    }
    return softmax_sum_but_top(s, z, n, largest, wide);
}

/* Bring what was summed so far to a new maximum. */
VM_INLINE void softmax_raise(struct softmax *s, double largest)
{
    double lost, fall = vm_two_diff(s->max, largest, &lost); /* -infinity at the first maximum: only a NaN remains */
    s->rest = (s->rest + 1.0) * vm_exp_hilo(fall, lost);
    s->sum += VM_SELECT(s->labels == 0.0, 0.0, s->labels * (largest - s->base));
    s->max = s->base = largest;
}

/* One chunk into m and R. */
VM_INLINE void softmax_add_chunk(struct softmax *s, const void *z, size_t n, bool keep, bool wide)
{
    double largest = wide ? softmax_largest_f64(z, n) : softmax_largest_f32(z, n);
    if (largest > s->max) {
        softmax_raise(s, largest);
        s->rest += softmax_exps_but_top(s, z, n, largest, keep, wide);
    } else {
        s->rest += softmax_exps(s, z, n, keep, wide);
    }
}

VM_INLINE void softmax_begin(struct softmax *s)
{
    s->max = -(double)INFINITY;
    s->base = s->rest = s->labels = s->sum = 0;
}

VM_INLINE void softmax_end(struct softmax *s, bool wide)
{
    s->rest = VM_SELECT(vm_abs(s->max) <= DBL_MAX, s->rest, (double)NAN);
    s->log = wide ? vm_log1p(s->rest) : vm_log1p_brief(s->rest);
    s->inverse = 1.0 / (1.0 + s->rest);
}

/* Rows of more than one chunk leave their exponentials where their gradient will be, as far as `top` has room: relative
 * to the m of their chunk, and as float32 so large that none that matters is subnormal. */
#define SOFTMAX_RAISED 0x1p64

VM_INLINE bool softmax_leaves(size_t c)
{
    return c > ROW_CHUNK && c <= (size_t)SAVED_CHUNKS * ROW_CHUNK;
}

/* out[i] = x[i] * scale, of doubles; out and x may be one. */
VM_INLINE void softmax_scale(const double *x, double scale, size_t n, void *out, bool wide)
{
    for (size_t i = 0; i < n; i++) {
        kernel_store(out, i, x[i] * scale, wide);
    }
}

VM_INLINE void softmax_scale_again(void *x, double scale, size_t n, bool wide)
{
    for (size_t i = 0; i < n; i++) {
        kernel_store(x, i, kernel_load(x, i, wide) * scale, wide);
    }
}

/* grad[first, first + n) = exp(z - m) * scale */
VM_INLINE void softmax_write(struct softmax *s, const void *z, size_t c, size_t first, size_t n, double scale,
                             void *grad, bool wide)
{
    void *to = softmax_place(grad, first, wide);
    if (softmax_leaves(c)) {
        double lost, fall = vm_two_diff(s->top[first / ROW_CHUNK], s->max, &lost);
        softmax_scale_again(to, vm_exp_hilo(fall, lost) * scale * (wide ? 1.0 : 1.0 / SOFTMAX_RAISED), n, wide);
        return;
    }
    if (c > ROW_CHUNK) {
        softmax_exps(s, softmax_from(z, first, wide), n, true, wide);
    }
    softmax_scale(s->e, scale, n, to, wide);
}

enum { LABEL_GROUP = 4 * LANES };

/* Whether all n labels are 0 and stay so: of one-hot ones nearly all groups are, and need no work. */
VM_INLINE bool softmax_unlabelled(const void *y, size_t n, struct smoothing smooth, bool wide)
{
    if (smooth.add != 0 || n != LABEL_GROUP) {
        return false;
    }
    uint64_t any = 0;
    uint32_t any32 = 0;
    for (size_t i = 0; i < LABEL_GROUP; i++) {
        if (wide) {
            uint64_t bits;
            memcpy(&bits, (const double *)y + i, sizeof bits);
            any |= bits;
        } else {
            uint32_t bits;
            memcpy(&bits, (const float *)y + i, sizeof bits);
            any32 |= bits;
        }
    }
    return wide ? any << 1 == 0 : any32 << 1 == 0; /* -0 is 0 */
}

/* n labels as doubles, smoothed; those up to whole lanes are 0. */
VM_INLINE void softmax_labels(const void *y, size_t n, struct smoothing smooth, double *restrict label, bool wide)
{
    for (size_t i = 0; i < n; i++) {
        label[i] = smoothed(smooth, kernel_load(y, i, wide));
    }
    for (size_t i = n; i < lanes_padded(n); i++) {
        label[i] = 0;
    }
}

/* Y and the sum of y (m - z), in 16 lanes. */
struct softmax_label_sums {
    half_lanes total[2], sum[2];
};

/* Sixteen classes from i on; softmax_term in vectors. */
VM_INLINE void softmax_add_sixteen(struct softmax_label_sums *s, const void *z, const void *y, size_t i, double base,
                                   struct smoothing smooth, bool wide)
{
    for (size_t h = 0; h < 2; h++) {
        half_lanes label, logit;
        half_load(&label, y, i + h * HALF, wide);
        half_load(&logit, z, i + h * HALF, wide);
        label = label * smooth.keep + smooth.add;
        s->total[h] += label;
        s->sum[h] += (half_lanes)((half_mask)(label * (base - logit)) & (label != 0.0));
    }
}

/* One chunk into Y and the sum of y (m - z). */
VM_INLINE void softmax_add_labels(struct softmax *s, const void *z, const void *y, size_t n, struct smoothing smooth,
                                  bool wide)
{
    struct softmax_label_sums sums = {0};
    const double base = s->base;
    for (size_t i = 0; i < n; i += LABEL_GROUP) {
        double label[LABEL_GROUP], logit[LABEL_GROUP];
        size_t m = n - i < LABEL_GROUP ? n - i : LABEL_GROUP;
        const void *from = softmax_from(y, i, wide);
        if (softmax_unlabelled(from, m, smooth, wide)) {
            continue;
        }
        if (m == LABEL_GROUP) {
            for (size_t k = 0; k < LABEL_GROUP; k += LANES) {
                softmax_add_sixteen(&sums, softmax_from(z, i, wide), from, k, base, smooth, wide);
            }
            continue;
        }
        softmax_labels(from, m, smooth, label, wide);
        lanes_load(z, i, m, 0.0, logit, wide);
        for (size_t k = 0; k < m; k += LANES) {
            softmax_add_sixteen(&sums, logit, label, k, base, (struct smoothing){.keep = 1.0}, true);
        }
    }
    s->labels += half_sum(sums.total);
    s->sum += half_sum(sums.sum);
}

/* Read a row: grad is where its gradient will be, or NULL. y: dense labels, or NULL. */
VM_INLINE void softmax_read(struct softmax *s, const void *z, const void *y, struct smoothing smooth, size_t c,
                            void *grad, bool wide)
{
    bool leaves = grad != NULL && softmax_leaves(c), keep = grad != NULL && (leaves || c <= ROW_CHUNK);
    softmax_begin(s);
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = softmax_chunk(c, first);
        const void *from = softmax_from(z, first, wide);
        s->next[0] = (const char *)((uintptr_t)from + n * (wide ? sizeof(double) : sizeof(float)));
        s->next[1] = y == NULL ? s->next[0] : softmax_from(y, first + n, wide);
        softmax_add_chunk(s, from, n, keep, wide);
        if (leaves) {
            s->top[first / ROW_CHUNK] = s->max;
            softmax_scale(s->e, wide ? 1.0 : SOFTMAX_RAISED, n, softmax_place(grad, first, wide), wide);
        }
        if (y != NULL) {
            softmax_add_labels(s, from, softmax_from(y, first, wide), n, smooth, wide);
        }
    }
    softmax_end(s, wide);
}

/* Sparse. */

VM_INLINE void softmax_sparse_gradient(struct softmax *s, const void *z, size_t c, size_t label, double g, void *grad,
                                       bool wide)
{
    double scale = kernel_chain(g, s->inverse);
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        softmax_write(s, z, c, first, softmax_chunk(c, first), scale, grad, wide);
    }
    double others = softmax_others(s->rest, softmax_exp(kernel_load(z, label, wide), s->base, wide));
    kernel_store(grad, label, kernel_chain(g, -others * s->inverse), wide);
}

/* in  labels int64 [n], -1 for a row to be left out; logits [n, c] */
VM_INLINE void softmax_sparse(const struct loss__block *b, bool wide)
{
    if (b->c <= NARROW) {
        narrow_sparse(b, wide);
        return;
    }
    const int64_t *labels = b->in[0];
    struct softmax s;
    for (size_t r = 0; r < b->n; r++) {
        const void *z = softmax_from(b->in[1], r * b->c, wide);
        void *grad = b->grad[1] == NULL ? NULL : softmax_place(b->grad[1], r * b->c, wide);
        if (labels[r] < 0) {
            b->loss[r] = 0;
            if (grad != NULL) {
                memset(grad, 0, b->c * (wide ? sizeof(double) : sizeof(float)));
            }
            continue;
        }
        softmax_read(&s, z, NULL, (struct smoothing){0}, b->c, grad, wide);
        b->loss[r] = (s.max - kernel_load(z, (size_t)labels[r], wide)) + s.log;
        if (grad != NULL) {
            softmax_sparse_gradient(&s, z, b->c, (size_t)labels[r], b->g[r], grad, wide);
        }
    }
}

/* Dense. */

/* dL/dz of the groups of one chunk that have labels. */
VM_INLINE void softmax_label_slopes(const struct softmax *s, const void *z, const void *y, size_t n,
                                    struct smoothing smooth, double g, void *grad, bool wide)
{
    for (size_t i = 0; i < n; i += LABEL_GROUP) {
        double label[LABEL_GROUP], slope[LABEL_GROUP];
        size_t m = n - i < LABEL_GROUP ? n - i : LABEL_GROUP;
        const void *from = softmax_from(y, i, wide);
        if (softmax_unlabelled(from, m, smooth, wide)) {
            continue;
        }
        softmax_labels(from, m, smooth, label, wide);
        lanes_load(z, i, m, 0.0, slope, wide);
        for (size_t k = 0; k < lanes_padded(m); k++) {
            double e = softmax_exp(slope[k], s->base, wide);
            slope[k] = kernel_chain(g, softmax_slope(label[k], s->labels, s->rest, e) * s->inverse);
        }
        softmax_scale(slope, 1.0, m, softmax_place(grad, i, wide), wide);
    }
}

/* dL/dz of a row of one chunk, whose exponentials are kept. */
VM_INLINE void softmax_kept_slopes(const struct softmax *s, const void *y, size_t n, struct smoothing smooth, double g,
                                   void *grad, bool wide)
{
    const double labels = s->labels, rest = s->rest, inverse = s->inverse;
    const double unlabelled = kernel_chain(g, labels * inverse);
    for (size_t i = 0; i < n; i += LABEL_GROUP) {
        size_t m = n - i < LABEL_GROUP ? n - i : LABEL_GROUP;
        const void *from = softmax_from(y, i, wide);
        void *to = softmax_place(grad, i, wide);
        const double *e = s->e + i;
        if (softmax_unlabelled(from, m, smooth, wide)) {
            softmax_scale(e, unlabelled, m, to, wide);
            continue;
        }
        double slope[LABEL_GROUP];
        for (size_t k = 0; k < m; k++) {
            double label = smoothed(smooth, kernel_load(from, k, wide));
            slope[k] = kernel_chain(g, softmax_slope(label, labels, rest, e[k]) * inverse);
        }
        softmax_scale(slope, 1.0, m, to, wide);
    }
}

/* dL/dy of one chunk. */
VM_INLINE void softmax_labels_gradient(const struct softmax *s, const void *z, size_t n, struct smoothing smooth,
                                       double g, void *grad, bool wide)
{
    for (size_t i = 0; i < n; i++) {
        double slope = smooth.keep * ((s->max - kernel_load(z, i, wide)) + s->log);
        kernel_store(grad, i, kernel_chain(g, slope), wide);
    }
}

VM_INLINE void softmax_dense_row(struct softmax *s, const struct loss__block *b, size_t r, struct smoothing smooth,
                                 bool wide)
{
    size_t c = b->c, row = r * c;
    const void *y = softmax_from(b->in[0], row, wide), *z = softmax_from(b->in[1], row, wide);
    void *of_labels = b->grad[0] == NULL ? NULL : softmax_place(b->grad[0], row, wide);
    void *of_logits = b->grad[1] == NULL ? NULL : softmax_place(b->grad[1], row, wide);
    softmax_read(s, z, y, smooth, c, of_logits, wide);
    b->loss[r] = s->sum + s->labels * s->log;
    for (size_t first = 0; first < c && b->g != NULL; first += ROW_CHUNK) {
        size_t n = softmax_chunk(c, first);
        const void *from = softmax_from(z, first, wide), *labels = softmax_from(y, first, wide);
        if (of_logits != NULL && c <= ROW_CHUNK) {
            softmax_kept_slopes(s, y, c, smooth, b->g[r], of_logits, wide);
        } else if (of_logits != NULL) {
            double unlabelled = kernel_chain(b->g[r], s->labels * s->inverse);
            softmax_write(s, z, c, first, n, unlabelled, of_logits, wide);
            softmax_label_slopes(s, from, labels, n, smooth, b->g[r], softmax_place(of_logits, first, wide), wide);
        }
        if (of_labels != NULL) {
            softmax_labels_gradient(s, from, n, smooth, b->g[r], softmax_place(of_labels, first, wide), wide);
        }
    }
}

/* in  labels [n, c], logits [n, c]. A row without classes has loss 0. */
VM_INLINE void softmax_dense(const struct loss__block *b, double label_smoothing, bool wide)
{
    struct smoothing smooth = {.keep = 1.0 - label_smoothing, .add = label_smoothing / (double)b->c};
    if (b->c == 0) {
        memset(b->loss, 0, b->n * sizeof *b->loss);
    } else if (b->c <= NARROW) {
        narrow_dense(b, smooth, wide);
    } else {
        struct softmax s;
        for (size_t r = 0; r < b->n; r++) {
            softmax_dense_row(&s, b, r, smooth, wide);
        }
    }
}

#define LOSS__SOFTMAX_LOGITS                                                                                           \
    {                                                                                                                  \
        LOSS__LOGITS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,                   \
                      .differentiable = true                                                                           \
    }
#define LOSS__DISTRIBUTION_LABELS(...)                                                                                 \
    {                                                                                                                  \
        .name = "labels", .doc = "Weight of each class, usually a distribution.", .aliases = LOSS__WORDS(__VA_ARGS__), \
        .differentiable = true                                                                                         \
    }

#endif
