/* SPDX-License-Identifier: Apache-2.0
 *
 * overlap.h - what a region and its prediction have in common, and what only one of them has.
 */
#ifndef LOSS__OVERLAP_H
#define LOSS__OVERLAP_H

#include "lanes.h"

/* Sums of terms of one sign for y and p in [0, 1]. */
struct overlap {
    double both;   /* y p */
    double added;  /* (1 - y) p, predicted only;   squared: (y - p)^2 */
    double missed; /* y (1 - p), there only;       squared: 0 */
};

VM_INLINE struct overlap overlap_of(const void *y, const void *p, size_t c, bool squared, bool wide)
{
    struct lanes both = lanes_of(0.0), added = lanes_of(0.0), missed = lanes_of(0.0);
    double u[ROW_CHUNK], v[ROW_CHUNK];
    for (size_t first = 0; first < c; first += ROW_CHUNK) {
        size_t n = row_chunk(c, first);
        lanes_load(y, first, n, 0.0, u, wide);
        lanes_load(p, first, n, 0.0, v, wide);
        for (size_t i = 0; i < n; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                double a = u[i + l], b = v[i + l], e = a - b;
                both.at[l] += a * b;
                added.at[l] += squared ? e * e : (1.0 - a) * b;
                missed.at[l] += squared ? 0.0 : a * (1.0 - b);
            }
        }
    }
    return (struct overlap){.both = lanes_sum(both), .added = lanes_sum(added), .missed = lanes_sum(missed)};
}

#define LOSS__OVERLAP_INPUTS                                                                                           \
    {                                                                                                                  \
        {.name = "labels",                                                                                             \
         .doc = "What is in the region: 0, 1, or between.",                                                            \
         .aliases = LOSS__WORDS(LOSS__LABELS_ALIASES)},                                                                \
        {                                                                                                              \
            .name = "predictions", .doc = "Probabilities of being in it.", .aliases = LOSS__WORDS(LOSS__MAIN_ALIASES), \
            .extent = LOSS_FREE, .main = true, .differentiable = true                                                  \
        }                                                                                                              \
    }
#define LOSS__OVERLAP_AXIS                                                                                             \
    {                                                                                                                  \
        .name = "axis", .doc = "The axes of one region; without it all but the first.", .type = LOSS_AXES,             \
        .optional = true                                                                                               \
    }
#define LOSS__OVERLAP_SMOOTH                                                                                           \
    {                                                                                                                  \
        .name = "smooth", .doc = "Added above and below.", .type = LOSS_NUMBER, .fallback = 0, .min = 0,               \
        .max = INFINITY, .below_max = true                                                                             \
    }
#define LOSS__OVERLAP_EPSILON                                                                                          \
    {                                                                                                                  \
        .name = "epsilon", .doc = "Added below alone.", .type = LOSS_NUMBER, .fallback = 1e-7, .min = 0,               \
        .max = INFINITY, .below_max = true                                                                             \
    }

#endif
