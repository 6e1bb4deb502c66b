# SPDX-License-Identifier: Apache-2.0
"""JSONTestSuite over HTTP: each file as a whole body, and as a value inside an otherwise good request.

test_json_suite.py LOSSD. The suite's names say what must be: y_ accept, n_ refuse, i_ is ours to rule. Our rulings:
NaN and the infinities are numbers unless ?strict=true, a decimal beyond the dtype is refused, one too small or with too
many digits is rounded, a key given twice is refused, and nothing passes that is not UTF-8 or a pair of surrogates.
A file that is good JSON but no good request is refused, too, but for that reason.
"""

import json
import random
import re
import sys
import tempfile
import time
import unittest
from pathlib import Path

from lossd_server import lossd, stop
from wire import Wire, chunked, cut, post

SUITE = Path(__file__).resolve().parents[3] / "shared" / "json-test-suite" / "test_parsing"
FILES = 318
SLOW = 5.0  # seconds an answer may take, on a busy machine and with sanitizers; a few milliseconds are usual
PROGRAM = None

LITERALS = ("n_number_NaN", "n_number_infinity", "n_number_minus_infinity")
TWICE = ("y_object_duplicated_key", "y_object_duplicated_key_and_value")
BEYOND_DOUBLE = ("i_number_huge_exp", "i_number_neg_int_huge_exp", "i_number_pos_double_huge_exp",
                 "i_number_real_neg_overflow", "i_number_real_pos_overflow")
BEYOND_FLOAT = ("i_number_very_big_negative_int",)
ROUNDED = ("i_number_double_huge_neg_exp", "i_number_real_underflow", "i_number_too_big_neg_int", "i_number_too_big_pos_int",
           "i_number_very_big_negative_int")

# Where a file is put into a request that is good without it, and what a value there may be refused for (unknown_field
# also for a NUL in a member's name).
PLACES = {
    "labels": {"invalid_parameter", "shape_mismatch", "unknown_field", "missing_field"},
    "weights": {"invalid_parameter", "invalid_weights", "unknown_field", "missing_field"},
    "delta": {"invalid_parameter", "unknown_field"},
    "extra": {"unknown_field"},
    "gradients": {"invalid_parameter", "unknown_field"},
}
GOOD = {"labels": b"[0.5]", "predictions": b"[1.5]", "dtype": b'"float64"', "registry": b'"suite"'}
MSE, HUBER = "/v1/losses/mean_squared_error", "/v1/losses/huber_loss"


def is_json(name, strict=False):
    """Does the grammar, as we rule, take the file?"""
    if name[0] == "n":
        return name in LITERALS and not strict
    return name[0] == "y" or name in BEYOND_DOUBLE or name in ROUNDED


def inside(place, text):
    """The file as the value of a field in the middle of a request."""
    fields = {**GOOD, place: text}
    first = [key for key in fields if key not in (place, "registry")]
    return b"{" + b", ".join(b'"%s": %s' % (key.encode(), fields[key]) for key in (*first, place, "registry")) + b"}"


def numbers(value):
    """Is it a number, a boolean, or a flat list of them?"""
    return all(isinstance(x, (int, float)) for x in (value if isinstance(value, list) else [value]))


