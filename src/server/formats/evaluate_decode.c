/* SPDX-License-Identifier: Apache-2.0
 *
 * evaluate_decode.c - one body to many calls.
 */
#include <server/formats/evaluate.h>

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include <server/formats/json_envelope.h>
#include <server/formats/safetensors_body.h>

struct evaluate_decoder {
    struct loss_arena *arena;
    struct evaluate_options options;
    struct safetensors_decoder *file; /* or ... */
    struct json_scan *scan;           /* ... this one; of a file: its spec */
    struct envelope_refs refs;
};

static struct json_scan *scan_new(struct loss_arena *arena, const struct evaluate_options *options)
{
    return json_scan_new(arena, &(struct json_scan_options){.max_depth = options->max_depth,
                                                            .max_envelope = ENVELOPE_MAX,
                                                            .strict = options->strict});
}

struct evaluate_decoder *evaluate_decoder_new(struct loss_arena *arena, const struct evaluate_options *options)
{
    struct evaluate_decoder *d = loss_arena_alloc(arena, sizeof *d, alignof(struct evaluate_decoder));
    if (d == NULL) {
        return NULL;
    }
    *d = (struct evaluate_decoder){.arena = arena, .options = *options};
    if (options->safetensors) {
        d->file = safetensors_decoder_new(arena, &(struct safetensors_options){.has_body_size = options->has_body_size,
                                                                               .body_size = options->body_size,
                                                                               .max_body = options->max_body});
        return d->file == NULL ? NULL : d;
    }
    d->scan = scan_new(arena, options);
    return d->scan == NULL ? NULL : d;
}

loss_status evaluate_decoder_feed(struct evaluate_decoder *d, const char *bytes, size_t n, struct loss_error *err)
{
    return d->file != NULL ? safetensors_decoder_feed(d->file, bytes, n, err) : json_scan_feed(d->scan, bytes, n, err);
}

loss_status evaluate_blame(size_t i, loss_status status, const struct loss_error *inner, struct loss_error *err)
{
    const char *p = inner->pointer;
    bool absolute = strncmp(p, "/losses/", 8) == 0 || strncmp(p, "/tensors/", 9) == 0;
    char pointer[sizeof inner->pointer + 32];
    if (status == LOSS_OK) {
        return status;
    }
    snprintf(pointer, sizeof pointer, "/losses/%zu%s", i, p);
    return loss_fail(err, inner->status, absolute ? p : pointer, "%s", inner->message);
}

static loss_status share_list(struct evaluate_decoder *d, size_t n, struct loss_error *err)
{
    d->refs.list = loss_arena_alloc(d->arena, n * sizeof *d->refs.list, alignof(struct envelope_shared));
    if (d->refs.list == NULL) {
        return loss_no_memory(err, "this request");
    }
    memset(d->refs.list, 0, n * sizeof *d->refs.list);
    d->refs.n = n;
    return LOSS_OK;
}

static loss_status share_members(struct evaluate_decoder *d, const json_t *tensors, struct loss_error *err)
{
    size_t i = 0;
    const char *key;
    json_t *member;
    if (!json_is_object(tensors)) {
        return envelope_wrong_type(d->scan, tensors, "an object of tensors by name", "/tensors", err);
    }
    LOSS_TRY(share_list(d, json_object_size(tensors), err));
    json_object_foreach((json_t *)(uintptr_t)tensors, key, member)
    {
        d->refs.list[i++] = (struct envelope_shared){.name = key, .json = member};
    }
    return LOSS_OK;
}

/* The file's tensors, and its spec into the scanner. */
static loss_status read_file(struct evaluate_decoder *d, struct loss_error *err)
{
    const struct safetensors_header *file;
    const char *spec = NULL;
    LOSS_TRY(safetensors_decoder_file(d->file, &file, err));
    for (size_t i = 0; i < file->n_metadata; i++) {
        if (strcmp(file->metadata[i].name, "spec") == 0) {
            spec = file->metadata[i].value;
        }
    }
    if (spec == NULL) {
        return loss_fail(err, LOSS_MISSING_FIELD, "",
                         "the metadata needs a \"spec\": {\"losses\": [...]} as text, as of a JSON body");
    }
    LOSS_TRY(share_list(d, file->n, err));
    for (size_t i = 0; i < file->n; i++) {
        d->refs.list[i] =
            (struct envelope_shared){.name = file->entry[i].name, .has_wide = true, .wide = file->entry[i].tensor};
    }
    d->scan = scan_new(d->arena, &d->options);
    return d->scan == NULL ? loss_no_memory(err, "this request") : json_scan_feed(d->scan, spec, strlen(spec), err);
}

