"""An object store on loopback, moto's, and what stands between it and a client: answers that fail."""

import http.client
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

WAIT_S = 60


@contextmanager
def object_server():
    """Run moto's server in a process of its own; yields its endpoint, with an empty bucket ``bucket``."""
    pytest.importorskip("obstore", reason="stores by URL need obstore")
    pytest.importorskip("moto", reason="the object store of these tests is moto's")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    code = "import sys; from moto.server import main; main(sys.argv[1:])"
    command = [sys.executable, "-W", "ignore", "-c", code, "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + WAIT_S
            while True:
                try:
                    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT")).close()
                    break
                except OSError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline, "moto's server did not start"
                    time.sleep(0.1)
            yield endpoint
        finally:
            process.kill()


def settings(endpoint):
    """Environment variables of a client of the object store."""
    return {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }  # fmt: skip


class _Faulty(BaseHTTPRequestHandler):
    """Pass a request on, and sometimes fail it: before, after, or in the midst of the answer."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _pass(self):
        server = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = server.kind(self)
        server.seen.append((self.command, self.path, kind))
        if isinstance(kind, tuple):
            return self._answer(kind[0], {}, kind[1].encode())
        if kind == "error":
            return self._answer(500, {}, b"<Error><Code>InternalError</Code></Error>")
        if kind == "slow":
            time.sleep(0.3)
        connection = http.client.HTTPConnection(server.behind, timeout=30)
        connection.request(self.command, self.path, body, dict(self.headers))
        response = connection.getresponse()
        content = response.read()
        connection.close()
        headers = {
            k: v for k, v in response.getheaders() if k.lower() not in ("connection", "transfer-encoding")
        }
        if kind == "lost":  # it was done, and nobody is told
            return self._answer(503, {}, b"")
        return self._answer(response.status, headers, content, cut=kind == "cut")

    def _answer(self, status, headers, content, *, cut=False):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD" and status != 204:
            self.send_header("Content-Length", str(len(content)))
        elif "Content-Length" not in headers:
            self.send_header("Content-Length", "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass


@contextmanager
def faulty(endpoint, kind):
    """Stand before an object store: ``kind(request)`` says how an answer fails.

    ``"error"``, ``"slow"``, ``"cut"``, ``"lost"`` (done, and not told so), (status, text), or None.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Faulty)
    server.behind, server.kind, server.seen = endpoint.removeprefix("http://"), kind, []
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def some_faults(seed, share):
    """A share of all answers fails, in one of the ways."""
    rng, lock = random.Random(seed), threading.Lock()

    def kind(_):
        with lock:
            return rng.choice(["error", "slow", "cut", "lost"]) if rng.random() < share else None

    return kind


def be_client(endpoint, monkeypatch):
    """Make this process, and those that it starts, clients of an object store."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in settings(endpoint).items():
        monkeypatch.setenv(name, value)
