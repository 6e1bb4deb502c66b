# SPDX-License-Identifier: Apache-2.0
"""The benchmarks' table: made of canned figures, without measuring anything."""

import json
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import run  # noqa: E402
import table  # noqa: E402

OUTPUT = {
    "bench_kernels": """# kernels: x86-64-v4, 2 threads
sparse_softmax_cross_entropy 8192x1000, loss and gradient                 2 ms
sparse_softmax_cross_entropy 8192x1000, loss and gradient, rate to memcpy's  0.5 times
""",
    "peers_torch": "sparse_softmax_cross_entropy 8192x1000, loss and gradient  8 ms\n",
    "peers_compile": "sparse_softmax_cross_entropy 8192x1000, loss and gradient  3 ms\n",
    "peers_jax": "sparse_softmax_cross_entropy 8192x1000, loss and gradient  2.2 ms\n",
    "peers_numpy": "sparse_softmax_cross_entropy 8192x1000, loss and gradient  20 ms\n",
    "bench_numbers": "JSON in over HTTP, float32, server CPU  8 ns/number\nJSON in over HTTP, float64, server CPU  1.2e+01 ns/number\n",
}
MACHINE = {"cpu": "a <processor>", "cores": 2, "load": 0.1, "system": "Linux", "compiler": "cc", "versions": "jax 1", "commit": "abc",
           "time": "2026-01-01", "command": "./dev bench"}


def report(**changed):
    figures = {name: run.parse(text.splitlines(keepends=True)) for name, text in {**OUTPUT, **changed}.items()}
    return {"machine": MACHINE, "figures": figures, "failed": []}


def row(rows, what):
    return next(one for one in rows if one.what == what)


class BenchTable(unittest.TestCase):
    def test_lines_with_a_number_are_figures_and_others_remarks(self):
        self.assertEqual(run.parse(["# 2  threads\n", "a, b to c's  1.5e-3 ns/number\n"]),
                         [{"what": "a, b to c's", "value": 0.0015, "unit": "ns/number"}])

    def test_a_time_is_held_against_the_fastest_peer(self):
        rows = table.rows(report())
        eager = row(rows, "sparse 8192x1000, loss + gradient, to torch eager")
        self.assertEqual((eager.measured, eager.verdict), (4, "reached"))
        best = row(rows, "sparse 8192x1000, loss + gradient, to the best of torch.compile, jax, numpy")
        self.assertAlmostEqual(best.measured, 1.1)
        self.assertEqual(best.verdict, "not reached")

    def test_without_one_of_the_peers_the_best_is_not_measured(self):
        best = row(table.rows(report(peers_jax="")), "sparse 8192x1000, loss + gradient, to the best of torch.compile, jax, numpy")
        self.assertEqual((best.measured, best.verdict), (None, "not measured"))

    def test_lower_is_better_for_nanoseconds(self):
        rows = table.rows(report())
        self.assertEqual(row(rows, "JSON in, float32, server CPU").verdict, "reached")
        rows = table.rows(report(bench_numbers="JSON in over HTTP, float32, server CPU  5 ns/number\n"))
        self.assertEqual(row(rows, "JSON in, float32, server CPU").verdict, "aim reached")

    def test_a_run_can_be_told_again_from_its_json(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "figures.json").write_text(json.dumps(report()), encoding="utf-8")
            subprocess.run([sys.executable, "-B", str(BENCH / "run.py"), "--figures", str(folder / "figures.json"),
                            "--json", str(folder / "again.json"), "--save", str(folder / "docs")],
                           check=True, stdout=subprocess.DEVNULL)
            again = json.loads((folder / "again.json").read_text(encoding="utf-8"))
            self.assertEqual(again["table"], table.as_json(table.rows(report())))
            page = (folder / "docs" / "README.md").read_text(encoding="utf-8")
            self.assertIn("| JSON in, float32, server CPU | ≤ 12 ns | ≤ 6 ns | 8 ns | reached |", page)
            for group in table.GROUPS:
                drawing = xml.etree.ElementTree.parse(folder / "docs" / f"{group}.svg")
                self.assertIn("a <processor>", "".join(drawing.getroot().itertext()))


if __name__ == "__main__":
    sys.argv[1:] = sys.argv[2:]  # the program under test is not needed
    unittest.main()
