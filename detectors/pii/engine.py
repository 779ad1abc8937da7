"""Presidio's findings, exactly, behind one gate. Importing this module imports presidio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final, Protocol

import msgspec

from detectors.common.budget import Budget
from detectors.common.gate import Gate
from detectors.pii.claims import Claims
from detectors.pii.context import ContextWords
from detectors.pii.options import PiiOptions
from detectors.pii.patterns import Match, PatternMatcher
from detectors.pii.phone import PhoneFinder
from detectors.pii.projection import View, project
from detectors.pii.recognizers import select


class Matcher(Protocol):
    """Something that finds one kind of span; ``gate_source`` (RE2) matches wherever it can find one."""

    gate_source: str

    def find(self, view: View, budget: Budget, claims: Claims) -> Iterator[Match]:
        """The matches, left to right; those that ``claims`` wholly cover may be left out. Raises ``Unfinished``."""
        ...


class Source(msgspec.Struct, frozen=True):
    """A matcher, and what is known about its entity.

    ``national``: an id of one country. ``numeric``: digits alone can be one, and can be anything else.
    """

    entity: str
    recognizer: Any
    matcher: Matcher
    context: ContextWords
    national: bool
    numeric: bool


class Engine:
    """The chosen recognizers. Raises ``ConfigError`` for an entity, country or region that does not exist."""

    def __init__(self, options: PiiOptions) -> None:
        recognizers, phone = select(options)
        self.sources: Final[list[Source]] = []
        for recognizer in recognizers:
            national = recognizer.country_code() is not None
            for pattern in recognizer.patterns:
                self._add(recognizer, PatternMatcher(recognizer, pattern), national=national, numeric=national)
        if phone is not None:
            self._add(phone, PhoneFinder(phone, self._threshold(options, phone)), national=False, numeric=True)
        gates = [source.matcher.gate_source for source in self.sources]
        self._gate = Gate(gates)
        self.entities: Final = frozenset(source.entity for source in self.sources)
        self.identity: Final = [version("presidio-analyzer"), version("phonenumbers"), *gates]

    def _add(self, recognizer: Any, matcher: Matcher, *, national: bool, numeric: bool) -> None:
        entity = recognizer.supported_entities[0]
        context = ContextWords(entity, recognizer.context)
        self.sources.append(Source(entity, recognizer, matcher, context, national, numeric))

    @staticmethod
    def _threshold(options: PiiOptions, recognizer: Any) -> float:
        return options.thresholds.get(recognizer.supported_entities[0], options.threshold)

    def any(self, texts: Sequence[str], budget: Budget) -> bool:
        """Whether anything may match in any of the folded texts: one pass over all, joined by newlines."""
        budget.check()
        return bool(self._gate.open(project("\n".join(texts))))

    def matches(self, text: str, budget: Budget, claims: Claims) -> tuple[str, Iterator[tuple[Source, Match]]]:
        """A folded text in its canonical reading, and what the recognizers find in it.

        Types, spans and scores are those of the recognizers' own ``analyze``, before context and thresholds. Phone
        numbers come last; those that the caller's ``claims``, added while iterating, wholly cover may be left out.
        Iterating raises ``Unfinished``.
        """
        view = View.of(text)
        return view.canonical, self._found(view, budget, claims)

    def _found(self, view: View, budget: Budget, claims: Claims) -> Iterator[tuple[Source, Match]]:
        for at in sorted(self._gate.open(view.projected)):
            budget.check()
            source = self.sources[at]
            for match in source.matcher.find(view, budget, claims):
                yield source, match
