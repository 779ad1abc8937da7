"""``guard model merge`` and ``guard model federation``: each step of a federation, from files to files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from detectors.federation.telling import tell_sums
from detectors.models.extras import needs_ml
from detectors.models.words import Json, Log, Output, host_of, output_of, tell
from guard.errors import ConfigError

if TYPE_CHECKING:
    from detectors.federation.events import Event, Rows
    from detectors.federation.forest import MassForest
    from detectors.federation.space import Space

steps = typer.Typer(
    help="Learn with other gateways from sums of counts, without showing an event.", no_args_is_help=True
)

Events = Annotated[
    Path | None,
    typer.Argument(metavar="[EVENTS]", help="Events as JSON lines; else the log is read.", show_default=False),
]
Gateway = Annotated[str, typer.Option("--gateway", metavar="NAME", help="Whose events these are; unique among all.")]
Cap = Annotated[int, typer.Option("--cap", min=0, help="Most events of one principal that count; 0 for all.")]
Epsilon = Annotated[
    float | None, typer.Option("--epsilon", metavar="E", help="Add Laplace noise; unreviewed: see docs/federation.md.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")]
Merged = Annotated[Path, typer.Argument(metavar="FILE", help="Merged counts.")]


def register(app: typer.Typer) -> None:
    """Put the words into ``guard model``."""
    app.command("merge")(merge)
    app.add_typer(steps, name="federation")


@steps.callback()
def _group() -> None:
    """Learn with other gateways from sums of counts, without showing an event."""


def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="Histograms, or counts, of several gateways.")],
    output: Output,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Add up what gateways counted: exactly, in any order.

    Refused: files of different steps, spaces or structures, a contribution or a gateway that would count twice, and a
    file that is damaged.
    """
    with needs_ml("federation"):
        from detectors.federation.files import read_sums, write_sums
        from detectors.federation.sums import merged
    target = output_of(output, force=force)
    found = [read_sums(path) for path in files]
    held = found[0]._replace(sums=merged([part.sums for part in found]))
    write_sums(target, held)
    tell_sums(output, held, None, as_json=as_json, parts=dict(zip(map(str, files), found, strict=True)))


@steps.command()
def events(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A new file of JSON lines.")],
    log: Log = None,
) -> None:
    """Step 0, for a gateway that counts elsewhere: its log as events, features and pseudonyms only. Keep it there."""
    with needs_ml("federation"):
        import msgspec

    encoder, written = msgspec.json.Encoder(), 0
    with _logged(context, log) as found, _new(output) as file:
        for event in found:
            file.write(encoder.encode(event) + b"\n")
            written += 1
    typer.echo(f"wrote  {output}, {written} events")


