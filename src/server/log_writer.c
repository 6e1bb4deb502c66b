/* SPDX-License-Identifier: Apache-2.0
 *
 * log_writer.c - two buffers: one is filled while the other is written.
 */
#include <server/log_writer.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROOM ((size_t)256 << 10) /* of lines that wait */
#define STUCK_MS 100             /* a standard error that does not block and takes nothing for so long is given up */
#define CRASH_WAIT_MS 100        /* a crash waits so long for lines that another thread is writing */

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define N_CRASHES (sizeof crashes / sizeof crashes[0])

static struct {
    pthread_mutex_t mutex; /* guards what follows, to the thread; `size` is also read by a crash */
    pthread_cond_t begun;  /* the first line waits, or the writer is to stop */
    bool running, stopping;
    bool asleep; /* the writer, until `begun` */
    char *filling;
    atomic_size_t size;
    pthread_t thread;

    pthread_mutex_t out; /* held while lines are written; taken while `mutex` is held, so that they leave in order */
    atomic_bool writing;
    char room[2][ROOM];
    struct sigaction before[N_CRASHES]; /* what a crash did before the writer ran */
} writer = {.mutex = PTHREAD_MUTEX_INITIALIZER,
            .begun = PTHREAD_COND_INITIALIZER,
            .out = PTHREAD_MUTEX_INITIALIZER,
            .filling = writer.room[0]};

/* A log that nobody reads any more is no reason to stop. */
static void write_all(const char *bytes, size_t n)
{
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};

    while (n > 0) {
        ssize_t written = write(STDERR_FILENO, bytes, n);
        if (written >= 0) {
            bytes += written;
            n -= (size_t)written;
        } else if (errno != EINTR && (errno != EAGAIN || poll(&fd, 1, STUCK_MS) <= 0)) {
            return;
        }
    }
}

/* With both mutexes held. */
static void empty(void)
{
    write_all(writer.filling, atomic_load_explicit(&writer.size, memory_order_relaxed));
    atomic_store_explicit(&writer.size, 0, memory_order_release);
}

/* With `mutex` held. A crash sees whole lines alone. True: the writer is to be woken. */
static bool keep(const char *line, size_t size)
{
    size_t used = atomic_load_explicit(&writer.size, memory_order_relaxed);
    bool wake = writer.asleep;

    memcpy(writer.filling + used, line, size);
    atomic_store_explicit(&writer.size, used + size, memory_order_release);
    writer.asleep = false;
    return wake;
}

void log_writer_put_now(const char *line, size_t size)
{
    pthread_mutex_lock(&writer.mutex);
    pthread_mutex_lock(&writer.out);
    empty();
    write_all(line, size);
    pthread_mutex_unlock(&writer.out);
    pthread_mutex_unlock(&writer.mutex);
}

void log_writer_put(const char *line, size_t size)
{
    pthread_mutex_lock(&writer.mutex);
    bool waits = writer.running && size <= ROOM - atomic_load_explicit(&writer.size, memory_order_relaxed);
    bool wake = waits && keep(line, size);
    pthread_mutex_unlock(&writer.mutex);
    if (wake) { /* with the mutex free, or it would wait for that at once */
        pthread_cond_signal(&writer.begun);
    }
    if (!waits) {
        log_writer_put_now(line, size);
    }
}

/* With `mutex` held, which is let go while lines are written: others fill the other buffer meanwhile. */
static void write_what_waits(void)
{
    char *full = writer.filling;
    size_t size = atomic_load_explicit(&writer.size, memory_order_relaxed);

    pthread_mutex_lock(&writer.out);
    atomic_store(&writer.writing, true);
    atomic_store(&writer.size, 0);
    writer.filling = full == writer.room[0] ? writer.room[1] : writer.room[0];
    pthread_mutex_unlock(&writer.mutex);
    write_all(full, size);
    atomic_store(&writer.writing, false);
    pthread_mutex_unlock(&writer.out);
    pthread_mutex_lock(&writer.mutex);
}

/* While lines keep coming nobody needs to wake it: it looks again by itself, and falls asleep where it finds none. */
static void *run(void *arg)
{
    const struct timespec gather = {.tv_nsec = LOG_GATHER_MS * 1000000L};

    (void)arg;
    pthread_mutex_lock(&writer.mutex);
    while (!writer.stopping) {
        pthread_mutex_unlock(&writer.mutex);
        nanosleep(&gather, NULL);
        pthread_mutex_lock(&writer.mutex);
        if (atomic_load(&writer.size) > 0) {
            write_what_waits();
            continue;
        }
        writer.asleep = true;
        while (writer.asleep && !writer.stopping) {
            pthread_cond_wait(&writer.begun, &writer.mutex);
        }
        writer.asleep = false;
    }
    pthread_mutex_unlock(&writer.mutex);
    return NULL;
}

/* The last lines before a crash are those that somebody will want. Nothing here but what a signal handler may do; a line
 * that was being put into the buffer is not among them. */
static void crash(int number, siginfo_t *info, void *context)
{
    const struct timespec tick = {.tv_nsec = 1000000};
    int saved = errno;

    (void)context;
    for (int ms = 0; ms < CRASH_WAIT_MS && atomic_load(&writer.writing); ms++) {
        nanosleep(&tick, NULL);
    }
    write_all(writer.filling, atomic_exchange(&writer.size, 0));
    for (size_t i = 0; i < N_CRASHES; i++) {
        if (crashes[i] == number) {
            (void)sigaction(number, &writer.before[i], NULL);
        }
    }
    if (info->si_code <= 0) { /* sent, by abort or by another process; what caused others happens again on return */
        (void)raise(number);
    }
    errno = saved;
}

static void watch_crashes(void)
{
    struct sigaction action = {.sa_sigaction = crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < N_CRASHES; i++) {
        (void)sigaction(crashes[i], &action, &writer.before[i]);
    }
}

bool log_writer_start(void)
{
    if (pthread_create(&writer.thread, NULL, run, NULL) != 0) {
        return false;
    }
    pthread_setname_np(writer.thread, "log");
    watch_crashes();
    pthread_mutex_lock(&writer.mutex);
    writer.running = true;
    pthread_mutex_unlock(&writer.mutex);
    return true;
}

void log_writer_stop(void)
{
    pthread_mutex_lock(&writer.mutex);
    bool running = writer.running;
    writer.running = false;
    writer.stopping = true;
    pthread_cond_signal(&writer.begun);
    pthread_mutex_unlock(&writer.mutex);
    if (!running) {
        return;
    }
    pthread_join(writer.thread, NULL);
    log_writer_put_now("", 0);
    for (size_t i = 0; i < N_CRASHES; i++) {
        (void)sigaction(crashes[i], &writer.before[i], NULL);
    }
    writer.stopping = false;
}
