/* SPDX-License-Identifier: Apache-2.0
 *
 * params.c - the parameters of a call: defaults, and setters that check type and range.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <loss/compute.h>

#define NUMBER_TEXT 32
#define RANGE_TEXT 80

void loss_call_init(struct loss_call *call, const struct loss_desc *desc, const struct loss_alias *alias)
{
    *call = (struct loss_call){.desc = desc, .reduction = desc->reduction, .want_losses = true};
    call->dtype = LOSS_FLOAT32;
    for (int i = 0; desc->params[i].name != NULL; i++) {
        const struct loss_param *p = &desc->params[i];
        call->param[i].given = !p->required && !p->optional;
        call->param[i].number = p->fallback;
    }
    for (const struct loss_preset *preset = alias == NULL ? NULL : alias->presets;
         preset != NULL && preset < alias->presets + sizeof alias->presets / sizeof *alias->presets &&
         preset->param != NULL;
         preset++) {
        int i = loss_desc_param(desc, preset->param);
        if (i >= 0) {
            call->param[i].given = true;
            call->param[i].number = preset->value;
        }
    }
}

/* The shortest decimal that reads back as x. */
static const char *number_text(double x, char buf[NUMBER_TEXT])
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buf, NUMBER_TEXT, "%.*g", digits, x);
        if (strtod(buf, NULL) == x) {
            break;
        }
    }
    return buf;
}

/* "> 0", ">= 0", "in [0, 1]" */
static const char *range_text(const struct loss_param *p, char buf[RANGE_TEXT])
{
    char low[NUMBER_TEXT], high[NUMBER_TEXT];
    number_text(p->min, low);
    number_text(p->max, high);
    if (isinf(p->max)) {
        snprintf(buf, RANGE_TEXT, "%s %s", p->above_min ? ">" : ">=", low);
    } else if (isinf(p->min)) {
        snprintf(buf, RANGE_TEXT, "%s %s", p->below_max ? "<" : "<=", high);
    } else {
        snprintf(buf, RANGE_TEXT, "in %s%s, %s%s", p->above_min ? "(" : "[", low, high, p->below_max ? ")" : "]");
    }
    return buf;
}

static const char *place(const struct loss_param *p, const char *pointer, char buf[256])
{
    if (pointer != NULL) {
        return pointer;
    }
    snprintf(buf, 256, "/%s", p->name);
    return buf;
}

static const char *type_text(loss_param_type type)
{
    static const char *const texts[] = {
        [LOSS_NUMBER] = "a number",
        [LOSS_INTEGER] = "a whole number",
        [LOSS_WORD] = "a word",
        [LOSS_BOOLEAN] = "true or false",
        [LOSS_VECTOR] = "a vector over the classes",
        [LOSS_NUMBER_OR_VECTOR] = "a number or a vector over the classes",
        [LOSS_AXIS] = "an axis",
        [LOSS_AXES] = "an axis or a list of axes",
    };
    return texts[type];
}

static loss_status wrong_type(const struct loss_param *p, const char *pointer, struct loss_error *err)
{
    char buf[256];
    return loss_fail(err, LOSS_INVALID_PARAMETER, place(p, pointer, buf), "%s must be %s", p->name, type_text(p->type));
}

static loss_status not_whole(const struct loss_param *p, double value, const char *pointer, struct loss_error *err)
{
    char buf[256], got[NUMBER_TEXT];
    bool whole = value == trunc(value) && p->type != LOSS_AXES;
    return loss_fail(err, LOSS_INVALID_PARAMETER, place(p, pointer, buf), "%s must be a whole number%s, got %s",
                     p->name, whole ? " whose magnitude is below 2^53" : "", number_text(value, got));
}

static bool in_range(const struct loss_param *p, double x)
{
    if (p->min == 0 && p->max == 0) {
        return isfinite(x);
    }
    return (p->above_min ? x > p->min : x >= p->min) && (p->below_max ? x < p->max : x <= p->max);
}

