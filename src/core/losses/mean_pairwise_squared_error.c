/* SPDX-License-Identifier: Apache-2.0
 *
 * mean_pairwise_squared_error.c - how well differences between the elements of a sample are met.
 *
 *   d = p - y;   mu = mean d over the c elements of the sample;   Q = sum (d - mu)^2;   n = elements of non-zero weight
 *   L = 2/(n - 1) (sum d^2 - (sum d)^2/n) = 2/(n - 1) (Q - c mu^2 (c - n)/n), 0 where n < 2
 *   dL/dp_k = 4/(n - 1) ((d_k - mu) - mu (c - n)/n);   dL/dy = -dL/dp
 *
 * With all elements present this is the mean of ((p_i - p_j) - (y_i - y_j))^2 over the pairs. The second form takes
 * the mean out before squaring: the first cancels where predictions and labels differ by a constant.
 *
 * Shapes  y and p alike [N, ...]; L is [N]: one value a sample, multiplied by the sum of the sample's weights
 * Edges   elements of weight 0 still enter the sums, only n knows of them: TensorFlow does so
 * Source  values agree with tf.compat.v1.losses.mean_pairwise_squared_error of TensorFlow 1.15, and so does the default
 *         reduction
 */
#include "lanes.h"

/* d_k = high + low */
VM_INLINE double difference(const void *y, const void *p, size_t k, double *low, bool wide)
{
    return vm_two_diff(kernel_load(p, k, wide), kernel_load(y, k, wide), low);
}

/* The mean of d as high + low: what it loses in rounding would show in every d - mu. */
VM_INLINE double mean_difference(const void *y, const void *p, size_t c, double *low, bool wide)
{
    struct lanes high = lanes_of(0.0), lows = lanes_of(0.0);
    for (size_t first = 0; first < c; first += LANES) {
        size_t n = c - first < LANES ? c - first : LANES;
        for (size_t l = 0; l < n; l++) {
            double d_low, lost, d = difference(y, p, first + l, &d_low, wide);
            high.at[l] = vm_two_sum(high.at[l], d, &lost);
            lows.at[l] += lost + d_low;
        }
    }
    double sum = 0, error = 0, product_error;
    for (int l = 0; l < LANES; l++) {
        double lost;
        sum = vm_two_sum(sum, high.at[l], &lost);
        error += lost + lows.at[l];
    }
    double mean = sum / (double)c, product = vm_two_prod(mean, (double)c, &product_error);
    double rest = (((sum - product) - product_error) + error) / (double)c;
    *low = rest - rest == 0.0 ? rest : 0.0;
    return mean;
}

/* d_k - mu */
VM_INLINE double deviation(const void *y, const void *p, size_t k, double mean, double mean_low, bool wide)
{
    double low, lost, d = difference(y, p, k, &low, wide), deviation = vm_two_diff(d, mean, &lost);
    double rest = lost + (low - mean_low);
    return deviation + VM_SELECT(rest - rest == 0.0, rest, 0.0);
}

VM_INLINE double sum_of_squares(const void *y, const void *p, size_t c, double mean, double mean_low, bool wide)
{
    struct lanes squares = lanes_of(0.0);
    for (size_t first = 0; first < c; first += LANES) {
        size_t n = c - first < LANES ? c - first : LANES;
        for (size_t l = 0; l < n; l++) {
            double x = deviation(y, p, first + l, mean, mean_low, wide);
            squares.at[l] += x * x;
        }
    }
    return lanes_sum(squares);
}

VM_INLINE void sample(const struct loss__block *b, size_t r, bool wide)
{
    size_t c = b->c, first = r * c, present = b->present[r], size = wide ? sizeof(double) : sizeof(float);
    const void *y = (const char *)b->in[0] + first * size, *p = (const char *)b->in[1] + first * size;
    bool pairs = present > 1;
    double n = (double)present, mean_low = 0, mean = pairs ? mean_difference(y, p, c, &mean_low, wide) : 0;
    /* mu (c - n)/n: what the elements of weight 0 add to the mean that is taken out */
    double shift = pairs ? (mean + mean_low) * (((double)c - n) / n) : 0, factor = pairs ? 2 / (n - 1) : 0;
    b->loss[r] = 0;
    if (pairs) {
        double q = sum_of_squares(y, p, c, mean, mean_low, wide);
        b->loss[r] = factor * (q - (double)c * (mean + mean_low) * shift);
    }
    for (size_t k = 0; (b->grad[0] != NULL || b->grad[1] != NULL) && k < c; k++) {
        double slope = pairs ? 2 * factor * (deviation(y, p, k, mean, mean_low, wide) - shift) : 0;
        double down = kernel_chain(b->g[r], slope);
        if (b->grad[0] != NULL) {
            kernel_store(b->grad[0], first + k, 0.0 - down, wide);
        }
        if (b->grad[1] != NULL) {
            kernel_store(b->grad[1], first + k, down, wide);
        }
    }
}

VM_INLINE void body(const struct loss__block *b, bool wide)
{
    for (size_t r = 0; r < b->n; r++) {
        sample(b, r, wide);
    }
}

LOSS__KERNEL_BODIES(body)
LOSS__KERNELS(mean_pairwise_squared_error) = {.f32 = f32, .f64 = f64};

LOSS__DESCRIPTOR(mean_pairwise_squared_error) = {
    .name = "mean_pairwise_squared_error",
    .summary = "Mean over the pairs of a sample's elements of the squared error of their difference.",
    .formula = "mean over pairs i < j of a sample of ((predictions_i - predictions_j) - (labels_i - labels_j))^2",
    .source = "tf.compat.v1.losses.mean_pairwise_squared_error (TensorFlow 1.15)",
    .edges = "A sample of one number, or with one weight that is not 0, has loss 0. Elements of weight 0 still take "
             "part in the differences: only their number is left out of the divisor, as in TensorFlow 1.15. Loss is "
             "the sum over the batch.",
    .elsewhere = "tf.compat.v1.losses.mean_pairwise_squared_error of TensorFlow 1.15: equal; older ones divide by n^2.",
    .example = "{\"labels\": [[0, 0.5, 1]], \"predictions\": [[1, 1, 1]]}",
    .inputs = LOSS__LABELS_AND_PREDICTIONS(true),
    .kind = LOSS_SAMPLEWISE,
    .reduction = LOSS_REDUCE_SUM,
    .ulp = 2,
};
