/* SPDX-License-Identifier: Apache-2.0
 *
 * evaluate_routes.c - POST /v1/evaluate from head to answer.
 *
 * Everything is decoded and computed before anything is stored, and what is stored goes in at once: a call that fails
 * has changed nothing.
 */
#include <server/routes/evaluate_routes.h>

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <server/access/admit.h>
#include <server/formats/evaluate.h>
#include <server/formats/safetensors_body.h>
#include <server/http/accept.h>
#include <server/machine.h>
#include <server/routes/loss_routes.h>
#include <server/server.h>

const char *const evaluate_query[] = {"nonfinite", "strict", NULL};
const char *const evaluate_media[] = {"application/json", SAFETENSORS_MEDIA, NULL};

struct work {
    struct evaluate_decoder *decoder;
    struct evaluation all;
    bool literal;
    enum { STAGE_DECODE, STAGE_COMPUTE, STAGE_STORE } stage;
};

loss_status evaluate_begin(struct request *q, struct loss_error *err)
{
    struct evaluate_options options = {
        .safetensors = strncasecmp(q->content_type, SAFETENSORS_MEDIA, strlen(SAFETENSORS_MEDIA)) == 0,
        .has_body_size = q->has_announced,
        .body_size = q->announced,
        .max_body = (uint64_t)q->server->conf->max_body,
        .max_depth = (int)q->server->conf->max_depth,
    };
    struct work *w = loss_arena_alloc(q->arena, sizeof *w, alignof(struct work));
    if (w == NULL) {
        return loss_no_memory(err, "this request");
    }
    memset(w, 0, sizeof *w);
    LOSS_TRY(accept_json(q, err));
    LOSS_TRY(losses_query_choice(q, "nonfinite", "null", "literal", &w->literal, err));
    LOSS_TRY(losses_query_choice(q, "strict", "false", "true", &options.strict, err));
    w->decoder = evaluate_decoder_new(q->arena, &options);
    q->state = w;
    return w->decoder != NULL ? LOSS_OK : loss_no_memory(err, "this request");
}

loss_status evaluate_feed(struct request *q, const char *bytes, size_t n, struct loss_error *err)
{
    struct work *w = q->state;
    int64_t begun = machine_clock();
    loss_status status = evaluate_decoder_feed(w->decoder, bytes, n, err);
    q->times.decode += machine_clock() - begun;
    return status;
}

static loss_status decode(struct request *q, struct work *w, size_t *elements, struct loss_error *err)
{
    LOSS_TRY(evaluate_decoder_end(w->decoder, &w->all, err));
    w->stage = STAGE_COMPUTE;
    *elements = 0;
    for (size_t i = 0; i < w->all.n; i++) {
        w->all.call[i].loss.cancelled = request_cancelled;
        w->all.call[i].loss.cancelled_arg = q;
        *elements += loss_call_elements(&w->all.call[i].loss);
        if (w->all.call[i].registry != NULL) {
            char pointer[48];
            snprintf(pointer, sizeof pointer, "/losses/%zu/registry", i);
            LOSS_TRY(admit_scope(q, SCOPE_REGISTRY_WRITE, pointer, err));
        }
    }
    return LOSS_OK;
}

static loss_status compute(struct request *q, struct work *w, struct loss_error *err)
{
    int64_t begun = machine_clock();
    for (size_t i = 0; i < w->all.n; i++) {
        struct loss_error inner = {.status = LOSS_OK};
        loss_status status = loss_compute(&w->all.call[i].loss, q->arena, &w->all.answer[i].loss, &inner);
        LOSS_TRY(evaluate_blame(i, status, &inner, err));
        q->rows += w->all.answer[i].loss.totals.count;
    }
    q->times.compute += machine_clock() - begun;
    w->stage = STAGE_STORE;
    return LOSS_OK;
}

static size_t count_adds(const struct evaluation *e)
{
    size_t n = 0;
    for (size_t i = 0; i < e->n; i++) {
        n += e->call[i].registry != NULL;
    }
    return n;
}

static loss_status store(struct request *q, struct work *w, struct loss_error *err)
{
    int64_t begun = machine_clock();
    struct evaluation *all = &w->all;
    size_t n = count_adds(all), k = 0;
    struct registry_add *adds = loss_arena_alloc(q->arena, n * sizeof *adds, alignof(struct registry_add));
    struct registry_tally *tallies = loss_arena_alloc(q->arena, n * sizeof *tallies, alignof(struct registry_tally));
    struct registry_entry *entries = loss_arena_alloc(q->arena, n * sizeof *entries, alignof(struct registry_entry));
    struct registry_key key = {.key = q->idempotency_key};
    if (adds == NULL || tallies == NULL || entries == NULL) {
        return loss_no_memory(err, "this request");
    }
    for (size_t i = 0; i < all->n; i++) {
        if (all->call[i].registry != NULL) {
            LOSS_TRY(losses_registry_add(q, &all->call[i], &all->answer[i], &tallies[k], &adds[k], err));
            k++;
        }
    }
    memcpy(key.fingerprint, q->fingerprint, sizeof key.fingerprint);
    LOSS_TRY(registry_add_all(q->registry, adds, n, &key, q->arena, entries, err));
    for (size_t i = 0, at = 0; i < all->n; i++) {
        if (all->call[i].registry != NULL) {
            all->answer[i].entry = entries[at++];
            all->answer[i].has_entry = true;
        }
    }
    q->times.store += machine_clock() - begun;
    return LOSS_OK;
}

loss_status evaluate_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct work *w = q->state;
    if (w->stage == STAGE_DECODE) {
        int64_t begun = machine_clock();
        size_t elements;
        LOSS_TRY(decode(q, w, &elements, err));
        q->times.decode += machine_clock() - begun;
        if (elements > (size_t)q->server->conf->inline_elements) {
            q->next = NEXT_COMPUTE;
            return LOSS_OK;
        }
    }
    if (w->stage == STAGE_COMPUTE) {
        LOSS_TRY(compute(q, w, err));
        if (count_adds(&w->all) > 0) {
            q->next = NEXT_STORE;
            return LOSS_OK;
        }
    } else {
        LOSS_TRY(store(q, w, err));
    }
    r->more = evaluate_encoder_more;
    r->state = evaluate_encoder_new(q->arena, &w->all, w->literal);
    r->status = 200;
    r->content_type = "application/json";
    q->next = NEXT_DONE;
    return r->state != NULL ? LOSS_OK : loss_no_memory(err, "this request");
}
