/* SPDX-License-Identifier: Apache-2.0
 *
 * scope.h - the regular expression that picks entries by name, as Python's re.match(scope, name) does.
 *
 * An expression is compiled once a call and may be used by one thread at a time. However it is written, it costs
 * some steps a byte of the names it looks at and a bounded number beyond: one that needs more is an error, not a stall.
 *
 * Expressions are PCRE2's, which Python's are nearly a subset of; `{,n}` is read as Python does. What differs:
 *   - PCRE2 takes more than Python: \p{..}, \h, \X, (?<name>..), (?R), [[:alpha:]], (?i) in mid-expression;
 *     its verbs, (*..), and \Q..\E are refused here, as Python refuses them
 *   - it refuses \uXXXX, \UXXXXXXXX, \N{NAME} (write the character itself, or \x{XXXX}), (?a), (?L) and (?u)
 *   - a look-behind may hold alternatives of different lengths, which Python refuses
 * ^ and $ (and \Z, which with PCRE2 may stand before a final newline) mean the same, as no name holds a newline.
 */
#ifndef REGISTRY_SCOPE_H
#define REGISTRY_SCOPE_H

#include <stdbool.h>

#include <loss/error.h>

#define SCOPE_MAX 1024 /* bytes of an expression */

struct scope;

/* `expression` NULL: *out is NULL, which matches every name.
 * err  LOSS_INVALID_SCOPE with parameter "scope", LOSS_OVERLOADED */
loss_status scope_new(const char *expression, struct scope **out, struct loss_error *err);
void scope_free(struct scope *s); /* NULL is fine */

/* Against the name, then against the name with TensorFlow's "/value:0" after it.
 * err  LOSS_INVALID_SCOPE with parameter "scope": it takes too many steps */
loss_status scope_matches(struct scope *s, const char *name, bool *matches, struct loss_error *err);

#endif
