# SPDX-License-Identifier: Apache-2.0
"""Ten times as many calls as the server can take: bench_overload.py BUILD_DIR.

The peak is what is answered when as many connections as fill the queue send one call after another. Then calls come at ten
times that rate, each at its moment, whatever becomes of those before (`paced_load`): how many are answered well beside the
peak (goodput), and how long a refusal takes. The queue is short, so that there is something to refuse. The load has the last
processor, and the server the others, so that the one does not live on the other's time. Meanwhile one client asks for the
worked example now and then. BENCH_SECONDS sets a run's length.
"""

import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

from lossd_server import lossd  # noqa: E402
from wire import Wire, head, post  # noqa: E402

SECONDS = max(2, round(1.5 * float(os.environ.get("BENCH_SECONDS", "4"))))
ROUNDS = 3
QUEUE = 4
BUSY = QUEUE  # connections that keep the server busy, with nothing refused
TIMES = 10
MOST = 1000  # calls under way at a time
CORES = sorted(os.sched_getaffinity(0))
SMALL_PATH = "/v1/losses/mean_squared_error"
SMALL = b'{"labels": [1, 2, 4], "predictions": [2, 2, 2]}'

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


def pinned(cores, *command):
    return ["taskset", "-c", ",".join(map(str, cores)), *command] if len(CORES) > 1 else list(command)


def run_load(program, folder, url, pid, rate, connections):
    """What paced_load counted, and the server's CPU seconds."""
    before = cpu_seconds(pid)
    command = pinned(CORES[-1:], str(program), str(urlsplit(url).port), str(folder / "request"), f"{rate:.6f}", str(SECONDS), str(connections))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(done.stdout)
    figures["server_cpu"] = max(0.01, cpu_seconds(pid) - before)
    if figures["other"]:
        raise RuntimeError(f"{figures['other']} of {figures['sent']} calls were neither answered nor refused with Retry-After")
    return figures


class Probe(threading.Thread):
    """The worked example, every 20 ms on a connection of its own."""

    def __init__(self, url):
        super().__init__()
        self.wire = Wire(url)
        self.stopping = threading.Event()
        self.times = []

    def run(self):
        while not self.stopping.is_set():
            begun = time.perf_counter()
            if self.wire.ask(post(SMALL_PATH, SMALL)).status != 200:
                raise RuntimeError("the worked example was not answered")
            self.times.append((time.perf_counter() - begun) * 1e3)
            self.wire.close()
            time.sleep(0.02)


def measure(what, program, folder, url, pid, call):
    fields = f"Content-Type: {call.media}", f"Content-Length: {len(call.body)}"
    (folder / "request").write_bytes(head("POST", call.path, *fields) + call.body)
    run_load(program, folder, url, pid, 0, BUSY)  # warm
    probe = Probe(url)
    peaks, loads = [], []
    for _ in range(ROUNDS):
        peaks.append(run_load(program, folder, url, pid, 0, BUSY))
        if not probe.is_alive():
            probe.start()
        loads.append(run_load(program, folder, url, pid, TIMES * peaks[-1]["good"] / peaks[-1]["seconds"], MOST))
    probe.stopping.set()
    probe.join()

    def ratio(per):
        return statistics.median(g["good"] / g[per] * p[per] / p["good"] for g, p in zip(loads, peaks))

    def median(figure, figures=loads):
        return statistics.median(figure(f) for f in figures)

    row(f"{what}: answers a second at the peak", median(lambda f: f["good"] / f["seconds"], peaks), "1/s")
    row(f"{what}: calls sent, to the peak", median(lambda f: f["sent"] / f["seconds"]) / median(lambda f: f["good"] / f["seconds"], peaks), "times")
    row(f"{what}: sent late, p99", median(lambda f: f["late_p99"]), "ms")
    row(f"{what}: refusals to an answer", median(lambda f: f["refused"] / max(1, f["good"])), "times")
    row(f"{what}: goodput to peak", ratio("seconds"), "times")
    row(f"{what}: goodput to peak, by the server's CPU time", ratio("server_cpu"), "times")
    row(f"{what}: the server's CPU time for all else, a refusal",
        median(lambda f: (f["server_cpu"] - f["good"] * median(lambda p: p["server_cpu"] / p["good"], peaks)) / max(1, f["refused"]) * 1e6), "us")
    row(f"{what}: the load's CPU time", median(lambda f: f["cpu"] / f["seconds"]), "of a core")
    for share in ("p50", "p99"):
        row(f"{what}: a refusal, {share}", median(lambda f: f["refusal_" + share]), "ms")
    for share in (0.5, 0.99):
        row(f"{what}: the worked example meanwhile, p{share * 100:g}", sorted(probe.times)[int((len(probe.times) - 1) * share)], "ms")


def main(build):
    program = Path(build) / "bench" / "paced_load"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with lossd(Path(build) / "lossd", "--queue-jobs", str(QUEUE), under=pinned(CORES[:-1])) as (url, server):
            measure("4 MB of JSON", program, folder, url, server.pid, json_call(200_000))
            measure("50 losses of 4 MB", program, folder, url, server.pid, many_losses(500_000, 50))
            measure("50 losses of 100 KB", program, folder, url, server.pid, many_losses(12_500, 50))


if __name__ == "__main__":
    main(sys.argv[1])
