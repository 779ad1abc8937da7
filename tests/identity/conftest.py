"""Fixtures of the identity tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.config import IdentityConfig, JwtConfig
from guard.identity import Authenticator
from tests.identity.issuer import AUDIENCE, ISSUER, Clock, Issuer


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """One issuer for all tests: making RSA keys is slow."""
    return Issuer()


@pytest.fixture
def clock() -> Clock:
    """The time of the test."""
    return Clock()


@pytest.fixture
def jwks_file(issuer: Issuer, tmp_path: Path) -> Path:
    """The issuer's key set in a file."""
    return issuer.publish(tmp_path / "jwks.json")


@pytest.fixture
def authenticator(jwks_file: Path, clock: Clock) -> Callable[..., Authenticator]:
    """Makes authenticators; keywords change ``[identity.jwt]``, ``identity`` adds other sources."""

    def make(identity: dict[str, Any] | None = None, **jwt: Any) -> Authenticator:
        source = {} if "jwks_url" in jwt else {"jwks_file": jwks_file}
        tokens = JwtConfig(**({"issuer": ISSUER, "audience": AUDIENCE} | source | jwt))
        return Authenticator(IdentityConfig(jwt=tokens, **(identity or {})), clock=clock, monotonic=clock)

    return make
