# SPDX-License-Identifier: Apache-2.0
"""A full queue: refused at once with a hint when to come back, by the head where that will do; small calls go on.

test_overload.py LOSSD.
"""

import gzip
import select
import sys
import time
import unittest

from lossd_server import lossd
from test_cancel import ENTRIES, PATIENCE, long_call
from wire import Wire, head, post

MSE = "/v1/losses/mean_squared_error"
SMALL = post(MSE, b'{"labels": [1, 2, 4], "predictions": [2, 2, 2]}')
QUEUED = post(MSE, b'{"labels": [%s], "predictions": [%s], "losses": false}' % ((b",".join([b"1"] * 40_000),) * 2))
FEW_BYTES = post("/v1/evaluate", b'{"tensors": {"y": [%s]}, "losses": [%s]}' % (
    b",".join([b"1"] * 2000), b",".join([b'{"loss": "mean_squared_error", "labels": {"ref": "y"}, "predictions": {"ref": "y"}}'] * 50)))
NOT_SMALL = post(MSE, b'{"labels": [%s], "predictions": [%s]}' % ((b",".join([b"1"] * 15_000),) * 2))
QUEUE = 2
ENDLESS = 5_000_000  # numbers: computed until its client leaves
PROGRAM = None


class Full(unittest.TestCase):
    """What the tests of a full queue share; `BOUND` fills it."""

    BOUND = ()

    def setUp(self):
        self.server = lossd(PROGRAM, *self.BOUND, "--threads", "1", "--http-threads", "2", "--rate-window", "10m")
        self.url, self.process = self.server.__enter__()
        self.wires = []

    def tearDown(self):
        for wire in self.wires:
            wire.close()
        self.server.__exit__(None, None, None)

    def wire(self):
        self.wires.append(Wire(self.url, timeout=PATIENCE))
        return self.wires[-1]

    def metric(self, name):
        text = self.wire().ask(head("GET", "/metrics"), "GET").body.decode()
        self.wires.pop().close()
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)

    def wait_for(self, true):
        deadline = time.monotonic() + PATIENCE
        while not true():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)

    def length(self):
        return self.metric('lossd_queue_length{queue="compute"}')

    def fill(self, waiting):
        """One call that is being computed, and so many more that wait."""
        wires = [self.wire() for _ in range(1 + waiting)]
        for n, wire in enumerate(wires, 1):
            wire.send(long_call(ENTRIES, numbers=ENDLESS) if n == 1 else long_call(1))
            self.wait_for(lambda n=n: self.length() == n)
        return wires

    def check_refused(self, answer):
        self.assertEqual(answer.status, 503, answer.body[:300])
        self.assertEqual(answer.headers["Retry-After"], "1")
        document = answer.document()
        self.assertIn("--queue-jobs", document.get("detail", document.get("error")))
        self.assertEqual(document.get("code", "overloaded"), "overloaded")

    def check_computing(self, wire):
        self.assertEqual(select.select([wire.socket], [], [], 0)[0], [], "it was to be computed until its client leaves")


