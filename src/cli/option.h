/* SPDX-License-Identifier: Apache-2.0
 *
 * option.h - one option on a command line, in either of its forms.
 */
#ifndef CLI_OPTION_H
#define CLI_OPTION_H

/* The value of "--option value", whose second word *i then stands at, or of "--option=value"; borrowed from argv. NULL:
 * argv[*i] is another option, or has no value. */
const char *option_value(const char *option, int argc, char **argv, int *i);

#endif
