/* SPDX-License-Identifier: Apache-2.0
 *
 * option.c - reading an option's value.
 */
#include "option.h"

#include <stddef.h>
#include <string.h>

const char *option_value(const char *option, int argc, char **argv, int *i)
{
    size_t n = strlen(option);
    if (strncmp(argv[*i], option, n) != 0) {
        return NULL;
    }
    if (argv[*i][n] == '=') {
        return argv[*i] + n + 1;
    }
    return argv[*i][n] == '\0' && *i + 1 < argc ? argv[++*i] : NULL;
}
