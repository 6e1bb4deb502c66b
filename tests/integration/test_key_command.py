# SPDX-License-Identifier: Apache-2.0
"""test_key_command.py LOSSD: lossd key new and list, on files of their own, and a server that takes what they made."""

import hashlib
import os
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lossd_server import lossd
from wire import Wire, head

PROGRAM = sys.argv[1]
KEY = r"\Alossd_[0-9a-f]{48}\n\Z"


class Commands(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "keys"

    def run_key(self, *words, file=True, status=0):
        """Standard output, or standard error of what fails."""
        environment = {name: value for name, value in os.environ.items() if name != "LOSSD_AUTH_FILE"}
        if file:
            environment["LOSSD_AUTH_FILE"] = str(self.file)
        done = subprocess.run([PROGRAM, "key", *words], env=environment, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def test_a_new_key_is_one_that_a_server_takes(self):
        keys = {name: self.run_key("new", name, "--scopes", scopes, *more)
                for name, scopes, more in (("alice", "compute", ("--expires", "2090-01-31")),
                                           ("bob", "admin,compute", ("--namespace=alice", "--rate", "7/m", "--burst", "9")),
                                           ("old", "compute", ("--expires=2020-01-01",)))}
        for key in keys.values():
            self.assertRegex(key, KEY)
            self.assertNotIn(key.strip(), self.file.read_text())
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.file.read_text().splitlines()[1],
                         f"bob sha256:{hashlib.sha256(keys['bob'].strip().encode()).hexdigest()} scopes=admin,compute "
                         "namespace=alice rate=7/m burst=9")
        with lossd(PROGRAM, "--auth-file", str(self.file)) as (url, _):
            wire = Wire(url)
            for name, losses, metrics in (("alice", 200, 403), ("bob", 200, 200), ("old", 401, 401)):
                for target, status in (("/v1/losses", losses), ("/metrics", metrics)):
                    answer = wire.ask(head("GET", target, "Authorization: Bearer " + keys[name].strip()), "GET")
                    self.assertEqual(answer.status, status, (name, target))
            wire.close()

    def test_without_a_file_it_prints_the_line(self):
        key, line = self.run_key("new", "alice", "--scopes", "compute", file=False).splitlines()
        self.assertRegex(key + "\n", KEY)
        self.assertEqual(line, f"alice sha256:{hashlib.sha256(key.encode()).hexdigest()} scopes=compute")
        self.assertFalse(self.file.exists())

    def test_what_is_in_the_file_stays(self):
        self.file.write_text("# ours\nold sha256:" + "0" * 64 + " scopes=admin")  # no end of line
        self.file.chmod(0o640)
        before, inode = self.file.read_text(), self.file.stat().st_ino
        self.run_key("new", "alice", "--scopes", "compute")
        self.assertTrue(self.file.read_text().startswith(before + "\nalice sha256:"))
        self.assertEqual((self.file.stat().st_mode & 0o777, self.file.stat().st_ino), (0o640, inode))

    def test_what_a_server_would_not_take_changes_nothing(self):
        self.run_key("new", "alice", "--scopes", "compute", "--namespace", "team")
        before = self.file.read_bytes()
        for words, status, says in (
                (("new", "alice", "--scopes", "compute"), 1, "gets a name of its own and --namespace team"),
                (("new", "bob"), 2, "scopes= is missing"),
                (("new", "--scopes", "compute"), 2, "needs a name"),
                (("new", "b:b", "--scopes", "compute"), 2, "the key's name"),
                (("new", "#bob", "--scopes", "compute"), 2, "name"),
                (("new", "bob", "--scopes", "all"), 2, "scopes are compute,"),
                (("new", "bob", "--scopes", "compute", "--rate", "5/x"), 2, "a rate is"),
                (("new", "bob", "--scopes", "compute", "--burst", "5"), 2, "burst= says nothing without rate="),
                (("new", "bob", "--scopes", "compute", "--expires", "2027-02-30"), 2, "a time is written"),
                (("new", "bob", "--scopes", "compute namespace=x"), 2, "no blanks"),
                (("new", "bob\neve", "--scopes", "compute"), 2, "no name"),
                (("new", "bob", "--scopes", "compute", "--namespace", "x" * 3000), 2, "no name and no fields"),
                (("new", "bob", "eve", "--scopes", "compute"), 2, "cannot take eve"),
                (("new", "bob", "--scopes"), 2, "cannot take --scopes"),
                (("new", "bob", "--nosuch", "x"), 2, "cannot take --nosuch"),
                (("list", "bob"), 2, "nothing else"),
                (("make",), 2, "usage:"), ((), 2, "usage:")):
            self.assertIn(says, self.run_key(*words, status=status), words)
        self.assertEqual(self.file.read_bytes(), before)
        self.file.write_text("nonsense\n")
        for words in (("new", "bob", "--scopes", "compute"), ("list",)):
            self.assertIn("keys:1: behind the name", self.run_key(*words, status=1))
        self.assertEqual(self.file.read_text(), "nonsense\n")

    def test_of_those_who_want_one_name_at_once_one_gets_it(self):
        def run(i):
            return subprocess.run([PROGRAM, "key", "new", f"k{i % 4}", "--scopes", "compute", "--auth-file", str(self.file)],
                                  capture_output=True, timeout=60, check=False).returncode

        with ThreadPoolExecutor(16) as several:
            self.assertEqual(sorted(several.map(run, range(16))), [0] * 4 + [1] * 12)
        self.assertEqual(len(self.run_key("list").splitlines()), 1 + 4)

    def test_list_shows_what_each_may(self):
        self.run_key("new", "alice", "--scopes", "compute,registry:read", "--rate", "3/s", "--burst", "9")
        self.run_key("new", "ci", "--scopes", "admin", "--namespace", "team", "--expires", "2020-01-31", "--rate", "7/m")
        self.run_key("new", "dan", "--scopes", "registry:write", "--rate", "1/h")
        shown = [line.split() for line in self.run_key("list").splitlines()]
        self.assertEqual(shown, [["NAME", "NAMESPACE", "EXPIRES", "RATE", "SCOPES"],
                                 ["alice", "alice", "-", "3/s,", "burst", "9", "compute,registry:read"],
                                 ["ci", "team", "2020-01-31T00:00:00Z", "expired", "7/m,", "burst", "1", "admin"],
                                 ["dan", "dan", "-", "1/h,", "burst", "1", "registry:write"]])
        self.assertIn("list needs a file", self.run_key("list", file=False, status=2))

    def test_help_is_there(self):
        self.assertIn("--auth-file", self.run_key("new", "--help"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
