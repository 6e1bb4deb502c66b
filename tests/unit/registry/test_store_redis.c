/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_redis.c - what is Redis's own: connections that break, a Redis that is away, full or another one.
 */
#include <pthread.h>
#include <signal.h>

#include "support/redis_relay.h"
#include "support/registry_world.h"

static const struct registry_query ALL = {.registry = "run", .step = REGISTRY_STEP_ALL};
static const char *const DURABLE[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

/* A Redis of the test's own, a registry in it, and what it warned of. */
struct place {
    struct redis_server redis;
    struct registry *registry;
    struct loss_arena *arena;
    struct loss_error err;
    int64_t patience; /* seconds for an answer; 0: more than a busy machine needs */
    char warnings[4096];
    pthread_mutex_t lock; /* guards the warnings */
};

static void note_warning(void *arg, const char *message)
{
    struct place *p = arg;
    pthread_mutex_lock(&p->lock);
    size_t n = strlen(p->warnings);
    snprintf(p->warnings + n, sizeof p->warnings - n, "%s\n", message);
    pthread_mutex_unlock(&p->lock);
}

static loss_status open_url(struct place *p, const char *url)
{
    const struct registry_options options = {.url = url,
                                             .idempotency_seconds = WORLD_KEY_SECONDS,
                                             .connections = 4,
                                             .connect_seconds = 30,
                                             .command_seconds = p->patience > 0 ? p->patience : 30,
                                             .warn = note_warning,
                                             .warn_arg = p};
    p->err = (struct loss_error){0};
    return registry_open(&options, &p->registry, &p->err);
}

static loss_status open_port(struct place *p, int port)
{
    char url[64];
    snprintf(url, sizeof url, "redis://127.0.0.1:%d/0", port);
    return open_url(p, url);
}

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    p->arena = loss_arena_new(64u << 20, NULL);
    signal(SIGPIPE, SIG_IGN);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    registry_close(p->registry);
    redis_discard(&p->redis);
    loss_arena_free(p->arena);
    pthread_mutex_destroy(&p->lock);
    free(p);
    return 0;
}

static void start(struct place *p, const char *const *options)
{
    assert_true(redis_start(&p->redis, options));
    if (open_port(p, p->redis.port) != LOSS_OK) {
        fail_msg("%s", p->err.message);
    }
}

static loss_status add(struct place *p, const char *name, const char *key, struct registry_entry *out)
{
    const struct registry_add a = {.registry = "run",
                                   .name = name,
                                   .collection = REGISTRY_LOSSES,
                                   .loss = 1,
                                   .dtype = "",
                                   .reduction = "",
                                   .key = {.key = key, .fingerprint = {7}}};
    struct registry_entry unused;
    p->err = (struct loss_error){0};
    return registry_add(p->registry, &a, p->arena, out != NULL ? out : &unused, &p->err);
}

static const char *names(struct place *p)
{
    struct world w = {.registry = p->registry, .arena = p->arena};
    return world_names(&w, &ALL);
}

static const char *say(struct place *p, const char *line)
{
    static char answer[4096];
    char lines[512];
    snprintf(lines, sizeof lines, "%s\r\n", line);
    assert_true(redis_say(p->redis.port, lines, answer, sizeof answer));
    return answer;
}

/* Try until it is ready, for Redis is not looked for at every moment. */
static void await_ready(struct place *p)
{
    for (int i = 0; i < 1500; i++) {
        if (registry_ready(p->registry, NULL) == LOSS_OK) {
            return;
        }
        usleep(20000);
    }
    fail_msg("Redis is there, and the store is not ready");
}

static void assert_says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, text);
    }
}

static void test_redis__may_be_away_at_the_start(void **state)
{
    struct place *p = *state;
    int port = redis_free_port();
    assert_int_equal(open_port(p, port), LOSS_OK);
    assert_says(p->warnings, "the store is away");
    assert_int_equal(add(p, "a", NULL, NULL), LOSS_STORE_UNAVAILABLE);
    assert_says(p->err.message, "cannot be reached");
    assert_int_equal(registry_ready(p->registry, NULL), LOSS_STORE_UNAVAILABLE);
    assert_string_equal(names(p), "!store_unavailable");

    snprintf(p->redis.directory, sizeof p->redis.directory, "/tmp/lossd-redis-XXXXXX");
    assert_non_null(mkdtemp(p->redis.directory));
    p->redis.port = port;
    assert_true(redis_start(&p->redis, DURABLE));
    await_ready(p);
    assert_says(p->warnings, "the store is back");
    assert_int_equal(add(p, "a", NULL, NULL), LOSS_OK);
    assert_string_equal(names(p), "a");
}

