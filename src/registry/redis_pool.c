/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_pool.c - connections: kept, made, and while Redis is away made with patience.
 *
 * When a connection cannot be made, Redis is away, and all who need one are told so at once. Now and then one caller
 * tries again: after 50 ms, then after about twice as long each time, up to two seconds, by chance half as long, so that
 * the servers which share a Redis do not come back in step.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <registry/redis_base.h>

#define FIRST_WAIT INT64_C(50000) /* microseconds */
#define LONGEST_WAIT INT64_C(2000000)

static int64_t monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Half of it to all of it, at random. */
static int64_t jitter(int64_t microseconds)
{
    uint32_t random = 0;
    (void)getrandom(&random, sizeof random, GRND_NONBLOCK);
    return microseconds / 2 + (int64_t)(((uint64_t)random * (uint64_t)(microseconds / 2)) >> 32);
}

/* Nothing is asked on an idle connection: what can be read from it is its end. */
static bool is_alive(const redisContext *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}

static loss_status connect_to(struct redis_store *s, bool look, redisContext **out, struct loss_error *err)
{
    const struct redis_url *url = &s->url;
    redisContext *c = redisConnectWithTimeout(url->host, url->port, s->connect_timeout);
    if (c == NULL) {
        return store_fail_memory(err);
    }
    loss_status status = LOSS_OK;
    if (c->err != 0) {
        status = loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "Redis at %s:%d cannot be reached: %s", url->host,
                           url->port, c->errstr);
    } else if (redisSetTimeout(c, s->command_timeout) != REDIS_OK || redisEnableKeepAlive(c) != REDIS_OK) {
        status = loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the connection to Redis cannot be set up: %s", c->errstr);
    } else {
        status = redis_greet(s, c, look, err);
    }
    if (status != LOSS_OK) {
        redisFree(c);
        return status;
    }
    *out = c;
    return LOSS_OK;
}

/* The lock is held, in this function and those up to redis_take. */

static redisContext *pop_idle(struct redis_store *s)
{
    while (s->n_idle > 0) {
        redisContext *c = s->idle[--s->n_idle];
        if (is_alive(c)) {
            return c;
        }
        redisFree(c);
        s->n_open--;
    }
    return NULL;
}

static void note_failure(struct redis_store *s, const struct loss_error *why)
{
    int64_t wait = FIRST_WAIT << (s->failures < 6 ? s->failures : 6);
    s->failures++;
    s->until = monotonic() + jitter(wait < LONGEST_WAIT ? wait : LONGEST_WAIT);
    s->away = *why;
    s->known = false; /* another may stand there when it is back */
}

/* Make a connection, with the lock given up meanwhile. */
static loss_status make(struct redis_store *s, redisContext **out, struct loss_error *err)
{
    struct loss_error why = {.status = LOSS_OK};
    bool was_away = s->failures > 0, look = !s->known;
    s->n_open++;
    s->trying = was_away;
    pthread_mutex_unlock(&s->lock);
    loss_status status = connect_to(s, look, out, &why);
    pthread_mutex_lock(&s->lock);
    s->trying = false;
    pthread_cond_broadcast(&s->changed);
    if (status == LOSS_OK) {
        s->failures = 0;
        s->known = true;
    } else {
        s->n_open--;
        note_failure(s, &why);
        return loss_fail(err, status, "", "%s", why.message);
    }
    return LOSS_OK;
}

/* Wait until a connection may be free. False: that took too long. */
static bool wait_for_change(struct redis_store *s, const struct timespec *until)
{
    return pthread_cond_timedwait(&s->changed, &s->lock, until) != ETIMEDOUT;
}

static loss_status take(struct redis_store *s, redisContext **out, struct loss_error *err)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += s->command_timeout.tv_sec + 1;
    for (;;) {
        *out = pop_idle(s);
        if (*out != NULL) {
            return LOSS_OK;
        }
        if (s->failures > 0 && (s->trying || monotonic() < s->until)) {
            return loss_fail(err, s->away.status, "", "%s", s->away.message);
        }
        if (s->n_open < s->max_open) {
            return make(s, out, err);
        }
        if (!wait_for_change(s, &until)) {
            return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "all connections to Redis are in use");
        }
    }
}

static void tell(const struct redis_store *s, bool away, const struct loss_error *why)
{
    char message[sizeof why->message + 128];
    if (s->warn == NULL) {
        return;
    }
    if (away) {
        snprintf(message, sizeof message, "the store is away, registry calls are answered 503: %s", why->message);
    } else {
        snprintf(message, sizeof message, "the store is back");
    }
    s->warn(s->warn_arg, message);
}

loss_status redis_take(struct redis_store *s, redisContext **out, struct loss_error *err)
{
    pthread_mutex_lock(&s->lock);
    unsigned before = s->failures;
    loss_status status = take(s, out, err);
    unsigned after = s->failures;
    const struct loss_error why = s->away;
    pthread_mutex_unlock(&s->lock);
    if ((before > 0) != (after > 0)) {
        tell(s, after > 0, &why);
    }
    return status;
}

void redis_give(struct redis_store *s, redisContext *c)
{
    pthread_mutex_lock(&s->lock);
    s->idle[s->n_idle++] = c;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void redis_lose(struct redis_store *s, redisContext *c)
{
    redisFree(c);
    pthread_mutex_lock(&s->lock);
    s->n_open--;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}
