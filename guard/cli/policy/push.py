"""``guard policy push``: puts policies and data onto an OPA server."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from guard.cli.opa_status import target
from guard.cli.policy.given import AsJson, Config, Directories, NoShipped, load_or_exit
from guard.config import load_config
from guard.policy.embedded import compile_bundle


def push(
    directories: Directories,
    *,
    url: Annotated[str, typer.Option(metavar="URL", help="The OPA server; else policy.opa.url.")] = "",
    config: Config = None,
    no_shipped: NoShipped = False,
    as_json: AsJson = False,
) -> None:
    """Put policies and data onto an OPA server."""
    from guard.policy.opa import OpaEngine, Pushed

    settings = load_config(config)
    bundle = load_or_exit(directories, config, no_shipped=no_shipped)
    compile_bundle(bundle.modules, bundle.data)
    server = target(settings.policy.opa, url)

    engine = OpaEngine(server, settings.policy.entrypoint)

    async def put() -> Pushed:
        async with engine.opened():
            return await engine.push(bundle)

    pushed = asyncio.run(put())
    if as_json:
        removed = {"removed_modules": pushed.removed_modules, "removed_data": pushed.removed_data}
        told = {"url": server.url, "modules": sorted(bundle.modules), "revision": bundle.revision, **removed}
        typer.echo(json.dumps(told))
        return
    typer.echo(f"pushed {len(bundle.modules)} modules, revision {bundle.revision}, to {server.url}")
    for name in pushed.removed_modules:
        typer.echo(f"  removed {name}, which an earlier push had put there")
    for name in pushed.removed_data:
        typer.echo(f"  removed data.{name}, which an earlier push had put there")
