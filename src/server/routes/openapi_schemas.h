/* SPDX-License-Identifier: Apache-2.0
 *
 * openapi_schemas.h - the components of the OpenAPI document: what bodies look like.
 */
#ifndef SERVER_OPENAPI_SCHEMAS_H
#define SERVER_OPENAPI_SCHEMAS_H

#include <loss/catalog.h>
#include <text/json_write.h>

/* The value of "components": schemas, parameters and responses. */
void openapi_components(struct json_out *o);

/* A value in short: ' stands for ", and <Name> for a reference to the schema of that name. */
void openapi_short(struct json_out *o, const char *text);

/* Small pieces that paths need too. */
void openapi_text(struct json_out *o, const char *key, const char *text);    /* "key": "text" */
void openapi_ref(struct json_out *o, const char *section, const char *name); /* {"$ref": "#/components/..."} */
void openapi_loss_names(struct json_out *o);                                 /* ["huber", "huber_loss", ...] */

/* Is there a component for a query field of this name? */
bool openapi_has_parameter(const char *name);

#endif
