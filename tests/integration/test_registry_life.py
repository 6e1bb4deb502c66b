# SPDX-License-Identifier: Apache-2.0
"""How long a server keeps what, by its options, and how lists are paged: test_registry_life.py LOSSD."""

import contextlib
import json
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

from lossd_server import lossd
from redis_server import Redis
from wire import Wire, head, post

PROGRAM = None
RUN = "/v1/registries/run"


class Life(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def stores(self):
        yield "memory"
        yield f"sqlite:{self.folder}/losses.db"
        if shutil.which("redis-server"):
            redis = Redis(self.folder)
            redis.start()
            self.addCleanup(redis.end)
            yield redis.url

    def add(self, wire, name, *fields):
        answer = wire.ask(post(f"{RUN}/losses", json.dumps({"loss": 1, "name": name}).encode(), *fields))
        self.assertEqual(answer.status, 201)
        return answer.document()["name"]

    def until(self, done):
        """A day would be too long if the option did nothing."""
        begun = time.monotonic()
        while not done():
            self.assertLess(time.monotonic(), begun + 180)
            time.sleep(0.2)

    def test_registries_go_when_their_time_is_over(self):
        for store in self.stores():
            with self.subTest(store), lossd(PROGRAM, "--store", store, "--registry-ttl", "1s") as (url, _):
                wire = Wire(url)
                self.addCleanup(wire.close)
                self.add(wire, "x")
                put = wire.ask(post("/v1/registries/kept", b'{"ttl": 86400}').replace(b"POST", b"PUT", 1))
                self.assertEqual(put.status, 200)
                self.until(lambda: wire.ask(head("GET", RUN), "GET").status == 404)
                self.assertEqual(wire.ask(head("GET", f"{RUN}/losses"), "GET").status, 404)
                self.assertEqual(wire.ask(head("GET", "/v1/registries/kept"), "GET").status, 200)
                listed = wire.ask(head("GET", "/v1/registries"), "GET").document()["registries"]
                self.assertEqual([r["registry"] for r in listed], ["kept"])
                self.assertEqual(self.add(wire, "x"), "x")

    def test_keys_answer_as_long_as_they_are_kept(self):
        with contextlib.ExitStack() as servers:
            for store in self.stores():
                url, _ = servers.enter_context(lossd(PROGRAM, "--store", store, "--idempotency-ttl", "4s"))
                self.assertEqual(self.add_once(url), "x")
                self.assertEqual(self.add_once(url), "x")
                servers.callback(self.until, lambda url=url: self.add_once(url) == "x_1")

    def add_once(self, url):
        wire = Wire(url)
        try:
            return self.add(wire, "x", "Idempotency-Key: key")
        finally:
            wire.close()

    def test_all_steps_page_by_page(self):
        for store in self.stores():
            with self.subTest(store), lossd(PROGRAM, "--store", store) as (url, _):
                wire = Wire(url)
                self.addCleanup(wire.close)
                added = [(step, f"{step}.{i}") for i in range(5) for step in (7, 0, 3)]
                for step, name in added:
                    body = json.dumps({"loss": 1, "name": name, "step": step}).encode()
                    self.assertEqual(wire.ask(post("/v1/registries/paged/losses", body)).status, 201)
                for limit in (1, 4, 15, 1000):
                    found, cursor = [], ""
                    while cursor is not None:
                        target = f"/v1/registries/paged/losses?step=all&limit={limit}{cursor}"
                        page = wire.ask(head("GET", target), "GET").document()
                        self.assertLessEqual(len(page["losses"]), limit)
                        found += [(e["step"], e["name"]) for e in page["losses"]]
                        cursor = f"&cursor={page['next_cursor']}" if "next_cursor" in page else None
                    self.assertEqual(found, added)


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
