# SPDX-License-Identifier: Apache-2.0
"""test_evaluate.py LOSSD: several losses over shared tensors in one call, and nothing changed where one of them fails."""

import http.client
import json
import sys
import unittest
from urllib.parse import urlsplit

import numpy
from lossd_server import lossd
from safetensors.numpy import save

PROGRAM = sys.argv[1]
MEDIA = "application/x-safetensors"


class Evaluate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = lossd(PROGRAM, "--inline-elements", "1000")
        cls.url, _ = cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def ask(self, method, target, body=None, content_type="application/json", **headers):
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            data = json.dumps(body).encode() if isinstance(body, dict) else body
            connection.request(method, target, data, {"Content-Type": content_type} | headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def evaluate(self, body, **how):
        status, answer = self.ask("POST", "/v1/evaluate", body, **how)
        self.assertEqual(status, 200, answer)
        return answer

    def alone(self, entry, tensors):
        body = {k: tensors[v["ref"]] if isinstance(v, dict) and "ref" in v else v for k, v in entry.items() if k != "loss"}
        status, answer = self.ask("POST", f"/v1/losses/{entry['loss']}", body)
        self.assertEqual(status, 200, answer)
        return answer

    def test_each_result_is_that_of_its_own_call(self):
        # 0.1 and its like differ between the dtypes; the same tensor is used as both, and as class indices.
        tensors = {"y": [0, 1, 2, 1], "z": [[0.1, 0.7, 0.2]] * 4, "w": {"shape": [4], "data": [0.1, 0.2, 0.3, 0]},
                   "unused": [1, [2]]}
        losses = [{"loss": "sparse_softmax_cross_entropy", "labels": {"ref": "y"}, "logits": {"ref": "z"}, "weights": {"ref": "w"}},
                  {"loss": "mse", "labels": {"ref": "w"}, "predictions": {"ref": "y"}, "gradients": True},
                  {"loss": "mse", "labels": {"ref": "w"}, "predictions": {"ref": "y"}, "dtype": "float64", "reduction": "none"},
                  {"loss": "huber_loss", "labels": {"ref": "z"}, "predictions": [[1, 2, 3]] * 4, "delta": 0.5, "losses": False}]
        del tensors["unused"]
        for order in (losses, losses[::-1]):
            answer = self.evaluate({"tensors": tensors, "losses": order})
            self.assertEqual(answer["results"], [self.alone(entry, tensors) for entry in order])
        total = sum(numpy.float64(numpy.float32(r["loss"])) for r in answer["results"] if "loss" in r)
        self.assertAlmostEqual(answer["total_loss"], total, places=14)

    def test_tensors_may_follow_or_be_absent(self):
        entry = {"loss": "mse", "labels": {"ref": "a"}, "predictions": [1, 2]}
        text = json.dumps({"losses": [entry], "tensors": {"a": [0, 0]}}).encode()
        self.assertEqual(self.evaluate(text)["total_loss"], 2.5)
        self.assertEqual(self.evaluate({"losses": [entry | {"labels": [0, 0]}]})["total_loss"], 2.5)

    def test_a_large_call_agrees(self):
        z = numpy.random.default_rng(1).standard_normal((3000, 8)).round(3).tolist()
        tensors = {"y": [i % 8 for i in range(3000)], "z": z}
        entry = {"loss": "sparse_softmax_cross_entropy", "labels": {"ref": "y"}, "logits": {"ref": "z"}, "gradients": True}
        answer = self.evaluate({"tensors": tensors, "losses": [entry, entry | {"reduction": "sum"}]})
        self.assertEqual(answer["results"][0], self.alone(entry, tensors))

    def test_a_safetensors_file_holds_a_spec(self):
        y, z = numpy.array([0, 2]), numpy.array([[.1, .2, .3], [.4, .5, .6]])
        entry = {"loss": "sparse_softmax_cross_entropy", "labels": {"ref": "y"}, "logits": {"ref": "z"}}
        spec = json.dumps({"losses": [entry, entry | {"dtype": "float32"}]})
        answer = self.evaluate(save({"y": y, "z": z}, {"spec": spec}), content_type=MEDIA)
        tensors = {"y": y.tolist(), "z": z.tolist()}
        self.assertEqual(answer["results"][0], self.alone(entry | {"dtype": "float64"}, tensors))
        self.assertEqual(answer["results"][1]["dtype"], "float32")
        for body, code in ((save({"y": y}), "missing_field"), (save({"y": y}, {"spec": "{"}), "malformed_json"),
                           (save({"y": y}, {"spec": spec})[:-1], "malformed_encoding")):
            self.assertEqual(self.ask("POST", "/v1/evaluate", body, content_type=MEDIA)[1]["code"], code)

    def test_failures_point_into_the_list(self):
        good = {"loss": "mse", "labels": {"ref": "a"}, "predictions": {"ref": "b"}}
        tensors = {"a": [1, 2], "b": [3, 4], "c": [1, 2, 3]}
        for bad, status, code, pointer in (
                ({"labels": {"ref": "x"}}, 400, "invalid_parameter", "/losses/1/labels"),
                ({"labels": {"ref": "c"}}, 422, "shape_mismatch", "/losses/1/labels"),
                ({"labels": [1, "x"]}, 400, "invalid_parameter", "/losses/1/labels/1"),
                ({"labels": [[1], [2, 3]]}, 422, "ragged_tensor", "/losses/1/labels/1"),
                ({"loss": "mze"}, 404, "unknown_loss", "/losses/1/loss"),
                ({"delta": 1}, 400, "unknown_field", "/losses/1/delta"),
                ({"reduction": "avg"}, 400, "invalid_parameter", "/losses/1/reduction"),
                ({"losses": 1}, 400, "invalid_parameter", "/losses/1/losses"),
                ({"registry": "r", "reduction": "none"}, 422, "not_scalar", "/losses/1/reduction")):
            with self.subTest(bad=bad):
                body = {"tensors": tensors, "losses": [good | {"registry": "untouched"}, good | bad]}
                got, problem = self.ask("POST", "/v1/evaluate", body)
                self.assertEqual((got, problem["code"], problem["pointer"]), (status, code, pointer), problem)
        for body, code, pointer in (({"losses": []}, "invalid_parameter", "/losses"), ({}, "missing_field", "/losses"),
                                    ({"losses": 1}, "invalid_parameter", "/losses"), ({"losses": [1]}, "invalid_parameter", "/losses"),
                                    ({"loses": []}, "unknown_field", "/loses"), ({"losses": [good], "tensors": []}, "invalid_parameter", "/tensors"),
                                    ({"losses": [{}]}, "missing_field", "/losses/0/loss"),
                                    ({"losses": [good], "tensors": tensors | {"a": [1, [2]]}}, "ragged_tensor", "/tensors/a/1")):
            with self.subTest(body=body):
                got, problem = self.ask("POST", "/v1/evaluate", body)
                self.assertEqual(problem["code"], code, problem)
                self.assertLess(got, 500)
                self.assertTrue(problem["pointer"].startswith(pointer), problem)
        self.assertEqual(self.ask("GET", "/v1/registries/untouched")[0], 404)

    def test_a_tensor_that_nothing_refers_to_is_ignored(self):
        good = {"loss": "mse", "labels": {"ref": "a"}, "predictions": {"ref": "a"}}
        answer = self.evaluate({"tensors": {"a": [1, 2], "ragged": [1, [2]], "words": ["x"], "none": None, "flag": True}, "losses": [good]})
        self.assertEqual(answer["total_loss"], 0)

    def test_the_total_is_the_exact_sum_and_leaves_none_out(self):
        entries = [{"loss": "compute_weighted_loss", "values": {"ref": name}, "dtype": "float64", "reduction": "sum"} for name in ("big", "one", "less")]
        tensors = {"big": [1e16], "one": [1.0], "less": [-1e16]}
        answer = self.evaluate({"tensors": tensors, "losses": [*entries, entries[1] | {"reduction": "none"}]})
        self.assertEqual((answer["total_loss"], "loss" in answer["results"][3]), (1.0, False))
        infinite = {"loss": "compute_weighted_loss", "values": [float("inf"), 1.0]}
        answer = self.evaluate({"losses": [infinite, entries[1] | {"values": [2.0]}]})
        self.assertEqual((answer["total_loss"], answer["results"][0]["nonfinite"]), (None, 1))

    def test_the_answer_is_json_alone(self):
        body = {"losses": [{"loss": "mse", "labels": [1], "predictions": [2]}]}
        for accept in (MEDIA, "text/html", "application/json;q=0"):
            status, problem = self.ask("POST", "/v1/evaluate", body, Accept=accept)
            self.assertEqual((status, problem["code"], problem["parameter"]), (406, "not_acceptable", "Accept"))
        for accept in ("*/*", f"{MEDIA}, application/json;q=0.1", "application/*"):
            self.assertEqual(self.evaluate(body, Accept=accept)["total_loss"], 1)

    def test_hundreds_of_losses_fit_and_thousands_are_refused_as_too_large(self):
        entry = {"loss": "mse", "labels": {"ref": "a"}, "predictions": {"ref": "b"}, "weights": [1, 2], "registry": "hundreds",
                 "step": 7, "reduction": "mean", "losses": False}
        entries = [entry | {"name": f"validation/head-{i}/mse"} for i in range(320)]
        answer = self.evaluate(json.dumps({"tensors": {"a": [0, 0], "b": [1, 1]}, "losses": entries}, indent=4).encode())
        self.assertEqual((len(answer["results"]), answer["total_loss"]), (320, 320))
        listed = self.ask("GET", "/v1/registries/hundreds/losses?step=7")[1]["losses"]
        self.assertEqual([one["name"] for one in listed], [one["name"] for one in entries])
        body = {"tensors": {"a": [0, 0], "b": [1, 1]}, "losses": [one | {"registry": "thousands"} for one in entries] * 5}
        status, problem = self.ask("POST", "/v1/evaluate", body)
        self.assertEqual((status, problem["code"]), (413, "body_too_large"))
        self.assertIn("65536 bytes", problem["detail"])
        self.assertEqual(self.ask("GET", "/v1/registries/thousands")[0], 404)

    def test_a_registry_gets_all_or_nothing(self):
        entry = {"loss": "mse", "labels": {"ref": "a"}, "predictions": [1, 2], "registry": "both"}
        accumulate = entry | {"name": "acc", "accumulate": True}
        body = {"tensors": {"a": [0, 0]}, "losses": [entry, entry | {"step": 1}, accumulate]}
        answer = self.evaluate(body, **{"Idempotency-Key": "k"})
        self.assertEqual([r["entry"]["name"] for r in answer["results"]], ["mean_squared_error", "mean_squared_error", "acc"])
        self.assertEqual(self.evaluate(body, **{"Idempotency-Key": "k"}), answer)
        self.assertEqual(len(self.ask("GET", "/v1/registries/both/losses?step=all")[1]["losses"]), 3)
        conflict = {"losses": [entry | {"labels": [0, 0]}, {"loss": "huber_loss"} | accumulate | {"loss": "huber_loss", "labels": [0, 0]}]}
        self.assertEqual(self.ask("POST", "/v1/evaluate", conflict)[0], 409)
        self.assertEqual(len(self.ask("GET", "/v1/registries/both/losses?step=all")[1]["losses"]), 3)


if __name__ == "__main__":
    del sys.argv[1]
    unittest.main()
