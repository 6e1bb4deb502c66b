# SPDX-License-Identifier: Apache-2.0
"""test_store_disk.py LOSSD: disks that fail under a whole server, files that are damaged, and what is left after kill -9."""

import concurrent.futures
import json
import random
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import disk
from lossd_server import lossd
from wire import Wire, head, post

PROGRAM = None
ENTRIES = "/v1/registries/run/losses"
MSE = "/v1/losses/mean_squared_error"
SUMS = b'{"labels": [1], "predictions": [2]}'
FAULTS = {disk.WRITE_FAILS: "I/O error", disk.IS_FULL: "disk is full", disk.WRITE_IS_SHORT: "disk is full",
          disk.SYNC_FAILS: "I/O error", disk.IS_READ_ONLY: "I/O error"}


class Served(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "losses.db"
        self.disk = disk.Disk(PROGRAM, Path(folder.name) / "control")

    def serve(self, under=()):
        server = lossd(PROGRAM, "--store", f"sqlite:{self.file}", under=under)
        self.url, self.process = server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)
        self.wire = Wire(self.url)
        self.addCleanup(self.wire.close)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.wire.close()

    def get(self, target):
        answer = self.wire.ask(head("GET", target), "GET")
        return answer.status, answer.document()

    def ask(self, name, url=None):
        """Add it, or merge one batch more where the name begins with m; the key is the name."""
        wire = Wire(url or self.url)
        where = {"registry": "run", "name": "whole", "accumulate": True} if name.startswith("m") else None
        call = (post(MSE, json.dumps({"labels": [1], "predictions": [2], **where}).encode(), f"Idempotency-Key: {name}") if where
                else post(ENTRIES, b'{"loss": 1, "name": "%s"}' % name.encode(), f"Idempotency-Key: {name}"))
        try:
            return wire.ask(call)
        finally:
            wire.close()

    def ask_all(self, names):
        """At once, so that some share a commit."""
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            return list(pool.map(self.ask, names))

    def names(self):
        """Names of all entries, and the batches of the whole."""
        found, cursor, batches = [], "", 0
        while cursor is not None:
            status, page = self.get(f"{ENTRIES}?step=all&limit=1000{cursor}")
            self.assertEqual(status, 200)
            found += [e["name"] for e in page["losses"] if e["name"] != "whole"]
            batches += sum(e["batches"] for e in page["losses"] if e["name"] == "whole")
            cursor = f"&cursor={page['next_cursor']}" if "next_cursor" in page else None
        return sorted(found), batches


class DiskFails(Served):
    def expect_refused(self, names, reason):
        for answer in self.ask_all(names):
            self.assertEqual((answer.status, answer.document()["code"]), (503, "store_unavailable"), answer.body)
            self.assertIn("Retry-After", answer.headers)
        status, problem = self.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn(reason, problem["detail"])
        self.assertEqual(self.get("/healthz")[0], 200)
        self.assertEqual(self.wire.ask(post(MSE, SUMS)).status, 200)
        self.assertEqual(self.wire.ask(post(MSE, SUMS[:-1] + b', "registry": "run"}')).status, 503)

    def test_each_fault_in_its_turn(self):
        self.serve(self.disk.under())
        asked = [f"{'ma'[i % 2]}{i}" for i in range(32)]
        self.assertLessEqual({answer.status for answer in self.ask_all(asked)}, {200, 201})
        for fault, reason in FAULTS.items():
            with self.subTest(fault=fault):
                names = [f"{'ma'[i % 2]}{fault}.{i}" for i in range(24)]
                before = self.get(f"{ENTRIES}?step=all")
                self.disk.set(fault)
                self.expect_refused(names, reason)
                self.assertEqual(self.get(f"{ENTRIES}?step=all"), before)
                self.disk.set()
                self.assertEqual(self.get("/readyz")[0], 200)
                self.assertLessEqual({answer.status for answer in self.ask_all(names)}, {200, 201})  # their keys were free
                asked += names
        self.kill()
        self.serve()
        self.assertEqual(self.names(), (sorted(n for n in asked if n[0] == "a"), sum(n[0] == "m" for n in asked)))

    def test_a_disk_that_comes_and_goes(self):
        """Clients retry with their keys until they are told yes, while the disk fails now and then; then kill -9."""
        self.serve(self.disk.under())
        rng, stop, odd, refused = random.Random(7), threading.Event(), [], []

        def client(number):
            for i in range(40):
                name = f"{'ma'[i % 2]}{number}.{i}"
                while True:
                    answer = self.ask(name, self.url)
                    if answer.status in (200, 201):
                        break
                    refused.append(name)
                    if answer.status != 503:
                        odd.append(answer)
                        return

        def flicker():
            while not stop.wait(rng.uniform(0.001, 0.02)):
                self.disk.set(rng.choice([disk.WORKS, *FAULTS]), rng.choice([0, 500]))

        flickering = threading.Thread(target=flicker)
        flickering.start()
        clients = [threading.Thread(target=client, args=(n,)) for n in range(8)]
        for thread in clients:
            thread.start()
        for thread in clients[:4]:
            thread.join()
        stop.set()
        flickering.join()
        self.disk.set()
        for thread in clients:
            thread.join()
        self.assertEqual(odd, [])
        self.assertGreater(len(refused), 0)
        self.kill()
        self.serve()
        adds = sorted(f"a{n}.{i}" for n in range(8) for i in range(40) if i % 2)
        self.assertEqual(self.names(), (adds, 8 * 20))


