/* SPDX-License-Identifier: Apache-2.0
 *
 * sparsemax.c - what softmax cross-entropy is to softmax, to the projection onto the simplex, which has true zeros.
 *
 *   P_k = max(z_k - tau, 0), tau such that sum_k P_k = 1;   L = sum_k (P_k - y_k)(z_k - (P_k + y_k)/2)
 *       = sum where P_k > 0 of (P_k - y_k)^2/2 + sum elsewhere of y_k (tau - z_k + y_k/2) + tau (1 - sum_k y_k)
 *   dL/dz_k = P_k - y_k;   dL/dy_k = y_k - z_k
 *
 * The second form has no terms that cancel. tau is found by Newton's steps from m - 1, m = max z, each of which takes
 * classes out of those above it or is the last.
 *
 * Shapes  y and z alike [..., K]; L has their shape without the last axis
 * Edges   a logit of -infinity at a label 0 is fine; a NaN or an infinite maximum gives NaN; ties do not matter
 * Source  Martins and Astudillo 2016; values agree with optax.losses.multiclass_sparsemax_loss of one-hot labels
 */
#include "losses/largest.h"

/* tau - m, as high + low. */
struct threshold {
    double max, high, low;
};

VM_INLINE double row_largest(const void *z, size_t c, bool wide)
{
    struct largest largest = largest_begin();
    for (size_t i = 0; i < c; i++) {
        largest_add(&largest, (int)(i % LANES), kernel_load(z, i, wide));
    }
    return largest_end(&largest);
}

/* z_k - m, and what rounding took from it where that is a number. */
VM_INLINE double below_largest(double z, double max, double *lost)
{
    double below = vm_two_diff(z, max, lost);
    *lost = VM_SELECT(*lost - *lost == 0.0, *lost, 0.0);
    return below;
}

VM_INLINE struct threshold project(const void *z, size_t c, bool wide)
{
    struct threshold at = {.max = row_largest(z, c, wide), .high = -1.0};
    size_t above = c + 1, before;
    do {
        before = above;
        above = 0;
        double high = -1.0, low = 0.0, error;
        for (size_t i = 0; i < c; i++) {
            double lost, u = below_largest(kernel_load(z, i, wide), at.max, &lost);
            if ((u - at.high) + (lost - at.low) > 0.0) {
                above++;
                high = vm_two_sum(high, u, &error);
                low += error + lost;
            }
        }
        if (above == 0) { /* a NaN */
            at.high = (double)NAN;
            break;
        }
        double n = (double)above, quotient = high / n, product = vm_two_prod(quotient, n, &error);
        at.high = quotient;
        at.low = (((high - product) - error) + low) / n;
    } while (above < before);
    return at;
}

/* P_k and P_k - y_k. */
VM_INLINE double projected(const struct threshold *at, double z, double y, double *difference)
{
    double lost, error, u = below_largest(z, at->max, &lost), p = vm_two_diff(u, at->high, &error);
    error = VM_SELECT(error - error == 0.0, error + (lost - at->low), 0.0);
    double whole = p + error, short_of = (p - y) + error;
    *difference = VM_SELECT(whole <= 0.0, -y, short_of);
    return VM_SELECT(whole <= 0.0, 0.0, whole);
}

VM_INLINE void row(const struct loss__block *b, size_t r, bool wide)
{
    const size_t c = b->c;
    const void *y = row_from(b->in[0], r * c, wide), *z = row_from(b->in[1], r * c, wide);
    const struct threshold at = project(z, c, wide);
    const double tau = at.high + at.low;
    double terms = 0.0, missing = 1.0, low = 0.0; /* missing + low: 1 - sum y */
    for (size_t i = 0; i < c; i++) {
        double label = kernel_load(y, i, wide), logit = kernel_load(z, i, wide), difference, lost, error;
        double p = projected(&at, logit, label, &difference), gap = tau - below_largest(logit, at.max, &lost);
        double outside = VM_SELECT(label == 0.0, 0.0, label * (gap - lost + 0.5 * label));
        terms += VM_SELECT(p == 0.0, outside, 0.5 * (difference * difference));
        missing = vm_two_diff(missing, label, &error);
        low += error;
        if (b->grad[1] != NULL) {
            kernel_store(b->grad[1], r * c + i, kernel_chain(b->g[r], difference), wide);
        }
        if (b->grad[0] != NULL) {
            kernel_store(b->grad[0], r * c + i, kernel_chain(b->g[r], label - logit), wide);
        }
    }
    b->loss[r] = terms + (at.max + tau) * (missing + low);
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        if (b->c == 0) {
            b->loss[r] = 0;
        } else {
            row(b, r, wide);
        }
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(sparsemax) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(sparsemax) = {
    .name = "sparsemax",
    .summary = "Loss of the sparse softmax, whose probabilities are the logits' projection onto the simplex.",
    .formula = "p = projection of logits onto the simplex; sum over classes of (p - labels)*(logits - (p + labels)/2)",
    .source = "optax.losses.multiclass_sparsemax_loss; Martins and Astudillo 2016",
    .edges = "Labels may be any distribution. Equal logits at the edge of the support make no difference.",
    .elsewhere = "optax.losses.multiclass_sparsemax_loss: one-hot labels, reduction none. optax.losses.sparsemax_loss "
                 "is that of two classes, another loss.",
    .example = "{\"labels\": [[1, 0, 0], [0, 0, 1]], \"logits\": [[2, 1, 0.5], [1, 3, 2]]}",
    .inputs = {{.name = "labels",
                .doc = "Weight of each class, usually a distribution.",
                .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES),
                .differentiable = true},
               {LOSS__LOGITS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,
                .differentiable = true}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
