# SPDX-License-Identifier: Apache-2.0
"""Three lossd behind HAProxy with one Redis, as docker/cluster sets them up: test_replicas.py LOSSD. KILLS=12.

Clients post data sets in batches through the balancer, each batch with a key and again until it is answered, while replicas,
or Redis, are killed and started again. Each entry is, to the bit, what one process gives for the whole set in one call.
"""

import concurrent.futures
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from lossd_server import free_port, is_ready, lossd, stop, wait_until
from redis_server import Redis
from wire import Wire, head, post

PROGRAM = None
KILLS = int(os.environ.get("KILLS", "12"))
CLUSTER = pathlib.Path(__file__).resolve().parents[2] / "docker" / "cluster"
LOSS = "/v1/losses/sparse_softmax_cross_entropy"
CLIENTS, ROWS, BATCHES = 8, 400, 40
PATIENCE = 120  # seconds after which a batch that nobody answers is a failure
AGAIN = {0, 502, 503, 504}  # answers after which a client asks again


def dataset(rng):
    """Labels and logits of three classes, from nearly solved to hopeless, and weights of many magnitudes."""
    scales = [10 ** rng.uniform(-3, 2) for _ in range(ROWS)]
    return [(rng.randrange(3), [rng.gauss(0, scale) for _ in range(3)], 10 ** rng.uniform(-6, 6)) for scale in scales]


def body(rows, **fields):
    labels, logits, weights = zip(*rows)
    return json.dumps({"labels": labels, "logits": logits, "weights": weights, "losses": False, **fields}).encode()


def split(rows, rng):
    rows = rng.sample(rows, len(rows))
    places = [0, *sorted(rng.sample(range(1, len(rows)), BATCHES - 1)), len(rows)]
    return [rows[a:b] for a, b in zip(places, places[1:])]


class Cluster:
    """Redis, three replicas and the balancer, on loopback ports, in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.redis = Redis(folder)
        self.redis.options = self.redis.options + tuple(self.redis_options())
        self.ports = [free_port() for _ in range(3)]
        self.replicas = [None] * 3
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.balancer = None

    @staticmethod
    def redis_options():
        """What redis.conf says, as options."""
        for line in (CLUSTER / "redis.conf").read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                name, value = line.split(maxsplit=1)
                yield from (f"--{name}", value.strip('"'))

    def __enter__(self):
        try:
            self.redis.start()
            for number in range(3):
                self.start(number)
            self.balance()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.balancer, *self.replicas):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self.redis.end()

    def replica_url(self, number):
        return f"http://127.0.0.1:{self.ports[number]}"

    def start(self, number):
        self.replicas[number] = subprocess.Popen(
            [PROGRAM, "serve", "--listen", f"127.0.0.1:{self.ports[number]}", "--store", self.redis.url],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: is_ready(self.replica_url(number)), self.replicas[number])

    def kill(self, number):
        self.replicas[number].kill()
        self.replicas[number].wait()

    def balance(self):
        """HAProxy with the cluster's own configuration, but for its addresses."""
        text = (CLUSTER / "haproxy.cfg").read_text(encoding="utf-8")
        text = text.replace("bind :8080", f"bind 127.0.0.1:{self.port}")
        text = re.sub(r"lossd(\d):8080 .*", lambda m: f"127.0.0.1:{self.ports[int(m[1]) - 1]}", text)
        text = re.sub(r"resolvers containers\n.*\n", "", text)
        path = pathlib.Path(self.folder) / "haproxy.cfg"
        path.write_text(text, encoding="utf-8")
        self.balancer = subprocess.Popen(["haproxy", "-db", "-f", str(path)], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: is_ready(self.url), self.balancer)


class Client:
    """Posts batches until each is answered; counts how often it had to ask again, and notes what should not happen."""

    def __init__(self, url, seed):
        self.wire, self.rng = Wire(url), random.Random(seed)
        self.again, self.odd = 0, []

    def ask(self, message):
        try:
            return self.wire.ask(message).status
        except OSError:
            self.wire.close()
            return 0

    def send(self, batch, key, where):
        message = post(LOSS, body(batch, accumulate=True, **where), f"Idempotency-Key: {key}")
        deadline = time.monotonic() + PATIENCE
        status = self.ask(message)
        while status in AGAIN and time.monotonic() < deadline:
            self.again += 1
            time.sleep(self.rng.uniform(0.005, 0.05))
            status = self.ask(message)
        if status == 200 and self.rng.random() < 0.2:  # as if the answer had been lost
            status = self.ask(message)
            status = 200 if status in AGAIN else status
        if status != 200:
            self.odd.append((key, status))


