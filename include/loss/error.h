/* SPDX-License-Identifier: Apache-2.0
 *
 * error.h - what can go wrong, once: status, HTTP code, stable slug, sentence.
 *
 * Whatever can fail returns a loss_status, 0 for success, and says where and why in a loss_error.
 * The first failure is kept. Nothing here is shared between threads.
 */
#ifndef LOSS_ERROR_H
#define LOSS_ERROR_H

#include <loss/export.h>

LOSS_BEGIN_DECLS

/*    enum                 HTTP  slug                     title */
#define LOSS_STATUS_MAP(X)                                                                                             \
    X(OK, 200, "ok", "Done")                                                                                           \
    X(MALFORMED_JSON, 400, "malformed_json", "The body is not the JSON it should be")                                  \
    X(INVALID_PARAMETER, 400, "invalid_parameter", "A parameter has a wrong type or value")                            \
    X(UNKNOWN_FIELD, 400, "unknown_field", "There is no such field")                                                   \
    X(DUPLICATE_FIELD, 400, "duplicate_field", "A field was given twice")                                              \
    X(MISSING_FIELD, 400, "missing_field", "A field is missing")                                                       \
    X(INVALID_SCOPE, 400, "invalid_scope", "The scope is not a usable expression")                                     \
    X(INVALID_NAME, 400, "invalid_name", "The name is not a usable name")                                              \
    X(MALFORMED_ENCODING, 400, "malformed_encoding", "The body's encoding is damaged")                                 \
    X(UNSUPPORTED_DTYPE, 400, "unsupported_dtype", "There is no such dtype here")                                      \
    X(NUMBER_OUT_OF_RANGE, 400, "number_out_of_range", "A number does not fit its dtype")                              \
    X(BAD_REQUEST, 400, "bad_request", "The request breaks the protocol")                                              \
    X(UNAUTHORIZED, 401, "unauthorized", "A key is needed")                                                            \
    X(FORBIDDEN, 403, "forbidden", "The key does not allow this")                                                      \
    X(UNKNOWN_LOSS, 404, "unknown_loss", "There is no such loss")                                                      \
    X(UNKNOWN_REGISTRY, 404, "unknown_registry", "There is no such registry")                                          \
    X(NOT_FOUND, 404, "not_found", "There is nothing here")                                                            \
    X(METHOD_NOT_ALLOWED, 405, "method_not_allowed", "The method does not fit the resource")                           \
    X(NOT_ACCEPTABLE, 406, "not_acceptable", "No acceptable form of the answer")                                       \
    X(REQUEST_TIMEOUT, 408, "request_timeout", "The request took too long to arrive")                                  \
    X(IDEMPOTENCY_CONFLICT, 409, "idempotency_conflict", "The key was used for another request")                       \
    X(ACCUMULATE_CONFLICT, 409, "accumulate_conflict", "The entry accumulates something else")                         \
    X(NO_LOSSES, 409, "no_losses", "There are no losses to total")                                                     \
    X(BODY_TOO_LARGE, 413, "body_too_large", "The body is too large")                                                  \
    X(URI_TOO_LONG, 414, "uri_too_long", "The request target is too long")                                             \
    X(UNSUPPORTED_MEDIA, 415, "unsupported_media_type", "The body's media type is not read here")                      \
    X(SHAPE_MISMATCH, 422, "shape_mismatch", "Shapes do not agree")                                                    \
    X(RAGGED_TENSOR, 422, "ragged_tensor", "The rows of a tensor differ in length")                                    \
    X(LABEL_OUT_OF_RANGE, 422, "label_out_of_range", "A label is outside its range")                                   \
    X(NOT_AN_INTEGER, 422, "not_an_integer", "A whole number is needed")                                               \
    X(INVALID_WEIGHTS, 422, "invalid_weights", "The weights do not fit the losses")                                    \
    X(NOT_DIFFERENTIABLE, 422, "not_differentiable", "There is no gradient for this input")                            \
    X(NOT_SCALAR, 422, "not_scalar", "The registry keeps scalars only")                                                \
    X(NOT_ACCUMULABLE, 422, "not_accumulable", "This loss cannot be accumulated")                                      \
    X(RATE_LIMITED, 429, "rate_limited", "Too many requests")                                                          \
    X(HEADER_TOO_LARGE, 431, "header_too_large", "The request head is too large")                                      \
    X(INTERNAL, 500, "internal", "A defect of the server")                                                             \
    X(OVERLOADED, 503, "overloaded", "The server has too much to do")                                                  \
    X(STORE_UNAVAILABLE, 503, "store_unavailable", "The registry's store is away")                                     \
    X(SHUTTING_DOWN, 503, "shutting_down", "The server is shutting down")                                              \
    X(DEADLINE_EXCEEDED, 504, "deadline_exceeded", "The deadline passed")

typedef enum {
#define LOSS_STATUS_ENUM(id, http, slug, title) LOSS_##id,
    LOSS_STATUS_MAP(LOSS_STATUS_ENUM)
#undef LOSS_STATUS_ENUM
        LOSS_STATUS_COUNT
} loss_status;

struct loss_error {
    loss_status status;
    char pointer[1024];  /* RFC 6901 into the call: "/labels/3"; "" where no place is to blame */
    char parameter[128]; /* the query parameter or header to blame instead; "" where none is */
    char message[1024];  /* what was found and what would do: "delta must be > 0, got -1" */
};

/* Fill *err (kept as it is if it already holds a failure, ignored if NULL) and return `status`. */
loss_status loss_fail(struct loss_error *err, loss_status status, const char *pointer, const char *format, ...)
    LOSS_PRINTF(4, 5);
/* The same, where a query parameter or a header is to blame: "step", "Idempotency-Key". */
loss_status loss_fail_parameter(struct loss_error *err, loss_status status, const char *parameter, const char *format,
                                ...) LOSS_PRINTF(4, 5);
/* Blame `parameter` for what *err holds, where that is a failure of this status: `return loss_blame_parameter(err,
 * check(err), "step")`. Returns `status`. */
loss_status loss_blame_parameter(struct loss_error *err, loss_status status, const char *parameter);

/* LOSS_OVERLOADED: there is no memory for `what` ("an answer") now. */
loss_status loss_no_memory(struct loss_error *err, const char *what);

int loss_status_http(loss_status status);          /* 422 */
const char *loss_status_slug(loss_status status);  /* "shape_mismatch" */
const char *loss_status_title(loss_status status); /* "Shapes do not agree" */

/* For a function that owns nothing: pass a failure on. */
#define LOSS_TRY(call)                                                                                                 \
    do {                                                                                                               \
        loss_status try_status_ = (call);                                                                              \
        if (try_status_ != LOSS_OK) {                                                                                  \
            return try_status_;                                                                                        \
        }                                                                                                              \
    } while (0)

LOSS_END_DECLS

#endif
