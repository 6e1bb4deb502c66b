# SPDX-License-Identifier: Apache-2.0
"""docs/losses is what docs/losses/generate.py writes from the catalog now: `cmake --build ... --target refresh` mends it.

test_loss_pages.py LOSSD.
"""

import sys
import tempfile
import unittest
from pathlib import Path

PAGES = Path(__file__).resolve().parents[2] / "docs" / "losses"
sys.path.insert(0, str(PAGES))

import generate  # noqa: E402

PROGRAM = None


def contents(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.suffix in (".md", ".svg")}


class Pages(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            generate.generate(PROGRAM, Path(folder))
            cls.wanted, cls.found = contents(Path(folder)), contents(PAGES)

    def test_there_is_a_page_a_loss_and_none_else(self):
        self.assertEqual(sorted(self.found), sorted(self.wanted))

    def test_each_says_what_the_catalog_says(self):
        for name, text in self.wanted.items():
            with self.subTest(page=name):
                self.assertEqual(self.found.get(name), text)

    def test_each_shows_curves(self):
        for name, text in self.wanted.items():
            if name.endswith(".svg"):
                with self.subTest(picture=name):
                    for curve in ("loss", "gradient"):  # the key's line, and at least one of the plane
                        self.assertGreaterEqual(text.count(f'<polyline class="{curve}"'), 2)

    def test_each_is_in_the_index(self):
        for name in self.wanted:
            if name.endswith(".md") and name != "README.md":
                self.assertEqual(self.wanted["README.md"].count(f"({name})"), 1, name)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
