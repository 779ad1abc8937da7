"""``guard model evaluate`` and ``guard model calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from detectors.models.calibrate import Collected, collect, log_loss, shift_of
from detectors.models.directory import resolved
from detectors.models.extras import needs_ml
from detectors.models.words import (
    Json,
    LexiconFile,
    Log,
    ModelKey,
    Output,
    SigningKey,
    checked_name,
    host_of,
    output_of,
    tell,
)
from guard.errors import ConfigError

_KIND: Final = "injection"
_PLACES: Final = 4
ModelFile = Annotated[
    Path | None, typer.Option("--model", metavar="FILE|DIR", help="The model's file, or its versions; else shipped.")
]


def evaluate(
    *,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="injection, behaviour or intent")],
    sets: Annotated[
        Path | None,
        typer.Option(
            "--eval",
            metavar="DIR",
            help='Texts of yours: atk_*, ben_*, hard_*.jsonl; for intent code*, chat*, …; lines of {"text": "…"}.',
        ),
    ] = None,
    model: ModelFile = None,
    model_key: ModelKey = None,
    lexicon: LexiconFile = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write the figures into the model's card.")] = False,
    signing_key: SigningKey = None,
    as_json: Json = False,
) -> None:
    """Judge a model on what it was not trained on.

    injection: recall where 1 % of the ordinary texts are flagged; needs --eval. behaviour: the forest alone, on
    simulated attacks. intent: on your texts, or without --eval its training on held-out templates. With --keep the
    figures stand in the card afterwards, and guard model promote compares them.
    """
    if keep and (model is None or model.is_dir()):
        raise ConfigError(
            "the figures can be kept in the card of a file only", where="--keep", mend="name it: --model FILE"
        )
    with needs_ml("judging"):
        from detectors.models import cards
        from detectors.models.judging import Asked, judged
    file = None if model is None else resolved(model)
    if keep and file is not None and file.with_suffix(".sig").is_file() and signing_key is None:
        raise ConfigError(
            "the card is signed, and would not be afterwards", where=str(file), mend="sign it anew: --signing-key FILE"
        )
    found = judged(kind, Asked(file, sets, model_key, lexicon))
    lines = dict(found.lines)
    if keep and file is not None:
        cards.keep(file, found.group, found.metrics, signing_key=signing_key)
        lines["kept in"] = file.with_suffix(".json")
    tell(lines, {**found.told, "kept": keep}, as_json=as_json)


def calibrate(
    *,
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="injection")],
    model: ModelFile = None,
    log: Log = None,
    output: Output = Path("calibrated.npz"),
    name: Annotated[
        str | None, typer.Option("--name", metavar="VERSION", help="What the version is called; else by its digest.")
    ] = None,
    model_key: ModelKey = None,
    lexicon: LexiconFile = None,
    signing_key: SigningKey = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")] = False,
    as_json: Json = False,
) -> None:
    """Shift a model's log-odds by what analysts said with guard log label: at most 2 to either side.

    Only labels of decisions that this very version judged count. The order of scores stays as it is.
    """
    if kind != _KIND:
        raise ConfigError(f"models of kind {kind!r} are not calibrated", where="KIND", mend=f"write {_KIND}")
    with needs_ml("calibration"):
        from detectors.injection.lexicon import Lexicon
        from detectors.injection.sources import shipped_file
        from detectors.injection.stored import load
        from detectors.models.injection import shifted
    target, wanted, host = output_of(output, force=force), checked_name(name), host_of(context)
    file = shipped_file() if model is None else resolved(model)
    stored = load(file, Lexicon.read(lexicon) if lexicon else Lexicon.shipped(), model_key=model_key)
    with host.records(log, ("label",), "calibrate") as found:
        labels = list(found)
    with host.records(log, ("decision",), "calibrate") as decisions:
        collected = collect(labels, decisions, stored.version)
    try:
        shift = shift_of(collected.labelled)
    except ValueError as error:
        raise ConfigError(
            f"{error}; {_left_out(collected)}",
            where=f"model version {stored.version}",
            mend="guard log label ID true|false",
        ) from None
    before, after = log_loss(collected.labelled, 0.0), log_loss(collected.labelled, shift)
    digest, version = shifted(target, stored, shift, len(collected.labelled), name=wanted, signing_key=signing_key)
    result: dict[str, Any] = {
        "file": str(output),
        "version": version,
        "sha256": digest,
        "from_sha256": stored.digest,
        "shift": round(shift, _PLACES),
        "signed": signing_key is not None,
        "log_loss_before": round(before, _PLACES),
        "log_loss_after": round(after, _PLACES),
    }
    _tell_calibrated(result, collected, as_json=as_json)


def _tell_calibrated(result: dict[str, Any], collected: Collected, *, as_json: bool) -> None:
    labels = len(collected.labelled)
    lines = {
        "wrote": result["file"],
        "version": result["version"],
        "sha256": result["sha256"],
        "shift": f"{result['shift']:+.3f} in log-odds, from {labels} labels",
        "log loss": f"{result['log_loss_before']:.4f} before, {result['log_loss_after']:.4f} after, on these labels",
        "left out": _left_out(collected),
    }
    counts = {
        "labels": labels,
        "missed": collected.missed,
        "other_versions": collected.others,
        "not_in_the_log": collected.lost,
    }
    tell(lines, {**result, **counts}, as_json=as_json)


def _left_out(collected: Collected) -> str:
    return (
        f"{collected.missed} attacks in which nothing was found, {collected.others} decisions of other versions, "
        f"{collected.lost} that are not in the log"
    )