/* float64 where an entry says so, or has a real input from a file that is. */
static loss_dtype dtype_of(const struct evaluate_decoder *d, const struct loss_desc *desc, const json_t *entry)
{
    const char *word = json_string_value(json_object_get(entry, "dtype"));
    loss_dtype dtype = LOSS_FLOAT32;
    const char *key;
    json_t *member;
    if (word != NULL) {
        return loss_dtype_parse(word, &dtype) && dtype == LOSS_FLOAT64 ? LOSS_FLOAT64 : LOSS_FLOAT32;
    }
    json_object_foreach((json_t *)(uintptr_t)entry, key, member)
    {
        int input = loss_desc_input(desc, key);
        const char *name = json_string_value(json_object_get(member, "ref"));
        for (size_t i = 0; d->file != NULL && input >= 0 && name != NULL && i < d->refs.n; i++) {
            const struct envelope_shared *s = &d->refs.list[i];
            bool wide = strcmp(s->name, name) == 0 && s->wide.dtype == LOSS_FLOAT64;
            dtype = wide && !fields_whole(&desc->inputs[input]) ? LOSS_FLOAT64 : dtype;
        }
    }
    return dtype;
}

static loss_status find_loss(const struct evaluate_decoder *d, const json_t *entry, const struct loss_desc **desc,
                             const struct loss_alias **alias, struct loss_error *err)
{
    const json_t *name = json_object_get(entry, "loss");
    const char *word = NULL, *nearest = NULL;
    char clip[CALL_CLIP];
    if (name == NULL) {
        return loss_fail(err, LOSS_MISSING_FIELD, "/loss", "an entry needs the field \"loss\", the name of one");
    }
    LOSS_TRY(envelope_word(d->scan, name, "the name of a loss", "/loss", &word, err));
    *desc = loss_catalog_find(word, alias);
    if (*desc != NULL) {
        return LOSS_OK;
    }
    bool near = loss_catalog_nearest(word, &nearest, 1) > 0;
    return loss_fail(err, LOSS_UNKNOWN_LOSS, "/loss", "there is no loss \"%s\"%s%s; GET /v1/losses lists them all",
                     call_clip(word, clip), near ? "; the nearest: " : "", near ? nearest : "");
}

static loss_status read_entry(struct evaluate_decoder *d, const json_t *entry, struct call *call,
                              struct loss_error *err)
{
    const struct loss_desc *desc = NULL;
    const struct loss_alias *alias = NULL;
    const char *key;
    json_t *member;
    if (!json_is_object(entry)) {
        return envelope_wrong_type(d->scan, entry, "an object: {\"loss\": name, and what it takes}", "", err);
    }
    LOSS_TRY(find_loss(d, entry, &desc, &alias, err));
    call_init(call, desc, alias);
    call->loss.dtype = dtype_of(d, desc, entry);
    struct envelope r = {.arena = d->arena, .scan = d->scan, .desc = desc, .call = call, .refs = &d->refs};
    json_object_foreach((json_t *)(uintptr_t)entry, key, member)
    {
        if (strcmp(key, "loss") != 0) {
            LOSS_TRY(fields_read(&r, key, NULL, member, err));
        }
    }
    LOSS_TRY(fields_gradients(&r, err));
    return call_check(call, err);
}

static loss_status read_losses(struct evaluate_decoder *d, const json_t *losses, struct evaluation *out,
                               struct loss_error *err)
{
    size_t n = json_array_size(losses);
    if (losses == NULL) {
        return loss_fail(err, LOSS_MISSING_FIELD, "/losses", "the list \"losses\" is needed");
    }
    if (!json_is_array(losses) || n == 0) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "/losses", "must be a list of objects, at least one");
    }
    out->n = n;
    out->call = loss_arena_alloc(d->arena, n * sizeof *out->call, alignof(struct call));
    out->answer = loss_arena_alloc(d->arena, n * sizeof *out->answer, alignof(struct call_answer));
    if (out->call == NULL || out->answer == NULL) {
        return loss_no_memory(err, "this request");
    }
    memset(out->answer, 0, n * sizeof *out->answer);
    for (size_t i = 0; i < n; i++) {
        struct loss_error inner = {.status = LOSS_OK};
        loss_status status = read_entry(d, json_array_get(losses, i), &out->call[i], &inner);
        LOSS_TRY(evaluate_blame(i, status, &inner, err));
    }
    return LOSS_OK;
}

loss_status evaluate_decoder_end(struct evaluate_decoder *d, struct evaluation *out, struct loss_error *err)
{
    json_t *root = NULL;
    const char *key;
    json_t *member;
    if (d->file != NULL) {
        LOSS_TRY(read_file(d, err));
    }
    LOSS_TRY(json_scan_end(d->scan, err));
    LOSS_TRY(envelope_document(d->arena, d->scan, &root, err));
    json_object_foreach(root, key, member)
    {
        bool tensors = strcmp(key, "tensors") == 0 && d->file == NULL;
        if (!tensors && strcmp(key, "losses") != 0) {
            const char *pointer = envelope_pointer(d->arena, "", key);
            char clip[CALL_CLIP];
            return pointer == NULL ? loss_no_memory(err, "this request")
                                   : loss_fail(err, LOSS_UNKNOWN_FIELD, pointer,
                                               "there is no field \"%s\" here; there are %slosses",
                                               call_clip(key, clip), d->file == NULL ? "tensors and " : "");
        }
        if (tensors) {
            LOSS_TRY(share_members(d, member, err));
        }
    }
    return read_losses(d, json_object_get(root, "losses"), out, err);
}
