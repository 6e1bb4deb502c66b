/* SPDX-License-Identifier: Apache-2.0
 *
 * softmax_terms.h - losses that are a sum over classes of what the probability of each costs, from logits.
 *
 *   t_k = w_k (y_k (1 - s) + s/K)          weight of class k: class weights w, labels y smoothed by s
 *   L = sum_k term(t_k, p_k) + lambda lse^2
 *   v_k = -dterm/dlog p_k;  V = sum_k v_k;  dL/du_k = p_k (V + 2 lambda lse) - v_k
 *   u = z, or the capped c tanh(z/c), of which p and lse are; then dL/dz_k = dL/du_k (1 - tanh^2(z_k/c))
 *
 * A loss gives its term and v by a function of one class; p and 1 - p are as in softmax.h, so neither loses digits.
 * Labels are a distribution over the classes, or the index of one; where a term is of one class alone, the functions of
 * a single term compute no others.
 */
#ifndef LOSS__SOFTMAX_TERMS_H
#define LOSS__SOFTMAX_TERMS_H

#include "losses/softmax.h"

/* Classes of weights t, costs -log p, and q = 1 - p; what a rule makes of them. */
struct terms_group {
    double t[LABEL_GROUP], cost[LABEL_GROUP], p[LABEL_GROUP], q[LABEL_GROUP];
    double loss[LABEL_GROUP], v[LABEL_GROUP];
};

/* Of the first n classes. k: the loss's own numbers. A class of weight 0 adds nothing. */
typedef void softmax_rule(struct terms_group *at, size_t n, const double *k);

struct terms {
    softmax_rule *rule;
    const double *k;
    double keep, add;                       /* labels are y*keep + add */
    const struct loss_param_value *weights; /* of the classes: a vector, or a number for all; NULL: none */
    double z_loss, softcap;                 /* lambda, and c; 0: none */
    bool sparse;                            /* labels are class indices */
};

__attribute__((noinline, unused)) static void term_cross_entropy(struct terms_group *at, size_t n, const double *k)
{
    (void)k;
    for (size_t i = 0; i < n; i++) {
        at->loss[i] = VM_SELECT(at->t[i] == 0.0, 0.0, at->t[i] * at->cost[i]);
        at->v[i] = at->t[i];
    }
}

VM_INLINE double terms_weight(const struct terms *terms, size_t k, bool wide)
{
    const struct loss_param_value *w = terms->weights;
    return w == NULL ? 1.0 : w->vector.data == NULL ? w->number : kernel_load(w->vector.data, k, wide);
}

/* lambda lse^2 to *loss, and what it adds to V. */
VM_INLINE double terms_z_loss(double lambda, double lse, double *loss)
{
    if (lambda == 0) {
        return 0;
    }
    *loss += lambda * (lse * lse);
    return 2.0 * lambda * lse;
}

/* c tanh(z/c) */
VM_INLINE double softcap(double z, double c)
{
    double x = z / c, t = vm_expm1(-2.0 * vm_abs(x));
    return c * vm_copysign(t / (2.0 + t), x);
}

/* Its derivative 1 - tanh^2(z/c), which keeps its digits where it is small. */
VM_INLINE double softcap_slope(double z, double c)
{
    double t = vm_exp(-2.0 * vm_abs(z / c));
    return 4.0 * t / ((1.0 + t) * (1.0 + t));
}

/* Wide rows, a chunk at a time. Rows of one chunk keep their exponentials and v; of longer ones they are computed again
 * when they are needed again. */
struct terms_row {
    struct softmax s;
    double u[ROW_CHUNK]; /* capped logits of a chunk */
    double v[ROW_CHUNK];
    double loss, all; /* so far: L, and V */
};

/* What is long is compiled once a dtype, not once a use: these parameters are rare. */

__attribute__((noinline, unused)) static void terms_chunk_f32(struct softmax *s, const void *z, size_t n, bool keep)
{
    softmax_add_chunk(s, z, n, keep, false);
}

__attribute__((noinline, unused)) static void terms_chunk_f64(struct softmax *s, const void *z, size_t n, bool keep)
{
    softmax_add_chunk(s, z, n, keep, true);
}

__attribute__((noinline, unused)) static void terms_end(struct softmax *s, bool wide)
{
    if (wide) {
        softmax_end(s, true);
    } else {
        softmax_end(s, false);
    }
}

