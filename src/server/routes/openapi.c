/* SPDX-License-Identifier: Apache-2.0
 *
 * openapi.c - the OpenAPI document: a path for each row of the route table, and one for each loss.
 *
 * The request of POST /v1/losses/{loss} depends on the loss, which a path with a parameter cannot say. So every loss
 * has a path of its own too, which tools prefer to the general one.
 */
#include <server/routes/openapi.h>

#include <stdio.h>
#include <string.h>

#include <loss/loss.h>
#include <server/access/admit.h>
#include <server/formats/safetensors_body.h>
#include <server/routes/openapi_schemas.h>
#include <server/routes/routes.h>
#include <text/json_write.h>

#define LOSS_PATH "/v1/losses/{loss}"
#define REGISTRY_PATH "/v1/registries/{registry}"

/* Where a client may go on: the operation, and its path's parameters as runtime expressions. */
struct link {
    const char *name, *operation;
    const char *parameters; /* a JSON object */
};

/* What the route table does not say of an operation. */
struct operation {
    const char *method, *path;
    const char *id, *tag, *summary;
    const char *request; /* a schema, or NULL */
    const char *answer;  /* a schema, or NULL: plain text */
    int status;
    bool adds;          /* takes an idempotency key */
    bool oip;           /* errors are those of the Open Inference Protocol */
    bool binary;        /* bodies may have bytes of tensors behind the JSON */
    bool safetensors;   /* bodies may be safetensors files instead */
    short problems[10]; /* HTTP statuses besides the ones that every operation has */
    struct link links[3];
};

#define OIP_OPERATION(verb, where, name, what, body, reply)                                                            \
    {                                                                                                                  \
        .method = verb, .path = where, .id = name, .tag = "inference", .summary = what, .request = body,               \
        .answer = reply, .status = 200, .oip = true, .problems = {                                                     \
            404                                                                                                        \
        }                                                                                                              \
    }
#define OIP_INFERENCE(where, name)                                                                                     \
    {                                                                                                                  \
        .method = "POST", .path = where "/infer", .id = name, .tag = "inference",                                      \
        .summary = "Compute a loss, its totals and gradients", .request = "InferenceRequest",                          \
        .answer = "InferenceAnswer", .status = 200, .oip = true, .binary = true, .problems = {                         \
            404,                                                                                                       \
            408,                                                                                                       \
            422,                                                                                                       \
            504                                                                                                        \
        }                                                                                                              \
    }
#define MODEL_PATH "/v2/models/{loss}"
#define VERSION_PATH MODEL_PATH "/versions/{version}"

#define ENTRY_LINK                                                                                                     \
    {                                                                                                                  \
        "entry", "get_entry",                                                                                          \
            "{'registry':'$request.path.registry','name':'$response.body#/name',"                                      \
            "'step':'$response.body#/step'}"                                                                           \
    }
#define TOTAL_LINK                                                                                                     \
    {                                                                                                                  \
        "total", "get_total_loss", "{'registry':'$request.path.registry'}"                                             \
    }
#define REGISTRY_LINK                                                                                                  \
    {                                                                                                                  \
        "registry", "get_registry", "{'registry':'$request.path.registry'}"                                            \
    }

