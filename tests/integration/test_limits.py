# SPDX-License-Identifier: Apache-2.0
"""Limits that options set, and what the server takes from the machine it is on. test_limits.py LOSSD"""

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from lossd_server import free_port, lossd, stop, wait_until
from wire import Wire, chunked, post

MSE = "/v1/losses/mean_squared_error"
OPEN_TO_ALL = "everybody may do everything"
PROGRAM = None


def body(depth):
    """A tensor whose nesting is so deep, the object around it counted."""
    tensor = b"[" * (depth - 1) + b"1" + b"]" * (depth - 1)
    return b'{"labels": %s, "predictions": %s}' % (tensor, tensor)


@contextlib.contextmanager
def served(*options, under=()):
    """What it says at its start, on an address of our choice."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        with path.open("wb") as log:
            process = subprocess.Popen([*under, PROGRAM, "serve", "--store", "memory", "--log-format", "text", *options],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: "listening on" in path.read_text(), process)
            yield lambda: path.read_text()
        finally:
            stop(process)


class Limits(unittest.TestCase):
    def test_the_depth_of_json(self):
        with lossd(PROGRAM, "--max-depth", "4") as (url, _):
            wire = Wire(url)
            self.assertEqual(wire.ask(post(MSE, body(4))).status, 200)
            answer = wire.ask(post(MSE, body(5)))
            self.assertEqual((answer.status, answer.document()["code"]), (400, "malformed_json"))
            wire.close()

    def test_the_number_of_small_chunks(self):
        """The large one keeps the average up."""
        text = b'{"labels": [1, 2, 4], "predictions": [2, 2, 2]}'
        with lossd(PROGRAM, "--max-chunks", "1024") as (url, _):
            wire = Wire(url)
            for small, status in ((1000, 200), (1100, 400)):
                answer = wire.ask(chunked(MSE, [b" " * 200_000, *[b" "] * small, b" " * 100 + text]))
                self.assertEqual(answer.status, status, answer.body)
            self.assertIn("--max-chunks", answer.document()["detail"])
            wire.close()


class Machine(unittest.TestCase):
    def test_as_many_threads_as_affinity_leaves(self):
        cores = sorted(os.sched_getaffinity(0))
        for some in (cores[:1], cores[:2]):
            with served("--listen", "127.0.0.1:0", under=("taskset", "-c", ",".join(map(str, some)))) as said:
                compute, http = map(int, re.search(r"(\d+) compute and (\d+) http threads", said()).groups())
                self.assertLessEqual(compute, len(some))
                self.assertEqual(http, compute)

    def test_a_warning_where_everybody_can_come_in(self):
        """Beyond the loopback interface without keys, and only then."""
        with served("--listen", f":{free_port()}") as said:
            deadline = time.monotonic() + 30  # the line behind the one that it listens
            while OPEN_TO_ALL not in said():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
        with served("--listen", "127.0.0.1:0") as said:
            self.assertNotIn(OPEN_TO_ALL, said())
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
            keys.write(f"a sha256:{hashlib.sha256(b'a').hexdigest()} scopes=compute\n")
            keys.flush()
            with served("--listen", f":{free_port()}", "--auth-file", keys.name) as said:
                self.assertNotIn(OPEN_TO_ALL, said())


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
