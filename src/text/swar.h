/* SPDX-License-Identifier: Apache-2.0
 *
 * swar.h - eight bytes at a time, in a word.
 */
#ifndef TEXT_SWAR_H
#define TEXT_SWAR_H

#include <stdint.h>

/* A word of eight bytes b. */
#define EACH_BYTE(b) (0x0101010101010101u * (uint64_t)(b))

#endif