static loss_status out_of_range(const struct loss_param *p, double value, const char *pointer, struct loss_error *err)
{
    char buf[256], range[RANGE_TEXT], got[NUMBER_TEXT];
    bool bounded = p->min != 0 || p->max != 0;
    return loss_fail(err, LOSS_INVALID_PARAMETER, place(p, pointer, buf), "%s must be %s%s, got %s", p->name,
                     isinf(value) && bounded ? "finite and " : "", bounded ? range_text(p, range) : "finite",
                     number_text(value, got));
}

loss_status loss_call_set_number(struct loss_call *call, int i, double value, const char *pointer,
                                 struct loss_error *err)
{
    const struct loss_param *p = &call->desc->params[i];
    if (p->type == LOSS_AXES) {
        int axis = fabs(value) <= LOSS_MAX_RANK ? (int)value : LOSS_MAX_RANK + 1;
        return axis == value ? loss_call_set_axes(call, i, &axis, 1, pointer, err) : not_whole(p, value, pointer, err);
    }
    bool whole = p->type == LOSS_INTEGER || p->type == LOSS_AXIS;
    if (!whole && p->type != LOSS_NUMBER && p->type != LOSS_NUMBER_OR_VECTOR) {
        return wrong_type(p, pointer, err);
    }
    if (whole && !(fabs(value) <= LOSS_INTEGER_MAX && value == trunc(value))) {
        return not_whole(p, value, pointer, err);
    }
    if (!in_range(p, value)) {
        return out_of_range(p, value, pointer, err);
    }
    call->param[i] = (struct loss_param_value){.given = true, .number = value};
    return LOSS_OK;
}

loss_status loss_call_set_boolean(struct loss_call *call, int i, bool value, const char *pointer,
                                  struct loss_error *err)
{
    const struct loss_param *p = &call->desc->params[i];
    if (p->type != LOSS_BOOLEAN) {
        return wrong_type(p, pointer, err);
    }
    call->param[i] = (struct loss_param_value){.given = true, .number = value};
    return LOSS_OK;
}

/* "a, b or c" */
static void list_words(const char *const *words, size_t n, char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < n && used < size; i++) {
        const char *separator = i == 0 ? "" : i == n - 1 ? " or " : ", ";
        used += (size_t)snprintf(buf + used, size - used, "%s%s", separator, words[i]);
    }
}

loss_status loss_call_set_word(struct loss_call *call, int i, const char *word, const char *pointer,
                               struct loss_error *err)
{
    const struct loss_param *p = &call->desc->params[i];
    if (p->type != LOSS_WORD) {
        return wrong_type(p, pointer, err);
    }
    size_t n = 0;
    for (; p->words[n] != NULL; n++) {
        if (strcmp(p->words[n], word) == 0) {
            call->param[i] = (struct loss_param_value){.given = true, .number = (double)n};
            return LOSS_OK;
        }
    }
    char buf[256], known[512];
    list_words(p->words, n, known, sizeof known);
    const char *near = loss_nearest_word(word, p->words, n);
    return loss_fail(err, LOSS_INVALID_PARAMETER, place(p, pointer, buf), "%s must be %s, got \"%.64s\"%s%s%s", p->name,
                     known, word, near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                     near == NULL ? "" : "\"?");
}

loss_status loss_call_set_vector(struct loss_call *call, int i, const struct loss_tensor *vector,
                                 struct loss_error *err)
{
    const struct loss_param *p = &call->desc->params[i];
    if (p->type != LOSS_VECTOR && p->type != LOSS_NUMBER_OR_VECTOR) {
        return wrong_type(p, vector->pointer, err);
    }
    call->param[i] = (struct loss_param_value){.given = true, .vector = *vector};
    return LOSS_OK;
}

loss_status loss_call_set_axes(struct loss_call *call, int i, const int *axes, int n, const char *pointer,
                               struct loss_error *err)
{
    const struct loss_param *p = &call->desc->params[i];
    if (p->type == LOSS_AXIS && n == 1) {
        return loss_call_set_number(call, i, axes[0], pointer, err);
    }
    if (p->type != LOSS_AXES || n < 1 || n > LOSS_MAX_RANK) {
        return wrong_type(p, pointer, err);
    }
    call->param[i] = (struct loss_param_value){.given = true, .n_axes = n};
    memcpy(call->param[i].axes, axes, (size_t)n * sizeof *axes);
    return LOSS_OK;
}
