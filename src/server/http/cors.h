/* SPDX-License-Identifier: Apache-2.0
 *
 * cors.h - pages of other origins that may call this server from a browser (Fetch standard, section 3.3).
 *
 * None may unless --cors-origin names them; then every answer to them says so, refusals too.
 */
#ifndef SERVER_CORS_H
#define SERVER_CORS_H

#include <server/http/request.h>

/* Is this a list of origins as --cors-origin takes it: "*", or "https://a.example,http://localhost:3000"? */
bool cors_list_valid(const char *list);

/* On the HTTP thread, for any reply, once: adds its header fields. `list` NULL: none. */
void cors_add(struct request *q, struct reply *r, const char *list);

#endif
