# SPDX-License-Identifier: Apache-2.0
"""Adds to a registry in Redis: bench_redis.py BUILD_DIR. BENCH_SECONDS sets how long one figure is measured.

wrk posts losses to a server whose store is a Redis with an append-only file that is synced on every write, or every second;
beside it, in turns and on as many connections, redis-benchmark runs the script that adds, and the plain command that is most
like it: appending to a list. Nothing is printed where Redis is not installed.
"""

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_http import HERE, ROUNDS, SECONDS, row, wrk
from lossd_server import lossd
from redis_server import Redis

CONNECTIONS = (1, 16, 64)
ADD = json.dumps({"loss": 0.5, "name": "head/xent"}).encode()
BATCH = json.dumps({"labels": [2, 1], "logits": [[1, 2, 7], [3, 5, 2]], "losses": False, "registry": "bench",
                    "accumulate": True}).encode()
SCRIPTS = HERE.parent / "src" / "registry" / "lua"


def load_script(redis):
    """Give Redis the script that adds; its name there."""
    text = b"".join((SCRIPTS / f"{part}.lua").read_bytes() for part in ("common", "merge", "add"))
    return subprocess.run(["redis-cli", "-p", str(redis.port), "-x", "script", "load"], input=text, capture_output=True,
                          check=True).stdout.decode().strip()


def script_call(sha, connections):
    """What lossd sends for the loss that wrk posts, but for a record's head, whose bytes do not matter to the script."""
    tail = "losses\\x00\\x00\\x00\\x00"
    return ["EVALSHA", sha, "4", "lossd:registries", "lossd:orders", "lossd:registries", f"lossd:{{script-{connections}}}",
            "1700000000000000", "0", "86400000000", "", "512",
            "4", f"script-{connections}", "0", "head/xent", "h" * 25, tail, ""]


def redis_benchmark(redis, connections, command):
    """Requests a second; a short run first says how many take SECONDS."""
    def rate(requests):
        out = subprocess.run(["redis-benchmark", "-p", str(redis.port), "-c", str(connections), "-n", str(max(requests, connections)),
                              "-q", *command], capture_output=True, text=True, check=True).stdout
        return float(re.findall(r"([0-9.]+) requests per second", out)[-1])
    return rate(round(rate(200 * connections) * SECONDS))


def bench(url, redis, sha, sync):
    for connections in CONNECTIONS:
        adds, merges, script, plain = [], [], [], []
        for _ in range(ROUNDS):
            adds.append(wrk(f"{url}/v1/registries/bench-{connections}/losses", ADD, connections))
            merges.append(wrk(f"{url}/v1/losses/sparse_softmax_cross_entropy", BATCH, connections)[0])
            script.append(redis_benchmark(redis, connections, script_call(sha, connections)))
            plain.append(redis_benchmark(redis, connections, ["RPUSH", "list", "v" * 100]))
        which = f"{connections} connections, appendfsync {sync}"
        row(f"adds in Redis, {which}", statistics.median(rate for rate, _, _ in adds), "adds/s")
        row(f"adds in Redis, {which}, p99", statistics.median(p99 for _, _, p99 in adds), "us")
        row(f"batches computed and merged in Redis, {which}", statistics.median(merges), "requests/s")
        row(f"redis-benchmark, the script that adds, {which}", statistics.median(script), "requests/s")
        row(f"redis-benchmark, RPUSH, {which}", statistics.median(plain), "requests/s")


def main():
    build = Path(sys.argv[1]).resolve()
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        print("Redis is not installed")
        return
    for sync in ("always", "everysec"):
        with tempfile.TemporaryDirectory(dir=build) as folder:  # on a disk: /tmp may be memory
            with Redis(folder, "--appendonly", "yes", "--appendfsync", sync) as redis:
                with lossd(build / "lossd", "--store", redis.url, "--log-level", "warning") as (url, _):
                    bench(url, redis, load_script(redis), sync)


if __name__ == "__main__":
    main()
