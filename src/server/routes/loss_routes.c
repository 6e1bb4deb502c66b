/* SPDX-License-Identifier: Apache-2.0
 *
 * loss_routes.c - POST /v1/losses/{loss} from head to answer, and the catalog.
 *
 * A computation is decoded as it arrives. Then it goes through compute, store (where it names a registry) and answer,
 * each on the thread that suits it; struct computation says how far it is.
 */
#include <server/routes/loss_routes.h>

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <server/access/admit.h>
#include <server/formats/call.h>
#include <server/formats/json.h>
#include <server/http/accept.h>
#include <server/machine.h>
#include <server/routes/catalog_json.h>
#include <server/routes/openapi.h>
#include <server/server.h>
#include <text/json_write.h>

/* Answers with tensors are printed at once up to this size, larger ones as the socket drains. */
#define SMALL_ANSWER ((size_t)256 << 10)

#define SEGMENT_LOSS 2 /* /v1/losses/{loss}, /v2/models/{loss} */

const char *const losses_list_query[] = {"kind", "q", NULL};
const char *const losses_compute_query[] = {"dtype", "nonfinite", "strict", NULL};
const char *const losses_compute_media[] = {"application/json", SAFETENSORS_MEDIA, NULL};

struct computation {
    const struct loss_alias *alias;
    int64_t clock;                           /* when the stage under way began */
    struct json_decoder *decoder;            /* or ... */
    struct safetensors_decoder *safetensors; /* ... this one, by the body's type */
    bool literal, answers_safetensors;
    enum { STAGE_DECODE, STAGE_COMPUTE, STAGE_STORE, STAGE_ANSWER } stage; /* what comes next */
    struct call call; /* not cleared, from here on: the decoder fills it, and the computation its answer */
    struct call_answer answer;
};

loss_status losses_find(const struct request *q, const struct loss_desc **desc, const struct loss_alias **alias,
                        struct loss_error *err)
{
    const char *name = q->segment[SEGMENT_LOSS];
    char clip[CALL_CLIP];
    *desc = loss_catalog_find(name, alias);
    if (*desc != NULL) {
        return LOSS_OK;
    }
    const char *nearest[3];
    size_t n = loss_catalog_nearest(name, nearest, 3);
    if (n == 0) {
        return loss_fail(err, LOSS_UNKNOWN_LOSS, "", "there is no loss \"%s\"; GET /v1/losses lists them all",
                         call_clip(name, clip));
    }
    return loss_fail(err, LOSS_UNKNOWN_LOSS, "",
                     "there is no loss \"%s\"; the nearest: %s%s%s%s%s. GET /v1/losses lists them all",
                     call_clip(name, clip), nearest[0], n > 1 ? ", " : "", n > 1 ? nearest[1] : "", n > 2 ? ", " : "",
                     n > 2 ? nearest[2] : "");
}

loss_status losses_query_choice(const struct request *q, const char *name, const char *no, const char *yes, bool *out,
                                struct loss_error *err)
{
    const char *value = request_query(q, name);
    char clip[CALL_CLIP];
    if (value == NULL) {
        return LOSS_OK;
    }
    if (strcmp(value, no) != 0 && strcmp(value, yes) != 0) {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, name, "%s must be %s or %s, got \"%s\"", name, no, yes,
                                   call_clip(value, clip));
    }
    *out = strcmp(value, yes) == 0;
    return LOSS_OK;
}

static loss_status query_dtype(const struct request *q, struct json_decode_options *options, struct loss_error *err)
{
    const char *value = request_query(q, "dtype");
    char clip[CALL_CLIP];
    if (value == NULL) {
        return LOSS_OK;
    }
    options->has_dtype = true;
    return call_parse_dtype(value, "", &options->dtype, NULL) == LOSS_OK
               ? LOSS_OK
               : loss_fail_parameter(err, LOSS_UNSUPPORTED_DTYPE, "dtype",
                                     "dtype must be float32 or float64, got \"%s\"", call_clip(value, clip));
}

/* JSON, but for clients that like safetensors better. */
static loss_status choose_answer(const struct request *q, struct computation *c, struct loss_error *err)
{
    const char *accept = request_header(q, "Accept");
    c->answers_safetensors = accept_quality(accept, SAFETENSORS_MEDIA) > accept_quality(accept, "application/json");
    return c->answers_safetensors ? LOSS_OK : accept_json(q, err);
}