static void test_redis__may_be_started_anew(void **state)
{
    struct place *p = *state;
    start(p, DURABLE);
    assert_int_equal(add(p, "a", "key", NULL), LOSS_OK);
    redis_end(&p->redis, SIGKILL);
    assert_int_equal(add(p, "b", NULL, NULL), LOSS_STORE_UNAVAILABLE);
    assert_int_equal(add(p, "b", "other", NULL), LOSS_STORE_UNAVAILABLE);
    assert_true(redis_start(&p->redis, DURABLE));
    await_ready(p);
    assert_string_equal(names(p), "a"); /* it does not know the scripts any more */
    assert_int_equal(add(p, "c", NULL, NULL), LOSS_OK);
    assert_int_equal(add(p, "a", "key", NULL), LOSS_OK);
    assert_string_equal(names(p), "a c");
}

static void test_redis__started_anew_unnoticed_takes_what_has_no_key(void **state)
{
    struct place *p = *state;
    start(p, DURABLE);
    assert_int_equal(add(p, "a", NULL, NULL), LOSS_OK);
    redis_end(&p->redis, SIGKILL);
    assert_true(redis_start(&p->redis, DURABLE)); /* the connection in the pool is dead */
    assert_int_equal(add(p, "b", NULL, NULL), LOSS_OK);
    assert_string_equal(names(p), "a b");
}

struct broken {
    relay_mode mode;
    const char *key;
    loss_status status; /* of the add on which the connection breaks */
    bool kept;
};

static void test_a_broken_connection__never_adds_twice(void **state)
{
    static const struct broken cases[] = {{RELAY_DROPS_ANSWER, "k", LOSS_OK, true},
                                          {RELAY_DROPS_REQUEST, "l", LOSS_OK, true},
                                          {RELAY_DROPS_ANSWER, NULL, LOSS_STORE_UNAVAILABLE, true},
                                          {RELAY_DROPS_REQUEST, NULL, LOSS_STORE_UNAVAILABLE, false}};
    struct place *p = *state;
    struct redis_relay relay;
    assert_true(redis_start(&p->redis, NULL));
    assert_true(relay_start(&relay, p->redis.port));
    assert_int_equal(open_port(p, relay.port), LOSS_OK);
    assert_int_equal(add(p, "first", NULL, NULL), LOSS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t removed;
        atomic_store(&relay.mode, cases[i].mode);
        assert_int_equal(add(p, "a", cases[i].key, NULL), cases[i].status);
        assert_int_equal(atomic_load(&relay.breaks), i + 1);
        assert_string_equal(names(p), cases[i].kept ? "first a" : "first");
        if (cases[i].status != LOSS_OK) {
            assert_says(p->err.message, "is not known");
        }
        assert_int_equal(registry_remove(p->registry, "run", "a", REGISTRY_STEP_ALL, &removed, NULL), LOSS_OK);
    }
    relay_end(&relay);
}

static void test_a_broken_connection__does_not_stop_reading(void **state)
{
    struct place *p = *state;
    struct redis_relay relay;
    assert_true(redis_start(&p->redis, NULL));
    assert_true(relay_start(&relay, p->redis.port));
    assert_int_equal(open_port(p, relay.port), LOSS_OK);
    assert_int_equal(add(p, "a", NULL, NULL), LOSS_OK);
    atomic_store(&relay.mode, RELAY_DROPS_ANSWER);
    assert_string_equal(names(p), "a");
    assert_int_equal(atomic_load(&relay.breaks), 1);
    relay_end(&relay);
}

