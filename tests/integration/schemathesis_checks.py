# SPDX-License-Identifier: Apache-2.0
"""Checks for test_schemathesis.py: schemathesis's own, but for what a schema cannot say.

Two of its checks hold an answer against the request's schema: what fits the schema is to be accepted, and what does not is to
be refused. A schema cannot say that two tensors have one shape; each such rule is here, by the code of its refusal. The others
take 503 and 504 for what they are where they are meant, and literals of ?nonfinite=literal, which are no JSON, for numbers.
"""

import gzip
import json
import re

import schemathesis
import zstandard
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (negative_data_rejection, positive_data_acceptance,
                                                response_schema_conformance)

# How values of one request go together: the contract has these apart as 422.
TOGETHER = {"shape_mismatch", "ragged_tensor", "label_out_of_range", "not_an_integer", "invalid_weights", "not_differentiable",
            "not_scalar", "not_accumulable"}
# 400s that depend on another field, on the length in bytes, or on a grammar of their own.
BY_CODE = {
    "number_out_of_range": "",  # of the dtype
    "duplicate_field": "under two names",
    "bad_request": "has a zero byte",
    "invalid_scope": "",  # a regular expression
    "invalid_name": r"a name has 1 to 512 bytes",  # the schema counts characters
    "invalid_parameter": r"has rank \d, so|is about an entry of a registry|next_cursor of an earlier page|there is no tensor .* to "
                         r"refer to|[aA]xis|axes|numbers of \d+ bytes|must be in \[|is no bool|is one for each class|"
                         r"(must be .*|goes) with [a-z_]+ \"|"  # one parameter's value and another's
                         r"at most 2\^53, got \d+\.",  # written as 2^53 + 1 could be, too
    "unsupported_dtype": "",  # of base64, which a loss's input may not have
}
OPEN_BODIES = ("application/octet-stream", "application/x-safetensors")


CODINGS = {"gzip": gzip.compress, "zstd": zstandard.compress}


def compressed(request):
    """A body that is said to be compressed is there and is so, which a schema cannot ask for."""
    code = CODINGS.get(request.headers.get("Content-Encoding"))
    if code is not None and not request.body:
        del request.headers["Content-Encoding"]
    elif code is not None:
        request.body = code(request.body if isinstance(request.body, bytes) else request.body.encode())
        request.headers["Content-Length"] = str(len(request.body))
    return request


@schemathesis.hook
def before_call(context, case, kwargs):
    kwargs["auth"] = compressed  # requests calls it with what it is about to send


def problem_of(response):
    try:
        document = json.loads(response.content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def is_beyond_schema(response, case):
    """Was this request refused for something that its schema cannot say?"""
    problem = problem_of(response)
    code, detail = problem.get("code"), problem.get("detail", "")
    if case.media_type in OPEN_BODIES or case.operation.label.startswith("POST /v2/"):
        return response.status_code in (400, 415, 422)  # bytes, and the parameters of any model
    if case.operation.label == "POST /v1/losses/{loss}" and response.status_code in (400, 422):
        return problem.get("pointer", "/")[:1] == "/" and "parameter" not in problem  # the body of any loss, at any loss
    if case.operation.label == "POST /v1/evaluate" and problem.get("pointer", "").startswith(("/losses/", "/tensors/")):
        return True  # entries of any loss
    if response.status_code == 422:
        return code in TOGETHER
    return response.status_code == 400 and code in BY_CODE and re.search(BY_CODE[code], detail) is not None


@schemathesis.check
def accepts_what_fits(ctx, response, case):
    try:
        return positive_data_acceptance(ctx, response, case)
    except Failure:
        if is_beyond_schema(response, case):
            return None
        raise


@schemathesis.check
def refuses_what_does_not(ctx, response, case):
    try:
        return negative_data_rejection(ctx, response, case)
    except Failure:
        # Header fields that nobody knows are left alone, as HTTP has it.
        if "x-schemathesis-unknown-property" in {name.lower() for name in case.headers or {}}:
            return None
        raise


@schemathesis.check
def means_its_server_errors(ctx, response, case):
    if response.status_code < 500:
        return
    problem = problem_of(response)
    deliberate = {503: {"overloaded", "store_unavailable", "shutting_down"}, 504: {"deadline_exceeded"}}
    oip = case.operation.path.startswith("/v2") and list(problem) == ["error"]
    if not oip and problem.get("code") not in deliberate.get(response.status_code, set()):
        raise AssertionError(f"{response.status_code}: {response.content[:300]}")
    if oip and response.status_code not in deliberate:
        raise AssertionError(f"{response.status_code}: {response.content[:300]}")


@schemathesis.check
def answers_as_it_says(ctx, response, case):
    try:
        return response_schema_conformance(ctx, response, case)
    except (Failure, FailureGroup):
        asked = (case.query or {}).get("nonfinite") == "literal"
        if asked and re.search(rb"[:,\[]\s*-?(NaN|Infinity)", response.content):
            return None
        raise
