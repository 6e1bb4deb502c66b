/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - the table of commands.
 */
#include <stdio.h>
#include <string.h>

#include <loss/catalog.h>
#include <loss/compute.h>

#include "commands.h"

static const struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"serve", "serve losses over HTTP", cmd_serve},
    {"eval", "compute a loss over files", cmd_eval},
    {"losses", "show what can be computed", cmd_losses},
    {"registry", "show, export and import what was stored", cmd_registry},
    {"key", "make keys for --auth-file, and show them", cmd_key},
    {"openapi", "print the OpenAPI document", cmd_openapi},
    {"health", "ask a server whether it is ready", cmd_health},
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void usage(FILE *out)
{
    fprintf(out, "usage: lossd COMMAND [OPTION]...\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(out, "\nlossd COMMAND --help says more. lossd --version prints the version.\n");
}

static void unknown_command(const char *name)
{
    const char *names[N_COMMANDS];

    for (size_t i = 0; i < N_COMMANDS; i++) {
        names[i] = commands[i].name;
    }
    const char *nearest = loss_nearest_word(name, names, N_COMMANDS);
    fprintf(stderr, "lossd: there is no command \"%s\"", name);
    if (nearest != NULL) {
        fprintf(stderr, "; did you mean %s?", nearest);
    }
    fprintf(stderr, " (lossd --help lists them all)\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("lossd %s (%s)\n", loss_version(), loss_isa());
        return 0;
    }
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, argv[1]) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    unknown_command(argv[1]);
    return 2;
}
