/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_kernels.c - losses of large tensors beside memcpy, and of tiny ones.
 *
 *     bench_kernels [part of a label]
 *
 * A figure is a whole loss_compute of float32: kernels, exact totals, and the memory of the answer. First the shapes
 * that other libraries are measured on, without the array of losses, in milliseconds and relative to a memcpy of the
 * logits or predictions on as many threads; then two threads beside one.
 */
#include <math.h>
#include <omp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <loss/loss.h>

#include "bench.h"
#include "calls.h"

static const char *wanted = ""; /* part of the labels that are measured */

static bool is_wanted(const char *label)
{
    return strstr(label, wanted) != NULL;
}

/* What other libraries are measured on. */

/* Labels one-hot or 0 and 1, logits of rows about normal with a deviation of 3: as the other libraries get them. */
static void make_usual(const struct loss_call *call, struct size size)
{
    if (call->input[0].dtype == LOSS_FLOAT32) {
        float *labels = call->input[0].data;
        size_t stride = size.classes;
        for (size_t i = 0; i < size.rows; i++) {
            memset(labels + i * stride, 0, stride * sizeof *labels);
            size_t label = (size_t)(random_unit() * (double)(stride > 1 ? stride : 2));
            labels[i * stride + (stride > 1 ? label : 0)] = stride > 1 ? 1 : (float)label;
        }
    }
    float *logits = call->input[1].data;
    for (size_t i = 0; size.classes > 1 && i < size.rows * size.classes; i++) {
        logits[i] = (float)(9 * (random_unit() + random_unit() + random_unit() + random_unit() - 2) / sqrt(3));
    }
}

static void bench_case(const char *name, struct size size)
{
    const struct loss_desc *desc = loss_catalog_find(name, NULL);
    size_t elements = size.rows * size.classes;
    for (int gradient = 0; gradient < 2; gradient++) {
        char label[128];
        snprintf(label, sizeof label, "%s %zux%zu, %s", name, size.rows, size.classes,
                 gradient ? "loss and gradient" : "loss");
        if (!is_wanted(label)) {
            continue;
        }
        struct loss_call call;
        unsigned mains = make_call(&call, desc, size);
        make_usual(&call, size);
        call.gradients = gradient ? mains : 0;
        call.want_losses = false;
        double copy = copy_seconds(elements * sizeof(float)) / (2 * (double)(elements * sizeof(float)));
        double seconds = bench_median(compute_once, &call);
        bench_row(label, seconds * 1e3, "ms");
        strcat(label, ", rate to memcpy's");
        bench_row(label, copy * traffic(&call, size) / seconds, "times");
        free_all();
    }
}

static void bench_cases(void)
{
    static const struct size shapes[] = {{65536, 10}, {8192, 1000}, {512, 32000}, {128, 128256}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        bench_case("sparse_softmax_cross_entropy", shapes[i]);
        bench_case("softmax_cross_entropy", shapes[i]);
    }
    static const char *const elementwise[] = {"mean_squared_error", "huber_loss", "sigmoid_cross_entropy", "log_loss"};
    for (size_t i = 0; i < sizeof elementwise / sizeof *elementwise; i++) {
        bench_case(elementwise[i], (struct size){(size_t)1 << 24, 1});
    }
}

/* Two threads beside one, alone and beside somebody who keeps one processor busy. Medians: the luckiest run of many
 * meets no neighbour. */

#define MAX_RUNS 1000

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_seconds(void (*run)(void *), void *arg)
{
    static double took[MAX_RUNS];
    size_t n = 0;
    run(arg);
    for (double limit = bench_now() + bench_seconds(); n < 5 || (n < MAX_RUNS && bench_now() < limit); n++) {
        double begun = bench_now();
        run(arg);
        took[n] = bench_now() - begun;
    }
    qsort(took, n, sizeof *took, by_size);
    return took[n / 2];
}

/* Start a process that never rests, on one of the processors that we may use; its id. */
static pid_t start_neighbour(void)
{
    pid_t parent = getpid(), child = fork();
    if (child != 0) {
        return child;
    }
    cpu_set_t allowed, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        for (int i = 0; i < CPU_SETSIZE; i++) {
            if (CPU_ISSET(i, &allowed)) {
                CPU_SET(i, &one);
                break;
            }
        }
        (void)sched_setaffinity(0, sizeof one, &one);
    }
    while (getppid() == parent) {
        for (volatile int i = 0; i < 1000000; i++) {
        }
    }
    _exit(0);
}

static void end_neighbour(pid_t child)
{
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}

/* How many times as fast two threads are as one. */
static double two_to_one(struct loss_call *call)
{
    omp_set_num_threads(1);
    double one = median_seconds(compute_once, call);
    omp_set_num_threads(2);
    return one / median_seconds(compute_once, call);
}

static void bench_two_threads(const char *name, struct size size)
{
    char label[128];
    snprintf(label, sizeof label, "%s %zux%zu, loss and gradient, two threads to one", name, size.rows, size.classes);
    if (!is_wanted(label)) {
        return;
    }
    struct loss_call call;
    int threads = omp_get_max_threads();
    unsigned mains = make_call(&call, loss_catalog_find(name, NULL), size);
    make_usual(&call, size);
    call.gradients = mains;
    call.want_losses = false;
    bench_row(label, two_to_one(&call), "times");
    pid_t neighbour = start_neighbour();
    if (neighbour > 0) {
        strcat(label, ", busy neighbour");
        bench_row(label, two_to_one(&call), "times");
        end_neighbour(neighbour);
    }
    omp_set_num_threads(threads);
    free_all();
}

/* The fixed cost of a call. */
enum { TINY_CALLS = 1000 };

static void compute_many(void *arg)
{
    for (int i = 0; i < TINY_CALLS; i++) {
        compute_once(arg);
    }
}

static void bench_tiny(void)
{
    struct loss_call call;
    unsigned mains = make_call(&call, loss_catalog_find("sparse_softmax_cross_entropy", NULL), (struct size){5, 3});
    for (int gradient = 0; gradient < 2; gradient++) {
        const char *label = gradient ? "a call of 5x3, loss and gradient" : "a call of 5x3, loss";
        call.gradients = gradient ? mains : 0;
        if (is_wanted(label)) {
            bench_row(label, bench_median(compute_many, &call) / TINY_CALLS * 1e9, "ns");
        }
    }
    free_all();
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        wanted = argv[1];
    }
    printf("# kernels: %s, %d threads\n", loss_isa(), omp_get_max_threads());
    bench_tiny();
    bench_cases();
    if (omp_get_num_procs() > 1) {
        bench_two_threads("sparse_softmax_cross_entropy", (struct size){8192, 1000});
        bench_two_threads("sigmoid_cross_entropy", (struct size){(size_t)1 << 24, 1});
        bench_two_threads("mean_squared_error", (struct size){(size_t)1 << 24, 1});
    }
    return 0;
}
