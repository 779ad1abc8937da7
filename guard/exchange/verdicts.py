"""The verdicts on a stream: at its head, at each new type of finding and each higher score of one, and at its end.

What a verdict arms stays armed to the end of the stream: a later one adds to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from guard.errors import ObligationFailed
from guard.exchange.judge import Judgement, denied_by_obligation, judge
from guard.obligations.redact import Operator, united
from guard.pipeline import Detection
from guard.stream import MAX_CHANNELS
from guard.types import Content, Decision, Finding, Incomplete, Segment, Skipped

if TYPE_CHECKING:
    from guard.exchange.answer import Answer
    from guard.exchange.spoken import Spoken

_MAX_KEPT: Final = 64


class Verdicts:
    """What is known of a stream so far, and what was decided of it. Bounded."""

    def __init__(self, answer: Answer | Spoken, head: Judgement) -> None:
        self._answer = answer
        self.size_bytes = 0
        self.redactions: dict[str, Operator] = dict(head.duties.redactions)
        self._pointers: dict[str, None] = {}
        self._skipped: dict[Skipped, None] = dict.fromkeys(head.content.skipped)
        self._seen: dict[tuple[str, str], float] = {}
        # The texts of the head, then one segment for each new type of finding and each higher score of it: enough for
        # the policy, bounded for us.
        self._kept: list[Segment] = list(head.segments)
        self._most = len(self._kept) + _MAX_KEPT
        self._findings: list[Finding] = list(head.findings)
        self._incomplete: tuple[Incomplete, ...] = head.detection.incomplete
        self._outcomes = head.detection.outcomes
        self._headers = frozenset(head.duties.headers)

    def hides(self, finding: Finding) -> bool:
        """Whether what was found must not pass in clear."""
        operator = self.redactions.get(finding.type)
        return operator is not None and operator.name != "keep"

    def inspected(self, pointer: str, skipped: tuple[Skipped, ...] = ()) -> None:
        """A position that was inspected, and gaps."""
        if len(self._pointers) < MAX_CHANNELS:
            self._pointers[pointer] = None
        self.gaps(skipped)

    def gaps(self, skipped: tuple[Skipped, ...]) -> None:
        """Positions that were not inspected."""
        for gap in skipped:
            if len(self._skipped) < MAX_CHANNELS:
                self._skipped[gap] = None

    def unfinished(self, detection: Detection) -> bool:
        """Take note of how the detectors fared; true if that is news."""
        news = bool(detection.incomplete) and detection.incomplete != self._incomplete
        self._outcomes = detection.outcomes or self._outcomes
        self._incomplete = detection.incomplete or self._incomplete
        return news

    def is_news(self, finding: Finding, segment: Segment) -> bool:
        """Keep a finding of a new type, or of a higher score than those of its type before; false for others."""
        kind = (finding.type, finding.detector)
        if finding.score <= self._seen.get(kind, -1.0):
            return False
        self._seen[kind] = finding.score
        if len(self._kept) < self._most:
            self._findings.append(msgspec.structs.replace(finding, segment=len(self._kept)))
            self._kept.append(segment)
        return True

    async def ask(self) -> Decision | None:
        """Ask the policy again and arm what it obliges to; the decision that ends the stream, if this verdict does."""
        judgement = await self.judge()
        if judgement.decision.effect == "deny":
            return judgement.decision
        if not self._headers.issuperset(judgement.duties.headers):
            mend = "state the annotate obligation at the response stage whatever the findings are"
            return denied_by_obligation(
                judgement.decision, ObligationFailed("a header became due after the head of the stream", mend=mend)
            )
        self.redactions = united(self.redactions, judgement.duties.redactions)
        return None

    async def refuse(self, error: ObligationFailed, *skipped: Skipped) -> Decision:
        """The verdict that ends the stream because of this failure."""
        return denied_by_obligation((await self.judge(*skipped)).decision, error)

    async def judge(self, *skipped: Skipped) -> Judgement:
        """The policy's answer to what is known so far."""
        answer, exchange = self._answer, self._answer.exchange
        # Every channel was inspected; those without a finding stand here with their pointer only.
        empty = [Segment.of("", pointer) for pointer in self._pointers]
        content = Content(
            media_type=answer.head.media_type,
            size_bytes=self.size_bytes,
            segments=(*self._kept, *empty),
            skipped=(*self._skipped, *skipped),
        )
        judgement = await judge(
            exchange.services,
            exchange.caller,
            content,
            stage="response",
            anomaly=exchange.anomaly,
            asked=exchange.asked,
            keyed=exchange.keyed,
            detection=Detection(tuple(self._findings), self._incomplete, self._outcomes),
        )
        answer.note(judgement)
        return judgement