static const struct operation operations[] = {
    {.method = "GET",
     .path = "/",
     .id = "get_index",
     .tag = "operations",
     .summary = "Where to go from here",
     .answer = "Index",
     .status = 200},
    {.method = "GET",
     .path = "/healthz",
     .id = "get_health",
     .tag = "operations",
     .summary = "Is the server alive?",
     .answer = "Health",
     .status = 200},
    {.method = "GET",
     .path = "/readyz",
     .id = "get_readiness",
     .tag = "operations",
     .summary = "Does the server take work?",
     .answer = "Health",
     .status = 200},
    {.method = "GET",
     .path = "/metrics",
     .id = "get_metrics",
     .tag = "operations",
     .summary = "Counters, as Prometheus reads them",
     .status = 200},
    {.method = "GET",
     .path = "/openapi.json",
     .id = "get_openapi",
     .tag = "operations",
     .summary = "This document",
     .answer = "Document",
     .status = 200},
    {.method = "GET",
     .path = "/v1/losses",
     .id = "list_losses",
     .tag = "losses",
     .summary = "Everything that can be computed",
     .answer = "LossList",
     .status = 200},
    {.method = "GET",
     .path = LOSS_PATH,
     .id = "get_loss",
     .tag = "losses",
     .summary = "What a loss is and takes",
     .answer = "Loss",
     .status = 200,
     .problems = {404}},
    {.method = "POST",
     .path = "/v1/evaluate",
     .id = "evaluate",
     .tag = "losses",
     .summary = "Compute several losses over shared tensors; all or none are added to registries",
     .request = "Evaluation",
     .answer = "EvaluationAnswer",
     .status = 200,
     .adds = true,
     .problems = {404, 406, 408, 409, 422, 504}},
    {.method = "POST",
     .path = LOSS_PATH,
     .id = "compute_loss",
     .tag = "losses",
     .summary = "Compute a loss, its totals and gradients; add it to a registry",
     .request = "AnyLoss",
     .answer = "Answer",
     .status = 200,
     .adds = true,
     .safetensors = true,
     .problems = {404, 406, 408, 409, 422, 504},
     .links = {{"entry", "get_entry",
                "{'registry':'$request.body#/registry','name':'$response.body#/entry/name',"
                "'step':'$response.body#/entry/step'}"},
               {"total", "get_total_loss", "{'registry':'$request.body#/registry'}"}}},
    {.method = "GET",
     .path = "/v1/registries",
     .id = "list_registries",
     .tag = "registries",
     .summary = "All registries",
     .answer = "RegistryList",
     .status = 200},
    {.method = "GET",
     .path = REGISTRY_PATH,
     .id = "get_registry",
     .tag = "registries",
     .summary = "One registry",
     .answer = "RegistryInfo",
     .status = 200,
     .problems = {404},
     .links = {TOTAL_LINK}},
    {.method = "PUT",
     .path = REGISTRY_PATH,
     .id = "put_registry",
     .tag = "registries",
     .summary = "Create a registry, or set its time to live",
     .request = "RegistryOptions",
     .answer = "RegistryInfo",
     .status = 200,
     .links = {REGISTRY_LINK, TOTAL_LINK}},
    {.method = "DELETE",
     .path = REGISTRY_PATH,
     .id = "delete_registry",
     .tag = "registries",
     .summary = "Delete a registry, or some of its entries",
     .answer = "Removed",
     .status = 200,
     .problems = {404}},
    {.method = "POST",
     .path = REGISTRY_PATH "/losses",
     .id = "add_loss",
     .tag = "registries",
     .summary = "Add a loss as it is (tf.losses.add_loss)",
     .request = "EntryDraft",
     .answer = "Entry",
     .status = 201,
     .adds = true,
     .problems = {409, 422},
     .links = {ENTRY_LINK, TOTAL_LINK}},
    {.method = "GET",
     .path = REGISTRY_PATH "/losses",
     .id = "list_entries",
     .tag = "registries",
     .summary = "Losses in the order of adding (tf.losses.get_losses)",
     .answer = "EntryList",
     .status = 200,
     .problems = {404}},
    {.method = "GET",
     .path = REGISTRY_PATH "/losses/{name}",
     .id = "get_entry",
     .tag = "registries",
     .summary = "One entry",
     .answer = "Entry",
     .status = 200,
     .problems = {404}},
    {.method = "POST",
     .path = REGISTRY_PATH "/regularization_losses",
     .id = "add_regularization_loss",
     .tag = "registries",
     .summary = "Add a regularization loss as it is",
     .request = "RegularizationDraft",
     .answer = "Entry",
     .status = 201,
     .adds = true,
     .problems = {409, 422},
     .links = {ENTRY_LINK, TOTAL_LINK}},
    {.method = "GET",
     .path = REGISTRY_PATH "/regularization_losses",
     .id = "list_regularization_losses",
     .tag = "registries",
     .summary = "Regularization losses (tf.losses.get_regularization_losses)",
     .answer = "RegularizationList",
     .status = 200,
     .problems = {404}},
    {.method = "GET",
     .path = REGISTRY_PATH "/regularization_loss",
     .id = "get_regularization_loss",
     .tag = "registries",
     .summary = "Their sum (tf.losses.get_regularization_loss)",
     .answer = "RegularizationTotal",
     .status = 200,
     .problems = {404}},
    {.method = "GET",
     .path = REGISTRY_PATH "/total_loss",
     .id = "get_total_loss",
     .tag = "registries",
     .summary = "The sum of all losses (tf.losses.get_total_loss)",
     .answer = "RegistryTotal",
     .status = 200,
     .problems = {404, 409}},
    OIP_OPERATION("GET", "/v2", "get_inference_server", "The server", NULL, "InferenceServer"),
    OIP_OPERATION("GET", "/v2/", "get_inference_server_too", "The server", NULL, "InferenceServer"),
    OIP_OPERATION("GET", "/v2/health/live", "get_live", "Is the server alive?", NULL, "InferenceState"),
    OIP_OPERATION("GET", "/v2/health/ready", "get_ready", "Does the server take work?", NULL, "InferenceState"),
    OIP_OPERATION("GET", "/v2/models/stats", "get_all_statistics", "What was computed", NULL, "InferenceStatistics"),
    OIP_OPERATION("GET", MODEL_PATH, "get_model", "A loss as a model", NULL, "InferenceModel"),
    OIP_OPERATION("GET", VERSION_PATH, "get_model_version", "A loss as a model", NULL, "InferenceModel"),
    OIP_OPERATION("GET", MODEL_PATH "/ready", "get_model_ready", "Can it be computed?", NULL, "InferenceState"),
    OIP_OPERATION("GET", VERSION_PATH "/ready", "get_version_ready", "Can it be computed?", NULL, "InferenceState"),
    OIP_OPERATION("GET", MODEL_PATH "/stats", "get_statistics", "What was computed", NULL, "InferenceStatistics"),
    OIP_OPERATION("GET", VERSION_PATH "/stats", "get_version_statistics", "What was computed", NULL,
                  "InferenceStatistics"),
    OIP_OPERATION("POST", "/v2/repository/index", "list_models", "All losses as models", "InferenceIndexQuery",
                  "InferenceIndex"),
    OIP_INFERENCE(MODEL_PATH, "infer"),
    OIP_INFERENCE(VERSION_PATH, "infer_version"),
};

