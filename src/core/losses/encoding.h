/* SPDX-License-Identifier: Apache-2.0
 *
 * encoding.h - labels of two classes, told as 0 and 1 or as -1 and 1: the parameter of the losses of a margin.
 */
#ifndef LOSS__ENCODING_H
#define LOSS__ENCODING_H

#include "elementwise.h"

/* As LOSS__ENCODING_PARAM lists its words; and zero_one where no label is soft, of which nothing is lost. */
enum { ENCODING_ZERO_ONE, ENCODING_PLUS_MINUS, ENCODING_AUTO, ENCODING_HARD };

/* The sign that a label stands for, which may be soft, without what rounding takes: that goes to *error. */
VM_INLINE double encoding_sign(double y, int encoding, double *error)
{
    double doubled = 2 * y - 1.0; /* which rounds near -1 alone, or where the 1 is nothing beside it */
    *error = encoding == ENCODING_ZERO_ONE ? 2 * y - (doubled + 1.0) : 0.0;
    double itself = VM_SELECT(y > 0.0, 1.0, VM_SELECT(y <= 0.0, -1.0, y));
    return encoding == ENCODING_ZERO_ONE || encoding == ENCODING_HARD ? doubled
           : encoding == ENCODING_PLUS_MINUS                          ? y
                                                                      : itself;
}

/* Whether all labels are 0, 1 or -1. */
__attribute__((unused)) static bool encoding_is_hard(const float *y, size_t n)
{
    uint32_t soft = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &y[i], sizeof bits);
        bits &= INT32_MAX;
        soft |= (uint32_t)(bits != 0) & (uint32_t)(bits != UINT32_C(0x3f800000));
    }
    return soft == 0;
}

/* margin - u*z for the sign u of a label. It cancels near the kink, so what u and the product lost in rounding is carried
 * along. Where the product's error cannot be had (|z| beyond 2^996) it does not matter either. Of a z that was a float all
 * digits are in the higher half of the product's: the first 29 digits of u times it are exact, and what they leave of the
 * margin is where it cancels; other signs than those of zero_one are floats themselves. */
VM_INLINE double encoding_shortfall(double margin, double u, double u_error, double z, int encoding, bool wide)
{
    if (!wide && encoding != ENCODING_ZERO_ONE) {
        return margin - u * z;
    }
    double product_error, product = u * z;
    if (wide) {
        vm_two_prod(u, z, &product_error);
        double error = product_error + u_error * z;
        return (margin - product) - VM_SELECT(error - error == 0.0, error, 0.0);
    }
    double u_high = vm_from_bits(vm_bits(u) & ~((UINT64_C(1) << 24) - 1));
    double rest = ((u - u_high) + u_error) * z;
    return (margin - u_high * z) - VM_SELECT(rest - rest == 0.0, rest, 0.0);
}

/* The kernels of a loss from formula(y, z, k, encoding, wide), whose parameter 0 is LOSS__ENCODING_PARAM: a loop for each
 * encoding, so that the choice is made once a block; hard labels of float32 have theirs, with the same results. */
#define LOSS__ENCODED_LOOPS(choice, formula, encoding)                                                                 \
    VM_INLINE struct point choice(double y, double z, const double *k, bool wide)                                      \
    {                                                                                                                  \
        return formula(y, z, k, encoding, wide);                                                                       \
    }                                                                                                                  \
    LOSS__ELEMENTWISE_LOOPS(float, choice##_f32, choice, false)                                                        \
    LOSS__ELEMENTWISE_LOOPS(double, choice##_f64, choice, true)

#define LOSS__ENCODED(name, formula)                                                                                   \
    LOSS__ENCODED_LOOPS(zero_one, formula, ENCODING_ZERO_ONE)                                                          \
    LOSS__ENCODED_LOOPS(plus_minus, formula, ENCODING_PLUS_MINUS)                                                      \
    LOSS__ENCODED_LOOPS(by_itself, formula, ENCODING_AUTO)                                                             \
    VM_INLINE struct point hard(double y, double z, const double *k, bool wide)                                        \
    {                                                                                                                  \
        return formula(y, z, k, ENCODING_HARD, wide);                                                                  \
    }                                                                                                                  \
    LOSS__ELEMENTWISE_LOOPS(float, hard_f32, hard, false)                                                              \
    static void f32(const struct loss__block *b)                                                                       \
    {                                                                                                                  \
        static loss__kernel *const of[] = {zero_one_f32, plus_minus_f32, by_itself_f32, hard_f32};                     \
        int encoding = (int)b->param[0].number;                                                                        \
        of[encoding == ENCODING_ZERO_ONE && encoding_is_hard(b->in[0], b->n) ? ENCODING_HARD : encoding](b);           \
    }                                                                                                                  \
    static void f64(const struct loss__block *b)                                                                       \
    {                                                                                                                  \
        static loss__kernel *const of[] = {zero_one_f64, plus_minus_f64, by_itself_f64};                               \
        of[(int)b->param[0].number](b);                                                                                \
    }                                                                                                                  \
    LOSS__KERNELS(name) = {.f32 = f32, .f64 = f64}

#define LOSS__ENCODING_PARAM(standard)                                                                                 \
    {                                                                                                                  \
        .name = "label_encoding",                                                                                      \
        .doc = "What labels are: 0 and 1 (also between), -1 and 1 (also between), or each of -1, 0 and 1 by itself.",  \
        .words = LOSS__WORDS("zero_one", "plus_minus", "auto"), .type = LOSS_WORD, .fallback = (standard)              \
    }

#define LOSS__ENCODED_INPUTS(labels_differentiable)                                                                    \
    {                                                                                                                  \
        {LOSS__LABELS, .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES), .domain = LOSS_ENCODED,                           \
         .differentiable = labels_differentiable},                                                                     \
        {                                                                                                              \
            LOSS__LOGITS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,               \
                          .differentiable = true                                                                       \
        }                                                                                                              \
    }

#endif
