# SPDX-License-Identifier: Apache-2.0
"""run.py LOSSD CASES.jsonl...: every golden case against a server of its own. The last line is "N passed, N failed".

The cases are described in ../shared/golden/README.md. The project's own (own.jsonl, made by make_own.py) may also have

  query   what follows the question mark
  body    the body as text, where it is no JSON or its text matters; then there is no `request`
  text    pieces that the answer's text must hold, one after the other: how a number is printed matters there
"""

import http.client
import json
import math
import pathlib
import struct
import sys
from urllib.parse import quote, urlsplit

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from lossd_server import lossd  # noqa: E402

TOLERANCE = {"float32": (2.4e-7, 1e-37), "float64": (1e-14, 1e-300)}

# Cases that contradict the contract: what stands there counts, and why is in docs/decisions/0013.
OVERRULED = {
    "catalogue/softmax_cross_entropy/refused/gradient":
        {"status": 200, "expect": {"shape": [3]}},  # contract, 1: gradients also where TensorFlow stops them
}


class Mismatch(Exception):
    pass


def expect(condition, message):
    if not condition:
        raise Mismatch(message)


def read_cases(path):
    """Yields (case, body); the body is the request as it stands in the file: its decimals and doubled fields count."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            if "body" in case:
                yield case, case["body"]
            else:
                start = line.index('"request":') + len('"request":')
                start += len(line[start:]) - len(line[start:].lstrip())
                _, end = json.JSONDecoder().raw_decode(line, start)
                yield case, line[start:end]


def shape_of(value):
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def flatten(value):
    return [x for part in value for x in flatten(part)] if isinstance(value, list) else [value]


def rows_of(value, depth=0):
    """Pairs of (place, row): the last axis of a tensor, all of it where its rank is 0 or 1."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        for i, part in enumerate(value):
            yield from ((f"[{i}]{place}", row) for place, row in rows_of(part, depth + 1))
    else:
        yield "", value if isinstance(value, list) else [value]


def close(got, want, bound, where):
    expect((got is None) == (want is None), f"{where} is {got}, not {want}")
    if want is not None:
        expect(isinstance(got, (int, float)) and not isinstance(got, bool), f"{where} is {got!r}, no number")
        expect(abs(got - want) <= bound, f"{where} is {got!r}, not {want!r} (off by {abs(got - want):.3g})")


def check_numbers(got, want, dtype, where):
    relative, absolute = TOLERANCE[dtype]
    expect(same_nesting(got, want), f"{where} is nested like {shape_of(got)}, not {shape_of(want)}")
    for i, (g, w) in enumerate(zip(flatten(got), flatten(want))):
        close(g, w, max(relative * abs(w or 0), absolute), f"{where}, number {i},")


def check_gradient(got, want, dtype, where):
    relative, absolute = TOLERANCE[dtype]
    expect(same_nesting(got, want), f"{where} is nested like {shape_of(got)}, not {shape_of(want)}")
    for (place, got_row), (_, want_row) in zip(rows_of(got), rows_of(want)):
        largest = max((abs(w) for w in want_row if w is not None), default=0)
        for g, w in zip(got_row, want_row):
            close(g, w, max(relative * largest, absolute), f"{where}{place}")


def same_nesting(a, b):
    if isinstance(a, list) != isinstance(b, list):
        return False
    return not isinstance(a, list) or (len(a) == len(b) and all(same_nesting(x, y) for x, y in zip(a, b)))


def check_totals(got, want, dtype):
    for name, value in want.items():
        expect(name in got, f"totals has no {name}")
        if name in ("count", "nonzero_weights"):
            expect(got[name] == value and isinstance(got[name], int), f"totals.{name} is {got[name]}, not {value}")
        else:
            check_numbers(got[name], value, dtype, f"totals.{name}")


