/* SPDX-License-Identifier: Apache-2.0
 *
 * fields.h - the fields of a request's head, kept so that they are found without asking libmicrohttpd.
 *
 * Names and values lie in libmicrohttpd's memory of the connection, until the request's end. On its HTTP thread.
 */
#ifndef SERVER_FIELDS_H
#define SERVER_FIELDS_H

#include <stddef.h>

#include <loss/arena.h>
#include <server/http/framing.h>

#define FIELDS_KEPT 16 /* where there are more, all are libmicrohttpd's to find */

struct MHD_Connection;

struct field {
    const char *name, *value;
    size_t size; /* of the name */
};

struct fields {
    struct MHD_Connection *connection;
    size_t n; /* of the head; the first FIELDS_KEPT of them are kept */
    struct field kept[FIELDS_KEPT];
};

/* Once the head is there. */
void fields_keep(struct fields *f, struct MHD_Connection *connection);
/* The first of this name, or NULL. */
const char *fields_value(const struct fields *f, const char *name);
/* All of this name, joined by commas; NULL: none, or no memory. */
const char *fields_list(const struct fields *f, const char *name, struct loss_arena *arena);
/* Each is told to the checks of framing, in their order. */
void fields_frame(const struct fields *f, struct framing *framing);

#endif
