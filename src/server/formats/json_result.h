/* SPDX-License-Identifier: Apache-2.0
 *
 * json_result.h - the pieces that answers of several calls share, as JSON: totals, an entry, a registry.
 */
#ifndef SERVER_JSON_RESULT_H
#define SERVER_JSON_RESULT_H

#include <loss/compute.h>
#include <registry/registry.h>
#include <text/json_write.h>

/* "totals": {...} */
void json_write_totals(struct json_out *o, const struct loss_totals *totals);
/* {"name", "loss", "step", "collection", "dtype", "reduction", "added_at"}, the loss as its dtype prints; dtype and
 * reduction are null where the entry was added by hand. One that accumulates also has "updated_at", "batches" and
 * "totals". */
void json_write_entry(struct json_out *o, const struct registry_entry *e);
/* {"registry", "entries", "steps", "latest_step", "updated_at"}, and "ttl" where it has one of its own. */
void json_write_registry(struct json_out *o, const struct registry_info *info);

#endif
