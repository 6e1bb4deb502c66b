/* SPDX-License-Identifier: Apache-2.0
 *
 * json_feed.h - a text through the scanner: whole, byte by byte, or cut at random, for tests.
 */
#ifndef TESTS_JSON_FEED_H
#define TESTS_JSON_FEED_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <text/json_scan.h>

/* Where pieces end: FEED_WHOLE, a fixed length, or a seed for random ones of 1 to 16 bytes. */
struct json_cut {
    size_t every; /* 0: random */
    uint64_t seed;
};
#define FEED_WHOLE ((struct json_cut){.every = SIZE_MAX})

static inline size_t json_next_cut(struct json_cut *cut)
{
    if (cut->every > 0) {
        return cut->every;
    }
    cut->seed = cut->seed * 6364136223846793005u + 1442695040888963407u;
    return 1 + (cut->seed >> 60);
}

/* Each piece is a block of its own, so that reading past it is caught by a sanitizer. */
static inline loss_status json_feed(struct json_scan *s, const char *text, size_t n, struct json_cut cut,
                                    struct loss_error *err)
{
    loss_status status = LOSS_OK;
    for (size_t at = 0; at < n && status == LOSS_OK;) {
        size_t size = json_next_cut(&cut);
        size = size < n - at ? size : n - at;
        char *piece = malloc(size);
        memcpy(piece, text + at, size);
        status = json_scan_feed(s, piece, size, err);
        free(piece);
        at += size;
    }
    return status == LOSS_OK ? json_scan_end(s, err) : status;
}

#endif
