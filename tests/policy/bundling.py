"""Bundles for tests, keys that sign them, and a server that serves them as a test says. All on loopback."""

from __future__ import annotations

import io
import json
import re
import ssl
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from guard.policy.bundles.build import pack
from guard.policy.bundles.download import LONG_POLLING
from guard.policy.bundles.signatures import SIGNATURES, sign, signing_key

Mode = Literal["serve", "garbage", "truncated", "drip", "silent", "huge", "refuse"]


def acme_rule(message: str = "no", package: str = "guard.rules.acme") -> bytes:
    """A policy that denies every request with this message."""
    return f"""package {package}

# METADATA
# title: A rule of this test
# custom:
#   id: ACME-1
#   severity: low
#   remediation: none
deny contains {{"id": "ACME-1", "message": "{message}", "pointers": set()}} if input.stage == "request"
""".encode()


def bundle_files(message: str = "no", revision: str = "r1", **manifest: Any) -> dict[str, bytes]:
    """A bundle with one rule and one datum below its root."""
    described = {"revision": revision, "roots": ["guard/rules/acme", "acme"], **manifest}
    return {
        ".manifest": json.dumps(described).encode(),
        "acme/data.json": b'{"limit": 1.50, "names": ["\\u00e9", "<&>"]}',
        "rules/acme.rego": acme_rule(message),
    }


def signed(files: Mapping[str, bytes], key: Path, **options: Any) -> dict[str, bytes]:
    """The same files with their signature."""
    return {**files, SIGNATURES: sign(files, signing_key(key, **options))}


def archive(message: str = "no", revision: str = "r1", *, key: Path | None = None, **manifest: Any) -> bytes:
    """A bundle as a gzipped tarball, signed if there is a key."""
    files = bundle_files(message, revision, **manifest)
    return pack(files if key is None else signed(files, key))


def tarball(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A gzipped tarball of members that no bundle has."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return held.getvalue()


class Keys:
    """Private and public keys in PEM, and a secret, below a directory."""

    def __init__(self, root: Path) -> None:
        made = {
            "rsa": rsa.generate_private_key(65537, 2048),
            "other": rsa.generate_private_key(65537, 2048),
            "ec": ec.generate_private_key(ec.SECP256R1()),
            "ed": ed25519.Ed25519PrivateKey.generate(),
        }
        self.root = root
        for name, key in made.items():
            form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            self.private(name).write_bytes(key.private_bytes(*form))
            public = key.public_key()
            self.public(name).write_bytes(
                public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            )
        self.secret = root / "secret"
        self.secret.write_bytes(b"0123456789abcdef0123456789abcdef\n")

    def private(self, name: str) -> Path:
        """The file of a private key: ``rsa``, ``other`` (RSA too), ``ec`` or ``ed``."""
        return self.root / f"{name}.pem"

    def public(self, name: str) -> Path:
        """The file of a public key."""
        return self.root / f"{name}.pub"


class BundleServer:
    """Serves one bundle with an ETag, or misbehaves. ``requests`` has the headers of each request that came."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.mode: Mode = "serve"
        self.status = 500
        self.location = ""
        self.long_poll = False
        self.data = b""
        self.etag = ""
        self.url = ""
        self.stopping = threading.Event()
        self._changed = threading.Condition()

    def put(self, data: bytes, etag: str) -> None:
        """Serve this from now on; requests that are held back get it."""
        with self._changed:
            self.data, self.etag = data, etag
            self._changed.notify_all()

    def arrived(self, headers: dict[str, str]) -> None:
        """Take note of a request."""
        with self._changed:
            self.requests.append(headers)
            self._changed.notify_all()

    def await_requests(self, number: int) -> None:
        """Wait until so many have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= number, 20)

    def held(self, etag: str, seconds: float) -> bool:
        """Hold a request back until there is something else than ``etag``; false if the time passes first."""
        with self._changed:
            return self._changed.wait_for(lambda: self.etag != etag or self.stopping.is_set(), seconds)

    def release(self) -> None:
        """End what is held back."""
        self.stopping.set()
        with self._changed:
            self._changed.notify_all()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bundles: BundleServer

    def do_GET(self) -> None:
        mine = self.bundles
        mine.arrived({name.lower(): value for name, value in self.headers.items()})
        wait = re.search(r"wait=(\d+)", self.headers.get("Prefer", ""))
        etag = self.headers.get("If-None-Match", "")
        if mine.long_poll and wait and etag == mine.etag and not mine.held(etag, float(wait[1])):
            self._answer(304, b"", etag)
        elif mine.mode == "serve":
            data, now = mine.data, mine.etag
            same = bool(etag) and etag == now
            self._answer(304 if same else 200, b"" if same else data, now)
        elif mine.mode == "refuse":
            body = b"" if mine.status in {204, 304} else b"no"
            self._answer(mine.status, body, "", location=mine.location)
        elif mine.mode == "garbage":
            self._answer(200, b"<html>please log in</html>", '"garbage"')
        elif mine.mode == "truncated":
            self._answer(200, mine.data[: len(mine.data) // 2], mine.etag, length=len(mine.data))
            self.close_connection = True
        elif mine.mode == "huge":
            self._answer(200, b"\0" * 100_000, "", length=None)
            self.close_connection = True
        elif mine.mode == "drip":
            self._answer(200, b"\x1f", mine.etag, length=len(mine.data))
            mine.stopping.wait(30)
        else:
            mine.stopping.wait(30)

    def _answer(self, status: int, body: bytes, etag: str, *, length: int | None = -1, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", LONG_POLLING if self.bundles.long_poll else "application/gzip")
        if etag:
            self.send_header("ETag", etag)
        if location:
            self.send_header("Location", location)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        else:
            self.send_header("Connection", "close")
        with suppress(OSError):  # the client is gone
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def bundle_server(
    port: int = 0, given: BundleServer | None = None, *, certificate: tuple[Path, Path] | None = None
) -> Iterator[BundleServer]:
    """A server on 127.0.0.1 that lives as long as the block; with a certificate and its key it speaks TLS."""
    bundles = given or BundleServer()
    bundles.stopping.clear()
    handler = type("Handler", (_Handler,), {"bundles": bundles})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "https"
    bundles.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/policies/bundle.tar.gz"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield bundles
    finally:
        bundles.release()
        server.shutdown()
        server.server_close()
        thread.join(10)
