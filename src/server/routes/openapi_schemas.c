/* SPDX-License-Identifier: Apache-2.0
 *
 * openapi_schemas.c - schemas, parameters and responses of the OpenAPI document.
 *
 * What does not depend on a table is written as JSON here; requests, dtypes, reductions and error codes are generated.
 */
#include <server/routes/openapi_schemas.h>

#include <stdio.h>
#include <string.h>

#include <server/formats/call.h>
#include <server/routes/catalog_json.h>

/* JSON in short, see openapi_short. */
struct part {
    const char *name, *json;
};

/* A schema is laid out as JSON is. */
/* clang-format off */

/* Fixed schemas, in the order in which a reader meets them. */
static const struct part schemas[] = {
    {"Shape", "{'type': 'array', 'maxItems': 8, 'items': {'type': 'integer', 'minimum': 0}}"},
    {"TensorShape", "{'description': 'Whole numbers; true and false are 1 and 0.', 'type': 'array', 'maxItems': 8, "
                    "'items': {'type': ['integer', 'boolean'], 'minimum': 0, 'maximum': 9007199254740992}}"},
    {"Numbers",
     "{'description': 'A number, or an array of such: rectangular, nested at most 8 deep. true and false are "
     "1 and 0. NaN, Infinity and -Infinity are taken too, as Python writes them.', "
     "'anyOf': [{'type': ['number', 'boolean']}, {'type': 'array', 'items': <Numbers>}]}"},
    {"FlatTensor", "{'description': 'Numbers in row-major order beside their shape.', 'type': 'object', "
                   "'required': ['shape', 'data'], 'additionalProperties': false, "
                   "'properties': {"
                   "'dtype': <TensorDtype>, 'shape': <TensorShape>, "
                   "'data': {'type': 'array', 'items': {'type': ['number', 'boolean']}}}}"},
    {"EncodedTensor", "{'description': 'Little-endian numbers in row-major order, as base64 with padding.', "
                      "'type': 'object', 'required': ['dtype', 'shape', 'base64'], 'additionalProperties': false, "
                      "'properties': {"
                      "'dtype': <TensorDtype>, 'shape': <TensorShape>, "
                      "'base64': {'type': 'string', 'contentEncoding': 'base64', "
                      "'pattern': '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'}}}"},
    {"Tensor", "{'anyOf': [<Numbers>, <FlatTensor>, <EncodedTensor>]}"},
    {"Value", "{'description': 'A number; null where it is not finite.', 'type': ['number', 'null']}"},
    {"Values", "{'description': 'A number or an array of such, nested in its own shape.', "
               "'anyOf': [<Value>, {'type': 'array', 'items': <Values>}]}"},
    {"Totals",
     "{'description': 'Every reduction of the same losses, as float64: the exact sum, and that sum divided once.', "
     "'type': 'object', "
     "'required': ["
     "'sum', 'mean', 'sum_over_batch_size', 'sum_by_nonzero_weights', 'batchmean', 'weight_sum', "
     "'count', 'nonzero_weights'], "
     "'properties': {"
     "'sum': <Value>, 'mean': <Value>, 'sum_over_batch_size': <Value>, "
     "'sum_by_nonzero_weights': <Value>, 'batchmean': <Value>, 'weight_sum': <Value>, "
     "'count': {'type': 'integer', 'minimum': 0}, 'nonzero_weights': {'type': 'integer', 'minimum': 0}}}"},
    {"Answer",
     "{'description': 'A computed loss.', 'type': 'object', 'required': ['reduction', 'dtype', 'totals'], "
     "'properties': {"
     "'loss': {'description': 'What reduction names; absent with none.', 'type': ['number', 'null']}, "
     "'reduction': <ReductionName>, 'dtype': <Dtype>, "
     "'losses': {'description': 'The weighted, unreduced losses.', '$ref': '#/components/schemas/Values'}, "
     "'shape': {'description': 'Of losses.', '$ref': '#/components/schemas/Shape'}, 'totals': <Totals>, "
     "'nonfinite': {"
     "'description': 'How many values of losses and gradients are not finite; absent where all are.', "
     "'type': 'integer', 'minimum': 1}, "
     "'gradients': {"
     "'description': 'Of loss (with reduction none: of the sum of losses), by input, each in the shape of its input.', "
     "'type': 'object', 'additionalProperties': <Values>}, "
     "'entry': <Entry>}}"},
    {"Evaluation",
     "{'description': 'Losses over shared tensors. Each entry has the name of its loss and the fields of a call of that "
     "loss; a tensor there may be an object whose one member, ref, names a shared one. As a safetensors file (application/x-safetensors): its tensors, and "
     "this without tensors as the text spec in its __metadata__.', "
     "'type': 'object', 'required': ['losses'], 'additionalProperties': false, "
     "'properties': {'tensors': {'type': 'object', 'additionalProperties': true}, "
     "'losses': {'type': 'array', 'minItems': 1, 'items': {'type': 'object', 'required': ['loss'], "
     "'properties': {'loss': {'type': 'string'}}}}}, "
     "'examples': [{'tensors': {'y': [1, 2], 'p': [1.5, 5]}, 'losses': ["
     "{'loss': 'mean_squared_error', 'labels': {'ref': 'y'}, 'predictions': {'ref': 'p'}}]}]}"},
    {"EvaluationAnswer",
     "{'type': 'object', 'required': ['results', 'total_loss'], 'properties': {"
     "'results': {'type': 'array', 'items': <Answer>}, "
     "'total_loss': {'description': 'The exact sum of the losses of the results.', 'type': ['number', 'null']}}}"},
    {"Name", "{'description': '1 to 512 bytes of UTF-8 without control characters.', 'type': 'string', "
             "'minLength': 1, 'maxLength': 512, 'pattern': '^[^\\u0000-\\u001f\\u007f-\\u009f]*$'}"},
    {"Step", "{'type': 'integer', 'minimum': 0, 'maximum': 9007199254740992}"},
    {"Entry",
     "{'description': 'A loss that a registry keeps; dtype and reduction are null where it was added by hand; "
     "updated_at, batches and totals are there where batches accumulate.', "
     "'type': 'object', 'required': ['name', 'loss', 'step', 'collection', 'dtype', 'reduction', 'added_at'], "
     "'properties': {"
     "'name': <Name>, 'loss': <Value>, 'step': <Step>, 'collection': <Name>, "
     "'dtype': {'anyOf': [<Dtype>, {'type': 'null'}]}, 'reduction': {'anyOf': [<ReductionName>, {'type': 'null'}]}, "
     "'added_at': {'type': 'string', 'format': 'date-time'}, 'updated_at': {'type': 'string', 'format': 'date-time'}, "
     "'batches': {'type': 'integer', 'minimum': 1}, 'totals': <Totals>}}"},
    {"EntryDraft", "{'description': 'A loss to add as it is.', 'type': 'object', 'required': ['loss'], "
                   "'additionalProperties': false, "
                   "'properties': {'loss': {'type': 'number'}, 'name': <Name>, 'step': <Step>, 'collection': <Name>}, "
                   "'examples': [{'loss': 0.5, 'name': 'head/xent', 'step': 0}]}"},
    {"RegularizationDraft",
     "{'description': 'A regularization loss to add as it is.', 'type': 'object', 'required': ['loss'], "
     "'additionalProperties': false, "
     "'properties': {'loss': {'type': 'number'}, 'name': <Name>, 'step': <Step>}, "
     "'examples': [{'loss': 0.1, 'name': 'kernel/l2', 'step': 0}]}"},
    {"EntryList", "{'type': 'object', 'required': ['losses'], "
                  "'properties': {'losses': {'type': 'array', 'items': <Entry>}, 'next_cursor': {'type': 'string'}}}"},
    {"RegularizationList",
     "{'type': 'object', 'required': ['regularization_losses'], "
     "'properties': {"
     "'regularization_losses': {'type': 'array', 'items': <Entry>}, 'next_cursor': {'type': 'string'}}}"},
    {"RegularizationTotal",
     "{'type': 'object', 'required': ['regularization_loss', 'count'], "
     "'properties': {'regularization_loss': <Value>, 'count': {'type': 'integer', 'minimum': 0}}}"},
    {"RegistryTotal", "{'type': 'object', 'required': ['total_loss', 'count'], "
                      "'properties': {'total_loss': <Value>, 'count': {'type': 'integer', 'minimum': 1}}}"},
    {"RegistryInfo",
     "{'type': 'object', 'required': ['registry', 'entries', 'steps', 'latest_step', 'updated_at'], "
     "'properties': {"
     "'registry': <Name>, 'entries': {'type': 'integer', 'minimum': 0}, "
     "'steps': {'type': 'integer', 'minimum': 0}, 'latest_step': {'type': ['integer', 'null']}, "
     "'updated_at': {'type': 'string', 'format': 'date-time'}, "
     "'ttl': {"
     "'description': 'Seconds; absent where it is that of the server.', 'type': 'integer', 'minimum': 1}}}"},
    {"RegistryList", "{'type': 'object', 'required': ['registries'], "
                     "'properties': {"
                     "'registries': {'type': 'array', 'items': <RegistryInfo>}, 'next_cursor': {'type': 'string'}}}"},
    {"RegistryOptions", "{'type': 'object', 'additionalProperties': false, "
                        "'properties': {"
                        "'ttl': {"
                        "'description': 'Seconds after the last write at which the registry is forgotten.', "
                        "'type': 'integer', 'minimum': 1, 'maximum': 3155760000}}}"},
    {"Removed", "{'type': 'object', 'required': ['removed'], "
                "'properties': {'removed': {'type': 'integer', 'minimum': 0}}}"},
    {"Loss", "{'description': 'What a loss is and takes.', 'type': 'object', "
             "'required': ["
             "'name', 'aliases', 'summary', 'formula', 'kind', 'inputs', 'parameters', 'default_reduction', "
             "'source'], "
             "'properties': {"
             "'name': {'type': 'string'}, 'aliases': {'type': 'array', 'items': {'type': 'string'}}, "
             "'alias_defaults': {'type': 'object'}, 'summary': {'type': 'string'}, "
             "'formula': {'type': 'string'}, "
             "'kind': {'enum': ['elementwise', 'rowwise', 'batchwise', 'samplewise', 'whole']}, "
             "'inputs': {'type': 'array', 'items': {'type': 'object'}}, "
             "'parameters': {'type': 'array', 'items': {'type': 'object'}}, "
             "'default_reduction': <ReductionName>, 'collection': {'type': 'string'}, "
             "'accumulable': {'type': 'boolean'}, "
             "'accuracy': {'type': 'object', 'properties': {'ulp': {'type': 'integer'}}}, "
             "'source': {'type': 'string'}, 'edge_cases': {'type': 'string'}, "
             "'elsewhere': {'type': 'string', 'description': 'How to get the number of other libraries.'}, "
             "'example': {'type': 'object'}}}"},
    {"LossList", "{'type': 'object', 'required': ['losses'], "
                 "'properties': {'losses': {'type': 'array', 'items': <Loss>}}}"},
    {"Health", "{'type': 'object', 'required': ['status'], 'properties': {'status': {'type': 'string'}}}"},
    {"Index", "{'type': 'object', "
              "'properties': {"
              "'name': {'type': 'string'}, 'version': {'type': 'string'}, "
              "'links': {'type': 'array', 'items': {'type': 'string'}}}}"},
    {"Document", "{'type': 'object'}"},
    {"InferenceServer", "{'type': 'object', 'required': ['name', 'version', 'extensions'], "
                        "'properties': {"
                        "'name': {'type': 'string'}, 'version': {'type': 'string'}, "
                        "'extensions': {'type': 'array', 'items': {'type': 'string'}}}}"},
    {"InferenceState", "{'type': 'object', "
                       "'properties': {"
                       "'name': {'type': 'string'}, 'live': {'type': 'boolean'}, 'ready': {'type': 'boolean'}}}"},
    {"InferenceDatatype",
     "{'enum': ["
     "'BOOL', 'INT8', 'INT16', 'INT32', 'INT64', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'FP16', 'BF16', 'FP32', 'FP64']}"},
    {"InferenceTensor", "{'description': '-1 is a dimension of any size.', 'type': 'object', "
                        "'required': ['name', 'datatype', 'shape'], "
                        "'properties': {"
                        "'name': {'type': 'string'}, 'datatype': <InferenceDatatype>, "
                        "'shape': {'type': 'array', 'items': {'type': 'integer', 'minimum': -1}}}}"},
    {"InferenceModel", "{'description': 'A loss as a model.', 'type': 'object', "
                       "'required': ['name', 'versions', 'platform', 'inputs', 'outputs'], "
                       "'properties': {"
                       "'name': {'type': 'string'}, 'versions': {'type': 'array', 'items': {'type': 'string'}}, "
                       "'platform': {'const': 'lossd_loss'}, "
                       "'inputs': {'type': 'array', 'items': <InferenceTensor>}, "
                       "'outputs': {'type': 'array', 'items': <InferenceTensor>}, "
                       "'properties': {'type': 'object', 'additionalProperties': {'type': 'string'}}}}"},
    {"InferenceIndex", "{'type': 'array', 'items': {'type': 'object', "
                       "'properties': {"
                       "'name': {'type': 'string'}, 'version': {'type': 'string'}, 'state': {'type': 'string'}, "
                       "'reason': {'type': 'string'}}}}"},
    {"InferenceIndexQuery", "{'description': 'Taken and not looked at: every model is ready.'}"},
    {"InferenceStatistics",
     "{'type': 'object', 'required': ['model_stats'], "
     "'properties': {'model_stats': {'type': 'array', 'items': {'type': 'object'}}}}"},
    {"InferenceInput",
     "{'description': 'A tensor by its data, nested or flat, or by the bytes that follow the JSON.', "
     "'type': 'object', 'required': ['name', 'shape', 'datatype'], 'additionalProperties': false, "
     "'properties': {"
     "'name': {'type': 'string'}, 'shape': <Shape>, 'datatype': <InferenceDatatype>, "
     "'data': {'type': 'array', 'items': <Numbers>}, "
     "'parameters': {'type': 'object', 'additionalProperties': false, "
     "'properties': {'binary_data_size': {'type': 'integer', 'minimum': 0}}}}}"},
    {"InferenceRequest",
     "{'type': 'object', 'required': ['inputs'], 'additionalProperties': false, "
     "'properties': {"
     "'id': {'type': 'string'}, 'model_name': {'type': 'string'}, 'model_version': {'type': 'string'}, "
     "'parameters': {"
     "'description': 'Those of the loss, reduction, dtype, weights_mask, binary_data_output; timeout (microseconds) "
     "and priority.', "
     "'type': 'object', 'additionalProperties': {'type': ['string', 'number', 'boolean']}}, "
     "'inputs': {'type': 'array', 'items': <InferenceInput>}, "
     "'outputs': {'description': 'loss and losses where it is absent.', 'type': 'array', "
     "'items': {'type': 'object', 'required': ['name'], 'additionalProperties': false, "
     "'properties': {"
     "'name': {'type': 'string'}, "
     "'parameters': {'type': 'object', 'additionalProperties': false, "
     "'properties': {'binary_data': {'type': 'boolean'}}}}}}}}"},
    {"InferenceBinary",
     "{'description': 'The JSON, then the bytes of binary tensors, little-endian and row-major, in the order in which "
     "the JSON names them; the header Inference-Header-Content-Length is the length of the JSON.', "
     "'contentMediaType': 'application/octet-stream'}"},
    {"Safetensors",
     "{'description': 'A safetensors file. Of a request: inputs, weights and vector parameters are its tensors, every "
     "other field is text in its __metadata__ or in the query, which wins. Of an answer: the tensors loss, losses, "
     "totals.* (F64 scalars) and gradients.*; reduction, dtype and entry are in its __metadata__.', "
     "'contentMediaType': 'application/x-safetensors'}"},
    {"InferenceAnswer",
     "{'type': 'object', 'required': ['model_name', 'model_version', 'outputs'], "
     "'properties': {"
     "'model_name': {'type': 'string'}, 'model_version': {'type': 'string'}, 'id': {'type': 'string'}, "
     "'outputs': {'type': 'array', 'items': {'type': 'object', 'required': ['name', 'shape', 'datatype'], "
     "'properties': {"
     "'name': {'type': 'string'}, 'shape': <Shape>, 'datatype': {'enum': ['FP32', 'FP64']}, "
     "'data': {'type': 'array', 'items': <Value>}, "
     "'parameters': {'type': 'object', 'properties': {'binary_data_size': {'type': 'integer', 'minimum': 0}}}}}}}}"},
    {"InferenceProblem", "{'type': 'object', 'required': ['error'], 'properties': {'error': {'type': 'string'}}}"},
    {"Problem", "{'description': 'What went wrong (RFC 9457).', 'type': 'object', "
                "'required': ['type', 'title', 'status', 'detail', 'code'], "
                "'properties': {"
                "'type': {'type': 'string', 'format': 'uri-reference'}, 'title': {'type': 'string'}, "
                "'status': {'type': 'integer'}, 'detail': {'type': 'string'}, 'code': <ProblemCode>, "
                "'pointer': {"
                "'description': 'JSON pointer into the body to what is to blame.', 'type': 'string', "
                "'format': 'json-pointer'}, "
                "'parameter': {'description': 'The query parameter or header to blame.', 'type': 'string'}, "
                "'request_id': {'type': 'string'}}}"},
};

