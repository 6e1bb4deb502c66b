# SPDX-License-Identifier: Apache-2.0
"""test_oip.py LOSSD: the Open Inference Protocol on the wire: endpoints, JSON and binary tensors, and what is refused.

Bodies are made by hand, as the protocol's text says; test_oip_clients.py has the stock clients."""

import json
import math
import random
import struct
import sys
import unittest
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import wire  # noqa: E402
from lossd_server import lossd  # noqa: E402

PROGRAM = sys.argv[1]
LENGTH = "Inference-Header-Content-Length"
CODES = {"BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I",
         "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d"}


def pack(datatype, numbers):
    if datatype == "BF16":  # the upper half of a float32; the numbers here need no rounding
        return b"".join(struct.pack("<f", x)[2:] for x in numbers)
    return struct.pack(f"<{len(numbers)}{CODES[datatype]}", *numbers)


def tensor(name, datatype, shape, data):
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def binary(name, datatype, shape, size):
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


def mse(more_predictions=(), **members):
    """A request in JSON: labels 0 0, predictions 1 3."""
    return {"inputs": [tensor("labels", "FP32", [2], [0, 0]), tensor("predictions", "FP32", [2], [1, 3]), *more_predictions]} | members


def round_to(number, bits, least):
    """The number with so many significant bits and none below 2**least that is nearest, half to even: exactly."""
    x = Fraction(number)
    exponent = math.frexp(float(abs(x)))[1]
    while abs(x) >= Fraction(2)**exponent:
        exponent += 1
    while x and abs(x) < Fraction(2)**(exponent - 1):
        exponent -= 1
    unit = Fraction(2)**max(exponent - bits, least)
    return round(x / unit) * unit


def beside_midpoints(bits, least):
    """Decimals that are midpoints of these numbers, or differ from one by less than a double can tell."""
    rng = random.Random(5)
    texts = []
    for _ in range(200):
        exponent = rng.choice([least, rng.randint(least, least + 20), rng.randint(-bits, 5 - bits)])
        midpoint = Fraction(2 * rng.randrange(2**(bits - 1), 2**bits) + 1) * Fraction(2)**(exponent - 1)
        if rng.random() < 0.3:
            midpoint = Fraction(2 * rng.randrange(0, 2**(bits - 1)) + 1) * Fraction(2)**(least - 1)
        for side in (0, 1, -1):
            x = midpoint * (1 + side * Fraction(rng.randint(1, 40), 10**18))
            digits = rng.choice([21, 30, 60]) if side else 160
            scale = digits - math.floor(math.log10(x))
            plain = x >= Fraction(1, 10**6)
            whole = round(x * Fraction(10)**scale)
            text = f"{whole}e{-scale}" if not plain else f"{whole // 10**scale}.{whole % 10**scale:0{scale}d}"
            texts.append(rng.choice(["", "-"]) + text)
    return texts


