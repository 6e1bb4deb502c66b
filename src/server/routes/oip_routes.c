/* SPDX-License-Identifier: Apache-2.0
 *
 * oip_routes.c - /v2, the Open Inference Protocol, from head to answer.
 */
#include <server/routes/oip_routes.h>

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <loss/loss.h>
#include <server/formats/oip.h>
#include <server/machine.h>
#include <server/routes/loss_routes.h>
#include <server/server.h>

#define SEGMENT_MODEL 2
#define SEGMENT_VERSION 4 /* /v2/models/{loss}/versions/{version} */

const char *const oip_media[] = {"application/json", "application/octet-stream", NULL};

struct inference {
    struct oip_decoder *decoder;
    int64_t clock; /* when the stage under way began */
    bool decoded;
    struct oip_call oip;
    struct loss_answer answer;
};

/* The model that the path names, in its only version. */
static loss_status find_model(struct request *q, const struct loss_alias **alias, struct loss_error *err)
{
    char clip[CALL_CLIP];

    LOSS_TRY(losses_find(q, &q->loss, alias, err));
    if (q->n_segments > SEGMENT_VERSION && strcmp(q->segment[SEGMENT_VERSION], OIP_VERSION) != 0) {
        return loss_fail(err, LOSS_NOT_FOUND, "", "the only version of a model is " OIP_VERSION ", not \"%s\"",
                         call_clip(q->segment[SEGMENT_VERSION], clip));
    }
    return LOSS_OK;
}

/* --- inference --- */

loss_status oip_infer_begin(struct request *q, struct loss_error *err)
{
    const struct conf *conf = q->server->conf;
    struct oip_decode_options options = {.has_body_size = q->has_announced,
                                         .body_size = q->announced,
                                         .max_body = (uint64_t)conf->max_body,
                                         .max_depth = (int)conf->max_depth};
    struct inference *c = loss_arena_alloc(q->arena, sizeof *c, alignof(struct inference));

    if (c == NULL) {
        return loss_no_memory(err, "this request");
    }
    memset(c, 0, sizeof *c);
    LOSS_TRY(find_model(q, &options.alias, err));
    options.desc = q->loss;
    options.json_size = request_list(q, OIP_LENGTH_HEADER); /* given twice it is no number */
    q->state = c;
    return oip_decoder_new(q->arena, &options, &c->decoder, err);
}

loss_status oip_infer_feed(struct request *q, const char *bytes, size_t n, struct loss_error *err)
{
    struct inference *c = q->state;
    int64_t begun = machine_clock();
    loss_status status = oip_decoder_feed(c->decoder, bytes, n, err);

    q->times.decode += machine_clock() - begun;
    return status;
}

static int64_t stage_time(struct inference *c)
{
    int64_t begun = c->clock;

    c->clock = machine_clock();
    return c->clock - begun;
}

static loss_status decode(struct request *q, struct inference *c, struct loss_error *err)
{
    loss_status status = oip_decoder_end(c->decoder, &c->oip, err);
    int64_t deadline = q->times.begun + c->oip.timeout_us;

    c->oip.call.loss.cancelled = request_cancelled;
    c->oip.call.loss.cancelled_arg = q;
    if (c->oip.timeout_us > 0 && (q->deadline == 0 || deadline < q->deadline)) {
        q->deadline = deadline;
    }
    c->decoded = true;
    q->times.decode += stage_time(c);
    return status;
}

loss_status oip_infer_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct inference *c = q->state;

    c->clock = machine_clock();
    if (!c->decoded) {
        LOSS_TRY(decode(q, c, err));
        if (loss_call_elements(&c->oip.call.loss) > (size_t)q->server->conf->inline_elements) {
            q->next = NEXT_COMPUTE;
            return LOSS_OK;
        }
    }
    loss_status status = loss_compute(&c->oip.call.loss, q->arena, &c->answer, err);
    q->times.compute += stage_time(c);
    LOSS_TRY(status);
    q->rows = c->answer.totals.count;
    LOSS_TRY(oip_encode(q->arena, &c->oip, &c->answer, q->segment[SEGMENT_MODEL], r, err));
    q->times.encode += stage_time(c);
    q->next = NEXT_DONE;
    return LOSS_OK;
}

