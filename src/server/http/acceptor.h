/* SPDX-License-Identifier: Apache-2.0
 *
 * acceptor.h - one thread that accepts connections and deals them out.
 *
 * Where the HTTP threads accept for themselves, one that happens to be awake takes ten at a time: all connections of a
 * client may end up with one thread, and stay there while the others idle.
 */
#ifndef SERVER_ACCEPTOR_H
#define SERVER_ACCEPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct acceptor;

/* Who gets an accepted, non-blocking socket; on the acceptor's thread. */
typedef void acceptor_take(void *arg, int fd, const struct sockaddr *from, socklen_t size);

/* For a listening socket, which is ours from now on. Never more than `most` of those accepted are open: the others wait
 * in the socket's backlog. NULL: no descriptor or memory, and the socket is closed. */
struct acceptor *acceptor_new(int listen_fd, size_t most, acceptor_take *take, void *arg);
bool acceptor_start(struct acceptor *a);  /* false: no thread */
void acceptor_closed(struct acceptor *a); /* one of those taken is closed; any thread */
void acceptor_stop(struct acceptor *a);   /* nobody can connect any more; one thread */
void acceptor_free(struct acceptor *a);   /* after all that may call acceptor_closed; NULL is fine */

#endif