/* Query fields and headers. */
static const struct part parameters[] = {
    {"dtype", "{'name': 'dtype', 'in': 'query', 'description': 'Of inputs and answer; wins over the body.', "
              "'schema': <Dtype>}"},
    {"nonfinite", "{'name': 'nonfinite', 'in': 'query', "
                  "'description': 'How values that are not finite are written: null, or as NaN, Infinity, -Infinity.', "
                  "'schema': {'enum': ['null', 'literal'], 'default': 'null'}}"},
    {"strict", "{'name': 'strict', 'in': 'query', 'description': 'Refuse NaN, Infinity and -Infinity in the body.', "
               "'schema': {'type': 'boolean', 'default': false}}"},
    {"scope", "{'name': 'scope', 'in': 'query', "
              "'description': 'A regular expression, matched from the start of the name.', "
              "'schema': {'type': 'string', 'minLength': 1}, 'example': 'head/'}"},
    {"collection", "{'name': 'collection', 'in': 'query', 'description': 'Only entries of this collection.', "
                   "'schema': {'type': 'string', 'minLength': 1}, 'example': 'losses'}"},
    {"step", "{'name': 'step', 'in': 'query', 'description': 'The latest where it is absent.', 'schema': <Step>}"},
    {"steps", "{'name': 'step', 'in': 'query', 'description': 'The latest where it is absent.', "
              "'schema': {'anyOf': [<Step>, {'const': 'all'}]}}"},
    {"kind", "{'name': 'kind', 'in': 'query', 'description': 'Losses of this kind alone.', "
             "'schema': {'enum': ['elementwise', 'rowwise', 'batchwise', 'samplewise', 'whole']}}"},
    {"q", "{'name': 'q', 'in': 'query', 'description': 'Losses alone that have each of these words in their name, "
          "an alias or their summary.', 'schema': {'type': 'string', 'minLength': 1}, 'example': 'softmax'}"},
    {"limit", "{'name': 'limit', 'in': 'query', 'description': 'At most so many a page.', "
              "'schema': {'type': 'integer', 'minimum': 1, 'maximum': 1000, 'default': 1000}}"},
    {"cursor", "{'name': 'cursor', 'in': 'query', 'description': 'next_cursor of the page before.', "
               "'schema': {'type': 'string', 'minLength': 1}}"},
    {"add_regularization_losses",
     "{'name': 'add_regularization_losses', 'in': 'query', 'schema': {'type': 'boolean', 'default': true}}"},
    {"Idempotency-Key",
     "{'name': 'Idempotency-Key', 'in': 'header', "
     "'description': 'A repeat with the same key and bytes adds nothing and gets the first answer.', "
     "'schema': {'type': 'string', 'minLength': 1, 'maxLength': 255, 'pattern': '^[!-~]+$'}}"},
    {"Content-Encoding", "{'name': 'Content-Encoding', 'in': 'header', 'description': 'How the body is compressed.', "
                         "'schema': {'enum': ['identity', 'gzip', 'zstd'], 'default': 'identity'}}"},
    {"Inference-Header-Content-Length",
     "{'name': 'Inference-Header-Content-Length', 'in': 'header', "
     "'description': 'Length of the JSON where bytes of tensors follow it; 0: the body is the bytes of the only input.', "
     "'schema': {'type': 'integer', 'minimum': 0}}"},
    {"X-Request-Timeout-Ms", "{'name': 'X-Request-Timeout-Ms', 'in': 'header', 'description': 'A deadline.', "
                             "'schema': {'type': 'integer', 'minimum': 1, 'maximum': 86400000}}"},
    {"X-Request-Id", "{'name': 'X-Request-Id', 'in': 'header', "
                     "'description': 'Answered as it is; made up where it is absent, or other than 1 to 128 visible "
                     "characters.', 'schema': {'type': 'string'}}"},
};

