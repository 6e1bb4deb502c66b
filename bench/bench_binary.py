# SPDX-License-Identifier: Apache-2.0
"""Large calls with binary tensors (Open Inference Protocol) and as safetensors files beside a bare libmicrohttpd: bench_binary.py BUILD_DIR.

A call with gradients stands beside an echo of the same bytes, one without beside a server that keeps the body and answers
200 bytes; both take turns with lossd, over one connection each. BENCH_SECONDS sets how long a size is measured, BENCH_MIB which sizes.
"""

import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from array import array
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

from lossd_server import free_port, is_ready, lossd, stop, wait_until  # noqa: E402

SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
MODEL = "sparse_softmax_cross_entropy"
CLASSES = 1024
SIZES = [int(size) for size in os.environ.get("BENCH_MIB", "4,32,256").split(",")]  # MiB of logits
SAFETENSORS = "application/x-safetensors"
MIB = 1 << 20


class Client:
    """One connection, and as little work as Python can have with it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = memoryview(bytearray(MIB))

    def ask(self, head, body):
        """Seconds from the first byte sent to the last one received."""
        begun = time.perf_counter()
        self.socket.sendall(head)
        self.socket.sendall(body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.socket.recv(4096)
        answer, rest = answer.split(b"\r\n\r\n", 1)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError((answer + rest).decode(errors="replace"))
        fields = dict(line.lower().split(b": ", 1) for line in answer.split(b"\r\n")[1:])
        left = int(fields[b"content-length"]) - len(rest)
        while left > 0:
            left -= self.socket.recv_into(self.buffer, min(left, MIB))
        return time.perf_counter() - begun


def inputs(rows):
    """Labels and logits, as bytes."""
    draw = random.Random(1)
    labels = array("q", (draw.randrange(CLASSES) for _ in range(rows)))
    line = array("f", (draw.gauss(0, 3) for _ in range(64 * CLASSES)))
    return bytes(labels), bytes(line) * (rows // 64)


def oip_request(rows, gradients):
    """Head and body of a call by the Open Inference Protocol, with binary tensors both ways."""
    labels, logits = inputs(rows)
    names = ["loss", "gradients.logits"] if gradients else ["loss"]
    envelope = json.dumps({
        "inputs": [{"name": "labels", "datatype": "INT64", "shape": [rows], "parameters": {"binary_data_size": len(labels)}},
                   {"name": "logits", "datatype": "FP32", "shape": [rows, CLASSES], "parameters": {"binary_data_size": len(logits)}}],
        "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in names]}).encode()
    body = envelope + labels + logits
    head = (f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
            f"Inference-Header-Content-Length: {len(envelope)}\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    return head, body


def safetensors_request(rows, gradients):
    """The same call as a safetensors file, answered by another."""
    labels, logits = inputs(rows)
    end = len(labels) + len(logits)
    header = json.dumps({"labels": {"dtype": "I64", "shape": [rows], "data_offsets": [0, len(labels)]},
                         "logits": {"dtype": "F32", "shape": [rows, CLASSES], "data_offsets": [len(labels), end]}}).encode()
    header += b" " * (-len(header) % 8)
    body = len(header).to_bytes(8, "little") + header + labels + logits
    head = (f"POST /v1/losses/{MODEL}?losses=false&gradients={str(gradients).lower()} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: {SAFETENSORS}\r\nAccept: {SAFETENSORS}\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    return head, body


FORMATS = {"binary": oip_request, "safetensors": safetensors_request}


def row(what, value, unit):
    print(f"{what:<72}  {value:.4g} {unit}", flush=True)


def bench(ours, floor, floor_name, size, gradients, name):
    head, body = FORMATS[name](size * MIB // (4 * CLASSES), gradients)
    times = {"lossd": [], floor_name: []}
    end = time.monotonic() + SECONDS
    while time.monotonic() < end or len(times["lossd"]) < 4:
        times["lossd"].append(ours.ask(head, body))
        times[floor_name].append(floor.ask(head, body))
    what = f"{name} call of {size} MiB, {'with' if gradients else 'without'} gradients"
    medians = {server: statistics.median(each[1:]) for server, each in times.items()}  # the first one warms up
    for server, seconds in medians.items():
        row(f"{what}, {server}", len(body) / seconds / 1e6, "MB/s in")
    row(f"{what}, lossd to {floor_name}", medians[floor_name] / medians["lossd"], "times")


@contextlib.contextmanager
def bare_server(build, *options):
    """The port of an echo_server."""
    port = free_port()
    process = subprocess.Popen([str(build / "bench" / "echo_server"), str(port), *options])
    try:
        wait_until(lambda: is_ready(f"http://127.0.0.1:{port}"), process)  # it answers every path
        yield port
    finally:
        stop(process)


def main():
    build = Path(sys.argv[1])
    with bare_server(build) as echo, bare_server(build, "200") as sink, lossd(build / "lossd", "--max-body", "300000000") as (url, _):
        ours = Client(int(url.rsplit(":", 1)[1]))
        for name, size in ((name, size) for name in FORMATS for size in SIZES):
            bench(ours, Client(echo), "echo", size, True, name)
            bench(ours, Client(sink), "store", size, False, name)


if __name__ == "__main__":
    main()
