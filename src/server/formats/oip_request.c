/* SPDX-License-Identifier: Apache-2.0
 *
 * oip_request.c - the JSON of a request of the Open Inference Protocol to a call.
 */
#include <server/formats/oip_request.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <server/formats/tensor_round.h>

#define TENSOR_ALIGN 64

/* An empty tensor has data too. */
static double nothing;

void oip_request_init(struct oip_request *r, struct loss_arena *arena, struct json_scan *scan, struct oip_call *out)
{
    *r = (struct oip_request){.arena = arena, .scan = scan, .out = out};
    r->envelope = (struct envelope){.arena = arena, .scan = scan, .desc = out->call.loss.desc, .call = &out->call};
}

/* One member of an object: where it goes, if it is known. */
struct member {
    const char *name;
    const json_t **value; /* NULL: taken, and without meaning here */
};

/* Take an object apart. Members that are not in the list, which ends with a NULL name, are refused; so is null. */
static loss_status split(const struct oip_request *r, const json_t *json, const char *pointer, const char *what,
                         const struct member *members, struct loss_error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(json)) {
        return envelope_wrong_type(r->scan, json, "an object", pointer, err);
    }
    json_object_foreach((json_t *)json, key, value)
    {
        const struct member *m = members;
        const char *at = envelope_pointer(r->arena, pointer, key);
        char clip[CALL_CLIP];
        while (m->name != NULL && strcmp(m->name, key) != 0) {
            m++;
        }
        if (at == NULL) {
            return loss_no_memory(err, "this request");
        }
        if (m->name == NULL) {
            return loss_fail(err, LOSS_UNKNOWN_FIELD, at, "%s has no member \"%s\" here", what, call_clip(key, clip));
        }
        if (json_is_null(value)) {
            return loss_fail(err, LOSS_INVALID_PARAMETER, at, "null is not a value; leave the member out instead");
        }
        if (m->value != NULL) {
            *m->value = value;
        }
    }
    return LOSS_OK;
}

/* [] has become a value, since it could be a tensor. */
static bool is_empty_list(const struct oip_request *r, const json_t *json)
{
    const struct json_value *value = envelope_value(r->scan, json);
    return value != NULL && value->kind == JSON_TENSOR && value->fault == LOSS_OK && value->tensor.rank == 1 &&
           value->tensor.count == 0;
}

static loss_status read_name(const struct oip_request *r, const json_t *json, const char *pointer, const char **out,
                             struct loss_error *err)
{
    char at[sizeof err->pointer];

    snprintf(at, sizeof at, "%s/name", pointer);
    return json == NULL ? loss_fail(err, LOSS_MISSING_FIELD, at, "a tensor needs its \"name\"")
                        : envelope_word(r->scan, json, "a string", at, out, err);
}

/* Parameters */

/* The list of axes "0,1" and the single axis "1", since a parameter of the protocol is never a list. */
static loss_status read_axes_text(struct oip_request *r, int i, const char *text, const char *pointer,
                                  struct loss_error *err)
{
    int axes[LOSS_MAX_RANK];
    int n = 0;
    const char *p = text;

    while (*p != '\0' && n < LOSS_MAX_RANK) {
        char *end;
        long axis = strtol(p, &end, 10);
        if (end == p || axis < -LOSS_MAX_RANK || axis >= LOSS_MAX_RANK || (*end != ',' && *end != '\0') ||
            (*end == ',' && end[1] == '\0')) {
            break;
        }
        axes[n++] = (int)axis;
        p = *end == ',' ? end + 1 : end;
    }
    if (n == 0 || *p != '\0') {
        char clip[CALL_CLIP];
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer,
                         "must be an axis from -8 to 7, or a list of at most 8 like \"0,1\"; got \"%s\"",
                         call_clip(text, clip));
    }
    return loss_call_set_axes(&r->out->call.loss, i, axes, n, pointer, err);
}

