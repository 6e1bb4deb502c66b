/* SPDX-License-Identifier: Apache-2.0
 *
 * json_fields.c - each member of the envelope to its place in the call.
 */
#include <server/formats/json_envelope.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

bool fields_whole(const struct loss_input *input)
{
    return input->domain == LOSS_CLASS_INDEX || input->domain == LOSS_WHOLE_NUMBER;
}

static loss_status read_axes(struct envelope *r, int i, const json_t *json, const char *pointer, struct loss_error *err)
{
    const struct json_value *value = envelope_value(r->scan, json);
    double numbers[LOSS_MAX_RANK] = {0};
    int axes[LOSS_MAX_RANK];
    int n = 1;
    if (value != NULL && value->kind == JSON_TENSOR) {
        LOSS_TRY(envelope_check(value, err));
        if (value->tensor.rank != 1 || value->tensor.count > LOSS_MAX_RANK) {
            return envelope_wrong_type(r->scan, json, "an axis or a list of at most 8 axes", pointer, err);
        }
        n = (int)value->tensor.count;
        for (int k = 0; k < n; k++) {
            numbers[k] = loss_tensor_at(&value->tensor, (size_t)k);
        }
    } else {
        LOSS_TRY(envelope_number(r->scan, json, pointer, &numbers[0], err));
    }
    for (int k = 0; k < n; k++) {
        if (!(fabs(numbers[k]) <= LOSS_MAX_RANK) || numbers[k] != floor(numbers[k])) {
            char buf[CALL_NUMBER];
            return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "an axis is a whole number from -8 to 7, got %s",
                             call_number(numbers[k], buf));
        }
        axes[k] = (int)numbers[k];
    }
    return loss_call_set_axes(&r->call->loss, i, axes, n, pointer, err);
}

static loss_status read_vector(struct envelope *r, int i, const json_t *json, const char *pointer,
                               struct loss_error *err)
{
    struct loss_tensor vector = {0};
    LOSS_TRY(envelope_tensor(r, json, false, pointer, &vector, err));
    return loss_call_set_vector(&r->call->loss, i, &vector, err);
}

loss_status fields_param(struct envelope *r, int i, const json_t *json, const char *pointer, struct loss_error *err)
{
    struct loss_call *call = &r->call->loss;
    const struct json_value *value = envelope_value(r->scan, json);
    double number = 0;
    bool flag = false;
    const char *text = NULL;
    if ((r->params_seen & (1u << i)) != 0) {
        return loss_fail(err, LOSS_DUPLICATE_FIELD, pointer, "%s was given twice, under two names",
                         r->desc->params[i].name);
    }
    r->params_seen |= 1u << i;
    switch (r->desc->params[i].type) {
    case LOSS_WORD:
        LOSS_TRY(envelope_word(r->scan, json, "a string", pointer, &text, err));
        return loss_call_set_word(call, i, text, pointer, err);
    case LOSS_BOOLEAN:
        LOSS_TRY(envelope_bool(r->scan, json, pointer, &flag, err));
        return loss_call_set_boolean(call, i, flag, pointer, err);
    case LOSS_VECTOR:
        return read_vector(r, i, json, pointer, err);
    case LOSS_AXES:
        return read_axes(r, i, json, pointer, err);
    case LOSS_NUMBER_OR_VECTOR:
        if (value == NULL || value->kind != JSON_NUMBER) {
            return read_vector(r, i, json, pointer, err);
        }
        break;
    case LOSS_NUMBER:
    case LOSS_INTEGER:
    case LOSS_AXIS:
        break;
    }
    LOSS_TRY(envelope_number(r->scan, json, pointer, &number, err));
    return loss_call_set_number(call, i, number, pointer, err);
}

static loss_status read_input(struct envelope *r, int i, const json_t *json, const char *pointer,
                              struct loss_error *err)
{
    struct loss_tensor *input = &r->call->loss.input[i];
    if (input->data != NULL) {
        return loss_fail(err, LOSS_DUPLICATE_FIELD, pointer, "%s was given twice, under two names",
                         r->desc->inputs[i].name);
    }
    return envelope_tensor(r, json, fields_whole(&r->desc->inputs[i]), pointer, input, err);
}

/* One reader for each of call_fields; CALL_FIELD_MAP makes the table of them. */

static loss_status read_weights(struct envelope *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return envelope_tensor(r, json, false, pointer, &r->call->loss.weights, err);
}

