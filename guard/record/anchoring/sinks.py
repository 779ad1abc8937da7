"""Where checkpoints go: a directory that is mounted from elsewhere, syslog, an HTTP address.

A sink takes one anchor at a time, in a thread of its own, and raises ``AnchorFailed``, ``AnchorContradicts`` or
``OSError``. It is asked again.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, TypeAlias
from urllib.parse import urlsplit

import msgspec

from guard.record.anchoring.failing import AnchorContradicts, AnchorFailed
from guard.record.anchoring.store import AnchorStore, signed_checkpoint
from guard.record.anchoring.web import Endpoint
from guard.record.note import VerifierKey, sign_note, signature_line, split_note
from guard.types import Checkpoint

NOTE_MEDIA_TYPE: Final = "text/plain; charset=utf-8"
_PRIORITY: Final = 13 * 8 + 5
"""RFC 5424 section 6.2.1: facility 13 (log audit), severity 5 (notice)."""

_HOSTNAME: Final = re.compile(r"[^\x21-\x7e]")


Keys: TypeAlias = Callable[[], Sequence[VerifierKey]]
"""The keys that this log has signed with, up to now."""


class Anchor(msgspec.Struct, frozen=True):
    """A checkpoint on its way out: ``note`` is signed by the log alone."""

    checkpoint: Checkpoint
    note: str


def freshest(anchor: Anchor, log: Path, keys: Keys) -> Anchor:
    """The anchor, or what the ``checkpoint`` file of the log's directory has if that is more: the list of writers is
    written by several processes, and another one may have gone on. Raises ``OSError``."""
    path = log / "checkpoint"
    note = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
    published = signed_checkpoint(note, keys())
    if published is None or published.size <= anchor.checkpoint.size:
        return anchor
    text, lines = split_note(note)
    own = {key.id for key in keys()}
    signed = (line for line in lines if line.name == published.origin and line.key_id in own)
    return Anchor(
        published, sign_note(text, ()) + "".join(signature_line(*msgspec.structs.astuple(line)) for line in signed)
    )


class Sink(Protocol):
    """One way out."""

    @property
    def name(self) -> str:
        """What health and logs call it: the kind, and for a witness its key name. No path and no address."""
        ...

    def deliver(self, anchor: Anchor) -> None:
        """Hand over one anchor; returns when it has arrived, as far as the way tells."""
        ...


class DirectorySink:
    """``<directory>/<origin>/<size>.note``. Nothing there is ever deleted, so write-once storage will do."""

    name = "directory"

    def __init__(self, directory: Path, log: Path, keys: Keys) -> None:
        """``log`` is the origin's directory."""
        self._directory = directory
        self._log = log
        self._store = AnchorStore(directory / log.name, kept=None)
        self._keys = keys
        self._held = False

    def deliver(self, anchor: Anchor) -> None:
        """Write the note; first hold what lies there against it."""
        if not self._directory.is_dir():
            # A mount point that is missing must not be made: the anchors would lie on the log's own disk.
            raise AnchorFailed("the directory is not there", where=str(self._directory), mend="mount or make it")
        if not self._held:
            newest = self._store.newest(self._keys())
            if newest is not None:
                if newest[0].size > anchor.checkpoint.size:
                    anchor = freshest(anchor, self._log, self._keys)
                _hold(newest, anchor, str(self._store.directory))
            self._held = True
        self._store.add(anchor.checkpoint, anchor.note)


def _hold(newest: tuple[Checkpoint, str], anchor: Anchor, where: str) -> None:
    held, note = newest
    own = anchor.checkpoint
    if held.size > own.size:
        what = f"it has seen {held.size} records of this log, which has {own.size} now"
        raise AnchorContradicts(what, held, note, where=where)
    if held.size == own.size and held.root != own.root:
        raise AnchorContradicts(f"it has seen another log of {own.size} records", held, note, where=where)


class SyslogSink:
    """One RFC 5424 message for each checkpoint: over UDP (RFC 5426), TCP (octet counting, RFC 6587) or a Unix socket.

    The message is one JSON object, ``{"checkpoint":"<the note>"}``. Datagrams may be lost without a sign of it.
    """

    name = "syslog"

    def __init__(self, address: str, *, timeout_seconds: float) -> None:
        """``udp://host:port``, ``tcp://host:port`` or ``unix:///path``."""
        parts = urlsplit(address)
        self._scheme = parts.scheme
        self._host, self._port, self._path = parts.hostname or "", parts.port or 514, parts.path
        self._address = address
        self._timeout_seconds = timeout_seconds

    def deliver(self, anchor: Anchor) -> None:
        """Send one message over a connection of its own."""
        message = syslog_message(anchor.note)
        try:
            if self._scheme == "unix":
                self._to_socket(message)
            elif self._scheme == "udp":
                with self._reached(socket.SOCK_DGRAM) as sock:
                    sock.send(message)
            else:
                with self._reached(socket.SOCK_STREAM) as sock:
                    sock.sendall(b"%d %s" % (len(message), message))
                    # The peer's FIN says that it has read what was sent; one that resets has not.
                    sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise AnchorFailed(f"syslog cannot be reached ({error})", where=self._address) from None

    def _reached(self, kind: socket.SocketKind) -> socket.socket:
        if kind == socket.SOCK_STREAM:
            return socket.create_connection((self._host, self._port), self._timeout_seconds)
        family, *_, address = socket.getaddrinfo(self._host, self._port, type=kind)[0]
        sock = socket.socket(family, kind)
        try:
            sock.settimeout(self._timeout_seconds)
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock

    def _to_socket(self, message: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(self._timeout_seconds)
            sock.connect(self._path)
            sock.send(message)


def syslog_message(note: str) -> bytes:
    """The RFC 5424 message that carries a note."""
    stamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    host = _HOSTNAME.sub("-", socket.gethostname())[:255] or "-"
    content = msgspec.json.encode({"checkpoint": note})
    return f"<{_PRIORITY}>1 {stamp} {host} policy-guard {os.getpid()} checkpoint - ".encode() + content


class HttpSink:
    """POSTs the note as plain text; any status from 200 to 299 is an arrival."""

    name = "http"

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def deliver(self, anchor: Anchor) -> None:
        """One request."""
        answer = self._endpoint.post(anchor.note.encode(), NOTE_MEDIA_TYPE)
        if not 200 <= answer.status < 300:
            raise AnchorFailed(f"answered with status {answer.status}", where=self._endpoint.host)
