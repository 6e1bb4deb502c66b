# SPDX-License-Identifier: Apache-2.0
"""A redis-server of one's own, on a free port, in a folder; it can be ended and started again. Standard library alone."""

import signal
import socket
import subprocess

from lossd_server import free_port, wait_until


class Redis:
    def __init__(self, folder, *options):
        self.folder, self.options, self.port, self.process = folder, options, free_port(), None
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.end()

    def start(self):
        self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
                                         "--save", "", *self.options],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: (self.say("PING") or b"-")[:1] == b"+" or (self.say("PING") or b"")[:7] == b"-NOAUTH", self.process)

    def end(self, how=signal.SIGKILL):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(timeout=60)

    def say(self, line):
        """The first piece of the answer to a command; None where nobody is there."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as wire:
                wire.sendall(line.encode() + b"\r\n")
                return wire.recv(65536)
        except OSError:
            return None

    def ask(self, line, database=0):
        """A command's whole answer: a number, a text, or a list of texts."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as wire, wire.makefile("rb") as answers:
            wire.sendall(f"SELECT {database}\r\n{line}\r\n".encode())
            answers.readline()
            return self.read(answers)

    def read(self, answers):
        kind, rest = answers.read(1), answers.readline().strip()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return answers.read(int(rest) + 2)[:-2].decode() if int(rest) >= 0 else None
        if kind == b"*":
            return [self.read(answers) for _ in range(int(rest))]
        if kind == b"-":
            raise OSError(rest.decode())
        return rest.decode()
