# SPDX-License-Identifier: Apache-2.0
"""make_own.py > own.jsonl: the project's own golden cases. Needs mpmath.

What the shared cases leave open: all forms of a tensor, the words of an answer, refusals and their pointers. Expected
numbers come from formulas in 50-digit arithmetic on the inputs as the request's dtype holds them, and are written by
hand where the case is about the form alone. `python3 make_own.py --check own.jsonl` says whether the file is current.
"""

import base64
import itertools
import json
import struct
import sys

from mpmath import exp, fabs, log, log1p, mp, mpf

mp.dps = 50

WORKED = {"labels": [2, 1, 0, 0, 1], "logits": [[1, 2, 7], [3, 5, 2], [6, 1, 3], [8, 2, 0], [3, 6, 1]]}
Y, P = [[1, 0], [0.25, -2], [3, 0.5]], [[0.5, 0], [1, -2.5], [-3, 4]]


# ---- formulas: the loss of each element or row, and its derivative by each element of the inputs ---------------------

def round_to(x, dtype):
    return mpf(struct.unpack("f", struct.pack("f", x))[0] if dtype == "float32" else float(x))


def flatten(t):
    return [x for part in t for x in flatten(part)] if isinstance(t, list) else [t]


def shape_of(t):
    return [len(t), *shape_of(t[0])] if isinstance(t, list) and t else [0] if isinstance(t, list) else []


def nest(flat, shape):
    if not shape:
        return flat[0]
    step = len(flat) // shape[0] if shape[0] else 0
    return [nest(flat[i * step:(i + 1) * step], shape[1:]) for i in range(shape[0])]


def sign(x):
    return (x > 0) - (x < 0)


def elementwise(point):
    """point(y, p, params) gives (loss, dy, dp)."""
    def compute(labels, main, params):
        points = [point(y, p, params) for y, p in zip(flatten(labels), flatten(main))]
        return ([q[0] for q in points], shape_of(main), [q[1] for q in points], [q[2] for q in points], 1)
    return compute


def huber(y, p, params):
    e, d = p - y, params.get("delta", mpf(1))
    slope = max(-d, min(d, e))
    return (e * e / 2 if fabs(e) <= d else d * (fabs(e) - d / 2)), -slope, slope


def sigmoid(y, z, params):
    s = params.get("label_smoothing", mpf(0))
    t = y * (1 - s) + s / 2
    loss = t * log1p(exp(-z)) + (1 - t) * log1p(exp(z))
    return loss, -z * (1 - s), 1 / (1 + exp(-z)) - t


def log_loss(y, p, params):
    e = params.get("epsilon", mpf("1e-7"))
    a, b = p + e, 1 - p + e
    return -y * log(a) - (1 - y) * log(b), log(b) - log(a), (1 - y) / b - y / a


def hinge(y, z, params):
    m = 1 - (2 * y - 1) * z
    on = m > 0
    return (m if on else mpf(0)), (-2 * z if on else mpf(0)), (-(2 * y - 1) if on else mpf(0))


def sparse_softmax(labels, logits, params):
    losses, dz = [], []
    c = shape_of(logits)[-1]
    z = flatten(logits)
    for i, y in enumerate(flatten(labels)):
        row = z[i * c:(i + 1) * c]
        total = sum(exp(v) for v in row)
        losses.append(log(total) - row[int(y)])
        dz += [exp(v) / total - (k == int(y)) for k, v in enumerate(row)]
    return losses, shape_of(logits)[:-1], None, dz, c