/* What call_fields hold; gradients and reduction are generated. */
#define FIELD_weights                                                                                                  \
    "{'description': 'A scalar, or of the rank of the losses with each dimension 1 or equal.', "                       \
    "'$ref': '#/components/schemas/Tensor', 'default': 1}"
#define FIELD_reduction NULL
#define FIELD_gradients NULL
#define FIELD_losses                                                                                                   \
    "{'description': 'false leaves the per-sample losses out of the answer.', 'type': 'boolean', "                     \
    "'default': true}"
#define FIELD_dtype \
    "{'description': 'Of the inputs and the answer.', '$ref': '#/components/schemas/Dtype', 'default': 'float32'}"
#define FIELD_weights_mask                                                                                             \
    "{'description': 'Skip elements of weight 0 instead of multiplying them.', 'type': 'boolean', "                    \
    "'default': false}"
#define FIELD_registry "{'description': 'Adds the loss to this registry.', '$ref': '#/components/schemas/Name'}"
#define FIELD_name                                                                                                     \
    "{'description': 'Of the entry in the registry; the name of the loss where it is absent.', "                       \
    "'$ref': '#/components/schemas/Name'}"
#define FIELD_collection "{'description': 'Of the entry in the registry.', '$ref': '#/components/schemas/Name'}"
#define FIELD_step "{'description': 'Of the entry in the registry.', '$ref': '#/components/schemas/Step', 'default': 0}"
#define FIELD_accumulate                                                                                               \
    "{'description': 'Merge this batch into the entry of that name and step, which then holds the loss of all batches.', "   \
    "'type': 'boolean', 'default': false}"

