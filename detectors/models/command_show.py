"""``guard model show``: what the installed detectors are, or one model with its card, signature and drift."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from detectors.models.directory import ModelDirectory
from detectors.models.extras import needs_ml
from detectors.models.words import Json, ModelKey, host_of, tell, wrapped
from guard.errors import ConfigError, GuardError
from guard.types import BehaviourModel, CommandHost, Detector, IntentModel

if TYPE_CHECKING:
    from detectors.common.artefact import Artefact

_GROUP: Final = "guard.detectors"
_NAMES: Final = ("injection", "behaviour", "intent")
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
            raise ConfigError(
                "--log is of one model",
                where="guard model show",
                mend="name it: injection, behaviour, intent, or a file",
            )
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
        for line in wrapped(", ".join(row["entities"]), 2):
            typer.echo("  " + line)


def _row(point: EntryPoint) -> dict[str, Any]:
    try:
        instance = point.load()()
    except (GuardError, ImportError) as error:
        return {
            "name": point.name, "kind": f"not usable ({error})", "version": "-", "digest": "-", "entities": [],
        }  # fmt: skip
    kinds = {BehaviourModel: "behaviour model", IntentModel: "intent model"}
    kind = next((name for protocol, name in kinds.items() if isinstance(instance, protocol)), "detector")
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
        for number, step in enumerate(history, 1):
            forced = ", forced" if step.forced else ""
            lines[f"{number}. {step.action}"] = f"{step.version}, {step.at}{forced}"
    if log is None:
        lines["in use"] = "not looked at: --log DIR reads what running guards counted"
    else:
        told["live"], more = _live(host, found, file, log, hours)
        lines |= more
    tell(lines, told, as_json=as_json)


def _live(
    host: CommandHost, found: Artefact, file: Path, log: Path, hours: float | None
) -> tuple[dict[str, Any], dict[str, object]]:
    """What running guards counted of a model, for programs and for people."""
    from detectors.models.kinds import kind_of
    from detectors.models.live import KINDS, counted, lines_of, live_of
    from detectors.models.watch import reference_of

    kind = kind_of(str(found.card["kind"]), file)
    try:
        reference = reference_of(found.card)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"the reference in the model's card is damaged: {error}", where=str(file), mend="train it again"
        ) from error
    since_us = 0 if hours is None else time.time_ns() // 1000 - round(hours * _HOUR_US)
    with host.records(log, KINDS, "model_show") as records:
        counts = counted(records, kind.name, [each for each in (found.digest, kind.without) if each], since_us)
    live = live_of(counts, kind, reference)
    lines = lines_of(live)
    if live.judged and "score" not in live.psi:
        lines["drift of score"] = (
            "its card has no reference, and the log nothing before this window"
            if hours
            else "against the time before, if a window is named: --hours N"
        )
    return msgspec.to_builtins(live), lines


def _found(host: CommandHost, name: str) -> tuple[Path, ModelDirectory | None]:
    """The file that is meant, and the directory of versions in which it is, if it is in one. Raises ``ConfigError``."""
    path = Path(name)
    if name in _NAMES:
        with needs_ml("reading a model"):
            from detectors.models.kinds import KINDS
        kind = KINDS[name]
        chosen = host.options.get(name, {}).get(kind.option)
        path = Path(str(chosen)) if chosen else kind.shipped
    elif not path.exists():
        raise ConfigError(
            "there is no such model", where=name, mend=f"name {', '.join(_NAMES)}, a .npz file or its directory"
        )
    if path.is_dir():
        directory = ModelDirectory(path)
        return directory.current, directory
    return path, None


def _signature(file: Path, *, checked: bool) -> str:
    if checked:
        return "right, by the key that --model-key names"
    if file.with_suffix(".sig").is_file():
        return "there, and not checked: name its key with --model-key"
    return "none"


def _card_lines(card: Mapping[str, Any]) -> dict[str, object]:
    """What the card says, in lines; histograms are left to --json."""
    lines: dict[str, object] = {}
    for name in ("licence", "data", "features", "features_in_the_log", "libraries", "trainer", "calibration"):
        if name in card:
            lines[name.replace("_", " ")] = _flat(card[name])
    metrics = card.get("metrics")
    for group, figures in metrics.items() if isinstance(metrics, Mapping) else ():
        if isinstance(figures, Mapping):
            shown = {key: value for key, value in figures.items() if key != "of"}
            lines[f"figures, {group}"] = f"{_flat(shown)}; of {str(figures.get('of', '-'))[:16]}"
    reference = card.get("reference")
    if isinstance(reference, Mapping):
        lines["reference"] = str(reference.get("of", "there"))
    return lines


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_flat(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = str(value)
    return f"{text[:16]}…" if len(text) == 64 else text
