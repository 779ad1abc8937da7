"""What a configuration asks of anchoring, and the sinks made of it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import msgspec

from guard.errors import ConfigError
from guard.record.anchoring.couriers import Anchoring
from guard.record.anchoring.sinks import DirectorySink, HttpSink, Keys, Sink, SyslogSink
from guard.record.anchoring.store import AnchorStore
from guard.record.anchoring.timestamps import TimestampSink
from guard.record.anchoring.web import Endpoint
from guard.record.anchoring.witness import WitnessSink
from guard.record.cosignature import CosignerKey
from guard.record.note import NoteInvalid
from guard.types import Checkpoint

_CLOSING_SECONDS = 5.0
_MAX_TOKEN_BYTES = 8192


class WitnessPlace(msgspec.Struct, frozen=True):
    """A witness: the address below which ``add-checkpoint`` is, and its vkey."""

    url: str
    vkey: str


class AnchorPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Where checkpoints go; an empty string, ``None`` or an empty tuple for nowhere. Durations are in seconds."""

    every_seconds: float = 60.0
    timeout_seconds: float = 5.0
    directory: Path | None = None
    syslog: str = ""
    http_url: str = ""
    http_token_file: Path | None = None
    timestamp_url: str = ""
    timestamp_roots_file: Path | None = None
    ca_file: Path | None = None
    witnesses: tuple[WitnessPlace, ...] = ()

    @property
    def anywhere(self) -> bool:
        """Whether there is any way out."""
        return bool(self.directory or self.syslog or self.http_url or self.timestamp_url or self.witnesses)

    def check(self) -> None:
        """Read what the ways out need: key names, tokens, certificates. Raises ``ConfigError``."""
        self._sinks(AnchorStore(Path()), Path(), tuple, lambda _checkpoint, _note: None)

    def open_list(self, log: Path, keys: Keys) -> Anchoring:
        """Anchoring of a list of writers, whose directory is ``log``. Raises ``ConfigError``."""
        return self.open(log, keys, lambda _checkpoint, _note: None, label="list of writers: ")

    def open(self, log: Path, keys: Keys, told: Callable[[Checkpoint, str], None], *, label: str = "") -> Anchoring:
        """Anchoring of the origin whose directory is ``log``, not started. ``told`` hears of each cosigned note, from
        other threads; ``label`` goes before the names of the ways. Raises ``ConfigError``."""
        store = AnchorStore(log / "anchors")
        return Anchoring(
            store,
            self._sinks(store, log, keys, told),
            every_seconds=self.every_seconds,
            closing_seconds=_CLOSING_SECONDS,
            label=label,
        )

    def _sinks(self, store: AnchorStore, log: Path, keys: Keys, told: Callable[[Checkpoint, str], None]) -> list[Sink]:
        sinks: list[Sink] = []
        if self.directory is not None:
            sinks.append(DirectorySink(self.directory, log, keys))
        if self.syslog:
            sinks.append(SyslogSink(self.syslog, timeout_seconds=self.timeout_seconds))
        if self.http_url:
            sinks.append(HttpSink(self._endpoint(self.http_url, bearer=self._token())))
        if self.timestamp_url:
            roots = self.timestamp_roots_file or Path()
            sinks.append(TimestampSink(self._endpoint(self.timestamp_url), roots, store))
        for place in self.witnesses:
            endpoint, key = self._endpoint(place.url), _cosigner(place.vkey)
            sinks.append(WitnessSink(endpoint, key, log=log, keys=keys, store=store, told=told))
        return sinks

    def _endpoint(self, url: str, bearer: str = "") -> Endpoint:
        try:
            return Endpoint(url, timeout_seconds=self.timeout_seconds, ca_file=self.ca_file, bearer=bearer)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the certificates do not read: {error}", where=str(self.ca_file), mend="name a PEM file"
            ) from None

    def _token(self) -> str:
        if self.http_token_file is None:
            return ""
        try:
            with self.http_token_file.open("rb") as file:
                token = file.read(_MAX_TOKEN_BYTES).decode("ascii").strip()
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the token does not read: {error}", where=str(self.http_token_file), mend="one line of ASCII"
            ) from None
        if not token.isprintable() or not token:
            raise ConfigError("the file holds no token", where=str(self.http_token_file), mend="one line of ASCII")
        return token


def _cosigner(vkey: str) -> CosignerKey:
    try:
        return CosignerKey.parse(vkey)
    except NoteInvalid as error:
        raise ConfigError(
            f"the witness's key does not read: {error}",
            where="record.witnesses",
            mend="copy the line that guard witness prints",
        ) from None
