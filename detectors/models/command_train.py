"""``guard model train injection|behaviour|intent``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import typer

from detectors.models.extras import needs_ml
from detectors.models.words import Json, LexiconFile, Log, Output, SigningKey, checked_name, host_of, output_of, tell

app = typer.Typer(help="Train a model: injection, behaviour or intent.", no_args_is_help=True)

_NAME: Final = typer.Option("--name", metavar="VERSION", help="What the version is called; else by its digest.")
_FORCE: Final = typer.Option("--force", help="Overwrite a file that exists.")


@app.callback()
def _group() -> None:
    """Train a model: injection, behaviour or intent."""


@app.command()
def injection(
    *,
    count: Annotated[
        int | None, typer.Option(min=200, max=200_000, help="Generated texts of each label; else as shipped.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the generator; else as shipped.")] = None,
    output: Output = Path("injection.npz"),
    name: Annotated[str | None, _NAME] = None,
    lexicon: LexiconFile = None,
    signing_key: SigningKey = None,
    force: Annotated[bool, _FORCE] = False,
    as_json: Json = False,
) -> None:
    """Train the injection model on generated texts alone.

    Without options it makes the shipped model again, bit for bit in the locked environment, and says whether it did.
    """
    with needs_ml("training"):
        from detectors.injection.lexicon import Lexicon
        from detectors.injection.training.train import COUNT, SEED
        from detectors.models.injection import make
    chosen = Lexicon.read(lexicon) if lexicon else Lexicon.shipped()
    made = make(
        output_of(output, force=force),
        count=COUNT if count is None else count,
        seed=SEED if seed is None else seed,
        name=checked_name(name),
        lexicon=chosen,
        signing_key=signing_key,
    )
    metrics = made.card["metrics"]["generated"]
    figures = {"on held-out texts": f"AUC {metrics['auc']}, recall {metrics['recall_micro']} at 1 % false alarms"}
    _tell_made(output, made, figures, signed=signing_key is not None, as_json=as_json)


@app.command()
def behaviour(
    *,
    context: typer.Context,
    log: Log = None,
    output: Output = Path("behaviour.npz"),
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Leave out what an analyst called an attack.")
    ] = True,
    name: Annotated[str | None, _NAME] = None,
    signing_key: SigningKey = None,
    force: Annotated[bool, _FORCE] = False,
    as_json: Json = False,
) -> None:
    """Learn from a signed log what is usual: from the recorded numbers of its requests, never from text.

    The log is verified first; one that was tampered with teaches nothing.
    """
    with needs_ml("training"):
        from detectors.models.behaviour import KINDS, attacks_of, learn, write
    target, wanted, host = output_of(output, force=force), checked_name(name), host_of(context)
    attacks: set[str] = set()
    if labels:
        with host.records(log, ("label",), "train") as found:
            attacks = attacks_of(found)
    with host.records(log, KINDS, "train") as records:
        learned = learn(records, attacks)
    digest, version, metrics = write(target, learned, name=wanted, signing_key=signing_key)
    taught = learned.account
    tell(
        {
            "wrote": output,
            "version": version,
            "sha256": digest,
            "signed": "yes" if signing_key else "no",
            "learned from": f"{taught.learned} requests of {taught.principals} callers, {taught.span}",
            "left out": f"{taught.denied} denied, {taught.flagged} called an attack, {taught.bare} without numbers",
            "on simulated attacks": f"AUC {metrics['auc']}, recall {metrics['recall_micro']} at 1 % false alarms",
        },
        {
            "file": str(output),
            "version": version,
            "sha256": digest,
            "signed": signing_key is not None,
            "data": taught.as_card(),
            "metrics": {"simulated": metrics},
        },
        as_json=as_json,
    )


@app.command()
def intent(
    *,
    count: Annotated[
        int | None, typer.Option(min=100, max=20_000, help="Generated texts of each class; else as shipped.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the generator; else as shipped.")] = None,
    output: Output = Path("intent.npz"),
    name: Annotated[str | None, _NAME] = None,
    signing_key: SigningKey = None,
    force: Annotated[bool, _FORCE] = False,
    as_json: Json = False,
) -> None:
    """Train the intent model on generated texts alone.

    Without options it makes the shipped model again, bit for bit in the locked environment, and says whether it did.
    """
    with needs_ml("training"):
        from detectors.intent.training.train import COUNT, SEED
        from detectors.models.intent import make
    made = make(
        output_of(output, force=force),
        count=COUNT if count is None else count,
        seed=SEED if seed is None else seed,
        name=checked_name(name),
        signing_key=signing_key,
    )
    metrics = made.card["metrics"]["held_out"]
    figures = {"on held-out templates": f"{metrics['accuracy']:.1%} right, if it does not see a quarter of them"}
    _tell_made(output, made, figures, signed=signing_key is not None, as_json=as_json)


class _Made(Protocol):
    """A model that was trained on generated texts. ``shipped``: the digest of the one of this installation."""

    @property
    def digest(self) -> str: ...
    @property
    def shipped(self) -> str: ...
    @property
    def card(self) -> Mapping[str, Any]: ...


def _tell_made(output: Path, made: _Made, figures: Mapping[str, str], *, signed: bool, as_json: bool) -> None:
    same = made.digest == made.shipped
    tell(
        {
            "wrote": output,
            "version": made.card["version"],
            "sha256": made.digest,
            "which is": "the same bytes as the shipped model"
            if same
            else f"not the shipped model ({made.shipped[:16]}…)",
            "signed": "yes" if signed else "no",
            **figures,
        },
        {
            "file": str(output),
            "version": made.card["version"],
            "sha256": made.digest,
            "shipped_sha256": made.shipped,
            "equals_shipped": same,
            "signed": signed,
            "metrics": made.card["metrics"],
        },
        as_json=as_json,
    )
