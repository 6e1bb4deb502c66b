/* SPDX-License-Identifier: Apache-2.0
 *
 * executor.c - one mutex, one condition, a ring of jobs and a thread.
 */
#include <server/executor.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct job {
    void (*work)(void *);
    void *arg;
    size_t bytes;
};

struct executor {
    pthread_mutex_t mutex; /* guards what follows but `length` */
    pthread_cond_t arrived;
    bool stopping;
    size_t first, waiting; /* of the ring */
    size_t bytes;          /* held by jobs waiting or running */
    size_t max_jobs, max_bytes;
    struct job *ring;
    atomic_size_t length; /* jobs waiting or running */
    pthread_t thread;
};

/* The next job; false: stopping, and none is left. */
static bool next_job(struct executor *e, struct job *job)
{
    bool got;

    pthread_mutex_lock(&e->mutex);
    while (e->waiting == 0 && !e->stopping) {
        pthread_cond_wait(&e->arrived, &e->mutex);
    }
    got = e->waiting > 0;
    if (got) {
        *job = e->ring[e->first];
        e->first = (e->first + 1) % e->max_jobs;
        e->waiting--;
    }
    pthread_mutex_unlock(&e->mutex);
    return got;
}

static void *run(void *arg)
{
    struct executor *e = arg;
    struct job job;

    while (next_job(e, &job)) {
        job.work(job.arg);
        pthread_mutex_lock(&e->mutex);
        e->bytes -= job.bytes;
        pthread_mutex_unlock(&e->mutex);
        atomic_fetch_sub(&e->length, 1);
    }
    return NULL;
}

struct executor *executor_new(const char *name, size_t max_jobs, size_t max_bytes)
{
    struct executor *e = calloc(1, sizeof *e);
    struct job *ring = calloc(max_jobs, sizeof *ring);

    if (e == NULL || ring == NULL) {
        goto out;
    }
    e->ring = ring;
    e->max_jobs = max_jobs;
    e->max_bytes = max_bytes;
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->arrived, NULL);
    if (pthread_create(&e->thread, NULL, run, e) != 0) {
        goto out;
    }
    pthread_setname_np(e->thread, name);
    return e;
out:
    free(ring);
    free(e);
    return NULL;
}

bool executor_submit(struct executor *e, void (*work)(void *), void *arg, size_t bytes)
{
    bool taken = false;

    pthread_mutex_lock(&e->mutex);
    /* A job that alone is larger than the bound may still run alone. */
    if (!e->stopping && e->waiting < e->max_jobs &&
        (e->bytes == 0 || (bytes <= e->max_bytes && e->bytes <= e->max_bytes - bytes))) {
        e->ring[(e->first + e->waiting) % e->max_jobs] = (struct job){work, arg, bytes};
        e->waiting++;
        e->bytes += bytes;
        atomic_fetch_add(&e->length, 1);
        pthread_cond_signal(&e->arrived);
        taken = true;
    }
    pthread_mutex_unlock(&e->mutex);
    return taken;
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
    pthread_cond_signal(&e->arrived);
    pthread_mutex_unlock(&e->mutex);
    pthread_join(e->thread, NULL);
    pthread_cond_destroy(&e->arrived);
    pthread_mutex_destroy(&e->mutex);
    free(e->ring);
    free(e);
}
