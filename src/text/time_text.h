/* SPDX-License-Identifier: Apache-2.0
 *
 * time_text.h - moments as RFC 3339 text, in UTC, to the microsecond: 2026-11-26T03:37:19.123456Z.
 */
#ifndef TEXT_TIME_TEXT_H
#define TEXT_TIME_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#define TIME_TEXT_SIZE 48

/* `us`: microseconds since 1970, not before. */
void time_text_write(char text[TIME_TEXT_SIZE], int64_t us);
/* False: not what time_text_write makes of any moment; *us is untouched. */
bool time_text_read(const char *text, int64_t *us);

#endif