class Suite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.log = tempfile.TemporaryFile()
        cls.server = lossd(PROGRAM, log=cls.log)
        cls.url, cls.process = cls.server.__enter__()
        cls.wire, cls.other = Wire(cls.url), Wire(cls.url)
        cls.files = {path.stem: path.read_bytes() for path in sorted(SUITE.glob("*.json"))}
        cls.other_request = post(MSE, b'{"labels": [1, 2, 4], "predictions": [2, 2, 2], "gradients": true}')
        cls.other_answer = cls.other.ask(cls.other_request).body
        cls.slowest = (0, "")
        cls.requests = cls.added = 0

    @classmethod
    def tearDownClass(cls):
        cls.wire.close()
        cls.other.close()
        status = stop(cls.process)  # with sanitizers: also that nothing leaked
        cls.server.__exit__(None, None, None)
        print(f"{cls.requests} requests, the slowest took {cls.slowest[0] * 1e3:.1f} ms ({cls.slowest[1]})")
        if status != 0:
            cls.log.seek(0)
            raise AssertionError(f"lossd ended with {status}: {cls.log.read()[-4000:].decode(errors='replace')}")

    def ask(self, what, target, body, way):
        """One request: whole, in TCP segments with another client's request in between, or in chunks."""
        draw = random.Random(what)
        begun = time.monotonic()
        if way == "segments":
            data = post(target, body)
            start = len(data) - len(body)
            places = [draw.randrange(1, start), start, *(start + draw.randrange(len(body) + 1) for _ in range(3))]
            answer = self.wire.ask_in_pieces(cut(data, places), self.check_other_client)
        elif way == "chunks":
            most = 7 if len(body) < 2000 else 9000
            places, at = [], 0
            while at < len(body):
                at += draw.randrange(1, most)
                places.append(min(at, len(body)))
            answer = self.wire.ask(chunked(target, cut(body, places)))
        else:
            answer = self.wire.ask(post(target, body))
        took = time.monotonic() - begun
        type(self).requests += 1
        type(self).slowest = max(self.slowest, (took, what))
        self.assertLess(took, SLOW)
        return answer

    def check_other_client(self):
        answer = self.other.ask(self.other_request)
        self.assertEqual((answer.status, answer.body), (200, self.other_answer))

    def refusal(self, answer, text):
        """(status, code, pointer) of a problem document; the code is "syntax" where the grammar was broken."""
        self.assertIn(answer.status, (400, 413, 422), answer.body[:200])
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        problem = answer.document()
        self.assertEqual(problem["status"], answer.status)
        self.assertTrue(problem["title"] and problem["type"] and problem["request_id"])
        place = re.match(r"line (\d+), column (\d+): .", problem["detail"])
        if problem["code"] != "malformed_json" or place is None:
            return answer.status, problem["code"], problem.get("pointer", "")
        self.assertLessEqual(int(place[1]), text.count(b"\n") + 1)
        self.assertLessEqual(int(place[2]), len(text) + 1)
        return 400, "syntax", ""

    # Whole bodies

    def check_body(self, name, text, way, strict):
        answer = self.ask(f"{name} {way}", MSE + ("?strict=true" if strict else ""), text, way)
        status, code, pointer = self.refusal(answer, text)
        if not is_json(name, strict):
            self.assertEqual((status, code), (400, "syntax"), answer.body)
        elif name in BEYOND_DOUBLE:
            self.assertEqual((status, code, pointer), (400, "number_out_of_range", "/0"))
        elif name in TWICE:
            self.assertEqual((status, code, pointer), (400, "duplicate_field", "/a"))
        elif name.startswith("y_object"):
            self.assertIn((status, code), ((400, "unknown_field"), (400, "missing_field")), answer.body)
        else:
            self.assertEqual((status, code), (400, "malformed_json"), answer.body)
            self.assertIn("must be one JSON object", answer.document()["detail"])

    def test_whole_bodies_are_ruled_as_written(self):
        self.assertEqual(len(self.files), FILES)
        for name, text in self.files.items():
            for way in ("whole", "segments", "chunks"):
                with self.subTest(file=name, way=way):
                    self.check_body(name, text, way, strict=False)

    def test_strict_refuses_every_n_file(self):
        for name, text in self.files.items():
            with self.subTest(file=name):
                self.check_body(name, text, "whole", strict=True)

    # Inside of requests

    def check_place(self, place, name, text, way):
        body = inside(place, text)
        answer = self.ask(f"{name} as {place} {way}", HUBER if place == "delta" else MSE, body, way)
        if answer.status == 200:
            self.check_accepted(place, name, text, answer.document())
            return
        status, code, pointer = self.refusal(answer, body)
        if not is_json(name):
            self.assertEqual((status, code), (400, "syntax"), answer.body)
        elif name in TWICE:
            self.assertEqual((status, code, pointer), (400, "duplicate_field", f"/{place}/a"))
        elif name in BEYOND_DOUBLE and place in ("labels", "weights"):
            self.assertEqual((status, code, pointer), (400, "number_out_of_range", f"/{place}/0"))
        else:
            self.assertIn(code, PLACES[place], answer.body)
            self.assertEqual((pointer + "/").find(f"/{place}/"), 0, answer.body)
            self.assertFalse(self.must_be_taken(place, name, text), answer.body)

    @staticmethod
    def must_be_taken(place, name, text):
        value = json.loads(text)
        if place in ("labels", "weights"):
            fits = isinstance(value, list) and len(value) == 1 or (place == "weights" and not isinstance(value, list))
            return numbers(value) and fits and name not in BEYOND_DOUBLE
        if place == "delta":
            return type(value) in (int, float) and value > 0
        return place == "gradients" and (isinstance(value, bool) or value == [])

    def check_accepted(self, place, name, text, answer):
        type(self).added += 1
        self.assertTrue(is_json(name) and self.must_be_taken(place, name, text), answer)
        value = json.loads(text)
        if place == "labels" and name not in LITERALS:
            wanted = (float(value[0]) - 1.5) ** 2
            self.assertAlmostEqual(answer["loss"] / wanted, 1, delta=1e-14)

    def test_values_inside_of_requests_are_ruled_as_written(self):
        for name, text in self.files.items():
            for place in PLACES:
                ways = ("whole", "segments", "chunks") if place == "labels" else ("whole",)
                for way in ways:
                    with self.subTest(file=name, place=place, way=way):
                        self.check_place(place, name, text, way)
        # What was refused added nothing.
        registry = Wire(self.url).ask(b"GET /v1/registries/suite HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET")
        self.assertEqual(registry.document()["entries"], self.added)
        self.assertGreater(self.added, 60)

    def test_a_finite_number_beyond_float32_is_refused_there(self):
        for name in BEYOND_FLOAT:
            body = inside("labels", self.files[name]).replace(b"float64", b"float32")
            self.assertEqual(self.refusal(self.ask(name, MSE, body, "whole"), body),
                             (400, "number_out_of_range", "/labels/0"))

    def test_deep_nesting_is_refused_by_its_depth(self):
        for name in ("n_structure_100000_opening_arrays", "n_structure_open_array_object", "i_structure_500_nested_arrays"):
            answer = self.ask(name, MSE, self.files[name], "whole")
            self.assertIn("nested deeper than 64", answer.document()["detail"])


if __name__ == "__main__":
    if not SUITE.is_dir():
        print(f"skipped: there is no JSONTestSuite at {SUITE}")
        sys.exit(77)
    PROGRAM = sys.argv.pop(1)
    unittest.main()