static void test_a_redis_that_stalls__is_not_waited_for_without_end(void **state)
{
    struct place *p = *state;
    struct redis_relay relay;
    struct registry_entry entry;
    p->patience = 1;
    assert_true(redis_start(&p->redis, NULL));
    assert_true(relay_start(&relay, p->redis.port));
    assert_int_equal(open_port(p, relay.port), LOSS_OK);
    assert_int_equal(add(p, "a", NULL, NULL), LOSS_OK);
    atomic_store(&relay.mode, RELAY_STALLS);
    assert_int_equal(add(p, "b", "key", NULL), LOSS_STORE_UNAVAILABLE);
    assert_says(p->err.message, "in time");
    atomic_store(&relay.mode, RELAY_PASSES);
    await_ready(p);
    assert_int_equal(add(p, "b", "key", &entry), LOSS_OK); /* it was made, though late */
    assert_string_equal(entry.name, "b");
    assert_string_equal(names(p), "a b");
    relay_end(&relay);
}

static void test_full_memory__refuses_adds_and_nothing_else(void **state)
{
    struct place *p = *state;
    uint64_t removed;
    start(p, NULL);
    assert_int_equal(add(p, "a", NULL, NULL), LOSS_OK);
    assert_int_equal(add(p, "b", NULL, NULL), LOSS_OK);
    assert_says(say(p, "CONFIG SET maxmemory 1"), "+OK");
    assert_int_equal(add(p, "c", "key", NULL), LOSS_STORE_UNAVAILABLE);
    assert_says(p->err.message, "memory of Redis is full");
    assert_int_equal(registry_ready(p->registry, &p->err), LOSS_STORE_UNAVAILABLE);
    assert_string_equal(names(p), "a b");
    assert_int_equal(registry_remove(p->registry, "run", "b", REGISTRY_STEP_ALL, &removed, NULL), LOSS_OK);
    assert_int_equal(removed, 1);
    assert_says(say(p, "CONFIG SET maxmemory 0"), "+OK");
    assert_int_equal(registry_ready(p->registry, NULL), LOSS_OK);
    assert_int_equal(add(p, "c", "key", NULL), LOSS_OK);
    assert_string_equal(names(p), "a c");
}

