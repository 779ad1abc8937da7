"""``guard model show``: what the installed detectors are, or one model with its card, signature and drift."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from detectors.models.directory import ModelDirectory
from detectors.models.extras import needs_ml
from detectors.models.words import Json, ModelKey, host_of, tell
from guard.errors import ConfigError, GuardError
from guard.types import BehaviourModel, CommandHost, Detector

_GROUP: Final = "guard.detectors"
_OPTION: Final = {"injection": "model", "behaviour": "forest"}
"""The option that names a detector's model."""
_HOUR_US: Final = 3_600_000_000


def show(
    *,
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME|FILE", help="A detector's name, a model's file or its versions.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="DIR", help="Also its drift, from this log or state directory.")
    ] = None,
    hours: Annotated[
        float | None, typer.Option(min=0.01, metavar="N", help="With --log: only the last N hours.")
    ] = None,
    model_key: ModelKey = None,
    as_json: Json = False,
) -> None:
    """Show every installed detector and behaviour model; or one model: card, digest, signature, and drift."""
    if name is None:
        if log is not None or hours is not None:
            raise ConfigError("--log is of one model", where="guard model show", mend="name it: injection, or a file")
        _show_all(as_json=as_json)
        return
    if hours is not None and log is None:
        raise ConfigError("--hours needs a log", where="--hours", mend="name it with --log DIR")
    _show_one(host_of(context), name, log, hours, model_key, as_json=as_json)


def _show_all(*, as_json: bool) -> None:
    rows = [_row(point) for point in sorted(entry_points(group=_GROUP))]
    if as_json:
        typer.echo(json.dumps({"detectors": rows}))
        return
    for row in rows:
        typer.echo(f"{row['name']}: {row['kind']}, version {row['version']}, digest {row['digest'][:16]}")
        if row["entities"]:
            typer.echo("  " + ", ".join(row["entities"]))


def _row(point: EntryPoint) -> dict[str, Any]:
    try:
        instance = point.load()()
    except (GuardError, ImportError) as error:
        return {
            "name": point.name, "kind": f"not usable ({error})", "version": "-", "digest": "-", "entities": [],
        }  # fmt: skip
    kind = "behaviour model" if isinstance(instance, BehaviourModel) else "detector"
    entities = sorted(instance.entities) if isinstance(instance, Detector) else []
    return {
        "name": point.name,
        "kind": kind,
        "version": instance.info.version,
        "digest": instance.info.digest,
        "entities": entities,
    }


def _show_one(
    host: CommandHost, name: str, log: Path | None, hours: float | None, model_key: Path | None, *, as_json: bool
) -> None:
    with needs_ml("reading a model"):
        from detectors.common.artefact import read_any
        from detectors.models.live import KINDS, counted, lines_of, live_of
        from detectors.models.watch import reference_of
    file, directory = _found(host, name)
    found = read_any(file, model_key=model_key)
    signature = _signature(file, checked=found.signed)
    told: dict[str, Any] = {
        "file": str(file),
        "sha256": found.digest,
        "card_sha256": found.card_digest,
        "signature": signature,
        "card": dict(found.card),
    }
    lines: dict[str, object] = {
        "file": file,
        "kind": found.card["kind"],
        "version": found.card.get("version", found.digest[:12]),
        "sha256": found.digest,
        "signature": signature,
        **_card_lines(found.card),
    }
    if directory is not None:
        history = directory.history
        told["history"] = [{name: getattr(step, name) for name in step.__struct_fields__} for step in history]
        lines |= {f"{step.at}": f"{step.action} {step.version}{', forced' if step.forced else ''}" for step in history}
    if log is not None:
        since_us = 0 if hours is None else time.time_ns() // 1000 - round(hours * _HOUR_US)
        with host.records(log, KINDS, "model_show") as records:
            counts, processes = counted(records, "injection", found.digest, since_us)
        live = live_of(counts, processes, reference_of(found.card))
        told["live"] = {name: getattr(live, name) for name in live.__struct_fields__}
        told["live"]["shadow"] = [
            {name: getattr(each, name) for name in each.__struct_fields__} for each in live.shadow
        ]
        lines |= lines_of(live)
    tell(lines, told, as_json=as_json)


def _found(host: CommandHost, name: str) -> tuple[Path, ModelDirectory | None]:
    """The file that is meant, and the directory of versions in which it is, if it is in one. Raises ``ConfigError``."""
    path = Path(name)
    if name in _OPTION:
        chosen = host.options.get(name, {}).get(_OPTION[name])
        path = Path(str(chosen)) if chosen else _shipped(name)
    elif not path.exists():
        raise ConfigError(
            "there is no such model", where=name, mend=f"name {' or '.join(_OPTION)}, a .npz file or its directory"
        )
    if path.is_dir():
        directory = ModelDirectory(path)
        return directory.current, directory
    return path, None


def _shipped(name: str) -> Path:
    with needs_ml("reading a model"):
        from detectors.anomaly.second import SHIPPED
        from detectors.injection.sources import shipped_file
    return shipped_file() if name == "injection" else SHIPPED


def _signature(file: Path, *, checked: bool) -> str:
    if checked:
        return "right, by the key that --model-key names"
    if file.with_suffix(".sig").is_file():
        return "there, and not checked: name its key with --model-key"
    return "none"


def _card_lines(card: Mapping[str, Any]) -> dict[str, object]:
    """What the card says, in lines; histograms are left to --json."""
    lines: dict[str, object] = {}
    for name in ("licence", "data", "features", "features_in_the_log", "libraries", "calibration"):
        if name in card:
            lines[name] = _flat(card[name])
    for group, metrics in card.get("metrics", {}).items():
        shown = {key: value for key, value in metrics.items() if key != "of"}
        lines[f"metrics, {group}"] = f"{_flat(shown)}; of {str(metrics.get('of', '-'))[:16]}"
    return lines


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_flat(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = str(value)
    return f"{text[:16]}…" if len(text) == 64 else text
