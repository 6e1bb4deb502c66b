# SPDX-License-Identifier: Apache-2.0
"""A server whose registry is in Redis: test_store_redis.py LOSSD. How it starts, what it logs, and a Redis that comes and goes."""

import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from lossd_server import free_port, is_ready, lossd, stop, wait_until
from redis_server import Redis
from wire import Wire, head, post

PROGRAM = None
ENTRIES = "/v1/registries/run/losses"
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


class StoreRedis(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def redis(self, *options):
        redis = Redis(self.folder, *options)
        redis.start()
        self.addCleanup(redis.end)
        return redis

    def serve(self, redis, *options):
        """The url, and what the log says so far."""
        log = (self.folder / "log").open("w+", encoding="utf-8")
        self.addCleanup(log.close)
        server = lossd(PROGRAM, "--store", redis.url, "--log-format", "text", *options, log=log)
        url, self.process = server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)
        return url, lambda: (self.folder / "log").read_text(encoding="utf-8")

    def refused(self, store):
        """Standard error of a server that does not start."""
        done = subprocess.run([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--store", store], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def test_what_cannot_work_is_a_start_up_error(self):
        redis = self.redis("--requirepass", "hunter2")
        for store, says in (("rediss://u:secret@cache:6379/0", "TLS tunnel"),
                            ("redis://u:secret@cache:port/0", "port"),
                            (f"redis://:secret@127.0.0.1:{redis.port}/0", "WRONGPASS"),
                            (redis.url, "NOAUTH")):
            error = self.refused(store)
            self.assertIn(says, error)
            self.assertNotIn("secret", error)

    def test_the_log_says_where_and_how_safely_entries_are_kept(self):
        redis = self.redis("--requirepass", "hunter2", "--appendonly", "yes")
        redis.url = f"redis://default:hunter2@127.0.0.1:{redis.port}/2"
        url, log = self.serve(redis)
        self.assertIn(f"store redis://default:***@127.0.0.1:{redis.port}/2", log())
        self.assertIn("appendfsync everysec", log())
        wire = Wire(url)
        self.assertEqual(wire.ask(post(ENTRIES, b'{"loss": 1}')).status, 201)
        wire.close()
        self.assertEqual(stop(self.process), 0)
        self.assertNotIn("hunter2", log())

    def test_a_server_waits_for_its_redis(self):
        port, redis = free_port(), Redis(self.folder, *DURABLE)
        self.addCleanup(redis.end)
        url = f"http://127.0.0.1:{port}"
        process = subprocess.Popen([PROGRAM, "serve", "--listen", f"127.0.0.1:{port}", "--store", redis.url],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: process.poll() is None and stop(process))
        wire = Wire(url)
        self.addCleanup(wire.close)

        def answers():
            try:
                return wire.ask(head("GET", "/healthz"), "GET").status == 200
            except OSError:
                return False

        wait_until(answers, process)
        self.assertEqual(wire.ask(head("GET", "/readyz"), "GET").status, 503)
        redis.start()
        wait_until(lambda: is_ready(url), process)
        self.assertEqual(wire.ask(post(ENTRIES, b'{"loss": 1}')).status, 201)

    def test_redis_may_come_and_go_under_load(self):
        redis = self.redis(*DURABLE)
        url, log = self.serve(redis)
        acknowledged, unknown = set(), set()

        def add(name):
            wire = Wire(url)
            keyed = name.endswith("k")
            fields = [f"Idempotency-Key: {name}"] if keyed else []
            for _ in range(2000 if keyed else 1):
                answer = wire.ask(post(ENTRIES, json.dumps({"loss": 1, "name": name}).encode(), *fields))
                if answer.status == 201:
                    acknowledged.add(name)
                    break
                self.assertEqual((answer.status, answer.document()["code"]), (503, "store_unavailable"))
                self.assertIn("Retry-After", answer.headers)
                unknown.add(name)
            wire.close()

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for turn in range(5):
                done = [pool.submit(add, f"{turn}.{i}{'k' if i % 2 else ''}") for i in range(100)]
                redis.end()
                redis.start()
                wait_until(lambda: is_ready(url), self.process)
                for one in done:
                    one.result()
        wire = Wire(url)
        self.addCleanup(wire.close)
        listed = [e["name"] for e in wire.ask(head("GET", f"{ENTRIES}?limit=1000"), "GET").document()["losses"]]
        self.assertEqual(len(listed), len(set(listed)))
        self.assertLessEqual(acknowledged, set(listed))
        self.assertLessEqual(set(listed), acknowledged | unknown)
        self.assertEqual({f"{turn}.{i}k" for turn in range(5) for i in range(1, 100, 2)} - acknowledged, set())
        self.assertIn("the store is away", log())
        self.assertIn("the store is back", log())

    def test_replicas_see_one_registry(self):
        redis = self.redis(*DURABLE)
        with lossd(PROGRAM, "--store", redis.url) as (one, _), lossd(PROGRAM, "--store", redis.url) as (two, _):
            first, second = Wire(one), Wire(two)
            added = first.ask(post(ENTRIES, b'{"loss": 1}', "Idempotency-Key: k"))
            self.assertEqual(second.ask(post(ENTRIES, b'{"loss": 1}', "Idempotency-Key: k")).body, added.body)
            self.assertEqual(second.ask(post(ENTRIES, b'{"loss": 2}', "Idempotency-Key: k")).status, 409)
            self.assertEqual(second.ask(post(ENTRIES, b'{"loss": 1}')).document()["name"], "loss_1")
            self.assertEqual(first.ask(head("GET", ENTRIES), "GET").body, second.ask(head("GET", ENTRIES), "GET").body)
            self.assertEqual(first.ask(head("DELETE", "/v1/registries/run"), "DELETE").document(), {"removed": 2})
            self.assertEqual(second.ask(head("GET", ENTRIES), "GET").status, 404)
            first.close()
            second.close()


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
