"""What an OPA server says of itself: which bundles it has, since when, and whether those are the local ones.

Sources: OPA's Status API (``/v1/status``, only where the server's status plugin is on) for activation and polling,
the Health API (``/health?bundles``) for the first activation only, provenance for what decides now.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from guard.config import OpaConfig
from guard.errors import PolicyEvaluationError, UnexpectedPolicies
from guard.policy.bundle import Bundle
from guard.policy.opa.errors import Refused, is_outage, mapped
from guard.policy.opa.served import Expected, Served, served_by

_NEVER: Final = "0001-01-01"
_QUERY: Final = {"provenance": "true", "strict-builtin-errors": "true"}


class BundleStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One bundle of the server. Times are RFC 3339, ``""`` for never or not told; ``error`` is OPA's own sentence.
    ``silent_seconds`` counts from the last successful request for the bundle, ``None`` where that is not told."""

    name: str
    revision: str
    activated: str = ""
    requested: str = ""
    silent_seconds: int | None = None
    error: str = ""


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """``error`` is ``""`` where the server answers. ``defined``: the entrypoint has a value for an empty input.
    ``bundles_active`` is what ``/health?bundles`` says, ``None`` where we may not ask; ``tells_status`` whether the
    Status API is on. ``unexpected`` says why its answers do not count under this configuration. ``same_as_local`` is
    ``None`` without a local bundle.
    """

    url: str
    error: str = ""
    version: str = ""
    revision: str = ""
    digest: str = ""
    defined: bool = False
    bundles_active: bool | None = None
    tells_status: bool = False
    bundles: tuple[BundleStatus, ...] = ()
    unexpected: str = ""
    same_as_local: bool | None = None


async def status_of(
    client: Any, config: OpaConfig, path: str, bundle: Bundle | None, *, timeout_seconds: float
) -> ServerStatus:
    """Ask ``client`` for everything. ``path`` is the entrypoint without ``data.``. A server that cannot be asked is a
    status with ``error``."""
    try:
        async with asyncio.timeout(timeout_seconds):
            defined, served = await _decides(client, path)
            active = await _active(client)
            plugins = await _plugins(client)
    except Exception as error:  # noqa: BLE001 - becomes one of ours, and a sentence
        known = mapped(error, config.url)
        return ServerStatus(url=config.url, error=f"{known.what}" + (f" ({known.mend})" if known.mend else ""))
    try:
        Expected(config.revisions, bundle if config.require_local_bundle else None).require(served, config.url)
        unexpected = ""
    except UnexpectedPolicies as error:
        unexpected = error.what
    return ServerStatus(
        url=config.url,
        version=served.version,
        revision=served.revision,
        digest=served.pushed_digest,
        defined=defined,
        bundles_active=active,
        tells_status=plugins is not None,
        bundles=bundles_of(served, plugins or {}, datetime.now(UTC)),
        unexpected=unexpected,
        same_as_local=None if bundle is None else served.holds(bundle),
    )


def bundles_of(served: Served, told: dict[str, Any], now: datetime) -> tuple[BundleStatus, ...]:
    """Each bundle that decides, or that the server tries to get, by name. ``told`` is ``bundles`` of the Status API."""
    found = []
    for name in sorted(served.bundles.keys() | told.keys()):
        entry = told.get(name)
        entry = entry if isinstance(entry, dict) else {}
        requested = _time(entry, "last_successful_request")
        found.append(
            BundleStatus(
                name=name,
                revision=served.bundles.get(name, ""),
                activated=_time(entry, "last_successful_activation"),
                requested=requested,
                silent_seconds=int((now - datetime.fromisoformat(requested)).total_seconds()) if requested else None,
                error=str(entry.get("message", entry.get("code", "")))[:300],
            )
        )
    return tuple(found)


async def _decides(client: Any, path: str) -> tuple[bool, Served]:
    """Whether the entrypoint is defined, and by which policies. A rule that fails on an empty input is defined."""
    try:
        answer = await client.query_rule({}, path, query_params=_QUERY)
    except Refused as error:
        known = mapped(error, "")
        if is_outage(known) or not error.of_opa:
            raise
        return True, await _named(client)
    return "result" in answer, served_by(answer.get("provenance"))


async def _named(client: Any) -> Served:
    answer = await client.query_rule({}, "system.version", query_params=_QUERY)
    return served_by(answer.get("provenance"))


async def _active(client: Any) -> bool | None:
    """Whether every bundle was activated once. The library's own word for it cannot tell a refusal from a failure."""
    address = f"{client.schema}{client.host}:{client.port}/health?bundles=true"
    async with client._request("GET", address) as answer:
        return {200: True, 500: False}.get(answer.status)


async def _plugins(client: Any) -> dict[str, Any] | None:
    """``bundles`` of the Status API; ``None`` where the server does not offer it, or not to us."""
    try:
        answer = await client.get_status()
    except (Refused, PolicyEvaluationError):
        return None
    result = answer.get("result")
    bundles = result.get("bundles") if isinstance(result, dict) else None
    return bundles if isinstance(bundles, dict) else {}


def _time(entry: dict[str, Any], name: str) -> str:
    text = str(entry.get(name, ""))
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return ""
    return "" if text.startswith(_NEVER) else text
