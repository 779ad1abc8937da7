"""What running guards counted of a model, read from the heartbeats of their signed log."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from detectors.models.histogram import PSI_MOVED, PSI_SHIFTED, Histogram, psi
from detectors.models.kinds import Kind
from detectors.models.watch import PAIRS, PREFIX
from guard.types import DecisionRecord

KINDS: Final = ("open", "heartbeat", "close")
"""The kinds of record that are read."""
SECOND: Final = "second"
"""The histogram of second opinions."""
CLASSES: Final = "intent"
"""The histogram that counts classes."""
_DIGITS: Final = 12
_ENOUGH: Final = 200
_BAR: Final = 40
"""Characters of the longest bar."""

Counts = dict[str, int]


class Shadow(msgspec.Struct, frozen=True):
    """How often a candidate (the beginning of its digest) and the live model flagged the same."""

    candidate: str
    neither: int
    candidate_only: int
    live_only: int
    both: int


class Live(msgspec.Struct, frozen=True):
    """What was counted of one model. ``psi`` by feature, against the reference of its card, or where that has none
    against what the log tells of the time before. ``scores``: how many lie in each bin, ``edges`` between them.
    ``flagged`` is ``None`` for a model that flags nothing. ``second`` lie in bins between ``second_edges``: a second
    opinion, on what was unusual."""

    judged: int
    processes: int
    moved: int
    psi: dict[str, float]
    shadow: list[Shadow]
    edges: tuple[float, ...] = ()
    scores: tuple[int, ...] = ()
    flagged: int | None = None
    classes: dict[str, int] = {}
    second_edges: tuple[float, ...] = ()
    second: tuple[int, ...] = ()


class Counted(NamedTuple):
    """The counters of a model of all processes together, by the rest of their names. ``before``: those up to the
    window; ``processes``: how many judged."""

    counts: Counts
    before: Counts
    processes: int


def counted(records: Iterable[DecisionRecord], name: str, digests: Collection[str], since_us: int = 0) -> Counted:
    """What the heartbeats tell of a model under these digests. ``since_us``: what came before the first sign of life
    after it is left out. Records come oldest first."""
    heads = tuple(f"{PREFIX}.{name}.{digest[:_DIGITS]}." for digest in digests)
    first: dict[tuple[str, int], Counts] = {}
    last: dict[tuple[str, int], Counts] = {}
    process: dict[str, int] = {}
    for record in records:
        origin = record["origin"]
        if record["kind"] == "open":
            # Counters live as long as the process, which may open its log again after a failed write.
            process[origin] = process.get(origin, 0) + (not record.get("reopened"))
            continue
        found = _below(record["counters"], heads)
        which = origin, process.get(origin, 0)
        if record["ts_us"] < since_us:
            first[which] = found
        elif found:
            last[which] = found
    total: Counts = {}
    for which, counts in last.items():
        before = first.get(which, {})
        for key, value in counts.items():
            # Fewer than before: the model was loaded anew in between, and counts from nothing.
            _add(total, key, value - before.get(key, 0) if value >= before.get(key, 0) else value)
    earlier: Counts = {}
    for counts in first.values():
        for key, value in counts.items():
            _add(earlier, key, value)
    return Counted(total, earlier, len(last))


def _below(counters: Mapping[str, int], heads: tuple[str, ...]) -> Counts:
    found: Counts = {}
    for key, value in counters.items():
        for head in heads:
            if key.startswith(head):
                _add(found, key.removeprefix(head), value)
    return found


def _add(counts: Counts, key: str, value: int) -> None:
    counts[key] = counts.get(key, 0) + value


def live_of(found: Counted, kind: Kind, reference: Mapping[str, Histogram]) -> Live:
    """The counters of a model as figures."""
    counts = found.counts
    scores = _bins(counts, "score", len(kind.edges) + 1)
    measured: dict[str, float] = {}
    for name, histogram in reference.items():
        observed = _bins(counts, name, len(histogram.counts))
        if any(observed):
            measured[name] = round(psi(histogram.counts, observed), 4)
    if "score" not in reference and any(scores):
        before = _bins(found.before, "score", len(scores))
        if any(before):
            measured["score"] = round(psi(before, scores), 4)
    classes = _bins(counts, CLASSES, len(kind.classes))
    return Live(
        sum(scores),
        found.processes,
        counts.get("moved", 0),
        measured,
        _shadows(counts),
        kind.edges,
        tuple(scores),
        counts.get("flagged", 0) if kind.flags else None,
        dict(zip(kind.classes, classes, strict=True)),
        kind.second,
        tuple(_bins(counts, SECOND, len(kind.second) + 1)) if kind.second else (),
    )


def _bins(counts: Mapping[str, int], name: str, bins: int) -> list[int]:
    return [counts.get(f"{name}.{number}", 0) for number in range(bins)]


def reading_of(value: float, judged: int) -> str:
    """The usual reading of a population stability index; of few it is mostly chance."""
    if judged < _ENOUGH:
        return f"which of {judged} may be chance"
    return "the same population" if value < PSI_MOVED else "moved" if value < PSI_SHIFTED else "another population"


def _shadows(counts: Mapping[str, int]) -> list[Shadow]:
    candidates = sorted({name.split(".")[1] for name in counts if name.startswith("shadow.")})
    return [
        Shadow(candidate, **{pair: counts.get(f"shadow.{candidate}.{pair}", 0) for pair in PAIRS})
        for candidate in candidates
    ]


def lines_of(live: Live) -> dict[str, Any]:
    """For people, in 80 columns."""
    if not live.judged:
        return {"judged": "nothing under this digest in this log"}
    processes = "one process" if live.processes == 1 else f"{live.processes} processes"
    lines: dict[str, Any] = {"judged": f"{live.judged} by {processes}"}
    if live.flagged is not None:
        lines["flagged"] = f"{live.flagged}, {live.flagged / live.judged:.2%}"
    if live.classes:
        told = sorted(live.classes.items(), key=lambda item: -item[1])
        lines["told as"] = ", ".join(f"{name} {count / live.judged:.1%}" for name, count in told if count)
    for name, value in live.psi.items():
        lines[f"drift of {name}"] = f"PSI {value:.3f}, {reading_of(value, live.judged)}"
    moved = {0: "has not moved", 1: "moved once"}.get(live.moved, f"moved {live.moved} times")
    lines["mean of scores"] = f"{moved} (ADWIN)"
    lines |= bars("scores", live.edges, live.scores)
    lines |= bars("second", live.second_edges, live.second)
    for each in live.shadow:
        all_of_them = each.neither + each.candidate_only + each.live_only + each.both
        apart = each.candidate_only + each.live_only
        lines[f"shadow {each.candidate}"] = f"disagrees in {apart} of {all_of_them} ({apart / all_of_them:.2%})"
        lines["  it alone flags"] = each.candidate_only
        lines["  it alone passes"] = each.live_only
        lines["  both flag"] = each.both
    return lines


def bars(what: str, edges: Sequence[float], counts: Sequence[int]) -> dict[str, str]:
    """A histogram in lines; empty bins at either end are left out."""
    total, most = sum(counts), max(counts, default=0)
    if not most:
        return {}
    held = [number for number, count in enumerate(counts) if count]
    lines: dict[str, str] = {}
    for number in range(held[0], held[-1] + 1):
        name = f"up to {edges[number]:.3g}" if number < len(edges) else f"above {edges[-1]:.3g}"
        share = counts[number] / total
        lines[f"{what} {name}"] = f"{share:>7.2%} {'#' * round(_BAR * counts[number] / most)}".rstrip()
    return lines
