/* SPDX-License-Identifier: Apache-2.0
 *
 * openapi.h - the OpenAPI 3.1 document, generated from the route table and the catalog.
 *
 * The same text is served at /openapi.json, printed by `lossd openapi` and committed as api/openapi.json.
 */
#ifndef SERVER_OPENAPI_H
#define SERVER_OPENAPI_H

#include <stdbool.h>
#include <stddef.h>

#include <loss/arena.h>

struct route;

/* The document, indented, with a newline at its end; in the arena. NULL: no memory. */
const char *openapi_document(struct loss_arena *arena, size_t *size);

/* Is there a description for this row of the route table? A route without one would be missing from the document. */
bool openapi_describes(const struct route *route);

#endif
