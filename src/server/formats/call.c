/* SPDX-License-Identifier: Apache-2.0
 *
 * call.c - what all body formats do alike with the names and words of a call.
 */
#include <server/formats/call.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <nettle/sha2.h>

#include <text/hex.h>
#include <text/json_write.h>

#define FIELD_NAME(name) #name,
const char *const call_fields[] = {CALL_FIELD_MAP(FIELD_NAME)};
#undef FIELD_NAME
const size_t n_call_fields = sizeof call_fields / sizeof *call_fields;

/* Names being collected: counts on where there is no more room. */
struct names {
    const char **list;
    size_t n, max;
};

static void names_add(struct names *names, const char *name)
{
    if (names->n < names->max) {
        names->list[names->n] = name;
    }
    names->n++;
}

static void names_add_all(struct names *names, const char *name, const char *const *aliases)
{
    names_add(names, name);
    for (; aliases != NULL && *aliases != NULL; aliases++) {
        names_add(names, *aliases);
    }
}

size_t call_field_names(const struct loss_desc *desc, const char **names, size_t max)
{
    struct names all = {.list = names, .max = max};
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        names_add_all(&all, input->name, input->aliases);
    }
    for (const struct loss_param *param = desc->params; param->name != NULL; param++) {
        names_add_all(&all, param->name, param->aliases);
    }
    for (size_t i = 0; i < n_call_fields; i++) {
        names_add(&all, call_fields[i]);
    }
    return all.n;
}

void call_init(struct call *call, const struct loss_desc *desc, const struct loss_alias *alias)
{
    call->registry = call->name = call->collection = NULL;
    call->step = CALL_NO_STEP;
    call->accumulate = false;
    loss_call_init(&call->loss, desc, alias);
}

const char *call_clip(const char *word, char buf[CALL_CLIP])
{
    static const char dots[] = "…";
    size_t n = strnlen(word, CALL_CLIP);
    if (n < CALL_CLIP) {
        memcpy(buf, word, n + 1);
        return buf;
    }
    n = CALL_CLIP - sizeof dots;
    while (n > 0 && ((unsigned char)word[n] & 0xC0) == 0x80) {
        n--;
    }
    memcpy(buf, word, n);
    memcpy(buf + n, dots, sizeof dots);
    return buf;
}

const char *call_number(double number, char buf[CALL_NUMBER])
{
    size_t n = json_number_f64(buf, number, true);
    if (n > 2 && memcmp(buf + n - 2, ".0", 2) == 0) {
        n -= 2;
    }
    buf[n] = '\0';
    return buf;
}

/* Append to a text of fixed size; what does not fit is cut. */
static void append(char *text, size_t size, const char *separator, const char *word)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used == 0 ? "" : separator, word);
}

/* The fields under their first names: aliases would make the list long and say nothing new. */
static void list_fields(const struct loss_desc *desc, char *text, size_t size)
{
    text[0] = '\0';
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        append(text, size, ", ", input->name);
    }
    for (const struct loss_param *param = desc->params; param->name != NULL; param++) {
        append(text, size, ", ", param->name);
    }
    for (size_t i = 0; i < n_call_fields; i++) {
        append(text, size, ", ", call_fields[i]);
    }
}

loss_status call_unknown_field(const struct loss_desc *desc, const char *name, const char *pointer,
                               struct loss_error *err)
{
    const char *names[CALL_MAX_NAMES];
    size_t n = call_field_names(desc, names, CALL_MAX_NAMES);
    assert(n <= CALL_MAX_NAMES);
    const char *nearest = loss_nearest_word(name, names, n);
    char clip[CALL_CLIP];
    char fields[512];
    list_fields(desc, fields, sizeof fields);
    if (nearest != NULL) {
        return loss_fail(err, LOSS_UNKNOWN_FIELD, pointer, "%s has no field \"%s\"; did you mean \"%s\"? It takes %s",
                         desc->name, call_clip(name, clip), nearest, fields);
    }
    return loss_fail(err, LOSS_UNKNOWN_FIELD, pointer, "%s has no field \"%s\"; it takes %s", desc->name,
                     call_clip(name, clip), fields);
}