static loss_status read_loss_param(struct oip_request *r, int i, const json_t *json, const char *pointer,
                                   struct loss_error *err)
{
    const struct loss_param *param = &r->envelope.desc->params[i];

    if (param->type == LOSS_AXES && json_is_string(json)) {
        if ((r->envelope.params_seen & (1u << i)) != 0) {
            return loss_fail(err, LOSS_DUPLICATE_FIELD, pointer, "%s was given twice, under two names", param->name);
        }
        r->envelope.params_seen |= 1u << i;
        return read_axes_text(r, i, json_string_value(json), pointer, err);
    }
    if (param->type == LOSS_VECTOR) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer,
                         "%s is a tensor: send it as one of the inputs, not as a parameter", param->name);
    }
    return fields_param(&r->envelope, i, json, pointer, err);
}

/* One reader for each parameter that every model takes. */

static loss_status read_reduction(struct oip_request *r, const json_t *json, const char *pointer,
                                  struct loss_error *err)
{
    const char *text = NULL;
    LOSS_TRY(envelope_word(r->scan, json, "a string", pointer, &text, err));
    return call_set_reduction(&r->out->call, text, pointer, err);
}

static loss_status read_dtype(struct oip_request *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    const char *text = NULL;
    LOSS_TRY(envelope_word(r->scan, json, "\"float32\" or \"float64\"", pointer, &text, err));
    r->has_dtype = true;
    return call_parse_dtype(text, pointer, &r->out->call.loss.dtype, err);
}

static loss_status read_weights_mask(struct oip_request *r, const json_t *json, const char *pointer,
                                     struct loss_error *err)
{
    return envelope_bool(r->scan, json, pointer, &r->out->call.loss.weights_mask, err);
}

static loss_status read_binary_data_output(struct oip_request *r, const json_t *json, const char *pointer,
                                           struct loss_error *err)
{
    return envelope_bool(r->scan, json, pointer, &r->binary_output, err);
}

static loss_status read_count(struct oip_request *r, const json_t *json, const char *pointer, double *out,
                              struct loss_error *err)
{
    char buf[CALL_NUMBER];
    LOSS_TRY(envelope_whole(r->scan, json, pointer, out, err));
    return *out >= 0 ? LOSS_OK
                     : loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "must be a whole number from 0, got %s",
                                 call_number(*out, buf));
}

static loss_status read_timeout(struct oip_request *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    double us = 0;
    LOSS_TRY(read_count(r, json, pointer, &us, err));
    r->out->timeout_us = (int64_t)us;
    return LOSS_OK;
}

/* There is one queue, first come first served. */
static loss_status read_priority(struct oip_request *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    double priority = 0;
    return read_count(r, json, pointer, &priority, err);
}

typedef loss_status param_reader(struct oip_request *r, const json_t *json, const char *pointer,
                                 struct loss_error *err);

static const struct {
    const char *name;
    param_reader *read;
} readers[] = {
    {"reduction", read_reduction},       {"dtype", read_dtype},
    {"weights_mask", read_weights_mask}, {"binary_data_output", read_binary_data_output},
    {"timeout", read_timeout},           {"priority", read_priority},
};
#define N_READERS (sizeof readers / sizeof readers[0])

static loss_status unknown_parameter(const struct loss_desc *desc, const char *key, const char *pointer,
                                     struct loss_error *err)
{
    const char *names[N_READERS + LOSS_MAX_PARAMS];
    char list[512] = "", clip[CALL_CLIP];
    size_t n = 0, used = 0;

    for (const struct loss_param *param = desc->params; param->name != NULL; param++) {
        names[n++] = param->name;
    }
    for (size_t i = 0; i < N_READERS; i++) {
        names[n++] = readers[i].name;
    }
    for (size_t i = 0; i < n && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    const char *nearest = loss_nearest_word(key, names, n);
    return loss_fail(err, LOSS_UNKNOWN_FIELD, pointer, "%s has no parameter \"%s\"%s%s%s It takes %s", desc->name,
                     call_clip(key, clip), nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "\"?" : ".", list);
}

static loss_status read_parameter(struct oip_request *r, const char *key, const json_t *json, const char *pointer,
                                  struct loss_error *err)
{
    const struct json_value *value = envelope_value(r->scan, json);
    int param = loss_desc_param(r->envelope.desc, key);

