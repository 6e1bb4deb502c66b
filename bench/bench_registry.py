# SPDX-License-Identifier: Apache-2.0
"""Durable adds to a registry: bench_registry.py BUILD_DIR. BENCH_SECONDS sets how long one figure is measured.

wrk posts losses to a server whose store is an SQLite file, each answered when its commit is on disk, beside what SQLite
itself does on the same disk with the same journal and the same care: a transaction an add, and as many adds a transaction
as there are connections. At the end small losses with and without a registry, taken in turns.

With BENCH_SYNC_MS every sync takes so much longer, for both alike: what a slower disk would show.
"""

import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_http import EXAMPLE, PATH, ROUNDS, SECONDS, row, wrk
from disk import Disk
from lossd_server import lossd

HERE = Path(__file__).resolve().parent
SYNC_MS = float(os.environ.get("BENCH_SYNC_MS", "0"))
CONNECTIONS = (1, 16, 64)
LOG_PAGES = 1100  # beyond what SQLite lets its log grow to before it starts over
ADD = json.dumps({"loss": 0.5, "name": "head/xent"}).encode()


def sqlite_rate(folder, adds):
    """Adds a second with so many a transaction, fsync and all, once the log is being written over: growing it is slower."""
    with contextlib.closing(sqlite3.connect(folder / f"plain-{adds}.db", isolation_level=None)) as database:
        database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
            "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, name TEXT, step INTEGER, loss REAL, added_at TEXT)")

        def transaction():
            database.execute("BEGIN IMMEDIATE")
            for _ in range(adds):
                database.execute("INSERT INTO entry (name, step, loss, added_at) VALUES ('head/xent', 0, 0.5, '2026-01-01')")
            database.execute("COMMIT")

        for _ in range(LOG_PAGES):
            transaction()
        database.execute("PRAGMA synchronous=FULL")
        done, begun = 0, time.monotonic()
        while time.monotonic() < begun + SECONDS:
            transaction()
            done += adds
        return done / (time.monotonic() - begun)


def bench_adds(url, folder):
    """In turns, for the disk's own pace changes from second to second."""
    for connections in CONNECTIONS:
        ours, single, together = [], [], []
        wrk(f"{url}/v1/registries/warm/losses", ADD, connections)
        for _ in range(ROUNDS):
            ours.append(wrk(f"{url}/v1/registries/bench-{connections}/losses", ADD, connections))
            single.append(sqlite_rate(folder, 1))
            together.append(sqlite_rate(folder, connections))
        row(f"durable adds, {connections} connections", statistics.median(rate[0] for rate in ours), "adds/s")
        row(f"durable adds, {connections} connections, p99", statistics.median(rate[2] for rate in ours), "us")
        row(f"sqlite3, a transaction an add, beside {connections} connections", statistics.median(single), "adds/s")
        row(f"sqlite3, {connections} adds a transaction", statistics.median(together), "adds/s")


def bench_losses(url):
    alone, with_registry = json.dumps(EXAMPLE).encode(), json.dumps({**EXAMPLE, "registry": "bench-losses"}).encode()
    rounds = [[wrk(url + PATH, body, 64)[0] for body in (alone, with_registry)] for _ in range(ROUNDS)]
    for what, rates in zip(("small losses", "small losses with a registry"), zip(*rounds)):
        row(f"{what}, 64 connections", statistics.median(rates), "requests/s")


def on_a_slower_disk(build, folder):
    """Begin once more with the shim loaded, which whoever is started from here inherits."""
    disk = Disk(build / "lossd", folder / "disk")
    disk.set(sync_us=round(SYNC_MS * 1000))
    os.environ["BENCH_SYNC_MS"] = "0"
    return subprocess.run([*disk.under(), sys.executable, *sys.argv], check=False).returncode


def main():
    build = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(dir=build) as name:  # on a disk: /tmp may be memory
        folder = Path(name)
        if SYNC_MS > 0:
            sys.exit(on_a_slower_disk(build, folder))
        with lossd(build / "lossd", "--store", f"sqlite:{folder / 'registry.db'}") as (url, _):
            bench_adds(url, folder)
            bench_losses(url)


if __name__ == "__main__":
    main()
