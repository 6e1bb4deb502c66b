/* SPDX-License-Identifier: Apache-2.0
 *
 * elementwise.h - the kernel of a loss of two numbers, from the function of one pair.
 *
 * A loss file writes
 *
 *     VM_INLINE struct point point(double y, double p, const double *k, bool wide) { return (struct point){...}; }
 *     LOSS__ELEMENTWISE(huber_loss, point);
 *
 * with labels as its first input, predictions or logits as its second, k[i] its parameter i, and `wide` true for
 * float64. The loops for loss alone and for each choice of gradients are made from that; derivatives nobody asked for
 * are not computed. A loss of three numbers is made alike by LOSS__ELEMENTWISE_OF_THREE, from a function of them.
 * What parameters alone decide is worked out before the loop by a function that adds it to k (LOSS__ELEMENTWISE_PREPARED).
 */
#ifndef LOSS__ELEMENTWISE_H
#define LOSS__ELEMENTWISE_H

#include "kernel.h"

struct point {
    double loss, dp, dy; /* dy 0 where labels are not differentiable */
};

/* Of three inputs: the loss, and the derivatives in the inputs' order. */
struct point3 {
    double loss, d[3];
};

/* Numbers that losses make of their parameters, behind them in k. */
#define ELEMENTWISE_DERIVED 4

VM_INLINE void elementwise_unprepared(double *k)
{
    (void)k;
}

#define LOSS__ELEMENTWISE_LOOPS(T, dtype, formula, wide)                                                               \
    LOSS__ELEMENTWISE_PREPARED_LOOPS(T, dtype, formula, elementwise_unprepared, wide)

#define LOSS__ELEMENTWISE_PREPARED_LOOPS(T, dtype, formula, prepare, wide)                                             \
    VM_INLINE void dtype##_loop(size_t n, const T *restrict y, const T *restrict p, const double *restrict g,          \
                                const double *k, double *restrict loss, T *restrict gp, T *restrict gy, bool dp,       \
                                bool dy, bool alike)                                                                   \
    {                                                                                                                  \
        const double all = alike ? g[0] : 0;                                                                           \
        for (size_t i = 0; i < n; i++) {                                                                               \
            struct point at = formula((double)y[i], (double)p[i], k, wide);                                            \
            loss[i] = at.loss;                                                                                         \
            if (dp) {                                                                                                  \
                gp[i] = (T)(alike ? all * at.dp : kernel_chain(g[i], at.dp));                                          \
            }                                                                                                          \
            if (dy) {                                                                                                  \
                gy[i] = (T)(alike ? all * at.dy : kernel_chain(g[i], at.dy));                                          \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void dtype(const struct loss__block *b)                                                                     \
    {                                                                                                                  \
        double k[LOSS_MAX_PARAMS + ELEMENTWISE_DERIVED];                                                               \
        for (int i = 0; i < LOSS_MAX_PARAMS; i++) {                                                                    \
            k[i] = b->param[i].number;                                                                                 \
        }                                                                                                              \
        prepare(k);                                                                                                    \
        const T *y = b->in[0], *p = b->in[1];                                                                          \
        T *gy = b->grad[0], *gp = b->grad[1];                                                                          \
        if (gp == NULL && gy == NULL) {                                                                                \
            dtype##_loop(b->n, y, p, b->g, k, b->loss, gp, gy, false, false, false);                                   \
        } else if (gy == NULL && b->g_alike) {                                                                         \
            dtype##_loop(b->n, y, p, b->g, k, b->loss, gp, gy, true, false, true);                                     \
        } else if (gy == NULL) {                                                                                       \
            dtype##_loop(b->n, y, p, b->g, k, b->loss, gp, gy, true, false, false);                                    \
        } else if (gp == NULL) {                                                                                       \
            dtype##_loop(b->n, y, p, b->g, k, b->loss, gp, gy, false, true, false);                                    \
        } else {                                                                                                       \
            dtype##_loop(b->n, y, p, b->g, k, b->loss, gp, gy, true, true, false);                                     \
        }                                                                                                              \
    }

#define LOSS__ELEMENTWISE(name, point)                                                                                 \
    LOSS__ELEMENTWISE_LOOPS(float, f32, point, false)                                                                  \
    LOSS__ELEMENTWISE_LOOPS(double, f64, point, true)                                                                  \
    LOSS__KERNELS(name) = {.f32 = f32, .f64 = f64}

#define LOSS__ELEMENTWISE_PREPARED(name, point, prepare)                                                               \
    LOSS__ELEMENTWISE_PREPARED_LOOPS(float, f32, point, prepare, false)                                                \
    LOSS__ELEMENTWISE_PREPARED_LOOPS(double, f64, point, prepare, true)                                                \
    LOSS__KERNELS(name) = {.f32 = f32, .f64 = f64}

/* The slopes that nobody asked for go where they do no harm, so that the loop has no branches. */
#define LOSS__ELEMENTWISE_OF_THREE_LOOPS(T, dtype, point, wide)                                                        \
    VM_INLINE void dtype##_loop(const struct loss__block *b, const double *k, T *restrict d0, T *restrict d1,          \
                                T *restrict d2, bool slopes)                                                           \
    {                                                                                                                  \
        const T *restrict x0 = b->in[0], *restrict x1 = b->in[1], *restrict x2 = b->in[2];                             \
        const double *restrict g = b->g;                                                                               \
        double *restrict loss = b->loss;                                                                               \
        for (size_t i = 0; i < b->n; i++) {                                                                            \
            struct point3 at = point((double)x0[i], (double)x1[i], (double)x2[i], k, wide);                            \
            loss[i] = at.loss;                                                                                         \
            if (slopes) {                                                                                              \
                d0[i] = (T)kernel_chain(g[i], at.d[0]);                                                                \
                d1[i] = (T)kernel_chain(g[i], at.d[1]);                                                                \
                d2[i] = (T)kernel_chain(g[i], at.d[2]);                                                                \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void dtype(const struct loss__block *b)                                                                     \
    {                                                                                                                  \
        double k[LOSS_MAX_PARAMS];                                                                                     \
        for (int i = 0; i < LOSS_MAX_PARAMS; i++) {                                                                    \
            k[i] = b->param[i].number;                                                                                 \
        }                                                                                                              \
        T unwanted[3][LOSS__BLOCK_ELEMENTS], *d[3];                                                                    \
        bool slopes = false;                                                                                           \
        for (int i = 0; i < 3; i++) {                                                                                  \
            d[i] = b->grad[i] != NULL ? b->grad[i] : unwanted[i];                                                      \
            slopes = slopes || b->grad[i] != NULL;                                                                     \
        }                                                                                                              \
        if (slopes) {                                                                                                  \
            dtype##_loop(b, k, d[0], d[1], d[2], true);                                                                \
        } else {                                                                                                       \
            dtype##_loop(b, k, d[0], d[1], d[2], false);                                                               \
        }                                                                                                              \
    }

#define LOSS__ELEMENTWISE_OF_THREE(name, point)                                                                        \
    LOSS__ELEMENTWISE_OF_THREE_LOOPS(float, f32, point, false)                                                         \
    LOSS__ELEMENTWISE_OF_THREE_LOOPS(double, f64, point, true)                                                         \
    LOSS__KERNELS(name) = {.f32 = f32, .f64 = f64}

#endif
