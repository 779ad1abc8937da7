"""Who asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and how we know. Raw values: they enter records and policy documents only as keyed pseudonyms."""

    type: Literal["user", "service", "anonymous"]
    id: str
    tenant: str | None = None
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    authenticated: bool = False
    attributes: Mapping[str, str | int | bool] = {}
    method: Literal["jwt", "api_key", "scope_user", "trusted_header", "anonymous"] = "anonymous"


ANONYMOUS: Final = Principal(type="anonymous", id="anonymous")
