/* SPDX-License-Identifier: Apache-2.0
 *
 * oip_encode.c - an answer in the Open Inference Protocol.
 *
 * Its JSON is a short text with holes for the numbers of outputs that are not binary. Where all is JSON and long, the
 * holes are filled as the socket drains. Binary outputs follow the JSON, whose length must then be told before, and
 * are sent from where they were computed.
 */
#include <server/formats/oip.h>

#include <assert.h>
#include <stdalign.h>
#include <string.h>

/* JSON is printed at once up to this size. */
#define SMALL_JSON ((size_t)256 << 10)

/* What one step of printing may need, a comma and a number; what a number takes at most. */
enum { STEP_MAX = 40, NUMBER_LONGEST = 26 };

struct hole {
    size_t offset; /* of the text, where it stands */
    const struct loss_tensor *tensor;
};

struct encoder {
    const char *text;
    size_t size;
    struct hole holes[OIP_MAX_OUTPUTS];
    size_t n_holes;
    /* How far it is: `sent` bytes of text, `hole` tensors and `leaf` numbers of the next one. */
    size_t sent, hole, leaf;
    struct loss_tensor tensor[OIP_MAX_OUTPUTS]; /* of each output */
    double scalar[OIP_MAX_OUTPUTS];
};

/* A single number has the shape [1]. */
static struct loss_tensor scalar_tensor(double *place, double value, loss_dtype dtype)
{
    float narrow = (float)value;

    if (dtype == LOSS_FLOAT32) {
        memcpy(place, &narrow, sizeof narrow);
    } else {
        *place = value;
    }
    return (struct loss_tensor){.dtype = dtype, .rank = 1, .shape = {1}, .count = 1, .data = place};
}

static struct loss_tensor output_tensor(const struct oip_output *output, loss_dtype dtype,
                                        const struct loss_answer *answer, double *place)
{
    switch (output->what) {
    case OIP_LOSS:
        return scalar_tensor(place, answer->loss, dtype);
    case OIP_LOSSES:
        return answer->losses;
    case OIP_TOTAL:
        return scalar_tensor(place, oip_totals[output->index].of(&answer->totals), LOSS_FLOAT64);
    case OIP_GRADIENT:
        break;
    }
    return answer->gradient[output->index];
}

static size_t tensor_bytes(const struct loss_tensor *t)
{
    return t->count * loss_dtype_size(t->dtype);
}

static void write_output(struct encoder *e, struct json_out *o, const struct oip_output *output,
                         const struct loss_tensor *t)
{
    json_out_open(o, '{');
    json_out_key(o, "name");
    json_out_string(o, output->name);
    json_out_key(o, "shape");
    json_out_open(o, '[');
    for (int k = 0; k < t->rank; k++) {
        json_out_u64(o, t->shape[k]);
    }
    json_out_close(o, ']');
    json_out_key(o, "datatype");
    json_out_string(o, oip_datatype_name(t->dtype));
    if (output->binary) {
        json_out_key(o, "parameters");
        json_out_open(o, '{');
        json_out_key(o, "binary_data_size");
        json_out_u64(o, tensor_bytes(t));
        json_out_close(o, '}');
    } else {
        json_out_key(o, "data");
        json_out_open(o, '[');
        e->holes[e->n_holes++] = (struct hole){o->size, t};
        json_out_close(o, ']');
    }
    json_out_close(o, '}');
}

static struct encoder *encoder_new(struct loss_arena *arena, const struct oip_call *oip,
                                   const struct loss_answer *answer, const char *model)
{
    struct encoder *e = loss_arena_alloc(arena, sizeof *e, alignof(struct encoder));
    struct json_out o;

    if (e == NULL) {
        return NULL;
    }
    memset(e, 0, sizeof *e);
    json_out_init(&o, arena);
    json_out_open(&o, '{');
    json_out_key(&o, "model_name");
    json_out_string(&o, model);
    json_out_key(&o, "model_version");
    json_out_string(&o, OIP_VERSION);
    if (oip->id != NULL) {
        json_out_key(&o, "id");
        json_out_string_n(&o, oip->id, oip->id_size);
    }
    json_out_key(&o, "outputs");
    json_out_open(&o, '[');
    for (size_t i = 0; i < oip->n_outputs; i++) {
        e->tensor[i] = output_tensor(&oip->output[i], oip->call.loss.dtype, answer, &e->scalar[i]);
        write_output(e, &o, &oip->output[i], &e->tensor[i]);
    }
    json_out_close(&o, ']');
    json_out_close(&o, '}');
    e->text = o.data;
    e->size = o.size;
    return o.failed ? NULL : e;
}

