/* SPDX-License-Identifier: Apache-2.0
 *
 * classes.h - what losses of class indices share: the parameters ignore_index and class_weights, and the row factors
 * that follow from them.
 *
 * A row that is left out has label -1 here (block.h); its loss and gradient are 0, and its numbers are not looked at.
 * The factor of a row is the weight of its class, so that a mean divides by the sum of the classes' weights, and 0 where
 * the row is left out.
 */
#ifndef LOSS__CLASSES_H
#define LOSS__CLASSES_H

#include "kernel.h"

/* Where LOSS__CLASS_PARAMS stand: first among a loss's parameters. */
enum { IGNORE_INDEX, CLASS_WEIGHTS, CLASS_PARAMS };

VM_INLINE double class_weight(const struct loss_param_value *weights, size_t k)
{
    const struct loss_tensor *t = &weights->vector;
    return t->data == NULL ? 1.0 : kernel_load(t->data, k, t->dtype == LOSS_FLOAT64);
}

/* in  labels int64 [n] as the first input */
__attribute__((unused)) static void class_factor(const struct loss__block *b, double *r)
{
    const int64_t *labels = b->in[0];
    for (size_t i = 0; i < b->n; i++) {
        r[i] = labels[i] < 0 ? 0.0 : class_weight(&b->param[CLASS_WEIGHTS], (size_t)labels[i]);
    }
}

__attribute__((unused)) static bool class_factored(const struct loss_param_value *param)
{
    return param[IGNORE_INDEX].given || param[CLASS_WEIGHTS].given;
}

#define LOSS__CLASS_FACTORS .factor = class_factor, .factored = class_factored

#define LOSS__CLASS_WEIGHTS_PARAM                                                                                      \
    {                                                                                                                  \
        .name = "class_weights", .doc = "How much each class counts; left out, all alike.", .type = LOSS_VECTOR,       \
        .optional = true, .min = 0, .max = INFINITY, .below_max = true                                                 \
    }
#define LOSS__CLASS_PARAMS                                                                                             \
    {.name = "ignore_index", .doc = "The label of rows that are left out.", .type = LOSS_INTEGER, .optional = true},   \
        LOSS__CLASS_WEIGHTS_PARAM

#define LOSS__CLASS_SMOOTHING_PARAM                                                                                    \
    {                                                                                                                  \
        .name = "label_smoothing", .doc = "How far labels are drawn towards the uniform distribution.",                \
        .type = LOSS_NUMBER, .fallback = 0, .min = 0, .max = 1                                                         \
    }
#define LOSS__CLASS_AXIS_PARAM                                                                                         \
    {                                                                                                                  \
        .name = "axis", .doc = "The class axis.", .aliases = LOSS__WORDS("dim"), .type = LOSS_AXIS, .fallback = -1     \
    }

/* Labels that have no gradient: a distribution over the classes. */
#define LOSS__CLASS_DISTRIBUTION                                                                                       \
    {                                                                                                                  \
        .name = "labels", .doc = "Weight of each class, usually a distribution.",                                      \
        .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES)                                                                   \
    }

#define LOSS__CLASS_LABELS                                                                                             \
    {                                                                                                                  \
        .name = "labels", .doc = "Index of the true class.", .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES),             \
        .domain = LOSS_CLASS_INDEX, .extent = LOSS_LEAD                                                                \
    }

#endif
