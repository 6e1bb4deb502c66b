# SPDX-License-Identifier: Apache-2.0
"""Whole requests beside FastAPI with torch and orjson: bench_fastapi.py BUILD_DIR PYTHON of the peers.

Both get the same bytes in turns on the same machine, the peer with as many workers as lossd has threads: the worked
example on 32 connections, by wrk, and large batches, without and with gradients, on two connections more than workers.
Of large batches only whole calls count: a connection ends its last one. BENCH_SECONDS sets a run's length.
"""

import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from bench_http import EXAMPLE, PATH, SECONDS, row, wrk
from lossd_server import free_port, is_ready, lossd, stop, wait_until

HERE = Path(__file__).resolve().parent
WORKERS = len(os.sched_getaffinity(0))
ROUNDS = 2
SHAPES = ((1024, 1000), (8192, 100))


def batch(rows, classes, gradients):
    draw = random.Random(1)
    logits = [[round(draw.gauss(0, 3), 7) for _ in range(classes)] for _ in range(rows)]
    labels = [draw.randrange(classes) for _ in range(rows)]
    call = {"dtype": "float32", "labels": labels, "logits": logits, "gradients": gradients}
    return json.dumps(call, separators=(",", ":")).encode()


def small_rate(url, body):
    return wrk(url + PATH, body, 32)[0]


def read_answer(connection, buffer):
    """Drops the body unread, at no cost of the client's that would weigh on a fast server; returns the head."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(65536)
    head, body = head.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    left, tail = int(length[1]) - len(body) if length else None, body[-5:]
    while left != 0 if length else tail != b"0\r\n\r\n":  # the last chunk, where the length is not known before
        got = connection.recv_into(buffer)
        if got == 0:
            raise RuntimeError("the connection ended within an answer")
        left = left - got if length else None
        tail = (tail + bytes(buffer[max(0, got - 5):got]))[-5:]
    return head


def calls_until(address, body, end):
    """How many calls one connection makes until the time is up."""
    request = (f"POST {PATH} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(body)}\r\n\r\n").encode()
    host, port = address.split(":")
    calls, buffer = 0, bytearray(1 << 20)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        while calls == 0 or time.monotonic() < end:
            connection.sendall(request)
            connection.sendall(body)
            head = read_answer(connection, buffer)
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                raise RuntimeError(f"{address} answered {head.decode()}")
            calls += 1
    return calls


def large_rate(url, body):
    begun = time.monotonic()
    with ThreadPoolExecutor(WORKERS + 2) as connections:
        counts = [connections.submit(calls_until, urlsplit(url).netloc, body, begun + SECONDS) for _ in range(WORKERS + 2)]
    return sum(count.result() for count in counts) / (time.monotonic() - begun)


def compare(what, rate, ours_url, peer_url, body):
    rounds = [(rate(ours_url, body), rate(peer_url, body)) for _ in range(ROUNDS)]
    ours, peer = (statistics.median(rates) for rates in zip(*rounds))
    row(f"{what}, lossd", ours, "requests/s")
    row(f"{what}, FastAPI", peer, "requests/s")
    row(f"{what}, lossd to FastAPI", ours / peer, "times")


def main():
    build, python = Path(sys.argv[1]), sys.argv[2]
    port = free_port()
    peer_url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([python, "-B", str(HERE / "peers" / "fastapi_torch.py"), str(port), str(WORKERS)]) as peer:
        try:
            wait_until(lambda: is_ready(peer_url), peer, seconds=60)
            with lossd(build / "lossd") as (url, _):
                compare("beside FastAPI, the worked example", small_rate, url, peer_url, json.dumps(EXAMPLE).encode())
                for rows, classes in SHAPES:
                    for gradients in (False, True):
                        what = f"beside FastAPI, {rows}x{classes}, {'losses and gradient' if gradients else 'losses'}"
                        compare(what, large_rate, url, peer_url, batch(rows, classes, gradients))
        finally:
            stop(peer)


if __name__ == "__main__":
    main()