static void test_passwords__let_in_or_keep_out(void **state)
{
    static const char *const options[] = {"--requirepass", "p@ss/w%", NULL};
    struct place *p = *state;
    char url[128];
    assert_true(redis_start(&p->redis, options));
    const struct {
        const char *user;
        const char *says; /* NULL: it opens */
    } cases[] = {{":p%40ss%2Fw%25@", NULL},
                 {"default:p%40ss%2Fw%25@", NULL},
                 {":wrong@", "Redis does not let lossd in"},
                 {"nobody:p%40ss%2Fw%25@", "Redis does not let lossd in"},
                 {"", "NOAUTH"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(url, sizeof url, "redis://%s127.0.0.1:%d/3", cases[i].user, p->redis.port);
        loss_status status = open_url(p, url);
        if (cases[i].says != NULL) {
            assert_int_equal(status, LOSS_STORE_UNAVAILABLE);
            assert_says(p->err.message, cases[i].says);
            continue;
        }
        assert_int_equal(status, LOSS_OK);
        assert_int_equal(add(p, "a", NULL, NULL), LOSS_OK);
        registry_close(p->registry);
        p->registry = NULL;
    }
    snprintf(url, sizeof url, "redis://:p%%40ss%%2Fw%%25@127.0.0.1:%d/99", p->redis.port);
    assert_int_equal(open_url(p, url), LOSS_STORE_UNAVAILABLE);
    assert_says(p->err.message, "use that database");
    assert_string_equal(strstr(p->warnings, "p@ss") != NULL ? p->warnings : "", "");
}

static loss_status one_entry(void *arg, const struct registry_entry **e, struct loss_error *err)
{
    static const struct registry_entry entry = {
        .name = "x", .collection = REGISTRY_LOSSES, .dtype = "", .reduction = ""};
    bool *given = arg;
    (void)err;
    *e = *given ? NULL : &entry;
    *given = true;
    return LOSS_OK;
}

static void test_an_account__needs_no_more_than_is_documented(void **state)
{
    struct place *p = *state;
    char url[128];
    uint64_t removed;
    assert_true(redis_start(&p->redis, NULL));
    assert_says(say(p,
                    "ACL SETUSER lossd on >secret ~lossd:* +@hash +@sortedset +@list +@string +@keyspace +@scripting "
                    "+@connection +info +config|get"),
                "+OK");
    snprintf(url, sizeof url, "redis://lossd:secret@127.0.0.1:%d", p->redis.port);
    assert_int_equal(open_url(p, url), LOSS_OK);
    assert_says(p->warnings, "appendonly no");
    assert_int_equal(add(p, "a", "key", NULL), LOSS_OK);
    assert_int_equal(registry_put(p->registry, "run", 5, NULL), LOSS_OK);
    assert_string_equal(names(p), "a");
    assert_int_equal(registry_remove(p->registry, "run", "a", 0, &removed, NULL), LOSS_OK);
    assert_int_equal(registry_remove(p->registry, "run", NULL, REGISTRY_STEP_ALL, &removed, NULL), LOSS_OK);
    assert_int_equal(registry_expire(p->registry, NULL), LOSS_OK);
    assert_int_equal(registry_ready(p->registry, NULL), LOSS_OK);
    bool given = false;
    const struct registry_image image = {.registry = "copy", .next = one_entry, .arg = &given};
    assert_int_equal(registry_restore(p->registry, &image, REGISTRY_REFUSE, &p->err), LOSS_OK);
}

static void test_a_start__warns_of_what_redis_does_not_promise(void **state)
{
    static const struct {
        const char *options[9];
        const char *says; /* NULL: nothing */
    } cases[] = {
        {{"--appendonly", "no"}, "appendonly no"},
        {{"--appendonly", "yes", "--appendfsync", "everysec"}, "appendfsync everysec"},
        {{"--appendonly", "yes", "--appendfsync", "no"}, "appendfsync no"},
        {{"--appendonly", "yes", "--appendfsync", "always"}, NULL},
        {{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "allkeys-lru"}, NULL},
        {{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "allkeys-lru", "--maxmemory", "1gb"},
         "maxmemory-policy allkeys-lru"},
        {{"--rename-command", "CONFIG", "hidden"}, "does not say how durable it is"},
    };
    struct place *p = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        p->warnings[0] = '\0';
        start(p, cases[i].options);
        if (cases[i].says != NULL) {
            assert_says(p->warnings, cases[i].says);
        } else {
            assert_string_equal(p->warnings, "");
        }
        assert_int_equal(add(p, "a", NULL, NULL), LOSS_OK);
        registry_close(p->registry);
        p->registry = NULL;
        redis_discard(&p->redis);
    }
}

static void test_a_cluster__is_refused(void **state)
{
    static const char *const options[] = {"--cluster-enabled", "yes", NULL};
    struct place *p = *state;
    assert_true(redis_start(&p->redis, options));
    assert_int_equal(open_port(p, p->redis.port), LOSS_STORE_UNAVAILABLE);
    assert_says(p->err.message, "Redis Cluster");
}

/* Another kind of Redis than is installed here. */
struct stranger {
    int listening;
    const char *info;
    pthread_t thread;
};

/* Answers PING and INFO, to whatever is asked first. */
static void *strange_redis(void *arg)
{
    struct stranger *s = arg;
    char bytes[4096], pong[] = "+PONG\r\n", info[512];
    int fd = accept(s->listening, NULL, NULL);
    int n = snprintf(info, sizeof info, "$%zu\r\n%s\r\n", strlen(s->info), s->info);
    if (recv(fd, bytes, sizeof bytes, 0) > 0 && send(fd, pong, sizeof pong - 1, MSG_NOSIGNAL) > 0 &&
        recv(fd, bytes, sizeof bytes, 0) > 0 && send(fd, info, (size_t)n, MSG_NOSIGNAL) > 0) {
        (void)recv(fd, bytes, sizeof bytes, 0);
    }
    close(fd);
    return NULL;
}

static loss_status open_stranger(struct place *p, const char *info)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    struct stranger s = {.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .info = info};
    assert_int_equal(bind(s.listening, (struct sockaddr *)&a, size), 0);
    assert_int_equal(listen(s.listening, 1), 0);
    assert_int_equal(getsockname(s.listening, (struct sockaddr *)&a, &size), 0);
    assert_int_equal(pthread_create(&s.thread, NULL, strange_redis, &s), 0);
    loss_status status = open_port(p, ntohs(a.sin_port));
    pthread_join(s.thread, NULL);
    close(s.listening);
    return status;
}

