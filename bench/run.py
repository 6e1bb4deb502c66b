# SPDX-License-Identifier: Apache-2.0
"""Runs every benchmark of a build and keeps the figures: run.py --build DIR --json FILE [--quick].

A benchmark prints one figure a line, its name, two spaces or more, the number and the unit; other lines are remarks.
The JSON beside the text has the machine, the commit and the command, so that figures can be compared later.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIGURE = re.compile(r"^(\S.*?) {2,}([-+0-9.e]+) (\S.*)$")


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def conditions():
    commit = output("git", "-C", str(HERE), "describe", "--always", "--dirty")
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "compiler": output("cc", "--version").splitlines()[0],
        "commit": commit,
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": "./dev bench",
    }


def run(command, environment):
    """Prints the program's lines as they come; the figures among them."""
    figures = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            found = FIGURE.match(line.rstrip("\n"))
            if found:
                figures.append({"what": found[1], "value": float(found[2]), "unit": found[3]})
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed with status {process.returncode}")
    return figures


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--build", type=Path, required=True)
    options.add_argument("--json", type=Path, required=True)
    options.add_argument("--quick", action="store_true", help="shorter runs, rougher figures")
    options = options.parse_args()

    environment = dict(os.environ)
    if options.quick:
        environment["BENCH_SECONDS"] = "0.1"
    report = {"machine": conditions(), "figures": {}}
    for name, value in report["machine"].items():
        print(f"# {name}: {value}")
    programs = sorted(p for p in (options.build / "bench").glob("bench_*") if p.is_file() and os.access(p, os.X_OK))
    commands = [[str(p)] for p in programs] + [[sys.executable, "-B", str(HERE / "bench_http.py"), str(options.build)]]
    for command in commands:
        name = Path(command[0]).name if len(command) == 1 else "bench_http"
        print(f"\n== {name}", flush=True)
        report["figures"][name] = run(command, environment)
    options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"\nFigures: {options.json}")


if __name__ == "__main__":
    main()
