/* SPDX-License-Identifier: Apache-2.0
 *
 * pointer.h - JSON pointers (RFC 6901) in buffers that may be too short.
 *
 * A pointer that does not fit is cut between two members, never inside one: it then names something that contains
 * the culprit, not something else.
 */
#ifndef LOSS__POINTER_H
#define LOSS__POINTER_H

#include <stddef.h>

/* Append `more` ("" or starting with '/') to the pointer of `length` bytes in buf; its new length. Without room for
 * all of it the whole members that fit are kept. */
size_t loss__pointer_append(char *buf, size_t size, size_t length, const char *more);

#endif