class FileIsBad(Served):
    def expect_no_start(self, reason, under=()):
        done = subprocess.run([*under, PROGRAM, "serve", "--listen", "127.0.0.1:0", "--store", f"sqlite:{self.file}"],
                              capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(reason, done.stderr)
        self.assertIn("cannot open the store", done.stderr)

    def fill(self, n=2000):
        time = "2026-11-26T03:37:19.123456Z"
        lines = [{"kind": "lossd", "format": 1}, {"kind": "registry", "registry": "run", "updated_at": time}]
        lines += [{"kind": "entry", "name": f"a{i}", "loss": 1, "step": 0, "collection": "losses", "added_at": time,
                   "updated_at": time} for i in range(n)]
        lines += [{"kind": "end", "registries": 1, "entries": n, "keys": 0}]
        subprocess.run([PROGRAM, "registry", "import", "--store", f"sqlite:{self.file}"], check=True, capture_output=True,
                       input="".join(json.dumps(line) + "\n" for line in lines), text=True)

    def test_a_disk_that_is_read_only_at_the_start(self):
        self.fill(1)
        self.disk.set(disk.IS_READ_ONLY)
        self.expect_no_start("Read-only file system", self.disk.under())
        self.disk.set()
        self.serve(self.disk.under())
        self.assertEqual(self.names(), (["a0"], 0))

    def test_a_second_server(self):
        self.serve()
        self.expect_no_start("another server has it open")
        self.assertEqual(self.ask("a1").status, 201)

    def test_a_file_that_is_no_database(self):
        self.file.write_bytes(b"x" * 8192)
        self.expect_no_start("not a database")

    def test_a_damaged_file_is_never_ready(self):
        self.fill()
        data = bytearray(self.file.read_bytes())
        data[8 * 4096:] = b"\xff" * (len(data) - 8 * 4096)  # behind the schema: a start may not notice
        self.file.write_bytes(data)
        self.serve()
        answer = self.ask("b")
        self.assertEqual((answer.status, answer.document()["code"]), (503, "store_unavailable"))
        status, problem = self.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("malformed", problem["detail"])
        self.assertEqual(self.get("/readyz")[0], 503)  # and stays so
        self.assertEqual(self.wire.ask(post(MSE, SUMS)).status, 200)
        self.assertEqual(self.get("/healthz")[0], 200)

    def test_a_file_that_was_cut(self):
        self.fill()
        with open(self.file, "r+b") as file:
            file.truncate(self.file.stat().st_size // 2)
        try:
            self.serve()
        except RuntimeError:
            return  # it was noticed at the start
        self.assertEqual(self.ask("b").status, 503)
        self.assertEqual(self.get("/readyz")[0], 503)
        self.assertEqual(self.wire.ask(post(MSE, SUMS)).status, 200)


if __name__ == "__main__":
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
