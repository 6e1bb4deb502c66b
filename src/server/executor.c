/* SPDX-License-Identifier: Apache-2.0
 *
 * executor.c - one mutex, one condition, a ring of jobs and its threads.
 */
#include <server/executor.h>

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <server/machine.h>

#define MOST_TOGETHER 256 /* jobs of a group */

struct job {
    void (*work)(void *);
    void (*done)(void *);
    void *arg;
    size_t bytes;
};

/* Places that are kept, and the bytes of their jobs. */
struct kept {
    size_t places, bytes;
};

struct executor {
    pthread_mutex_t mutex; /* guards what follows but `length` */
    pthread_cond_t arrived;
    bool stopping;
    size_t first, waiting; /* of the ring */
    size_t bytes;          /* held by jobs waiting or running */
    struct executor_bounds most;
    /* Places taken in this span of keep_us, and in the one before; older ones are forgotten. */
    int64_t span;
    struct kept now, before;
    struct job *ring;
    struct executor_group group; /* begin NULL: one job at a time */
    atomic_size_t length;        /* jobs waiting or running */
    size_t n_threads;
    pthread_t threads[];
};

/* Take what waits, as far as it goes together; how many jobs. 0: stopping, and none is left. */
static size_t take(struct executor *e, struct job taken[MOST_TOGETHER])
{
    size_t most = e->group.begin != NULL ? MOST_TOGETHER : 1, n;

    pthread_mutex_lock(&e->mutex);
    while (e->waiting == 0 && !e->stopping) {
        pthread_cond_wait(&e->arrived, &e->mutex);
    }
    n = e->waiting < most ? e->waiting : most;
    for (size_t i = 0; i < n; i++) {
        taken[i] = e->ring[e->first];
        e->first = (e->first + 1) % e->most.jobs;
    }
    e->waiting -= n;
    pthread_mutex_unlock(&e->mutex);
    return n;
}

static void run_jobs(const struct executor *e, const struct job *taken, size_t n)
{
    if (e->group.begin != NULL) {
        e->group.begin(e->group.arg);
    }
    for (size_t i = 0; i < n; i++) {
        taken[i].work(taken[i].arg);
    }
    if (e->group.end != NULL) {
        e->group.end(e->group.arg);
    }
}

static void finish_jobs(struct executor *e, const struct job *taken, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct job *job = &taken[i];
        if (job->done != NULL) {
            job->done(job->arg);
        }
        pthread_mutex_lock(&e->mutex);
        e->bytes -= job->bytes;
        pthread_mutex_unlock(&e->mutex);
        atomic_fetch_sub(&e->length, 1);
    }
}

static void *run(void *arg)
{
    struct executor *e = arg;
    struct job taken[MOST_TOGETHER];
    size_t n;

    while ((n = take(e, taken)) > 0) {
        run_jobs(e, taken, n);
        finish_jobs(e, taken, n);
    }
    return NULL;
}

static bool start_threads(struct executor *e, const char *name, size_t n)
{
    while (e->n_threads < n) {
        pthread_t *thread = &e->threads[e->n_threads];
        if (pthread_create(thread, NULL, run, e) != 0) {
            return false;
        }
        pthread_setname_np(*thread, name);
        e->n_threads++;
    }
    return true;
}

struct executor *executor_new(const char *name, size_t threads, const struct executor_bounds *bounds,
                              const struct executor_group *group)
{
    assert(threads == 1 || group == NULL);
    struct executor *e = calloc(1, sizeof *e + threads * sizeof(pthread_t));
    struct job *ring = calloc(bounds->jobs, sizeof *ring);

    if (e == NULL || ring == NULL) {
        goto out;
    }
    e->ring = ring;
    if (group != NULL) {
        e->group = *group;
    }
    e->most = *bounds;
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->arrived, NULL);
    if (!start_threads(e, name, threads)) {
        executor_free(e);
        return NULL;
    }
    return e;
out:
    free(ring);
    free(e);
    return NULL;
}

/* Forget the places that were kept long enough. */
static void forget_places(struct executor *e)
{
    int64_t span = machine_clock() / e->most.keep_us + 1; /* from 1: 0 is no place */

    if (span != e->span) {
        e->before = span == e->span + 1 ? e->now : (struct kept){0};
        e->now = (struct kept){0};
        e->span = span;
    }
}

