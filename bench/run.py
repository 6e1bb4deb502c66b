# SPDX-License-Identifier: Apache-2.0
"""Runs every benchmark of a build and prints the table: run.py --build DIR --json FILE [--quick] [--peers PYTHON] [--save DIR].

A benchmark prints one figure a line, its name, two spaces or more, the number and the unit; other lines are remarks.
The JSON has the figures, the table made of them (bench/table.py), the machine, the versions and the commit, so that figures
can be compared later; --save writes it, the table as Markdown and a drawing a group to a folder. With --figures FILE the
table is made of an earlier run's JSON and nothing is run.
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

import draw
import table

HERE = Path(__file__).resolve().parent
FIGURE = re.compile(r"^(\S.*?) {2,}([-+0-9.e]+) (\S.*)$")
FEW, FEW_LOSSES = "8192x1000", "huber_loss"  # of the kernels' cases and of the losses, in a quick run
SECONDS = {"bench_kernels": 0.2, "bench_losses": 0.1, "losses_torch": 0.1, "losses_optax": 0.1, "bench_sum": 0.2,
           "bench_number": 0.2, "bench_json_scan": 0.1, "bench_http": 3, "bench_mixed": 3, "bench_fastapi": 3,
           "bench_numbers": 1.5, "bench_registry": 2, "bench_redis": 1, "bench_overload": 2}
PACKAGES = ("torch", "jax", "optax", "numpy", "orjson", "fastapi", "uvicorn")


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def conditions(build, peers, command):
    versions = {"lossd": output(str(build / "lossd"), "--version").splitlines()[:1],
                "libmicrohttpd": output("pkg-config", "--modversion", "libmicrohttpd")}
    listed = output(peers, "-c", "import importlib.metadata as m, sys; print('\\n'.join(m.version(p) for p in sys.argv[1:]))",
                    *PACKAGES) if peers else ""
    versions |= dict(zip(PACKAGES, listed.splitlines()))
    versions["lossd"] = versions["lossd"][0].removeprefix("lossd ") if versions["lossd"] else ""
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "compiler": (output("cc", "--version").splitlines() or [""])[0],
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "commit": output("git", "-C", str(HERE), "describe", "--always", "--dirty"),
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": command,
    }


def parse(lines):
    """The figures among a benchmark's lines."""
    found = (FIGURE.match(line.rstrip("\n")) for line in lines)
    return [{"what": one[1], "value": float(one[2]), "unit": one[3]} for one in found if one]


def run(name, command, quick):
    """Prints the program's lines as they come; their figures, and whether it succeeded."""
    print(f"\n== {name}", flush=True)
    seconds = SECONDS.get(name, 0.3)
    environment = {**os.environ, "BENCH_SECONDS": str(min(seconds, 1) / 10 if quick else seconds)}
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode != 0:
        print(f"{name} failed with status {process.returncode}", flush=True)
    return parse(lines), process.returncode == 0


def commands(build, peers, quick):
    """Name and command of every benchmark; kernels and what they are compared with in turn."""
    cores = str(len(os.sched_getaffinity(0)))
    few, few_losses = ([FEW], [FEW_LOSSES]) if quick else ([], [])
    yield "bench_kernels", [str(build / "bench" / "bench_kernels"), *few]
    for peer in table.KERNEL_PEERS if peers else ():
        yield f"peers_{peer}", [peers, "-B", str(HERE / "peers" / "kernels_peers.py"), peer, cores, *few]
    yield "bench_losses", [str(build / "bench" / "bench_losses"), *few_losses]
    for peer in table.LOSS_PEERS if peers else ():
        yield f"losses_{peer}", [peers, "-B", str(HERE / "peers" / "losses_peers.py"), peer, cores, *few_losses]
    for program in sorted((build / "bench").glob("bench_*")):
        if program.name not in ("bench_kernels", "bench_losses") and program.is_file() and os.access(program, os.X_OK):
            yield program.name, [str(program)]
    for script in sorted(HERE.glob("bench_*.py")):
        if script.stem != "bench_fastapi" or peers:
            yield script.stem, [sys.executable, "-B", str(script), str(build), *([peers] if peers else [])]


def measure(options):
    command = "./dev bench" + " --peers" * bool(options.peers) + " --quick" * options.quick
    report = {"machine": conditions(options.build, options.peers, command), "figures": {}, "failed": []}
    for name, value in report["machine"].items():
        print(f"# {name}: {value}")
    for name, one in commands(options.build, options.peers, options.quick):
        if options.only in name:
            report["figures"][name], succeeded = run(name, one, options.quick)
            report["failed"] += [] if succeeded else [name]
    return report


def notes(machine):
    """The conditions as lines of text."""
    return [f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']} at the start; {machine['system']}; {machine['compiler']}",
            machine["versions"], f"{machine['time']}, commit {machine['commit']}: {machine['command']}"]


def save(folder, report, rows):
    folder.mkdir(parents=True, exist_ok=True)
    about = notes(report["machine"])
    for group, title in table.GROUPS.items():
        (folder / f"{group}.svg").write_text(
            draw.group_svg(title, [row for row in rows if row.group == group], about), encoding="utf-8")
    head = ["# Speed, as measured", "", *(f"- {line}" for line in about if line), "",
            "Medians; every figure is set beside others of the same run on the same machine. `bench/README.md` says how it is measured.",
            "", ""]
    (folder / "README.md").write_text("\n".join(head) + table.as_markdown(rows), encoding="utf-8")
    (folder / "bench.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--build", type=Path)
    source.add_argument("--figures", type=Path, help="make the table from an earlier run's JSON")
    options.add_argument("--json", type=Path, help="where figures and table go")
    options.add_argument("--save", type=Path, help="a folder for the table, the JSON and drawings")
    options.add_argument("--peers", help="Python of an environment that has bench/peers/requirements.txt")
    options.add_argument("--only", default="", help="benchmarks with this in their name")
    options.add_argument("--quick", action="store_true", help="shorter runs, rougher figures")
    options = options.parse_args()

    report = json.loads(options.figures.read_text(encoding="utf-8")) if options.figures else measure(options)
    rows = table.rows(report)
    report["table"] = table.as_json(rows)
    print("\n" + table.as_text(rows))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        print(f"Figures and table: {options.json}")
    if options.save:
        save(options.save, report, rows)
        print(f"Table and drawings: {options.save}")
    if report["failed"]:
        sys.exit(f"failed: {', '.join(report['failed'])}")


if __name__ == "__main__":
    main()
