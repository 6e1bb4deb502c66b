# SPDX-License-Identifier: Apache-2.0
"""Work that nobody waits for any more is left: its deadline has passed, or its client has. test_cancel.py LOSSD.

Told by the processor time that the server takes, not by a clock: a call that is left takes a small part of what it would have.
"""

import json
import os
import struct
import sys
import time
import unittest

from lossd_server import lossd
from wire import Wire, head

NUMBERS = 500_000
ENTRIES = 450
PATIENCE = 120
PROGRAM = None


def long_call(entries, *fields, numbers=NUMBERS):
    """Some seconds of computing over a body of a few megabytes."""
    spec = json.dumps({"losses": [{"loss": "sigmoid_cross_entropy", "labels": {"ref": "y"}, "logits": {"ref": "z"}, "losses": False}]
                                 * entries})
    size = 4 * numbers
    tensors = {name: {"dtype": "F32", "shape": [numbers], "data_offsets": [i * size, (i + 1) * size]} for i, name in enumerate("yz")}
    header = json.dumps({**tensors, "__metadata__": {"spec": spec}}).encode()
    header += b" " * (-len(header) % 8)
    body = struct.pack("<Q", len(header)) + header + struct.pack("<f", 0.5) * (2 * numbers)
    return head("POST", "/v1/evaluate", "Content-Type: application/x-safetensors", f"Content-Length: {len(body)}", *fields) + body


class Cancel(unittest.TestCase):
    def setUp(self):
        self.server = lossd(PROGRAM, "--http-threads", "2")
        self.url, self.process = self.server.__enter__()
        self.whole = self.cost(lambda: self.answered(long_call(ENTRIES), 200))

    def tearDown(self):
        self.server.__exit__(None, None, None)

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as line:
            fields = line.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metric(self, name):
        wire = Wire(self.url)
        text = wire.ask(head("GET", "/metrics"), "GET").body.decode()
        wire.close()
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)

    def wait_for(self, true):
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.01)

    def idle(self):
        return self.metric("lossd_requests_in_flight") == 1 and self.metric('lossd_queue_length{queue="compute"}') == 0

    def cost(self, do):
        before = self.cpu()
        do()
        self.wait_for(self.idle)
        return self.cpu() - before

    def answered(self, data, status):
        wire = Wire(self.url, timeout=PATIENCE)
        answer = wire.ask(data)
        wire.close()
        assert answer.status == status, (answer.status, answer.body[:300])
        return answer

    def check_left(self, cost):
        print(f"\nwhole {self.whole:.2f} s, left {cost:.2f} s of processor time", flush=True)
        self.assertLess(cost, self.whole / 2)

    def test_a_deadline_ends_the_work(self):
        answers = []
        call = long_call(ENTRIES, "X-Request-Timeout-Ms: 100")
        self.check_left(self.cost(lambda: answers.append(self.answered(call, 504))))
        self.assertEqual(answers[0].document()["code"], "deadline_exceeded")

    def leave(self, *calls):
        wires = [Wire(self.url) for _ in calls]
        for n, (wire, call) in enumerate(zip(wires, calls), 1):
            wire.send(call)
            self.wait_for(lambda n=n: self.metric('lossd_queue_length{queue="compute"}') >= n)
        for wire in wires:
            wire.close()

    def test_a_client_that_leaves_ends_its_work(self):
        before = self.metric('lossd_requests_total{method="POST",route="/v1/evaluate",loss="",status="499"}')
        self.check_left(self.cost(lambda: self.leave(long_call(ENTRIES))))
        after = self.metric('lossd_requests_total{method="POST",route="/v1/evaluate",loss="",status="499"}')
        self.assertEqual(after, before + 1)

    def test_what_waits_for_nobody_is_not_begun(self):
        """Three calls, one behind the other; then all their clients leave."""
        self.check_left(self.cost(lambda: self.leave(*[long_call(ENTRIES)] * 3)))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
