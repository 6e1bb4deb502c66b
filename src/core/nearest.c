/* SPDX-License-Identifier: Apache-2.0
 *
 * nearest.c - which known words a misspelt one may stand for.
 */
#include "nearest.h"

#include <stdbool.h>
#include <string.h>

#include <loss/catalog.h>

#define LONGEST 64 /* nothing longer is a name of ours */

/* Case, and which of '-', '_' and ' ' joins words, are no difference. */
static int fold(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A' + 'a';
    }
    return c == '-' || c == ' ' ? '_' : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters must be changed, put in, left out or exchanged with their neighbour (Damerau-Levenshtein, in the
 * form where nothing is edited twice). */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++) {
        last[j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            bool same = fold(a[i - 1]) == fold(b[j - 1]);
            now[j] = least(last[j - 1] + !same, least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1])) {
                now[j] = least(now[j], before[j - 2] + 1);
            }
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

void loss__nearest_offer(struct loss__nearest *nearest, const char *candidate)
{
    size_t n = strlen(nearest->word), m = strlen(candidate);
    if (n > LONGEST || m > LONGEST) {
        return;
    }
    /* One slip in three letters is still the same word. */
    size_t d = distance(nearest->word, n, candidate, m), longer = n > m ? n : m;
    if (d > (longer + 2) / 3 || d == longer) {
        return;
    }
    size_t max = least(nearest->max, LOSS__NEAREST_MAX), place = nearest->n;
    while (place > 0 && nearest->distance[place - 1] > d) {
        place--;
    }
    if (place >= max) {
        return;
    }
    nearest->n = least(nearest->n + 1, max);
    for (size_t i = nearest->n - 1; i > place; i--) {
        nearest->best[i] = nearest->best[i - 1];
        nearest->distance[i] = nearest->distance[i - 1];
    }
    nearest->best[place] = candidate;
    nearest->distance[place] = d;
}

const char *loss_nearest_word(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    struct loss__nearest nearest = {.word = word, .best = &best, .max = 1};
    for (size_t i = 0; i < n; i++) {
        loss__nearest_offer(&nearest, words[i]);
    }
    return nearest.n == 0 ? NULL : best;
}
