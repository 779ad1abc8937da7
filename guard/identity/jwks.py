"""JSON Web Key Sets (RFC 7517): which keys of a set may verify tokens, and the two places where a set is read."""

from __future__ import annotations

import ipaddress
import json
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from guard.errors import ConfigError

VerificationKey: TypeAlias = RSAKey | ECKey | OKPKey

MAX_SET_BYTES: Final = 512 * 1024
MAX_KEYS: Final = 256
MIN_RSA_BITS: Final = 2048
"""RFC 7518, 3.3."""
FETCH_DEADLINE_SECONDS: Final = 5.0

_TYPES: Final[Mapping[str, type[VerificationKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


class KeySetUnreadable(ConfigError):
    """A key set could not be read. At start this is an error; later it only ages the keys at hand."""


def parse(data: bytes, *, where: str) -> tuple[VerificationKey, ...]:
    """The keys of a JWK Set that may verify signatures.

    Keys for encryption, symmetric keys, RSA keys under 2048 bits and keys that are not understood are left out
    (RFC 7517, 5). Raises ``KeySetUnreadable`` for what is no key set, for one that leaves no key, and for one that
    holds a private key: whoever reads it could sign.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise KeySetUnreadable("the key set is not valid JSON", where=where) from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise KeySetUnreadable(f"the key set has no list 'keys' of at most {MAX_KEYS} keys", where=where)
    found: list[VerificationKey] = []
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        if not isinstance(entry.get("kty"), str) or entry["kty"] not in _TYPES:
            continue
        if "d" in entry:
            raise KeySetUnreadable(
                "the key set holds a private key",
                where=where,
                mend="publish public keys only, and replace this key: whoever read the set can sign",
            )
        key = _import(entry)
        if key is not None:
            found.append(key)
    if not found:
        raise KeySetUnreadable("the key set holds no key that can verify a signature", where=where)
    return tuple(found)


def _import(entry: dict[str, Any]) -> VerificationKey | None:
    try:
        if entry["kty"] == "RSA" and int.from_bytes(urlsafe_b64decode(entry["n"].encode())).bit_length() < MIN_RSA_BITS:
            return None
        return _TYPES[entry["kty"]].import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None


class Source(Protocol):
    """A place where a key set stands. ``read`` blocks and runs in a worker thread."""

    where: str
    is_required_at_start: bool

    def read(self) -> tuple[VerificationKey, ...] | None:
        """The keys, or ``None`` if the set has not changed since it was last read well. Raises ``KeySetUnreadable``."""
        ...


class FileSource:
    """A key set in a file, read again when the file's identity, size or time of change differs."""

    is_required_at_start = True

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path
        self._seen: tuple[int, int, int, int] | None = None

    def read(self) -> tuple[VerificationKey, ...] | None:
        """As ``Source.read``."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                signature = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                if signature == self._seen:
                    return None
                data = file.read(MAX_SET_BYTES + 1)
        except OSError as error:
            raise KeySetUnreadable(
                f"the key set cannot be read: {error.strerror}",
                where=self.where,
                mend="write the issuer's JWK Set there",
            ) from None
        _bounded(data, self.where)
        keys = parse(data, where=self.where)
        self._seen = signature
        return keys


class UrlSource:
    """A key set at an address. TLS with the system's authorities; plain HTTP to this machine only; no redirect is
    followed, since the configuration names one address."""

    is_required_at_start = False

    def __init__(self, url: str) -> None:
        """Raises ``ConfigError`` for an address over which somebody on the way could choose the keys."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
            raise ConfigError(
                "the key set's address is neither https nor on this machine",
                where="identity.jwt.jwks_url",
                mend="use https, or let another program keep jwks_file up to date",
            )
        if parts.username is not None or not parts.hostname:
            raise ConfigError("the key set's address holds credentials or no host", where="identity.jwt.jwks_url")
        self.where = f"{parts.scheme}://{parts.netloc}{parts.path}"
        self._url = url
        self._seen = b""
        self._opener = urllib.request.OpenerDirector()
        proxies = {"https": urllib.request.getproxies().get("https", "")} if parts.scheme == "https" else {}
        for handler in (
            urllib.request.ProxyHandler({scheme: proxy for scheme, proxy in proxies.items() if proxy}),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=ssl.create_default_context()),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def read(self) -> tuple[VerificationKey, ...] | None:
        """As ``Source.read``; ends within about twice ``FETCH_DEADLINE_SECONDS`` however slowly the answer drips."""
        request = urllib.request.Request(self._url, headers={"Accept": "application/jwk-set+json, application/json"})  # noqa: S310 - the scheme was checked
        deadline = time.monotonic() + FETCH_DEADLINE_SECONDS
        data = bytearray()
        try:
            with self._opener.open(request, timeout=FETCH_DEADLINE_SECONDS) as answer:
                if answer.status != 200:
                    raise KeySetUnreadable(f"the key set's address answered {answer.status}", where=self.where)
                while chunk := answer.read1(65_536):
                    data += chunk
                    _bounded(data, self.where)
                    if time.monotonic() > deadline:
                        raise TimeoutError
        except urllib.error.HTTPError as error:
            error.close()
            raise KeySetUnreadable(f"the key set's address answered {error.code}", where=self.where) from None
        except (OSError, HTTPException, ValueError) as error:
            raise KeySetUnreadable(
                f"the key set could not be fetched ({type(error).__name__})", where=self.where
            ) from None
        if data == self._seen:
            return None
        keys = parse(bytes(data), where=self.where)
        self._seen = bytes(data)
        return keys


def _bounded(data: bytes | bytearray, where: str) -> None:
    if len(data) > MAX_SET_BYTES:
        raise KeySetUnreadable(f"the key set is larger than {MAX_SET_BYTES} bytes", where=where)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
