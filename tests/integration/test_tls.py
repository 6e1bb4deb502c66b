# SPDX-License-Identifier: Apache-2.0
"""HTTPS from outside: versions, certificates and their reload, clients' certificates, and all that plain HTTP can do."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from certificates import EXPIRED, NOT_YET, TOOL, Authority
from lossd_server import free_port, lossd, stop, wait_until
from wire import Wire, chunked, head, post

LOSSD = Path(sys.argv.pop(1))
RELOADING = 60 if "LOSSD_TEST_LONG" in os.environ else 3
HUBER = b'{"labels":[1,2],"predictions":[1.5,5]}'


class Secure(Wire):
    """A Wire over TLS."""

    def __init__(self, port, context):
        super().__init__(f"https://localhost:{port}")
        self.context = context

    def open(self):
        if self.socket is None:
            plain = socket.create_connection(self.address, timeout=self.timeout)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.socket = self.context.wrap_socket(plain, server_hostname="localhost")
            except BaseException:
                plain.close()
                raise
        return self.socket


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if TOOL is None:
            raise unittest.SkipTest("certtool (gnutls-bin) is not there")
        cls.made = tempfile.TemporaryDirectory()
        cls.ca, cls.other = Authority(cls.made.name, "authority"), Authority(cls.made.name, "stranger")
        cls.one, cls.two = cls.ca.issue("one"), cls.ca.issue("two")

    @classmethod
    def tearDownClass(cls):
        cls.made.cleanup()

    def trust(self, certificate=None, minimum=None, maximum=None):
        context = ssl.create_default_context(cafile=self.ca.file)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        if minimum is not None:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version, context.maximum_version = minimum, maximum
        return context

    @contextlib.contextmanager
    def serve(self, *options, certificate=None):
        """(port, process, log); the server's files are `cert` and `key` beside the log."""
        with tempfile.TemporaryDirectory() as folder:
            folder, port = Path(folder), free_port()
            self.install(folder, certificate or self.one)
            with (folder / "log").open("w") as out:
                process = subprocess.Popen(
                    [LOSSD, "serve", "--listen", f"127.0.0.1:{port}", "--store", "memory", "--tls-cert", folder / "cert",
                     "--tls-key", folder / "key", *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
                try:
                    wait_until(lambda: "listening on https://127.0.0.1:" in (folder / "log").read_text(), process)
                    yield port, process, folder / "log"
                    self.assertEqual(stop(process), 0)
                finally:
                    if process.poll() is None:
                        process.kill()
                        process.wait()

    def install(self, folder, certificate):
        for source, name in zip(certificate, ("cert", "key")):
            shutil.copyfile(source, folder / "new")
            (folder / "new").rename(folder / name)

    def hangup(self, process, log, expect):
        seen = log.read_text().count(expect)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: log.read_text().count(expect) > seen, process)

    def name_of(self, wire):
        return dict(pair[0] for pair in wire.open().getpeercert()["subject"])["commonName"]

    def check_refused(self, port, context):
        wire = Secure(port, context)
        try:
            answer = wire.ask(head("GET", "/readyz"), "GET")
        except (ssl.SSLError, ConnectionError):
            return
        finally:
            wire.close()
        self.assertEqual(answer.status, 0)

    # --- the protocol ---

    def test_versions_are_1_2_and_1_3(self):
        with self.serve() as (port, _, _):
            for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
                wire = Secure(port, self.trust(minimum=version, maximum=version))
                self.assertEqual(wire.ask(post("/v1/losses/huber_loss", HUBER)).document()["loss"], 1.3125)
                self.assertEqual(wire.socket.version(), name)
                wire.close()
            for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
                self.check_refused(port, self.trust(minimum=version, maximum=version))
            weak = self.trust(minimum=ssl.TLSVersion.TLSv1_2, maximum=ssl.TLSVersion.TLSv1_2)
            weak.set_ciphers("AES128-SHA:AES128-GCM-SHA256@SECLEVEL=0")  # no forward secrecy
            self.check_refused(port, weak)

    def test_plain_http_is_told_so(self):
        with self.serve() as (port, _, _):
            for request in (head("GET", "/readyz"), post("/v1/losses/huber_loss", b" " * 3000)):
                wire = Wire(f"http://localhost:{port}")
                answer = wire.ask(request)
                self.assertEqual((answer.status, answer.body), (400, b"This port speaks HTTPS: https://, not http://\n"))
                self.assertIsNone(wire.socket)  # closed
            for strange in (b"\x16", b"\x16\x03\x01\x00\x05GET /", b"SSH-2.0-x\r\n", b"\x00" * 100):
                with socket.create_connection(("localhost", port), timeout=60) as connection:
                    connection.sendall(strange)
            self.check_alive(port)

    def check_alive(self, port):
        wire = Secure(port, self.trust())
        self.assertEqual(wire.ask(head("GET", "/readyz"), "GET").status, 200)
        wire.close()

    def test_answers_are_those_of_plain_http(self):
        with self.serve() as (port, _, _), lossd(LOSSD) as (url, _):
            secure, plain = Secure(port, self.trust()), Wire(url)
            for request in self.requests():
                answers = [wire.ask(request) for wire in (secure, plain)]
                self.assertEqual(answers[0].status, 200)
                self.assertEqual(answers[0].body, answers[1].body)
            self.assertIsNotNone(secure.socket)  # the same connection for all of them
            secure.close()
            plain.close()

    def requests(self):
        n = 300_000
        numbers = struct.pack(f"<{n}f", *(i % 97 / 8 for i in range(n)))
        tensors = {"labels": [i % 7 for i in range(n)], "predictions": [i % 11 for i in range(n)], "gradients": True}
        yield post("/v1/losses/huber_loss", HUBER)
        yield post("/v1/losses/huber_loss", json.dumps(tensors).encode())  # an answer printed as it drains
        yield chunked("/v1/losses/huber_loss", [HUBER[:7], HUBER[7:20], HUBER[20:]])
        inputs = [{"name": name, "datatype": "FP32", "shape": [n], "parameters": {"binary_data_size": 4 * n}}
                  for name in ("labels", "predictions")]
        outputs = [{"name": name, "parameters": {"binary_data": True}} for name in ("losses", "gradients.predictions")]
        infer = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
        body = infer + numbers + numbers
        yield head("POST", "/v2/models/huber_loss/infer", f"Inference-Header-Content-Length: {len(infer)}",
                   "Content-Type: application/octet-stream", f"Content-Length: {len(body)}") + body  # an answer in parts

    def test_records_may_come_in_any_pieces(self):
        with self.serve("--http-threads", "1") as (port, _, _):
            wire = Secure(port, self.trust())
            request = post("/v1/losses/huber_loss", HUBER)
            self.assertEqual(wire.ask_in_pieces([request[i:i + 1] for i in range(len(request))]).status, 200)
            wire.send(request + request + request)  # one record, three requests
            self.assertEqual([wire.receive().status for _ in range(3)], [200] * 3)
            wire.close()

    def test_an_early_answer_arrives_before_the_body_is_sent(self):
        with self.serve("--max-body", "1MiB") as (port, _, _):
            for request, status in (
                    (head("POST", "/v1/losses/huber_loss", "Content-Length: 50000000") + b"[" * 300_000, 413),
                    (chunked("/v1/losses/huber_loss", [b"[" * 60_000] * 30), 400)):
                wire = Secure(port, self.trust())
                self.assertEqual(wire.ask(request).status, status)
                wire.close()

    def test_a_client_that_leaves_is_noticed(self):
        n = 6_000_000
        inputs = [{"name": name, "datatype": "FP32", "shape": [n], "parameters": {"binary_data_size": 4 * n}}
                  for name in ("labels", "predictions")]
        infer = json.dumps({"inputs": inputs}).encode()
        with self.serve() as (port, process, log):
            wire = Secure(port, self.trust())
            wire.send(head("POST", "/v2/models/huber_loss/infer", f"Inference-Header-Content-Length: {len(infer)}",
                           "Content-Type: application/octet-stream", f"Content-Length: {len(infer) + 8 * n}"))
            wire.send(infer + bytes(8 * n))
            wire.close()
            wait_until(lambda: "client_gone" in log.read_text(), process)

    def test_many_clients_at_a_time(self):
        with self.serve() as (port, _, _):
            statuses = []

            def run():
                for _ in range(8):
                    wire = Secure(port, self.trust())
                    statuses.extend(wire.ask(post("/v1/losses/huber_loss", HUBER)).status for _ in range(5))
                    wire.close()

            threads = [threading.Thread(target=run) for _ in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(statuses, [200] * (12 * 8 * 5))

    # --- clients that take their time ---

    def until_closed(self, connection, drop=b""):
        """What the server says before it closes, while `drop` is sent again and again."""
        connection.settimeout(0.1 if drop else 60)
        said, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if drop:
                    connection.sendall(drop)
                more = connection.recv(1 << 16)
            except TimeoutError:
                continue
            except (ssl.SSLError, ConnectionError):
                return said
            if not more:
                return said
            said += more
        self.fail("the server goes on")

    def metric(self, wire, name):
        text = wire.ask(head("GET", "/metrics"), "GET").body.decode()
        return int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.MULTILINE)[1])

    def late(self, wire, phase):
        return self.metric(wire, f'lossd_late_connections_total{{phase="{phase}"}}')

    def test_late_ones_are_closed_and_others_served(self):
        start = head("POST", "/v1/losses/huber_loss", "Content-Type: application/json", "Content-Length: 1000000")
        options = ("--head-timeout", "1s", "--body-timeout", "60s", "--min-rate", "16KiB", "--rate-window", "1s",
                   "--connection-timeout", "30s", "--http-threads", "1")
        with self.serve(*options) as (port, _, _):
            friend = Secure(port, self.trust())
            for phase, begun, drop in (("head", b"GET /heal", b"l"), ("head", head("GET", "/healthz")[:-2], b"A: b\r\n"),
                                       ("body", start + b"[", b""), ("body", start + b"[", b" " * 100)):
                before = self.late(friend, phase)
                wire = Secure(port, self.trust())
                self.assertEqual(wire.ask(head("GET", "/healthz"), "GET").status, 200)
                wire.socket.sendall(begun)
                self.assertEqual(self.until_closed(wire.socket, drop), b"")  # no word of ours fits into a session of theirs
                wire.close()
                self.assertEqual(self.late(friend, phase), before + 1)
            friend.close()

    def test_one_that_does_not_read_is_closed(self):
        numbers = [i % 97 for i in range(1_000_000)]
        body = json.dumps({"labels": numbers, "predictions": numbers, "gradients": True}).encode()
        with self.serve("--min-rate", "16KiB", "--rate-window", "1s", "--http-threads", "1") as (port, process, _):
            silent, friend = Secure(port, self.trust()), Secure(port, self.trust())
            silent.open().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            silent.send(post("/v1/losses/huber_loss", body))
            wait_until(lambda: self.late(friend, "answer") == 1, process, 60)
            wait_until(lambda: self.metric(friend, "lossd_connections") == 1, process, 60)
            silent.close()
            friend.close()

    # --- handshakes ---

    def cpu_seconds(self, process):
        fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")")[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_handshakes_that_stall_cost_nothing_and_end(self):
        with self.serve("--http-threads", "1", "--head-timeout", "5s", "--connection-timeout", "5s") as (port, process, _):
            hello = ssl.MemoryBIO(), ssl.MemoryBIO()
            half = self.trust().wrap_bio(*hello, server_hostname="localhost")
            self.assertRaises(ssl.SSLWantReadError, half.do_handshake)
            begun = hello[1].read()
            stalled = []
            for sent in (b"", begun[:5], begun[:-1], begun):
                stalled.append(socket.create_connection(("localhost", port), timeout=60))
                stalled[-1].sendall(sent)
            wire = Secure(port, self.trust())
            used = self.cpu_seconds(process)
            for _ in range(20):
                self.assertEqual(wire.ask(head("GET", "/readyz"), "GET").status, 200)
                time.sleep(0.1)
            self.assertLess(self.cpu_seconds(process) - used, 0.5)
            wire.close()
            for client in stalled:
                while client.recv(65536):  # to the end, which is the server's doing
                    pass
                client.close()

    def test_a_drain_waits_for_no_handshake(self):
        with self.serve() as (port, process, _):
            stalled = [socket.create_connection(("localhost", port)) for _ in range(5)]
            idle = Secure(port, self.trust())
            self.assertEqual(idle.ask(head("GET", "/readyz"), "GET").status, 200)
            begun = time.monotonic()
            self.assertEqual(stop(process), 0)
            self.assertLess(time.monotonic() - begun, 9)  # less than a stalled handshake's time
            for client in (*stalled, idle):
                client.close()

    # --- files ---

    def start_with(self, *options):
        """Exit status and output of a server that should not start."""
        done = subprocess.run([LOSSD, "serve", "--port", "0", "--store", "memory", *map(str, options)],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    def test_files_that_do_not_do_keep_the_server_from_starting(self):
        cert, key = self.one
        old, future = self.ca.issue("old", dates=EXPIRED), self.ca.issue("future", dates=NOT_YET)
        empty = Path(self.made.name) / "empty"
        empty.write_text("")
        for options, status, says in (
                (("--tls-cert", cert), 2, "belong together"),
                (("--tls-key", key), 2, "belong together"),
                (("--tls-client-ca", cert), 2, "says nothing without --tls-cert"),
                (("--tls-cert", "/nowhere", "--tls-key", key), 1, "--tls-cert /nowhere: No such file"),
                (("--tls-cert", cert, "--tls-key", "/nowhere"), 1, "--tls-key /nowhere: No such file"),
                (("--tls-cert", cert, "--tls-key", self.two[1]), 1, "--tls-key"),
                (("--tls-cert", empty, "--tls-key", key), 1, "--tls-cert"),
                (("--tls-cert", old[0], "--tls-key", old[1]), 1, "expired at 2021-01-01T00:00:00Z"),
                (("--tls-cert", future[0], "--tls-key", future[1]), 1, "not valid before 2090-01-01T00:00:00Z"),
                (("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", empty), 1, "--tls-client-ca"),
                (("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", "/nowhere"), 1, "--tls-client-ca /nowhere")):
            done = self.start_with(*options)
            self.assertEqual(done[0], status, options)
            self.assertIn(says, done[1])

    def test_sighup_changes_the_certificate_of_new_connections(self):
        with self.serve() as (port, process, log):
            first = Secure(port, self.trust())
            self.assertEqual(self.name_of(first), "one")
            self.install(log.parent, self.two)
            self.hangup(process, log, "certificate of CN=two")
            second = Secure(port, self.trust())
            self.assertEqual(self.name_of(second), "two")
            for wire in (first, second):  # the old one goes on
                kept = wire.socket
                self.assertEqual(wire.ask(post("/v1/losses/huber_loss", HUBER)).status, 200)
                self.assertIs(wire.socket, kept)
                wire.close()

    def ask_again_and_again(self, port, key, stopping, faults):
        """Over a new connection every few calls: some begin with every reload."""
        fields = f"Authorization: Bearer {key}"
        wire = Secure(port, self.trust())
        calls = 0
        while not stopping.is_set() and not faults:
            answer = wire.ask(post("/v1/losses/huber_loss", HUBER, fields))
            calls += 1
            if answer.status != 200:
                faults.append(answer)
            if calls % 5 == 0:
                wire.close()
        wire.close()

    def test_keys_and_certificates_are_read_anew_under_load(self):
        """No call fails whose key is in every file."""
        key, faults, stopping = "lossd_" + "ab" * 24, [], threading.Event()
        with tempfile.TemporaryDirectory() as folder:
            keys = Path(folder) / "keys"
            line = f"kept sha256:{hashlib.sha256(key.encode()).hexdigest()} scopes=compute rate=1000000/s\n"
            keys.write_text(line)
            with self.serve("--auth-file", str(keys)) as (port, process, log):
                clients = [threading.Thread(target=self.ask_again_and_again, args=(port, key, stopping, faults)) for _ in range(8)]
                for client in clients:
                    client.start()
                end, n = time.monotonic() + RELOADING, 0
                while time.monotonic() < end and not faults:
                    n += 1
                    self.install(log.parent, (self.one, self.two)[n % 2])
                    others = "".join(f"k{n}-{i} sha256:{secrets.token_hex(32)} scopes=compute\n" for i in range(n % 50))
                    (keys.parent / "new").write_text(others + line)
                    (keys.parent / "new").rename(keys)
                    self.hangup(process, log, f"certificate of CN={('one', 'two')[n % 2]}")
                stopping.set()
                for client in clients:
                    client.join()
            self.assertEqual(faults, [])
            self.assertGreater(n, 3)

    def test_sighup_keeps_the_certificate_where_the_new_one_does_not_do(self):
        old = self.ca.issue("old", dates=EXPIRED)
        with self.serve() as (port, process, log):
            for certificate in (old, (self.one[0], self.two[1]), (log, log)):
                self.install(log.parent, certificate)
                self.hangup(process, log, "the certificate stays as it was")
                wire = Secure(port, self.trust())
                self.assertEqual(self.name_of(wire), "one")
                wire.close()

    def test_the_day_it_expires_is_in_the_metrics(self):
        with self.serve() as (port, _, _):
            wire = Secure(port, self.trust())
            expires = ssl.cert_time_to_seconds(wire.open().getpeercert()["notAfter"])
            text = wire.ask(head("GET", "/metrics"), "GET").body.decode()
            self.assertIn(f"lossd_tls_certificate_expires_seconds {expires}\n", text)
            wire.close()

    # --- clients' certificates ---

    def test_clients_must_show_a_certificate_where_that_is_asked(self):
        good = self.ca.issue("good", "client")
        with self.serve("--tls-client-ca", self.ca.file) as (port, _, _):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                wire = Secure(port, self.trust(good, version, version))
                self.assertEqual(wire.ask(post("/v1/losses/huber_loss", HUBER)).status, 200)
                wire.close()
                for bad in (None, self.other.issue("theirs", "client"), self.two,
                            self.ca.issue("late", "client", EXPIRED)):
                    self.check_refused(port, self.trust(bad, version, version))

    def test_clients_and_the_log_are_told_why_a_certificate_does_not_do(self):
        version = ssl.TLSVersion.TLSv1_2  # of 1.3 a client has done its part before it is told
        with self.serve("--tls-client-ca", self.ca.file) as (port, process, log):
            for bad, alert, says in (
                    (None, "HANDSHAKE_FAILURE", "it showed no certificate"),
                    (self.other.issue("theirs", "client"), "UNKNOWN_CA", "issuer is unknown"),
                    (self.two, "BAD_CERTIFICATE", "does not match the intended purpose"),
                    (self.ca.issue("late", "client", EXPIRED), "CERTIFICATE_EXPIRED", "expired")):
                with self.assertRaises(ssl.SSLError) as refused:
                    Secure(port, self.trust(bad, version, version)).open()
                self.assertIn(alert, refused.exception.reason)
                wait_until(lambda: "refused in the handshake: " in log.read_text() and says in log.read_text(), process)
                self.check_refused(port, self.trust(bad, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3))
                wait_until(lambda: log.read_text().count(says) == 2, process)

    def test_health_is_asked_by_tls(self):
        for options in ((), ("--tls-client-ca", self.ca.file)):
            with self.serve(*options) as (port, _, log):
                environment = {"LOSSD_LISTEN": f"127.0.0.1:{port}", "LOSSD_TLS_CERT": str(log.parent / "cert"),
                               "LOSSD_TLS_KEY": str(log.parent / "key")}
                health = subprocess.run([LOSSD, "health"], env=environment, capture_output=True, text=True, timeout=60)
                self.assertEqual((health.returncode, health.stderr), (0, ""))
                del environment["LOSSD_TLS_CERT"], environment["LOSSD_TLS_KEY"]
                self.assertEqual(subprocess.run([LOSSD, "health"], env=environment, capture_output=True, timeout=60).returncode, 1)


if __name__ == "__main__":
    unittest.main()