/* What any operation may answer besides its own problems. */
static const short common_problems[] = {400, 401, 403, 408, 414, 429, 431, 500, 503, 504};

/* And one with a body. */
static const short body_problems[] = {413, 415};

static const struct operation *find_operation(const struct route *route)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (strcmp(operations[i].method, route->method) == 0 && strcmp(operations[i].path, route->path) == 0) {
            return &operations[i];
        }
    }
    return NULL;
}

bool openapi_describes(const struct route *route)
{
    bool all = find_operation(route) != NULL;
    for (const char *const *name = route->query; all && name != NULL && *name != NULL; name++) {
        all = openapi_has_parameter(*name);
    }
    return all;
}

/* "application/json": {"schema": {"$ref": ...}} */
static void write_media(struct json_out *o, const char *type, const char *schema, const struct loss_desc *desc)
{
    json_out_key(o, type);
    json_out_open(o, '{');
    json_out_key(o, "schema");
    if (schema == NULL) {
        json_out_open(o, '{');
        openapi_text(o, "type", "string");
        json_out_close(o, '}');
    } else {
        openapi_ref(o, "schemas", schema);
    }
    if (desc != NULL) {
        json_out_key(o, "example");
        json_out_raw(o, desc->example, strlen(desc->example));
    }
    json_out_close(o, '}');
}

