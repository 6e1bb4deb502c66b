/* SPDX-License-Identifier: Apache-2.0
 *
 * serve.c - lossd serve: the HTTP server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <server/conf.h>
#include <server/server.h>

#include "commands.h"

static void help(void)
{
    printf("usage: lossd serve [OPTION]...\n\n"
           "Serve losses over HTTP until SIGTERM or SIGINT, which drain: no new work, answers what there is, exit 0.\n"
           "An option can be set in the environment, too; a flag wins.\n\n");
    conf_help(stdout);
}

/* OpenMP threads that have nothing to do would spin, and take the processors from HTTP threads. libgomp reads this
 * variable when it is loaded, before main, and offers no call for it: so the process starts itself over once. argv
 * begins at the command's name, behind the program's. */
static void make_openmp_passive(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") == NULL && setenv("OMP_WAIT_POLICY", "passive", 1) == 0) {
        execv("/proc/self/exe", argv - 1); /* where that fails, it is only slower */
    }
}

int cmd_serve(int argc, char **argv)
{
    struct conf conf;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            help();
            return 0;
        }
    }
    if (!conf_load(&conf, argc, argv, stderr)) {
        return 2;
    }
    make_openmp_passive(argv);
    return server_run(&conf);
}
