/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.h - what every fuzz target defines. libFuzzer calls it; in ordinary builds (LOSSD_FUZZ_REPLAY) the main of
 * replay.c does, with each file of a corpus.
 */
#ifndef FUZZ_REPLAY_H
#define FUZZ_REPLAY_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
