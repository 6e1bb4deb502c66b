# SPDX-License-Identifier: Apache-2.0
"""test_registry_command.py LOSSD: lossd registry list, show, export and import, on files, in Redis and beside servers."""

import datetime
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from lossd_server import lossd, wait_until
from redis_server import Redis
from wire import Wire, head, post

PROGRAM = sys.argv[1]
LOSS = "/v1/losses/absolute_difference"
WHEN = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
ZERO_SUM = "00" * 280 + b"losssum\1".hex() + "00" * 24
ENTRY = {"kind": "entry", "name": "x", "loss": 0.5, "step": 0, "collection": "losses",
         "added_at": WHEN, "updated_at": WHEN}
REGISTRY = {"kind": "registry", "registry": "run", "updated_at": WHEN}
KEY = {"kind": "key", "key": "k", "fingerprint": "ab" * 32, "created_at": WHEN, "answers": 1}
ANSWER = {**ENTRY, "kind": "answer"}
START = {"kind": "lossd", "format": 1}


def end(registries=1, entries=1, keys=0):
    return {"kind": "end", "registries": registries, "entries": entries, "keys": keys}


def lines(*documents):
    return "".join(json.dumps(d) + "\n" for d in documents)


class Commands(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def store(self, name):
        return name if "://" in name else f"sqlite:{self.folder}/{name}.db"

    def run_registry(self, *words, store=None, given=None, status=0):
        command = [PROGRAM, "registry", *words] + (["--store", self.store(store)] if store else [])
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def serve(self, store, *options):
        server = lossd(PROGRAM, "--store", self.store(store), *options)
        url, process = server.__enter__()
        wire = Wire(url)
        self.addCleanup(wire.close)
        return server, wire, process

    def add(self, wire, target, body, *fields):
        answer = wire.ask(post(target, json.dumps(body).encode(), *fields))
        self.assertIn(answer.status, (200, 201), answer.body)
        return answer.body

    def fill(self, wire):
        for loss in (0.1, -0.0, 5e-324, 1.7976931348623157e308):
            self.add(wire, "/v1/registries/run/losses", {"loss": loss, "name": "head/x", "step": 3}, f"Idempotency-Key: {loss}")
        wire.ask(post("/v1/registries/run/losses", b'{"loss": NaN, "name": "n", "collection": "odd"}'))
        wire.ask(post("/v1/registries/run/losses", b'{"loss": -Infinity, "name": "i", "step": 9007199254740992}'))
        for batch in ([1, 2], [0.1], [1e-30, 3e7]):
            self.add(wire, LOSS, {"labels": [0] * len(batch), "predictions": batch, "registry": "whole", "name": "eval",
                                  "accumulate": True, "reduction": "mean"}, f"Idempotency-Key: {batch}".replace(" ", ""))
        self.add(wire, LOSS, {"labels": [0], "predictions": [0.1], "dtype": "float64", "registry": "Zürich/1 \"q\""})
        wire.ask(head("PUT", "/v1/registries/empty", "Content-Length: 12") + b'{"ttl": 900}')

    def everything(self, wire):
        """All that a client can see."""
        found = {}
        index = wire.ask(head("GET", "/v1/registries"), "GET").document()["registries"]
        for r in index:
            name = r["registry"].replace("/", "%2F").replace(" ", "%20").replace('"', "%22").replace("ü", "%C3%BC")
            listed = wire.ask(head("GET", f"/v1/registries/{name}/losses?step=all&nonfinite=literal"), "GET")
            listed = listed if listed.status == 200 else wire.ask(head("GET", f"/v1/registries/{name}/losses?step=all"), "GET")
            found[r["registry"]] = (r, listed.body)
        return found


class RoundTrip(Commands):
    def test_every_bit_comes_back(self):
        server, wire, _ = self.serve("a")
        self.fill(wire)
        before = self.everything(wire)
        beside = self.run_registry("export", store="a")  # while the server has it
        server.__exit__(None, None, None)
        out = self.run_registry("export", store="a")
        self.assertEqual(beside, out)
        self.run_registry("import", store="b", given=out)
        self.assertEqual(self.run_registry("export", store="b"), out)
        (self.folder / "file.jsonl").write_text(out)
        self.run_registry("import", str(self.folder / "file.jsonl"), "--store=" + self.store("c"))
        self.assertEqual(self.run_registry("export", store="c"), out)

        documents = [json.loads(line, parse_constant=self.fail) for line in out.splitlines()]  # strict JSON
        self.assertEqual(documents[0], START)
        self.assertEqual(documents[-1], end(4, 8, 7))
        server, wire, _ = self.serve("b")
        self.assertEqual(self.everything(wire), before)
        again = self.add(wire, LOSS, {"labels": [0], "predictions": [0.1], "registry": "whole", "name": "eval",
                                      "accumulate": True, "reduction": "mean"}, "Idempotency-Key: [0.1]")
        self.assertEqual(json.loads(again)["entry"]["batches"], 2)  # a repeat from before: its own answer, nothing added
        self.assertEqual(self.everything(wire), before)
        answer = json.loads(self.add(wire, "/v1/registries/run/losses", {"loss": 1, "name": "head/x", "step": 3}))
        self.assertEqual(answer["name"], "head/x_4")  # names go on where they were
        server.__exit__(None, None, None)

    @unittest.skipUnless(shutil.which("redis-server"), "no Redis here")
    def test_what_is_in_redis_comes_out_whole(self):
        with tempfile.TemporaryDirectory() as folder, Redis(folder) as redis:
            server, wire, _ = self.serve(redis.url)
            self.fill(wire)
            before = self.everything(wire)
            out = self.run_registry("export", "--store", redis.url)
            self.assertIn("empty", self.run_registry("list", "--store", redis.url))
            self.assertIn("eval", self.run_registry("show", "whole", "--store", redis.url))
            refused = self.run_registry("import", "--store", redis.url, given=out, status=1)
            self.assertIn("already", refused)
            self.assertEqual(self.everything(wire), before)
            server.__exit__(None, None, None)
        self.assertEqual(json.loads(out.splitlines()[-1]), end(4, 8, 7))
        self.run_registry("import", store="a", given=out)
        self.assertEqual(self.run_registry("export", store="a"), out)
        server, wire, _ = self.serve("a")
        self.assertEqual(self.everything(wire), before)
        again = self.add(wire, "/v1/registries/run/losses", {"loss": 0.1, "name": "head/x", "step": 3}, "Idempotency-Key: 0.1")
        self.assertEqual(json.loads(again)["name"], "head/x")  # a repeat of what Redis answered
        self.assertEqual(self.everything(wire), before)
        server.__exit__(None, None, None)

    def test_named_registries_alone(self):
        server, wire, _ = self.serve("a")
        self.fill(wire)
        server.__exit__(None, None, None)
        out = self.run_registry("export", "whole", "empty", store="a").splitlines()
        self.assertEqual([json.loads(line).get("registry") for line in out], [None, "whole", None, "empty", None])
        self.assertEqual(json.loads(out[-1]), end(2, 1, 0))
        self.assertIn('"none"', self.run_registry("export", "none", store="a", status=1))
        self.run_registry("export", "--file", str(self.folder / "out"), store="a")
        self.assertEqual((self.folder / "out").read_text(), self.run_registry("export", store="a"))
        self.run_registry("export", "none", "--file", str(self.folder / "bad"), store="a", status=1)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir() if p.name.startswith(("out", "bad"))), ["out"])

    def test_an_export_beside_a_busy_server_is_of_one_moment(self):
        server, wire, _ = self.serve("a")
        self.fill(wire)
        going, added = threading.Event(), []

        def keep_adding():
            own = Wire(f"http://127.0.0.1:{wire.address[1]}")
            while not going.is_set():
                i = len(added)  # two registries, in turns: never one ahead by more than one
                added.append(own.ask(post(f"/v1/registries/turn{i % 2}/losses", b'{"loss": 1}')).status)
            own.close()

        adder = threading.Thread(target=keep_adding)
        adder.start()
        try:
            for _ in range(10):
                out = [json.loads(line) for line in self.run_registry("export", store="a").splitlines()]
                counts, current = {}, None
                for d in out:
                    if d["kind"] == "registry":
                        current = d["registry"]
                        counts[current] = 0
                    elif d["kind"] == "entry":
                        counts[current] += 1
                self.assertIn(counts.get("turn0", 0) - counts.get("turn1", 0), (0, 1))
        finally:
            going.set()
            adder.join()
        self.assertEqual(set(added), {201})
        server.__exit__(None, None, None)


    def test_namespaces_stay_apart(self):
        spaces = {"namespace": "team-a"}, {"namespace": "team-b"}
        given = lines(START, REGISTRY, ENTRY, *[{"kind": "registry", **s, **REGISTRY} for s in spaces],
                      {**KEY}, ANSWER, {"kind": "key", **spaces[0], **KEY, "fingerprint": "cd" * 32}, ANSWER, end(3, 1, 2))
        self.run_registry("import", store="a", given=given)
        out = self.run_registry("export", store="a")
        self.assertEqual(out, given.replace(": ", ":").replace(", ", ","))
        self.run_registry("import", store="b", given=out)
        self.assertEqual(self.run_registry("export", store="b"), out)
        one = [json.loads(line) for line in self.run_registry("export", "--namespace", "team-a", store="a").splitlines()]
        self.assertEqual([d.get("namespace") for d in one], [None, "team-a", "team-a", None, None])
        self.assertEqual(self.run_registry("list", "--json", "--namespace=team-a", store="a").count("\n"), 1)
        self.assertEqual(self.run_registry("show", "run", "--namespace=team-b", "--json", store="a"), "")
        self.assertEqual(self.run_registry("show", "run", "--json", store="a").count("\n"), 1)
        self.run_registry("list", "--namespace", "a/b", store="a", status=2)
        bad = lines(START, {"kind": "registry", "namespace": "a/b", **REGISTRY})
        self.assertIn("the name of a namespace", self.run_registry("import", store="a", given=bad, status=1))

    def test_the_documents_example_is_taken_and_given_back(self):
        document = (Path(__file__).resolve().parents[2] / "docs/registry-lines.md").read_text(encoding="utf-8")
        example = "".join(line + "\n" for line in document.splitlines() if line.startswith("{"))
        self.run_registry("import", store="a", given=example)
        self.assertEqual(self.run_registry("export", "run-7", store="a"), example)