class Calls(Full):
    BOUND = ("--queue-jobs", str(QUEUE))

    def check_refused_by_the_head(self):
        """Large calls: no byte of their bodies is sent."""
        for target, media, size in ((MSE, "application/json", 5_000_000), ("/v2/models/huber_loss/infer", "application/json", 5_000_000),
                                    ("/v1/evaluate", "application/x-safetensors", 5_000_000), ("/v1/evaluate", "application/json", 20_000),
                                    (MSE, "application/json", 70_000)):
            answer = self.wire().ask(head("POST", target, f"Content-Type: {media}", f"Content-Length: {size}"))
            self.check_refused(answer)
            self.assertEqual(answer.headers["Connection"].lower(), "close")
        self.check_refused(self.wire().ask(head("POST", MSE, "Content-Encoding: gzip", "Content-Length: 20000")))

    def check_refused_when_it_is_seen_to_be_large(self):
        """Bodies of unknown size, when as much has come as may be for the queue: their ends never come."""
        piece = b" " * 10_000
        wire = self.wire()
        wire.send(head("POST", MSE, "Content-Type: application/json", "Transfer-Encoding: chunked"))
        for _ in range(8):
            wire.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.check_refused(wire.receive())
        packed = gzip.compress(b'{"labels": [' + b" " * 500_000)
        fields = head("POST", MSE, "Content-Encoding: gzip", "Content-Length: 10000")
        self.check_refused(self.wire().ask_in_pieces([fields + packed[:100], *(packed[i : i + 5] for i in range(100, len(packed), 5))]))

    def check_refused_after_it_has_all_been_sent(self):
        """Who writes a whole body before reading gets the answer, not a reset."""
        self.check_refused(self.wire().ask(post(MSE, b" " * 900_000)))

    def check_answered(self, *wires):
        for wire in wires:
            self.assertEqual(wire.receive().status, 200)

    def test_a_full_queue(self):
        busy, *waiting = self.fill(QUEUE)
        self.check_refused_by_the_head()
        self.check_refused_when_it_is_seen_to_be_large()
        self.check_refused_after_it_has_all_been_sent()
        self.check_refused(self.wire().ask(QUEUED))
        wire = self.wire()
        self.check_refused(wire.ask(FEW_BYTES))  # only its body shows that it is for the queue
        self.assertEqual(wire.ask(SMALL).status, 200)
        self.assertEqual(wire.ask(NOT_SMALL).status, 200)
        self.assertEqual(self.length(), 1 + QUEUE)
        busy.close()
        self.check_answered(*waiting)
        self.assertEqual(wire.ask(QUEUED).status, 200)
        self.assertEqual(wire.ask(long_call(1)).status, 200)

    def test_what_was_let_in_finds_room(self):
        """The body of a large call is on its way when the queue fills: its reading was not in vain."""
        data = long_call(1)
        wire = self.wire()
        wire.send(data[: len(data) // 2])
        self.wait_for(lambda: self.metric("lossd_requests_in_flight") == 2)
        busy, *waiting = self.fill(QUEUE - 1)
        self.check_refused_by_the_head()
        wire.send(data[len(data) // 2 :])
        self.wait_for(lambda: self.length() == 1 + QUEUE)
        busy.close()
        self.check_answered(*waiting, wire)

    def test_what_comes_to_nothing_leaves_its_place(self):
        """A large call whose client leaves in the middle, and one that is wrong in the middle, as often as there are places."""
        data = long_call(1)
        before = self.metric("lossd_requests_in_flight")
        for _ in range(QUEUE):
            wire = self.wire()
            wire.send(data[: len(data) // 2])
            wire.close()
            wrong = self.wire()
            self.assertEqual(wrong.ask(head("POST", MSE, "Content-Type: application/json", "Content-Length: 5000000") + b"}").status, 400)
            self.wait_for(lambda: self.metric("lossd_requests_in_flight") == before)
        busy, *waiting = self.fill(QUEUE)
        busy.close()
        self.check_answered(*waiting)

    def test_a_deadline_passes_in_the_queue(self):
        """It is told of when it passes, not when the call's turn has come."""
        (busy,) = self.fill(0)
        answer = self.wire().ask(long_call(1, "X-Request-Timeout-Ms: 100"))
        self.check_computing(busy)
        self.assertEqual((answer.status, answer.document()["code"]), (504, "deadline_exceeded"))
        self.wait_for(lambda: self.length() == 1)  # the queue counts a moment after the answer

    def test_who_leaves_the_queue_leaves_room(self):
        busy, *waiting = self.fill(QUEUE)
        waiting.pop(0).close()
        self.wait_for(lambda: self.length() == QUEUE)
        waiting.append(self.wire())
        waiting[-1].send(long_call(1))
        self.wait_for(lambda: self.length() == 1 + QUEUE)
        self.check_computing(busy)
        busy.close()
        self.check_answered(*waiting)


class Bytes(Full):
    """One call that is computed holds more than all may have together: there is room for many calls, but not for their bytes."""

    BOUND = ("--queue-bytes", "10MiB")

    def test_calls_that_hold_much(self):
        (busy,) = self.fill(0)
        answer = self.wire().ask(long_call(1))
        self.check_refused(answer)
        self.assertIn("--queue-bytes", answer.document()["detail"])
        self.assertEqual(self.wire().ask(SMALL).status, 200)
        self.check_computing(busy)
        busy.close()
        self.wait_for(lambda: self.length() == 0)
        self.assertEqual(self.wire().ask(long_call(1)).status, 200)


    def test_calls_on_their_way(self):
        """Two bodies that have begun to come leave no room for a third."""
        data = long_call(1)
        coming = [self.wire(), self.wire()]
        for wire in coming:
            wire.send(data[: len(data) // 2])
        self.wait_for(lambda: self.metric("lossd_requests_in_flight") == 1 + len(coming))
        self.check_refused(self.wire().ask(head("POST", MSE, "Content-Type: application/json", f"Content-Length: {len(data)}")))
        for wire in coming:
            wire.send(data[len(data) // 2 :])
            self.assertEqual(wire.receive().status, 200)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
