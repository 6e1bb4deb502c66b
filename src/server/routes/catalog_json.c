/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_json.c - descriptors of losses as JSON.
 */
#include <server/routes/catalog_json.h>

#include <float.h>
#include <math.h>
#include <string.h>
#include <strings.h>

const char *catalog_kind_name(loss_kind kind)
{
    static const char *const names[] = {[LOSS_ELEMENTWISE] = "elementwise",
                                        [LOSS_ROWWISE] = "rowwise",
                                        [LOSS_BATCHWISE] = "batchwise",
                                        [LOSS_SAMPLEWISE] = "samplewise",
                                        [LOSS_WHOLE] = "whole"};
    return names[kind];
}

const char *catalog_param_type_name(loss_param_type type)
{
    static const char *const names[] = {[LOSS_NUMBER] = "number", [LOSS_INTEGER] = "integer",
                                        [LOSS_WORD] = "string",   [LOSS_BOOLEAN] = "boolean",
                                        [LOSS_VECTOR] = "tensor", [LOSS_NUMBER_OR_VECTOR] = "number or tensor",
                                        [LOSS_AXIS] = "axis",     [LOSS_AXES] = "axis or list of axes"};
    return names[type];
}

const char *catalog_domain_name(loss_domain domain)
{
    static const char *const names[] = {
        [LOSS_REAL] = "real",    [LOSS_CLASS_INDEX] = "class index", [LOSS_WHOLE_NUMBER] = "whole number",
        [LOSS_SIGN] = "-1 or 1", [LOSS_BINARY] = "0 or 1",           [LOSS_ENCODED] = "by label_encoding"};
    return names[domain];
}

/* The range of a parameter has two ends, unless both are 0. */
static bool is_bounded(const struct loss_param *param)
{
    return param->min != 0 || param->max != 0;
}

bool catalog_has_min(const struct loss_param *param)
{
    return is_bounded(param) && param->min > -DBL_MAX;
}

bool catalog_has_max(const struct loss_param *param)
{
    return is_bounded(param) && param->max < DBL_MAX;
}

static void write_string(struct json_out *o, const char *key, const char *text)
{
    json_out_key(o, key);
    json_out_string(o, text);
}

static void write_flag(struct json_out *o, const char *key, bool value)
{
    json_out_key(o, key);
    json_out_bool(o, value);
}

static void write_strings(struct json_out *o, const char *key, const char *const *words)
{
    json_out_key(o, key);
    json_out_open(o, '[');
    for (; words != NULL && *words != NULL; words++) {
        json_out_string(o, *words);
    }
    json_out_close(o, ']');
}

/* A whole number without the ".0" that a float has. */
static void write_whole(struct json_out *o, double value)
{
    char text[32];
    size_t n = json_number_f64(text, value, false);
    json_out_raw(o, text, n > 2 && memcmp(text + n - 2, ".0", 2) == 0 ? n - 2 : n);
}

void catalog_json_default(struct json_out *o, const struct loss_param *param, double value)
{
    if (param->required || param->optional) {
        json_out_null(o);
        return;
    }
    switch (param->type) {
    case LOSS_WORD:
        json_out_string(o, param->words[(size_t)value]);
        break;
    case LOSS_BOOLEAN:
        json_out_bool(o, value != 0);
        break;
    case LOSS_INTEGER:
    case LOSS_AXIS:
    case LOSS_AXES:
        write_whole(o, value);
        break;
    case LOSS_NUMBER:
    case LOSS_VECTOR:
    case LOSS_NUMBER_OR_VECTOR:
        json_out_f64(o, value);
        break;
    }
}

static void write_aliases(struct json_out *o, const struct loss_desc *desc)
{
    json_out_key(o, "aliases");
    json_out_open(o, '[');
    for (const struct loss_alias *alias = desc->aliases; alias != NULL && alias->name != NULL; alias++) {
        json_out_string(o, alias->name);
    }
    json_out_close(o, ']');
}

/* A preset that is given although the parameter has no default of its own. */
static void write_preset(struct json_out *o, const struct loss_desc *desc, const struct loss_preset *preset)
{
    struct loss_param param = desc->params[loss_desc_param(desc, preset->param)];
    param.required = param.optional = false;
    json_out_key(o, preset->param);
    catalog_json_default(o, &param, preset->value);
}

/* Names that set defaults of their own: {"cross_entropy": {"ignore_index": -100}}. */
static void write_alias_defaults(struct json_out *o, const struct loss_desc *desc)
{
    json_out_key(o, "alias_defaults");
    json_out_open(o, '{');
    for (const struct loss_alias *alias = desc->aliases; alias != NULL && alias->name != NULL; alias++) {
        if (alias->presets[0].param == NULL) {
            continue;
        }
        json_out_key(o, alias->name);
        json_out_open(o, '{');
        for (size_t i = 0; i < sizeof alias->presets / sizeof *alias->presets; i++) {
            if (alias->presets[i].param == NULL) {
                break;
            }
            write_preset(o, desc, &alias->presets[i]);
        }
        json_out_close(o, '}');
    }
    json_out_close(o, '}');
}

/* What rank an input has, in words. */
static const char *rank_rule(const struct loss_desc *desc, const struct loss_input *input)
{
    switch (input->extent) {
    case LOSS_LIKE_MAIN:
        return "as the main input";
    case LOSS_LEAD:
        return "one less than the main input";
    case LOSS_FREE:
        break;
    }
    static const char *const exactly[] = {NULL, "1", "2"};
    if (desc->rank > 0) {
        return exactly[desc->rank];
    }
    return desc->kind == LOSS_ROWWISE ? "1 to 8" : "0 to 8"; /* a scalar is a batch of one sample */
}