static void write_content(struct json_out *o, const struct operation *operation, const char *schema,
                          const struct loss_desc *desc)
{
    json_out_key(o, "content");
    json_out_open(o, '{');
    write_media(o, schema == NULL ? "text/plain" : "application/json", schema, desc);
    if (operation->binary) {
        write_media(o, "application/octet-stream", "InferenceBinary", NULL);
    }
    if (operation->safetensors) {
        write_media(o, SAFETENSORS_MEDIA, "Safetensors", NULL);
    }
    json_out_close(o, '}');
}

static void write_links(struct json_out *o, const struct operation *operation)
{
    if (operation->links[0].name == NULL) {
        return;
    }
    json_out_key(o, "links");
    json_out_open(o, '{');
    for (size_t i = 0; i < sizeof operation->links / sizeof *operation->links; i++) {
        const struct link *link = &operation->links[i];
        if (link->name != NULL) {
            json_out_key(o, link->name);
            json_out_open(o, '{');
            openapi_text(o, "operationId", link->operation);
            json_out_key(o, "parameters");
            openapi_short(o, link->parameters);
            json_out_close(o, '}');
        }
    }
    json_out_close(o, '}');
}

static void write_problem(struct json_out *o, const struct operation *operation, int status)
{
    char key[16];
    char name[24];
    snprintf(key, sizeof key, "%d", status);
    snprintf(name, sizeof name, "Problem%d", status);
    json_out_key(o, key);
    openapi_ref(o, "responses", operation->oip ? "InferenceProblem" : name);
}

static bool is_among(int status, const short *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == status) {
            return true;
        }
    }
    return false;
}

#define IS_AMONG(status, list) is_among(status, list, sizeof(list) / sizeof *(list))

static bool has_problem(const struct operation *operation, int status)
{
    return IS_AMONG(status, operation->problems) || IS_AMONG(status, common_problems) ||
           (operation->request != NULL && IS_AMONG(status, body_problems));
}

static void write_responses(struct json_out *o, const struct operation *operation)
{
    char key[16];
    snprintf(key, sizeof key, "%d", operation->status);
    json_out_key(o, "responses");
    json_out_open(o, '{');
    json_out_key(o, key);
    json_out_open(o, '{');
    openapi_text(o, "description", operation->summary);
    write_content(o, operation, operation->answer, NULL);
    write_links(o, operation);
    json_out_close(o, '}');
    for (int status = 400; status < 600; status++) {
        if (has_problem(operation, status)) {
            write_problem(o, operation, status);
        }
    }
    json_out_close(o, '}');
}

/* One of the parts in braces of a path, "{loss}". */
static void write_path_parameter(struct json_out *o, const char *name)
{
    json_out_open(o, '{');
    openapi_text(o, "name", name);
    openapi_text(o, "in", "path");
    json_out_key(o, "required");
    json_out_bool(o, true);
    json_out_key(o, "schema");
    if (strcmp(name, "loss") == 0) {
        json_out_open(o, '{');
        openapi_text(o, "type", "string");
        json_out_key(o, "enum");
        openapi_loss_names(o);
        json_out_close(o, '}');
    } else if (strcmp(name, "version") == 0) {
        openapi_short(o, "{'const': '1'}");
    } else {
        openapi_ref(o, "schemas", "Name");
    }
    json_out_close(o, '}');
}

/* Lists alone take every step at once. */
static bool lists_entries(const struct operation *operation)
{
    return strcmp(operation->id, "list_entries") == 0 || strcmp(operation->id, "list_regularization_losses") == 0;
}

