"""``guard policy status``: what an OPA server decides by, since when, and whether those are the local policies.

Exit codes: 0 it decides as this configuration expects; 1 it does not answer, does not know the entrypoint, has policies
that are not accepted, or a bundle that was never activated; 3 usage.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from guard.cli.complaints import complain
from guard.cli.terminal import verdict_stands
from guard.config import GuardConfig, OpaConfig, load_config
from guard.errors import ConfigError, GuardError
from guard.generation import bundle_of
from guard.policy.bundle import Bundle

if TYPE_CHECKING:
    from guard.policy.opa import BundleStatus, ServerStatus


def status(
    *,
    url: Annotated[str, typer.Option(metavar="URL", help="The OPA server; else policy.opa.url.")] = "",
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="The guard.toml; else as the app finds it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tell what an OPA server decides by, and whether those are the local policies."""
    from guard.policy.opa import OpaEngine

    settings = load_config(config)
    bundle = _local(settings)
    engine = OpaEngine(target(settings.policy.opa, url), settings.policy.entrypoint, bundle)

    async def ask() -> ServerStatus:
        async with engine.opened():
            return await engine.status()

    found = asyncio.run(ask())
    with verdict_stands():
        if as_json:
            local = None if bundle is None else bundle.revision
            typer.echo(json.dumps({"ok": good(found), "local_revision": local} | msgspec.to_builtins(found)))
        else:
            for line in told(found, settings.policy.entrypoint, bundle):
                typer.echo(line)
    raise typer.Exit(0 if good(found) else 1)


def target(settings: OpaConfig, url: str) -> OpaConfig:
    """The server that is meant. Raises ``ConfigError`` for an address that is none."""
    try:
        return OpaConfig(**(settings.model_dump() | ({"url": url} if url else {})))
    except ValueError:
        what = "the address is neither http(s)://host:port nor unix:///path, or does not go with [policy.opa]"
        raise ConfigError(what, where=f"--url {url}", mend="correct it") from None


def good(found: ServerStatus) -> bool:
    """Whether requests are decided by it."""
    return not found.error and found.defined and not found.unexpected and found.bundles_active is not False


def told(found: ServerStatus, entrypoint: str, bundle: Bundle | None) -> Iterator[str]:
    """The lines for people."""
    if found.error:
        yield f"{found.url}: {found.error}"
        return
    yield f"{found.url}: OPA {found.version or 'that does not tell its version'}"
    undefined = "is defined" if found.defined else "is undefined: every request is denied"
    yield f"  entrypoint  {entrypoint} {undefined}"
    yield f"  decides by  {found.revision or 'policies that it does not name'}"
    if bundle is not None:
        other = "other policies" if found.digest else "not known to be the same policies"
        same = "the same policies" if found.same_as_local else other
        yield f"  local       {bundle.revision}: {same}"
    if found.unexpected:
        yield f"  refused     {found.unexpected} Every request is answered 503."
    if found.bundles_active is False:
        yield "  health      a bundle was never activated"
    if not found.tells_status:
        yield "  status      not told: OPA's status plugin is off, or not open to us"
    for each in found.bundles:
        yield f"  bundle      {each.name}: {_bundle(each)}"


def _bundle(each: BundleStatus) -> str:
    parts = [each.revision or "no revision"]
    if each.activated:
        parts.append(f"activated {each.activated}")
    if each.silent_seconds is not None:
        parts.append(f"last got through to its service {each.silent_seconds} s ago")
    if each.error:
        parts.append(f"error: {each.error}")
    return ", ".join(parts)


def _local(settings: GuardConfig) -> Bundle | None:
    """The policies that the configuration names. Those that do not load are told, and the server is asked all the
    same: it decides, not they."""
    try:
        return bundle_of(settings)
    except GuardError as error:
        complain(error)
        return None