static loss_status read_reduction(struct envelope *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    const char *text = NULL;
    LOSS_TRY(envelope_word(r->scan, json, "a string", pointer, &text, err));
    return call_set_reduction(r->call, text, pointer, err);
}

static loss_status read_gradients(struct envelope *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    (void)pointer;
    (void)err;
    r->gradients = json;
    return LOSS_OK;
}

static loss_status read_losses(struct envelope *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return envelope_bool(r->scan, json, pointer, &r->call->loss.want_losses, err);
}

static loss_status read_dtype(struct envelope *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    /* It decides how tensors are read, so dtype_of took it before all others; here it is only checked. */
    const char *text = NULL;
    loss_dtype dtype;
    LOSS_TRY(envelope_word(r->scan, json, "\"float32\" or \"float64\"", pointer, &text, err));
    return call_parse_dtype(text, pointer, &dtype, err);
}

static loss_status read_weights_mask(struct envelope *r, const json_t *json, const char *pointer,
                                     struct loss_error *err)
{
    return envelope_bool(r->scan, json, pointer, &r->call->loss.weights_mask, err);
}

static loss_status read_registry(struct envelope *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return envelope_name(r->scan, json, pointer, &r->call->registry, err);
}

static loss_status read_name(struct envelope *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return envelope_name(r->scan, json, pointer, &r->call->name, err);
}

static loss_status read_collection(struct envelope *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return envelope_name(r->scan, json, pointer, &r->call->collection, err);
}

static loss_status read_step(struct envelope *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    double step = 0;
    LOSS_TRY(envelope_whole(r->scan, json, pointer, &step, err));
    if (step < 0) {
        char buf[CALL_NUMBER];
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "a step is a whole number from 0 to 2^53, got %s",
                         call_number(step, buf));
    }
    r->call->step = (int64_t)step;
    return LOSS_OK;
}

static loss_status read_accumulate(struct envelope *r, const json_t *json, const char *pointer, struct loss_error *err)
{
    return envelope_bool(r->scan, json, pointer, &r->call->accumulate, err);
}

typedef loss_status field_reader(struct envelope *r, const json_t *json, const char *pointer, struct loss_error *err);

static const struct {
    const char *name;
    field_reader *read;
} fields[] = {
#define FIELD_READER(name) {#name, read_##name},
    CALL_FIELD_MAP(FIELD_READER)
#undef FIELD_READER
};

static field_reader *find_field(const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return fields[i].read;
        }
    }
    return NULL;
}

loss_status fields_read(struct envelope *r, const char *key, const char *pointer, const json_t *json,
                        struct loss_error *err)
{
    if (pointer == NULL && (pointer = envelope_pointer(r->arena, "", key)) == NULL) {
        return loss_no_memory(err, "this request");
    }
    int input = loss_desc_input(r->desc, key);
    int param = input < 0 ? loss_desc_param(r->desc, key) : -1;
    field_reader *field = input < 0 && param < 0 ? find_field(key) : NULL;
    if (input < 0 && param < 0 && field == NULL) {
        return call_unknown_field(r->desc, key, pointer, err);
    }
    if (json_is_null(json)) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, pointer, "null is not a value; leave the field out instead");
    }
    if (input >= 0) {
        return read_input(r, input, json, pointer, err);
    }
    return param >= 0 ? fields_param(r, param, json, pointer, err) : field(r, json, pointer, err);
}

loss_status fields_gradients(struct envelope *r, struct loss_error *err)
{
    const json_t *json = r->gradients;
    const struct json_value *value = json == NULL ? NULL : envelope_value(r->scan, json);
    if (json == NULL || json_is_false(json)) {
        return LOSS_OK;
    }
    if (json_is_true(json)) {
        call_want_gradients(r->call);
        return LOSS_OK;
    }
    if (value != NULL && value->kind == JSON_TENSOR && value->fault == LOSS_OK && value->tensor.rank == 1 &&
        value->tensor.count == 0) {
        return LOSS_OK; /* []: an empty list of names */
    }
    if (!json_is_array(json)) {
        return envelope_wrong_type(r->scan, json, "true, false or a list of names of inputs", "/gradients", err);
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        char pointer[64];
        const char *name = NULL;
        snprintf(pointer, sizeof pointer, "/gradients/%zu", i);
        LOSS_TRY(envelope_word(r->scan, json_array_get(json, i), "the name of an input", pointer, &name, err));
        LOSS_TRY(call_want_gradient(r->call, name, pointer, err));
    }
    return LOSS_OK;
}