static void write_parameters(struct json_out *o, const struct route *route, const struct operation *operation,
                             const struct loss_desc *desc)
{
    json_out_key(o, "parameters");
    json_out_open(o, '[');
    for (const char *p = strchr(route->path, '{'); p != NULL && desc == NULL; p = strchr(p + 1, '{')) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(p + 1, "}"), p + 1);
        write_path_parameter(o, name);
    }
    for (const char *const *name = route->query; name != NULL && *name != NULL; name++) {
        bool all = strcmp(*name, "step") == 0 && lists_entries(operation);
        openapi_ref(o, "parameters", all ? "steps" : *name);
    }
    if (operation->adds) {
        openapi_ref(o, "parameters", "Idempotency-Key");
    }
    if (operation->binary) {
        openapi_ref(o, "parameters", "Inference-Header-Content-Length");
    }
    if (operation->request != NULL) {
        openapi_ref(o, "parameters", "Content-Encoding");
    }
    openapi_ref(o, "parameters", "X-Request-Id");
    openapi_ref(o, "parameters", "X-Request-Timeout-Ms");
    json_out_close(o, ']');
}

static void write_request_body(struct json_out *o, const struct operation *operation, const struct loss_desc *desc)
{
    if (operation->request == NULL) {
        return;
    }
    json_out_key(o, "requestBody");
    json_out_open(o, '{');
    json_out_key(o, "required");
    json_out_bool(o, strcmp(operation->request, "RegistryOptions") != 0 &&
                         strcmp(operation->request, "InferenceIndexQuery") != 0);
    write_content(o, operation, desc == NULL ? operation->request : desc->name, desc);
    json_out_close(o, '}');
}

/* A server without --auth-file asks for no key: {} says that. Roles of schemes that are not OAuth's are our scopes. */
static void write_security(struct json_out *o, const struct route *route)
{
    static const char *const schemes[] = {"bearer", "header"};
    key_scope scope = admit_needs(route->access);

    json_out_key(o, "security");
    json_out_open(o, '[');
    if (route->access != ACCESS_OPEN) {
        openapi_short(o, "{}");
        for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
            json_out_open(o, '{');
            json_out_key(o, schemes[i]);
            json_out_open(o, '[');
            if (scope != ADMIT_ANY_KEY) {
                json_out_string(o, keyfile_scope_name(scope));
            }
            json_out_close(o, ']');
            json_out_close(o, '}');
        }
    }
    json_out_close(o, ']');
}

/* "post": {...}; with `desc` for the path of that loss alone. */
static void write_operation(struct json_out *o, const struct route *route, const struct operation *operation,
                            const struct loss_desc *desc)
{
    char method[16] = "";
    char id[128];
    for (size_t i = 0; route->method[i] != '\0' && i + 1 < sizeof method; i++) {
        method[i] = (char)(route->method[i] | 0x20);
        method[i + 1] = '\0';
    }
    snprintf(id, sizeof id, "%s%s%s", operation->id, desc == NULL ? "" : "_", desc == NULL ? "" : desc->name);
    json_out_key(o, method);
    json_out_open(o, '{');
    openapi_text(o, "operationId", id);
    json_out_key(o, "tags");
    json_out_open(o, '[');
    json_out_string(o, operation->tag);
    json_out_close(o, ']');
    openapi_text(o, "summary", desc == NULL ? operation->summary : desc->summary);
    if (desc != NULL) {
        openapi_text(o, "description", desc->formula);
    }
    write_parameters(o, route, operation, desc);
    write_request_body(o, operation, desc);
    write_security(o, route);
    write_responses(o, operation);
    json_out_close(o, '}');
}

/* All operations of one path. */
static void write_path(struct json_out *o, const char *path, const struct loss_desc *desc)
{
    char own[256];
    snprintf(own, sizeof own, "/v1/losses/%s", desc == NULL ? "" : desc->name);
    json_out_key(o, desc == NULL ? path : own);
    json_out_open(o, '{');
    for (size_t i = 0; i < n_routes; i++) {
        const struct operation *operation = find_operation(&routes[i]);
        if (operation != NULL && strcmp(routes[i].path, path) == 0) {
            write_operation(o, &routes[i], operation, desc);
        }
    }
    json_out_close(o, '}');
}

static bool is_first_of_path(size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(routes[k].path, routes[i].path) == 0) {
            return false;
        }
    }
    return true;
}

