/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_lines.h - registries as lines of JSON, for lossd registry export and import. docs/registry-lines.md is the form.
 *
 * A file begins with a "lossd" line, goes on with a "registry" line and its "entry" lines for each registry, then with
 * a "key" line and its "answer" lines for each idempotency key, and closes with an "end" line that counts them. Every
 * value comes back to the bit.
 */
#ifndef CLI_REGISTRY_LINES_H
#define CLI_REGISTRY_LINES_H

#include <registry/registry.h>
#include <text/json_write.h>

#define REGISTRY_LINES_FORMAT 1

enum line_kind { LINE_LOSSD, LINE_REGISTRY, LINE_ENTRY, LINE_KEY, LINE_ANSWER, LINE_END, N_LINE_KINDS };

struct registry_line {
    enum line_kind kind;
    const char *space;                  /* of "registry" and "key": their namespace */
    struct registry_image image;        /* of "registry": without `next` */
    struct registry_entry entry;        /* of "entry" and "answer": without `order` */
    struct registry_kept_key key;       /* of "key": `n` answers follow */
    uint64_t registries, entries, keys; /* of "end" */
};

/* One line without its end; strings and tally lie in `arena`.
 * err  as json_read_members, LOSS_INVALID_NAME, LOSS_INVALID_PARAMETER */
loss_status registry_line_read(struct loss_arena *arena, const char *text, size_t n, struct registry_line *line,
                               struct loss_error *err);
void registry_line_write(struct json_out *o, const struct registry_line *line);
const char *registry_line_kind(enum line_kind kind); /* "registry" */

#endif
