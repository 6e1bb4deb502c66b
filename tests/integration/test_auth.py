# SPDX-License-Identifier: Apache-2.0
"""Who gets in: keys, scopes, namespaces, rate limits and their reload, over HTTP against a whole server."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from lossd_server import lossd, wait_until
from redis_server import Redis
from wire import Wire, head

LOSSD = Path(sys.argv.pop(1))
HUBER = b'{"labels":[1,2],"predictions":[1.5,5]}'
OPEN = ["/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"]
DOCS = ["/", "/openapi.json", "/v1/losses", "/v1/losses/huber_loss", "/v2", "/v2/", "/v2/models/huber_loss",
        "/v2/models/huber_loss/ready", "/v2/models/huber_loss/versions/1"]
METRICS = ["/metrics", "/v2/models/stats", "/v2/models/huber_loss/stats"]


def new_key():
    return "lossd_" + secrets.token_hex(24)


def line(name, key, scopes, *fields):
    return " ".join([name, "sha256:" + hashlib.sha256(key.encode()).hexdigest(), "scopes=" + scopes, *fields]) + "\n"


class Server:
    """A lossd with a file of keys, and requests to it."""

    def __init__(self, url, process, keys, log):
        self.wire, self.process, self.keys, self.log = Wire(url), process, keys, log

    def ask(self, method, target, body=b"", key=None, fields=()):
        fields = list(fields)
        if key is not None:
            fields.append(f"Authorization: Bearer {key}")
        if body:
            fields += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return self.wire.ask(head(method, target, *fields) + body, method)

    def reload(self, text, expect=" read from "):
        self.keys.write_text(text)
        seen = self.log.read_text().count(expect)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.log.read_text().count(expect) > seen, self.process)


@contextlib.contextmanager
def serve(text, *options, mode=0o600):
    with tempfile.TemporaryDirectory() as folder:
        keys, log = Path(folder) / "keys", Path(folder) / "log"
        keys.write_text(text)
        keys.chmod(mode)
        with log.open("w") as out, lossd(LOSSD, "--auth-file", str(keys), *options, log=out) as (url, process):
            server = Server(url, process, keys, log)
            try:
                yield server
            finally:
                server.wire.close()


class Keys(unittest.TestCase):
    def check_problem(self, answer, status, code):
        self.assertEqual(answer.status, status)
        document = answer.document()
        self.assertEqual((document["status"], document["code"]), (status, code))
        return document["detail"]

    def test_let_in_whom_the_file_names(self):
        key = new_key()
        with serve(line("alice", key, "compute")) as server:
            for fields in ([f"Authorization: Bearer {key}"], [f"Authorization:bearer   {key}  "], [f"X-API-Key: {key}"],
                           ["Authorization: Basic eDp5", f"X-API-Key: {key}"]):
                answer = server.ask("POST", "/v1/losses/huber_loss", HUBER, fields=fields)
                self.assertEqual(answer.status, 200, fields)
            for fields in ([], ["Authorization: Bearer"], ["Authorization: Bearer "], [f"Authorization: {key}"],
                           [f"Authorization: Basic {key}"], ["X-API-Key:"], [f"Authorization: Bearer {key}x"],
                           [f"Authorization: Bearer {key[:-1]}"], [f"Authorization: Bearer {key.upper()}"],
                           ["Authorization: Bearer x", f"X-API-Key: {key}"],
                           ["Authorization: Bearer " + hashlib.sha256(key.encode()).hexdigest()]):
                answer = server.ask("POST", "/v1/losses/huber_loss", HUBER, fields=fields)
                self.check_problem(answer, 401, "unauthorized")
                self.assertEqual(answer.headers["WWW-Authenticate"], 'Bearer realm="lossd"')
            wait_until(lambda: '"key":"alice"' in server.log.read_text(), server.process)
            self.assertNotIn(key, server.log.read_text())

    def test_are_hidden_where_they_get_into_what_is_logged(self):
        key, unknown = new_key(), new_key()
        for form in ("text", "json"):
            with serve(line("a", key, "compute"), "--log-format", form) as server:
                for target, fields in ((f"/v1/losses?key={key}", []), (f"/{unknown}/{key}?x=", []), ("/" + "a" * 230 + key, []),
                                       ("/v1/losses", [f"X-Request-Id: {key}"])):
                    server.ask("GET", target, key=key, fields=fields)
                wait_until(lambda: "GET /v1/losses " in server.log.read_text() or '"/v1/losses"' in server.log.read_text(), server.process)
                log = server.log.read_text()
                self.assertIn("/v1/losses?key=lossd_" + "x" * 48, log)
                self.assertIsNone(re.search("lossd_[0-9a-f]{16}", log))

    def test_are_asked_for_everywhere_but_where_health_is_told(self):
        key = new_key()
        with serve(line("a", key, "compute")) as server:
            for target in OPEN:
                self.assertEqual(server.ask("GET", target).status, 200, target)
            for target in [*DOCS, *METRICS, "/v1/registries", "/nowhere", "/v1/losses/nosuch", "/v1/registries/a?x=y"]:
                for method in ("GET", "HEAD", "POST", "DELETE"):
                    self.assertEqual(server.ask(method, target).status, 401, (method, target))
            for target in DOCS:
                self.assertEqual(server.ask("GET", target, key=key).status, 200, target)
            self.assertEqual(server.ask("GET", "/nowhere", key=key).status, 404)
            self.assertEqual(server.ask("DELETE", "/v1/losses", key=key).status, 405)
            self.assertEqual(server.ask("OPTIONS", "/v1/losses").status, 204)  # browsers ask without a key
            self.assertIn("error", server.ask("POST", "/v2/models/huber_loss/infer", b"{}").document())

    def test_are_not_asked_for_where_the_options_say_so(self):
        for which in ("none", "docs", "metrics", "all"):
            with serve("", "--open-paths", which) as server:
                for targets, word in ((DOCS, "docs"), (METRICS, "metrics")):
                    expected = 200 if which in (word, "all") else 401
                    for target in targets:
                        self.assertEqual(server.ask("GET", target).status, expected, (which, target))
                self.assertEqual(server.ask("POST", "/v1/losses/huber_loss", HUBER).status, 401)
                self.assertEqual(server.ask("GET", "/v1/registries").status, 401)

    def test_are_looked_at_before_the_body_is_sent(self):
        with serve("") as server:
            server.wire.send(head("POST", "/v1/losses/huber_loss", "Content-Length: 1000000", "Expect: 100-continue"))
            self.check_problem(server.wire.receive(), 401, "unauthorized")

    def test_are_limited_to_their_scopes(self):
        scopes = ["compute", "registry:read", "registry:write", "admin"]
        keys = {scope: new_key() for scope in scopes}
        calls = {"compute": [("POST", "/v1/losses/huber_loss", HUBER), ("POST", "/v2/models/huber_loss/infer", b"{}"),
                             ("POST", "/v1/evaluate", b"{}")],
                 "registry:read": [("GET", "/v1/registries", b""), ("GET", "/v1/registries/r", b""),
                                   ("GET", "/v1/registries/r/losses", b""), ("GET", "/v1/registries/r/total_loss", b"")],
                 "registry:write": [("PUT", "/v1/registries/r", b"{}"), ("DELETE", "/v1/registries/r", b""),
                                    ("POST", "/v1/registries/r/losses", b'{"loss":1}')],
                 "admin": [("GET", target, b"") for target in METRICS]}
        with serve("".join(line("k-" + s.replace(":", "-"), keys[s], s, "namespace=one") for s in scopes)) as server:
            for needed, those in calls.items():
                for has in scopes:
                    for method, target, body in those:
                        answer = server.ask(method, target, body, keys[has])
                        self.assertEqual(answer.status == 403, has != needed, (method, target, has))
                        if has != needed and not target.startswith("/v2"):
                            self.assertEqual(self.check_problem(answer, 403, "forbidden"),
                                             f'this needs the scope {needed}, which the key "k-{has.replace(":", "-")}" '
                                             "does not have")

    def test_are_let_in_as_the_openapi_document_says(self):
        keys = {scope: new_key() for scope in ("compute", "registry:read", "registry:write", "admin")}
        with serve("".join(line("k-" + s.replace(":", "-"), keys[s], s) for s in keys)) as server:
            document = server.ask("GET", "/openapi.json", key=keys["admin"]).document()
            self.assertEqual(set(document["components"]["securitySchemes"]), {"bearer", "header"})
            paths = document["paths"]
            names = {"{loss}": "huber_loss", "{version}": "1", "{registry}": "r", "{name}": "n"}
            for path, operations in paths.items():
                for method, operation in operations.items():
                    if path.startswith("/v1/losses/") and path != "/v1/losses/{loss}":
                        self.assertEqual(operation["security"], paths["/v1/losses/{loss}"][method]["security"])
                        continue
                    target = re.sub(r"\{\w+\}", lambda found: names[found[0]], path)
                    ways = [way for way in operation["security"] if way]
                    asks = lambda key: server.ask(method.upper(), target, b"", key).status
                    self.assertEqual(asks(None) == 401, bool(ways), (method, path))
                    if ways:
                        self.assertEqual(ways, [{"bearer": ways[0]["bearer"]}, {"header": ways[0]["bearer"]}])
                    for scope, key in keys.items():
                        refused = bool(ways) and ways[0]["bearer"] not in ([], [scope])
                        self.assertEqual(asks(key) == 403, refused, (method, path, scope))

    def test_need_the_scope_to_write_where_a_body_names_a_registry(self):
        key, both = new_key(), new_key()
        into = b'{"labels":[1],"predictions":[2],"registry":"r"}'
        several = b'{"tensors":{},"losses":[%s,{"loss":"huber_loss",%s]}' % (
            b'{"loss":"huber_loss",' + HUBER[1:], into[1:])
        with serve(line("a", key, "compute,registry:read") + line("b", both, "compute,registry:write,registry:read", "namespace=a")) as server:
            for target, body, pointer in (("/v1/losses/huber_loss", into, "/registry"),
                                          ("/v1/evaluate", several, "/losses/1/registry")):
                answer = server.ask("POST", target, body, key)
                self.check_problem(answer, 403, "forbidden")
                self.assertEqual(answer.document()["pointer"], pointer)
                self.assertEqual(server.ask("GET", "/v1/registries/r", key=key).status, 404)
            for target, body, _ in (("/v1/losses/huber_loss", into, ""), ("/v1/evaluate", several, "")):
                self.assertEqual(server.ask("POST", target, body, both).status, 200)
            self.assertEqual(server.ask("GET", "/v1/registries/r", key=key).document()["entries"], 2)

    def test_expire(self):
        soon = time.time() + 3
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(soon))
        old, new = new_key(), new_key()
        with serve(line("old", old, "compute", "expires=2020-01-01") + line("new", new, "compute", "expires=" + at)) as server:
            self.assertEqual(self.check_problem(server.ask("GET", "/v1/losses", key=old), 401, "unauthorized"),
                             "the key has expired")
            if time.time() < soon - 2:
                self.assertEqual(server.ask("GET", "/v1/losses", key=new).status, 200)
            wait_until(lambda: server.ask("GET", "/v1/losses", key=new).status == 401, server.process)

    def test_are_read_anew_on_sighup_without_a_break(self):
        a, b = new_key(), new_key()
        with serve(line("a", a, "compute")) as server:
            self.assertEqual(server.ask("GET", "/v1/losses", key=a).status, 200)
            connection = server.wire.socket
            server.reload(line("a", a, "compute") + line("b", b, "compute"), "2 keys read from")
            self.assertEqual(server.ask("GET", "/v1/losses", key=b).status, 200)
            server.reload(line("b", b, "compute"), "1 key read from")
            self.assertEqual(server.ask("GET", "/v1/losses", key=a).status, 401)
            server.reload("nonsense\n", "the keys stay as they were")
            self.assertEqual(server.ask("GET", "/v1/losses", key=b).status, 200)
            server.reload("")
            self.assertEqual(server.ask("GET", "/v1/losses", key=b).status, 401)
            self.assertIs(server.wire.socket, connection)

    def test_that_are_bad_keep_the_server_from_starting(self):
        with tempfile.TemporaryDirectory() as folder:
            keys, log = Path(folder) / "keys", Path(folder) / "log"
            for text, says in (("alice\n", "keys:1: behind the name"), (None, "No such file")):
                keys.unlink(missing_ok=True)
                if text is not None:
                    keys.write_text(text)
                with log.open("w") as out, self.assertRaisesRegex(RuntimeError, "ended with status 1"):
                    with lossd(LOSSD, "--auth-file", str(keys), log=out):
                        pass
                self.assertIn(says, log.read_text())

    def test_are_warned_of_where_others_can_read_them(self):
        for mode, warned in ((0o600, False), (0o640, False), (0o644, True), (0o660, True)):
            with serve("", mode=mode) as server:
                self.assertEqual("can be read or written by others" in server.log.read_text(), warned, oct(mode))

    def test_are_counted_by_name(self):
        a, admin = new_key(), new_key()
        with serve(line("a", a, "compute", "rate=1/h", "burst=3") + line("root", admin, "admin")) as server:
            server.ask("POST", "/v1/losses/huber_loss", HUBER, a)
            server.ask("POST", "/v1/losses/huber_loss", b"{}", a)
            server.ask("GET", "/v1/registries", key=a)
            server.ask("GET", "/v1/losses", key=a)
            server.ask("GET", "/v1/losses", key="x")
            server.ask("GET", "/v1/losses")
            text = server.ask("GET", "/metrics", key=admin).body.decode()
            for expected in ('lossd_key_requests_total{key="a",status="2xx"} 1', 'lossd_key_requests_total{key="a",status="4xx"} 3',
                             'lossd_key_rows_total{key="a"} 2', 'lossd_key_rate_limited_total{key="a"} 1',
                             'lossd_unauthorized_total{reason="missing"} 1', 'lossd_unauthorized_total{reason="unknown"} 1',
                             'lossd_unauthorized_total{reason="expired"} 0'):
                self.assertIn(expected + "\n", text)


class Limits(unittest.TestCase):
    def test_hold_a_key_to_its_rate_and_no_other(self):
        slow, fast = new_key(), new_key()
        with serve(line("slow", slow, "compute", "rate=2/h", "burst=3") + line("fast", fast, "compute")) as server:
            statuses = [server.ask("POST", "/v1/losses/huber_loss", HUBER, slow).status for _ in range(5)]
            self.assertEqual(statuses, [200, 200, 200, 429, 429])
            answer = server.ask("GET", "/v1/losses", key=slow)
            self.assertEqual(answer.status, 429)
            self.assertEqual(answer.document()["code"], "rate_limited")
            self.assertTrue(1700 < int(answer.headers["Retry-After"]) <= 1800)
            self.assertEqual(server.ask("GET", "/v1/losses", key=fast).status, 200)
            self.assertEqual(server.ask("GET", "/healthz", key=slow).status, 200)  # costs nothing
            server.reload(server.keys.read_text())  # is no way to get tokens
            self.assertEqual(server.ask("GET", "/v1/losses", key=slow).status, 429)
            server.reload(line("slow", slow, "compute"))
            self.assertEqual(server.ask("GET", "/v1/losses", key=slow).status, 200)

    def test_let_a_key_go_on_when_it_has_waited_as_told(self):
        key = new_key()
        with serve(line("a", key, "compute", "rate=2/s", "burst=1")) as server:
            self.assertEqual(server.ask("GET", "/v1/losses", key=key).status, 200)
            answer = server.ask("GET", "/v1/losses", key=key)
            if answer.status == 429:  # a stalled machine may have let half a second pass
                self.assertEqual(answer.headers["Retry-After"], "1")
                time.sleep(1)
                self.assertEqual(server.ask("GET", "/v1/losses", key=key).status, 200)


class Namespaces(unittest.TestCase):
    SCOPES = "compute,registry:read,registry:write"

    def test_are_as_if_there_were_no_other(self):
        with tempfile.TemporaryDirectory() as folder:
            self.check_apart(f"sqlite:{folder}/registry.db")
        self.check_apart("memory")

    @unittest.skipIf(shutil.which("redis-server") is None, "redis-server is not there")
    def test_are_as_if_there_were_no_other_in_redis(self):
        with tempfile.TemporaryDirectory() as folder, Redis(folder) as redis:
            self.check_apart(redis.url)

    def check_apart(self, store):
        a, a_too, b = new_key(), new_key(), new_key()
        keys = line("a", a, self.SCOPES) + line("a-2", a_too, self.SCOPES, "namespace=a") + line("b", b, self.SCOPES)
        with serve(keys, "--store", store) as server:
            add = lambda key, loss, *fields: server.ask("POST", "/v1/registries/run/losses", b'{"loss":%d}' % loss, key, fields)
            self.assertEqual(add(a, 1, "Idempotency-Key: k").status, 201)
            for target in ("/v1/registries/run", "/v1/registries/run/losses", "/v1/registries/run/losses/loss",
                           "/v1/registries/run/total_loss", "/v1/registries/run/regularization_loss"):
                theirs = server.ask("GET", target, key=b)
                nobodys = server.ask("GET", target.replace("run", "nix"), key=b)
                self.assertEqual(self.shown(theirs), self.shown(nobodys).replace("nix", "run"))
                self.assertEqual(theirs.document()["code"], "unknown_registry")
            self.assertEqual(server.ask("DELETE", "/v1/registries/run", key=b).status, 404)
            self.assertEqual(server.ask("GET", "/v1/registries", key=b).document(), {"registries": []})
            self.assertEqual(add(b, 20, "Idempotency-Key: k").status, 201)  # the key is not taken there
            self.assertEqual(add(b, 2, "Idempotency-Key: k").status, 409)
            self.assertEqual(add(a_too, 1, "Idempotency-Key: k").document()["loss"], 1)  # a repeat
            body = b'{"labels":[1],"predictions":[2],"registry":"run","name":"h"}'
            self.assertEqual(server.ask("POST", "/v1/losses/huber_loss", body, a_too).document()["entry"]["name"], "h")
            self.assertEqual(server.ask("GET", "/v1/registries/run/total_loss", key=a).document(), {"total_loss": 1.5, "count": 2})
            self.assertEqual(server.ask("GET", "/v1/registries/run/total_loss", key=b).document(), {"total_loss": 20, "count": 1})
            self.assertEqual([r["registry"] for r in server.ask("GET", "/v1/registries", key=a).document()["registries"]], ["run"])
            self.assertEqual(server.ask("GET", "/v1/registries/%1Fa%1Frun", key=b).status, 400)
            self.assertEqual(server.ask("DELETE", "/v1/registries/run", key=b).document(), {"removed": 1})
            self.assertEqual(server.ask("GET", "/v1/registries/run/total_loss", key=a).status, 200)

    def shown(self, answer):
        return re.sub(r'"request_id": ?"[^"]*"', "", answer.body.decode())

    def test_leave_what_was_there_to_the_default_one(self):
        key, default = new_key(), new_key()
        with tempfile.TemporaryDirectory() as folder:
            store = ["--store", f"sqlite:{folder}/registry.db"]
            with lossd(LOSSD, *store) as (url, process):
                server = Server(url, process, None, None)
                server.ask("POST", "/v1/registries/old/losses", b'{"loss":1}')
                server.wire.close()
            keys = line("a", key, self.SCOPES) + line("b", default, self.SCOPES, "namespace=default")
            with serve(keys, *store) as server:
                self.assertEqual(server.ask("GET", "/v1/registries/old", key=key).status, 404)
                self.assertEqual(server.ask("GET", "/v1/registries/old", key=default).status, 200)
                server.ask("POST", "/v1/registries/new/losses", b'{"loss":1}', key)
                server.ask("POST", "/v1/registries/more/losses", b'{"loss":1}', default)
            with lossd(LOSSD, *store) as (url, process):  # and back again
                server = Server(url, process, None, None)
                names = [r["registry"] for r in server.ask("GET", "/v1/registries").document()["registries"]]
                self.assertEqual(names, ["more", "old"])
                server.wire.close()


class Signals(unittest.TestCase):
    def test_of_a_hangup_end_no_server(self):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            with log.open("w") as out, lossd(LOSSD, log=out) as (url, process):
                os.kill(process.pid, signal.SIGHUP)
                wait_until(lambda: "nothing to read again" in log.read_text(), process)
                server = Server(url, process, None, log)
                self.assertEqual(server.ask("GET", "/readyz").status, 200)
                server.wire.close()


if __name__ == "__main__":
    unittest.main()
