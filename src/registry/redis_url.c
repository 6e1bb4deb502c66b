/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_url.c - where Redis is, taken apart. What is wrong is said without a word of the URL but its scheme: somewhere
 * in it is a password.
 */
#include <stdlib.h>
#include <string.h>

#include <registry/redis_base.h>
#include <text/hex.h>

#define SHAPE "redis://[user:password@]host[:port][/database]"

static loss_status wrong(struct loss_error *err, const char *what)
{
    return loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s; a Redis store is written %s", what, SHAPE);
}

/* Decode %XX in place. False: not percent-encoding, or a NUL. */
static bool decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++, to++) {
        *to = *from;
        if (*from == '%') {
            int high = hex_value(from[1]), low = high >= 0 ? hex_value(from[2]) : -1;
            if (low < 0 || (high == 0 && low == 0)) {
                return false;
            }
            *to = (char)(high << 4 | low);
            from += 2;
        }
    }
    *to = '\0';
    return true;
}

static bool read_number(const char *text, int most, int *number)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != '\0') {
        return false;
    }
    *number = atoi(text);
    return *number <= most;
}

/* user:password, :password, or user without one. */
static loss_status read_userinfo(char *text, struct redis_url *out, struct loss_error *err)
{
    char *colon = strchr(text, ':');
    if (colon == NULL) {
        return wrong(err,
                     "there is a user without a password; write user:password@, or :password@ for the default user");
    }
    *colon = '\0';
    out->user = text[0] != '\0' ? text : NULL;
    out->password = colon + 1;
    if (!decode(text) || !decode(colon + 1)) {
        return wrong(err, "user or password are not percent-encoded (%25 is a percent sign)");
    }
    return LOSS_OK;
}

/* host, host:port or [v6]:port */
static loss_status read_address(char *text, struct redis_url *out, struct loss_error *err)
{
    char *end = text[0] == '[' ? strchr(text, ']') : text + strcspn(text, ":");
    if (end == NULL) {
        return wrong(err, "the address has a [ without a ]");
    }
    out->host = text;
    if (text[0] == '[') {
        out->host = text + 1;
        *end++ = '\0';
    }
    if (*end != '\0' && (*end != ':' || !read_number(end + 1, 65535, &out->port) || out->port == 0)) {
        return wrong(err, "the port is not a number from 1 to 65535");
    }
    *end = '\0';
    return out->host[0] != '\0' ? LOSS_OK : wrong(err, "there is no host");
}

static loss_status read_parts(char *text, struct redis_url *out, struct loss_error *err)
{
    if (text[strcspn(text, "?#")] != '\0') {
        return wrong(err, "there is a ? or # (in a password, write %3F or %23)");
    }
    char *at = strrchr(text, '@');
    char *address = at != NULL ? at + 1 : text;
    if (at != NULL) {
        *at = '\0';
        LOSS_TRY(read_userinfo(text, out, err));
    }
    char *slash = strchr(address, '/');
    if (slash != NULL) {
        *slash = '\0';
        if (slash[1] != '\0' && !read_number(slash + 1, 999999, &out->db)) {
            return wrong(err, "the database is not a number");
        }
    }
    return read_address(address, out, err);
}

loss_status redis_url_read(const char *url, struct redis_url *out, struct loss_error *err)
{
    static const char scheme[] = "redis://", tls[] = "rediss://";
    *out = (struct redis_url){.port = 6379};
    if (strncmp(url, tls, sizeof tls - 1) == 0) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "",
                         "lossd speaks no TLS to Redis: run a TLS tunnel (stunnel, HAProxy, ghostunnel) beside it and "
                         "give its local end, as in redis://127.0.0.1:6379/0");
    }
    if (strncmp(url, scheme, sizeof scheme - 1) != 0) {
        return wrong(err, "that is no Redis URL");
    }
    out->text = strdup(url + sizeof scheme - 1);
    if (out->text == NULL) {
        return store_fail_memory(err);
    }
    loss_status status = read_parts(out->text, out, err);
    if (status != LOSS_OK) {
        redis_url_fini(out);
    }
    return status;
}

void redis_url_fini(struct redis_url *url)
{
    free(url->text);
    *url = (struct redis_url){0};
}
