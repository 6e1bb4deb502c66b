/* SPDX-License-Identifier: Apache-2.0
 *
 * coding.c - names of content codings, and what a client accepts.
 */
#include <server/coding/coding.h>

#include <string.h>
#include <strings.h>

#include <server/http/accept.h>

static const char *const names[N_CODINGS] = {"identity", "gzip", "zstd"};

const char *coding_name(content_coding coding)
{
    return names[coding];
}

bool coding_parse(const char *header, content_coding *out)
{
    for (int i = 0; i < N_CODINGS; i++) {
        if (strcasecmp(header, names[i]) == 0) {
            *out = (content_coding)i;
            return true;
        }
    }
    *out = CODING_GZIP;
    return strcasecmp(header, "x-gzip") == 0; /* the same, by its old name */
}

bool coding_choose(const char *accept, content_coding *out, bool *plain)
{
    int others = accept_weight(accept, "*"), best = 0;

    *plain = false;
    for (int i = 0; i < N_CODINGS; i++) {
        int named = accept_weight(accept, names[i]);
        int weight = named >= 0 ? named : others >= 0 ? others : i == CODING_IDENTITY ? 1 : 0;
        /* What is named comes before what "*" stands for; then zstd, but for "*" gzip; no coding comes last. */
        int liking = weight * 8 + (i == CODING_IDENTITY ? 0 : named >= 0 ? 3 + i : 3 - i);
        *plain |= i == CODING_IDENTITY && weight > 0;
        if (weight > 0 && liking > best) {
            best = liking;
            *out = (content_coding)i;
        }
    }
    return best > 0;
}

bool coding_reader(struct coding_stream *s, content_coding coding, struct loss_arena *arena)
{
    return coding == CODING_ZSTD ? coding_zstd_reader(s, arena) : coding_gzip_reader(s, arena);
}

bool coding_writer(struct coding_stream *s, content_coding coding, size_t size, struct loss_arena *arena)
{
    return coding == CODING_ZSTD ? coding_zstd_writer(s, size, arena) : coding_gzip_writer(s, arena);
}
