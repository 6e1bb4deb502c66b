# SPDX-License-Identifier: Apache-2.0
"""HEAD, OPTIONS and methods that a path does not take, on every path of the served OpenAPI document. test_methods.py LOSSD."""

import json
import re
import sys
import unittest

from lossd_server import lossd
from wire import Wire, head

PROGRAM = None
SAMPLES = {"loss": "huber_loss", "registry": "run", "name": "a", "version": "1"}
TRIED = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FETCH")


class Methods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = lossd(PROGRAM)
        url, _ = cls.server.__enter__()
        cls.wire = Wire(url)
        body = b'{"loss": 1, "name": "a"}'
        added = cls.wire.ask(head("POST", "/v1/registries/run/losses", "Content-Type: application/json", f"Content-Length: {len(body)}") + body)
        assert added.status == 201, added
        document = json.loads(cls.wire.ask(head("GET", "/openapi.json"), "GET").body)
        cls.paths = {}
        for path, item in document["paths"].items():
            target = re.sub(r"\{(\w+)\}", lambda match: SAMPLES[match[1]], path)
            methods = {method.upper() for method in item if method in ("get", "post", "put", "delete", "patch")}
            if re.fullmatch(r"/v1/losses/\w+", target):
                methods |= {"GET", "POST"}  # a path of one loss and {loss} are the same to the server
            cls.paths.setdefault(target, set()).update(methods)

    @classmethod
    def tearDownClass(cls):
        cls.wire.close()
        cls.server.__exit__(None, None, None)

    def allowed(self, methods):
        return methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())

    def listed(self, answer):
        names = answer.headers["Allow"].split(", ")
        self.assertEqual(len(names), len(set(names)), names)
        return set(names)

    def test_there_are_paths_of_each_kind(self):
        self.assertGreater(len(self.paths), 80)
        self.assertTrue({"/", "/v2/", "/v1/registries/run/losses/a", "/v2/models/huber_loss/versions/1/infer"} <= set(self.paths))

    def test_options_says_what_a_path_takes(self):
        for target, methods in self.paths.items():
            answer = self.wire.ask(head("OPTIONS", target), "OPTIONS")
            self.assertEqual((answer.status, answer.body), (204, b""), target)
            self.assertEqual(self.listed(answer), self.allowed(methods), target)

    def test_head_is_get_without_its_body(self):
        for target, methods in self.paths.items():
            if "GET" in methods:
                got = self.wire.ask(head("GET", target), "GET")
                answer = self.wire.ask(head("HEAD", target), "HEAD")
                self.assertEqual((answer.status, answer.body), (200, b""), target)
                for name in ("Content-Type", "Content-Length", "Transfer-Encoding", "Vary"):
                    if target != "/metrics" or name != "Content-Length":  # it has counted the request
                        self.assertEqual(answer.headers[name], got.headers[name], (target, name))

    def test_other_methods_are_405_and_say_which_would_do(self):
        for target, methods in self.paths.items():
            for method in set(TRIED) - self.allowed(methods):
                answer = self.wire.ask(head(method, target), method)
                self.assertEqual(answer.status, 405, (method, target))
                self.assertEqual(self.listed(answer), self.allowed(methods), (method, target))
                if method != "HEAD" and not target.startswith("/v2"):
                    self.assertEqual(answer.document()["code"], "method_not_allowed")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
