/* SPDX-License-Identifier: Apache-2.0
 *
 * commands.h - the commands of lossd: one function and one file each; main.c has the table.
 *
 * argv[0] is the command's name. The return value is the process's exit status.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

int cmd_serve(int argc, char **argv);    /* 0: drained; 1: could not start; 2: bad usage */
int cmd_eval(int argc, char **argv);     /* 0; 1: the files or what is in them; 2: bad usage */
int cmd_health(int argc, char **argv);   /* 0: the server at [ADDRESS:PORT] is ready; 1: it is not; 2: bad usage */
int cmd_key(int argc, char **argv);      /* 0; 1: the file; 2: bad usage */
int cmd_losses(int argc, char **argv);   /* 0; 1: no memory; 2: bad usage or no such loss */
int cmd_registry(int argc, char **argv); /* 0; 1: the store or the lines; 2: bad usage */
int cmd_openapi(int argc, char **argv);  /* 0; 1: no memory or standard output; 2: bad usage */

#endif
