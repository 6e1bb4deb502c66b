# SPDX-License-Identifier: Apache-2.0
"""Requests whose end two readers could see in different places (request smuggling). test_smuggling.py LOSSD.

Each is followed, in the same bytes, by a second request. Where the first is refused the connection has to close: an answer
to the second one, or to what is left of the first, would be an answer to something that a proxy in between never saw as a
request.
"""

import random
import re
import socket
import sys
import time
import unittest

from lossd_server import lossd
from wire import Wire, cut

BODY = b'{"labels":[1],"predictions":[2]}'
LENGTH = b"Content-Length: 32\r\n"
NEXT = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"
LINE = b"POST /v1/losses/huber_loss HTTP/1.1\r\n"
ROUNDS = 400
PROGRAM = None


def post(fields, body=BODY, line=LINE, host=b"Host: x\r\n"):
    return line + host + fields + b"\r\n" + body


def chunked(body):
    return post(b"Transfer-Encoding: chunked\r\n", body)


# Refused: one 4xx or 505, or none, and closed.
REFUSED = {
    # Two lengths
    "length and coding": post(LENGTH + b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "coding and length": post(b"Transfer-Encoding: chunked\r\n" + LENGTH, b"0\r\n\r\n"),
    "two lengths": post(LENGTH + b"Content-Length: 5\r\n"),
    "the same length twice": post(LENGTH * 2),
    "two lengths in another case": post(LENGTH + b"content-length: 5\r\n"),
    "a list of lengths": post(b"Content-Length: 32, 32\r\n"),
    "a list of other lengths": post(b"Content-Length: 32, 5\r\n"),
    "two codings": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    "coding in HTTP/1.0": post(b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n", LINE.replace(b"1.1", b"1.0")),
    # Hosts
    "no host": post(LENGTH, host=b""),
    "two hosts": post(b"Host: y\r\n" + LENGTH),
    "the same host twice": post(b"Host: x\r\n" + LENGTH),
    # Ends of lines
    "line feeds alone": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "one line feed alone": post(b"X-A: b\n" + LENGTH),
    "a line feed alone at the end": post(LENGTH[:-2] + b"\n"),
    "a line feed alone ends the head": LINE + b"Host: x\r\n" + LENGTH + b"\n" + BODY,
    "a carriage return alone": post(b"X-A: b\rContent-Length: 0\r\n" + LENGTH),
    "a carriage return in a name": post(b"X-A\r: b\r\n" + LENGTH),
    # Lines that go on
    "a folded field": post(b"X-A: b\r\n c\r\n" + LENGTH),
    "a folded length": post(b"Content-Length: \r\n 32\r\n"),
    "a folded length, another": post(b"Content-Length: 3\r\n 2\r\n"),
    "a folded coding": post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    "a folded field that hides a coding": post(b"X-A: b\r\n Transfer-Encoding: chunked\r\n" + LENGTH),
    "a folded field that hides a length": post(b"X-A: b\r\n\tContent-Length: 0\r\n" + LENGTH),
    "a folded first line": LINE + b" Host: x\r\n" + LENGTH + b"\r\n" + BODY,
    # Zero bytes
    "a zero byte in a value": post(b"X-A: b\0c\r\n" + LENGTH),
    "a zero byte in a length": post(b"Content-Length: 32\x000\r\n"),
    "a zero byte behind a coding": post(b"Transfer-Encoding: chunked\0\r\n", b"0\r\n\r\n"),
    "a zero byte in a name": post(b"Content-\0Length: 4\r\n" + LENGTH),
    "a zero byte behind a name": post(b"Content-Length\0: 4\r\n" + LENGTH),
    "a zero byte in the target": b"GET /healthz\0x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a zero byte in the method": b"GE\0T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a zero byte in the query": b"GET /v1/registries?limit=1\0&limit=2 HTTP/1.1\r\nHost: x\r\n\r\n",
    # Names
    "a space before the colon": post(b"Content-Length : 32\r\n"),
    "a tab before the colon": post(b"Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n"),
    "a space in a name": post(b"Transfer Encoding: chunked\r\n" + LENGTH),
    "no colon": post(b"X-A\r\n" + LENGTH),
    "no name": post(b": b\r\n" + LENGTH),
    # First lines
    "two spaces before the target": b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces before the version": b"GET /healthz  HTTP/1.1\r\nHost: x\r\n\r\n",
    "tabs in the first line": b"GET\t/healthz\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the target": b"GET /heal thz HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /healthz\r\nHost: x\r\n\r\n",
    "HTTP/2.0": post(LENGTH, line=LINE.replace(b"1.1", b"2.0")),
    "HTTP/0.9": post(LENGTH, line=LINE.replace(b"1.1", b"0.9")),
    "HTTP/1.10": post(LENGTH, line=LINE.replace(b"1.1", b"1.10")),
    "http/1.1": post(LENGTH, line=LINE.replace(b"HTTP", b"http")),
    # Chunks
    "a chunk of a negative size": chunked(b"-20\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size with a sign": chunked(b"+20\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size with 0x": chunked(b"0x20\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size behind a space": chunked(b" 20\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size and a space": chunked(b"20 \r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": chunked(b"100000000000000020\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size of all bits": chunked(b"ffffffffffffffff\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "no chunk size": chunked(b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk without its end": chunked(b"20\r\n" + BODY + b"0\r\n\r\n"),
    "a chunk that is longer than it says": chunked(b"1f\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a line feed in a chunk's extension": chunked(b"20;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n"),
}
for value in (b"0x20", b"+32", b"-32", b"-0", b"3 2", b"", b"3e1", b'"32"', b"\x0b32", "٣٢".encode(), b"32;", b"32\x0c", b"32.0",
              b"18446744073709551615", b"18446744073709551616", b"18446744073709551648", b"99999999999999999999999999999999"):
    REFUSED[f"length {value!r}"] = post(b"Content-Length: " + value + b"\r\n")
for value in (b"chunked ", b"chunked,", b"chunked, chunked", b",chunked", b"identity", b"chunked, identity", b"identity, chunked",
              b"gzip, chunked", b"chunked;q=1", b"xchunked", b"chunkedx", b'"chunked"', b"'chunked'", b"chunked\x0b", b"\x0bchunked",
              b"chun ked", b"x chunked", b"cow", b"", b"gzip", b"deflate", b"compress", b"br", b"trailers", b"\0chunked", b"c\xc4\xa5unked",
              b"chunked/1", b"1chunked", b"chunked, cow", b"cow, chunked", b"chunked cow", b"(chunked)", b"chunked\xa0", b"chunked\t",
              b"chunked\x7f", b"chunked: chunked", b"Chunked, Chunked", b"\x00", b"chunked\r", b"%63hunked", b"chunked\\"):
    REFUSED[f"coding {value!r}"] = post(b"Transfer-Encoding: " + value + b"\r\n", b"0\r\n\r\n")
    REFUSED[f"length and coding {value!r}"] = post(LENGTH + b"Transfer-Encoding: " + value + b"\r\n")

# Read in the one way there is: these statuses, the last of them for the second request.
READ = {
    "a length": (post(LENGTH), [200, 200]),
    "a length with zeros before it": (post(b"Content-Length: 00032\r\n"), [200, 200]),
    "no length": (post(b"", b""), [400, 200]),
    "chunks": (chunked(b"20\r\n" + BODY + b"\r\n0\r\n\r\n"), [200, 200]),
    "chunks, in capitals": (post(b"TRANSFER-ENCODING: CHUNKED\r\n", b"20\r\n" + BODY + b"\r\n0\r\n\r\n"), [200, 200]),
    "a chunk's extension": (chunked(b"20;a=b\r\n" + BODY + b"\r\n0\r\n\r\n"), [200, 200]),
    "a trailer is no field": (chunked(b"20\r\n" + BODY + b"\r\n0\r\nContent-Length: 5\r\n\r\n"), [200, 200]),
    "a trailer is no coding": (chunked(b"20\r\n" + BODY + b"\r\n0\r\nTransfer-Encoding: x\r\n\r\n"), [200, 200]),
    "a body that nobody asked for": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345", [200, 200]),
    "line ends before a request": (b"\r\n\r\n" + post(LENGTH), [200, 200]),
    "no host to speak of": (post(LENGTH, host=b"Host:\r\n"), [200, 200]),
    "names that are only similar": (post(b"Transfer_Encoding: chunked\r\nContent_Length: 5\r\n" + LENGTH), [200, 200]),
    "another protocol is not turned to": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", [200, 200]),
    "no tunnel": (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", [400, 200]),
    # What libmicrohttpd hides, and what a proxy must not let through: docs/operations.md.
    "line feeds alone between chunks": (chunked(b"20\n" + BODY + b"\n0\n\n"), [200, 200]),
    "a zero byte in a chunk's extension": (chunked(b"20;a\0b\r\n" + BODY + b"\r\n0\r\n\r\n"), [200, 200]),
}


def exchange(url, *pieces):
    """All that is answered to these bytes, and nothing more, until the server closes."""
    wire = Wire(url)
    with wire.open() as connection:
        for piece in pieces:
            wire.send(piece)
            if len(pieces) > 1:
                time.sleep(0.0003)
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        said = b""
        while True:
            try:
                more = connection.recv(65536)
            except ConnectionResetError:
                return said
            if not more:
                return said
            said += more


def statuses(said):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", said)]


class Smuggling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = lossd(PROGRAM, "--max-head", "24KiB")
        cls.url, _ = cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def test_refused(self):
        for name, data in REFUSED.items():
            with self.subTest(name):
                said = exchange(self.url, data + NEXT)
                got = statuses(said)
                # libmicrohttpd 0.9.75 writes the head of an answer of its own twice.
                if got[1:] == got[:1] and b"application/problem+json" not in said:
                    got = got[:1]
                self.assertIn(got, ([400], [413], [505], []), said[:2000])
                self.assertNotIn(b"smuggled", said)
                self.assertTrue(got == [] or b"Connection: close" in said, said[:1000])
        print(f"{len(REFUSED)} refused, {len(READ)} read in one way")

    def test_read(self):
        for name, (data, expected) in READ.items():
            with self.subTest(name):
                said = exchange(self.url, data + NEXT)
                self.assertEqual(statuses(said), expected, said[:2000])
                self.assertIn(b"smuggled", said)

    def test_proper_heads_are_read_however_they_arrive(self):
        """Heads of any size and shape, cut anywhere, one behind the other."""
        chance = random.Random(15)
        for round_ in range(ROUNDS):
            data = b""
            requests = chance.randint(1, 3)
            for _ in range(requests):
                fields = [b"Host: x"]
                left = chance.choice((0, 100, 1000, 4000, 20000))
                while left > 0 and len(fields) < 90:
                    size = chance.randint(0, min(left, 3000))
                    name = chance.choice((b"X-%d" % len(fields), b"Cookie", b"Accept-Language", b"User-Agent", b"X"))
                    fields.append(name + b":" + b" " * chance.randint(0, 3) + b"y" * size + b" " * chance.randint(0, 2) * (size > 0))
                    left -= size + len(name) + 6
                fields.append(LENGTH[:-2])
                chance.shuffle(fields)
                query = chance.choice((b"", b"?dtype=float64", b"?&strict=false&", b"?dtype=float%33%32", b"?strict=true"))
                line = LINE.replace(b"huber_loss", chance.choice((b"huber_loss", b"huber%5Floss")) + query)
                data += line + b"\r\n".join(fields) + b"\r\n\r\n" + BODY
            places = [chance.randrange(len(data)) for _ in range(chance.choice((0, 1, 5, 20)))]
            said = exchange(self.url, *cut(data, places))
            self.assertEqual(statuses(said), [200] * requests, (round_, said[:500], data[:500]))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