    if (!json_is_string(json) && !json_is_boolean(json) && (value == NULL || value->kind != JSON_NUMBER)) {
        return envelope_wrong_type(r->scan, json, "a string, a number, true or false", pointer, err);
    }
    if (param >= 0) {
        return read_loss_param(r, param, json, pointer, err);
    }
    for (size_t i = 0; i < N_READERS; i++) {
        if (strcmp(readers[i].name, key) == 0) {
            return readers[i].read(r, json, pointer, err);
        }
    }
    return unknown_parameter(r->envelope.desc, key, pointer, err);
}

static loss_status read_parameters(struct oip_request *r, const json_t *json, struct loss_error *err)
{
    const char *key;
    json_t *value;

    if (json == NULL) {
        return LOSS_OK;
    }
    if (!json_is_object(json)) {
        return envelope_wrong_type(r->scan, json, "an object", "/parameters", err);
    }
    json_object_foreach((json_t *)json, key, value)
    {
        const char *pointer = envelope_pointer(r->arena, "/parameters", key);
        if (pointer == NULL) {
            return loss_no_memory(err, "this request");
        }
        LOSS_TRY(read_parameter(r, key, value, pointer, err));
    }
    return LOSS_OK;
}

/* Inputs */

struct input_json {
    const char *pointer, *data_pointer; /* "/inputs/0", "/inputs/0/data" */
    const json_t *name, *shape, *datatype, *data, *parameters, *binary_size;
};

static loss_status split_input(const struct oip_request *r, const json_t *json, struct input_json *in,
                               struct loss_error *err)
{
    const struct member members[] = {{"name", &in->name}, {"shape", &in->shape},           {"datatype", &in->datatype},
                                     {"data", &in->data}, {"parameters", &in->parameters}, {NULL, NULL}};
    const struct member parameters[] = {{"binary_data_size", &in->binary_size}, {NULL, NULL}};
    char at[sizeof err->pointer];

    LOSS_TRY(split(r, json, in->pointer, "an input", members, err));
    snprintf(at, sizeof at, "%s/parameters", in->pointer);
    if (in->parameters != NULL) {
        LOSS_TRY(split(r, in->parameters, at, "the parameters of an input", parameters, err));
    }
    snprintf(at, sizeof at, "%s/%s", in->pointer, in->shape == NULL ? "shape" : "datatype");
    if (in->shape == NULL || in->datatype == NULL) {
        return loss_fail(err, LOSS_MISSING_FIELD, at, "an input needs its \"%s\"",
                         in->shape == NULL ? "shape" : "datatype");
    }
    if (in->data != NULL && in->binary_size != NULL) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, in->pointer,
                         "give \"data\" or the parameter binary_data_size, not both");
    }
    if (in->data == NULL && in->binary_size == NULL) {
        return loss_fail(
            err, LOSS_MISSING_FIELD, in->data_pointer,
            "an input needs its \"data\", or the parameter binary_data_size and its bytes behind the JSON");
    }
    return LOSS_OK;
}

static loss_status no_such_input(const struct loss_desc *desc, const char *name, const char *pointer,
                                 struct loss_error *err)
{
    char list[512] = "", clip[CALL_CLIP];
    size_t used = 0;

    for (const struct loss_input *input = desc->inputs; input->name != NULL && used < sizeof list; input++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s, ", input->name);
    }
    return loss_fail(err, LOSS_UNKNOWN_FIELD, pointer, "%s has no input \"%s\"; it takes %sweights", desc->name,
                     call_clip(name, clip), list);
}