__attribute__((noinline, unused)) static void terms_softcap(double *u, size_t n, double c)
{
    for (size_t i = 0; i < n; i++) {
        u[i] = softcap(u[i], c);
    }
}

__attribute__((noinline, unused)) static void terms_softcap_slopes(double *z, size_t n, double c)
{
    for (size_t i = 0; i < n; i++) {
        z[i] = softcap_slope(z[i], c);
    }
}

/* The logits of a chunk: doubles where they are capped. */
VM_INLINE const void *terms_logits(struct terms_row *row, const void *z, size_t first, size_t n,
                                   const struct terms *terms, bool capped, bool wide)
{
    const void *from = softmax_from(z, first, wide);
    if (!capped) {
        return from;
    }
    for (size_t i = 0; i < n; i++) {
        row->u[i] = kernel_load(from, i, wide);
    }
    terms_softcap(row->u, n, terms->softcap);
    return row->u;
}

VM_INLINE void terms_read(struct terms_row *row, const void *z, size_t c, const struct terms *terms, bool capped,
                          bool wide)
{
    struct softmax *s = &row->s;
    softmax_begin(s);
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = softmax_chunk(c, first);
        const void *from = terms_logits(row, z, first, n, terms, capped, wide);
        s->next[0] = s->next[1] = from;
        if (capped || wide) {
            terms_chunk_f64(s, from, n, c <= ROW_CHUNK);
        } else {
            terms_chunk_f32(s, from, n, c <= ROW_CHUNK);
        }
    }
    terms_end(s, capped || wide);
}

/* The logits and exponentials of a chunk, after all were read. */
VM_INLINE const void *terms_again(struct terms_row *row, const void *z, size_t c, size_t first,
                                  const struct terms *terms, bool capped, bool wide)
{
    if (c <= ROW_CHUNK) {
        return capped ? row->u : z;
    }
    size_t n = softmax_chunk(c, first);
    const void *from = terms_logits(row, z, first, n, terms, capped, wide);
    if (capped || wide) {
        softmax_exps(&row->s, from, n, true, true);
    } else {
        softmax_exps(&row->s, from, n, true, false);
    }
    return from;
}

/* The labels of a row: of each class, or NULL and the index of one. */
struct terms_labels {
    const void *y;
    int64_t index;
};

/* Whether all m classes from `at` on have t = 0. */
VM_INLINE bool terms_idle(const struct terms *terms, struct terms_labels labels, size_t at, size_t m, bool wide)
{
    if (!terms->sparse) {
        struct smoothing smooth = {terms->keep, terms->add};
        return softmax_unlabelled(softmax_from(labels.y, at, wide), m, smooth, wide);
    }
    return terms->add == 0 && (labels.index < (int64_t)at || labels.index >= (int64_t)(at + m));
}

VM_INLINE void terms_weigh(const struct terms *terms, size_t at, size_t m, double *restrict t, bool wide)
{
    const struct loss_param_value *w = terms->weights;
    if (w == NULL) {
        return;
    }
    if (w->vector.data == NULL) {
        for (size_t i = 0; i < m; i++) {
            t[i] *= w->number;
        }
        return;
    }
    for (size_t i = 0; i < m; i++) {
        t[i] *= kernel_load(w->vector.data, at + i, wide);
    }
}

/* t of m classes from `at` on; 0 up to whole lanes. */
VM_INLINE void terms_targets(const struct terms *terms, struct terms_labels labels, size_t at, size_t m,
                             double *restrict t, bool wide)
{
    for (size_t i = 0; i < m && terms->sparse; i++) {
        t[i] = terms->add;
    }
    if (terms->sparse && labels.index >= (int64_t)at && labels.index < (int64_t)(at + m)) {
        t[(size_t)labels.index - at] += terms->keep;
    }
    for (size_t i = 0; i < m && !terms->sparse; i++) {
        t[i] = kernel_load(labels.y, at + i, wide) * terms->keep + terms->add;
    }
    terms_weigh(terms, at, m, t, wide);
    for (size_t i = m; i < lanes_padded(m); i++) {
        t[i] = 0;
    }
}

