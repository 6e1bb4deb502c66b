/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors_encode.c - an answer as a safetensors file: a header, the single numbers, then arrays from where they
 * lie.
 */
#include <server/formats/safetensors_body.h>

#include <string.h>

#include <files/safetensors.h>
#include <server/formats/json_result.h>
#include <server/formats/oip.h>
#include <text/json_write.h>

#define ALIGNMENT 8

/* The answer's pieces: header, single numbers, losses, gradients. */
#define MAX_PIECES (3 + LOSS_MAX_INPUTS + 1)

struct writer {
    struct json_out o;
    size_t offset; /* of the next tensor's data */
    struct reply_part part[MAX_PIECES];
    size_t n_parts;
};

static void write_tensor(struct writer *w, const char *name, loss_dtype dtype, int rank, const size_t *shape,
                         size_t bytes)
{
    struct json_out *o = &w->o;
    json_out_key(o, name);
    json_out_open(o, '{');
    json_out_key(o, "dtype");
    json_out_string(o, safetensors_dtype_name(dtype));
    json_out_key(o, "shape");
    json_out_open(o, '[');
    for (int k = 0; k < rank; k++) {
        json_out_u64(o, shape[k]);
    }
    json_out_close(o, ']');
    json_out_key(o, "data_offsets");
    json_out_open(o, '[');
    json_out_u64(o, w->offset);
    json_out_u64(o, w->offset + bytes);
    json_out_close(o, ']');
    json_out_close(o, '}');
    w->offset += bytes;
}

static void write_array(struct writer *w, const char *name, const struct loss_tensor *t)
{
    size_t bytes = t->count * loss_dtype_size(t->dtype);
    write_tensor(w, name, t->dtype, t->rank, t->shape, bytes);
    if (bytes > 0) {
        w->part[w->n_parts++] = (struct reply_part){t->data, bytes};
    }
}

/* All totals as float64 and then the loss in the call's dtype; the bytes used. */
static size_t write_numbers(struct writer *w, const struct call *call, const struct loss_answer *a, char *bytes)
{
    size_t size = 0;
    for (size_t i = 0; i < n_oip_totals; i++, size += sizeof(double)) {
        double value = oip_totals[i].of(&a->totals);
        memcpy(bytes + size, &value, sizeof value);
        write_tensor(w, oip_totals[i].name, LOSS_FLOAT64, 0, NULL, sizeof value);
    }
    if (a->has_loss) {
        float narrow = (float)a->loss;
        bool single = call->loss.dtype == LOSS_FLOAT32;
        size_t number = single ? sizeof narrow : sizeof a->loss;
        memcpy(bytes + size, single ? (const void *)&narrow : (const void *)&a->loss, number);
        write_tensor(w, "loss", call->loss.dtype, 0, NULL, number);
        size += number;
    }
    return size;
}

static void write_metadata(struct writer *w, const struct call *call, const struct call_answer *answer,
                           struct loss_arena *arena)
{
    struct json_out *o = &w->o;
    json_out_key(o, "__metadata__");
    json_out_open(o, '{');
    json_out_key(o, "reduction");
    json_out_string(o, loss_reduction_name(call->loss.reduction));
    json_out_key(o, "dtype");
    json_out_string(o, loss_dtype_name(call->loss.dtype));
    if (answer->has_entry) {
        struct json_out entry;
        json_out_init(&entry, arena);
        json_write_entry(&entry, &answer->entry);
        o->failed |= entry.failed;
        json_out_key(o, "entry");
        json_out_string_n(o, entry.failed ? "" : entry.data, entry.failed ? 0 : entry.size);
    }
    json_out_close(o, '}');
}

/* The length, and the header's text with blanks to a multiple of 8. */
static bool finish_header(struct writer *w, struct loss_arena *arena)
{
    size_t size = (w->o.size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    char *head = w->o.failed ? NULL : loss_arena_alloc(arena, SAFETENSORS_PREFIX + size, ALIGNMENT);
    if (head == NULL) {
        return false;
    }
    for (size_t i = 0; i < SAFETENSORS_PREFIX; i++) {
        head[i] = (char)((uint64_t)size >> (8 * i) & 0xFF);
    }
    memcpy(head + SAFETENSORS_PREFIX, w->o.data, w->o.size);
    memset(head + SAFETENSORS_PREFIX + w->o.size, ' ', size - w->o.size);
    w->part[0] = (struct reply_part){head, SAFETENSORS_PREFIX + size};
    return true;
}

loss_status safetensors_encode(struct loss_arena *arena, const struct call *call, const struct call_answer *answer,
                               struct reply *r, struct loss_error *err)
{
    const struct loss_answer *a = &answer->loss;
    struct writer *w = loss_arena_alloc(arena, sizeof *w, ALIGNMENT);
    char *numbers = loss_arena_alloc(arena, (n_oip_totals + 1) * sizeof(double), ALIGNMENT);
    if (w == NULL || numbers == NULL) {
        return loss_no_memory(err, "an answer");
    }
    *w = (struct writer){.n_parts = 2};
    json_out_init(&w->o, arena);
    json_out_open(&w->o, '{');
    write_metadata(w, call, answer, arena);
    w->part[1] = (struct reply_part){numbers, write_numbers(w, call, a, numbers)};
    if (a->losses.data != NULL) {
        write_array(w, "losses", &a->losses);
    }
    for (int i = 0; i <= LOSS_MAX_INPUTS; i++) {
        char name[80] = "gradients.";
        if (a->gradient[i].data != NULL) {
            strncat(name, i == LOSS_GRADIENT_WEIGHTS ? "weights" : call->loss.desc->inputs[i].name, 64);
            write_array(w, name, &a->gradient[i]);
        }
    }
    json_out_close(&w->o, '}');
    if (!finish_header(w, arena)) {
        return loss_no_memory(err, "an answer");
    }
    r->part = w->part;
    r->n_parts = w->n_parts;
    r->size = w->part[0].size + w->offset;
    r->content_type = SAFETENSORS_MEDIA;
    return LOSS_OK;
}