loss_status call_set_reduction(struct call *call, const char *word, const char *pointer, struct loss_error *err)
{
    if (loss_reduction_parse(word, &call->loss.reduction)) {
        return LOSS_OK;
    }
    char accepted[256] = "";
    for (int i = 0; i < LOSS_REDUCTION_COUNT; i++) {
        append(accepted, sizeof accepted, ", ", loss_reduction_name((loss_reduction)i));
    }
    char clip[CALL_CLIP];
    return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "reduction must be one of %s; got \"%s\"", accepted,
                     call_clip(word, clip));
}

loss_status call_parse_dtype(const char *word, const char *pointer, loss_dtype *out, struct loss_error *err)
{
    loss_dtype dtype;
    if (loss_dtype_parse(word, &dtype) && (dtype == LOSS_FLOAT32 || dtype == LOSS_FLOAT64)) {
        *out = dtype;
        return LOSS_OK;
    }
    char clip[CALL_CLIP];
    return loss_fail(err, LOSS_UNSUPPORTED_DTYPE, pointer, "dtype must be float32 or float64, got \"%s\"",
                     call_clip(word, clip));
}

void call_want_gradients(struct call *call)
{
    const struct loss_input *inputs = call->loss.desc->inputs;
    for (int i = 0; inputs[i].name != NULL; i++) {
        if (inputs[i].main && (!inputs[i].optional || call->loss.input[i].data != NULL)) {
            call->loss.gradients |= 1u << i;
        }
    }
}

/* The names that a gradient can be asked for. */
static void list_differentiable(const struct loss_desc *desc, char *text, size_t size)
{
    text[0] = '\0';
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        if (input->differentiable) {
            append(text, size, ", ", input->name);
        }
    }
    append(text, size, ", ", "weights");
}

loss_status call_want_gradient(struct call *call, const char *name, const char *pointer, struct loss_error *err)
{
    if (strcmp(name, "weights") == 0) {
        call->loss.gradients |= 1u << LOSS_GRADIENT_WEIGHTS;
        return LOSS_OK;
    }
    const struct loss_desc *desc = call->loss.desc;
    char clip[CALL_CLIP];
    char choice[256];
    list_differentiable(desc, choice, sizeof choice);
    int i = loss_desc_input(desc, name);
    if (i < 0) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer,
                         "%s has no input \"%s\"; there are gradients with respect to %s", desc->name,
                         call_clip(name, clip), choice);
    }
    if (!desc->inputs[i].differentiable) {
        return loss_fail(err, LOSS_NOT_DIFFERENTIABLE, pointer,
                         "%s has no gradient with respect to %s; there are gradients with respect to %s", desc->name,
                         desc->inputs[i].name, choice);
    }
    if (call->loss.input[i].data == NULL && desc->inputs[i].optional) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "the input %s was not given, so it has no gradient",
                         desc->inputs[i].name);
    }
    call->loss.gradients |= 1u << i;
    return LOSS_OK;
}

static loss_status missing(const struct call *call, const char *name, const char *doc, struct loss_error *err)
{
    char pointer[128];
    snprintf(pointer, sizeof pointer, "/%s", name);
    return loss_fail(err, LOSS_MISSING_FIELD, pointer, "%s needs the field \"%s\"%s%s", call->loss.desc->name, name,
                     doc == NULL ? "" : ": ", doc == NULL ? "" : doc);
}

static loss_status check_fields(const struct call *call, struct loss_error *err)
{
    const struct loss_desc *desc = call->loss.desc;
    for (int i = 0; desc->inputs[i].name != NULL; i++) {
        const struct loss_input *input = &desc->inputs[i];
        bool given = call->loss.input[i].data != NULL;
        if (!given && !input->optional) {
            return missing(call, input->name, input->doc, err);
        }
        if (given && input->together_with != NULL) {
            int other = loss_desc_input(desc, input->together_with);
            if (call->loss.input[other].data == NULL) {
                return missing(call, input->together_with, desc->inputs[other].doc, err);
            }
        }
    }
    for (int i = 0; desc->params[i].name != NULL; i++) {
        if (desc->params[i].required && !call->loss.param[i].given) {
            return missing(call, desc->params[i].name, desc->params[i].doc, err);
        }
    }
    return LOSS_OK;
}

