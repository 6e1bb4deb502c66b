# SPDX-License-Identifier: Apache-2.0
"""test_coding.py LOSSD: compressed bodies and answers, written and read by stock gzip and zstandard."""

import gzip
import http.client
import json
import subprocess
import sys
import threading
import time
import unittest
import zlib
from urllib.parse import urlsplit

import numpy
import wire
import zstandard
from lossd_server import lossd
from safetensors.numpy import load, save

PROGRAM = sys.argv[1]
SAFETENSORS = "application/x-safetensors"
JSON = "application/json"
MIB = 1 << 20
MSE = "/v1/losses/mean_squared_error"

CODERS = {"gzip": (lambda data: gzip.compress(data, 6), gzip.decompress),
          "zstd": (zstandard.ZstdCompressor(level=6).compress,
                   lambda data: zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read())}


def call(n=2):
    return {"labels": [1.0] * n, "predictions": [i % 7 + 0.5 for i in range(n)], "gradients": True}


class Coding(unittest.TestCase):
    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = lossd(PROGRAM, "--max-body", str(64 * MIB), *cls.OPTIONS)
        cls.url, cls.process = cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def ask(self, target, body, pieces=None, method="POST", **fields):
        fields = {name.replace("_", "-"): value for name, value in fields.items() if value is not None}
        fields.setdefault("Content-Type", JSON)
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            data = body if pieces is None else iter([body[i:i + pieces] for i in range(0, len(body), pieces)])
            connection.request(method, target, data, fields, encode_chunked=pieces is not None)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def refused(self, target, body, **how):
        status, headers, answer = self.ask(target, body, **how)
        problem = json.loads(answer)
        self.assertEqual(problem["status"], status)
        self.assertIsNone(headers["Content-Encoding"])
        return status, problem["code"], problem.get("parameter")


