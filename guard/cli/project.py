"""``guard init`` writes a configuration and a first policy; ``guard check`` says whether it would start."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from guard.config import load_config
from guard.errors import ConfigError

_STARTER = {
    "guard.toml": Path("guard.toml"),
    "example.rego": Path("policies/guard/rules/example/example.rego"),
    "example_test.rego": Path("policies/guard/rules/example/example_test.rego"),
}


def init(
    directory: Annotated[Path, typer.Argument(help="Where the files are written.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
) -> None:
    """Write guard.toml and a starter policy with its test."""
    targets = {source: directory / target for source, target in _STARTER.items()}
    existing = [str(target) for target in targets.values() if target.exists()]
    if existing and not force:
        raise ConfigError("would be overwritten", where=", ".join(existing), mend="use --force, or another directory")
    for source, target in targets.items():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(files("guard.cli").joinpath("starter", source).read_text(encoding="utf-8"))
        except OSError as error:
            mend = "check the path, its permissions and the free space"
            raise ConfigError(f"cannot be written: {error.strerror}", where=str(target), mend=mend) from None
        typer.echo(f"wrote {target}")
    where = "" if directory == Path() else f"cd {directory} && "
    typer.echo(f"next: {where}guard check && guard policy test policies")


def check(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The guard.toml; else as the app finds it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Load the configuration, its detectors and its policies, and say what would run. Writes nothing."""
    from guard.runtime import build_engine, load_behaviour, load_detectors

    loaded = load_config(config)
    engine = build_engine(loaded)
    detectors = load_detectors(loaded)
    behaviour = load_behaviour(loaded)
    rules = sorted(engine.rules.values(), key=lambda rule: rule.id)
    if as_json:
        report = {
            "engine": engine.info.name,
            "revision": engine.info.revision,
            "digest": engine.info.digest,
            "rules": [{"id": r.id, "title": r.title, "mode": r.mode, "location": str(r.location)} for r in rules],
            "detectors": [d.info.name for d in detectors],
            "behaviour": behaviour.info.name if behaviour else None,
            "routes": [{"path": r.path, "inspect": r.inspect} for r in loaded.routes],
        }
        typer.echo(json.dumps(report))
        return
    typer.echo(f"engine     {engine.info.name}, policies {engine.info.revision} ({engine.info.digest[:16]})")
    for rule in rules:
        shadow = "  (shadow)" if rule.mode == "shadow" else ""
        typer.echo(f"rule       {rule.id:<10} {rule.title}{shadow}")
    names = [d.info.name for d in detectors] + ([behaviour.info.name] if behaviour else [])
    typer.echo(f"detectors  {', '.join(names) or 'none'}")
    for route in loaded.routes:
        typer.echo(f"route      {route.path}  {'inspected' if route.inspect else 'NOT inspected'}")
    typer.echo(f"state      {loaded.state_directory}")
    typer.echo("ok")
