# SPDX-License-Identifier: Apache-2.0
"""Requests of the kinds that brought other inference servers down, or made them grow: none does so here.

test_peer_crashes.py LOSSD. After each test the server is the same process, answers another client as ever, has the same
registry, and holds little more memory than before; whatever it refused, it refused with a good problem document.
"""

import itertools
import json
import math
import os
import socket
import struct
import sys
import tempfile
import unittest

from lossd_server import lossd, stop
from wire import NO_ANSWER, Wire, chunked, cut, head, post

MSE, HUBER = "/v1/losses/mean_squared_error", "/v1/losses/huber_loss"
SPARSE, COSINE = "/v1/losses/sparse_softmax_cross_entropy", "/v1/losses/cosine_distance"
ENTRIES = "/v1/registries/kept/losses"
LIMIT = 16 << 20  # bytes that may stay after a test: what the C library keeps at hand for its threads
INSTRUMENTED = "LOSSD_INSTRUMENTED" in os.environ  # then memory tells nothing
DIGITS = 30_000  # a number may have 65536 bytes
MILLION = 1_000_000
PROGRAM = None


def anonymous_memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def as_float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def members(pairs):
    return b"{" + b", ".join(b'"%s": %s' % (key.encode(), value) for key, value in pairs) + b"}"