/* Where a tensor of this name goes, if nothing is there yet. */
static loss_status find_place(struct oip_request *r, const char *name, const char *pointer, struct oip_input *input,
                              struct loss_error *err)
{
    const struct loss_desc *desc = r->envelope.desc;
    struct loss_call *call = &r->out->call.loss;
    int i = loss_desc_input(desc, name);
    int param = loss_desc_param(desc, name);
    bool taken = false;

    assert(name != NULL); /* its caller has refused an input without */
    if (i >= 0 || strcmp(name, "weights") == 0) {
        input->place = i >= 0 ? &call->input[i] : &call->weights;
    } else if (param >= 0 &&
               (desc->params[param].type == LOSS_VECTOR || desc->params[param].type == LOSS_NUMBER_OR_VECTOR)) {
        input->param = param;
        taken = (r->envelope.params_seen & (1u << param)) != 0;
        r->envelope.params_seen |= 1u << param;
    } else {
        return no_such_input(desc, name, pointer, err);
    }
    for (size_t k = 0; k < r->n_inputs && input->place != NULL; k++) {
        taken |= r->input[k].place == input->place;
    }
    return taken ? loss_fail(err, LOSS_DUPLICATE_FIELD, pointer, "this tensor was given twice") : LOSS_OK;
}

static loss_status read_datatype(const struct oip_request *r, const struct input_json *in, loss_dtype *out,
                                 struct loss_error *err)
{
    const char *name = NULL;
    char at[sizeof err->pointer], clip[CALL_CLIP];

    snprintf(at, sizeof at, "%s/datatype", in->pointer);
    LOSS_TRY(envelope_word(r->scan, in->datatype, "a string", at, &name, err));
    return oip_datatype_parse(name, out)
               ? LOSS_OK
               : loss_fail(err, LOSS_UNSUPPORTED_DTYPE, at,
                           "there is no datatype \"%s\" here; there are BOOL, INT8 to INT64, UINT8 to UINT64, FP16, "
                           "BF16, FP32 and FP64",
                           call_clip(name, clip));
}

static loss_status read_binary_size(struct oip_request *r, const struct input_json *in, struct oip_input *input,
                                    struct loss_error *err)
{
    char at[sizeof err->pointer], shape[128];
    double given = 0;
    size_t width = loss_dtype_size(input->tensor.dtype);
    bool overflow = __builtin_mul_overflow(input->tensor.count, width, &input->size);

    snprintf(at, sizeof at, "%s/parameters/binary_data_size", in->pointer);
    LOSS_TRY(read_count(r, in->binary_size, at, &given, err));
    if (!r->takes_binary) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, at,
                         "bytes behind the JSON need the header " OIP_LENGTH_HEADER ", which says where they begin");
    }
    if (overflow || given != (double)input->size) {
        loss_shape_format(input->tensor.rank, input->tensor.shape, shape, sizeof shape);
        return loss_fail(err, LOSS_SHAPE_MISMATCH, at, "a tensor %s of %s has %zu numbers of %zu bytes, not %.0f bytes",
                         shape, oip_datatype_name(input->tensor.dtype), input->tensor.count, width, given);
    }
    input->binary = true;
    input->tensor.layout = LOSS_OPAQUE;
    input->tensor.pointer = in->pointer;
    return LOSS_OK;
}

/* Nested data must have the shape that stands beside it; a flat list its number of elements. */
static loss_status check_data(const struct loss_tensor *data, const struct loss_tensor *t, const char *pointer,
                              struct loss_error *err)
{
    char wanted[128], got[128];
    bool nested = data->rank > 1;

