# SPDX-License-Identifier: Apache-2.0
"""What numbers of JSON cost a server, over HTTP: bench_numbers.py BUILD_DIR [PYTHON of the peers].

The server's own CPU time, user and system, per number of a 1024x1000 batch: reading is a whole call that asks for the loss
alone, its kernel and totals included; printing is what the same call takes more when it asks for the gradient, computing
that included. Clients and other processes do not count. With the peers' Python, orjson prints the same gradient.
"""

import json
import os
import random
import statistics
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

from lossd_server import lossd  # noqa: E402

SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
ROWS, CLASSES = 1024, 1000
PATH = "/v1/losses/sparse_softmax_cross_entropy"

ORJSON = """
import statistics, sys, time, numpy, orjson
numbers = numpy.random.default_rng(1).normal(0, 3, 1 << 20).astype(sys.argv[1])
took = []
for _ in range(15):
    begun = time.process_time()
    orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)
    took.append(time.process_time() - begun)
print(statistics.median(took) / numbers.size * 1e9)
"""


def row(what, value, unit):
    print(f"{what:<72}  {value:.4g} {unit}", flush=True)


def shortest_float32(value):
    """Nine digits at most: as a float32's shortest decimal looks."""
    single = struct.unpack("f", struct.pack("f", value))[0]
    return next(text for digits in range(1, 10) if struct.unpack("f", struct.pack("f", float(
        text := f"{single:.{digits}g}")))[0] == single)


def body(dtype, gradients):
    """dtype first, so that the server stores numbers as what they become."""
    draw = random.Random(1)
    text = shortest_float32 if dtype == "float32" else repr
    lines = ("[" + ",".join(text(draw.gauss(0, 3)) for _ in range(CLASSES)) + "]" for _ in range(ROWS))
    head = {"dtype": dtype, "losses": False, "gradients": gradients, "labels": [draw.randrange(CLASSES) for _ in range(ROWS)]}
    return f'{json.dumps(head)[:-1]},"logits":[{",".join(lines)}]}}'.encode()


def cpu_seconds(pid):
    """What a process has used, its ended threads too: its CPU-time clock (see clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def call_seconds(url, pid, content):
    """Median CPU time of a call."""
    request = urllib.request.Request(url + PATH, content, {"Content-Type": "application/json"})
    took, limit = [], time.monotonic() + SECONDS
    while len(took) < 5 or time.monotonic() < limit:
        begun = cpu_seconds(pid)
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
        took.append(cpu_seconds(pid) - begun)
    return statistics.median(took)


def main():
    build, peers = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    for dtype in ("float32", "float64"):
        bodies = [body(dtype, gradients) for gradients in (False, True)]
        with lossd(build / "lossd") as (url, process):
            alone, both = (call_seconds(url, process.pid, content) for content in bodies)
        row(f"JSON in over HTTP, {dtype}, server CPU", alone / (ROWS * CLASSES) * 1e9, "ns/number")
        row(f"JSON out over HTTP, {dtype}, server CPU", (both - alone) / (ROWS * CLASSES) * 1e9, "ns/number")
        if peers:
            out = subprocess.run([peers, "-c", ORJSON, dtype], capture_output=True, text=True, check=True).stdout
            row(f"JSON out, {dtype}, orjson in memory", float(out), "ns/number")


if __name__ == "__main__":
    main()
