# SPDX-License-Identifier: Apache-2.0
"""Clients that take their time, in every way there is: each is ended, and the others are served as ever.

test_slow_clients.py LOSSD. The waits are bounded only so that a server that ends nobody fails the test.
"""

import json
import os
import select
import socket
import sys
import threading
import time
import unittest
import urllib.request

from lossd_server import lossd
from wire import Wire, head, post

MSE = "/v1/losses/mean_squared_error"
OPTIONS = ("--head-timeout", "1s", "--body-timeout", "3s", "--min-rate", "16KiB", "--rate-window", "1s",
           "--connection-timeout", "4s")
PATIENCE = 60
CROWD = 1000
INSTRUMENTED = "LOSSD_INSTRUMENTED" in os.environ
PROGRAM = None


def body_of(n):
    return b'{"labels": [%s], "predictions": [%s], "gradients": true}' % ((b", ".join([b"0.1"] * n),) * 2)


def until_closed(connection):
    """All that the server says before it closes; an error where it does not."""
    connection.settimeout(PATIENCE)
    said = b""
    while True:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            return said
        if not more:
            return said
        said += more


def trickle(connection, start, drop, pause=0.1):
    """Sends `start`, then `drop` again and again until the server has closed; what it said."""
    connection.sendall(start)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if select.select([connection], [], [], pause)[0]:
            return until_closed(connection)
        try:
            connection.sendall(drop)
        except (BrokenPipeError, ConnectionResetError):
            return until_closed(connection)
    raise AssertionError("the server goes on listening")


def status_of(said):
    return int(said.split(b" ", 2)[1]) if said.startswith(b"HTTP/1.1 ") else 0


