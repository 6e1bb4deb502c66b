# SPDX-License-Identifier: Apache-2.0
"""The documents tell the truth: each call in README.md and docs/api.md is run, in order, and its answer compared; links
between files lead somewhere.

test_docs.py LOSSD. A ```console block has commands after "$ " (they may run over lines), each followed by its answer
in one line. Times and ids in an answer are not compared.
"""

import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

from lossd_server import lossd

ROOT = Path(__file__).resolve().parents[2]
NOT_COMPARED = ("request_id", "added_at", "updated_at")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PROGRAM = None


def calls(text):
    """(command, answer) of each call in a document's console blocks."""
    inside, command, found = False, None, []
    for line in text.splitlines():
        if line.startswith("```"):
            inside, command = line == "```console", None
        elif inside and line.startswith("$ "):
            command = [line[2:]]
        elif inside and line.startswith("{"):
            found.append(("\n".join(command), line))
            command = None
        elif inside:
            command.append(line)
    return found


def comparable(value):
    if isinstance(value, dict):
        return {k: comparable(v) for k, v in value.items() if k not in NOT_COMPARED}
    return [comparable(v) for v in value] if isinstance(value, list) else value


def pages():
    """Every page of the project, but what a build has made or installed."""
    return [p for p in ROOT.rglob("*.md") if not {"build", ".git", "node_modules"} & set(p.relative_to(ROOT).parts)]


def outside_code(text):
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def anchors(text):
    """A heading's anchor as forges make it: in lower case, without punctuation, blanks as hyphens."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Documents(unittest.TestCase):
    def check(self, name, at_least):
        found = calls((ROOT / name).read_text(encoding="utf-8"))
        self.assertGreaterEqual(len(found), at_least)
        with lossd(PROGRAM) as (url, _):
            found = [(command.replace("http://127.0.0.1:8080", url), answer) for command, answer in found]
            for command, expected in found:
                with self.subTest(command=command):
                    done = subprocess.run(["sh", "-c", command], env={**os.environ, "URL": url}, capture_output=True,
                                          text=True, check=True)
                    self.assertEqual(comparable(json.loads(done.stdout)), comparable(json.loads(expected)))

    def test_the_readmes_calls_answer_as_written(self):
        self.check("README.md", 7)

    def test_the_api_pages_calls_answer_as_written(self):
        self.check("docs/api.md", 15)

    def test_links_between_files_lead_somewhere(self):
        found = 0
        for page in pages():
            for target in LINK.findall(outside_code(page.read_text(encoding="utf-8"))):
                path, _, heading = target.partition("#")
                if re.match(r"[a-z]+:", target):
                    continue
                found += 1
                with self.subTest(page=str(page.relative_to(ROOT)), target=target):
                    there = page.parent / path if path else page
                    self.assertTrue(there.exists(), "no such file")
                    if heading:
                        self.assertIn(heading, anchors(there.read_text(encoding="utf-8")))
        self.assertGreater(found, 100)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