class Taken(Commands):
    def test_import_refuses_replaces_or_merges(self):
        self.run_registry("import", store="a", given=lines(START, REGISTRY, ENTRY, end()))
        before = self.run_registry("export", store="a")
        other = {**ENTRY, "name": "y"}
        given = lines(START, {**REGISTRY, "registry": "first"}, other, REGISTRY, ENTRY, other, end(2, 3))
        self.assertIn('line 4: there is a registry "run" already', self.run_registry("import", store="a", given=given, status=1))
        self.assertEqual(self.run_registry("export", store="a"), before)  # "first" did not stay

        self.run_registry("import", "--merge", store="a", given=given)
        kept = self.run_registry("export", "run", store="a")
        self.assertEqual([json.loads(line).get("name") for line in kept.splitlines()], [None, None, "x", "y", None])
        self.run_registry("import", "--merge", store="a", given=given)  # once more changes nothing
        self.assertEqual(self.run_registry("export", "run", store="a"), kept)

        before = self.run_registry("export", store="a")
        changed = lines(START, REGISTRY, {**ENTRY, "name": "z"}, {**ENTRY, "loss": 0.75}, end(1, 2))
        message = self.run_registry("import", "--merge", store="a", given=changed, status=1)
        self.assertIn('line 4: /name: step 0 has another entry "x" already', message)
        self.assertEqual(self.run_registry("export", store="a"), before)
        self.run_registry("import", "--replace", store="a", given=changed)
        self.assertEqual(self.run_registry("export", "run", store="a"), changed.replace(": ", ":").replace(", ", ","))
        self.run_registry("import", "--replace", "--merge", store="a", given=changed, status=2)

    def test_keys_that_are_there(self):
        given = lines(START, KEY, ANSWER, end(0, 0, 1))
        self.run_registry("import", store="a", given=given)
        self.run_registry("import", store="a", given=given)  # the very same key is no conflict
        other = lines(START, {**KEY, "fingerprint": "cd" * 32}, ANSWER, end(0, 0, 1))
        message = self.run_registry("import", store="a", given=other, status=1)
        self.assertIn("line 2: the key \"k\" was used for another request", message)
        self.run_registry("import", "--without-keys", store="a", given=other)
        self.assertIn("ab" * 32, self.run_registry("export", store="a"))
        self.run_registry("import", "--replace", store="a", given=other)
        self.assertIn("cd" * 32, self.run_registry("export", store="a"))

    def test_a_store_that_a_server_has(self):
        server, wire, _ = self.serve("a")
        self.add(wire, "/v1/registries/run/losses", {"loss": 1})
        message = self.run_registry("import", store="a", given=lines(START, end(0, 0)), status=1)
        self.assertIn("another server has it open", message)
        self.assertIn("run", self.run_registry("list", store="a"))
        server.__exit__(None, None, None)
        self.run_registry("import", store="a", given=lines(START, end(0, 0)))