/* The terms of a chunk into L, V and v. */
VM_INLINE void terms_add(struct terms_row *row, const void *from, struct terms_labels labels, size_t first, size_t n,
                         const struct terms *terms, bool capped, bool wide)
{
    struct terms_group at;
    struct lanes loss = lanes_of(0.0), all = lanes_of(0.0);
    const double max = row->s.max, log = row->s.log, rest = row->s.rest, inverse = row->s.inverse;
    for (size_t i = 0; i < n; i += LABEL_GROUP) {
        size_t m = n - i < LABEL_GROUP ? n - i : LABEL_GROUP;
        if (terms_idle(terms, labels, first + i, m, wide)) {
            memset(row->v + i, 0, m * sizeof *row->v);
            continue;
        }
        terms_targets(terms, labels, first + i, m, at.t, wide);
        if (capped) {
            lanes_load(from, i, m, 0.0, at.cost, true);
        } else {
            lanes_load(from, i, m, 0.0, at.cost, wide);
        }
        const double *e = row->s.e + i;
        for (size_t k = 0; k < lanes_padded(m); k++) {
            at.cost[k] = (max - at.cost[k]) + log;
            at.p[k] = e[k] * inverse;
            at.q[k] = softmax_others(rest, e[k]) * inverse;
        }
        terms->rule(&at, lanes_padded(m), terms->k);
        memcpy(row->v + i, at.v, lanes_padded(m) * sizeof *at.v);
        for (size_t k = 0; k < m; k += LANES) {
            for (size_t l = 0; l < LANES; l++) {
                loss.at[l] += at.loss[k + l];
                all.at[l] += at.v[k + l];
            }
        }
    }
    row->loss += lanes_sum(loss);
    row->all += lanes_sum(all);
}

/* dL/dz of a chunk. */
VM_INLINE void terms_logits_gradient(struct terms_row *row, const void *z, size_t n, double all, double g,
                                     const struct terms *terms, void *grad, bool capped, bool wide)
{
    const double rest = row->s.rest, inverse = row->s.inverse;
    for (size_t i = 0; i < n; i++) {
        row->v[i] = softmax_slope(row->v[i], all, rest, row->s.e[i]) * inverse;
    }
    if (capped) {
        for (size_t i = 0; i < n; i++) {
            row->u[i] = kernel_load(z, i, wide);
        }
        terms_softcap_slopes(row->u, n, terms->softcap);
        for (size_t i = 0; i < n; i++) {
            row->v[i] *= row->u[i];
        }
    }
    for (size_t i = 0; i < n; i++) {
        kernel_store(grad, i, kernel_chain(g, row->v[i]), wide);
    }
}

/* dL/dy of a chunk, where the terms are those of the cross-entropy. */
VM_INLINE void terms_labels_gradient(const struct terms_row *row, const void *from, size_t first, size_t n, double g,
                                     const struct terms *terms, void *grad, bool capped, bool wide)
{
    for (size_t i = 0; i < n; i++) {
        double w = terms->keep * terms_weight(terms, first + i, wide);
        double u = capped ? ((const double *)from)[i] : kernel_load(from, i, wide);
        double cost = (row->s.max - u) + row->s.log;
        kernel_store(grad, i, kernel_chain(g, VM_SELECT(w == 0.0, 0.0, w * cost)), wide);
    }
}

/* The logits' last, for it takes the room of the capped logits. */
VM_INLINE void terms_row_gradients(struct terms_row *row, const struct loss__block *b, size_t r, const void *z,
                                   struct terms_labels labels, double all, const struct terms *terms, bool capped,
                                   bool wide)
{
    for (size_t first = 0; first < b->c; first += ROW_CHUNK) {
        size_t n = softmax_chunk(b->c, first), at = r * b->c + first;
        const void *from = terms_again(row, z, b->c, first, terms, capped, wide);
        if (b->grad[0] != NULL && !terms->sparse) {
            terms_labels_gradient(row, from, first, n, b->g[r], terms, softmax_place(b->grad[0], at, wide), capped,
                                  wide);
        }
        if (b->grad[1] != NULL) {
            if (b->c > ROW_CHUNK) {
                terms_add(row, from, labels, first, n, terms, capped, wide);
            }
            terms_logits_gradient(row, softmax_from(z, first, wide), n, all, b->g[r], terms,
                                  softmax_place(b->grad[1], at, wide), capped, wide);
        }
    }
}

VM_INLINE void terms_clear_row(const struct loss__block *b, size_t r, bool wide)
{
    b->loss[r] = 0;
    if (b->grad[1] != NULL) {
        memset(softmax_place(b->grad[1], r * b->c, wide), 0, b->c * (wide ? sizeof(double) : sizeof(float)));
    }
}

