/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_json.h - descriptors of losses as JSON, for clients that ask what can be computed.
 */
#ifndef SERVER_CATALOG_JSON_H
#define SERVER_CATALOG_JSON_H

#include <loss/catalog.h>
#include <text/json_write.h>

/* One loss: an object. */
void catalog_json_loss(struct json_out *o, const struct loss_desc *desc);
/* {"losses": [...]}: those of `kind` (NULL: any) that have each word of `words` (NULL: none) in their name, an alias or
 * their summary, in either case. */
void catalog_json_list(struct json_out *o, const char *kind, const char *words);

/* The words of the catalog, for other texts. */
const char *catalog_kind_name(loss_kind kind);             /* "elementwise" */
const char *catalog_param_type_name(loss_param_type type); /* "number" */
const char *catalog_domain_name(loss_domain domain);       /* "real" */
/* The default as one JSON value; null where there is none. `param` not required. */
void catalog_json_default(struct json_out *o, const struct loss_param *param, double value);
/* Which ends of the range there are. */
bool catalog_has_min(const struct loss_param *param);
bool catalog_has_max(const struct loss_param *param);

#endif
