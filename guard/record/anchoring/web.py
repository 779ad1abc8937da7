"""HTTP for anchors: one request, one bounded answer, one deadline over all of it. Follows no redirect and no proxy."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from guard.record.anchoring.failing import AnchorFailed

MAX_ANSWER_BYTES: Final = 65_536


class Answer(msgspec.Struct, frozen=True):
    """What the server said. ``body`` has at most ``MAX_ANSWER_BYTES``."""

    status: int
    body: bytes


class Endpoint:
    """One configured address. ``ca_file`` (PEM) stands in the place of the system's authorities."""

    def __init__(self, url: str, *, timeout_seconds: float, ca_file: Path | None = None, bearer: str = "") -> None:
        """``url`` is http or https, as the configuration has checked. Raises ``OSError`` if ``ca_file`` does not read
        (``ssl.SSLError`` if it holds no certificate)."""
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path.rstrip("/")
        self._query = f"?{parts.query}" if parts.query else ""
        self._timeout_seconds = timeout_seconds
        self._bearer = bearer
        self._tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None

    def post(self, body: bytes, media_type: str, below: str = "") -> Answer:
        """POST to the address, or to a path below it. Raises ``AnchorFailed``."""
        return self._ask("POST", below, body, {"Content-Type": media_type})

    def get(self, below: str) -> Answer:
        """GET a path below the address. Raises ``AnchorFailed``."""
        return self._ask("GET", below, None, {})

    def _ask(self, method: str, below: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        if self._bearer:
            headers["Authorization"] = f"Bearer {self._bearer}"
        target = f"{self._path}{below}{self._query}" or "/"
        connection = self._connection()
        late = threading.Event()
        try:
            connection.connect()
            # A socket's timeout bounds each step; whoever sends a byte at a time would hold the thread for ever.
            watchdog = threading.Timer(self._timeout_seconds, _cut, (connection.sock, late))
            watchdog.daemon = True
            watchdog.start()
            try:
                connection.request(method, target, body, headers)
                answer = connection.getresponse()
                content = answer.read(MAX_ANSWER_BYTES + 1)
            finally:
                watchdog.cancel()
        except (OSError, http.client.HTTPException) as error:
            if late.is_set() or isinstance(error, TimeoutError):
                raise AnchorFailed(f"no answer within {self._timeout_seconds:g} s", where=self.host) from None
            raise AnchorFailed(f"cannot be reached ({str(error) or type(error).__name__})", where=self.host) from None
        finally:
            connection.close()
        if late.is_set():
            raise AnchorFailed(f"no whole answer within {self._timeout_seconds:g} s", where=self.host)
        if len(content) > MAX_ANSWER_BYTES:
            raise AnchorFailed(f"answered with more than {MAX_ANSWER_BYTES} bytes", where=self.host)
        return Answer(answer.status, content)

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self.host, self._port, timeout=self._timeout_seconds)
        return http.client.HTTPSConnection(self.host, self._port, timeout=self._timeout_seconds, context=self._tls)


def _cut(sock: socket.socket | None, late: threading.Event) -> None:
    """End an exchange whose time is over."""
    late.set()
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
