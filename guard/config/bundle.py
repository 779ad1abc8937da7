"""``[policy.bundle]`` and ``[policy.candidate.bundle]``: where a bundle comes from and who must have signed it."""

from __future__ import annotations

import ipaddress
import urllib.parse
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _bundle_source(text: str) -> str:
    """A path as it is; an address only where nobody on the way could read a credential in it."""
    if "://" not in text:
        return text
    try:
        parts = urllib.parse.urlsplit(text)
        host = parts.hostname
        parts.port  # noqa: B018 - raises for a port that is no number
    except ValueError:
        raise ValueError("must be a path, or an address like https://host/path/bundle.tar.gz") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("must be a path, or an address like https://host/path/bundle.tar.gz")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user and password; use token_file")
    if parts.fragment or any(not "!" <= character <= "~" for character in text):
        raise ValueError("must be an address without spaces and fragment")
    return text


class BundleConfig(BaseModel):
    """``[policy.bundle]``: an OPA bundle instead of ``directories``. ``source`` is a directory, a gzipped tarball or an
    http(s) address, which is polled while the guard runs. With a key, only bundles that are signed with it are taken.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(pattern=r"^\S"), AfterValidator(_bundle_source)]
    public_key_file: Path | None = None
    hmac_secret_file: Path | None = None
    algorithm: (
        Literal[
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256", "HS384", "HS512"
        ]
        | None
    ) = None
    key_id: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")] | None = None
    scope: str = ""
    max_archive_bytes: int = Field(32 * 2**20, ge=1024)
    max_unpacked_bytes: int = Field(128 * 2**20, ge=1024)
    token_file: Path | None = None
    ca_file: Path | None = None
    poll_min_seconds: float = Field(60.0, gt=0)
    poll_max_seconds: float = Field(120.0, gt=0)
    long_poll_seconds: int | None = Field(None, ge=1, le=3600)
    download_deadline_seconds: float = Field(30.0, gt=0)
    start_with_last_good: bool = True

    @property
    def remote(self) -> bool:
        """Whether the source is an address."""
        return "://" in self.source

    @property
    def signed(self) -> bool:
        """Whether only signed bundles are taken."""
        return self.public_key_file is not None or self.hmac_secret_file is not None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.public_key_file is not None and self.hmac_secret_file is not None:
            raise ValueError("name at most one of public_key_file and hmac_secret_file")
        if not self.signed and (self.algorithm or self.key_id or self.scope):
            raise ValueError("algorithm, key_id and scope need public_key_file or hmac_secret_file")
        if self.algorithm and self.algorithm.startswith("HS") != (self.hmac_secret_file is not None):
            raise ValueError("algorithm does not belong to this kind of key: HS256, HS384 and HS512 are for secrets")
        if self.poll_min_seconds > self.poll_max_seconds:
            raise ValueError("poll_min_seconds must not be above poll_max_seconds")
        if not self.remote and (self.token_file or self.ca_file or self.long_poll_seconds):
            raise ValueError("token_file, ca_file and long_poll_seconds are for http(s) sources")
        if self.source.startswith("http://") and not _loopback(self.source):
            if self.token_file is not None:
                raise ValueError("a token is sent over https, or to this machine, only")
            if not self.signed:
                raise ValueError("an unsigned bundle is fetched over https, or from this machine, only")
        return self


def _loopback(address: str) -> bool:
    host = urllib.parse.urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