VM_INLINE void terms_wide(const struct loss__block *b, const struct terms *terms, bool wide)
{
    const bool capped = terms->softcap != 0;
    struct terms_row row;
    for (size_t r = 0; r < b->n; r++) {
        const void *z = softmax_from(b->in[1], r * b->c, wide);
        struct terms_labels labels = {0};
        if (terms->sparse) {
            labels.index = ((const int64_t *)b->in[0])[r];
        } else {
            labels.y = softmax_from(b->in[0], r * b->c, wide);
        }
        if (labels.index < 0) {
            terms_clear_row(b, r, wide);
            continue;
        }
        terms_read(&row, z, b->c, terms, capped, wide);
        row.loss = row.s.log * 0.0; /* a NaN shows, also where no class counts */
        row.all = 0;
        for (size_t first = 0; first < b->c; first += ROW_CHUNK) {
            const void *from = terms_again(&row, z, b->c, first, terms, capped, wide);
            terms_add(&row, from, labels, first, softmax_chunk(b->c, first), terms, capped, wide);
        }
        double all = row.all + terms_z_loss(terms->z_loss, row.s.max + row.s.log, &row.loss);
        b->loss[r] = row.loss;
        if (b->grad[0] != NULL || b->grad[1] != NULL) {
            terms_row_gradients(&row, b, r, z, labels, all, terms, capped, wide);
        }
    }
}

/* Narrow rows, a row a lane. */

struct terms_narrow {
    struct narrow s;
    double v[NARROW][LANES];
    struct lanes index;              /* of the true class, -1 for none */
    struct lanes loss, all, z_slope; /* L, V + z_slope, 2 lambda lse */
};

VM_INLINE double terms_target_of_lane(const struct terms_narrow *n, size_t k, size_t l, const struct terms *terms,
                                      bool wide)
{
    if (terms->sparse) {
        return VM_SELECT(n->index.at[l] == (double)k, terms->keep, 0.0) + terms->add;
    }
    return narrow_at(&n->s.y, k, l, wide) * terms->keep + terms->add;
}

VM_INLINE void terms_narrow_losses(struct terms_narrow *n, size_t c, const struct terms *terms, bool wide)
{
    const struct narrow *s = &n->s;
    struct terms_group at;
    struct lanes loss, all = lanes_of(0.0);
    for (size_t l = 0; l < LANES; l++) {
        loss.at[l] = s->log.at[l] * 0.0;
    }
    for (size_t k = 0; k < c; k++) {
        const double w = terms_weight(terms, k, wide);
        for (size_t l = 0; l < LANES; l++) {
            double e = s->e[k][l], inverse = s->inverse.at[l];
            at.t[l] = terms_target_of_lane(n, k, l, terms, wide) * w;
            at.cost[l] = (s->max.at[l] - narrow_at(&s->z, k, l, wide)) + s->log.at[l];
            at.p[l] = e * inverse;
            at.q[l] = softmax_others(s->rest.at[l], e) * inverse;
        }
        terms->rule(&at, LANES, terms->k);
        for (size_t l = 0; l < LANES; l++) {
            n->v[k][l] = at.v[l];
            loss.at[l] += at.loss[l];
            all.at[l] += at.v[l];
        }
    }
    n->loss = loss;
    n->all = all;
}

VM_INLINE void terms_narrow_z_loss(struct terms_narrow *n, double lambda)
{
    for (size_t l = 0; l < LANES; l++) {
        n->z_slope.at[l] = terms_z_loss(lambda, n->s.max.at[l] + n->s.log.at[l], &n->loss.at[l]);
        n->all.at[l] += n->z_slope.at[l];
    }
}

VM_INLINE void terms_narrow_logits_gradient(struct terms_narrow *n, size_t c, bool wide)
{
    struct narrow *s = &n->s;
    for (size_t k = 0; k < c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            double slope = softmax_slope(n->v[k][l], n->all.at[l], s->rest.at[l], s->e[k][l]) * s->inverse.at[l];
            double chained = kernel_chain(s->g.at[l], slope);
            narrow_put(&s->slope, k, l, VM_SELECT(n->index.at[l] < 0.0, 0.0, chained), wide);
        }
    }
}