/* --- descriptions --- */

static loss_status answer_json(struct request *q, struct reply *r, const struct json_out *o, struct loss_error *err)
{
    if (o->failed) {
        return loss_no_memory(err, "this request");
    }
    r->status = 200;
    r->content_type = "application/json";
    r->body = o->data;
    r->size = o->size;
    q->next = NEXT_DONE;
    return LOSS_OK;
}

loss_status oip_server_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct json_out o;

    json_out_init(&o, q->arena);
    oip_write_server(&o);
    return answer_json(q, r, &o, err);
}

/* {"name": "huber_loss", "live": true} */
static loss_status answer_true(struct request *q, struct reply *r, const char *name, const char *what,
                               struct loss_error *err)
{
    struct json_out o;

    json_out_init(&o, q->arena);
    json_out_open(&o, '{');
    if (name != NULL) {
        json_out_key(&o, "name");
        json_out_string(&o, name);
    }
    json_out_key(&o, what);
    json_out_bool(&o, true);
    json_out_close(&o, '}');
    return answer_json(q, r, &o, err);
}

loss_status oip_live_step(struct request *q, struct reply *r, struct loss_error *err)
{
    return answer_true(q, r, NULL, "live", err);
}

/* As /readyz: a draining server says so at once, and the store may have to be waited for. */
loss_status oip_ready_step(struct request *q, struct reply *r, struct loss_error *err)
{
    if (atomic_load(&q->server->draining)) {
        return loss_fail(err, LOSS_SHUTTING_DOWN, "", "the server is shutting down and takes no new work");
    }
    if (q->next != NEXT_STORE) {
        q->next = NEXT_STORE;
        return LOSS_OK;
    }
    LOSS_TRY(registry_ready(q->server->registries, err));
    return answer_true(q, r, NULL, "ready", err);
}

loss_status oip_model_step(struct request *q, struct reply *r, struct loss_error *err)
{
    const struct loss_alias *alias;
    struct json_out o;

    LOSS_TRY(find_model(q, &alias, err));
    json_out_init(&o, q->arena);
    oip_write_model(&o, q->loss, q->segment[SEGMENT_MODEL]);
    return answer_json(q, r, &o, err);
}

/* A loss is ready as long as the server is. */
loss_status oip_model_ready_step(struct request *q, struct reply *r, struct loss_error *err)
{
    const struct loss_alias *alias;

    LOSS_TRY(find_model(q, &alias, err));
    if (atomic_load(&q->server->draining)) {
        return loss_fail(err, LOSS_SHUTTING_DOWN, "", "the server is shutting down and takes no new work");
    }
    return answer_true(q, r, q->segment[SEGMENT_MODEL], "ready", err);
}

loss_status oip_stats_step(struct request *q, struct reply *r, struct loss_error *err)
{
    const struct loss_alias *alias;
    struct json_out o;

    LOSS_TRY(find_model(q, &alias, err));
    json_out_init(&o, q->arena);
    oip_write_stats(&o, q->server->metrics, q->loss, q->segment[SEGMENT_MODEL]);
    return answer_json(q, r, &o, err);
}

loss_status oip_all_stats_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct json_out o;

    json_out_init(&o, q->arena);
    oip_write_stats(&o, q->server->metrics, NULL, NULL);
    return answer_json(q, r, &o, err);
}

/* What may be asked for, {"ready": true}, changes nothing: every loss is ready. */
loss_status oip_index_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct json_out o;

    json_out_init(&o, q->arena);
    oip_write_index(&o);
    return answer_json(q, r, &o, err);
}
