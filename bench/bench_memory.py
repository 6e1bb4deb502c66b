# SPDX-License-Identifier: Apache-2.0
"""A server's memory beside one that idles: bench_memory.py BUILD_DIR. Linux alone: reads /proc/PID/status.

The most that one call of 100 MB JSON with gradients adds to what a fresh server holds, relative to the bytes of the call's
tensors and of its answer's arrays; once with `dtype` before the tensors and once behind them.
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
ARRAYS = ROWS * 8 + ROWS * CLASSES * 4 + ROWS * 4 + ROWS * CLASSES * 4  # labels, logits; losses, gradient


def status_bytes(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def body(dtype_first):
    draw = random.Random(1)
    labels = json.dumps([draw.randrange(CLASSES) for _ in range(ROWS)])
    line = "[" + ",".join(f"{draw.gauss(0, 3):.7f}" for _ in range(CLASSES)) + "]"
    fields = ['"dtype":"float32"', f'"gradients":true,"labels":{labels},"logits":[{",".join([line] * ROWS)}]']
    return f'{{{",".join(fields if dtype_first else reversed(fields))}}}'.encode()


def main():
    build = Path(sys.argv[1])
    for dtype_first in (True, False):
        content = body(dtype_first)
        with lossd(build / "lossd") as (url, process):
            idle = status_bytes(process.pid, "VmRSS")
            request = urllib.request.Request(url + PATH, content, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                while answer.read(1 << 20):
                    pass
            peak = status_bytes(process.pid, "VmHWM")
        what = f"memory of a {len(content) / 1e6:.0f} MB call, dtype {'first' if dtype_first else 'last'}"
        print(f"{what:<72}  {(peak - idle) / ARRAYS:.4g} times", flush=True)


if __name__ == "__main__":
    main()
