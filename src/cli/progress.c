/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.c - one line, drawn over itself at each whole percent.
 */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WIDTH 40

void progress_init(struct progress *p)
{
    *p = (struct progress){.shown = isatty(STDERR_FILENO) == 1, .percent = -1};
}

void progress_draw(struct progress *p, size_t done, size_t all)
{
    int percent = all == 0 ? 100 : (int)(100.0 * (double)done / (double)all);
    char bar[WIDTH + 1];
    if (!p->shown || percent == p->percent) {
        return;
    }
    p->percent = percent;
    memset(bar, ' ', WIDTH);
    memset(bar, '#', (size_t)(percent * WIDTH / 100));
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %3d %%", bar, percent);
}

void progress_clear(struct progress *p)
{
    if (p->shown && p->percent >= 0) {
        fprintf(stderr, "\r%*s\r", WIDTH + 8, "");
        p->percent = -1;
    }
}
