/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_losses.c - every loss of the catalogue, alone and with the gradients of its main inputs.
 *
 *     bench_losses [part of a label]
 *
 * A figure is a whole loss_compute of float32, without the array of losses, in nanoseconds a number of the first main
 * input; and the rate of the bytes that the call reads and writes beside memcpy's. A new loss is measured by being in the
 * table: tensors have the shape that its inputs ask for.
 */
#include <omp.h>
#include <string.h>

#include <loss/loss.h>

#include "bench.h"
#include "calls.h"

#define ELEMENTS ((size_t)4096000)

/* Rows of 1000 classes, lists of 50 items, plain elements; and 1024 vectors where all are compared with all. */
static struct size usual_size(const struct loss_desc *desc)
{
    if (loss_desc_input(desc, "scores") >= 0) {
        return (struct size){ELEMENTS / 500, 50};
    }
    if (desc->kind == LOSS_BATCHWISE) {
        return (struct size){1024, 128};
    }
    return desc->kind == LOSS_ROWWISE || desc->kind == LOSS_SAMPLEWISE ? (struct size){ELEMENTS / 1000, 1000}
                                                                       : (struct size){ELEMENTS, 1};
}

static bool takes(const struct loss_desc *desc, struct size size)
{
    struct loss_call call;
    struct loss_error err = {.status = LOSS_OK};
    struct loss_answer answer;
    struct loss_arena *arena = loss_arena_new(SIZE_MAX / 2, NULL);
    (void)make_call(&call, desc, size);
    bool taken = arena != NULL && loss_compute(&call, arena, &answer, &err) == LOSS_OK;
    loss_arena_free(arena);
    free_all();
    return taken;
}

static void bench_loss(const struct loss_desc *desc, const char *wanted)
{
    struct size size = usual_size(desc);
    if (desc->kind == LOSS_WHOLE && !takes(desc, size)) {
        size = (struct size){1024, 128}; /* of a matrix */
    }
    for (int gradient = 0; gradient < 2; gradient++) {
        char label[128];
        snprintf(label, sizeof label, "%s, %s", desc->name, gradient ? "loss and gradient" : "loss");
        if (strstr(label, wanted) == NULL) {
            continue;
        }
        struct loss_call call;
        unsigned mains = make_call(&call, desc, size);
        call.gradients = gradient ? mains : 0;
        call.want_losses = false;
        size_t bytes = size.rows * size.classes * sizeof(float);
        double copy = copy_seconds(bytes) / (2 * (double)bytes), seconds = bench_median(compute_once, &call);
        bench_row(label, seconds / (double)(size.rows * size.classes) * 1e9, "ns");
        strcat(label, ", rate to memcpy's");
        bench_row(label, copy * traffic(&call, size) / seconds, "times");
        free_all();
    }
}

int main(int argc, char **argv)
{
    printf("# every loss: %s, %d threads\n", loss_isa(), omp_get_max_threads());
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        bench_loss(loss_catalog_at(i), argc > 1 ? argv[1] : "");
    }
    return 0;
}
