/* SPDX-License-Identifier: Apache-2.0
 *
 * hangup.h - clients that close, or only stop sending, in the middle of a request.
 *
 * libmicrohttpd waits for edges and takes a short read for the end of what arrived. A close that came along with the
 * last bytes is then never seen, and the connection would keep its place until it times out. So the closes are
 * watched for apart, and the connection is woken, again and again until it is gone, to read on and find the end.
 */
#ifndef SERVER_HANGUP_H
#define SERVER_HANGUP_H

#define HANGUP_US 100000 /* from a close to the waking, and between two wakings */

struct hangup_watch;

struct hangup_watch *hangup_new(void);              /* NULL: no memory, descriptor or thread */
void hangup_add(struct hangup_watch *h, int fd);    /* any thread */
void hangup_remove(struct hangup_watch *h, int fd); /* before fd is closed; any thread */
void hangup_free(struct hangup_watch *h);           /* NULL is fine */

#endif
