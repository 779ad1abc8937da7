"""Our own rules beside presidio's recognizers: cards, cued phone numbers, dates of birth, addresses, names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from detectors.common.budget import Budget
from detectors.common.gate import Gate, Opened
from detectors.common.resolve import Candidate
from detectors.pii import addresses, births, calls, cards, names
from detectors.pii.claims import Claims, Cover
from detectors.pii.finding import Rule
from detectors.pii.gazetteer import load, shipped
from detectors.pii.options import PiiOptions
from detectors.pii.projection import View, project
from guard.errors import ConfigError

ENTITIES: Final = frozenset({cards.ENTITY, calls.ENTITY, births.ENTITY, addresses.ENTITY, names.ENTITY})
"""Every type that a rule of ours can find."""

_NEVER: Final = r"[^\x00-\xff]"


class Rules:
    """The rules that ``options`` ask for, behind one gate. Raises ``ConfigError`` for a gazetteer that cannot be read.

    ``entities``: what they find. ``identity``: what tells two configurations of them apart.
    """

    def __init__(self, options: PiiOptions) -> None:
        self._rules = [
            rule for rule in _chosen(options) if options.entities is None or rule.entities & {*options.entities}
        ]
        self.entities: Final = frozenset[str]().union(*(rule.entities for rule in self._rules))
        self._gate = Gate([rule.gate_source for rule in self._rules])
        self._key_gate = Gate([rule.key_gate_source or _NEVER for rule in self._rules])
        self.identity: Final = [text for rule in self._rules for text in (rule.gate_source, rule.key_gate_source)]

    def open(self, projected: bytes, budget: Budget) -> Opened:
        """Which rules may find something in a projected text, its object key left out. Raises ``Unfinished``."""
        return self._gate.open(projected, budget.check)

    def any_key(self, keys: Sequence[str]) -> bool:
        """Whether one of the object keys may make its value a finding."""
        return bool(keys) and bool(self._key_gate.open(project("\n".join(keys))))

    def find(self, view: View, key: Sequence[str], budget: Budget, opened: Opened) -> Iterator[Candidate]:
        """What the rules find in a text under an object key of the words ``key`` (lower case; empty for none);
        ``opened`` says which of them may find something in the text alone.

        A name within an address is part of the address. Raises ``Unfinished``.
        """
        by_key = self._key_gate.open(project(" ".join(key))) if key else ()
        claims = Claims()
        cover: Cover | None = None
        for index in sorted({*opened, *by_key}):
            budget.check()
            for candidate in self._rules[index].find(view, key, budget):
                if candidate.type == addresses.ENTITY:
                    claims.add(candidate.start, candidate.end, candidate.score)
                elif candidate.type == names.ENTITY:
                    cover = cover or claims.above(0.0)
                    if cover.holds(candidate.start, candidate.end):
                        continue
                yield candidate


def _chosen(options: PiiOptions) -> Iterator[Rule]:
    if names.ENTITY in (options.entities or ()) and options.names == "off" and options.ner is None:
        raise ConfigError(
            f"{names.ENTITY} is asked for, and nothing looks for names",
            where="detectors.options.pii.entities",
            mend='set names = "basic", or ner = {...}',
        )
    yield cards.Cards()
    yield calls.Calls()
    yield births.Births()
    yield addresses.Addresses()
    if options.names != "off" and options.ner is None:
        gazetteer = shipped() if options.gazetteer is None else load(Path(options.gazetteer))
        yield names.Names(gazetteer, strict=options.names == "strict")
