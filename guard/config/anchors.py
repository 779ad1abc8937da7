"""``[record.anchors]`` and ``[[record.witnesses]]``: where the checkpoints of the log go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for a port that is no number
    except ValueError:
        raise ValueError("must be an address like https://host:8443/path") from None
    if not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise ValueError("must be an address like https://host/path, without a user name or a fragment")
    return text.rstrip("/")


def _safe_for_tokens(url: str) -> bool:
    """Whether nobody on the way can read a token that is sent there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in {"127.0.0.1", "::1", "localhost"}


WebAddress = Annotated[str, Field(pattern=r"^https?://[!-~]+$"), AfterValidator(_web_address)]


class AnchorsConfig(BaseModel):
    """``[record.anchors]``: where signed checkpoints go beside witnesses, so that nobody who rewrites the log can call
    them back. Nothing waits for them. The newest is sent every ``every_seconds``; each way has ``timeout_seconds``.
    ``ca_file`` stands in the place of the system's authorities, for witnesses too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every_seconds: float = Field(60.0, gt=0, le=86_400)
    timeout_seconds: float = Field(5.0, gt=0, le=60)
    directory: Path | None = None
    syslog: Annotated[str, Field(pattern=r"^((udp|tcp)://[^/\s?#]+:[0-9]{1,5}|unix:///[^\s?#]+)$")] | None = None
    http_url: WebAddress | None = None
    http_token_file: Path | None = None
    timestamp_url: WebAddress | None = None
    timestamp_roots_file: Path | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.timestamp_url is None) != (self.timestamp_roots_file is None):
            raise ValueError("timestamp_url and timestamp_roots_file need each other")
        if self.http_token_file is not None and self.http_url is None:
            raise ValueError("http_token_file needs http_url")
        if self.http_token_file is not None and self.http_url is not None and not _safe_for_tokens(self.http_url):
            raise ValueError("http_token_file needs an https address, or one of this machine")
        return self


class WitnessConfig(BaseModel):
    """One entry of ``[[record.witnesses]]``: a C2SP witness. ``add-checkpoint`` is below ``url``; ``vkey`` is the line
    that the witness's operator gives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: WebAddress
    vkey: Annotated[str, Field(pattern=r"^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$")]