static loss_status check_registry(struct call *call, struct loss_error *err)
{
    if (call->registry == NULL) {
        const char *without = call->name != NULL         ? "name"
                              : call->collection != NULL ? "collection"
                              : call->step >= 0          ? "step"
                              : call->accumulate         ? "accumulate"
                                                         : NULL;
        char pointer[16];
        if (without == NULL) {
            return LOSS_OK;
        }
        snprintf(pointer, sizeof pointer, "/%s", without);
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer,
                         "%s is about an entry of a registry, but no registry was named", without);
    }
    LOSS_TRY(registry_check_name(call->registry, strlen(call->registry), "/registry", err));
    if (call->name != NULL) {
        LOSS_TRY(registry_check_name(call->name, strlen(call->name), "/name", err));
    }
    if (call->collection != NULL) {
        LOSS_TRY(registry_check_name(call->collection, strlen(call->collection), "/collection", err));
    }
    if (call->loss.reduction == LOSS_REDUCE_NONE) {
        return loss_fail(err, LOSS_NOT_SCALAR, "/reduction",
                         "a registry keeps scalars: with a registry, reduction must not be none");
    }
    if (call->accumulate && call->loss.desc->samples_meet) {
        return loss_fail(err, LOSS_NOT_ACCUMULABLE, "/accumulate",
                         "%s of a whole does not follow from that of its batches", call->loss.desc->name);
    }
    return LOSS_OK;
}

/* A vector may be long: its digest stands for it. */
static void write_vector(struct json_out *o, const struct loss_tensor *t)
{
    struct sha256_ctx digest;
    unsigned char bytes[SHA256_DIGEST_SIZE];
    char text[2 * SHA256_DIGEST_SIZE + 1];
    sha256_init(&digest);
    sha256_update(&digest, t->count * loss_dtype_size(t->dtype), t->data);
    sha256_digest(&digest, sizeof bytes, bytes);
    hex_write(text, bytes, sizeof bytes);
    json_out_open(o, '[');
    json_out_string(o, loss_dtype_name(t->dtype));
    json_out_u64(o, t->count);
    json_out_string(o, text);
    json_out_close(o, ']');
}

static void write_param(struct json_out *o, const struct loss_param *param, const struct loss_param_value *value)
{
    json_out_key(o, param->name);
    if (value->vector.data != NULL) {
        write_vector(o, &value->vector);
    } else if (value->n_axes > 0) {
        json_out_open(o, '[');
        for (int i = 0; i < value->n_axes; i++) {
            json_out_f64(o, value->axes[i]);
        }
        json_out_close(o, ']');
    } else if (param->type == LOSS_WORD) {
        json_out_string(o, param->words[(int)value->number]);
    } else {
        json_out_f64(o, value->number);
    }
}

const char *call_what(const struct call *call, struct loss_arena *arena)
{
    const struct loss_desc *desc = call->loss.desc;
    struct json_out o;
    json_out_init(&o, arena);
    json_out_open(&o, '{');
    json_out_key(&o, desc->name);
    json_out_open(&o, '{');
    for (int i = 0; desc->params[i].name != NULL; i++) {
        if (call->loss.param[i].given) {
            write_param(&o, &desc->params[i], &call->loss.param[i]);
        }
    }
    if (call->loss.weights_mask) {
        json_out_key(&o, "weights_mask");
        json_out_u64(&o, 1);
    }
    json_out_close(&o, '}');
    json_out_close(&o, '}');
    return o.failed ? NULL : loss_arena_copy(arena, o.data, o.size);
}

loss_status call_check(struct call *call, struct loss_error *err)
{
    LOSS_TRY(check_fields(call, err));
    LOSS_TRY(check_registry(call, err));
    if (call->step < 0) {
        call->step = 0;
    }
    return LOSS_OK;
}
