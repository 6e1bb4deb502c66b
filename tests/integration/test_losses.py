# SPDX-License-Identifier: Apache-2.0
"""test_losses.py LOSSD: computing losses from outside, where the golden cases do not reach: large bodies and answers,
threads, registries, headers, and the commands that print the catalog."""

import http.client
import json
import math
import random
import struct
import subprocess
import sys
import threading
import unittest
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from lossd_server import lossd  # noqa: E402

PROGRAM = sys.argv[1]


def float32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


class Losses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Small calls go to the compute thread too where they have more than 1000 elements.
        cls.server = lossd(PROGRAM, "--inline-elements", "1000")
        cls.url, _ = cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def ask(self, method, target, body=None, **headers):
        """Status, headers and text of an answer."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, target, data, {"Content-Type": "application/json"} | headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def compute(self, loss, body, **headers):
        status, _, text = self.ask("POST", f"/v1/losses/{loss}", body, **headers)
        self.assertEqual(status, 200, text[:300])
        return json.loads(text)

    def test_a_large_answer_holds_every_number(self):
        random.seed(1)
        y = [round(random.uniform(-3, 3), 4) for _ in range(200_000)]
        p = [round(random.uniform(-3, 3), 4) for _ in range(200_000)]
        answer = self.compute("absolute_difference", {"labels": y, "predictions": p, "reduction": "sum", "gradients": True})
        self.assertEqual(len(answer["losses"]), len(y))
        for got, a, b in zip(answer["losses"], y, p):
            self.assertLessEqual(abs(got - abs(float32(b) - float32(a))), 2.4e-7 * got)
        self.assertEqual(answer["totals"]["sum"], math.fsum(float32(x) for x in answer["losses"]))
        self.assertEqual(answer["gradients"]["predictions"], [float((b > a) - (b < a)) for a, b in zip(y, p)])

    def test_a_split_batch_has_the_same_losses(self):
        rows = [[(31 * i + 7 * k) % 17 - 8 for k in range(50)] for i in range(400)]
        labels = [i % 50 for i in range(400)]
        loss = "sparse_softmax_cross_entropy"
        whole = self.compute(loss, {"labels": labels, "logits": rows, "reduction": "sum"})
        parts = [self.compute(loss, {"labels": labels[i:i + 10], "logits": rows[i:i + 10]}) for i in range(0, 400, 10)]
        self.assertEqual(whole["losses"], [x for part in parts for x in part["losses"]])
        self.assertEqual(whole["totals"]["sum"], math.fsum(part["totals"]["sum"] for part in parts))

    def test_threads_get_the_same_bytes(self):
        body = {"labels": [i % 10 for i in range(500)], "gradients": ["logits", "weights"], "weights": 0.3,
                "logits": [[(i * k) % 13 / 7 for k in range(10)] for i in range(500)]}
        texts = []

        def work():
            for _ in range(5):
                texts.append(self.ask("POST", "/v1/losses/sparse_softmax_cross_entropy", body)[2])

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(texts), 40)
        self.assertEqual(len(set(texts)), 1)

    def test_a_registry_gets_the_loss_and_the_answer_its_entry(self):
        body = {"labels": [1, 2], "predictions": [2, 4], "registry": "run a/1", "step": 3}
        answer = self.compute("mse", body)
        self.assertEqual(answer["loss"], 2.5)
        entry = answer["entry"]
        self.assertEqual((entry["name"], entry["loss"], entry["step"], entry["collection"], entry["dtype"], entry["reduction"]),
                         ("mean_squared_error", 2.5, 3, "losses", "float32", "sum_by_nonzero_weights"))
        self.assertEqual(self.compute("mse", body)["entry"]["name"], "mean_squared_error_1")
        self.assertEqual(self.compute("mse", body | {"name": "n", "collection": "c"})["entry"]["collection"], "c")
        regularizer = self.compute("l2_regularization", {"values": [2], "registry": "run a/1", "step": 3})
        self.assertEqual(regularizer["entry"]["collection"], "regularization_losses")
        _, _, text = self.ask("GET", "/v1/registries/run%20a%2F1/total_loss?step=3")
        self.assertEqual(json.loads(text), {"total_loss": 7.0, "count": 3})

    def test_an_idempotency_key_adds_once(self):
        body = {"labels": [1, 2], "predictions": [2, 4], "registry": "once"}
        first = self.compute("mse", body, **{"Idempotency-Key": "k-1"})
        again = self.compute("mse", body, **{"Idempotency-Key": "k-1"})
        self.assertEqual(again, first)
        status, _, text = self.ask("POST", "/v1/losses/mse", body | {"step": 1}, **{"Idempotency-Key": "k-1"})
        self.assertEqual((status, json.loads(text)["code"]), (409, "idempotency_conflict"))
        _, _, text = self.ask("GET", "/v1/registries/once/losses")
        self.assertEqual(len(json.loads(text)["losses"]), 1)

    def test_a_refused_call_adds_nothing(self):
        for more in ({"predictions": [1, 2, 3]}, {"reduction": "none"}, {"name": ""}):
            status, _, _ = self.ask("POST", "/v1/losses/mse", {"labels": [1, 2], "predictions": [2, 4], "registry": "nothing"} | more)
            self.assertIn(status, (400, 422))
        self.assertEqual(self.ask("GET", "/v1/registries/nothing")[0], 404)

    def test_accept_decides_whether_there_is_an_answer(self):
        body = {"labels": 1, "predictions": 2}
        for accept, status in (("*/*", 200), ("application/json", 200), ("text/html, application/*;q=0.1", 200),
                               ("text/html", 406), ("application/json;q=0", 406)):
            self.assertEqual(self.ask("POST", "/v1/losses/mse", body, Accept=accept)[0], status, accept)

    def test_a_body_is_refused_as_soon_as_it_is_wrong(self):
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        connection.putrequest("POST", "/v1/losses/mse")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(100 << 20))
        connection.endheaders()
        connection.send(b'{"labels": [1, 2, oops')
        answer = connection.getresponse()
        self.assertEqual((answer.status, json.loads(answer.read())["code"]), (400, "malformed_json"))
        connection.close()

    def listed(self, query):
        status, _, text = self.ask("GET", "/v1/losses" + query)
        self.assertEqual(status, 200, text)
        return [loss["name"] for loss in json.loads(text)["losses"]]

    def test_the_list_can_be_narrowed(self):
        every = self.listed("")
        kinds = [self.listed(f"?kind={kind}") for kind in ("elementwise", "rowwise", "samplewise", "batchwise", "whole")]
        self.assertEqual(sorted(name for names in kinds for name in names), every)
        self.assertTrue(all(kinds))
        self.assertEqual(self.listed("?q=HUBER+tails"), ["huber_loss"])  # its name, its summary
        self.assertIn("quantile", self.listed("?q=pinball_loss"))  # an alias
        self.assertEqual(self.listed("?q=huber&kind=whole"), [])
        for query, parameter in (("?kind=whole_tensor", "kind"), ("?kind=", "kind"), ("?q=", "q"), ("?Q=x", "Q")):
            status, _, text = self.ask("GET", "/v1/losses" + query)
            self.assertEqual((status, json.loads(text)["parameter"]), (400, parameter))

    def test_an_unknown_loss_is_refused_before_its_body(self):
        for method in ("GET", "POST"):
            status, _, text = self.ask(method, "/v1/losses/hubber_loss", b"{" if method == "POST" else None)
            self.assertEqual((status, json.loads(text)["code"]), (404, "unknown_loss"))
            self.assertIn("huber_loss", json.loads(text)["detail"])

    def test_the_catalog_is_what_the_command_prints(self):
        _, headers, text = self.ask("GET", "/v1/losses")
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual(text, self.run_lossd("losses", "--json").rstrip("\n"))
        for loss in json.loads(text)["losses"]:
            printed = self.run_lossd("losses", loss["name"])
            for word in (loss["formula"], loss["default_reduction"], *(x["name"] for x in loss["inputs"] + loss["parameters"])):
                self.assertIn(word, printed)
        self.assertEqual(self.ask("GET", "/v1/losses/mse")[2], self.run_lossd("losses", "--json", "mse").rstrip("\n"))

    def test_the_catalog_says_who_takes_a_scalar(self):
        for loss in json.loads(self.ask("GET", "/v1/losses")[2])["losses"]:
            body = {x["name"]: 1 for x in loss["inputs"]} | ({"axis": 0} if loss["name"] == "cosine_distance" else {})
            status, _, text = self.ask("POST", f"/v1/losses/{loss['name']}", body)
            least = next(x["rank"] for x in loss["inputs"] if x["main"])[0]
            self.assertEqual(status, 200 if least == "0" else 422, loss["name"] + text)

    def test_the_commands_refuse_what_they_do_not_know(self):
        for arguments, status, words in ((["losses", "hubber"], 2, "huber"), (["losses", "--jason"], 2, "usage"),
                                         (["openapi", "x"], 2, "usage"), (["losses", "--help"], 0, ""), (["openapi", "-h"], 0, "")):
            done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, status)
            self.assertIn(words, done.stderr)

    @staticmethod
    def run_lossd(*arguments):
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
