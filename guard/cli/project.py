"""``guard init`` writes a configuration and a first policy; ``guard check`` says whether it would start."""

from __future__ import annotations

import json
import os
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from guard.cli.policy import diagnostics_as_json
from guard.cli.terminal import console, hanging
from guard.config import GuardConfig, load_config
from guard.config.load import DEFAULT_FILE
from guard.config.model import Route
from guard.errors import ConfigError, GuardError, PolicyInvalid

_LABEL_WIDTH: Final = 11
_STARTER: Final = {
    "guard.toml": Path("guard.toml"),
    "example.rego": Path("policies/guard/rules/example/example.rego"),
    "example_test.rego": Path("policies/guard/rules/example/example_test.rego"),
}


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files are written.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Write guard.toml and a starter policy with its test."""
    targets = {source: directory / target for source, target in _STARTER.items()}
    existing = [str(target) for target in targets.values() if target.exists()]
    if existing and not force:
        raise ConfigError(
            "these files exist, nothing was written",
            where=", ".join(existing),
            mend="overwrite them with --force, or name another directory",
        )
    for source, target in targets.items():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(files("guard.cli").joinpath("starter", source).read_text(encoding="utf-8"))
        except OSError as error:
            mend = "check the path, its permissions and the free space"
            raise ConfigError(f"the file cannot be written: {error.strerror}", where=str(target), mend=mend) from None
    if as_json:
        typer.echo(json.dumps({"written": [str(target) for target in targets.values()]}))
        return
    for target in targets.values():
        typer.echo(f"wrote {target}")
    where = "" if directory == Path() else f"cd {shlex.quote(str(directory))} && "
    typer.echo(f"next: {where}guard check && guard policy test policies")


def check(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="The guard.toml; else as the app finds it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what would run: configuration, detectors, policies.

    Loads all of them as a start would, and writes nothing.
    """
    from guard.runtime import build_engine, load_behaviour, load_detectors

    try:
        loaded = load_config(config)
        engine = build_engine(loaded)
        detectors = load_detectors(loaded)
        behaviour = load_behaviour(loaded)
    except GuardError as error:
        if as_json:
            typer.echo(json.dumps({"ok": False, "errors": _errors(error)}))
            raise typer.Exit(1) from None
        raise
    rules = sorted(engine.rules.values(), key=lambda rule: rule.id)
    if as_json:
        report = {
            "ok": True,
            "engine": engine.info.name,
            "revision": engine.info.revision,
            "digest": engine.info.digest,
            "rules": [{"id": r.id, "title": r.title, "mode": r.mode, "location": str(r.location)} for r in rules],
            "detectors": [d.info.name for d in detectors],
            "behaviour": behaviour.info.name if behaviour else None,
            "routes": [{"path": r.path, "inspect": r.inspect, "provider": r.provider} for r in loaded.routes],
        }
        typer.echo(json.dumps(report))
        return
    out = console()
    names = [d.info.name for d in detectors] + ([behaviour.info.name] if behaviour else [])
    rows = [("config", _source(config)), ("engine", f"{engine.info.name}, policies {engine.info.revision}")]
    rows += [("rule", f"{r.id:<10} {r.title}{'  (shadow)' if r.mode == 'shadow' else ''}") for r in rules]
    rows += [("detectors", ", ".join(names) or "none")]
    rows += [("route", _route(route, loaded)) for route in loaded.routes]
    rows += [("state", str(loaded.state_directory))]
    for label, text in rows:
        hanging(out, f"{label:<{_LABEL_WIDTH}}", text, indent=_LABEL_WIDTH)
    out.print("ok")


def _source(config: Path | None) -> str:
    named = config or os.environ.get("GUARD_CONFIG")
    if named is None and not Path(DEFAULT_FILE).is_file():
        return f"no {DEFAULT_FILE} here: the defaults (guard init writes one)"
    return str(named or DEFAULT_FILE)


def _route(route: Route, config: GuardConfig) -> str:
    methods = f" ({', '.join(route.methods)})" if route.methods else ""
    if not route.inspect:
        return f"{route.path}{methods}  NOT inspected"
    provider = config.providers.get(route.provider or "")
    if provider is None:
        if route.provider is None:
            return f"{route.path}{methods}  inspected; no provider: calls of a model are taken for external"
        return f"{route.path}{methods}  inspected; provider {route.provider} has no entry, taken for external"
    side = "external" if provider.external else "not external"
    return f"{route.path}{methods}  inspected; provider {route.provider}, {side}"


def _errors(error: GuardError) -> list[dict[str, Any]]:
    if isinstance(error, PolicyInvalid):
        return diagnostics_as_json(error)
    return [{"code": error.code, "message": error.what, "where": error.where, "mend": error.mend}]
