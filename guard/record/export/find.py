"""Finds the record that a proof is wanted for, in one pass over the lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from guard.record.export.source import ExportRefused, State, newest, published, records

LAST: Final = "last"
_PLACE: Final = re.compile(r"(?P<origin>.+):(?P<seq>0|[1-9][0-9]{0,15})")
_MAX_NAMED: Final = 5


class _Named(msgspec.Struct):
    kind: str
    id: str
    ts_us: int = 0


class Found(msgspec.Struct, frozen=True):
    """A record's place: in which log state, at which index."""

    state: State
    index: int


def find_record(origins: Iterable[Path], wanted: str) -> Found:
    """The record that ``wanted`` names: ``<origin>:<seq>``, an id or its beginning; ``last`` is the newest decision.

    The state is that of the ``checkpoint`` file if it covers the record, for the cosignatures that it may carry.
    Raises ``ExportRefused`` if there is no such record, or several are meant alike.
    """
    states = [newest(origin) for origin in origins]
    if place := _PLACE.fullmatch(wanted):
        found = [
            Found(state, int(place["seq"]))
            for state in states
            if state.checkpoint.origin == place["origin"] and int(place["seq"]) < state.checkpoint.size
        ]
    elif wanted == LAST:
        found = _newest_decision(states)
    else:
        found = _by_id(states, wanted)
    if len(found) != 1:
        raise _not_one(wanted, found)
    stated = published(found[0].state.directory)
    covering = stated is not None and found[0].index < stated.checkpoint.size <= found[0].state.checkpoint.size
    return Found(stated, found[0].index) if stated is not None and covering else found[0]


def _by_id(states: list[State], wanted: str) -> list[Found]:
    found: list[Found] = []
    needle = b'"id":"' + wanted.encode()
    for state in states:
        for index, line in enumerate(records(state)):
            # A cheap look at the bytes spares parsing what cannot match.
            if needle in line and (named := _named(line)) is not None and named.id.startswith(wanted):
                if named.id == wanted:
                    return [Found(state, index)]
                found.append(Found(state, index))
    return found


def _newest_decision(states: list[State]) -> list[Found]:
    newest_us, found = -1, []
    for state in states:
        for index, line in enumerate(records(state)):
            named = _named(line) if b'"kind":"decision"' in line else None
            if named is not None and named.kind == "decision" and named.ts_us >= newest_us:
                newest_us, found = named.ts_us, [Found(state, index)]
    return found


def _named(line: bytes) -> _Named | None:
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _not_one(wanted: str, found: list[Found]) -> ExportRefused:
    if not found:
        return ExportRefused(
            f"the log holds no record {wanted!r}",
            mend="give a decision's id, as guard log tail shows it, or ORIGIN:SEQ",
        )
    places = [f"{one.state.checkpoint.origin}:{one.index}" for one in found]
    named = ", ".join(places[:_MAX_NAMED]) + (" ..." if len(places) > _MAX_NAMED else "")
    return ExportRefused(f"{len(found)} records have an id that begins so: {named}", mend="give more of the id")


_DECODER: Final = msgspec.json.Decoder(_Named)
