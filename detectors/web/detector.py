"""``WebDetector``: payloads of web attacks in what surrounds a prompt. A tripwire, no web application firewall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from detectors.common import automata
from detectors.common.budget import Budget, Unfinished, one_call
from detectors.common.gate import Gate, matcher
from detectors.common.options import Rebuilt, digest, parse_options
from detectors.web.positions import Value, values_of
from detectors.web.rule import EVERYWHERE, Position, Rule
from detectors.web.rules import FAMILIES, RULES
from guard.errors import ConfigError, DetectionIncomplete
from guard.types import DetectContext, DetectorInfo, Finding, Segment

NAME: Final = "web"
VERSION: Final = "1"
_WORD: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"
_CHECKED: Final = 16
"""Values between two looks at the clock."""
_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class WebOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[detectors.options.web]``. Everything has a default."""

    positions: tuple[Position, ...] = ("path", "query", "headers", "form")
    """Where values are looked at. ``"body"`` adds unrecognised positions of bodies that are no forms; the words of a
    conversation are never looked at."""
    threshold: _Share = 0.5
    """Rules of a lower score are not tried."""
    entities: tuple[str, ...] | None = None
    """Exactly these types; ``None`` means all."""
    max_characters: Annotated[int, msgspec.Meta(ge=1_000)] = 10_000_000
    """Characters of all values of one call, with what they spell."""


class _Family:
    """Rules behind one automaton that says which of them can match."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        sources = [f"(?i){rule.source}" for rule in rules]
        self.rules = rules
        self.matchers = [matcher(source) for source in sources]
        self.gate = Gate(sources)


class WebDetector(Rebuilt):
    """SQL and NoSQL injection, script, traversal, commands, templates, server-side requests, header injection, XML
    entities and prototype pollution in path, query, headers and form values of requests.

    At most one finding for each value and type: that of the best score. Options: ``WebOptions``. Raises
    ``guard.errors.ConfigError`` for an unknown or invalid option. Linear in the text; nothing is remembered.
    Thread-safe.
    """

    def __init__(self, **options: Any) -> None:
        self._given = options
        chosen = parse_options(WebOptions, options, NAME)
        _require_known(chosen.entities)
        self._positions = frozenset(chosen.positions)
        self._most = chosen.max_characters
        wanted = [
            tuple(
                rule
                for rule in family
                if rule.score >= chosen.threshold and (chosen.entities is None or rule.type in chosen.entities)
            )
            for family in FAMILIES
        ]
        # One automaton for all would have to remember too much at once: it is a hundred times slower on noise.
        self._families = [_Family(rules) for rules in wanted if rules]
        every = [rule for rules in wanted for rule in rules]
        self._entities = frozenset(rule.type for rule in every)
        self._info = DetectorInfo(
            NAME,
            VERSION,
            digest(NAME, VERSION, sorted(self._positions), [(r.name, r.score, r.source) for r in every]),
        )

    @property
    def info(self) -> DetectorInfo:
        """Name, version, and the digest of options and rules."""
        return self._info

    @property
    def entities(self) -> frozenset[str]:
        """The types that this configuration can find. Policies tell them by ``detector == "web"``."""
        return self._entities

    @property
    def local(self) -> frozenset[str]:
        """All: in an answer it finds nothing, so no stream waits for it."""
        return self._entities

    @property
    def degraded(self) -> str:
        """What makes it slower than it could be here; empty if nothing does."""
        return automata.DEGRADED

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        """Findings in the values of a request; none in an answer.

        Raises ``DetectionIncomplete`` (``deadline``, ``limit``) with what was found so far.
        """
        if context.stage != "request" or not segments:
            return []
        values = values_of(segments, context.media_type, self._positions)
        return self._found(segments, [value for value in values if _is_worth_a_look(value.text)], context)

    def detect_text(self, text: str) -> list[Finding]:
        """Findings in one value of a query. Raises as ``detect`` does; the deadline is ten seconds."""
        segment = Segment.of(text, "query/value")
        return self._found([segment], list(values_of([segment], "", EVERYWHERE)), one_call())

    def _found(self, segments: Sequence[Segment], values: Sequence[Value], context: DetectContext) -> list[Finding]:
        budget = Budget(context.deadline)
        best: dict[tuple[int, str], Finding] = {}
        try:
            budget.check()
            if sum([len(value.text) for value in values]) > self._most:
                raise Unfinished("limit", "max_characters")
            for count, value in enumerate(values):
                if not count % _CHECKED:
                    budget.check()
                for finding in self._in_value(value, segments, budget):
                    key = finding.segment, finding.type
                    if key not in best or best[key].score < finding.score:
                        best[key] = finding
        except Unfinished as stop:
            raise DetectionIncomplete(
                f"web: stopped at the {stop}", reason=stop.reason, findings=list(best.values())
            ) from None
        return sorted(best.values(), key=lambda f: (f.segment, f.start, f.end, f.type))

    def _in_value(self, value: Value, segments: Sequence[Segment], budget: Budget) -> list[Finding]:
        data = value.text.encode("ascii", "replace")
        findings: list[Finding] = []
        for family in self._families:
            for at in family.gate.open(data, budget.check):
                rule = family.rules[at]
                if value.position not in rule.positions:
                    continue
                budget.check()
                # The first match tells enough: a finding says that a value is an attack, nothing is cut out of it.
                match = next(automata.each(family.matchers[at], data, budget), None)
                if match is not None:
                    index, start, end = _placed(value, segments, *match.span())
                    if start < end:
                        findings.append(Finding(rule.type, index, start, end, rule.score, NAME, rule.name))
        return findings


def _placed(value: Value, segments: Sequence[Segment], start: int, end: int) -> tuple[int, int, int]:
    """The segment of a match and its span there; of one in a whole path, the segment in which it begins."""
    if not value.ends:
        return value.segment, *segments[value.segment].folded.original_span(value.offset + start, value.offset + end)
    at = next(index for stop, index in value.ends if start < stop)
    return at, 0, len(segments[at].text)


def _is_worth_a_look(text: str) -> bool:
    """Whether a value is more than one word: no rule matches in letters, digits and hyphens alone."""
    return bool(text.encode("ascii", "replace").translate(None, _WORD))


def _require_known(entities: Sequence[str] | None) -> None:
    known = {rule.type for rule in RULES}
    for entity in sorted(entities or ()):
        if entity not in known:
            raise ConfigError(
                f"unknown entity {entity!r}",
                where=f"detectors.options.{NAME}",
                mend=f"known: {', '.join(sorted(known))}",
            )
