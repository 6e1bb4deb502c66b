# SPDX-License-Identifier: Apache-2.0
"""test_safetensors.py LOSSD: safetensors bodies and answers, written and read by the stock package."""

import http.client
import json
import sys
import unittest
from urllib.parse import urlsplit

import numpy
from lossd_server import lossd
from safetensors.numpy import load, save

PROGRAM = sys.argv[1]
MEDIA = "application/x-safetensors"


class Safetensors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = lossd(PROGRAM, "--max-body", "8388608")
        cls.url, _ = cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def setUp(self):
        rng = numpy.random.default_rng(1)
        self.logits = rng.standard_normal((6, 4), numpy.float32)
        self.labels = numpy.array([0, 1, 2, 3, 0, 1])
        self.weights = numpy.array([1, 0, 2, .5, 1, 1], numpy.float32)
        self.tensors = {"labels": self.labels, "logits": self.logits, "weights": self.weights}
        self.plain = {name: x.tolist() for name, x in self.tensors.items()}

    def ask(self, target, body, content_type=MEDIA, accept="application/json", pieces=None):
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            data = body if pieces is None else iter([body[i:i + pieces] for i in range(0, len(body), pieces)])
            connection.request("POST", f"/v1/losses/{target}", data, {"Content-Type": content_type, "Accept": accept},
                               encode_chunked=pieces is not None)
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read()
        finally:
            connection.close()

    def compute(self, target, body, **how):
        status, _, answer = self.ask(target, body, **how)
        self.assertEqual(status, 200, answer)
        return json.loads(answer)

    def refused(self, target, body, **how):
        status, _, answer = self.ask(target, body, **how)
        problem = json.loads(answer)
        self.assertEqual(problem["status"], status)
        return status, problem["code"], problem.get("pointer", problem.get("parameter"))

    LOSS = "sparse_softmax_cross_entropy"

    def test_all_four_ways_give_the_same_answer(self):
        fields = {"reduction": "mean", "gradients": ["logits", "weights"]}
        text = json.dumps(self.plain | fields).encode()
        binary = save(self.tensors, metadata={"reduction": "mean", "gradients": "logits,weights", "format": "pt"})
        expected = self.compute(self.LOSS, text, content_type="application/json")
        self.assertEqual(self.compute(self.LOSS, binary), expected)
        for body, media in ((text, "application/json"), (binary, MEDIA)):
            status, got, answer = self.ask(self.LOSS, body, content_type=media, accept=MEDIA)
            self.assertEqual((status, got), (200, MEDIA))
            tensors = load(answer)
            self.assertEqual(tensors["loss"].dtype, numpy.float32)
            self.assertEqual(float(tensors["loss"]), float(numpy.float32(expected["loss"])))
            self.assertEqual(tensors["losses"].tolist(), numpy.array(expected["losses"], numpy.float32).tolist())
            for name, value in expected["totals"].items():
                self.assertEqual(float(tensors[f"totals.{name}"]), value)
            for name, value in expected["gradients"].items():
                self.assertEqual(tensors[f"gradients.{name}"].tolist(), numpy.array(value, numpy.float32).tolist())

    def test_the_query_wins_over_the_metadata(self):
        binary = save(self.tensors, metadata={"reduction": "mean", "losses": "false"})
        answer = self.compute(f"{self.LOSS}?reduction=sum&gradients=true", binary)
        self.assertEqual(answer["reduction"], "sum")
        self.assertNotIn("losses", answer)
        self.assertEqual(list(answer["gradients"]), ["logits"])

    def test_dtype_follows_the_inputs(self):
        wide = self.tensors | {"logits": self.logits.astype(numpy.float64)}
        self.assertEqual(self.compute(self.LOSS, save(wide))["dtype"], "float64")
        self.assertEqual(self.compute(f"{self.LOSS}?dtype=float32", save(wide))["dtype"], "float32")
        self.assertEqual(self.compute(self.LOSS, save(self.tensors))["dtype"], "float32")
        _, _, answer = self.ask(self.LOSS, save(wide), accept=MEDIA)
        self.assertEqual(load(answer)["loss"].dtype, numpy.float64)

    def test_parameters_weights_and_axes_may_be_text(self):
        y, p = numpy.ones((2, 3), numpy.float32), numpy.full((2, 3), 3, numpy.float16)
        answer = self.compute("huber_loss?delta=0.5&weights=0.25", save({"labels": y, "predictions": p}))
        body = json.dumps({"labels": y.tolist(), "predictions": p.tolist(), "delta": 0.5, "weights": 0.25}).encode()
        self.assertEqual(answer, self.compute("huber_loss", body, content_type="application/json"))
        answer = self.compute("cosine_distance?axis=0", save({"labels": y, "predictions": y}))
        self.assertEqual(answer["shape"], [1, 3])

    def test_a_registry_gets_the_loss(self):
        status, media, answer = self.ask(f"{self.LOSS}?registry=st&name=a%2Fb&step=3", save(self.tensors), accept=MEDIA)
        self.assertEqual((status, media), (200, MEDIA))
        size = int.from_bytes(answer[:8], "little")
        entry = json.loads(json.loads(answer[8:8 + size])["__metadata__"]["entry"])
        self.assertEqual((entry["name"], entry["step"]), ("a/b", 3))
        self.assertEqual((8 + size) % 8, 0)

    def test_accept_is_weighed(self):
        body = save(self.tensors)
        for accept, media in ((f"{MEDIA};q=0.5, application/json;q=0.4", MEDIA), (f"{MEDIA}, application/json", "application/json"),
                              (f"{MEDIA};q=0.5, */*;q=0.5", "application/json"), ("*/*", "application/json"),
                              (f"text/html, {MEDIA};q=0.1", MEDIA), ("application/*", "application/json")):
            with self.subTest(accept=accept):
                self.assertEqual(self.ask(self.LOSS, body, accept=accept)[1], media)
        self.assertEqual(self.refused(self.LOSS, body, accept="text/html"), (406, "not_acceptable", "Accept"))

    def test_any_pieces_make_the_same_body(self):
        body = save(self.tensors, metadata={"gradients": "true"})
        whole = self.compute(self.LOSS, body)
        for pieces in (1, 7, 64):
            self.assertEqual(self.compute(self.LOSS, body, pieces=pieces), whole)

    def test_damaged_bodies_are_refused(self):
        good = save(self.tensors)
        for what, body in (("cut", good[:-1]), ("longer", good + b"\0"), ("no header", good[:8]), ("empty", b""), ("noise", b"x" * 100),
                           ("negative", b"\xff" * 8 + good[8:]), ("offsets", good.replace(b'"data_offsets":[0,', b'"data_offsets":[8,', 1))):
            with self.subTest(what=what):
                self.assertEqual(self.refused(self.LOSS, body)[:2], (400, "malformed_encoding"))
                if body:
                    self.assertEqual(self.refused(self.LOSS, body, pieces=50)[:2], (400, "malformed_encoding"))
        huge = json.dumps({"logits": {"dtype": "F32", "shape": [1 << 28], "data_offsets": [0, 1 << 30]}}).encode()
        self.assertEqual(self.refused(self.LOSS, len(huge).to_bytes(8, "little") + huge + b"0" * 9, pieces=16)[:2], (413, "body_too_large"))

    def test_bad_calls_get_the_errors_of_the_contract(self):
        one = save({"labels": self.labels})
        both = self.tensors
        for target, body, expected in (
                (self.LOSS, one, (400, "missing_field", "/logits")),
                (self.LOSS, save(both | {"logit": self.logits}), (400, "unknown_field", "/logit")),
                (self.LOSS, save(both | {"labels": self.labels[:5]}), (422, "shape_mismatch", "/labels")),
                (self.LOSS, save(both | {"labels": self.labels + 3}), (422, "label_out_of_range", "/labels")),
                (self.LOSS, save(both, {"reductoin": "sum"}), (400, "unknown_field", "/reductoin")),
                (self.LOSS, save(both, {"reduction": "avg"}), (400, "invalid_parameter", "/reduction")),
                (self.LOSS, save(both, {"weights": "2"}), (400, "duplicate_field", None)),
                (self.LOSS + "?reduction=avg", save(both), (400, "invalid_parameter", "reduction")),
                (self.LOSS + "?deltas=1", save(both), (400, "unknown_field", "deltas")),
                (self.LOSS + "?gradients=labels", save(both), (422, "not_differentiable", "gradients")),
                (self.LOSS + "?dtype=float16", save(both), (400, "unsupported_dtype", "dtype")),
                ("huber_loss?delta=1x", save({"labels": self.weights, "predictions": self.weights}), (400, "invalid_parameter", "delta"))):
            with self.subTest(expected=expected):
                self.assertEqual(self.refused(target, body), expected)
        # With JSON the query is what it was.
        text = json.dumps(self.plain).encode()
        self.assertEqual(self.refused(self.LOSS + "?reduction=sum", text, content_type="application/json"), (400, "unknown_field", "reduction"))


if __name__ == "__main__":
    del sys.argv[1]
    unittest.main()
