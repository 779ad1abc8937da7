"""An issuer of tokens: keys of each kind, tokens signed with them, and the key set that it publishes."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

from joserfc import jwk
from joserfc.jws import JWSRegistry

NOW = 1_800_000_000
ISSUER = "https://issuer.example"
AUDIENCE = "policy-guard"


def b64(data: bytes | str) -> str:
    """Base64url without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=").decode()


class Clock:
    """A time that moves only when told to. Read as Unix time and as monotonic time alike."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        """The present moment, in seconds."""
        return self.now


class Issuer:
    """``rsa``, ``ec`` and ``ed`` are its keys by name; ``publish`` writes the public halves."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {
            "rsa": jwk.RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}),
            "ec": jwk.ECKey.generate_key("P-256", {"kid": "ec"}),
            "ed": jwk.OKPKey.generate_key("Ed25519", {"kid": "ed"}),
        }

    def key_set(self, *names: str) -> dict[str, Any]:
        """The JWK Set of the named keys, of all of them by default."""
        return {"keys": [self.keys[name].as_dict(private=False) for name in names or self.keys]}

    def publish(self, path: Path, *names: str) -> Path:
        """Writes the JWK Set."""
        path.write_text(json.dumps(self.key_set(*names)))
        return path

    @staticmethod
    def claims(**changes: Any) -> dict[str, Any]:
        """Claims that are valid at ``NOW``; a change to ``None`` leaves a claim out."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "alice",
            "iat": NOW - 10,
            "exp": NOW + 300,
            "tenant": "acme",
            "roles": ["analyst"],
            "groups": ["eu/finance"],
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self,
        key: str = "rsa",
        alg: str = "RS256",
        *,
        header: dict[str, Any] | None = None,
        payload: str | None = None,
        **claims: Any,
    ) -> str:
        """A signed token. ``header`` changes header parameters (``None`` leaves one out), ``payload`` is raw text."""
        parameters = {"typ": "JWT", "alg": alg, "kid": key} | (header or {})
        head = b64(json.dumps({name: value for name, value in parameters.items() if value is not None}))
        body = b64(json.dumps(self.claims(**claims)) if payload is None else payload)
        signature = JWSRegistry.algorithms[alg].sign(f"{head}.{body}".encode(), self.keys[key])
        return f"{head}.{body}.{b64(signature)}"

    def real_time_token(self, **claims: Any) -> str:
        """A token that is valid now, by the wall clock."""
        now = int(time.time())
        return self.token(iat=now, exp=now + 300, **claims)


def scope(*headers: tuple[str, str | bytes], **members: Any) -> dict[str, Any]:
    """An ASGI HTTP scope with these headers, from a peer outside every trusted network."""
    return {
        "type": "http",
        "client": ("203.0.113.9", 50_000),
        "headers": [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers],
    } | members


def bearer(token: str) -> dict[str, Any]:
    """A scope with one bearer token."""
    return scope(("authorization", f"Bearer {token}"))
