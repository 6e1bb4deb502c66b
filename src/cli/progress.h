/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.h - a bar on standard error where that is a terminal, and nothing where it is not.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

struct progress {
    bool shown;
    int percent; /* last drawn */
};

void progress_init(struct progress *p);
void progress_draw(struct progress *p, size_t done, size_t all);
void progress_clear(struct progress *p); /* the line is free for other text */

#endif