def check_exact_sum(answer):
    """totals.sum is math.fsum of the losses as values of the dtype."""
    losses = flatten(answer["losses"])
    if None in losses or any(math.isnan(x) or math.isinf(x) for x in losses):
        return
    if answer["dtype"] == "float32":
        losses = [struct.unpack("f", struct.pack("f", x))[0] for x in losses]
    try:
        exact = math.fsum(losses)
    except OverflowError:
        exact = None
    expect(answer["totals"]["sum"] == exact, f"totals.sum is {answer['totals']['sum']!r}, fsum(losses) {exact!r}")


def check_answer(case, answer):
    dtype = answer["dtype"]
    wanted = case.get("expect", {})
    for name, value in wanted.items():
        expect(name in answer, f"the answer has no {name}")
        if name == "totals":
            check_totals(answer[name], value, dtype)
        elif name == "gradients":
            expect(set(answer[name]) == set(value), f"gradients of {sorted(answer[name])}, not {sorted(value)}")
            for key in value:
                check_gradient(answer[name][key], value[key], dtype, f"gradients.{key}")
        elif name in ("loss", "losses"):
            check_numbers(answer[name], value, dtype, name)
        else:
            expect(answer[name] == value, f"{name} is {answer[name]!r}, not {value!r}")
    for name in case.get("absent", []):
        expect(name not in answer, f"the answer has {name}, which should be absent")
    if "losses" in answer:
        expect(flatten(answer["losses"]) == [] or shape_of(answer["losses"]) == answer["shape"],
               f"shape is {answer['shape']}, losses have {shape_of(answer['losses'])}")
        check_exact_sum(answer)


def check_problem(case, headers, problem):
    kind = headers.get("Content-Type", "")
    expect(kind.startswith("application/problem+json"), f"the refusal is {kind}")
    codes = case["code"] if isinstance(case["code"], list) else [case["code"]]
    expect(problem["code"] in codes, f"code {problem['code']} ({problem['detail']}), not {' or '.join(codes)}")
    for name in ("pointer", "parameter"):
        if name in case:
            expect(problem.get(name, "") == case[name], f"{name} {problem.get(name)!r}, not {case[name]!r}")
    for name in ("type", "title", "status", "detail", "request_id"):
        expect(name in problem, f"the problem document has no {name}")


def check_text(case, text):
    at = 0
    for piece in case.get("text", []):
        found = text.find(piece, at)
        expect(found >= 0, f"the answer does not hold {piece!r}" + (" there" if piece in text else "") + f": {text[:400]}")
        at = found + len(piece)


def check(case, status, headers, text):
    if case["id"] in OVERRULED:
        case = {key: case[key] for key in ("id", "loss", "request")} | OVERRULED[case["id"]]
    statuses = case["status"] if isinstance(case["status"], list) else [case["status"]]
    expect(status in statuses, f"status {status}, not {statuses}: {text[:300]}")
    check_text(case, text)
    document = json.loads(text)
    if status >= 400:
        check_problem(case, headers, document)
    else:
        check_answer(case, document)


def run(connection, case, body):
    target = "/v1/losses/" + quote(case["loss"], safe="") + ("?" + case["query"] if "query" in case else "")
    connection.request("POST", target, body.encode("utf-8"), {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read().decode("utf-8")
    check(case, response.status, response.headers, text)


def main(program, paths):
    passed = failed = 0
    with lossd(program) as (url, _):
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        for path in paths:
            for case, body in read_cases(path):
                try:
                    run(connection, case, body)
                    passed += 1
                except Mismatch as reason:
                    failed += 1
                    print(f"{case['id']}: {reason}")
                except (OSError, http.client.HTTPException, ValueError, KeyError) as reason:
                    failed += 1
                    print(f"{case['id']}: {type(reason).__name__}: {reason}")
                    connection.close()
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if len(arguments) < 2:
        sys.exit(__doc__)
    missing = [path for path in arguments[1:] if not pathlib.Path(path).exists()]
    if missing:
        print(f"skipped: there is no {missing[0]}")
        sys.exit(77)
    sys.exit(main(arguments[0], arguments[1:]))