/* clang-format on */

static const struct part fields[] = {
#define FIELD_PART(name) {#name, FIELD_##name},
    CALL_FIELD_MAP(FIELD_PART)
#undef FIELD_PART
};

void openapi_text(struct json_out *o, const char *key, const char *text)
{
    json_out_key(o, key);
    json_out_string(o, text);
}

#define REF_HEAD "{\"$ref\":\"#/components/schemas/"
#define REF_TAIL "\"}"

/* Longer than the short form by at most this for each of its references. */
enum { REF_EXTRA = sizeof REF_HEAD + sizeof REF_TAIL };

void openapi_short(struct json_out *o, const char *text)
{
    size_t size = strlen(text) + 1;
    for (const char *p = strchr(text, '<'); p != NULL; p = strchr(p + 1, '<')) {
        size += REF_EXTRA;
    }
    char *json = loss_arena_alloc(o->arena, size, 1);
    if (json == NULL) {
        o->failed = true;
        return;
    }
    char *out = json;
    for (const char *p = text; *p != '\0'; p++) {
        const char *insert = *p == '<' ? REF_HEAD : *p == '>' ? REF_TAIL : *p == '\'' ? "\"" : NULL;
        if (insert == NULL) {
            *out++ = *p;
        } else {
            memcpy(out, insert, strlen(insert));
            out += strlen(insert);
        }
    }
    json_out_raw(o, json, (size_t)(out - json));
}

