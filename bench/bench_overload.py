# SPDX-License-Identifier: Apache-2.0
"""Ten times as many calls as the server can take: bench_overload.py BUILD_DIR.

Large calls from as many connections as keep the server busy, and from ten times as many that ask again at once when they are
refused, whatever Retry-After says: what is answered well (goodput), beside the peak. The queue is short, so that there is
something to refuse. Meanwhile one client sends a head now and then and times its refusal; another one the worked example.
The clients share the machine's cores, and what they take grows with the refusals: hence also by the server's CPU time. Of
calls that are much to read and little to compute, refusing costs a good part. BENCH_SECONDS sets a run's length.
"""

import json
import os
import random
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

from lossd_server import lossd  # noqa: E402
from wire import Wire, head, post  # noqa: E402

SECONDS = max(2, round(1.5 * float(os.environ.get("BENCH_SECONDS", "4"))))
ROUNDS = 3
QUEUE = 4
BUSY = QUEUE  # connections that keep the server busy, with nothing refused
SMALL_PATH = "/v1/losses/mean_squared_error"
SMALL = b'{"labels": [1, 2, 4], "predictions": [2, 2, 2]}'

SCRIPT = """
local file = io.open(os.getenv("BENCH_BODY"), "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = os.getenv("BENCH_TYPE")
function done(summary, latency, requests)
    io.write(string.format("FIGURES %d %d %d\\n", summary.requests, summary.duration, summary.errors.status))
end
"""


def row(what, value, unit):
    print(f"{what:<72}  {value:.4g} {unit}", flush=True)


class Call:
    def __init__(self, path, media, body):
        self.path, self.media, self.body = path, media, body


def json_call(numbers):
    draw = random.Random(1)
    values = [[round(draw.gauss(0, 3), 6) for _ in range(numbers)] for _ in range(2)]
    return Call(SMALL_PATH, "application/json", json.dumps({"labels": values[0], "predictions": values[1], "losses": False}).encode())


def many_losses(numbers, losses):
    entry = {"loss": "sigmoid_cross_entropy", "labels": {"ref": "y"}, "logits": {"ref": "z"}, "losses": False}
    size = 4 * numbers
    tensors = {name: {"dtype": "F32", "shape": [numbers], "data_offsets": [i * size, (i + 1) * size]} for i, name in enumerate("yz")}
    header = json.dumps({**tensors, "__metadata__": {"spec": json.dumps({"losses": [entry] * losses})}}).encode()
    header += b" " * (-len(header) % 8)
    return Call("/v1/evaluate", "application/x-safetensors", struct.pack("<Q", len(header)) + header + struct.pack("<f", 0.5) * (2 * numbers))


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_wrk(folder, url, pid, call, connections):
    """Good answers a second, refusals a second, and good answers a second of the server's CPU time."""
    before = cpu_seconds(pid)
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "60s", "-s", str(folder / "post.lua"), url + call.path],
                         env={**os.environ, "BENCH_BODY": str(folder / "body"), "BENCH_TYPE": call.media}, stdout=subprocess.PIPE, text=True, check=True).stdout
    requests, duration, refused = map(int, re.search(r"FIGURES (\d+) (\d+) (\d+)", out).groups())
    good = requests - refused
    return good / duration * 1e6, refused / duration * 1e6, good / max(0.01, cpu_seconds(pid) - before)


class Probe(threading.Thread):
    """Asks every 20 ms, and times its answers by status. 100: the head was let in, and that is all it wanted to know."""

    def __init__(self, url, data):
        super().__init__()
        self.wire, self.data = Wire(url), data
        self.stopping = threading.Event()
        self.times, self.without_hint = {}, 0

    def ask(self):
        begun = time.perf_counter()
        self.wire.send(self.data)
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.wire.socket.recv(4096) or b" 0 \r\n\r\n"
        status = int(head.split(b" ", 2)[1])
        self.times.setdefault(status, []).append((time.perf_counter() - begun) * 1e3)
        self.without_hint += status == 503 and b"\r\nRetry-After:" not in head

    def run(self):
        while not self.stopping.is_set():
            self.wire.open()
            self.ask()
            self.wire.close()
            time.sleep(0.02)


def percentile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def measure(what, folder, url, pid, call):
    (folder / "body").write_bytes(call.body)
    run_wrk(folder, url, pid, call, BUSY)  # warm
    peaks, goods = [], []
    probes = (Probe(url, head("POST", call.path, f"Content-Type: {call.media}", f"Content-Length: {len(call.body)}", "Expect: 100-continue")),
              Probe(url, post(SMALL_PATH, SMALL)))
    for _ in range(ROUNDS):
        peaks.append(run_wrk(folder, url, pid, call, BUSY))
        if not probes[0].is_alive():
            for probe in probes:
                probe.start()
        goods.append(run_wrk(folder, url, pid, call, 10 * BUSY))
    for probe in probes:
        probe.stopping.set()
    for probe in probes:
        probe.join()
    large, small = probes
    if set(large.times) - {100, 503} or set(small.times) != {200} or large.without_hint:
        raise RuntimeError(f"answered {list(large.times)} and {list(small.times)}, {large.without_hint} refusals without Retry-After")
    row(f"{what}: refusals to an answer", statistics.median(g[1] / g[0] for g in goods), "times")
    row(f"{what}: goodput to peak", statistics.median(g[0] / p[0] for g, p in zip(goods, peaks)), "times")
    row(f"{what}: goodput to peak, by the server's CPU time", statistics.median(g[2] / p[2] for g, p in zip(goods, peaks)), "times")
    for share in (0.5, 0.99):
        row(f"{what}: a refusal, p{share * 100:g}", percentile(large.times[503], share), "ms")
        row(f"{what}: the worked example meanwhile, p{share * 100:g}", percentile(small.times[200], share), "ms")


def main(build):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "post.lua").write_text(SCRIPT, encoding="ascii")
        with lossd(Path(build) / "lossd", "--queue-jobs", str(QUEUE)) as (url, server):
            measure("4 MB of JSON", folder, url, server.pid, json_call(200_000))
            measure("50 losses of 4 MB", folder, url, server.pid, many_losses(500_000, 50))


if __name__ == "__main__":
    main(sys.argv[1])