class PeerCrashes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.log = tempfile.TemporaryFile()
        cls.server = lossd(PROGRAM, log=cls.log)
        cls.url, cls.process = cls.server.__enter__()
        cls.wire, cls.other = Wire(cls.url), Wire(cls.url)
        cls.good = post(MSE, b'{"labels": [1, 2, 4], "predictions": [2, 2, 2], "gradients": true}')
        for step in (0, 7):
            body = b'{"labels": [1, 2], "predictions": [2, 4], "registry": "kept", "step": %d}' % step
            assert cls.other.ask(post(MSE, body)).status == 200
        cls.good_answer = cls.other.ask(cls.good).body
        cls.kept = cls.registry()
        cls.wire.ask(cls.good)
        cls.idle = anonymous_memory(cls.process.pid)
        cls.most = 0

    @classmethod
    def tearDownClass(cls):
        cls.wire.close()
        cls.other.close()
        status = stop(cls.process)  # with sanitizers: also that nothing leaked
        cls.server.__exit__(None, None, None)
        print(f"idle {cls.idle / 2**20:.1f} MiB, afterwards at most {cls.most / 2**20:.1f} MiB more")
        if status != 0:
            cls.log.seek(0)
            raise AssertionError(f"lossd ended with {status}: {cls.log.read()[-4000:].decode(errors='replace')}")

    @classmethod
    def registry(cls):
        targets = ("/v1/registries", ENTRIES + "?step=all", "/v1/registries/kept/total_loss")
        return [cls.other.ask(head("GET", target), "GET").body for target in targets]

    def tearDown(self):
        self.assertIsNone(self.process.poll(), "the server has ended")
        answer = self.other.ask(self.good)
        self.assertEqual((answer.status, answer.body), (200, self.good_answer))
        self.assertEqual(self.registry(), self.kept)
        if not INSTRUMENTED:
            more = anonymous_memory(self.process.pid) - self.idle
            type(self).most = max(self.most, more)
            self.assertLess(more, LIMIT)

    def check_problem(self, answer):
        """The code and the pointer of a refusal that is as the contract has it."""
        self.assertTrue(400 <= answer.status < 500, (answer.status, answer.body[:300]))
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        problem = answer.document()
        self.assertEqual(problem["status"], answer.status)
        for name in ("type", "title", "detail", "code", "request_id"):
            self.assertTrue(isinstance(problem[name], str) and problem[name], name)
        pointer = problem.get("pointer", "")
        self.assertTrue(pointer == "" or pointer[0] == "/", pointer)
        return problem["code"], pointer

    def refused(self, data, *codes, pointer=None):
        answer = self.wire.ask(data)
        code, place = self.check_problem(answer)
        self.assertIn(code, codes, answer.body[:300])
        if pointer is not None:
            self.assertEqual(place, pointer, answer.body[:300])

    def taken(self, data):
        answer = self.wire.ask(data)
        self.assertEqual(answer.status, 200, answer.body[:300])
        return answer.document()

    def broken(self, data):
        """What is no HTTP: any 4xx, or a close without a word."""
        wire = Wire(self.url)
        wire.send(data)
        if wire.socket is not None:
            try:
                wire.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the server was faster
        answer = wire.receive()
        wire.close()
        if answer is not NO_ANSWER:
            self.assertTrue(400 <= answer.status < 500, (answer.status, data[:300]))

    # Values of the wrong kind

    def test_values_of_any_kind_in_any_field(self):
        values = (b"null", b"true", b"false", b'""', b'"x"', b'"\\u0000"', b"0", b"-1", b"1.5", b"1e308", b"-0.0", b"NaN",
                  b"Infinity", b"[]", b"[[]]", b"{}", b"[{}]", b"[null]", b'["x"]', b"[[1], 2]", b"[1, [2]]", b'[1, "x"]',
                  b"[[[[[[[[[1]]]]]]]]]", b'{"shape": null}', b'{"shape": [1], "data": {}}', b'{"shape": 1, "data": [1]}',
                  b'{"shape": [true], "data": [1]}', b'{"shape": ["1"], "data": [1]}', b'{"shape": [1], "data": 1}',
                  b'{"shape": [1], "data": [[1]]}', b'{"shape": [1], "base64": 1, "dtype": "int8"}',
                  b'{"shape": [1], "base64": "AA==", "dtype": 8}', b'{"shape": [1], "base64": "A", "dtype": "int8"}',
                  b'{"shape": [1], "base64": "AA==", "data": [1], "dtype": "int8"}', b'{"ref": "y"}')
        good = {HUBER: {"labels": b"[1, 2]", "predictions": b"[2, 4]", "delta": b"1"},
                SPARSE: {"labels": b"[1, 0]", "logits": b"[[2, 4], [1, 3]]"},
                COSINE: {"labels": b"[[1, 0]]", "predictions": b"[[0, 1]]", "axis": b"1"}}
        common = ("weights", "reduction", "gradients", "losses", "dtype", "weights_mask", "name", "collection", "step",
                  "accumulate", "onehot_labels", "")
        for target, fields in good.items():
            for field, value in itertools.product((*fields, *common), values):
                with self.subTest(target=target, field=field, value=value):
                    answer = self.wire.ask(post(target, members({**fields, field: value}.items())))
                    if answer.status != 200:
                        self.check_problem(answer)
        for value in values:
            if value not in (b'""', b'"x"'):  # "x" is a good name
                self.refused(post(MSE, b'{"labels": [1], "predictions": [1], "registry": %s}' % value), "invalid_parameter",
                             "invalid_name", "unknown_field", "number_out_of_range", "ragged_tensor", pointer="/registry")

    def test_registry_bodies_of_any_kind(self):
        for body in (b"", b"null", b"[]", b"1", b'"x"', b"{", b"{}", b'{"loss": null}', b'{"loss": "1"}', b'{"loss": [1]}',
                     b'{"loss": 1e999}', b'{"loss": 1, "loss": 2}', b'{"loss": 1, "name": 5}', b'{"loss": 1, "name": ""}',
                     b'{"loss": 1, "name": "\\u0000"}', b'{"loss": 1, "name": "%s"}' % (b"n" * 513),
                     b'{"loss": 1, "step": -1}', b'{"loss": 1, "step": 0.5}', b'{"loss": 1, "step": 1e300}',
                     b'{"loss": 1, "step": 9007199254740993}', b'{"loss": 1, "step": {}}', b'{"loss": 1, "other": 1}',
                     b'{"loss": 1, "name": "%s"}' % (b"n" * 100_000), b'{"loss": 1' + b" " * 500_000, b"[" * 100_000):
            with self.subTest(body=body[:60]):
                self.check_problem(self.wire.ask(post(ENTRIES, body)))
        for ttl in (b"-1", b"1e300", b"NaN", b'"1"', b"0.5", b"null"):
            body = b'{"ttl": %s}' % ttl
            self.check_problem(self.wire.ask(head("PUT", "/v1/registries/kept", f"Content-Length: {len(body)}") + body))

    # Shapes

    def test_shapes_that_are_negative_huge_or_overflow(self):
        for shape in ("[-1]", "[1, -1]", "[-9223372036854775808]", "[0.5]", "[1e300]", "[NaN]", "[Infinity]", "[-Infinity]",
                      "[9007199254740993]", "[18446744073709551616]", "[1e400]", "[4294967296, 4294967296]",
                      "[4294967297, 4294967297]", "[9007199254740992, 2049]", "[3037000500, 3037000500, 2]",
                      "[2147483648, 2147483648, 4]", "[4611686018427387904, 4]", "[9007199254740992, 0]",
                      "[1000000000, 1000000000, 0]", "[0, 9007199254740992]", "[2]", "[1, 2]", "[]", "[0]",
                      "[1, 1, 1, 1, 1, 1, 1, 1, 1]", "[" + ", ".join(["9007199254740992"] * 8) + "]",
                      "[" + ", ".join(["1"] * 1000) + "]"):
            for rest in ('"data": [1]', '"base64": "AAAAAA==", "dtype": "float32"', '"base64": "", "dtype": "float64"'):
                for field in ("labels", "predictions", "weights"):
                    with self.subTest(shape=shape[:60], rest=rest, field=field):
                        fields = {"labels": b"[1]", "predictions": b"[1]"}
                        fields[field] = f'{{"shape": {shape}, {rest}}}'.encode()
                        answer = self.wire.ask(post(MSE, members(fields.items())))
                        if shape == "[]" and field == "weights" and answer.status == 200:
                            continue  # a scalar
                        code, pointer = self.check_problem(answer)
                        self.assertIn(code, ("invalid_parameter", "shape_mismatch", "number_out_of_range", "invalid_weights"))
                        self.assertIn(pointer.split("/")[1], ("labels", "predictions", "weights"))

    def test_axes_that_do_not_exist(self):
        for axis in ("-3", "2", "8", "-9", "2147483648", "-2147483649", "4294967296", "1e300", "1e999", "0.5", "NaN",
                     "Infinity", '"1"', "[1]", "[[1]]", "null"):
            body = f'{{"labels": [[1, 0]], "predictions": [[0, 1]], "axis": {axis}}}'.encode()
            self.refused(post(COSINE, body), "invalid_parameter", "number_out_of_range", pointer="/axis")

    def test_labels_that_are_no_class(self):
        for label in ("-1", "3", "2147483648", "4294967296", "9223372036854775808", "18446744073709551616", "1e300",
                      "-1e300", "0.5", "NaN", "Infinity", "-Infinity"):
            body = f'{{"labels": [0, {label}], "logits": [[1, 2, 3], [4, 5, 6]]}}'.encode()
            self.refused(post(SPARSE, body), "label_out_of_range", "not_an_integer", pointer="/labels/1")

    # Chunks and lengths

    def test_70000_chunks_of_one_byte(self):
        body = b'{"labels": [1, 2, 4], "predictions": [2, 2, 2], "gradients": true' + b" " * 70_000 + b"}"
        for data in (body, body + b"x"):
            answer = self.wire.ask(chunked(MSE, cut(data, range(len(data)))))
            if answer.status == 200:
                self.assertEqual((data, answer.body), (body, self.good_answer))
            else:
                self.check_problem(answer)

    def test_sizes_of_chunks_that_are_odd_huge_or_overflow(self):
        start = head("POST", MSE, "Transfer-Encoding: chunked")
        for size in (b"FFFFFFFFFFFFFFFF", b"7FFFFFFFFFFFFFFF", b"8000000000000000", b"10000000000000000", b"100000001",
                     b"80000000", b"FFFFFFFF", b"F" * 40, b"0" * 4000 + b"1", b"-1", b"", b" ", b"0x1", b"1 1", b"+1", b"1\0",
                     b"\xff", b"1;" + b"e" * 20_000, b"G", b"1\r", b"1\n\n"):
            for data in (b"\r\n{", b"\r\n{}\r\n0\r\n\r\n", b""):
                with self.subTest(size=size[:30], data=data):
                    self.broken(start + size + data)

    def test_lengths_that_are_absurd(self):
        for length in ("-1", "+2", "0x2", "1e3", "2.0", "two", "2 2", "2,2", "9223372036854775807", "9223372036854775808",
                       "18446744073709551615", "18446744073709551616", "9" * 400, "4294967298"):
            for body in (b"{}", b"{" + b" " * 70_000):
                with self.subTest(length=length, body=len(body)):
                    self.broken(head("POST", MSE, f"Content-Length: {length}") + body)

    # Large and deep

    def test_deep_nesting(self):
        for opened in (b"[", b'{"a":', b'[{"a":', b'{"labels":', b'{"labels":[', b"[[[[ \n"):
            for closed in (b"", b"1", b"]" * 100_000):
                body = opened * 100_000 + closed
                self.refused(post(MSE, body), "malformed_json")
                self.refused(post(MSE, b'{"predictions": [1], "labels": ' + body), "malformed_json")
        flat = b'{"labels": %s, "predictions": [1]}'
        self.refused(post(MSE, flat % (b"[" * 60 + b"]" * 60)), "shape_mismatch", pointer="/labels")

    def test_numbers_of_many_digits(self):
        request = b'{"labels": [%s], "predictions": [0], "reduction": "sum", "dtype": "%s"}'
        zeros, nines, power = b"0" * DIGITS, b"9" * DIGITS, b"%d" % DIGITS
        for number in (nines, b"-" + nines, b"1e" + nines, b"1" + zeros, b"1." + nines + b"e" + nines):
            self.refused(post(MSE, request % (number, b"float64")), "number_out_of_range", pointer="/labels/0")
        for number, value in ((b"0." + zeros + b"1", 0), (b"1e-" + nines, 0), (b"0." + nines, 1), (b"-0." + nines, -1),
                              (b"1." + zeros + b"1", 1), (b"1" + zeros + b"e-" + power, 1), (b"0e" + nines, 0),
                              (b"0." + zeros + b"10e" + power, 0.1), (b"16777217." + zeros + b"1", 16777218)):
            with self.subTest(number=number[:20], end=number[-12:]):
                loss = self.taken(post(MSE, request % (number, b"float32")))["loss"]
                self.assertEqual(struct.pack("f", loss), struct.pack("f", as_float32(value) ** 2))
        for field in (b"step", b"weights", b"reduction", b"delta"):
            body = b'{"labels": 1, "predictions": 1, "registry": "huge", "%s": %s}' % (field, nines)
            self.refused(post(HUBER, body), "number_out_of_range", "invalid_parameter", pointer="/" + field.decode())
        for number in (zeros, nines + b".", b"-" * DIGITS, b"1" + b"e" * DIGITS, b"9" * MILLION, b"1." + b"0" * MILLION):
            self.refused(post(MSE, request % (number, b"float64")), "malformed_json")

    def test_long_strings_and_many_keys(self):
        long = b"x" * MILLION
        good = b'"labels": [1], "predictions": [1]'
        for body in (b'{%s, "reduction": "%s"}' % (good, long), b'{%s, "%s": 1}' % (good, long),
                     b'{%s, "name": "%s"}' % (good, b"\\u00e9" * 100_000), b'"%s"' % long, b'{%s, "name": "%s' % (good, long),
                     b'{%s, "gradients": [%s]}' % (good, b", ".join([b'"labels"'] * 100_000)),
                     b"{" + b", ".join(b'"k%d": %d' % (i, i) for i in range(100_000)) + b"}",
                     b"{" + b", ".join(b'"labels": [1]' for _ in range(100_000)) + b"}",
                     b'{%s, "extra": [%s]}' % (good, b", ".join([b"{}"] * 100_000)),
                     b'{%s, "weights": {%s}}' % (good, b", ".join(b'"%d": {}' % i for i in range(100_000)))):
            self.refused(post(MSE, body), "body_too_large", "malformed_json", "unknown_field", "duplicate_field")
        self.refused(post(MSE, b'{%s, "%s": 1}' % (good, b"x" * 5000)), "unknown_field")
        self.refused(post(MSE, b'{%s, "weights": {"shape": [1], "dtype": "int8", "base64": "%s"}}' % (good, b"A" * MILLION)),
                     "shape_mismatch", pointer="/weights")

    def test_keys_that_are_given_twice(self):
        for body, pointer in ((b'{"labels": [1], "predictions": [1], "labels": [1]}', "/labels"),
                              (b'{"labels": [1], "predictions": [1], "target": [1]}', "/target"),
                              (b'{"labels": [1], "predictions": [1], "l\\u0061bels": [1]}', "/labels"),
                              (b'{"labels": {"shape": [1], "data": [1], "shape": [1]}, "predictions": [1]}', "/labels/shape"),
                              (b'{"labels": [1], "predictions": [1], "weights": 1, "weights": 1}', "/weights"),
                              (b'{"labels": [1], "predictions": [1], "dtype": "float32", "dtype": "float64"}', "/dtype")):
            self.refused(post(MSE, body), "duplicate_field", pointer=pointer)

    def test_queries_without_end(self):
        body = b'{"labels": [1], "predictions": [1]}'
        for query in ("&" * 4000, "a&" * 3000, "dtype=float32&" * 500, "=" * 4000, "&".join(f"k{i}=1" for i in range(900)),
                      "dtype=" + "f" * 8000, "dtype=" + "%41" * 2500, "dtype=%00", "dtype=float32%00", "%00=1", "strict=%FF",
                      "dtype=%", "dtype=%4", "dtype=%zz", "x" * 20_000):
            with self.subTest(query=query[:40]):
                answer = self.wire.ask(post(f"{MSE}?{query}", body))
                if query[0] == "&" and answer.status == 200:
                    continue  # nothing was asked
                self.check_problem(answer)

    def test_nul_bytes(self):
        for body in (b"\0", b"\0{}", b"{}\0", b'{"labels": [1\0], "predictions": [1]}', b'{"labels\0": [1]}',
                     b'{"labels": [1], "predictions": [1], "reduction": "sum\0"}', b"\0" * 70_000):
            self.refused(post(MSE, body), "malformed_json")
        for field, code in (("reduction", "invalid_parameter"), ("dtype", "invalid_parameter"), ("name", "invalid_name"),
                            ("registry", "invalid_name")):
            body = b'{"labels": [1], "predictions": [1], "registry": "r", "%s": "sum\\u0000"}' % field.encode()
            if field == "registry":
                body = body.replace(b'"registry": "r", ', b"")
            self.refused(post(MSE, body), code, pointer="/" + field)
        self.refused(post(MSE, b'{"labels": [1], "predictions": [1], "weights\\u0000": 1}'), "unknown_field")
        for path in (MSE + "%00", "/v1/losses/%00", "/%00", "/v1/registries/a%00b", "/v1/registries/kept%00"):
            self.check_problem(self.wire.ask(head("GET", path), "GET"))
        self.broken(b"POST " + MSE.encode() + b"\0 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")

    # Clients that leave, and heads

    def test_clients_that_leave_in_the_middle(self):
        body = b'{"labels": [1, 2], "predictions": [2, 4], "registry": "kept"}'
        whole, pieces = post(MSE, body), chunked(MSE, cut(body, range(0, len(body), 9)))
        by_hand = post(ENTRIES, b'{"loss": 0.5, "name": "never"}')
        reset = struct.pack("ii", 1, 0)
        for data in (whole, pieces, by_hand):
            for length in range(1, len(data), 5):
                for way in ("close", "shutdown", "reset"):
                    wire = Wire(self.url)
                    wire.send(data[:length])
                    if way == "shutdown":
                        wire.socket.shutdown(socket.SHUT_WR)
                        self.assertNotEqual(wire.receive().status, 200)
                    elif way == "reset":
                        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                    wire.close()

    def test_odd_header_fields(self):
        body = b'{"labels": [1, 2, 4], "predictions": [2, 2, 2], "gradients": true}'
        for field in ("Inference-Header-Content-Length: 99999999999999999999", "Inference-Header-Content-Length: -1",
                      "Range: bytes=0-18446744073709551615", "Accept: " + ", ".join(["*/*;q=0.5"] * 500),
                      "Traceparent: " + "0" * 2000, "Cookie: " + "a=b; " * 300, "X-Empty:", "Keep-Alive: timeout=-1"):
            with self.subTest(field=field[:60]):
                answer = self.wire.ask(post(MSE, body, field))
                self.assertEqual((answer.status, answer.body), (200, self.good_answer), answer.body[:300])
        for field in ("Content-Encoding: gzip", "X-Request-Timeout-Ms: -1", "X-Request-Timeout-Ms: 99999999999999999999",
                      "X-Request-Timeout-Ms: NaN", "Idempotency-Key: " + "k" * 256, b"Idempotency-Key: \xff\xfe",
                      "Accept: text/html;q=nan", "Accept: " + ",;=" * 500):
            with self.subTest(field=field[:60]):
                self.check_problem(self.wire.ask(post(MSE, body, field)))
        for kind in (b"\xff\xfe", b"application/json\xff", b"text/plain", b"a" * 5000, b"application/json; charset=utf-16",
                     b";", b"application/json, text/plain"):
            data = head("POST", MSE, b"Content-Type: " + kind, f"Content-Length: {len(body)}") + body
            answer = self.wire.ask(data)
            if answer.status != 200:
                self.check_problem(answer)
        # libmicrohttpd takes cookies apart, and closes where that needs too much memory.
        for line in (b"Cookie: " + b"a=b; " * 2000, b"NoColon", b": no name", b" folded: first", b"A: b\0c", b"\0: a", b"A" * 9000 + b": b"):
            self.wire_with(line, body)
        for start in (b"", b"\0", b"\xff" * 5000, b"POST", b"POST \r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"\r\n" * 3000,
                      b"GET " + b"/" * 9000 + b" HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                      b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
            wire = Wire(self.url)
            wire.send(start)
            if wire.socket is not None:
                try:
                    wire.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
            self.assertNotEqual(wire.receive().status // 100, 2)
            wire.close()

    def wire_with(self, line, body):
        """A header line that another reader could take for something else: an answer, or none, but never a 5xx."""
        wire = Wire(self.url)
        answer = wire.ask(post(MSE, body, line))
        wire.close()
        self.assertIn(answer.status // 100, (0, 2, 4), line)
        if answer.status == 200:
            self.assertEqual(answer.body, self.good_answer)

    def test_numbers_that_are_not_finite_stay_json(self):
        for value in ("NaN", "Infinity", "-Infinity", "3e38"):
            answer = self.taken(post(MSE, f'{{"labels": [{value}, 1], "predictions": [-3e38, 1], "gradients": true}}'.encode()))
            json.dumps(answer, allow_nan=False)
            self.assertGreaterEqual(answer["nonfinite"], 1)
            self.assertTrue(answer["losses"][1] == 0 and math.isfinite(answer["losses"][1]))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