void openapi_ref(struct json_out *o, const char *section, const char *name)
{
    char ref[160];
    snprintf(ref, sizeof ref, "#/components/%s/%s", section, name);
    json_out_open(o, '{');
    openapi_text(o, "$ref", ref);
    json_out_close(o, '}');
}

void openapi_loss_names(struct json_out *o)
{
    json_out_open(o, '[');
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        const struct loss_desc *desc = loss_catalog_at(i);
        json_out_string(o, desc->name);
        for (const struct loss_alias *alias = desc->aliases; alias != NULL && alias->name != NULL; alias++) {
            json_out_string(o, alias->name);
        }
    }
    json_out_close(o, ']');
}

bool openapi_has_parameter(const char *name)
{
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        if (strcmp(parameters[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void write_parts(struct json_out *o, const struct part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_out_key(o, parts[i].name);
        openapi_short(o, parts[i].json);
    }
}

static void write_strings(struct json_out *o, const char *const *words)
{
    for (; words != NULL && *words != NULL; words++) {
        json_out_string(o, *words);
    }
}

static void open_enum(struct json_out *o, const char *name)
{
    json_out_key(o, name);
    json_out_open(o, '{');
    openapi_text(o, "type", "string");
    json_out_key(o, "enum");
    json_out_open(o, '[');
}

static void close_enum(struct json_out *o)
{
    json_out_close(o, ']');
    json_out_close(o, '}');
}

/* TensorFlow's own words, where they are not ours, and the deprecated name of one of them. */
static void write_reductions(struct json_out *o, bool aliases)
{
    static const char *const tensorflow[] = {
#define REDUCTION_TENSORFLOW(id, name, tensorflow) tensorflow,
        LOSS_REDUCTION_MAP(REDUCTION_TENSORFLOW)
#undef REDUCTION_TENSORFLOW
    };
    for (int i = 0; i < LOSS_REDUCTION_COUNT; i++) {
        json_out_string(o, loss_reduction_name((loss_reduction)i));
    }
    for (int i = 0; aliases && i < LOSS_REDUCTION_COUNT; i++) {
        if (strcmp(tensorflow[i], loss_reduction_name((loss_reduction)i)) != 0) {
            json_out_string(o, tensorflow[i]);
        }
    }
    if (aliases) {
        json_out_string(o, "sum_over_nonzero_weights");
    }
}

static void write_enums(struct json_out *o)
{
    open_enum(o, "Dtype");
    json_out_string(o, loss_dtype_name(LOSS_FLOAT32));
    json_out_string(o, loss_dtype_name(LOSS_FLOAT64));
    close_enum(o);
    open_enum(o, "TensorDtype");
    for (int i = 0; i < LOSS_DTYPE_COUNT; i++) {
        json_out_string(o, loss_dtype_name((loss_dtype)i));
    }
    close_enum(o);
    open_enum(o, "ReductionName");
    write_reductions(o, false);
    close_enum(o);
    open_enum(o, "Reduction");
    write_reductions(o, true);
    close_enum(o);
    open_enum(o, "ProblemCode");
    for (int i = LOSS_OK + 1; i < LOSS_STATUS_COUNT; i++) {
        json_out_string(o, loss_status_slug((loss_status)i));
    }
    close_enum(o);
}

/* Requests */

static void write_bounds(struct json_out *o, const struct loss_param *param)
{
    bool whole = param->type == LOSS_INTEGER;
    if (catalog_has_min(param)) {
        json_out_key(o, param->above_min ? "exclusiveMinimum" : "minimum");
        json_out_f64(o, param->min);
    } else if (whole) {
        json_out_key(o, "minimum");
        json_out_f64(o, -LOSS_INTEGER_MAX);
    }
    if (catalog_has_max(param)) {
        json_out_key(o, param->below_max ? "exclusiveMaximum" : "maximum");
        json_out_f64(o, param->max);
    } else if (whole) {
        json_out_key(o, "maximum");
        json_out_f64(o, LOSS_INTEGER_MAX);
    }
}

/* A number as the parameter has it, or a tensor that is none. */
static void write_number_or_vector(struct json_out *o, const struct loss_param *param)
{
    json_out_key(o, "anyOf");
    json_out_open(o, '[');
    json_out_open(o, '{');
    openapi_text(o, "type", "number");
    write_bounds(o, param);
    json_out_close(o, '}');
    openapi_short(o, "{'type': 'array', 'items': <Numbers>}");
    openapi_ref(o, "schemas", "FlatTensor");
    openapi_ref(o, "schemas", "EncodedTensor");
    json_out_close(o, ']');
}

static void write_param_type(struct json_out *o, const struct loss_param *param)
{
    switch (param->type) {
    case LOSS_NUMBER:
        openapi_text(o, "type", "number");
        write_bounds(o, param);
        break;
    case LOSS_INTEGER:
    case LOSS_AXIS:
        openapi_text(o, "type", "integer");
        write_bounds(o, param);
        break;
    case LOSS_BOOLEAN:
        openapi_text(o, "type", "boolean");
        break;
    case LOSS_WORD:
        json_out_key(o, "enum");
        json_out_open(o, '[');
        write_strings(o, param->words);
        json_out_close(o, ']');
        break;
    case LOSS_VECTOR:
        openapi_text(o, "$ref", "#/components/schemas/Tensor");
        break;
    case LOSS_NUMBER_OR_VECTOR:
        write_number_or_vector(o, param);
        break;
    case LOSS_AXES:
        json_out_key(o, "anyOf");
        openapi_short(o, "[{'type': 'integer'}, {'type': 'array', 'maxItems': 8, 'items': {'type': 'integer'}}]");
        break;
    }
}

static void write_param(struct json_out *o, const struct loss_param *param)
{
    json_out_open(o, '{');
    if (param->doc != NULL) {
        openapi_text(o, "description", param->doc);
    }
    write_param_type(o, param);
    if (!param->required && !param->optional) {
        json_out_key(o, "default");
        catalog_json_default(o, param, param->fallback);
    }
    json_out_close(o, '}');
}

static void write_alias_of(struct json_out *o, const char *alias, const char *name)
{
    char text[160];
    snprintf(text, sizeof text, "Another name for %s.", name);
    json_out_key(o, alias);
    json_out_open(o, '{');
    openapi_text(o, "description", text);
}

static void write_input(struct json_out *o, const struct loss_input *input)
{
    char text[512];
    snprintf(text, sizeof text, "%s%sNumbers: %s.", input->doc == NULL ? "" : input->doc, input->doc == NULL ? "" : " ",
             catalog_domain_name(input->domain));
    json_out_key(o, input->name);
    json_out_open(o, '{');
    openapi_text(o, "description", text);
    openapi_text(o, "$ref", "#/components/schemas/Tensor");
    json_out_close(o, '}');
    for (const char *const *alias = input->aliases; alias != NULL && *alias != NULL; alias++) {
        write_alias_of(o, *alias, input->name);
        openapi_text(o, "$ref", "#/components/schemas/Tensor");
        json_out_close(o, '}');
    }
}

static void write_gradients_field(struct json_out *o, const struct loss_desc *desc)
{
    json_out_open(o, '{');
    openapi_text(o, "description", "true: with respect to the main input; or the inputs to differentiate by.");
    json_out_key(o, "anyOf");
    json_out_open(o, '[');
    openapi_short(o, "{'type': 'boolean'}");
    json_out_open(o, '{');
    openapi_text(o, "type", "array");
    json_out_key(o, "items");
    json_out_open(o, '{');
    json_out_key(o, "enum");
    json_out_open(o, '[');
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        if (input->differentiable) {
            json_out_string(o, input->name);
            write_strings(o, input->aliases);
        }
    }
    json_out_string(o, "weights");
    json_out_close(o, ']');
    json_out_close(o, '}');
    json_out_close(o, '}');
    json_out_close(o, ']');
    json_out_key(o, "default");
    json_out_bool(o, false);
    json_out_close(o, '}');
}

static void write_reduction_field(struct json_out *o, const struct loss_desc *desc)
{
    json_out_open(o, '{');
    openapi_text(o, "$ref", "#/components/schemas/Reduction");
    openapi_text(o, "default", loss_reduction_name(desc->reduction));
    json_out_close(o, '}');
}

static void write_properties(struct json_out *o, const struct loss_desc *desc)
{
    json_out_key(o, "properties");
    json_out_open(o, '{');
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        write_input(o, input);
    }
    for (const struct loss_param *param = desc->params; param->name != NULL; param++) {
        json_out_key(o, param->name);
        write_param(o, param);
        for (const char *const *alias = param->aliases; alias != NULL && *alias != NULL; alias++) {
            write_alias_of(o, *alias, param->name);
            write_param_type(o, param);
            json_out_close(o, '}');
        }
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        json_out_key(o, fields[i].name);
        if (strcmp(fields[i].name, "reduction") == 0) {
            write_reduction_field(o, desc);
        } else if (strcmp(fields[i].name, "gradients") == 0) {
            write_gradients_field(o, desc);
        } else {
            openapi_short(o, fields[i].json);
        }
    }
    json_out_close(o, '}');
}

/* {"required": ["labels"]} */
static void write_one_required(struct json_out *o, const char *name)
{
    json_out_open(o, '{');
    json_out_key(o, "required");
    json_out_open(o, '[');
    json_out_string(o, name);
    json_out_close(o, ']');
    json_out_close(o, '}');
}

/* A field with several names is there under exactly one of them. */
static void write_exactly_one(struct json_out *o, const char *name, const char *const *aliases)
{
    json_out_open(o, '{');
    json_out_key(o, "oneOf");
    json_out_open(o, '[');
    write_one_required(o, name);
    for (; *aliases != NULL; aliases++) {
        write_one_required(o, *aliases);
    }
    json_out_close(o, ']');
    json_out_close(o, '}');
}

static bool has_aliases(const char *const *aliases)
{
    return aliases != NULL && *aliases != NULL;
}

static void write_required(struct json_out *o, const struct loss_desc *desc)
{
    bool any_aliases = false;
    json_out_key(o, "required");
    json_out_open(o, '[');
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        any_aliases = any_aliases || (!input->optional && has_aliases(input->aliases));
        if (!input->optional && !has_aliases(input->aliases)) {
            json_out_string(o, input->name);
        }
    }
    for (const struct loss_param *param = desc->params; param->name != NULL; param++) {
        any_aliases = any_aliases || (param->required && has_aliases(param->aliases));
        if (param->required && !has_aliases(param->aliases)) {
            json_out_string(o, param->name);
        }
    }
    json_out_close(o, ']');
    if (!any_aliases) {
        return;
    }
    json_out_key(o, "allOf");
    json_out_open(o, '[');
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        if (!input->optional && has_aliases(input->aliases)) {
            write_exactly_one(o, input->name, input->aliases);
        }
    }
    for (const struct loss_param *param = desc->params; param->name != NULL; param++) {
        if (param->required && has_aliases(param->aliases)) {
            write_exactly_one(o, param->name, param->aliases);
        }
    }
    json_out_close(o, ']');
}

