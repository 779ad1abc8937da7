"""``SecretsDetector``: credentials by the formats of their issuers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from detectors.common import automata
from detectors.common.budget import Budget, Unfinished, one_call
from detectors.common.gate import Gate, matcher
from detectors.common.options import Rebuilt, digest, parse_options
from detectors.common.resolve import Candidate, resolve
from detectors.secrets.formats import FORMATS, PEM, Format
from guard.errors import ConfigError, DetectionIncomplete
from guard.types import DetectContext, DetectorInfo, Finding, Segment

NAME: Final = "secrets"
VERSION: Final = "2"

_PEM_END: Final = re.compile(rb"-----END [A-Z0-9 ]{0,64}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END_MARK: Final = b"-----END "
_PEM_BODY: Final = re.compile(rb"[A-Za-z0-9+/=\s\\]{0,16384}")
_PEM_LINE: Final = re.compile(rb"[A-Za-z0-9+/]{32}")
_PEM_LONGEST: Final = 16384
"""Characters of a private key in PEM: RSA of 16,384 bits has some 12,700."""


class SecretsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[detectors.options.secrets]``. Everything has a default."""

    entities: tuple[str, ...] | None = None
    """Exactly these types; ``None`` means all but ``GENERIC_SECRET``."""
    generic: bool = False
    """Look also for random values that an assignment calls a secret (``GENERIC_SECRET``, score 0.5)."""


class SecretsDetector(Rebuilt):
    """API keys, tokens and private keys. Case-sensitive; placeholders of documentation are no secrets.

    Options: ``SecretsOptions``. Raises ``guard.errors.ConfigError`` for an unknown or invalid option. The value of a
    secret enters no evidence, no log and no memory that outlives the call. Thread-safe.
    """

    def __init__(self, **options: Any) -> None:
        self._given = options
        chosen = parse_options(SecretsOptions, options, NAME)
        known = {form.type for form in FORMATS}
        for entity in chosen.entities or ():
            if entity not in known:
                raise ConfigError(
                    f"unknown entity {entity!r}",
                    where="detectors.options.secrets",
                    mend=f"known: {', '.join(sorted(known))}",
                )
        self._formats = [form for form in FORMATS if _is_wanted(form, chosen)]
        self._matchers = [matcher(form.source) for form in self._formats]
        self._gate = Gate([form.source for form in self._formats])
        self._entities = frozenset(form.type for form in self._formats)
        self._info = DetectorInfo(NAME, VERSION, digest(NAME, VERSION, chosen, [form.source for form in self._formats]))

    @property
    def info(self) -> DetectorInfo:
        """Name, version, and the digest of options and formats."""
        return self._info

    @property
    def entities(self) -> frozenset[str]:
        """The types that this configuration can find. Policies tell them by ``detector == "secrets"``."""
        return self._entities

    @property
    def local(self) -> frozenset[str]:
        """All of them: a stream can be sure of each before its end."""
        return self._entities

    @property
    def degraded(self) -> str:
        """What makes it slower than it could be here; empty if nothing does. ``guard doctor`` says it."""
        return automata.DEGRADED

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        """Secrets in the segments, by position, without overlap within a segment.

        Raises ``DetectionIncomplete`` (``deadline``) with what was found so far.
        """
        if not segments:
            return []
        budget = Budget(context.deadline)
        findings: list[Finding] = []
        try:
            budget.check()
            joined = "\n".join([segment.folded.text for segment in segments]).encode("ascii", "replace")
            if not self._gate.open(joined):
                return findings
            for index, segment in enumerate(segments):
                data = joined if len(segments) == 1 else segment.folded.text.encode("ascii", "replace")
                found: list[Candidate] = []
                try:
                    for candidate in self._candidates(data, budget):
                        found.append(candidate)  # noqa: PERF402 - what was found stays when the budget ends
                finally:
                    findings += _placed(index, segment, resolve(found, {}, segment.folded.text))
        except Unfinished as stop:
            raise DetectionIncomplete(
                f"secrets: stopped at the {stop.reason}", reason=stop.reason, findings=findings
            ) from None
        return findings

    def detect_text(self, text: str) -> list[Finding]:
        """Secrets in one text. Raises as ``detect`` does; the deadline is ten seconds."""
        return self.detect([Segment.of(text)], one_call())

    def _candidates(self, data: bytes, budget: Budget) -> Iterator[Candidate]:
        for at in self._gate.open(data):
            form = self._formats[at]
            position = 0
            for count, match in enumerate(automata.each(self._matchers[at], data, budget)):
                if not count & 31:
                    budget.check()
                start, end = match.span(form.group)
                if start < position or (form.word_before and _is_word(data, start - 1)):
                    continue
                score = form.judge(data[start:end].decode("ascii"))
                stop = _pem_end(data, end) if form.name == PEM else end
                if score is not None and stop is not None:
                    position = stop
                    yield Candidate(form.type, start, stop, score, form.name)


def _placed(index: int, segment: Segment, found: Sequence[Candidate]) -> list[Finding]:
    """The findings in the original text. What stands in the text and in a reading of it is one, of the best score."""
    placed: dict[tuple[str, int, int], Finding] = {}
    for c in sorted(found, key=lambda c: c.score):
        start, end = segment.folded.original_span(c.start, c.end)
        placed[c.type, start, end] = Finding(c.type, index, start, end, c.score, NAME, c.evidence)
    return sorted(placed.values(), key=lambda f: (f.start, f.end))


def _is_wanted(form: Format, options: SecretsOptions) -> bool:
    if not form.default and options.generic:
        return True
    return form.default if options.entities is None else form.type in options.entities


def _is_word(data: bytes, at: int) -> bool:
    return at >= 0 and data[at : at + 1].isalnum()


def _pem_end(data: bytes, start: int) -> int | None:
    """Where the block whose BEGIN line ends at ``start`` ends (RFC 7468).

    At its END line; where that is missing (a key cut off), behind the body; ``None`` if there is no body either, as
    when a text only speaks of the line.
    """
    # A NUL parts the text from other readings of it: a key does not go on there.
    reading = data.find(b"\0", start, start + _PEM_LONGEST)
    mark = data.find(_PEM_END_MARK, start, start + _PEM_LONGEST if reading < 0 else reading)
    end = _PEM_END.match(data, mark) if mark >= 0 else None
    if end is not None:
        return end.end()
    body = _PEM_BODY.match(data, start)
    if body is None or _PEM_LINE.search(data, start, body.end()) is None:
        return None
    return body.end()
