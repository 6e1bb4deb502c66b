# SPDX-License-Identifier: Apache-2.0
"""A lossd of one's own, on a free port, for as long as a `with` block lasts. Standard library alone."""

import contextlib
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request


def free_port():
    """Below those that the system gives to clients' sockets: one of these could take it before the server does."""
    for port in (random.randrange(10000, 32000) for _ in range(1000)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")


def wait_until(answers, process, seconds=30):
    """Until answers() is true; an error where the process ends or time runs out first."""
    deadline = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with status {process.returncode} before it answered")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{process.args[0]} did not answer within {seconds} seconds")
        time.sleep(0.02)


def stop(process):
    """SIGTERM, and the exit status."""
    process.terminate()
    try:
        return process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def is_ready(url):
    try:
        with urllib.request.urlopen(url + "/readyz", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@contextlib.contextmanager
def lossd(program, *options, log=subprocess.DEVNULL, under=()):
    """Yields (url, process); its store is in memory unless the options say otherwise. `under` is a command that runs it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [*under, str(program), "serve", "--listen", f"127.0.0.1:{port}"]
    if "--store" not in options:
        command += ["--store", "memory"]
    process = subprocess.Popen([*command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: is_ready(url), process)
        yield url, process
    finally:
        if process.poll() is None:
            stop(process)