static void write_needs(struct json_out *o, const char *name, const char *needed)
{
    json_out_key(o, name);
    json_out_open(o, '[');
    json_out_string(o, needed);
    json_out_close(o, ']');
}

/* What is about an entry needs a registry, and some inputs come in pairs: those have one name each. */
static void write_dependent(struct json_out *o, const struct loss_desc *desc)
{
    static const char *const of_entries[] = {"name", "collection", "step"};
    json_out_key(o, "dependentRequired");
    json_out_open(o, '{');
    for (size_t i = 0; i < sizeof of_entries / sizeof *of_entries; i++) {
        write_needs(o, of_entries[i], "registry");
    }
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        if (input->together_with != NULL) {
            write_needs(o, input->name, input->together_with);
        }
    }
    json_out_close(o, '}');
}

static void write_request(struct json_out *o, const struct loss_desc *desc)
{
    json_out_key(o, desc->name);
    json_out_open(o, '{');
    openapi_text(o, "description", desc->summary);
    openapi_text(o, "type", "object");
    json_out_key(o, "additionalProperties");
    json_out_bool(o, false);
    write_dependent(o, desc);
    write_required(o, desc);
    write_properties(o, desc);
    json_out_key(o, "examples");
    json_out_open(o, '[');
    json_out_raw(o, desc->example, strlen(desc->example));
    json_out_close(o, ']');
    json_out_close(o, '}');
}