class SlowClients(unittest.TestCase):
    def setUp(self):
        self.server = lossd(PROGRAM, *OPTIONS)
        self.url, self.process = self.server.__enter__()
        self.stopping = threading.Event()
        self.served = 0
        self.fault = None
        self.friend = threading.Thread(target=self.be_served)
        self.friend.start()

    def tearDown(self):
        self.stopping.set()
        self.friend.join()
        self.server.__exit__(None, None, None)
        self.assertEqual(self.process.returncode, 0)
        self.assertIsNone(self.fault)
        self.assertGreater(self.served, 10)

    def be_served(self):
        """A client that keeps up, from the first to the last of the others."""
        wire = Wire(self.url)
        call = post(MSE, b'{"labels": [1, 2, 4], "predictions": [2, 2, 2]}')
        while not self.stopping.is_set() and self.fault is None:
            answer = wire.ask(call)
            if answer.status != 200:
                self.fault = answer
            self.served += 1
            time.sleep(0.02)
        wire.close()

    def connect(self):
        wire = Wire(self.url)
        return wire.open()

    def used(self):
        """A connection that has had an answer."""
        wire = Wire(self.url)
        self.assertEqual(wire.ask(head("GET", "/healthz"), "GET").status, 200)
        return wire.socket

    def metric(self, name):
        with urllib.request.urlopen(self.url + "/metrics", timeout=PATIENCE) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.split()[-1])
        return 0

    def late(self, phase):
        return self.metric(f'lossd_late_connections_total{{phase="{phase}"}}')

    def check_408(self, said, option):
        self.assertEqual(status_of(said), 408, said[:300])
        fields, _, body = said.partition(b"\r\n\r\n")
        self.assertIn(b"Connection: close", fields)
        problem = json.loads(body)
        self.assertEqual((problem["status"], problem["code"]), (408, "request_timeout"))
        self.assertIn(option, problem["detail"])
        return fields

    def test_heads(self):
        """The first line, or a field at a time, of the first or of a later request; or nothing but line ends."""
        ways = ((self.connect, b"GET /hea", b"l"), (self.used, b"GET /hea", b"l"),
                (self.connect, b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n"),
                (self.used, b"POST /v1/losses/huber_loss HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n"),
                (self.connect, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A:", b"b"))
        for connect, start, drop in ways:
            with self.subTest(start=start, drop=drop):
                with connect() as connection:
                    self.check_408(trickle(connection, start, drop, 0.4), "--head-timeout")
        with self.used() as connection:
            self.assertIn(status_of(trickle(connection, b"\r\n", b"\r\n", 0.4)), (0, 408))
        with self.connect() as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            self.check_408(until_closed(connection), "--head-timeout")
        self.assertGreaterEqual(self.late("head"), 6)

    def test_a_part_of_a_line_behind_an_answer(self):
        """And then nothing; it comes with the answer, or in one segment with the request before it."""
        call = post(MSE, b'{"labels": [1, 2, 4], "predictions": [2, 2, 2]}')
        for requests, together in ((1, b""), (3, b""), (1, b"GET /hea"), (2, b"POST /v1/losses/h")):
            with self.subTest(requests=requests, together=together):
                wire = Wire(self.url)
                for i in range(requests):
                    last = i + 1 == requests
                    self.assertEqual(wire.ask(call + (together if last else b"")).status, 200)
                with wire.socket as connection:
                    if not together:
                        connection.sendall(b"GET /healthz?x=1")
                    self.check_408(until_closed(connection), "--head-timeout")

    def test_a_line_end_behind_a_body_is_no_request(self):
        """Old clients send one: their connections are idle, and not late."""
        wire = Wire(self.url)
        for _ in range(3):
            self.assertEqual(wire.ask(post(MSE, b'{"labels": [1, 2, 4], "predictions": [2, 2, 2]}') + b"\r\n").status, 200)
        self.assertEqual(until_closed(wire.socket), b"")
        wire.close()

    def test_bodies(self):
        """Nothing, too little a second, or enough a second for too long."""
        start = head("POST", MSE, "Content-Type: application/json", "Content-Length: 100000000", "X-Request-Id: slow-1")
        chunked = head("POST", MSE, "Content-Type: application/json", "Transfer-Encoding: chunked")
        with self.connect() as connection:
            connection.sendall(start + b'{"labels": [1')
            self.assertIn(b"X-Request-Id: slow-1", self.check_408(until_closed(connection), "--min-rate"))
        with self.used() as connection:
            self.check_408(trickle(connection, start + b'{"labels": [1', b", 1" * 10), "--min-rate")
        with self.connect() as connection:
            self.check_408(trickle(connection, chunked + b"d\r\n{\"labels\": [1\r\n", b"3\r\n, 1\r\n"), "--min-rate")
        with self.connect() as connection:
            self.check_408(trickle(connection, start + b'{"labels": [1', b", 1" * 3000, 0.05), "--body-timeout")
        with self.connect() as connection:
            connection.sendall(start.replace(MSE.encode(), b"/v2/models/huber_loss/infer"))
            said = until_closed(connection)
            self.assertEqual(status_of(said), 408)
            self.assertEqual(list(json.loads(said.partition(b"\r\n\r\n")[2])), ["error"])
        self.assertEqual(self.late("body"), 5)
        self.assertEqual(self.metric('lossd_requests_total{method="POST",route="/v1/losses/{loss}",'
                                     'loss="mean_squared_error",status="408"}'), 4)

    def test_a_body_that_keeps_up(self):
        """Twice the rate, for longer than a window."""
        body = body_of(6000)
        data = post(MSE, body)
        with self.connect() as connection:
            for at in range(0, len(data), 4096):
                connection.sendall(data[at : at + 4096])
                time.sleep(0.12)
            connection.settimeout(PATIENCE)
            self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200"))
        self.assertEqual(self.late("body"), 0)

    def slow_reader(self):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(Wire(self.url).address)
        connection.sendall(post(MSE, body_of(1_000_000)))
        return connection

    def test_answers(self):
        """Who reads nothing, or a little at a time, of an answer larger than what the kernel holds."""
        with self.slow_reader() as silent, self.slow_reader() as slow:
            deadline = time.monotonic() + PATIENCE
            said = b""
            while self.late("answer") < 2:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
                if select.select([slow], [], [], 0)[0]:
                    try:
                        said += slow.recv(200)
                    except ConnectionResetError:
                        pass
            for connection in (silent, slow):
                said = until_closed(connection)
                self.assertLess(len(said), 10_000_000)
        self.wait_for(lambda: self.metric("lossd_requests_in_flight") <= 2)

    def test_an_answer_that_is_read_steadily(self):
        with self.slow_reader() as connection:
            connection.settimeout(PATIENCE)
            said = b""
            for _ in range(60):
                said += connection.recv(65536)
                time.sleep(0.04)
            while not said.endswith(b"0\r\n\r\n"):
                more = connection.recv(1 << 20)
                self.assertTrue(more, "cut")
                said += more
        self.assertEqual(self.late("answer"), 0)

    def test_idle_connections(self):
        with self.used() as used, self.connect() as unused:
            self.assertEqual(until_closed(used), b"")
            self.assertEqual(until_closed(unused), b"")

    def test_a_working_connection_is_left_alone(self):
        """Requests for longer than any of the limits."""
        wire = Wire(self.url)
        first = None
        end = time.monotonic() + 6
        while time.monotonic() < end:
            self.assertEqual(wire.ask(head("GET", "/healthz"), "GET").status, 200)
            first = first or wire.socket
            self.assertIs(wire.socket, first)
            time.sleep(0.3)
        wire.close()

    # Many

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def sockets(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

    def wait_for(self, true):
        deadline = time.monotonic() + PATIENCE
        while not true():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def crowd(self):
        starts = (b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b", post(MSE, b" " * 1000)[:-1], b"\r\n")
        connections = []
        for i in range(CROWD):
            connections.append(self.connect())
            connections[-1].sendall(starts[i % len(starts)])
        return connections

    def test_a_thousand_of_them(self):
        """Again and again: threads stay as many, sockets and memory come back."""
        threads, sockets, memory = self.threads(), self.sockets(), self.memory()
        most = 0
        for _ in range(3):
            connections = self.crowd()
            self.assertEqual(self.threads(), threads)
            most = max(most, self.memory())
            for connection in connections:
                until_closed(connection)
                connection.close()
            self.wait_for(lambda: self.metric("lossd_connections") <= 3)
        self.wait_for(lambda: self.sockets() <= sockets + 2)
        self.assertEqual(self.threads(), threads)
        print(f"\n{CROWD} slow clients: {threads} threads, {(most - memory) / CROWD / 1024:.1f} KiB each while they were there",
              flush=True)
        if not INSTRUMENTED:
            self.wait_for(lambda: self.memory() - memory < 4 << 20)


class Limits(unittest.TestCase):
    def test_connections_of_one_address(self):
        with lossd(PROGRAM, "--connections-per-ip", "5") as (url, _):
            taken = []
            for _ in range(5):
                wire = Wire(url)
                self.assertEqual(wire.ask(head("GET", "/healthz"), "GET").status, 200)
                taken.append(wire)
            more = Wire(url)
            more.send(head("GET", "/healthz"))
            self.assertEqual(more.receive("GET").status, 0)
            taken.pop().close()
            deadline = time.monotonic() + PATIENCE
            while more.ask(head("GET", "/healthz"), "GET").status != 200:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            for wire in (*taken, more):
                wire.close()

    def test_connections_at_a_time(self):
        """More wait, and are served when there is room."""
        with lossd(PROGRAM, "--connection-limit", "16") as (url, _):
            held = [Wire(url) for _ in range(16)]
            for wire in held:
                self.assertEqual(wire.ask(head("GET", "/healthz"), "GET").status, 200)
            waiting = Wire(url)
            waiting.send(head("GET", "/healthz"))
            self.assertFalse(select.select([waiting.socket], [], [], 0.5)[0])
            held.pop().close()
            self.assertEqual(waiting.receive("GET").status, 200)
            for wire in (*held, waiting):
                wire.close()


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
