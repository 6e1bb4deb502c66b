/* SPDX-License-Identifier: Apache-2.0 */
#include <text/time_text.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

void time_text_write(char text[TIME_TEXT_SIZE], int64_t us)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    char day[32];
    gmtime_r(&seconds, &parts);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, TIME_TEXT_SIZE, "%s.%06dZ", day, (int)(us % 1000000));
}

bool time_text_read(const char *text, int64_t *us)
{
    struct tm parts = {0};
    int fraction, end = 0;
    if (strlen(text) >= TIME_TEXT_SIZE ||
        sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &parts.tm_hour,
               &parts.tm_min, &parts.tm_sec, &fraction, &end) != 7) {
        return false;
    }
    parts.tm_year -= 1900;
    parts.tm_mon--;
    int64_t moment = (int64_t)timegm(&parts) * 1000000 + fraction;
    char again[TIME_TEXT_SIZE];
    if (moment < 0) {
        return false;
    }
    time_text_write(again, moment); /* the 31st of June, one digit where there are two, signs, spaces */
    if (strcmp(again, text) != 0) {
        return false;
    }
    *us = moment;
    return true;
}
