# SPDX-License-Identifier: Apache-2.0
"""Many clients on one registry, and whether what they were told can be true: test_history.py LOSSD. CALLS=120 each; SEED.

With --store URL behind it the registry is there; else in memory, in SQLite, and in Redis behind two servers, in turn.
"""

import contextlib
import copy
import os
import shutil
import sys
import tempfile
import unittest

import history
from lossd_server import lossd
from redis_server import Redis

PROGRAM = sys.argv[1]
STORE = sys.argv[3] if sys.argv[2:3] == ["--store"] else None
CLIENTS = 12
CALLS = int(os.environ.get("CALLS", "1000" if "LOSSD_TEST_LONG" in os.environ else "120"))
SEED = os.environ.get("SEED", "11")


class Histories(unittest.TestCase):
    def run_on(self, store, servers=1):
        with contextlib.ExitStack() as stack:
            urls = [stack.enter_context(lossd(PROGRAM, "--store", store, "--queue-jobs", "1024"))[0] for _ in range(servers)]
            told = history.record(urls, CLIENTS, CALLS, SEED)
        counts = history.check(told)
        print(f"{store}: {sum(counts.values())} calls of {CLIENTS} clients: {counts}")
        return told

    @unittest.skipIf(STORE, "another store was given")
    def test_in_memory(self):
        self.run_on("memory")

    @unittest.skipIf(STORE, "another store was given")
    def test_in_sqlite(self):
        with tempfile.TemporaryDirectory() as folder:
            self.run_on(f"sqlite:{folder}/losses.db")

    @unittest.skipIf(STORE or not shutil.which("redis-server"), "no Redis here, or another store was given")
    def test_in_redis_behind_two_servers(self):
        with tempfile.TemporaryDirectory() as folder, Redis(folder) as redis:
            self.run_on(redis.url, servers=2)

    @unittest.skipUnless(STORE, "no store was given")
    def test_in_the_store_given(self):
        self.run_on(STORE)


def last(told, kind):
    return max((c for c in told if c.kind == kind and c.taken()), key=lambda c: c.start)


def lose(told):
    del last(told, "list").answer["losses"][3]


def double(told):
    entries = last(told, "list").answer["losses"]
    entries.append(dict(entries[0]))


def invent(told):
    entries = last(told, "list").answer["losses"]
    entries.append({**entries[0], "loss": 0.5, "name": "nobody"})


def turn_round(told):
    last(told, "list").answer["losses"].reverse()


def keep_refused(told):
    call = next(c for c in told if c.status == 409 and c.kind == "add")
    call.status, call.answer = 201, {"name": call.name, "loss": call.value}


def lose_a_batch(told):
    last(told, "merge").answer["entry"]["batches"] -= 1


def half_write(told):
    last(told, "entry").answer["totals"]["sum"] += 1


def go_back(told):
    reads = sorted((c for c in told if c.kind == "entry" and c.name == "whole"), key=lambda c: c.start)
    reads[-1].answer = reads[0].answer


def remove_twice(told):
    max((c for c in told if c.kind == "sweep"), key=lambda c: c.answer["removed"]).answer["removed"] += 1


def miscount(told):
    last(told, "total").answer["count"] += 1


def mistotal(told):
    last(told, "total").answer["total_loss"] -= 1


def forget_a_key(told):
    keys = {}
    for call in told:
        if call.key and call.taken() and call.kind == "add":
            if call.key in keys:
                call.answer = {**call.answer, "name": "again"}
                return
            keys[call.key] = call
    raise AssertionError("no repeat")


@unittest.skipIf(STORE, "another store was given")
class TheChecker(unittest.TestCase):
    """It would notice."""

    def test_each_lie_is_noticed(self):
        with lossd(PROGRAM) as (url, _):
            told = history.record([url], CLIENTS, 120, "lies")
        history.check(told)
        for lie in (lose, double, invent, turn_round, keep_refused, lose_a_batch, half_write, go_back, remove_twice, miscount, mistotal,
                    forget_a_key):
            with self.subTest(lie=lie.__name__):
                tampered = copy.deepcopy(told)
                lie(tampered)
                with self.assertRaises(history.Broken):
                    history.check(tampered)


if __name__ == "__main__":
    del sys.argv[1:4 if STORE else 2]
    unittest.main()
