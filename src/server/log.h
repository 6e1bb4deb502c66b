/* SPDX-License-Identifier: Apache-2.0
 *
 * log.h - lines on standard error: one a request, and what happens to the daemon.
 *
 * Text for people where standard error is a terminal, JSON for machines elsewhere. A line is put together on the
 * stack and handed to log_writer.h as a whole, so that lines of several threads never mix. Those of requests leave
 * together with others within a few milliseconds, those about the daemon at once.
 */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <loss/error.h>
#include <server/http/request.h>

typedef enum { LOG_ERROR, LOG_WARNING, LOG_INFO } log_level;

/* Once, before there are threads. */
void log_init(bool json, log_level level);

/* Something about the daemon itself; cut where it does not fit a line. */
void log_line(log_level level, const char *format, ...) LOSS_PRINTF(2, 3);

struct log_request {
    const struct request *request;
    int status;       /* 0: the client left before an answer */
    const char *code; /* slug of the failure, or NULL */
    uint64_t bytes_out;
    int64_t total_us;
};
void log_request(const struct log_request *r);

#endif
