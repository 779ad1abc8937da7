"""``guard model promote`` and ``guard model rollback``."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from detectors.models.directory import VERSION, ModelDirectory, Step, resolved, taken
from detectors.models.extras import needs_ml
from detectors.models.metrics import Change, changes
from detectors.models.words import Json, LexiconFile, ModelKey, tell
from guard.errors import ConfigError

_ID_DIGITS: Final = 16
_EVALUATE: Final = (
    "measure both on the same: guard model evaluate KIND --keep --model FILE (injection: --eval DIR); or use --force"
)


def promote(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model's file, or a directory: its current version.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The directory of versions; made if need be.")],
    force: Annotated[bool, typer.Option("--force", help="Even if its metrics are worse, or tell nothing.")] = False,
    model_key: ModelKey = None,
    lexicon: LexiconFile = None,
    as_json: Json = False,
) -> None:
    """Place a model in a directory of versions, and make it the current one at once.

    Refused if its card's metrics are worse than the current one's, or were not measured on the same texts.
    """
    source = resolved(file)
    step, card = _checked(source, model_key, lexicon, forced=False)
    directory = ModelDirectory(to)
    history = directory.history
    if history and history[-1].id == step.id:
        _tell(directory, history[-1], None, [], as_json=as_json, done="is current already")
        return
    found, refusal = _compared(directory, card, model_key) if history else ([], "")
    if refusal and not force:
        raise ConfigError(refusal, where=str(source), mend=_EVALUATE)
    placed = taken(source)
    if hashlib.sha256(placed.card).hexdigest()[:_ID_DIGITS] != step.id:
        raise ConfigError("the model changed while it was read", where=str(source), mend="promote it again")
    step = Step(step.action, step.id, step.sha256, step.version, step.at, forced=bool(refusal))
    directory.promote(placed, step)
    _tell(directory, step, history[-1] if history else None, found, as_json=as_json, done="is current now")


def rollback(
    *,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The directory of versions.")],
    as_json: Json = False,
) -> None:
    """Make the version current again that was so before. The one that is left stays in the directory."""
    if not directory.is_dir():
        raise ConfigError("there is no such directory", where=str(directory), mend="name the one that promote filled")
    models = ModelDirectory(directory)
    history = models.history
    step = models.rollback(_now())
    _tell(models, step, history[-1], [], as_json=as_json, done="is current again")


def _checked(
    source: Path, model_key: Path | None, lexicon: Path | None, *, forced: bool
) -> tuple[Step, dict[str, Any]]:
    """What would be promoted, after it was loaded as a guard loads it. Raises ``ConfigError``, ``KeyInvalid``."""
    with needs_ml("promoting a model"):
        from detectors.common.artefact import read_any
        from detectors.models.kinds import kind_of
    found = read_any(source, model_key=model_key)
    kind_of(str(found.card["kind"]), source).load(source, lexicon)
    version = str(found.card.get("version", found.digest[:12]))
    if not VERSION.fullmatch(version):
        raise ConfigError("the version in the card is no word", where=str(source), mend="train it again with --name")
    step = Step("promote", found.card_digest[:_ID_DIGITS], found.digest, version, _now(), forced)
    return step, dict(found.card)


def _compared(directory: ModelDirectory, card: dict[str, Any], model_key: Path | None) -> tuple[list[Change], str]:
    """The metrics beside those of the current version, and why they speak against the new one, or ``""``.

    Raises ``ConfigError`` for a model of another kind.
    """
    from detectors.common.artefact import read_any

    current = read_any(directory.current, model_key=model_key)
    if current.card["kind"] != card["kind"]:
        raise ConfigError(
            f"the directory holds models of kind {current.card['kind']!r}, and this one is of {card['kind']!r}",
            where=str(directory.path),
            mend="promote it to a directory of its own",
        )
    found = changes(current.card, card)
    worse = [f"{each.name} {each.before} -> {each.after}" for each in found if each.worse]
    if worse:
        return found, f"its metrics are worse than the current model's: {', '.join(worse)}"
    if not found:
        return found, "its metrics and the current model's were not measured on the same texts or simulation"
    return found, ""


def _tell(
    directory: ModelDirectory, step: Step, before: Step | None, found: list[Change], *, as_json: bool, done: str
) -> None:
    lines: dict[str, object] = {"version": f"{step.version} {done}", "sha256": step.sha256}
    if before is not None:
        lines |= {"before": f"{before.version}, {before.sha256}"}
    lines |= {each.name: f"{each.before} -> {each.after}" for each in found}
    if step.forced:
        lines |= {"forced": "although its metrics are worse, or could not be compared"}
    if directory.before is not None:
        lines |= {"take it back": f"guard model rollback {directory.path}"}
    told = {
        "directory": str(directory.path),
        "id": step.id,
        "version": step.version,
        "sha256": step.sha256,
        "before": None if before is None else {"version": before.version, "sha256": before.sha256},
        "metrics": [each._asdict() for each in found],
        "forced": step.forced,
    }
    tell(lines, told, as_json=as_json)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
