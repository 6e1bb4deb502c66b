# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments: test_crash_sqlite.py LOSSD. What was acknowledged is there, each once; ROUNDS=200.

A start, with what it has to recover, takes less than a second: of the processor in every round, of the clock in most of
them, since a machine may be busy with other things.
"""

import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from lossd_server import free_port, is_ready, stop, wait_until
from wire import Wire, head, post

PROGRAM = None
ROUNDS = int(os.environ.get("ROUNDS", "200"))
SLOW = "LOSSD_INSTRUMENTED" in os.environ
CLIENTS = 4


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def adds(names):
    """Those that were not merged."""
    return {n for n in names if int(n.rpartition(".")[2]) % 2 == 0}


class Client(threading.Thread):
    """Adds and merges until the server dies; asked[i] is True once it was acknowledged."""

    def __init__(self, url, number, turn):
        super().__init__()
        self.url, self.prefix, self.asked, self.odd = url, f"{turn}.{number}", {}, []

    def run(self):
        wire = Wire(self.url)
        try:
            for i in range(10**6):
                name = f"{self.prefix}.{i}"
                self.asked[name] = False
                merges = i % 2 == 1
                where = {"registry": "crash", "name": "whole" if merges else name, "accumulate": merges}
                body = json.dumps({"labels": [1], "predictions": [0], **where}).encode()
                answer = wire.ask(post("/v1/losses/absolute_difference", body, f"Idempotency-Key: {name}"))
                if answer.status == 0:
                    return
                if answer.status != 200:
                    self.odd.append(answer)
                self.asked[name] = answer.status == 200
        except OSError:
            pass
        finally:
            wire.close()


class Crash(unittest.TestCase):
    def start(self, path):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        begun = time.monotonic()
        process = subprocess.Popen([PROGRAM, "serve", "--listen", f"127.0.0.1:{port}", "--store", f"sqlite:{path}"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        wait_until(lambda: is_ready(url), process)
        self.starts.append(time.monotonic() - begun)
        self.cpu.append(cpu_seconds(process))
        return url, process

    def names(self, wire):
        found, cursor = [], ""
        while cursor is not None:
            page = wire.ask(head("GET", f"/v1/registries/crash/losses?limit=1000{cursor}"), "GET").document()
            found += page["losses"]
            cursor = f"&cursor={page['next_cursor']}" if page.get("next_cursor") else None
        return found

    def check(self, wire, acknowledged, asked):
        entries = self.names(wire)
        plain = [e["name"] for e in entries if e["name"] != "whole"]
        self.assertEqual(len(plain), len(set(plain)), "twice")
        self.assertEqual(adds(acknowledged) - set(plain), set(), "lost")
        self.assertEqual(set(plain) - adds(asked), set(), "never asked for")
        whole = [e for e in entries if e["name"] == "whole"]
        merged = 0
        if whole:
            entry = wire.ask(head("GET", "/v1/registries/crash/losses/whole"), "GET").document()
            merged = entry["batches"]
            self.assertEqual((entry["totals"]["sum"], entry["totals"]["count"]), (merged, merged), "half-written")
        self.assertGreaterEqual(merged, len(acknowledged - adds(acknowledged)))
        self.assertLessEqual(merged, len(asked - adds(asked)))

    def test_nothing_acknowledged_is_lost_or_doubled(self):
        rng = random.Random(11)
        self.starts, self.cpu = [], []
        acknowledged, asked = set(), set()
        with tempfile.TemporaryDirectory() as folder:
            for turn in range(ROUNDS):
                url, process = self.start(f"{folder}/losses.db")
                clients = [Client(url, n, turn) for n in range(CLIENTS)]
                for client in clients:
                    client.start()
                time.sleep(rng.uniform(0, 0.1))
                process.send_signal(signal.SIGKILL)
                process.wait()
                for client in clients:
                    client.join()
                    self.assertEqual(client.odd, [])
                    asked.update(client.asked)
                    acknowledged.update(n for n, yes in client.asked.items() if yes)
                if turn % 20 == 19 or turn == ROUNDS - 1:
                    url, process = self.start(f"{folder}/losses.db")
                    wire = Wire(url)
                    self.check(wire, acknowledged, asked)
                    wire.close()
                    self.assertEqual(stop(process), 0)
        self.assertGreater(len(acknowledged), ROUNDS)
        print(f"{ROUNDS} kills, {len(acknowledged)} of {len(asked)} calls acknowledged, "
              f"starts {statistics.median(self.starts):.2f} s, at most {max(self.starts):.2f} s and {max(self.cpu):.2f} s of CPU")
        self.assertLess(statistics.median(self.starts), 10 if SLOW else 1)
        self.assertLess(max(self.cpu), 10 if SLOW else 1)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
