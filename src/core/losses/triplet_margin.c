/* SPDX-License-Identifier: Apache-2.0
 *
 * triplet_margin.c - a vector should be nearer to one that belongs to it than to one that does not, by a margin.
 *
 *   d(u, v) = (sum_k |u_k - v_k + epsilon|^p)^(1/p);   e = d(a, n), or where swap min(e, d(p, n))
 *   L = max(0, margin + d(a, p) - e)
 *   with t = u - v + epsilon: dd/du = sign(t) |t|^(p-1)/d^(p-1) = -dd/dv, 0 where d = 0
 *
 * Shapes  anchor, positive and negative alike [..., c]; L without the last axis
 * Edges   at the kink the gradient is 0; where both distances of a swap agree d(a, n) is taken; NaN in, NaN out
 * Source  values agree with torch.nn.functional.triplet_margin_loss
 */
#include "lanes.h"

/* The largest |t| of a row, or 1 where that is 0 or not finite: any p may be had of what is brought to 1 by it. */
VM_INLINE double largest_difference(const void *u, const void *v, size_t c, double epsilon, bool wide)
{
    double most = 0;
    for (size_t k = 0; k < c; k++) {
        double a = vm_abs((kernel_load(u, k, wide) - kernel_load(v, k, wide)) + epsilon);
        most = a > most ? a : most;
    }
    return most == 0 || most > DBL_MAX ? 1.0 : most;
}

VM_INLINE double distance(const void *u, const void *v, size_t c, double p, double epsilon, bool wide)
{
    struct lanes sum = lanes_of(0.0);
    double a[ROW_CHUNK], b[ROW_CHUNK];
    const bool usual = p == 1.0 || p == 2.0;
    const double scale = usual ? 1.0 : largest_difference(u, v, c, epsilon, wide);
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = row_chunk(c, first);
        lanes_load(u, first, n, 0.0, a, wide);
        lanes_load(v, first, n, epsilon, b, wide); /* beyond the row t is 0 */
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                double t = vm_abs((a[i + l] - b[i + l]) + epsilon);
                sum.at[l] += p == 2.0 ? t * t : p == 1.0 ? t : vm_pow(t / scale, p);
            }
        }
    }
    double total = lanes_sum(sum);
    return p == 2.0 ? sqrt(total) : p == 1.0 ? total : scale * vm_pow(total, 1.0 / p);
}

/* dd/du */
VM_INLINE double slope(double u, double v, double d, double p, double epsilon)
{
    double t = (u - v) + epsilon;
    double sign = VM_SELECT(t > 0.0, 1.0, VM_SELECT(t < 0.0, -1.0, t));
    double value = p == 2.0 ? t / d : p == 1.0 ? sign : sign * vm_pow(vm_abs(t) / d, p - 1.0);
    return VM_SELECT(d == 0.0, 0.0, value);
}

/* The distances of a triplet; `crossed`: the far one is that of positive and negative. */
struct triplet {
    double near, far, loss;
    bool crossed;
};

/* Gradients of n components; one that is not wanted goes where it is never read. */
VM_INLINE void gradients_of(const void *restrict a, const void *restrict p, const void *restrict n, size_t count,
                            const struct triplet *at, double g, double norm, double epsilon, void *restrict da,
                            void *restrict dp, void *restrict dn, bool crossed, bool wide)
{
    const double active = at->loss == 0 ? 0.0 : 1.0; /* of a NaN the slopes are NaN by themselves */
    const double near_length = at->near, far_length = at->far;
    for (size_t k = 0; k < count; k++) {
        double anchor = kernel_load(a, k, wide), positive = kernel_load(p, k, wide), negative = kernel_load(n, k, wide);
        double near = active * slope(anchor, positive, near_length, norm, epsilon);
        double far = active * slope(crossed ? positive : anchor, negative, far_length, norm, epsilon);
        kernel_store(da, k, kernel_chain(g, crossed ? near : near - far), wide);
        kernel_store(dp, k, kernel_chain(g, crossed ? 0.0 - near - far : 0.0 - near), wide);
        kernel_store(dn, k, kernel_chain(g, far), wide);
    }
}

