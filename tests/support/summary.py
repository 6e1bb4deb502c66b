# SPDX-License-Identifier: Apache-2.0
"""Adds up test results and prints one last line: N passed, N failed[, N skipped].

Arguments are ctest's JUnit files, or text files of lines "passed NAME" or "failed NAME". A missing file is a failure.
Status 0 only where something passed and nothing failed.
"""

import os
import sys
import xml.etree.ElementTree as xml


def from_junit(path):
    build = os.path.basename(os.path.dirname(path))
    for case in xml.parse(path).getroot().iter("testcase"):
        name = f"{build} {case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.get("status") == "fail":
            yield "failed", name
        elif skipped is not None or case.get("status") in ("disabled", "notrun"):
            reason = skip_reason(case) or (skipped.get("message") if skipped is not None else "")
            yield "skipped", f"{name} ({reason})" if reason else name
        else:
            yield "passed", name


def skip_reason(case):
    """What the test itself said: its last line that begins with "skipped: "."""
    lines = [line for line in (case.findtext("system-out") or "").splitlines() if line.startswith("skipped: ")]
    return lines[-1][len("skipped: "):] if lines else ""


def from_lines(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            verdict, name = line.split(maxsplit=1)
            yield verdict, name.strip()


def main(paths):
    names = {"passed": [], "failed": [], "skipped": []}
    for path in paths:
        if not os.path.exists(path):
            names["failed"].append(f"{path}: no results")
            continue
        for verdict, name in from_junit(path) if path.endswith(".xml") else from_lines(path):
            names[verdict].append(name)
    print()
    for verdict in ("skipped", "failed"):
        for name in names[verdict]:
            print(f"{verdict}: {name}")
    line = f"{len(names['passed'])} passed, {len(names['failed'])} failed"
    if names["skipped"]:
        line += f", {len(names['skipped'])} skipped"
    print(line)
    return 0 if names["passed"] and not names["failed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