static void test_an_old_redis__is_refused(void **state)
{
    struct place *p = *state;
    assert_int_equal(open_stranger(p, "# Server\r\nredis_version:5.0.14\r\n"), LOSS_STORE_UNAVAILABLE);
    assert_says(p->err.message, "Redis 6 or newer");
    assert_says(p->err.message, "5.0.14");
}

static void test_a_cluster_of_valkeys__is_refused(void **state)
{
    struct place *p = *state;
    assert_int_equal(open_stranger(p,
                                   "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n"
                                   "server_mode:cluster\r\n"),
                     LOSS_STORE_UNAVAILABLE);
    assert_says(p->err.message, "Redis Cluster");
}

static loss_status add_to(struct place *p, const char *registry, const char *name, int64_t step)
{
    struct registry_entry out;
    const struct registry_add a = {.registry = registry,
                                   .name = name,
                                   .collection = REGISTRY_LOSSES,
                                   .step = step,
                                   .dtype = "",
                                   .reduction = "",
                                   .key = {.key = "key"}};
    return registry_add(p->registry, &a, p->arena, &out, &p->err);
}

/* Names that look like keys, slots or each other do not meet, and all keys of one registry are of one slot. */
static void test_registries__stay_apart(void **state)
{
    static const char *const registries[] = {"{a}",     "a",    "}a",  "a}",         "{",
                                             "%7Ba%7D", "a}:e", "a:e", "registries", "key:key"};
    enum { N = sizeof registries / sizeof *registries };
    struct place *p = *state;
    uint64_t removed;
    start(p, NULL);
    for (size_t i = 0; i < N; i++) {
        char key[8];
        const struct registry_add a = {.registry = registries[i],
                                       .name = "x",
                                       .collection = REGISTRY_LOSSES,
                                       .dtype = "",
                                       .reduction = "",
                                       .key = {.key = snprintf(key, sizeof key, "k%zu", i) ? key : NULL}};
        struct registry_entry out;
        assert_int_equal(registry_add(p->registry, &a, p->arena, &out, &p->err), LOSS_OK);
        assert_string_equal(out.name, "x");
    }
    const char *keys = say(p, "KEYS lossd:{a}*"); /* base, :e, :n, :c, :a, :s of one registry alone */
    assert_says(keys, "*6\r\n");
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(registry_remove(p->registry, registries[i], NULL, REGISTRY_STEP_ALL, &removed, NULL), LOSS_OK);
        assert_int_equal(removed, 1);
    }
    assert_string_equal(say(p, "KEYS lossd:{*"), "*0\r\n");
    assert_says(say(p, "KEYS lossd:key:*"), "*10\r\n"); /* keys outlive what they added */
    assert_says(say(p, "PTTL lossd:key:k0"), ":8");     /* 86 400 000 ms at most */
}

static void test_long_steps__are_read_whole(void **state)
{
    enum { N = 2345 };
    struct place *p = *state;
    static struct registry_add adds[N];
    static struct registry_entry out[N];
    const struct registry_key none = {.key = NULL};
    uint64_t removed;
    start(p, NULL);
    for (size_t i = 0; i < N; i++) {
        adds[i] = (struct registry_add){.registry = "run",
                                        .name = "x",
                                        .collection = i % 3 == 0 ? "odd" : REGISTRY_LOSSES,
                                        .step = 4,
                                        .dtype = "",
                                        .reduction = ""};
    }
    assert_int_equal(registry_add_all(p->registry, adds, N, &none, p->arena, out, &p->err), LOSS_OK);
    const struct registry_query queries[] = {{.registry = "run", .step = REGISTRY_STEP_LATEST},
                                             {.registry = "run", .step = REGISTRY_STEP_ALL},
                                             {.registry = "run", .step = 4, .collection = "odd"},
                                             {.registry = "run", .step = REGISTRY_STEP_ALL, .collection = "odd"}};
    for (size_t i = 0; i < 4; i++) {
        struct registry_page page;
        assert_int_equal(registry_list(p->registry, &queries[i], p->arena, &page, &p->err), LOSS_OK);
        assert_int_equal(page.count, i < 2 ? N : (N + 2) / 3);
        struct registry_query query = queries[i];
        size_t count = 0;
        query.limit = 700;
        do {
            assert_int_equal(registry_list(p->registry, &query, p->arena, &page, &p->err), LOSS_OK);
            count += page.count;
            query.cursor = page.next_cursor;
        } while (query.cursor != NULL);
        assert_int_equal(count, i < 2 ? N : (N + 2) / 3);
    }
    assert_int_equal(registry_remove(p->registry, "run", "x_1", REGISTRY_STEP_ALL, &removed, NULL), LOSS_OK);
    assert_int_equal(removed, 1 + 10 + 100 + 1000);
}