static const char *shape_rule(const struct loss_input *input)
{
    switch (input->extent) {
    case LOSS_LIKE_MAIN:
        return "that of the main input";
    case LOSS_LEAD:
        return "that of the main input without the reduced axis";
    case LOSS_FREE:
        break;
    }
    return "any";
}

static void write_input(struct json_out *o, const struct loss_desc *desc, const struct loss_input *input)
{
    bool whole = input->domain != LOSS_REAL && input->domain != LOSS_ENCODED;
    json_out_open(o, '{');
    write_string(o, "name", input->name);
    write_strings(o, "aliases", input->aliases);
    if (input->doc != NULL) {
        write_string(o, "summary", input->doc);
    }
    write_string(o, "rank", rank_rule(desc, input));
    write_string(o, "shape", shape_rule(input));
    write_string(o, "dtype", whole ? "integer" : "number");
    write_string(o, "domain", catalog_domain_name(input->domain));
    write_flag(o, "main", input->main);
    write_flag(o, "differentiable", input->differentiable);
    write_flag(o, "required", !input->optional);
    if (input->together_with != NULL) {
        write_string(o, "together_with", input->together_with);
    }
    json_out_close(o, '}');
}

static void write_range(struct json_out *o, const struct loss_param *param)
{
    json_out_key(o, "range");
    if (!is_bounded(param)) {
        json_out_null(o);
        return;
    }
    json_out_open(o, '{');
    if (catalog_has_min(param)) {
        json_out_key(o, param->above_min ? "exclusive_minimum" : "minimum");
        json_out_f64(o, param->min);
    }
    if (catalog_has_max(param)) {
        json_out_key(o, param->below_max ? "exclusive_maximum" : "maximum");
        json_out_f64(o, param->max);
    }
    json_out_close(o, '}');
}

static void write_param(struct json_out *o, const struct loss_param *param)
{
    json_out_open(o, '{');
    write_string(o, "name", param->name);
    write_strings(o, "aliases", param->aliases);
    if (param->doc != NULL) {
        write_string(o, "summary", param->doc);
    }
    write_string(o, "type", catalog_param_type_name(param->type));
    write_flag(o, "required", param->required);
    json_out_key(o, "default");
    catalog_json_default(o, param, param->fallback);
    write_range(o, param);
    if (param->words != NULL) {
        write_strings(o, "words", param->words);
    }
    json_out_close(o, '}');
}

void catalog_json_loss(struct json_out *o, const struct loss_desc *desc)
{
    json_out_open(o, '{');
    write_string(o, "name", desc->name);
    write_aliases(o, desc);
    write_alias_defaults(o, desc);
    write_string(o, "summary", desc->summary);
    write_string(o, "formula", desc->formula);
    write_string(o, "kind", catalog_kind_name(desc->kind));
    json_out_key(o, "inputs");
    json_out_open(o, '[');
    for (const struct loss_input *input = desc->inputs; input->name != NULL; input++) {
        write_input(o, desc, input);
    }
    json_out_close(o, ']');
    json_out_key(o, "parameters");
    json_out_open(o, '[');
    for (const struct loss_param *param = desc->params; param->name != NULL; param++) {
        write_param(o, param);
    }
    json_out_close(o, ']');
    write_string(o, "default_reduction", loss_reduction_name(desc->reduction));
    write_string(o, "collection", desc->collection == NULL ? "losses" : desc->collection);
    write_flag(o, "accumulable", !desc->samples_meet);
    json_out_key(o, "accuracy");
    json_out_open(o, '{');
    json_out_key(o, "ulp");
    json_out_u64(o, (uint64_t)desc->ulp);
    json_out_close(o, '}');
    write_string(o, "source", desc->source);
    write_string(o, "edge_cases", desc->edges);
    write_string(o, "elsewhere", desc->elsewhere);
    json_out_key(o, "example");
    json_out_raw(o, desc->example, strlen(desc->example));
    json_out_close(o, '}');
}

static bool contains(const char *text, const char *word, size_t n)
{
    for (; *text != '\0'; text++) {
        if (strncasecmp(text, word, n) == 0) {
            return true;
        }
    }
    return false;
}

static bool speaks_of(const struct loss_desc *desc, const char *word, size_t n)
{
    if (contains(desc->name, word, n) || contains(desc->summary, word, n)) {
        return true;
    }
    for (const struct loss_alias *alias = desc->aliases; alias != NULL && alias->name != NULL; alias++) {
        if (contains(alias->name, word, n)) {
            return true;
        }
    }
    return false;
}

static bool speaks_of_all(const struct loss_desc *desc, const char *words)
{
    for (size_t n; *(words += strspn(words, " ")) != '\0'; words += n) {
        n = strcspn(words, " ");
        if (!speaks_of(desc, words, n)) {
            return false;
        }
    }
    return true;
}

void catalog_json_list(struct json_out *o, const char *kind, const char *words)
{
    json_out_open(o, '{');
    json_out_key(o, "losses");
    json_out_open(o, '[');
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        const struct loss_desc *desc = loss_catalog_at(i);
        if ((kind == NULL || strcmp(catalog_kind_name(desc->kind), kind) == 0) &&
            (words == NULL || speaks_of_all(desc, words))) {
            catalog_json_loss(o, desc);
        }
    }
    json_out_close(o, ']');
    json_out_close(o, '}');
}
