# SPDX-License-Identifier: Apache-2.0
"""A server's memory beside one that idles: bench_memory.py BUILD_DIR. Linux alone: reads /proc/PID/status.

The most that one call of 100 MB JSON with gradients adds to what a fresh server holds, relative to the bytes of the call's
tensors and of its answer's arrays; once with `dtype` float32 before the tensors, and behind them once that and once
float64, which the server then did not know to keep the numbers as.
"""

import json
import random
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

from lossd_server import lossd  # noqa: E402

ROWS, CLASSES = 10000, 1000
PATH = "/v1/losses/sparse_softmax_cross_entropy"
SIZES = {"float32": 4, "float64": 8}


def array_bytes(dtype):
    """Labels and logits; losses and gradient."""
    return ROWS * 8 + (2 * ROWS * CLASSES + ROWS) * SIZES[dtype]


def status_bytes(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def body(dtype, first):
    draw = random.Random(1)
    labels = json.dumps([draw.randrange(CLASSES) for _ in range(ROWS)])
    line = "[" + ",".join(f"{draw.gauss(0, 3):.7f}" for _ in range(CLASSES)) + "]"
    fields = [f'"dtype":"{dtype}"', f'"gradients":true,"labels":{labels},"logits":[{",".join([line] * ROWS)}]']
    return f'{{{",".join(fields if first else reversed(fields))}}}'.encode()


def main():
    build = Path(sys.argv[1])
    for dtype, first in (("float32", True), ("float32", False), ("float64", False)):
        content = body(dtype, first)
        with lossd(build / "lossd") as (url, process):
            idle = status_bytes(process.pid, "VmRSS")
            request = urllib.request.Request(url + PATH, content, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                while answer.read(1 << 20):
                    pass
            peak = status_bytes(process.pid, "VmHWM")
        what = f"memory of a {len(content) / 1e6:.0f} MB call, {dtype} told {'first' if first else 'last'}"
        print(f"{what:<72}  {(peak - idle) / array_bytes(dtype):.4g} times", flush=True)


if __name__ == "__main__":
    main()
