# SPDX-License-Identifier: Apache-2.0
"""Pages of other origins: none may call unless --cors-origin says so, and then every answer tells them. test_cors.py LOSSD."""

import sys
import unittest

from lossd_server import lossd
from wire import Wire, head, post

MSE = "/v1/losses/mean_squared_error"
BODY = b'{"labels": [1, 2], "predictions": [2, 4]}'
APP, OTHER = "https://app.example", "https://other.example"
PROGRAM = None


def cors_fields(answer):
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


def preflight(target, origin, method="POST"):
    return head("OPTIONS", target, f"Origin: {origin}", f"Access-Control-Request-Method: {method}",
                "Access-Control-Request-Headers: content-type, idempotency-key")


class Cors(unittest.TestCase):
    def ask_all(self, url, origin):
        """An answer, a preflight, a refusal by the head, and one in the middle of a body."""
        wire = Wire(url)
        yield wire.ask(post(MSE, BODY, f"Origin: {origin}")), 200
        yield wire.ask(preflight(MSE, origin), "OPTIONS"), 204
        yield wire.ask(head("GET", "/nowhere", f"Origin: {origin}"), "GET"), 404
        late = head("POST", MSE, "Content-Type: application/json", "Content-Length: 99999999", f"Origin: {origin}")
        yield wire.ask(late + b"{,"), 400
        wire.close()

    def test_without_the_option_nobody_is_told(self):
        with lossd(PROGRAM) as (url, _):
            for answer, status in self.ask_all(url, APP):
                self.assertEqual(answer.status, status)
                self.assertEqual(cors_fields(answer), {})
                self.assertNotIn("Vary", answer.headers)

    def test_listed_origins(self):
        with lossd(PROGRAM, "--cors-origin", f"http://localhost:3000,{APP}") as (url, _):
            for answer, status in self.ask_all(url, APP):
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["Access-Control-Allow-Origin"], APP)
                self.assertIn("Origin", answer.headers["Vary"])
                if status != 204:
                    self.assertIn("X-Request-Id", answer.headers["Access-Control-Expose-Headers"])
            for answer, status in self.ask_all(url, OTHER):
                self.assertEqual(answer.status, status)
                self.assertEqual(cors_fields(answer), {})
                self.assertIn("Origin", answer.headers["Vary"])
            wire = Wire(url)
            answer = wire.ask(preflight("/v1/registries/run/losses", APP), "OPTIONS")
            self.assertEqual(answer.headers["Access-Control-Allow-Methods"], answer.headers["Allow"])
            self.assertEqual(answer.headers["Allow"], "POST, GET, HEAD, OPTIONS")
            for name in ("Content-Type", "Idempotency-Key", "Authorization", "X-Request-Timeout-Ms"):
                self.assertIn(name, answer.headers["Access-Control-Allow-Headers"].split(", "))
            self.assertEqual(answer.headers["Access-Control-Max-Age"], "600")
            for origin in ("https://app.example.evil.example", "https://app.example:444", "null", "https://app.exampl",
                           "http://app.example", ""):
                answer = wire.ask(post(MSE, BODY, f"Origin: {origin}"))
                self.assertEqual((answer.status, cors_fields(answer)), (200, {}), origin)
            answer = wire.ask(post(MSE, BODY))
            self.assertEqual((answer.status, cors_fields(answer), answer.headers["Vary"]), (200, {}, "Origin"))
            wire.close()

    def test_every_origin(self):
        with lossd(PROGRAM, "--cors-origin", "*") as (url, _):
            for origin in (APP, OTHER, "null"):
                for answer, status in self.ask_all(url, origin):
                    self.assertEqual(answer.status, status)
                    self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "*")
                    self.assertNotIn("Vary", answer.headers)

    def test_lists_that_are_none(self):
        for value in ("app.example", "https://", "https://app.example/", "https://a.example,", "https://App.example", "*,*"):
            with self.subTest(value=value), self.assertRaises(RuntimeError):
                with lossd(PROGRAM, "--cors-origin", value):
                    pass


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
