# SPDX-License-Identifier: Apache-2.0
"""A store that cannot write: test_store_failure.py LOSSD. Adds say 503, the rest goes on, and nothing acknowledged goes."""

import concurrent.futures
import resource
import sys
import tempfile
import unittest

from lossd_server import lossd
from wire import Wire, head, post

ENTRIES = "/v1/registries/run/losses"
MSE = post("/v1/losses/mean_squared_error", b'{"labels": [1], "predictions": [2]}')
PROGRAM = None


class StoreFailure(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server = lossd(PROGRAM, "--store", f"sqlite:{folder.name}/losses.db")
        self.url, self.process = server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)
        self.wire = Wire(self.url)
        self.addCleanup(self.wire.close)

    def let_files_grow_to(self, size):
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def get(self, target):
        answer = self.wire.ask(head("GET", target), "GET")
        return answer.status, answer.document()

    def add_many(self, first, n):
        """Statuses of n adds at once, so that some share a commit."""
        def add(i):
            wire = Wire(self.url)
            answer = wire.ask(post(ENTRIES, b'{"loss": 1, "name": "n%d"}' % i, f"Idempotency-Key: n{i}"))
            wire.close()
            return answer
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            return list(pool.map(add, range(first, first + n)))

    def test_a_full_disk(self):
        self.assertEqual({answer.status for answer in self.add_many(0, 32)}, {201})
        before = self.get(ENTRIES)
        self.let_files_grow_to(0)
        for answer in self.add_many(32, 64):
            self.assertEqual((answer.status, answer.document()["code"]), (503, "store_unavailable"))
        self.assertEqual(self.get("/readyz")[0], 503)
        self.assertEqual(self.get("/healthz")[0], 200)
        self.assertEqual(self.wire.ask(MSE).status, 200)
        self.assertEqual(self.get(ENTRIES), before)
        self.let_files_grow_to(resource.RLIM_INFINITY)
        self.assertEqual(self.get("/readyz")[0], 200)
        self.assertEqual({answer.status for answer in self.add_many(32, 64)}, {201})  # their keys are free
        status, listed = self.get(ENTRIES)
        self.assertEqual((status, sorted(e["name"] for e in listed["losses"])), (200, sorted(f"n{i}" for i in range(96))))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