    if (nested ? data->rank == t->rank && memcmp(data->shape, t->shape, sizeof t->shape[0] * (size_t)t->rank) == 0
               : data->count == t->count) {
        return LOSS_OK;
    }
    loss_shape_format(t->rank, t->shape, wanted, sizeof wanted);
    loss_shape_format(data->rank, data->shape, got, sizeof got);
    return loss_fail(err, LOSS_SHAPE_MISMATCH, pointer, "the shape is %s, which is %zu numbers; the data has %s%s",
                     wanted, t->count, nested ? "the shape " : "", got);
}

static loss_status read_data(struct oip_request *r, const struct input_json *in, struct loss_tensor *t,
                             struct loss_error *err)
{
    const struct json_value *value = envelope_value(r->scan, in->data);
    loss_dtype datatype = t->dtype;

    if (value == NULL || value->kind != JSON_TENSOR) {
        return envelope_wrong_type(r->scan, in->data, "an array of numbers", in->data_pointer, err);
    }
    LOSS_TRY(envelope_check(value, err));
    LOSS_TRY(check_data(&value->tensor, t, in->data_pointer, err));
    if (datatype == LOSS_FLOAT32) {
        LOSS_TRY(json_value_narrow(r->scan, (size_t)json_integer_value(in->data), err));
    }
    t->data = t->count > 0 ? value->tensor.data : &nothing;
    t->dtype = value->tensor.dtype;
    t->layout = value->tensor.rank > 1 ? LOSS_NESTED : LOSS_FLAT;
    t->pointer = value->tensor.rank > 1 ? in->data_pointer : in->pointer;
    if (datatype == LOSS_FLOAT32 || datatype == LOSS_FLOAT64) {
        return LOSS_OK;
    }
    json_value_lean(r->scan, (size_t)json_integer_value(in->data));
    return tensor_round(t, datatype, err);
}

static loss_status read_input(struct oip_request *r, const json_t *json, size_t i, struct loss_error *err)
{
    struct input_json in = {.pointer = loss_arena_format(r->arena, "/inputs/%zu", i),
                            .data_pointer = loss_arena_format(r->arena, "/inputs/%zu/data", i)};
    struct oip_input input = {.param = -1};
    const char *name = "";
    char at[64];

    if (in.pointer == NULL || in.data_pointer == NULL) {
        return loss_no_memory(err, "this request");
    }
    LOSS_TRY(split_input(r, json, &in, err));
    LOSS_TRY(read_name(r, in.name, in.pointer, &name, err));
    LOSS_TRY(find_place(r, name, in.pointer, &input, err));
    LOSS_TRY(read_datatype(r, &in, &input.tensor.dtype, err));
    snprintf(at, sizeof at, "/inputs/%zu/shape", i);
    LOSS_TRY(envelope_shape(r->scan, in.shape, at, &input.tensor, err));
    if (!r->has_dtype && input.tensor.dtype == LOSS_FLOAT64) {
        r->out->call.loss.dtype = LOSS_FLOAT64;
    }
    LOSS_TRY(in.data != NULL ? read_data(r, &in, &input.tensor, err) : read_binary_size(r, &in, &input, err));
    r->input[r->n_inputs++] = input; /* no more than there are places, since none is given twice */
    return LOSS_OK;
}

static loss_status read_inputs(struct oip_request *r, const json_t *json, struct loss_error *err)
{
    if (json == NULL) {
        return loss_fail(err, LOSS_MISSING_FIELD, "/inputs", "a request needs its \"inputs\"");
    }
    if (!json_is_array(json) && !is_empty_list(r, json)) {
        return envelope_wrong_type(r->scan, json, "a list of inputs", "/inputs", err);
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        LOSS_TRY(read_input(r, json_array_get(json, i), i, err));
    }
    return LOSS_OK;
}

loss_status oip_request_fill(struct oip_request *r, struct loss_error *err)
{
    for (size_t i = 0; i < r->n_inputs; i++) {
        struct oip_input *input = &r->input[i];
        if (input->binary) {
            input->tensor.data =
                input->size > 0 ? loss_arena_alloc(r->arena, input->size, TENSOR_ALIGN) : (void *)&nothing;
        }
        if (input->tensor.data == NULL) {
            return loss_no_memory(err, "this request");
        }
    }
    return LOSS_OK;
}

