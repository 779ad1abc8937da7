"""What running guards counted of a model, read from the heartbeats of their signed log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from detectors.models.histogram import PSI_MOVED, PSI_SHIFTED, Histogram, psi
from detectors.models.watch import PAIRS, PREFIX
from guard.types import DecisionRecord

KINDS: Final = ("open", "heartbeat", "close")
"""The kinds of record that are read."""
_DIGITS: Final = 12

Counts = dict[str, int]


class Shadow(msgspec.Struct, frozen=True):
    """How often a candidate (the beginning of its digest) and the live model flagged the same."""

    candidate: str
    neither: int
    candidate_only: int
    live_only: int
    both: int


class Live(msgspec.Struct, frozen=True):
    """What was counted of one model. ``psi`` by feature, against the reference of its card."""

    judged: int
    processes: int
    moved: int
    psi: dict[str, float]
    shadow: list[Shadow]


def counted(records: Iterable[DecisionRecord], name: str, digest: str, since_us: int = 0) -> tuple[Counts, int]:
    """The counters of a model of all processes together, by the rest of their names, and the number of processes that
    judged. ``since_us``: what came before the first sign of life after it is left out. Records come oldest first."""
    head = f"{PREFIX}.{name}.{digest[:_DIGITS]}."
    first: dict[tuple[str, int], Counts] = {}
    last: dict[tuple[str, int], Counts] = {}
    process: dict[str, int] = {}
    for record in records:
        origin = record["origin"]
        if record["kind"] == "open":
            # Counters live as long as the process, which may open its log again after a failed write.
            process[origin] = process.get(origin, 0) + (not record.get("reopened"))
            continue
        found = {key.removeprefix(head): value for key, value in record["counters"].items() if key.startswith(head)}
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
            total[key] = total.get(key, 0) + (value - before.get(key, 0) if value >= before.get(key, 0) else value)
    return total, len(last)


def live_of(counts: Mapping[str, int], processes: int, reference: Mapping[str, Histogram]) -> Live:
    """The counters of a model as figures."""
    measured: dict[str, float] = {}
    judged = 0
    for name, histogram in reference.items():
        observed = [counts.get(f"{name}.{number}", 0) for number in range(len(histogram.counts))]
        if sum(observed):
            measured[name] = round(psi(histogram.counts, observed), 4)
        judged = max(judged, sum(observed))
    if not reference:
        judged = sum(count for name, count in counts.items() if name.startswith("score."))
    return Live(judged, processes, counts.get("moved", 0), measured, _shadows(counts))


def reading_of(value: float) -> str:
    """The usual reading of a population stability index."""
    return "as in its card" if value < PSI_MOVED else "moved" if value < PSI_SHIFTED else "another population"


def _shadows(counts: Mapping[str, int]) -> list[Shadow]:
    candidates = sorted({name.split(".")[1] for name in counts if name.startswith("shadow.")})
    return [
        Shadow(candidate, **{pair: counts.get(f"shadow.{candidate}.{pair}", 0) for pair in PAIRS})
        for candidate in candidates
    ]


def lines_of(live: Live) -> dict[str, Any]:
    """For people."""
    lines: dict[str, Any] = {"judged": f"{live.judged} texts by {live.processes} processes"}
    lines |= {f"drift of {name}": f"PSI {value:.3f}, {reading_of(value)}" for name, value in live.psi.items()}
    lines["mean of scores"] = f"moved {live.moved} times (ADWIN)" if live.moved else "has not moved (ADWIN)"
    for each in live.shadow:
        all_of_them = each.neither + each.candidate_only + each.live_only + each.both
        apart = each.candidate_only + each.live_only
        lines[f"shadow {each.candidate}"] = (
            f"disagrees in {apart} of {all_of_them} ({apart / all_of_them:.2%}): flags {each.candidate_only} that the "
            f"live model passes, passes {each.live_only} that it flags; {each.both} are flagged by both"
        )
    return lines
