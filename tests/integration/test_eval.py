# SPDX-License-Identifier: Apache-2.0
"""test_eval.py LOSSD: lossd eval over files: the bits of the server, bounded memory, and what it says of bad files."""

import base64
import json
import math
import os
import pty
import resource
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

import numpy
from lossd_server import lossd

PROGRAM = sys.argv[1]
INSTRUMENTED = bool(os.environ.get("LOSSD_INSTRUMENTED"))


def wire(x):
    x = numpy.ascontiguousarray(x)
    return {"dtype": x.dtype.name, "shape": list(x.shape), "base64": base64.b64encode(x.tobytes()).decode()}


def safetensors(tensors, metadata=None):
    """The bytes of a file, by hand."""
    names = {"float32": "F32", "float64": "F64", "int64": "I64"}
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, x in tensors.items():
        raw = x.tobytes()
        header[name] = {"dtype": names[x.dtype.name], "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


class Eval(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = lossd(PROGRAM)
        cls.url, _ = cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def save(self, name, x):
        numpy.save(self.folder / name, x)
        return str(self.folder / name)

    def run_eval(self, *arguments, status=0):
        done = subprocess.run([PROGRAM, "eval", *map(str, arguments)], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def ask(self, loss, body):
        request = urllib.request.Request(f"{self.url}/v1/losses/{loss}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def batch(self, n=300_000, c=10):
        rng = numpy.random.default_rng(1)
        logits = rng.standard_normal((n, c), numpy.float32) * 3
        labels = rng.integers(0, c, n)
        weights = rng.integers(0, 3, n).astype(numpy.float32) / 4
        return labels, logits, weights

    def test_totals_losses_and_gradients_have_the_servers_bits(self):
        labels, logits, weights = self.batch()
        loss = "sparse_softmax_cross_entropy"
        files = ["--labels", self.save("y.npy", labels), "--logits", self.save("z.npy", logits),
                 "--weights", self.save("w.npy", weights)]
        for reduction in ("mean", "sum_by_nonzero_weights", "sum", "batchmean", "none"):
            with self.subTest(reduction=reduction):
                out, gradient = self.folder / "l.npy", self.folder / "g.npy"
                answer = json.loads(self.run_eval(loss, *files, "--reduction", reduction, "--json",
                                                  "--out", out, "--gradients", gradient))
                body = {"labels": wire(labels), "logits": wire(logits), "weights": wire(weights), "reduction": reduction,
                        "gradients": True}
                expected = self.ask(loss, body)
                self.assertEqual(answer["totals"], expected["totals"])
                self.assertEqual(answer.get("loss"), expected.get("loss"))
                self.assertEqual(numpy.load(out).tobytes(), numpy.array(expected["losses"], numpy.float32).tobytes())
                wanted = numpy.array(expected["gradients"]["logits"], numpy.float32)
                self.assertEqual(numpy.load(gradient).tobytes(), wanted.tobytes())

    def test_other_kinds_of_losses_agree_too(self):
        rng = numpy.random.default_rng(2)
        y, p = rng.standard_normal((40_000, 60)), rng.standard_normal((40_000, 60))
        files = ["--labels", self.save("y.npy", y), "--predictions", self.save("p.npy", p)]
        narrow = {"labels": wire(y.astype(numpy.float32)), "predictions": wire(p.astype(numpy.float32)), "losses": False}
        for loss, more in (("huber_loss", {"delta": 0.5}), ("mean_pairwise_squared_error", {}), ("cosine_distance", {"axis": 1})):
            with self.subTest(loss=loss):
                options = [word for name, value in more.items() for word in (f"--{name}", value)]
                answer = json.loads(self.run_eval(loss, *files, "--json", "--dtype", "float32", *options))
                self.assertEqual(answer["totals"], self.ask(loss, narrow | more)["totals"])
        answer = json.loads(self.run_eval("l2_regularization", "--values", files[1], "--json", "--scale=0.5"))
        self.assertEqual(answer["dtype"], "float64")
        self.assertAlmostEqual(answer["loss"], 0.25 * math.fsum((y * y).ravel()), places=6)

    def test_a_reduced_first_axis_is_not_cut(self):
        rng = numpy.random.default_rng(3)
        y, p = rng.standard_normal((500_000, 4), numpy.float32), rng.standard_normal((500_000, 4), numpy.float32)
        answer = json.loads(self.run_eval("cosine_distance", "--labels", self.save("y.npy", y), "--predictions",
                                          self.save("p.npy", p), "--axis=0", "--json"))
        expected = self.ask("cosine_distance", {"labels": wire(y), "predictions": wire(p), "axis": 0})
        self.assertEqual(answer["totals"], expected["totals"])

    def test_safetensors_and_csv_hold_the_same(self):
        labels, logits, _ = self.batch(1000, 4)
        (self.folder / "b.safetensors").write_bytes(safetensors({"labels": labels, "z": logits}))
        lines = ["label,a,b,c,d"] + [",".join([str(y), *map(repr, map(float, row))]) for y, row in zip(labels, logits)]
        (self.folder / "b.csv").write_text("\n".join(lines) + "\n")
        (self.folder / "z.csv").write_text("\n".join(";".join(map(repr, map(float, row))) for row in logits))
        loss = "sparse_softmax_cross_entropy"
        one = self.run_eval(loss, "--labels", self.folder / "b.safetensors", "--logits", f"{self.folder}/b.safetensors:z", "--json")
        two = self.run_eval(loss, "--labels", f"{self.folder}/b.csv:label", "--logits", self.folder / "z.csv", "--json")
        self.assertEqual(one, two)
        self.assertEqual(json.loads(one)["totals"], self.ask(loss, {"labels": wire(labels), "logits": wire(logits)})["totals"])

    def test_bad_calls_and_files_are_told(self):
        y = self.save("y.npy", numpy.zeros((3, 2), numpy.float32))
        order = self.save("f.npy", numpy.asfortranarray(numpy.zeros((3, 2))))
        big = self.save("b.npy", numpy.zeros(3, ">f4"))
        cut = self.folder / "c.npy"
        cut.write_bytes(Path(y).read_bytes()[:-1])
        ragged = self.folder / "r.csv"
        ragged.write_text("1,2\n3\n")
        word = self.folder / "w.csv"
        word.write_text("1,2\n3,x\n")
        good = safetensors({"a": numpy.zeros(2, numpy.float32)})
        for name, content, needle in (
                ("s1", good[:-1], "need 8 bytes"), ("s2", good.replace(b"[0, 8]", b"[0, 9]"), "data_offsets"),
                ("s3", good.replace(b"F32", b"F31"), "dtype"), ("s4", b"\xff" * 16, "header"), ("s5", good[:20], "cut"),
                ("s6", good.replace(b"[0, 8]", b"[4,12]"), "gap"), ("s7", good, "no tensor")):
            with self.subTest(name=name):
                (self.folder / f"{name}.safetensors").write_bytes(content)
                tensor = f"{self.folder}/{name}.safetensors:{'a' if name != 's7' else 'b'}"
                self.assertIn(needle, self.run_eval("mse", "--labels", y, "--predictions", tensor, status=1))
        for file, needle in ((order, "Fortran"), (big, "dtype"), (cut, "bytes"), (ragged, "columns"), (word, "line 2, column 2"),
                             (self.folder / "none.npy", "No such file"), (self.folder / "x.txt", ".npy")):
            with self.subTest(file=file):
                self.assertIn(needle, self.run_eval("mse", "--labels", y, "--predictions", file, status=1))
        self.assertIn("/predictions", self.run_eval("mse", "--labels", y, status=2))
        self.assertIn("delta", self.run_eval("huber_loss", "--labels", y, "--predictions", y, "--delta=x", status=2))
        self.assertIn("did you mean", self.run_eval("mse", "--labels", y, "--predictions", y, "--reductoin=sum", status=2))
        self.assertIn("no loss", self.run_eval("mze", status=2))

    def test_a_failure_leaves_no_file(self):
        labels, logits, _ = self.batch()
        labels[-1] = 10
        stderr = self.run_eval("sparse_softmax_cross_entropy", "--labels", self.save("y.npy", labels), "--logits",
                               self.save("z.npy", logits), "--out", self.folder / "l.npy", status=1)
        self.assertIn("in the rows from", stderr)
        self.assertEqual([p.name for p in self.folder.iterdir() if p.name.startswith("l.")], [])

    def test_a_bar_is_drawn_on_a_terminal_alone(self):
        y = self.save("y.npy", numpy.zeros((3, 2), numpy.float32))
        command = [PROGRAM, "eval", "mse", "--labels", y, "--predictions", y]
        self.assertEqual(subprocess.run(command, capture_output=True, check=True).stderr, b"")
        ours, theirs = pty.openpty()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=theirs, check=True)
        os.close(theirs)
        self.assertIn(b"100 %", os.read(ours, 4096))
        os.close(ours)

    @unittest.skipIf(INSTRUMENTED, "instrumentation has memory of its own")
    def test_memory_does_not_grow_with_the_file(self):
        rows = 1 << 20
        path = self.folder / "z.npy"
        with path.open("wb") as z:  # not by a mapping: what this process maps would count as the child's peak
            numpy.lib.format.write_array_header_1_0(z, {"descr": "<f4", "fortran_order": False, "shape": (rows, 128)})
            for _ in range(64):
                z.write(numpy.ones((rows // 64, 128), numpy.float32).tobytes())
        y = self.save("y.npy", numpy.zeros(rows, numpy.int32))
        for loss, files in (("sparse_softmax_cross_entropy", ["--labels", y, "--logits", path, "--gradients", self.folder / "g.npy"]),
                            ("l2_regularization", ["--values", path])):
            with self.subTest(loss=loss):
                process = subprocess.Popen([PROGRAM, "eval", loss, *map(str, files)], stdout=subprocess.DEVNULL)
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                self.assertEqual(process.returncode, 0)
                self.assertLess(usage.ru_maxrss, 200 * 1024, "KiB")


if __name__ == "__main__":
    del sys.argv[1]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main()