/* Outputs */

static loss_status no_such_output(const struct loss_desc *desc, const char *name, const char *pointer,
                                  struct loss_error *err)
{
    char list[256] = "", clip[CALL_CLIP];
    size_t used = 0;

    for (const struct loss_input *input = desc->inputs; input->name != NULL && used < sizeof list; input++) {
        if (input->differentiable) {
            used += (size_t)snprintf(list + used, sizeof list - used, "gradients.%s, ", input->name);
        }
    }
    return loss_fail(err, LOSS_INVALID_PARAMETER, pointer,
                     "%s has no output \"%s\"; there are loss, losses, %sgradients.weights, totals.sum, totals.mean, "
                     "totals.sum_over_batch_size, totals.sum_by_nonzero_weights, totals.batchmean, totals.weight_sum, "
                     "totals.count and totals.nonzero_weights",
                     desc->name, call_clip(name, clip), list);
}

static bool is_given(const struct oip_request *r, const struct loss_tensor *place)
{
    for (size_t i = 0; i < r->n_inputs; i++) {
        if (r->input[i].place == place) {
            return true;
        }
    }
    return false;
}

/* An optional input that was not given has no gradient, which call_want_gradient sees by its data. */
static loss_status want_gradient(struct oip_request *r, const struct oip_output *output, const char *pointer,
                                 struct loss_error *err)
{
    struct call *call = &r->out->call;
    const char *name = strchr(output->name, '.') + 1;

    if (output->index < LOSS_GRADIENT_WEIGHTS && is_given(r, &call->loss.input[output->index])) {
        call->loss.input[output->index].data = &nothing; /* its own comes in oip_request_finish */
    }
    return call_want_gradient(call, name, pointer, err);
}

static loss_status add_output(struct oip_request *r, const struct oip_output *output, const char *pointer,
                              struct loss_error *err)
{
    struct oip_call *out = r->out;

    for (size_t i = 0; i < out->n_outputs; i++) {
        if (out->output[i].what == output->what && out->output[i].index == output->index) {
            return loss_fail(err, LOSS_DUPLICATE_FIELD, pointer, "this output was asked for twice");
        }
    }
    if (output->what == OIP_LOSS && out->call.loss.reduction == LOSS_REDUCE_NONE) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer,
                         "with the reduction none there is no loss; ask for losses, or for another reduction");
    }
    if (output->what == OIP_GRADIENT) {
        LOSS_TRY(want_gradient(r, output, pointer, err));
    }
    out->call.loss.want_losses |= output->what == OIP_LOSSES;
    out->output[out->n_outputs++] = *output;
    return LOSS_OK;
}

static loss_status read_output(struct oip_request *r, const json_t *json, size_t i, struct loss_error *err)
{
    const json_t *name = NULL, *parameters = NULL, *binary = NULL;
    const struct member members[] = {{"name", &name}, {"parameters", &parameters}, {NULL, NULL}};
    const struct member known[] = {{"binary_data", &binary}, {NULL, NULL}};
    struct oip_output output = {0};
    const char *word = NULL;
    char pointer[64], at[96];

    snprintf(pointer, sizeof pointer, "/outputs/%zu", i);
    LOSS_TRY(split(r, json, pointer, "an output", members, err));
    LOSS_TRY(read_name(r, name, pointer, &word, err));
    if (!oip_output_find(r->envelope.desc, word, &output)) {
        return no_such_output(r->envelope.desc, word, pointer, err);
    }
    output.binary = r->binary_output;
    snprintf(at, sizeof at, "%s/parameters", pointer);
    if (parameters != NULL) {
        LOSS_TRY(split(r, parameters, at, "the parameters of an output", known, err));
    }
    snprintf(at, sizeof at, "%s/parameters/binary_data", pointer);
    if (binary != NULL) {
        LOSS_TRY(envelope_bool(r->scan, binary, at, &output.binary, err));
    }
    return add_output(r, &output, pointer, err);
}

