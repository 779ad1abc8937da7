"""``guard model``: what the installed detectors and behaviour models are. Reached through ``guard.commands``."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer

from guard.errors import GuardError
from guard.types import BehaviourModel, Detector

app = typer.Typer(help="Detectors and the models behind them.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Detectors and the models behind them."""


@app.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Name, version, digest and entity types of every installed detector and behaviour model."""
    rows = [_row(point.name, point.load()) for point in sorted(entry_points(group="guard.detectors"))]
    if as_json:
        typer.echo(json.dumps({"detectors": rows}))
        return
    for row in rows:
        typer.echo(f"{row['name']}: {row['kind']}, version {row['version']}, digest {row['digest'][:16]}")
        if row["entities"]:
            typer.echo("  " + ", ".join(row["entities"]))


def _row(name: str, factory: Any) -> dict[str, Any]:
    try:
        instance = factory()
    except GuardError as error:
        return {"name": name, "kind": f"not usable ({error})", "version": "-", "digest": "-", "entities": []}
    kind = "behaviour model" if isinstance(instance, BehaviourModel) else "detector"
    entities = sorted(instance.entities) if isinstance(instance, Detector) else []
    return {
        "name": name,
        "kind": kind,
        "version": instance.info.version,
        "digest": instance.info.digest,
        "entities": entities,
    }
