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

ROWS, CLASSES = 3072, 1000
TENSOR_BYTES = ROWS * CLASSES * 4 + ROWS * 8
GRADIENT_BYTES = ROWS * CLASSES * 4
KNOWN, UNKNOWN = 1.1, 2.1  # times tensors and answer arrays, where dtype stands before the tensors and where it does not
PROGRAM = None


def status_bytes(pid, field):
    """VmRSS, VmHWM, ... of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        for line in lines:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise KeyError(field)


def batch():
    """The members of a call, as text."""
    draw = random.Random(7)
    lines = ("[" + ",".join(f"{draw.gauss(0, 3):.7f}" for _ in range(CLASSES)) + "]" for _ in range(ROWS))
    return f'"labels":{json.dumps([draw.randrange(CLASSES) for _ in range(ROWS)])},"logits":[{",".join(lines)}]'


def post(url, body):
    """The answer's size; it is read piece by piece, as it is printed."""
    request = urllib.request.Request(url + "/v1/losses/sparse_softmax_cross_entropy", body.encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return sum(map(len, iter(lambda: answer.read(1 << 20), b"")))


class Memory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.batch = batch()

    def peak(self, body, arrays, least):
        with lossd(PROGRAM) as (url, process):
            idle = status_bytes(process.pid, "VmRSS")
            self.assertGreater(post(url, body), least)
            peak = status_bytes(process.pid, "VmHWM")
        factor = (peak - idle) / arrays
        print(f"body {len(body) / 1e6:.1f} MB, arrays {arrays / 1e6:.2f} MB, "
              f"peak over idle {(peak - idle) / 1e6:.2f} MB = {factor:.2f} times the arrays")
        return factor

    def test_a_call_with_dtype_first_takes_little_beside_its_tensors(self):
        self.assertLessEqual(self.peak(f'{{"dtype":"float32",{self.batch}}}', TENSOR_BYTES, ROWS), KNOWN)

    def test_a_call_without_dtype_takes_twice_its_tensors(self):
        self.assertLessEqual(self.peak(f"{{{self.batch}}}", TENSOR_BYTES, ROWS), UNKNOWN)

    def test_a_large_answer_is_not_kept_as_text(self):
        body = f'{{"dtype":"float32","gradients":true,{self.batch}}}'
        self.assertLessEqual(self.peak(body, TENSOR_BYTES + GRADIENT_BYTES, 8 * ROWS * CLASSES), KNOWN)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
