"""A gateway's own events as rows of a space: from its log, or from JSON lines. Features and principals are read, and
nothing else: no text, and no identity leaves this module."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.federation.space import Levels, Space
from guard.errors import ConfigError
from guard.types import BehaviourEvent, DecisionRecord

MOST_EVENTS: Final = 2_000_000
LONGEST_LINE: Final = 1 << 20
LOG_KINDS: Final = ("decision", "outcome")
"""The kinds of record that ``log_events`` takes."""
_WAITING: Final = 100_000


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event: whose, for the cap alone, and its features."""

    principal: Annotated[str, msgspec.Meta(max_length=256)]
    features: dict[str, float]


class Rows(NamedTuple):
    """``levels``: rows that count, ``(n, features)``. ``missing``: events that were left out because they do not tell a
    feature; ``capped``: because their principal has more than its cap."""

    levels: Levels
    missing: int
    capped: int


def rows_of(events: Iterable[Event], space: Space, *, cap: int = 0) -> Rows:
    """The rows of all events; with a ``cap``, that many of each principal, evenly spaced over its own.

    Raises ``ConfigError`` past ``MOST_EVENTS``.
    """
    flat, principals, missing = array("d"), array("q"), 0
    numbers: dict[str, int] = {}
    for event in events:
        told = [value for axis in space.axes if (value := event.features.get(axis.name, axis.missing)) is not None]
        if len(told) < len(space.axes):
            missing += 1
            continue
        flat.extend(told)
        principals.append(numbers.setdefault(event.principal, len(numbers)))
        if len(principals) > MOST_EVENTS:
            raise ConfigError(f"there are more than {MOST_EVENTS:,} events", mend="count a shorter time")
    rows = np.array(flat, dtype=np.float64).reshape(-1, len(space.axes))
    kept = chosen(np.array(principals, dtype=np.int64), cap)
    return Rows(space.levels(rows[kept]), missing, len(rows) - len(kept))


def chosen(principals: npt.NDArray[np.int64], cap: int) -> npt.NDArray[np.intp]:
    """Which rows count if each principal has ``cap`` at most (0: all): evenly spaced over its own."""
    if cap <= 0 or not len(principals):
        return np.arange(len(principals))
    order = np.argsort(principals, kind="stable")
    _, starts, sizes = np.unique(principals[order], return_index=True, return_counts=True)
    kept = [
        order[start + (np.arange(min(size, cap)) * size) // min(size, cap)]
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
    ]
    return np.sort(np.concatenate(kept))


def file_events(path: Path) -> Iterator[Event]:
    """The events of a file, a line each: ``{"principal": "...", "features": {"name": number}}``.

    Raises ``ConfigError``, with the line where one is no event.
    """
    decoder = msgspec.json.Decoder(Event)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), 1):
                if len(line) > LONGEST_LINE:
                    raise ConfigError(f"the line is longer than {LONGEST_LINE} bytes", where=f"{path}:{number}")
                if line.strip():
                    yield _decoded(decoder, line, f"{path}:{number}")
    except OSError as error:
        raise ConfigError(f"the events cannot be read: {error.strerror}", where=str(path)) from error


def _decoded(decoder: msgspec.json.Decoder[Event], line: bytes, where: str) -> Event:
    try:
        event = decoder.decode(line)
        if not all(map(math.isfinite, event.features.values())):
            raise ValueError("a feature is not finite")
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(
            f"the line is no event: {error}",
            where=where,
            mend='a line is {"principal": "...", "features": {"name": number}}',
        ) from error
    return event


def log_events(records: Iterable[DecisionRecord], attacks: AbstractSet[str] = frozenset()) -> Iterator[Event]:
    """The requests of a log that were let in, without those in ``attacks`` (ids of decisions), replayed in order: how
    far each feature of the behaviour model lay above what was usual for its caller then, as ``guard model train
    behaviour`` sees it. A caller's first requests, while nothing is known of it, only warm the replay up."""
    from detectors.anomaly import TailModel
    from detectors.anomaly.features import NAMES
    from detectors.anomaly.second import one_sided
    from detectors.models.behaviour import WARM_UP, event_of, outcome_of

    model = TailModel(second_opinion="off")
    waiting: dict[str, BehaviourEvent] = {}
    known: dict[str, int] = {}
    for record in records:
        if record["kind"] == "outcome":
            settled = waiting.pop(record["decision_ref"], None)
            if settled is not None:
                model.settle(settled, outcome_of(record))
            continue
        event, ruling = event_of(record), record["decision"]
        if event is None or ruling["effect"] != "allow" or ruling["fail"] is not None or record["id"] in attacks:
            continue
        seen = known[event.principal] = known.get(event.principal, 0) + 1
        if seen > WARM_UP:
            zs = model.zs(event)
            yield Event(event.principal, {name: one_sided(z) for name, z in zip(NAMES, zs, strict=True)})
        model.learn(event, "allow")
        waiting[record["id"]] = event
        if len(waiting) > _WAITING:
            del waiting[next(iter(waiting))]
