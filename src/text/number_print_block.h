/* SPDX-License-Identifier: Apache-2.0
 *
 * number_print_block.h - eight numbers at a time to text, where the machine has the vectors for it.
 */
#ifndef TEXT_NUMBER_PRINT_BLOCK_H
#define TEXT_NUMBER_PRINT_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum {
    NUMBER_BLOCK = 8,
    NUMBER_BLOCK_TEXT = 25,  /* the longest of them, "-2.2250738585072014e-308," */
    NUMBER_BLOCK_SLACK = 36, /* bytes from where a number begins that may be written */
};

#ifdef NUMBER_HAVE_BLOCKS

/* Does this machine print in blocks? It does where the kernels' build for x86-64-v4 is in use. */
bool number_has_blocks(void);

/* Print 8 numbers, each with a comma behind, from *p on, and set *p behind them; false if one of them is subnormal or not
 * finite, and nothing has been written. Needs room for 7 * NUMBER_BLOCK_TEXT + NUMBER_BLOCK_SLACK bytes. */
bool number_block_f32(char **p, const float *v);
bool number_block_f64(char **p, const double *v);

#else

static inline bool number_has_blocks(void)
{
    return false;
}

static inline bool number_block_f32(char **p, const float *v)
{
    return (void)p, (void)v, false;
}

static inline bool number_block_f64(char **p, const double *v)
{
    return (void)p, (void)v, false;
}

#endif

#endif
