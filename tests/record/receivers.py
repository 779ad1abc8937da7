"""Whoever receives checkpoints, on this machine: HTTP, syslog (UDP, TCP, Unix socket), a time-stamp authority."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

Answering = Callable[[str, bytes], tuple[int, bytes]]


class Taken:
    """One request as it came."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path, self.headers, self.body = path, headers, body


@contextmanager
def http_receiver(answer: Answering = lambda _path, _body: (204, b"")) -> Iterator[tuple[str, Queue[Taken]]]:
    """An HTTP server; its address, and the requests that come."""
    taken: Queue[Taken] = Queue()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, content = answer(self.path, body)
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            if status in {301, 302, 307, 308}:
                self.send_header("location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(content)
            taken.put(Taken(self.path, {name.lower(): value for name, value in self.headers.items()}, body))

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def syslog_receiver(scheme: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """A syslog server; its address, and what gives the next message (of a TCP connection: all that came)."""
    with tempfile.TemporaryDirectory() as directory:
        if scheme == "unix":
            path = f"{directory}/log"
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            sock.bind(path)
            address = f"unix://{path}"
        elif scheme == "udp":
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", 0))
            address = f"udp://127.0.0.1:{sock.getsockname()[1]}"
        else:
            sock = socket.create_server(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{sock.getsockname()[1]}"
        sock.settimeout(20)

        def receive() -> bytes:
            if scheme != "tcp":
                return sock.recv(65_536)
            connection, _ = sock.accept()
            with connection:
                connection.settimeout(20)
                return b"".join(iter(lambda: connection.recv(4096), b""))

        with sock:
            yield address, receive


class TimestampAuthority:
    """A local authority made and run with OpenSSL alone."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.roots = directory / "root.pem"
        (directory / "serial").write_text("01\n")
        (directory / "tsa.cnf").write_text(
            f"[tsa]\ndefault_tsa = config\n[config]\nserial = {directory}/serial\nsigner_cert = {directory}/tsa.pem\n"
            f"signer_key = {directory}/tsa.key\nsigner_digest = sha256\ndefault_policy = 1.3.6.1.4.1.32473.1\n"
            "digests = sha256\naccuracy = secs:1\ness_cert_id_alg = sha256\n"
        )
        (directory / "tsa.ext").write_text(
            "extendedKeyUsage = critical,timeStamping\nkeyUsage = critical,digitalSignature\n"
        )
        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        self._openssl(*new, "-x509", "-subj", "/CN=Test root", "-keyout", "root.key", "-out", "root.pem", "-days", "30")
        self._openssl(*new, "-subj", "/CN=Test authority", "-keyout", "tsa.key", "-out", "tsa.csr")
        self._openssl(
            *("x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-days", "30"),
            *("-CAcreateserial", "-extfile", "tsa.ext", "-out", "tsa.pem"),
        )

    def answer(self, _path: str, query: bytes) -> tuple[int, bytes]:
        """The answer to a query."""
        (self.directory / "query").write_bytes(query)
        self._openssl("ts", "-reply", "-queryfile", "query", "-config", "tsa.cnf", "-out", "reply")
        return 200, (self.directory / "reply").read_bytes()

    def verifies(self, data: bytes, answer: Path) -> bool:
        """What ``openssl ts -verify`` says of an answer for these data."""
        (self.directory / "data").write_bytes(data)
        done = subprocess.run(
            ["openssl", "ts", "-verify", "-data", "data", "-in", str(answer), "-CAfile", "root.pem"],
            cwd=self.directory,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)
