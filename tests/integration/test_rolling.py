# SPDX-License-Identifier: Apache-2.0
"""Replicas behind HAProxy are restarted one after the other, under load: no request fails. test_rolling.py LOSSD.

HAProxy repeats nothing here: what a replica loses, a client sees. Ten restarts; fifty with LOSSD_TEST_LONG.
"""

import collections
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from lossd_server import free_port, is_ready, stop, wait_until

REPLICAS = 3
RESTARTS = 50 if "LOSSD_TEST_LONG" in os.environ else 10
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
SMALL = ("/v1/losses/mean_squared_error", b'{"labels": [1, 2, 4], "predictions": [2, 2, 2]}')
QUEUED = ("/v1/losses/mean_squared_error", b'{"labels": [%s], "predictions": [%s], "gradients": true}' % ((b", ".join([b"0.5"] * 60_000),) * 2))

CONFIGURATION = """
global
    maxconn 1000
    stats socket {socket} mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout check 10s
    retries 0
frontend api
    bind 127.0.0.1:{port}
    default_backend lossd
backend lossd
    balance roundrobin
    option httpchk GET /readyz
    default-server check inter 100ms fall 1 rise 1 pool-max-conn 20
{servers}
"""


class Load(threading.Thread):
    """One client on one connection, that counts what it gets."""

    def __init__(self, port, call, pause):
        super().__init__()
        self.port, self.call, self.pause = port, call, pause
        self.stopping = threading.Event()
        self.counts = collections.Counter()
        self.faults = []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.stopping.is_set():
            try:
                connection.request("POST", self.call[0], self.call[1], {"Content-Type": "application/json"})
                answer = connection.getresponse()
                body = answer.read()
                outcome = answer.status
                if outcome != 200:
                    self.faults.append((outcome, body[:300], dict(answer.headers)))
            except (OSError, http.client.HTTPException) as fault:
                outcome = type(fault).__name__
                self.faults.append((outcome, str(fault)))
                connection.close()
            self.counts[outcome] += 1
            time.sleep(self.pause)
        connection.close()


def start(program, port):
    return subprocess.Popen([program, "serve", "--listen", f"127.0.0.1:{port}", "--store", "memory", "--drain-delay", "2s",
                             "--log-level", "error"])


def status(path):
    """What HAProxy thinks of its servers."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(path)
        control.sendall(b"show stat\n")
        text = b"".join(iter(lambda: control.recv(65536), b"")).decode()
    rows = [line.split(",") for line in text.splitlines() if line.startswith("lossd,")]
    return {row[1]: row[17] for row in rows}


def all_up(path):
    servers = status(path)
    return all(servers[f"s{i}"].startswith("UP") for i in range(REPLICAS))


def wait_for(true):
    deadline = time.monotonic() + 60
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError("waited for a minute")
        time.sleep(0.02)


def roll(program, folder):
    ports = [free_port() for _ in range(REPLICAS)]
    port, control = free_port(), str(folder / "haproxy.sock")
    servers = "\n".join(f"    server s{i} 127.0.0.1:{p}" for i, p in enumerate(ports))
    (folder / "haproxy.cfg").write_text(CONFIGURATION.format(port=port, socket=control, servers=servers))
    replicas = [start(program, p) for p in ports]
    proxy = subprocess.Popen([HAPROXY, "-db", "-f", str(folder / "haproxy.cfg")], stderr=subprocess.DEVNULL)
    clients = []
    codes = collections.Counter()
    try:
        for replica, p in zip(replicas, ports):
            wait_until(lambda p=p: is_ready(f"http://127.0.0.1:{p}"), replica)
        wait_until(lambda: os.path.exists(control) and all_up(control), proxy)
        clients = [Load(port, SMALL, 0.002) for _ in range(6)] + [Load(port, QUEUED, 0.01) for _ in range(2)]
        for client in clients:
            client.start()
        for n in range(RESTARTS):
            i = n % REPLICAS
            replicas[i].send_signal(signal.SIGTERM)
            codes[replicas[i].wait(timeout=60)] += 1
            wait_for(lambda i=i: not status(control)[f"s{i}"].startswith("UP"))
            replicas[i] = start(program, ports[i])
            wait_for(lambda: all_up(control))
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join()
    finally:
        for client in clients:
            client.stopping.set()
        stop(proxy)
        for replica in replicas:
            if replica.poll() is None:
                stop(replica)
    counts = sum((client.counts for client in clients), collections.Counter())
    print(f"{RESTARTS} restarts of {REPLICAS} replicas: answers {dict(counts)}, exit statuses {dict(codes)}")
    for client in clients:
        for fault in client.faults[:3]:
            print(fault)
    return set(counts) == {200} and set(codes) == {0} and counts[200] > 50 * RESTARTS / 10


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        return 0 if roll(program, pathlib.Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