struct adder {
    struct place *place;
    struct loss_arena *arena;
    int failures;
    atomic_int acknowledged;
};

static void *add_on(void *arg)
{
    struct adder *a = arg;
    for (int i = 0; i < 400; i++) {
        struct registry_entry out;
        const struct registry_add one = {
            .registry = "run", .name = "x", .collection = REGISTRY_LOSSES, .dtype = "", .reduction = ""};
        a->failures += registry_add(a->place->registry, &one, a->arena, &out, NULL) != LOSS_OK;
        atomic_fetch_add(&a->acknowledged, 1);
    }
    return NULL;
}

static uint64_t count_all(struct place *p)
{
    struct registry_page page;
    assert_int_equal(registry_list(p->registry, &ALL, p->arena, &page, NULL), LOSS_OK);
    return page.count;
}

/* A removal takes what was there before it, and what comes meanwhile is either taken too or counted later. */
static void test_removal__meets_adds(void **state)
{
    struct place *p = *state;
    struct adder a = {.place = p, .arena = loss_arena_new(8u << 20, NULL)};
    pthread_t thread;
    uint64_t total = 0, removed;
    start(p, NULL);
    assert_int_equal(add(p, "x", NULL, NULL), LOSS_OK);
    assert_int_equal(pthread_create(&thread, NULL, add_on, &a), 0);
    for (int i = 0; i < 50; i++) {
        int before = atomic_load(&a.acknowledged);
        assert_int_equal(registry_remove(p->registry, "run", "x", REGISTRY_STEP_ALL, &removed, &p->err), LOSS_OK);
        total += removed;
        assert_true(total >= (uint64_t)before);
    }
    pthread_join(thread, NULL);
    assert_int_equal(a.failures, 0);
    assert_int_equal(total + count_all(p), 401);
    loss_arena_free(a.arena);
}

static void test_keys__end_with_their_life(void **state)
{
    struct place *p = *state;
    start(p, NULL);
    assert_int_equal(add_to(p, "run", "a", 0), LOSS_OK);
    assert_says(say(p, "TTL lossd:key:key"), ":86");
    assert_string_equal(say(p, "TTL lossd:{run}"), ":-1\r\n"); /* registries end by lossd's clock alone */
    assert_int_equal(add_to(p, "run", "b", 0), LOSS_OK);       /* the same key and fingerprint */
    assert_string_equal(names(p), "a");
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_redis__may_be_away_at_the_start),
        TEST(test_redis__may_be_started_anew),
        TEST(test_redis__started_anew_unnoticed_takes_what_has_no_key),
        TEST(test_a_broken_connection__never_adds_twice),
        TEST(test_a_broken_connection__does_not_stop_reading),
        TEST(test_a_redis_that_stalls__is_not_waited_for_without_end),
        TEST(test_full_memory__refuses_adds_and_nothing_else),
        TEST(test_passwords__let_in_or_keep_out),
        TEST(test_an_account__needs_no_more_than_is_documented),
        TEST(test_a_start__warns_of_what_redis_does_not_promise),
        TEST(test_a_cluster__is_refused),
        TEST(test_an_old_redis__is_refused),
        TEST(test_a_cluster_of_valkeys__is_refused),
        TEST(test_registries__stay_apart),
        TEST(test_long_steps__are_read_whole),
        TEST(test_removal__meets_adds),
        TEST(test_keys__end_with_their_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
