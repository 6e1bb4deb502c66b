/* SPDX-License-Identifier: Apache-2.0
 *
 * share.h - sums over pairs of items of log(1 + x) and x/(1 + x), where x = exp((s_j - s_i)/T).
 *
 * log(1 + x1) + log(1 + x2) + ... is the logarithm of one product, and the sum of x/(1 + x) is its logarithmic
 * derivative: with q the product less 1 and d the derivative, both sums of terms of one sign,
 *
 *     d <- d (1 + x) + x (1 + q);   q <- q + x (1 + q)
 *
 * so a pair costs a handful of multiplications, and a logarithm and a division are needed only before the product leaves
 * the doubles: every `steps` pairs.
 */
#ifndef LOSS__SHARE_H
#define LOSS__SHARE_H

#include "losses/ranking.h"

#define SHARE_RANGE 600.0 /* exp(+-half of it) and quotients of those are doubles with room to multiply */
#define SHARE_PRODUCT 700.0
#define SHARE_LN2 0.7

struct shares {
    double log, share; /* sums of log(1 + x) and of x/(1 + x) */
};

/* Fill u = exp((s - m)/T) and its inverse, and see how many pairs one product may hold. */
VM_INLINE void shares_prepare(struct list *list, const double *score, double *restrict up, double *restrict down,
                              bool wide)
{
    const double middle = 0.5 * list->low + 0.5 * list->high, temperature = list->temperature;
    double range = (list->high - list->low) / temperature;
    if (list->items == 0 || !(range <= SHARE_RANGE)) {
        return;
    }
    double steps = floor(SHARE_PRODUCT / (range + SHARE_LN2)), most = wide ? 8 : 64;
    list->steps = (size_t)(steps < most ? steps : most);
    for (size_t i = 0; i < lanes_padded(list->items); i++) {
        double s = i < list->items ? score[i] : middle, lost, product_error;
        double d = vm_two_diff(s, middle, &lost), x = d / temperature;
        double product = vm_two_prod(x, temperature, &product_error);
        double rest = (((d - product) - product_error) + lost) / temperature;
        rest = VM_SELECT(rest - rest == 0.0, rest, 0.0);
        up[i] = vm_exp_hilo(x, rest);
        down[i] = vm_exp_hilo(-x, -rest);
    }
}

struct share_lanes {
    struct lanes q, d, log, share;
};

VM_INLINE void share_flush(struct share_lanes *s, bool logs, bool shares, bool wide)
{
    for (int l = 0; l < LANES; l++) {
        if (logs) {
            s->log.at[l] += wide ? vm_log1p(s->q.at[l]) : vm_log1p_brief(s->q.at[l]);
        }
        if (shares) {
            s->share.at[l] += s->d.at[l] / (1.0 + s->q.at[l]);
        }
        s->q.at[l] = s->d.at[l] = 0;
    }
}

VM_INLINE void share_step(struct share_lanes *s, int l, double x, bool shares)
{
    double product = 1.0 + s->q.at[l], more = x * product;
    if (shares) {
        s->d.at[l] = s->d.at[l] * (1.0 + x) + more;
    }
    s->q.at[l] += more;
}

/* Over x = factor * u[i]. */
VM_INLINE struct shares shares_of(const double *restrict u, size_t n, double factor, size_t steps, bool logs,
                                  bool shares, bool wide)
{
    struct share_lanes s = {lanes_of(0.0), lanes_of(0.0), lanes_of(0.0), lanes_of(0.0)};
    size_t whole = n - n % LANES, at = 0;
    while (at < whole) {
        size_t stop = at + steps * LANES < whole ? at + steps * LANES : whole;
        for (; at < stop; at += LANES) {
            for (int l = 0; l < LANES; l++) {
                share_step(&s, l, factor * u[at + (size_t)l], shares);
            }
        }
        share_flush(&s, logs, shares, wide);
    }
    if (whole < n) {
        double tail[LANES] = {0};
        memcpy(tail, u + whole, (n - whole) * sizeof *u);
        for (int l = 0; l < LANES; l++) {
            share_step(&s, l, factor * tail[l], shares);
        }
        share_flush(&s, logs, shares, wide);
    }
    return (struct shares){.log = lanes_sum(s.log), .share = lanes_sum(s.share)};
}

/* Over x = exp(sign (s[i] - own)/T), one by one. */
VM_INLINE struct shares shares_far(const double *restrict score, size_t n, double own, double sign, double temperature)
{
    struct lanes log = lanes_of(0.0), share = lanes_of(0.0);
    for (size_t i = 0; i < n; i++) {
        double other, d = sign * (score[i] - own) / temperature;
        double sigma = vm_sigmoid(d, &other);
        log.at[i % LANES] += (d > 0 ? d : 0.0) + vm_softplus_tail(vm_abs(d));
        share.at[i % LANES] += sigma;
    }
    return (struct shares){.log = lanes_sum(log), .share = lanes_sum(share)};
}

#endif