class Bodies(Coding):
    def test_every_format_is_read_compressed(self):
        labels = numpy.arange(40, dtype=numpy.float32)
        predictions = numpy.linspace(0, 9, 40, dtype=numpy.float32)
        binary = save({"labels": labels, "predictions": predictions})
        oip = json.dumps({"inputs": [
            {"name": "labels", "datatype": "FP32", "shape": [40], "parameters": {"binary_data_size": 160}},
            {"name": "predictions", "datatype": "FP32", "shape": [40], "parameters": {"binary_data_size": 160}}]}).encode()
        infer = "/v2/models/mean_squared_error/infer"
        evaluate = {"tensors": {"y": labels.tolist(), "p": predictions.tolist()},
                    "losses": [{"loss": "mse", "labels": {"ref": "y"}, "predictions": {"ref": "p"}}]}
        spec = json.dumps({"losses": evaluate["losses"]})
        bodies = [
            (MSE, JSON, json.dumps({"labels": labels.tolist(), "predictions": predictions.tolist()}).encode(), {}),
            (MSE, SAFETENSORS, binary, {}),
            (infer, "application/octet-stream", oip + labels.tobytes() + predictions.tobytes(),
             {"Inference_Header_Content_Length": str(len(oip))}),
            (infer, JSON, json.dumps({"inputs": [
                {"name": "labels", "datatype": "FP32", "shape": [40], "data": labels.tolist()},
                {"name": "predictions", "datatype": "FP32", "shape": [40], "data": predictions.tolist()}]}).encode(), {}),
            ("/v1/evaluate", JSON, json.dumps(evaluate).encode(), {}),
            ("/v1/evaluate", SAFETENSORS, save({"y": labels, "p": predictions}, {"spec": spec}), {}),
            ("/v2/models/l2_regularization/infer", "application/octet-stream", labels.tobytes(),
             {"Inference_Header_Content_Length": "0"}),
        ]
        for target, media, body, fields in bodies:
            expected = self.ask(target, body, Content_Type=media, **fields)
            self.assertEqual(expected[0], 200, expected[2])
            for name, (compress, _) in CODERS.items():
                for pieces in (None, 1, 7):
                    with self.subTest(target=target, media=media, coding=name, pieces=pieces):
                        got = self.ask(target, compress(body), pieces, Content_Type=media, Content_Encoding=name, **fields)
                        self.assertEqual((got[0], got[2]), (200, expected[2]))

    def test_registries_take_compressed_bodies_and_the_key_is_on_what_was_sent(self):
        target = "/v1/registries/coded/losses"
        body = json.dumps({"loss": 0.5, "name": "a"}).encode()
        first = gzip.compress(body, 6, mtime=0)
        for _ in range(2):
            status, _, answer = self.ask(target, first, Content_Encoding="gzip", Idempotency_Key="coded-1")
            self.assertEqual((status, json.loads(answer)["name"]), (201, "a"))
        other = gzip.compress(body, 6, mtime=1)  # says the same, but is not the same
        self.assertEqual(self.refused(target, other, Content_Encoding="gzip", Idempotency_Key="coded-1")[:2],
                         (409, "idempotency_conflict"))
        status, _, answer = self.ask("/v1/registries/coded/losses", None, method="GET")
        self.assertEqual(len(json.loads(answer)["losses"]), 1)
        self.assertEqual(self.ask("/v1/registries/coded", gzip.compress(b'{"ttl": 60}'), method="PUT",
                                  Content_Encoding="gzip")[0], 200)

    def test_members_and_frames_follow_each_other(self):
        body = json.dumps(call()).encode()
        expected = self.ask(MSE, body)[2]
        zstd = CODERS["zstd"][0]
        skip = (0x184D2A53).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"hello"
        bodies = {
            "gzip": [gzip.compress(body[:9]) + gzip.compress(body[9:]), gzip.compress(b"") + gzip.compress(body),
                     b"".join(gzip.compress(body[i:i + 3]) for i in range(0, len(body), 3)) + gzip.compress(b"")],
            "zstd": [zstd(body[:9]) + zstd(body[9:]), skip + zstd(body) + skip, zstd(b"") + zstd(body) + zstd(b""),
                     b"".join(zstd(body[i:i + 1]) for i in range(len(body)))],
        }
        for name, streams in bodies.items():
            for i, stream in enumerate(streams):
                for pieces in (None, 1, 5):
                    with self.subTest(coding=name, stream=i, pieces=pieces):
                        got = self.ask(MSE, stream, pieces, Content_Encoding=name)
                        self.assertEqual((got[0], got[2]), (200, expected))

    def test_names_of_codings(self):
        body = json.dumps(call()).encode()
        for name in ("identity", "Identity"):
            self.assertEqual(self.ask(MSE, body, Content_Encoding=name)[0], 200)
        for name in ("gzip", "GZIP", "x-gzip"):
            self.assertEqual(self.ask(MSE, gzip.compress(body), Content_Encoding=name)[0], 200)
        for name in ("br", "deflate", "gzip, gzip", "gzip, identity", "zstd,gzip", "gzipp", ""):
            with self.subTest(coding=name):
                status, headers, answer = self.ask(MSE, gzip.compress(body), Content_Encoding=name)
                problem = json.loads(answer)
                self.assertEqual((status, problem["code"], problem["parameter"]),
                                 (415, "unsupported_media_type", "Content-Encoding"))
                self.assertEqual(headers["Accept-Encoding"], "gzip, zstd")
        twice = wire.Wire(self.url)
        answer = twice.ask(wire.post(MSE, gzip.compress(body), "Content-Encoding: gzip", "Content-Encoding: gzip"))
        self.assertEqual((answer.status, answer.headers["Accept-Encoding"]), (415, "gzip, zstd"))
        twice.close()
        answer = self.ask("/v2/models/mse/infer", b"x", Content_Encoding="br")
        self.assertEqual((answer[0], answer[1]["Accept-Encoding"]), (415, "gzip, zstd"))
        self.assertIn("Content-Encoding", json.loads(answer[2])["error"])
        # A route that reads no body does not care.
        self.assertEqual(self.ask("/v1/losses", None, method="GET", Content_Encoding="br")[0], 200)

    def test_broken_streams(self):
        body = json.dumps(call(50)).encode()
        for name, (compress, _) in CODERS.items():
            good = compress(body)
            flipped = bytes([*good[:len(good) // 2], good[len(good) // 2] ^ 0x55, *good[len(good) // 2 + 1:]])
            bad = {"empty": b"", "no stream": body, "cut head": good[:3], "cut": good[:-1], "half": good[:len(good) // 2],
                   "trailing": good + b"x", "trailing zeros": good + bytes(16), "trailing json": good + body,
                   "begins another": good + good[:6], "flipped": flipped,
                   "the other": CODERS["zstd" if name == "gzip" else "gzip"][0](body)}
            if name == "gzip":
                bad |= {"checksum": good[:-8] + bytes(4) + good[-4:], "length": good[:-1] + b"\1", "raw": good[10:-8],
                        "zlib": zlib.compress(body)}
            else:
                checked = zstandard.ZstdCompressor(write_checksum=True).compress(body)
                bad |= {"checksum": checked[:-1] + bytes([checked[-1] ^ 1]), "half a skip": good + b"\x50\x2a\x4d\x18\9",
                        "an old format": b"\x27\xb5\x2f\xfd" + good[4:], "a dictionary": b"\x28\xb5\x2f\xfd\x23\7" + good[5:]}
            for what, stream in bad.items():
                for pieces in (None, 1):
                    with self.subTest(coding=name, what=what, pieces=pieces):
                        if what == "flipped":  # what comes out of it may be wrong before the stream is
                            self.assertEqual(self.refused(MSE, stream, pieces=pieces, Content_Encoding=name)[0], 400)
                            continue
                        self.assertEqual(self.refused(MSE, stream, pieces=pieces, Content_Encoding=name),
                                         (400, "malformed_encoding", "Content-Encoding"))

    def test_a_broken_stream_adds_nothing(self):
        body = gzip.compress(json.dumps(call() | {"registry": "broken"}).encode())
        self.assertEqual(self.refused(MSE, body[:-1], Content_Encoding="gzip")[0], 400)
        self.assertEqual(self.ask("/v1/registries/broken", None, method="GET")[0], 404)

    def test_zstd_windows(self):
        def coded(window_log):
            parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=window_log)
            stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
            return stream.compress(json.dumps(call()).encode()) + stream.flush()

        self.assertEqual(self.ask(MSE, coded(23), Content_Encoding="zstd")[0], 200)
        for log in (24, 27):
            self.assertEqual(self.refused(MSE, coded(log), Content_Encoding="zstd"),
                             (400, "malformed_encoding", "Content-Encoding"))

    def test_the_limit_counts_what_comes_out(self):
        with lossd(PROGRAM, "--max-body", str(MIB)) as (url, _):
            self.url, kept = url, self.url
            try:
                spaces = json.dumps(call()).encode().ljust(MIB)
                for name, (compress, _) in CODERS.items():
                    for pieces in (None, 100):
                        self.assertEqual(self.ask(MSE, compress(spaces), pieces, Content_Encoding=name)[0], 200)
                        answer = self.ask(MSE, compress(spaces + b" "), pieces, Content_Encoding=name)
                        problem = json.loads(answer[2])
                        self.assertEqual((answer[0], problem["code"]), (413, "body_too_large"))
                        self.assertIn("--max-body", problem["detail"])
                        self.assertIn("decompresses to", problem["detail"])
                # What does not shrink may be a little larger than the limit as it is sent.
                noise = json.dumps(call()).encode().ljust(MIB)
                stored = gzip.compress(noise, 0)
                self.assertGreater(len(stored), MIB)
                self.assertEqual(self.ask(MSE, stored, Content_Encoding="gzip")[0], 200)
                # Members without an end that hold nothing are bytes, too.
                nothing = gzip.compress(b"") * (2 * MIB // 20)
                self.assertEqual(self.refused(MSE, nothing, Content_Encoding="gzip")[:2], (413, "body_too_large"))
                self.assertEqual(self.refused(MSE, nothing, pieces=4096, Content_Encoding="gzip")[:2], (413, "body_too_large"))
            finally:
                self.url = kept
        small = gzip.compress(json.dumps({"loss": 1, "name": "x"}).encode().ljust(MIB + 1))
        answer = self.ask("/v1/registries/large/losses", small, Content_Encoding="gzip")
        self.assertEqual(answer[0], 413)

    def test_what_is_worth_compressing_is_the_operators_choice(self):
        for option, coded in (("1KiB", (None, "gzip")), ("64KiB", (None, None)), ("1", ("gzip", "gzip"))):
            with lossd(PROGRAM, "--compress-from", option) as (url, _):
                self.url, kept = url, self.url
                try:
                    answers = [self.ask(MSE, json.dumps(call(n)).encode(), Accept_Encoding="gzip") for n in (2, 1000)]
                finally:
                    self.url = kept
            self.assertEqual(tuple(fields["Content-Encoding"] for _, fields, _ in answers), coded, option)

    def test_bombs(self):
        """10 GB of blanks or zeros, and bombs in bombs, are refused early, by ratio or by size, and nothing is kept."""
        before = self.resident()
        oip = json.dumps({"inputs": [{"name": "values", "datatype": "FP32", "shape": [2 ** 24],
                                      "parameters": {"binary_data_size": 2 ** 26}}]}).encode()
        length = f"Inference-Header-Content-Length: {len(oip)}"
        for name, (compress, _) in CODERS.items():
            blanks, zeros = compress(b" " * 64 * MIB) * 160, compress(bytes(64 * MIB)) * 160
            for pieces in (None, 8192):
                for target, stream, fields in ((MSE, blanks, ()), ("/v1/evaluate", blanks, ()), ("/v2/models/mse/infer", blanks, ()),
                                               ("/v2/models/l2_regularization/infer", compress(oip) + zeros, (length,))):
                    with self.subTest(coding=name, target=target, pieces=pieces):
                        answer = wire.Wire(self.url)
                        fields = (*fields, f"Content-Encoding: {name}")
                        if pieces is None:
                            got = answer.ask(wire.post(target, stream, *fields))
                        else:
                            chunks = [stream[i:i + pieces] for i in range(0, len(stream), pieces)]
                            got = answer.ask(wire.chunked(target, chunks, *fields))
                        answer.close()
                        self.assertEqual(got.status, 413, got.body)
        nested = gzip.compress(gzip.compress(bytes(32 * MIB)))
        self.assertEqual(self.refused(MSE, nested, Content_Encoding="gzip")[:2], (400, "malformed_json"))
        self.assertLess(self.resident() - before, 160 * MIB)

    def test_the_ratio(self):
        """Beyond 16 MiB, 200 times what was sent; the message names the option."""
        body = json.dumps(call()).encode()
        for name, (compress, _) in CODERS.items():
            self.assertEqual(self.ask(MSE, compress(body.ljust(16 * MIB)), Content_Encoding=name)[0], 200)
            answer = self.ask(MSE, compress(body.ljust(17 * MIB)), Content_Encoding=name)
            self.assertEqual(answer[0], 413)
            self.assertIn("--max-ratio", json.loads(answer[2])["detail"])

    def resident(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

    def test_memory_is_on_the_budget(self):
        with lossd(PROGRAM, "--memory-budget", "4MiB", "--max-body", "2MiB") as (url, _):
            self.url, kept = url, self.url
            try:
                parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=23)
                stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
                wide = stream.compress(json.dumps(call()).encode()) + stream.flush()
                self.assertEqual(self.refused(MSE, wide, Content_Encoding="zstd")[:2], (503, "overloaded"))
                self.assertEqual(self.ask(MSE, gzip.compress(json.dumps(call()).encode()), Content_Encoding="gzip")[0], 200)
            finally:
                self.url = kept


class Answers(Coding):
    LARGE = json.dumps(call(60_000)).encode()  # printed while it is sent

    def both(self, target, body, coding, **how):
        plain = self.ask(target, body, **how)
        coded = self.ask(target, body, Accept_Encoding=coding, **how)
        self.assertEqual((plain[0], coded[0]), (200, 200))
        self.assertIsNone(plain[1]["Content-Encoding"])
        return plain, coded

    def test_answers_are_compressed(self):
        evaluate = {"losses": [{"loss": "mse", "labels": [1.0] * 900, "predictions": [2.0] * 900}]}
        targets = [(MSE, json.dumps(call(300)).encode(), "POST"), (MSE, self.LARGE, "POST"),
                   ("/v1/evaluate", json.dumps(evaluate).encode(), "POST"), ("/v1/losses", None, "GET"),
                   ("/openapi.json", None, "GET")]
        for target, body, method in targets:
            for name, (_, decompress) in CODERS.items():
                with self.subTest(target=target, coding=name):
                    plain, coded = self.both(target, body, name, method=method)
                    self.assertEqual(coded[1]["Content-Encoding"], name)
                    self.assertEqual(coded[1]["Content-Type"], plain[1]["Content-Type"])
                    self.assertIn("Accept-Encoding", ", ".join(coded[1].get_all("Vary")))
                    self.assertIn("Accept-Encoding", ", ".join(plain[1].get_all("Vary")))
                    self.assertEqual(decompress(coded[2]), plain[2])
                    self.assertLess(len(coded[2]), len(plain[2]) * 0.7)

    def test_small_answers_and_errors_are_not(self):
        for target, body in ((MSE, b'{"labels": [1], "predictions": [2], "losses": false}'),
                             ("/v1/evaluate", b'{"losses": [{"loss": "l2_regularization", "values": [1]}]}')):
            plain, coded = self.both(target, body, "gzip, zstd")
            self.assertIsNone(coded[1]["Content-Encoding"])
            self.assertEqual(plain[2], coded[2])
            # ... but where the client takes no other.
            coded = self.ask(target, body, Accept_Encoding="gzip, identity;q=0")
            self.assertEqual((coded[1]["Content-Encoding"], gzip.decompress(coded[2])), ("gzip", plain[2]))
        self.assertEqual(self.refused(MSE, b"{}", Accept_Encoding="gzip")[0], 400)

    def test_what_a_client_likes(self):
        body = json.dumps(call(300)).encode()
        for accept, expected in (
                ("gzip", "gzip"), ("GZIP", "gzip"), ("zstd", "zstd"), ("gzip, zstd", "zstd"), ("gzip, deflate, br, zstd", "zstd"),
                ("gzip;q=1, zstd;q=0.5", "gzip"), ("gzip;q=0.2, zstd;q=0.2", "zstd"), ("*", "gzip"), ("zstd;q=0.1, *", "gzip"),
                ("gzip;q=0.1, *", "zstd"), ("gzip;q=0, *", "zstd"), ("gzip;q=0, zstd;q=0", None), ("", None), ("br", None),
                ("identity", None), ("identity;q=1, gzip;q=0.5", None), ("identity, gzip", "gzip"), ("*;q=0, gzip", "gzip"),
                ("identity;q=0, gzip;q=0.01", "gzip"), ("gzip;q=0.000", None), ("gzip ; q=0.3 , zstd ; q=0.2", "gzip"),
                ("gzip;q=oops", "gzip"), (",,gzip,,", "gzip")):
            with self.subTest(accept=accept):
                status, headers, _ = self.ask(MSE, body, Accept_Encoding=accept)
                self.assertEqual((status, headers["Content-Encoding"]), (200, expected))
        for accept in ("identity;q=0", "*;q=0", "br, *;q=0", "identity;q=0, gzip;q=0, zstd;q=0"):
            with self.subTest(accept=accept):
                self.assertEqual(self.refused(MSE, json.dumps(call() | {"registry": "no"}).encode(), Accept_Encoding=accept),
                                 (406, "not_acceptable", "Accept-Encoding"))
        self.assertEqual(self.ask("/v1/registries/no", None, method="GET")[0], 404)
        lines = wire.Wire(self.url)
        answer = lines.ask(wire.post(MSE, body, "Accept-Encoding: br", "Accept-Encoding: gzip"))
        self.assertEqual(answer.headers["Content-Encoding"], "gzip")
        lines.close()

    def test_tensors_are_compressed_where_they_shrink(self):
        noise = numpy.random.default_rng(1).standard_normal((2, 50_000), numpy.float32)
        still = numpy.repeat(numpy.float32([[0.5], [2]]), 50_000, axis=1)
        for tensors, shrinks in ((noise, False), (still, True)):
            body = save({"labels": tensors[0], "predictions": tensors[1]})
            for name, (_, decompress) in CODERS.items():
                with self.subTest(coding=name, shrinks=shrinks):
                    plain, coded = self.both(MSE + "?gradients=true", body, name, Content_Type=SAFETENSORS, Accept=SAFETENSORS)
                    self.assertEqual(coded[1]["Content-Encoding"], name if shrinks else None)
                    self.assertEqual(decompress(coded[2]) if shrinks else coded[2], plain[2])
                    self.assertEqual(len(load(plain[2])["gradients.predictions"]), 50_000)
                    forced = self.ask(MSE + "?gradients=true", body, Content_Type=SAFETENSORS, Accept=SAFETENSORS,
                                      Accept_Encoding=f"{name}, identity;q=0")
                    self.assertEqual(forced[1]["Content-Encoding"], name)
                    self.assertEqual(decompress(forced[2]), plain[2])

    def test_binary_tensors_of_the_inference_protocol(self):
        body = json.dumps({"parameters": {"binary_data_output": True}, "inputs": [
            {"name": "labels", "datatype": "FP32", "shape": [50000], "data": [1] * 50000},
            {"name": "predictions", "datatype": "FP32", "shape": [50000], "data": [2] * 50000}]}).encode()
        plain, coded = self.both("/v2/models/mse/infer", body, "gzip")
        length = "Inference-Header-Content-Length"
        self.assertEqual(coded[1][length], plain[1][length])
        self.assertEqual((coded[1]["Content-Encoding"], gzip.decompress(coded[2])), ("gzip", plain[2]))

    def test_head_and_http_1_0(self):
        status, headers, body = self.ask("/openapi.json", None, method="HEAD", Accept_Encoding="gzip")
        self.assertEqual((status, headers["Content-Encoding"], body), (200, "gzip", b""))
        old = wire.Wire(self.url)
        old.send(b"GET /openapi.json HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
        answer = old.receive("GET")
        self.assertIsNone(answer.headers["Transfer-Encoding"])
        self.assertEqual(gzip.decompress(answer.body), self.ask("/openapi.json", None, method="GET")[2])
        old.close()

    def test_connections_are_kept(self):
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        for accept in ("gzip", "zstd", "identity") * 3:
            connection.request("POST", MSE, self.LARGE, {"Content-Type": JSON, "Accept-Encoding": accept})
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            answer.read()
        connection.close()

    def test_curl_compressed(self):
        got = subprocess.run(["curl", "-sS", "--compressed", self.url + "/openapi.json"], stdout=subprocess.PIPE, check=True)
        self.assertEqual(got.stdout, self.ask("/openapi.json", None, method="GET")[2])

    def test_a_large_answer_does_not_hold_up_others(self):
        """While an answer of 200 MB is compressed on the only HTTP thread, small calls get through."""
        with lossd(PROGRAM, "--http-threads", "1") as (url, _):
            still = numpy.zeros(25 * MIB, numpy.float32)
            body = save({"labels": still, "predictions": still})
            done = threading.Event()
            sizes = []

            def large():
                connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=250)
                connection.request("POST", MSE + "?gradients=true", body,
                                   {"Content-Type": SAFETENSORS, "Accept": SAFETENSORS, "Accept-Encoding": "gzip"})
                sizes.append(len(gzip.decompress(connection.getresponse().read())))
                connection.close()
                done.set()

            thread = threading.Thread(target=large)
            thread.start()
            answered = 0
            small = http.client.HTTPConnection(urlsplit(url).netloc, timeout=250)
            while not done.is_set():
                small.request("GET", "/healthz")
                self.assertEqual(small.getresponse().read(), b'{"status":"alive"}')
                answered += 1
                time.sleep(0.001)
            thread.join()
            small.close()
            self.assertGreater(sizes[0], 200 * 1000 * 1000)
            self.assertGreater(answered, 20)

    def test_metrics_and_log_tell_what_went_over_the_wire(self):
        def counters():
            lines = self.ask("/metrics", None, method="GET")[2].decode().splitlines()
            return {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith("#")}

        sent, received = "lossd_sent_bytes_total", "lossd_received_bytes_total"
        body = gzip.compress(self.LARGE)
        before = counters()
        answer = self.ask(MSE, body, Content_Encoding="gzip", Accept_Encoding="zstd")
        deadline = time.monotonic() + 60
        after = counters()
        while after[received] == before[received] and time.monotonic() < deadline:  # counted when the answer is out
            before, after = after, counters()
        self.assertEqual(after[received] - before[received], len(body))
        self.assertGreaterEqual(after[sent] - before[sent], len(answer[2]))
        self.assertLess(after[sent] - before[sent], len(gzip.decompress(self.ask(
            MSE, body, Content_Encoding="gzip", Accept_Encoding="gzip")[2])))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