static void write_paths(struct json_out *o)
{
    json_out_key(o, "paths");
    json_out_open(o, '{');
    for (size_t i = 0; i < n_routes; i++) {
        if (find_operation(&routes[i]) != NULL && is_first_of_path(i)) {
            write_path(o, routes[i].path, NULL);
        }
    }
    for (size_t i = 0; i < loss_catalog_count(); i++) {
        write_path(o, LOSS_PATH, loss_catalog_at(i));
    }
    json_out_close(o, '}');
}

static void write_info(struct json_out *o)
{
    openapi_text(o, "openapi", "3.1.0");
    json_out_key(o, "info");
    json_out_open(o, '{');
    openapi_text(o, "title", "lossd");
    openapi_text(o, "version", loss_version());
    openapi_text(o, "summary", "Loss functions with exact totals and true gradients.");
    openapi_text(
        o, "description",
        "The losses of tf.losses and more, over HTTP. The same request gives the same bytes. Numbers in an "
        "answer are the shortest decimals that read back to the same value of its dtype. Answers are compressed with "
        "gzip or zstd for clients that ask so by Accept-Encoding.");
    json_out_key(o, "license");
    openapi_short(o, "{'name': 'Apache License 2.0', 'identifier': 'Apache-2.0'}");
    json_out_close(o, '}');
    json_out_key(o, "servers");
    openapi_short(o, "[{'url': '/'}]");
    json_out_key(o, "tags");
    openapi_short(o, "[{'name': 'losses', 'description': 'What can be computed, and computing it.'}, "
                     "{'name': 'registries', 'description': 'Stored losses: the loss collections of TensorFlow.'}, "
                     "{'name': 'inference', 'description': 'The Open Inference Protocol: losses as models.'}, "
                     "{'name': 'operations', 'description': 'The server itself.'}]");
}

/* Indenting */

/* Text that is counted where there is no buffer, so that one pass tells the size of the next. */
struct indenter {
    char *out;
    size_t n;
    int depth;
};

static void put(struct indenter *in, char c)
{
    if (in->out != NULL) {
        in->out[in->n] = c;
    }
    in->n++;
}

static void new_line(struct indenter *in)
{
    put(in, '\n');
    for (int i = 0; i < 2 * in->depth; i++) {
        put(in, ' ');
    }
}

/* The end of the string that begins at p[0] == '"', behind its quote. */
static const char *string_end(const char *p)
{
    for (p++; *p != '"'; p++) {
        p += *p == '\\';
    }
    return p + 1;
}

/* Compact JSON, two blanks a level; the size of the result. */
static size_t indent(const char *json, size_t size, char *out)
{
    struct indenter in = {.out = out};
    for (const char *p = json; p < json + size; p++) {
        switch (*p) {
        case '"':
            for (const char *end = string_end(p); p < end; p++) {
                put(&in, *p);
            }
            p--;
            break;
        case '{':
        case '[':
            put(&in, *p);
            if (p[1] == *p + 2) { /* an empty one: '}' and ']' stand two behind '{' and '[' */
                put(&in, *++p);
                break;
            }
            in.depth++;
            new_line(&in);
            break;
        case '}':
        case ']':
            in.depth--;
            new_line(&in);
            put(&in, *p);
            break;
        case ',':
            put(&in, ',');
            new_line(&in);
            break;
        case ':':
            put(&in, ':');
            put(&in, ' ');
            break;
        case ' ': /* examples are written with blanks */
            break;
        default:
            put(&in, *p);
        }
    }
    put(&in, '\n');
    return in.n;
}

const char *openapi_document(struct loss_arena *arena, size_t *size)
{
    struct json_out o;
    json_out_init(&o, arena);
    json_out_open(&o, '{');
    write_info(&o);
    write_paths(&o);
    json_out_key(&o, "components");
    openapi_components(&o);
    json_out_close(&o, '}');
    if (o.failed) {
        return NULL;
    }
    char *text = loss_arena_alloc(arena, indent(o.data, o.size, NULL), 1);
    if (text != NULL) {
        *size = indent(o.data, o.size, text);
    }
    return text;
}
