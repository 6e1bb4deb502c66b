/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_greet.c - the first words on a connection, and what lossd wants to know of the Redis behind it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <registry/redis_base.h>

#define LEAST_VERSION 6

static void warn(const struct redis_store *s, const char *message)
{
    if (s->warn != NULL) {
        s->warn(s->warn_arg, message);
    }
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Ask, and take the answer out; NULL: the connection broke. */
static redisReply *ask(redisContext *c, int n, const char *const *words, struct loss_error *err)
{
    redisReply *answer = redisCommandArgv(c, n, (const char **)words, NULL);
    if (answer == NULL) {
        loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "Redis does not answer: %s", c->errstr);
    }
    return answer;
}

/* Passes by itself: not the configuration's fault. */
static bool passes(const char *error)
{
    return begins(error, "LOADING") || begins(error, "BUSY") || begins(error, "MASTERDOWN") ||
           begins(error, "MISCONF") || begins(error, "ERR max number of clients");
}

/* `what` is what lossd wanted. */
static loss_status expect(redisContext *c, int n, const char *const *words, const char *what, struct loss_error *err)
{
    redisReply *answer = ask(c, n, words, err);
    if (answer == NULL) {
        return LOSS_STORE_UNAVAILABLE;
    }
    loss_status status = LOSS_OK;
    if (answer->type == REDIS_REPLY_ERROR) {
        status = loss_fail(err, passes(answer->str) ? LOSS_STORE_UNAVAILABLE : LOSS_INVALID_PARAMETER, "",
                           "Redis does not let lossd %s: %.300s", what, answer->str);
    }
    freeReplyObject(answer);
    return status;
}

static loss_status log_in(const struct redis_url *url, redisContext *c, struct loss_error *err)
{
    char db[16];
    if (url->password != NULL) {
        const char *const with_user[] = {"AUTH", url->user, url->password}, *const alone[] = {"AUTH", url->password};
        LOSS_TRY(expect(c, url->user != NULL ? 3 : 2, url->user != NULL ? with_user : alone, "in", err));
    }
    if (url->db != 0) {
        snprintf(db, sizeof db, "%d", url->db);
        const char *const select[] = {"SELECT", db};
        LOSS_TRY(expect(c, 2, select, "use that database", err));
    }
    const char *const ping[] = {"PING"};
    return expect(c, 1, ping, "in", err);
}

/* The value of a field of INFO, up to the end of its line; "" where there is none. */
static void info_field(const char *info, const char *field, char *value, size_t size)
{
    const char *at = strstr(info, field);
    value[0] = '\0';
    if (at != NULL) {
        at += strlen(field);
        snprintf(value, size, "%.*s", (int)strcspn(at, "\r\n"), at);
    }
}

static loss_status check_version(redisContext *c, struct loss_error *err)
{
    const char *const words[] = {"INFO", "server"};
    char version[32], mode[32];
    redisReply *answer = ask(c, 2, words, err);
    if (answer == NULL) {
        return LOSS_STORE_UNAVAILABLE;
    }
    loss_status status = LOSS_OK;
    if (answer->type == REDIS_REPLY_ERROR) {
        status = loss_fail(err, LOSS_INVALID_PARAMETER, "", "Redis does not say its version (INFO server): %.300s",
                           answer->str);
        goto out;
    }
    const char *info = answer->str != NULL ? answer->str : "";
    info_field(info, "redis_version:", version, sizeof version); /* Valkey has it too, for a Redis like it */
    info_field(info, strstr(info, "redis_mode:") != NULL ? "redis_mode:" : "server_mode:", mode, sizeof mode);
    if (atoi(version) < LEAST_VERSION) {
        status = loss_fail(err, LOSS_INVALID_PARAMETER, "", "lossd needs Redis %d or newer, or Valkey; there is \"%s\"",
                           LEAST_VERSION, version);
    } else if (strcmp(mode, "cluster") == 0) {
        status = loss_fail(err, LOSS_INVALID_PARAMETER, "",
                           "that Redis is a node of a Redis Cluster; lossd needs one Redis that has all its keys");
    }
out:
    freeReplyObject(answer);
    return status;
}

/* One setting; false where Redis does not tell. */
static bool setting(redisContext *c, const char *name, char value[64], char why[128])
{
    const char *const words[] = {"CONFIG", "GET", name};
    redisReply *answer = redisCommandArgv(c, 3, (const char **)words, NULL);
    bool told = answer != NULL && answer->type == REDIS_REPLY_ARRAY && answer->elements == 2;
    if (told) {
        snprintf(value, 64, "%.63s", answer->element[1]->str);
    } else {
        snprintf(why, 128, "%.127s",
                 answer == NULL                      ? c->errstr
                 : answer->type == REDIS_REPLY_ERROR ? answer->str
                                                     : "it has no such setting");
    }
    freeReplyObject(answer);
    return told;
}

static void warn_of_appends(const struct redis_store *s, redisContext *c)
{
    char on[64], sync[64], why[128], message[512];
    if (!setting(c, "appendonly", on, why) || !setting(c, "appendfsync", sync, why)) {
        snprintf(message, sizeof message,
                 "Redis does not say how durable it is (CONFIG GET appendonly: %s); an answered add is only sure to be "
                 "kept with appendonly yes and appendfsync always",
                 why);
        warn(s, message);
    } else if (strcmp(on, "yes") != 0) {
        warn(s,
             "Redis writes no append-only file (appendonly no): when it ends or crashes, what was added since its last "
             "snapshot is lost, although it was answered; set appendonly yes and appendfsync always");
    } else if (strcmp(sync, "always") != 0) {
        snprintf(
            message, sizeof message,
            "Redis does not sync every write (appendfsync %s): when its machine crashes, %s is lost, although it was "
            "answered; set appendfsync always",
            sync, strcmp(sync, "everysec") == 0 ? "about the last second" : "what the system had not written yet");
        warn(s, message);
    }
}

static void warn_of_eviction(const struct redis_store *s, redisContext *c)
{
    char limit[64], policy[64], why[128], message[512];
    if (setting(c, "maxmemory", limit, why) && setting(c, "maxmemory-policy", policy, why) && strcmp(limit, "0") != 0 &&
        strcmp(policy, "noeviction") != 0) {
        snprintf(message, sizeof message,
                 "Redis throws keys away when its memory is full (maxmemory-policy %s), registries among them; set "
                 "noeviction",
                 policy);
        warn(s, message);
    }
}

loss_status redis_greet(struct redis_store *s, redisContext *c, bool look, struct loss_error *err)
{
    LOSS_TRY(log_in(&s->url, c, err));
    if (!look) {
        return LOSS_OK;
    }
    LOSS_TRY(check_version(c, err));
    warn_of_appends(s, c);
    if (c->err == 0) {
        warn_of_eviction(s, c);
    }
    return c->err == 0 ? LOSS_OK : loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "Redis does not answer: %s", c->errstr);
}