@steps.command()
def histograms(
    context: typer.Context,
    *,
    gateway: Gateway,
    output: Output,
    source: Events = None,
    log: Log = None,
    space: Annotated[
        Path | None, typer.Option("--space", metavar="FILE", help="Features and bins; else the behaviour model's.")
    ] = None,
    cap: Cap = 0,
    epsilon: Epsilon = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Step 1, each gateway: count how often each feature has which value."""
    with needs_ml("federation"):
        from detectors.federation.contribution import histograms_of
        from detectors.federation.exported import BEHAVIOUR
        from detectors.federation.files import write_sums
        from detectors.federation.space import load
    target, chosen = output_of(output, force=force), load(space) if space else BEHAVIOUR
    with _rows(context, source, log, chosen, cap) as rows:
        held = histograms_of(rows.levels, chosen, gateway, cap=cap, epsilon=epsilon)
    write_sums(target, held)
    tell_sums(output, held, rows, as_json=as_json)


@steps.command()
def structure(
    merged: Annotated[Path, typer.Argument(metavar="FILE", help="Merged histograms.")],
    *,
    output: Output,
    trees: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    samples: Annotated[int, typer.Option(min=2, max=4096, help="Synthetic rows of each tree.")] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="Of the synthetic rows and the trees.")] = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Step 2, the coordinator: make the public structure from merged histograms."""
    with needs_ml("federation"):
        from detectors.federation.files import read_sums, summary, write_structure
        from detectors.federation.structure import grown
    target, held = output_of(output, force=force), read_sums(merged)
    if held.structure is not None:
        raise ConfigError("it holds counts, not histograms", where=str(merged), mend="name the merged histograms")
    made = grown(held.space, held.sums.counts, trees=trees, samples=samples, seed=seed)
    medians = summary(held)
    card = {"samples": samples, "seed": seed, "gateways": [source.gateway for source in held.sums.sources]}
    digest = write_structure(target, made, {**card, "summary": medians})
    tell(
        {"wrote": output, "structure": digest, "trees": f"{trees}, {made.leaves} leaves"},
        {"file": str(output), "structure_sha256": digest, "trees": trees, "leaves": made.leaves, "summary": medians},
        as_json=as_json,
    )


@steps.command()
def counts(
    context: typer.Context,
    public: Annotated[Path, typer.Argument(metavar="STRUCTURE", help="The structure, the same for all gateways.")],
    *,
    gateway: Gateway,
    output: Output,
    source: Events = None,
    log: Log = None,
    cap: Cap = 0,
    epsilon: Epsilon = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Step 3, each gateway: count how many events fall into each leaf of the structure."""
    with needs_ml("federation"):
        from detectors.federation.contribution import counts_of
        from detectors.federation.files import read_structure, write_sums
    target, made = output_of(output, force=force), read_structure(public)
    with _rows(context, source, log, made.space, cap) as rows:
        held = counts_of(rows.levels, made, gateway, cap=cap, epsilon=epsilon)
    write_sums(target, held)
    tell_sums(output, held, rows, as_json=as_json)


@steps.command()
def score(
    context: typer.Context,
    merged: Merged,
    *,
    source: Events = None,
    log: Log = None,
    top: Annotated[int, typer.Option(min=1, help="The most unusual ones that are shown.")] = 20,
    as_json: Json = False,
) -> None:
    """Step 4, anybody: score events by merged counts, the most unusual first, with what made them so."""
    with needs_ml("federation"):
        import numpy as np
    forest = _forest(merged)
    with _rows(context, source, log, forest.structure.space, 0) as rows:
        scores = forest.score(rows.levels)
    names = np.array(forest.structure.space.names)
    for at in np.argsort(-scores, kind="stable")[:top]:
        shares = np.maximum(forest.shares(rows.levels[at : at + 1])[0], 0.0)
        first = [place for place in np.argsort(-shares, kind="stable")[:3] if shares[place] > 0]
        told = {str(names[place]): round(float(shares[place] / shares.sum()), 3) for place in first}
        if as_json:
            typer.echo(json.dumps({"event": int(at) + 1, "score": round(float(scores[at]), 4), "shares": told}))
        else:
            because = ", ".join(f"{name} {share:.0%}" for name, share in told.items())
            typer.echo(f"event {int(at) + 1:<8} {scores[at]:.4f}  {because}")


@steps.command()
def export(merged: Merged, output: Output, force: Force = False, as_json: Json = False) -> None:
    """Step 4, each gateway: merged counts as the forest of [detectors.options.behaviour]."""
    with needs_ml("federation"):
        from detectors.federation.exported import export as write
        from detectors.federation.files import read_sums
    held = read_sums(merged)
    gateways = [source.gateway for source in held.sums.sources]
    card = {
        "data": {"source": "federation", "gateways": gateways},
        "version": held.sums.basis[:12],
        "licence": "that of the gateways' logs",
    }
    digest = write(output_of(output, force=force), _forest(merged), card)
    tell({"wrote": output, "sha256": digest}, {"file": str(output), "sha256": digest}, as_json=as_json)


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """A file that was not there; taken away again where what fills it fails."""
    try:
        file = path.open("xb")
    except FileExistsError:
        raise ConfigError("the file exists", where=str(path), mend="name another with -o") from None
    try:
        with file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _forest(path: Path) -> MassForest:
    with needs_ml("federation"):
        from detectors.federation.files import read_sums
        from detectors.federation.forest import MassForest
    held = read_sums(path)
    if held.structure is None:
        raise ConfigError("it holds histograms, not counts", where=str(path), mend="name the merged counts")
    try:
        return MassForest(held.structure, held.sums.counts)
    except ValueError as error:
        raise ConfigError(f"no score comes of it: {error}", where=str(path)) from error


@contextmanager
def _rows(context: typer.Context, events: Path | None, log: Path | None, space: Space, cap: int) -> Iterator[Rows]:
    """The rows of a file, or of the verified log."""
    from detectors.federation.events import file_events, rows_of

    if events is not None:
        if log is not None:
            raise ConfigError("both events and --log are named", mend="name one of them")
        yield _some(rows_of(file_events(events), space, cap=cap), str(events))
        return
    with _logged(context, log) as found:
        yield _some(rows_of(found, space, cap=cap), "the log")


@contextmanager
def _logged(context: typer.Context, log: Path | None) -> Iterator[Iterator[Event]]:
    """The events of the verified log, without what analysts called an attack."""
    from detectors.federation.events import LOG_KINDS, log_events
    from detectors.models.behaviour import attacks_of

    host = host_of(context)
    with host.records(log, ("label",), "federation") as labels:
        attacks = attacks_of(labels)
    with host.records(log, LOG_KINDS, "federation") as records:
        yield log_events(records, attacks)


def _some(rows: Rows, where: str) -> Rows:
    if not len(rows.levels):
        said = f"; {rows.missing} do not tell every feature of the space" if rows.missing else ""
        raise ConfigError(f"there is no event that counts{said}", where=where)
    return rows
