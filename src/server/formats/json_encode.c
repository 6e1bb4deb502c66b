/* SPDX-License-Identifier: Apache-2.0
 *
 * json_encode.c - the JSON body format, outwards: an answer to text.
 *
 * An answer is a short text with a few holes, each filled by a tensor. The text is made at once; the tensors, which
 * may be a thousand times as long, are printed into whatever room the socket has, and can be left off after any
 * number.
 */
#include <server/formats/json.h>

#include <assert.h>
#include <stdalign.h>
#include <string.h>

#include <server/formats/json_result.h>
#include <text/json_write.h>
#include <text/number.h>

/* The losses, and a gradient for each input and the weights. */
#define MAX_HOLES (LOSS_MAX_INPUTS + 2)

/* What one step of printing may need: brackets closed and opened, a number, and a comma before and behind it. */
#define STEP_MAX (2 * LOSS_MAX_RANK + 2 + NUMBER_PRINT_MAX)

/* The longest numbers: -0.00012345678f and -1234567800000000.0f, -1.2345678901234567e-308. */
enum { F32_LONGEST = 20, F64_LONGEST = 25 };

/* A tensor as it is printed. An empty one, whose shape begins [2, 3, 0], is like one of shape [2, 3] with "[]" in
 * place of numbers. */
struct hole {
    size_t offset; /* of the text, where it stands */
    const struct loss_tensor *tensor;
    int rank;
    size_t leaves;
    size_t row; /* leaves of one innermost array */
};

struct json_encoder {
    const char *text;
    size_t size;
    struct hole holes[MAX_HOLES];
    size_t n_holes;
    bool literal;
    /* How far it is: `sent` bytes of text, `hole` tensors and `leaf` numbers of the next one. */
    size_t sent, hole, leaf;
};

static void add_hole(struct json_encoder *e, struct json_out *o, const struct loss_tensor *t)
{
    json_out_raw(o, "", 0); /* the comma, where there must be one */
    struct hole hole = {.offset = o->size, .tensor = t, .leaves = 1};
    while (hole.rank < t->rank && t->shape[hole.rank] != 0) {
        hole.leaves *= t->shape[hole.rank++];
    }
    hole.row = hole.rank == 0 ? 1 : t->shape[hole.rank - 1];
    assert(e->n_holes < MAX_HOLES);
    e->holes[e->n_holes++] = hole;
}

static void write_shape(struct json_out *o, const struct loss_tensor *t)
{
    JSON_OUT_KEY(o, "shape");
    json_out_open(o, '[');
    for (int k = 0; k < t->rank; k++) {
        json_out_u64(o, t->shape[k]);
    }
    json_out_close(o, ']');
}

static void write_gradients(struct json_encoder *e, struct json_out *o, const struct call *call,
                            const struct loss_answer *answer)
{
    if (call->loss.gradients == 0) {
        return;
    }
    JSON_OUT_KEY(o, "gradients");
    json_out_open(o, '{');
    for (int i = 0; i <= LOSS_MAX_INPUTS; i++) {
        if (answer->gradient[i].data != NULL) {
            json_out_key(o, i == LOSS_GRADIENT_WEIGHTS ? "weights" : call->loss.desc->inputs[i].name);
            add_hole(e, o, &answer->gradient[i]);
        }
    }
    json_out_close(o, '}');
}

static void write_answer(struct json_encoder *e, struct json_out *o, const struct call *call,
                         const struct call_answer *answer)
{
    const struct loss_answer *a = &answer->loss;
    json_out_open(o, '{');
    if (a->has_loss) {
        JSON_OUT_KEY(o, "loss");
        if (call->loss.dtype == LOSS_FLOAT32) {
            json_out_f32(o, (float)a->loss);
        } else {
            json_out_f64(o, a->loss);
        }
    }
    JSON_OUT_KEY(o, "reduction");
    json_out_string(o, loss_reduction_name(call->loss.reduction));
    JSON_OUT_KEY(o, "dtype");
    json_out_string(o, loss_dtype_name(call->loss.dtype));
    if (a->losses.data != NULL) {
        JSON_OUT_KEY(o, "losses");
        add_hole(e, o, &a->losses);
        write_shape(o, &a->losses);
    }
    json_write_totals(o, &a->totals);
    if (a->nonfinite > 0) {
        JSON_OUT_KEY(o, "nonfinite");
        json_out_u64(o, a->nonfinite);
    }
    write_gradients(e, o, call, a);
    if (answer->has_entry) {
        JSON_OUT_KEY(o, "entry");
        json_write_entry(o, &answer->entry);
    }
    json_out_close(o, '}');
}

