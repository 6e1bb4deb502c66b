/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.h - calls of any loss on made-up tensors, and what copying as much memory takes.
 */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

#include <stddef.h>

#include <loss/loss.h>

/* What a case's tensors are: rows of classes, or (one class) plain elements. */
struct size {
    size_t rows, classes;
};

/* Where the next numbers come from: [0, 1). */
double random_unit(void);

/* A call with made-up tensors, and parameters that have no default; the bits of its main inputs. */
unsigned make_call(struct loss_call *call, const struct loss_desc *desc, struct size size);

/* What is measured: a struct loss_call, with an arena of its own. Ends the program where it fails. */
void compute_once(void *call);

/* Bytes that one call reads and writes. */
double traffic(const struct loss_call *call, struct size size);

/* Seconds that a copy of n bytes takes, on as many threads. */
double copy_seconds(size_t n);

/* All tensors that were made. */
void free_all(void);

#endif