VM_INLINE void terms_narrow_labels_gradient(struct terms_narrow *n, size_t c, const struct terms *terms, bool wide)
{
    struct narrow *s = &n->s;
    for (size_t k = 0; k < c; k++) {
        const double w = terms->keep * terms_weight(terms, k, wide);
        for (size_t l = 0; l < LANES; l++) {
            double cost = (s->max.at[l] - narrow_at(&s->z, k, l, wide)) + s->log.at[l];
            narrow_put(&s->slope, k, l, kernel_chain(s->g.at[l], VM_SELECT(w == 0.0, 0.0, w * cost)), wide);
        }
    }
}

/* The indices of the true classes; 0 where labels are no indices. */
VM_INLINE void terms_narrow_indices(struct terms_narrow *n, size_t first, const struct loss__block *b, bool sparse)
{
    for (size_t l = 0; l < LANES; l++) {
        size_t r = first + l < b->n ? first + l : b->n - 1;
        n->index.at[l] = sparse ? (double)((const int64_t *)b->in[0])[r] : 0.0;
    }
}

VM_INLINE void terms_narrow_keep(const struct terms_narrow *n, size_t first, const struct loss__block *b)
{
    for (size_t l = 0; l < LANES && first + l < b->n; l++) {
        b->loss[first + l] = VM_SELECT(n->index.at[l] < 0.0, 0.0, n->loss.at[l]);
    }
}

VM_INLINE void terms_narrow(const struct loss__block *b, const struct terms *terms, bool wide)
{
    struct terms_narrow n;
    for (size_t first = 0; first < b->n; first += LANES) {
        narrow_read(&n.s, b->in[1], first, b, wide);
        terms_narrow_indices(&n, first, b, terms->sparse);
        if (!terms->sparse) {
            narrow_load(&n.s.y, b->in[0], first, b, wide);
        }
        terms_narrow_losses(&n, b->c, terms, wide);
        terms_narrow_z_loss(&n, terms->z_loss);
        terms_narrow_keep(&n, first, b);
        if (b->g == NULL) {
            continue;
        }
        narrow_upstream(&n.s, first, b);
        if (b->grad[1] != NULL) {
            terms_narrow_logits_gradient(&n, b->c, wide);
            narrow_store(&n.s.slope, b->grad[1], first, b, wide);
        }
        if (b->grad[0] != NULL && !terms->sparse) {
            terms_narrow_labels_gradient(&n, b->c, terms, wide);
            narrow_store(&n.s.slope, b->grad[0], first, b, wide);
        }
    }
}

/* in  labels [n, c], or int64 [n] where they are sparse (-1 for a row to be left out); logits [n, c] */
VM_INLINE void softmax_terms(const struct loss__block *b, const struct terms *terms, bool wide)
{
    if (b->c == 0) {
        memset(b->loss, 0, b->n * sizeof *b->loss);
    } else if (terms->softcap != 0 || b->c > NARROW) {
        terms_wide(b, terms, wide);
    } else {
        terms_narrow(b, terms, wide);
    }
}

/* A single term, that of the true class: t is its weight, and nothing is smoothed or capped. */

VM_INLINE void single_row(struct softmax *s, const struct loss__block *b, size_t r, size_t label,
                          const struct terms *terms, bool wide)
{
    const void *z = softmax_from(b->in[1], r * b->c, wide);
    void *grad = b->grad[1] == NULL ? NULL : softmax_place(b->grad[1], r * b->c, wide);
    softmax_read(s, z, NULL, (struct smoothing){0}, b->c, grad, wide);
    double at = kernel_load(z, label, wide), e = softmax_exp(at, s->base, wide), others = softmax_others(s->rest, e);
    struct terms_group term;
    term.t[0] = terms_weight(terms, label, wide);
    term.cost[0] = (s->max - at) + s->log;
    term.p[0] = e * s->inverse;
    term.q[0] = others * s->inverse;
    terms->rule(&term, 1, terms->k);
    double loss = term.loss[0] + s->log * 0.0, z_slope = terms_z_loss(terms->z_loss, s->max + s->log, &loss);
    b->loss[r] = loss;
    if (grad == NULL) {
        return;
    }
    double scale = kernel_chain(b->g[r], (term.v[0] + z_slope) * s->inverse);
    for (size_t first = 0; first < b->c; first += ROW_CHUNK) {
        softmax_write(s, z, b->c, first, softmax_chunk(b->c, first), scale, grad, wide);
    }
    double slope = (e * z_slope - term.v[0] * others) * s->inverse;
    kernel_store(grad, label, kernel_chain(b->g[r], slope), wide);
}