class Bad(Commands):
    def test_lines_that_are_wrong(self):
        sums = {"accumulates": "l", "batches": 1, "count": 1, "nonzero_weights": 1, "samples": 1, "sum": ZERO_SUM,
                "weight_sum": ZERO_SUM, "rest": ZERO_SUM, "dtype": "float32", "reduction": "sum"}
        whole = {**ENTRY, **sums, "loss": 0.0}
        wrong = [
            ("", "line 1: the file ends"),
            ("nonsense\n", "line 1"),
            (lines(REGISTRY), "line 1: a line of kind \"registry\" cannot stand at the beginning"),
            (lines({**START, "format": 2}), "line 1: format 2"),
            (lines({"kind": "other"}), "line 1: /kind: there is no kind of line \"other\""),
            (lines({}), "line 1: /kind"),
            (lines(START), "line 2: the file ends"),
            (lines(START, START), "line 2: a line of kind \"lossd\" cannot stand here"),
            (lines(START, ENTRY), "line 2: a line of kind \"entry\" cannot stand here"),
            (lines(START, REGISTRY, ENTRY), "line 4: the file ends"),
            (lines(START, REGISTRY, ENTRY, end(1, 2)), "line 4: the \"end\" line counts"),
            (lines(START, REGISTRY, ENTRY, end()) + "\n", "line 5: nothing may follow"),
            (lines(START, REGISTRY, ENTRY, ENTRY, end(1, 2)), "line 4: /name: step 0 has another entry"),
            (lines(START, REGISTRY, ENTRY, REGISTRY, end(2, 1)), "line 4: there is a registry \"run\" already"),
            (lines(START, {**REGISTRY, "extra": 1}), "line 2: /extra"),
            (lines(START, {**REGISTRY, "loss": 1}), "has no field \"loss\""),
            (lines(START, {"kind": "registry", "registry": "run"}), "needs the field \"updated_at\""),
            (lines(START, {**REGISTRY, "registry": ""}), "line 2: a name has 1 to 512 bytes"),
            (lines(START, {**REGISTRY, "updated_at": "yesterday"}), "must be a time like"),
            (lines(START, {**REGISTRY, "ttl": -1}), "\"ttl\""),
            (lines(START, REGISTRY, {**ENTRY, "name": "a\n"}), "line 3: a name has no control"),
            (lines(START, REGISTRY, {**ENTRY, "step": 0.5}), "line 3: /step"),
            (lines(START, REGISTRY, {**ENTRY, "nonfinite": "NaN"}), "one of \"loss\" and \"nonfinite\""),
            (lines(START, REGISTRY, {**ENTRY, "loss": float("nan")}), "\"nonfinite\" says what is not"),
            (lines(START, REGISTRY, {**ENTRY, "dtype": "int8"}), "float32 or float64"),
            (lines(START, REGISTRY, {**ENTRY, "reduction": "none"}), "a reduction to a scalar"),
            (lines(START, REGISTRY, {**ENTRY, "batches": 1}), "has all fields from"),
            (lines(START, REGISTRY, {**whole, "loss": 0.5}), "what the sums and counts give"),
            (lines(START, REGISTRY, {**whole, "sum": "00"}), "an exact sum"),
            (lines(START, REGISTRY, {**whole, "sum": "00" * 312}), "an exact sum"),
            (lines(START, KEY, end(0, 0, 1)), "line 3: a line of kind \"end\" cannot stand where an answer"),
            (lines(START, {**KEY, "fingerprint": "ab"}), "64 hexadecimal digits"),
            (lines(START, {**KEY, "key": "a b"}, ANSWER), "visible ASCII"),
            (lines(START, KEY, ANSWER, REGISTRY), "line 4: a line of kind \"registry\" cannot stand here"),
        ]
        self.run_registry("import", store="a", given=lines(START, REGISTRY, whole, end()).replace("run", "kept"))
        before = self.run_registry("export", store="a")
        for given, says in wrong:
            with self.subTest(says=says, given=given[:300]):
                self.assertIn(says, self.run_registry("import", store="a", given=given, status=1))
                self.assertEqual(self.run_registry("export", store="a"), before)

    def test_a_cut_file_changes_nothing(self):
        server, wire, _ = self.serve("a")
        self.fill(wire)
        server.__exit__(None, None, None)
        out = self.run_registry("export", store="a").encode()
        for n in [*range(0, len(out) - 1, max(1, len(out) // 60)), len(out) - 2]:
            (self.folder / "cut").write_bytes(out[:n])
            self.run_registry("import", str(self.folder / "cut"), store="b", status=1)
        self.assertEqual(json.loads(self.run_registry("export", store="b").splitlines()[-1]), end(0, 0, 0))

    def test_words_that_are_wrong(self):
        for words in ([], ["say"], ["list", "run"], ["list", "--step", "1"], ["show"], ["show", "a", "b"],
                      ["show", "a", "--step", "x"], ["import", "a", "b"], ["export", "--replace"], ["list", "--store"]):
            with self.subTest(words=words):
                self.run_registry(*words, status=2)
        self.assertIn("store in memory", self.run_registry("list", "--store", "memory", status=2))
        self.assertIn("export", self.run_registry("--help"))
        self.assertIn("cannot read", self.run_registry("import", "/nonexistent", store="a", status=1))
        self.assertIn("unable to open", self.run_registry("list", store="none", status=1))
        self.assertFalse((self.folder / "none.db").exists())

    def test_an_output_that_is_full(self):
        self.run_registry("import", store="a", given=lines(START, REGISTRY, ENTRY, end()))
        with open("/dev/full", "w", encoding="utf-8") as full:
            for verb in (["export"], ["list"], ["show", "run"]):
                done = subprocess.run([PROGRAM, "registry", *verb, "--store", self.store("a")], stdout=full,
                                      stderr=subprocess.PIPE, text=True, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn("cannot write", done.stderr)


class Shown(Commands):
    def test_columns_stand_below_their_heads(self):
        entries = [{**ENTRY, "name": name} for name in ("plain", "ünï/ç", "名前")]
        self.run_registry("import", store="a", given=lines(START, {**REGISTRY, "registry": "lauf-ü"}, *entries, end(1, 3)))
        for verb, column in ((["list"], "ENTRIES"), (["show", "lauf-ü", "--step", "all"], "LOSS")):
            first, *others = self.run_registry(*verb, store="a").splitlines()
            ends = first.index(column) + len(column)
            self.assertTrue(others)
            for line in others:
                self.assertRegex(line[:ends], r"[0-9]$")
                self.assertEqual(line[ends], " ")

    def test_an_error_is_all_there_is(self):
        self.run_registry("import", store="a", given=lines(START, REGISTRY, ENTRY, end()))
        for words, says in ((["show", "nope"], 'no registry "nope"'), (["show", "run", "--scope", "head/("], "--scope: missing")):
            done = subprocess.run([PROGRAM, "registry", *words, "--store", self.store("a")], capture_output=True, text=True,
                                  check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(says, done.stderr)

    def test_a_password_is_not_shown(self):
        for store in ("rediss://u:secret@cache", "redis://u:secret@cache/x"):
            said = self.run_registry("list", "--store", store, status=1)
            self.assertNotIn("secret", said)
            self.assertIn("u:***@cache", said)

    def test_list_and_show(self):
        server, wire, _ = self.serve("a")
        self.fill(wire)
        index = wire.ask(head("GET", "/v1/registries"), "GET").document()["registries"]
        latest = wire.ask(head("GET", "/v1/registries/whole/losses"), "GET").document()["losses"]
        scoped = wire.ask(head("GET", "/v1/registries/run/losses?step=3&scope=head/x_%5B12%5D"), "GET").document()["losses"]
        listed = self.run_registry("list", "--json", store="a").splitlines()
        self.assertEqual([json.loads(line) for line in listed], index)
        shown = self.run_registry("show", "whole", "--json", store="a").splitlines()
        self.assertEqual([json.loads(line) for line in shown], latest)
        shown = self.run_registry("show", "run", "--step", "3", "--scope=head/x_[12]", "--json", store="a").splitlines()
        self.assertEqual([json.loads(line) for line in shown], scoped)
        self.assertEqual(len(self.run_registry("show", "run", "--step", "all", store="a").splitlines()), 7)
        self.assertRegex(self.run_registry("show", "whole", store="a"), r"eval .* 3 batches\n$")
        self.assertRegex(self.run_registry("list", store="a"), r"\nempty +0 +0 +- +\S+Z +900\n")
        self.assertIn("unknown", self.run_registry("show", "none", store="a", status=1) + "unknown")
        self.assertIn("scope", self.run_registry("show", "run", "--scope", "(", store="a", status=1) + "scope")
        server.__exit__(None, None, None)

    def test_a_page_is_not_the_end(self):
        many = [{**ENTRY, "name": f"n{i}"} for i in range(2100)]
        registries = [{**REGISTRY, "registry": f"r{i:04}"} for i in range(1001)]
        self.run_registry("import", store="a", given=lines(START, REGISTRY, *many, *registries, end(1002, 2100)))
        self.assertEqual(len(self.run_registry("show", "run", "--json", store="a").splitlines()), 2100)
        self.assertEqual(len(self.run_registry("list", "--json", store="a").splitlines()), 1002)
        self.assertEqual(len(self.run_registry("export", store="a").splitlines()), 1002 + 2100 + 2)

    def test_the_default_store_is_the_servers(self):
        environment = {**os.environ, "XDG_DATA_HOME": str(self.folder)}
        self.run_registry("import", store="lossd/registry", given=lines(START, REGISTRY, ENTRY, end()))
        done = subprocess.run([PROGRAM, "registry", "list"], env=environment, capture_output=True, text=True, check=True)
        self.assertIn("run", done.stdout)
        environment = {**os.environ, "LOSSD_STORE": self.store("lossd/registry")}
        done = subprocess.run([PROGRAM, "registry", "list"], env=environment, capture_output=True, text=True, check=True)
        self.assertIn("run", done.stdout)

    def test_reading_leaves_the_file_as_it_is(self):
        self.run_registry("import", store="a", given=lines(START, REGISTRY, ENTRY, end()))
        shutil.copy(self.folder / "a.db", self.folder / "copy.db")
        bytes_before = (self.folder / "copy.db").read_bytes()
        for words in (["list"], ["show", "run"], ["export"]):
            self.run_registry(*words, store="copy")
        self.assertEqual((self.folder / "copy.db").read_bytes(), bytes_before)


@unittest.skipUnless(shutil.which("redis-server"), "no Redis here")
class InRedis:
    """The same with each store a database of one Redis; no import leaves anything else there."""

    def setUp(self):
        super().setUp()
        self.redis = Redis(self.folder)
        self.addCleanup(self.redis.end)
        self.redis.start()
        self.databases = {}

    def tearDown(self):
        self.assertEqual(self.aside(), [])
        super().tearDown()

    def store(self, name):
        if "://" in name or name.startswith("file-"):
            return super().store(name)
        return self.redis.url[:-1] + str(self.databases.setdefault(name, len(self.databases)))

    def aside(self):
        """Keys of imports but for the marks of those that were done, with the seconds that they have left."""
        found = []
        for number in range(len(self.databases)):
            keys = self.redis.ask("KEYS lossd:import:*", number)
            found += [(key, self.redis.ask(f"TTL {key}", number)) for key in keys if not key.endswith(":d")]
        return found


class TakenInRedis(InRedis, Taken):
    def test_a_store_that_a_server_has(self):
        """Servers need not notice: they add to the very registry, and all that they acknowledged is there once."""
        server, wire, _ = self.serve("a")
        first = json.loads(self.add(wire, "/v1/registries/run/losses", {"loss": 1, "name": "add"}))["name"]
        given = lines(START, REGISTRY, *[{**ENTRY, "name": f"n{i}"} for i in range(2000)],
                      {**REGISTRY, "registry": "second"}, ENTRY, end(2, 2001))
        going, added = threading.Event(), [first]

        def keep_adding():
            own = Wire(f"http://127.0.0.1:{wire.address[1]}")
            while not going.is_set():
                added.append(own.ask(post("/v1/registries/run/losses", b'{"loss": 1, "name": "add"}')).document()["name"])
            own.close()

        adder = threading.Thread(target=keep_adding)
        adder.start()
        try:
            for _ in range(3):
                self.run_registry("import", "--merge", store="a", given=given)
        finally:
            going.set()
            adder.join()
        names = [json.loads(line)["name"] for line in self.run_registry("show", "run", "--json", store="a").splitlines()]
        self.assertEqual([n for n in names if n.startswith("add")], added)
        self.assertEqual([n for n in names if n.startswith("n")], [f"n{i}" for i in range(2000)])
        listed = wire.ask(head("GET", "/v1/registries/run/losses?limit=1000"), "GET").document()
        self.assertEqual([d["name"] for d in listed["losses"]], names[:1000])
        server.__exit__(None, None, None)


class BadInRedis(InRedis, Bad):
    test_words_that_are_wrong = None
    test_an_output_that_is_full = None


class RedisRoundTrip(InRedis, RoundTrip):
    test_what_is_in_redis_comes_out_whole = None
    test_an_export_beside_a_busy_server_is_of_one_moment = None

    def test_there_and_back(self):
        server, wire, _ = self.serve("file-a")
        self.fill(wire)
        server.__exit__(None, None, None)
        out = self.run_registry("export", store="file-a")
        for store in ("b", "file-c", "d"):
            self.run_registry("import", store=store, given=out)
            self.assertEqual(self.run_registry("export", store=store), out)

    def test_keys_keep_the_life_that_is_left(self):
        old = {**KEY, "key": "old", "created_at": "2020-01-01T00:00:00.000000Z"}
        given = lines(START, KEY, ANSWER, old, ANSWER, end(0, 0, 2))
        self.run_registry("import", store="a", given=given)
        self.run_registry("import", "--idempotency-ttl=2h", store="b", given=given)
        for number, hours in ((0, 23), (1, 1)):
            left = self.redis.ask("TTL lossd:key:k", number)
            self.assertTrue(hours * 3600 - 120 < left <= hours * 3600, left)
            self.assertEqual(self.redis.ask("KEYS lossd:key:*", number), ["lossd:key:k"])
        self.assertIn("--idempotency-ttl", self.run_registry("import", "--idempotency-ttl", "x", store="a", given=given, status=2))

    def start_import(self, *words):
        return subprocess.Popen([PROGRAM, "registry", "import", "--store", self.store("a"), *words], stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def test_an_import_that_dies_leaves_nothing_in_sight(self):
        self.run_registry("import", store="a", given=lines(START, REGISTRY, ENTRY, KEY, ANSWER, end(1, 1, 1)))
        before = self.run_registry("export", store="a")
        many = [{**ENTRY, "name": f"n{i}"} for i in range(3000)]
        dying = self.start_import("--replace")
        dying.stdin.write(lines(START, REGISTRY, *many).encode())
        dying.stdin.flush()
        wait_until(lambda: len(self.aside()) >= 7, dying)
        dying.kill()
        dying.wait()
        dying.stdin.close()
        self.assertEqual(self.run_registry("export", store="a"), before)
        self.assertEqual([key for key, left in self.aside() if not 0 < left <= 3600], [])
        self.redis.ask("FLUSHALL")

    def test_an_import_that_is_killed_is_done_or_not(self):
        self.run_registry("import", store="a", given=lines(START, REGISTRY, ENTRY, end()))
        before = self.run_registry("export", store="a")
        many = [{**ENTRY, "name": f"n{i}"} for i in range(2000)]
        more = [{**REGISTRY, "registry": f"run{i}"} for i in range(200)]
        given = lines(START, REGISTRY, *many, *more, KEY, ANSWER, end(201, 2000, 1))
        path = self.folder / "given"
        path.write_text(given)
        self.run_registry("import", str(path), store="b")
        after = self.run_registry("export", store="b")
        seen = set()
        for _ in range(20):
            dying = self.start_import("--replace", str(path))
            time.sleep(random.uniform(0, 0.12))
            dying.kill()
            dying.wait()
            dying.stdin.close()
            time.sleep(0.02)  # Redis may be in the last script
            now = self.run_registry("export", store="a")
            self.assertIn(now, (before, after))
            seen.add(now)
            if now == after:
                self.redis.ask("FLUSHDB")
                self.run_registry("import", store="a", given=lines(START, REGISTRY, ENTRY, end()))
        self.redis.ask("FLUSHALL")

    @unittest.skipIf("LOSSD_INSTRUMENTED" in os.environ, "instrumentation keeps what was freed")
    def test_memory_does_not_grow_with_what_is_imported(self):
        peaks = []
        for n in (1000, 50000):  # whole pieces, so that all is in Redis before the end comes
            child = self.start_import("--replace")
            child.stdin.write(lines(START, REGISTRY).encode())
            for i in range(n):
                child.stdin.write(lines({**ENTRY, "name": f"n{i}"}).encode())
            child.stdin.flush()
            wait_until(lambda n=n: any(self.redis.ask(f"ZCARD {key}") == n for key, _ in self.aside() if key.endswith(":a")), child)
            status = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii")
            peaks.append(int(status.split("VmHWM:")[1].split()[0]))
            child.stdin.write(lines(end(1, n)).encode())
            child.stdin.close()
            self.assertEqual(child.wait(), 0)
        self.assertLess(peaks[1] - peaks[0], 4096, peaks)  # KiB
        self.assertEqual(self.redis.ask("ZCARD lossd:{run}:a"), 50000)


if __name__ == "__main__":
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
