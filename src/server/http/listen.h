/* SPDX-License-Identifier: Apache-2.0
 *
 * listen.h - a listening socket from an address as people write it.
 */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include <stdbool.h>

#include <loss/error.h>

struct listener {
    int fd;
    bool loopback; /* only this machine can reach it */
    char url[320]; /* "http://127.0.0.1:8080", with the port that was got */
};

/* "HOST:PORT", "[V6]:PORT", ":PORT" (all addresses); port 0: any free one.
 * `scheme` is the url's, "http" or "https".
 * err  LOSS_INVALID_PARAMETER: what is wrong with the address, or why it cannot be had */
loss_status listen_open(const char *address, const char *scheme, struct listener *out, struct loss_error *err);

#endif