/* What the true classes of sixteen rows are. */
struct single_lanes {
    struct lanes w, z, e;
};

VM_INLINE void single_gather(const struct terms_narrow *n, struct single_lanes *at, const struct terms *terms,
                             bool wide)
{
    for (size_t l = 0; l < LANES; l++) {
        size_t label = n->index.at[l] < 0 ? 0 : (size_t)n->index.at[l];
        at->w.at[l] = terms_weight(terms, label, wide);
        at->z.at[l] = narrow_at(&n->s.z, label, l, wide);
        at->e.at[l] = n->s.e[label][l];
    }
}

VM_INLINE void single_gradient(struct terms_narrow *n, const struct single_lanes *at, const double *v, size_t c,
                               bool wide)
{
    struct narrow *s = &n->s;
    for (size_t k = 0; k < c; k++) {
        for (size_t l = 0; l < LANES; l++) {
            double chained = kernel_chain(s->g.at[l], s->e[k][l] * (n->all.at[l] * s->inverse.at[l]));
            narrow_put(&s->slope, k, l, VM_SELECT(n->index.at[l] < 0.0, 0.0, chained), wide);
        }
    }
    for (size_t l = 0; l < LANES; l++) {
        if (n->index.at[l] >= 0) {
            double e = at->e.at[l];
            double slope = (e * n->z_slope.at[l] - v[l] * softmax_others(s->rest.at[l], e)) * s->inverse.at[l];
            narrow_put(&s->slope, (size_t)n->index.at[l], l, kernel_chain(s->g.at[l], slope), wide);
        }
    }
}

VM_INLINE void single_narrow(const struct loss__block *b, const struct terms *terms, bool wide)
{
    struct terms_narrow n;
    struct single_lanes at;
    struct terms_group term;
    for (size_t first = 0; first < b->n; first += LANES) {
        narrow_read(&n.s, b->in[1], first, b, wide);
        terms_narrow_indices(&n, first, b, true);
        single_gather(&n, &at, terms, wide);
        for (size_t l = 0; l < LANES; l++) {
            double inverse = n.s.inverse.at[l];
            term.t[l] = at.w.at[l];
            term.cost[l] = (n.s.max.at[l] - at.z.at[l]) + n.s.log.at[l];
            term.p[l] = at.e.at[l] * inverse;
            term.q[l] = softmax_others(n.s.rest.at[l], at.e.at[l]) * inverse;
        }
        terms->rule(&term, LANES, terms->k);
        for (size_t l = 0; l < LANES; l++) {
            n.loss.at[l] = term.loss[l] + n.s.log.at[l] * 0.0;
            n.all.at[l] = term.v[l];
        }
        terms_narrow_z_loss(&n, terms->z_loss);
        terms_narrow_keep(&n, first, b);
        if (b->grad[1] != NULL) {
            narrow_upstream(&n.s, first, b);
            single_gradient(&n, &at, term.v, b->c, wide);
            narrow_store(&n.s.slope, b->grad[1], first, b, wide);
        }
    }
}

/* in  labels int64 [n], -1 for a row to be left out; logits [n, c] */
VM_INLINE void softmax_single(const struct loss__block *b, const struct terms *terms, bool wide)
{
    if (b->c <= NARROW) {
        single_narrow(b, terms, wide);
        return;
    }
    const int64_t *labels = b->in[0];
    struct softmax s;
    for (size_t r = 0; r < b->n; r++) {
        if (labels[r] < 0) {
            terms_clear_row(b, r, wide);
        } else {
            single_row(&s, b, r, (size_t)labels[r], terms, wide);
        }
    }
}

#define LOSS__Z_LOSS_PARAM                                                                                             \
    {                                                                                                                  \
        .name = "z_loss", .doc = "Adds this much of the square of logsumexp(logits).", .type = LOSS_NUMBER,            \
        .fallback = 0, .min = 0, .max = INFINITY, .below_max = true                                                    \
    }
#define LOSS__SOFTCAP_PARAM                                                                                            \
    {                                                                                                                  \
        .name = "softcap", .doc = "Logits count as softcap*tanh(logits/softcap); left out, as they are.",              \
        .type = LOSS_NUMBER, .optional = true, .min = 0, .max = INFINITY, .above_min = true, .below_max = true         \
    }

#endif
