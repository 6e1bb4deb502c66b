# SPDX-License-Identifier: Apache-2.0
"""Scopes against Python's re.match: test_registry_scope_re.py LOSSD. What both can read, both match alike."""

import json
import pathlib
import random
import re
import sys
import unittest
from urllib.parse import quote

from lossd_server import lossd
from wire import Wire, head, post

PROGRAM = None
PATTERNS = 400
PIECES = ["a", "b", "head", "x1", "_", "/", r"\d", r"\w", ".", "[ab]", "[^/]", r"[a-z0-9]", r"\.", ":0", "/value:0"]
TIMES = ["", "", "", "*", "+", "?", "{1,2}", "*?", "+?"]
NAMES = ["a", "b", "ab", "aab", "head", "head/xent", "head/xent_1", "x1", "x1/a", "a/b/c", "_a", "A", "9", "a.b", "a b",
         "abab", "value:0", "a/value:0", "head/9"]


def pattern(rng, depth=0):
    parts = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.random()
        if depth < 2 and kind < 0.15:
            parts.append("(" + rng.choice(["", "?:"]) + pattern(rng, depth + 1) + ")" + rng.choice(["", "?"]))
        elif depth < 2 and kind < 0.25:
            parts.append("(?:" + pattern(rng, depth + 1) + "|" + pattern(rng, depth + 1) + ")")
        elif kind < 0.32:
            parts.append(rng.choice(["(?=a)", "(?!b)", r"\b", "$", "^"]))
        else:
            parts.append(rng.choice(PIECES) + rng.choice(TIMES))
    return "".join(parts)


class Scope(unittest.TestCase):
    def test_matches_what_python_matches(self):
        rng = random.Random(5)
        with lossd(PROGRAM) as (url, _):
            wire = Wire(url)
            for name in NAMES:
                body = json.dumps({"loss": 1, "name": name}).encode()
                self.assertEqual(wire.ask(post("/v1/registries/r/losses", body)).document()["name"], name)
            for _ in range(PATTERNS):
                scope = pattern(rng)
                wanted = [n for n in NAMES if re.match(scope, n) or re.match(scope, n + "/value:0")]
                answer = wire.ask(head("GET", f"/v1/registries/r/losses?scope={quote(scope, safe='')}"), "GET")
                with self.subTest(scope=scope):
                    self.assertEqual(answer.status, 200, answer.body)
                    self.assertEqual([e["name"] for e in answer.document()["losses"]], wanted)
            wire.close()


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
