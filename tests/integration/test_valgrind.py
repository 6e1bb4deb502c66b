# SPDX-License-Identifier: Apache-2.0
"""The server under Valgrind: test_valgrind.py LOSSD. Good and bad requests read nothing unset and leave nothing behind."""

import pathlib
import re
import socket
import sys
import tempfile
import unittest

from lossd_server import lossd, stop
from wire import Wire, chunked, cut, head, post

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "golden"))
from run import read_cases  # noqa: E402

CASES = pathlib.Path(__file__).resolve().parent.parent / "golden" / "own.jsonl"
MSE, ENTRIES = "/v1/losses/mean_squared_error", "/v1/registries/kept/losses"
BODY = b'{"labels": [1, 2], "predictions": [2, 4], "gradients": true, "registry": "kept", "step": 3}'
# With its waiting set, lossd need not execute itself once more, which under Valgrind would be Valgrind.
COMMAND = ("env", "OMP_WAIT_POLICY=passive", "valgrind", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible",
           "--error-exitcode=99")
PROGRAM = None


class Valgrind(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        store = f"sqlite:{self.folder.name}/losses.db"
        self.server = lossd(PROGRAM, "--store", store, under=(*COMMAND, f"--log-file={self.folder.name}/%p"))
        self.url, self.process = self.server.__enter__()
        self.wire = Wire(self.url)

    def tearDown(self):
        self.wire.close()
        status = stop(self.process)
        self.server.__exit__(None, None, None)
        report = (pathlib.Path(self.folder.name) / str(self.process.pid)).read_text(encoding="utf-8")
        self.assertEqual(status, 0, report)
        self.assertIsNotNone(re.search(r"ERROR SUMMARY: 0 errors", report), report)
        self.folder.cleanup()

    def test_every_answer_of_our_own_cases(self):
        for case, body in read_cases(CASES):
            target = f"/v1/losses/{case['loss']}" + (f"?{case['query']}" if "query" in case else "")
            answer = self.wire.ask(post(target, body.encode("utf-8", "surrogatepass")))
            self.assertEqual(answer.status, case["status"], case["id"])

    def test_registry_calls(self):
        for data, status in ((post(MSE, BODY, "Idempotency-Key: k"), 200), (post(MSE, BODY, "Idempotency-Key: k"), 200),
                             (post(ENTRIES, b'{"loss": 0.5, "name": "by/hand"}', "Idempotency-Key: k"), 409),
                             (post(ENTRIES, b'{"loss": 0.5, "name": "by/hand"}'), 201), (post(ENTRIES, b'{"loss": "x"}'), 400)):
            self.assertEqual(self.wire.ask(data).status, status, data)
        for method, target, status in (("GET", ENTRIES + "?step=all&limit=1", 200), ("GET", ENTRIES + "?scope=((", 400),
                                       ("GET", ENTRIES + "/by%2Fhand?step=0", 200), ("GET", "/v1/registries/no", 404),
                                       ("GET", "/v1/registries/kept/total_loss", 200), ("GET", "/v1/registries", 200),
                                       ("DELETE", "/v1/registries/kept?scope=by", 200), ("DELETE", "/v1/registries/kept", 200)):
            answer = self.wire.ask(head(method, target), method)
            self.assertIn(answer.status, (status, 204 if method == "DELETE" else status), target)

    def test_what_only_answers(self):
        for target in ("/", "/docs", "/openapi.json", "/metrics", "/healthz", "/readyz", "/v1/losses", MSE, "/nowhere", "/%00"):
            self.assertIn(self.wire.ask(head("GET", target), "GET").status, (200, 400, 404), target)

    def test_clients_that_break_off(self):
        whole, pieces = post(MSE, BODY), chunked(MSE, cut(BODY, range(0, len(BODY), 9)))
        for data in (whole, pieces):
            for length in range(1, len(data), 7):
                wire = Wire(self.url)
                wire.send(data[:length])
                wire.socket.shutdown(socket.SHUT_WR)
                self.assertNotEqual(wire.receive().status, 200)
                wire.close()
        for line in (b"Cookie: " + b"a=b; " * 2000, b"NoColon", b"A: b\0c"):
            wire = Wire(self.url)
            wire.ask(post(MSE, BODY, line))
            wire.close()


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
