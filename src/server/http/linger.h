/* SPDX-License-Identifier: Apache-2.0
 *
 * linger.h - connections that were answered while their client is still sending.
 *
 * Closing such a socket makes the kernel answer the rest with a reset, which may throw away the answer before the
 * client has read it. So up to LINGER_BYTES of the rest are read and dropped first; then the client is let run into a
 * full window, where it has nothing to do but read. It closes when the client does, or after LINGER_US.
 */
#ifndef SERVER_LINGER_H
#define SERVER_LINGER_H

#define LINGER_BYTES (1 << 20)
#define LINGER_US 1000000

struct linger_set;

struct linger_set *linger_new(void);            /* NULL: no memory or thread */
void linger_take(struct linger_set *l, int fd); /* a non-blocking socket, from now on ours. Any thread */
void linger_free(struct linger_set *l);         /* closes what is left; NULL is fine */

#endif
