/* SPDX-License-Identifier: Apache-2.0
 *
 * cosine_distance.c - one less the dot product of vectors, which are meant to be of length 1 or are brought to it.
 *
 *   L = 1 - sum_k p_k y_k;   dL/dp_k = -y_k;   dL/dy_k = -p_k
 *   normalize: L = 1 - c, the cosine of the angle between y and p (cosine.h), with its derivatives
 *
 * Shapes  y and p alike; L has their shape with `axis` kept as 1
 * Edges   normalize: a vector of length 0 has L = 1 and a gradient of 0, lengths below epsilon count as epsilon; NaN in,
 *         NaN out
 * Source  values agree with tf.compat.v1.losses.cosine_distance, with normalize with optax.losses.cosine_distance
 */
#include "losses/cosine.h"

enum { AXIS, NORMALIZE, EPSILON };

/* 1 - the dot product. It cancels for vectors that nearly agree, so it is carried in two doubles. */
VM_INLINE double distance(const void *y, const void *p, size_t c, bool wide)
{
    struct lanes high = lanes_of(0.0), low = lanes_of(0.0);
    double a[ROW_CHUNK], b[ROW_CHUNK];
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = c - first < ROW_CHUNK ? c - first : ROW_CHUNK;
        lanes_load(y, first, n, 0.0, a, wide);
        lanes_load(p, first, n, 0.0, b, wide);
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                lanes_add_product(a[i + l], b[i + l], &high.at[l], &low.at[l], wide);
            }
        }
    }
    return -lanes_sum_from(-1.0, high, low);
}

VM_INLINE void gradient(void *grad, const void *other, const struct loss__block *b, bool wide)
{
    for (size_t r = 0; grad != NULL && r < b->n; r++) {
        for (size_t k = r * b->c; k < (r + 1) * b->c; k++) {
            kernel_store(grad, k, kernel_chain(b->g[r], -kernel_load(other, k, wide)), wide);
        }
    }
}

VM_INLINE void normalized(const struct loss__block *b, double epsilon, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        size_t first = r * b->c;
        struct cosine cosine =
            cosine_of(row_from(b->in[0], first, wide), row_from(b->in[1], first, wide), b->c, epsilon, wide);
        b->loss[r] = cosine_complement(&cosine, b->c, wide);
        for (int i = 0; i < 2; i++) {
            void *grad = b->grad[i] == NULL ? NULL : row_place(b->grad[i], first, wide);
            const struct cosine_side *side = i == 0 ? &cosine.a : &cosine.b, *other = i == 0 ? &cosine.b : &cosine.a;
            cosine_gradient(side, other, cosine.c, grad == NULL ? 0 : -b->g[r], b->c, grad, wide);
        }
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    if (b->param[NORMALIZE].number != 0) {
        normalized(b, b->param[EPSILON].number, wide);
        return;
    }
    size_t size = b->c * (wide ? sizeof(double) : sizeof(float));
    for (size_t r = 0; r < b->n; r++) {
        b->loss[r] = distance((const char *)b->in[0] + r * size, (const char *)b->in[1] + r * size, b->c, wide);
    }
    gradient(b->grad[0], b->in[1], b, wide);
    gradient(b->grad[1], b->in[0], b, wide);
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(cosine_distance) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(cosine_distance) = {
    .name = "cosine_distance",
    .summary = "One less the dot product of vectors that are of length 1, or are brought to it.",
    .formula = "1 - sum over axis of predictions*labels, with normalize each divided by its length, at least epsilon",
    .source = "tf.compat.v1.losses.cosine_distance; optax.losses.cosine_distance",
    .edges =
        "Nothing is normalised by default: vectors that are no unit vectors can give any number. With normalize a zero "
        "vector has loss 1 and gradient 0, and vectors that nearly agree keep their digits.",
    .elsewhere = "tf.compat.v1.losses.cosine_distance: equal. optax.cosine_distance: normalize true, reduction none.",
    .example = "{\"labels\": [[0.6, 0.8], [1, 0]], \"predictions\": [[0.8, 0.6], [0, 1]], \"axis\": -1}",
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .params = {{.name = "axis",
                .doc = "The axis of the vectors' components.",
                .aliases = LOSS__WORDS("dim"),
                .type = LOSS_AXIS,
                .required = true},
               {.name = "normalize",
                .doc = "Whether vectors are divided by their lengths.",
                .type = LOSS_BOOLEAN,
                .fallback = 0},
               LOSS__COSINE_EPSILON(0)},
    .kind = LOSS_ROWWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .keeps_axis = true,
    .ulp = 2,
};