static loss_status begin_safetensors(struct request *q, struct computation *c, struct loss_error *err)
{
    const struct safetensors_options options = {
        .desc = q->loss,
        .alias = c->alias,
        .query = q->query,
        .n_query = q->n_query,
        .has_body_size = q->has_announced,
        .body_size = q->announced,
        .max_body = (uint64_t)q->server->conf->max_body,
    };
    c->safetensors = safetensors_decoder_new(q->arena, &options);
    return c->safetensors != NULL ? LOSS_OK : loss_no_memory(err, "this request");
}

loss_status losses_compute_begin(struct request *q, struct loss_error *err)
{
    struct json_decode_options options = {.max_depth = (int)q->server->conf->max_depth, .size = q->announced};
    struct computation *c = loss_arena_alloc(q->arena, sizeof *c, alignof(struct computation));
    if (c == NULL) {
        return loss_no_memory(err, "this request");
    }
    memset(c, 0, offsetof(struct computation, call));
    c->answer.has_entry = false;
    LOSS_TRY(losses_find(q, &q->loss, &c->alias, err));
    LOSS_TRY(choose_answer(q, c, err));
    LOSS_TRY(query_dtype(q, &options, err));
    LOSS_TRY(losses_query_choice(q, "nonfinite", "null", "literal", &c->literal, err));
    LOSS_TRY(losses_query_choice(q, "strict", "false", "true", &options.strict, err));
    q->state = c;
    if (strncasecmp(q->content_type, SAFETENSORS_MEDIA, strlen(SAFETENSORS_MEDIA)) == 0) {
        return begin_safetensors(q, c, err);
    }
    options.desc = q->loss;
    options.alias = c->alias;
    c->decoder = json_decoder_new(q->arena, &options);
    return c->decoder != NULL ? LOSS_OK : loss_no_memory(err, "this request");
}

loss_status losses_compute_feed(struct request *q, const char *bytes, size_t n, struct loss_error *err)
{
    struct computation *c = q->state;
    int64_t begun = machine_clock();
    loss_status status = c->safetensors != NULL ? safetensors_decoder_feed(c->safetensors, bytes, n, err)
                                                : json_decoder_feed(c->decoder, bytes, n, err);
    q->times.fed = machine_clock();
    q->times.decode += q->times.fed - begun;
    return status;
}

/* The time since the last stage ended; asked once for its end and the next one's beginning. */
static int64_t stage_time(struct computation *c)
{
    int64_t begun = c->clock;
    c->clock = machine_clock();
    return c->clock - begun;
}

static loss_status decode(struct request *q, struct computation *c, struct loss_error *err)
{
    loss_status status = c->safetensors != NULL ? safetensors_decoder_end(c->safetensors, &c->call, err)
                                                : json_decoder_end(c->decoder, &c->call, err);
    q->times.decode += stage_time(c);
    c->stage = STAGE_COMPUTE;
    return status;
}

static loss_status compute(struct request *q, struct computation *c, struct loss_error *err)
{
    loss_status status = loss_compute(&c->call.loss, q->arena, &c->answer.loss, err);
    q->times.compute += stage_time(c);
    q->rows = status == LOSS_OK ? c->answer.loss.totals.count : 0;
    c->stage = STAGE_STORE;
    return status;
}

loss_status losses_registry_add(const struct request *q, const struct call *call, const struct call_answer *answer,
                                struct registry_tally *tally, struct registry_add *add, struct loss_error *err)
{
    const struct loss_desc *desc = call->loss.desc;
    *add = (struct registry_add){
        .registry = call->registry,
        .name = call->name != NULL ? call->name : desc->name,
        .collection = call->collection != NULL   ? call->collection
                      : desc->collection != NULL ? desc->collection
                                                 : REGISTRY_LOSSES,
        .loss = answer->loss.loss,
        .step = call->step,
        .dtype = loss_dtype_name(call->loss.dtype),
        .reduction = loss_reduction_name(call->loss.reduction),
        .key = {.key = q->idempotency_key},
    };
    memcpy(add->key.fingerprint, q->fingerprint, sizeof add->key.fingerprint);
    if (call->accumulate) {
        const char *what = call_what(call, q->arena);
        if (what == NULL) {
            return loss_no_memory(err, "this request");
        }
        tally_of(tally, what, &answer->loss);
        add->tally = tally;
    }
    return LOSS_OK;
}

static loss_status store(struct request *q, struct computation *c, struct loss_error *err)
{
    struct registry_add add;
    struct registry_tally tally;
    LOSS_TRY(losses_registry_add(q, &c->call, &c->answer, &tally, &add, err));
    loss_status status = registry_add(q->registry, &add, q->arena, &c->answer.entry, err);
    q->times.store += stage_time(c);
    c->answer.has_entry = status == LOSS_OK;
    c->stage = STAGE_ANSWER;
    return status;
}

