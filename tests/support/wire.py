# SPDX-License-Identifier: Apache-2.0
"""HTTP by hand: requests as bytes, sent in pieces of one's choice, and answers as they come. Standard library alone."""

import http.client
import json
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

PAUSE = 0.0004  # between pieces, so that each is a segment of its own, most times


@dataclass
class Answer:
    status: int  # 0: the server closed without one
    headers: object
    body: bytes

    def document(self):
        return json.loads(self.body)


NO_ANSWER = Answer(0, {}, b"")


def head(method, target, *fields, host="localhost"):
    """A request's head; fields are whole lines without their ends."""
    lines = [f"{method} {target} HTTP/1.1".encode(), f"Host: {host}".encode()]
    lines += [field if isinstance(field, bytes) else field.encode() for field in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(target, body, *fields):
    return head("POST", target, "Content-Type: application/json", f"Content-Length: {len(body)}", *fields) + body


def chunked(target, chunks, *fields):
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return head("POST", target, "Content-Type: application/json", "Transfer-Encoding: chunked", *fields) + body + b"0\r\n\r\n"


def cut(data, places):
    """data in pieces, cut at these places."""
    places = [0, *sorted(set(places)), len(data)]
    return [data[a:b] for a, b in zip(places, places[1:]) if a < b]


class Wire:
    """A connection that is made when it is needed, and made again when the server has closed it."""

    def __init__(self, url, timeout=20):
        self.address = (urlsplit(url).hostname, urlsplit(url).port)
        self.timeout = timeout
        self.socket = None

    def open(self):
        if self.socket is None:
            self.socket = socket.create_connection(self.address, timeout=self.timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.socket

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def send(self, data):
        """False where the server has closed its side; there may still be an answer to read."""
        try:
            self.open().sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def receive(self, method="POST"):
        response = http.client.HTTPResponse(self.open(), method=method)
        try:
            response.begin()
            answer = Answer(response.status, response.headers, response.read())
        except (http.client.HTTPException, ConnectionResetError, BrokenPipeError):
            self.close()
            return NO_ANSWER
        if response.will_close:
            self.close()
        return answer

    def ask(self, data, method="POST"):
        self.send(data)
        return self.receive(method)

    def ask_in_pieces(self, pieces, between=lambda: None):
        """Sends each piece by itself; `between` is called when half of them are out."""
        for i, piece in enumerate(pieces):
            if i == (len(pieces) + 1) // 2:
                between()
            if not self.send(piece):
                break
            time.sleep(PAUSE)
        return self.receive()
