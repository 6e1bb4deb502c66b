/* SPDX-License-Identifier: Apache-2.0
 *
 * contrastive.c - pairs of vectors that should be near each other, or apart by a margin.
 *
 *   d = |x1 - x2|;   L = d^2 where y = 1, max(0, margin - d)^2 where y = 0
 *   dL/dx1 = 2 (x1 - x2), or -2 max(0, margin - d) (x1 - x2)/d, 0 where d = 0;   dL/dx2 = -dL/dx1
 *
 * Shapes  x1 and x2 alike [..., c]; y and L without the last axis
 * Edges   y other than 0 and 1 is refused; NaN in, NaN out
 * Source  tfa.losses.contrastive_loss; Hadsell, Chopra and LeCun 2006, with a factor 1/2 and y the other way round
 */
#include "lanes.h"

VM_INLINE double square_distance(const void *x1, const void *x2, size_t c, bool wide)
{
    struct lanes sum = lanes_of(0.0);
    double a[ROW_CHUNK], b[ROW_CHUNK];
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = row_chunk(c, first);
        lanes_load(x1, first, n, 0.0, a, wide);
        lanes_load(x2, first, n, 0.0, b, wide);
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                double e = a[i + l] - b[i + l];
                sum.at[l] += e * e;
            }
        }
    }
    return lanes_sum(sum);
}

VM_INLINE void row(const struct loss__block *b, size_t r, bool wide)
{
    const size_t first = r * b->c, end = first + b->c;
    double square = square_distance(row_from(b->in[0], first, wide), row_from(b->in[1], first, wide), b->c, wide);
    bool alike = kernel_load(b->in[2], r, wide) != 0;
    double distance = sqrt(square), lack = b->param[0].number - distance;
    lack = lack <= 0 ? 0 : lack;
    b->loss[r] = alike ? square : lack * lack;
    double slope = alike ? 2.0 : distance == 0 ? 0.0 : -2.0 * lack / distance;
    for (size_t k = first; (b->grad[0] != NULL || b->grad[1] != NULL) && k < end; k++) {
        double down = kernel_chain(b->g[r], slope * (kernel_load(b->in[0], k, wide) - kernel_load(b->in[1], k, wide)));
        if (b->grad[0] != NULL) {
            kernel_store(b->grad[0], k, down, wide);
        }
        if (b->grad[1] != NULL) {
            kernel_store(b->grad[1], k, 0.0 - down, wide);
        }
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        row(b, r, wide);
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(contrastive) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(contrastive) = {
    .name = "contrastive",
    .summary = "Pairs of vectors that should be near each other, or apart by a margin.",
    .formula = "d^2 where labels = 1, max(0, margin - d)^2 where 0, d = |x1 - x2|",
    .source = "tfa.losses.contrastive_loss; Hadsell, Chopra and LeCun 2006",
    .edges = "Labels are 1 for a pair that is alike and 0 for one that is not; others are refused. At distance 0 the "
             "gradient of an unlike pair is 0.",
    .elsewhere = "tensorflow_addons contrastive_loss: equal, given the distance of the two. The paper of Hadsell has 0 "
                 "for alike and a half in front. hinge_embedding is without the squares.",
    .example = "{\"x1\": [[0, 1], [1, 0]], \"x2\": [[0.5, 1], [1, 0.5]], \"labels\": [1, 0]}",
    .aliases = (const struct loss_alias[]){{"contrastive_loss", {{0}}}, {0}},
    .inputs = LOSS__PAIRS_AND_LABELS("1 where the two should be near each other, 0 where not.", LOSS_BINARY),
    .params = {{.name = "margin",
                .doc = "The distance that vectors which should differ are to have.",
                .type = LOSS_NUMBER,
                .fallback = 1,
                .min = 0,
                .max = INFINITY,
                .below_max = true}},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
