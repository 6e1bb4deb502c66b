/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel.h - what the files in losses/ share: one kernel body for both dtypes, and words of descriptors.
 *
 * A body is an inline function that takes `wide` (float64) as a constant; each dtype's kernel is a call of it, so the
 * tests on `wide` cost nothing. All arithmetic is in double.
 */
#ifndef LOSS__KERNEL_H
#define LOSS__KERNEL_H

#include <math.h>

#include "block.h"
#include "vmath.h"

#define LOSS__KERNEL_BODIES(body)                                                                                      \
    static void f32(const struct loss__block *b)                                                                       \
    {                                                                                                                  \
        body(b, false);                                                                                                \
    }                                                                                                                  \
    static void f64(const struct loss__block *b)                                                                       \
    {                                                                                                                  \
        body(b, true);                                                                                                 \
    }

/* Likewise of each stage of a loss that has several. */
#define LOSS__STAGE_BODIES(body)                                                                                       \
    static void body##_f32(const struct loss__block *b)                                                                \
    {                                                                                                                  \
        body(b, false);                                                                                                \
    }                                                                                                                  \
    static void body##_f64(const struct loss__block *b)                                                                \
    {                                                                                                                  \
        body(b, true);                                                                                                 \
    }
#define LOSS__STAGE(body, how_many)                                                                                    \
    {                                                                                                                  \
        .f32 = body##_f32, .f64 = body##_f64, .parts = how_many                                                        \
    }
#define LOSS__STAGES(...)                                                                                              \
    .stages = (const struct loss__stage[])                                                                             \
    {                                                                                                                  \
        __VA_ARGS__,                                                                                                   \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }

VM_INLINE double kernel_load(const void *x, size_t i, bool wide)
{
    return wide ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

VM_INLINE void kernel_store(void *x, size_t i, double value, bool wide)
{
    if (wide) {
        ((double *)x)[i] = value;
    } else {
        ((float *)x)[i] = (float)value;
    }
}

/* Upstream times derivative; 0 where the upstream is 0, also if the derivative is infinite. A NaN stays. */
VM_INLINE double kernel_chain(double g, double derivative)
{
    return VM_SELECT(g == 0.0, VM_SELECT(derivative == derivative, 0.0, derivative), g * derivative);
}

/* Words that many descriptors share. */
#define LOSS__WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define LOSS__LABELS .name = "labels", .doc = "The truth."
#define LOSS__LABELS_ALIASES "y_true", "target", "targets"
#define LOSS__PREDICTIONS .name = "predictions", .doc = "What was predicted."
#define LOSS__LOGITS .name = "logits", .doc = "Unnormalised scores."
#define LOSS__MAIN_ALIASES "y_pred", "input"

/* The inputs of a loss of labels and predictions, a number each. */
#define LOSS__LABELS_AND_PREDICTIONS(labels_differentiable)                                                            \
    {                                                                                                                  \
        {LOSS__LABELS, .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES), .differentiable = labels_differentiable},         \
        {                                                                                                              \
            LOSS__PREDICTIONS, .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), .extent = LOSS_FREE, .main = true,          \
                               .differentiable = true                                                                  \
        }                                                                                                              \
    }

/* The inputs of a loss of pairs of vectors, and of what each pair should be. */
#define LOSS__PAIRS_AND_LABELS(labels_doc, labels_domain)                                                              \
    {                                                                                                                  \
        {.name = "x1",                                                                                                 \
         .doc = "Vectors.",                                                                                            \
         .aliases = LOSS__WORDS("input1"),                                                                             \
         .extent = LOSS_FREE,                                                                                          \
         .main = true,                                                                                                 \
         .differentiable = true},                                                                                      \
            {.name = "x2",                                                                                             \
             .doc = "Vectors to compare with.",                                                                        \
             .aliases = LOSS__WORDS("input2"),                                                                         \
             .main = true,                                                                                             \
             .differentiable = true},                                                                                  \
        {                                                                                                              \
            .name = "labels", .doc = labels_doc, .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES),                         \
            .domain = labels_domain, .extent = LOSS_LEAD                                                               \
        }                                                                                                              \
    }

#endif
