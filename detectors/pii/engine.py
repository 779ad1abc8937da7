"""Presidio's findings, exactly, behind one gate. Importing this module imports presidio."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final, Protocol

import msgspec

from detectors.common.budget import Budget, Unfinished
from detectors.common.gate import Gate, Opened
from detectors.pii.claims import Claims
from detectors.pii.context import ContextWords
from detectors.pii.options import PiiOptions
from detectors.pii.own import OwnMatcher, identity, is_patterns_only, own_recognizers
from detectors.pii.patterns import Match, PatternMatcher
from detectors.pii.phone import PhoneFinder
from detectors.pii.projection import View
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
        own = own_recognizers(options)
        recognizers, phone = select(options, {entity for one in own for entity in one.supported_entities})
        self.sources: Final[list[Source]] = []
        self._variants: dict[tuple[int, str], Source] = {}
        for recognizer in recognizers:
            national = recognizer.country_code() is not None
            for pattern in recognizer.patterns:
                self._add(recognizer, PatternMatcher(recognizer, pattern), national=national, numeric=national)
        for recognizer in own:
            self._add_own(recognizer)
        if phone is not None:
            self._add(phone, PhoneFinder(phone, self._threshold(options, phone)), national=False, numeric=True)
        gates = [source.matcher.gate_source for source in self.sources]
        self._gate = Gate(gates)
        self.entities: Final = frozenset(
            entity for source in self.sources for entity in source.recognizer.supported_entities
        )
        self.identity: Final = [version("presidio-analyzer"), version("phonenumbers"), *gates, *map(identity, own)]

    def _add(self, recognizer: Any, matcher: Matcher, *, national: bool, numeric: bool) -> None:
        entity = recognizer.supported_entities[0]
        context = ContextWords(entity, recognizer.context or ())
        self.sources.append(Source(entity, recognizer, matcher, context, national, numeric))

    def _add_own(self, recognizer: Any) -> None:
        if not is_patterns_only(recognizer):
            self._add(recognizer, OwnMatcher(recognizer), national=False, numeric=False)
            return
        for pattern in recognizer.patterns:
            self._add(recognizer, PatternMatcher(recognizer, pattern), national=False, numeric=False)

    @staticmethod
    def _threshold(options: PiiOptions, recognizer: Any) -> float:
        return options.thresholds.get(recognizer.supported_entities[0], options.threshold)

    def open(self, projected: bytes, budget: Budget) -> Opened:
        """Which sources may match in a projected text, or in one of many that newlines join."""
        return self._gate.open(projected, budget.check)

    def matches(self, text: str, budget: Budget, claims: Claims) -> tuple[str, Iterator[tuple[Source, Match]]]:
        """A folded text in its canonical reading, and what the recognizers find in it.

        Types, spans and scores are those of the recognizers' own ``analyze``, before context and thresholds. Phone
        numbers come last; those that the caller's ``claims``, added while iterating, wholly cover may be left out.
        Iterating raises ``Unfinished``.
        """
        view = View.of(text)
        return view.canonical, self.found(view, budget, claims, self.open(view.projected, budget))

    def found(self, view: View, budget: Budget, claims: Claims, opened: Opened) -> Iterator[tuple[Source, Match]]:
        """As ``matches``, of a text whose readings are known, and which sources may match in it."""
        for at in sorted(opened):
            budget.check()
            source = self.sources[at]
            try:
                for match in source.matcher.find(view, budget, claims):
                    yield source if not match.entity else self._named(at, match.entity), match
            except Unfinished:
                raise
            except Exception:  # noqa: BLE001 - a user's validator may raise anything, and say the text
                raise Unfinished("error", source.recognizer.name) from None

    def _named(self, at: int, entity: str) -> Source:
        """The source of a recognizer of several types, as that of one of them."""
        source = self._variants.get((at, entity))
        if source is None:
            context = ContextWords(entity, self.sources[at].recognizer.context or ())
            source = msgspec.structs.replace(self.sources[at], entity=entity, context=context)
            self._variants[at, entity] = source
        return source
