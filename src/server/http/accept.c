/* SPDX-License-Identifier: Apache-2.0
 *
 * accept.c - reading an Accept header.
 */
#include <server/http/accept.h>

#include <string.h>
#include <strings.h>

#include <server/formats/call.h>

#define BLANK " \t"

/* "0.25" to 250; a malformed weight counts as 1, as if it were not there. */
static int parse_weight(const char *q, size_t n)
{
    int weight = 0;
    int place = 100;
    if (n == 0 || n > 5 || (q[0] != '0' && q[0] != '1') || (n > 1 && q[1] != '.')) {
        return 1000;
    }
    weight = (q[0] - '0') * 1000;
    for (size_t i = 2; i < n; i++, place /= 10) {
        if (q[i] < '0' || q[i] > '9') {
            return 1000;
        }
        weight += (q[i] - '0') * place;
    }
    return weight > 1000 ? 1000 : weight;
}

/* The weight among the parameters of one range, `;q=0.5;...`. */
static int weight_of(const char *params, const char *end)
{
    while (params < end) {
        params += 1 + strspn(params + 1, BLANK);
        size_t n = 0;
        while (params + n < end && params[n] != ';') {
            n++;
        }
        size_t used = n;
        while (used > 0 && strchr(BLANK, params[used - 1]) != NULL) {
            used--;
        }
        if (used >= 2 && strncasecmp(params, "q=", 2) == 0) {
            return parse_weight(params + 2, used - 2);
        }
        params += n;
    }
    return 1000;
}

/* How closely a range of `n` bytes fits: 3 the type itself, 2 its family, 1 everything, 0 not at all. */
static int closeness(const char *range, size_t n, const char *type)
{
    size_t family = (size_t)(strchr(type, '/') - type) + 1;
    if (n == strlen(type) && strncasecmp(range, type, n) == 0) {
        return 3;
    }
    if (n == family + 1 && range[family] == '*' && strncasecmp(range, type, family) == 0) {
        return 2;
    }
    return n == 3 && memcmp(range, "*/*", 3) == 0 ? 1 : 0;
}

int accept_quality(const char *accept, const char *type)
{
    int best = 0;
    int quality = 0;
    if (accept == NULL || accept[strspn(accept, BLANK ",")] == '\0') {
        return 1000;
    }
    for (const char *range = accept; *range != '\0';) {
        range += strspn(range, BLANK ",");
        const char *end = range + strcspn(range, ",");
        size_t n = strcspn(range, BLANK ",;");
        const char *params = range + n + strspn(range + n, BLANK);
        int close = n == 0 ? 0 : closeness(range, n, type);
        int weight = weight_of(params, end);
        if (close > best || (close > 0 && close == best && weight > quality)) {
            best = close;
            quality = weight;
        }
        range = end;
    }
    return quality;
}

int accept_weight(const char *accept, const char *token)
{
    int weight = -1;
    for (const char *member = accept; member != NULL && *member != '\0';) {
        member += strspn(member, BLANK ",");
        const char *end = member + strcspn(member, ",");
        size_t n = strcspn(member, BLANK ",;");
        if (n > 0 && n == strlen(token) && strncasecmp(member, token, n) == 0) {
            int found = weight_of(member + n + strspn(member + n, BLANK), end);
            weight = found > weight ? found : weight;
        }
        member = end;
    }
    return weight;
}

loss_status accept_json(const struct request *q, struct loss_error *err)
{
    const char *accept = request_header(q, "Accept");
    char clip[CALL_CLIP];
    if (accept_quality(accept, "application/json") > 0) {
        return LOSS_OK;
    }
    return loss_fail_parameter(err, LOSS_NOT_ACCEPTABLE, "Accept",
                               "the answer is application/json, Accept takes \"%s\"", call_clip(accept, clip));
}
