# SPDX-License-Identifier: Apache-2.0
"""Wrong requests and the exact refusals of each: wrong_requests.jsonl, a line each. test_wrong_requests.py LOSSD.

A line has the "call" (method and target), its header "fields", and a "body" or "base64" (or the "length" of a body that does
not come). It expects a status, a code, and the place that is to blame: a JSON pointer, or "?name" for a query parameter or a
header field; of /v2, whose errors have neither, the status alone. "detail" is the sentence, to the letter. «x*64» stands for 64
times x. Nothing that is refused changes anything: the registry "run" is the same before and after each line.
"""

import base64
import json
import pathlib
import re
import sys

from lossd_server import lossd
from wire import Wire, head

TABLE = pathlib.Path(__file__).with_name("wrong_requests.jsonl")
LEAST = 250

# What there is to conflict with.
BEFORE = (
    {"call": "POST /v1/registries/run/losses", "body": '{"loss": 1, "name": "plain"}', "fields": {"Idempotency-Key": "used"}},
    {"call": "POST /v1/losses/mean_squared_error",
     "body": '{"labels": [1], "predictions": [2], "registry": "run", "name": "sum", "accumulate": true}'},
    {"call": "PUT /v1/registries/empty", "body": "{}"},
)
WATCHED = ("/v1/registries", "/v1/registries/run/losses?step=all", "/v1/registries/run/total_loss")


def spread(text):
    return re.sub("«(.)\\*(\\d+)»", lambda match: match[1] * int(match[2]), text)


def ask(wire, line):
    method, target = spread(line["call"]).split(" ", 1)
    body = base64.b64decode(line["base64"]) if "base64" in line else spread(line["body"]).encode() if "body" in line else None
    fields = dict(line.get("fields", {}))
    if body is not None:
        fields.setdefault("Content-Type", "application/json")
        fields["Content-Length"] = str(line.get("length", len(body)))
    data = head(method, target, *(f"{name}: {spread(value)}" for name, value in fields.items()))
    return wire.ask(data + (body or b""), method)


def place(problem):
    return problem["pointer"] if "pointer" in problem else "?" + problem["parameter"] if "parameter" in problem else ""


def told(line, answer):
    """What the answer says, in the words of the table."""
    if answer.status == 0 or not answer.body:
        return f"{answer.status}", None
    document = answer.document()
    if line["call"].split(" ")[1].startswith("/v2"):
        return f"{answer.status}", document["error"] if list(document) == ["error"] else document
    return " ".join(filter(None, (str(answer.status), document.get("code"), place(document)))), document.get("detail")


def faults_of(line, answer):
    expected, got = (line["expect"], line["detail"]), told(line, answer)
    if got != expected:
        yield f"expected {expected}, got {got}"
        return
    if line.get("allow") != answer.headers.get("Allow"):
        yield f"Allow: {answer.headers.get('Allow')}"
    if line["call"].split(" ")[1].startswith("/v2"):
        if answer.headers["Content-Type"] != "application/json":
            yield f"Content-Type: {answer.headers['Content-Type']}"
        return
    problem = answer.document()
    members = {"type", "title", "status", "detail", "code", "request_id"} | ({"pointer", "parameter"} & set(problem))
    if set(problem) != members or len({"pointer", "parameter"} & set(problem)) == 2:
        yield f"members {sorted(problem)}"
    if (problem["type"], problem["status"]) != ("/problems/" + problem["code"], answer.status):
        yield f"type {problem['type']}, status {problem['status']}"
    if problem["request_id"] != answer.headers["X-Request-Id"]:
        yield f"request_id {problem['request_id']} is not X-Request-Id"
    if answer.headers["Content-Type"] != "application/problem+json":
        yield f"Content-Type: {answer.headers['Content-Type']}"


def watch(wire):
    return [wire.ask(head("GET", target), "GET").body for target in WATCHED]


def main(program):
    lines = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()]
    faults = [] if len(lines) >= LEAST else [f"{len(lines)} lines, there were to be {LEAST}"]
    titles = {}
    with lossd(program) as (url, _):
        wire, other = Wire(url), Wire(url)
        for line in BEFORE:
            assert ask(other, line).status in (200, 201), line
        kept = watch(other)
        for number, line in enumerate(lines, 1):
            answer = ask(wire, line)
            faults += [f"line {number}, {line['call'][:80]}: {fault}" for fault in faults_of(line, answer)]
            if watch(other) != kept:
                faults.append(f"line {number}, {line['call'][:80]}: it changed a registry")
                kept = watch(other)
            if answer.body and "title" in (problem := answer.document()):
                titles.setdefault(problem["code"], set()).add(problem["title"])
        wire.close()
        other.close()
    faults += [f"{code} has the titles {sorted(names)}" for code, names in titles.items() if len(names) > 1]
    for fault in faults:
        print(fault)
    print(f"{len(lines)} wrong requests, {len(titles)} codes, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
