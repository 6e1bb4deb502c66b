/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_ask.c - commands out, answers in, and what to do when a connection breaks in between.
 *
 * A command that Redis cannot have heard whole is sent again on another connection. One that it may have heard is only
 * sent again where that is harmless: it reads, or it carries an idempotency key.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <registry/redis_base.h>

#define FRONT 16 /* bytes for "*count\r\n", written last, right before the arguments */
#define PREFIX "lossd:"

/* --- commands --- */

void redis_command_fini(struct redis_command *c)
{
    free(c->bytes);
    *c = (struct redis_command){0};
}

static void append(struct redis_command *c, const void *bytes, size_t n)
{
    if (c->failed || n == 0) {
        return;
    }
    if (c->size + n > c->capacity) {
        size_t capacity = c->size + n > 2 * c->capacity ? c->size + n + 512 : 2 * c->capacity;
        char *more = realloc(c->bytes, capacity);
        if (more == NULL) {
            c->failed = true;
            return;
        }
        c->bytes = more;
        c->capacity = capacity;
    }
    memcpy(c->bytes + c->size, bytes, n);
    c->size += n;
}

static void append_length(struct redis_command *c, size_t n)
{
    char text[32];
    append(c, text, (size_t)snprintf(text, sizeof text, "$%zu\r\n", n));
}

void redis_push(struct redis_command *c, const void *bytes, size_t n)
{
    append_length(c, n);
    append(c, bytes, n);
    append(c, "\r\n", 2);
    c->arguments++;
}

void redis_push_text(struct redis_command *c, const char *text)
{
    redis_push(c, text, strlen(text));
}

void redis_push_number(struct redis_command *c, int64_t number)
{
    char text[24];
    redis_push(c, text, (size_t)snprintf(text, sizeof text, "%" PRId64, number));
}

/* All keys of a registry have its name in braces, so that they would share a slot of a cluster. Braces of its own, and
 * what stands for them, are encoded. */
void redis_push_base(struct redis_command *c, const char *registry)
{
    static const char special[] = "{}%";
    size_t n = strlen(registry), encoded = 0;
    for (size_t i = 0; i < n; i++) {
        encoded += strchr(special, registry[i]) != NULL;
    }
    append_length(c, sizeof PREFIX - 1 + 2 + n + 2 * encoded);
    append(c, PREFIX "{", sizeof PREFIX);
    while (*registry != '\0') {
        size_t plain = strcspn(registry, special);
        char code[8];
        append(c, registry, plain);
        registry += plain;
        if (*registry != '\0') {
            append(c, code, (size_t)snprintf(code, sizeof code, "%%%02X", (unsigned)*registry++));
        }
    }
    append(c, "}\r\n", 3);
    c->arguments++;
}

void redis_push_key(struct redis_command *c, const char *key)
{
    char name[sizeof REDIS_KEYS + STORE_PREFIX_MAX + REGISTRY_KEY_MAX];
    snprintf(name, sizeof name, "%s%s", REDIS_KEYS, key);
    redis_push_text(c, name);
}

void redis_begin(struct redis_command *c, const char *word)
{
    static const char room[FRONT];
    c->size = 0;
    c->arguments = 0;
    c->script = -1;
    append(c, room, sizeof room);
    redis_push_text(c, word);
}

void redis_begin_script(struct redis_command *c, enum redis_script_id script, int keys)
{
    redis_begin(c, "EVALSHA");
    c->script = (int)script;
    redis_push_text(c, redis_scripts[script].sha);
    redis_push_number(c, keys);
}

/* --- one try --- */

typedef enum { TRY_DONE, TRY_UNHEARD, TRY_LOST } try_result;

static bool queue_command(redisContext *c, const struct redis_command *command)
{
    char front[FRONT + 1];
    int n = snprintf(front, sizeof front, "*%d\r\n", command->arguments);
    char *start = command->bytes + FRONT - n;
    memcpy(start, front, (size_t)n);
    return redisAppendFormattedCommand(c, start, command->size - FRONT + (size_t)n) == REDIS_OK;
}

static bool send_all(redisContext *c, const struct redis_command *commands, size_t n)
{
    int done = 0;
    for (size_t i = 0; i < n; i++) {
        if (!queue_command(c, &commands[i])) {
            return false;
        }
    }
    while (!done) {
        if (redisBufferWrite(c, &done) != REDIS_OK) {
            return false;
        }
    }
    return true;
}

static try_result exchange(redisContext *c, const struct redis_command *commands, size_t n, redisReply **answers)
{
    if (!send_all(c, commands, n)) {
        return n == 1 ? TRY_UNHEARD : TRY_LOST; /* of several, the first may have been heard */
    }
    for (size_t i = 0; i < n; i++) {
        void *answer = NULL;
        if (redisGetReply(c, &answer) != REDIS_OK) {
            redis_free_answers(answers, i);
            return TRY_LOST;
        }
        answers[i] = answer;
    }
    return TRY_DONE;
}