class Replicas(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cluster = Cluster(folder.name)
        self.cluster.__enter__()
        self.addCleanup(self.cluster.__exit__)
        self.clients = [Client(self.cluster.url, seed) for seed in range(CLIENTS)]
        self.addCleanup(lambda: [client.wire.close() for client in self.clients])

    def accumulate(self, name, rows, rng):
        """Post the rows in batches, from all clients at once."""
        batches = list(enumerate(split(rows, rng)))
        where = {"registry": "eval", "name": name}

        def work(number):
            for i, batch in batches[number::CLIENTS]:
                self.clients[number].send(batch, f"{name}.{i}", where)

        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(work, range(CLIENTS)))

    def until_killed(self, kill):
        """Post data sets while kill() is called again and again, KILLS times; the rows by name."""
        rng, sets, over = random.Random(5), {}, threading.Event()

        def killer():
            try:
                for _ in range(KILLS):
                    time.sleep(rng.uniform(0.02, 0.3))
                    kill()
            finally:
                over.set()

        thread = threading.Thread(target=killer)
        thread.start()
        while not over.is_set() or not sets:
            name = f"e{len(sets)}"
            sets[name] = dataset(rng)
            self.accumulate(name, sets[name], rng)
        thread.join()
        return sets

    def check(self, sets):
        self.assertEqual([odd for client in self.clients for odd in client.odd], [])
        wait_until(lambda: is_ready(self.cluster.url), self.cluster.balancer)
        through, alone = Wire(self.cluster.url), None
        with lossd(PROGRAM) as (url, _):
            alone = Wire(url)
            for name, rows in sets.items():
                whole = alone.ask(post(LOSS, body(rows))).document()
                entry = through.ask(head("GET", f"/v1/registries/eval/losses/{name}"), "GET").document()
                self.assertEqual(json.dumps([entry["loss"], entry["totals"]]), json.dumps([whole["loss"], whole["totals"]]))
                self.assertEqual(entry["batches"], BATCHES)
            alone.close()
        through.close()
        again = sum(client.again for client in self.clients)
        print(f"{KILLS} kills, {len(sets)} data sets of {BATCHES} batches, {again} times asked again")

    def test_replicas_that_are_killed_lose_and_double_nothing(self):
        rng = random.Random(6)

        def kill():
            number = rng.randrange(3)
            self.cluster.kill(number)
            time.sleep(rng.uniform(0, 0.2))
            self.cluster.start(number)

        self.check(self.until_killed(kill))

    def test_a_redis_that_is_killed_loses_nothing_that_was_answered(self):
        def kill():
            self.cluster.redis.end()
            time.sleep(random.uniform(0, 0.3))
            self.cluster.redis.start()
            wait_until(lambda: all(is_ready(self.cluster.replica_url(n)) for n in range(3)), self.cluster.balancer)

        self.check(self.until_killed(kill))

    def test_without_redis_the_rest_goes_on(self):
        wire = Wire(self.cluster.url)
        add = post("/v1/registries/r/losses", b'{"loss": 1}', "Idempotency-Key: k")
        compute = post(LOSS, b'{"labels": [1], "logits": [[1, 2]]}')
        self.assertEqual(wire.ask(add).status, 201)
        self.cluster.redis.end()
        wait_until(lambda: not any(is_ready(self.cluster.replica_url(n)) for n in range(3)), self.cluster.balancer)
        wait_until(lambda: wire.ask(compute).status == 200, self.cluster.balancer)
        answer = wire.ask(add)
        self.assertEqual((answer.status, answer.document()["code"]), (503, "store_unavailable"))
        self.assertRegex(answer.headers["Retry-After"], r"^\d+$")
        self.cluster.redis.start()
        wait_until(lambda: all(is_ready(self.cluster.replica_url(n)) for n in range(3)), self.cluster.balancer)
        wait_until(lambda: is_ready(self.cluster.url), self.cluster.balancer)
        self.assertEqual(wire.ask(add).status, 201)
        listed = wire.ask(head("GET", "/v1/registries/r/losses"), "GET").document()["losses"]
        self.assertEqual(len(listed), 1)
        wire.close()

    def test_a_replica_that_drains_loses_no_call(self):
        wire = Wire(self.cluster.url)
        self.assertEqual(wire.ask(post("/v1/registries/r/losses", b'{"loss": 1}')).status, 201)
        self.assertEqual(stop(self.cluster.replicas[0]), 0)
        for _ in range(20):
            self.assertIn(wire.ask(post("/v1/registries/r/losses", b'{"loss": 1}')).status, {201} | AGAIN)
        wire.close()


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