VM_INLINE void gradients(const struct loss__block *b, size_t r, const struct triplet *at, double p, bool wide)
{
    double unwanted[3][ROW_CHUNK];
    for (size_t first = 0; first < b->c; first += ROW_CHUNK) {
        size_t n = row_chunk(b->c, first), from = r * b->c + first;
        const void *in[3];
        void *d[3];
        for (int i = 0; i < 3; i++) {
            in[i] = row_from(b->in[i], from, wide);
            d[i] = b->grad[i] == NULL ? unwanted[i] : row_place(b->grad[i], from, wide);
        }
        if (at->crossed) {
            gradients_of(in[0], in[1], in[2], n, at, b->g[r], p, b->param[2].number, d[0], d[1], d[2], true, wide);
        } else {
            gradients_of(in[0], in[1], in[2], n, at, b->g[r], p, b->param[2].number, d[0], d[1], d[2], false, wide);
        }
    }
}

VM_INLINE void rows(const struct loss__block *b, double p, bool wide)
{
    const double margin = b->param[0].number, epsilon = b->param[2].number;
    for (size_t r = 0; r < b->n; r++) {
        size_t first = r * b->c;
        const void *anchor = row_from(b->in[0], first, wide), *positive = row_from(b->in[1], first, wide);
        const void *negative = row_from(b->in[2], first, wide);
        struct triplet at = {.near = distance(anchor, positive, b->c, p, epsilon, wide),
                             .far = distance(anchor, negative, b->c, p, epsilon, wide)};
        double crossed = b->param[3].number != 0 ? distance(positive, negative, b->c, p, epsilon, wide) : at.far;
        if (crossed < at.far || crossed != crossed) {
            at.far = crossed;
            at.crossed = true;
        }
        double over = margin + (at.near - at.far);
        at.loss = over <= 0 ? 0 : over;
        b->loss[r] = at.loss;
        if (b->g != NULL) {
            gradients(b, r, &at, p, wide);
        }
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    if (b->param[1].number == 2) {
        rows(b, 2.0, wide);
    } else if (b->param[1].number == 1) {
        rows(b, 1.0, wide);
    } else {
        rows(b, b->param[1].number, wide);
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(triplet_margin) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(triplet_margin) = {
    .name = "triplet_margin",
    .summary = "A vector should be nearer to one that belongs to it than to one that does not, by a margin.",
    .formula = "max(0, margin + d(anchor, positive) - d(anchor, negative)), d(u, v) = the p-norm of u - v + epsilon",
    .source = "torch.nn.functional.triplet_margin_loss",
    .edges = "epsilon is added to each component of a difference. Where a distance or the kink is met exactly the "
             "gradient is 0. With swap, of equal distances that from the anchor counts.",
    .elsewhere = "torch triplet_margin_loss(margin, p, eps, swap): equal, with reduction mean. "
                 "optax.losses.triplet_margin_loss adds eps to the sum of powers: the same with epsilon 0.",
    .example = "{\"anchor\": [[0, 1]], \"positive\": [[0.5, 1]], \"negative\": [[1, 0.5]], \"margin\": 1}",
    .aliases = (const struct loss_alias[]){{"triplet_margin_loss", {{0}}}, {0}},
    .inputs = {{.name = "anchor", .doc = "Vectors.", .extent = LOSS_FREE, .main = true, .differentiable = true},
               {.name = "positive", .doc = "Vectors that belong to them.", .main = true, .differentiable = true},
               {.name = "negative", .doc = "Vectors that do not.", .main = true, .differentiable = true}},
    .params = {{.name = "margin", .doc = "By how much nearer.", .type = LOSS_NUMBER, .fallback = 1},
               {.name = "p",
                .doc = "Which norm is the distance.",
                .type = LOSS_NUMBER,
                .fallback = 2,
                .min = 1,
                .max = INFINITY,
                .below_max = true},
               {.name = "epsilon",
                .doc = "Added to each component of a difference.",
                .type = LOSS_NUMBER,
                .fallback = 1e-6,
                .min = 0,
                .max = INFINITY,
                .below_max = true},
               {.name = "swap",
                .doc = "Take the distance of positive and negative where that is smaller.",
                .type = LOSS_BOOLEAN}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
