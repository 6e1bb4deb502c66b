/* SPDX-License-Identifier: Apache-2.0
 *
 * log_writer.h - the way of the log's lines to standard error, one by one or several in one write.
 *
 * Lines leave in the order in which they were handed in, whole, from any thread. While the writer runs, those that can
 * wait do so for LOG_GATHER_MS at most; what waits also leaves before a line that cannot, when the writer stops, and when
 * the process ends by a signal of its own making (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT). SIGKILL loses it. See
 * docs/decisions/0018-lines-of-the-log-leave-together.md.
 */
#ifndef SERVER_LOG_WRITER_H
#define SERVER_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#define LOG_GATHER_MS 2

/* Before there are other threads. False: there is no thread for it, and each line leaves at once, as before. */
bool log_writer_start(void);
void log_writer_stop(void); /* all lines are out; from now on each leaves at once */

/* A line with its end. Waits only where standard error takes nothing and the room for what waits is full. */
void log_writer_put(const char *line, size_t size);
void log_writer_put_now(const char *line, size_t size); /* it is out on return */

#endif