static void give_back(struct executor *e, executor_place place)
{
    forget_places(e);
    struct kept *kept = place.span == e->span ? &e->now : place.span == e->span - 1 ? &e->before : NULL;
    if (kept != NULL && place.span != 0) {
        kept->places--;
        kept->bytes -= place.bytes;
    }
}

/* A job that alone is larger than the bound may still run alone. */
static bool has_room(const struct executor *e, size_t bytes)
{
    size_t held = e->bytes + e->now.bytes + e->before.bytes;

    return !e->stopping && e->waiting + e->now.places + e->before.places < e->most.jobs &&
           (held == 0 || (bytes <= e->most.bytes && held <= e->most.bytes - bytes));
}

bool executor_full(struct executor *e)
{
    pthread_mutex_lock(&e->mutex);
    forget_places(e);
    bool full = !has_room(e, 0);
    pthread_mutex_unlock(&e->mutex);
    return full;
}

bool executor_reserve(struct executor *e, size_t bytes, executor_place *place)
{
    pthread_mutex_lock(&e->mutex);
    forget_places(e);
    bool room = has_room(e, bytes);
    if (room) {
        e->now.places++;
        e->now.bytes += bytes;
        *place = (executor_place){.span = e->span, .bytes = bytes};
    }
    pthread_mutex_unlock(&e->mutex);
    return room;
}

void executor_leave(struct executor *e, executor_place place)
{
    if (place.span != 0) {
        pthread_mutex_lock(&e->mutex);
        give_back(e, place);
        pthread_mutex_unlock(&e->mutex);
    }
}

bool executor_submit(struct executor *e, void (*work)(void *), void (*done)(void *), void *arg, size_t bytes,
                     executor_place place)
{
    bool taken = false;

    pthread_mutex_lock(&e->mutex);
    give_back(e, place);
    if (has_room(e, bytes)) {
        e->ring[(e->first + e->waiting) % e->most.jobs] = (struct job){work, done, arg, bytes};
        e->waiting++;
        e->bytes += bytes;
        atomic_fetch_add(&e->length, 1);
        pthread_cond_signal(&e->arrived);
        taken = true;
    }
    pthread_mutex_unlock(&e->mutex);
    return taken;
}

static struct job *waiting_job(struct executor *e, size_t i)
{
    return &e->ring[(e->first + i) % e->most.jobs];
}

/* Take one job that nobody wants out of the ring; those behind it move up. */
static bool take_unwanted(struct executor *e, void (*work)(void *), bool (*unwanted)(void *arg), struct job *taken)
{
    size_t i = 0;

    pthread_mutex_lock(&e->mutex);
    while (i < e->waiting && !(waiting_job(e, i)->work == work && unwanted(waiting_job(e, i)->arg))) {
        i++;
    }
    bool found = i < e->waiting;
    if (found) {
        *taken = *waiting_job(e, i);
        e->waiting--;
        for (; i < e->waiting; i++) {
            *waiting_job(e, i) = *waiting_job(e, i + 1);
        }
    }
    pthread_mutex_unlock(&e->mutex);
    return found;
}

void executor_sweep(struct executor *e, void (*work)(void *), bool (*unwanted)(void *arg))
{
    struct job job;

    assert(e->group.begin == NULL);
    while (take_unwanted(e, work, unwanted, &job)) {
        run_jobs(e, &job, 1);
        finish_jobs(e, &job, 1);
    }
}

size_t executor_length(const struct executor *e)
{
    return atomic_load(&e->length);
}

void executor_free(struct executor *e)
{
    if (e == NULL) {
        return;
    }
    pthread_mutex_lock(&e->mutex);
    e->stopping = true;
    pthread_cond_broadcast(&e->arrived);
    pthread_mutex_unlock(&e->mutex);
    for (size_t i = 0; i < e->n_threads; i++) {
        pthread_join(e->threads[i], NULL);
    }
    pthread_cond_destroy(&e->arrived);
    pthread_mutex_destroy(&e->mutex);
    free(e->ring);
    free(e);
}
