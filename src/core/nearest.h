/* SPDX-License-Identifier: Apache-2.0
 *
 * nearest.h - which known words a misspelt one may stand for.
 */
#ifndef LOSS__NEAREST_H
#define LOSS__NEAREST_H

#include <stddef.h>

#define LOSS__NEAREST_MAX 8

/* The nearest words so far, best first; of equally near ones the first offered comes first. */
struct loss__nearest {
    const char *word;
    const char **best; /* [max] */
    size_t max, n;     /* max at most LOSS__NEAREST_MAX counts */
    size_t distance[LOSS__NEAREST_MAX];
};

/* Keep `candidate` where it is near enough to be meant. */
void loss__nearest_offer(struct loss__nearest *nearest, const char *candidate);

#endif
