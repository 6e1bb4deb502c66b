# SPDX-License-Identifier: Apache-2.0
"""test_scope_bound.py LOSSD: a scope that costs little a name and runs away over a long list: a 400, and nobody waits for it."""

import json
import subprocess
import sys
import tempfile
import threading
import unittest

from lossd_server import lossd
from wire import Wire, head, post

PROGRAM = None
ENTRIES = 20000
TIME = "2026-11-26T03:37:19.123456Z"
# Each needs some thousand steps a name: no single name is much, all together would be seconds.
RUNAWAYS = ("(a%2B)%2B$", "(a%7Caa)%2B$", "(a%7Ca)*$", "(?:a?){12}a{12}$")


def long_list(registry):
    yield {"kind": "lossd", "format": 1}
    yield {"kind": "registry", "registry": registry, "updated_at": TIME}
    for i in range(ENTRIES):
        yield {"kind": "entry", "name": f"aaaaaaaaaaaa!{i}", "loss": 1.0, "step": 0, "collection": "losses", "added_at": TIME,
               "updated_at": TIME}
    yield {"kind": "end", "registries": 1, "entries": ENTRIES, "keys": 0}


class ScopeBound(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        store = f"sqlite:{folder.name}/losses.db"
        subprocess.run([PROGRAM, "registry", "import", "--store", store], check=True, text=True, capture_output=True,
                       input="".join(json.dumps(line) + "\n" for line in long_list("long")))
        server = lossd(PROGRAM, "--store", store)
        self.url, _ = server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)

    def refuse(self, target, method="GET"):
        wire = Wire(self.url)
        answer = wire.ask(head(method, target), method)
        wire.close()
        return answer.status, answer.document()["code"], answer.document().get("parameter")

    def test_a_runaway_is_refused_and_others_go_on(self):
        refused, stop = [], threading.Event()

        def run_away(scope):
            while not stop.is_set():
                refused.append(self.refuse(f"/v1/registries/long/losses?scope={scope}"))
                refused.append(self.refuse(f"/v1/registries/long/total_loss?scope={scope}"))
                refused.append(self.refuse(f"/v1/registries/long?scope={scope}", "DELETE"))

        threads = [threading.Thread(target=run_away, args=(scope,)) for scope in RUNAWAYS]
        for thread in threads:
            thread.start()
        wire = Wire(self.url)
        try:
            for i in range(200):
                added = wire.ask(post("/v1/registries/other/losses", b'{"loss": 1, "name": "x"}'))
                self.assertEqual(added.status, 201)
                self.assertEqual(wire.ask(head("GET", "/readyz"), "GET").status, 200)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertGreaterEqual(len(refused), len(RUNAWAYS) * 3)
        self.assertEqual(set(refused), {(400, "invalid_scope", "scope")})
        whole = wire.ask(head("GET", "/v1/registries/long"), "GET").document()
        self.assertEqual(whole["entries"], ENTRIES)  # no DELETE took anything
        total = wire.ask(head("GET", "/v1/registries/long/total_loss?scope=a*!%5B0-9%5D*7"), "GET").document()
        self.assertEqual(total["count"], sum(1 for i in range(ENTRIES) if "7" in str(i)))  # an ordinary one takes any length
        wire.close()


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