static bool is_error(const redisReply *answer, const char *kind)
{
    return answer->type == REDIS_REPLY_ERROR && strncmp(answer->str, kind, strlen(kind)) == 0;
}

/* Give Redis the scripts that it does not know: new, or started anew. */
static try_result load_scripts(redisContext *c)
{
    for (int i = 0; i < N_REDIS_SCRIPTS; i++) {
        redisReply *answer = redisCommand(c, "SCRIPT LOAD %b", redis_scripts[i].text, redis_scripts[i].size);
        if (answer == NULL) {
            return TRY_UNHEARD; /* of what was to be done */
        }
        freeReplyObject(answer);
    }
    return TRY_DONE;
}

static try_result exchange_knowing(redisContext *c, const struct redis_command *commands, size_t n,
                                   redisReply **answers)
{
    try_result result = exchange(c, commands, n, answers);
    bool unknown = false;
    for (size_t i = 0; result == TRY_DONE && i < n; i++) {
        unknown |= is_error(answers[i], "NOSCRIPT");
    }
    if (!unknown) {
        return result;
    }
    redis_free_answers(answers, n);
    result = load_scripts(c);
    return result == TRY_DONE ? exchange(c, commands, n, answers) : result;
}

/* --- with patience --- */

/* It runs, but slowly: there is no point in asking again. Right after the failure. */
static bool is_late(const redisContext *c)
{
    bool late = c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETIMEDOUT);
#ifdef REDIS_ERR_TIMEOUT
    late |= c->err == REDIS_ERR_TIMEOUT;
#endif
    return late;
}

static loss_status fail_lost(const redisContext *c, redis_kind kind, struct loss_error *err)
{
    return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "%s%s",
                     is_late(c) ? "Redis did not answer in time" : "the connection to Redis broke",
                     kind == REDIS_READS     ? ""
                     : kind == REDIS_REPEATS ? "; the same call again is safe"
                                             : "; whether the change was made is not known, an Idempotency-Key makes "
                                               "asking again safe");
}

/* After such an answer the connection is of no more use: what is behind it, or who we are there, has changed. */
static bool ends_connection(const redisReply *answer)
{
    return is_error(answer, "READONLY") || is_error(answer, "NOAUTH") || is_error(answer, "LOADING") ||
           is_error(answer, "MASTERDOWN");
}

static loss_status refusal(const redisReply *answer, struct loss_error *err)
{
    if (is_error(answer, "OOM")) {
        return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "the memory of Redis is full (maxmemory)");
    }
    return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "Redis refused: %.300s", answer->str);
}

static loss_status take_answers(struct redis_store *s, redisContext *c, size_t n, redis_kind kind, redisReply **answers,
                                struct loss_error *err)
{
    loss_status status = LOSS_OK;
    bool ends = false;
    for (size_t i = 0; i < n; i++) {
        if (answers[i]->type == REDIS_REPLY_ERROR) {
            status = refusal(answers[i], err);
            ends |= ends_connection(answers[i]);
        }
    }
    if (kind != REDIS_READS) {
        atomic_store(&s->refused, status != LOSS_OK);
    }
    if (ends) {
        redis_lose(s, c);
    } else {
        redis_give(s, c);
    }
    if (status != LOSS_OK) {
        redis_free_answers(answers, n);
    }
    return status;
}

loss_status redis_ask(struct redis_store *s, struct redis_command *commands, size_t n, redis_kind kind,
                      redisReply **answers, struct loss_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (commands[i].failed) {
            return store_fail_memory(err);
        }
    }
    for (bool last = false;; last = true) {
        redisContext *c;
        struct loss_error why = {.status = LOSS_OK};
        if (redis_take(s, &c, &why) != LOSS_OK) {
            return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "%s", why.message);
        }
        try_result result = exchange_knowing(c, commands, n, answers);
        if (result == TRY_DONE) {
            return take_answers(s, c, n, kind, answers, err);
        }
        bool again = !last && (result == TRY_UNHEARD || kind != REDIS_CHANGES) && !is_late(c);
        if (!again) {
            fail_lost(c, kind, err);
        }
        redis_lose(s, c);
        if (!again) {
            return LOSS_STORE_UNAVAILABLE;
        }
    }
}

void redis_free_answers(redisReply **answers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        freeReplyObject(answers[i]);
        answers[i] = NULL;
    }
}

/* --- answers --- */

bool redis_says(const redisReply *answer, const char *word)
{
    return answer->type == REDIS_REPLY_ARRAY && answer->elements > 0 &&
           answer->element[0]->type == REDIS_REPLY_STRING && strcmp(answer->element[0]->str, word) == 0;
}

int64_t redis_number(const redisReply *answer, size_t i)
{
    if (i >= answer->elements || answer->element[i]->type != REDIS_REPLY_STRING) {
        return 0;
    }
    return strtoll(answer->element[i]->str, NULL, 10);
}

loss_status redis_fail_odd(struct loss_error *err)
{
    return loss_fail(err, LOSS_STORE_UNAVAILABLE, "", "Redis has keys of lossd that lossd did not write");
}
