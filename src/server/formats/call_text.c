/* SPDX-License-Identifier: Apache-2.0
 *
 * call_text.c - bare text to the fields of a call.
 */
#include <server/formats/call_text.h>

#include <math.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include <text/number.h>

#define MAX_STEP 9007199254740992.0 /* 2^53 */

/* One field under way. */
struct field {
    struct call *call;
    const char *name, *text;
    char pointer[128];
    struct loss_arena *arena;
    struct loss_error *err;
};

static loss_status no_memory(const struct field *f)
{
    return loss_no_memory(f->err, "this request");
}

static loss_status wrong(const struct field *f, const char *wanted)
{
    char clip[CALL_CLIP];
    return loss_fail(f->err, LOSS_INVALID_PARAMETER, f->pointer, "%s must be %s, got \"%s\"", f->name, wanted,
                     call_clip(f->text, clip));
}

/* A number as JSON writes it. `narrow`: the nearest float is meant. */
static loss_status read_number(const struct field *f, const char *text, bool narrow, double *out)
{
    char copy[64];
    size_t n = strlen(text);
    unsigned flags = 0;
    if (n + 2 > sizeof copy) {
        return wrong(f, "a number");
    }
    memcpy(copy, text, n);
    memcpy(copy + n, " ", 2);
    const char *p = copy;
    float single = 0;
    number_status status =
        narrow ? number_read_f32(&p, copy + n + 1, &single, &flags) : number_read_f64(&p, copy + n + 1, out, &flags);
    if (status != NUMBER_OK || p != copy + n) {
        return wrong(f, "a number");
    }
    if (narrow) {
        *out = (double)single;
    }
    return flags & NUMBER_OVERFLOW ? loss_fail(f->err, LOSS_NUMBER_OUT_OF_RANGE, f->pointer, "%s does not fit %s", text,
                                               narrow ? "float32" : "float64")
                                   : LOSS_OK;
}

static loss_status read_bool(const struct field *f, bool *out)
{
    if (strcmp(f->text, "true") != 0 && strcmp(f->text, "false") != 0) {
        return wrong(f, "true or false");
    }
    *out = f->text[0] == 't';
    return LOSS_OK;
}

/* The next of the words between commas, in buf; false: there is none, or it is too long. */
static bool next_word(const char **text, char *buf, size_t size)
{
    size_t n = strcspn(*text, ",");
    if (n == 0 || n >= size) {
        return false;
    }
    memcpy(buf, *text, n);
    buf[n] = '\0';
    *text += n;
    if (**text == ',') {
        (*text)++;
    }
    return true;
}

static loss_status set_gradients(const struct field *f)
{
    const char *rest = f->text;
    char word[64];
    if (strcmp(f->text, "true") == 0) {
        call_want_gradients(f->call);
        return LOSS_OK;
    }
    if (strcmp(f->text, "false") == 0) {
        return LOSS_OK;
    }
    while (next_word(&rest, word, sizeof word)) {
        LOSS_TRY(call_want_gradient(f->call, word, f->pointer, f->err));
    }
    return rest[0] == '\0' && f->text[0] != '\0' ? LOSS_OK : wrong(f, "true, false or input names between commas");
}

static loss_status set_axes(const struct field *f, int i)
{
    int axes[LOSS_MAX_RANK], n = 0;
    const char *rest = f->text;
    char word[64];
    while (n < LOSS_MAX_RANK && next_word(&rest, word, sizeof word)) {
        double axis;
        LOSS_TRY(read_number(f, word, false, &axis));
        if (axis != floor(axis) || fabs(axis) > LOSS_MAX_RANK) {
            return wrong(f, "axes, which are whole numbers between commas");
        }
        axes[n++] = (int)axis;
    }
    if (rest[0] != '\0' || n == 0) {
        return wrong(f, "axes, which are whole numbers between commas");
    }
    return loss_call_set_axes(&f->call->loss, i, axes, n, f->pointer, f->err);
}

static loss_status set_param(const struct field *f, int i)
{
    struct loss_call *call = &f->call->loss;
    double number;
    bool truth;
    switch (call->desc->params[i].type) {
    case LOSS_BOOLEAN:
        LOSS_TRY(read_bool(f, &truth));
        return loss_call_set_boolean(call, i, truth, f->pointer, f->err);
    case LOSS_WORD:
        return loss_call_set_word(call, i, f->text, f->pointer, f->err);
    case LOSS_AXES:
        return set_axes(f, i);
    case LOSS_VECTOR:
        return wrong(f, "a tensor");
    default:
        LOSS_TRY(read_number(f, f->text, false, &number));
        return loss_call_set_number(call, i, number, f->pointer, f->err);
    }
}

static loss_status set_weights(const struct field *f)
{
    double *number = loss_arena_alloc(f->arena, sizeof *number, alignof(double));
    if (number == NULL) {
        return no_memory(f);
    }
    LOSS_TRY(read_number(f, f->text, f->call->loss.dtype == LOSS_FLOAT32, number));
    f->call->loss.weights = (struct loss_tensor){
        .dtype = LOSS_FLOAT64, .layout = LOSS_OPAQUE, .count = 1, .data = number, .pointer = "/weights"};
    return LOSS_OK;
}

static loss_status set_step(const struct field *f)
{
    double step = 0;
    LOSS_TRY(read_number(f, f->text, false, &step));
    if (!(step >= 0 && step <= MAX_STEP) || step != floor(step)) {
        return wrong(f, "a whole number from 0 to 2^53");
    }
    f->call->step = (int64_t)step;
    return LOSS_OK;
}

loss_status call_set_text(struct call *call, const char *name, const char *text, struct loss_arena *arena,
                          struct loss_error *err)
{
    struct field f = {.call = call, .name = name, .text = text, .arena = arena, .err = err};
    snprintf(f.pointer, sizeof f.pointer, "/%.100s", name);
    int param = loss_desc_param(call->loss.desc, name);
    if (param >= 0) {
        return set_param(&f, param);
    }
    if (strcmp(name, "weights") == 0) {
        return set_weights(&f);
    }
    if (strcmp(name, "reduction") == 0) {
        return call_set_reduction(call, text, f.pointer, err);
    }
    if (strcmp(name, "gradients") == 0) {
        return set_gradients(&f);
    }
    if (strcmp(name, "losses") == 0) {
        return read_bool(&f, &call->loss.want_losses);
    }
    if (strcmp(name, "weights_mask") == 0) {
        return read_bool(&f, &call->loss.weights_mask);
    }
    if (strcmp(name, "accumulate") == 0) {
        return read_bool(&f, &call->accumulate);
    }
    if (strcmp(name, "step") == 0) {
        return set_step(&f);
    }
    const char **word = strcmp(name, "registry") == 0     ? &call->registry
                        : strcmp(name, "name") == 0       ? &call->name
                        : strcmp(name, "collection") == 0 ? &call->collection
                                                          : NULL;
    if (word == NULL) {
        return call_unknown_field(call->loss.desc, name, f.pointer, err);
    }
    *word = text;
    return LOSS_OK;
}
