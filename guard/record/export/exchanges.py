"""Decisions joined with what became of them, in one pass and bounded memory.

An outcome stands behind its decision in the log of the same boot. A decision that allows is held until its outcome
comes, or its boot ends; so the order is that of completion. What is held is bounded: past ``MAX_HELD`` the oldest goes
out without its outcome, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from guard.types import DecisionRecord

MAX_HELD: Final = 16_384

Ending: TypeAlias = Literal["recorded", "none", "missing", "unjoined"]


class Exchange(msgspec.Struct, frozen=True):
    """A decision and its outcome.

    ``ending``: the outcome is ``recorded``; there is ``none`` (a refusal, or a message, whose connection has one); it
    is ``missing`` from the log; or more than ``MAX_HELD`` exchanges were under way (``unjoined``).
    """

    decision: DecisionRecord
    outcome: DecisionRecord | None
    ending: Ending


def exchanges(records: Iterable[DecisionRecord]) -> Iterator[Exchange]:
    """The exchanges of a log's records, which come in the order of each origin's log."""
    held: dict[tuple[str, str], dict[str, DecisionRecord]] = {}
    count = 0
    for record in records:
        kind = record["kind"]
        place = (record["origin"], record["boot"])
        if kind == "decision":
            if _over(record):
                yield Exchange(record, None, "none")
                continue
            waiting = held.setdefault(place, {})
            twin = waiting.pop(record["id"], None)
            waiting[record["id"]] = record
            if twin is not None:
                # Only in a log that was tampered with; nothing is left out for that.
                yield Exchange(twin, None, "missing")
                continue
            count += 1
            if count > MAX_HELD:
                yield Exchange(_oldest(held), None, "unjoined")
                count -= 1
        elif kind == "outcome":
            decision = held.get(place, {}).pop(record["decision_ref"], None)
            if decision is not None:
                count -= 1
                yield Exchange(decision, record, "recorded")
        elif kind == "open":
            # One process writes an origin: the boots before this one are over.
            for other in [key for key in held if key[0] == record["origin"]]:
                ended = held.pop(other)
                count -= len(ended)
                yield from (Exchange(decision, None, "missing") for decision in ended.values())
    for ended in held.values():
        yield from (Exchange(decision, None, "missing") for decision in ended.values())


def _over(decision: DecisionRecord) -> bool:
    """Whether no outcome will come: a refusal that was enforced, or a message of a connection."""
    ruling = decision["decision"]
    return (ruling["effect"] == "deny" and ruling["mode"] == "enforce") or bool(decision.get("connection"))


def _oldest(held: dict[tuple[str, str], dict[str, DecisionRecord]]) -> DecisionRecord:
    """Takes out the decision that waits longest. Python's dicts keep the order in which keys came."""
    firsts = [(next(iter(waiting.values()))["ts_us"], place) for place, waiting in held.items() if waiting]
    waiting = held[min(firsts)[1]]
    return waiting.pop(next(iter(waiting)))
