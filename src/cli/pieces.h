/* SPDX-License-Identifier: Apache-2.0
 *
 * pieces.h - a call over more than fits memory, cut along the first dimension.
 *
 * Sums are exact, so what the pieces find is merged to the same bits as the whole. A loss whose samples meet, or whose
 * first dimension is reduced, is one piece.
 */
#ifndef CLI_PIECES_H
#define CLI_PIECES_H

#include <stdbool.h>
#include <stddef.h>

#include <loss/compute.h>

struct pieces {
    const struct loss_call *whole;
    size_t n, rows;            /* of the first dimension, and of a piece; one piece: 1 and 1 */
    bool single;               /* one piece */
    bool cut[LOSS_MAX_INPUTS]; /* inputs that are cut: all that are there */
    bool cut_weights;
};

/* `bytes`: about what the inputs of a piece may take. */
void pieces_init(struct pieces *p, const struct loss_call *whole, size_t bytes);

/* Rows `first` to first + n as a call of its own. */
struct loss_call pieces_at(const struct pieces *p, size_t first, size_t n);

/* Merge what a piece found into *whole: the sums and counts, not arrays and totals. */
void pieces_begin(struct loss_answer *whole);
void pieces_merge(struct loss_answer *whole, const struct loss_answer *piece);
/* When all are in: totals and the loss. */
void pieces_finish(const struct pieces *p, struct loss_answer *whole);

#endif