static loss_status answer_with(struct request *q, struct computation *c, struct reply *r, struct loss_error *err)
{
    if (c->answers_safetensors) {
        LOSS_TRY(safetensors_encode(q->arena, &c->call, &c->answer, r, err));
        r->status = 200;
        q->next = NEXT_DONE;
        q->times.encode += stage_time(c);
        return LOSS_OK;
    }
    struct json_encoder *e = json_encoder_new(q->arena, &c->call, &c->answer, c->literal);
    if (e == NULL) {
        return loss_no_memory(err, "this request");
    }
    size_t bound = json_encoder_bound(e);
    r->body = json_encoder_whole(e, &r->size);
    if (r->body == NULL && bound <= SMALL_ANSWER) {
        char *body = loss_arena_alloc(q->arena, bound, 1);
        if (body == NULL) {
            return loss_no_memory(err, "this request");
        }
        r->body = body;
        r->size = json_encoder_more(e, body, bound);
    } else if (r->body == NULL) {
        r->more = json_encoder_more;
        r->state = e;
    }
    r->status = 200;
    r->content_type = "application/json";
    q->next = NEXT_DONE;
    q->times.encode += stage_time(c);
    return LOSS_OK;
}

static bool is_large(const struct request *q, const struct computation *c)
{
    return loss_call_elements(&c->call.loss) > (size_t)q->server->conf->inline_elements;
}

loss_status losses_compute_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct computation *c = q->state;
    c->clock = c->stage == STAGE_DECODE && q->next == NEXT_HERE ? q->times.fed : machine_clock();
    if (c->stage == STAGE_DECODE) {
        LOSS_TRY(decode(q, c, err));
        if (c->call.registry != NULL) {
            LOSS_TRY(admit_scope(q, SCOPE_REGISTRY_WRITE, "/registry", err));
        }
        bool large = is_large(q, c);
        if (large || q->next != NEXT_HERE || q->deadline != 0) { /* others are done before they could be given up */
            c->call.loss.cancelled = request_cancelled;
            c->call.loss.cancelled_arg = q;
        }
        if (large) {
            q->next = NEXT_COMPUTE;
            return LOSS_OK;
        }
    }
    if (c->stage == STAGE_COMPUTE) {
        LOSS_TRY(compute(q, c, err));
        if (c->call.registry != NULL) {
            q->next = NEXT_STORE;
            return LOSS_OK;
        }
    } else if (c->stage == STAGE_STORE) {
        LOSS_TRY(store(q, c, err));
        if (!is_large(q, c)) { /* written while the store goes on with others */
            q->next = NEXT_HERE;
            return LOSS_OK;
        }
    }
    return answer_with(q, c, r, err);
}

static loss_status answer_text(struct request *q, struct reply *r, const char *text, size_t size)
{
    r->status = 200;
    r->content_type = "application/json";
    r->body = text;
    r->size = size;
    q->next = NEXT_DONE;
    return LOSS_OK;
}

static loss_status check_kind(const char *kind, struct loss_error *err)
{
    char known[128] = "", clip[CALL_CLIP];
    for (loss_kind k = LOSS_ELEMENTWISE; k <= LOSS_WHOLE; k++) {
        if (strcmp(kind, catalog_kind_name(k)) == 0) {
            return LOSS_OK;
        }
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", n > 0 ? ", " : "", catalog_kind_name(k));
    }
    return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, "kind", "expected one of %s, got \"%s\"", known,
                               call_clip(kind, clip));
}

loss_status losses_list_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct json_out o;
    const char *kind = request_query(q, "kind"), *words = request_query(q, "q");
    if (kind != NULL) {
        LOSS_TRY(check_kind(kind, err));
    }
    if (words != NULL && words[0] == '\0') {
        return loss_fail_parameter(err, LOSS_INVALID_PARAMETER, "q", "expected words to look for, got nothing");
    }
    json_out_init(&o, q->arena);
    catalog_json_list(&o, kind, words);
    return o.failed ? loss_no_memory(err, "this request") : answer_text(q, r, o.data, o.size);
}

loss_status losses_show_step(struct request *q, struct reply *r, struct loss_error *err)
{
    struct json_out o;
    const struct loss_alias *alias;
    LOSS_TRY(losses_find(q, &q->loss, &alias, err));
    json_out_init(&o, q->arena);
    catalog_json_loss(&o, q->loss);
    return o.failed ? loss_no_memory(err, "this request") : answer_text(q, r, o.data, o.size);
}

loss_status losses_openapi_step(struct request *q, struct reply *r, struct loss_error *err)
{
    size_t size;
    const char *text = openapi_document(q->arena, &size);
    return text == NULL ? loss_no_memory(err, "this request") : answer_text(q, r, text, size);
}
