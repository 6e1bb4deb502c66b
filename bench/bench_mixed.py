# SPDX-License-Identifier: Apache-2.0
"""Small calls beside a stream of 100 MB calls: bench_mixed.py BUILD_DIR.

wrk asks for the worked example on a few connections, each a few milliseconds after its last answer, as clients with other
work do; first alone and then while another wrk posts one 100 MB JSON body after the other, without and with gradients.
All of them share the machine's cores. BENCH_SECONDS sets a run's length.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

from lossd_server import lossd, stop  # noqa: E402

SECONDS = max(2, round(2 * float(os.environ.get("BENCH_SECONDS", "4"))))
SMALL_CONNECTIONS = 8
PAUSE_MS = 4
BODY_BYTES = 100_000_000
CLASSES = 1000
PATH = "/v1/losses/sparse_softmax_cross_entropy"
EXAMPLE = {"labels": [2, 1, 0, 0, 1], "logits": [[1, 2, 7], [3, 5, 2], [6, 1, 3], [8, 2, 0], [3, 6, 1]]}

SCRIPT = """
local file = io.open(os.getenv("BENCH_BODY"), "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
local pause = tonumber(os.getenv("BENCH_PAUSE"))
if pause > 0 then
    function delay()
        return pause
    end
end
function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format("FIGURES %d %d %d %d %d\\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), latency.max))
    io.write(string.format("ERRORS %d\\n", errors.connect + errors.read + errors.write + errors.status))
end
"""


def row(what, value, unit):
    print(f"{what:<72}  {value:.4g} {unit}", flush=True)


def large_body(fields):
    draw = random.Random(1)
    line = "[" + ",".join(f"{draw.gauss(0, 3):.7f}" for _ in range(CLASSES)) + "]"
    rows = BODY_BYTES // (len(line) + 1)
    head = json.dumps({**fields, "labels": [draw.randrange(CLASSES) for _ in range(rows)]})[:-1]
    return f'{head},"logits":[{",".join([line] * rows)}]}}'.encode()


class Wrk:
    """wrk under way with one body; figures() waits for its end."""

    def __init__(self, folder, name, url, body, connections, seconds, pause=0):
        (folder / f"{name}.body").write_bytes(body)
        (folder / "post.lua").write_text(SCRIPT, encoding="ascii")
        self.process = subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(folder / "post.lua"), url],
            env={**os.environ, "BENCH_BODY": str(folder / f"{name}.body"), "BENCH_PAUSE": str(pause)}, stdout=subprocess.PIPE, text=True)

    def figures(self):
        """Requests a second; p50, p99 and the longest latency in milliseconds."""
        out = self.process.communicate()[0]
        requests, duration, p50, p99, longest = map(int, re.search(r"FIGURES (\d+) (\d+) (\d+) (\d+) (\d+)", out).groups())
        if self.process.returncode != 0 or int(re.search(r"ERRORS (\d+)", out).group(1)) > 0:
            raise RuntimeError(f"requests failed:\n{out}")
        return requests / duration * 1e6, p50 / 1e3, p99 / 1e3, longest / 1e3


def report(what, small, p50, p99, longest):
    row(f"small calls {what}", small, "requests/s")
    row(f"small calls {what}, p50", p50, "ms")
    row(f"small calls {what}, p99", p99, "ms")
    row(f"small calls {what}, longest", longest, "ms")


def main():
    build = Path(sys.argv[1])
    example = json.dumps(EXAMPLE).encode()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with lossd(build / "lossd") as (url, _):
            report("alone", *Wrk(folder, "small", url + PATH, example, SMALL_CONNECTIONS, SECONDS, PAUSE_MS).figures())
            for what, fields in (("losses", {}), ("gradients", {"gradients": True})):
                body = large_body(fields)
                stream = Wrk(folder, "large", url + PATH, body, 1, 2 * SECONDS + 4)
                try:
                    time.sleep(2)  # the stream is under way
                    small = Wrk(folder, "small", url + PATH, example, SMALL_CONNECTIONS, SECONDS, PAUSE_MS)
                    report(f"beside 100 MB calls ({what})", *small.figures())
                    row(f"100 MB calls ({what}) beside small ones", stream.figures()[0] * len(body) / 1e6, "MB/s in")
                finally:
                    if stream.process.poll() is None:
                        stop(stream.process)


if __name__ == "__main__":
    main()
