/* SPDX-License-Identifier: Apache-2.0
 *
 * consumer.c - ten lines that use an installed libloss: 0 where it computes (1 - 3)^2.
 */
#include <loss/loss.h>

int main(void)
{
    double labels[] = {3}, predictions[] = {1};
    struct loss_call call;
    struct loss_answer answer;
    struct loss_arena *arena = loss_arena_new(1 << 20, NULL);

    loss_call_init(&call, loss_catalog_find("mean_squared_error", NULL), NULL);
    call.input[0] = (struct loss_tensor){.dtype = LOSS_FLOAT64, .rank = 1, .shape = {1}, .count = 1, .data = labels};
    call.input[1] =
        (struct loss_tensor){.dtype = LOSS_FLOAT64, .rank = 1, .shape = {1}, .count = 1, .data = predictions};
    loss_status status = loss_compute(&call, arena, &answer, NULL);
    loss_arena_free(arena);
    return status == LOSS_OK && answer.loss == 4 ? 0 : 1;
}
