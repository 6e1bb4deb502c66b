/* SPDX-License-Identifier: Apache-2.0
 *
 * sigmoid_cross_entropy.c - cross-entropy of independent classes, with label smoothing and a weight of positives.
 *
 *   formula and derivatives in sigmoid.h, s = label_smoothing; and with w = pos_weight
 *
 *   q = y(1 - s) + s/2;   L = w q softplus(-z) + (1 - q) softplus(z)
 *   dL/dz = (1 - q) sigma(z) - w q sigma(-z);   dL/dy = (1 - s) (w softplus(-z) - softplus(z))
 *
 * Shapes  y and z alike, any rank; L has their shape. w is a number, or a vector over the last axis
 * Edges   labels may be soft; an infinite logit gives NaN or infinity, as the formula does
 * Source  values agree with tf.compat.v1.losses.sigmoid_cross_entropy, and with w with
 *         tf.nn.weighted_cross_entropy_with_logits and torch's binary_cross_entropy_with_logits
 */
#include "sigmoid.h"

enum { SMOOTHING, POS_WEIGHT };

VM_INLINE struct point point(double y, double z, const double *k, bool wide)
{
    return sigmoid_point(y, z, k[SMOOTHING], wide);
}

VM_INLINE struct point weighted(double y, double z, double w, const double *k, bool wide)
{
    double s = k[SMOOTHING], q = w * (y * (1.0 - s) + 0.5 * s), not_q = (1.0 - y) * (1.0 - s) + 0.5 * s;
    double a = vm_abs(z), not_sigma, tail,
           sigma = wide ? vm_sigmoid(z, &not_sigma) : vm_sigmoid_brief(z, &not_sigma, &tail);
    tail = wide ? vm_softplus_tail(a) : tail;
    double wrong = VM_SELECT(z > 0.0, not_q, q);
    return (struct point){
        .loss = a * wrong + (q + not_q) * tail,
        .dp = not_q * sigma - q * not_sigma,
        .dy = (1.0 - s) * ((w - 1.0) * tail + VM_SELECT(z > 0.0, -a, w * a)),
    };
}

VM_INLINE struct point weighted_alike(double y, double z, const double *k, bool wide)
{
    return weighted(y, z, k[POS_WEIGHT], k, wide);
}

VM_INLINE struct point3 by_class(double y, double z, double w, const double *k, bool wide)
{
    struct point at = weighted(y, z, w, k, wide);
    return (struct point3){.loss = at.loss, .d = {at.dy, at.dp}};
}

LOSS__ELEMENTWISE_LOOPS(float, plain_f32, point, false)
LOSS__ELEMENTWISE_LOOPS(double, plain_f64, point, true)
LOSS__ELEMENTWISE_LOOPS(float, alike_f32, weighted_alike, false)
LOSS__ELEMENTWISE_LOOPS(double, alike_f64, weighted_alike, true)
LOSS__ELEMENTWISE_OF_THREE_LOOPS(float, by_class_f32, by_class, false)
LOSS__ELEMENTWISE_OF_THREE_LOOPS(double, by_class_f64, by_class, true)

/* The weights of a block's elements as a third input. */
VM_INLINE void spread(const struct loss__block *b, void *out, bool wide)
{
    const struct loss_tensor *w = &b->param[POS_WEIGHT].vector;
    size_t k = b->first % w->count;
    for (size_t i = 0; i < b->n; i++) {
        kernel_store(out, i, kernel_load(w->data, k, wide), wide);
        k = k + 1 == w->count ? 0 : k + 1;
    }
}

static void f32(const struct loss__block *b)
{
    float w[LOSS__BLOCK_ELEMENTS];
    struct loss__block with = *b;
    if (b->param[POS_WEIGHT].vector.data != NULL) {
        spread(b, w, false);
        with.in[2] = w;
        by_class_f32(&with);
    } else if (b->param[POS_WEIGHT].number == 1.0) {
        plain_f32(b);
    } else {
        alike_f32(b);
    }
}

static void f64(const struct loss__block *b)
{
    double w[LOSS__BLOCK_ELEMENTS];
    struct loss__block with = *b;
    if (b->param[POS_WEIGHT].vector.data != NULL) {
        spread(b, w, true);
        with.in[2] = w;
        by_class_f64(&with);
    } else if (b->param[POS_WEIGHT].number == 1.0) {
        plain_f64(b);
    } else {
        alike_f64(b);
    }
}

LOSS__KERNELS(sigmoid_cross_entropy) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(sigmoid_cross_entropy) = {
    .name = "sigmoid_cross_entropy",
    .summary = "Cross-entropy of independent classes from logits, with label smoothing.",
    .formula = "q = labels*(1 - label_smoothing) + label_smoothing/2; "
               "pos_weight*q*log(1 + exp(-logits)) + (1 - q)*log(1 + exp(logits))",
    .source = "tf.compat.v1.losses.sigmoid_cross_entropy",
    .edges = "Confident logits keep their digits: a loss becomes 0 only where it is below the smallest number.",
    .elsewhere =
        "torch binary_cross_entropy_with_logits: reduction mean. keras.losses.BinaryCrossentropy(from_logits=True): "
        "sum_over_batch_size. optax.sigmoid_binary_cross_entropy: reduction none. "
        "tf.nn.weighted_cross_entropy_with_logits: that name, with pos_weight and reduction none.",
    .example = "{\"labels\": [1, 0, 1], \"logits\": [2, -1, 0.5]}",
    .aliases = (const struct loss_alias[]){{"bce_with_logits", {{0}}},
                                           {"binary_cross_entropy_with_logits", {{0}}},
                                           {"weighted_cross_entropy_with_logits", {{0}}},
                                           {"weighted_sigmoid_cross_entropy", {{0}}},
                                           {0}},
    .inputs = LOSS__SIGMOID_INPUTS("multi_class_labels", LOSS__LABELS_ALIASES),
    .params = {{.name = "label_smoothing",
                .doc = "How far labels are drawn towards one half.",
                .type = LOSS_NUMBER,
                .fallback = 0,
                .min = 0,
                .max = 1},
               {.name = "pos_weight",
                .doc = "How much positives count: a number, or one for each class of the last axis.",
                .type = LOSS_NUMBER_OR_VECTOR,
                .fallback = 1,
                .min = 0,
                .max = INFINITY,
                .below_max = true}},
    .kind = LOSS_ELEMENTWISE,
    .reduction = LOSS_REDUCE_SUM_BY_NONZERO_WEIGHTS,
    .ulp = 2,
};
