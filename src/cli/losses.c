/* SPDX-License-Identifier: Apache-2.0
 *
 * losses.c - lossd losses: what can be computed, for people (or as the JSON that the server answers).
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <loss/loss.h>
#include <server/routes/catalog_json.h>
#include <text/json_write.h>

#include "commands.h"

static void usage(FILE *out)
{
    fprintf(out, "usage: lossd losses [--json] [NAME]\n\n"
                 "Without NAME lists every loss; with it shows its inputs, parameters and an example.\n\n"
                 "  --json   as GET /v1/losses and GET /v1/losses/NAME answer\n");
}

static int print_json(const struct loss_desc *desc)
{
    int status = 1;
    struct loss_arena *arena = loss_arena_new(SIZE_MAX, NULL);
    if (arena == NULL) {
        goto out;
    }
    struct json_out o;
    json_out_init(&o, arena);
    if (desc == NULL) {
        catalog_json_list(&o, NULL, NULL);
    } else {
        catalog_json_loss(&o, desc);
    }
    if (!o.failed) {
        status = fwrite(o.data, 1, o.size, stdout) == o.size && putchar('\n') != EOF ? 0 : 1;
    }
out:
    if (status != 0) {
        fprintf(stderr, "lossd: no memory, or standard output cannot be written\n");
    }
    loss_arena_free(arena);
    return status;
}

static void print_list(void)
{
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        const struct loss_desc *desc = loss_catalog_at(i);
        printf("%-38s  %s\n", desc->name, desc->summary);
    }
}

static void print_names(const char *title, const char *const *names)
{
    for (; names != NULL && *names != NULL; names++) {
        printf("%s%s", title, *names);
        title = ", ";
    }
}

static void print_input(const struct loss_input *input)
{
    printf("  %-16s %s%s%s%s\n", input->name, catalog_domain_name(input->domain), input->main ? ", main" : "",
           input->differentiable ? ", differentiable" : "", input->optional ? ", optional" : "");
    if (input->doc != NULL) {
        printf("  %-16s %s\n", "", input->doc);
    }
    if (input->aliases != NULL && input->aliases[0] != NULL) {
        printf("  %-16s ", "");
        print_names("also ", input->aliases);
        printf("\n");
    }
}

static void print_range(const struct loss_param *param)
{
    if (catalog_has_min(param)) {
        printf(", %s %g", param->above_min ? "above" : "at least", param->min);
    }
    if (catalog_has_max(param)) {
        printf(", %s %g", param->below_max ? "below" : "at most", param->max);
    }
}

static void print_param(const struct loss_param *param)
{
    printf("  %-16s %s", param->name, catalog_param_type_name(param->type));
    print_range(param);
    print_names(": one of ", param->words);
    if (param->required) {
        printf(", required");
    } else if (param->optional) {
        printf(", no default");
    } else if (param->type == LOSS_WORD) {
        printf(", default %s", param->words[(size_t)param->fallback]);
    } else if (param->type == LOSS_BOOLEAN) {
        printf(", default %s", param->fallback != 0 ? "true" : "false");
    } else {
        printf(", default %g", param->fallback);
    }
    printf("\n");
    if (param->doc != NULL) {
        printf("  %-16s %s\n", "", param->doc);
    }
    if (param->aliases != NULL && param->aliases[0] != NULL) {
        printf("  %-16s ", "");
        print_names("also ", param->aliases);
        printf("\n");
    }
}

static void print_loss(const struct loss_desc *desc)
{
    printf("%s\n\n%s\n\n  %s\n", desc->name, desc->summary, desc->formula);
    if (desc->aliases != NULL && desc->aliases[0].name != NULL) {
        printf("\nalso");
        for (const struct loss_alias *alias = desc->aliases; alias->name != NULL; alias++) {
            printf(" %s", alias->name);
        }
        printf("\n");
    }
    printf("\ninputs (%s)\n", catalog_kind_name(desc->kind));
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        print_input(input);
    }
    if (desc->params[0].name != NULL) {
        printf("\nparameters\n");
    }
    for (const struct loss_param *param = desc->params; param->name != NULL; param++) {
        print_param(param);
    }
    printf("\nreduction        %s\ncollection       %s\naccuracy         %d ulp\nsource           %s\n",
           loss_reduction_name(desc->reduction), desc->collection == NULL ? "losses" : desc->collection, desc->ulp,
           desc->source);
    printf("\nexample          curl -d '%s' http://127.0.0.1:8080/v1/losses/%s\n", desc->example, desc->name);
}

static int unknown_loss(const char *name)
{
    const char *nearest[3];
    size_t n = loss_catalog_nearest(name, nearest, 3);
    fprintf(stderr, "lossd: there is no loss \"%s\"", name);
    for (size_t i = 0; i < n; i++) {
        fprintf(stderr, "%s%s", i == 0 ? "; the nearest: " : ", ", nearest[i]);
    }
    fprintf(stderr, "\n");
    return 2;
}

int cmd_losses(int argc, char **argv)
{
    bool json = false;
    const char *name = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            usage(stdout);
            return 0;
        }
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (argv[i][0] == '-' || name != NULL) {
            usage(stderr);
            return 2;
        } else {
            name = argv[i];
        }
    }
    const struct loss_desc *desc = name == NULL ? NULL : loss_catalog_find(name, NULL);
    if (name != NULL && desc == NULL) {
        return unknown_loss(name);
    }
    if (json) {
        return print_json(desc);
    }
    if (desc == NULL) {
        print_list();
    } else {
        print_loss(desc);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