static size_t print_leaf(const struct loss_tensor *t, size_t i, char *buf)
{
    return t->dtype == LOSS_FLOAT32 ? json_number_f32(buf, ((const float *)t->data)[i], false)
                                    : json_number_f64(buf, ((const double *)t->data)[i], false);
}

/* Print numbers while there is room; the bytes written. */
static size_t print_hole(struct encoder *e, char *buf, size_t max)
{
    const struct loss_tensor *t = e->holes[e->hole].tensor;
    size_t n = 0;

    for (; e->leaf < t->count && max - n >= STEP_MAX; e->leaf++) {
        if (e->leaf > 0) {
            buf[n++] = ',';
        }
        n += print_leaf(t, e->leaf, buf + n);
    }
    if (e->leaf == t->count) {
        e->leaf = 0;
        e->hole++;
    }
    return n;
}

static size_t encoder_more(void *state, char *buf, size_t max)
{
    struct encoder *e = state;
    size_t n = 0;

    assert(max >= STEP_MAX);
    while (max - n >= STEP_MAX) {
        size_t end = e->hole < e->n_holes ? e->holes[e->hole].offset : e->size;
        if (e->sent < end) {
            size_t piece = end - e->sent < max - n ? end - e->sent : max - n;
            memcpy(buf + n, e->text + e->sent, piece);
            e->sent += piece;
            n += piece;
        } else if (e->hole < e->n_holes) {
            n += print_hole(e, buf + n, max - n);
        } else {
            break;
        }
    }
    return n;
}

/* No more bytes than this. */
static size_t json_bound(const struct encoder *e)
{
    size_t bound = e->size + STEP_MAX;

    for (size_t i = 0; i < e->n_holes; i++) {
        bound += e->holes[i].tensor->count * NUMBER_LONGEST;
    }
    return bound;
}

static loss_status print_all(struct loss_arena *arena, struct encoder *e, struct reply *r, struct loss_error *err)
{
    size_t bound = json_bound(e);
    char *text = loss_arena_alloc(arena, bound, 1);

    if (text == NULL) {
        return loss_no_memory(err, "an answer");
    }
    r->body = text;
    r->size = encoder_more(e, text, bound);
    return LOSS_OK;
}

/* The JSON, printed into r->body, and the tensors behind it. */
static loss_status append_tensors(struct loss_arena *arena, const struct oip_call *oip, const struct encoder *e,
                                  struct reply *r, struct loss_error *err)
{
    struct reply_part *part = loss_arena_alloc(arena, (1 + oip->n_outputs) * sizeof *part, alignof(struct reply_part));
    const char *json_size = loss_arena_format(arena, "%zu", r->size);
    size_t n = 0;

    static_assert(1 + OIP_MAX_OUTPUTS <= REPLY_MAX_PARTS, "the JSON and every output are parts");
    if (part == NULL || json_size == NULL) {
        return loss_no_memory(err, "an answer");
    }
    part[n++] = (struct reply_part){r->body, r->size};
    for (size_t i = 0; i < oip->n_outputs; i++) {
        size_t size = tensor_bytes(&e->tensor[i]);
        if (oip->output[i].binary && size > 0) {
            part[n++] = (struct reply_part){e->tensor[i].data, size};
            r->size += size;
        }
    }
    r->part = part;
    r->n_parts = n;
    r->content_type = "application/octet-stream";
    reply_header(r, OIP_LENGTH_HEADER, json_size);
    return LOSS_OK;
}

loss_status oip_encode(struct loss_arena *arena, const struct oip_call *oip, const struct loss_answer *answer,
                       const char *model, struct reply *r, struct loss_error *err)
{
    struct encoder *e = encoder_new(arena, oip, answer, model);
    bool binary = false;

    if (e == NULL) {
        return loss_no_memory(err, "an answer");
    }
    for (size_t i = 0; i < oip->n_outputs; i++) {
        binary |= oip->output[i].binary;
    }
    r->status = 200;
    r->content_type = "application/json";
    if (!binary && json_bound(e) > SMALL_JSON) {
        r->more = encoder_more;
        r->state = e;
        return LOSS_OK;
    }
    LOSS_TRY(print_all(arena, e, r, err));
    return binary ? append_tensors(arena, oip, e, r, err) : LOSS_OK;
}