def softmax(labels, logits, params):
    losses, dy, dz = [], [], []
    c = shape_of(logits)[-1]
    z, y = flatten(logits), flatten(labels)
    s = params.get("label_smoothing", mpf(0))
    for i in range(len(z) // c):
        row = z[i * c:(i + 1) * c]
        t = [v * (1 - s) + s / c for v in y[i * c:(i + 1) * c]]
        lse = log(sum(exp(v) for v in row))
        losses.append(sum(tk * (lse - v) for tk, v in zip(t, row)))
        dy += [(1 - s) * (lse - v) for v in row]
        dz += [exp(v - lse) * sum(t) - tk for tk, v in zip(t, row)]
    return losses, shape_of(logits)[:-1], dy, dz, c


FORMULAS = {
    "absolute_difference": ("predictions", elementwise(lambda y, p, k: (fabs(p - y), mpf(-sign(p - y)), mpf(sign(p - y))))),
    "mean_squared_error": ("predictions", elementwise(lambda y, p, k: ((p - y) ** 2, -2 * (p - y), 2 * (p - y)))),
    "huber_loss": ("predictions", elementwise(huber)),
    "log_loss": ("predictions", elementwise(log_loss)),
    "hinge_loss": ("logits", elementwise(hinge)),
    "sigmoid_cross_entropy": ("logits", elementwise(sigmoid)),
    "sparse_softmax_cross_entropy": ("logits", sparse_softmax),
    "softmax_cross_entropy": ("logits", softmax),
}


def broadcast(weights, shape):
    """The weight of each loss, and which weight that is."""
    flat, own = flatten(weights), shape_of(weights)
    if not own:
        return [flat[0]] * count_of(shape), [0] * count_of(shape)
    places = []
    for index in itertools.product(*(range(n) for n in shape)):
        place = 0
        for i, n in zip(index, own):
            place = place * n + (0 if n == 1 else i)
        places.append(place)
    return [flat[p] for p in places], places


def count_of(shape):
    n = 1
    for k in shape:
        n *= k
    return n


def divisors(weights, shape):
    count = count_of(shape)
    return {"sum": mpf(1), "mean": sum(weights, mpf(0)), "sum_over_batch_size": mpf(count),
            "sum_by_nonzero_weights": mpf(sum(w != 0 for w in weights)), "batchmean": mpf(shape[0] if shape else 1)}


def solve(loss, labels, main, params, weights, reduction, dtype, gradients):
    """What the answer must hold."""
    main_name, formula = FORMULAS[loss]
    into = lambda t: nest([round_to(x, dtype) for x in flatten(t)], shape_of(t))  # noqa: E731
    losses, shape, dy, dmain, c = formula(into(labels), into(main), {k: mpf(v) for k, v in params.items()})
    given = into(1 if weights is None else weights)
    w, places = broadcast(given, shape)
    weighted = [a * b for a, b in zip(losses, w)]
    by = divisors(w, shape)
    total = sum(weighted, mpf(0))
    totals = {name: (total / d if d else mpf(0)) for name, d in by.items()}
    expect = {"losses": nest(weighted, shape), "shape": shape,
              "totals": {**totals, "weight_sum": by["mean"], "count": len(losses), "nonzero_weights": int(by["sum_by_nonzero_weights"])}}
    divisor = mpf(1) if reduction == "none" else by[reduction]
    up = [wi / divisor if divisor else mpf(0) for wi in w]
    if reduction != "none":
        expect["loss"] = totals[reduction]
    grads = {}
    for name in gradients:
        if name == "weights":
            own = [mpf(0)] * len(flatten(given))
            for i, place in enumerate(places):
                shift = totals["mean"] if reduction == "mean" else mpf(0)
                own[place] += (losses[i] - shift) / divisor if divisor else mpf(0)
            grads[name] = nest(own, shape_of(given))
        else:
            d = dmain if name == main_name else dy
            grads[name] = nest([up[i // c] * x for i, x in enumerate(d)], shape_of(main))
    if grads:
        expect["gradients"] = grads
    return expect


# ---- writing -------------------------------------------------------------------------------------------------------

lines = []


def plain(value, digits):
    if isinstance(value, dict):
        return {k: plain(v, digits) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v, digits) for v in value]
    return float(mp.nstr(value, digits)) if isinstance(value, mpf) else value


def put(name, loss, body, **rest):
    """One case; `body` is JSON text where it is a string, so that doubled fields and long decimals survive."""
    text = body if isinstance(body, str) else json.dumps(body)
    head = f'{{"id": "own/{name}", "loss": {json.dumps(loss)}, '
    try:
        json.loads(text)
        head += f'"request": {text}, '
    except ValueError:
        head += f'"body": {json.dumps(text)}, '
    lines.append(head + json.dumps(rest)[1:])


def answer(name, loss, body, computed=None, **rest):
    """A 200; `computed` are the arguments of solve(), by default read off the body."""
    args = dict(labels=None, main=None, params={}, weights=None, reduction="sum_by_nonzero_weights", dtype="float32", gradients=[])
    if isinstance(body, dict):
        args |= {"labels": body.get("labels"), "main": body.get("logits", body.get("predictions"))}
        args |= {k: body[k] for k in ("weights", "reduction", "dtype") if k in body}
        args["params"] = {k: body[k] for k in ("delta", "epsilon", "label_smoothing") if k in body}
        args["gradients"] = [FORMULAS[loss][0]] if body.get("gradients") is True else body.get("gradients") or []
    args |= computed or {}
    route = args.pop("route", loss)
    expect = plain(solve(loss, **args), 13 if args["dtype"] == "float32" else 17)
    put(name, route, body, status=200, expect=expect, **rest)


def refuse(name, loss, body, status, code, pointer=None, **rest):
    place = {} if pointer is None else {"pointer": pointer}
    put("refused/" + name, loss, body, status=status, code=code, **place, **rest)


def packed(dtype, numbers):
    return base64.b64encode(b"".join(struct.pack("<" + dtype, n) for n in numbers)).decode()


def worked_examples():
    s = "sparse_softmax_cross_entropy"
    # The mean is 0.058360247443…, and `loss` its nearest float32; totals are of the losses as float32: 0.0583602466….
    answer("worked", s, WORKED,
           text=['"loss":0.05836025,', '"losses":[0.009174485,0.16984601,0.054985236,0.0028102624,0.054985236]', '"shape":[5]',
                 '"weight_sum":5.0,"count":5,"nonzero_weights":5'], absent=["gradients", "nonfinite", "entry"])
    answer("worked/weights", s, WORKED | {"weights": 0.2, "gradients": True},
           text=['"loss":0.01167205,', '"losses":[0.001834897,0.033969205,0.010997048,0.0005620525,0.010997048]',
                 '"weight_sum":1.0000000149011612'])
    answer("worked/mean", s, WORKED | {"weights": 0.2, "reduction": "mean", "gradients": ["logits", "weights"]})
    answer("worked/float64", s, WORKED | {"dtype": "float64", "gradients": True},
           text=['"dtype":"float64"', '"losses":[0.0091744845917347'])
    answer("worked/query-wins", s, WORKED | {"dtype": "float32"}, {"dtype": "float64"}, query="dtype=float64",
           text=['"dtype":"float64"'])
    answer("worked/dtype-first", s, {"dtype": "float32"} | WORKED)
    answer("worked/dtype-last", s, WORKED | {"dtype": "float32"})
    answer("worked/no-losses", s, WORKED | {"losses": False, "reduction": "sum"}, absent=["losses", "gradients"])
    del_losses(lines)
    answer("worked/none", s, WORKED | {"reduction": "none", "gradients": True}, absent=["loss"])


def del_losses(made):
    """The case made last does not answer with losses."""
    case = json.loads(made[-1])
    for name in ("losses", "shape"):
        del case["expect"][name]
    made[-1] = json.dumps(case)


def names():
    for alias, loss in (("mse", "mean_squared_error"), ("mae", "absolute_difference"), ("huber", "huber_loss"),
                        ("squared_error", "mean_squared_error")):
        answer(f"alias/{alias}", loss, {"labels": Y, "predictions": P, "gradients": True}, {"route": alias})
    for label, main in (("y_true", "y_pred"), ("target", "input"), ("targets", "predictions")):
        answer(f"names/{label}", "mean_squared_error", {label: Y, main: P, "gradients": [main, label]},
               {"labels": Y, "main": P, "gradients": ["predictions", "labels"]})
    for reduction, ours in (("weighted_sum", "sum"), ("weighted_mean", "mean"), ("sum_over_nonzero_weights", "sum_by_nonzero_weights"),
                            ("weighted_sum_over_batch_size", "sum_over_batch_size"), ("batchmean", "batchmean")):
        answer(f"reduction/{reduction}", "absolute_difference",
               {"labels": Y, "predictions": P, "weights": [[1, 0], [2, 1], [0.5, 3]], "reduction": reduction, "gradients": True},
               {"reduction": ours}, text=[f'"reduction":"{ours}"'])


def forms():
    loss, flat = "mean_squared_error", [1, 0, 0.25, -2, 3, 0.5]
    answer("form/flat", loss, {"labels": {"shape": [3, 2], "data": flat}, "predictions": P, "gradients": ["labels"]},
           {"labels": Y})
    answer("form/flat-reordered", loss, {"labels": {"data": flat, "shape": [3, 2]}, "predictions": P}, {"labels": Y})
    answer("form/flat-scalar", loss, {"labels": {"shape": [], "data": [2]}, "predictions": {"data": [5], "shape": []}},
           {"labels": 2, "main": 5}, text=['"losses":9.0,"shape":[]'])
    answer("form/flat-rank8", loss, {"labels": {"shape": [1, 1, 1, 1, 1, 1, 1, 2], "data": [1, 2]},
                                     "predictions": {"shape": [1, 1, 1, 1, 1, 1, 1, 2], "data": [4, 6]}},
           {"labels": [[[[[[[[1, 2]]]]]]]], "main": [[[[[[[[4, 6]]]]]]]]})
    answer("form/flat-bools", loss, {"labels": {"shape": [2], "data": [True, False]}, "predictions": [0.5, 0.25]},
           {"labels": [1, 0]})
    answer("form/scalar-bools", loss, {"labels": True, "predictions": False, "weights": True}, {"labels": 1, "main": 0, "weights": 1})
    answer("form/bfloat16-decimals", loss, {"labels": {"dtype": "bfloat16", "shape": [2], "data": [0.3333, 3.1416]},
                                            "predictions": [0, 0]}, {"labels": [0.333984375, 3.140625]})
    answer("form/float16-decimals", loss, {"labels": {"dtype": "float16", "shape": [3], "data": [1.0001, 65519, 6e-8]},
                                           "predictions": [0, 0, 0]}, {"labels": [1, 65504, 5.960464477539063e-08]})
    integers = [1, 0, 100]
    for name, code in (("int8", "b"), ("int16", "h"), ("int32", "i"), ("int64", "q"), ("uint8", "B"), ("uint16", "H"),
                       ("uint32", "I"), ("uint64", "Q"), ("float16", "e"), ("float32", "f"), ("float64", "d")):
        answer(f"form/base64-{name}", loss, {"labels": {"dtype": name, "shape": [3], "base64": packed(code, integers)},
                                             "predictions": [0.5, 0.25, 90]}, {"labels": integers})
    answer("form/base64-bfloat16", loss, {"labels": {"dtype": "bfloat16", "shape": [2], "base64": packed("H", [0x3F80, 0xC000])},
                                          "predictions": [0.5, 0.25]}, {"labels": [1, -2]})
    answer("form/base64-bool", loss, {"labels": {"dtype": "bool", "shape": [1, 2], "base64": packed("B", [1, 0])},
                                      "predictions": [[0.5, 0.25]]}, {"labels": [[1, 0]]})
    answer("form/base64-empty", loss, {"labels": {"dtype": "float32", "shape": [0, 3], "base64": ""},
                                       "predictions": {"shape": [0, 3], "data": []}, "gradients": True},
           {"labels": [], "main": [], "gradients": []}, text=['"losses":[],"shape":[0,3]', '"predictions":[]'])
    json_shape(lines, [0, 3])
    answer("form/empty-rows", loss, {"labels": [[], []], "predictions": {"shape": [2, 0], "data": []}, "gradients": True},
           {"labels": [], "main": [], "gradients": []}, text=['"losses":[[],[]],"shape":[2,0]', '"predictions":[[],[]]'])
    json_shape(lines, [2, 0])
    answer("form/labels-base64-int32", "sparse_softmax_cross_entropy",
           WORKED | {"labels": {"dtype": "int32", "shape": [5], "base64": packed("i", WORKED["labels"])}}, {"labels": WORKED["labels"]})
    tiny = '{"labels": [0, 0, 0], "predictions": [1e-50, 0.1000000000000000055511151231257827021181583404541015625, 16777217.0000000001]}'
    answer("form/decimals", "absolute_difference", tiny, {"labels": [0, 0, 0], "main": [0, 0.1, 16777218]},
           text=['"losses":[0.0,0.1,16777218.0]'])
    answer("form/scalar-decimals", "absolute_difference", '{"labels": 0, "predictions": 16777217.0000000001}',
           {"labels": 0, "main": 16777218}, text=['"losses":16777218.0'])
    answer("form/large-plain", "absolute_difference", {"labels": [0, 0, 0], "predictions": [1e15, 1e16, 0.0001], "dtype": "float64"},
           text=['"losses":[1000000000000000.0,1e+16,0.0001]'])


def json_shape(made, shape):
    """The case made last is empty: its shape and nesting are not those that one [] shows."""
    case = json.loads(made[-1])
    case["expect"] = {"loss": 0, "shape": shape, "totals": {"sum": 0, "mean": 0, "count": 0, "nonzero_weights": 0}}
    made[-1] = json.dumps(case)


def gradients():
    loss = "mean_squared_error"
    answer("gradients/none-asked", loss, {"labels": Y, "predictions": P, "gradients": []}, absent=["gradients"])
    answer("gradients/false", loss, {"labels": Y, "predictions": P, "gradients": False}, absent=["gradients"])
    answer("gradients/twice", loss, {"labels": Y, "predictions": P, "gradients": ["predictions", "y_pred", "predictions"]},
           {"gradients": ["predictions"]})
    for reduction in ("sum", "mean", "sum_over_batch_size", "sum_by_nonzero_weights", "batchmean", "none"):
        answer(f"gradients/weights-absent/{reduction}", loss,
               {"labels": Y, "predictions": P, "reduction": reduction, "gradients": ["weights"]}, {"weights": None})
        answer(f"gradients/all/{reduction}", "huber_loss",
               {"labels": Y, "predictions": P, "delta": 0.75, "weights": [[0.5], [0], [2]], "reduction": reduction,
                "gradients": ["labels", "predictions", "weights"]})
    for name, body in (("log_loss", {"labels": [1, 0, 0.5], "predictions": [0.9, 0.3, 0.5], "epsilon": 0.001}),
                       ("hinge_loss", {"labels": [1, 0, 1], "logits": [0.5, 2, 3]}),
                       ("sigmoid_cross_entropy", {"labels": [1, 0, 0.5], "logits": [0.5, -20, 3], "label_smoothing": 0.2}),
                       ("softmax_cross_entropy", {"labels": [[0, 1, 0], [1, 0, 0]], "logits": [[1, 2, 7], [3, 5, 2]],
                                                  "label_smoothing": 0.1})):
        main = "logits" if "logits" in body else "predictions"
        answer(f"gradients/{name}", name, body | {"reduction": "batchmean", "gradients": [main, "labels", "weights"]})


def values_that_are_not_finite():
    loss, body = "mean_squared_error", '{"labels": [1, NaN, 2], "predictions": [1, 2, -Infinity], "gradients": true}'
    put("nonfinite/null", loss, body, status=200,
        expect={"loss": None, "losses": [0, None, None], "totals": {"sum": None, "count": 3}, "nonfinite": 4},
        text=['"losses":[0.0,null,null]', '"predictions":[0.0,null,null]'])
    put("nonfinite/literal", loss, body, query="nonfinite=literal", status=200,
        text=['"losses":[0.0,NaN,Infinity]', '"predictions":[0.0,NaN,-Infinity]'])
    refuse("strict", loss, body, 400, "malformed_json", query="strict=true")
    mask = '{"labels": [1, NaN, 2], "predictions": [3, 2, Infinity], "weights": [1, 0, 0], "weights_mask": true, "gradients": true}'
    put("weights-mask", loss, mask, status=200,
        expect={"loss": 4, "losses": [4, 0, 0], "gradients": {"predictions": [4, 0, 0]},
                "totals": {"sum": 4, "mean": 4, "sum_over_batch_size": 1.333333333333, "weight_sum": 1, "count": 3, "nonzero_weights": 1}},
        absent=["nonfinite"])
    put("weights-mask/off", loss, mask.replace("true", "false", 1), status=200,
        expect={"loss": None, "losses": [4, None, None], "totals": {"count": 3, "nonzero_weights": 1}})
    answer("weights/all-zero", loss, {"labels": Y, "predictions": P, "weights": 0, "reduction": "mean", "gradients": ["predictions", "weights"]})
    put("exact-sum", "compute_weighted_loss", '{"values": [1e300, 1, -1e300, 1e-300], "dtype": "float64", "reduction": "sum"}',
        status=200, expect={"loss": 1, "totals": {"sum": 1, "mean": 0.25}})
    put("regularizer", "l2_regularization", {"values": [[1, 2], [3, -4]], "scale": 0.5, "gradients": True}, status=200,
        expect={"loss": 7.5, "gradients": {"values": [[0.5, 1], [1.5, -2]]}}, text=['"reduction":"sum"'])
    put("regularizer/l1", "l1_regularization", {"values": [[1, 2], [3, -4]], "gradients": True}, status=200,
        expect={"loss": 10, "gradients": {"values": [[1, 1], [1, -1]]}})


def refused_documents():
    mse = "mean_squared_error"
    for name, body in (("empty", ""), ("cut", '{"labels": [1, 2'), ("trailing", '{"labels": 1, "predictions": 2} x'),
                       ("bom", "\ufeff{}"), ("single-quotes", "{'labels': 1}"), ("deep", '{"labels": ' + "[" * 70 + "]" * 70 + "}"),
                       ("leading-zero", '{"labels": 01, "predictions": 1}'), ("comma", '{"labels": [1,], "predictions": [1]}')):
        refuse(f"json/{name}", mse, body, 400, "malformed_json")
    for name, body in (("array", "[1, 2]"), ("string", '"labels"'), ("number", "1"), ("null", "null")):
        refuse(f"json/{name}", mse, body, 400, ["malformed_json", "invalid_parameter"])
    refuse("json/number-too-large", mse, "[1e999]", 400, "number_out_of_range")
    refuse("duplicate", mse, '{"labels": [1], "predictions": [1], "labels": [2]}', 400, "duplicate_field", "/labels")
    refuse("duplicate/escaped", mse, '{"labels": [1], "predictions": [1], "lab\\u0065ls": [2]}', 400, "duplicate_field", "/labels")
    refuse("duplicate/nested", mse, '{"labels": {"shape": [1], "data": [1], "shape": [1]}, "predictions": [1]}', 400,
           "duplicate_field", "/labels/shape")
    refuse("duplicate/alias", mse, {"labels": [1], "predictions": [1], "y_true": [2]}, 400, "duplicate_field", "/y_true")
    refuse("duplicate/parameter-alias", "cosine_distance", {"labels": [1], "predictions": [1], "axis": 0, "dim": 0}, 400,
           "duplicate_field", "/dim")
    refuse("unknown", mse, {"labels": [1], "predicitons": [1]}, 400, "unknown_field", "/predicitons", text=['did you mean \\"predictions\\"'])
    refuse("unknown/escaped-pointer", mse, {"a/b~c": 1}, 400, "unknown_field", "/a~1b~0c")
    refuse("unknown/nul", mse, {"a\u0000b": 1}, 400, "unknown_field")
    refuse("unknown-loss", "hubber", {}, 404, "unknown_loss", text=["huber"])
    refuse("unknown-loss/slash", "a/b", {}, 404, "unknown_loss")
    refuse("null", mse, {"labels": None, "predictions": [1]}, 400, "invalid_parameter", "/labels")
    refuse("null/weights", mse, {"labels": [1], "predictions": [1], "weights": None}, 400, "invalid_parameter", "/weights")
    refuse("null/element", mse, {"labels": [1, None], "predictions": [1, 2]}, 400, "invalid_parameter", "/labels/1")
    refuse("null/first-element", mse, {"labels": [None, 1], "predictions": [1, 2]}, 400, "invalid_parameter", "/labels/0")
    refuse("string-element", mse, {"labels": [["a"]], "predictions": [[1]]}, 400, "invalid_parameter", "/labels/0/0")
    refuse("string-tensor", mse, {"labels": "1", "predictions": 1}, 400, "invalid_parameter", "/labels")


def refused_tensors():
    mse = "mean_squared_error"

    def labels(name, tensor, status, code, pointer):
        refuse(f"tensor/{name}", mse, {"labels": tensor, "predictions": [1, 2]}, status, code, pointer)

    labels("no-data", {"shape": [2]}, 400, "missing_field", "/labels/data")
    labels("no-shape", {"data": [1, 2]}, 400, "missing_field", "/labels/shape")
    labels("no-dtype", {"shape": [2], "base64": "AAAAAAAAAAA="}, 400, "missing_field", "/labels/dtype")
    labels("both", {"dtype": "int8", "shape": [2], "base64": "AAA=", "data": [1, 2]}, 400, "invalid_parameter", "/labels")
    labels("member", {"shape": [2], "data": [1, 2], "order": "C"}, 400, "unknown_field", "/labels/order")
    labels("null-member", {"shape": None, "data": [1, 2]}, 400, "invalid_parameter", "/labels/shape")
    labels("too-few", {"shape": [3], "data": [1, 2]}, 422, "shape_mismatch", "/labels/data")
    labels("nested-data", {"shape": [1, 2], "data": [[1, 2]]}, 422, "shape_mismatch", "/labels/data")
    labels("negative-shape", {"shape": [2, -1], "data": []}, 400, "invalid_parameter", "/labels/shape/1")
    labels("broken-shape", {"shape": [1.5], "data": [1]}, 400, "invalid_parameter", "/labels/shape/0")
    labels("scalar-shape", {"shape": 2, "data": [1, 2]}, 400, "invalid_parameter", "/labels/shape")
    labels("rank9", {"shape": [1] * 9, "data": [1]}, 422, "shape_mismatch", "/labels/shape")
    labels("rank9-nested", [[[[[[[[[1]]]]]]]]], 422, "shape_mismatch", "/labels")
    labels("overflow", {"shape": [2**40, 2**40], "data": [1]}, 422, "shape_mismatch", "/labels/shape")
    labels("endless-empty", {"shape": [2**50, 0], "data": []}, 422, "shape_mismatch", "/labels/shape")
    labels("ragged", [[1, 2], [3]], 422, "ragged_tensor", "/labels/1")
    labels("ragged-depth", [[1, 2], 3], 422, "ragged_tensor", "/labels/1")
    labels("bytes-count", {"dtype": "float32", "shape": [2], "base64": "AAAAAAA="}, 422, "shape_mismatch", "/labels")
    labels("bytes-alphabet", {"dtype": "int8", "shape": [2], "base64": "A*A="}, 400, "invalid_parameter", "/labels")
    labels("bytes-padding", {"dtype": "int8", "shape": [2], "base64": "AAA"}, 400, "invalid_parameter", "/labels")
    labels("bytes-number", {"dtype": "int8", "shape": [2], "base64": 7}, 400, "invalid_parameter", "/labels/base64")
    labels("bool", {"dtype": "bool", "shape": [2], "base64": "AAI="}, 400, "invalid_parameter", "/labels")
    labels("dtype", {"dtype": "float128", "shape": [2], "data": [1, 2]}, 400, "unsupported_dtype", "/labels/dtype")
    labels("int8-range", {"dtype": "int8", "shape": [2], "data": [1, 128]}, 400, "number_out_of_range", "/labels/data/1")
    labels("int8-fraction", {"dtype": "int8", "shape": [2], "data": [1, 1.5]}, 422, "not_an_integer", "/labels/data/1")
    labels("float16-range", {"dtype": "float16", "shape": [2], "data": [65520, 1]}, 400, "number_out_of_range", "/labels/data/0")
    labels("float32-range", {"shape": [2], "data": [1, 1e39]}, 400, "number_out_of_range", "/labels/data/1")
    refuse("tensor/float64-range", mse, '{"labels": [1, 1e309], "predictions": [1, 2], "dtype": "float64"}', 400,
           "number_out_of_range", "/labels/1")
    refuse("tensor/label-flat", "sparse_softmax_cross_entropy", {"labels": {"shape": [2], "data": [0, 3]}, "logits": [[1, 2, 3], [1, 2, 3]]},
           422, "label_out_of_range", "/labels/data/1")
    refuse("tensor/label-base64", "sparse_softmax_cross_entropy",
           {"labels": {"dtype": "int8", "shape": [2], "base64": packed("b", [0, 3])}, "logits": [[1, 2, 3], [1, 2, 3]]},
           422, "label_out_of_range", "/labels", text=["1"])


def refused_fields():
    mse, good = "mean_squared_error", {"labels": [1, 2], "predictions": [1, 2]}

    def field(name, more, status, code, pointer, loss=mse, **rest):
        refuse(f"field/{name}", loss, good | more, status, code, pointer, **rest)

    field("reduction", {"reduction": "average"}, 400, "invalid_parameter", "/reduction", text=["sum_by_nonzero_weights"])
    field("reduction-type", {"reduction": 1}, 400, "invalid_parameter", "/reduction")
    field("gradients-type", {"gradients": "predictions"}, 400, "invalid_parameter", "/gradients")
    field("gradients-name", {"gradients": ["predictions", "logits"]}, 400, "invalid_parameter", "/gradients/1")
    field("gradients-number", {"gradients": ["predictions", 1]}, 400, "invalid_parameter", "/gradients/1")
    field("losses", {"losses": 1}, 400, "invalid_parameter", "/losses")
    field("weights-mask", {"weights_mask": "yes"}, 400, "invalid_parameter", "/weights_mask")
    field("dtype", {"dtype": "int32"}, 400, "unsupported_dtype", "/dtype")
    field("dtype-type", {"dtype": 32}, 400, "invalid_parameter", "/dtype")
    field("delta", {"delta": 0}, 400, "invalid_parameter", "/delta", "huber_loss")
    field("delta-nan", {"delta": float("nan")}, 400, "invalid_parameter", "/delta", "huber_loss")
    field("delta-bool", {"delta": True}, 400, "invalid_parameter", "/delta", "huber_loss")
    refuse("field/delta-range", "huber_loss", '{"labels": 1, "predictions": 1, "delta": 1e999}', 400, "number_out_of_range", "/delta")
    field("axis-missing", {}, 400, "missing_field", "/axis", "cosine_distance")
    field("axis-fraction", {"axis": 0.5}, 400, "invalid_parameter", "/axis", "cosine_distance")
    refuse("field/labels-missing", mse, {}, 400, "missing_field", "/labels")
    refuse("field/not-differentiable", "sparse_softmax_cross_entropy", WORKED | {"gradients": ["logits", "labels"]}, 422,
           "not_differentiable", "/gradients/1")
    field("step-alone", {"step": 1}, 400, "invalid_parameter", "/step")
    field("name-alone", {"name": "a"}, 400, "invalid_parameter", "/name")
    field("collection-alone", {"collection": "a"}, 400, "invalid_parameter", "/collection")
    field("step-negative", {"registry": "r", "step": -1}, 400, "invalid_parameter", "/step")
    field("step-fraction", {"registry": "r", "step": 0.5}, 400, "invalid_parameter", "/step")
    field("step-large", {"registry": "r", "step": 2**53 + 1}, 400, "invalid_parameter", "/step")
    field("registry-none", {"registry": "r", "reduction": "none"}, 422, "not_scalar", "/reduction")
    field("registry-name", {"registry": ""}, 400, "invalid_name", "/registry")
    field("registry-nul", {"registry": "a\u0000b"}, 400, "invalid_name", "/registry")
    field("registry-long", {"registry": "r" * 513}, 400, "invalid_name", "/registry")
    field("name-control", {"registry": "r", "name": "a\nb"}, 400, "invalid_name", "/name")
    for query, code in (("dtype=float16", "unsupported_dtype"), ("nonfinite=NaN", "invalid_parameter"), ("strict=1", "invalid_parameter"),
                        ("reduction=sum", "unknown_field")):
        refuse(f"query/{query.split('=')[0]}", mse, good, 400, code, query=query, parameter=query.split("=")[0])


def main():
    for group in (worked_examples, names, forms, gradients, values_that_are_not_finite, refused_documents, refused_tensors,
                  refused_fields):
        group()
    text = "".join(line + "\n" for line in lines)
    if sys.argv[1:2] == ["--check"]:
        with open(sys.argv[2], encoding="utf-8") as file:
            sys.exit(0 if file.read() == text else f"{sys.argv[2]} is not what make_own.py makes")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
