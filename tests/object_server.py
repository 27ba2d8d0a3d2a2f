"""An object store on loopback, moto's, and what stands between it and a client: answers that fail."""

import base64
import hmac
import http.client
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

WAIT_S = 60


@contextmanager
def object_server():
    """Run moto's server in a process of its own; yields its endpoint, with an empty bucket ``bucket``."""
    pytest.importorskip("obstore", reason="stores by URL need obstore")
    pytest.importorskip("moto", reason="the object store of these tests is moto's")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    code = "import sys; from moto.server import main; main(sys.argv[1:])"
    command = [sys.executable, "-W", "ignore", "-c", code, "-H", "127.0.0.1", "-p", str(port)]
    with served(command, lambda: urllib.request.Request(f"{endpoint}/bucket", method="PUT")):
        yield endpoint


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def served(command, bucket):
    """Run a server, and make a bucket by a request as soon as it answers."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + WAIT_S
            while True:
                try:
                    urllib.request.urlopen(bucket()).close()
                    break
                except OSError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline, f"{command[0]} did not start"
                    time.sleep(0.1)
            yield
        finally:
            process.kill()


AZURE = {
    "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1",  # the emulator's, as its documentation has them
    "AZURE_STORAGE_ACCOUNT_KEY": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/"
    "KBHBeksoGMGw==",
    "AZURE_STORAGE_USE_EMULATOR": "true",
}


@contextmanager
def azure_server():
    """Run Azurite, Microsoft's emulator, where it is installed; yields what its clients' environment says."""
    pytest.importorskip("obstore", reason="stores by URL need obstore")
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("Azure's emulator is not installed: npm install -g azurite")
    port, account = free_port(), AZURE["AZURE_STORAGE_ACCOUNT_NAME"]
    address = f"http://127.0.0.1:{port}"
    command = [program, "--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry",
               "--blobHost", "127.0.0.1", "--blobPort", str(port)]  # fmt: skip

    def container():
        own = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        signed = "".join(f"{name}:{value}\n" for name, value in own.items())
        signed = "PUT" + 12 * "\n" + signed + f"/{account}/{account}/bucket\nrestype:container"
        key = base64.b64decode(AZURE["AZURE_STORAGE_ACCOUNT_KEY"])
        signature = base64.b64encode(hmac.digest(key, signed.encode(), "sha256")).decode()
        headers = own | {"Authorization": f"SharedKey {account}:{signature}", "Content-Length": "0"}
        return urllib.request.Request(
            f"{address}/{account}/bucket?restype=container", headers=headers, method="PUT"
        )

    with served(command, container):
        yield AZURE | {"AZURITE_BLOB_STORAGE_URL": address}


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