class Protocol(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Calls of more than 1000 elements go to the compute thread.
        cls.server = lossd(PROGRAM, "--inline-elements", "1000")
        cls.url, _ = cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def setUp(self):
        self.wire = wire.Wire(self.url)

    def tearDown(self):
        self.wire.close()

    def get(self, target):
        answer = self.wire.ask(wire.head("GET", target), "GET")
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        return answer.status, answer.document()

    def post(self, target, document, tail=b"", *fields, length=None, chunks=None):
        """Posts JSON with bytes behind it; `length` is what the header field says, None where it is left out."""
        body = (document if isinstance(document, bytes) else json.dumps(document).encode()) + tail
        if length is not None:
            fields += (f"{LENGTH}: {length}", "Content-Type: application/octet-stream")
        if chunks:
            parts = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in wire.cut(body, range(chunks, len(body), chunks)))
            return self.wire.ask(wire.head("POST", target, "Transfer-Encoding: chunked", *fields) + parts + b"0\r\n\r\n")
        return self.wire.ask(wire.head("POST", target, f"Content-Length: {len(body)}", *fields) + body)

    def post_binary(self, loss, document, tail, **how):
        return self.post(f"/v2/models/{loss}/infer", document, tail, length=len(json.dumps(document).encode()), **how)

    def infer(self, loss, document, *fields):
        """Outputs by name of an answer that is all JSON."""
        answer = self.post(f"/v2/models/{loss}/infer", document, b"", *fields)
        self.assertEqual(answer.status, 200, answer.body[:300])
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertIsNone(answer.headers[LENGTH])
        return {output["name"]: output for output in answer.document()["outputs"]}

    def split(self, answer):
        """JSON and tensors of an answer with binary outputs."""
        self.assertEqual(answer.status, 200, answer.body[:300])
        self.assertEqual(answer.headers["Content-Type"], "application/octet-stream")
        n = int(answer.headers[LENGTH])
        document, rest, tensors = json.loads(answer.body[:n]), answer.body[n:], {}
        for output in document["outputs"]:
            size = output.get("parameters", {}).get("binary_data_size")
            if size is not None:
                self.assertNotIn("data", output)
                numbers = struct.unpack(f"<{size // struct.calcsize(CODES[output['datatype']])}{CODES[output['datatype']]}", rest[:size])
                self.assertEqual(len(numbers), math.prod(output["shape"]))
                tensors[output["name"]], rest = list(numbers), rest[size:]
        self.assertEqual(rest, b"")
        return document, tensors

    def refused(self, answer, status, *words):
        self.assertEqual(answer.status, status, answer.body[:300])
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual(list(answer.document()), ["error"])
        for word in words:
            self.assertIn(word, answer.document()["error"])

    # Endpoints

    def test_the_server_says_what_it_is(self):
        for target in ("/v2", "/v2/"):
            status, document = self.get(target)
            self.assertEqual(status, 200)
            self.assertEqual(document["name"], "lossd")
            self.assertIn("binary_tensor_data", document["extensions"])
        self.assertEqual(self.get("/v2/health/live"), (200, {"live": True}))
        self.assertEqual(self.get("/v2/health/ready"), (200, {"ready": True}))

    def test_every_loss_is_a_model(self):
        answer = self.post("/v2/repository/index", {"ready": True})
        names = [model["name"] for model in answer.document()]
        _, catalog = self.get("/v1/losses")
        self.assertEqual(names, [loss["name"] for loss in catalog["losses"]])
        self.assertEqual({(model["version"], model["state"]) for model in answer.document()}, {("1", "READY")})
        for loss in catalog["losses"]:
            for target in (f"/v2/models/{loss['name']}", f"/v2/models/{loss['name']}/versions/1"):
                status, model = self.get(target)
                self.assertEqual((status, model["name"], model["versions"], model["platform"]),
                                 (200, loss["name"], ["1"], "lossd_loss"))
                inputs = [x["name"] for x in model["inputs"]]
                self.assertEqual(inputs[:len(loss["inputs"]) + 1], [*(x["name"] for x in loss["inputs"]), "weights"])
                for each in model["inputs"] + model["outputs"]:
                    self.assertEqual(sorted(each), ["datatype", "name", "shape"])
                self.assertEqual(self.get(target + "/ready"), (200, {"name": loss["name"], "ready": True}))
                status, stats = self.get(target + "/stats")
                self.assertEqual((status, stats["model_stats"][0]["name"]), (200, loss["name"]))

    def test_outputs_that_a_model_names_can_be_asked_for(self):
        _, model = self.get("/v2/models/huber_loss")
        outputs = [{"name": x["name"]} for x in model["outputs"]]
        got = self.infer("huber_loss", mse(outputs=outputs))
        self.assertEqual(list(got), [x["name"] for x in model["outputs"]])
        self.assertEqual([x["datatype"] for x in got.values()], [x["datatype"] for x in model["outputs"]])

    def test_unknown_models_versions_and_paths_are_not_found(self):
        for target in ("/v2/models/hubber_loss", "/v2/models/hubber_loss/ready", "/v2/models/huber_loss/versions/2",
                       "/v2/models/huber_loss/versions/2/ready", "/v2/nothing", "/v2/models/huber_loss/versions/1/stats/x"):
            self.refused(self.wire.ask(wire.head("GET", target), "GET"), 404)
        self.refused(self.post("/v2/models/hubber_loss/infer", mse()), 404, "huber_loss")
        self.refused(self.post("/v2/models/mse/versions/2/infer", mse()), 404, "version")
        self.refused(self.wire.ask(wire.head("GET", "/v2/models/mse/infer"), "GET"), 405)

    def test_statistics_count_successes_and_failures(self):
        def stats():
            each = self.get("/v2/models/log_loss/stats")[1]["model_stats"][0]["inference_stats"]
            return each["success"]["count"], each["fail"]["count"]

        request = {"inputs": [tensor("labels", "FP32", [1], [1]), tensor("predictions", "FP32", [1], [0.5])]}
        before = stats()
        self.infer("log_loss", request)
        self.refused(self.post("/v2/models/log_loss/infer", {"inputs": []}), 400)
        self.assertEqual(stats(), (before[0] + 1, before[1] + 1))
        self.assertIn("log_loss", [each["name"] for each in self.get("/v2/models/stats")[1]["model_stats"]])

    # What is computed

    def test_loss_and_losses_are_answered_unless_others_are_asked_for(self):
        answer = self.post("/v2/models/mean_squared_error/infer", mse(id="né\u0000w"))
        self.assertEqual(answer.document(),
                         {"model_name": "mean_squared_error", "model_version": "1", "id": "né\u0000w", "outputs": [
                             {"name": "loss", "shape": [1], "datatype": "FP32", "data": [5.0]},
                             {"name": "losses", "shape": [2], "datatype": "FP32", "data": [1.0, 9.0]}]})
        self.assertNotIn("id", self.post("/v2/models/mse/infer", mse()).document())
        self.assertEqual(self.post("/v2/models/mse/versions/1/infer", mse()).document()["model_name"], "mse")
        self.assertEqual(list(self.infer("mse", mse(outputs=[]))), ["loss", "losses"])

    def test_the_model_may_be_named_again_as_kserves_client_does(self):
        answer = self.post("/v2/models/mse/infer", mse(id="1", model_name="mse"), b"", "Content-Type: application/json")
        self.assertEqual((answer.status, answer.document()["id"]), (200, "1"))

    def test_outputs_come_in_the_order_asked_for(self):
        names = ["gradients.predictions", "totals.count", "loss", "gradients.weights", "totals.sum", "gradients.labels"]
        got = self.infer("mse", mse(outputs=[{"name": name} for name in names], parameters={"reduction": "sum"}))
        self.assertEqual(list(got), names)
        self.assertEqual([got[name]["data"] for name in names], [[2.0, 6.0], [2.0], [10.0], [10.0], [10.0], [-2.0, -6.0]])
        self.assertEqual((got["totals.sum"]["datatype"], got["loss"]["datatype"]), ("FP64", "FP32"))

    def test_parameters_are_those_of_the_loss(self):
        got = self.infer("huber_loss", mse(parameters={"delta": 2, "reduction": "sum", "weights_mask": True,
                                                       "timeout": 60_000_000, "priority": 1}))
        self.assertEqual(got["loss"]["data"], [0.5 + 4])
        request = {"inputs": [tensor("labels", "FP32", [2, 2], [1, 0, 0, 1]), tensor("predictions", "FP32", [2, 2], [1, 0, 1, 0])]}
        for axis in (1, "1"):
            got = self.infer("cosine_distance", request | {"parameters": {"axis": int(axis), "reduction": "none"}})
            self.assertEqual(got["losses"]["data"], [0.0, 1.0])
            self.assertNotIn("loss", got)

    def test_the_dtype_is_float64_where_a_float_input_is(self):
        wide = {"inputs": [tensor("labels", "INT64", [2], [0, 0]), tensor("predictions", "FP64", [2], [0.1, 0.3])]}
        self.assertEqual(self.infer("mse", wide)["losses"], {"name": "losses", "shape": [2], "datatype": "FP64",
                                                            "data": [0.1 * 0.1, 0.3 * 0.3]})
        narrow = self.infer("mse", wide | {"parameters": {"dtype": "float32"}})
        self.assertEqual({x["datatype"] for x in narrow.values()}, {"FP32"})
        self.assertEqual(self.infer("mse", mse(parameters={"dtype": "float64"}))["loss"]["datatype"], "FP64")

    def test_data_may_be_nested_or_flat(self):
        flat = {"inputs": [tensor("labels", "FP32", [2, 1, 2], [0, 0, 0, 0]), tensor("predictions", "FP32", [2, 1, 2], [1, 2, 3, 4])]}
        nested = {"inputs": [flat["inputs"][0], tensor("predictions", "FP32", [2, 1, 2], [[[1, 2]], [[3, 4]]])]}
        got = self.infer("mse", flat)
        self.assertEqual(self.infer("mse", nested), got)
        self.assertEqual((got["losses"]["shape"], got["losses"]["data"]), ([2, 1, 2], [1.0, 4.0, 9.0, 16.0]))

    def test_scalars_and_empty_tensors_are_tensors_too(self):
        got = self.infer("mse", {"inputs": [tensor("labels", "FP32", [], [1]), tensor("predictions", "FP32", [], [3]),
                                            tensor("weights", "FP32", [], [0.5])]})
        self.assertEqual((got["losses"]["shape"], got["losses"]["data"]), ([], [2.0]))
        got = self.infer("mse", {"inputs": [tensor("labels", "FP32", [0, 3], []), tensor("predictions", "FP32", [0, 3], [])]})
        self.assertEqual((got["losses"]["shape"], got["losses"]["data"], got["loss"]["data"]), ([0, 3], [], [0.0]))
        request = {"inputs": [binary("labels", "FP32", [0], 0), binary("predictions", "FP32", [0], 0)],
                   "parameters": {"binary_data_output": True}}
        document, tensors = self.split(self.post_binary("mse", request, b""))
        self.assertEqual((tensors["losses"], tensors["loss"]), ([], [0.0]))

    def test_every_datatype_is_read_from_json_and_from_bytes(self):
        numbers = [1, 0, 1, 1]
        for datatype in [*CODES, "BF16"]:
            size = len(pack(datatype, numbers))
            got = self.infer("mse", {"inputs": [tensor("labels", datatype, [4], numbers), tensor("predictions", "FP32", [4], [0, 0, 0, 3])]})
            self.assertEqual(got["losses"]["data"], [1, 0, 1, 4], datatype)
            request = {"inputs": [binary("labels", datatype, [4], size), tensor("predictions", "FP32", [4], [0, 0, 0, 3])]}
            answer = self.post_binary("mse", request, pack(datatype, numbers))
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(answer.document()["outputs"][1]["data"], [1, 0, 1, 4], datatype)

    def test_numbers_in_json_are_rounded_once_to_their_datatype(self):
        for datatype, number, held in (("FP16", 0.1, 0.0999755859375), ("BF16", 0.1, 0.10009765625),
                                       ("FP32", 0.1, 0.100000001490116119384765625), ("FP64", 0.1, 0.1)):
            got = self.infer("absolute_difference", {"inputs": [tensor("labels", "FP32", [1], [0]), tensor("predictions", datatype, [1], [number])],
                                                     "parameters": {"dtype": "float64"}})
            self.assertEqual(got["losses"]["data"], [held], datatype)

    def test_decimals_beside_a_midpoint_are_not_rounded_twice(self):
        for datatype, bits, least, largest in (("FP16", 11, -24, 65504), ("BF16", 8, -133, (2 - 2**-7) * 2.0**127)):
            texts = beside_midpoints(bits, least)
            self.assertGreater(sum(round_to(float(text), bits, least) != round_to(text, bits, least) for text in texts), 150)
            held = [round_to(text, bits, least) for text in texts]
            fits = [(text, float(v)) for text, v in zip(texts, held) if abs(v) <= largest]
            data = ",".join(text for text, _ in fits)
            data = '{"name":"predictions","datatype":"%s","shape":[%d],"data":[%s]}' % (datatype, len(fits), data)
            body = '{"inputs":[%s,%s],"parameters":{"dtype":"float64"}}' % (data, json.dumps(tensor("labels", "FP64", [len(fits)], [0] * len(fits))))
            got = self.infer("absolute_difference", body.encode())["losses"]["data"]
            self.assertEqual(got, [abs(v) for _, v in fits])
            own = '{"labels":{"shape":[%d],"data":%s},"predictions":{"dtype":"%s","shape":[%d],"data":[%s]},"dtype":"float64"}' % (
                len(fits), [0] * len(fits), {"FP16": "float16", "BF16": "bfloat16"}[datatype], len(fits), ",".join(text for text, _ in fits))
            answer = self.wire.ask(wire.post("/v1/losses/absolute_difference", own.encode()))
            self.assertEqual(answer.document()["losses"], got)

    def test_what_hides_behind_the_largest_number_is_refused_or_not(self):
        for number, status in (("65519.99999999999999999", 200), ("65520.0000000000000000", 400), ("-65520.000000000000001", 400)):
            body = '{"inputs":[{"name":"labels","datatype":"FP16","shape":[1],"data":[%s]},%s]}' % (
                number, json.dumps(tensor("predictions", "FP32", [1], [0])))
            self.assertEqual(self.post("/v2/models/mse/infer", body.encode()).status, status, number)

    def test_what_is_not_finite_is_null_in_json_and_itself_in_bytes(self):
        inputs = [tensor("labels", "FP32", [2], [0, 0]), binary("predictions", "FP32", [2], 8)]
        outputs = [{"name": "losses"}, {"name": "loss", "parameters": {"binary_data": True}}]
        document, tensors = self.split(self.post_binary("mse", {"inputs": inputs, "outputs": outputs}, pack("FP32", [math.inf, 1])))
        self.assertEqual(document["outputs"][0]["data"], [None, 1.0])
        self.assertEqual(tensors["loss"], [math.inf])
        body = json.dumps({"inputs": [tensor("labels", "FP32", [1], [0]), tensor("predictions", "FP32", [1], [math.nan])]}).encode()
        self.assertEqual(self.infer("mse", body)["losses"]["data"], [None])

    # Binary tensors

    def test_binary_and_json_tensors_mix(self):
        request = {"inputs": [binary("labels", "INT64", [2], 16), tensor("weights", "FP32", [2], [1, 2]),
                              binary("logits", "FP64", [2, 3], 48)],
                   "outputs": [{"name": "losses", "parameters": {"binary_data": True}}, {"name": "totals.mean"},
                               {"name": "gradients.logits", "parameters": {"binary_data": True}}]}
        tail = pack("INT64", [0, 2]) + pack("FP64", [1, 2, 3, 0, 0, 0])
        same = {"labels": [0, 2], "logits": [[1, 2, 3], [0, 0, 0]], "weights": [1, 2], "dtype": "float64", "gradients": True}
        expected = self.wire.ask(wire.post("/v1/losses/sparse_softmax_cross_entropy", json.dumps(same).encode())).document()
        for how in ({}, {"chunks": 7}, {"chunks": 1}):
            document, tensors = self.split(self.post_binary("sparse_softmax_cross_entropy", request, tail, **how))
            self.assertEqual(tensors["losses"], expected["losses"])
            self.assertEqual(tensors["gradients.logits"], [x for row in expected["gradients"]["logits"] for x in row])
            self.assertEqual(document["outputs"][1]["data"], [expected["totals"]["mean"]])

    def test_an_outputs_own_flag_wins_over_the_requests(self):
        outputs = [{"name": "loss", "parameters": {"binary_data": False}}, {"name": "losses"}]
        document, tensors = self.split(self.post("/v2/models/mse/infer", mse(outputs=outputs, parameters={"binary_data_output": True})))
        self.assertEqual((document["outputs"][0]["data"], tensors), ([5.0], {"losses": [1.0, 9.0]}))
        _, tensors = self.split(self.post("/v2/models/mse/infer", mse(parameters={"binary_data_output": True})))
        self.assertEqual(tensors, {"loss": [5.0], "losses": [1.0, 9.0]})

    def test_a_large_call_is_the_same_in_every_form(self):
        n = 20_000
        labels, predictions = [i % 7 for i in range(n)], [(i * 31 % 1009) / 128 for i in range(n)]
        names = ["losses", "gradients.predictions", "totals.sum"]
        in_json = self.infer("huber_loss", {"inputs": [tensor("labels", "FP32", [n], labels), tensor("predictions", "FP32", [n], predictions)],
                                            "outputs": [{"name": name} for name in names]})
        request = {"inputs": [binary("labels", "FP32", [n], 4 * n), binary("predictions", "FP32", [n], 4 * n)],
                   "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in names]}
        answer = self.post_binary("huber_loss", request, pack("FP32", labels) + pack("FP32", predictions))
        _, in_bytes = self.split(answer)
        for name in names:
            pattern = "<d" if name == "totals.sum" else "<f"
            self.assertEqual([struct.unpack(pattern, struct.pack(pattern, x))[0] for x in in_json[name]["data"]], in_bytes[name])

    def test_a_raw_binary_request_is_the_only_input(self):
        body = pack("FP32", [3, 4])
        for how in ({}, {"chunks": 3}):
            answer = self.post("/v2/models/l2_regularization/infer", b"", body, length=0, **how)
            document, tensors = self.split(answer)
            self.assertEqual(tensors, {"loss": [12.5], "losses": [12.5]})
        self.refused(self.post("/v2/models/mse/infer", b"", body, length=0), 400, LENGTH, "more than one")
        self.refused(self.post("/v2/models/l2_regularization/infer", b"", body[:-1], length=0), 422, "multiple of 4")

    # Refusals

    def test_a_header_that_is_no_length_is_refused(self):
        request = {"inputs": [binary("labels", "FP32", [1], 4), binary("predictions", "FP32", [1], 4)]}
        for length in ("", "x", "-1", "+5", "1.5", "0x10", "1e2", "9223372036854775808", "18446744073709551616", "9" * 400, "100 1", "99999"):
            answer = self.post("/v2/models/mse/infer", request, bytes(8), length=length)
            self.refused(answer, 400, LENGTH)
        length = len(json.dumps(request).encode())
        answer = self.post("/v2/models/mse/infer", request, bytes(8), f"{LENGTH}: {length}", length=length)
        self.refused(answer, 400, LENGTH)

    def test_a_header_that_cuts_the_json_is_refused(self):
        request = {"inputs": [binary("labels", "FP32", [1], 4), binary("predictions", "FP32", [1], 4)]}
        n = len(json.dumps(request))
        for how in ({}, {"chunks": 11}):
            self.refused(self.post("/v2/models/mse/infer", request, bytes(8), length=n - 1, **how), 400)
            self.refused(self.post("/v2/models/mse/infer", request, bytes(8), length=n + 1, **how), 400)
            self.refused(self.post("/v2/models/mse/infer", request, length=n + 1, **how), 400, LENGTH)

    def test_sizes_that_do_not_add_up_are_refused(self):
        request = {"inputs": [binary("labels", "FP32", [1], 4), binary("predictions", "FP32", [1], 4)]}
        for size in (0, 4, 7, 9, 4000):
            for how in ({}, {"chunks": 100}):
                self.refused(self.post_binary("mse", request, bytes(size), **how), 400)
        for size in (0, 3, 5, 8, 2**53):
            request = {"inputs": [binary("labels", "FP32", [1], size), binary("predictions", "FP32", [1], 4)]}
            self.refused(self.post_binary("mse", request, bytes(8)), 422, "binary_data_size")
        for size in (-4, 4.5, "4", True, 2**53 + 2, 2**64, 1e300, None):
            request = {"inputs": [binary("labels", "FP32", [1], size), binary("predictions", "FP32", [1], 4)]}
            self.refused(self.post_binary("mse", request, bytes(8)), 400, "binary_data_size")

    def test_bytes_without_the_header_are_refused(self):
        request = {"inputs": [binary("labels", "FP32", [1], 4), binary("predictions", "FP32", [1], 4)]}
        self.refused(self.post("/v2/models/mse/infer", request), 400, LENGTH)
        self.refused(self.post("/v2/models/mse/infer", request, bytes(8)), 400)
        self.refused(self.post_binary("mse", mse(), bytes(4)), 400, "/inputs")

    def test_shapes_that_overflow_are_refused(self):
        for shape in ([2**32, 2**32], [2**53, 2**53], [2**16] * 4, [2**31, 2**31, 2**31]):
            for size in (0, 4):
                request = {"inputs": [binary("labels", "FP32", shape, size), binary("predictions", "FP32", [1], 4)]}
                self.refused(self.post_binary("mse", request, bytes(size + 4)), 422)
            request = {"inputs": [tensor("labels", "FP32", shape, [1]), tensor("predictions", "FP32", [1], [1])]}
            self.refused(self.post("/v2/models/mse/infer", request), 422)
        request = {"inputs": [binary("labels", "FP64", [2**50, 2**11], 0), binary("predictions", "FP32", [1], 4)]}
        self.refused(self.post_binary("mse", request, bytes(4)), 422)

    def test_shapes_that_are_none_are_refused(self):
        for shape, status in (([-1], 400), ([1.5], 400), ("1", 400), (1, 400), ([[1]], 400), ([1] * 9, 422), (["1"], 400)):
            request = {"inputs": [tensor("labels", "FP32", shape, [1]), tensor("predictions", "FP32", [1], [1])]}
            self.refused(self.post("/v2/models/mse/infer", request), status, "/inputs/0/shape")

    def test_data_that_does_not_fit_its_shape_is_refused(self):
        for shape, data, status in (([2], [1, 2, 3], 422), ([2, 2], [[1, 2, 3, 4]], 422), ([4], [[1, 2], [3, 4]], 422), ([2], [], 422),
                                    ([2, 2], [[1, 2], [3]], 422), ([1], 1, 400), ([1], "1", 400), ([1], ["1"], 400), ([1], {}, 400),
                                    ([1], [None], 400), ([2], [1, "2"], 400)):
            request = {"inputs": [tensor("labels", "FP32", shape, data), tensor("predictions", "FP32", shape, data)]}
            self.refused(self.post("/v2/models/mse/infer", request), status, "/inputs/0")

    def test_numbers_that_do_not_fit_their_datatype_are_refused(self):
        for datatype, number, status in (("UINT8", 256, 400), ("INT8", -129, 400), ("BOOL", 2, 400), ("FP16", 70000, 400), ("FP32", 1e39, 400),
                                         ("INT32", 0.5, 422)):
            request = {"inputs": [tensor("labels", datatype, [2], [0, number]), tensor("predictions", "FP32", [2], [1, 1])]}
            self.refused(self.post("/v2/models/mse/infer", request), status, "/inputs/0/data/1")
        request = {"inputs": [binary("labels", "BOOL", [2], 2), tensor("predictions", "FP32", [2], [1, 1])]}
        self.refused(self.post_binary("mse", request, b"\x01\x02"), 400, "BOOL", "/inputs/0")

    def test_a_tensor_has_data_or_bytes_and_not_both(self):
        both = binary("labels", "FP32", [1], 4) | {"data": [1]}
        self.refused(self.post_binary("mse", {"inputs": [both, tensor("predictions", "FP32", [1], [1])]}, bytes(4)), 400, "not both")
        neither = {"name": "labels", "datatype": "FP32", "shape": [1]}
        self.refused(self.post("/v2/models/mse/infer", {"inputs": [neither, tensor("predictions", "FP32", [1], [1])]}), 400, "data")

    def test_unknown_and_missing_and_repeated_things_are_refused(self):
        good = mse()["inputs"]
        for document, status, word in (
                ({}, 400, "inputs"), ({"inputs": {}}, 400, "inputs"), ({"inputs": [1]}, 400, "inputs"), ({"inputs": ["x"]}, 400, "inputs"),
                ({"inputs": []}, 400, "labels"), ({"inputs": good[:1]}, 400, "predictions"),
                ({"inputs": [*good, good[0]]}, 400, "twice"), ({"inputs": [*good, tensor("logits", "FP32", [1], [1])]}, 400, "logits"),
                ({"inputs": [good[0] | {"datatype": "BYTES"}, good[1]]}, 400, "BYTES"),
                ({"inputs": [good[0] | {"datatype": None}, good[1]]}, 400, "datatype"),
                ({"inputs": [good[0] | {"parameters": {"shared_memory_region": "x"}}, good[1]]}, 400, "shared_memory_region"),
                ({"inputs": [{k: v for k, v in good[0].items() if k != "name"}, good[1]]}, 400, "name"),
                ({"inputs": [{k: v for k, v in good[0].items() if k != "shape"}, good[1]]}, 400, "shape"),
                (mse(more=1), 400, "more"), (mse(id=5), 400, "id"), (mse(id=None), 400, "id"),
                (mse(outputs=[{"name": "accuracy"}]), 400, "accuracy"), (mse(outputs=[{"name": "gradients.x"}]), 400, "gradients.x"),
                (mse(outputs=[{"name": "loss"}, {"name": "loss"}]), 400, "twice"), (mse(outputs=[{}]), 400, "name"),
                (mse(outputs={"name": "loss"}), 400, "outputs"), (mse(outputs=[{"name": "loss", "parameters": {"classification": 3}}]), 400, "classification"),
                (mse(outputs=[{"name": "loss", "parameters": {"binary_data": 1}}]), 400, "binary_data"),
                (mse(outputs=[{"name": "loss"}], parameters={"reduction": "none"}), 400, "none"),
                (mse(parameters=[]), 400, "parameters"), (mse(parameters={"reductoin": "sum"}), 400, "reduction"),
                (mse(parameters={"reduction": "avg"}), 400, "avg"), (mse(parameters={"reduction": ["sum"]}), 400, "/parameters/reduction"),
                (mse(parameters={"dtype": "float16"}), 400, "float16"), (mse(parameters={"timeout": -1}), 400, "timeout"),
                (mse(parameters={"registry": "r"}), 400, "registry"), (mse(parameters={"reduction": None}), 400, "null"),
                (b"[]", 400, "object"), (b"", 400, ""), (b"{\"inputs\": [], \"inputs\": []}", 400, "twice"), (b"{\"inputs\": [", 400, "")):
            with self.subTest(document=document):
                self.refused(self.post("/v2/models/mse/infer", document), status, word)

    def test_a_gradient_that_is_none_is_refused(self):
        request = {"inputs": [tensor("labels", "INT32", [1], [0]), tensor("logits", "FP32", [1, 2], [1, 2])]}
        self.refused(self.post("/v2/models/sparse_softmax_cross_entropy/infer", request | {"outputs": [{"name": "gradients.labels"}]}), 422, "labels")

    def test_what_the_loss_refuses_is_said_at_its_place(self):
        request = {"inputs": [tensor("labels", "INT32", [2], [0, 2]), tensor("logits", "FP32", [2, 2], [[1, 2], [3, 4]])]}
        self.refused(self.post("/v2/models/sparse_softmax_cross_entropy/infer", request), 422, "/inputs/0/data/1")
        request = {"inputs": [tensor("predictions", "FP32", [3], [1, 2, 3]), tensor("labels", "FP32", [2], [0, 2])]}
        self.refused(self.post("/v2/models/mse/infer", request), 422, "[2]", "[3]")

    def test_a_deadline_is_kept(self):
        n = 400_000
        request = {"inputs": [binary("labels", "FP32", [n], 4 * n), binary("predictions", "FP32", [n], 4 * n)], "parameters": {"timeout": 1}}
        self.refused(self.post_binary("mse", request, bytes(8 * n)), 504)

    def test_a_body_may_be_json_or_bytes_and_nothing_else(self):
        body = json.dumps(mse()).encode()
        for kind, status in (("application/json", 200), ("application/octet-stream", 200), ("text/plain", 415)):
            answer = self.post("/v2/models/mse/infer", body, b"", f"Content-Type: {kind}")
            self.assertEqual(answer.status, status, kind)
        self.refused(self.post("/v2/models/mse/infer", body, b"", "Content-Type: text/plain"), 415, "application/octet-stream")

    def test_errors_of_other_paths_keep_their_form(self):
        answer = self.wire.ask(wire.head("GET", "/v2x"), "GET")
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (404, "application/problem+json"))


class Limits(unittest.TestCase):
    def test_inputs_beyond_the_limit_of_a_body_are_refused_early(self):
        with lossd(PROGRAM, "--max-body", "1000000") as (url, _):
            request = {"inputs": [binary("labels", "FP32", [10**6], 4 * 10**6), binary("predictions", "FP32", [1], 4)]}
            body = json.dumps(request).encode()
            connection = wire.Wire(url)
            whole = wire.head("POST", "/v2/models/mse/infer", f"{LENGTH}: {len(body)}", f"Content-Length: {len(body) + 4 * 10**6 + 4}")
            self.assertEqual(connection.ask(whole).status, 413)
            connection.close()
            parts = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            head = wire.head("POST", "/v2/models/mse/infer", f"{LENGTH}: {len(body)}", "Transfer-Encoding: chunked")
            answer = connection.ask(head + parts)
            self.assertEqual((answer.status, list(answer.document())), (413, ["error"]))
            connection.close()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
