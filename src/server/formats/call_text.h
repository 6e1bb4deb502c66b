/* SPDX-License-Identifier: Apache-2.0
 *
 * call_text.h - fields of a call that were written as bare text: query fields, metadata, command-line options.
 *
 * "0.5", "true", "mean", "1,2": what JSON says by its types follows here from the field. call->loss.dtype must be right
 * before the first number, and the inputs must be there before gradients are named.
 */
#ifndef SERVER_CALL_TEXT_H
#define SERVER_CALL_TEXT_H

#include <server/formats/call.h>

/* Set any field but an input and dtype. What *call points to then lies in `arena`; `text` must outlive it.
 * err  those of call.h and loss_call_set_*, with "/" and the name; LOSS_UNKNOWN_FIELD */
loss_status call_set_text(struct call *call, const char *name, const char *text, struct loss_arena *arena,
                          struct loss_error *err);

#endif
