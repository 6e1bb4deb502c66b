/* SPDX-License-Identifier: Apache-2.0
 *
 * openapi.c - lossd openapi: print the OpenAPI document that a server of this version serves.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <loss/arena.h>
#include <server/routes/openapi.h>

#include "commands.h"

int cmd_openapi(int argc, char **argv)
{
    if (argc > 1) {
        bool help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;
        fprintf(help ? stdout : stderr, "usage: lossd openapi\n\nPrints the OpenAPI 3.1 document of this version.\n");
        return help ? 0 : 2;
    }
    int status = 1;
    size_t size;
    struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);
    const char *text = arena == NULL ? NULL : openapi_document(arena, &size);
    if (text == NULL) {
        fprintf(stderr, "lossd: no memory\n");
        goto out;
    }
    if (fwrite(text, 1, size, stdout) != size || fflush(stdout) != 0) {
        perror("lossd: standard output");
        goto out;
    }
    status = 0;
out:
    loss_arena_free(arena);
    return status;
}
