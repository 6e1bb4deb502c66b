# SPDX-License-Identifier: Apache-2.0
"""A data set posted in batches: test_accumulate.py LOSSD. Its entry is, to the bit, what one call on all of it gives."""

import concurrent.futures
import json
import pathlib
import random
import sys
import tempfile
import unittest

from lossd_server import lossd
from redis_server import Redis
from wire import Wire, head, post

PROGRAM = None
ROWS = 600


def dataset(seed):
    """Rows of a loss with three classes, from nearly solved to hopeless, with weights of many magnitudes."""
    rng = random.Random(seed)
    rows = []
    for _ in range(ROWS):
        scale = 10 ** rng.uniform(-3, 2)
        rows.append((rng.randrange(3), [round(rng.gauss(0, scale), 6) for _ in range(3)], 10 ** rng.uniform(-6, 6)))
    rows[7] = (rows[7][0], rows[7][1], 0.0)
    return rows


def body(rows, **fields):
    labels, logits, weights = zip(*rows) if rows else ((), (), ())
    return json.dumps({"labels": list(labels), "logits": list(logits), "weights": list(weights), "losses": False,
                       **({"labels": {"shape": [0], "data": []}, "logits": {"shape": [0, 3], "data": []},
                           "weights": {"shape": [0], "data": []}} if not rows else {}), **fields}).encode()


def split(rows, rng):
    """The rows in another order, in batches of any size, one of them empty."""
    rows = rng.sample(rows, len(rows))
    places = sorted({0, len(rows), *(rng.randrange(1, len(rows)) for _ in range(12))})
    return [rows[a:b] for a, b in zip(places, places[1:])] + [[]]


class Accumulate(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def servers(self):
        with Redis(self.folder.name) as redis:
            for store in ("memory", f"sqlite:{self.folder.name}/losses.db", redis.url):
                with lossd(PROGRAM, "--store", store) as (url, _):
                    self.url = url
                    wire = Wire(url)
                    yield store.partition(":")[0], wire
                    wire.close()

    def ask(self, wire, rows, key=None, loss="sparse_softmax_cross_entropy", **fields):
        lines = [] if key is None else [f"Idempotency-Key: {key}"]
        return wire.ask(post(f"/v1/losses/{loss}", body(rows, **fields), *lines))

    def entry(self, wire, registry, name):
        return wire.ask(head("GET", f"/v1/registries/{registry}/losses/{name}"), "GET").document()

    def test_any_split_gives_the_same_bits(self):
        rng = random.Random(3)
        for store, wire in self.servers():
            for n, (dtype, reduction) in enumerate((d, r) for d in ("float32", "float64") for r in
                                                   ("sum", "mean", "sum_over_batch_size", "sum_by_nonzero_weights",
                                                    "batchmean")):
                rows = dataset(n)
                fields = {"dtype": dtype, "reduction": reduction}
                whole = self.ask(wire, rows, **fields).document()
                batches = split(rows, rng)
                for i, batch in enumerate(batches):
                    where = {"registry": "eval", "name": f"e{n}", "accumulate": True}
                    answer = self.ask(wire, batch, key=f"{n}-{i}", **fields, **where)
                    self.assertEqual(answer.status, 200, answer.body[:300])
                    plain = self.ask(wire, batch, **fields).document()
                    document = answer.document()
                    self.assertEqual(document["entry"]["batches"], i + 1)
                    self.assertEqual([document[k] for k in ("loss", "totals")], [plain[k] for k in ("loss", "totals")])
                    if rng.random() < 0.3:  # a retry
                        self.assertEqual(self.ask(wire, batch, key=f"{n}-{i}", **fields, **where).body, answer.body)
                entry = self.entry(wire, "eval", f"e{n}")
                with self.subTest(store=store, **fields):
                    self.assertEqual(json.dumps(entry["loss"]), json.dumps(whole["loss"]))
                    self.assertEqual(json.dumps(entry["totals"]), json.dumps(whole["totals"]))
                    self.assertEqual(entry["batches"], len(batches))
                    self.assertLessEqual(entry["added_at"], entry["updated_at"])

    def test_clients_at_once_lose_nothing(self):
        rng = random.Random(4)
        rows = dataset(9)
        for store, wire in self.servers():
            whole = self.ask(wire, rows).document()
            batches = split(rows, rng)

            def send(numbered):
                i, batch = numbered
                own = Wire(self.url)
                answers = [self.ask(own, batch, key=f"c{i}", registry="many", name="e", accumulate=True).status for _ in (0, 1)]
                own.close()
                return answers

            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                statuses = list(pool.map(send, enumerate(batches)))
            self.assertEqual(statuses, [[200, 200]] * len(batches))
            entry = self.entry(wire, "many", "e")
            with self.subTest(store=store):
                self.assertEqual((entry["loss"], entry["totals"]), (whole["loss"], whole["totals"]))
                self.assertEqual(entry["batches"], len(batches))

    def test_what_does_not_belong_together_is_a_conflict(self):
        rows = dataset(1)[:5]
        for _, wire in self.servers():
            where = {"registry": "r", "name": "e", "accumulate": True}
            self.assertEqual(self.ask(wire, rows, **where).status, 200)
            before = self.entry(wire, "r", "e")
            for fields in ({"reduction": "sum"}, {"dtype": "float64"}, {"collection": "others"}, {"weights_mask": True}):
                answer = self.ask(wire, rows, **where, **fields)
                self.assertEqual((answer.status, answer.document()["code"]), (409, "accumulate_conflict"), fields)
            self.assertEqual(self.entry(wire, "r", "e"), before)
            self.assertEqual(self.ask(wire, rows, registry="r", name="e").document()["entry"]["name"], "e_1")
            answer = self.ask(wire, rows, registry="r", name="e_1", accumulate=True)
            self.assertEqual((answer.status, answer.document()["code"]), (409, "accumulate_conflict"))
            other = wire.ask(post("/v1/losses/huber_loss", b'{"labels": [1], "predictions": [2], "registry": "r", "name": "h",'
                                                           b' "accumulate": true}'))
            self.assertEqual(other.status, 200)
            other = wire.ask(post("/v1/losses/huber_loss", b'{"labels": [1], "predictions": [2], "registry": "r", "name": "h",'
                                                           b' "accumulate": true, "delta": 2}'))
            self.assertEqual(other.status, 409)

    def test_what_cannot_accumulate_says_so(self):
        for _, wire in self.servers():
            for request, code, status in ((b'{"values": [1], "registry": "r", "accumulate": true}', "not_accumulable", 422),
                                          (b'{"values": [1], "accumulate": true}', "invalid_parameter", 400)):
                answer = wire.ask(post("/v1/losses/l2_regularization", request))
                problem = answer.document()
                self.assertEqual((answer.status, problem["code"], problem["pointer"]), (status, code, "/accumulate"))


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
