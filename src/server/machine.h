/* SPDX-License-Identifier: Apache-2.0
 *
 * machine.h - how much of this machine is ours: what container limits leave of its processors and memory.
 */
#ifndef SERVER_MACHINE_H
#define SERVER_MACHINE_H

#include <stdint.h>

int machine_cpus(void);       /* processors this process may keep busy; at least 1 */
int64_t machine_memory(void); /* bytes this process may hold */
int64_t machine_clock(void);  /* monotonic microseconds */

#endif