struct json_encoder *json_encoder_new(struct loss_arena *arena, const struct call *call,
                                      const struct call_answer *answer, bool literal)
{
    struct json_encoder *e = loss_arena_alloc(arena, sizeof *e, alignof(struct json_encoder));
    if (e == NULL) {
        return NULL;
    }
    *e = (struct json_encoder){.literal = literal};
    struct json_out o;
    json_out_init(&o, arena);
    o.literal = literal;
    write_answer(e, &o, call, answer);
    e->text = o.data;
    e->size = o.size;
    return o.failed ? NULL : e;
}

/* How many arrays begin (and, before the next leaf, end) at leaf i. */
static int brackets_at(const struct hole *hole, size_t i)
{
    size_t stride = 1;
    int n = 0;
    for (int k = hole->rank - 1; k >= 0; k--) {
        stride *= hole->tensor->shape[k];
        if (i % stride != 0) {
            break;
        }
        n++;
    }
    return n;
}

static size_t print_leaf(const struct json_encoder *e, const struct loss_tensor *t, size_t i, char *buf)
{
    if (t->count == 0) {
        memcpy(buf, "[]", 2);
        return 2;
    }
    return t->dtype == LOSS_FLOAT32 ? json_number_f32(buf, ((const float *)t->data)[i], e->literal)
                                    : json_number_f64(buf, ((const double *)t->data)[i], e->literal);
}

/* Finite numbers with a comma behind each; how many. */
static size_t print_list(const struct loss_tensor *t, size_t i, size_t n, char **p, const char *stop)
{
    if (t->count == 0) {
        return 0;
    }
    return t->dtype == LOSS_FLOAT32 ? number_print_list_f32(p, stop, (const float *)t->data + i, n)
                                    : number_print_list_f64(p, stop, (const double *)t->data + i, n);
}

/* Print leaves of one innermost array up to its end, and at least one, while p does not pass `stop`. Returns where the
 * text ends. */
static char *print_run(struct json_encoder *e, const struct hole *hole, char *p, const char *stop)
{
    const size_t end = e->leaf - e->leaf % hole->row + hole->row;
    size_t i = e->leaf;
    do {
        i += print_list(hole->tensor, i, end - i, &p, stop);
        if (i < end && (p <= stop || i == e->leaf)) {
            p += print_leaf(e, hole->tensor, i++, p);
            *p++ = ',';
        }
    } while (i < end && p <= stop);
    e->leaf = i;
    return p - 1; /* the last comma */
}

/* Print leaves while there is room; the bytes written. */
static size_t print_hole(struct json_encoder *e, const struct hole *hole, char *buf, size_t max)
{
    const char *stop = buf + max - STEP_MAX;
    char *p = buf;
    while (e->leaf < hole->leaves && p <= stop) {
        if (e->leaf % hole->row != 0) {
            *p++ = ',';
        } else {
            int n = brackets_at(hole, e->leaf);
            if (e->leaf > 0) {
                memset(p, ']', (size_t)n);
                p += n;
                *p++ = ',';
            }
            memset(p, '[', (size_t)n);
            p += n;
        }
        p = print_run(e, hole, p, stop);
    }
    if (e->leaf == hole->leaves && max - (size_t)(p - buf) >= LOSS_MAX_RANK) {
        memset(p, ']', (size_t)hole->rank);
        p += hole->rank;
        e->leaf = 0;
        e->hole++;
    }
    return (size_t)(p - buf);
}

size_t json_encoder_more(void *encoder, char *buf, size_t max)
{
    struct json_encoder *e = encoder;
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
            n += print_hole(e, &e->holes[e->hole], buf + n, max - n);
        } else {
            break;
        }
    }
    return n;
}

const char *json_encoder_whole(const struct json_encoder *e, size_t *size)
{
    *size = e->size;
    return e->n_holes == 0 ? e->text : NULL;
}

size_t json_encoder_bound(const struct json_encoder *e)
{
    size_t bound = e->size + STEP_MAX; /* json_encoder_more stops where a whole step might not fit */
    for (size_t h = 0; h < e->n_holes; h++) {
        const struct hole *hole = &e->holes[h];
        size_t longest = hole->tensor->count == 0 ? 2 : hole->tensor->dtype == LOSS_FLOAT32 ? F32_LONGEST : F64_LONGEST;
        size_t arrays = 1;
        bound += hole->leaves * (longest + 1);
        for (int k = 0; k < hole->rank; k++) {
            bound += arrays * 3;
            arrays *= hole->tensor->shape[k];
        }
    }
    return bound;
}