void oip_request_default_outputs(struct oip_request *r)
{
    struct oip_call *out = r->out;

    if (out->call.loss.reduction != LOSS_REDUCE_NONE) {
        out->output[out->n_outputs++] =
            (struct oip_output){.name = "loss", .what = OIP_LOSS, .binary = r->binary_output};
    }
    out->output[out->n_outputs++] =
        (struct oip_output){.name = "losses", .what = OIP_LOSSES, .binary = r->binary_output};
}

static loss_status read_outputs(struct oip_request *r, const json_t *json, struct loss_error *err)
{
    if (json == NULL || is_empty_list(r, json)) {
        oip_request_default_outputs(r);
        return LOSS_OK;
    }
    if (!json_is_array(json)) {
        return envelope_wrong_type(r->scan, json, "a list of outputs", "/outputs", err);
    }
    r->out->call.loss.want_losses = false;
    for (size_t i = 0; i < json_array_size(json); i++) {
        LOSS_TRY(read_output(r, json_array_get(json, i), i, err));
    }
    return LOSS_OK;
}

/* The whole */

static loss_status read_id(struct oip_request *r, const json_t *json, struct loss_error *err)
{
    if (json == NULL) {
        return LOSS_OK;
    }
    if (!json_is_string(json)) {
        return envelope_wrong_type(r->scan, json, "a string", "/id", err);
    }
    r->out->id = json_string_value(json);
    r->out->id_size = json_string_length(json);
    return LOSS_OK;
}

loss_status oip_request_read(struct oip_request *r, struct loss_error *err)
{
    const json_t *id = NULL, *parameters = NULL, *inputs = NULL, *outputs = NULL;
    /* KServe's client repeats the model that the path names. */
    const struct member members[] = {{"id", &id},           {"parameters", &parameters}, {"inputs", &inputs},
                                     {"outputs", &outputs}, {"model_name", NULL},        {"model_version", NULL},
                                     {NULL, NULL}};
    json_t *root = NULL;

    LOSS_TRY(envelope_document(r->arena, r->scan, &root, err));
    LOSS_TRY(split(r, root, "", "a request", members, err));
    LOSS_TRY(read_id(r, id, err));
    LOSS_TRY(read_parameters(r, parameters, err)); /* first: they say what tensors and outputs mean */
    LOSS_TRY(read_inputs(r, inputs, err));
    return read_outputs(r, outputs, err);
}

static loss_status check_bools(const struct oip_input *input, struct loss_error *err)
{
    const unsigned char *bytes = input->tensor.data;

    for (size_t i = 0; i < input->size; i++) {
        if (bytes[i] > 1) {
            return loss_fail(err, LOSS_INVALID_PARAMETER, input->tensor.pointer,
                             "element %zu is no BOOL: its byte must be 0 or 1, got %u", i, (unsigned)bytes[i]);
        }
    }
    return LOSS_OK;
}

/* What is missing has no place to point at. */
static loss_status check_call(struct call *call, struct loss_error *err)
{
    loss_status status = call_check(call, err);
    if (status == LOSS_MISSING_FIELD) {
        err->pointer[0] = '\0';
    }
    return status;
}

loss_status oip_request_finish(struct oip_request *r, struct loss_error *err)
{
    struct call *call = &r->out->call;

    for (size_t i = 0; i < r->n_inputs; i++) {
        struct oip_input *input = &r->input[i];
        if (input->binary && input->tensor.dtype == LOSS_BOOL) {
            LOSS_TRY(check_bools(input, err));
        }
        if (input->place != NULL) {
            *input->place = input->tensor;
        } else {
            LOSS_TRY(loss_call_set_vector(&call->loss, input->param, &input->tensor, err));
        }
    }
    return check_call(call, err);
}