/* The request of any loss, for the path that takes its name. */
static void write_any_request(struct json_out *o)
{
    json_out_key(o, "AnyLoss");
    json_out_open(o, '{');
    openapi_text(o, "description", "The request of the loss that the path names.");
    json_out_key(o, "anyOf");
    json_out_open(o, '[');
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        openapi_ref(o, "schemas", loss_catalog_at(i)->name);
    }
    json_out_close(o, ']');
    json_out_close(o, '}');
}

/* Responses */

/* "name": {"description": .., "content": {type: {"schema": ..}}}; headers NULL: none */
static void write_response(struct json_out *o, const char *name, const char *description, const char *headers,
                           const char *type, const char *schema)
{
    json_out_key(o, name);
    json_out_open(o, '{');
    openapi_text(o, "description", description);
    if (headers != NULL) {
        json_out_key(o, "headers");
        openapi_short(o, headers);
    }
    json_out_key(o, "content");
    json_out_open(o, '{');
    json_out_key(o, type);
    json_out_open(o, '{');
    json_out_key(o, "schema");
    openapi_ref(o, "schemas", schema);
    json_out_close(o, '}');
    json_out_close(o, '}');
    json_out_close(o, '}');
}

#define RETRY_AFTER                                                                                                    \
    "{'Retry-After': {'description': 'Seconds.', 'required': true, 'schema': {'type': 'integer', 'minimum': 1}}}"

