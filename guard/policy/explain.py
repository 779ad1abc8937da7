"""Which rules spoke, where, and what they read: the trails of a bundle, and a verdict joined with them.

The trails are found in the text of the policies once, at load. An evaluation adds the numbers of the bodies that held,
one store each. So a decision explains itself at no measurable cost, and an engine that tells no numbers (OPA) still
explains itself as far as text alone can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from guard import rego
from guard.policy.bundle import Bundle
from guard.types import Location, Trail, Verdict

MAX_FIRED: Final = 16
CUT: Final = "…"

Trails = Mapping[str, tuple[Trail, ...]]


class Spoken(NamedTuple):
    """What a verdict tells of one rule: the place of its body, the bodies that held for it, and what it may have
    read."""

    location: Location | None
    fired: tuple[Location, ...]
    reads: tuple[str, ...]


def trails_of(program: rego.Program) -> dict[str, tuple[Trail, ...]]:
    """The bodies whose value carries a literal ``id``, by that id; in packages of an author's own as well."""
    bodies = program.bodies
    numbers: dict[str, list[int]] = {}
    for number, body in enumerate(bodies):
        identifier = body.literal.get("id")
        if isinstance(identifier, str):
            numbers.setdefault(identifier, []).append(number)
    places = [Location(body.file, body.row, body.col) for body in bodies]
    reads = program.reads(number for group in numbers.values() for number in group)
    return {
        identifier: tuple(
            Trail(
                number,
                places[number],
                reads[number].paths if reads[number].whole else (*reads[number].paths, CUT),
                {asked: places[asked] for asked in sorted(reads[number].asks)},
            )
            for number in group
        )
        for identifier, group in numbers.items()
    }


def trails_of_bundle(bundle: Bundle | None) -> dict[str, tuple[Trail, ...]]:
    """The trails of policies that another engine evaluates; none where ours cannot compile them, which is its limit and
    no fault of theirs."""
    if bundle is None:
        return {}
    try:
        return trails_of(rego.compile(bundle.modules, bundle.data))
    except rego.RegoError:
        return {}


class Told(dict[str, Spoken]):
    """What a verdict tells of each rule that is asked for; one rule often speaks several times."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self._verdict = verdict

    def __missing__(self, rule: str) -> Spoken:
        found = self[rule] = spoken(rule, self._verdict)
        return found


def spoken(rule: str, verdict: Verdict) -> Spoken:
    """What the verdict tells of a rule that is named in its value. Several bodies of one id are told apart only by an
    engine that says which of them held."""
    trails, fired = verdict.trails.get(rule, ()), verdict.fired
    if fired is None:
        location = trails[0].location if len(trails) == 1 else None
        return Spoken(location, (), _united(trail.reads for trail in trails))
    held = [trail for trail in trails if trail.number in fired]
    if not held:
        return Spoken(None, (), ())
    asked = (
        held[0].asks if len(held) == 1 else {number: place for trail in held for number, place in trail.asks.items()}
    )
    places = [trail.location for trail in held] + [asked[number] for number in fired if number in asked]
    return Spoken(places[0], tuple(places[:MAX_FIRED]), _united(trail.reads for trail in held))


def _united(reads: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """What several bodies read, each place once, within the bounds of one."""
    groups = list(reads)
    if len(groups) < 2:
        return groups[0] if groups else ()
    found = [path for path in dict.fromkeys(path for group in groups for path in group) if path != CUT]
    cut = len(found) > rego.MAX_READS or any(CUT in group for group in groups)
    return (*found[: rego.MAX_READS], *([CUT] if cut else []))
