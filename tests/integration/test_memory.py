# SPDX-License-Identifier: Apache-2.0
"""A large JSON batch is decoded with little memory beside its tensors: numbers never live as a tree or as text.

test_memory.py LOSSD. Linux alone: reads the server's /proc/PID/status.
"""

import json
import random
import sys
import unittest
import urllib.request

from lossd_server import lossd

ROWS, CLASSES = 1024, 1000
TENSOR_BYTES = ROWS * CLASSES * 4 + ROWS * 8
FACTOR = 2.5
PROGRAM = None


def status_bytes(pid, field):
    """VmRSS, VmHWM, ... of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        for line in lines:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise KeyError(field)


def batch(rows, classes):
    draw = random.Random(7)
    logits = [[round(draw.gauss(0, 3), 7) for _ in range(classes)] for _ in range(rows)]
    return json.dumps({"labels": [draw.randrange(classes) for _ in range(rows)], "logits": logits}).encode()


def post(url, body):
    request = urllib.request.Request(url + "/v1/losses/sparse_softmax_cross_entropy", body,
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


class Memory(unittest.TestCase):
    def test_a_large_batch_peaks_below_two_and_a_half_times_its_tensors(self):
        body = batch(ROWS, CLASSES)
        with lossd(PROGRAM) as (url, process):
            idle = status_bytes(process.pid, "VmRSS")
            answer = post(url, body)
            peak = status_bytes(process.pid, "VmHWM")
        self.assertEqual(answer["totals"]["count"], ROWS)
        factor = (peak - idle) / TENSOR_BYTES
        print(f"body {len(body) / 1e6:.1f} MB, tensors {TENSOR_BYTES / 1e6:.2f} MB, "
              f"peak over idle {(peak - idle) / 1e6:.2f} MB = {factor:.2f} times the tensors")
        self.assertLess(factor, FACTOR)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