#define WWW_AUTHENTICATE                                                                                               \
    "{'WWW-Authenticate': {'description': 'Bearer.', 'required': true, 'schema': {'type': 'string'}}}"

static const char *headers_of(int http)
{
    return http == 401 ? WWW_AUTHENTICATE : http == 429 || http == 503 ? RETRY_AFTER : NULL;
}

static void write_problem_response(struct json_out *o, int http)
{
    char name[16];
    char text[512] = "";
    size_t used = 0;
    snprintf(name, sizeof name, "Problem%d", http);
    for (int i = LOSS_OK + 1; i < LOSS_STATUS_COUNT && used < sizeof text; i++) {
        if (loss_status_http((loss_status)i) == http) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%s`%s`", used == 0 ? "" : ", ",
                                     loss_status_slug((loss_status)i));
        }
    }
    write_response(o, name, text, headers_of(http), "application/problem+json", "Problem");
}

/* Where a key goes; the operations say which of its scopes they need. */
static void write_schemes(struct json_out *o)
{
    openapi_short(o,
                  "{'bearer': {'type': 'http', 'scheme': 'bearer', 'description': "
                  "'A key, where the server has some (--auth-file). An operation lists the scope that the key needs; "
                  "computing into a registry needs registry:write, too.'}, "
                  "'header': {'type': 'apiKey', 'in': 'header', 'name': 'X-API-Key', 'description': "
                  "'The same key, where a proxy uses Authorization itself.'}}");
}

void openapi_components(struct json_out *o)
{
    json_out_open(o, '{');
    json_out_key(o, "securitySchemes");
    write_schemes(o);
    json_out_key(o, "schemas");
    json_out_open(o, '{');
    write_enums(o);
    write_parts(o, schemas, sizeof schemas / sizeof *schemas);
    write_any_request(o);
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        write_request(o, loss_catalog_at(i));
    }
    json_out_close(o, '}');
    json_out_key(o, "parameters");
    json_out_open(o, '{');
    write_parts(o, parameters, sizeof parameters / sizeof *parameters);
    json_out_close(o, '}');
    json_out_key(o, "responses");
    json_out_open(o, '{');
    for (int i = LOSS_OK + 1; i < LOSS_STATUS_COUNT; i++) {
        /* One an HTTP status; the map has them in order. */
        if (loss_status_http((loss_status)i) != loss_status_http((loss_status)(i - 1))) {
            write_problem_response(o, loss_status_http((loss_status)i));
        }
    }
    write_response(o, "InferenceProblem", "What went wrong, in one sentence.", NULL, "application/json",
                   "InferenceProblem");
    json_out_close(o, '}');
    json_out_close(o, '}');
}
