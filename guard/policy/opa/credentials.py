"""How the guard shows OPA who it is, and knows whom it talks to: bearer token, client certificate, authority.

Tokens and certificates of a fleet are short-lived and written anew while the guard runs (Kubernetes' projected tokens,
SPIFFE): files are looked at every few seconds, and read again if they changed.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard.config import OpaConfig
from guard.errors import ConfigError
from guard.telemetry import get_logger

_LOOK_SECONDS: Final = 5.0
_log = get_logger("guard.policy.opa")
_Stamp = tuple[tuple[int, int, int], ...]


class Credentials:
    """The token and the TLS context of one server. ``context`` is ``None`` where the address is not https."""

    def __init__(self, config: OpaConfig, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Reads every file. Raises ``ConfigError`` naming the key of one that cannot be used."""
        self._config = config
        self._clock = clock
        self._stamp = self._look()
        self._token = _token(config)
        self.context = _context(config) if config.url.startswith("https://") else None
        self._look_at = clock() + _LOOK_SECONDS

    def headers(self) -> dict[str, str]:
        """What a request carries: ``Authorization``, or nothing (RFC 6750, section 2.1)."""
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + _LOOK_SECONDS
            self._renew()
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _renew(self) -> None:
        """Take what was written anew. Of files that cannot be used, the old content stays, and that is logged."""
        stamp = self._look()
        if stamp == self._stamp:
            return
        try:
            token = _token(self._config)
            if self.context is not None:
                _load_certificate(self.context, self._config)
        except ConfigError as error:
            _log.error("new credentials for OPA cannot be used; the old ones stay", error=error.what, where=error.where)
            return
        self._token, self._stamp = token, stamp
        _log.info("credentials for OPA were read again")

    def _look(self) -> _Stamp:
        names = (self._config.token_file, self._config.client_cert_file, self._config.client_key_file)
        return tuple(_stamp(path) for path in names if path is not None)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_ino, status.st_size)


def _token(config: OpaConfig) -> str:
    text = _text(config, "token_file")
    token = "" if text is None else text.strip()
    if text is not None and (not token or not token.isprintable() or " " in token):
        raise ConfigError(
            "The file holds no token: one word is expected.",
            where=f"[policy.opa] token_file = {config.token_file}",
            mend="write the bearer token there, and nothing else",
        )
    return token


def _context(config: OpaConfig) -> ssl.SSLContext:
    text = _text(config, "ca_file")
    try:
        context = ssl.create_default_context(cadata=text)
    except ssl.SSLError as error:
        raise ConfigError(
            "The file holds no certificate in PEM.",
            where=f"[policy.opa] ca_file = {config.ca_file}",
            mend="give the certificate of the authority that signed OPA's",
        ) from error
    _load_certificate(context, config)
    return context


def _load_certificate(context: ssl.SSLContext, config: OpaConfig) -> None:
    """The client's own certificate. Connections that are open keep the one before."""
    if config.client_cert_file is None:
        return
    try:
        context.load_cert_chain(config.client_cert_file, config.client_key_file, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        key = config.client_key_file or config.client_cert_file
        raise ConfigError(
            f"The client certificate cannot be used: {type(error).__name__}.",
            where=f"[policy.opa] client_cert_file = {config.client_cert_file}, key in {key}",
            mend="give a certificate and its own key in PEM, without a password, readable by the guard",
        ) from error


def _no_password() -> str:
    """Instead of a question on the terminal, at which a server would wait for ever."""
    raise ValueError("the key has a password")


def _text(config: OpaConfig, name: str) -> str | None:
    path: Path | None = getattr(config, name)
    if path is None:
        return None
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"The file cannot be read: {type(error).__name__}.",
            where=f"[policy.opa] {name} = {path}",
            mend="give a file that the guard may read",
        ) from error
