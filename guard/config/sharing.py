"""``[detectors.sharing]``: through which server replicas and workers share what behaviour they learn."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

_FORM: Final = "must be redis://host:6379/0, rediss://host:6379/0 (TLS) or unix:///path/of/socket?db=0"


def _server(text: str) -> str:
    """An address without credentials: it stands in logs and in health."""
    try:
        parts = urllib.parse.urlsplit(text)
        parts.port  # noqa: B018 - raises for a port that is no number
    except ValueError:
        raise ValueError(_FORM) from None
    if "@" in parts.netloc or "password" in parts.query:
        raise ValueError("must hold no user and password; use username and password_file")
    if parts.fragment or any(not "!" <= character <= "~" for character in text):
        raise ValueError(_FORM)
    if parts.scheme == "unix":
        database = parts.query.removeprefix("db=") if parts.query else "0"
        whole = not parts.netloc and len(parts.path) > 1 and database.isdecimal()
    else:
        database = parts.path.removeprefix("/") or "0"
        whole = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and not parts.query
        whole = whole and database.isdecimal()
    if not whole:
        raise ValueError(_FORM)
    return text


class SharingConfig(BaseModel):
    """``[detectors.sharing]``: a Redis or Valkey server, and the ``name`` under which a deployment shares there. All
    replicas hold the same pseudonym key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, AfterValidator(_server)]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")] = "policy-guard"
    username: Annotated[str, Field(pattern=r"^[!-~]{1,128}$")] | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    stream_messages: int = Field(20_000, ge=100, le=10_000_000)

    @property
    def encrypted(self) -> bool:
        """Whether the way to the server is TLS."""
        return self.url.startswith("rediss://")

    @property
    def local(self) -> bool:
        """Whether the way to the server leaves this machine not."""
        return urllib.parse.urlsplit(self.url).hostname in {None, "127.0.0.1", "::1", "localhost"}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.username is not None and self.password_file is None:
            raise ValueError("username needs password_file")
        if self.client_key_file is not None and self.client_cert_file is None:
            raise ValueError("client_key_file needs client_cert_file")
        if not self.encrypted and (self.ca_file or self.client_cert_file):
            raise ValueError("ca_file, client_cert_file and client_key_file are for rediss:// addresses")
        return self
