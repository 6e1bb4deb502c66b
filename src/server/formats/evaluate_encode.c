/* SPDX-License-Identifier: Apache-2.0
 *
 * evaluate_encode.c - many answers to one text, printed as the socket drains.
 */
#include <server/formats/evaluate.h>

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include <server/formats/json.h>
#include <text/json_write.h>

struct evaluate_encoder {
    const struct evaluation *all;
    struct json_encoder **one;
    char end[64];
    size_t next; /* of all answers */
    bool begun, ended, within;
};

static double total_of(const struct evaluation *e)
{
    struct loss_sum sum;
    loss_sum_init(&sum);
    for (size_t i = 0; i < e->n; i++) {
        if (e->answer[i].loss.has_loss) {
            loss_sum_add(&sum, e->answer[i].loss.loss);
        }
    }
    return loss_sum_round(&sum);
}

struct evaluate_encoder *evaluate_encoder_new(struct loss_arena *arena, const struct evaluation *e, bool literal)
{
    struct evaluate_encoder *encoder = loss_arena_alloc(arena, sizeof *encoder, alignof(struct evaluate_encoder));
    char total[CALL_NUMBER];
    if (encoder == NULL) {
        return NULL;
    }
    *encoder = (struct evaluate_encoder){.all = e};
    encoder->one = loss_arena_alloc(arena, e->n * sizeof *encoder->one, alignof(struct json_encoder *));
    for (size_t i = 0; encoder->one != NULL && i < e->n; i++) {
        encoder->one[i] = json_encoder_new(arena, &e->call[i], &e->answer[i], literal);
        if (encoder->one[i] == NULL) {
            return NULL;
        }
    }
    total[json_number_f64(total, total_of(e), literal)] = '\0';
    snprintf(encoder->end, sizeof encoder->end, "],\"total_loss\":%s}", total);
    return encoder->one == NULL ? NULL : encoder;
}

static size_t put(char *buf, const char *text)
{
    size_t n = strlen(text);
    memcpy(buf, text, n);
    return n;
}

size_t evaluate_encoder_more(void *encoder, char *buf, size_t max)
{
    static const char begin[] = "{\"results\":[";
    struct evaluate_encoder *e = encoder;
    size_t n = 0;
    if (!e->begun) {
        e->begun = true;
        return put(buf, begin);
    }
    while (n == 0 && e->next < e->all->n) {
        if (!e->within && e->next > 0) {
            e->within = true;
            return put(buf, ",");
        }
        e->within = true;
        n = json_encoder_more(e->one[e->next], buf, max);
        if (n == 0) {
            e->within = false;
            e->next++;
        }
    }
    if (n == 0 && !e->ended) {
        e->ended = true;
        n = put(buf, e->end);
    }
    return n;
}
