# SPDX-License-Identifier: Apache-2.0
"""Whole requests over HTTP, driven by wrk on the same machine: bench_http.py BUILD_DIR.

The worked example's rate stands beside that of a bare libmicrohttpd that echoes the same bytes, taken in turns in the
same minutes; a 1024x1000 float batch gives the megabytes of JSON a second. BENCH_SECONDS sets a wrk run's length.
"""

import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

from lossd_server import free_port, is_ready, lossd, stop, wait_until  # noqa: E402

SECONDS = max(1, round(float(os.environ.get("BENCH_SECONDS", "4"))))
ROUNDS = 3
PATH = "/v1/losses/sparse_softmax_cross_entropy"
EXAMPLE = {"labels": [2, 1, 0, 0, 1], "logits": [[1, 2, 7], [3, 5, 2], [6, 1, 3], [8, 2, 0], [3, 6, 1]]}

SCRIPT = """
local file = io.open(os.getenv("BENCH_BODY"), "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format("FIGURES %d %d %d %d\\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99)))
    io.write(string.format("ERRORS %d\\n", errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


def wrk(url, body, connections):
    """Requests a second, and the p50 and p99 of their latency in microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(body)
        (Path(folder) / "post.lua").write_text(SCRIPT, encoding="ascii")
        out = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "30s", "-s", f"{folder}/post.lua", url],
            env={**os.environ, "BENCH_BODY": f"{folder}/body"}, capture_output=True, text=True, check=True).stdout
    requests, microseconds, p50, p99 = map(int, re.search(r"FIGURES (\d+) (\d+) (\d+) (\d+)", out).groups())
    if int(re.search(r"ERRORS (\d+)", out).group(1)) > 0:
        raise RuntimeError(f"requests failed:\n{out}")
    return requests / microseconds * 1e6, p50, p99


def row(what, value, unit):
    print(f"{what:<72}  {value:.4g} {unit}", flush=True)


def large_batch():
    draw = random.Random(1)
    logits = [[round(draw.gauss(0, 3), 7) for _ in range(1000)] for _ in range(1024)]
    return {"labels": [draw.randrange(1000) for _ in range(1024)], "logits": logits}


def bench_small(url, echo_url):
    body = json.dumps(EXAMPLE).encode()
    for connections in (1, 32):
        ours, echoes = [], []
        for _ in range(ROUNDS):
            ours.append(wrk(url + PATH, body, connections))
            echoes.append(wrk(echo_url + PATH, body, connections))
        for name, runs in (("lossd", ours), ("echo of the same bytes", echoes)):
            what = f"the worked example, {connections} connections, {name}"
            row(what, statistics.median(run[0] for run in runs), "requests/s")
            row(what + ", p99", statistics.median(run[2] for run in runs), "us")
        row(f"the worked example, {connections} connections, lossd to echo",
            statistics.median(run[0] for run in ours) / statistics.median(run[0] for run in echoes), "times")


def bench_large(url, echo_url):
    batch = large_batch()
    for name, fields in (("losses", {}), ("losses and gradient", {"gradients": True})):
        body = json.dumps({**batch, **fields}).encode()
        rates = [wrk(url + PATH, body, 2)[0] for _ in range(ROUNDS)]
        row(f"1024x1000 float32 as JSON, {len(body) / 1e6:.1f} MB, {name}",
            statistics.median(rates) * len(body) / 1e6, "MB/s in")
    rates = [wrk(echo_url + PATH, body, 2)[0] for _ in range(ROUNDS)]
    row("1024x1000 float32 as JSON, echo of the same bytes", statistics.median(rates) * len(body) / 1e6, "MB/s in")


def main():
    build = Path(sys.argv[1])
    port = free_port()
    echo_url = f"http://127.0.0.1:{port}"
    echo = subprocess.Popen([str(build / "bench" / "echo_server"), str(port)])
    try:
        wait_until(lambda: is_ready(echo_url), echo)  # it answers every path
        with lossd(build / "lossd") as (url, _):
            bench_small(url, echo_url)
            bench_large(url, echo_url)
    finally:
        stop(echo)


if __name__ == "__main__":
    main()
