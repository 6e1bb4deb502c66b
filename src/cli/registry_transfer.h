/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_transfer.h - what lossd registry export and import do, once their arguments were read.
 */
#ifndef CLI_REGISTRY_TRANSFER_H
#define CLI_REGISTRY_TRANSFER_H

#include <stdio.h>

#include <registry/registry.h>

struct transfer_counts {
    uint64_t registries, entries, keys;
};

/* Write the named registries of a namespace to `out`; names NULL: all it has, and its idempotency keys, which belong to
 * none; space NULL, too: all of all namespaces.
 * err  LOSS_UNKNOWN_REGISTRY, LOSS_STORE_UNAVAILABLE, LOSS_OVERLOADED, LOSS_INTERNAL (writing failed) */
loss_status registry_export(struct registry *r, const char *space, const char *const *names, size_t n, FILE *out,
                            struct transfer_counts *counts, struct loss_error *err);

/* Take in what export wrote, all or nothing. A failure names its line in *line (0: none is to blame) and leaves everything
 * as it was. `skip_keys`: leave them out. */
loss_status registry_import(struct registry *r, FILE *in, registry_taken taken, bool skip_keys,
                            struct transfer_counts *counts, uint64_t *line, struct loss_error *err);

#endif
